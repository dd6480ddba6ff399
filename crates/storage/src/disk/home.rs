//! One user's tree on disk.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use netdisk_model::{Entry, EntryKind, RemotePath, UserName};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::confined::{Confined, DIRECTORY_MODE, kind, stat_in};
use super::download::DiskFile;
use super::listing::DiskListing;
use super::removal;
use super::sabotage::{self, Sabotage};
use super::sync::sync_directory;
use super::upload::{DiskPartialFile, RESUMABLE, random_id};
use crate::door::Door;
use crate::error::StorageError;
use crate::home::{Depth, Existing, Home, Listing, PartialFile, Removal, StoredFile, UploadSpec};

/// The two directories of a home, as handles.
#[derive(Debug)]
pub(super) struct Directories {
    pub(super) files: Confined,
    pub(super) staging: OwnedFd,
}

impl Directories {
    /// Opens `<home>/files` and `<home>/staging`. Blocks.
    pub(super) fn open(home: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(Self {
            files: Confined::open(&home.join("files"))?,
            staging: rustix::fs::openat(CWD, home.join("staging"), flags, Mode::empty())?,
        })
    }
}

/// One user's tree on disk. All calls go through the door of the store.
#[derive(Debug)]
pub(super) struct DiskHome {
    directories: Arc<Directories>,
    door: Door,
    /// Of its own, because a large tree takes long to take apart.
    removals: Door,
}

impl DiskHome {
    pub(super) fn new(directories: Directories, door: Door, removals: Door) -> Self {
        Self { directories: Arc::new(directories), door, removals }
    }

    /// Clears what a crash left in staging: none of it was ever acknowledged. What can be resumed stays for a while.
    pub(super) async fn clear_staging(&self, user: &UserName) {
        let cleared = self.run(|directories| Ok(removal::clear(&directories.staging, keeps)?)).await;
        if let Err(error) = cleared {
            tracing::warn!(%user, %error, "staging could not be cleared");
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Directories>) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let directories = self.directories.clone();
        self.door.run(move || work(&directories)).await
    }
}

#[async_trait]
impl Home for DiskHome {
    async fn list(&self, path: &RemotePath, depth: Depth) -> Result<Box<dyn Listing>, StorageError> {
        let (path, door) = (path.clone(), self.door.clone());
        self.run(move |directories| DiskListing::begin(directories.clone(), door, path, depth)).await
    }

    async fn stat(&self, path: &RemotePath) -> Result<Entry, StorageError> {
        let path = path.clone();
        self.run(move |directories| directories.files.stat(&path)).await
    }

    async fn make_directory(&self, path: &RemotePath) -> Result<(), StorageError> {
        let path = path.clone();
        self.run(move |directories| {
            let (parent, name) = directories.files.open_parent(&path).map_err(|error| match error {
                StorageError::IsRoot => StorageError::Exists,
                error => error,
            })?;
            rustix::fs::mkdirat(&parent, name, DIRECTORY_MODE)?;
            Ok(sync_directory(&parent)?)
        })
        .await
    }

    async fn make_directories(&self, path: &RemotePath) -> Result<(), StorageError> {
        let path = path.clone();
        self.run(move |directories| make_directories(directories, &path)).await
    }

    async fn remove(&self, path: &RemotePath, removal: Removal) -> Result<(), StorageError> {
        let path = path.clone();
        let step = move |directories: &Arc<Directories>| {
            if path.is_root() {
                return Err(StorageError::IsRoot);
            }
            match (directories.files.stat(&path)?.kind, removal) {
                (EntryKind::Directory, Removal::Tree) => bury(directories, &path).map(Some),
                (kind, _) => remove(directories, &path, kind).map(|()| None),
            }
        };
        if let Some(grave) = self.run(step).await? {
            // It is gone for its owner from here on; what fails now is debris. A large tree holds up nobody else.
            let directories = self.directories.clone();
            let taken_apart = self.removals.run(move || removal::take_apart(&directories.staging, grave)).await;
            if let Err(error) = taken_apart {
                tracing::warn!(%error, "a removed tree stays in staging until its home is opened after the next start");
            }
        }
        Ok(())
    }

