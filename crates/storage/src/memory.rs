//! Accounts and homes in memory: for tests of what stands on storage, and the second witness of its contract.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use netdisk_model::{Digest, Entry, EntryKind, Password, RemotePath, ResumeKey, Token, UserName, Version};

use crate::accounts::{Account, Accounts, AccountsError};
use crate::error::StorageError;
use crate::home::{Depth, Existing, Home, Listing, PartialFile, Removal, Stored, StoredFile, UploadSpec};
use crate::password::PasswordDoor;

/// Bytes given out by one `read`.
const CHUNK_LEN: usize = 256 * 1024;

/// A store that is gone with its process.
#[derive(Debug)]
pub struct MemoryStore {
    passwords: PasswordDoor,
    accounts: Mutex<HashMap<UserName, Known>>,
    tokens: Mutex<HashMap<[u8; 32], UserName>>,
}

#[derive(Debug)]
struct Known {
    password_hash: String,
    home: Arc<MemoryHome>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { passwords: PasswordDoor::new(), accounts: Mutex::default(), tokens: Mutex::default() }
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
            accounts.insert(user.clone(), Known { password_hash, home: Arc::new(MemoryHome::new()) });
        }
        self.account(user)
    }

    async fn log_in(&self, user: &UserName, password: Password) -> Result<Account, AccountsError> {
        let stored = lock(&self.accounts).get(user).map(|known| known.password_hash.clone());
        if !self.passwords.verify(password, stored).await {
            return Err(AccountsError::Refused);
        }
        self.account(user)
    }

    async fn log_in_by_token(&self, user: &UserName, token: &Token) -> Result<Account, AccountsError> {
        if lock(&self.tokens).get(&key(token)) != Some(user) {
            return Err(AccountsError::Refused);
        }
        self.account(user)
    }

    async fn issue_token(&self, user: &UserName) -> Result<Token, AccountsError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        let token = Token::from_random(&bytes);
        lock(&self.tokens).insert(key(&token), user.clone());
        Ok(token)
    }

    async fn revoke_token(&self, token: &Token) -> Result<(), AccountsError> {
        lock(&self.tokens).remove(&key(token));
        Ok(())
    }
}

type Tree = BTreeMap<RemotePath, Node>;

#[derive(Debug)]
struct MemoryHome {
    tree: Arc<Mutex<Tree>>,
    kept: Arc<Mutex<Kept>>,
}

/// Interrupted uploads that may be resumed, by path, size and the sender's name for the content.
type Kept = HashMap<(RemotePath, u64, ResumeKey), BytesMut>;

#[derive(Debug, Clone)]
struct Node {
    /// Content and its digest; a directory has none.
    file: Option<(Bytes, Digest)>,
    modified: i64,
    version: u64,
}

impl Node {
    fn directory() -> Self {
        Self { file: None, modified: now_ms(), version: 0 }
    }

    fn entry(&self, path: &RemotePath) -> Entry {
        let content = self.file.as_ref().map(|(content, _)| content);
        Entry {
            path: path.clone(),
            kind: if content.is_some() { EntryKind::File } else { EntryKind::Directory },
            size: content.map_or(0, |content| content.len() as u64),
            modified: self.modified,
            version: content.map(|_| Version::new(self.version)),
        }
    }
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl MemoryHome {
    fn new() -> Self {
        let tree = Tree::from([(RemotePath::root(), Node::directory())]);
        Self { tree: Arc::new(Mutex::new(tree)), kept: Arc::default() }
    }
}

/// The node at `path`; says where the way there ends.
fn find<'tree>(tree: &'tree Tree, path: &RemotePath) -> Result<&'tree Node, StorageError> {
    if let Some(node) = tree.get(path) {
        return Ok(node);
    }
    match path.parent() {
        Some(parent) => find_directory(tree, &parent).and(Err(StorageError::NotFound)),
        None => Err(StorageError::NotFound),
    }
}

