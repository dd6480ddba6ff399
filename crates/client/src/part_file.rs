//! An unfinished download: `NAME.part` beside its target.
//!
//! It carries a mark, an extended attribute that says what it is a part of: the entry of the remote file, its version
//! with it. By the mark a repeated command knows its own part file from somebody's file of that name, and goes on where it
//! was interrupted. Where the file system keeps no such attributes, an interrupted download leaves nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use netdisk_model::{Entry, RemotePath};
use netdisk_protocol::limits::DATA_LEN_MAX;
use rustix::fs::{FlockOperation, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;

use crate::error::ClientError;
use crate::local::time;
use crate::transfer::OnExisting;

/// The name of the mark.
const MARK: &str = "user.netdisk.part";

/// Longest mark in bytes: the longest path, doubled by JSON, and the rest of an entry.
const MARK_LEN_MAX: usize = 16 * 1024;

/// An unfinished download. One that is dropped stays when it can be resumed, and is removed when it cannot.
pub(crate) struct PartFile {
    path: PathBuf,
    target: PathBuf,
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

/// A part file as it was found or made.
pub(crate) struct Opened {
    pub(crate) part: PartFile,
    pub(crate) file: tokio::fs::File,
    /// What it is a part of and how many bytes are there, when it was found.
    pub(crate) kept: Option<(Entry, u64)>,
}

impl PartFile {
    /// Finds the part file that an interrupted download of `remote` to `target` left; `None` where there is none, or
    /// another transfer writes to it.
    pub(crate) async fn find(target: &Path, remote: &RemotePath) -> Option<Opened> {
        let (target, remote) = (target.to_owned(), remote.clone());
        let find = move || {
            for number in 0.. {
                let path = part_path(&target, number);
                if path.symlink_metadata().is_err() {
                    return None;
                }
                if let Ok(Some((file, entry, len))) = open_kept(&path, &remote) {
                    let part = Self { path, target, at_drop: AtDrop::Leave };
                    return Some(Opened { part, file: tokio_file(file), kept: Some((entry, len)) });
                }
            }
            None
        };
        tokio::task::spawn_blocking(find).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Makes the part file of `target`; beside somebody's file of that name, one with another number.
    pub(crate) async fn create(target: &Path) -> Result<Opened, ClientError> {
        let target = target.to_owned();
        let create = move || {
            for number in 0.. {
                let path = part_path(&target, number);
                // Exclusive: what stands there is somebody else's, be it a file, a link or a pipe.
                match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                    Ok(file) => {
                        // Nobody else can have it yet; without a lock, two commands at once end in a wrong digest.
                        drop(lock(&file));
                        let part = Self { path, target, at_drop: AtDrop::Remove };
                        return Ok(Opened { part, file: tokio_file(file), kept: None });
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    // The part file is nobody's business: its target cannot be made.
                    Err(error) => return Err(ClientError::local(&target)(error)),
                }
            }
            Err(ClientError::LocalExists { path: target })
        };
        tokio::task::spawn_blocking(create).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Writes down what it is a part of, so that it can be resumed.
    pub(crate) fn mark(&mut self, file: &tokio::fs::File, entry: &Entry) {
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
    pub(crate) async fn commit(
        mut self,
        file: tokio::fs::File,
        modified_ms: i64,
        existing: OnExisting,
    ) -> Result<(), ClientError> {
        let (part, target) = (self.path.clone(), self.target.clone());
        let file = file.into_std().await;
        let commit = move |renamed: &mut bool| {
            let local = ClientError::local(&target);
            match rustix::fs::fremovexattr(&file, MARK) {
                // Where there are no attributes, it has none.
                Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
                Err(error) => return Err(local(error.into())),
            }
            if let Some(modified) = time(modified_ms) {
                file.set_modified(modified).map_err(&local)?;
            }
            file.sync_all().map_err(&local)?;
            let flags = match existing {
                OnExisting::Replace => RenameFlags::empty(),
                OnExisting::Refuse => RenameFlags::NOREPLACE,
            };
            let cwd = rustix::fs::CWD;
            match rustix::fs::renameat_with(cwd, &part, cwd, &target, flags) {
                Ok(()) => *renamed = true,
                Err(Errno::EXIST) => return Err(ClientError::LocalExists { path: target.clone() }),
                Err(error) => return Err(local(error.into())),
            }
            let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(local)
        };
        let committed = tokio::task::spawn_blocking(move || {
            let mut renamed = false;
            let outcome = commit(&mut renamed);
            (renamed, outcome)
        });
        let (renamed, outcome) = committed.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        self.at_drop = if renamed { AtDrop::Gone } else { AtDrop::Remove };
        outcome
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        let is_empty = || self.path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
        if self.at_drop == AtDrop::Remove || self.at_drop == AtDrop::Leave && is_empty() {
            // Whoever took it away has done what was to be done.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// `NAME.part`, `NAME.1.part`, ...
fn part_path(target: &Path, number: u32) -> PathBuf {
    let mut path = target.as_os_str().to_owned();
    path.push(if number == 0 { ".part".to_owned() } else { format!(".{number}.part") });
    path.into()
}

/// Opens a part file of `remote` that nobody writes to; `None` for any other file.
fn open_kept(path: &Path, remote: &RemotePath) -> io::Result<Option<(File, Entry, u64)>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags.bits().cast_signed()).open(path)?;
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
    let is_there = path.symlink_metadata()?.ino() == metadata.ino();
    Ok(is_there.then_some((file, entry, metadata.len())))
}

/// Keeps others out for as long as the file is open; false when somebody else has it.
fn lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn tokio_file(file: File) -> tokio::fs::File {
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(DATA_LEN_MAX);
    file
}
