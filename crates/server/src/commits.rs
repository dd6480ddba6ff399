//! Small uploads whose bodies have come and whose replies wait until they are on the disk.
//!
//! ```text
//!   body ──▶ gathered ──hand_in──▶ under way, a batch together ──next──▶ replies, in the order of the requests
//! ```
//!
//! A session goes on reading meanwhile. So the uploads of one connection come to the disk together, and a client that sends
//! many small files waits for none of them. Two uploads of one path are never under way at once: the later one must win.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use netdisk_model::{Digest, RemotePath};
use netdisk_protocol::Fault;
use netdisk_storage::{Home, StorageError, Stored, WholeFile};
use tokio_util::task::AbortOnDropHandle;

use crate::limits::{BATCH_BYTES_MAX, BATCH_LEN_MAX, COMMITS_MAX};
use crate::refusal;
use crate::transfer::Upload;

/// Commits of one session, in the order of their requests. Dropping it gives up those that have not begun.
#[derive(Debug)]
pub(crate) struct Commits {
    home: Arc<dyn Home>,
    /// Not handed in yet: whole files, and the refusals between them.
    gathered: Vec<(u64, Result<WholeFile, Fault>)>,
    gathered_bytes: usize,
    under_way: FuturesOrdered<AbortOnDropHandle<Vec<Committed>>>,
    /// Uploads that were gathered or are under way.
    len: usize,
    paths: HashSet<RemotePath>,
}

/// What came of the upload of request `id`.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) id: u64,
    pub(crate) outcome: Result<(RemotePath, Stored), Fault>,
    /// Whether the body would have been refused, had anybody looked before it came: the client is due an abort of it.
    pub(crate) is_abort_due: bool,
}

impl Commits {
    pub(crate) fn new(home: Arc<dyn Home>) -> Self {
        Self {
            home,
            gathered: Vec::new(),
            gathered_bytes: 0,
            under_way: FuturesOrdered::new(),
            len: 0,
            paths: HashSet::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether some must end before the next one begins.
    pub(crate) fn is_full(&self) -> bool {
        self.len >= COMMITS_MAX
    }

    /// Whether the upload to `path` is one of them.
    pub(crate) fn has(&self, path: &RemotePath) -> bool {
        self.paths.contains(path)
    }

    /// Takes in a whole file, or the refusal of one in its place.
    pub(crate) fn gather(&mut self, id: u64, received: Result<WholeFile, Fault>) {
        self.len += 1;
        if let Ok(file) = &received {
            self.gathered_bytes += file.data.len();
            self.paths.insert(file.spec.path.clone());
        }
        self.gathered.push((id, received));
        if self.gathered.len() >= BATCH_LEN_MAX || self.gathered_bytes >= BATCH_BYTES_MAX {
            self.hand_in();
        }
    }

    /// Begins to commit an upload that was staged as it came, or puts the refusal of one in its place.
    pub(crate) fn begin(&mut self, id: u64, received: Result<(Upload, Digest), Fault>) {
        self.hand_in();
        self.len += 1;
        if let Ok((upload, _)) = &received {
            self.paths.insert(upload.path.clone());
        }
        self.spawn(async move {
            let outcome = match received {
                Ok((upload, claimed)) => {
                    let path = upload.path.clone();
                    upload.commit(claimed).await.map(|stored| (path, stored))
                }
                Err(fault) => Err(fault),
            };
            vec![Committed { id, outcome, is_abort_due: false }]
        });
    }

    /// Begins to store what was gathered.
    pub(crate) fn hand_in(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        self.gathered_bytes = 0;
        let batch = std::mem::take(&mut self.gathered);
        let home = self.home.clone();
        self.spawn(async move { store(&*home, batch).await });
    }

    fn spawn(&mut self, commit: impl Future<Output = Vec<Committed>> + Send + 'static) {
        self.under_way.push_back(AbortOnDropHandle::new(tokio::spawn(commit)));
    }

    /// Begins to store what was gathered, unless others are under way: those that gather meanwhile come to the disk
    /// together.
    pub(crate) fn hand_in_unless_busy(&mut self) {
        if self.under_way.is_empty() {
            self.hand_in();
        }
    }

    /// Waits for the first of them, and those that end with it; `None` when there is none. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Vec<Committed>> {
        self.hand_in_unless_busy();
        let committed = match self.under_way.next().await? {
            Ok(committed) => committed,
            // Our bug, and it may cost one connection.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        self.len -= committed.len();
        for Committed { outcome, .. } in &committed {
            if let Ok((path, _)) = outcome {
                self.paths.remove(path);
            }
        }
        if self.is_empty() {
            // Those that failed.
            self.paths.clear();
        }
        Some(committed)
    }
}

/// Stores a batch; gives what came of each request.
async fn store(home: &dyn Home, batch: Vec<(u64, Result<WholeFile, Fault>)>) -> Vec<Committed> {
    let mut files = Vec::with_capacity(batch.len());
    let mut requests = Vec::with_capacity(batch.len());
    for (id, received) in batch {
        match received {
            Ok(file) => {
                requests.push((id, Ok(file.spec.path.clone())));
                files.push(file);
            }
            Err(fault) => requests.push((id, Err(fault))),
        }
    }
    let mut outcomes = home.store(files).await.into_iter();
    let committed = requests.into_iter().map(|(id, path)| {
        let mut is_abort_due = false;
        let outcome = path.and_then(|path| match outcomes.next() {
            Some(Ok(stored)) => Ok((path, stored)),
            Some(Err(error)) => {
                is_abort_due = !matches!(error, StorageError::SizeMismatch { .. } | StorageError::DigestMismatch);
                Err(refusal::of_creation(&path, &error))
            }
            None => Err(refusal::internal(&"a file without an outcome")),
        });
        Committed { id, outcome, is_abort_due }
    });
    committed.collect()
}
