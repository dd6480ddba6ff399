//! A directory handle that nothing opened through it can leave.
//!
//! Every open goes through `openat2` with BENEATH | NO_SYMLINKS | NO_MAGICLINKS, so the kernel refuses `..`, absolute
//! paths and links in every component, also one swapped in while it looks. Calls that take a name (rename, unlink,
//! mkdir) open the parent so and use one single component.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use netdisk_model::{Entry, EntryKind, RemotePath, Version};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};

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
    pub(super) fn open_file(&self, path: &RemotePath) -> Result<(OwnedFd, Stat), StorageError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = open_beneath(&self.directory, path.as_relative(), flags)?;
        let stat = rustix::fs::fstat(&file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((file, stat)),
            _ => Err(StorageError::NotAFile),
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
        let stat = match self.open_parent(path) {
            Ok((parent, name)) => stat_in(&parent, name)?,
            Err(StorageError::IsRoot) => rustix::fs::fstat(&self.directory)?,
            Err(error) => return Err(error),
        };
        Ok(entry(path.clone(), &stat))
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

/// What `name` in `directory` is, a link not followed.
pub(super) fn stat_in(directory: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Stat> {
    Ok(rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Describes what was found at `path`.
pub(super) fn entry(path: RemotePath, stat: &Stat) -> Entry {
    let kind = kind(stat);
    let is_file = kind == EntryKind::File;
    Entry {
        path,
        kind,
        size: if is_file { stat.st_size.cast_unsigned() } else { 0 },
        modified: stat.st_mtime.saturating_mul(1000).saturating_add(stat.st_mtime_nsec.cast_signed() / 1_000_000),
        version: is_file.then(|| version(stat)),
    }
}

pub(super) fn kind(stat: &Stat) -> EntryKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        _ => EntryKind::Other,
    }
}

/// A version is (inode, size, ctime in ns). Inodes are used again and mtime is the client's to choose; ctime is the
/// kernel's own, and every write, rename and commit moves it.
pub(super) fn version(stat: &Stat) -> Version {
    let mut hash = blake3::Hasher::new();
    hash.update(&stat.st_ino.to_le_bytes());
    hash.update(&stat.st_size.to_le_bytes());
    hash.update(&stat.st_ctime.to_le_bytes());
    hash.update(&stat.st_ctime_nsec.to_le_bytes());
    let mut number = [0; 8];
    number.copy_from_slice(&hash.finalize().as_bytes()[..8]);
    Version::new(u64::from_be_bytes(number))
}
