//! Who may come in.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use netdisk_model::{KeptLogin, Limits, Password, PasswordError, Token, Usage, UserName};

use crate::error::StorageError;
use crate::home::Home;

/// How long a token that nobody uses is good, in milliseconds: a quarter of a year.
pub(crate) const TOKEN_LIFETIME_MS: i64 = 90 * DAY_MS;

/// Uses within a day are one: a login should not cost a write.
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The accounts of a store. Implementations are shared by all sessions.
#[async_trait]
pub trait Accounts: Debug + Send + Sync {
    /// Makes an account with an empty home.
    ///
    /// # Errors
    /// [`AccountsError::NameTaken`], [`AccountsError::BadPassword`], or a failure of the store.
    async fn register(&self, user: &UserName, password: Password) -> Result<Account, AccountsError>;

    /// The same for who has an invitation, which is used up by it.
    ///
    /// # Errors
    /// [`AccountsError::NotInvited`], and those of [`Accounts::register`]; then the invitation holds.
    async fn register_invited(
        &self,
        user: &UserName,
        password: Password,
        invitation: &Token,
    ) -> Result<Account, AccountsError>;

    /// Makes an invitation for one account, good for so many milliseconds. The store keeps only its hash.
    ///
    /// # Errors
    /// A failure of the store.
    async fn invite(&self, lifetime_ms: i64) -> Result<Token, AccountsError>;

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

    /// The logins of a user that are kept, the last used first.
    ///
    /// # Errors
    /// A failure of the store.
    async fn kept_logins(&self, user: &UserName) -> Result<Vec<KeptLogin>, AccountsError>;

    /// Makes the token of a kept login worthless; false when there is none of that name.
    ///
    /// # Errors
    /// A failure of the store.
    async fn revoke_login(&self, user: &UserName, id: &str) -> Result<bool, AccountsError>;

    /// Whether an account is let in still: a session asks now and then.
    ///
    /// # Errors
    /// A failure of the store.
    async fn is_active(&self, user: &UserName) -> Result<bool, AccountsError>;

    /// Every account, by name.
    ///
    /// # Errors
    /// A failure of the store.
    async fn summaries(&self) -> Result<Vec<AccountSummary>, AccountsError>;

    /// Sets another password. All tokens become worthless.
    ///
    /// # Errors
    /// [`AccountsError::NoSuchAccount`], [`AccountsError::BadPassword`], or a failure of the store.
    async fn set_password(&self, user: &UserName, password: Password) -> Result<(), AccountsError>;

    /// Says whether an account is let in. When it is not, its tokens become worthless, for good.
    ///
    /// # Errors
    /// [`AccountsError::NoSuchAccount`], or a failure of the store.
    async fn set_standing(&self, user: &UserName, standing: Standing) -> Result<(), AccountsError>;

    /// Sets what an account may use. What is over a lower limit stays; nothing more is taken.
    ///
    /// # Errors
    /// [`AccountsError::NoSuchAccount`], or a failure of the store.
    async fn set_limits(&self, user: &UserName, limits: Limits) -> Result<(), AccountsError>;

    /// Puts the store in order: clears what crashes left, and gives up uploads that nobody came back for. To be called
    /// once after the start, and now and then. What cannot be cleared is logged and left for the next time.
    async fn maintain(&self);
}

/// An account as its keeper sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSummary {
    /// Who.
    pub user: UserName,
    /// Whether they are let in.
    pub standing: Standing,
    /// When it was made, in milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
    /// What it uses and may use.
    pub usage: Usage,
}

/// Whether an account is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Active,
    /// It is not; its files stay.
    Disabled,
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
    /// There is no such invitation, or its time is up.
    #[error("there is no such invitation, or it was used, or its time is up")]
    NotInvited,
    /// User, password or token is wrong; which of them is not said.
    #[error("user, password or token is wrong")]
    Refused,
    /// There is no account of that name. Only its keeper is told.
    #[error("there is no account of that name")]
    NoSuchAccount,
    /// Something stands where a backup or a store is to be made.
    #[error("{} exists already", .0.display())]
    Occupied(std::path::PathBuf),
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
