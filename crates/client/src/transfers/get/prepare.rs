//! Looks at what stands here before anything is asked for, a batch at a time.

use netdisk_protocol::limits::SMALL_LEN;
use tokio::sync::mpsc;

use super::apart::goes_apart;
use super::arrived::Arrived;
use super::{Apart, GetJob, Getting, Step, What};
use crate::destination::{Destination, Standing};
use crate::error::ClientError;
use crate::transfer::OnExisting;
use crate::transfers::existing::Verdict;
use crate::transfers::queue::{Batch, Taken};
use crate::transfers::report::{End, LeftOut};
use crate::transfers::shared::Shared;

/// What is ready to be asked for.
pub(super) enum Prepared {
    /// What it is.
    Look(Taken<GetJob>),
    /// A file; with what was kept of it.
    File(Taken<GetJob>, Option<Box<Arrived>>),
}

/// What this connection fetches by itself.
enum Here {
    Small(Vec<Taken<GetJob>>),
    Large(Taken<GetJob>),
}

/// What a look at the disk said of a job.
enum Looked {
    Prepared(Prepared),
    /// Something stands in its place.
    Stands(Taken<GetJob>, i64),
}

/// Prepares what there is to take, until there is no more, nobody wants it, or something goes apart.
pub(super) async fn prepare(
    getting: &Getting,
    may_share: bool,
    to_ask: mpsc::Sender<Vec<Prepared>>,
) -> Result<Option<Apart>, ClientError> {
    let Getting { shared, destination, .. } = getting;
    while let Some(batch) = shared.queue.take().await {
        let batch = match batch {
            Batch::Together(shared) => return Ok(Some(Apart::Help(shared))),
            Batch::Large(taken) if may_share && goes_apart(&taken) => {
                shared.queue.expect_help();
                return Ok(Some(Apart::Own(taken)));
            }
            Batch::Large(taken) => Here::Large(taken),
            Batch::Small(jobs) => Here::Small(jobs),
        };
        let (with, destination) = (shared.clone(), destination.clone());
        let looked = shared.door.run(move || match batch {
            Here::Small(jobs) => jobs.into_iter().filter_map(|taken| look(&with, &destination, taken)).collect(),
            Here::Large(taken) => Vec::from_iter(find_kept(&with, &destination, taken)),
        });
        let mut prepared = Vec::new();
        for one in looked.await {
            match one {
                Looked::Prepared(one) => prepared.push(one),
                Looked::Stands(taken, standing) => decide(shared, taken, standing).await?,
            }
        }
        if !prepared.is_empty() && to_ask.send(prepared).await.is_err() {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Blocks.
fn look(shared: &Shared<GetJob>, destination: &Destination, mut taken: Taken<GetJob>) -> Option<Looked> {
    if taken.what == What::Directory {
        let end = match destination.make_directories(&taken.at) {
            Ok(()) => End::Made,
            Err(error) => End::Failed(error),
        };
        shared.report.settle(taken, end);
        return None;
    }
    let Some(entry) = taken.entry() else { return Some(Looked::Prepared(Prepared::Look(taken))) };
    let is_large = entry.size > SMALL_LEN;
    if taken.step == Step::Look {
        match destination.standing(&taken.at) {
            Ok(None) => taken.step = Step::Fetch(shared.existing.unseen()),
            Ok(Some(Standing::Directory)) => {
                let is_directory = ClientError::local(&taken.local)(std::io::ErrorKind::IsADirectory.into());
                shared.report.settle(taken, End::Failed(is_directory));
                return None;
            }
            Ok(Some(Standing::Other { modified })) => return Some(Looked::Stands(taken, modified)),
            Err(error) => {
                shared.report.settle(taken, End::Failed(error));
                return None;
            }
        }
    }
    if is_large {
        taken.set_aside();
        return None;
    }
    Some(Looked::Prepared(Prepared::File(taken, None)))
}

/// Reads and hashes what was kept of a large file. Blocks.
fn find_kept(shared: &Shared<GetJob>, destination: &Destination, taken: Taken<GetJob>) -> Option<Looked> {
    let Some(entry) = taken.entry() else { return Some(Looked::Prepared(Prepared::Look(taken))) };
    let found = destination.place(&taken.at).and_then(|place| Arrived::find(&place, entry, &shared.cancel));
    match found {
        Ok(kept) => Some(Looked::Prepared(Prepared::File(taken, kept.map(Box::new)))),
        Err(error) => {
            shared.report.settle(taken, End::Failed(error));
            None
        }
    }
}

/// Decides about a file that goes where one stands.
async fn decide(shared: &Shared<GetJob>, mut taken: Taken<GetJob>, standing: i64) -> Result<(), ClientError> {
    let ours = taken.entry().map_or(i64::MAX, |entry| entry.modified);
    match shared.existing.decide(&taken.local.display().to_string(), ours, standing).await? {
        Verdict::Replace => taken.step = Step::Fetch(OnExisting::Replace),
        Verdict::Number => {
            if let Err(error) = taken.renumber() {
                shared.report.settle(taken, End::Failed(error));
            }
        }
        Verdict::LeaveOut => shared.report.settle(taken, End::LeftOut(LeftOut::Exists)),
        Verdict::Fail => {
            let error = ClientError::LocalExists { path: taken.local.clone() };
            shared.report.settle(taken, End::Failed(error));
        }
    }
    Ok(())
}
