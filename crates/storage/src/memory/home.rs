//! One user's tree in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use netdisk_model::{Digest, Entry, EntryKind, Limits, PartHasher, Parts, RemotePath, ResumeKey, Usage, Version};

use super::lock;
use super::parts::MemoryParts;
use super::upload::MemoryPartialFile;
use crate::error::{Quota, StorageError};
use crate::home::{
    Depth, Existing, Home, KNOWN_LEN_MIN, Listing, PartialFile, Removal, Stored, StoredFile, UploadSpec,
};
use crate::parts::PartedFile;

/// Bytes given out by one `read`.
const CHUNK_LEN: usize = 256 * 1024;

pub(super) type Tree = BTreeMap<RemotePath, Node>;

#[derive(Debug)]
pub(super) struct MemoryHome {
    pub(super) shared: Arc<Shared>,
}

/// What a home and the uploads under way in it share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tree: Mutex<Tree>,
    pub(super) kept: Mutex<Kept>,
    pub(super) limits: Mutex<Limits>,
    /// Bytes and files promised to uploads under way.
    pub(super) promised: Mutex<(u64, u64)>,
}

impl Shared {
    pub(super) fn usage(&self) -> Usage {
        let tree = lock(&self.tree);
        let sizes = tree.values().filter_map(|node| node.file.as_ref()).map(|(content, _)| content.len() as u64);
        Usage { bytes: sizes.clone().sum(), files: sizes.count() as u64, limits: *lock(&self.limits) }
    }

    /// Promises bytes and files beyond what is used and promised, or says which quota does not hold them.
    pub(super) fn promise(&self, bytes: u64, files: u64) -> Result<(), StorageError> {
        let used = self.usage();
        let mut promised = lock(&self.promised);
        let check = |quota, used: u64, more: u64, max: Option<u64>| match max {
            Some(max) if more > 0 && used + more > max => {
                Err(StorageError::QuotaExceeded { quota, max, missing: used + more - max })
            }
            _ => Ok(()),
        };
        check(Quota::Bytes, used.bytes + promised.0, bytes, used.limits.bytes)?;
        check(Quota::Files, used.files + promised.1, files, used.limits.files)?;
        *promised = (promised.0 + bytes, promised.1 + files);
        Ok(())
    }

    pub(super) fn end_promise(&self, (bytes, files): (u64, u64)) {
        let mut promised = lock(&self.promised);
        *promised = (promised.0 - bytes, promised.1 - files);
    }
}

/// Interrupted uploads that may be resumed, by path, size and the sender's name for the content.
pub(super) type Kept = HashMap<(RemotePath, u64, ResumeKey), BytesMut>;

#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Content and its digest; a directory has none.
    pub(super) file: Option<(Bytes, Digest)>,
    pub(super) modified: i64,
    pub(super) version: u64,
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

