//! One user's session: a loop and a match.
//!
//! Two error lanes: a fault tells the peer and the session lives; a connection error ends it.

use std::net::SocketAddr;
use std::time::Instant;

use netdisk_model::{RemotePath, ResumeKey, Token, Version};
use netdisk_protocol::limits::SMALL_LEN;
use netdisk_protocol::{
    BodyStart, Claim, Connection, ConnectionError, Fault, FaultCode, Numbered, Reply, Request, Stop,
};
use netdisk_storage::{Account, Depth, Existing, Removal, StorageError, Stored, UploadSpec};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::commits::Commits;
use crate::downloads::Wanted;
use crate::known::Reused;
use crate::limits::{FRAME_TIMEOUT, IDLE_TIMEOUT, STANDING_INTERVAL};
use crate::listener::Server;
use crate::listing::send_listing;
use crate::parts::OpenUpload;
use crate::refusal;
use crate::small::Small;
use crate::transfer::{Upload, recv_upload};

/// A user who is in. Holds their home and nothing else of the store.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) account: Account,
    /// What `logout` revokes: the token that came, and the one that was given.
    pub(crate) tokens: Vec<Token>,
    pub(crate) peer: SocketAddr,
    /// The upload in parts that it has opened.
    pub(crate) open: Option<OpenUpload>,
    /// The file of which it was sent a part last.
    pub(crate) in_parts: Option<(RemotePath, Option<Version>)>,
    /// When it was last asked whether the account is let in.
    asked_at: Instant,
}

/// Whether the session goes on after a request.
#[derive(PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

impl Session {
    pub(crate) fn new(account: Account, tokens: Vec<Token>, peer: SocketAddr) -> Self {
        Self { account, tokens, peer, open: None, in_parts: None, asked_at: Instant::now() }
    }

