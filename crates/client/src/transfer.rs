//! The transfer engine: files from here to there and back, whole or not at all.
//!
//! First try, retry and resume are one code path: an attempt asks the receiver for its offset and goes on from there.

use std::path::PathBuf;

use netdisk_model::{Digest, RemotePath};
use netdisk_protocol::{BodyStart, FaultCode, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::door::run_blocking;
use crate::error::ClientError;
use crate::exchange::Stored;
use crate::large_file::{LargeFile, LargeSource};
use crate::local::ReaderSource;
use crate::observer::Observer;
use crate::parts::{self, Failed, SHARED_LEN_MIN};
use crate::retry::Retry;
use crate::reuse::Put;
use crate::stamp::Links;

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
/// let empty = Outcome { size: 0, digest: Digest::of(b""), reused: false };
/// assert_eq!(empty.digest, Digest::of(b""));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Length of the file in bytes.
    pub size: u64,
    /// Its digest, computed at both ends and equal.
    pub digest: Digest,
    /// Whether nothing of it travelled: the server had the content in another file of the user.
    pub reused: bool,
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
    let request = |size, modified, resume, body| Request::Upload {
        path: path.clone().into(),
        size,
        modified,
        create: existing == OnExisting::Refuse,
        resume,
        body,
    };
    let local = match source {
        PutSource::File(local) => local,
        PutSource::Stream(stream) => {
            let mut source = ReaderSource::new(stream, "the stream".into(), observer);
            let stored = client.upload(request(None, None, None, BodyStart::Wait), &mut source, cancel).await;
            return stored.map(Outcome::from).map_err(|error| source.failure_or(error));
        }
    };
    let mut retry = Retry::new(observer, cancel);
    let (mut mismatches, mut changes) = (0, 0);
    let mut in_parts = client.may_share();
    let mut may_be_there = true;
    loop {
        let opened = local.clone();
        let file = run_blocking(move || LargeFile::open(&opened, Links::Follow)).await?;
        let request = |body| request(Some(file.size()), file.modified(), file.resume_key(), body);
        in_parts &= file.size() >= SHARED_LEN_MIN;
        // Whether the server knows of parts is known then.
        let admitted = if in_parts { client.admitted().await } else { Ok(()) };
        let error = match admitted {
            Err(error) => error,
            Ok(()) if in_parts && client.can_share() => {
                let request = request(BodyStart::Parts);
                let announced = file.announced();
                let asked = match may_be_there {
                    true => Box::pin(client.reuse_known(&request, announced.clone(), observer, cancel)).await,
                    false => Ok(None),
                };
                match asked {
                    Ok(Some(stored)) => return Ok(Outcome { reused: true, ..stored.into() }),
                    // What comes of it from here on is kept, and need not be asked for again.
                    Ok(None) => may_be_there = false,
                    Err(error) => {
                        retry.reconnect(client, error).await?;
                        continue;
                    }
                }
                match Box::pin(parts::send(client, request, announced, observer, cancel)).await {
                    Ok(stored) => return Ok(stored.into()),
                    Err(Failed { error, came_on }) => {
                        in_parts = came_on;
                        error
                    }
                }
            }
            Ok(()) => {
                let request = request(BodyStart::Wait);
                let announced = file.shared()?;
                let mut source = LargeSource::new(file, observer);
                match Box::pin(client.store(request, announced, &mut source, observer, cancel)).await {
                    Ok(Put { stored, reused }) => return Ok(Outcome { reused, ..stored.into() }),
                    Err(error) => source.failure_or(error),
                }
            }
        };
        match error {
            // What the server had kept may have been spoilt; it has thrown it away.
            ClientError::Fault(fault) if fault.code == FaultCode::DigestMismatch && mismatches == 0 => mismatches += 1,
            // Whoever wrote into it may be done now.
            ClientError::Changed { .. } if changes == 0 => changes += 1,
            error => retry.reconnect(client, error).await?,
        }
        // It may have been left in the middle of something.
        if client.is_closed() && client.can_reconnect() {
            client.reconnect().await?;
        }
    }
}

impl From<Stored> for Outcome {
    fn from(stored: Stored) -> Self {
        Self { size: stored.size, digest: stored.digest, reused: false }
    }
}