pub(super) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl MemoryHome {
    pub(super) fn new() -> Self {
        let tree = Tree::from([(RemotePath::root(), Node::directory())]);
        let tree = Mutex::new(tree);
        let shared = Shared { tree, kept: Mutex::default(), limits: Mutex::default(), promised: Mutex::default() };
        Self { shared: Arc::new(shared) }
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

/// Gives the size of a file that is to be replaced.
pub(super) fn check_target(tree: &Tree, path: &RemotePath, existing: Existing) -> Result<Option<u64>, StorageError> {
    if path.is_root() {
        return Err(StorageError::NotAFile);
    }
    check_parent(tree, path)?;
    match tree.get(path) {
        Some(Node { file: None, .. }) => Err(StorageError::NotAFile),
        Some(_) if existing == Existing::Refuse => Err(StorageError::Exists),
        Some(node) => Ok(node.file.as_ref().map(|(content, _)| content.len() as u64)),
        None => Ok(None),
    }
}

impl MemoryHome {
    fn begin(&self, spec: UploadSpec) -> Result<Box<MemoryPartialFile>, StorageError> {
        let replaced = check_target(&lock(&self.shared.tree), &spec.path, spec.existing)?;
        let growth = spec.size.unwrap_or(0).saturating_sub(replaced.unwrap_or(0));
        let promised = (growth, replaced.is_none().into());
        self.shared.promise(promised.0, promised.1)?;
        let key = match (&spec.size, &spec.resume) {
            (Some(size), Some(key)) => Some((spec.path.clone(), *size, key.clone())),
            _ => None,
        };
        // Taken out: a second writer begins anew.
        let content = key.as_ref().and_then(|key| lock(&self.shared.kept).remove(key)).unwrap_or_default();
        let room = spec.size.unwrap_or(0).max(replaced.unwrap_or(0));
        Ok(Box::new(MemoryPartialFile { shared: self.shared.clone(), key, content, spec, promised, room }))
    }

    fn copy_tree(&self, from: &RemotePath, to: &RemotePath) -> Result<(), StorageError> {
        let copied: Vec<(String, Node)> = {
            let tree = lock(&self.shared.tree);
            check_parent(&tree, to)?;
            if tree.contains_key(to) {
                return Err(StorageError::Exists);
            }
            if to.is_within(from) {
                return Err(StorageError::IntoItself);
            }
            let inside = tree.iter().filter(|(at, _)| *at == from || at.is_within(from));
            let rest = |at: &RemotePath| at.as_str().strip_prefix(from.as_str()).unwrap_or_default().to_owned();
            inside.map(|(at, node)| (rest(at), node.clone())).collect()
        };
        let sizes = copied.iter().filter_map(|(_, node)| node.file.as_ref()).map(|(content, _)| content.len() as u64);
        let promised = (sizes.clone().sum(), sizes.count() as u64);
        self.shared.promise(promised.0, promised.1)?;
        let mut tree = lock(&self.shared.tree);
        for (rest, node) in copied {
            tree.insert(format!("{to}{rest}").parse().map_err(|_| StorageError::NotFound)?, node);
        }
        drop(tree);
        self.shared.end_promise(promised);
        Ok(())
    }
}

#[async_trait]
impl Home for MemoryHome {
    async fn list(&self, path: &RemotePath, depth: Depth) -> Result<Box<dyn Listing>, StorageError> {
        let tree = lock(&self.shared.tree);
        find_directory(&tree, path)?;
        let wanted = |at: &RemotePath| match depth {
            Depth::OneLevel => at.parent().as_ref() == Some(path),
            Depth::Tree => at.is_within(path),
        };
        let entries = tree.iter().filter(|(at, _)| wanted(at)).map(|(at, node)| node.entry(at)).collect();
        Ok(Box::new(MemoryListing { entries }))
    }

    async fn stat(&self, path: &RemotePath) -> Result<Entry, StorageError> {
        Ok(find(&lock(&self.shared.tree), path)?.entry(path))
    }

    async fn make_directory(&self, path: &RemotePath) -> Result<(), StorageError> {
        let mut tree = lock(&self.shared.tree);
        if tree.contains_key(path) {
            return Err(StorageError::Exists);
        }
        check_parent(&tree, path)?;
        tree.insert(path.clone(), Node::directory());
        Ok(())
    }

    async fn make_directories(&self, path: &RemotePath) -> Result<(), StorageError> {
        let mut tree = lock(&self.shared.tree);
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
        let mut tree = lock(&self.shared.tree);
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
        let mut tree = lock(&self.shared.tree);
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
        Ok(self.begin(spec)?)
    }

    async fn begin_parts(&self, spec: UploadSpec) -> Result<Box<dyn PartedFile>, StorageError> {
        MemoryParts::begin(self.begin(spec)?)
    }

    async fn known_sizes(&self, sizes: &[u64]) -> Result<Vec<u64>, StorageError> {
        let tree = lock(&self.shared.tree);
        let files = tree.values().filter_map(|node| node.file.as_ref()).map(|(content, _)| content.len() as u64);
        let known = files.filter(|size| *size >= KNOWN_LEN_MIN && sizes.contains(size));
        Ok(known.collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn store_known(&self, spec: UploadSpec, digest: Digest) -> Result<Option<Stored>, StorageError> {
        let has_it = |(content, its): &&(Bytes, Digest)| {
            content.len() as u64 >= KNOWN_LEN_MIN && Some(content.len() as u64) == spec.size && *its == digest
        };
        let known = lock(&self.shared.tree).values().filter_map(|node| node.file.as_ref()).find(has_it).cloned();
        let Some((content, _)) = known else { return Ok(None) };
        let mut partial = self.begin_upload(UploadSpec { resume: None, ..spec }).await?;
        partial.write(content).await?;
        partial.commit(digest).await.map(Some)
    }

    async fn copy(&self, from: &RemotePath, to: &RemotePath, existing: Existing) -> Result<(), StorageError> {
        let (node, modified) = {
            let tree = lock(&self.shared.tree);
            let node = find(&tree, from)?;
            (node.file.clone(), node.modified)
        };
        let Some((content, digest)) = node else { return self.copy_tree(from, to) };
        if from == to {
            return if existing == Existing::Refuse { Err(StorageError::Exists) } else { Ok(()) };
        }
        let spec = UploadSpec {
            path: to.clone(),
            size: Some(content.len() as u64),
            modified: Some(modified),
            existing,
            resume: None,
        };
        let mut partial = self.begin_upload(spec).await.map_err(|error| match error {
            StorageError::NotAFile => StorageError::Exists,
            error => error,
        })?;
        partial.write(content).await?;
        partial.commit(digest).await.map(drop)
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        Ok(self.shared.usage())
    }

    async fn open(&self, path: &RemotePath, offset: u64) -> Result<Box<dyn StoredFile>, StorageError> {
        let tree = lock(&self.shared.tree);
        let node = find(&tree, path)?;
        let Some((content, digest)) = node.file.clone() else { return Err(StorageError::NotAFile) };
        let left = usize::try_from(offset).ok().filter(|offset| *offset <= content.len());
        let left = content.slice(left.ok_or(StorageError::Changed)?..);
        Ok(Box::new(MemoryFile { entry: node.entry(path), left, digest, recorded: None }))
    }

    async fn open_part(&self, path: &RemotePath, part: u64) -> Result<Box<dyn StoredFile>, StorageError> {
        let (file, entry) = {
            let tree = lock(&self.shared.tree);
            let node = find(&tree, path)?;
            (node.file.clone(), node.entry(path))
        };
        let Some((content, digest)) = file else { return Err(StorageError::NotAFile) };
        let Some(parts) = Parts::of(content.len() as u64) else {
            return if part == 0 { self.open(path, 0).await } else { Err(StorageError::Changed) };
        };
        let (offset, len) = parts.place(part).ok_or(StorageError::Changed)?;
        let within = |bytes: u64| usize::try_from(bytes).map_err(|_| StorageError::Changed);
        let left = content.slice(within(offset)?..within(offset + len)?);
        let mut hasher = PartHasher::new(part);
        hasher.update(&left);
        let of_part = hasher.digest().ok_or(StorageError::Changed)?;
        Ok(Box::new(MemoryFile { entry, left, digest: of_part, recorded: Some(digest) }))
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

struct MemoryFile {
    entry: Entry,
    left: Bytes,
    digest: Digest,
    recorded: Option<Digest>,
}

#[async_trait]
impl StoredFile for MemoryFile {
    fn entry(&self) -> &Entry {
        &self.entry
    }

    async fn read(&mut self) -> Result<Option<Bytes>, StorageError> {
        let len = self.left.len().min(CHUNK_LEN);
        Ok(Some(self.left.split_to(len)).filter(|data| !data.is_empty()))
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    fn recorded(&self) -> Option<Digest> {
        self.recorded
    }
}