fn find_directory(tree: &Tree, path: &RemotePath) -> Result<(), StorageError> {
    if find(tree, path)?.file.is_some() { Err(StorageError::NotADirectory) } else { Ok(()) }
}

/// The parent of a path that is about to be made, checked.
fn check_parent(tree: &Tree, path: &RemotePath) -> Result<(), StorageError> {
    find_directory(tree, &path.parent().ok_or(StorageError::IsRoot)?)
}

fn check_target(tree: &Tree, path: &RemotePath, existing: Existing) -> Result<(), StorageError> {
    if path.is_root() {
        return Err(StorageError::NotAFile);
    }
    check_parent(tree, path)?;
    match tree.get(path) {
        Some(Node { file: None, .. }) => Err(StorageError::NotAFile),
        Some(_) if existing == Existing::Refuse => Err(StorageError::Exists),
        _ => Ok(()),
    }
}

#[async_trait]
impl Home for MemoryHome {
    async fn list(&self, path: &RemotePath, depth: Depth) -> Result<Box<dyn Listing>, StorageError> {
        let tree = lock(&self.tree);
        find_directory(&tree, path)?;
        let wanted = |at: &RemotePath| match depth {
            Depth::OneLevel => at.parent().as_ref() == Some(path),
            Depth::Tree => at.is_within(path),
        };
        let entries = tree.iter().filter(|(at, _)| wanted(at)).map(|(at, node)| node.entry(at)).collect();
        Ok(Box::new(MemoryListing { entries }))
    }

    async fn stat(&self, path: &RemotePath) -> Result<Entry, StorageError> {
        Ok(find(&lock(&self.tree), path)?.entry(path))
    }

    async fn make_directory(&self, path: &RemotePath) -> Result<(), StorageError> {
        let mut tree = lock(&self.tree);
        if tree.contains_key(path) {
            return Err(StorageError::Exists);
        }
        check_parent(&tree, path)?;
        tree.insert(path.clone(), Node::directory());
        Ok(())
    }

    async fn make_directories(&self, path: &RemotePath) -> Result<(), StorageError> {
        let mut tree = lock(&self.tree);
        let mut at = RemotePath::root();
        for name in path.components() {
            at = at.join(name).map_err(|_| StorageError::NotFound)?;
            if tree.entry(at.clone()).or_insert_with(Node::directory).file.is_some() {
                return Err(StorageError::NotADirectory);
            }
        }
        Ok(())
    }

    async fn remove(&self, path: &RemotePath, removal: Removal) -> Result<(), StorageError> {
        if path.is_root() {
            return Err(StorageError::IsRoot);
        }
        let mut tree = lock(&self.tree);
        find(&tree, path)?;
        if removal == Removal::Single && tree.keys().any(|at| at.is_within(path)) {
            return Err(StorageError::NotEmpty);
        }
        tree.retain(|at, _| at != path && !at.is_within(path));
        Ok(())
    }

    async fn rename(&self, from: &RemotePath, to: &RemotePath, existing: Existing) -> Result<(), StorageError> {
        if from.is_root() || to.is_root() {
            return Err(StorageError::IsRoot);
        }
        let mut tree = lock(&self.tree);
        check_parent(&tree, from)?;
        check_parent(&tree, to)?;
        if to.is_within(from) {
            return Err(StorageError::IntoItself);
        }
        find(&tree, from)?;
        if from == to {
            return Ok(());
        }
        match tree.get(to) {
            Some(node) if existing == Existing::Refuse || node.file.is_none() => return Err(StorageError::Exists),
            // Only a file is ever replaced, and only by a file.
            Some(_) if find(&tree, from)?.file.is_none() => return Err(StorageError::Exists),
            _ => {}
        }
        let moved: Vec<RemotePath> = tree.keys().filter(|at| *at == from || at.is_within(from)).cloned().collect();
        for at in moved {
            let rest = at.as_str().strip_prefix(from.as_str()).unwrap_or_default();
            let target = format!("{to}{rest}").parse().map_err(|_| StorageError::NotFound)?;
            if let Some(node) = tree.remove(&at) {
                tree.insert(target, node);
            }
        }
        Ok(())
    }

