//! Trying again: after a lost connection a transfer goes on where it was, by the same code as its first try.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::error::ClientError;
use crate::observer::Observer;

/// Failures in a row before it is given up: about a minute and a half.
const FAILURES_MAX: u32 = 14;
/// The first pause; each next one is twice as long, up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// A failure so long after the last one has nothing to do with it.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// Counts failures and says how long to wait for the next try.
pub(crate) struct Retry<'a> {
    observer: &'a dyn Observer,
    cancel: &'a CancellationToken,
    failures: u32,
    last: Instant,
}

impl<'a> Retry<'a> {
    pub(crate) fn new(observer: &'a dyn Observer, cancel: &'a CancellationToken) -> Self {
        Self { observer, cancel, failures: 0, last: Instant::now() }
    }

    /// There was progress: what failed before has nothing to do with what comes.
    pub(crate) fn forget(&mut self) {
        self.failures = 0;
    }

    /// After `error`: connects again, waiting between tries; gives the error back when it is no use.
    pub(crate) async fn reconnect(&mut self, client: &mut Client, mut error: ClientError) -> Result<(), ClientError> {
        loop {
            if !error.is_worth_a_retry() || !client.can_reconnect() || !self.wait(&error).await {
                return Err(error);
            }
            match client.reconnect().await {
                Ok(()) => return Ok(()),
                Err(next) => error = next,
            }
        }
    }

    /// Waits before the next try; false when there is to be none.
    async fn wait(&mut self, error: &ClientError) -> bool {
        if self.last.elapsed() > FORGET_AFTER {
            self.failures = 0;
        }
        if self.failures == FAILURES_MAX {
            return false;
        }
        let pause = PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(PAUSE_MAX);
        self.failures += 1;
        self.observer.waiting(&error.to_string(), pause);
        let go_on = tokio::select! {
            () = self.cancel.cancelled() => false,
            () = sleep(pause) => true,
        };
        self.last = Instant::now();
        go_on
    }
}
