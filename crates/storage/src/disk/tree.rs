//! Changes of a tree that bring no new content: directories made, things removed and renamed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use netdisk_model::{EntryKind, RemotePath};
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;
use tokio::sync::oneshot;

use super::committer::Change;
use super::confined::DIRECTORY_MODE;
use super::home::HomeState;
use super::identity::{Found, Identity};
use super::parents::{Directory, Parents};
use super::sabotage::{self, Sabotage};
use super::staging::{Kind, unlink};
use crate::error::StorageError;
use crate::home::{Existing, Removal};

/// What is to be done.
pub(super) enum Work {
    MakeDirectory {
        path: RemotePath,
    },
    /// With its missing parents.
    MakeDirectories {
        path: RemotePath,
    },
    Remove {
        path: RemotePath,
        removal: Removal,
    },
    Rename {
        from: RemotePath,
        to: RemotePath,
        existing: Existing,
    },
    /// Gives a directory in staging its name in the tree.
    Place {
        staged: String,
        path: RemotePath,
    },
}

/// A change of a tree, alone in its group.
pub(super) struct TreeChange {
    home: Arc<HomeState>,
    work: Work,
    outcome: Done,
    lost: Option<Identity>,
    done: oneshot::Sender<Result<Done, StorageError>>,
}

/// What is left to do.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Done {
    /// A file in staging that nothing needs any more.
    file: Option<String>,
    /// A directory of the same kind.
    pub(super) directory: Option<String>,
}

impl HomeState {
    /// Makes one change and waits until it is on the disk.
    pub(super) async fn change(self: &Arc<Self>, work: Work) -> Result<Done, StorageError> {
        let (done, outcome) = oneshot::channel();
        let change = TreeChange { home: self.clone(), work, outcome: Done::default(), lost: None, done };
        self.committer.submit(Box::new(change));
        outcome.await.unwrap_or_else(|_| Err(StorageError::Io(io::Error::other("the change was given up"))))
    }
}

impl Change for TreeChange {
    fn home(&self) -> &Arc<HomeState> {
        &self.home
    }

    fn target(&self) -> Option<&RemotePath> {
        None
    }

    fn prepare(&mut self, _parents: &mut Parents) -> Result<(), StorageError> {
        Ok(())
    }

    fn perform(&mut self) -> Result<Vec<Directory>, StorageError> {
        let parents = self.change_tree()?;
        Ok(parents.into_iter().map(Directory::new).collect::<Result<_, _>>()?)
    }

    fn grave(&mut self) -> Option<String> {
        self.outcome.file.take()
    }

    fn lost(&self) -> Option<Identity> {
        self.lost
    }

    fn answer(self: Box<Self>, outcome: Result<(), StorageError>) {
        // Whoever asked may have gone.
        let Self { outcome: done, done: sender, .. } = *self;
        drop(sender.send(outcome.map(|()| done)));
    }
}

impl TreeChange {
    /// Does it; gives the directories that changed.
    fn change_tree(&mut self) -> Result<Vec<OwnedFd>, StorageError> {
        let home = &*self.home;
        match &self.work {
            Work::MakeDirectory { path } => make_directory(home, path),
            Work::MakeDirectories { path } => make_directories(home, path),
            Work::Remove { path, removal } => {
                let (parent, done) = match remove(home, path, *removal) {
                    Err(_) if sabotage::is(Sabotage::IgnoreRemoveError) => return Ok(Vec::new()),
                    removed => removed?,
                };
                self.outcome = done;
                Ok(vec![parent])
            }
            Work::Rename { from, to, existing } => {
                let Renamed { parents, grave, lost } = rename(home, from, to, *existing)?;
                self.outcome.file = grave;
                self.lost = lost;
                Ok(parents)
            }
            Work::Place { staged, path } => {
                let (parent, name) = home.files.open_parent(path)?;
                rustix::fs::renameat_with(&home.staging, staged, &parent, name, RenameFlags::NOREPLACE)?;
                Ok(vec![parent])
            }
        }
    }
}

