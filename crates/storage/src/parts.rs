//! An upload whose parts come in any order, over several connections at once.
//!
//! ```text
//!   Home::begin_parts ──▶ PartedFile ── commit ──▶ as any other upload: size, digest, sync, name
//!                            │   └──── give_up, drop ──▶ what is there without a gap is kept
//!                          taker
//!                            ▼
//!                         PartTaker ── begin ──▶ Part ── write.. finish ──▶ it is there
//!                                                   └─── drop ──▶ it is missing still
//! ```
//!
//! One owns the upload, and it lives as long as that one; many bring parts. Parts are those of [`netdisk_model::Parts`].

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::Digest;

use crate::error::StorageError;
use crate::home::Stored;

/// So many parts may be there or under way behind the first that is missing: what is remembered of them is bounded by it.
pub const PARTS_AHEAD_MAX: u64 = 256;

/// An unfinished upload in parts. Dropped, it is given up.
#[async_trait]
pub trait PartedFile: Send + Sync {
    /// How many bytes are there already, in whole parts and without a gap.
    fn offset(&self) -> u64;

    /// What takes its parts.
    fn taker(&self) -> Arc<dyn PartTaker>;

    /// Checks that all parts are there and that they make this digest, and puts the file at its path, as
    /// [`crate::PartialFile::commit`] does; parts that are under way are refused from here on. Not cancel safe: what has
    /// begun is carried through.
    ///
    /// # Errors
    /// Those of [`crate::PartialFile::commit`].
    async fn commit(self: Box<Self>, claimed: Digest) -> Result<Stored, StorageError>;

    /// Ends it: what is there without a gap is kept as that of an interrupted upload, where it can be resumed.
    async fn give_up(self: Box<Self>);
}

/// Takes the parts of one upload, for as long as that is open.
#[async_trait]
pub trait PartTaker: Debug + Send + Sync {
    /// Begins to take part `number`. If somebody else brings it at this moment, that one may bring no more of it: most often
    /// it is an old connection that is not known to be gone.
    ///
    /// # Errors
    /// [`StorageError::NoUpload`] when the upload has ended, [`StorageError::Exists`] when the part is there,
    /// [`StorageError::SizeMismatch`] when the file has no such part, [`StorageError::TooFarAhead`].
    async fn begin(&self, number: u64) -> Result<Box<dyn Part>, StorageError>;
}

/// A part on its way. Dropped, it is missing still.
#[async_trait]
pub trait Part: Send {
    /// Takes the next bytes of it. Not cancel safe. May return before they are written; a failure then shows in a later
    /// call.
    ///
    /// # Errors
    /// [`StorageError::SizeMismatch`], [`StorageError::NoUpload`], [`StorageError::UnderWay`] when somebody else brings it
    /// now; [`StorageError::Full`] and a failure of the disk end the whole upload.
    async fn write(&mut self, data: Bytes) -> Result<(), StorageError>;

    /// It is there, if it is as long as it should be and has this digest: the chaining value of its subtree. It need not be
    /// on the disk yet.
    ///
    /// # Errors
    /// As [`Part::write`], and [`StorageError::DigestMismatch`].
    async fn finish(self: Box<Self>, claimed: Digest) -> Result<(), StorageError>;
}
