//! What there is to send: local trees, walked as fast as it is taken.

use std::fs::ReadDir;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netdisk_model::{EntryKind, RemotePath};
use tokio::runtime::Handle;

use super::put::{PutJob, PutRoot, What};
use super::queue::BATCH_LEN_MAX;
use super::report::{End, Item, LeftOut};
use super::shared::Shared;
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
/// }
/// ```
pub trait Filter: Send + Sync {
    /// Whether a file or directory is wanted; `below` is its path from the root of its tree. What is in a directory that
    /// is not wanted is not asked for.
    fn admits(&self, below: &RemotePath, kind: EntryKind) -> bool;

    /// A directory of this machine is about to be read; next it is asked about what is in it. A root comes with the root
    /// of `below`, and each tree is read to its end before the next begins.
    fn entering(&self, _local: &Path, _below: &RemotePath) {}
}

/// Finds the jobs of some roots and feeds them to the queue. Blocks.
pub(super) struct Walk {
    pub(super) shared: Arc<Shared<PutJob>>,
    pub(super) filter: Option<Arc<dyn Filter>>,
    pub(super) runtime: Handle,
    /// Not fed yet. Directories go before files: they stop the pipeline for a moment.
    pub(super) directories: Vec<PutJob>,
    pub(super) files: Vec<PutJob>,
}

/// Nothing more is wanted.
struct Stopped;

/// A directory that is being read. As many are open as the tree is deep, and a path is at most 64 deep.
struct Level {
    reader: ReadDir,
    remote: RemotePath,
    below: RemotePath,
}

impl Walk {
    pub(super) fn run(mut self, roots: Vec<PutRoot>) {
        for root in roots {
            if self.root(root).is_err() {
                return;
            }
        }
        // Whether they are taken or not, that was all.
        drop(self.feed());
    }

    fn root(&mut self, root: PutRoot) -> Result<(), Stopped> {
        let PutRoot { local, remote } = root;
        match std::fs::metadata(&local) {
            Ok(metadata) if metadata.is_dir() => self.tree(local, remote),
            Ok(_) => self.found(PutJob::new(local, remote, What::File { is_root: true })),
            Err(error) => {
                self.failed(&local, &remote, error);
                Ok(())
            }
        }
    }

    fn tree(&mut self, local: PathBuf, remote: RemotePath) -> Result<(), Stopped> {
        let mut levels = Vec::new();
        levels.extend(self.enter(local, remote, RemotePath::root())?);
        while let Some(level) = levels.last_mut() {
            match level.reader.next() {
                None => drop(levels.pop()),
                Some(Err(error)) => {
                    let remote = level.remote.clone();
                    self.failed(Path::new(remote.as_str()), &remote, error);
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
        entry: &std::fs::DirEntry,
        directory: &RemotePath,
        below: &RemotePath,
    ) -> Result<Option<Level>, Stopped> {
        let local = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            self.failed(&local, directory, io::Error::other("its name is no UTF-8"));
            return Ok(None);
        };
        // A file system that stores names decomposed means the same name.
        let remote = match directory.resolve(name) {
            Ok(remote) => remote,
            Err(error) => {
                let error = ClientError::BadPath { name: local.display().to_string(), error };
                self.shared.report.end(Item { local: &local, remote: directory }, &End::Failed(error));
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
        let Ok(below) = below.resolve(name) else { return Ok(None) };
        if self.filter.as_ref().is_some_and(|filter| !filter.admits(&below, entry_kind)) {
            return Ok(None);
        }
        match entry_kind {
            EntryKind::Directory => return self.enter(local, remote, below),
            EntryKind::File => self.found(PutJob::new(local, remote, What::File { is_root: false }))?,
            EntryKind::Other => {
                let why = if kind.is_symlink() { LeftOut::Link } else { LeftOut::Special };
                self.shared.report.end(Item { local: &local, remote: &remote }, &End::LeftOut(why));
            }
        }
        Ok(None)
    }

    /// Begins to read a directory, which is a job of its own.
    fn enter(&mut self, local: PathBuf, remote: RemotePath, below: RemotePath) -> Result<Option<Level>, Stopped> {
        let reader = std::fs::read_dir(&local);
        match reader {
            Ok(reader) => {
                if let Some(filter) = &self.filter {
                    filter.entering(&local, &below);
                }
                self.found(PutJob::new(local, remote.clone(), What::Directory))?;
                Ok(Some(Level { reader, remote, below }))
            }
            Err(error) => {
                self.failed(&local, &remote, error);
                Ok(None)
            }
        }
    }

    fn found(&mut self, job: PutJob) -> Result<(), Stopped> {
        let jobs = if job.what == What::Directory { &mut self.directories } else { &mut self.files };
        jobs.push(job);
        if self.directories.len() + self.files.len() >= BATCH_LEN_MAX { self.feed() } else { Ok(()) }
    }

    fn feed(&mut self) -> Result<(), Stopped> {
        let mut jobs = std::mem::take(&mut self.directories);
        jobs.append(&mut self.files);
        let is_wanted = self.runtime.block_on(self.shared.queue.feed(jobs));
        if is_wanted { Ok(()) } else { Err(Stopped) }
    }

    fn failed(&self, local: &Path, remote: &RemotePath, error: io::Error) {
        let failed = End::Failed(ClientError::local(local)(error));
        self.shared.report.end(Item { local, remote }, &failed);
    }
}
