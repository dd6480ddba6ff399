//! Accounts and files in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use netdisk_model::{Entry, EntryKind, RemotePath, Version};
use netdisk_protocol::{Fault, FaultCode};

/// All accounts.
#[derive(Debug, Default)]
pub(super) struct Store(Mutex<HashMap<String, Account>>);

/// One user's password, tokens and tree.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) password: String,
    pub(super) tokens: Vec<String>,
    nodes: BTreeMap<RemotePath, Node>,
    last_version: u64,
}

#[derive(Debug, Clone)]
enum Node {
    Directory,
    File { content: Vec<u8>, modified: i64, version: u64 },
}

fn fault(code: FaultCode, path: &RemotePath) -> Fault {
    Fault::new(code, format!("{path}: {}", code.meaning()))
}

impl Store {
    pub(super) fn accounts(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        // A panic under the lock has left a whole account or none: there is nothing half done in here.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn add(&self, user: &str, password: &str, files: &[(&str, &[u8])]) {
        let mut account = Account { password: password.to_owned(), ..Account::default() };
        for (path, content) in files {
            if let Ok(path) = path.parse() {
                account.put(&path, content.to_vec(), None);
            }
        }
        self.accounts().insert(user.to_owned(), account);
    }

    pub(super) fn read(&self, user: &str, path: &str) -> Option<Vec<u8>> {
        self.accounts().get(user)?.file(&path.parse().ok()?).ok().map(|(content, _)| content)
    }

    /// Does something with a user's tree; a user that is logged in has one.
    pub(super) fn with<T>(&self, user: &str, work: impl FnOnce(&mut Account) -> T) -> T {
        work(self.accounts().entry(user.to_owned()).or_default())
    }
}

impl Account {
    /// Where something may be made: the parent must be a directory.
    pub(super) fn check_parent(&self, path: &RemotePath) -> Result<(), Fault> {
        let Some(parent) = path.parent() else { return Err(fault(FaultCode::Exists, path)) };
        self.check_directory(&parent)
    }

    fn check_directory(&self, path: &RemotePath) -> Result<(), Fault> {
        match self.nodes.get(path) {
            _ if *path == RemotePath::root() => Ok(()),
            Some(Node::Directory) => Ok(()),
            Some(Node::File { .. }) => Err(fault(FaultCode::NotADirectory, path)),
            None => Err(fault(FaultCode::NotFound, path)),
        }
    }

    /// Whether an upload may begin.
    pub(super) fn check_upload(&self, path: &RemotePath, create: bool) -> Result<(), Fault> {
        self.check_parent(path)?;
        match self.nodes.get(path) {
            Some(Node::Directory) => Err(fault(FaultCode::NotAFile, path)),
            Some(_) if create => Err(fault(FaultCode::Exists, path)),
            _ => Ok(()),
        }
    }

    pub(super) fn put(&mut self, path: &RemotePath, content: Vec<u8>, modified: Option<i64>) -> Version {
        self.last_version += 1;
        let node = Node::File { content, modified: modified.unwrap_or_default(), version: self.last_version };
        self.nodes.insert(path.clone(), node);
        Version::new(self.last_version)
    }

    pub(super) fn file(&self, path: &RemotePath) -> Result<(Vec<u8>, Entry), Fault> {
        match self.nodes.get(path) {
            Some(Node::File { content, .. }) => Ok((content.clone(), self.stat(path)?)),
            Some(Node::Directory) => Err(fault(FaultCode::NotAFile, path)),
            None if *path == RemotePath::root() => Err(fault(FaultCode::NotAFile, path)),
            None => Err(fault(FaultCode::NotFound, path)),
        }
    }

    pub(super) fn stat(&self, path: &RemotePath) -> Result<Entry, Fault> {
        let path = path.clone();
        match self.nodes.get(&path) {
            Some(Node::File { content, modified, version }) => Ok(Entry {
                path,
                kind: EntryKind::File,
                size: content.len() as u64,
                modified: *modified,
                version: Some(Version::new(*version)),
            }),
            None if path != RemotePath::root() => Err(fault(FaultCode::NotFound, &path)),
            _ => Ok(Entry { path, kind: EntryKind::Directory, size: 0, modified: 0, version: None }),
        }
    }

    pub(super) fn list(&self, path: &RemotePath, recursive: bool) -> Result<Vec<Entry>, Fault> {
        self.check_directory(path)?;
        let below = self.nodes.keys().filter(|at| *at != path && at.is_within(path));
        below.filter(|at| recursive || at.parent().as_ref() == Some(path)).map(|at| self.stat(at)).collect()
    }

    pub(super) fn make_directory(&mut self, path: &RemotePath, parents: bool) -> Result<(), Fault> {
        match self.nodes.get(path) {
            Some(Node::Directory) if parents => return Ok(()),
            Some(_) => return Err(fault(FaultCode::Exists, path)),
            None if *path == RemotePath::root() && parents => return Ok(()),
            None => {}
        }
        if let Some(parent) = path.parent().filter(|parent| parents && *parent != RemotePath::root()) {
            self.make_directory(&parent, true)?;
        }
        self.check_parent(path)?;
        self.nodes.insert(path.clone(), Node::Directory);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &RemotePath, recursive: bool) -> Result<(), Fault> {
        self.stat(path)?;
        if *path == RemotePath::root() {
            return Err(fault(FaultCode::NotEmpty, path));
        }
        let has_children = self.nodes.keys().any(|at| at != path && at.is_within(path));
        if has_children && !recursive {
            return Err(fault(FaultCode::NotEmpty, path));
        }
        self.nodes.retain(|at, _| at != path && !at.is_within(path));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &RemotePath, to: &RemotePath, replace: bool) -> Result<(), Fault> {
        let entry = self.stat(from)?;
        self.check_parent(to)?;
        match self.nodes.get(to) {
            Some(Node::File { .. }) if replace && entry.kind == EntryKind::File => {}
            Some(_) => return Err(fault(FaultCode::Exists, to)),
            None => {}
        }
        let moved: Vec<_> = self.nodes.keys().filter(|at| *at == from || at.is_within(from)).cloned().collect();
        for at in moved {
            let rest = at.as_str().strip_prefix(from.as_str()).unwrap_or_default();
            if let (Ok(target), Some(node)) = (format!("{to}{rest}").parse(), self.nodes.remove(&at)) {
                self.nodes.insert(target, node);
            }
        }
        Ok(())
    }
}
