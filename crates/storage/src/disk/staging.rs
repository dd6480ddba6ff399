//! The staging directory of a home: what is not in the tree yet, or no more. It is the journal of the store.
//!
//! ```text
//!   resume-<hash>       what has come of an upload that can be resumed
//!   upload-<run>-<id>   any other upload under way
//!   copy-<run>-<id>     a tree that is being copied
//!   grave-<run>-<id>    what has lost its name in the tree: removed, or replaced
//!   backup-<run>-<id>   a tree of links that a backup reads, locked as long as it does
//! ```
//!
//! `<run>` is of the open store: what has another one was left by a crash. Clearing it gives back what it counts. A file
//! that has another name still, in the tree or in a backup, is counted by that one.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netdisk_model::{EntryKind, PART_LEN};
use rustix::fs::{AtFlags, Dir, FlockOperation, OFlags, SeekFrom};
use rustix::io::Errno;

use super::confined::{FILE_MODE, open_directory_in};
use super::identity::{Found, Identity};
use super::removal::{Undertaker, take_apart};
use crate::error::StorageError;
use crate::home::UploadSpec;

/// How long an interrupted upload waits to be resumed.
const RESUMABLE_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// So long a directory of links may not be locked yet by the backup that makes it.
const BACKUP_YOUNG_FOR: Duration = Duration::from_secs(60);

/// What the names of uploads that can be resumed begin with.
const RESUMABLE: &str = "resume-";

/// The name of an open store among all that ever were.
#[derive(Debug, Clone)]
pub(super) struct Run {
    name: Arc<str>,
    /// Whether the store is being closed: what takes long gives up.
    closing: Arc<AtomicBool>,
}

impl Run {
    pub(super) fn new() -> Self {
        Self { name: random(8).into(), closing: Arc::default() }
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// A name in staging that nothing else has.
    pub(super) fn fresh(&self, kind: Kind) -> String {
        format!("{}-{}-{}", kind.name(), self.name, random(16))
    }

    /// Whether it has made this thing: then it is no debris.
    fn has_made(&self, name: &CStr) -> bool {
        name.to_str().is_ok_and(|name| name.split('-').nth(1) == Some(&*self.name))
    }
}

/// What a thing in staging is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Upload,
    Copy,
    Grave,
    Backup,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Copy => "copy",
            Self::Grave => "grave",
            Self::Backup => "backup",
        }
    }
}

fn random(len: usize) -> String {
    let mut bytes = vec![0; len];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    hex::encode(bytes)
}

/// The name of an upload that can be resumed: found again without a record anywhere.
pub(super) fn resume_name(spec: &UploadSpec) -> Option<String> {
    let (size, key) = (spec.size?, spec.resume.as_ref()?);
    let mut hash = blake3::Hasher::new();
    hash.update(&size.to_le_bytes()).update(key.as_str().as_bytes()).update(b"\0");
    hash.update(spec.path.as_str().as_bytes());
    Some(format!("{RESUMABLE}{}", hash.finalize().to_hex()))
}

/// Now, in nanoseconds since 1970-01-01 UTC.
fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Makes a file in a directory.
pub(super) fn create(directory: impl AsFd, name: impl rustix::path::Arg) -> Result<File, StorageError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, FILE_MODE)?.into())
}

/// What has come of an upload that can be resumed.
pub(super) enum Resumable {
    Ours(File),
    /// Another upload writes to it.
    Theirs(File),
}

/// Opens or makes what has come of the upload `name`, and locks it.
pub(super) fn open_resumable(staging: &OwnedFd, name: &str) -> Result<Resumable, StorageError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let file: File = rustix::fs::openat(staging, name, flags, FILE_MODE)?.into();
        if !try_lock(&file)? {
            return Ok(Resumable::Theirs(file));
        }
        // Between open and lock its last writer may have committed or discarded it: then it is another file's name.
        if try_lock_named(staging, &file, name)? {
            return Ok(Resumable::Ours(file));
        }
    }
}

/// How much of a file is there without a gap: a crash while parts came out of order leaves holes, and before the first of
/// them perhaps half a part. Blocks.
pub(super) fn contiguous_len(file: &File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let contiguous = match rustix::fs::seek(file, SeekFrom::Hole(0)) {
        Ok(hole) if hole < len => hole / PART_LEN * PART_LEN,
        // It is whole, or empty, or nobody knows; its digest will tell.
        _ => len,
    };
    rustix::fs::seek(file, SeekFrom::Start(0))?;
    Ok(contiguous)
}

/// Lets the staged file `copy` of `len` bytes take the place of what it was copied from, unless somebody writes to that or
/// has more of it. Says whether it did.
pub(super) fn offer(staging: &OwnedFd, copy: &str, from: (&File, &str), len: u64) -> io::Result<bool> {
    let (theirs, name) = from;
    // Where its writer committed or discarded it, nobody is to go on with it.
    if !try_lock_named(staging, theirs, name)? || theirs.metadata()?.len() > len {
        return Ok(false);
    }
    rustix::fs::renameat(staging, copy, staging, name)?;
    Ok(true)
}

/// Unlinks the upload `name` that `file` was opened from, unless somebody writes to it or the name is another's by now.
pub(super) fn give_up(staging: &OwnedFd, file: &File, name: &str) -> io::Result<()> {
    if try_lock_named(staging, file, name)? { unlink(staging, name, AtFlags::empty()) } else { Ok(()) }
}

