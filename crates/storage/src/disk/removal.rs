//! Taking apart what has lost its name in the tree, and giving back what it counted.
//!
//! What is removed is renamed into staging at one stroke, so a crash leaves all of it or none. A tree made by hand or by
//! renames may be deeper than any limit of ours: directories in it are moved up into staging one by one, so that two
//! handles and one pass over each directory are enough. What a file counted is given back before it is unlinked: after a
//! crash between the two, the rest is taken apart again, and nothing is given back twice.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::AsFd;

use netdisk_model::{EntryKind, UserName};
use rustix::fs::{AtFlags, Dir};

use super::confined::open_directory_in;
use super::database::Database;
use super::identity::{Found, Identity};
use super::ledger::Ledger;
use super::staging::{Kind, Run, last_names, unlink, unlink_shared};
use crate::error::StorageError;

/// Files whose rows are given back in one transaction.
const BATCH_LEN: usize = 512;

/// Unlinks files of one user and gives back what they counted.
pub(super) struct Undertaker<'a> {
    pub(super) database: &'a Database,
    pub(super) user: &'a UserName,
    pub(super) run: &'a Run,
}

impl Undertaker<'_> {
    /// Gives back what files of these identities counted. Blocks.
    pub(super) fn give_back(&self, identities: &[Identity]) -> Result<(), StorageError> {
        if identities.is_empty() {
            return Ok(());
        }
        // Most often there is nothing to give back, and a transaction is a write to the disk.
        let known = self.database.read_blocking(|connection| {
            let mut known = Vec::new();
            for identity in identities {
                if super::ledger::row(connection, self.user, *identity)?.is_some() {
                    known.push(*identity);
                }
            }
            Ok::<_, StorageError>(known)
        });
        known.and_then(|known| {
            if known.is_empty() {
                return Ok(());
            }
            self.database.write_blocking(|transaction| {
                let mut ledger = Ledger::open(transaction);
                known.iter().try_for_each(|identity| ledger.forget(self.user, *identity))?;
                ledger.close().map(drop)
            })
        })
    }

    /// Gives back what these files in `directory` counted, and unlinks them. Blocks.
    pub(super) fn bury(&self, directory: impl AsFd, files: &[(CString, Found)]) -> io::Result<()> {
        for batch in files.chunks(BATCH_LEN) {
            let lost = last_names(batch);
            let given_back = self.give_back(&lost);
            // On a full disk, what is removed must make room first, also for this.
            let is_full = matches!(given_back, Err(StorageError::Full { .. }));
            if !is_full {
                given_back.map_err(io::Error::other)?;
            }
            let mut lost_after_all = Vec::new();
            for (name, found) in batch {
                if found.kind == EntryKind::File && found.links > 1 {
                    lost_after_all.extend(unlink_shared(&directory, name)?);
                } else {
                    unlink(&directory, name, AtFlags::empty())?;
                }
            }
            if is_full {
                self.give_back(&lost).map_err(io::Error::other)?;
            }
            self.give_back(&lost_after_all).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// Removes the directory `grave` in `staging` with all that is in it, links themselves and not what they point at. Blocks.
pub(super) fn take_apart(staging: impl AsFd, grave: CString, undertaker: &Undertaker<'_>) -> io::Result<()> {
    let mut graves = vec![grave];
    while let Some(grave) = graves.pop() {
        if undertaker.run.is_closing() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let directory = open_directory_in(&staging, &grave)?;
        let mut files = Vec::new();
        for found in Dir::read_from(&directory)? {
            let found = found?;
            let name = found.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = Found::at(&directory, name)?;
            if stat.kind == EntryKind::Directory {
                let moved = CString::new(undertaker.run.fresh(Kind::Grave)).expect("a name without NUL");
                rename(&directory, name, &staging, &moved)?;
                graves.push(moved);
                continue;
            }
            files.push((name.to_owned(), stat));
            if files.len() == BATCH_LEN {
                undertaker.bury(&directory, &std::mem::take(&mut files))?;
            }
        }
        undertaker.bury(&directory, &files)?;
        unlink(&staging, &grave, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

fn rename(from: impl AsFd, name: &CStr, to: impl AsFd, moved: &CStr) -> io::Result<()> {
    Ok(rustix::fs::renameat(from, name, to, moved)?)
}
