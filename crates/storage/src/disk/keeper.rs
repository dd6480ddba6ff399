//! What the keeper of a store does with it: count anew, read all again, and hear of what is not as it should be.
//!
//! No byte of a user is changed or deleted here.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use netdisk_model::{Digest, EntryKind, Usage, UserName};
use rusqlite::params;
use rustix::fs::{Mode, OFlags};

use super::DiskStore;
use super::home::open_directories;
use super::identity::{Found, Identity};
use super::ledger::{FileRow, Ledger, read_row, row};
use super::people::usage;
use super::sabotage::{self, Sabotage};
use super::visit::{Visited, shown, visit};
use crate::accounts::AccountsError;
use crate::error::StorageError;

/// Bytes read at once.
const CHUNK_LEN: usize = 1024 * 1024;

/// Something that the keeper of a store should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A file that nobody had counted, put there by hand: it is counted and watched from now on.
    Adopted(FileFinding),
    /// A file that somebody wrote into by hand: it is counted and watched as it is now.
    Changed(FileFinding),
    /// A file that was taken away by hand, where it was when it was stored: it is counted no more.
    Missing(FileFinding),
    /// A file whose content is not what was stored, though nobody wrote into it. It is not handed out.
    Rotten(FileFinding),
    /// A file or home that cannot be read.
    Unreadable(FileFinding, String),
    /// The sums of an account were wrong: what they were, and what they are.
    Recounted(UserName, Usage, Usage),
    /// A directory in `homes/` that belongs to no account.
    Stray(String),
}

/// Which file a [`Finding`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFinding {
    /// Whose it is.
    pub user: UserName,
    /// Where it is, from the root of their home.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Files.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

/// What a look at a file says of it.
type Verdict = fn(FileFinding) -> Finding;

/// How closely files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// What is known already is not read.
    Unknown,
    All,
}

impl DiskStore {
    /// Makes the database agree with the files: counts anew, adopts what was put there by hand, forgets what was taken
    /// away. No server may use the store meanwhile. Blocks.
    ///
    /// # Errors
    /// When the database fails; what is wrong with a file is a finding.
    pub fn fsck(&self, report: &mut dyn FnMut(Finding)) -> Result<Looked, AccountsError> {
        let mut looked = Looked::default();
        let users = self.users()?;
        for user in &users {
            // First, because what was put there by hand may have the inode of what was taken away.
            match self.identities(user) {
                Ok(seen) => self.forget_missing(user, &seen, report)?,
                // What could not be looked at is not missing; why not is said below.
                Err(error) => tracing::warn!(%user, %error, "what is missing cannot be told"),
            }
            self.look(user, Reading::Unknown, &mut looked, report)?;
            self.recount(user, report)?;
        }
        for name in strays(&self.homes_path, &users).map_err(StorageError::from)? {
            report(Finding::Stray(name));
        }
        Ok(looked)
    }

    /// Reads all files again and compares them with what was stored; what was not known is from now on. A server may run
    /// meanwhile. Blocks.
    ///
    /// # Errors
    /// When the database fails; what is wrong with a file is a finding.
    pub fn scrub(&self, report: &mut dyn FnMut(Finding)) -> Result<Looked, AccountsError> {
        let mut looked = Looked::default();
        for user in &self.users()? {
            self.look(user, Reading::All, &mut looked, report)?;
        }
        Ok(looked)
    }

    pub(super) fn users(&self) -> Result<Vec<UserName>, AccountsError> {
        self.database.read_blocking(|connection| {
            let mut query = connection.prepare("SELECT user FROM accounts ORDER BY user")?;
            let names = query.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
            let parse = |name: String| name.parse().map_err(|error| AccountsError::Database(Box::new(error)));
            names.into_iter().map(parse).collect()
        })
    }

    /// All files of a user.
    fn identities(&self, user: &UserName) -> io::Result<HashSet<Identity>> {
        let (files, _) = open_directories(&self.homes_path.join(user.as_str()))?;
        let mut seen = HashSet::new();
        visit(files.as_fd().try_clone_to_owned()?, |visited| {
            seen.insert(visited.found.identity);
            visited.unreadable.map_or(Ok(()), Err::<(), io::Error>)
        })?;
        Ok(seen)
    }

    /// Looks at all files of a user.
    fn look(
        &self,
        user: &UserName,
        reading: Reading,
        looked: &mut Looked,
        report: &mut dyn FnMut(Finding),
    ) -> Result<(), AccountsError> {
        let about = |path: String, size| FileFinding { user: user.clone(), path, size };
        let opened = open_directories(&self.homes_path.join(user.as_str()));
        let root = match opened.and_then(|(files, _)| files.as_fd().try_clone_to_owned()) {
            Ok(root) => root,
            Err(error) => {
                report(Finding::Unreadable(about("/".to_owned(), 0), error.to_string()));
                return Ok(());
            }
        };
        let visited = visit(root, |visited| {
            if let Some(error) = &visited.unreadable {
                report(Finding::Unreadable(about(shown(&visited.path), 0), error.to_string()));
            }
            if visited.found.kind != EntryKind::File {
                return Ok(());
            }
            looked.files += 1;
            let about = about(shown(&visited.path), visited.found.size);
            match self.examine(user, &visited, reading, looked) {
                Ok(finding) => finding.into_iter().for_each(|finding| report(finding(about.clone()))),
                Err(error @ StorageError::Database(_)) => return Err(error),
                Err(error) => report(Finding::Unreadable(about, error.to_string())),
            }
            Ok(())
        });
        match visited {
            Err(StorageError::Io(error)) => {
                report(Finding::Unreadable(about("/".to_owned(), 0), error.to_string()));
                Ok(())
            }
            outcome => Ok(outcome?),
        }
    }

