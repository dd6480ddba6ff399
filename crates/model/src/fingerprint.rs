//! The identity of a server: a hash of its public key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest as _;

/// The SHA-256 of a certificate's SubjectPublicKeyInfo in DER (as RFC 7469, section 2.4, pins keys); in text
/// `sha256:` and 64 lower-case hexadecimal digits.
///
/// It is the key's and not the certificate's: a certificate renewed for the same key keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Why a text is no [`Fingerprint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is `sha256:` and 64 hexadecimal digits")]
pub struct FingerprintError;

impl Fingerprint {
    /// Hashes a SubjectPublicKeyInfo in DER.
    pub fn of_public_key(spki: &[u8]) -> Self {
        Self(sha2::Sha256::digest(spki).into())
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Takes what people copy: with or without `sha256:`, in either case.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| FingerprintError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Fingerprint({self})")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_parses_back() {
        let fingerprint = Fingerprint::of_public_key(b"a key");
        let text = fingerprint.to_string();
        assert_eq!(text.len(), "sha256:".len() + 64);
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(text["sha256:".len()..].to_uppercase().parse(), Ok(fingerprint));
        assert_eq!(text[..text.len() - 1].parse::<Fingerprint>(), Err(FingerprintError));
    }
}
