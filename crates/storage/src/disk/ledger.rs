//! What is known of files: rows of digests, and the sums of what they count.
//!
//! The file system says which files there are. A row says of one inode that it is counted and which digest it was stored
//! with. Every row's inode is in `files/` or in `staging/`: a row is written before its file gets its name, and
//! forgotten after it has lost it, in staging. What a crash leaves in staging gives its row back when staging is cleared;
//! so nothing else needs to be remembered of a change under way.

use std::collections::BTreeMap;

use netdisk_model::{Digest, Usage, UserName, Version};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::identity::{Found, Identity, version};
use super::people::usage;
use crate::error::{Quota, StorageError};

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileRow {
    pub(super) identity: Identity,
    /// Length in bytes.
    pub(super) size: u64,
    /// Time of last modification in nanoseconds since 1970-01-01 UTC.
    pub(super) modified_ns: i64,
    pub(super) digest: Digest,
    /// Where it was when the row was written.
    pub(super) path: String,
}

impl FileRow {
    /// The version of the file, as long as it fits.
    pub(super) fn version(&self) -> Version {
        version(self.identity, self.size, self.modified_ns)
    }

    /// Whether the file is still what it was when the row was written, as far as the file system tells.
    pub(super) fn fits(&self, found: &Found) -> bool {
        (self.identity, self.size, self.modified_ns) == (found.identity, found.size, found.modified_ns)
    }
}

/// The row of a file, if it has one.
pub(super) fn row(
    connection: &Connection,
    user: &UserName,
    identity: Identity,
) -> Result<Option<FileRow>, rusqlite::Error> {
    Ok(row_of_inode(connection, user, identity.inode)?.filter(|row| row.identity == identity))
}

/// Rows that are looked at for one question: of many files of one size or content, one is enough.
const ROWS_MAX: usize = 8;

/// The index, named since SQLite would take the primary key and look at all of a user's rows; and its condition, which
/// SQLite must see to use it.
const TABLE: &str = "files INDEXED BY files_by_content";
const IS_INDEXED: &str = "size >= 1048576";

/// Some rows of files of this size, as far as they are worth a look.
pub(super) fn rows_of_size(
    connection: &Connection,
    user: &UserName,
    size: u64,
) -> Result<Vec<FileRow>, rusqlite::Error> {
    let mut query = connection.prepare_cached(&of_size())?;
    query.query_map(params![user.as_str(), size.cast_signed()], read_row)?.collect()
}

/// The rows of files of this content, the newest inodes first, as far as they are worth a look.
pub(super) fn rows_of_content(
    connection: &Connection,
    user: &UserName,
    size: u64,
    digest: Digest,
) -> Result<Vec<FileRow>, rusqlite::Error> {
    let mut query = connection.prepare_cached(&of_content())?;
    query.query_map(params![user.as_str(), size.cast_signed(), digest.as_bytes()], read_row)?.collect()
}

/// In no order: sorting would read all of them.
fn of_size() -> String {
    format!(
        "SELECT inode, born, size, modified, digest, path FROM {TABLE}
        WHERE user = ?1 AND size = ?2 AND {IS_INDEXED} LIMIT {ROWS_MAX}"
    )
}

fn of_content() -> String {
    format!(
        "SELECT inode, born, size, modified, digest, path FROM {TABLE}
        WHERE user = ?1 AND size = ?2 AND digest = ?3 AND {IS_INDEXED} ORDER BY inode DESC LIMIT {ROWS_MAX}"
    )
}

fn row_of_inode(connection: &Connection, user: &UserName, inode: i64) -> Result<Option<FileRow>, rusqlite::Error> {
    let query = "SELECT inode, born, size, modified, digest, path FROM files WHERE user = ?1 AND inode = ?2";
    connection.prepare_cached(query)?.query_row(params![user.as_str(), inode], read_row).optional()
}

/// Reads a row of `inode, born, size, modified, digest, path`.
pub(super) fn read_row(row: &rusqlite::Row<'_>) -> Result<FileRow, rusqlite::Error> {
    Ok(FileRow {
        identity: Identity { inode: row.get(0)?, born_ns: row.get(1)? },
        size: row.get::<_, i64>(2)?.cast_unsigned(),
        modified_ns: row.get(3)?,
        digest: Digest::from(row.get::<_, [u8; 32]>(4)?),
        path: row.get(5)?,
    })
}

