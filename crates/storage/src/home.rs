//! One user's tree.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::{Digest, Entry, RemotePath, ResumeKey, Usage, Version};

use crate::error::StorageError;
use crate::parts::PartedFile;

/// The tree of one user. Whatever a call acknowledges is on disk.
#[async_trait]
pub trait Home: Debug + Send + Sync {
    /// Begins a listing of the directory at `path`.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::NotADirectory`].
    async fn list(&self, path: &RemotePath, depth: Depth) -> Result<Box<dyn Listing>, StorageError>;

    /// Says what stands at `path`.
    ///
    /// # Errors
    /// [`StorageError::NotFound`].
    async fn stat(&self, path: &RemotePath) -> Result<Entry, StorageError>;

    /// Makes one directory.
    ///
    /// # Errors
    /// [`StorageError::Exists`], [`StorageError::NotFound`] when the parent is missing.
    async fn make_directory(&self, path: &RemotePath) -> Result<(), StorageError>;

    /// Makes a directory and its missing parents; one that exists is no error.
    ///
    /// # Errors
    /// [`StorageError::NotADirectory`] when something else stands on the way or at the end.
    async fn make_directories(&self, path: &RemotePath) -> Result<(), StorageError>;

    /// Removes what stands at `path`.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::NotEmpty`], [`StorageError::IsRoot`].
    async fn remove(&self, path: &RemotePath, removal: Removal) -> Result<(), StorageError>;

    /// Gives a file or directory another path.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::Exists`], [`StorageError::IsRoot`], [`StorageError::IntoItself`],
    /// [`StorageError::NotAFile`] for what is neither file nor directory.
    async fn rename(&self, from: &RemotePath, to: &RemotePath, existing: Existing) -> Result<(), StorageError>;

    /// Copies a file, or a directory with all that is in it, at one stroke. What is neither is left out of a tree.
    ///
    /// # Errors
    /// As [`Home::rename`]; [`StorageError::QuotaExceeded`], [`StorageError::Full`], and [`StorageError::Corrupt`] when
    /// what is to be copied does not have the digest that it was stored with.
    async fn copy(&self, from: &RemotePath, to: &RemotePath, existing: Existing) -> Result<(), StorageError>;

    /// What the account uses and may use.
    ///
    /// # Errors
    /// A failure of the store.
    async fn usage(&self) -> Result<Usage, StorageError>;

    /// Begins an upload. Until it is committed, what stands at its path stays.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] when the parent is missing, [`StorageError::NotAFile`] when something else than a
    /// file stands there, [`StorageError::Exists`] when nothing may, [`StorageError::QuotaExceeded`] and
    /// [`StorageError::Full`] when its size is known and there is no room for it.
    async fn begin_upload(&self, spec: UploadSpec) -> Result<Box<dyn PartialFile>, StorageError>;

    /// Begins an upload whose parts come in any order. Until it is committed, what stands at its path stays.
    ///
    /// # Errors
    /// Those of [`Home::begin_upload`], and [`StorageError::NotInParts`].
    async fn begin_parts(&self, spec: UploadSpec) -> Result<Box<dyn PartedFile>, StorageError>;

    /// Stores whole files as one upload after the other would. Gives what came of each, in their order, once all of them
    /// are on disk or refused; so they can share what that costs. Not cancel safe: what has begun is carried through.
    ///
    /// # Errors
    /// For each file those of [`Home::begin_upload`] and [`PartialFile::commit`].
    async fn store(&self, files: Vec<WholeFile>) -> Vec<Result<Stored, StorageError>> {
        one_by_one(self, files).await
    }

    /// Says of which of these sizes in bytes a file of the home may be known, each once, in ascending order: whether
    /// [`Home::store_known`] is worth a try, before anybody has hashed anything.
    ///
    /// # Errors
    /// A failure of the store.
    async fn known_sizes(&self, sizes: &[u64]) -> Result<Vec<u64>, StorageError>;

    /// Stores a file whose content, of this digest, another file of the home has: as a clone of that, which is read and
    /// compared. `None` where no file is known to have it, or it is shorter than [`KNOWN_LEN_MIN`]: then it must be
    /// uploaded. Its size must be known. No other home is looked at.
    ///
    /// # Errors
    /// As [`Home::begin_upload`] and [`PartialFile::commit`].
    async fn store_known(&self, spec: UploadSpec, digest: Digest) -> Result<Option<Stored>, StorageError>;

    /// Opens a file for reading from `offset`. What is opened stays readable as it was, whatever replaces it.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::NotAFile`], [`StorageError::Changed`] when the file is shorter than
    /// `offset`.
    async fn open(&self, path: &RemotePath, offset: u64) -> Result<Box<dyn StoredFile>, StorageError>;

    /// Opens one part of a file ([`netdisk_model::Parts`]) for reading; its digest is then that of the part. Of a file that
    /// has only one, that is the whole.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::NotAFile`], [`StorageError::Changed`] when the file has no such part.
    async fn open_part(&self, path: &RemotePath, part: u64) -> Result<Box<dyn StoredFile>, StorageError>;

