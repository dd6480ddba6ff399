//! The default back end: plain files, and SQLite for the accounts.
//!
//! ```text
//!   <data>/netdisk.db            accounts, tokens, quotas, digests
//!   <data>/homes/<user>/files/   the user's tree: ordinary files
//!   <data>/homes/<user>/staging/ unfinished uploads, on the same file system
//!   <data>/lock                  two servers never share a store
//!   <data>/changes.lock          held while a group of changes is made: whoever holds it alone sees a store that rests
//! ```
//!
//! Bytes and names: the file system is the truth. Accounts: SQLite is. User bytes are never deleted because a row is
//! missing.

mod backup;
mod committer;
mod confined;
mod copy;
mod database;
mod download;
mod freeze;
mod home;
mod identity;
mod keeper;
mod known;
mod ledger;
mod listing;
mod meter;
mod parents;
mod parts;
mod people;
mod removal;
mod sabotage;
mod staged;
mod staging;
mod store;
mod sync;
mod tokens;
mod tree;
mod upload;
mod visit;
mod whole;

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use netdisk_model::{KeptLogin, Limits, Password, Token, UserName};
use rustix::fs::FlockOperation;

use self::committer::Committer;
use self::confined::Confined;
use self::database::Database;
use self::freeze::Freeze;
use self::home::{DiskHome, HomeState, open_directories};
use self::meter::{DiskSpace, Meter};
use self::staging::Run;
use crate::accounts::{Account, AccountSummary, Accounts, AccountsError, Standing};
use crate::door::Door;
use crate::error::StorageError;
use crate::password::{self, PasswordDoor};

pub use self::keeper::{FileFinding, Finding, Looked};

/// Pieces of disk work at once: enough to keep a disk's queue and two cores busy, few enough to stay out of the way.
const DISK_DOOR_WIDTH: usize = 16;

/// Removed trees taken apart at once: it is nobody's hurry.
const REMOVALS_DOOR_WIDTH: usize = 2;

/// Trees copied at once.
const COPIES_DOOR_WIDTH: usize = 2;

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of the disk that no upload gets.
    pub min_free: u64,
    /// Who else may have it open.
    pub sharing: Sharing,
}

impl Default for Options {
    fn default() -> Self {
        Self { min_free: MIN_FREE, sharing: Sharing::Alone }
    }
}

/// Who else may have a store open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody.
    Alone,
    /// A server may: only for what is in the database, not for changes of homes.
    Beside,
}

/// Bytes of the disk that no upload gets, unless it is said otherwise: room for the database, and for removing things.
const MIN_FREE: u64 = 16 * 1024 * 1024;

/// A store in a directory.
#[derive(Debug)]
pub struct DiskStore {
    database: Database,
    passwords: PasswordDoor,
    homes_path: PathBuf,
    committer: Committer,
    space: Arc<DiskSpace>,
    run: Run,
    disk: Door,
    removals: Door,
    copies: Door,
    homes: Mutex<HashMap<UserName, Arc<HomeSlot>>>,
    /// Held as long as the store, unless another process may have it open.
    _lock: Option<File>,
}

