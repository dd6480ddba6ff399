//! Proofs of who somebody is: passwords and tokens, which never show in a log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use zeroize::Zeroize;

/// Shortest password in characters (NIST SP 800-63B, section 3.1.1.2, asks for 8 at the least).
pub const PASSWORD_LEN_MIN: usize = 8;
/// Longest password in bytes: long enough for any phrase, short enough for a frame before login.
pub const PASSWORD_LEN_MAX: usize = 1024;

/// A password as a person typed it.
///
/// Not checked when it arrives from a peer: at login a wrong one is merely wrong. [`Password::check`] is for new ones.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Password(String);

/// Why a text is no good as a new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than [`PASSWORD_LEN_MIN`] characters.
    #[error("a password has at least {PASSWORD_LEN_MIN} characters")]
    TooShort,
    /// More than [`PASSWORD_LEN_MAX`] bytes.
    #[error("a password has at most {PASSWORD_LEN_MAX} bytes")]
    TooLong,
}

impl Password {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Checks whether this may become somebody's password.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub fn check(&self) -> Result<(), PasswordError> {
        if self.0.chars().count() < PASSWORD_LEN_MIN {
            Err(PasswordError::TooShort)
        } else if self.0.len() > PASSWORD_LEN_MAX {
            Err(PasswordError::TooLong)
        } else {
            Ok(())
        }
    }

    /// The secret itself, for hashing it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A revocable proof of an earlier login: 32 random bytes as 64 lower-case hexadecimal digits.
///
/// Any text is taken from a peer: one that is no token matches none.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Spells 32 random bytes; the caller vouches that they are random.
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        Self(hex::encode(bytes))
    }

    /// The secret itself, for hashing it or keeping it in a file of its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// A text; of anything else, an error that does not quote it: it may be a secret all the same.
fn secret_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map_err(|_| de::Error::custom("a secret is a text"))
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        secret_text(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        secret_text(deserializer).map(Self)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Password(..)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(..)")
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_not_quoted() {
        let error = serde_json::from_str::<Password>("12345678").expect_err("a number").to_string();
        assert!(!error.contains("1234"), "{error}");
        let error = serde_json::from_str::<Token>("[87654321]").expect_err("a list").to_string();
        assert!(!error.contains("8765"), "{error}");
    }

    #[test]
    fn secrets_do_not_show() {
        let shown = format!("{:?} {:?}", Password::new("canary-password"), Token::from_random(&[7; 32]));
        assert_eq!(shown, "Password(..) Token(..)");
    }

    #[test]
    fn new_passwords_are_bounded_at_both_ends() {
        let check = |len: usize| Password::new("x".repeat(len)).check();
        assert_eq!(check(PASSWORD_LEN_MIN - 1), Err(PasswordError::TooShort));
        assert_eq!(check(PASSWORD_LEN_MIN), Ok(()));
        assert_eq!(check(PASSWORD_LEN_MAX), Ok(()));
        assert_eq!(check(PASSWORD_LEN_MAX + 1), Err(PasswordError::TooLong));
        // Eight Chinese characters are eight characters.
        assert_eq!(Password::new("密".repeat(PASSWORD_LEN_MIN)).check(), Ok(()));
    }
}
