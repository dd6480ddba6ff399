//! What a client says: the greeting, what may be asked before login, and what may be asked after it.
//!
//! Two enums keep the states apart: "list before login" does not parse.

use netdisk_model::{Digest, Password, RemotePath, ResumeKey, Token, UserName, Version};
use serde::{Deserialize, Serialize};

use crate::claim::Claim;
use crate::connection::ConnectionError;
use crate::limits;

/// The first message in each direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Greeting {
    /// Who speaks, and which version.
    Hello {
        /// The highest version that a client speaks; the version that a server chose.
        version: u32,
        /// Name and version of the program, for logs.
        software: String,
        /// What the server takes at most; a client announces none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limits: Option<AnnouncedLimits>,
        /// What the sender can do beyond version 1; unknown ones are ignored.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        features: Vec<String>,
    },
}

/// The limits after login, as a server announces them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedLimits {
    /// Longest message in bytes.
    pub message_len_max: usize,
    /// Most file bytes in one frame.
    pub data_len_max: usize,
    /// Most requests sent and not yet answered.
    pub window: usize,
}

/// The feature of a server that knows [`Request::Known`] and [`Request::Reuse`].
pub const REUSE: &str = "reuse";

impl AnnouncedLimits {
    /// The limits of this crate.
    pub const OURS: Self =
        Self { message_len_max: limits::MESSAGE_LEN_MAX, data_len_max: limits::DATA_LEN_MAX, window: limits::WINDOW };
}

/// A message with the number that ties request, body and reply together.
///
/// The client chooses `id`, 1 to [`ID_MAX`]; a fault with `id` 0 concerns the connection and no request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered<T> {
    /// The number.
    pub id: u64,
    /// What is numbered.
    #[serde(flatten)]
    pub message: T,
}

/// The highest `id`: beyond it, not every language's numbers are exact.
pub const ID_MAX: u64 = (1 << 53) - 1;

impl<T> Numbered<T> {
    /// Gives id and message of a request, or says that no request has this id.
    ///
    /// # Errors
    /// [`ConnectionError::NotAMessage`] for 0 and for ids beyond [`ID_MAX`].
    pub fn of_request(self) -> Result<(u64, T), ConnectionError> {
        match self.id {
            1..=ID_MAX => Ok((self.id, self.message)),
            id => Err(ConnectionError::not_a_message(format!("id {id}, where 1 to 2^53-1 may be"))),
        }
    }

    /// Numbers a message.
    pub fn new(id: u64, message: T) -> Self {
        Self { id, message }
    }
}

/// What may be asked before login: to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Admission {
    /// Makes an account and its home, and logs in.
    Register {
        /// The new account's name.
        user: Claim<UserName>,
        /// Its password.
        password: Password,
        /// The invitation, where one is needed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invitation: Option<Token>,
        /// Asks for a token for later logins.
        #[serde(default)]
        keep: bool,
    },
    /// Logs in.
    Login {
        /// Whose account.
        user: Claim<UserName>,
        /// `password` or `token`.
        #[serde(flatten)]
        proof: Proof,
        /// Asks for a token for later logins.
        #[serde(default)]
        keep: bool,
    },
}

/// What shows that somebody is who they say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The password.
    Password(Password),
    /// A token from an earlier login.
    Token(Token),
}

/// What may be asked after login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Whose session this is.
    Whoami,
    /// Revokes the token that this connection logged in with or was given.
    Logout,
    /// Sets another password. All tokens become worthless.
    Passwd {
        /// The password so far: a session left open is no reason to lose an account.
        old: Password,
        /// The new one.
        new: Password,
        /// Asks for a token for later logins.
        #[serde(default)]
        keep: bool,
    },
    /// Which logins are kept.
    Sessions,
    /// Makes the token of a kept login worthless.
    Revoke {
        /// Its name, as `sessions` gives it.
        session: String,
    },
    /// What stands in a directory.
    List {
        /// The directory.
        path: Claim<RemotePath>,
        /// The whole tree below it, not one level.
        #[serde(default)]
        recursive: bool,
    },
    /// What stands at a path.
    Stat {
        /// The path.
        path: Claim<RemotePath>,
    },
    /// Makes a directory.
    Mkdir {
        /// The new directory.
        path: Claim<RemotePath>,
        /// Makes missing parents too, and does not mind if it exists.
        #[serde(default)]
        parents: bool,
    },
    /// Removes a file or a directory.
    Remove {
        /// What to remove.
        path: Claim<RemotePath>,
        /// A directory with all that is in it; otherwise only an empty one.
        #[serde(default)]
        recursive: bool,
    },
    /// Gives a file or a directory another path.
    Rename {
        /// The path now.
        from: Claim<RemotePath>,
        /// The path afterwards.
        to: Claim<RemotePath>,
        /// Puts it in place of a file that stands there.
        #[serde(default)]
        replace: bool,
    },
    /// Copies a file, or a directory with all that is in it.
    Copy {
        /// What to copy.
        from: Claim<RemotePath>,
        /// The path of the copy.
        to: Claim<RemotePath>,
        /// Puts a copied file in place of a file that stands there.
        #[serde(default)]
        replace: bool,
    },
    /// How much of the store the account uses, and how much it may.
    Quota,
    /// Stores a file; its body follows.
    Upload {
        /// Where to.
        path: Claim<RemotePath>,
        /// Length of the whole file in bytes; absent when the sender does not know yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// Time of last modification to store, in milliseconds since 1970-01-01 UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        modified: Option<i64>,
        /// Refuses to overwrite.
        #[serde(default)]
        create: bool,
        /// What the sender calls the content, to go on with it after an interruption.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<ResumeKey>,
        /// When the body begins.
        #[serde(default)]
        body: BodyStart,
    },
    /// Of which sizes the user has files that [`Request::Reuse`] may find.
    Known {
        /// In bytes.
        sizes: Vec<u64>,
    },
    /// Stores a file whose content the user has in another one already; nothing of it travels.
    Reuse {
        /// Where to.
        path: Claim<RemotePath>,
        /// Length in bytes.
        size: u64,
        /// Digest of the content.
        digest: Digest,
        /// Time of last modification to store, in milliseconds since 1970-01-01 UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        modified: Option<i64>,
        /// Refuses to overwrite.
        #[serde(default)]
        create: bool,
    },
    /// Brings one part of an upload in parts; its body follows at once, and ends with the digest of the part.
    Part {
        /// Which upload, by the name that it got when it was opened.
        upload: String,
        /// Which part.
        part: u64,
    },
    /// Ends an upload in parts, on the connection that opened it.
    Finish {
        /// Which upload.
        upload: String,
        /// Digest of the whole file; without it, nothing is stored, and what came is kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
    },
    /// Fetches a file; its body follows the reply.
    Download {
        /// Which file.
        path: Claim<RemotePath>,
        /// How many bytes the receiver has already.
        #[serde(default)]
        offset: u64,
        /// Of which version they are; of a part, which version is meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<Version>,
        /// Only this part of the file, where the server has [`crate::PARTS`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<u64>,
    },
}

/// When the body of an upload begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyStart {
    /// After `ready`, from the offset that it names.
    #[default]
    Wait,
    /// At once, from offset 0.
    Now,
    /// There is none: parts are brought by requests of their own, where the server has [`crate::PARTS`].
    Parts,
}
