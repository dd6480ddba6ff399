//! Removing a tree at one stroke: it is renamed into staging first, and taken apart there.
//!
//! A crash in between leaves debris in staging, which is cleared when the home is first opened after the next start, and
//! never half a tree. A tree made by hand or by renames may be deeper than any limit of ours: directories in it are
//! moved up into staging one by one, so that two handles and one pass over each directory are enough.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Dir, FileType, Stat};
use rustix::io::Errno;

use super::confined::{open_directory_in, stat_in};
use super::upload::random_id;

/// Removes all that is in `staging` but the files that `keeps` names. Blocks.
pub(super) fn clear(staging: impl AsFd, keeps: impl Fn(&CStr, &Stat) -> bool) -> io::Result<()> {
    let mut graves = Vec::new();
    for found in Dir::read_from(&staging)? {
        let found = found?;
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if is_directory(&staging, &found)? {
            graves.push(name.to_owned());
        } else if !keeps(name, &stat_in(&staging, name)?) {
            unlink(&staging, name, AtFlags::empty())?;
        }
    }
    graves.into_iter().try_for_each(|grave| take_apart(&staging, grave))
}

/// Removes the directory `grave` in `staging` with all that is in it, links themselves and not what they point at. Blocks.
pub(super) fn take_apart(staging: impl AsFd, grave: CString) -> io::Result<()> {
    let mut graves = vec![grave];
    while let Some(grave) = graves.pop() {
        let directory = open_directory_in(&staging, &grave)?;
        for found in Dir::read_from(&directory)? {
            let found = found?;
            let name = found.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if is_directory(&directory, &found)? {
                let moved = CString::new(random_id()).expect("hexadecimal digits hold no NUL");
                rustix::fs::renameat(&directory, name, &staging, &moved)?;
                graves.push(moved);
            } else {
                unlink(&directory, name, AtFlags::empty())?;
            }
        }
        unlink(&staging, &grave, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

fn is_directory(directory: impl AsFd, found: &rustix::fs::DirEntry) -> io::Result<bool> {
    let kind = match found.file_type() {
        FileType::Unknown => FileType::from_raw_mode(stat_in(directory, found.file_name())?.st_mode),
        kind => kind,
    };
    Ok(kind == FileType::Directory)
}

fn unlink(directory: impl AsFd, name: &CStr, flags: AtFlags) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
