//! Accounts and homes in memory: for tests of what stands on storage, and the second witness of its contract.

mod home;
mod parts;
mod upload;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use netdisk_model::{KeptLogin, Limits, Password, Token, UserName};

use self::home::{MemoryHome, now_ms};
use crate::accounts::{Account, AccountSummary, Accounts, AccountsError, Standing, TOKEN_LIFETIME_MS};
use crate::password::PasswordDoor;

/// A store that is gone with its process.
#[derive(Debug)]
pub struct MemoryStore {
    passwords: PasswordDoor,
    accounts: Mutex<HashMap<UserName, Known>>,
    tokens: Mutex<HashMap<[u8; 32], Given>>,
    invitations: Mutex<HashMap<[u8; 32], i64>>,
}

/// A token that was given; it does not expire before its process ends.
#[derive(Debug)]
struct Given {
    user: UserName,
    id: String,
    created: i64,
    used: i64,
}

#[derive(Debug)]
struct Known {
    password_hash: String,
    standing: Standing,
    created_at: i64,
    home: Arc<MemoryHome>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            passwords: PasswordDoor::new(),
            accounts: Mutex::default(),
            tokens: Mutex::default(),
            invitations: Mutex::default(),
        }
    }

    fn change(&self, user: &UserName, change: impl FnOnce(&mut Known)) -> Result<(), AccountsError> {
        lock(&self.accounts).get_mut(user).map(change).ok_or(AccountsError::NoSuchAccount)
    }

    fn account(&self, user: &UserName) -> Result<Account, AccountsError> {
        let accounts = lock(&self.accounts);
        let known = accounts.get(user).ok_or(AccountsError::Refused)?;
        Ok(Account { user: user.clone(), home: known.home.clone() })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(token: &Token) -> [u8; 32] {
    blake3::hash(token.expose().as_bytes()).into()
}

fn random_token() -> Token {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    Token::from_random(&bytes)
}

#[async_trait]
impl Accounts for MemoryStore {
    async fn register(&self, user: &UserName, password: Password) -> Result<Account, AccountsError> {
        password.check()?;
        let password_hash = self.passwords.hash(password).await;
        {
            let mut accounts = lock(&self.accounts);
            if accounts.contains_key(user) {
                return Err(AccountsError::NameTaken);
            }
            let home = Arc::new(MemoryHome::new());
            let known = Known { password_hash, standing: Standing::Active, created_at: now_ms(), home };
            accounts.insert(user.clone(), known);
        }
        self.account(user)
    }

    async fn register_invited(
        &self,
        user: &UserName,
        password: Password,
        invitation: &Token,
    ) -> Result<Account, AccountsError> {
        // Taken out while it is tried, so that it serves once.
        let Some(until) = lock(&self.invitations).remove(&key(invitation)).filter(|until| *until > now_ms()) else {
            return Err(AccountsError::NotInvited);
        };
        let registered = self.register(user, password).await;
        if registered.is_err() {
            lock(&self.invitations).insert(key(invitation), until);
        }
        registered
    }

    async fn invite(&self, lifetime_ms: i64) -> Result<Token, AccountsError> {
        let invitation = random_token();
        lock(&self.invitations).insert(key(&invitation), now_ms().saturating_add(lifetime_ms));
        Ok(invitation)
    }

    async fn log_in(&self, user: &UserName, password: Password) -> Result<Account, AccountsError> {
        let stored = lock(&self.accounts)
            .get(user)
            .filter(|known| known.standing == Standing::Active)
            .map(|known| known.password_hash.clone());
        if !self.passwords.verify(password, stored).await {
            return Err(AccountsError::Refused);
        }
        self.account(user)
    }

    async fn log_in_by_token(&self, user: &UserName, token: &Token) -> Result<Account, AccountsError> {
        match lock(&self.tokens).get_mut(&key(token)) {
            Some(given) if given.user == *user => given.used = now_ms(),
            _ => return Err(AccountsError::Refused),
        }
        self.account(user)
    }

    async fn issue_token(&self, user: &UserName) -> Result<Token, AccountsError> {
        let token = random_token();
        let now = now_ms();
        lock(&self.tokens).insert(key(&token), Given { user: user.clone(), id: token.id(), created: now, used: now });
        Ok(token)
    }

    async fn revoke_token(&self, token: &Token) -> Result<(), AccountsError> {
        lock(&self.tokens).remove(&key(token));
        Ok(())
    }

    async fn kept_logins(&self, user: &UserName) -> Result<Vec<KeptLogin>, AccountsError> {
        let tokens = lock(&self.tokens);
        let of_user = tokens.values().filter(|given| given.user == *user);
        let mut kept: Vec<_> = of_user
            .map(|given| KeptLogin {
                id: given.id.clone(),
                created: given.created,
                used: given.used,
                expires: given.used + TOKEN_LIFETIME_MS,
            })
            .collect();
        kept.sort_by_key(|kept| std::cmp::Reverse((kept.used, kept.created)));
        Ok(kept)
    }

    async fn revoke_login(&self, user: &UserName, id: &str) -> Result<bool, AccountsError> {
        let mut tokens = lock(&self.tokens);
        let before = tokens.len();
        tokens.retain(|_, given| given.user != *user || given.id != id);
        Ok(tokens.len() < before)
    }

    async fn is_active(&self, user: &UserName) -> Result<bool, AccountsError> {
        Ok(lock(&self.accounts).get(user).is_some_and(|known| known.standing == Standing::Active))
    }

    async fn summaries(&self) -> Result<Vec<AccountSummary>, AccountsError> {
        let accounts = lock(&self.accounts);
        let summary = |(user, known): (&UserName, &Known)| AccountSummary {
            user: user.clone(),
            standing: known.standing,
            created_at: known.created_at,
            usage: known.home.shared.usage(),
        };
        let mut summaries: Vec<_> = accounts.iter().map(summary).collect();
        summaries.sort_by(|a, b| a.user.as_str().cmp(b.user.as_str()));
        Ok(summaries)
    }

    async fn set_password(&self, user: &UserName, password: Password) -> Result<(), AccountsError> {
        password.check()?;
        let password_hash = self.passwords.hash(password).await;
        self.change(user, |known| known.password_hash = password_hash)?;
        lock(&self.tokens).retain(|_, given| given.user != *user);
        Ok(())
    }

    async fn set_standing(&self, user: &UserName, standing: Standing) -> Result<(), AccountsError> {
        self.change(user, |known| known.standing = standing)?;
        if standing == Standing::Disabled {
            lock(&self.tokens).retain(|_, given| given.user != *user);
        }
        Ok(())
    }

    async fn set_limits(&self, user: &UserName, limits: Limits) -> Result<(), AccountsError> {
        self.change(user, |known| *lock(&known.home.shared.limits) = limits)
    }

    async fn maintain(&self) {}
}