    /// Answers requests in their order until the user leaves or the server stops.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Send>(
        mut self,
        server: &Server,
        connection: &mut Connection<S>,
    ) -> Result<(), ConnectionError> {
        let mut commits = Commits::new(self.account.home.clone());
        loop {
            // Whoever has an upload open is in the middle of something, and not idle.
            connection.set_deadline(if self.open.is_some() { FRAME_TIMEOUT } else { IDLE_TIMEOUT });
            let request = match self.recv_beside(server, connection, &mut commits).await? {
                Some(request) => Some(request),
                None => server.recv::<Numbered<Request>, _>(connection).await?,
            };
            let Some(request) = request else {
                tracing::info!(peer = %self.peer, user = %self.account.user, "left");
                return Ok(());
            };
            let (id, message) = request.of_request()?;
            connection.set_deadline(FRAME_TIMEOUT);
            if !self.is_let_in(server).await {
                let fault = Fault::new(FaultCode::LoginRefused, "the account is let in no more");
                return connection.send(&Numbered::new(0, Reply::Fault(fault))).await;
            }
            match message {
                Request::Upload { path, size: Some(size), modified, create, body: BodyStart::Now, .. }
                    if size <= SMALL_LEN =>
                {
                    let small = Small { size, modified, existing: existing(!create) };
                    self.take_small(connection, id, path, small, &mut commits, &server.stop_bodies()).await?;
                    while commits.is_full() {
                        self.answer_commits(connection, &mut commits).await?;
                    }
                }
                message => {
                    // Replies come in the order of requests, and what is asked behind an upload is asked of what it stored.
                    self.answer_all(connection, &mut commits).await?;
                    if self.answer(server, connection, id, message).await? == Next::Close {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Whether the account is let in still: asked now and then, so that a disabled one does not stay as long as it likes.
    async fn is_let_in(&mut self, server: &Server) -> bool {
        if self.asked_at.elapsed() < STANDING_INTERVAL {
            return true;
        }
        self.asked_at = Instant::now();
        match server.accounts.is_active(&self.account.user).await {
            Ok(is_active) => is_active,
            Err(error) => {
                // The request will find out by itself what is wrong.
                tracing::error!(user = %self.account.user, %error, "whether an account is let in is not known");
                true
            }
        }
    }

    pub(crate) fn stored(&self, path: &RemotePath, stored: Stored) -> Reply {
        let user = &self.account.user;
        tracing::info!(peer = %self.peer, %user, ?path, size = stored.size, digest = %stored.digest, "stored");
        Reply::Stored { size: stored.size, digest: stored.digest, version: stored.version }
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
            Request::Passwd { old, new, keep } => {
                connection.keep_alive(self.change_password(server, old, new, keep)).await?
            }
            Request::Sessions => connection.keep_alive(self.kept_logins(server)).await?,
            Request::Revoke { session } => connection.keep_alive(self.revoke(server, &session)).await?,
            Request::Stat { path } => connection.keep_alive(self.stat(path)).await?,
            Request::Mkdir { path, parents } => connection.keep_alive(self.make_directory(path, parents)).await?,
            Request::Remove { path, recursive } => connection.keep_alive(self.remove(path, recursive)).await?,
            Request::Rename { from, to, replace } => {
                connection.keep_alive(self.rename(from, to, existing(replace))).await?
            }
            Request::Copy { from, to, replace } => {
                connection.keep_alive(self.copy(from, to, existing(replace))).await?
            }
            Request::Quota => connection.keep_alive(self.quota()).await?,
            Request::List { path, recursive } => {
                return self.list(connection, id, path, recursive, &server.stop_bodies()).await;
            }
            Request::Upload { path, size, modified, create, resume, body: BodyStart::Parts } => {
                let opened = async {
                    let path = path.check().map_err(refusal::of_path)?;
                    let spec = UploadSpec { path, size, modified, existing: existing(!create), resume };
                    self.open_upload(server, spec).await
                };
                connection.keep_alive(opened).await?
            }
            Request::Part { upload, part } => {
                self.take_part(server, connection, id, &upload, part, &server.stop_bodies()).await?
            }
            Request::Finish { upload, digest } => connection.keep_alive(self.finish_upload(&upload, digest)).await?,
            Request::Upload { path, size, modified, create, resume, body } => {
                // A body that begins at once begins at the start.
                let resume = resume.filter(|_| body == BodyStart::Wait);
                let begin = self.begin_upload(path, size, modified, existing(!create), resume);
                let upload = connection.keep_alive(self.with_hint(begin, size, body)).await?;
                match recv_upload(connection, id, upload, body, &server.stop_bodies()).await? {
                    Ok((upload, claimed)) => {
                        let path = upload.path.clone();
                        let stored = connection.keep_alive(upload.commit(claimed)).await?;
                        stored.map(|stored| self.stored(&path, stored))
                    }
                    Err(fault) => Err(fault),
                }
            }
            Request::Known { sizes } => self.known(connection, &sizes).await?,
            Request::Reuse { path, size, digest, modified, create } => {
                let file = Reused { size, modified, existing: existing(!create) };
                connection.keep_alive(self.reuse(path, file, digest)).await?
            }
            Request::Download { path, offset, version, part } => {
                let wanted = Wanted { id, path, offset, version, part };
                self.download(connection, wanted, &server.stop_bodies()).await?;
                return Ok(Next::Request);
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
        match self.account.home.rename(&from, &to, existing).await {
            Ok(()) => self.done("renamed", &to, Ok(())),
            Err(error) => Err(self.of_two(&from, &to, error).await),
        }
    }

    async fn copy(&self, from: Claim<RemotePath>, to: Claim<RemotePath>, existing: Existing) -> Result<Reply, Fault> {
        let from = from.check().map_err(refusal::of_path)?;
        let to = to.check().map_err(refusal::of_path)?;
        match self.account.home.copy(&from, &to, existing).await {
            Ok(()) => self.done("copied", &to, Ok(())),
            Err(error) => Err(self.of_two(&from, &to, error).await),
        }
    }

    /// Which of two paths an error is about.
    async fn of_two(&self, from: &RemotePath, to: &RemotePath, error: StorageError) -> Fault {
        match error {
            // What was to be read is damaged.
            StorageError::Corrupt | StorageError::Changed => refusal::of_storage(from, &error),
            // What is in the way is at the new path, and there is no room there.
            StorageError::Exists | StorageError::QuotaExceeded { .. } | StorageError::Full { .. } => {
                refusal::of_storage(to, &error)
            }
            // Where the old path is good, the new one is at fault.
            _ if self.account.home.stat(from).await.is_ok() => refusal::of_creation(to, &error),
            _ => refusal::of_storage(from, &error),
        }
    }

    async fn quota(&self) -> Result<Reply, Fault> {
        let usage = self.account.home.usage().await;
        usage.map(Reply::Quota).map_err(|error| refusal::of_storage(&RemotePath::root(), &error))
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
        self.begin(UploadSpec { path, size, modified, existing, resume }).await
    }

    pub(crate) async fn begin(&self, spec: UploadSpec) -> Result<Upload, Fault> {
        let path = spec.path.clone();
        match self.account.home.begin_upload(spec).await {
            Ok(partial) => Ok(Upload { path, partial, known: false }),
            Err(error) => Err(refusal::of_creation(&path, &error)),
        }
    }
}

fn existing(replace: bool) -> Existing {
    if replace { Existing::Replace } else { Existing::Refuse }
}

pub(crate) async fn reply<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    id: u64,
    outcome: Result<Reply, Fault>,
) -> Result<(), ConnectionError> {
    connection.send(&Numbered::new(id, outcome.unwrap_or_else(Reply::Fault))).await
}
