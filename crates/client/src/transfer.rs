//! The transfer engine: files from here to there and back, whole or not at all.

use std::path::PathBuf;

use netdisk_model::{Digest, RemotePath};
use netdisk_protocol::{BodyStart, Request};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::error::ClientError;
use crate::local::{PartFile, ReaderSource, WriterSink, modified_ms};
use crate::observer::Observer;

/// What happens to a file that stands where another goes.
///
/// ```
/// let careful = netdisk_client::OnExisting::Refuse;
/// assert_ne!(careful, netdisk_client::OnExisting::Replace);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// It is replaced, at one stroke.
    Replace,
    /// It stays, and the transfer fails.
    Refuse,
}

/// Where an upload comes from.
///
/// ```
/// use netdisk_client::PutSource;
///
/// let file = PutSource::File("a.txt".into());
/// let memory = PutSource::Stream(Box::new(&b"hello"[..]));
/// ```
#[expect(missing_debug_implementations, reason = "a stream has nothing to show")]
pub enum PutSource {
    /// A file.
    File(PathBuf),
    /// A stream, up to its end; its length need not be known.
    Stream(Box<dyn AsyncRead + Send + Unpin>),
}

/// Where a download goes.
///
/// ```
/// use netdisk_client::GetTarget;
///
/// let file = GetTarget::File("a.txt".into());
/// let nowhere = GetTarget::Stream(Box::new(tokio::io::sink()));
/// ```
#[expect(missing_debug_implementations, reason = "a stream has nothing to show")]
pub enum GetTarget {
    /// A file; until it is whole, it is `NAME.part` beside it.
    File(PathBuf),
    /// A stream, as it comes: what a failure leaves there is incomplete.
    Stream(Box<dyn AsyncWrite + Send + Unpin>),
}

/// What came of a transfer.
///
/// ```
/// use netdisk_client::Outcome;
/// use netdisk_model::Digest;
///
/// let empty = Outcome { size: 0, digest: Digest::of(b"") };
/// assert_eq!(empty.digest, Digest::of(b""));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Length of the file in bytes.
    pub size: u64,
    /// Its digest, computed at both ends and equal.
    pub digest: Digest,
}

/// Stores `source` at `path`. When `cancel` is cancelled, the server is told and keeps what it had.
///
/// ```no_run
/// use netdisk_client::{OnExisting, PutSource, Unobserved, put};
///
/// # async fn example(client: &mut netdisk_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let source = PutSource::File("a.txt".into());
/// let outcome = put(client, source, &"/a.txt".parse()?, OnExisting::Replace, &Unobserved, &Default::default()).await?;
/// println!("{} bytes, {}", outcome.size, outcome.digest);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server's faults, [`ClientError::Local`] when the file cannot be read, a broken connection.
pub async fn put(
    client: &mut Client,
    source: PutSource,
    path: &RemotePath,
    existing: OnExisting,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Result<Outcome, ClientError> {
    let request = |size, modified| Request::Upload {
        path: path.clone().into(),
        size,
        modified,
        create: existing == OnExisting::Refuse,
        body: BodyStart::Wait,
    };
    let stored = match source {
        PutSource::Stream(stream) => {
            let mut source = ReaderSource::new(stream, "the stream".into(), None, observer);
            let stored = client.upload(request(None, None), &mut source, cancel).await;
            stored.map_err(|error| source.failure_or(error))?
        }
        PutSource::File(local) => {
            let (file, metadata) = open(&local).await.map_err(ClientError::local(&local))?;
            let size = Some(metadata.len());
            let request = request(size, modified_ms(&metadata));
            let mut source = ReaderSource::new(file, local, size, observer);
            let stored = client.upload(request, &mut source, cancel).await;
            stored.map_err(|error| source.failure_or(error))?
        }
    };
    Ok(Outcome { size: stored.size, digest: stored.digest })
}

/// Opens a regular file for reading.
async fn open(path: &PathBuf) -> std::io::Result<(File, std::fs::Metadata)> {
    // Asked before the open: opening a pipe would wait for its writer.
    let metadata = tokio::fs::metadata(path).await?;
    if metadata.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut file = File::open(path).await?;
    file.set_max_buf_size(netdisk_protocol::limits::DATA_LEN_MAX);
    let metadata = file.metadata().await?;
    Ok((file, metadata))
}

/// Fetches the file at `path`. When `cancel` is cancelled, the server is told and the target stays as it was.
///
/// ```no_run
/// use netdisk_client::{GetTarget, OnExisting, Unobserved, get};
///
/// # async fn example(client: &mut netdisk_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let target = GetTarget::File("a.txt".into());
/// get(client, &"/a.txt".parse()?, target, OnExisting::Refuse, &Unobserved, &Default::default()).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The server's faults, [`ClientError::LocalExists`], [`ClientError::Local`] when the file cannot be written,
/// [`ClientError::DigestMismatch`], a broken connection.
pub async fn get(
    client: &mut Client,
    path: &RemotePath,
    target: GetTarget,
    existing: OnExisting,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Result<Outcome, ClientError> {
    let local = match target {
        GetTarget::File(local) => local,
        GetTarget::Stream(stream) => {
            let (id, entry) = client.begin_download(path, 0).await?;
            let mut sink = WriterSink::new(stream, "the stream".into(), entry.size, observer);
            let digest = match client.recv_download(id, &mut sink, cancel).await {
                Ok(digest) => digest,
                Err(error) => return Err(sink.failure_or(error)),
            };
            let (_, size) = sink.finish(digest).await?;
            return Ok(Outcome { size, digest });
        }
    };
    if existing == OnExisting::Refuse && tokio::fs::symlink_metadata(&local).await.is_ok() {
        return Err(ClientError::LocalExists { path: local });
    }
    let (id, entry) = client.begin_download(path, 0).await?;
    let (part, file) = match PartFile::create(&local).await {
        Ok(part) => part,
        Err(error) => {
            // The body is on its way; the connection is to stay in step.
            client.refuse_download(id).await?;
            return Err(error);
        }
    };
    let mut sink = WriterSink::new(file, local.clone(), entry.size, observer);
    let digest = match client.recv_download(id, &mut sink, cancel).await {
        Ok(digest) => digest,
        Err(error) => return Err(sink.failure_or(error)),
    };
    let (file, size) = sink.finish(digest).await?;
    part.commit(file, entry.modified, existing).await?;
    Ok(Outcome { size, digest })
}
