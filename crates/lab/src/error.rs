//! What can go wrong in the lab itself. That a lesson's program fails is no error: it is the lesson.

use std::io;

/// Why a part of the lab could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A socket, a file or the output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A demonstration did not show what it promises.
    #[error("not shown: {0}")]
    NotShown(String),
    /// What was checked does not hold.
    #[error("{0}")]
    Failed(String),
}
