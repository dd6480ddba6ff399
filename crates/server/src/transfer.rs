//! Storage's files as the sources and sinks of bodies.

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::{Digest, RemotePath};
use netdisk_protocol::{Chunk, Fault, Sink, Source};
use netdisk_storage::{PartialFile, Stored, StoredFile};

use crate::refusal;

/// An upload under way, as the place where its body goes.
pub(crate) struct Upload {
    pub(crate) path: RemotePath,
    pub(crate) partial: Box<dyn PartialFile>,
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
