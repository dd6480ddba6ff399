//! What a server answers.

use netdisk_model::{Digest, Entry, KeptLogin, Token, Usage, UserName, Version};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::request::Numbered;

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
    /// To `mkdir`, `remove`, `rename`, `copy`, `revoke` and `logout`: done, and on disk. To `part`: it has come, and is as it
    /// should be. To `finish` without a digest: nobody brings parts any more.
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
        /// To `download` of a part: what the whole file was stored as, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
        /// To `upload`: there are files of its size that [`crate::Request::Reuse`] may find.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        known: bool,
    },
    /// To `known`.
    Known {
        /// Those of the sizes of which there are files, each once.
        sizes: Vec<u64>,
    },
    /// To `upload` with `"body":"parts"`: its parts can be brought.
    Opened {
        /// The name of the upload.
        upload: String,
        /// How many bytes are there already, in whole parts and without a gap.
        offset: u64,
    },
    /// To `upload`, `reuse` and `finish`: stored and on disk.
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

/// Entries with their number, as they are most often: parsed in one go, where a message whose `type` may stand anywhere is
/// first read into a tree of values.
#[derive(Deserialize)]
struct NumberedEntries {
    id: u64,
    #[serde(rename = "type")]
    _type: EntriesType,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
enum EntriesType {
    #[serde(rename = "entries")]
    Entries,
}

impl Reply {
    /// Parses a message. Gives what `serde_json` gives of it, a listing in half the time.
    ///
    /// # Errors
    /// When it is no reply.
    pub(crate) fn parse(payload: &[u8]) -> Result<Numbered<Self>, serde_json::Error> {
        match serde_json::from_slice(payload) {
            Ok(NumberedEntries { id, entries, .. }) => Ok(Numbered::new(id, Self::Entries { entries })),
            Err(_) => serde_json::from_slice(payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In every order of fields, with unknown ones, and whatever is no listing.
    #[test]
    fn a_listing_is_parsed_as_any_other_reply() {
        let entry = r#"{"path":"/a","kind":"file","size":5,"modified":-1,"version":"00000000000000ff","new":[1]}"#;
        let samples = [
            format!(r#"{{"id":4,"type":"entries","entries":[{entry},{entry}]}}"#),
            format!(r#"{{"entries":[{entry}],"new":{{}},"type":"entries","id":4}}"#),
            r#"{"id":4,"type":"entries","entries":[]}"#.to_owned(),
            r#"{"id":4,"type":"entries"}"#.to_owned(),
            r#"{"id":4,"type":"end","count":2,"entries":[]}"#.to_owned(),
            r#"{"id":4,"id":5,"type":"entries","entries":[]}"#.to_owned(),
            r#"{"id":-4,"type":"entries","entries":[]}"#.to_owned(),
            r#"{"id":4,"type":"entries","entries":[{"path":"a"}]}"#.to_owned(),
            r#"{"id":0,"type":"fault","code":"busy","message":"no"}"#.to_owned(),
            "{".to_owned(),
        ];
        for sample in samples {
            let (ours, plain) =
                (Reply::parse(sample.as_bytes()), serde_json::from_slice::<Numbered<Reply>>(sample.as_bytes()));
            assert_eq!(ours.ok(), plain.ok(), "{sample}");
        }
    }
}
