//! The transfer engine: files from here to there and back, whole or not at all.
//!
//! First try, retry and resume are one code path: an attempt asks the receiver for its offset and goes on from there.

use std::path::{Path, PathBuf};

use netdisk_model::{Digest, Entry, RemotePath};
use netdisk_protocol::{BodyStart, FaultCode, Request};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::caps::check_room;
use crate::client::Client;
use crate::error::ClientError;
use crate::exchange::Stored;
use crate::local::{ReaderSource, WriterSink, modified_ms, resume_key};
use crate::observer::Observer;
use crate::part_file::{Opened, PartFile};
use crate::retry::Retry;

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
    let request = |size, modified, resume| Request::Upload {
        path: path.clone().into(),
        size,
        modified,
        create: existing == OnExisting::Refuse,
        resume,
        body: BodyStart::Wait,
    };
    let local = match source {
        PutSource::File(local) => local,
        PutSource::Stream(stream) => {
            let mut source = ReaderSource::new(stream, "the stream".into(), None, observer);
            let stored = client.upload(request(None, None, None), &mut source, cancel).await;
            return stored.map(Outcome::from).map_err(|error| source.failure_or(error));
        }
    };
    let mut retry = Retry::new(observer, cancel);
    let mut mismatches = 0;
    loop {
        let (file, metadata) = open(&local).await.map_err(ClientError::local(&local))?;
        let size = Some(metadata.len());
        let request = request(size, modified_ms(&metadata), resume_key(&metadata));
        let mut source = ReaderSource::new(file, local.clone(), size, observer);
        let error = match client.upload(request, &mut source, cancel).await {
            Ok(stored) => return Ok(stored.into()),
            Err(error) => source.failure_or(error),
        };
        // What the server had kept may have been spoilt; it has thrown it away.
        if error.fault_code() == Some(FaultCode::DigestMismatch) && mismatches == 0 {
            mismatches += 1;
            continue;
        }
        retry.reconnect(client, error).await?;
    }
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

/// Fetches the file at `path`. When `cancel` is cancelled, the server is told and the target stays as it was. What has
/// arrived stays in a part file beside it, and the next call for the same file and target goes on from there.
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
            let (id, _, entry) = client.begin_download(path, 0, None).await?;
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
    let mut retry = Retry::new(observer, cancel);
    let mut arrived: Option<Arrived<'_>> = None;
    let mut mismatches = 0;
    loop {
        let error = match fetch(client, path, &local, &mut arrived, observer, cancel).await {
            Ok(digest) => {
                let Some(Arrived { part, sink, entry, was_kept }) = arrived.take() else {
                    return Err(ClientError::DigestMismatch);
                };
                match sink.finish(digest).await {
                    Ok((file, size)) => {
                        part.commit(file, entry.modified, existing).await?;
                        return Ok(Outcome { size, digest });
                    }
                    Err(error) => {
                        part.discard();
                        // What was kept may have been spoilt, by a power cut or by hand.
                        if was_kept && mismatches == 0 && matches!(error, ClientError::DigestMismatch) {
                            mismatches += 1;
                            continue;
                        }
                        return Err(error);
                    }
                }
            }
            Err(error) => error,
        };
        if error.fault_code() == Some(FaultCode::Corrupt)
            && let Some(Arrived { part, .. }) = arrived.take()
        {
            part.discard();
        }
        retry.reconnect(client, error).await?;
    }
}

/// What has arrived of a download.
struct Arrived<'a> {
    part: PartFile,
    sink: WriterSink<'a, File>,
    entry: Entry,
    /// Whether some of it had arrived before this command.
    was_kept: bool,
}

impl<'a> Arrived<'a> {
    /// What an interrupted command left of the same download.
    async fn find(
        client: &mut Client,
        path: &RemotePath,
        local: &Path,
        observer: &'a dyn Observer,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, ClientError> {
        let Some(Opened { part, file, kept: Some((entry, len)) }) = PartFile::find(local, path).await else {
            return Ok(None);
        };
        let mut sink = WriterSink::new(file, local.to_owned(), entry.size, observer);
        // Asked before it is read: what is of another version now need not be.
        if client.stat(path).await?.version == entry.version && len <= entry.size {
            sink.take_prefix(len, cancel).await?;
        } else {
            sink.restart(entry.size).await?;
        }
        Ok(Some(Self { part, sink, entry, was_kept: true }))
    }

    /// Takes over what the server says of the file now.
    async fn update(&mut self, from: u64, entry: Entry) -> Result<(), ClientError> {
        if from < self.sink.position() || entry.version != self.entry.version {
            // It is another version now: nothing of the old one may stay, nor its size.
            self.sink.restart(entry.size).await?;
            self.part.mark(self.sink.file(), &entry);
            self.was_kept = false;
        }
        self.entry = entry;
        Ok(())
    }
}

/// One attempt to fetch what has not arrived yet; gives the digest of the whole that the server claims.
async fn fetch<'a>(
    client: &mut Client,
    path: &RemotePath,
    local: &Path,
    arrived: &mut Option<Arrived<'a>>,
    observer: &'a dyn Observer,
    cancel: &CancellationToken,
) -> Result<Digest, ClientError> {
    if arrived.is_none() {
        *arrived = Arrived::find(client, path, local, observer, cancel).await?;
    }
    let known = arrived.as_ref().map(|arrived| (arrived.sink.position(), arrived.entry.version.clone()));
    let (offset, version) = known.unwrap_or_default();
    let (id, from, entry) = client.begin_download(path, offset, version).await?;
    let arrived = match arrived {
        Some(arrived) => {
            arrived.update(from, entry).await?;
            arrived
        }
        None => match make_part(local, &entry).await {
            Ok((part, file)) => {
                let sink = WriterSink::new(file, local.to_owned(), entry.size, observer);
                arrived.insert(Arrived { part, sink, entry, was_kept: false })
            }
            Err(error) => {
                // The body is on its way; the connection is to stay in step.
                client.refuse_download(id).await?;
                return Err(error);
            }
        },
    };
    client.recv_download(id, &mut arrived.sink, cancel).await.map_err(|error| arrived.sink.failure_or(error))
}

/// Makes a part file where `entry` fits.
async fn make_part(local: &Path, entry: &Entry) -> Result<(PartFile, File), ClientError> {
    let Opened { mut part, file, .. } = PartFile::create(local).await?;
    check_room(&file, entry.size).map_err(ClientError::local(local))?;
    part.mark(&file, entry);
    Ok((part, file))
}

impl From<Stored> for Outcome {
    fn from(stored: Stored) -> Self {
        Self { size: stored.size, digest: stored.digest }
    }
}
