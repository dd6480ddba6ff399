//! Removing a tree at one stroke: it is renamed into staging first, and taken apart there.
//!
//! A crash in between leaves debris in staging, which the next opening of the home clears, and never half a tree.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use super::confined::{open_directory_in, stat_in};

/// Removes all that is in `directory`, links themselves and not what they point at. Blocks.
///
/// Keeps its own stack: a tree made by hand may be deeper than ours, and deeper than a thread's stack.
pub(super) fn clear(directory: OwnedFd) -> io::Result<()> {
    // Each level: the directory, and the name to remove from the level above once it is empty.
    let mut levels = vec![(directory, None::<CString>)];
    while let Some((directory, _)) = levels.last() {
        match remove_files(directory)? {
            Some(name) => {
                let child = open_directory_in(directory, &name)?;
                levels.push((child, Some(name)));
            }
            None => {
                let emptied = levels.pop().and_then(|(_, name)| name);
                if let (Some((parent, _)), Some(name)) = (levels.last(), emptied) {
                    unlink(parent, &name, AtFlags::REMOVEDIR)?;
                }
            }
        }
    }
    Ok(())
}

/// Unlinks what is no directory; the first directory met is returned.
fn remove_files(directory: &OwnedFd) -> io::Result<Option<CString>> {
    for found in Dir::read_from(directory)? {
        let found = found?;
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let is_directory = match found.file_type() {
            FileType::Unknown => FileType::from_raw_mode(stat_in(directory, name)?.st_mode) == FileType::Directory,
            kind => kind == FileType::Directory,
        };
        if is_directory {
            return Ok(Some(name.to_owned()));
        }
        unlink(directory, name, AtFlags::empty())?;
    }
    Ok(None)
}

fn unlink(directory: impl AsFd, name: &CStr, flags: AtFlags) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
