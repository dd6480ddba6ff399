//! One attempt to fetch one file over several connections.

use std::path::Path;

use netdisk_model::{Digest, Entry, RemotePath};
use netdisk_protocol::FaultCode;
use tokio_util::sync::CancellationToken;

use super::{Kept, SHARED_LEN_MIN, SharedGet, Together as _, together};
use crate::client::Client;
use crate::door::{Door, run_blocking};
use crate::error::ClientError;
use crate::observer::{Observer, Progress};
use crate::part_file::{PartFile, Place};
use crate::transfer::{OnExisting, Outcome};

/// What came of an attempt.
pub(crate) enum Fetched {
    /// The file is in its place.
    Whole(Outcome),
    /// It is no longer than a part, or the server knows of none: its body, of this request, is to be received next.
    Begun(u64, Entry),
    /// The server knows of no parts, and nothing was asked for.
    NotInParts,
    /// It is to be tried over one connection; what is there without a gap is kept. With the reason, and whether it came any
    /// farther.
    Failed { error: ClientError, came_on: bool },
}

/// Fetches the file at `path`, as far as it is not here yet.
///
/// # Errors
/// What no other attempt would mend.
pub(crate) async fn fetch(
    client: &mut Client,
    path: &RemotePath,
    local: &Path,
    existing: OnExisting,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Result<Fetched, ClientError> {
    let place = {
        let local = local.to_owned();
        run_blocking(move || Place::of(&local)).await?
    };
    let failed = |error| Ok(Fetched::Failed { error, came_on: false });
    let (kept, asked) = match find(client, path, &place, observer, cancel).await {
        Ok(Some(kept)) if client.can_share() => (kept, None),
        Ok(Some(_)) => return Ok(Fetched::NotInParts),
        Ok(None) => match begin(client, path, &place).await {
            Ok(Begun::Large(kept, id, recorded)) => (*kept, Some((id, recorded))),
            Ok(Begun::Whole(id, entry)) => return Ok(Fetched::Begun(id, entry)),
            Err(error) => return failed(error),
        },
        Err(error) => return failed(error),
    };
    let Kept { part, file, entry, parts } = kept;
    let (before, size, modified) = (parts.contiguous(), entry.size, entry.modified);
    let shared = SharedGet::new(entry, parts, file, local.to_owned(), cancel, Door::new());
    if asked.is_some() {
        observer.progress(Progress { position: 0, size: Some(size) });
    }
    if let Some((id, recorded)) = asked
        && let Some(first) = shared.board().take().await
    {
        shared.asked(id, first, recorded);
    }
    let connections = if size >= SHARED_LEN_MIN { client.connections() } else { 1 };
    let tell = |position| observer.progress(Progress { position, size: Some(size) });
    let moved = together(client, connections, &shared, tell).await;
    let closing = shared.clone();
    let closed = run_blocking(move || closing.close()).await;
    let came_on = shared.board().contiguous() > before;
    if let Err(error) = moved.and(closed) {
        if error.fault_code() == Some(FaultCode::Corrupt) {
            part.discard();
        }
        shared.release()?;
        return Ok(Fetched::Failed { error, came_on });
    }
    match shared.digest() {
        Ok(Some(digest)) => {
            let committing = shared.clone();
            run_blocking(move || part.commit(committing.file(), modified, existing)).await?;
            Ok(Fetched::Whole(Outcome { size, digest, reused: false }))
        }
        // It stays: what is missing to the whole is the digest, which comes with it.
        Ok(None) => {
            shared.release()?;
            failed(ClientError::DigestMismatch)
        }
        Err(error) => {
            // Spoilt here, by a power cut or by hand, or damaged there: the server says so when it sends all of it.
            part.discard();
            failed(error)
        }
    }
}

/// What an interrupted command left of the same download.
async fn find(
    client: &mut Client,
    path: &RemotePath,
    place: &Place,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Result<Option<Kept>, ClientError> {
    let (looked, remote) = (place.clone(), path.clone());
    let Some(found) = run_blocking(move || PartFile::find(&looked, &remote)).await else { return Ok(None) };
    // Asked before it is read: what is of another version now need not be.
    let entry = client.stat(path).await?;
    let size = Some(entry.size);
    observer.progress(Progress { position: 0, size });
    let tell = |position| observer.verifying(Progress { position, size });
    Kept::go_on(place, found, entry, cancel, tell).await
}

/// A file of which nothing is here.
enum Begun {
    /// The request for its first part is under way, and what the server stored it as.
    Large(Box<Kept>, u64, Option<Digest>),
    Whole(u64, Entry),
}

/// Asks for the first part, to learn how many there are.
async fn begin(client: &mut Client, path: &RemotePath, place: &Place) -> Result<Begun, ClientError> {
    let (id, entry, recorded) = client.begin_parts(path).await?;
    if !client.can_share() {
        // Then it sends the whole, as it would have without being asked for a part.
        return Ok(Begun::Whole(id, entry));
    }
    let (place, of) = (place.clone(), entry.clone());
    match run_blocking(move || Kept::begin(&place, &of)).await {
        Ok(Some(kept)) => Ok(Begun::Large(Box::new(kept), id, recorded)),
        Ok(None) => Ok(Begun::Whole(id, entry)),
        Err(error) => {
            // The body is on its way; the connection is to stay in step.
            client.refuse_download(id).await?;
            Err(error)
        }
    }
}
