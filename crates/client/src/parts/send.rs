//! One attempt to store one file over several connections.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use netdisk_model::{Digest, Parts};
use netdisk_protocol::{ConnectionError, Reply, Request};
use tokio_util::sync::CancellationToken;

use super::put::read_part;
use super::{SharedPut, Together as _, together};
use crate::client::{Client, unexpected};
use crate::door::{Door, run_blocking};
use crate::error::ClientError;
use crate::exchange::Stored;
use crate::observer::{Observer, Progress};
use crate::stamp::Stamp;
use crate::transfers::cancelled_fault;

/// What is to be stored: an open file, as it was when it was announced.
#[derive(Clone)]
pub(crate) struct Announced {
    pub(crate) file: Arc<File>,
    pub(crate) stamp: Stamp,
    pub(crate) path: PathBuf,
}

/// Why an attempt failed, and whether the server has more of the file than before.
pub(crate) struct Failed {
    pub(crate) error: ClientError,
    pub(crate) came_on: bool,
}

/// Stores a file by the upload that `request` opens.
pub(crate) async fn send(
    client: &mut Client,
    request: Request,
    announced: Announced,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Result<Stored, Failed> {
    let size = Some(announced.stamp.size);
    observer.progress(Progress { position: 0, size });
    let verifying = |position| observer.verifying(Progress { position, size });
    let opened = open(client, request, &announced, cancel, verifying).await;
    let (upload, parts) = opened.map_err(|error| Failed { error, came_on: false })?;
    let before = parts.contiguous();
    let Announced { file, path, .. } = &announced;
    let shared = SharedPut::new(upload.clone(), parts, file.clone(), path.clone(), cancel, Door::new());
    let connections = client.connections();
    let tell = |position| observer.progress(Progress { position, size });
    let moved = together(client, connections, &shared, tell).await;
    let came_on = shared.board().contiguous() > before;
    let whole = moved.and_then(|()| shared.board().digest().ok_or(ConnectionError::Closed.into()));
    finish(client, upload, announced, whole).await.map_err(|error| Failed { error, came_on })
}

/// Opens an upload in parts; gives its name and what the server has, of which the file here is read and hashed.
pub(crate) async fn open(
    client: &mut Client,
    request: Request,
    announced: &Announced,
    cancel: &CancellationToken,
    tell: impl Fn(u64),
) -> Result<(String, Parts), ClientError> {
    let unknown = |reply: &Reply| Err(unexpected(reply));
    let reply = client.ask(request).await?;
    let Reply::Opened { upload, offset } = &reply else { return unknown(&reply) };
    let Some(parts) = Parts::of(announced.stamp.size) else { return unknown(&reply) };
    let (upload, offset) = (upload.clone(), *offset);
    // Reading takes its time, and a silent peer is given up.
    let read = read_first(announced, parts, offset, cancel, tell);
    match client.connection().keep_alive(read).await? {
        Ok(parts) if parts.contiguous_len() == offset => Ok((upload, parts)),
        Ok(_) => unknown(&reply),
        Err(error) => {
            give_up(client, upload).await;
            Err(error)
        }
    }
}

/// Says that no more of an upload is brought; what the server has of it stays there.
async fn give_up(client: &mut Client, upload: String) {
    if !client.is_closed() && client.ask(Request::Finish { upload, digest: None }).await.is_err() {
        // The reason for it is the better one; the upload ends with the connection.
        client.give_up();
    }
}

/// Reads and hashes the parts before `offset`.
async fn read_first(
    announced: &Announced,
    mut parts: Parts,
    offset: u64,
    cancel: &CancellationToken,
    tell: impl Fn(u64),
) -> Result<Parts, ClientError> {
    while let number = parts.contiguous()
        && let Some((begin, len)) = parts.place(number)
        && begin + len <= offset
    {
        if cancel.is_cancelled() {
            return Err(cancelled_fault());
        }
        let file = announced.file.clone();
        let read = run_blocking(move || read_part(&file, number, begin, len)).await;
        let (_, digest) = read.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => ClientError::Changed { path: announced.path.clone() },
            _ => ClientError::local(&announced.path)(error),
        })?;
        parts.add(number, digest);
        tell(parts.contiguous_len());
    }
    Ok(parts)
}

/// Ends an upload in parts: all of it was brought, and this is its digest, or something failed.
pub(crate) async fn finish(
    client: &mut Client,
    upload: String,
    announced: Announced,
    whole: Result<Digest, ClientError>,
) -> Result<Stored, ClientError> {
    let Announced { file, stamp, path } = announced;
    let still = run_blocking(move || stamp.is_still(&file)).await;
    let whole = match (whole, still) {
        (Ok(digest), Ok(true)) => Ok(digest),
        // What was read of it may be half of one content and half of another.
        (Ok(_), Ok(false)) => Err(ClientError::Changed { path }),
        (Ok(_), Err(error)) => Err(ClientError::local(&path)(error)),
        (Err(error), _) => Err(error),
    };
    match whole {
        Ok(digest) => match client.ask(Request::Finish { upload, digest: Some(digest) }).await? {
            Reply::Stored { size, digest: stored, version } if stored == digest && size == stamp.size => {
                Ok(Stored { size, digest, version })
            }
            other => Err(unexpected(&other)),
        },
        Err(error) => {
            give_up(client, upload).await;
            Err(error)
        }
    }
}
