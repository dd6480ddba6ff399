//! A sender's name for one content, by which an interrupted upload is found again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A sender's name for one content: equal names mean equal content, as far as the sender can tell. Whether it is true,
/// the digest at the end shows. 1 to [`ResumeKey::LEN_MAX`] ASCII letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResumeKey(String);

/// Why a text is no [`ResumeKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a resume key is 1 to {} ASCII letters and digits", ResumeKey::LEN_MAX)]
pub struct ResumeKeyError;

impl ResumeKey {
    /// Longest name in bytes: a digest in hexadecimal digits.
    pub const LEN_MAX: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResumeKey {
    type Err = ResumeKeyError;

    fn from_str(text: &str) -> Result<Self, ResumeKeyError> {
        let good = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if good && (1..=Self::LEN_MAX).contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(ResumeKeyError) }
    }
}

impl TryFrom<String> for ResumeKey {
    type Error = ResumeKeyError;

    fn try_from(text: String) -> Result<Self, ResumeKeyError> {
        text.parse()
    }
}

impl From<ResumeKey> for String {
    fn from(key: ResumeKey) -> Self {
        key.0
    }
}

impl fmt::Display for ResumeKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_plain() {
        let len = |len: usize| "a".repeat(len).parse::<ResumeKey>();
        assert!(len(1).is_ok() && len(ResumeKey::LEN_MAX - 1).is_ok() && len(ResumeKey::LEN_MAX).is_ok());
        for wrong in ["", "a/b", "..", "a b", "夏", "a\0"] {
            assert_eq!(wrong.parse::<ResumeKey>(), Err(ResumeKeyError), "{wrong:?}");
        }
        assert_eq!(len(ResumeKey::LEN_MAX + 1), Err(ResumeKeyError));
    }
}
