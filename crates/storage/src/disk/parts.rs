//! An upload in parts on disk: one staged file, written at many places, and from there on like any other.
//!
//! Whoever brings a part has a claim on it, and writes only while they hold the lock of the part, and it says that it is
//! their turn. To take a part over, to end the upload or to commit it is to make it say otherwise, which waits for the
//! write under way. The lock stays the same whoever takes over: so nobody writes into a part that was compared, or into a
//! file that is being committed.
//!
//! What is kept when it ends is what is there without a gap. A crash leaves holes where parts are missing; what is before
//! the first of them, in whole parts, is kept ([`super::staged`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::{Digest, PART_LEN, PartHasher, Parts};
use rustix::fs::FlockOperation;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::home::HomeState;
use super::parents::Parents;
use super::staged::Staged;
use super::upload::outcome;
use crate::door::finish;
use crate::error::StorageError;
use crate::home::{Stored, UploadSpec};
use crate::parts::{PARTS_AHEAD_MAX, Part, PartTaker, PartedFile};

/// Parts of a kept prefix that are read in one step through the door: some milliseconds.
const VERIFY_PARTS: u64 = 16;

/// Who owns the upload.
pub(super) struct DiskParts {
    upload: Arc<Upload>,
    offset: u64,
    /// Nothing is left to be ended.
    is_over: bool,
}

/// An upload that many bring parts of.
struct Upload {
    home: Arc<HomeState>,
    /// The staged file, for whoever writes into it.
    file: File,
    state: Mutex<State>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Upload").finish_non_exhaustive()
    }
}

struct State {
    /// Gone once the upload has ended.
    staged: Option<Box<Staged>>,
    parts: Parts,
    /// Of the parts that somebody brings or brought half of.
    turns: BTreeMap<u64, Arc<Turn>>,
    last_turn: u64,
    /// No more parts are taken, for this reason where it is one.
    is_closed: bool,
    failure: Option<StorageError>,
}

impl State {
    /// Whether parts are taken.
    fn check(&self) -> Result<(), StorageError> {
        match &self.failure {
            Some(error) => Err(error.again()),
            None if self.is_closed => Err(StorageError::NoUpload),
            None => Ok(()),
        }
    }

    /// How long the file is to be.
    fn size(&self) -> u64 {
        self.parts.place(self.parts.count() - 1).map_or(0, |(offset, len)| offset + len)
    }

    /// Digest and size, if all parts are there and no write failed: one that did may have spoilt a part that is there.
    fn whole(&self) -> Result<(Digest, u64), StorageError> {
        if let Some(failure) = &self.failure {
            return Err(failure.again());
        }
        let missing = || StorageError::SizeMismatch { declared: self.size(), actual: self.parts.contiguous_len() };
        Ok((self.parts.digest().ok_or_else(missing)?, self.size()))
    }
}

/// Whose turn it is to write one part: the highest, which came last; held while it is written.
#[derive(Default)]
struct Turn(Mutex<u64>);

impl Turn {
    fn hold(&self) -> MutexGuard<'_, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to write one part, as long as it is the turn of who has it.
#[derive(Clone)]
struct Claim {
    number: u64,
    turn: Arc<Turn>,
    mine: u64,
}

impl DiskParts {
    /// Checks the target, makes or finds the staged file, and reads what it holds.
    pub(super) async fn begin(home: Arc<HomeState>, spec: UploadSpec) -> Result<Self, StorageError> {
        let mut parts = spec.size.and_then(Parts::of).ok_or(StorageError::NotInParts)?;
        let its_home = home.clone();
        let (mut staged, kept) = home.door.run(move || Staged::open(its_home, spec, &mut Parents::default())).await?;
        loop {
            let before = parts.contiguous();
            let read = move || {
                let mut staged = staged;
                for _ in 0..VERIFY_PARTS {
                    let number = parts.contiguous();
                    match parts.place(number) {
                        Some((offset, len)) if offset + len <= kept => {
                            parts.add(number, staged.take_part(number, len)?)
                        }
                        _ => break,
                    }
                }
                Ok::<_, StorageError>((staged, parts))
            };
            (staged, parts) = home.door.run(read).await?;
            if parts.contiguous() < before + VERIFY_PARTS {
                break;
            }
        }
        let offset = parts.contiguous_len();
        let truncate = move || {
            staged.keep_first(offset)?;
            let file = staged.file.try_clone()?;
            Ok::<_, StorageError>((staged, file))
        };
        let (staged, file) = home.door.run(truncate).await?;
        let turns = BTreeMap::new();
        let state = State { staged: Some(staged), parts, turns, last_turn: 0, is_closed: false, failure: None };
        let upload = Arc::new(Upload { home, file, state: Mutex::new(state) });
        Ok(Self { upload, offset, is_over: false })
    }
}

#[async_trait]
impl PartedFile for DiskParts {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn taker(&self) -> Arc<dyn PartTaker> {
        Arc::new(Taker(self.upload.clone()))
    }

