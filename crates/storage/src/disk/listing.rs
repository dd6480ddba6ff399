//! A listing on disk, read in batches and depth first: a million entries need no more memory than ten, and a tree one
//! open directory a level.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use async_trait::async_trait;
use netdisk_model::{Entry, EntryKind, RemotePath};
use rustix::fs::Dir;
use tokio::task::JoinHandle;

use super::home::HomeState;
use super::identity::Found;
use crate::door::{Door, finish};
use crate::error::StorageError;
use crate::home::{Depth, Listing};

/// Entries looked at in one step through the door: a few milliseconds of work.
const BATCH_LEN: usize = 512;

/// A listing under way, one batch ahead of its caller.
pub(super) struct DiskListing {
    door: Door,
    state: State,
    skipped: u64,
}

enum State {
    Read(Step),
    Reading(JoinHandle<Result<Step, StorageError>>),
    /// The end was reached, or a failure reported.
    Over,
}

/// A batch, and the way on behind it.
type Step = (Walk, Vec<Entry>);

/// The way through a directory or a tree.
pub(super) struct Walk {
    home: Arc<HomeState>,
    depth: Depth,
    /// The directories that are being read, each in the one before it.
    open: Vec<(RemotePath, Dir)>,
    skipped: u64,
}

impl DiskListing {
    /// Opens the directory and reads the first batch. Blocks.
    pub(super) fn begin(
        home: Arc<HomeState>,
        path: RemotePath,
        depth: Depth,
    ) -> Result<Box<dyn Listing>, StorageError> {
        let door = home.door.clone();
        let step = Walk::begin(home, path, depth)?.step()?;
        Ok(Box::new(Self { door, state: State::Read(step), skipped: 0 }))
    }
}

#[async_trait]
impl Listing for DiskListing {
    async fn next_batch(&mut self) -> Result<Vec<Entry>, StorageError> {
        let (walk, batch) = match std::mem::replace(&mut self.state, State::Over) {
            State::Read(step) => step,
            State::Reading(step) => finish(step).await?,
            State::Over => return Ok(Vec::new()),
        };
        self.skipped = walk.skipped;
        if !walk.is_over() {
            self.state = State::Reading(self.door.start(move || walk.step()).await);
        }
        Ok(batch)
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}

impl Walk {
    /// Opens the directory. Blocks.
    pub(super) fn begin(home: Arc<HomeState>, path: RemotePath, depth: Depth) -> Result<Self, StorageError> {
        let opened = Dir::new(home.files.open_directory(&path).map_err(|error| match error {
            // A link or a device where a directory should be.
            StorageError::NotAFile => StorageError::NotADirectory,
            error => error,
        })?)?;
        Ok(Self { home, depth, open: vec![(path, opened)], skipped: 0 })
    }

    /// Goes on by one batch. Blocks.
    fn step(mut self) -> Result<Step, StorageError> {
        let batch = self.next_batch()?;
        Ok((self, batch))
    }

    /// Whether there is nothing behind the last batch.
    fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    /// The next entries; empty at the end. Blocks.
    pub(super) fn next_batch(&mut self) -> Result<Vec<Entry>, StorageError> {
        let mut batch = Vec::new();
        while batch.len() < BATCH_LEN {
            let Some((path, directory)) = self.open.last_mut() else { break };
            let Some(found) = directory.read() else {
                self.open.pop();
                continue;
            };
            let found = found?;
            let name = found.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Some(path) = name.to_str().ok().and_then(|name| path.join(name).ok()) else {
                self.skipped += 1;
                continue;
            };
            let found = match Found::at(directory.fd()?.as_fd(), name) {
                Ok(found) => found,
                // Removed since it was read.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            let entry = found.entry(path);
            if entry.kind == EntryKind::Directory && self.depth == Depth::Tree {
                self.enter(&entry.path)?;
            }
            batch.push(entry);
        }
        Ok(batch)
    }

    fn enter(&mut self, path: &RemotePath) -> Result<(), StorageError> {
        match self.home.files.open_directory(path) {
            Ok(directory) => self.open.push((path.clone(), Dir::new(directory)?)),
            // Removed or replaced since it was listed.
            Err(StorageError::NotFound | StorageError::NotADirectory | StorageError::NotAFile) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