    async fn begin_upload(&self, spec: UploadSpec) -> Result<Box<dyn PartialFile>, StorageError> {
        check_target(&lock(&self.tree), &spec.path, spec.existing)?;
        let key = match (&spec.size, &spec.resume) {
            (Some(size), Some(key)) => Some((spec.path.clone(), *size, key.clone())),
            _ => None,
        };
        // Taken out: a second writer begins anew.
        let content = key.as_ref().and_then(|key| lock(&self.kept).remove(key)).unwrap_or_default();
        Ok(Box::new(MemoryPartialFile { tree: self.tree.clone(), kept: self.kept.clone(), key, content, spec }))
    }

    async fn open(&self, path: &RemotePath, offset: u64) -> Result<Box<dyn StoredFile>, StorageError> {
        let tree = lock(&self.tree);
        let node = find(&tree, path)?;
        let Some((content, digest)) = node.file.clone() else { return Err(StorageError::NotAFile) };
        let left = usize::try_from(offset).ok().filter(|offset| *offset <= content.len());
        let left = content.slice(left.ok_or(StorageError::Changed)?..);
        Ok(Box::new(MemoryFile { entry: node.entry(path), left, digest }))
    }
}

struct MemoryListing {
    entries: Vec<Entry>,
}

#[async_trait]
impl Listing for MemoryListing {
    async fn next_batch(&mut self) -> Result<Vec<Entry>, StorageError> {
        Ok(std::mem::take(&mut self.entries))
    }

    fn skipped(&self) -> u64 {
        0
    }
}

struct MemoryPartialFile {
    tree: Arc<Mutex<Tree>>,
    kept: Arc<Mutex<Kept>>,
    /// Under which name it is kept when it is dropped; `None` once it is not worth it.
    key: Option<(RemotePath, u64, ResumeKey)>,
    content: BytesMut,
    spec: UploadSpec,
}

#[async_trait]
impl PartialFile for MemoryPartialFile {
    fn offset(&self) -> u64 {
        self.content.len() as u64
    }

    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        self.content.extend_from_slice(&data);
        match self.spec.size {
            Some(declared) if self.offset() > declared => {
                self.key = None;
                Err(StorageError::SizeMismatch { declared, actual: self.offset() })
            }
            _ => Ok(()),
        }
    }

    async fn commit(mut self: Box<Self>, claimed: Digest) -> Result<Stored, StorageError> {
        self.key = None;
        let size = self.offset();
        if let Some(declared) = self.spec.size.filter(|declared| *declared != size) {
            return Err(StorageError::SizeMismatch { declared, actual: size });
        }
        let digest = Digest::of(&self.content);
        if digest != claimed {
            return Err(StorageError::DigestMismatch);
        }
        let mut tree = lock(&self.tree);
        check_target(&tree, &self.spec.path, self.spec.existing)?;
        let version = tree.values().map(|node| node.version).max().unwrap_or(0) + 1;
        let modified = self.spec.modified.unwrap_or_else(now_ms);
        let content = std::mem::take(&mut self.content).freeze();
        tree.insert(self.spec.path.clone(), Node { file: Some((content, digest)), modified, version });
        Ok(Stored { size, digest, version: Version::new(version) })
    }
}

impl Drop for MemoryPartialFile {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            lock(&self.kept).insert(key, std::mem::take(&mut self.content));
        }
    }
}

struct MemoryFile {
    entry: Entry,
    left: Bytes,
    digest: Digest,
}

#[async_trait]
impl StoredFile for MemoryFile {
    fn entry(&self) -> &Entry {
        &self.entry
    }

    async fn read(&mut self) -> Result<Bytes, StorageError> {
        let len = self.left.len().min(CHUNK_LEN);
        Ok(self.left.split_to(len))
    }

    fn digest(&self) -> Digest {
        self.digest
    }
}
