//! Ctrl-C: stops the command, not the program.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// Time that a command has to stop properly; then it is dropped, connection and all.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs `work` until it ends or Ctrl-C is pressed. On Ctrl-C `cancel` is cancelled and `work` may still end properly.
pub(crate) async fn interruptible<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        outcome = &mut work => return outcome,
        pressed = tokio::signal::ctrl_c() => pressed.map_err(Failure::unexpected)?,
    }
    cancel.cancel();
    // Its outcome is that of a cancelled command, whatever it says; only what it did on the way out matters.
    drop(tokio::time::timeout(STOP_TIMEOUT, work).await);
    Err(Failure::Interrupted)
}
