//! What the workers of one transfer share.

use std::future::Future;
use std::sync::Arc;

use netdisk_protocol::{Fault, FaultCode};
use tokio_util::sync::CancellationToken;

use super::Transfers;
use super::existing::Existing;
use super::queue::Queue;
use super::report::{Report, Summary};
use crate::door::Door;
use crate::error::ClientError;
use crate::reuse::Reuse;

/// The jobs, and how they are done.
pub(super) struct Shared<J: Clone> {
    pub(super) queue: Arc<Queue<J>>,
    pub(super) report: Report,
    pub(super) existing: Existing,
    /// Whether content that the server has is sent nevertheless.
    pub(super) reuse: Reuse,
    pub(super) cancel: CancellationToken,
    pub(super) door: Door,
}

impl<J: Clone> Shared<J> {
    pub(super) fn new(transfers: &Transfers<'_>) -> Self {
        Self {
            queue: Queue::new(),
            report: Report::new(transfers.observer.clone()),
            existing: transfers.existing.clone(),
            reuse: transfers.client.reuse,
            cancel: transfers.cancel.clone(),
            door: Door::new(),
        }
    }

    /// Finds jobs and does them, until all are settled or no more are wanted.
    pub(super) async fn run(
        &self,
        find: impl Future<Output = Result<(), ClientError>>,
        work: impl Future<Output = Result<(), ClientError>>,
    ) -> Result<Summary, ClientError> {
        let find = async {
            let found = find.await;
            self.queue.end();
            if found.is_err() {
                self.queue.stop();
            }
            found
        };
        let work = async {
            let worked = work.await;
            // Whoever still looks for jobs need not.
            self.queue.stop();
            worked
        };
        let stop = async {
            self.cancel.cancelled().await;
            self.queue.stop();
            // What is under way comes to its end.
            std::future::pending::<()>().await;
        };
        let (found, worked) = tokio::select! {
            outcomes = futures::future::join(find, work) => outcomes,
            () = stop => return Err(cancelled_fault()),
        };
        // Stopped at its very end, it is as good as any other.
        if self.cancel.is_cancelled() && (self.queue.has_given_up() || found.is_err() || worked.is_err()) {
            return Err(cancelled_fault());
        }
        found.and(worked)?;
        Ok(self.report.summary())
    }
}

/// What a transfer that was stopped ends with.
pub(crate) fn cancelled_fault() -> ClientError {
    Fault::new(FaultCode::Cancelled, FaultCode::Cancelled.meaning()).into()
}