    async fn commit(mut self: Box<Self>, claimed: Digest) -> Result<Stored, StorageError> {
        self.is_over = true;
        let (done, stored) = oneshot::channel();
        let upload = self.upload.clone();
        // Carried through, whoever still waits for it.
        drop(self.upload.home.door.start(move || upload.commit(claimed, done)).await);
        outcome(stored).await
    }

    async fn give_up(mut self: Box<Self>) {
        self.is_over = true;
        let upload = self.upload.clone();
        self.upload.home.door.run(move || upload.give_up()).await;
    }
}

impl Drop for DiskParts {
    fn drop(&mut self) {
        if !self.is_over
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let upload = self.upload.clone();
            drop(runtime.spawn_blocking(move || upload.give_up()));
        }
    }
}

impl Upload {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nobody write any more, and takes the staged file out. Blocks.
    fn close(&self) -> Option<Box<Staged>> {
        let turns = {
            let mut state = self.state();
            state.is_closed = true;
            std::mem::take(&mut state.turns)
        };
        for turn in turns.into_values() {
            *turn.hold() = u64::MAX;
        }
        self.state().staged.take()
    }

    /// Keeps what is there without a gap. Blocks.
    fn give_up(&self) {
        let Some(mut staged) = self.close() else { return };
        staged.end_promise();
        let len = self.state().parts.contiguous_len();
        if let Err(error) = staged.keep_first(len) {
            tracing::warn!(%error, "what came of an upload is not kept");
            staged.discard();
        }
        if len == 0 {
            // Nothing is kept of nothing.
            staged.discard();
        }
        drop(staged);
        // Whoever goes on with it need not wait until the last of those who brought parts has let go of the file.
        if let Err(error) = rustix::fs::flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(%error, "what came of an upload stays locked for now");
        }
    }

    /// Hands the file in to get its name, if it is whole. Blocks.
    fn commit(&self, claimed: Digest, done: super::staged::Done) {
        let staged = self.close();
        match (staged, self.state().whole()) {
            (Some(mut staged), Ok((digest, size))) => {
                staged.wrote_all(size);
                staged.commit_as(digest, claimed, done);
            }
            (staged, whole) => {
                if let Some(mut staged) = staged {
                    staged.discard();
                }
                // Whoever asked may have gone.
                drop(done.send(Err(whole.err().unwrap_or(StorageError::NoUpload))));
            }
        }
    }

    /// Takes a claim on a part; whoever had one loses it. Blocks.
    fn claim(&self, number: u64) -> Result<(Claim, u64, u64), StorageError> {
        let (claim, (offset, len)) = {
            let mut state = self.state();
            state.check()?;
            let actual = number.saturating_mul(PART_LEN);
            let missing = || StorageError::SizeMismatch { declared: state.size(), actual };
            let place = state.parts.place(number).ok_or_else(missing)?;
            if state.parts.has(number) {
                return Err(StorageError::Exists);
            }
            if number - state.parts.contiguous() >= PARTS_AHEAD_MAX {
                return Err(StorageError::TooFarAhead);
            }
            state.last_turn += 1;
            let (turn, mine) = (state.turns.entry(number).or_default().clone(), state.last_turn);
            (Claim { number, turn, mine }, place)
        };
        let mut turn = claim.turn.hold();
        *turn = claim.mine.max(*turn);
        drop(turn);
        Ok((claim, offset, len))
    }

    /// What may be written under a claim, while its turn is held.
    fn check(&self, claim: &Claim, turn: u64) -> Result<MutexGuard<'_, State>, StorageError> {
        let state = self.state();
        state.check()?;
        // Somebody may have brought it while this one waited for its turn.
        if turn != claim.mine || state.parts.has(claim.number) {
            return Err(StorageError::UnderWay);
        }
        Ok(state)
    }

    /// Writes some bytes under a claim. Blocks.
    fn write(&self, claim: &Claim, data: &[u8], offset: u64) -> Result<(), StorageError> {
        let turn = claim.turn.hold();
        drop(self.check(claim, *turn)?);
        let written = self.file.write_all_at(data, offset).map_err(StorageError::from);
        if let Err(error) = &written {
            let mut state = self.state();
            // A disk that is full, or fails, is not to keep the half of it.
            if let Some(staged) = state.staged.as_mut() {
                staged.discard();
            }
            state.failure.get_or_insert(error.again());
            state.is_closed = true;
        }
        drop(turn);
        written
    }

    /// A part is whole. Only now it counts as written: what is brought again takes no more room. Blocks.
    fn took(&self, claim: &Claim, digest: Digest) -> Result<(), StorageError> {
        let turn = claim.turn.hold();
        let mut state = self.check(claim, *turn)?;
        state.parts.add(claim.number, digest);
        let len = state.parts.place(claim.number).map_or(0, |(_, len)| len);
        if let Some(staged) = state.staged.as_mut() {
            staged.reservation.written(len);
        }
        state.turns.remove(&claim.number);
        Ok(())
    }
}

