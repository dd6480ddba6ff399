//! What comes of the jobs: told to whoever watches as it happens, and summed up at the end.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use netdisk_model::RemotePath;

use super::queue::Taken;
use crate::error::ClientError;
use crate::observer::Progress;
use crate::transfer::Outcome;

/// Somebody who watches a transfer of many files. Called from its tasks: be quick.
///
/// ```
/// use netdisk_client::{End, Item, TransfersObserver};
///
/// struct Names;
///
/// impl TransfersObserver for Names {
///     fn ended(&self, item: Item<'_>, end: &End) {
///         println!("{}: {end:?}", item.remote);
///     }
/// }
/// ```
pub trait TransfersObserver: Send + Sync {
    /// Whether it wants to be told what is [`found`](Self::found) of local trees, which are walked once more for it.
    fn wants_totals(&self) -> bool {
        false
    }

    /// So many more files and bytes have been found that there are to do.
    fn found(&self, _files: u64, _bytes: u64) {}

    /// A file is under way.
    fn began(&self, _item: Item<'_>, _size: u64) {}

    /// A large file under way has come so far.
    fn progress(&self, _item: Item<'_>, _progress: Progress) {}

    /// What came of it. Of each file and directory this is said once.
    fn ended(&self, item: Item<'_>, end: &End);

    /// A connection was lost, for this reason; the next try comes after `delay`.
    fn waiting(&self, _reason: &str, _delay: Duration) {}
}

impl TransfersObserver for crate::observer::Unobserved {
    fn ended(&self, _item: Item<'_>, _end: &End) {}
}

/// One file or directory of a transfer.
///
/// ```
/// use netdisk_client::Item;
///
/// let item = Item { local: std::path::Path::new("a"), remote: &"/a".parse()? };
/// assert_eq!(item.remote.as_str(), "/a");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// Where it is, or goes, on this machine.
    pub local: &'a Path,
    /// Where it is, or goes, on the server.
    pub remote: &'a RemotePath,
}

/// What came of one file or directory.
///
/// ```
/// use netdisk_client::{End, LeftOut};
///
/// assert!(matches!(End::LeftOut(LeftOut::Link), End::LeftOut(_)));
/// ```
#[derive(Debug)]
pub enum End {
    /// The file is whole where it should be, and acknowledged.
    Done(Outcome),
    /// The directory is there.
    Made,
    /// It was not wanted, or cannot be moved.
    LeftOut(LeftOut),
    /// It failed; the others go on.
    Failed(ClientError),
}

/// Why something was left out.
///
/// ```
/// assert_eq!(netdisk_client::LeftOut::Link.to_string(), "a symbolic link");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// It is a symbolic link.
    Link,
    /// It is a pipe, a socket or a device, or something else that the server does not serve.
    Special,
    /// Another one stands there, and stays.
    Exists,
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Link => "a symbolic link",
            Self::Special => "neither a file nor a directory",
            Self::Exists => "exists already",
        })
    }
}

/// What came of all of them.
///
/// ```
/// assert_eq!(netdisk_client::Summary::default().failed, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that are done.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them did not travel: the server had their content.
    pub reused: u64,
    /// Directories that are there.
    pub directories: u64,
    /// What was left out.
    pub left_out: u64,
    /// What failed.
    pub failed: u64,
}

/// Takes down what comes of jobs.
pub(super) struct Report {
    pub(super) observer: Arc<dyn TransfersObserver>,
    summary: Mutex<Summary>,
}

impl Report {
    pub(super) fn new(observer: Arc<dyn TransfersObserver>) -> Self {
        Self { observer, summary: Mutex::default() }
    }

    /// The job has come to its end.
    pub(super) fn settle<J: Clone + Shown>(&self, taken: Taken<J>, end: End) {
        self.end(taken.item(), &end);
        taken.settle();
    }

    /// The end of something that never became a job.
    pub(super) fn end(&self, item: Item<'_>, end: &End) {
        {
            let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
            match end {
                End::Done(outcome) => {
                    summary.files += 1;
                    summary.bytes += outcome.size;
                    summary.reused += u64::from(outcome.reused);
                }
                End::Made => summary.directories += 1,
                End::LeftOut(_) => summary.left_out += 1,
                End::Failed(_) => summary.failed += 1,
            }
        }
        self.observer.ended(item, end);
    }

    /// How many have come to their end.
    pub(super) fn settled(&self) -> u64 {
        let Summary { files, directories, left_out, failed, .. } = self.summary();
        files + directories + left_out + failed
    }

    pub(super) fn summary(&self) -> Summary {
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job as it is shown.
pub(super) trait Shown {
    fn item(&self) -> Item<'_>;
}
