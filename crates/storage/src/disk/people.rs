//! Accounts in the database.

use netdisk_model::{Limits, Token, Usage, UserName};
use rusqlite::{Connection, OptionalExtension, params};

use super::database::{Database, now_ms};
use super::tokens::hash;
use crate::accounts::{AccountSummary, AccountsError, Standing};

impl Database {
    /// Inserts an account, for an invitation where one is needed; `make_home` runs inside the transaction, so that there
    /// is no account without a home.
    pub(super) async fn insert_account(
        &self,
        user: &UserName,
        password_hash: String,
        invitation: Option<Token>,
        make_home: impl FnOnce() -> Result<(), AccountsError> + Send + 'static,
    ) -> Result<(), AccountsError> {
        let user = user.to_string();
        self.write(move |transaction| {
            let inserted = transaction.execute(
                "INSERT INTO accounts (user, password_hash, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![user, password_hash, now_ms()],
            )?;
            if inserted == 0 {
                return Err(AccountsError::NameTaken);
            }
            if let Some(invitation) = invitation {
                let delete = "DELETE FROM invitations WHERE hash = ?1 AND expires_at > ?2";
                if transaction.execute(delete, params![hash(&invitation), now_ms()])? == 0 {
                    return Err(AccountsError::NotInvited);
                }
            }
            make_home()
        })
        .await
    }

    /// Whether there is such an account, let in or not.
    pub(super) async fn has_account(&self, user: &UserName) -> Result<bool, AccountsError> {
        let user = user.to_string();
        self.read(move |connection| {
            Ok(connection.prepare_cached("SELECT 1 FROM accounts WHERE user = ?1")?.exists([user])?)
        })
        .await
    }

    /// The password hash of an account that is let in.
    pub(super) async fn password_hash(&self, user: &UserName) -> Result<Option<String>, AccountsError> {
        let user = user.to_string();
        self.read(move |connection| {
            let query = "SELECT password_hash FROM accounts WHERE user = ?1 AND NOT disabled";
            Ok(connection.prepare_cached(query)?.query_row([user], |row| row.get(0)).optional()?)
        })
        .await
    }

    /// Puts a hash of the same password in the place of an older one, unless the password was changed meanwhile.
    pub(super) async fn rehash(&self, user: &UserName, old: String, new: String) -> Result<(), AccountsError> {
        let user = user.to_string();
        self.write(move |transaction| {
            let update = "UPDATE accounts SET password_hash = ?3 WHERE user = ?1 AND password_hash = ?2";
            transaction.execute(update, params![user, old, new])?;
            Ok(())
        })
        .await
    }

    /// Sets another password and makes all tokens worthless.
    pub(super) async fn set_password(&self, user: &UserName, password_hash: String) -> Result<(), AccountsError> {
        let user = user.to_string();
        self.write(move |transaction| {
            let update = "UPDATE accounts SET password_hash = ?2 WHERE user = ?1";
            found(transaction.execute(update, params![user, password_hash])?)?;
            transaction.execute("DELETE FROM tokens WHERE user = ?1", [user])?;
            Ok(())
        })
        .await
    }

    pub(super) async fn set_standing(&self, user: &UserName, standing: Standing) -> Result<(), AccountsError> {
        let (user, disabled) = (user.to_string(), standing == Standing::Disabled);
        self.write(move |transaction| {
            found(transaction.execute("UPDATE accounts SET disabled = ?2 WHERE user = ?1", params![user, disabled])?)?;
            if disabled {
                transaction.execute("DELETE FROM tokens WHERE user = ?1", [user])?;
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn set_limits(&self, user: &UserName, limits: Limits) -> Result<(), AccountsError> {
        let user = user.to_string();
        self.write(move |transaction| {
            let update = "UPDATE accounts SET bytes_max = ?2, files_max = ?3 WHERE user = ?1";
            let limit = |limit: Option<u64>| limit.map(u64::cast_signed);
            found(transaction.execute(update, params![user, limit(limits.bytes), limit(limits.files)])?)
        })
        .await
    }

    pub(super) async fn summaries(&self) -> Result<Vec<AccountSummary>, AccountsError> {
        self.read(|connection| {
            let mut query = connection.prepare("SELECT user, disabled, created_at FROM accounts ORDER BY user")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            let mut summaries = Vec::new();
            for row in rows {
                let (user, disabled, created_at): (String, bool, i64) = row?;
                let user: UserName = user.parse().map_err(|error| AccountsError::Database(Box::new(error)))?;
                let standing = if disabled { Standing::Disabled } else { Standing::Active };
                let usage = usage(connection, &user)?;
                summaries.push(AccountSummary { user, standing, created_at, usage });
            }
            Ok(summaries)
        })
        .await
    }
}

/// What an account uses and may use.
pub(super) fn usage(connection: &Connection, user: &UserName) -> Result<Usage, rusqlite::Error> {
    let query = "SELECT bytes_used, files_used, bytes_max, files_max FROM accounts WHERE user = ?1";
    connection.prepare_cached(query)?.query_row([user.as_str()], |row| {
        let used = |at| row.get::<_, i64>(at).map(|used| used.max(0).cast_unsigned());
        let limit = |at| row.get::<_, Option<i64>>(at).map(|limit| limit.map(i64::cast_unsigned));
        Ok(Usage { bytes: used(0)?, files: used(1)?, limits: Limits { bytes: limit(2)?, files: limit(3)? } })
    })
}

/// Whether an update met an account.
fn found(updated: usize) -> Result<(), AccountsError> {
    if updated == 0 { Err(AccountsError::NoSuchAccount) } else { Ok(()) }
}