impl DiskStore {
    /// Opens the store in `data`, made if it is missing. Blocks; call it before the runtime has other work.
    ///
    /// # Errors
    /// When another process holds the store, or the directory or database cannot be made or opened.
    pub fn open(data: &Path) -> Result<Self, AccountsError> {
        Self::open_with(data, Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`DiskStore::open`].
    pub fn open_with(data: &Path, options: Options) -> Result<Self, AccountsError> {
        // The working directory of the process may change while the store is open.
        let data = &std::path::absolute(data).map_err(StorageError::from)?;
        make_private_directory(data)?;
        let lock = match options.sharing {
            Sharing::Alone => Some(lock(&data.join("lock"))?),
            Sharing::Beside => None,
        };
        let homes_path = data.join("homes");
        make_private_directory(&homes_path)?;
        tighten(&homes_path)?;
        sync_directory(data)?;
        sync_directory(data.parent().unwrap_or(data))?;
        Confined::probe(&homes_path).map_err(StorageError::Io)?;
        let database = Database::open(&data.join("netdisk.db"))?;
        let freeze = Freeze::open(data)?;
        let run = Run::new();
        Ok(Self {
            committer: Committer::new(database.clone(), freeze, run.clone()),
            database,
            passwords: PasswordDoor::new(),
            homes_path,
            space: Arc::new(DiskSpace::new(options.min_free)),
            run,
            disk: Door::new(DISK_DOOR_WIDTH),
            removals: Door::new(REMOVALS_DOOR_WIDTH),
            copies: Door::new(COPIES_DOOR_WIDTH),
            homes: Mutex::default(),
            _lock: lock,
        })
    }

    /// Opens the home of an account that exists, or shares it with the sessions that have it open.
    async fn account(&self, user: &UserName) -> Result<Account, AccountsError> {
        let slot = self.homes.lock().unwrap_or_else(PoisonError::into_inner).entry(user.clone()).or_default().clone();
        let mut opened = slot.0.lock().await;
        if let Some(home) = opened.as_ref().and_then(Weak::upgrade) {
            return Ok(Account { user: user.clone(), home: Arc::new(DiskHome(home)) });
        }
        let home = Arc::new(self.open_home(user).await?);
        *opened = Some(Arc::downgrade(&home));
        Ok(Account { user: user.clone(), home: Arc::new(DiskHome(home)) })
    }

    async fn open_home(&self, user: &UserName) -> Result<HomeState, StorageError> {
        let path = self.homes_path.join(user.as_str());
        let (files, staging) = self.disk.run(move || open_directories(&path)).await?;
        Ok(HomeState {
            files,
            staging,
            run: self.run.clone(),
            meter: Arc::new(Meter::new(user.clone(), self.database.clone(), self.space.clone())),
            database: self.database.clone(),
            committer: self.committer.clone(),
            door: self.disk.clone(),
            removals: self.removals.clone(),
            copies: self.copies.clone(),
        })
    }
}

impl Drop for DiskStore {
    /// The runtime waits for blocking work when it ends: what takes long is told.
    fn drop(&mut self) {
        self.run.close();
    }
}

/// A home as the sessions of its user share it: `None` until it is first opened. Locked while it is being opened.
#[derive(Debug, Default)]
struct HomeSlot(tokio::sync::Mutex<Option<Weak<HomeState>>>);

impl DiskStore {
    async fn make_account(
        &self,
        user: &UserName,
        password: Password,
        invitation: Option<Token>,
    ) -> Result<Account, AccountsError> {
        password.check()?;
        if self.database.has_account(user).await? {
            return Err(AccountsError::NameTaken);
        }
        let hash = self.passwords.hash(password).await;
        let home = self.homes_path.join(user.as_str());
        self.database.insert_account(user, hash, invitation, move || make_home(&home)).await?;
        self.account(user).await
    }
}

#[async_trait]
impl Accounts for DiskStore {
    async fn register(&self, user: &UserName, password: Password) -> Result<Account, AccountsError> {
        self.make_account(user, password, None).await
    }

    async fn register_invited(
        &self,
        user: &UserName,
        password: Password,
        invitation: &Token,
    ) -> Result<Account, AccountsError> {
        if !self.database.has_invitation(invitation).await? {
            return Err(AccountsError::NotInvited);
        }
        self.make_account(user, password, Some(invitation.clone())).await
    }

    async fn invite(&self, lifetime_ms: i64) -> Result<Token, AccountsError> {
        let invitation = random_token();
        self.database.insert_invitation(&invitation, lifetime_ms).await?;
        Ok(invitation)
    }

    async fn log_in(&self, user: &UserName, password: Password) -> Result<Account, AccountsError> {
        let stored = self.database.password_hash(user).await?;
        if !self.passwords.verify(password.clone(), stored.clone()).await {
            return Err(AccountsError::Refused);
        }
        // The one moment in which the password is there to be hashed as it is done today.
        if let Some(old) = stored.filter(|stored| password::is_outdated(stored)) {
            let new = self.passwords.hash(password).await;
            self.database.rehash(user, old, new).await?;
        }
        self.account(user).await
    }

