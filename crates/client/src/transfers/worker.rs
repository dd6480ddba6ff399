//! A worker: one connection that takes jobs until there are no more, and comes back when it is cut.

use std::future::Future;

use netdisk_protocol::ConnectionError;
use tokio::time::{Duration, timeout};

use super::report::TransfersObserver;
use super::shared::Shared;
use crate::client::Client;
use crate::error::ClientError;
use crate::observer::{Observer, Progress};
use crate::retry::Retry;

/// How long it is listened for why a peer stopped listening.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends and receives at once until both are done. The first error ends both, and with them the connection; when
/// sending failed, the peer may have said why.
pub(crate) async fn both(
    send: impl Future<Output = Result<(), ClientError>>,
    recv: impl Future<Output = Result<(), ClientError>>,
) -> Result<(), ClientError> {
    let (mut send, mut recv) = (std::pin::pin!(send), std::pin::pin!(recv));
    let sent = tokio::select! {
        received = &mut recv => match received {
            Ok(()) => return send.await,
            Err(error) => return Err(error),
        },
        sent = &mut send => sent,
    };
    match sent {
        Ok(()) => recv.await,
        Err(error @ ClientError::Connection(_)) => match timeout(LAST_WORD_TIMEOUT, recv).await {
            Ok(Err(ClientError::Connection(refused @ ConnectionError::Refused(_)))) => Err(refused.into()),
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// What a worker does over its connection.
pub(super) trait Work {
    /// Works until there is nothing left to take. An error ends the connection, and what was taken is back by then.
    fn once(&self, client: &mut Client) -> impl Future<Output = Result<(), ClientError>> + Send;
}

/// Works over one connection until there is nothing left, and over a new one when it is cut.
pub(super) async fn work<J: Clone>(
    client: &mut Client,
    shared: &Shared<J>,
    work: &impl Work,
) -> Result<(), ClientError> {
    let watch = Watch(&*shared.report.observer);
    let mut retry = Retry::new(&watch, &shared.cancel);
    shared.queue.join();
    let outcome = loop {
        let settled = shared.report.settled();
        let Err(error) = work.once(client).await else { break Ok(()) };
        client.give_up();
        if shared.report.settled() > settled {
            retry.forget();
        }
        if let Err(error) = retry.reconnect(client, error).await {
            break Err(error);
        }
    };
    shared.queue.leave();
    outcome
}

/// Does one thing over a connection, from the start again when it is cut.
pub(super) async fn retrying<J: Clone>(
    client: &mut Client,
    shared: &Shared<J>,
    mut once: impl AsyncFnMut(&mut Client) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let watch = Watch(&*shared.report.observer);
    let mut retry = Retry::new(&watch, &shared.cancel);
    loop {
        match once(client).await {
            Ok(()) => return Ok(()),
            Err(error) => retry.reconnect(client, error).await?,
        }
    }
}

/// Passes on why somebody waits.
struct Watch<'a>(&'a dyn TransfersObserver);

impl Observer for Watch<'_> {
    fn progress(&self, _progress: Progress) {}

    fn waiting(&self, reason: &str, delay: Duration) {
        self.0.waiting(reason, delay);
    }
}
