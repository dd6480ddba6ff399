//! The lock by which a backup in another process makes all trees stand still for a moment.
//!
//! The kernel lets those who share a lock pass whoever waits to have it alone, so a busy server would let no backup in. So
//! both take a turnstile first: whoever wants the lock alone holds it while they wait.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::private_file;
use crate::error::StorageError;

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

    /// Waits until nobody has it alone. Blocks.
    pub(super) fn share(&self) -> io::Result<()> {
        self.take(FlockOperation::LockShared)
    }

    /// Waits until nobody has it. Blocks.
    pub(super) fn take_alone(&self) -> io::Result<()> {
        self.take(FlockOperation::LockExclusive)
    }

    fn take(&self, operation: FlockOperation) -> io::Result<()> {
        flock(&self.turnstile, FlockOperation::LockExclusive)?;
        let taken = flock(&self.lock, operation);
        flock(&self.turnstile, FlockOperation::Unlock)?;
        Ok(taken?)
    }

    pub(super) fn unlock(&self) -> io::Result<()> {
        Ok(flock(&self.lock, FlockOperation::Unlock)?)
    }
}
