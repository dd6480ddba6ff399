//! The exchanges of a connection that have a body: one attempt to store a file, or to fetch one.

use netdisk_model::{Digest, Entry, EntryKind, RemotePath, Version};
use netdisk_protocol::{Fault, FaultCode, Reply, Request, Sink, Stop, recv_body, refuse_body, send_body};
use tokio_util::sync::CancellationToken;

use crate::client::{Client, unexpected};
use crate::error::ClientError;
use crate::local::{Skipped, SkippingSource};

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
        let id = self.send(request).await?;
        let offset = match self.recv(id).await? {
            Reply::Ready { offset, entry: None } => offset,
            other => return Err(unexpected(&other)),
        };
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

    /// Asks for a file from `offset` of `version`; its body must be received next. Gives where it begins: at the offset,
    /// or at 0 where the file is another version now.
    pub(crate) async fn begin_download(
        &mut self,
        path: &RemotePath,
        offset: u64,
        version: Option<Version>,
    ) -> Result<(u64, u64, Entry), ClientError> {
        let id = self.send(Request::Download { path: path.clone().into(), offset, version: version.clone() }).await?;
        match self.recv(id).await? {
            Reply::Ready { offset: from, entry: Some(entry) }
                if entry.path == *path
                    && entry.kind == EntryKind::File
                    && (from == 0 || from == offset && entry.version == version) =>
            {
                Ok((id, from, entry))
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