    /// Opens several files, each from its start; gives what came of each, in their order.
    ///
    /// # Errors
    /// For each file those of [`Home::open`].
    async fn open_all(&self, paths: &[RemotePath]) -> Vec<Result<Box<dyn StoredFile>, StorageError>> {
        let mut opened = Vec::with_capacity(paths.len());
        for path in paths {
            opened.push(self.open(path, 0).await);
        }
        opened
    }
}

/// Stores files by one upload after the other.
pub(crate) async fn one_by_one<H: Home + ?Sized>(home: &H, files: Vec<WholeFile>) -> Vec<Result<Stored, StorageError>> {
    let mut outcomes = Vec::with_capacity(files.len());
    for WholeFile { mut spec, data, claimed } in files {
        spec.resume = None;
        let upload = async {
            let mut partial = home.begin_upload(spec).await?;
            partial.write(data).await?;
            partial.commit(claimed).await
        };
        outcomes.push(upload.await);
    }
    outcomes
}

/// How far a listing reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What is in the directory.
    OneLevel,
    /// The whole tree below the directory, each directory before what is in it.
    Tree,
}

/// What a removal may take with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// A file, or a directory that is empty.
    Single,
    /// A directory with all that is in it, at one stroke: a crash leaves all of it or none.
    Tree,
}

/// What happens to a file that stands where another goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced, at one stroke.
    Replace,
    /// It stays, and the call fails with [`StorageError::Exists`].
    Refuse,
}

/// A listing under way.
#[async_trait]
pub trait Listing: Send {
    /// The next entries, in no promised order; empty at the end. Not cancel safe.
    ///
    /// # Errors
    /// A failure of the disk.
    async fn next_batch(&mut self) -> Result<Vec<Entry>, StorageError>;

    /// How many things were left out so far because no [`RemotePath`] can name them.
    fn skipped(&self) -> u64;
}

/// What an upload announces.
#[derive(Debug, Clone)]
pub struct UploadSpec {
    /// Where to.
    pub path: RemotePath,
    /// Length of the whole file in bytes, when it is known.
    pub size: Option<u64>,
    /// Time of last modification to store, in milliseconds since 1970-01-01 UTC.
    pub modified: Option<i64>,
    /// What happens to a file that stands there.
    pub existing: Existing,
    /// What the sender calls the content. An upload of the same path, size and name goes on where an interrupted one
    /// ended; without a name, or without a size, nothing is kept.
    pub resume: Option<ResumeKey>,
}

/// Shortest content, in bytes, that is looked for in the home: to send less takes no longer than to ask.
pub const KNOWN_LEN_MIN: u64 = 1024 * 1024;

/// A file that is there as a whole before it is stored: a small one.
#[derive(Debug, Clone)]
pub struct WholeFile {
    /// What it announces. It is never resumed.
    pub spec: UploadSpec,
    /// Its content.
    pub data: Bytes,
    /// The digest that its sender claims.
    pub claimed: Digest,
}

/// An unfinished upload. Dropping it discards it, unless it can be resumed: then what was received is kept for a while.
#[async_trait]
pub trait PartialFile: Send {
    /// How many bytes are there already: where the sender goes on.
    fn offset(&self) -> u64;

    /// Appends bytes. Not cancel safe. May return before they are written; a failure then shows in a later call.
    ///
    /// # Errors
    /// [`StorageError::SizeMismatch`] when more comes than was declared, [`StorageError::QuotaExceeded`] and
    /// [`StorageError::Full`], a failure of the disk.
    async fn write(&mut self, data: Bytes) -> Result<(), StorageError>;

    /// Checks size and digest and puts the file at its path, at one stroke. Returns when file and name are on disk.
    /// Not cancel safe: what has begun is carried through.
    ///
    /// # Errors
    /// [`StorageError::SizeMismatch`], [`StorageError::DigestMismatch`], [`StorageError::Exists`]: the path then holds
    /// what it held before. After [`StorageError::Io`] it holds that or the new file, whole either way: a directory that
    /// could not be synced cannot be told to forget.
    async fn commit(self: Box<Self>, claimed: Digest) -> Result<Stored, StorageError>;
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Length in bytes.
    pub size: u64,
    /// Digest of the whole content.
    pub digest: Digest,
    /// The new version.
    pub version: Version,
}

/// A file open for reading.
#[async_trait]
pub trait StoredFile: Send {
    /// What was opened.
    fn entry(&self) -> &Entry;

    /// The next bytes in order; none at the end. They are empty while what lies before the offset is read for the
    /// digest. Not cancel safe.
    ///
    /// # Errors
    /// [`StorageError::Changed`] when somebody wrote into the file meanwhile, [`StorageError::Corrupt`] at the end when
    /// the content is not what was stored, a failure of the disk.
    async fn read(&mut self) -> Result<Option<Bytes>, StorageError>;

    /// Digest of the whole content, or of the part that was opened; known once `read` has come to the end.
    fn digest(&self) -> Digest;

    /// Of a part: the digest that the whole file was stored with, where it is known and nobody wrote into it since. Whoever
    /// has all parts compares them with it, for nobody here does.
    fn recorded(&self) -> Option<Digest> {
        None
    }
}
