//! A file in staging on its way into the tree: written, hashed, and handed in to get its name.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use netdisk_model::{Digest, PartHasher};
use rustix::fs::{AtFlags, OFlags, Timespec, Timestamps};
use tokio::sync::oneshot;

use super::confined::FILE_MODE;
use super::home::HomeState;
use super::identity::Found;
use super::ledger::FileRow;
use super::meter::{Reservation, Room};
use super::parents::Parents;
use super::sabotage::{self, Sabotage};
use super::staging::{self, Kind, Resumable};
use super::store::{Store, check_target};
use super::sync::sync_file;
use crate::error::StorageError;
use crate::home::{Stored, UploadSpec};

/// Files longer than this are synced before they join a group: the others need not wait for them.
const SYNC_APART_LEN: u64 = 1024 * 1024;

/// Interrupted uploads that are kept of one user; what is kept beyond it is the newest.
const KEPT_MAX: usize = 256;

/// Bytes of an unknown size that are promised at once.
const PROMISE_LEN: u64 = 16 * 1024 * 1024;

/// Whoever waits for what comes of an upload.
pub(super) type Done = oneshot::Sender<Result<Stored, StorageError>>;

/// A file in staging.
pub(super) struct Staged {
    pub(super) home: Arc<HomeState>,
    pub(super) name: String,
    at_drop: AtDrop,
    pub(super) file: File,
    /// Where what is kept is copied from, when another upload writes to it, and the name of that.
    copied_from: Option<(File, String)>,
    hash: blake3::Hasher,
    pub(super) spec: UploadSpec,
    pub(super) reservation: Reservation,
    /// Bytes written and promised, where the size is not known beforehand.
    written: u64,
    promised: u64,
    /// Bytes of the file that it replaces.
    replaced: u64,
}

/// What becomes of a staged file that is dropped.
#[derive(PartialEq, Eq)]
enum AtDrop {
    /// It is unlinked.
    Unlink,
    /// It stays: for resuming, or because its name has gone into the tree and may be another's by now.
    Leave,
    /// It takes the place of what it was copied from, if nobody writes to that any more.
    Offer,
}

impl Staged {
    /// Makes or finds the staged file; gives how many bytes it holds already. Blocks.
    pub(super) fn open(
        home: Arc<HomeState>,
        spec: UploadSpec,
        parents: &mut Parents,
    ) -> Result<(Box<Self>, u64), StorageError> {
        let replaced = check_target(&home, &spec, parents)?;
        if sabotage::is(Sabotage::InPlace) {
            return Self::open_in_place(home, spec);
        }
        let resumable = match staging::resume_name(&spec) {
            Some(name) => Some((staging::open_resumable(&home.staging, &name)?, name)),
            None => None,
        };
        let (name, at_drop, file, copied_from) = match resumable {
            Some((Resumable::Ours(file), name)) => (name, AtDrop::Leave, file, None),
            Some((Resumable::Theirs(theirs), resume_name)) => {
                let name = home.run.fresh(Kind::Upload);
                let file = staging::create(&home.staging, &name)?;
                (name, AtDrop::Offer, file, Some((theirs, resume_name)))
            }
            None => {
                let name = home.run.fresh(Kind::Upload);
                let file = staging::create(&home.staging, &name)?;
                (name, AtDrop::Unlink, file, None)
            }
        };
        let reservation = home.meter.reserve(&home.staging, Room::default())?;
        let hash = blake3::Hasher::new();
        let (written, promised) = (0, 0);
        let replaced_len = replaced.unwrap_or(0);
        let mut staged = Box::new(Self {
            home,
            name,
            at_drop,
            file,
            copied_from,
            hash,
            spec,
            reservation,
            written,
            promised,
            replaced: replaced_len,
        });
        let kept = if staged.spec.resume.is_some() { staged.kept()? } else { 0 };
        if kept > 0 && staged.copied_from.is_none() {
            // A crash on the way to its name has left its row: it is counted anew when it is committed.
            staged.home.undertaker().give_back(&[Found::of(&staged.file)?.identity])?;
            staged.home.meter.doubt();
        }
        if kept == 0 && staged.spec.resume.is_some() {
            let used = staged.home.meter.usage()?;
            let budget = used.limits.bytes.map_or(u64::MAX, |max| max.saturating_sub(used.bytes));
            staging::trim(&staged.home.staging, KEPT_MAX, budget)?;
        }
        let reserved = match staged.reserve(kept, replaced) {
            // What nobody has come back for is worth less than what is there now.
            Err(StorageError::Full { .. }) if staging::trim(&staged.home.staging, 0, 0)? > 0 => {
                staged.reserve(kept, replaced)
            }
            reserved => reserved,
        };
        let reserved = match reserved {
            // There is room for one. Most often it is the same client, and its old connection is given up soon.
            Err(StorageError::QuotaExceeded { .. } | StorageError::Full { .. }) if staged.copied_from.is_some() => {
                Err(StorageError::UnderWay)
            }
            reserved => reserved,
        };
        if let Err(error) = reserved {
            // Nothing is kept that there is no room for.
            if kept == 0 {
                staged.discard();
            }
            return Err(error);
        }
        Ok((staged, kept))
    }

