//! The lock by which a backup in another process makes all trees stand still for a moment.
//!
//! The kernel lets those who share a lock pass whoever waits to have it alone, so a busy server would let no backup in. So
//! both take a turnstile first: whoever wants the lock alone holds it while they wait.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::private_file;
use super::staging::Run;
use crate::error::StorageError;

/// How often changes that wait for a backup look whether it is done: it takes some milliseconds and more.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(super) struct Freeze {
    turnstile: File,
    lock: File,
}

impl Freeze {
    /// Opens the lock of the store in `data`. Blocks.
    pub(super) fn open(data: &Path) -> Result<Self, StorageError> {
        Ok(Self {
            turnstile: private_file(&data.join("changes.turn"))?,
            lock: private_file(&data.join("changes.lock"))?,
        })
    }

    /// Waits until nobody has it alone, or the store is being closed: a backup that hangs must not keep a server from
    /// stopping. Blocks.
    pub(super) fn share(&self, run: &Run) -> io::Result<()> {
        while !self.try_share()? {
            if run.is_closing() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            std::thread::park_timeout(LOOK_INTERVAL);
        }
        Ok(())
    }

    fn try_share(&self) -> io::Result<bool> {
        if !is_taken(flock(&self.turnstile, FlockOperation::NonBlockingLockExclusive))? {
            return Ok(false);
        }
        let taken = is_taken(flock(&self.lock, FlockOperation::NonBlockingLockShared));
        flock(&self.turnstile, FlockOperation::Unlock)?;
        taken
    }

    /// Waits until nobody has it. Blocks.
    pub(super) fn take_alone(&self) -> io::Result<()> {
        flock(&self.turnstile, FlockOperation::LockExclusive)?;
        let taken = flock(&self.lock, FlockOperation::LockExclusive);
        flock(&self.turnstile, FlockOperation::Unlock)?;
        Ok(taken?)
    }

    pub(super) fn unlock(&self) -> io::Result<()> {
        Ok(flock(&self.lock, FlockOperation::Unlock)?)
    }
}

/// Whether a lock was taken that somebody else may have.
fn is_taken(taken: Result<(), Errno>) -> io::Result<bool> {
    match taken {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
