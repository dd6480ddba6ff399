//! An unfinished download: `NAME.part` beside its target.
//!
//! It carries a mark, an extended attribute that says what it is a part of: the entry of the remote file, its version
//! with it. By the mark a repeated command knows its own part file from somebody's file of that name, and goes on where it
//! was interrupted. Where the file system keeps no such attributes, an interrupted download leaves nothing.
//!
//! All of it blocks.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netdisk_model::{Entry, PART_LEN, RemotePath};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags, SeekFrom, XattrFlags};
use rustix::io::Errno;

use crate::error::ClientError;
use crate::local::time;
use crate::transfer::OnExisting;

/// The name of the mark.
const MARK: &str = "user.netdisk.part";

/// Longest mark in bytes: the longest path, doubled by JSON, and the rest of an entry.
const MARK_LEN_MAX: usize = 16 * 1024;

/// Where a file goes: a name in a directory that is held open, so that nobody can put another in its place.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) directory: Arc<OwnedFd>,
    pub(crate) name: OsString,
    /// As a person is told.
    pub(crate) shown: PathBuf,
}

impl Place {
    /// The place that a person named.
    pub(crate) fn of(path: &Path) -> Result<Self, ClientError> {
        let local = ClientError::local(path);
        let Some(name) = path.file_name() else { return Err(local(io::ErrorKind::IsADirectory.into())) };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = File::open(parent).map_err(local)?;
        Ok(Self { directory: Arc::new(directory.into()), name: name.to_owned(), shown: path.to_owned() })
    }
}

/// An unfinished download. One that is dropped stays when it can be resumed, and is removed when it cannot.
pub(crate) struct PartFile {
    place: Place,
    name: OsString,
    at_drop: AtDrop,
}

/// What becomes of a part file that is dropped.
#[derive(PartialEq, Eq)]
enum AtDrop {
    Remove,
    /// It is marked.
    Leave,
    /// It has another name now; its old one may be another's.
    Gone,
}

impl PartFile {
    /// Finds the part file that an interrupted download of `remote` to `place` left, and says what it is a part of and how
    /// many bytes are there; `None` where there is none, or another transfer writes to it.
    pub(crate) fn find(place: &Place, remote: &RemotePath) -> Option<(Self, File, Entry, u64)> {
        for number in 0.. {
            let name = part_name(&place.name, number);
            rustix::fs::statat(&place.directory, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            if let Ok(Some((file, entry, len))) = open_kept(&place.directory, &name, remote) {
                return Some((Self { place: place.clone(), name, at_drop: AtDrop::Leave }, file, entry, len));
            }
        }
        None
    }

    /// Makes the part file of `place`; beside somebody's file of that name, one with another number.
    pub(crate) fn create(place: &Place) -> Result<(Self, File), ClientError> {
        // Exclusive: what stands there is somebody else's, be it a file, a link or a pipe.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        for number in 0.. {
            let name = part_name(&place.name, number);
            match rustix::fs::openat(&place.directory, &name, flags, Mode::from_raw_mode(0o666)) {
                Ok(file) => {
                    let file = File::from(file);
                    // Nobody else can have it yet; without a lock, two commands at once end in a wrong digest.
                    drop(lock(&file));
                    return Ok((Self { place: place.clone(), name, at_drop: AtDrop::Remove }, file));
                }
                Err(Errno::EXIST) => {}
                // The part file is nobody's business: its target cannot be made.
                Err(error) => return Err(ClientError::local(&place.shown)(error.into())),
            }
        }
        Err(ClientError::LocalExists { path: place.shown.clone() })
    }

    /// Writes down what it is a part of, so that it can be resumed.
    pub(crate) fn mark(&mut self, file: impl AsFd, entry: &Entry) {
        let marked = serde_json::to_vec(entry)
            .map_err(io::Error::from)
            .and_then(|mark| Ok(rustix::fs::fsetxattr(file, MARK, &mark, XattrFlags::empty())?));
        // A file system without attributes: then an interruption costs what has arrived.
        self.at_drop = if marked.is_ok() { AtDrop::Leave } else { AtDrop::Remove };
    }

    /// What has arrived is of no use.
    pub(crate) fn discard(mut self) {
        self.at_drop = AtDrop::Remove;
    }

    /// Puts the file at its target, at one stroke and onto the disk.
    pub(crate) fn commit(self, file: &File, modified_ms: i64, existing: OnExisting) -> Result<(), ClientError> {
        let place = self.place.clone();
        self.commit_unsynced(file, modified_ms, existing)?;
        sync_directory(&place)
    }

