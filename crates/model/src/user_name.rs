//! Who somebody is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use unicode_normalization::is_nfkc;

/// Longest user name in characters.
pub const USER_NAME_LEN_MAX: usize = 32;

/// The name of an account, and of its directory on the server: 1 to [`USER_NAME_LEN_MAX`] letters, digits, `.`, `_`
/// or `-`, the first a letter or a digit.
///
/// Letters of every script are welcome, but only in lower case and in normalisation form KC, so that no two names
/// differ merely by case or by width: they would be one directory on some file systems and one person to a reader.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

/// Why a text is no [`UserName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user name is 1 to {USER_NAME_LEN_MAX} letters or digits of any script, in lower case and plain width, `.`, `_` or `-`, \
     and begins with a letter or a digit"
)]
pub struct UserNameError;

impl UserName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_letter_or_digit(c: char) -> bool {
    // Hangul fillers are letters that nobody sees.
    c.is_alphanumeric() && c.to_lowercase().eq([c]) && !matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        let first_is_good = text.chars().next().is_some_and(is_letter_or_digit);
        let all_are_good = text.chars().all(|c| is_letter_or_digit(c) || matches!(c, '.' | '_' | '-'));
        let short_enough = text.chars().count() <= USER_NAME_LEN_MAX;
        if first_is_good && all_are_good && short_enough && is_nfkc(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(UserNameError)
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl Serialize for UserName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_every_script_are_welcome() {
        for name in ["a", "alice", "bob.smith-2_x", "7of9", "小明", "élise"] {
            assert!(name.parse::<UserName>().is_ok(), "{name}");
        }
        assert!("x".repeat(USER_NAME_LEN_MAX).parse::<UserName>().is_ok());
    }

    #[test]
    fn names_that_could_be_paths_or_look_alikes_are_refused() {
        let long = "x".repeat(USER_NAME_LEN_MAX + 1);
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "-rf",
            "a/b",
            "a\\b",
            "a b",
            "Alice",
            "a\0",
            "a\n",
            "a\u{1160}",
            "\u{115f}",
            "ａlice",
            "e\u{301}",
            &long,
        ] {
            assert!(name.parse::<UserName>().is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_one_path_component(text in any::<String>()) {
            if let Ok(name) = text.parse::<UserName>() {
                let path = std::path::Path::new(name.as_str());
                prop_assert_eq!(path.components().count(), 1);
                prop_assert!(matches!(path.components().next(), Some(std::path::Component::Normal(_))));
                prop_assert!(name.as_str().len() <= crate::COMPONENT_LEN_MAX);
            }
        }
    }
}
