//! Tokens in the database: their hashes, whose they are, and when they were used.

use netdisk_model::{KeptLogin, Token, UserName};
use rusqlite::{OptionalExtension, params};

use super::database::{Database, now_ms};
use crate::accounts::{AccountsError, DAY_MS, TOKEN_LIFETIME_MS};

impl Database {
    pub(super) async fn insert_token(&self, user: &UserName, token: &Token) -> Result<(), AccountsError> {
        let (user, hash) = (user.to_string(), hash(token));
        self.write(move |transaction| {
            let insert = "INSERT INTO tokens (hash, user, created_at, used_at) VALUES (?1, ?2, ?3, ?3)";
            transaction.execute(insert, params![hash, user, now_ms()])?;
            Ok(())
        })
        .await
    }

    /// Whether this is a token of this user that is good still; then it was used just now.
    pub(super) async fn use_token(&self, user: &UserName, token: &Token) -> Result<bool, AccountsError> {
        let (user, hash) = (user.to_string(), hash(token));
        let used_at: Option<i64> = self
            .read(move |connection| {
                let query = "SELECT used_at FROM tokens JOIN accounts USING (user)
                             WHERE hash = ?1 AND user = ?2 AND NOT disabled";
                Ok(connection.prepare_cached(query)?.query_row(params![hash, user], |row| row.get(0)).optional()?)
            })
            .await?;
        let now = now_ms();
        let Some(used_at) = used_at.filter(|used_at| now < used_at.saturating_add(TOKEN_LIFETIME_MS)) else {
            return Ok(false);
        };
        if now.saturating_sub(used_at) >= DAY_MS {
            self.write(move |transaction| {
                transaction.execute("UPDATE tokens SET used_at = ?2 WHERE hash = ?1", params![hash, now])?;
                Ok(())
            })
            .await?;
        }
        Ok(true)
    }

    pub(super) async fn delete_token(&self, token: &Token) -> Result<(), AccountsError> {
        let hash = hash(token);
        self.write(move |transaction| {
            transaction.execute("DELETE FROM tokens WHERE hash = ?1", [hash])?;
            Ok(())
        })
        .await
    }

    /// Deletes the tokens that are worthless by their age.
    pub(super) async fn delete_expired_tokens(&self) -> Result<(), AccountsError> {
        self.write(|transaction| {
            transaction.execute("DELETE FROM tokens WHERE used_at <= ?1", [now_ms() - TOKEN_LIFETIME_MS])?;
            Ok(())
        })
        .await
    }

    pub(super) async fn insert_invitation(&self, invitation: &Token, lifetime_ms: i64) -> Result<(), AccountsError> {
        let hash = hash(invitation);
        self.write(move |transaction| {
            transaction.execute("DELETE FROM invitations WHERE expires_at <= ?1", [now_ms()])?;
            let insert = "INSERT INTO invitations (hash, expires_at) VALUES (?1, ?2)";
            transaction.execute(insert, params![hash, now_ms().saturating_add(lifetime_ms)])?;
            Ok(())
        })
        .await
    }

    /// Whether an invitation is good; so that a bad one costs no password hash.
    pub(super) async fn has_invitation(&self, invitation: &Token) -> Result<bool, AccountsError> {
        let hash = hash(invitation);
        self.read(move |connection| {
            let query = "SELECT 1 FROM invitations WHERE hash = ?1 AND expires_at > ?2";
            Ok(connection.prepare_cached(query)?.exists(params![hash, now_ms()])?)
        })
        .await
    }

    pub(super) async fn kept_logins(&self, user: &UserName) -> Result<Vec<KeptLogin>, AccountsError> {
        let user = user.to_string();
        self.read(move |connection| {
            let query = "SELECT lower(hex(substr(hash, 1, 6))), created_at, used_at FROM tokens
                         WHERE user = ?1 AND used_at > ?2 ORDER BY used_at DESC, created_at DESC";
            let mut query = connection.prepare_cached(query)?;
            let rows = query.query_map(params![user, now_ms() - TOKEN_LIFETIME_MS], |row| {
                let used = row.get(2)?;
                Ok(KeptLogin { id: row.get(0)?, created: row.get(1)?, used, expires: used + TOKEN_LIFETIME_MS })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(super) async fn delete_login(&self, user: &UserName, id: &str) -> Result<bool, AccountsError> {
        let (user, id) = (user.to_string(), id.to_owned());
        self.write(move |transaction| {
            let delete = "DELETE FROM tokens WHERE user = ?1 AND lower(hex(substr(hash, 1, 6))) = ?2";
            Ok(transaction.execute(delete, params![user, id])? > 0)
        })
        .await
    }
}

pub(super) fn hash(token: &Token) -> [u8; 32] {
    blake3::hash(token.expose().as_bytes()).into()
}
