//! The SQLite database of a store: accounts and tokens.
//!
//! One connection behind a lock, used only through a door: SQLite writes one transaction at a time anyway.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netdisk_model::{Token, UserName};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use rusqlite_migration::{M, Migrations};

use crate::accounts::AccountsError;
use crate::door::Door;

const MIGRATIONS: &[M<'static>] = &[M::up(include_str!("../../migrations/0001-accounts.sql"))];

/// How long a transaction waits for another process, such as a backup, in seconds.
const BUSY_TIMEOUT_SECS: u64 = 10;

#[derive(Debug, Clone)]
pub(super) struct Database {
    connection: Arc<Mutex<Connection>>,
    door: Door,
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
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(BUSY_TIMEOUT_SECS))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // NORMAL loses the last transactions at a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        let migrations = Migrations::from_slice(MIGRATIONS);
        migrations.to_latest(&mut connection).map_err(|error| AccountsError::Database(error.into()))?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), door: Door::new(1) })
    }

    /// Inserts an account; `make_home` runs inside the transaction, so that there is no account without a home.
    pub(super) async fn insert_account(
        &self,
        user: &UserName,
        password_hash: String,
        make_home: impl FnOnce() -> Result<(), AccountsError> + Send + 'static,
    ) -> Result<(), AccountsError> {
        let user = user.to_string();
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let inserted = transaction.execute(
                "INSERT INTO accounts (user, password_hash, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![user, password_hash, now_ms()],
            )?;
            if inserted == 0 {
                return Err(AccountsError::NameTaken);
            }
            make_home()?;
            Ok(transaction.commit()?)
        })
        .await
    }

    /// The password hash of an account, if there is one.
    pub(super) async fn password_hash(&self, user: &UserName) -> Result<Option<String>, AccountsError> {
        let user = user.to_string();
        self.run(move |connection| {
            let mut query = connection.prepare_cached("SELECT password_hash FROM accounts WHERE user = ?1")?;
            Ok(query.query_row([user], |row| row.get(0)).optional()?)
        })
        .await
    }

    pub(super) async fn insert_token(&self, user: &UserName, token: &Token) -> Result<(), AccountsError> {
        let (user, hash) = (user.to_string(), hash(token));
        self.run(move |connection| {
            let insert = "INSERT INTO tokens (hash, user, created_at) VALUES (?1, ?2, ?3)";
            connection.execute(insert, params![hash, user, now_ms()])?;
            Ok(())
        })
        .await
    }

    pub(super) async fn has_token(&self, user: &UserName, token: &Token) -> Result<bool, AccountsError> {
        let (user, hash) = (user.to_string(), hash(token));
        self.run(move |connection| {
            let mut query = connection.prepare_cached("SELECT 1 FROM tokens WHERE hash = ?1 AND user = ?2")?;
            Ok(query.exists(params![hash, user])?)
        })
        .await
    }

    pub(super) async fn delete_token(&self, token: &Token) -> Result<(), AccountsError> {
        let hash = hash(token);
        self.run(move |connection| {
            connection.execute("DELETE FROM tokens WHERE hash = ?1", [hash])?;
            Ok(())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, AccountsError> + Send + 'static,
    ) -> Result<T, AccountsError> {
        let connection = self.connection.clone();
        // A panic inside a transaction rolled it back; the connection is good.
        self.door.run(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

fn hash(token: &Token) -> [u8; 32] {
    blake3::hash(token.expose().as_bytes()).into()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl From<rusqlite::Error> for AccountsError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
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
        let connection = database.connection.lock().expect("not poisoned");
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        assert_eq!(pragma("synchronous"), Ok(2.into()));
        assert_eq!(pragma("journal_mode"), Ok("wal".to_owned().into()));
        let mode = path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
