//! Who may come in.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use netdisk_model::{Password, PasswordError, Token, UserName};

use crate::error::StorageError;
use crate::home::Home;

/// The accounts of a store. Implementations are shared by all sessions.
#[async_trait]
pub trait Accounts: Debug + Send + Sync {
    /// Makes an account with an empty home.
    ///
    /// # Errors
    /// [`AccountsError::NameTaken`], [`AccountsError::BadPassword`], or a failure of the store.
    async fn register(&self, user: &UserName, password: Password) -> Result<Account, AccountsError>;

    /// Lets a user in by password; an unknown user takes as long and is refused alike.
    ///
    /// # Errors
    /// [`AccountsError::Refused`], or a failure of the store.
    async fn log_in(&self, user: &UserName, password: Password) -> Result<Account, AccountsError>;

    /// Lets a user in by a token that was issued to them.
    ///
    /// # Errors
    /// [`AccountsError::Refused`], or a failure of the store.
    async fn log_in_by_token(&self, user: &UserName, token: &Token) -> Result<Account, AccountsError>;

    /// Makes a token for later logins. The store keeps only its hash.
    ///
    /// # Errors
    /// A failure of the store.
    async fn issue_token(&self, user: &UserName) -> Result<Token, AccountsError>;

    /// Makes a token worthless; an unknown one is no error.
    ///
    /// # Errors
    /// A failure of the store.
    async fn revoke_token(&self, token: &Token) -> Result<(), AccountsError>;
}

/// Somebody who was let in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Who.
    pub user: UserName,
    /// Their tree.
    pub home: Arc<dyn Home>,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The name belongs to somebody, or files of that name are left from an account that was.
    #[error("an account of that name exists")]
    NameTaken,
    /// Too short or too long as a new password.
    #[error(transparent)]
    BadPassword(#[from] PasswordError),
    /// User, password or token is wrong; which of them is not said.
    #[error("user, password or token is wrong")]
    Refused,
    /// Another process holds the store.
    #[error("another server uses this store ({} is locked)", .0.display())]
    InUse(std::path::PathBuf),
    /// The home could not be made or opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}
