//! A token as its owner sees it: when it was given and used, and a name to revoke it by, but not the token.

use serde::{Deserialize, Serialize};

use crate::Token;

/// A login that is kept: somewhere lies a token for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLogin {
    /// Names it.
    pub id: String,
    /// When its token was given, in milliseconds since 1970-01-01 UTC.
    pub created: i64,
    /// When it was last used, to the day.
    pub used: i64,
    /// When it ends, unless it is used before.
    pub expires: i64,
}

impl Token {
    /// A name for this token that tells nothing of it: the beginning of its BLAKE3 hash.
    pub fn id(&self) -> String {
        hex::encode(&blake3::hash(self.expose().as_bytes()).as_bytes()[..6])
    }
}
