//! The connections of one transfer: the one at hand, and others that are dialled while there is work for them.
//!
//! Each is a worker that takes jobs from the same queue. A server that refuses more of them loses nothing by it: the
//! transfer goes on with those there are.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};

use super::queue::Plenty;
use super::shared::Shared;
use super::worker::{self, Work};
use crate::client::Client;
use crate::error::ClientError;
use crate::redial::Another;

/// Most connections of one transfer, whatever is asked for: a server lets one user have some dozens.
pub(crate) const CONNECTIONS_MAX: usize = 16;

/// How long the others are waited for when all jobs are settled: long enough to take their leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Works over up to `connections` of them until no job is left.
pub(super) async fn work<J, W>(
    client: &mut Client,
    connections: usize,
    shared: &Arc<Shared<J>>,
    work: &Arc<W>,
) -> Result<(), ClientError>
where
    J: Clone + Send + Sync + 'static,
    W: Work + Send + Sync + 'static,
{
    let another = Arc::new(client.another());
    let mut others = JoinSet::new();
    let dial = Box::pin(async {
        for _ in 1..connections.clamp(1, CONNECTIONS_MAX) {
            let plenty = shared.queue.has_plenty().await;
            if plenty == Plenty::Never {
                break;
            }
            let (dialled, is_there) = oneshot::channel();
            others.spawn(one_more(another.clone(), shared.clone(), work.clone(), dialled));
            if plenty == Plenty::ForOne && is_there.await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    });
    let worked = tokio::select! {
        worked = Box::pin(worker::work(client, shared, &**work)) => worked,
        () = dial => Ok(()),
    };
    let leave = async { while others.join_next().await.is_some() {} };
    if shared.cancel.is_cancelled() || worked.is_err() {
        // They tell the server and keep what is under way; or do what this one cannot any more.
        leave.await;
    } else if timeout(LEAVE_TIMEOUT, leave).await.is_err() {
        // One of them waits to connect again, for nothing.
        others.shutdown().await;
    }
    if shared.queue.is_settled() { Ok(()) } else { worked }
}

/// Works over another connection; says when it is there.
async fn one_more<J, W>(another: Arc<Another>, shared: Arc<Shared<J>>, work: Arc<W>, dialled: oneshot::Sender<()>)
where
    J: Clone + Send + Sync,
    W: Work + Send + Sync,
{
    // Refused, or not reached: then it goes on with those there are.
    let Ok(mut client) = another.dial().await else { return };
    // Whoever waits for it may have gone.
    dialled.send(()).unwrap_or_default();
    // What it had is back in the queue, and somebody else's.
    if worker::work(&mut client, &shared, &*work).await.is_ok() && !client.is_closed() {
        // All replies are in: how the server takes its leave changes nothing.
        drop(client.close().await);
    }
}
