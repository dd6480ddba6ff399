//! Storage's files as the sources and sinks of bodies.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use netdisk_model::{Digest, RemotePath};
use netdisk_protocol::{
    BodyStart, Chunk, Connection, ConnectionError, Fault, Numbered, Reply, Sink, Source, Stop, recv_body, refuse_body,
};
use netdisk_storage::{PartialFile, StorageError, Stored, StoredFile, UploadSpec, WholeFile};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::refusal;

/// An upload under way, as the place where its body goes.
pub(crate) struct Upload {
    pub(crate) path: RemotePath,
    pub(crate) partial: Box<dyn PartialFile>,
    /// Whether other files of the user have its size.
    pub(crate) known: bool,
}

impl Upload {
    pub(crate) async fn commit(self, claimed: Digest) -> Result<Stored, Fault> {
        self.partial.commit(claimed).await.map_err(|error| refusal::of_storage(&self.path, &error))
    }
}

#[async_trait]
impl Sink for Upload {
    async fn write(&mut self, data: Bytes) -> Result<(), Fault> {
        self.partial.write(data).await.map_err(|error| refusal::of_storage(&self.path, &error))
    }
}

/// A small file that is taken off the wire before anything is done about it.
struct Gathered {
    path: RemotePath,
    declared: u64,
    data: Bytes,
}

#[async_trait]
impl Sink for Gathered {
    async fn write(&mut self, data: Bytes) -> Result<(), Fault> {
        let (declared, actual) = (self.declared, (self.data.len() + data.len()) as u64);
        if actual > declared {
            return Err(refusal::of_storage(&self.path, &StorageError::SizeMismatch { declared, actual }));
        }
        self.data = if self.data.is_empty() {
            data
        } else {
            let mut both = BytesMut::with_capacity(self.declared as usize);
            both.extend_from_slice(&self.data);
            both.extend_from_slice(&data);
            both.freeze()
        };
        Ok(())
    }
}

/// Receives the body of a small upload as a whole.
pub(crate) async fn recv_whole<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    id: u64,
    spec: UploadSpec,
    stop: &Stop,
) -> Result<Result<WholeFile, Fault>, ConnectionError> {
    let mut gathered = Gathered { path: spec.path.clone(), declared: spec.size.unwrap_or(0), data: Bytes::new() };
    let received = recv_body(connection, id, &mut gathered, stop).await?;
    Ok(received.map(|claimed| WholeFile { spec, data: gathered.data, claimed }))
}

/// A file open for reading, as the place where a body comes from.
pub(crate) struct Download {
    pub(crate) path: RemotePath,
    pub(crate) file: Box<dyn StoredFile>,
}

#[async_trait]
impl Source for Download {
    async fn next(&mut self) -> Result<Chunk, Fault> {
        match self.file.read().await {
            Ok(Some(data)) => Ok(Chunk::Data(data)),
            Ok(None) => Ok(Chunk::End(self.file.digest())),
            Err(error) => Err(refusal::of_storage(&self.path, &error)),
        }
    }
}

/// Receives the body of an upload; gives it with the digest that the client claims of it.
pub(crate) async fn recv_upload<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    id: u64,
    upload: Result<Upload, Fault>,
    body: BodyStart,
    stop: &Stop,
) -> Result<Result<(Upload, Digest), Fault>, ConnectionError> {
    let mut upload = match (upload, body) {
        (Ok(upload), _) => upload,
        (Err(fault), BodyStart::Wait | BodyStart::Parts) => return Ok(Err(fault)),
        // The body is on its way and must be taken off the wire.
        (Err(fault), BodyStart::Now) => return refuse_body(connection, id, fault).await.map(Err),
    };
    if body == BodyStart::Wait {
        let ready = Reply::Ready { offset: upload.partial.offset(), entry: None, digest: None, known: upload.known };
        connection.send(&Numbered::new(id, ready)).await?;
    }
    Ok(recv_body(connection, id, &mut upload, stop).await?.map(|claimed| (upload, claimed)))
}
