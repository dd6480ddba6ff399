//! Why a home refused: neutral words, which each door maps to its own.

use std::io;

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
    #[error("the quota does not hold it")]
    QuotaExceeded,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
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
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Io(#[source] io::Error),
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
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Self::Full,
            _ => Self::Io(error),
        }
    }
}

impl From<rustix::io::Errno> for StorageError {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}
