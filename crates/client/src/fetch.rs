//! Downloads one file, whole or not at all.
//!
//! First try, retry and resume are one code path: an attempt says what is here already and goes on from there.

use std::path::Path;

use netdisk_model::{Digest, Entry, RemotePath};
use netdisk_protocol::FaultCode;
use netdisk_protocol::limits::DATA_LEN_MAX;
use tokio::fs::File;
use tokio_util::sync::CancellationToken;

use crate::caps::check_room;
use crate::client::Client;
use crate::door::run_blocking;
use crate::error::ClientError;
use crate::local::WriterSink;
use crate::observer::Observer;
use crate::part_file::{PartFile, Place};
use crate::parts::{self, Fetched};
use crate::retry::Retry;
use crate::transfer::{GetTarget, OnExisting, Outcome};

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
            return Ok(Outcome { size, digest, reused: false });
        }
    };
    if existing == OnExisting::Refuse && tokio::fs::symlink_metadata(&local).await.is_ok() {
        return Err(ClientError::LocalExists { path: local });
    }
    let mut retry = Retry::new(observer, cancel);
    let mut arrived: Option<Arrived<'_>> = None;
    let mut mismatches = 0;
    let mut in_parts = client.may_share();
    loop {
        let mut begun = None;
        if in_parts {
            match parts::fetch(client, path, &local, existing, observer, cancel).await? {
                Fetched::Whole(outcome) => return Ok(outcome),
                Fetched::Begun(id, entry) => begun = Some((id, 0, entry)),
                Fetched::NotInParts => {}
                Fetched::Failed { error, came_on } => {
                    // It is another file by now, or damaged here or there: asked for as a whole, it says which.
                    let goes_whole = matches!(error.fault_code(), Some(FaultCode::Changed | FaultCode::DigestMismatch));
                    in_parts = came_on && !goes_whole;
                    if !goes_whole {
                        retry.reconnect(client, error).await?;
                    } else if client.is_closed() {
                        client.reconnect().await?;
                    }
                    continue;
                }
            }
        }
        in_parts = false;
        let error = match fetch(client, path, &local, &mut arrived, begun, observer, cancel).await {
            Ok(digest) => {
                let Some(Arrived { part, sink, entry, was_kept }) = arrived.take() else {
                    return Err(ClientError::DigestMismatch);
                };
                match sink.finish(digest).await {
                    Ok((file, size)) => {
                        let file = file.into_std().await;
                        run_blocking(move || part.commit(&file, entry.modified, existing)).await?;
                        return Ok(Outcome { size, digest, reused: false });
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
        let (place, remote) = (place_of(local).await?, path.clone());
        let Some((part, file, entry, len)) = run_blocking(move || PartFile::find(&place, &remote)).await else {
            return Ok(None);
        };
        let mut sink = WriterSink::new(tokio_file(file), local.to_owned(), entry.size, observer);
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

/// One attempt to fetch what has not arrived yet, unless a request for all of it has `begun` already; gives the digest of the
/// whole that the server claims.
async fn fetch<'a>(
    client: &mut Client,
    path: &RemotePath,
    local: &Path,
    arrived: &mut Option<Arrived<'a>>,
    begun: Option<(u64, u64, Entry)>,
    observer: &'a dyn Observer,
    cancel: &CancellationToken,
) -> Result<Digest, ClientError> {
    if arrived.is_none() && begun.is_none() {
        *arrived = Arrived::find(client, path, local, observer, cancel).await?;
    }
    let known = arrived.as_ref().map(|arrived| (arrived.sink.position(), arrived.entry.version.clone()));
    let (offset, version) = known.unwrap_or_default();
    let (id, from, entry) = match begun {
        Some(begun) => begun,
        None => client.begin_download(path, offset, version).await?,
    };
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
    let (place, entry) = (place_of(local).await?, entry.clone());
    run_blocking(move || {
        let (mut part, file) = PartFile::create(&place)?;
        check_room(&file, entry.size).map_err(ClientError::local(&place.shown))?;
        part.mark(&file, &entry);
        Ok((part, tokio_file(file)))
    })
    .await
}

async fn place_of(local: &Path) -> Result<Place, ClientError> {
    let local = local.to_owned();
    run_blocking(move || Place::of(&local)).await
}

fn tokio_file(file: std::fs::File) -> File {
    let mut file = File::from_std(file);
    file.set_max_buf_size(DATA_LEN_MAX);
    file
}
