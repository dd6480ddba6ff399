//! Accounts and homes: where users and their files are kept.
//!
//! Two small traits are the seam; every front door stands on them, every back end behind them.
//!
//! - [`Accounts`]: who may come in, and the [`Home`] they come into.
//! - [`Home`]: one user's tree. No call carries a user, so another user's files cannot even be named.
//! - [`PartedFile`]: an upload that comes in parts, over several connections.
//! - [`DiskStore`]: plain files and SQLite; the default.
//! - [`MemoryStore`]: the same in memory, for tests of what stands on it.
//! - `contract`: the laws that both obey, and every later back end must (behind the feature of that name).
//!
//! Nothing in here knows a protocol: errors are neutral and each door maps them.

mod accounts;
#[cfg(feature = "contract")]
pub mod contract;
mod disk;
mod door;
mod error;
mod home;
mod memory;
mod parts;
mod password;

pub use accounts::{Account, AccountSummary, Accounts, AccountsError, Standing};
pub use disk::{DiskStore, FileFinding, Finding, Looked, Options, Sharing};
pub use error::{Quota, StorageError};
pub use home::{
    Depth, Existing, Home, KNOWN_LEN_MIN, Listing, PartialFile, Removal, Stored, StoredFile, UploadSpec, WholeFile,
};
pub use memory::MemoryStore;
pub use parts::{PARTS_AHEAD_MAX, Part, PartTaker, PartedFile};
