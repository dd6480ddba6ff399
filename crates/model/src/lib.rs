//! The nouns of netdisk: what every other crate names the same way.
//!
//! No IO and no async. A value of one of these types has been checked: whoever holds a [`RemotePath`]
//! need not ask again whether it climbs out of the home.
//!
//! - [`RemotePath`] and [`PathError`]: a path in a user's tree, and why a text is none.
//! - [`UserName`] and [`UserNameError`]: who somebody is.
//! - [`Entry`], [`EntryKind`], [`Version`]: one line of a listing.
//! - [`Digest`]: the identity of content.
//! - [`Parts`] and [`PartHasher`]: a file in parts, and what their digests make together.
//! - [`Usage`] and [`Limits`]: how much an account uses, and may.
//! - [`ResumeKey`]: a sender's name for a content.
//! - [`Fingerprint`]: the identity of a server.
//! - [`KeptLogin`]: a token as its owner sees it.
//! - [`Password`] and [`Token`]: proofs of who somebody is, which never show in a log.

mod digest;
mod entry;
mod fingerprint;
mod kept_login;
mod parts;
mod remote_path;
mod resume_key;
mod secret;
mod usage;
mod user_name;

pub use digest::{Digest, DigestError};
pub use entry::{Entry, EntryKind, Version, VersionError};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use kept_login::KeptLogin;
pub use parts::{PART_LEN, PartHasher, Parts};
pub use remote_path::{COMPONENT_LEN_MAX, DEPTH_MAX, PATH_LEN_MAX, PathError, RemotePath};
pub use resume_key::{ResumeKey, ResumeKeyError};
pub use secret::{PASSWORD_LEN_MAX, PASSWORD_LEN_MIN, Password, PasswordError, Token};
pub use usage::{Limits, Usage};
pub use user_name::{USER_NAME_LEN_MAX, UserName, UserNameError};