    /// Compares one file with its row; writes the row anew where the file is another one now.
    fn examine(
        &self,
        user: &UserName,
        visited: &Visited<'_>,
        reading: Reading,
        looked: &mut Looked,
    ) -> Result<Option<Verdict>, StorageError> {
        let known = self.database.read_blocking(|connection| row(connection, user, visited.found.identity))?;
        let fits = known.as_ref().is_some_and(|known| known.fits(&visited.found));
        if fits && reading == Reading::Unknown {
            return Ok(None);
        }
        let Some((file, found)) = open_same(visited)? else { return Ok(None) };
        let (digest, len) = digest_of(&file)?;
        looked.bytes += len;
        // Written into or taken away while it was read: the next time tells.
        let now = Found::of(&file)?;
        if now.version() != found.version() || now.links == 0 {
            return Ok(None);
        }
        match known.filter(|known| known.fits(&found)) {
            Some(known) if known.digest == digest || sabotage::is(Sabotage::IgnoreDigest) => Ok(None),
            Some(_) => Ok(Some(Finding::Rotten)),
            None => {
                let Found { identity, size, modified_ns, .. } = found;
                let row = FileRow { identity, size, modified_ns, digest, path: shown(&visited.path) };
                self.database.write_blocking(|transaction| {
                    let mut ledger = Ledger::open(transaction);
                    let was_known = ledger.counted(user, identity)?.is_some();
                    ledger.remember(user, &row)?;
                    ledger.close()?;
                    Ok::<_, StorageError>(Some(if was_known { Finding::Changed } else { Finding::Adopted } as Verdict))
                })
            }
        }
    }

    /// Forgets the rows of a user whose files were not seen.
    fn forget_missing(
        &self,
        user: &UserName,
        seen: &HashSet<Identity>,
        report: &mut dyn FnMut(Finding),
    ) -> Result<(), AccountsError> {
        let missing = self.database.read_blocking(|connection| {
            let query = "SELECT inode, born, size, modified, digest, path FROM files WHERE user = ?1";
            let mut query = connection.prepare(query)?;
            let rows = query.query_map([user.as_str()], read_row)?;
            rows.filter(|row| !row.as_ref().is_ok_and(|row| seen.contains(&row.identity)))
                .collect::<Result<Vec<_>, _>>()
                .map_err(AccountsError::from)
        })?;
        self.database.write_blocking(|transaction| {
            let mut ledger = Ledger::open(transaction);
            missing.iter().try_for_each(|row| ledger.forget(user, row.identity))?;
            ledger.close()?;
            Ok::<_, StorageError>(())
        })?;
        for FileRow { path, size, .. } in missing {
            report(Finding::Missing(FileFinding { user: user.clone(), path, size }));
        }
        Ok(())
    }

    /// Makes the sums of a user those of the rows.
    fn recount(&self, user: &UserName, report: &mut dyn FnMut(Finding)) -> Result<(), AccountsError> {
        let (before, after) = self.database.write_blocking(|transaction| {
            let before = usage(transaction, user)?;
            let update = "UPDATE accounts SET
                bytes_used = (SELECT coalesce(sum(size), 0) FROM files WHERE files.user = ?1),
                files_used = (SELECT count(*) FROM files WHERE files.user = ?1)
                WHERE user = ?1";
            transaction.execute(update, params![user.as_str()])?;
            Ok::<_, AccountsError>((before, usage(transaction, user)?))
        })?;
        if before != after {
            report(Finding::Recounted(user.clone(), before, after));
        }
        Ok(())
    }
}

/// Opens the file that was visited; `None` where something else has its name by now.
pub(super) fn open_same(visited: &Visited<'_>) -> Result<Option<(OwnedFd, Found)>, StorageError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rustix::fs::openat(visited.parent, &visited.name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = Found::of(&file)?;
    Ok((found.identity == visited.found.identity).then_some((file, found)))
}

/// Reads a file to its end.
fn digest_of(file: &OwnedFd) -> io::Result<(Digest, u64)> {
    let mut hash = blake3::Hasher::new();
    let mut buffer = vec![0; CHUNK_LEN];
    let mut len = 0;
    loop {
        match rustix::io::read(file, &mut buffer) {
            Ok(0) => return Ok((hash.finalize().into(), len)),
            Ok(read) => {
                hash.update(&buffer[..read]);
                len += read as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What is in `homes/` and belongs to nobody.
fn strays(homes: &Path, users: &[UserName]) -> io::Result<Vec<String>> {
    let known: HashSet<&str> = users.iter().map(UserName::as_str).collect();
    let names = std::fs::read_dir(homes)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut strays = names.collect::<io::Result<Vec<_>>>()?;
    strays.retain(|name| !known.contains(name.as_str()));
    strays.sort();
    Ok(strays)
}
