//! How much of the store an account uses, and how much it may.

use serde::{Deserialize, Serialize};

/// What an account uses and may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of its files that are counted.
    pub bytes: u64,
    /// How many files are counted.
    pub files: u64,
    /// Where it ends.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
}

/// What an account may use at most; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes in all its files together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
}

impl Limits {
    /// No limit at all.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
