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
///
/// ```no_run
/// use netdisk_client::{Door, Endpoint, Retry, Trust, Unobserved, dial};
///
/// # async fn example(endpoint: &Endpoint, trust: &Trust) -> Result<Door, netdisk_client::ClientError> {
/// let cancel = Default::default();
/// let mut retry = Retry::new(&Unobserved, &cancel);
/// loop {
///     match dial(endpoint, trust).await {
///         Err(error) if retry.wait(&error).await => {}
///         outcome => return outcome,
///     }
/// }
/// # }
/// ```
#[expect(missing_debug_implementations, reason = "an observer has nothing to show")]
pub struct Retry<'a> {
    observer: &'a dyn Observer,
    cancel: &'a CancellationToken,
    failures: u32,
    last: Instant,
}

impl<'a> Retry<'a> {
    /// Tells `observer` of each wait, and gives up when `cancel` is cancelled.
    ///
    /// ```
    /// let cancel = Default::default();
    /// let retry = netdisk_client::Retry::new(&netdisk_client::Unobserved, &cancel);
    /// ```
    pub fn new(observer: &'a dyn Observer, cancel: &'a CancellationToken) -> Self {
        Self { observer, cancel, failures: 0, last: Instant::now() }
    }

    /// There was progress: what failed before has nothing to do with what comes.
    pub(crate) fn forget(&mut self) {
        self.failures = 0;
    }

    /// After `error`: connects again, waiting between tries; gives the error back when it is no use.
    pub(crate) async fn reconnect(&mut self, client: &mut Client, mut error: ClientError) -> Result<(), ClientError> {
        // Who was never let in has not lost a connection: whoever dialled knows what to do.
        if !client.is_admitted() {
            return Err(error);
        }
        loop {
            if !client.can_reconnect() || !self.wait(&error).await {
                return Err(error);
            }
            match client.reconnect().await {
                Ok(()) => return Ok(()),
                Err(next) => error = next,
            }
        }
    }

    /// Waits before the next try; false when there is to be none. Cancel safe.
    ///
    /// ```no_run
    /// # async fn example(mut retry: netdisk_client::Retry<'_>, error: netdisk_client::ClientError) {
    /// if retry.wait(&error).await {
    ///     println!("once more");
    /// }
    /// # }
    /// ```
    pub async fn wait(&mut self, error: &ClientError) -> bool {
        if !error.is_worth_a_retry() {
            return false;
        }
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

impl Client {
    /// Does what is safe to repeat. After a lost connection it dials and logs in again, where a token is at hand, and
    /// repeats it.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), netdisk_client::ClientError> {
    /// let cancel = Default::default();
    /// let usage = client.repeat(&netdisk_client::Unobserved, &cancel, async |client| client.quota().await).await?;
    /// println!("{} bytes", usage.bytes);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the request; the last one, when it is no use to go on.
    pub async fn repeat<T>(
        &mut self,
        observer: &dyn Observer,
        cancel: &CancellationToken,
        mut request: impl AsyncFnMut(&mut Self) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut retry = Retry::new(observer, cancel);
        loop {
            match request(self).await {
                Ok(answer) => return Ok(answer),
                Err(error) => retry.reconnect(self, error).await?,
            }
        }
    }
}
