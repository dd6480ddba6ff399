//! What uploads under way have been promised: of an account's quota, and of the disk.
//!
//! A promise is made when an upload begins, so that two uploads cannot both take the last bytes, and given back when it
//! ends. It needs no row: it ends with the process, as the upload does.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netdisk_model::{Usage, UserName};

use super::database::Database;
use super::ledger::check;
use super::people::usage;
use crate::error::StorageError;

/// How long what the database says is believed: so long a quota that somebody sets may take to hold.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// The bytes of the disk that are spoken for, and those that nobody gets.
#[derive(Debug)]
pub(super) struct DiskSpace {
    min_free: u64,
    /// Promised and not yet written.
    promised: AtomicU64,
}

impl DiskSpace {
    pub(super) fn new(min_free: u64) -> Self {
        Self { min_free, promised: AtomicU64::new(0) }
    }

    /// Promises bytes of the file system that `directory` is on.
    fn promise(&self, directory: impl AsFd, bytes: u64) -> Result<(), StorageError> {
        let disk = rustix::fs::fstatvfs(directory)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let needed = |promised: u64| promised.saturating_add(bytes).saturating_add(self.min_free);
        // At one stroke: what is too much is never seen by others.
        let promise = |promised| (bytes == 0 || needed(promised) <= free).then(|| promised + bytes);
        match self.promised.fetch_update(Ordering::Relaxed, Ordering::Relaxed, promise) {
            Ok(_) => Ok(()),
            Err(promised) => Err(StorageError::Full { missing: Some(needed(promised) - free) }),
        }
    }

    /// Ends a promise: the bytes are written, or not needed.
    fn keep(&self, bytes: u64) {
        self.promised.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The quota of one account while its home is open.
#[derive(Debug)]
pub(super) struct Meter {
    user: UserName,
    database: Database,
    space: Arc<DiskSpace>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    usage: Usage,
    read_at: Option<Instant>,
    /// Counts the transactions of this process that changed it.
    settled: u64,
    /// Promised to uploads under way.
    bytes: u64,
    files: u64,
}

impl State {
    fn end(&mut self, room: Room) {
        self.bytes -= room.growth;
        self.files -= room.files;
    }
}

/// How much room something takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    /// Bytes by which the account grows.
    pub(super) growth: u64,
    /// Files by which it grows.
    pub(super) files: u64,
    /// Bytes that are yet to be written to the disk.
    pub(super) unwritten: u64,
}

impl Meter {
    pub(super) fn new(user: UserName, database: Database, space: Arc<DiskSpace>) -> Self {
        Self { user, database, space, state: Mutex::default() }
    }

    pub(super) fn user(&self) -> &UserName {
        &self.user
    }

    /// Promises room for something on the file system of `directory`. Blocks.
    pub(super) fn reserve(self: &Arc<Self>, directory: impl AsFd, room: Room) -> Result<Reservation, StorageError> {
        let mut reservation = Reservation { meter: self.clone(), room: Room::default() };
        reservation.grow(directory, room)?;
        Ok(reservation)
    }

    /// What the account uses now, without what is promised. Blocks.
    pub(super) fn usage(&self) -> Result<Usage, StorageError> {
        Ok(self.state(Duration::ZERO)?.usage)
    }

    /// Takes over what a transaction wrote that is committed now: the reservations for it end at the same moment, so
    /// that nothing is counted twice or not at all.
    pub(super) fn settle<'a>(&self, usage: Usage, ended: impl Iterator<Item = &'a mut Reservation>) {
        let mut state = self.lock();
        state.usage = usage;
        state.read_at = Some(Instant::now());
        state.settled += 1;
        for reservation in ended {
            let room = std::mem::take(&mut reservation.room);
            if std::ptr::eq(&*reservation.meter, self) {
                state.end(room);
            } else {
                // Of the same user, from before the home was opened anew.
                reservation.meter.lock().end(room);
            }
            self.space.keep(room.unwritten);
        }
    }

    /// Forgets what the database said: it may not be so.
    pub(super) fn doubt(&self) {
        self.lock().read_at = None;
    }

    fn state(&self, age_max: Duration) -> Result<MutexGuard<'_, State>, StorageError> {
        let state = self.lock();
        if state.read_at.is_some_and(|read_at| read_at.elapsed() < age_max) {
            return Ok(state);
        }
        let settled = state.settled;
        drop(state);
        // Not under the lock: a transaction may take its time.
        let usage = self.database.read_blocking(|connection| usage(connection, &self.user))?;
        let mut state = self.lock();
        // What was settled meanwhile is newer.
        if state.settled == settled {
            state.usage = usage;
            state.read_at = Some(Instant::now());
        }
        Ok(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that is promised until this is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    meter: Arc<Meter>,
    room: Room,
}

impl Reservation {
    /// Promises more. Blocks.
    pub(super) fn grow(&mut self, directory: impl AsFd, more: Room) -> Result<(), StorageError> {
        let mut state = self.meter.state(BELIEVED_FOR)?;
        let mut used = state.usage;
        used.bytes = used.bytes.saturating_add(state.bytes);
        used.files = used.files.saturating_add(state.files);
        check(&used, more.growth, more.files)?;
        self.meter.space.promise(directory, more.unwritten)?;
        state.bytes += more.growth;
        state.files += more.files;
        self.room.growth += more.growth;
        self.room.files += more.files;
        self.room.unwritten += more.unwritten;
        Ok(())
    }

    /// Bytes that are promised and not on the disk yet.
    #[cfg(test)]
    pub(super) fn unwritten(&self) -> u64 {
        self.room.unwritten
    }

    /// Bytes that were promised are on the disk now.
    pub(super) fn written(&mut self, bytes: u64) {
        let bytes = bytes.min(self.room.unwritten);
        self.room.unwritten -= bytes;
        self.meter.space.keep(bytes);
    }

    /// Takes as much as is needed out of the promise, to end by itself; what is lacking is promised anew. Blocks.
    pub(super) fn take(&mut self, directory: impl AsFd, needed: Room) -> Result<Self, StorageError> {
        let part = Room {
            growth: self.room.growth.min(needed.growth),
            files: self.room.files.min(needed.files),
            unwritten: self.room.unwritten.min(needed.unwritten),
        };
        self.room.growth -= part.growth;
        self.room.files -= part.files;
        self.room.unwritten -= part.unwritten;
        let mut taken = Self { meter: self.meter.clone(), room: part };
        let lacking = Room {
            growth: needed.growth - part.growth,
            files: needed.files - part.files,
            unwritten: needed.unwritten - part.unwritten,
        };
        if lacking.growth > 0 || lacking.files > 0 || lacking.unwritten > 0 {
            taken.grow(directory, lacking)?;
        }
        Ok(taken)
    }

    /// Ends the promise: what it was for is counted, or is not to be.
    pub(super) fn end(&mut self) {
        let room = std::mem::take(&mut self.room);
        self.meter.lock().end(room);
        self.meter.space.keep(room.unwritten);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end();
    }
}
