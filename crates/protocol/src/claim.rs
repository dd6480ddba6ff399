//! A value as the peer claims it to be.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that was parsed when it arrived, its refusal kept until somebody asks.
///
/// A bad path in a good request costs a fault and not the connection; so the request must still parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<T: FromStr>(Result<T, T::Err>);

impl<T: FromStr> Claim<T> {
    /// The value, or why it is none.
    ///
    /// # Errors
    /// What the parser of `T` refused.
    pub fn check(self) -> Result<T, T::Err> {
        self.0
    }
}

impl<T: FromStr> From<T> for Claim<T> {
    fn from(value: T) -> Self {
        Self(Ok(value))
    }
}

impl<T: FromStr + Display> Serialize for Claim<T> {
    /// A refused value has no text any more; it becomes the empty string, which no parser here accepts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(value) => serializer.collect_str(value),
            Err(_) => serializer.serialize_str(""),
        }
    }
}

impl<'de, T: FromStr> Deserialize<'de> for Claim<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?.parse()))
    }
}