/// Changes of rows in one transaction; the sums follow when it is closed.
pub(super) struct Ledger<'a> {
    transaction: &'a Transaction<'a>,
    /// Bytes and files that came and went, by user.
    sums: BTreeMap<UserName, (i64, i64)>,
    /// Bytes and files that are counted until what takes their place has its name.
    leaving: BTreeMap<UserName, (u64, u64)>,
    /// What users used before that, where it was asked.
    used: BTreeMap<UserName, Usage>,
}

impl<'a> Ledger<'a> {
    pub(super) fn open(transaction: &'a Transaction<'a>) -> Self {
        Self { transaction, sums: BTreeMap::new(), leaving: BTreeMap::new(), used: BTreeMap::new() }
    }

    /// How many bytes a file counts: none that nobody has counted.
    pub(super) fn counted(&self, user: &UserName, identity: Identity) -> Result<Option<u64>, StorageError> {
        Ok(row(self.transaction, user, identity)?.map(|row| row.size))
    }

    /// Refuses what an account's quota does not hold: a file of `size`, where one that counts `replaced` goes.
    pub(super) fn check_quota(
        &mut self,
        user: &UserName,
        size: u64,
        replaced: Option<u64>,
    ) -> Result<(), StorageError> {
        let (bytes, files) = self.sums.get(user).copied().unwrap_or_default();
        let used = self.used(user)?;
        let mut used = self.without_leaving(user, used);
        used.bytes = used.bytes.saturating_add_signed(bytes);
        used.files = used.files.saturating_add_signed(files);
        check(&used, size.saturating_sub(replaced.unwrap_or(0)), replaced.is_none().into())?;
        if let Some(replaced) = replaced {
            let leaving = self.leaving.entry(user.clone()).or_default();
            *leaving = (leaving.0 + replaced, leaving.1 + 1);
        }
        Ok(())
    }

    /// What a user uses, before this transaction.
    fn used(&mut self, user: &UserName) -> Result<Usage, StorageError> {
        Ok(match self.used.get(user) {
            Some(used) => *used,
            None => *self.used.entry(user.clone()).or_insert(usage(self.transaction, user)?),
        })
    }

    fn without_leaving(&self, user: &UserName, mut used: Usage) -> Usage {
        let (bytes, files) = self.leaving.get(user).copied().unwrap_or_default();
        used.bytes = used.bytes.saturating_sub(bytes);
        used.files = used.files.saturating_sub(files);
        used
    }

    /// Writes a row, in place of whatever had that inode before.
    pub(super) fn remember(&mut self, user: &UserName, row: &FileRow) -> Result<(), StorageError> {
        // Seldom has the inode been another file's whose row nobody has forgotten.
        if self.insert(user, row)? == 0 {
            self.forget_inode(user, row.identity.inode)?;
            self.insert(user, row)?;
        }
        self.add(user, row.size.cast_signed(), 1);
        Ok(())
    }

    /// Gives how many rows it wrote: none where the inode has one.
    fn insert(&self, user: &UserName, row: &FileRow) -> Result<usize, StorageError> {
        let insert = "INSERT INTO files (user, inode, born, size, modified, digest, path)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (user, inode) DO NOTHING";
        Ok(self.transaction.prepare_cached(insert)?.execute(params![
            user.as_str(),
            row.identity.inode,
            row.identity.born_ns,
            row.size.cast_signed(),
            row.modified_ns,
            row.digest.as_bytes(),
            row.path,
        ])?)
    }

    /// Deletes the row of a file, if it has one, and gives back what it counted.
    pub(super) fn forget(&mut self, user: &UserName, identity: Identity) -> Result<(), StorageError> {
        match row(self.transaction, user, identity)? {
            Some(_) => self.forget_inode(user, identity.inode),
            None => Ok(()),
        }
    }

    fn forget_inode(&mut self, user: &UserName, inode: i64) -> Result<(), StorageError> {
        let delete = "DELETE FROM files WHERE user = ?1 AND inode = ?2 RETURNING size";
        let mut delete = self.transaction.prepare_cached(delete)?;
        if let Some(size) = delete.query_row(params![user.as_str(), inode], |row| row.get(0)).optional()? {
            let size: i64 = size;
            self.add(user, -size, -1);
        }
        Ok(())
    }