    async fn log_in_by_token(&self, user: &UserName, token: &Token) -> Result<Account, AccountsError> {
        if !self.database.use_token(user, token).await? {
            return Err(AccountsError::Refused);
        }
        self.account(user).await
    }

    async fn issue_token(&self, user: &UserName) -> Result<Token, AccountsError> {
        let token = random_token();
        self.database.insert_token(user, &token).await?;
        Ok(token)
    }

    async fn revoke_token(&self, token: &Token) -> Result<(), AccountsError> {
        self.database.delete_token(token).await
    }

    async fn kept_logins(&self, user: &UserName) -> Result<Vec<KeptLogin>, AccountsError> {
        self.database.kept_logins(user).await
    }

    async fn revoke_login(&self, user: &UserName, id: &str) -> Result<bool, AccountsError> {
        self.database.delete_login(user, id).await
    }

    async fn is_active(&self, user: &UserName) -> Result<bool, AccountsError> {
        Ok(self.database.password_hash(user).await?.is_some())
    }

    async fn summaries(&self) -> Result<Vec<AccountSummary>, AccountsError> {
        self.database.summaries().await
    }

    async fn set_password(&self, user: &UserName, password: Password) -> Result<(), AccountsError> {
        password.check()?;
        let hash = self.passwords.hash(password).await;
        self.database.set_password(user, hash).await
    }

    async fn set_standing(&self, user: &UserName, standing: Standing) -> Result<(), AccountsError> {
        self.database.set_standing(user, standing).await
    }

    async fn set_limits(&self, user: &UserName, limits: Limits) -> Result<(), AccountsError> {
        self.database.set_limits(user, limits).await?;
        let slot = self.homes.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned();
        if let Some(slot) = slot
            && let Some(home) = slot.0.lock().await.as_ref().and_then(Weak::upgrade)
        {
            home.meter.doubt();
        }
        Ok(())
    }

    async fn maintain(&self) {
        if let Err(error) = self.database.delete_expired_tokens().await {
            tracing::warn!(%error, "worthless tokens stay for now");
        }
        let accounts = match self.database.summaries().await {
            Ok(accounts) => accounts,
            Err(error) => return tracing::warn!(%error, "the store could not be put in order"),
        };
        for AccountSummary { user, .. } in accounts {
            match self.open_home(&user).await {
                Ok(home) => Arc::new(home).sweep().await,
                Err(error) => tracing::warn!(%user, %error, "a home cannot be opened"),
            }
        }
    }
}

fn random_token() -> Token {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    Token::from_random(&bytes)
}

/// Makes the directories of a new account and sees them onto the disk. Blocks.
///
/// A name whose directory holds files already is taken: nobody inherits what an account of that name left behind.
fn make_home(home: &Path) -> Result<(), AccountsError> {
    let files = home.join("files");
    for directory in [home, &files, &home.join("staging")] {
        make_private_directory(directory)?;
    }
    if fs::read_dir(&files).map_err(StorageError::from)?.next().is_some() {
        return Err(AccountsError::NameTaken);
    }
    sync_directory(home)?;
    sync_directory(home.parent().unwrap_or(Path::new(".")))?;
    Ok(())
}

fn make_private_directory(path: &Path) -> Result<(), StorageError> {
    Ok(DirBuilder::new().recursive(true).mode(0o700).create(path)?)
}

/// Takes away what group and others may do.
fn tighten(path: &Path) -> Result<(), StorageError> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "readable by others; now 0700");
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn sync_directory(path: &Path) -> Result<(), StorageError> {
    Ok(File::open(path)?.sync_all()?)
}

/// Opens a file that only its owner reads, made if it is missing.
fn private_file(path: &Path) -> Result<File, StorageError> {
    Ok(OpenOptions::new().create(true).append(true).mode(0o600).open(path)?)
}

/// Takes the lock of a store, or says that somebody else has it.
fn lock(path: &Path) -> Result<File, AccountsError> {
    let file = private_file(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(AccountsError::InUse(path.to_owned())),
        Err(error) => Err(StorageError::from(error).into()),
    }
}
