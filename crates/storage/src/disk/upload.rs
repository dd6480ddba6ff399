//! An upload on disk: staged, hashed, synced, renamed, synced again, and only then acknowledged.
//!
//! ```text
//!   staging/<id>  ── write, hash ──▶  size and digest equal?  ──▶ fsync file ──▶ rename over files/<path>
//!        │ drop                             │ no                                     │
//!        ▼                                  ▼                                        ▼
//!   unlink, or keep                      unlink                              fsync parent ──▶ acknowledge
//! ```
//!
//! What can be resumed is kept under a name made of path, size and the sender's key, so that it is found again without
//! a record anywhere. A lock on it lets one writer in at a time. A second one, most often the same client back on a new
//! connection while the server still waits for the old one, copies what is there into a staged file of its own. The kept
//! prefix is read and hashed once before it counts, and the digest at the end covers it: a prefix that a power cut
//! spoilt costs a second upload and never a wrong file.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::{Digest, EntryKind};
use rustix::fs::{AtFlags, FlockOperation, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;
use tokio::task::JoinHandle;

use super::confined::{FILE_MODE, stat_in, version};
use super::home::Directories;
use super::sabotage::{self, Sabotage};
use super::sync::{sync_directory, sync_file};
use crate::door::{Door, finish};
use crate::error::StorageError;
use crate::home::{Existing, PartialFile, Stored, UploadSpec};

/// What the names of staged files that can be resumed begin with.
pub(super) const RESUMABLE: &str = "resume-";

/// Bytes of a kept prefix that are read in one step through the door: some milliseconds.
const VERIFY_LEN: u64 = 16 * 1024 * 1024;

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

/// A file in staging.
struct Staged {
    directories: Arc<Directories>,
    id: String,
    at_drop: AtDrop,
    file: File,
    /// Where what is kept is copied from, when another upload writes to it.
    copied_from: Option<File>,
    hash: blake3::Hasher,
    spec: UploadSpec,
}

/// What becomes of a staged file that is dropped.
#[derive(PartialEq, Eq)]
enum AtDrop {
    /// It is unlinked.
    Unlink,
    /// It stays: for resuming, or because its name has gone to `files/` and may be another's by now.
    Leave,
}

impl DiskPartialFile {
    /// Checks the target, makes or finds the staged file, and reads what it holds.
    pub(super) async fn begin(
        directories: Arc<Directories>,
        door: Door,
        spec: UploadSpec,
    ) -> Result<Box<dyn PartialFile>, StorageError> {
        let declared = spec.size;
        let (mut staged, kept) = door.run(move || Staged::open(directories, spec)).await?;
        let mut received = 0;
        // In slices, so that a long prefix holds nobody up at the door.
        while received < kept {
            let len = (kept - received).min(VERIFY_LEN);
            staged = door.run(move || staged.take_prefix(len)).await?;
            received += len;
        }
        Ok(Box::new(Self { door, state: State::Idle(staged), declared, received }))
    }

    /// Waits for the write under way and takes the staged file out.
    async fn settle(&mut self) -> Result<Box<Staged>, StorageError> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(staged) => Ok(staged),
            State::Writing(write) => finish(write).await,
            State::Failed => Err(StorageError::Io(io::Error::other("a write to this upload failed before"))),
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
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
            staged.at_drop = AtDrop::Unlink;
            self.state = State::Idle(staged);
            return Err(StorageError::SizeMismatch { declared, actual: self.received });
        }
        let write = move || {
            if let Err(error) = staged.file.write_all(&data) {
                // A disk that is full, or fails, is not to keep the half of it.
                staged.at_drop = AtDrop::Unlink;
                return Err(error.into());
            }
            staged.hash.update(&data);
            Ok(staged)
        };
        self.state = State::Writing(self.door.start(write).await);
        Ok(())
    }

    async fn commit(mut self: Box<Self>, claimed: Digest) -> Result<Stored, StorageError> {
        let mut staged = self.settle().await?;
        if let Some(declared) = self.declared.filter(|declared| self.received != *declared) {
            staged.at_drop = AtDrop::Unlink;
            self.state = State::Idle(staged);
            return Err(StorageError::SizeMismatch { declared, actual: self.received });
        }
        let size = self.received;
        if sabotage::is(Sabotage::AckFirst) {
            let version = version(&rustix::fs::fstat(&staged.file)?);
            // A thread of its own: the runtime would wait for it when the server stops.
            std::thread::spawn(move || staged.commit(size, claimed));
            return Ok(Stored { size, digest: claimed, version });
        }
        self.door.run(move || staged.commit(size, claimed)).await
    }
}

/// The name of the staged file of an upload that can be resumed.
fn resume_id(spec: &UploadSpec) -> Option<String> {
    let (size, key) = (spec.size?, spec.resume.as_ref()?);
    let mut hash = blake3::Hasher::new();
    hash.update(&size.to_le_bytes()).update(key.as_str().as_bytes()).update(b"\0");
    hash.update(spec.path.as_str().as_bytes());
    Some(format!("{RESUMABLE}{}", hash.finalize().to_hex()))
}

