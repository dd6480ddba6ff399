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

use std::collections::VecDeque;
use std::io::{self, Seek as _};
use std::sync::{Arc, Mutex, PoisonError};

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

/// Chunks that may wait for the one that is being written: enough that neither disk nor network waits for the other. With
/// that one and the one that comes, an upload holds four, of a frame each at most: 1 MiB.
const WAITING_MAX: usize = 2;

/// Chunks written in one step through the door, and the few that wait then: a fast upload is not to keep others out.
const STEP_CHUNKS: usize = 16;

/// An upload under way. Writing runs some chunks behind its caller, so that disk and network work at the same time.
pub(super) struct DiskPartialFile {
    home: Arc<HomeState>,
    state: State,
    declared: Option<u64>,
    received: u64,
}

enum State {
    Idle(Box<Staged>),
    Writing(JoinHandle<Result<Box<Staged>, StorageError>>, Arc<Waiting>),
    /// A write failed and was reported; the staged file is gone.
    Failed,
}

/// Chunks on their way to a step that is writing.
#[derive(Default)]
struct Waiting {
    chunks: Mutex<Chunks>,
}

#[derive(Default)]
struct Chunks {
    waiting: VecDeque<Bytes>,
    /// The step takes no more.
    is_closed: bool,
}

impl Waiting {
    /// Gives the chunk back where the step takes no more of them now.
    fn push(&self, data: Bytes) -> Result<(), Bytes> {
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        if chunks.is_closed || chunks.waiting.len() >= WAITING_MAX {
            return Err(data);
        }
        chunks.waiting.push_back(data);
        Ok(())
    }

    /// The next chunk; where there is none, none comes any more.
    fn next(&self, is_last_round: bool) -> Option<Bytes> {
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let next = chunks.waiting.pop_front();
        chunks.is_closed |= is_last_round || next.is_none();
        next
    }
}

/// Writes a chunk and those that come meanwhile, and lets go of each once it is written. Blocks.
fn write_all(mut staged: Box<Staged>, first: Bytes, waiting: &Waiting) -> Result<Box<Staged>, StorageError> {
    staged.write(&first)?;
    drop(first);
    let mut written = 1;
    while let Some(data) = waiting.next(written >= STEP_CHUNKS) {
        staged.write(&data)?;
        written += 1;
    }
    Ok(staged)
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
        let staged = home.door.run(move || staged.file.rewind().map(|()| staged)).await?;
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
            State::Writing(write, _) => finish(write).await,
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
            staged.offer();
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
        self.received += data.len() as u64;
        let is_too_much = self.declared.is_some_and(|declared| self.received > declared);
        let data = match &self.state {
            State::Writing(_, waiting) if !is_too_much => match waiting.push(data) {
                Ok(()) => return Ok(()),
                Err(data) => data,
            },
            _ => data,
        };
        let mut staged = self.settle().await?;
        if let Some(declared) = self.declared.filter(|_| is_too_much) {
            staged.discard();
            self.state = State::Idle(staged);
            return Err(StorageError::SizeMismatch { declared, actual: self.received });
        }
        let waiting = Arc::new(Waiting::default());
        let its_waiting = waiting.clone();
        let write = move || write_all(staged, data, &its_waiting);
        self.state = State::Writing(self.home.door.start(write).await, waiting);
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use netdisk_model::{Password, UserName};

    use super::super::DiskStore;
    use super::*;
    use crate::accounts::Accounts as _;
    use crate::home::Existing;

    /// A chunk that tells when it is let go of.
    struct Told(u32, mpsc::Sender<u32>);

    impl AsRef<[u8]> for Told {
        fn as_ref(&self) -> &[u8] {
            b"chunk"
        }
    }

    impl Drop for Told {
        fn drop(&mut self) {
            self.1.send(self.0).expect("waited for");
        }
    }

    #[tokio::test]
    async fn a_chunk_is_let_go_of_before_the_next_one_is_written() {
        let data = tempfile::tempdir().expect("a directory");
        let store = DiskStore::open(data.path()).expect("a store");
        let user: UserName = "alice".parse().expect("a name");
        drop(store.register(&user, Password::new("correct horse")).await.expect("an account"));
        let home = Arc::new(store.open_home(&user).await.expect("a home"));
        let path = "/f".parse().expect("a path");
        let spec = UploadSpec { path, size: None, modified: None, existing: Existing::Replace, resume: None };
        let (staged, _) = Staged::open(home, spec, &mut Parents::default()).expect("begun");
        let (told, gone) = mpsc::channel();
        let chunk = |number| Bytes::from_owner(Told(number, told.clone()));
        let waiting = Waiting::default();
        for number in [2, 3] {
            waiting.push(chunk(number)).expect("room for it");
        }
        waiting.push(chunk(4)).expect_err("one too many");
        drop(write_all(staged, chunk(1), &waiting).expect("written"));
        assert_eq!(gone.try_iter().collect::<Vec<_>>(), [4, 1, 2, 3]);
    }
}
