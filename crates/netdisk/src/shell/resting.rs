//! The connection while a person thinks: it is kept, and completion asks it.

use std::sync::Arc;
use std::time::Duration;

use netdisk_client::Client;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::remote::Remote;
use crate::shelf::{self, Shelf};

/// How long a command waits for a listing that completion asked for; then the connection is given up for a new one.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that is being kept.
pub(super) struct Resting {
    wake: CancellationToken,
    kept: Option<JoinHandle<Option<Client>>>,
}

impl Resting {
    /// Keeps the connection, if there is one.
    pub(super) fn begin(runtime: &Runtime, remote: &mut Remote, shelf: &Arc<Shelf>) -> Self {
        let wake = CancellationToken::new();
        let wanted = shelf.open(&remote.directory);
        let kept =
            remote.take_client().map(|client| runtime.spawn(shelf::keep(client, wake.clone(), wanted, shelf.clone())));
        Self { wake, kept }
    }

    /// Takes the connection up again; one that was lost meanwhile is dialled when it is needed.
    pub(super) fn end(self, runtime: &Runtime, remote: &mut Remote, shelf: &Shelf) {
        self.wake.cancel();
        shelf.close();
        let Some(mut kept) = self.kept else { return };
        let woken = runtime.block_on(async {
            let woken = tokio::time::timeout(WAKE_TIMEOUT, &mut kept).await;
            if woken.is_err() {
                kept.abort();
            }
            woken
        });
        remote.put_client(woken.ok().and_then(Result::ok).flatten());
    }
}