    /// The same, but the new name is not on the disk before [`sync_directory`].
    pub(crate) fn commit_unsynced(
        mut self,
        file: &File,
        modified_ms: i64,
        existing: OnExisting,
    ) -> Result<(), ClientError> {
        self.at_drop = AtDrop::Remove;
        let local = ClientError::local(&self.place.shown);
        match rustix::fs::fremovexattr(file, MARK) {
            // Where there are no attributes, it has none.
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(error) => return Err(local(error.into())),
        }
        if let Some(modified) = time(modified_ms) {
            file.set_modified(modified).map_err(&local)?;
        }
        file.sync_all().map_err(&local)?;
        let Place { directory, name, shown } = &self.place;
        let standing = lock_part(directory, name).map_err(&local)?;
        let flags = match (existing, &standing) {
            (_, Standing::InUse) => return Err(ClientError::LocalBusy { path: shown.clone() }),
            (OnExisting::Replace, Standing::Elsewhere | Standing::Locked(_)) => RenameFlags::empty(),
            (OnExisting::Refuse, _) | (_, Standing::Nothing) => RenameFlags::NOREPLACE,
        };
        match rustix::fs::renameat_with(directory, &self.name, directory, name, flags) {
            Ok(()) => self.at_drop = AtDrop::Gone,
            // A part file came there at this moment.
            Err(Errno::EXIST) if existing == OnExisting::Replace => {
                return Err(ClientError::LocalBusy { path: shown.clone() });
            }
            Err(Errno::EXIST) => return Err(ClientError::LocalExists { path: shown.clone() }),
            Err(error) => return Err(local(error.into())),
        }
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        let directory = &self.place.directory;
        let is_empty = || {
            rustix::fs::statat(directory, &self.name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_size == 0)
        };
        if self.at_drop == AtDrop::Remove || self.at_drop == AtDrop::Leave && is_empty() {
            // Whoever took it away has done what was to be done.
            drop(rustix::fs::unlinkat(directory, &self.name, AtFlags::empty()).map_err(io::Error::from));
        }
    }
}

/// What stands where a file goes whose own name is that of a part file: of `a`, when `a.part` is a file, too.
enum Standing {
    /// It is no such name: no part file can stand there.
    Elsewhere,
    Nothing,
    /// Nobody writes to it, and nobody begins to while it is held.
    Locked(#[expect(dead_code, reason = "held, not used")] File),
    InUse,
}

fn lock_part(directory: &OwnedFd, name: &OsStr) -> io::Result<Standing> {
    if !name.as_encoded_bytes().ends_with(b".part") {
        return Ok(Standing::Elsewhere);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => {
            let file = File::from(file);
            Ok(if lock(&file)? { Standing::Locked(file) } else { Standing::InUse })
        }
        Err(Errno::NOENT) => Ok(Standing::Nothing),
        // A link, or something else that no part file is.
        Err(_) => Ok(Standing::Elsewhere),
    }
}

/// Makes sure that new names in the directory of `place` are on the disk.
pub(crate) fn sync_directory(place: &Place) -> Result<(), ClientError> {
    rustix::fs::fsync(&place.directory).map_err(|error| ClientError::local(&place.shown)(error.into()))
}

/// `NAME.part`, `NAME.1.part`, ...
fn part_name(target: &OsStr, number: u32) -> OsString {
    let mut name = target.to_owned();
    name.push(if number == 0 { ".part".to_owned() } else { format!(".{number}.part") });
    name
}

/// Opens a part file of `remote` that nobody writes to; `None` for any other file.
fn open_kept(directory: &OwnedFd, name: &OsStr, remote: &RemotePath) -> io::Result<Option<(File, Entry, u64)>> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(directory, name, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    // One that somebody else has planted, or has another name for, would be theirs when it is whole.
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.nlink() == 1;
    if !metadata.is_file() || !is_ours || !lock(&file)? {
        return Ok(None);
    }
    let mut mark = vec![0; MARK_LEN_MAX];
    let len = rustix::fs::fgetxattr(&file, MARK, &mut mark)?;
    let Ok(entry) = serde_json::from_slice::<Entry>(&mark[..len]) else { return Ok(None) };
    if entry.path != *remote {
        return Ok(None);
    }
    // Its writer may have committed it between open and lock, or written more.
    let metadata = file.metadata()?;
    let is_there = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino == metadata.ino();
    let len = contiguous_len(&file, metadata.len())?;
    Ok(is_there.then_some((file, entry, len)))
}

/// How much of a file of `len` bytes is there without a gap: a process that was killed while parts came out of order left
/// holes, and before the first of them perhaps half a part.
fn contiguous_len(file: &File, len: u64) -> io::Result<u64> {
    let contiguous = match rustix::fs::seek(file, SeekFrom::Hole(0)) {
        Ok(hole) if hole < len => hole / PART_LEN * PART_LEN,
        // It is whole, or empty, or nobody knows; its digest will tell.
        _ => len,
    };
    rustix::fs::seek(file, SeekFrom::Start(0))?;
    if contiguous < len {
        file.set_len(contiguous)?;
    }
    Ok(contiguous)
}

/// Keeps others out for as long as the file is open; false when somebody else has it.
fn lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
