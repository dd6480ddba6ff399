//! What a server answers.

use netdisk_model::{Digest, Entry, KeptLogin, Token, Usage, UserName, Version};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// An answer to a request. Every request gets exactly one last reply; `entries` and `ready` come before a last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// To `register` and `login`: the session is this user's. To `passwd`: it still is.
    Welcome {
        /// The user.
        user: UserName,
        /// The token, when it was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<Token>,
    },
    /// To `whoami`.
    Account {
        /// The user.
        user: UserName,
    },
    /// To `sessions`.
    Sessions {
        /// The logins that are kept, the last used first.
        sessions: Vec<KeptLogin>,
        /// Which of them is this connection's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        current: Option<String>,
    },
    /// To `quota`.
    Quota(Usage),
    /// To `mkdir`, `remove`, `rename`, `copy`, `revoke` and `logout`: done, and on disk.
    Done,
    /// To `list`: some of the entries, in no promised order; more may follow.
    Entries {
        /// The entries.
        entries: Vec<Entry>,
    },
    /// To `list`: that was all.
    End {
        /// How many entries there were in all `entries` together.
        count: u64,
        /// How many things were left out because this protocol cannot carry their names.
        #[serde(default)]
        skipped: u64,
    },
    /// To `stat`.
    Entry {
        /// What stands there.
        entry: Entry,
    },
    /// To `upload`: send from `offset`. To `download`: the body follows from `offset`.
    Ready {
        /// The first byte of the body, counted from the start of the file.
        offset: u64,
        /// To `download`: the file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entry: Option<Entry>,
        /// To `upload`: there are files of its size that [`crate::Request::Reuse`] may find.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        known: bool,
    },
    /// To `known`.
    Known {
        /// Those of the sizes of which there are files, each once.
        sizes: Vec<u64>,
    },
    /// To `upload` and `reuse`: stored and on disk.
    Stored {
        /// Length in bytes.
        size: u64,
        /// Digest of the whole content, as the server computed it.
        digest: Digest,
        /// The new version.
        version: Version,
    },
    /// To any request: refused.
    Fault(Fault),
}
