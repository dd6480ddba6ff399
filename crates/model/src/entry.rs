//! One line of a listing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::RemotePath;

/// What stands at a path: one line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands, from the root of the home.
    pub path: RemotePath,
    /// File, directory, or something that is not served.
    pub kind: EntryKind,
    /// Length in bytes; 0 unless `kind` is a file.
    pub size: u64,
    /// Time of last modification, in milliseconds since 1970-01-01 UTC; negative before.
    pub modified: i64,
    /// Which stored version this is; only a file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
}

/// What kind of thing stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link, a pipe, a device: listed so that nobody wonders, never opened.
    Other,
}

/// The identity of one stored version of a file: at one path, equal versions have equal content.
///
/// Opaque: what it is made of is the back end's business. On the wire, 16 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

/// Why a text is no [`Version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version is 16 lower-case hexadecimal digits")]
pub struct VersionError;

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        let good = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if good { Ok(Self(text)) } else { Err(VersionError) }
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

impl Version {
    /// Wraps the number that a back end chose.
    pub fn new(number: u64) -> Self {
        Self(format!("{number:016x}"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Version({self})")
    }
}
