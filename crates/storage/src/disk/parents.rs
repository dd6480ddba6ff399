//! The directories that a group of changes needs: each opened once, and synced once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use netdisk_model::{RemotePath, UserName};

use super::home::HomeState;
use super::identity::{Found, Identity};
use crate::error::StorageError;

/// An open directory.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    fd: Arc<OwnedFd>,
    pub(super) identity: Identity,
}

impl Directory {
    /// Blocks.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let identity = Found::of(&fd)?.identity;
        Ok(Self { fd: Arc::new(fd), identity })
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The directories in which files are to stand. Good while no directory gets another name, as within a group of changes;
/// for longer only to look at what stands there.
#[derive(Debug, Default)]
pub(super) struct Parents {
    open: HashMap<(UserName, RemotePath), Directory>,
}

impl Parents {
    /// Opens the parent of a path at which a file is to stand, and names the last component in it. Blocks.
    pub(super) fn open_target<'path>(
        &mut self,
        home: &HomeState,
        path: &'path RemotePath,
    ) -> Result<(Directory, &'path str), StorageError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(StorageError::NotAFile);
        };
        let directory = match self.open.entry((home.meter.user().clone(), parent)) {
            Entry::Occupied(open) => open.get().clone(),
            Entry::Vacant(vacant) => {
                let opened = home.files.open_directory(&vacant.key().1)?;
                vacant.insert(Directory::new(opened)?).clone()
            }
        };
        Ok((directory, name))
    }
}
