//! One user's session: a loop and a match.
//!
//! Two error lanes: a fault tells the peer and the session lives; a connection error ends it.

use std::net::SocketAddr;

use netdisk_model::{Entry, RemotePath, ResumeKey, Token, Version};
use netdisk_protocol::limits::MESSAGE_LEN_MAX;
use netdisk_protocol::{
    BodyPart, BodyStart, Claim, Connection, ConnectionError, Fault, Numbered, Reply, Request, Stop, recv_body,
    refuse_body, send_body,
};
use netdisk_storage::{Account, Depth, Existing, Listing, Removal, StorageError, StoredFile, UploadSpec};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::limits::{FRAME_TIMEOUT, IDLE_TIMEOUT};
use crate::listener::Server;
use crate::refusal;
use crate::transfer::{Download, Upload};

/// A user who is in. Holds their home and nothing else of the store.
#[derive(Debug)]
pub(crate) struct Session {
    account: Account,
    /// What `logout` revokes: the token that came, and the one that was given.
    tokens: Vec<Token>,
    peer: SocketAddr,
}

/// What a client has of a file already.
struct Known {
    offset: u64,
    version: Option<Version>,
}

/// Whether the session goes on after a request.
#[derive(PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

impl Session {
    pub(crate) fn new(account: Account, tokens: Vec<Token>, peer: SocketAddr) -> Self {
        Self { account, tokens, peer }
    }