/// Takes parts.
#[derive(Debug)]
struct Taker(Arc<Upload>);

#[async_trait]
impl PartTaker for Taker {
    async fn begin(&self, number: u64) -> Result<Box<dyn Part>, StorageError> {
        let upload = self.0.clone();
        let (claim, offset, len) = self.0.home.door.run(move || upload.claim(number)).await?;
        let state = Writing::Idle(Box::new(PartHasher::new(number)));
        Ok(Box::new(DiskPart { upload: self.0.clone(), claim, offset, len, received: 0, state }))
    }
}

/// A part on its way. Writing runs one chunk behind its caller, so that disk and network work at the same time.
struct DiskPart {
    upload: Arc<Upload>,
    claim: Claim,
    offset: u64,
    len: u64,
    received: u64,
    state: Writing,
}

enum Writing {
    Idle(Box<PartHasher>),
    Started(JoinHandle<Result<Box<PartHasher>, StorageError>>),
    /// A write failed and was reported.
    Failed,
}

impl DiskPart {
    async fn settle(&mut self) -> Result<Box<PartHasher>, StorageError> {
        match std::mem::replace(&mut self.state, Writing::Failed) {
            Writing::Idle(hasher) => Ok(hasher),
            Writing::Started(write) => finish(write).await,
            Writing::Failed => Err(StorageError::Io(io::Error::other("a write to this part failed before"))),
        }
    }
}

#[async_trait]
impl Part for DiskPart {
    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        let mut hasher = self.settle().await?;
        let offset = self.offset + self.received;
        self.received += data.len() as u64;
        if self.received > self.len {
            return Err(StorageError::SizeMismatch { declared: self.len, actual: self.received });
        }
        let (upload, claim) = (self.upload.clone(), self.claim.clone());
        let write = move || {
            upload.write(&claim, &data, offset)?;
            hasher.update(&data);
            Ok(hasher)
        };
        self.state = Writing::Started(self.upload.home.door.start(write).await);
        Ok(())
    }

    async fn finish(mut self: Box<Self>, claimed: Digest) -> Result<(), StorageError> {
        let hasher = self.settle().await?;
        if self.received != self.len {
            return Err(StorageError::SizeMismatch { declared: self.len, actual: self.received });
        }
        if hasher.digest() != Some(claimed) {
            return Err(StorageError::DigestMismatch);
        }
        let (upload, claim) = (self.upload.clone(), self.claim.clone());
        self.upload.home.door.run(move || upload.took(&claim, claimed)).await
    }
}

#[cfg(test)]
mod tests;
