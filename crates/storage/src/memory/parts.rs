//! An upload in parts in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use netdisk_model::{Digest, PART_LEN, PartHasher, Parts};

use super::lock;
use crate::error::StorageError;
use crate::home::{PartialFile, Stored};
use crate::memory::upload::MemoryPartialFile;
use crate::parts::{PARTS_AHEAD_MAX, Part, PartTaker, PartedFile};

/// Who owns the upload.
pub(super) struct MemoryParts {
    upload: Arc<Upload>,
    offset: u64,
}

#[derive(Debug)]
struct Upload(Mutex<State>);

struct State {
    /// What a plain upload of it would be, with what is there without a gap; gone once the upload has ended.
    partial: Option<Box<MemoryPartialFile>>,
    parts: Parts,
    /// Parts that are there behind a gap.
    ahead: BTreeMap<u64, Bytes>,
    /// Who may bring which part.
    claims: BTreeMap<u64, u64>,
    last_claim: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("State").finish_non_exhaustive()
    }
}

impl MemoryParts {
    /// Goes on with a plain upload, of which whole parts count.
    pub(super) fn begin(mut partial: Box<MemoryPartialFile>) -> Result<Box<dyn PartedFile>, StorageError> {
        let mut parts = partial.spec.size.and_then(Parts::of).ok_or(StorageError::NotInParts)?;
        while let Some((offset, len)) = parts.place(parts.contiguous())
            && let Some(content) = usize::try_from(offset).ok().zip(usize::try_from(offset + len).ok())
            && let Some(content) = partial.content.get(content.0..content.1)
        {
            let mut hasher = PartHasher::new(parts.contiguous());
            hasher.update(content);
            parts.add(parts.contiguous(), hasher.digest().ok_or(StorageError::NotInParts)?);
        }
        let offset = parts.contiguous_len();
        partial.content.truncate(usize::try_from(offset).unwrap_or(0));
        let (ahead, claims) = (BTreeMap::new(), BTreeMap::new());
        let state = State { partial: Some(partial), parts, ahead, claims, last_claim: 0 };
        Ok(Box::new(Self { upload: Arc::new(Upload(Mutex::new(state))), offset }))
    }
}

#[async_trait]
impl PartedFile for MemoryParts {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn taker(&self) -> Arc<dyn PartTaker> {
        Arc::new(Taker(self.upload.clone()))
    }

    async fn commit(self: Box<Self>, claimed: Digest) -> Result<Stored, StorageError> {
        let partial = lock(&self.upload.0).partial.take().ok_or(StorageError::NoUpload)?;
        partial.commit(claimed).await
    }

    async fn give_up(self: Box<Self>) {}
}

impl Drop for MemoryParts {
    fn drop(&mut self) {
        // What is there without a gap is kept as that of any upload.
        drop(lock(&self.upload.0).partial.take());
    }
}

/// Takes parts.
#[derive(Debug)]
struct Taker(Arc<Upload>);

#[async_trait]
impl PartTaker for Taker {
    async fn begin(&self, number: u64) -> Result<Box<dyn Part>, StorageError> {
        let mut state = lock(&self.0.0);
        let size = match &state.partial {
            Some(partial) => partial.spec.size.unwrap_or(0),
            None => return Err(StorageError::NoUpload),
        };
        let actual = number.saturating_mul(PART_LEN);
        let (_, len) = state.parts.place(number).ok_or(StorageError::SizeMismatch { declared: size, actual })?;
        if state.parts.has(number) {
            return Err(StorageError::Exists);
        }
        if number - state.parts.contiguous() >= PARTS_AHEAD_MAX {
            return Err(StorageError::TooFarAhead);
        }
        state.last_claim += 1;
        let claim = state.last_claim;
        state.claims.insert(number, claim);
        Ok(Box::new(MemoryPart { upload: self.0.clone(), claim, number, len, content: BytesMut::new() }))
    }
}

struct MemoryPart {
    upload: Arc<Upload>,
    claim: u64,
    number: u64,
    len: u64,
    content: BytesMut,
}

impl MemoryPart {
    fn check(&self, state: &State) -> Result<(), StorageError> {
        match (&state.partial, state.claims.get(&self.number)) {
            (None, _) => Err(StorageError::NoUpload),
            (Some(_), Some(claim)) if *claim == self.claim => Ok(()),
            _ => Err(StorageError::UnderWay),
        }
    }
}

#[async_trait]
impl Part for MemoryPart {
    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        self.check(&lock(&self.upload.0))?;
        self.content.extend_from_slice(&data);
        match self.content.len() as u64 {
            actual if actual > self.len => Err(StorageError::SizeMismatch { declared: self.len, actual }),
            _ => Ok(()),
        }
    }

    async fn finish(self: Box<Self>, claimed: Digest) -> Result<(), StorageError> {
        let mut state = lock(&self.upload.0);
        self.check(&state)?;
        let actual = self.content.len() as u64;
        if actual != self.len {
            return Err(StorageError::SizeMismatch { declared: self.len, actual });
        }
        let mut hasher = PartHasher::new(self.number);
        hasher.update(&self.content);
        if hasher.digest() != Some(claimed) {
            return Err(StorageError::DigestMismatch);
        }
        let mut next = state.parts.contiguous();
        state.parts.add(self.number, claimed);
        state.ahead.insert(self.number, self.content.clone().freeze());
        state.claims.remove(&self.number);
        while let Some(content) = state.ahead.remove(&next) {
            if let Some(partial) = &mut state.partial {
                partial.content.extend_from_slice(&content);
            }
            next += 1;
        }
        Ok(())
    }
}
