//! Local trees, walked: to find what there is to send, as fast as it is taken, and to count it. All of it blocks.

use std::fs::{DirEntry, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

use netdisk_model::{EntryKind, RemotePath};

use super::put::PutRoot;
use super::report::{End, Item, LeftOut};
use crate::error::ClientError;

/// What of a tree is wanted.
///
/// ```
/// use netdisk_model::{EntryKind, RemotePath};
///
/// struct NoBackups;
///
/// impl netdisk_client::Filter for NoBackups {
///     fn admits(&self, below: &RemotePath, _kind: EntryKind) -> bool {
///         !below.as_str().ends_with('~')
///     }
///
///     fn for_another_walk(&self) -> Box<dyn netdisk_client::Filter> {
///         Box::new(Self)
///     }
/// }
/// ```
pub trait Filter: Send + Sync {
    /// Whether a file or directory is wanted; `below` is its path from the root of its tree. What is in a directory that
    /// is not wanted is not asked for.
    fn admits(&self, below: &RemotePath, kind: EntryKind) -> bool;

    /// A directory of this machine is about to be read; next it is asked about what is in it. A root comes with the root
    /// of `below`, and each tree is read to its end before the next begins.
    fn entering(&mut self, _local: &Path, _below: &RemotePath) {}

    /// The same rules, with nothing entered. Where totals are wanted a tree is walked twice at the same time, and what one
    /// walk enters is not what the other reads.
    fn for_another_walk(&self) -> Box<dyn Filter>;
}

/// Somebody who is shown what is in a tree, a directory before what is in it.
pub(super) trait Visit {
    fn directory(&mut self, local: PathBuf, remote: RemotePath) -> Result<(), Stopped>;

    /// A file; `is_root` when a person named it.
    fn file(&mut self, local: PathBuf, remote: RemotePath, is_root: bool) -> Result<(), Stopped>;

    /// What is neither, or cannot be read.
    fn end(&mut self, item: Item<'_>, end: End);
}

/// Nothing more is wanted.
pub(super) struct Stopped;

/// Shows some roots to a visitor.
pub(super) struct Walk<V> {
    pub(super) filter: Option<Box<dyn Filter>>,
    pub(super) visit: V,
}

/// A directory that is being read. As many are open as the tree is deep, and a path is at most 64 deep.
struct Level {
    reader: ReadDir,
    local: PathBuf,
    remote: RemotePath,
    below: RemotePath,
}

impl<V: Visit> Walk<V> {
    pub(super) fn run(&mut self, roots: Vec<PutRoot>) -> Result<(), Stopped> {
        for PutRoot { local, remote } in roots {
            match std::fs::metadata(&local) {
                Ok(metadata) if metadata.is_dir() => self.tree(local, remote)?,
                Ok(_) => self.visit.file(local, remote, true)?,
                Err(error) => self.failed(&local, &remote, error),
            }
        }
        Ok(())
    }

    fn tree(&mut self, local: PathBuf, remote: RemotePath) -> Result<(), Stopped> {
        let mut levels = Vec::from_iter(self.enter(local, remote, RemotePath::root())?);
        while let Some(level) = levels.last_mut() {
            match level.reader.next() {
                None => drop(levels.pop()),
                Some(Err(error)) => {
                    let (local, remote) = (level.local.clone(), level.remote.clone());
                    levels.pop();
                    self.failed(&local, &remote, error);
                }
                Some(Ok(entry)) => {
                    let (remote, below) = (level.remote.clone(), level.below.clone());
                    levels.extend(self.entry(&entry, &remote, &below)?);
                }
            }
        }
        Ok(())
    }

    /// Takes one entry of a directory; gives the level below it, where there is one.
    fn entry(
        &mut self,
        entry: &DirEntry,
        directory: &RemotePath,
        below: &RemotePath,
    ) -> Result<Option<Level>, Stopped> {
        let local = entry.path();
        let (name, remote) = match name_of(entry, directory) {
            Ok(named) => named,
            Err(error) => {
                self.visit.end(Item { local: &local, remote: directory }, End::Failed(error));
                return Ok(None);
            }
        };
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => {
                self.failed(&local, &remote, error);
                return Ok(None);
            }
        };
        let entry_kind = match (kind.is_dir(), kind.is_file()) {
            (true, _) => EntryKind::Directory,
            (_, true) => EntryKind::File,
            _ => EntryKind::Other,
        };
        // It is shorter than its path on the server, which is a good one.
        let Ok(below) = below.resolve(&name) else { return Ok(None) };
        if self.filter.as_ref().is_some_and(|filter| !filter.admits(&below, entry_kind)) {
            return Ok(None);
        }
        match entry_kind {
            EntryKind::Directory => return self.enter(local, remote, below),
            EntryKind::File => self.visit.file(local, remote, false)?,
            EntryKind::Other => {
                let why = if kind.is_symlink() { LeftOut::Link } else { LeftOut::Special };
                self.visit.end(Item { local: &local, remote: &remote }, End::LeftOut(why));
            }
        }
        Ok(None)
    }

    /// Begins to read a directory.
    fn enter(&mut self, local: PathBuf, remote: RemotePath, below: RemotePath) -> Result<Option<Level>, Stopped> {
        match std::fs::read_dir(&local) {
            Ok(reader) => {
                if let Some(filter) = &mut self.filter {
                    filter.entering(&local, &below);
                }
                self.visit.directory(local.clone(), remote.clone())?;
                Ok(Some(Level { reader, local, remote, below }))
            }
            Err(error) => {
                self.failed(&local, &remote, error);
                Ok(None)
            }
        }
    }

    fn failed(&mut self, local: &Path, remote: &RemotePath, error: io::Error) {
        self.visit.end(Item { local, remote }, End::Failed(ClientError::local(local)(error)));
    }
}

/// The name of an entry, and its path on the server.
fn name_of(entry: &DirEntry, directory: &RemotePath) -> Result<(String, RemotePath), ClientError> {
    let local = entry.path();
    let Ok(name) = entry.file_name().into_string() else {
        return Err(ClientError::local(&local)(io::Error::other("its name is no UTF-8")));
    };
    // A file system that stores names decomposed means the same name.
    match directory.resolve(&name) {
        Ok(remote) => Ok((name, remote)),
        Err(error) => Err(ClientError::BadPath { name: local.display().to_string(), error }),
    }
}
