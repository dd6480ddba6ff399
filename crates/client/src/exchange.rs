//! The exchanges of a connection that have a body: one attempt to store a file, or to fetch one.

use std::pin::pin;
use std::time::Duration;

use netdisk_model::{Digest, Entry, EntryKind, RemotePath, Version};
use netdisk_protocol::{Fault, FaultCode, Reply, Request, Sink, Stop, recv_body, refuse_body, send_body};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, unexpected};
use crate::error::ClientError;
use crate::local::{Skipped, SkippingSource};

/// A server that does not answer within this time reads what it has of the file.
const ANSWER_SOON: Duration = Duration::from_secs(1);

/// An upload that the server is ready for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    pub id: u64,
    /// Where its body begins.
    pub offset: u64,
    /// Whether the content may be there already.
    pub known: bool,
}

/// What the server stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Length in bytes.
    pub size: u64,
    /// Digest of the whole content, equal at both ends.
    pub digest: Digest,
    /// The version that it has now.
    pub version: Version,
}

impl Client {
    /// One attempt to store what `source` gives, from the offset that the server asks for.
    pub(crate) async fn upload(
        &mut self,
        request: Request,
        source: &mut dyn SkippingSource,
        stop: &CancellationToken,
    ) -> Result<Stored, ClientError> {
        let begun = self.begin_upload(request, source).await?;
        self.send_upload(begun, source, stop).await
    }

    /// Asks for the offset of an upload; its body is due then.
    pub(crate) async fn begin_upload(
        &mut self,
        request: Request,
        source: &mut dyn SkippingSource,
    ) -> Result<Begun, ClientError> {
        let can_go_on = matches!(&request, Request::Upload { resume: Some(_), .. });
        let id = self.send(request).await?;
        match self.recv_ready(id, source, can_go_on).await? {
            Reply::Ready { offset, entry: None, known, .. } => Ok(Begun { id, offset, known }),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends the body of an upload, and receives what came of it.
    pub(crate) async fn send_upload(
        &mut self,
        begun: Begun,
        source: &mut dyn SkippingSource,
        stop: &CancellationToken,
    ) -> Result<Stored, ClientError> {
        let Begun { id, offset, .. } = begun;
        let mut source = Skipped { source, offset };
        // Whatever ends the body, the server's last reply says what came of it.
        let sent = send_body(&mut self.connection, id, &mut source, &stopped_by(stop)).await?;
        match (sent, self.recv(id).await) {
            (Ok(sent), Ok(Reply::Stored { size, digest, version })) if sent == digest => {
                Ok(Stored { size, digest, version })
            }
            (_, Ok(other)) => Err(unexpected(&other)),
            // This end gave up: its own reason is the better one.
            (Err(own), Err(ClientError::Fault(_))) => Err(own.into()),
            (_, Err(error)) => Err(error),
        }
    }

    /// Waits for the offset of an upload. What the server has of it is read before it answers: that takes its time.
    async fn recv_ready(
        &mut self,
        id: u64,
        source: &mut dyn SkippingSource,
        can_go_on: bool,
    ) -> Result<Reply, ClientError> {
        let mut ready = pin!(self.recv(id));
        tokio::select! {
            biased;
            reply = &mut ready => return reply,
            () = sleep(ANSWER_SOON), if can_go_on => source.receiver_verifies(),
        }
        ready.await
    }

    /// Asks for a file from `offset` of `version`; its body must be received next. Gives where it begins: at the offset,
    /// or at 0 where the file is another version now.
    pub(crate) async fn begin_download(
        &mut self,
        path: &RemotePath,
        offset: u64,
        version: Option<Version>,
    ) -> Result<(u64, u64, Entry), ClientError> {
        let version_here = version.clone();
        let request = Request::Download { path: path.clone().into(), offset, version: version_here, part: None };
        let id = self.send(request).await?;
        match self.recv(id).await? {
            Reply::Ready { offset: from, entry: Some(entry), .. }
                if entry.path == *path
                    && entry.kind == EntryKind::File
                    && (from == 0 || from == offset && entry.version == version) =>
            {
                Ok((id, from, entry))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Asks for the first part of a file; its body must be received next. Gives the file, and what the server stored it as.
    /// Where it is no longer than a part, the body is the whole of it.
    pub(crate) async fn begin_parts(&mut self, path: &RemotePath) -> Result<(u64, Entry, Option<Digest>), ClientError> {
        let request = Request::Download { path: path.clone().into(), offset: 0, version: None, part: Some(0) };
        let id = self.send(request).await?;
        match self.recv(id).await? {
            Reply::Ready { offset: 0, entry: Some(entry), digest, .. }
                if entry.path == *path && entry.kind == EntryKind::File =>
            {
                Ok((id, entry, digest))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Receives the body that [`Client::begin_download`] asked for; gives the digest that the server claims.
    pub(crate) async fn recv_download(
        &mut self,
        id: u64,
        sink: &mut dyn Sink,
        stop: &CancellationToken,
    ) -> Result<Digest, ClientError> {
        Ok(recv_body(&mut self.connection, id, sink, &stopped_by(stop)).await??)
    }

    /// Wants nothing of the body that [`Client::begin_download`] asked for.
    pub(crate) async fn refuse_download(&mut self, id: u64) -> Result<(), ClientError> {
        let fault = Fault::new(FaultCode::WriteFailed, FaultCode::WriteFailed.meaning());
        refuse_body(&mut self.connection, id, fault).await?;
        Ok(())
    }
}

fn stopped_by(token: &CancellationToken) -> Stop {
    Stop::new(token.clone(), FaultCode::Cancelled)
}

#[cfg(test)]
mod tests {
    use netdisk_protocol::{BodyStart, Connection, Numbered};
    use tokio::io::duplex;
    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;
    use crate::dial::Stream;
    use crate::local::ReaderSource;
    use crate::observer::{Observer, Progress};

    #[derive(Default)]
    struct Told(Notify);

    impl Observer for Told {
        fn progress(&self, _: Progress) {}

        fn verifying(&self, _: Progress) {
            self.0.notify_one();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_watches_hears_that_the_server_reads_what_it_has() {
        let (near, far) = duplex(1024);
        let near: Box<dyn Stream> = Box::new(near);
        let user = "alice".parse().expect("a name");
        let mut client = Client::new(Connection::new(near, Duration::from_secs(60)), user, None, None, 1);
        let mut server = Connection::new(far, Duration::from_secs(60));
        let request = Request::Upload {
            path: RemotePath::root().join("f").expect("a name").into(),
            size: Some(1),
            modified: None,
            create: false,
            resume: Some("key".parse().expect("a key")),
            body: BodyStart::Wait,
        };
        let told = Told::default();
        let mut source = ReaderSource::new(&b"1"[..], "f".into(), &told);
        let stop = CancellationToken::new();
        let answer = async {
            let request: Numbered<Request> = server.recv().await.expect("not cut").expect("a request");
            timeout(Duration::from_secs(30), told.0.notified()).await.expect("it was told");
            let fault = Fault::new(FaultCode::Full, FaultCode::Full.meaning());
            server.send(&Numbered::new(request.id, Reply::Fault(fault))).await.expect("taken");
        };
        let (outcome, ()) = tokio::join!(client.upload(request, &mut source, &stop), answer);
        assert_eq!(outcome.expect_err("no room").fault_code(), Some(FaultCode::Full));
    }
}
