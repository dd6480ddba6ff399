//! Why a home refused: neutral words, which each door maps to its own.

use std::{fmt, io};

/// Why something could not be done in a home. Paths are not repeated: the caller knows what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Nothing stands at the path.
    #[error("no such file or directory")]
    NotFound,
    /// Something stands at the path already.
    #[error("exists already")]
    Exists,
    /// The directory is not empty.
    #[error("the directory is not empty")]
    NotEmpty,
    /// A directory is needed and something else stands there.
    #[error("not a directory")]
    NotADirectory,
    /// A regular file is needed and something else stands there.
    #[error("not a regular file")]
    NotAFile,
    /// The root of the home cannot be removed or renamed.
    #[error("the root of the home stays where it is")]
    IsRoot,
    /// A directory cannot be moved below itself.
    #[error("a directory cannot be moved into itself")]
    IntoItself,
    /// The account's quota does not hold it.
    #[error("the quota of {max} {quota} is too small for it by {missing}")]
    QuotaExceeded {
        /// Which quota.
        quota: Quota,
        /// How much the account may use in all.
        max: u64,
        /// How much more it would have to be.
        missing: u64,
    },
    /// The disk is full, or would be filled beyond what is to stay free.
    #[error("the server's disk is full{}", .missing.map(|missing| format!("; {missing} bytes are missing")).unwrap_or_default())]
    Full {
        /// How many bytes more would be needed, where that is known.
        missing: Option<u64>,
    },
    /// Another connection writes to the same upload, and there is no room for a second one.
    #[error("another connection sends it, most often an old one that is not yet known to be gone")]
    UnderWay,
    /// The upload that a part is for has ended, or never was.
    #[error("no such upload is under way")]
    NoUpload,
    /// What is to come in parts is too small for it, or nobody knows its size.
    #[error("only a file of a known size that is longer than one part comes in parts")]
    NotInParts,
    /// Parts before it are missing still.
    #[error("too many parts before it are missing still")]
    TooFarAhead,
    /// The body is longer or shorter than declared.
    #[error("{actual} bytes came where {declared} were declared")]
    SizeMismatch {
        /// Declared length in bytes.
        declared: u64,
        /// What came; of a body that is too long, what came when it was noticed.
        actual: u64,
    },
    /// The content does not have the digest that was claimed.
    #[error("the content does not have the digest that was claimed")]
    DigestMismatch,
    /// The stored content is damaged.
    #[error("the stored content is damaged")]
    Corrupt,
    /// The file changed while it was read, or is shorter than the offset asked for.
    #[error("the file is not the one that was asked for any more")]
    Changed,
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Io(#[source] io::Error),
}

impl StorageError {
    /// The same error for somebody else whom it concerns.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::NotFound => Self::NotFound,
            Self::Exists => Self::Exists,
            Self::NoUpload => Self::NoUpload,
            Self::Full { missing } => Self::Full { missing: *missing },
            Self::Io(error) => Self::Io(match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            }),
            Self::Database(error) => Self::Database(error.to_string().into()),
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// The bytes of all files together.
    Bytes,
    /// The files.
    Files,
}

impl fmt::Display for Quota {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Bytes => "bytes",
            Self::Files => "files",
        })
    }
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => Self::NotFound,
            Some(Errno::EXIST) => Self::Exists,
            Some(Errno::NOTEMPTY) => Self::NotEmpty,
            Some(Errno::NOTDIR) => Self::NotADirectory,
            // LOOP: `openat2` met a link, final or on the way.
            Some(Errno::ISDIR | Errno::LOOP | Errno::NXIO) => Self::NotAFile,
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Self::Full { missing: None },
            _ => Self::Io(error),
        }
    }
}

impl From<rustix::io::Errno> for StorageError {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}
