//! A large file of a transfer of many, in parts: this connection begins, and those that have nothing else to do help.

use netdisk_model::Entry;
use netdisk_protocol::FaultCode;

use super::land::failed;
use super::{GetJob, Getting, Step};
use crate::client::Client;
use crate::error::ClientError;
use crate::observer::Progress;
use crate::part_file::{PartFile, Place};
use crate::parts::{Kept, SHARED_LEN_MIN, SharedGet, Together as _, watched};
use crate::transfer::{OnExisting, Outcome};
use crate::transfers::queue::Taken;
use crate::transfers::report::{End, Shown as _};

/// Whether a file is better fetched in parts.
pub(super) fn goes_apart(job: &GetJob) -> bool {
    !job.goes_whole && job.entry().is_some_and(|entry| entry.size >= SHARED_LEN_MIN)
}

impl Getting {
    /// Fetches a large file; an error is one of the connection, and the job is back by then.
    pub(super) async fn fetch_apart(&self, client: &mut Client, mut taken: Taken<GetJob>) -> Result<(), ClientError> {
        let Some(entry) = taken.entry().cloned() else { return Ok(()) };
        self.shared.report.observer.began(taken.item(), entry.size);
        let kept = match self.keep(&taken, &entry).await {
            Ok(Some(kept)) => kept,
            // Too small for it: it never is.
            Ok(None) => {
                taken.goes_whole = true;
                return Ok(());
            }
            Err(error) => {
                failed(&self.shared, taken, error);
                return Ok(());
            }
        };
        let (moved, came_on) = self.together(client, &taken, kept).await;
        let error = match moved {
            Ok(outcome) => {
                self.shared.report.settle(taken, End::Done(outcome));
                return Ok(());
            }
            Err(error) => error,
        };
        taken.goes_whole = !came_on;
        if error.ends_connection() || error.is_worth_a_retry() || self.shared.cancel.is_cancelled() {
            return Err(error);
        }
        match error.fault_code() {
            // It is another file by now, or damaged here or there: asked for as a whole, it says which.
            Some(FaultCode::Changed | FaultCode::DigestMismatch) => taken.goes_whole = true,
            _ => failed(&self.shared, taken, error),
        }
        // This end may have gone out of the middle of something.
        if client.is_closed() { client.reconnect().await } else { Ok(()) }
    }

    /// What is here of it.
    async fn keep(&self, taken: &Taken<GetJob>, entry: &Entry) -> Result<Option<Kept>, ClientError> {
        let (destination, at, remote) = (self.destination.clone(), taken.at.clone(), taken.remote.clone());
        let look = move || {
            let place = destination.place(&at)?;
            let found = PartFile::find(&place, &remote);
            Ok::<_, ClientError>((place, found))
        };
        let (place, found): (Place, _) = self.shared.door.run(look).await?;
        match found {
            Some(found) => Kept::go_on(&place, found, entry.clone(), &self.shared.cancel, |_| {}).await,
            None => {
                let entry = entry.clone();
                self.shared.door.run(move || Kept::begin(&place, &entry)).await
            }
        }
    }

    /// Fetches what is missing, with others; says, too, whether any of it came.
    async fn together(
        &self,
        client: &mut Client,
        taken: &Taken<GetJob>,
        kept: Kept,
    ) -> (Result<Outcome, ClientError>, bool) {
        let Kept { part, file, entry, parts } = kept;
        let (before, size, modified) = (parts.contiguous(), entry.size, entry.modified);
        let (cancel, door) = (&self.shared.cancel, self.shared.door.clone());
        let shared = SharedGet::new(entry, parts, file, taken.local.clone(), cancel, door);
        let lent = self.shared.queue.share(shared.clone());
        let observer = &self.shared.report.observer;
        let tell = |position| observer.progress(taken.item(), Progress { position, size: Some(size) });
        let moved = watched(client, &*shared, tell).await;
        drop(lent);
        let closing = shared.clone();
        let closed = self.shared.door.run(move || closing.close()).await;
        let came_on = shared.board().contiguous() > before;
        let digest = moved.and(closed).and_then(|()| shared.digest());
        if matches!(&digest, Err(error) if matches!(error.fault_code(), Some(FaultCode::Corrupt | FaultCode::DigestMismatch)))
        {
            part.discard();
            return (digest.and(Err(ClientError::DigestMismatch)), came_on);
        }
        let existing = match taken.step {
            Step::Fetch(existing) => existing,
            Step::Look => OnExisting::Refuse,
        };
        let outcome = match digest {
            Ok(Some(digest)) => {
                let commit = move || part.commit(shared.file(), modified, existing);
                self.shared.door.run(commit).await.map(|()| Outcome { size, digest, reused: false })
            }
            // It stays: what is missing to the whole is the digest, which comes with it.
            Ok(None) => shared.release().and(Err(ClientError::DigestMismatch)),
            Err(error) => shared.release().and(Err(error)),
        };
        (outcome, came_on)
    }
}
