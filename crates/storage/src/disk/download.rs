//! A file open for reading: read one chunk ahead of the caller, hashed from its first byte.

use std::os::fd::OwnedFd;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use netdisk_model::{Digest, Entry, RemotePath};
use rustix::fs::Stat;
use tokio::task::JoinHandle;

use super::confined::{entry, version};
use super::home::Directories;
use crate::door::{Door, finish};
use crate::error::StorageError;
use crate::home::StoredFile;

/// Bytes read at once: one data frame of the wire, and large enough that a call costs nothing beside the copy.
const CHUNK_LEN: usize = 256 * 1024;

pub(super) struct DiskFile {
    door: Door,
    entry: Entry,
    offset: u64,
    state: State,
    digest: Digest,
}

enum State {
    Idle(Box<Reader>),
    Reading(JoinHandle<Result<(Box<Reader>, Bytes), StorageError>>),
    /// The end was reached, or a failure reported.
    Over,
}

struct Reader {
    file: OwnedFd,
    opened: Stat,
    hash: blake3::Hasher,
    position: u64,
}

impl DiskFile {
    /// Opens the file. Blocks.
    pub(super) fn open(
        directories: &Directories,
        door: Door,
        path: &RemotePath,
        offset: u64,
    ) -> Result<Box<dyn StoredFile>, StorageError> {
        let (file, opened) = directories.files.open_file(path)?;
        let entry = entry(path.clone(), &opened);
        if offset > entry.size {
            return Err(StorageError::Changed);
        }
        let reader = Reader { file, opened, hash: blake3::Hasher::new(), position: 0 };
        Ok(Box::new(Self { door, entry, offset, state: State::Idle(Box::new(reader)), digest: Digest::of(b"") }))
    }

    async fn start(&mut self, mut reader: Box<Reader>) {
        let read = move || {
            let data = reader.read()?;
            Ok((reader, data))
        };
        self.state = State::Reading(self.door.start(read).await);
    }
}

#[async_trait]
impl StoredFile for DiskFile {
    fn entry(&self) -> &Entry {
        &self.entry
    }

    async fn read(&mut self) -> Result<Bytes, StorageError> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Ok(Bytes::new()),
                State::Idle(reader) => self.start(reader).await,
                State::Reading(read) => {
                    let (reader, data) = finish(read).await?;
                    if data.is_empty() {
                        self.digest = reader.hash.finalize().into();
                        return Ok(data);
                    }
                    let end = reader.position;
                    let begin = end - data.len() as u64;
                    self.start(reader).await;
                    // What the receiver has already is read for the digest alone.
                    if end > self.offset {
                        let wanted = usize::try_from(self.offset.saturating_sub(begin)).unwrap_or(0);
                        return Ok(data.slice(wanted..));
                    }
                }
            }
        }
    }

    fn digest(&self) -> Digest {
        self.digest
    }
}

impl Reader {
    /// Reads and hashes the next chunk; at the end, makes sure that nobody wrote into the file. Blocks.
    fn read(&mut self) -> Result<Bytes, StorageError> {
        let left = self.opened.st_size.cast_unsigned() - self.position;
        let len = usize::try_from(left).unwrap_or(CHUNK_LEN).min(CHUNK_LEN);
        let mut data = BytesMut::zeroed(len);
        let mut filled = 0;
        while filled < len {
            match rustix::io::pread(&self.file, &mut data[filled..], self.position + filled as u64) {
                Ok(0) => return Err(StorageError::Changed),
                Ok(read) => filled += read,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if len == 0 && version(&rustix::fs::fstat(&self.file)?) != version(&self.opened) {
            return Err(StorageError::Changed);
        }
        self.hash.update(&data);
        self.position += len as u64;
        Ok(data.freeze())
    }
}
