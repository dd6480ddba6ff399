//! The SQLite database of a store: a connection that writes, one that reads, and the doors to them.
//!
//! Who is known is in `people`, what is known of files in `ledger`.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use crate::accounts::AccountsError;
use crate::door::Door;
use crate::error::StorageError;

const MIGRATIONS: &[M<'static>] = &[
    M::up(include_str!("../../migrations/0001-accounts.sql")),
    M::up(include_str!("../../migrations/0002-files.sql")),
    M::up(include_str!("../../migrations/0003-token-use.sql")),
    M::up(include_str!("../../migrations/0004-invitations.sql")),
    M::up(include_str!("../../migrations/0005-known-content.sql")),
];

/// How long a transaction waits for another process, such as a backup, in seconds.
const BUSY_TIMEOUT_SECS: u64 = 10;

#[derive(Debug, Clone)]
pub(super) struct Database {
    /// SQLite writes one transaction at a time anyway.
    writer: Arc<Mutex<Connection>>,
    /// Apart, so that a question does not wait until a transaction is on the disk.
    reader: Arc<Mutex<Connection>>,
    /// For async callers: threads that wait for a connection are better waiting tasks.
    writing: Door,
    reading: Door,
}

impl Database {
    /// Opens the database, made with mode 0600 if it is missing, and brings its schema up to date. Blocks.
    pub(super) fn open(path: &Path) -> Result<Self, AccountsError> {
        // SQLite would create it readable for all; its WAL takes over the mode of the database.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| AccountsError::Database(error.into()))?;
        let mut writer = connect(path)?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        // NORMAL loses the last transactions at a power cut.
        writer.pragma_update(None, "synchronous", "FULL")?;
        let migrations = Migrations::from_slice(MIGRATIONS);
        migrations.to_latest(&mut writer).map_err(|error| AccountsError::Database(error.into()))?;
        let reader = connect(path)?;
        reader.pragma_update(None, "query_only", "ON")?;
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            reader: Arc::new(Mutex::new(reader)),
            writing: Door::new(1),
            reading: Door::new(1),
        })
    }

    /// Runs `work` in one transaction, which is on the disk when this returns; rolled back when `work` fails.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, AccountsError> + Send + 'static,
    ) -> Result<T, AccountsError> {
        let database = self.clone();
        self.writing.run(move || database.write_blocking(work)).await
    }

    /// The same from a thread that may block.
    pub(super) fn write_blocking<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = lock(&self.writer);
        // Immediate: a transaction that turned busy midway would have to be tried again as a whole.
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcome = work(&transaction)?;
        transaction.commit()?;
        Ok(outcome)
    }

    /// Asks something of what is committed.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, AccountsError> + Send + 'static,
    ) -> Result<T, AccountsError> {
        let reader = self.reader.clone();
        self.reading.run(move || work(&lock(&reader))).await
    }

    /// The same from a thread that may block.
    pub(super) fn read_blocking<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        work(&lock(&self.reader))
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(BUSY_TIMEOUT_SECS))?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A panic inside a transaction rolled it back; the connection is good.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Now, in milliseconds since 1970-01-01 UTC.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl From<rusqlite::Error> for AccountsError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full { missing: None },
            _ => Self::Database(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_valid() {
        assert_eq!(Migrations::from_slice(MIGRATIONS).validate(), Ok(()));
    }

    #[test]
    fn the_database_is_durable_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("netdisk.db");
        let database = Database::open(&path).expect("a database");
        let connection = lock(&database.writer);
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        assert_eq!(pragma("synchronous"), Ok(2.into()));
        assert_eq!(pragma("journal_mode"), Ok("wal".to_owned().into()));
        let mode = path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