/// Locks an upload and makes sure, once it is locked, that it has its name still: whoever holds the lock has the name.
fn try_lock_named(staging: &OwnedFd, file: impl AsFd, name: impl rustix::path::Arg) -> io::Result<bool> {
    if !try_lock(&file)? {
        return Ok(false);
    }
    let locked = Found::of(&file)?.identity;
    Ok(Found::at(staging, name).is_ok_and(|named| named.identity == locked))
}

fn try_lock(file: impl AsFd) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Unlinks something that may be gone already.
pub(super) fn unlink(directory: impl AsFd, name: impl rustix::path::Arg, flags: AtFlags) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Unlinks a file that had another name, too, when it was looked at. Gives its identity where this was its last one after
/// all: whoever took the other one away at the same moment may have left it to this one to be counted.
pub(super) fn unlink_shared(directory: impl AsFd, name: impl rustix::path::Arg + Copy) -> io::Result<Option<Identity>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&directory, name, flags, rustix::fs::Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    unlink(directory, name, AtFlags::empty())?;
    let left = Found::of(file)?;
    Ok((left.links == 0).then_some(left.identity))
}

/// Clears what crashes left and what nobody came back for; `undertaker` gives back what it counts. Blocks.
pub(super) fn sweep(staging: &OwnedFd, undertaker: &Undertaker<'_>) -> io::Result<()> {
    let mut files = Vec::new();
    let mut directories = Vec::new();
    for found in Dir::read_from(staging)? {
        let found = found?;
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") || undertaker.run.has_made(name) {
            continue;
        }
        let stat = match Found::at(staging, name) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        match stat.kind {
            EntryKind::Directory => directories.push(name.to_owned()),
            EntryKind::File if is_resumable(name) => sweep_resumable(staging, name, undertaker)?,
            EntryKind::File | EntryKind::Other => files.push((name.to_owned(), stat)),
        }
    }
    undertaker.bury(staging, &files)?;
    for directory in directories {
        // One that cannot be cleared is no reason to leave the others.
        if let Err(error) = sweep_directory(staging, directory, undertaker) {
            tracing::warn!(user = %undertaker.user, %error, "a tree stays in staging for now");
        }
    }
    Ok(())
}

/// Takes a directory apart, unless a backup of another process reads in there; locked, so that none begins to.
fn sweep_directory(staging: &OwnedFd, name: CString, undertaker: &Undertaker<'_>) -> io::Result<()> {
    let directory = match open_directory_in(staging, &name) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if is_young_backup(&name, &directory)? || !try_lock(&directory)? {
        return Ok(());
    }
    take_apart(staging, name, undertaker)
}

/// Whether a backup may be between making it and locking it.
fn is_young_backup(name: &CStr, directory: &OwnedFd) -> io::Result<bool> {
    let age_ns = now_ns().saturating_sub(Found::of(directory)?.modified_ns);
    Ok(name.to_bytes().starts_with(b"backup-") && age_ns < BACKUP_YOUNG_FOR.as_nanos() as i64)
}

fn is_resumable(name: &CStr) -> bool {
    name.to_bytes().starts_with(RESUMABLE.as_bytes())
}

/// An upload that was about to be committed when the server crashed has a row already: it is not counted before it is.
fn sweep_resumable(staging: &OwnedFd, name: &CStr, undertaker: &Undertaker<'_>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(staging, name, flags, rustix::fs::Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // Whoever writes to it cares for it.
    if !try_lock_named(staging, &file, name)? {
        return Ok(());
    }
    let stat = Found::of(&file)?;
    if now_ns().saturating_sub(stat.modified_ns) < RESUMABLE_FOR.as_nanos() as i64 {
        return undertaker.give_back(&[stat.identity]).map_err(io::Error::other);
    }
    undertaker.bury(staging, &[(name.to_owned(), stat)])
}

/// Gives up the oldest interrupted uploads, until there are at most `files_max` of them with `bytes_max` bytes in all; those
/// that somebody writes to stay. Gives how many it gave up. Blocks.
pub(super) fn trim(staging: &OwnedFd, files_max: usize, bytes_max: u64) -> io::Result<usize> {
    let mut kept = Vec::new();
    for found in Dir::read_from(staging)? {
        let found = found?;
        let name = found.file_name();
        if is_resumable(name)
            && let Ok(stat) = Found::at(staging, name)
        {
            kept.push((stat.modified_ns, stat.size, name.to_owned()));
        }
    }
    kept.sort();
    let mut files = kept.len();
    let mut bytes: u64 = kept.iter().map(|(_, size, _)| size).sum();
    let mut given_up = 0;
    for (_, size, name) in kept {
        if files <= files_max && bytes <= bytes_max {
            break;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(staging, &name, flags, rustix::fs::Mode::empty()) {
            Ok(file) if try_lock_named(staging, &file, name.as_c_str())? => {
                unlink(staging, &name, AtFlags::empty())?;
                given_up += 1;
                files -= 1;
                bytes -= size;
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(given_up)
}

/// The identities of files that lose their last name when it is unlinked.
pub(super) fn last_names(files: &[(std::ffi::CString, Found)]) -> Vec<Identity> {
    let lost = |found: &Found| found.kind == EntryKind::File && found.links <= 1;
    files.iter().filter(|(_, found)| lost(found)).map(|(_, found)| found.identity).collect()
}
