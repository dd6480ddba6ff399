//! An upload on disk: staged, hashed, synced, renamed, synced again, and only then acknowledged.
//!
//! ```text
//!   staging/<id>  ── write, hash ──▶  size and digest equal?  ──▶ fsync file ──▶ rename over files/<path>
//!        │ drop                             │ no                                     │
//!        ▼                                  ▼                                        ▼
//!     unlink                             unlink                              fsync parent ──▶ acknowledge
//! ```

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::{Digest, EntryKind};
use rustix::fs::{AtFlags, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;
use tokio::task::JoinHandle;

use super::confined::{FILE_MODE, stat_in, version};
use super::home::Directories;
use crate::door::{Door, finish};
use crate::error::StorageError;
use crate::home::{Existing, PartialFile, Stored, UploadSpec};

/// An upload under way. Writing runs one chunk behind its caller, so that disk and network work at the same time.
pub(super) struct DiskPartialFile {
    door: Door,
    state: State,
    declared: Option<u64>,
    received: u64,
}

enum State {
    Idle(Box<Staged>),
    Writing(JoinHandle<Result<Box<Staged>, StorageError>>),
    /// A write failed and was reported; the staged file is gone.
    Failed,
}

/// A file in staging; unlinked when dropped, unless it was renamed away.
struct Staged {
    directories: Arc<Directories>,
    id: String,
    file: File,
    hash: blake3::Hasher,
    spec: UploadSpec,
}

impl DiskPartialFile {
    /// Checks the target and makes the staged file. Blocks.
    pub(super) fn begin(
        directories: Arc<Directories>,
        door: Door,
        spec: UploadSpec,
    ) -> Result<Box<dyn PartialFile>, StorageError> {
        check_target(&directories, &spec)?;
        let id = random_id();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directories.staging, &id, flags, FILE_MODE)?;
        let declared = spec.size;
        let staged = Staged { directories, id, file: file.into(), hash: blake3::Hasher::new(), spec };
        Ok(Box::new(Self { door, state: State::Idle(Box::new(staged)), declared, received: 0 }))
    }

    /// Waits for the write under way and takes the staged file out.
    async fn settle(&mut self) -> Result<Box<Staged>, StorageError> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(staged) => Ok(staged),
            State::Writing(write) => finish(write).await,
            State::Failed => Err(StorageError::Io(std::io::Error::other("a write to this upload failed before"))),
        }
    }
}

impl Drop for DiskPartialFile {
    /// Unlinking a large file takes its time: not on a thread of the runtime.
    fn drop(&mut self) {
        if let (State::Idle(staged), Ok(runtime)) =
            (std::mem::replace(&mut self.state, State::Failed), tokio::runtime::Handle::try_current())
        {
            drop(runtime.spawn_blocking(move || drop(staged)));
        }
    }
}

/// Refuses what the commit would refuse, before a body has travelled for nothing.
fn check_target(directories: &Directories, spec: &UploadSpec) -> Result<(), StorageError> {
    let (parent, name) = directories.files.open_parent(&spec.path).map_err(|error| match error {
        StorageError::IsRoot => StorageError::NotAFile,
        error => error,
    })?;
    match stat_in(&parent, name).map(|stat| super::confined::kind(&stat)) {
        Ok(EntryKind::File) if spec.existing == Existing::Refuse => Err(StorageError::Exists),
        Ok(EntryKind::File) => Ok(()),
        Ok(EntryKind::Directory | EntryKind::Other) => Err(StorageError::NotAFile),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A name that nothing in staging has.
pub(super) fn random_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    hex::encode(bytes)
}

#[async_trait]
impl PartialFile for DiskPartialFile {
    fn offset(&self) -> u64 {
        self.received
    }

    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        let mut staged = self.settle().await?;
        self.received += data.len() as u64;
        if let Some(declared) = self.declared.filter(|declared| self.received > *declared) {
            self.state = State::Idle(staged);
            return Err(StorageError::SizeMismatch { declared, actual: self.received });
        }
        let write = move || {
            staged.file.write_all(&data)?;
            staged.hash.update(&data);
            Ok(staged)
        };
        self.state = State::Writing(self.door.start(write).await);
        Ok(())
    }

    async fn commit(mut self: Box<Self>, claimed: Digest) -> Result<Stored, StorageError> {
        let staged = self.settle().await?;
        if let Some(declared) = self.declared.filter(|declared| self.received != *declared) {
            self.state = State::Idle(staged);
            return Err(StorageError::SizeMismatch { declared, actual: self.received });
        }
        let size = self.received;
        self.door.run(move || staged.commit(size, claimed)).await
    }
}

impl Staged {
    /// The commit, in the only order that survives a power cut. Blocks.
    fn commit(self, size: u64, claimed: Digest) -> Result<Stored, StorageError> {
        let digest = Digest::from(self.hash.finalize());
        if digest != claimed {
            return Err(StorageError::DigestMismatch);
        }
        if let Some(modified) = self.spec.modified {
            set_modified(&self.file, modified)?;
        }
        // An fsync that failed is never tried again: the kernel may have dropped the pages and say yes.
        rustix::fs::fsync(&self.file)?;
        let (parent, name) = self.directories.files.open_parent(&self.spec.path)?;
        let flags = match self.spec.existing {
            Existing::Replace => RenameFlags::empty(),
            Existing::Refuse => RenameFlags::NOREPLACE,
        };
        rustix::fs::renameat_with(&self.directories.staging, &self.id, &parent, name, flags)?;
        rustix::fs::fsync(&parent)?;
        // The rename was its last change.
        let version = version(&rustix::fs::fstat(&self.file)?);
        Ok(Stored { size, digest, version })
    }
}

impl Drop for Staged {
    /// After a commit the name is gone already, and ids are never used twice.
    fn drop(&mut self) {
        match rustix::fs::unlinkat(&self.directories.staging, &self.id, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => {
                tracing::warn!(id = self.id, %error, "a discarded upload stays in staging until the next start")
            }
        }
    }
}

fn set_modified(file: &File, modified_ms: i64) -> Result<(), StorageError> {
    let modified = Timespec { tv_sec: modified_ms.div_euclid(1000), tv_nsec: modified_ms.rem_euclid(1000) * 1_000_000 };
    Ok(rustix::fs::futimens(file, &Timestamps { last_access: modified, last_modification: modified })?)
}
