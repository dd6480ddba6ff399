//! The change that gives a staged file its name.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use netdisk_model::{EntryKind, RemotePath};
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::committer::Change;
use super::home::HomeState;
use super::identity::{Found, Identity};
use super::ledger::{FileRow, Ledger};
use super::meter::Reservation;
use super::parents::{Directory, Parents};
use super::sabotage::{self, Sabotage};
use super::staged::{Done, Staged};
use super::staging::{self, Kind};
use super::sync::sync_file;
use crate::error::StorageError;
use crate::home::{Existing, Stored, UploadSpec};

/// Gives a staged file its name.
pub(super) struct Store {
    staged: Box<Staged>,
    row: FileRow,
    needs_sync: bool,
    parent: Option<Directory>,
    /// The file that stands there, as it was when the change was prepared.
    replaced: Option<Found>,
    /// Where that one lies in staging.
    grave: Option<String>,
    done: Done,
}

impl Store {
    /// A file whose content is whole; `needs_sync` where that is not on the disk yet.
    pub(super) fn new(staged: Box<Staged>, row: FileRow, needs_sync: bool, done: Done) -> Self {
        Self { staged, row, needs_sync, parent: None, replaced: None, grave: None, done }
    }
}

impl Change for Store {
    fn home(&self) -> &Arc<HomeState> {
        &self.staged.home
    }

    fn target(&self) -> Option<&RemotePath> {
        Some(&self.staged.spec.path)
    }

    fn prepare(&mut self, parents: &mut Parents) -> Result<(), StorageError> {
        let (parent, name) = parents.open_target(&self.staged.home, &self.staged.spec.path)?;
        self.replaced = look_at_target(&parent, name, self.staged.spec.existing)?;
        self.parent = Some(parent);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        if std::mem::take(&mut self.needs_sync) {
            sync_file(&self.staged.file)?;
        }
        Ok(())
    }

    fn recorded(&self) -> Option<Identity> {
        Some(self.row.identity)
    }

    fn record(&mut self, ledger: &mut Ledger<'_>) -> Result<(), StorageError> {
        let user = self.staged.home.meter.user();
        let replaced = match self.replaced {
            Some(found) => ledger.counted(user, found.identity)?,
            None => None,
        };
        ledger.check_quota(user, self.row.size, replaced)?;
        ledger.remember(user, &self.row)
    }

    fn reservation(&mut self) -> Option<&mut Reservation> {
        Some(&mut self.staged.reservation)
    }

    fn perform(&mut self) -> Result<Vec<Directory>, StorageError> {
        let parent = self.parent.take().ok_or(StorageError::NotFound)?;
        if sabotage::is(Sabotage::InPlace) {
            return Ok(vec![parent]);
        }
        let Staged { home, name, spec, .. } = &*self.staged;
        let target = spec.path.name().ok_or(StorageError::NotAFile)?;
        let flags = match self.replaced {
            Some(_) => RenameFlags::empty(),
            None => RenameFlags::NOREPLACE,
        };
        // By name, so it must be the name of this file: it is locked, but a hand may have been in there.
        if Found::at(&home.staging, name.as_str())?.identity != self.row.identity {
            return Err(StorageError::Changed);
        }
        if self.replaced.is_some() {
            self.grave = home.link_to_staging(&parent, target)?;
        }
        let renamed = rustix::fs::renameat_with(&home.staging, name, &parent, target, flags);
        if let Err(error) = renamed {
            if let Some(grave) = self.grave.take() {
                staging::unlink(&home.staging, grave, AtFlags::empty())?;
            }
            return Err(error.into());
        }
        self.staged.has_left_staging();
        Ok(vec![parent])
    }

    fn grave(&mut self) -> Option<String> {
        self.grave.take()
    }

    fn lost(&self) -> Option<Identity> {
        self.replaced.filter(|replaced| self.grave.is_none() && replaced.links <= 1).map(|replaced| replaced.identity)
    }

    fn answer(self: Box<Self>, outcome: Result<(), StorageError>) {
        let FileRow { size, digest, .. } = self.row;
        let stored = outcome.map(|()| Stored { size, digest, version: self.row.version() });
        let Self { mut staged, done, .. } = *self;
        staged.end_promise();
        if stored.is_err() {
            // Unlinking a large file takes its time, and others wait for their acknowledgements.
            tokio::task::spawn_blocking(move || drop(staged));
        }
        // Whoever asked may have gone.
        drop(done.send(stored));
    }
}

impl HomeState {
    /// Gives what is about to be replaced a name in staging, so that its row is forgotten whatever happens. `None` where
    /// that cannot be: the file is somebody else's, or has as many names as it may.
    pub(super) fn link_to_staging(&self, parent: impl AsFd, name: &str) -> Result<Option<String>, StorageError> {
        let grave = self.run.fresh(Kind::Grave);
        match rustix::fs::linkat(parent, name, &self.staging, &grave, AtFlags::empty()) {
            Ok(()) => Ok(Some(grave)),
            Err(Errno::PERM | Errno::MLINK | Errno::NOENT | Errno::NOTSUP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Refuses what the commit would refuse, before a body has travelled for nothing. Gives the size of a file that is to
/// be replaced.
pub(super) fn check_target(
    home: &HomeState,
    spec: &UploadSpec,
    parents: &mut Parents,
) -> Result<Option<u64>, StorageError> {
    let (parent, name) = parents.open_target(home, &spec.path)?;
    Ok(look_at_target(&parent, name, spec.existing)?.map(|found| found.size))
}

/// What stands where a file is to stand: nothing, or a file that may be replaced.
fn look_at_target(parent: &Directory, name: &str, existing: Existing) -> Result<Option<Found>, StorageError> {
    match Found::at(parent, name) {
        Ok(found) if found.kind != EntryKind::File => Err(StorageError::NotAFile),
        Ok(_) if existing == Existing::Refuse => Err(StorageError::Exists),
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
