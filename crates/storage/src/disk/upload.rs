//! An upload on disk: staged, hashed, synced, named, synced again, and only then acknowledged.
//!
//! ```text
//!   staging/<name>  ── write, hash ──▶  size and digest equal?  ──▶ fsync ──▶ row ──▶ rename over files/<path>
//!        │ drop                             │ no                                            │
//!        ▼                                  ▼                                               ▼
//!   unlink, or keep                      unlink                                  fsync parent ──▶ acknowledge
//! ```
//!
//! What can be resumed is kept under a name made of path, size and the sender's key, so that it is found again without
//! a record anywhere. A lock on it lets one writer in at a time. A second one, most often the same client back on a new
//! connection while the server still waits for the old one, copies what is there into a staged file of its own. The kept
//! prefix is read and hashed once before it counts, and the digest at the end covers it: a prefix that a power cut
//! spoilt costs a second upload and never a wrong file.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::Digest;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::home::HomeState;
use super::identity::Found;
use super::parents::Parents;
use super::sabotage::{self, Sabotage};
use super::staged::Staged;
use crate::door::finish;
use crate::error::StorageError;
use crate::home::{PartialFile, Stored, UploadSpec};

/// Bytes of a kept prefix that are read in one step through the door: some milliseconds.
const VERIFY_LEN: u64 = 16 * 1024 * 1024;

/// An upload under way. Writing runs one chunk behind its caller, so that disk and network work at the same time.
pub(super) struct DiskPartialFile {
    home: Arc<HomeState>,
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

impl DiskPartialFile {
    /// Checks the target, makes or finds the staged file, and reads what it holds.
    pub(super) async fn begin(home: Arc<HomeState>, spec: UploadSpec) -> Result<Box<dyn PartialFile>, StorageError> {
        let declared = spec.size;
        let its_home = home.clone();
        let (staged, kept) = home.door.run(move || Staged::open(its_home, spec, &mut Parents::default())).await?;
        Ok(Box::new(Self::read_kept(home, staged, declared, kept).await?))
    }

    /// What a staged file holds that was copied into it: read, hashed and ready to be committed.
    pub(super) async fn of_copy(home: Arc<HomeState>, mut staged: Box<Staged>, len: u64) -> Result<Self, StorageError> {
        let declared = staged.spec.size;
        let staged = home.door.run(move || staged.rewind().map(|()| staged)).await?;
        Self::read_kept(home, staged, declared, len).await
    }

    async fn read_kept(
        home: Arc<HomeState>,
        mut staged: Box<Staged>,
        declared: Option<u64>,
        kept: u64,
    ) -> Result<Self, StorageError> {
        let mut received = 0;
        // In slices, so that a long prefix holds nobody up at the door.
        while received < kept {
            let len = (kept - received).min(VERIFY_LEN);
            staged = home.door.run(move || staged.take_prefix(len).map(|()| staged)).await?;
            received += len;
        }
        Ok(Self { home, state: State::Idle(staged), declared, received })
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
        if let (State::Idle(mut staged), Ok(runtime)) =
            (std::mem::replace(&mut self.state, State::Failed), tokio::runtime::Handle::try_current())
        {
            staged.end_promise();
            if self.received == 0 {
                // Nothing is kept of nothing.
                staged.discard();
            }
            // What can be resumed is free at once: whoever asked for it may be back already.
            if staged.is_slow_to_drop() {
                drop(runtime.spawn_blocking(move || drop(staged)));
            }
        }
    }
}

/// What came of a commit.
pub(super) async fn outcome(stored: oneshot::Receiver<Result<Stored, StorageError>>) -> Result<Stored, StorageError> {
    stored.await.unwrap_or_else(|_| Err(StorageError::Io(io::Error::other("the commit was given up"))))
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
            staged.discard();
            self.state = State::Idle(staged);
            return Err(StorageError::SizeMismatch { declared, actual: self.received });
        }
        let write = move || staged.write(&data).map(|()| staged);
        self.state = State::Writing(self.home.door.start(write).await);
        Ok(())
    }

    async fn commit(mut self: Box<Self>, claimed: Digest) -> Result<Stored, StorageError> {
        let mut staged = self.settle().await?;
        if let Some(declared) = self.declared.filter(|declared| self.received != *declared) {
            staged.discard();
            self.state = State::Idle(staged);
            return Err(StorageError::SizeMismatch { declared, actual: self.received });
        }
        let (done, stored) = oneshot::channel();
        if sabotage::is(Sabotage::AckFirst) {
            let version = Found::of(&staged.file)?.version();
            let runtime = tokio::runtime::Handle::current();
            // A thread of its own: the runtime would wait for it when the server stops.
            std::thread::spawn(move || {
                let _entered = runtime.enter();
                staged.commit(claimed, done);
            });
            return Ok(Stored { size: self.received, digest: claimed, version });
        }
        drop(self.home.door.start(move || staged.commit(claimed, done)).await);
        outcome(stored).await
    }
}