    /// What [`Sabotage::InPlace`] has for a staged file: the file itself. Blocks.
    fn open_in_place(home: Arc<HomeState>, spec: UploadSpec) -> Result<(Box<Self>, u64), StorageError> {
        let (parent, name) = Parents::default().open_target(&home, &spec.path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, FILE_MODE)?.into();
        let reservation = home.meter.reserve(&home.staging, Room::default())?;
        let (name, at_drop, hash) = (String::new(), AtDrop::Leave, blake3::Hasher::new());
        let (copied_from, written, promised, replaced) = (None, 0, u64::MAX, 0);
        Ok((
            Box::new(Self {
                home,
                name,
                at_drop,
                file,
                copied_from,
                hash,
                spec,
                reservation,
                written,
                promised,
                replaced,
            }),
            0,
        ))
    }

    /// How many bytes are there already.
    fn kept(&self) -> Result<u64, StorageError> {
        let file = self.copied_from.as_ref().map_or(&self.file, |(theirs, _)| theirs);
        let (len, kept) = (file.metadata()?.len(), staging::contiguous_len(file)?);
        let kept = if self.spec.size.is_some_and(|size| len > size) { 0 } else { kept };
        if self.copied_from.is_none() && kept < len {
            self.file.set_len(kept)?;
        }
        Ok(kept)
    }

    /// Promises room for the whole file, where its size is known: an overwrite counts the difference.
    fn reserve(&mut self, kept: u64, replaced: Option<u64>) -> Result<(), StorageError> {
        let size = self.spec.size.unwrap_or(0);
        let growth = size.saturating_sub(replaced.unwrap_or(0));
        let on_disk = if self.copied_from.is_some() { 0 } else { kept };
        let room = Room { growth, files: replaced.is_none().into(), unwritten: size.saturating_sub(on_disk) };
        self.promised = replaced.unwrap_or(0);
        self.reservation.grow(&self.home.staging, room)
    }

    /// Whether dropping it takes its time: unlinking a large file does.
    pub(super) fn is_slow_to_drop(&self) -> bool {
        self.at_drop != AtDrop::Leave && self.written > 0
    }

    /// What was received before is not to be kept when this is dropped.
    pub(super) fn discard(&mut self) {
        self.at_drop = AtDrop::Unlink;
    }

