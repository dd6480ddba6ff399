//! Refusals: the peer is told, the session lives.
//!
//! The list of codes is closed for version 1. Text is for people, codes are for programs: nobody parses a message.

use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::FAULT_MESSAGE_LEN_MAX;

/// A refusal of one request, or of one body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What a program decides by.
    pub code: FaultCode,
    /// One line for a person: which thing, what happened. Untrusted text when it comes from a peer.
    pub message: String,
}

impl Fault {
    /// Makes a fault; a text over [`FAULT_MESSAGE_LEN_MAX`] is cut.
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(FAULT_MESSAGE_LEN_MAX));
        Self { code, message }
    }
}

/// Declares the closed list once: variant, name on the wire, retry, exit code, meaning.
macro_rules! fault_codes {
    ($($variant:ident = $name:literal, $retry:literal, $exit:literal, $meaning:literal;)*) => {
        /// Why something was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum FaultCode {
            $(#[doc = $meaning] #[serde(rename = $name)] $variant,)*
            /// A code that version 1 does not know: final.
            #[serde(rename = "unknown")]
            Unknown,
        }

        impl FaultCode {
            /// Every code of version 1, in the order of PROTOCOL.md.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it stands on the wire.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown => "unknown",
                }
            }

            /// What the code means, as PROTOCOL.md has it.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                    Self::Unknown => "a code that version 1 does not know",
                }
            }

            /// Whether the same request may succeed later without a change.
            pub fn is_worth_a_retry(self) -> bool {
                match self {
                    $(Self::$variant => $retry,)*
                    Self::Unknown => false,
                }
            }

            /// The exit code that the fault becomes in the program.
            pub fn exit_code(self) -> u8 {
                match self {
                    $(Self::$variant => $exit,)*
                    Self::Unknown => 1,
                }
            }
        }
    };
}

fault_codes! {
    BadRequest = "bad_request", false, 1, "the frame or message breaks this protocol; the connection is closed";
    UnsupportedVersion = "unsupported_version", false, 1, "no common protocol version; the connection is closed";
    BadPath = "bad_path", false, 2, "the path is none by the rules for paths";
    BadName = "bad_name", false, 2, "the user name is none by the rules for user names";
    BadPassword = "bad_password", false, 2, "the new password is too short or too long";
    LoginRefused = "login_refused", false, 4, "user, password or token is wrong; which of them is never said";
    NameTaken = "name_taken", false, 7, "an account of that name exists";
    RegistrationClosed = "registration_closed", false, 7, "this server registers nobody";
    NotFound = "not_found", false, 6, "nothing stands at the path";
    Exists = "exists", false, 7, "something stands at the path already";
    NotEmpty = "not_empty", false, 7, "the directory is not empty";
    NotADirectory = "not_a_directory", false, 7, "a directory is needed and something else stands there";
    NotAFile = "not_a_file", false, 7, "a regular file is needed and something else stands there";
    QuotaExceeded = "quota_exceeded", false, 7, "the account's quota does not hold it";
    Full = "full", true, 7, "the server's disk is full";
    SizeMismatch = "size_mismatch", false, 8, "the body is longer or shorter than declared; nothing was stored";
    DigestMismatch = "digest_mismatch", true, 8, "the content does not have the digest of its end; nothing was stored";
    Corrupt = "corrupt", false, 8, "the stored content is damaged";
    Changed = "changed", true, 8, "the file is no longer the version asked for";
    ReadFailed = "read_failed", false, 1, "the sender of the body could not read on";
    WriteFailed = "write_failed", false, 1, "the receiver of the body could not write on";
    Cancelled = "cancelled", false, 130, "one side wanted no more";
    TimedOut = "timed_out", true, 3, "the peer was silent for too long; the connection is closed";
    Busy = "busy", true, 3, "the server serves as many as it can";
    ShuttingDown = "shutting_down", true, 3, "the server stops; the connection is closed";
    Internal = "internal", false, 1, "the server failed; its log says why";
}

impl<'de> Deserialize<'de> for FaultCode {
    /// An unknown code is [`FaultCode::Unknown`], so that a later server can still be understood.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(Self::ALL.iter().copied().find(|code| code.name() == name).unwrap_or(Self::Unknown))
    }
}

impl std::fmt::Display for FaultCode {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}
