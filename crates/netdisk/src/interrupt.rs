//! Ctrl-C: stops the command, not the program.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// Time that a command has to stop properly; then it is dropped, connection and all.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs `work` until it ends or Ctrl-C is pressed. On Ctrl-C `cancel` is cancelled and `work` may still end properly.
pub(crate) async fn interruptible<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    // From now on: what is pressed while the work begins counts.
    let mut pressed = CtrlC::listen()?;
    // Its outcome is that of a cancelled command, whatever it says: a script must not go on to its next line.
    stopped_by(pressed.next(), cancel, work, |_| Err(Failure::Interrupted)).await
}

/// Listens for Ctrl-C. From the first time on, it ends what listens, and never the program.
pub(crate) struct CtrlC(Signal);

impl CtrlC {
    pub(crate) fn listen() -> Result<Self, Failure> {
        signal(SignalKind::interrupt()).map(Self).map_err(Failure::unexpected)
    }

    /// Waits until it is pressed. Cancel safe.
    pub(crate) async fn next(&mut self) {
        // `None` is for streams that end; this one does not.
        while self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// The same for a job: it is stopped by its token alone.
pub(crate) async fn cancellable<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    // What came to its end all the same is done.
    stopped_by(cancel.cancelled(), cancel, work, Ok).await
}

async fn stopped_by<T>(
    stop: impl Future<Output = ()>,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
    ended: impl FnOnce(T) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        outcome = &mut work => return outcome,
        () = stop => {}
    }
    cancel.cancel();
    // How it failed does not matter, but whether the connection is in step does.
    match tokio::time::timeout(STOP_TIMEOUT, work).await {
        Ok(Ok(value)) => ended(value),
        Ok(Err(failure)) if failure.ends_connection() => Err(Failure::Dropped),
        Ok(Err(_)) => Err(Failure::Interrupted),
        Err(_) => Err(Failure::Dropped),
    }
}