    /// Appends bytes. Blocks.
    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), StorageError> {
        let written = self.append(data);
        if written.is_err() {
            // A disk that is full, or fails, is not to keep the half of it.
            self.discard();
        }
        written
    }

    fn append(&mut self, data: &[u8]) -> Result<(), StorageError> {
        let len = data.len() as u64;
        if self.spec.size.is_none() && self.written + len <= self.replaced {
            // Of the quota it takes the place of what it replaces; of the disk nothing is promised to it yet.
            self.reservation.grow(&self.home.staging, Room { growth: 0, files: 0, unwritten: len })?;
        }
        if self.spec.size.is_none() && self.written + len > self.promised {
            let more = len.max(PROMISE_LEN);
            let room = |more| Room { growth: more, files: 0, unwritten: more };
            // Near the end of the quota, what is there and no more.
            let granted = match self.reservation.grow(&self.home.staging, room(more)) {
                Ok(()) => more,
                Err(_) => self.reservation.grow(&self.home.staging, room(len)).map(|()| len)?,
            };
            self.promised = self.promised.max(self.written) + granted;
        }
        self.file.write_all(data)?;
        self.reservation.written(len);
        self.hash.update(data);
        self.written += len;
        Ok(())
    }

    /// Reads and hashes the next `len` bytes of what was kept; copies them where they are another's. Blocks.
    pub(super) fn take_prefix(&mut self, len: u64) -> Result<(), StorageError> {
        let Self { file, copied_from, hash, reservation, .. } = &mut *self;
        let read = match copied_from {
            None => io::copy(&mut file.take(len), hash)?,
            Some((theirs, _)) => io::copy(&mut theirs.take(len), &mut Both { hash, file, reservation })?,
        };
        self.written += read;
        if read == len { Ok(()) } else { Err(StorageError::Changed) }
    }

    /// Reads the next part of what was kept, and gives its digest; copies it where it is another's. Blocks.
    pub(super) fn take_part(&mut self, number: u64, len: u64) -> Result<Digest, StorageError> {
        let Self { file, copied_from, reservation, .. } = &mut *self;
        let mut hasher = PartHasher::new(number);
        let mut data = vec![0; usize::try_from(len).unwrap_or(0)];
        let from = copied_from.as_mut().map_or(&mut *file, |(theirs, _)| theirs);
        from.read_exact(&mut data).map_err(|_| StorageError::Changed)?;
        hasher.update(&data);
        if copied_from.is_some() {
            file.write_all(&data)?;
            reservation.written(len);
        }
        hasher.digest().ok_or(StorageError::NotInParts)
    }

    /// Of what came in parts, so many bytes are there without a gap, and what is behind them is not to stay. Blocks.
    pub(super) fn keep_first(&mut self, len: u64) -> Result<(), StorageError> {
        self.written = len;
        Ok(self.file.set_len(len)?)
    }

    /// All parts have come.
    pub(super) fn wrote_all(&mut self, size: u64) {
        self.written = size;
    }

    /// Does what [`Staged::commit`] does for a file that was hashed in parts. Blocks.
    pub(super) fn commit_as(self: Box<Self>, digest: Digest, claimed: Digest, done: Done) {
        let committer = self.home.committer.clone();
        if let Some(store) = self.change_of(digest, claimed, done) {
            committer.submit(store);
        }
    }

    /// Compares the digest and hands the file in to get its name; `done` is told what came of it. Blocks.
    pub(super) fn commit(self: Box<Self>, claimed: Digest, done: Done) {
        let committer = self.home.committer.clone();
        if let Some(store) = self.into_change(claimed, done) {
            committer.submit(store);
        }
    }

    /// Compares the digest; gives the change that names the file, or tells `done` why there is none. Blocks.
    pub(super) fn into_change(self: Box<Self>, claimed: Digest, done: Done) -> Option<Box<Store>> {
        let digest = Digest::from(self.hash.finalize());
        self.change_of(digest, claimed, done)
    }

    fn change_of(mut self: Box<Self>, digest: Digest, claimed: Digest, done: Done) -> Option<Box<Store>> {
        // What fails from here on would fail again: nothing is kept.
        if !sabotage::is(Sabotage::InPlace) {
            self.discard();
        }
        match self.seal(digest, claimed) {
            Ok((row, needs_sync)) => Some(Box::new(Store::new(self, row, needs_sync, done))),
            Err(error) => {
                // Whoever hears of it may try again at once.
                drop(self);
                drop(done.send(Err(error)));
                None
            }
        }
    }

    /// It has its name in the tree; the one in staging may be another's by now.
    pub(super) fn has_left_staging(&mut self) {
        self.at_drop = AtDrop::Leave;
    }

    /// Lets what came take the place of what it was copied from, where that is to be. Takes no time.
    pub(super) fn offer(&mut self) {
        let (AtDrop::Offer, Some((theirs, name))) = (&self.at_drop, &self.copied_from) else { return };
        match staging::offer(&self.home.staging, &self.name, (theirs, name), self.written) {
            Ok(true) => self.at_drop = AtDrop::Leave,
            Ok(false) => self.at_drop = AtDrop::Unlink,
            Err(error) => {
                tracing::warn!(name, %error, "what came of an upload is not kept");
                self.at_drop = AtDrop::Unlink;
            }
        }
    }

    /// Gives back what was promised for it; nothing more is written.
    pub(super) fn end_promise(&mut self) {
        self.reservation.end();
    }

    fn seal(&mut self, digest: Digest, claimed: Digest) -> Result<(FileRow, bool), StorageError> {
        if digest != claimed && !sabotage::is(Sabotage::IgnoreDigest) {
            // The prefix may be wrong: whoever resumes it next would fail as well.
            if let Some((theirs, name)) = &self.copied_from {
                staging::give_up(&self.home.staging, theirs, name)?;
            }
            return Err(StorageError::DigestMismatch);
        }
        if let Some(modified) = self.spec.modified {
            set_modified(&self.file, modified)?;
        }
        let needs_sync = self.written <= SYNC_APART_LEN;
        if !needs_sync {
            sync_file(&self.file)?;
        }
        let Found { identity, size, modified_ns, .. } = Found::of(&self.file)?;
        let path = self.spec.path.to_string();
        Ok((FileRow { identity, size, modified_ns, digest, path }, needs_sync))
    }
}

/// Writes to both.
struct Both<'a> {
    hash: &'a mut blake3::Hasher,
    file: &'a mut File,
    reservation: &'a mut Reservation,
}

impl io::Write for Both<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write_all(data)?;
        self.reservation.written(data.len() as u64);
        self.hash.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.offer();
        if self.at_drop == AtDrop::Leave {
            return;
        }
        if let Err(error) = staging::unlink(&self.home.staging, &self.name, AtFlags::empty()) {
            tracing::warn!(name = self.name, %error, "a discarded upload stays in staging until it is next put in order");
        }
    }
}

/// Sets the time of last modification, in milliseconds since 1970-01-01 UTC. Blocks.
pub(super) fn set_modified(file: &File, modified_ms: i64) -> Result<(), StorageError> {
    let modified = Timespec { tv_sec: modified_ms.div_euclid(1000), tv_nsec: modified_ms.rem_euclid(1000) * 1_000_000 };
    Ok(rustix::fs::futimens(file, &Timestamps { last_access: modified, last_modification: modified })?)
}
