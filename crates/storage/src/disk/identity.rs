//! What the kernel says of a file: kind, size, time, and an identity that no other file ever had.

use std::io;
use std::os::fd::AsFd;

use netdisk_model::{Entry, EntryKind, RemotePath, Version};
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp};

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// One file among all that its file system ever had: inodes are used again, but not at the same nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// The inode number; SQLite's integers are signed.
    pub(super) inode: i64,
    /// When the inode came to be, in nanoseconds since 1970-01-01 UTC. Where the file system does not say, 0: then a
    /// reused inode is told apart by size and time of modification alone.
    pub(super) born_ns: i64,
}

/// What stands somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: EntryKind,
    pub(super) identity: Identity,
    /// How many names it has.
    pub(super) links: u32,
    /// Length in bytes.
    pub(super) size: u64,
    /// Time of last modification in nanoseconds since 1970-01-01 UTC.
    pub(super) modified_ns: i64,
}

impl Found {
    /// What `name` in `directory` is, a link not followed.
    pub(super) fn at(directory: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Self> {
        Ok(Self::new(&rustix::fs::statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, WANTED)?))
    }

    /// What is open.
    pub(super) fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::new(&rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, WANTED)?))
    }

    fn new(statx: &Statx) -> Self {
        let has_birth = StatxFlags::from_bits_retain(statx.stx_mask).contains(StatxFlags::BTIME);
        Self {
            kind: match FileType::from_raw_mode(statx.stx_mode.into()) {
                FileType::RegularFile => EntryKind::File,
                FileType::Directory => EntryKind::Directory,
                _ => EntryKind::Other,
            },
            identity: Identity {
                inode: statx.stx_ino.cast_signed(),
                born_ns: if has_birth { nanoseconds(statx.stx_btime) } else { 0 },
            },
            links: statx.stx_nlink,
            size: statx.stx_size,
            modified_ns: nanoseconds(statx.stx_mtime),
        }
    }

    /// Describes it as what stands at `path`.
    pub(super) fn entry(&self, path: RemotePath) -> Entry {
        let is_file = self.kind == EntryKind::File;
        Entry {
            path,
            kind: self.kind,
            size: if is_file { self.size } else { 0 },
            modified: self.modified_ns.div_euclid(1_000_000),
            version: is_file.then(|| self.version()),
        }
    }

    /// Which version of a file it is.
    pub(super) fn version(&self) -> Version {
        version(self.identity, self.size, self.modified_ns)
    }
}

/// A version is (inode, birth, size, time of modification). An upload always makes a new inode; somebody who writes into a
/// file by hand moves its time. Links, modes and renames leave the content and the version alone.
pub(super) fn version(identity: Identity, size: u64, modified_ns: i64) -> Version {
    let mut numbers = [0; 32];
    let fields = [identity.inode, identity.born_ns, size.cast_signed(), modified_ns];
    for (bytes, number) in numbers.chunks_exact_mut(8).zip(fields) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    let mut number = [0; 8];
    number.copy_from_slice(&blake3::hash(&numbers).as_bytes()[..8]);
    Version::new(u64::from_be_bytes(number))
}

/// Times beyond the years 1677 and 2262 end there.
fn nanoseconds(time: StatxTimestamp) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.into())
}
