//! Commits under way: their bodies have come, and their replies wait until they are on the disk.
//!
//! A session goes on reading meanwhile. So the uploads of one connection come to the disk together, and a client that sends
//! many small files waits for none of them.

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use netdisk_model::{Digest, RemotePath};
use netdisk_protocol::Fault;
use netdisk_storage::Stored;
use tokio_util::task::AbortOnDropHandle;

use crate::limits::COMMITS_MAX;
use crate::transfer::Upload;

/// Commits of one session, in the order of their requests. Dropping it gives up those that have not begun.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    under_way: FuturesOrdered<AbortOnDropHandle<Committed>>,
}

/// What came of the upload of request `id`.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) id: u64,
    pub(crate) outcome: Result<(RemotePath, Stored), Fault>,
}

impl Commits {
    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether one of them must end before the next one begins.
    pub(crate) fn is_full(&self) -> bool {
        self.under_way.len() >= COMMITS_MAX
    }

    /// Begins to commit an upload, or puts the refusal of one in its place.
    pub(crate) fn begin(&mut self, id: u64, received: Result<(Upload, Digest), Fault>) {
        let commit = async move {
            let outcome = match received {
                Ok((upload, claimed)) => {
                    let path = upload.path.clone();
                    upload.commit(claimed).await.map(|stored| (path, stored))
                }
                Err(fault) => Err(fault),
            };
            Committed { id, outcome }
        };
        self.under_way.push_back(AbortOnDropHandle::new(tokio::spawn(commit)));
    }

    /// Waits for the first of them; `None` when there is none. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Committed> {
        match self.under_way.next().await? {
            Ok(committed) => Some(committed),
            // Our bug, and it may cost one connection.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
