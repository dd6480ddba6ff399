//! A directory handle that nothing opened through it can leave.
//!
//! Every open goes through `openat2` with BENEATH | NO_SYMLINKS | NO_MAGICLINKS, so the kernel refuses `..`, absolute
//! paths and links in every component, also one swapped in while it looks. Calls that take a name (rename, unlink,
//! mkdir) open the parent so and use one single component.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use netdisk_model::{Entry, EntryKind, RemotePath};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use super::identity::Found;
use crate::error::StorageError;

/// Directories and files are their owner's alone.
pub(super) const DIRECTORY_MODE: Mode = Mode::RWXU;
pub(super) const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

#[derive(Debug)]
pub(super) struct Confined {
    directory: OwnedFd,
}

impl Confined {
    /// Opens the root. Its own path is the operator's and trusted.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        Ok(Self { directory: rustix::fs::openat(CWD, root, DIRECTORY, Mode::empty())? })
    }

    /// Opens the directory `name` in `directory` as a root.
    pub(super) fn open_in(directory: impl AsFd, name: &str) -> Result<Self, StorageError> {
        Ok(Self { directory: open_beneath(directory, name, DIRECTORY)? })
    }

    /// Says before anything else what a kernel older than Linux 5.6, or a sandbox that forbids `openat2`, lacks.
    pub(super) fn probe(directory: &Path) -> io::Result<()> {
        let outcome = Self::open(directory).and_then(|confined| open_beneath(&confined, ".", DIRECTORY));
        outcome.map(drop).map_err(|error| io::Error::new(error.kind(), format!("openat2 does not work here: {error}")))
    }

    /// Opens a directory for reading, syncing and calls relative to it.
    pub(super) fn open_directory(&self, path: &RemotePath) -> Result<OwnedFd, StorageError> {
        Ok(open_beneath(&self.directory, path.as_relative(), DIRECTORY)?)
    }

    /// Opens a regular file for reading. What is no regular file is opened without waiting and refused.
    pub(super) fn open_file(&self, path: &RemotePath) -> Result<(OwnedFd, Found), StorageError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = open_beneath(&self.directory, path.as_relative(), flags)?;
        let found = Found::of(&file)?;
        match found.kind {
            EntryKind::File => Ok((file, found)),
            EntryKind::Directory | EntryKind::Other => Err(StorageError::NotAFile),
        }
    }

    /// Opens the parent of `path` and names the last component in it; [`StorageError::IsRoot`] for the root.
    pub(super) fn open_parent<'path>(&self, path: &'path RemotePath) -> Result<(OwnedFd, &'path str), StorageError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(StorageError::IsRoot);
        };
        Ok((self.open_directory(&parent)?, name))
    }

    /// What stands at `path`, links not followed.
    pub(super) fn stat(&self, path: &RemotePath) -> Result<Entry, StorageError> {
        let found = match self.open_parent(path) {
            Ok((parent, name)) => Found::at(&parent, name)?,
            Err(StorageError::IsRoot) => Found::of(&self.directory)?,
            Err(error) => return Err(error),
        };
        Ok(found.entry(path.clone()))
    }
}

impl AsFd for Confined {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Opens `path` below `directory`, no link followed anywhere.
fn open_beneath(directory: impl AsFd, path: impl rustix::path::Arg + Copy, flags: OFlags) -> io::Result<OwnedFd> {
    loop {
        match rustix::fs::openat2(&directory, path, flags, Mode::empty(), RESOLVE) {
            // The kernel could not tell whether a rename elsewhere led out; the answer may be another next time.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            outcome => return Ok(outcome?),
        }
    }
}

/// Opens the directory `name` in `directory`.
pub(super) fn open_directory_in(directory: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    open_beneath(directory, name, DIRECTORY)
}
