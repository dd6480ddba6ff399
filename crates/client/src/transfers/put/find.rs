//! Finds what there is to send and feeds it to the queue; and counts it, for who wants to know how much there is.

use std::path::PathBuf;
use std::sync::Arc;

use netdisk_model::RemotePath;
use tokio::runtime::Handle;

use super::{PutJob, What};
use crate::transfers::queue::BATCH_LEN_MAX;
use crate::transfers::report::{End, Item};
use crate::transfers::shared::Shared;
use crate::transfers::walk::{Stopped, Visit};

/// Files after which whoever watches is told how many there are so far.
const TOLD_AFTER: u64 = 256;

/// Feeds jobs in batches. Directories go before files in each: they stop the pipeline for a moment.
pub(super) struct Feed {
    shared: Arc<Shared<PutJob>>,
    runtime: Handle,
    directories: Vec<PutJob>,
    files: Vec<PutJob>,
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared<PutJob>>) -> Self {
        Self { shared, runtime: Handle::current(), directories: Vec::new(), files: Vec::new() }
    }

    fn took_one(&mut self) -> Result<(), Stopped> {
        if self.directories.len() + self.files.len() >= BATCH_LEN_MAX { self.flush() } else { Ok(()) }
    }

    /// Feeds what is left.
    pub(super) fn flush(&mut self) -> Result<(), Stopped> {
        let mut jobs = std::mem::take(&mut self.directories);
        jobs.append(&mut self.files);
        let is_wanted = self.runtime.block_on(self.shared.queue.feed(jobs));
        if is_wanted { Ok(()) } else { Err(Stopped) }
    }
}

impl Visit for Feed {
    fn directory(&mut self, local: PathBuf, remote: RemotePath) -> Result<(), Stopped> {
        self.directories.push(PutJob::new(local, remote, What::Directory));
        self.took_one()
    }

    fn file(&mut self, local: PathBuf, remote: RemotePath, is_root: bool) -> Result<(), Stopped> {
        self.files.push(PutJob::new(local, remote, What::File { is_root }));
        self.took_one()
    }

    fn end(&mut self, item: Item<'_>, end: End) {
        self.shared.report.end(item, &end);
    }
}

/// Counts files and their bytes.
pub(super) struct Count {
    shared: Arc<Shared<PutJob>>,
    files: u64,
    bytes: u64,
}

impl Count {
    pub(super) fn new(shared: Arc<Shared<PutJob>>) -> Self {
        Self { shared, files: 0, bytes: 0 }
    }

    /// Tells what was counted since the last time.
    pub(super) fn tell(&mut self) {
        self.shared.report.observer.found(self.files, self.bytes);
        (self.files, self.bytes) = (0, 0);
    }
}

impl Visit for Count {
    fn directory(&mut self, _local: PathBuf, _remote: RemotePath) -> Result<(), Stopped> {
        Ok(())
    }

    fn file(&mut self, local: PathBuf, _remote: RemotePath, is_root: bool) -> Result<(), Stopped> {
        if self.shared.queue.is_stopped() {
            return Err(Stopped);
        }
        let metadata = if is_root { std::fs::metadata(&local) } else { std::fs::symlink_metadata(&local) };
        self.files += 1;
        // What cannot be asked fails later, and is said then.
        self.bytes += metadata.map_or(0, |metadata| metadata.len());
        if self.files == TOLD_AFTER {
            self.tell();
        }
        Ok(())
    }

    fn end(&mut self, _item: Item<'_>, _end: End) {}
}