fn make_directory(home: &HomeState, path: &RemotePath) -> Result<Vec<OwnedFd>, StorageError> {
    let (parent, name) = home.files.open_parent(path).map_err(|error| match error {
        StorageError::IsRoot => StorageError::Exists,
        error => error,
    })?;
    rustix::fs::mkdirat(&parent, name, DIRECTORY_MODE)?;
    Ok(vec![parent])
}

/// Makes each missing directory on the way; the parent of each must be synced.
fn make_directories(home: &HomeState, path: &RemotePath) -> Result<Vec<OwnedFd>, StorageError> {
    let mut at = RemotePath::root();
    let mut parents = Vec::new();
    let mut parent = home.files.open_directory(&at)?;
    for name in path.components() {
        match rustix::fs::mkdirat(&parent, name, DIRECTORY_MODE) {
            // One that exists may have been made by hand a moment ago, and not be on the disk yet.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        at = at.join(name).map_err(|_| StorageError::NotFound)?;
        let next = home.files.open_directory(&at).map_err(|error| match error {
            StorageError::NotAFile => StorageError::NotADirectory,
            error => error,
        })?;
        parents.push(std::mem::replace(&mut parent, next));
    }
    Ok(parents)
}

/// Takes something out of the tree: into staging, unless it is a link or an empty directory, which nobody counts.
fn remove(home: &HomeState, path: &RemotePath, removal: Removal) -> Result<(OwnedFd, Done), StorageError> {
    let (parent, name) = home.files.open_parent(path)?;
    let mut done = Done::default();
    match (Found::at(&parent, name)?.kind, removal) {
        (EntryKind::Directory, Removal::Single) => rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?,
        (EntryKind::Other, _) => rustix::fs::unlinkat(&parent, name, AtFlags::empty())?,
        (kind, _) => {
            let grave = home.run.fresh(Kind::Grave);
            rustix::fs::renameat(&parent, name, &home.staging, &grave)?;
            *(if kind == EntryKind::File { &mut done.file } else { &mut done.directory }) = Some(grave);
        }
    }
    Ok((parent, done))
}

/// What came of a rename.
struct Renamed {
    parents: Vec<OwnedFd>,
    /// Where a file lies that was replaced.
    grave: Option<String>,
    /// A file that was replaced and lies nowhere.
    lost: Option<Identity>,
}

/// Renames a file or directory.
fn rename(home: &HomeState, from: &RemotePath, to: &RemotePath, existing: Existing) -> Result<Renamed, StorageError> {
    let renamed = |parents| Renamed { parents, grave: None, lost: None };
    let (from_parent, from_name) = home.files.open_parent(from)?;
    let (to_parent, to_name) = home.files.open_parent(to)?;
    if to.is_within(from) {
        return Err(StorageError::IntoItself);
    }
    let moved = Found::at(&from_parent, from_name)?;
    if moved.kind == EntryKind::Other {
        return Err(StorageError::NotAFile);
    }
    if from == to {
        return Ok(renamed(Vec::new()));
    }
    let replaced = match Found::at(&to_parent, to_name) {
        Ok(_) if existing == Existing::Refuse => return Err(StorageError::Exists),
        // Only a file is ever replaced, and only by a file.
        Ok(found) if found.kind != EntryKind::File || moved.kind != EntryKind::File => {
            return Err(StorageError::Exists);
        }
        // Two names of one file: a rename would do nothing and leave both.
        Ok(found) if found.identity == moved.identity => {
            rustix::fs::unlinkat(&from_parent, from_name, AtFlags::empty())?;
            return Ok(renamed(vec![to_parent, from_parent]));
        }
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let (flags, grave) = match replaced {
        Some(_) => (RenameFlags::empty(), home.link_to_staging(&to_parent, to_name)?),
        None => (RenameFlags::NOREPLACE, None),
    };
    if let Err(error) = rustix::fs::renameat_with(&from_parent, from_name, &to_parent, to_name, flags) {
        if let Some(grave) = grave {
            unlink(&home.staging, grave, AtFlags::empty())?;
        }
        return Err(error.into());
    }
    let lost = replaced.filter(|replaced| grave.is_none() && replaced.links <= 1).map(|replaced| replaced.identity);
    Ok(Renamed { parents: vec![to_parent, from_parent], grave, lost })
}
