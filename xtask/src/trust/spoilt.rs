//! Accounts with a flaw: the broken variants of a server that probes must find out.

use std::sync::Arc;

use async_trait::async_trait;
use netdisk_model::{KeptLogin, Limits, Password, Token, UserName};
use netdisk_storage::{Account, AccountSummary, Accounts, AccountsError, Standing};

use super::scene::PASSWORD;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Everybody gets the home of `alice`.
    MixedUp,
    /// It panics at the name `fragile`.
    Fragile,
    /// Names that begin with `nobod` are refused at once.
    EarlyReturn,
}

/// Good accounts behind a flaw.
#[derive(Debug)]
pub(crate) struct Spoilt {
    good: Arc<dyn Accounts>,
    flaw: Flaw,
}

impl Spoilt {
    pub(crate) fn with(good: Arc<dyn Accounts>, flaw: Flaw) -> Arc<dyn Accounts> {
        Arc::new(Self { good, flaw })
    }

    async fn mix(&self, account: Account) -> Account {
        let Ok(alice) = "alice".parse() else { return account };
        if self.flaw != Flaw::MixedUp || account.user == alice {
            return account;
        }
        match self.good.log_in(&alice, Password::new(PASSWORD)).await {
            Ok(first) => Account { home: first.home, ..account },
            Err(_) => account,
        }
    }
}

#[async_trait]
impl Accounts for Spoilt {
    async fn register(&self, user: &UserName, password: Password) -> Result<Account, AccountsError> {
        let account = self.good.register(user, password).await?;
        Ok(self.mix(account).await)
    }

    async fn register_invited(
        &self,
        user: &UserName,
        password: Password,
        invitation: &Token,
    ) -> Result<Account, AccountsError> {
        self.good.register_invited(user, password, invitation).await
    }

    async fn invite(&self, lifetime_ms: i64) -> Result<Token, AccountsError> {
        self.good.invite(lifetime_ms).await
    }

    async fn is_active(&self, user: &UserName) -> Result<bool, AccountsError> {
        self.good.is_active(user).await
    }

    async fn log_in(&self, user: &UserName, password: Password) -> Result<Account, AccountsError> {
        assert!(self.flaw != Flaw::Fragile || user.as_str() != "fragile", "the control");
        if self.flaw == Flaw::EarlyReturn && user.as_str().starts_with("nobod") {
            return Err(AccountsError::Refused);
        }
        let account = self.good.log_in(user, password).await?;
        Ok(self.mix(account).await)
    }

    async fn log_in_by_token(&self, user: &UserName, token: &Token) -> Result<Account, AccountsError> {
        let account = self.good.log_in_by_token(user, token).await?;
        Ok(self.mix(account).await)
    }

    async fn issue_token(&self, user: &UserName) -> Result<Token, AccountsError> {
        self.good.issue_token(user).await
    }

    async fn revoke_token(&self, token: &Token) -> Result<(), AccountsError> {
        self.good.revoke_token(token).await
    }

    async fn kept_logins(&self, user: &UserName) -> Result<Vec<KeptLogin>, AccountsError> {
        self.good.kept_logins(user).await
    }

    async fn revoke_login(&self, user: &UserName, id: &str) -> Result<bool, AccountsError> {
        self.good.revoke_login(user, id).await
    }

    async fn summaries(&self) -> Result<Vec<AccountSummary>, AccountsError> {
        self.good.summaries().await
    }

    async fn set_password(&self, user: &UserName, password: Password) -> Result<(), AccountsError> {
        self.good.set_password(user, password).await
    }

    async fn set_standing(&self, user: &UserName, standing: Standing) -> Result<(), AccountsError> {
        self.good.set_standing(user, standing).await
    }

    async fn set_limits(&self, user: &UserName, limits: Limits) -> Result<(), AccountsError> {
        self.good.set_limits(user, limits).await
    }

    async fn maintain(&self) {
        self.good.maintain().await;
    }
}
