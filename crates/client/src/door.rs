//! The bounded way from async code to blocking work: local files are read, written, hashed and synced behind it.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Pieces of blocking work at once: as many as keep a disk's queue filled, and not one thread more.
const WIDTH: usize = 8;

/// Lets so many pieces of blocking work run at once; the others wait their turn.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    permits: Arc<Semaphore>,
}

impl Door {
    pub(crate) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(WIDTH)) }
    }

    /// Waits for a place, starts `work` and does not wait for its end. Cancel safe until it has started; work that has
    /// started ends, whoever still waits for it.
    pub(crate) async fn start<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let permit = self.permits.clone().acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(permit);
            outcome
        })
    }

    /// Runs `work` and gives back its outcome. Not cancel safe: the work ends, its outcome is lost.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        finish(self.start(work).await).await
    }
}

/// Waits for started work. A panic in it goes on in the caller.
pub(crate) async fn finish<T>(work: JoinHandle<T>) -> T {
    match work.await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking work is cancelled only when the runtime goes down, and then nobody waits.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Runs one piece of blocking work for a transfer of one file, which has no more than one at a time.
pub(crate) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    finish(tokio::task::spawn_blocking(work)).await
}
