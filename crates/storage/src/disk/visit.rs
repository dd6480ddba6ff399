//! The way through all that is in a directory, also what no path of the wire can name: for the keeper of a store.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use netdisk_model::EntryKind;
use rustix::fs::Dir;

use super::confined::open_directory_in;
use super::identity::Found;

/// What was found on the way.
pub(super) struct Visited<'a> {
    /// The directory that it is in.
    pub(super) parent: &'a OwnedFd,
    pub(super) name: CString,
    /// From the root of the visit.
    pub(super) path: PathBuf,
    pub(super) found: Found,
    /// Why what is in it is not shown, where it is a directory that cannot be read.
    pub(super) unreadable: Option<io::Error>,
}

/// Shows `visit` everything below `root`, each directory before what is in it. What vanishes meanwhile is left out. Blocks.
pub(super) fn visit<E: From<io::Error>>(
    root: OwnedFd,
    mut visit: impl FnMut(Visited<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut open = vec![(read(root)?, PathBuf::new())];
    while let Some((level, path)) = open.last_mut() {
        let Some(name) = level.names.pop() else {
            open.pop();
            continue;
        };
        let path = path.join(OsStr::from_bytes(name.as_bytes()));
        let found = match Found::at(&level.directory, &name) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let (below, unreadable) = match (found.kind, enter(&level.directory, &name, found.kind)) {
            (EntryKind::Directory, Err(error)) => (None, Some(error)),
            (_, below) => (below.ok().flatten(), None),
        };
        visit(Visited { parent: &level.directory, name, path: path.clone(), found, unreadable })?;
        open.extend(below.map(|below| (below, path)));
    }
    Ok(())
}

struct Level {
    directory: OwnedFd,
    /// What is in it and was not visited yet.
    names: Vec<CString>,
}

fn enter(parent: &OwnedFd, name: &CString, kind: EntryKind) -> io::Result<Option<Level>> {
    if kind != EntryKind::Directory {
        return Ok(None);
    }
    match open_directory_in(parent, name) {
        Ok(directory) => read(directory).map(Some),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the names at once, so that what happens in the directory meanwhile neither repeats nor hides any.
fn read(directory: OwnedFd) -> io::Result<Level> {
    let mut names = Vec::new();
    for found in Dir::read_from(directory.as_fd())? {
        let name = found?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(Level { directory, names })
}

/// A path as people read it; what is no UTF-8 in it is replaced.
pub(super) fn shown(path: &Path) -> String {
    format!("/{}", path.display())
}
