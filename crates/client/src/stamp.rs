//! What the file system says of a local file: by it a change is noticed, and an interrupted upload found again.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use netdisk_model::ResumeKey;
use rustix::fs::OFlags;

/// Whoever writes into a file, or puts another in its place, moves its inode, size or one of its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    file: [u64; 2],
    times: [i64; 4],
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            file: [metadata.dev(), metadata.ino()],
            times: [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()],
        }
    }

    /// A name for the content, by which an interrupted upload of it is found again.
    pub(crate) fn resume_key(&self) -> Option<ResumeKey> {
        let mut hash = blake3::Hasher::new();
        for number in [self.file[0], self.file[1], self.size] {
            hash.update(&number.to_le_bytes());
        }
        for time in self.times {
            hash.update(&time.to_le_bytes());
        }
        hash.finalize().to_hex().parse().ok()
    }

    /// Whether an open file is still as it was: what was read of it is then one content and not two.
    pub(crate) fn is_still(&self, file: &File) -> io::Result<bool> {
        Ok(Self::of(&file.metadata()?) == *self)
    }
}

/// Whether a symbolic link is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// A person named it.
    Follow,
    /// It was found in a tree.
    Refuse,
}

/// Opens a regular file for reading; a pipe is not waited for.
pub(crate) fn open_regular(path: &Path, links: Links) -> io::Result<(File, Metadata)> {
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if links == Links::Refuse {
        flags |= OFlags::NOFOLLOW;
    }
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok((file, metadata))
}