    /// Answers requests in their order until the user leaves or the server stops.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Send>(
        mut self,
        server: &Server,
        connection: &mut Connection<S>,
    ) -> Result<(), ConnectionError> {
        loop {
            connection.set_deadline(IDLE_TIMEOUT);
            let Some(request) = server.recv::<Numbered<Request>, _>(connection).await? else {
                tracing::info!(peer = %self.peer, user = %self.account.user, "left");
                return Ok(());
            };
            let (id, message) = request.of_request()?;
            connection.set_deadline(FRAME_TIMEOUT);
            if self.answer(server, connection, id, message).await? == Next::Close {
                return Ok(());
            }
        }
    }

    async fn answer<S: AsyncRead + AsyncWrite + Send>(
        &mut self,
        server: &Server,
        connection: &mut Connection<S>,
        id: u64,
        request: Request,
    ) -> Result<Next, ConnectionError> {
        let outcome = match request {
            Request::Whoami => Ok(Reply::Account { user: self.account.user.clone() }),
            Request::Logout => {
                let outcome = connection.keep_alive(self.log_out(server)).await?;
                reply(connection, id, outcome).await?;
                return Ok(Next::Close);
            }
            Request::Stat { path } => connection.keep_alive(self.stat(path)).await?,
            Request::Mkdir { path, parents } => connection.keep_alive(self.make_directory(path, parents)).await?,
            Request::Remove { path, recursive } => connection.keep_alive(self.remove(path, recursive)).await?,
            Request::Rename { from, to, replace } => {
                connection.keep_alive(self.rename(from, to, existing(replace))).await?
            }
            Request::List { path, recursive } => {
                return self.list(connection, id, path, recursive, &server.stop_bodies()).await;
            }
            Request::Upload { path, size, modified, create, resume, body } => {
                // A body that begins at once begins at the start.
                let resume = resume.filter(|_| body == BodyStart::Wait);
                let begin = self.begin_upload(path, size, modified, existing(!create), resume);
                let upload = connection.keep_alive(begin).await?;
                self.upload(connection, id, upload, body, &server.stop_bodies()).await?
            }
            Request::Download { path, offset, version } => {
                return self.download(connection, id, path, Known { offset, version }, &server.stop_bodies()).await;
            }
        };
        reply(connection, id, outcome).await?;
        Ok(Next::Request)
    }

    async fn log_out(&mut self, server: &Server) -> Result<Reply, Fault> {
        for token in std::mem::take(&mut self.tokens) {
            server.accounts.revoke_token(&token).await.map_err(|error| refusal::of_accounts(&error))?;
        }
        tracing::info!(peer = %self.peer, user = %self.account.user, "logged out");
        Ok(Reply::Done)
    }

    async fn stat(&self, path: Claim<RemotePath>) -> Result<Reply, Fault> {
        let path = path.check().map_err(refusal::of_path)?;
        let entry = self.account.home.stat(&path).await.map_err(|error| refusal::of_storage(&path, &error))?;
        Ok(Reply::Entry { entry })
    }

    async fn make_directory(&self, path: Claim<RemotePath>, parents: bool) -> Result<Reply, Fault> {
        let path = path.check().map_err(refusal::of_path)?;
        let home = &self.account.home;
        let made = if parents { home.make_directories(&path).await } else { home.make_directory(&path).await };
        made.map_err(|error| refusal::of_creation(&path, &error))?;
        self.done("made directory", &path, Ok(()))
    }

    async fn remove(&self, path: Claim<RemotePath>, recursive: bool) -> Result<Reply, Fault> {
        let path = path.check().map_err(refusal::of_path)?;
        let removal = if recursive { Removal::Tree } else { Removal::Single };
        let removed = self.account.home.remove(&path, removal).await;
        self.done("removed", &path, removed)
    }

    async fn rename(&self, from: Claim<RemotePath>, to: Claim<RemotePath>, existing: Existing) -> Result<Reply, Fault> {
        let from = from.check().map_err(refusal::of_path)?;
        let to = to.check().map_err(refusal::of_path)?;
        let renamed = self.account.home.rename(&from, &to, existing).await;
        let Err(error) = renamed else { return self.done("renamed", &to, Ok(())) };
        Err(match error {
            // What is in the way is at the new path.
            StorageError::Exists => refusal::of_storage(&to, &error),
            // Where the old path is good, the new one is at fault.
            _ if self.account.home.stat(&from).await.is_ok() => refusal::of_creation(&to, &error),
            _ => refusal::of_storage(&from, &error),
        })
    }

    fn done(&self, event: &'static str, path: &RemotePath, outcome: Result<(), StorageError>) -> Result<Reply, Fault> {
        outcome.map_err(|error| refusal::of_storage(path, &error))?;
        tracing::info!(peer = %self.peer, user = %self.account.user, ?path, "{event}");
        Ok(Reply::Done)
    }

    async fn list<S: AsyncRead + AsyncWrite>(
        &self,
        connection: &mut Connection<S>,
        id: u64,
        path: Claim<RemotePath>,
        recursive: bool,
        stop: &Stop,
    ) -> Result<Next, ConnectionError> {
        let depth = if recursive { Depth::Tree } else { Depth::OneLevel };
        let begun = match path.check() {
            Ok(path) => {
                let begun = connection.keep_alive(self.account.home.list(&path, depth)).await?;
                begun.map_err(|error| refusal::of_storage(&path, &error)).map(|listing| (path, listing))
            }
            Err(error) => Err(refusal::of_path(error)),
        };
        match begun {
            Ok((path, listing)) => send_listing(connection, id, &path, listing, stop).await?,
            Err(fault) => reply(connection, id, Err(fault)).await?,
        }
        Ok(Next::Request)
    }

    async fn begin_upload(
        &self,
        path: Claim<RemotePath>,
        size: Option<u64>,
        modified: Option<i64>,
        existing: Existing,
        resume: Option<ResumeKey>,
    ) -> Result<Upload, Fault> {
        let path = path.check().map_err(refusal::of_path)?;
        let spec = UploadSpec { path: path.clone(), size, modified, existing, resume };
        match self.account.home.begin_upload(spec).await {
            Ok(partial) => Ok(Upload { path, partial }),
            Err(error) => Err(refusal::of_creation(&path, &error)),
        }
    }

    async fn upload<S: AsyncRead + AsyncWrite>(
        &self,
        connection: &mut Connection<S>,
        id: u64,
        upload: Result<Upload, Fault>,
        body: BodyStart,
        stop: &Stop,
    ) -> Result<Result<Reply, Fault>, ConnectionError> {
        let mut upload = match (upload, body) {
            (Ok(upload), _) => upload,
            (Err(fault), BodyStart::Wait) => return Ok(Err(fault)),
            // The body is on its way and must be taken off the wire.
            (Err(fault), BodyStart::Now) => return refuse_body(connection, id, fault).await.map(Err),
        };
        if body == BodyStart::Wait {
            let ready = Reply::Ready { offset: upload.partial.offset(), entry: None };
            connection.send(&Numbered::new(id, ready)).await?;
        }
        let claimed = match recv_body(connection, id, &mut upload, stop).await? {
            Ok(claimed) => claimed,
            Err(fault) => return Ok(Err(fault)),
        };
        let path = upload.path.clone();
        Ok(connection.keep_alive(upload.commit(claimed)).await?.map(|stored| {
            let user = &self.account.user;
            tracing::info!(peer = %self.peer, %user, ?path, size = stored.size, digest = %stored.digest, "stored");
            Reply::Stored { size: stored.size, digest: stored.digest, version: stored.version }
        }))
    }

    /// Opens a file for sending what the client lacks: from its offset, or from the start where it has part of another
    /// version.
    async fn open(&self, path: &RemotePath, known: Known) -> Result<(u64, Box<dyn StoredFile>), StorageError> {
        let home = &self.account.home;
        let Some(version) = known.version else { return Ok((known.offset, home.open(path, known.offset).await?)) };
        match home.open(path, known.offset).await {
            Ok(file) if file.entry().version.as_ref() == Some(&version) => Ok((known.offset, file)),
            Ok(_) | Err(StorageError::Changed) => Ok((0, home.open(path, 0).await?)),
            Err(error) => Err(error),
        }
    }

    async fn download<S: AsyncRead + AsyncWrite>(
        &self,
        connection: &mut Connection<S>,
        id: u64,
        path: Claim<RemotePath>,
        known: Known,
        stop: &Stop,
    ) -> Result<Next, ConnectionError> {
        let opened = match path.check() {
            Ok(path) => match connection.keep_alive(self.open(&path, known)).await? {
                Ok((offset, file)) => Ok((offset, Download { path, file })),
                Err(error) => Err(refusal::of_storage(&path, &error)),
            },
            Err(error) => Err(refusal::of_path(error)),
        };
        let (offset, mut download) = match opened {
            Ok(opened) => opened,
            Err(fault) => {
                reply(connection, id, Err(fault)).await?;
                return Ok(Next::Request);
            }
        };
        let ready = Reply::Ready { offset, entry: Some(download.file.entry().clone()) };
        connection.send(&Numbered::new(id, ready)).await?;
        let (path, user) = (download.path.clone(), &self.account.user);
        match send_body(connection, id, &mut download, stop).await? {
            Ok(digest) => tracing::info!(peer = %self.peer, %user, ?path, %digest, "sent"),
            Err(fault) => tracing::info!(peer = %self.peer, %user, ?path, code = %fault.code, "not sent"),
        }
        Ok(Next::Request)
    }
}

