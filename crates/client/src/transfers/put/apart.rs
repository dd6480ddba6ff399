//! A large file of a transfer of many, in parts: this connection opens the upload, and those that have nothing else to do
//! help.

use netdisk_protocol::{BodyStart, ConnectionError, FaultCode, Request};

use super::recv::failed;
use super::send::upload;
use super::{PutJob, Putting, What};
use crate::client::Client;
use crate::error::ClientError;
use crate::large_file::LargeFile;
use crate::observer::Progress;
use crate::parts::{Announced, SharedPut, Together as _, finish, open, watched};
use crate::transfer::Outcome;
use crate::transfers::queue::Taken;
use crate::transfers::report::{End, Shown as _};

impl Putting {
    /// Stores a large file; an error is one of the connection, and the job is back by then.
    pub(super) async fn store_apart(
        &self,
        client: &mut Client,
        mut taken: Taken<PutJob>,
        file: Box<LargeFile>,
    ) -> Result<(), ClientError> {
        self.shared.report.observer.began(taken.item(), file.size());
        let request = upload(&taken, &file, BodyStart::Parts);
        let (stored, came_on) = self.together(client, &taken, request, file.announced()).await;
        let error = match stored {
            Ok(outcome) => {
                self.shared.report.settle(taken, End::Done(outcome));
                return Ok(());
            }
            Err(error) => error,
        };
        taken.goes_whole = !came_on;
        // Left in the middle of something: then whoever works here connects anew.
        let is_lost = client.is_closed();
        if is_lost && (error.ends_connection() || error.is_worth_a_retry() || self.shared.cancel.is_cancelled()) {
            return Err(error);
        }
        let outcome = failed(&self.shared, taken, error);
        if is_lost { outcome.and(Err(ConnectionError::Closed.into())) } else { outcome }
    }

    /// Stores what the server lacks, with others; says, too, whether it has more of it now.
    async fn together(
        &self,
        client: &mut Client,
        taken: &Taken<PutJob>,
        request: Request,
        announced: Announced,
    ) -> (Result<Outcome, ClientError>, bool) {
        let opened = match open(client, request.clone(), &announced, &self.shared.cancel, |_| {}).await {
            // Another connection may have been asked for the directory, and may not have made it yet.
            Err(error) if error.fault_code() == Some(FaultCode::NotFound) && taken.what != ROOT => {
                match self.make_parent(client, taken).await {
                    Ok(()) => open(client, request, &announced, &self.shared.cancel, |_| {}).await,
                    Err(_) => Err(error),
                }
            }
            opened => opened,
        };
        let (upload, parts) = match opened {
            Ok(opened) => opened,
            Err(error) => return (Err(error), false),
        };
        let (before, size) = (parts.contiguous(), announced.stamp.size);
        let (file, shown, door) = (announced.file.clone(), announced.path.clone(), self.shared.door.clone());
        let shared = SharedPut::new(upload.clone(), parts, file, shown, &self.shared.cancel, door);
        let lent = self.shared.queue.share(shared.clone());
        let observer = &self.shared.report.observer;
        let tell = |position| observer.progress(taken.item(), Progress { position, size: Some(size) });
        let moved = watched(client, &*shared, tell).await;
        drop(lent);
        let came_on = shared.board().contiguous() > before;
        let whole = moved.and_then(|()| shared.board().digest().ok_or(ConnectionError::Closed.into()));
        (finish(client, upload, announced, whole).await.map(Outcome::from), came_on)
    }

    async fn make_parent(&self, client: &mut Client, job: &PutJob) -> Result<(), ClientError> {
        match job.remote.parent() {
            Some(parent) => client.make_directory(&parent, true).await,
            None => Ok(()),
        }
    }
}

/// A person named it: its directory must exist already.
const ROOT: What = What::File { is_root: true };
