//! The bounded way from async code to blocking work.
//!
//! tokio's blocking pool alone is no bound: it grows to 512 threads, and 512 password hashes are 10 GiB.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Lets so many pieces of blocking work run at once; the others wait their turn.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    permits: Arc<Semaphore>,
}

impl Door {
    /// A door that `width` pieces of work pass at once.
    pub(crate) fn new(width: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(width)) }
    }

    /// Waits for a place, starts `work` and does not wait for its end. Cancel safe until it has started; work that has
    /// started ends, and keeps its place until then, whoever still waits for it.
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

/// Waits for started work. A panic in it goes on in the caller: our bug, and it may cost one connection.
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