fn existing(replace: bool) -> Existing {
    if replace { Existing::Replace } else { Existing::Refuse }
}

async fn reply<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    id: u64,
    outcome: Result<Reply, Fault>,
) -> Result<(), ConnectionError> {
    connection.send(&Numbered::new(id, outcome.unwrap_or_else(Reply::Fault))).await
}

/// Room that the JSON around the entries of one message takes at most, in bytes.
const ENVELOPE_LEN_MAX: usize = 128;

/// Upper bound of an entry's JSON in bytes: its path, in which JSON escapes only `"` (a path has no control character
/// and no backslash), and its other fields at their longest.
fn entry_len_max(entry: &Entry) -> usize {
    2 * entry.path.as_str().len() + 192
}

/// Sends the entries of a listing, as many in a message as fit, then the end; stops when the client wants no more.
async fn send_listing<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    id: u64,
    path: &RemotePath,
    mut listing: Box<dyn Listing>,
    stop: &Stop,
) -> Result<(), ConnectionError> {
    let mut count = 0;
    loop {
        if let Some(fault) = connection.try_recv_abort(id)? {
            return connection.send(&Numbered::new(id, BodyPart::Abort(fault))).await;
        }
        if let Err(fault) = stop.check() {
            return reply(connection, id, Err(fault)).await;
        }
        let batch = match connection.keep_alive(listing.next_batch()).await? {
            Ok(batch) => batch,
            Err(error) => return reply(connection, id, Err(refusal::of_storage(path, &error))).await,
        };
        if batch.is_empty() {
            return reply(connection, id, Ok(Reply::End { count, skipped: listing.skipped() })).await;
        }
        count += batch.len() as u64;
        for entries in split(batch) {
            connection.send(&Numbered::new(id, Reply::Entries { entries })).await?;
        }
    }
}

/// Splits entries so that each part fits a message.
fn split(batch: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut parts = vec![Vec::new()];
    let mut len = ENVELOPE_LEN_MAX;
    for entry in batch {
        let entry_len = entry_len_max(&entry);
        if len + entry_len > MESSAGE_LEN_MAX {
            parts.push(Vec::new());
            len = ENVELOPE_LEN_MAX;
        }
        len += entry_len;
        if let Some(part) = parts.last_mut() {
            part.push(entry);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use netdisk_model::{EntryKind, PATH_LEN_MAX, Version};

    use super::*;

    #[test]
    fn the_longest_entries_fit_their_messages() {
        // Sixteen components of quotes, which JSON doubles.
        let path = format!("/{}", "\"".repeat(255)).repeat(PATH_LEN_MAX / 256);
        let entry = Entry {
            path: path.parse().expect("a path"),
            kind: EntryKind::Directory,
            size: u64::MAX,
            modified: i64::MIN,
            version: Some(Version::new(u64::MAX)),
        };
        let parts = split(vec![entry; 100]);
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 100);
        for entries in parts {
            assert!(!entries.is_empty());
            let message = Numbered::new(u64::MAX, Reply::Entries { entries });
            assert!(serde_json::to_vec(&message).expect("JSON").len() <= MESSAGE_LEN_MAX);
        }
    }
}