    async fn rename(&self, from: &RemotePath, to: &RemotePath, existing: Existing) -> Result<(), StorageError> {
        let (from, to) = (from.clone(), to.clone());
        self.run(move |directories| rename(directories, &from, &to, existing)).await
    }

    async fn begin_upload(&self, spec: UploadSpec) -> Result<Box<dyn PartialFile>, StorageError> {
        DiskPartialFile::begin(self.directories.clone(), self.door.clone(), spec).await
    }

    async fn open(&self, path: &RemotePath, offset: u64) -> Result<Box<dyn StoredFile>, StorageError> {
        let (path, door) = (path.clone(), self.door.clone());
        self.run(move |directories| DiskFile::open(directories, door, &path, offset)).await
    }
}

/// How long an interrupted upload waits to be resumed.
const RESUMABLE_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Whether a thing in staging is an upload that may still be resumed.
fn keeps(name: &CStr, stat: &Stat) -> bool {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let age = age.saturating_sub(stat.st_mtime.unsigned_abs());
    name.to_bytes().starts_with(RESUMABLE.as_bytes()) && age < RESUMABLE_FOR.as_secs()
}

/// Makes each missing directory on the way and syncs the one that it was made in. Blocks.
fn make_directories(directories: &Directories, path: &RemotePath) -> Result<(), StorageError> {
    let mut at = RemotePath::root();
    let mut parent = directories.files.open_directory(&at)?;
    for name in path.components() {
        match rustix::fs::mkdirat(&parent, name, DIRECTORY_MODE) {
            // One that exists may have been made a moment ago, and not be on the disk yet.
            Ok(()) | Err(Errno::EXIST) => sync_directory(&parent)?,
            Err(error) => return Err(error.into()),
        }
        at = at.join(name).map_err(|_| StorageError::NotFound)?;
        parent = directories.files.open_directory(&at).map_err(|error| match error {
            StorageError::NotAFile => StorageError::NotADirectory,
            error => error,
        })?;
    }
    Ok(())
}

/// Removes a file, a link itself, or an empty directory. Blocks.
fn remove(directories: &Directories, path: &RemotePath, kind: EntryKind) -> Result<(), StorageError> {
    let (parent, name) = directories.files.open_parent(path)?;
    let flags = if kind == EntryKind::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match rustix::fs::unlinkat(&parent, name, flags) {
        Err(_) if sabotage::is(Sabotage::IgnoreRemoveError) => return Ok(()),
        removed => removed?,
    }
    Ok(sync_directory(&parent)?)
}

/// Takes a tree out of `files/` and gives the name that it has in staging now. Blocks.
fn bury(directories: &Directories, path: &RemotePath) -> Result<CString, StorageError> {
    let (parent, name) = directories.files.open_parent(path)?;
    let grave = CString::new(random_id()).expect("hexadecimal digits hold no NUL");
    rustix::fs::renameat(&parent, name, &directories.staging, &grave)?;
    sync_directory(&parent)?;
    Ok(grave)
}

/// Renames a file or directory and syncs both parents. Blocks.
fn rename(
    directories: &Directories,
    from: &RemotePath,
    to: &RemotePath,
    existing: Existing,
) -> Result<(), StorageError> {
    let (from_parent, from_name) = directories.files.open_parent(from)?;
    let (to_parent, to_name) = directories.files.open_parent(to)?;
    if to.is_within(from) {
        return Err(StorageError::IntoItself);
    }
    let from_kind = kind(&stat_in(&from_parent, from_name)?);
    if from_kind == EntryKind::Other {
        return Err(StorageError::NotAFile);
    }
    if from == to {
        return Ok(());
    }
    let flags = match stat_in(&to_parent, to_name) {
        Ok(_) if existing == Existing::Refuse => return Err(StorageError::Exists),
        // Only a file is ever replaced, and only by a file.
        Ok(stat) if kind(&stat) != EntryKind::File || from_kind != EntryKind::File => return Err(StorageError::Exists),
        Ok(_) => RenameFlags::empty(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => RenameFlags::NOREPLACE,
        Err(error) => return Err(error.into()),
    };
    rustix::fs::renameat_with(&from_parent, from_name, &to_parent, to_name, flags)?;
    sync_directory(&to_parent)?;
    Ok(sync_directory(&from_parent)?)
}
