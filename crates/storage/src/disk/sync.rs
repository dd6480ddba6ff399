//! Seeing files and names onto the disk: the two calls that everything acknowledged has behind it.

use std::io;
use std::os::fd::AsFd;

use super::sabotage::{self, Sabotage};

/// Waits until what was written to a file is on the disk. Blocks.
///
/// A failure is never tried again: the kernel may have dropped the pages, and say yes the second time.
pub(super) fn sync_file(file: impl AsFd) -> io::Result<()> {
    if sabotage::is(Sabotage::NoFileSync) {
        return Ok(());
    }
    sync(file)
}

/// Waits until the names in a directory are on the disk. Blocks.
pub(super) fn sync_directory(directory: impl AsFd) -> io::Result<()> {
    if sabotage::is(Sabotage::NoDirectorySync) {
        return Ok(());
    }
    sync(directory)
}

fn sync(fd: impl AsFd) -> io::Result<()> {
    let synced = rustix::fs::fsync(fd);
    if sabotage::is(Sabotage::IgnoreSyncError) {
        return Ok(());
    }
    Ok(synced?)
}