    fn add(&mut self, user: &UserName, bytes: i64, files: i64) {
        let sums = self.sums.entry(user.clone()).or_default();
        *sums = (sums.0 + bytes, sums.1 + files);
    }

    /// Writes the sums; the transaction is then ready to be committed. Says who uses how much then, without what is leaving.
    pub(super) fn close(self) -> Result<Vec<(UserName, Usage)>, StorageError> {
        let update = "UPDATE accounts SET bytes_used = bytes_used + ?2, files_used = files_used + ?3 WHERE user = ?1";
        for (user, (bytes, files)) in &self.sums {
            self.transaction.prepare_cached(update)?.execute(params![user.as_str(), bytes, files])?;
        }
        let now = |user: &UserName| Ok((user.clone(), self.without_leaving(user, usage(self.transaction, user)?)));
        self.sums.keys().map(now).collect()
    }
}

/// Refuses `bytes` and `files` more than are used, where a limit does not hold them.
pub(super) fn check(used: &Usage, bytes: u64, files: u64) -> Result<(), StorageError> {
    let of = |quota, used: u64, more: u64, limit: Option<u64>| match limit {
        Some(max) if more > 0 && used.saturating_add(more) > max => {
            Err(StorageError::QuotaExceeded { quota, max, missing: used.saturating_add(more) - max })
        }
        _ => Ok(()),
    };
    of(Quota::Bytes, used.bytes, bytes, used.limits.bytes)?;
    of(Quota::Files, used.files, files, used.limits.files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::database::Database;

    const ROWS: i64 = 20_000;

    /// A database in which alice has many files: half of them of one size, each of a content of its own.
    fn database() -> (tempfile::TempDir, Database) {
        let dir = tempfile::tempdir().expect("a directory");
        let database = Database::open(&dir.path().join("netdisk.db")).expect("a database");
        let filled = database.write_blocking(|transaction| {
            for user in ["alice", "bob"] {
                let account = "INSERT INTO accounts (user, password_hash, created_at) VALUES (?1, '', 0)";
                transaction.execute(account, [user])?;
            }
            let file = "INSERT INTO files VALUES ('alice', ?1, 0, ?2, 0, ?3, '/' || ?1)";
            let mut file = transaction.prepare(file)?;
            for inode in 0..ROWS {
                let size = (1 << 20) + if inode % 2 == 0 { 0 } else { inode };
                file.execute(params![inode, size, Digest::of(&inode.to_le_bytes()).as_bytes()])?;
            }
            Ok::<(), rusqlite::Error>(())
        });
        filled.expect("filled");
        (dir, database)
    }

    #[test]
    fn content_is_found_by_the_index_alone_however_many_rows_there_are() {
        let (_dir, database) = database();
        let plan = |query: String| {
            database.read_blocking(|connection| {
                let mut query = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}"))?;
                let steps = query.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>()?;
                Ok::<_, rusqlite::Error>(steps)
            })
        };
        // One step: neither a scan nor a sort.
        let of_size = "SEARCH files USING INDEX files_by_content (user=? AND size=?)";
        assert_eq!(plan(super::of_size()).expect("a plan"), [of_size]);
        let of_content = "SEARCH files USING INDEX files_by_content (user=? AND size=? AND digest=?)";
        assert_eq!(plan(super::of_content()).expect("a plan"), [of_content]);
    }

    #[test]
    fn rows_are_found_by_size_and_content_and_are_their_users_alone() {
        let (_dir, database) = database();
        let [alice, bob] = ["alice", "bob"].map(|name| name.parse::<UserName>().expect("a name"));
        let digest = Digest::of(&8_i64.to_le_bytes());
        let found = |user: &UserName, size: u64| {
            database.read_blocking(|connection| {
                let of_size = rows_of_size(connection, user, size)?.len();
                Ok::<_, rusqlite::Error>((of_size, rows_of_content(connection, user, size, digest)?.len()))
            })
        };
        assert_eq!(found(&alice, 1 << 20).expect("asked"), (ROWS_MAX, 1));
        assert_eq!(found(&alice, (1 << 20) + 7).expect("asked"), (1, 0));
        assert_eq!(found(&alice, (1 << 20) + 8).expect("asked"), (0, 0));
        assert_eq!(found(&bob, 1 << 20).expect("asked"), (0, 0));
    }
}