/// The staged file of an upload that can be resumed.
enum Resumable {
    Ours(File),
    /// Another upload writes to it.
    Theirs(File),
}

/// Opens or makes the staged file `id` and locks it.
fn open_resumable(directories: &Directories, id: &str) -> Result<Resumable, StorageError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let file: File = rustix::fs::openat(&directories.staging, id, flags, FILE_MODE)?.into();
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Resumable::Theirs(file)),
            Err(error) => return Err(error.into()),
        }
        // Between open and lock its last writer may have committed or discarded it: then it is another file's name.
        let opened = rustix::fs::fstat(&file)?.st_ino;
        if stat_in(&directories.staging, id).is_ok_and(|named| named.st_ino == opened) {
            return Ok(Resumable::Ours(file));
        }
    }
}

impl Staged {
    /// Makes or finds the staged file; gives how many bytes it holds already. Blocks.
    fn open(directories: Arc<Directories>, spec: UploadSpec) -> Result<(Box<Self>, u64), StorageError> {
        check_target(&directories, &spec)?;
        if sabotage::is(Sabotage::InPlace) {
            return Self::open_in_place(directories, spec);
        }
        let resumable = match resume_id(&spec) {
            Some(id) => Some((open_resumable(&directories, &id)?, id)),
            None => None,
        };
        let (id, at_drop, file, copied_from) = match resumable {
            Some((Resumable::Ours(file), id)) => (id, AtDrop::Leave, file, None),
            other => {
                let id = random_id();
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&directories.staging, &id, flags, FILE_MODE)?.into();
                let theirs = other.map(|(Resumable::Ours(theirs) | Resumable::Theirs(theirs), _)| theirs);
                (id, AtDrop::Unlink, file, theirs)
            }
        };
        let mut kept = copied_from.as_ref().unwrap_or(&file).metadata()?.len();
        if spec.size.is_some_and(|size| kept > size) {
            file.set_len(0)?;
            kept = 0;
        }
        let hash = blake3::Hasher::new();
        Ok((Box::new(Self { directories, id, at_drop, file, copied_from, hash, spec }), kept))
    }

    /// What [`Sabotage::InPlace`] has for a staged file: the file itself. Blocks.
    fn open_in_place(directories: Arc<Directories>, spec: UploadSpec) -> Result<(Box<Self>, u64), StorageError> {
        let (parent, name) = directories.files.open_parent(&spec.path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, FILE_MODE)?.into();
        let (id, at_drop, hash) = (String::new(), AtDrop::Leave, blake3::Hasher::new());
        Ok((Box::new(Self { directories, id, at_drop, file, copied_from: None, hash, spec }), 0))
    }

    /// Reads and hashes the next `len` bytes of what was kept; copies them where they are another's. Blocks.
    fn take_prefix(mut self: Box<Self>, len: u64) -> Result<Box<Self>, StorageError> {
        let Self { file, copied_from, hash, .. } = &mut *self;
        let read = match copied_from {
            None => io::copy(&mut file.take(len), hash)?,
            Some(theirs) => io::copy(&mut theirs.take(len), &mut Both(hash, file))?,
        };
        if read == len { Ok(self) } else { Err(StorageError::Changed) }
    }

    /// The commit, in the only order that survives a power cut. Blocks.
    fn commit(mut self, size: u64, claimed: Digest) -> Result<Stored, StorageError> {
        // What fails from here on would fail again: nothing is kept.
        self.at_drop = AtDrop::Unlink;
        let digest = Digest::from(self.hash.finalize());
        if digest != claimed {
            return Err(StorageError::DigestMismatch);
        }
        if let Some(modified) = self.spec.modified {
            set_modified(&self.file, modified)?;
        }
        sync_file(&self.file)?;
        let (parent, name) = self.directories.files.open_parent(&self.spec.path)?;
        let flags = match self.spec.existing {
            Existing::Replace => RenameFlags::empty(),
            Existing::Refuse => RenameFlags::NOREPLACE,
        };
        if !sabotage::is(Sabotage::InPlace) {
            rustix::fs::renameat_with(&self.directories.staging, &self.id, &parent, name, flags)?;
        }
        self.at_drop = AtDrop::Leave;
        sync_directory(&parent)?;
        // The rename was its last change.
        let version = version(&rustix::fs::fstat(&self.file)?);
        Ok(Stored { size, digest, version })
    }
}

/// Writes to both.
struct Both<'a>(&'a mut blake3::Hasher, &'a mut File);

impl io::Write for Both<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.1.write_all(data)?;
        self.0.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.at_drop == AtDrop::Leave {
            return;
        }
        match rustix::fs::unlinkat(&self.directories.staging, &self.id, AtFlags::empty()) {
            Ok(()) => {}
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
