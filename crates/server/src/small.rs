//! Small uploads of a session, whose bodies come at once: taken off the wire, committed beside what comes next, answered
//! together.

use futures::FutureExt as _;
use netdisk_model::RemotePath;
use netdisk_protocol::{
    BodyPart, BodyStart, Claim, Connection, ConnectionError, HEARTBEAT_INTERVAL, Numbered, Reply, Request, Stop,
    refuse_body,
};
use netdisk_storage::{Existing, UploadSpec};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::commits::{Commits, Committed};
use crate::limits::WHOLE_LEN;
use crate::listener::Server;
use crate::refusal;
use crate::session::Session;
use crate::transfer::{recv_upload, recv_whole};

/// What a small upload announces.
pub(crate) struct Small {
    pub(crate) size: u64,
    pub(crate) modified: Option<i64>,
    pub(crate) existing: Existing,
}

impl Session {
    /// Takes a small upload off the wire, to be committed beside others.
    pub(crate) async fn take_small<S: AsyncRead + AsyncWrite>(
        &self,
        connection: &mut Connection<S>,
        id: u64,
        path: Claim<RemotePath>,
        small: Small,
        commits: &mut Commits,
        stop: &Stop,
    ) -> Result<(), ConnectionError> {
        let path = match path.check() {
            Ok(path) => path,
            Err(error) => {
                let refused = refuse_body(connection, id, refusal::of_path(error)).await?;
                commits.gather(id, Err(refused));
                return Ok(());
            }
        };
        if commits.has(&path) {
            self.answer_all(connection, commits).await?;
        }
        let Small { size, modified, existing } = small;
        let spec = UploadSpec { path, size: Some(size), modified, existing, resume: None };
        if size <= WHOLE_LEN {
            commits.gather(id, recv_whole(connection, id, spec, stop).await?);
        } else {
            let upload = connection.keep_alive(self.begin(spec)).await?;
            commits.begin(id, recv_upload(connection, id, upload, BodyStart::Now, stop).await?);
        }
        Ok(())
    }

    /// Waits for a request and answers commits meanwhile; `None` when there are no more of them.
    pub(crate) async fn recv_beside<S: AsyncRead + AsyncWrite + Send>(
        &self,
        server: &Server,
        connection: &mut Connection<S>,
        commits: &mut Commits,
    ) -> Result<Option<Numbered<Request>>, ConnectionError> {
        while !commits.is_empty() {
            // What is there already comes first: then more of it goes to the disk together.
            if let Some(Some(request)) = connection.recv().now_or_never().transpose()? {
                return Ok(Some(request));
            }
            commits.hand_in_unless_busy();
            let committed = tokio::select! {
                biased;
                () = server.stopping() => None,
                committed = commits.next() => committed,
                () = tokio::time::sleep(HEARTBEAT_INTERVAL) => None,
                request = connection.recv() => match request? {
                    Some(request) => return Ok(Some(request)),
                    None => None,
                },
            };
            match committed {
                Some(committed) => self.reply_commits(connection, committed).await?,
                // The server stops, the disk is slow, or the client has said all that it wanted to.
                None => self.answer_commits(connection, commits).await?,
            }
        }
        Ok(None)
    }

    /// Waits for all commits and answers them.
    pub(crate) async fn answer_all<S: AsyncRead + AsyncWrite>(
        &self,
        connection: &mut Connection<S>,
        commits: &mut Commits,
    ) -> Result<(), ConnectionError> {
        while !commits.is_empty() {
            self.answer_commits(connection, commits).await?;
        }
        Ok(())
    }

    /// Waits for the next commits and answers them.
    pub(crate) async fn answer_commits<S: AsyncRead + AsyncWrite>(
        &self,
        connection: &mut Connection<S>,
        commits: &mut Commits,
    ) -> Result<(), ConnectionError> {
        match connection.keep_alive(commits.next()).await? {
            Some(committed) => self.reply_commits(connection, committed).await,
            None => Ok(()),
        }
    }

    async fn reply_commits<S: AsyncRead + AsyncWrite>(
        &self,
        connection: &mut Connection<S>,
        committed: Vec<Committed>,
    ) -> Result<(), ConnectionError> {
        for Committed { id, outcome, is_abort_due } in committed {
            let reply = match outcome {
                Ok((path, stored)) => self.stored(&path, stored),
                Err(fault) => {
                    if is_abort_due {
                        connection.feed_message(&Numbered::new(id, BodyPart::Abort(fault.clone()))).await?;
                    }
                    Reply::Fault(fault)
                }
            };
            connection.feed_message(&Numbered::new(id, reply)).await?;
        }
        connection.flush().await
    }
}
