//! An upload in memory.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use netdisk_model::{Digest, RemotePath, ResumeKey, Version};

use super::home::{Node, Shared, check_target, now_ms};
use super::lock;
use crate::error::StorageError;
use crate::home::{PartialFile, Stored, UploadSpec};

pub(super) struct MemoryPartialFile {
    pub(super) shared: Arc<Shared>,
    /// What was promised to it, and how many bytes that holds.
    pub(super) promised: (u64, u64),
    pub(super) room: u64,
    /// Under which name it is kept when it is dropped; `None` once it is not worth it.
    pub(super) key: Option<(RemotePath, u64, ResumeKey)>,
    pub(super) content: BytesMut,
    pub(super) spec: UploadSpec,
}

#[async_trait]
impl PartialFile for MemoryPartialFile {
    fn offset(&self) -> u64 {
        self.content.len() as u64
    }

    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        let len = self.offset() + data.len() as u64;
        if self.spec.size.is_none() && len > self.room {
            let more = len - self.room;
            self.shared.promise(more, 0)?;
            self.promised.0 += more;
            self.room = len;
        }
        self.content.extend_from_slice(&data);
        match self.spec.size {
            Some(declared) if self.offset() > declared => {
                self.key = None;
                Err(StorageError::SizeMismatch { declared, actual: self.offset() })
            }
            _ => Ok(()),
        }
    }

    async fn commit(mut self: Box<Self>, claimed: Digest) -> Result<Stored, StorageError> {
        self.key = None;
        let size = self.offset();
        if let Some(declared) = self.spec.size.filter(|declared| *declared != size) {
            return Err(StorageError::SizeMismatch { declared, actual: size });
        }
        let digest = Digest::of(&self.content);
        if digest != claimed {
            return Err(StorageError::DigestMismatch);
        }
        let mut tree = lock(&self.shared.tree);
        check_target(&tree, &self.spec.path, self.spec.existing)?;
        let version = tree.values().map(|node| node.version).max().unwrap_or(0) + 1;
        let modified = self.spec.modified.unwrap_or_else(now_ms);
        let content = std::mem::take(&mut self.content).freeze();
        tree.insert(self.spec.path.clone(), Node { file: Some((content, digest)), modified, version });
        Ok(Stored { size, digest, version: Version::new(version) })
    }
}

impl Drop for MemoryPartialFile {
    fn drop(&mut self) {
        self.shared.end_promise(self.promised);
        if let Some(key) = self.key.take() {
            lock(&self.shared.kept).insert(key, std::mem::take(&mut self.content));
        }
    }
}
