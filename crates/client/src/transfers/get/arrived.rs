//! What has arrived of a large file, and what was kept of it before. All of it blocks.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};

use bytes::Bytes;
use netdisk_model::{Digest, Entry};
use netdisk_protocol::limits::DATA_LEN_MAX;
use tokio_util::sync::CancellationToken;

use crate::caps::check_room;
use crate::error::ClientError;
use crate::part_file::{PartFile, Place};
use crate::transfer::{OnExisting, Outcome};
use crate::transfers::shared::cancelled_fault;

/// A part file that grows.
pub(super) struct Arrived {
    place: Place,
    part: PartFile,
    file: File,
    entry: Entry,
    position: u64,
    hash: blake3::Hasher,
    /// Whether some of it had arrived before this attempt.
    was_kept: bool,
}

impl Arrived {
    /// Finds what an interrupted transfer left of the file that `entry` is, and reads it.
    pub(super) fn find(place: &Place, entry: &Entry, cancel: &CancellationToken) -> Result<Option<Self>, ClientError> {
        let Some((part, file, of, len)) = PartFile::find(place, &entry.path) else { return Ok(None) };
        let mut arrived = Self::new(place, part, file, of);
        if arrived.entry.version == entry.version && len <= entry.size {
            arrived.take_prefix(len, cancel)?;
        } else {
            arrived.restart(entry)?;
        }
        Ok(Some(arrived))
    }

    /// Begins anew, where `entry` fits.
    pub(super) fn begin(place: &Place, entry: &Entry) -> Result<Self, ClientError> {
        let (mut part, file) = PartFile::create(place)?;
        check_room(&file, entry.size).map_err(ClientError::local(&place.shown))?;
        part.mark(&file, entry);
        Ok(Self::new(place, part, file, entry.clone()))
    }

    fn new(place: &Place, part: PartFile, file: File, entry: Entry) -> Self {
        let hash = blake3::Hasher::new();
        Self { place: place.clone(), part, file, entry, position: 0, hash, was_kept: false }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(super) fn was_kept(&self) -> bool {
        self.was_kept
    }

    /// Takes over what the server says of the file now, and from where it sends.
    pub(super) fn update(&mut self, from: u64, entry: &Entry) -> Result<(), ClientError> {
        if from < self.position || entry.version != self.entry.version {
            // It is another version now: nothing of the old one may stay, nor its size.
            self.restart(entry)?;
        }
        self.entry = entry.clone();
        Ok(())
    }

    /// Writes and hashes what came.
    pub(super) fn write(&mut self, frames: &[Bytes]) -> Result<(), ClientError> {
        for frame in frames {
            self.file.write_all(frame).map_err(ClientError::local(&self.place.shown))?;
            self.hash.update(frame);
            self.position += frame.len() as u64;
        }
        Ok(())
    }

    /// Puts the file in its place, if it is what the server claims.
    pub(super) fn finish(self, claimed: Digest, existing: OnExisting) -> Result<Outcome, ClientError> {
        let size = self.position;
        if size != self.entry.size || Digest::from(self.hash.finalize()) != claimed {
            self.part.discard();
            return Err(ClientError::DigestMismatch);
        }
        self.part.commit(&self.file, self.entry.modified, existing)?;
        Ok(Outcome { size, digest: claimed, reused: false })
    }

    /// It is of no use.
    pub(super) fn discard(self) {
        self.part.discard();
    }

    fn take_prefix(&mut self, len: u64, cancel: &CancellationToken) -> Result<(), ClientError> {
        let mut data = vec![0; DATA_LEN_MAX];
        while self.position < len {
            if cancel.is_cancelled() {
                return Err(cancelled_fault());
            }
            let wanted = usize::try_from(len - self.position).unwrap_or(data.len()).min(data.len());
            self.file.read_exact(&mut data[..wanted]).map_err(ClientError::local(&self.place.shown))?;
            self.hash.update(&data[..wanted]);
            self.position += wanted as u64;
        }
        self.was_kept = self.position > 0;
        Ok(())
    }

    fn restart(&mut self, entry: &Entry) -> Result<(), ClientError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(ClientError::local(&self.place.shown))?;
        check_room(&self.file, entry.size).map_err(ClientError::local(&self.place.shown))?;
        self.part.mark(&self.file, entry);
        (self.entry, self.position, self.hash, self.was_kept) = (entry.clone(), 0, blake3::Hasher::new(), false);
        Ok(())
    }
}
