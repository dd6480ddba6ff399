//! Whole files get their names, a batch at a time: written, compared, synced, renamed; then their directories are synced.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use netdisk_model::{Digest, Entry, RemotePath};
use netdisk_protocol::FaultCode;
use tokio::sync::mpsc;

use super::arrived::Arrived;
use super::{GetJob, Step};
use crate::destination::Destination;
use crate::error::ClientError;
use crate::part_file::{PartFile, Place, sync_directory};
use crate::transfer::{OnExisting, Outcome};
use crate::transfers::existing::Existing;
use crate::transfers::queue::Taken;
use crate::transfers::report::{End, LeftOut};
use crate::transfers::shared::Shared;

/// Tries of one file that failed in a way that another try may cure.
const TRIES_MAX: u32 = 2;

/// A file of which all has come.
pub(super) enum Landing {
    Small { taken: Taken<GetJob>, entry: Entry, data: Vec<Bytes>, claimed: Digest },
    Large { taken: Taken<GetJob>, arrived: Box<Arrived>, claimed: Digest },
}

/// Lands what comes, until no more does.
pub(super) async fn land(
    shared: &Arc<Shared<GetJob>>,
    destination: &Arc<Destination>,
    mut landing: mpsc::Receiver<Vec<Landing>>,
) -> Result<(), ClientError> {
    while let Some(batch) = landing.recv().await {
        let (with, destination) = (shared.clone(), destination.clone());
        shared.door.run(move || land_batch(&with, &destination, batch)).await;
    }
    Ok(())
}

/// Blocks.
fn land_batch(shared: &Shared<GetJob>, destination: &Destination, batch: Vec<Landing>) {
    let mut places = Places { destination, directories: BTreeMap::new() };
    let mut renamed = Vec::new();
    for landing in batch {
        match landing {
            Landing::Small { taken, entry, data, claimed } => {
                match land_small(&mut places, &taken, &entry, &data, claimed) {
                    Ok(outcome) => renamed.push((taken, outcome)),
                    Err(error) => failed(shared, taken, error),
                }
            }
            Landing::Large { taken, arrived, claimed } => {
                let existing = on_existing(&taken);
                let was_kept = arrived.was_kept();
                match arrived.finish(claimed, existing) {
                    Ok(outcome) => shared.report.settle(taken, End::Done(outcome)),
                    // What was kept may have been spoilt, by a power cut or by hand.
                    Err(ClientError::DigestMismatch) if was_kept => drop(taken),
                    Err(error) => failed(shared, taken, error),
                }
            }
        }
    }
    let synced: BTreeMap<RemotePath, Result<(), ClientError>> =
        places.directories.into_iter().map(|(path, place)| (path, sync_directory(&place))).collect();
    for (taken, outcome) in renamed {
        let parent = taken.at.parent().unwrap_or_else(RemotePath::root);
        match synced.get(&parent) {
            Some(Err(error)) => {
                let error = ClientError::local(&taken.local)(std::io::Error::other(error.to_string()));
                shared.report.settle(taken, End::Failed(error));
            }
            _ => shared.report.settle(taken, End::Done(outcome)),
        }
    }
}

fn land_small(
    places: &mut Places<'_>,
    job: &GetJob,
    entry: &Entry,
    data: &[Bytes],
    claimed: Digest,
) -> Result<Outcome, ClientError> {
    let mut hash = blake3::Hasher::new();
    for frame in data {
        hash.update(frame);
    }
    if Digest::from(hash.finalize()) != claimed {
        return Err(ClientError::DigestMismatch);
    }
    let place = places.of(job)?;
    let (mut part, mut file) = PartFile::create(&place)?;
    part.mark(&file, entry);
    data.iter().try_for_each(|frame| file.write_all(frame)).map_err(ClientError::local(&job.local))?;
    part.commit_unsynced(&file, entry.modified, on_existing(job))?;
    Ok(Outcome { size: entry.size, digest: claimed, reused: false })
}

fn on_existing(job: &GetJob) -> OnExisting {
    match job.step {
        Step::Fetch(existing) => existing,
        Step::Look => OnExisting::Refuse,
    }
}

/// A file failed: another try, or the end of it.
pub(super) fn failed(shared: &Shared<GetJob>, mut taken: Taken<GetJob>, error: ClientError) {
    if shared.cancel.is_cancelled() {
        return;
    }
    match (&error, &shared.existing) {
        (ClientError::DigestMismatch | ClientError::LocalBusy { .. }, _) if taken.tries + 1 < TRIES_MAX => {
            taken.tries += 1;
        }
        // It is another version by now: what the listing said of it is of no use.
        _ if error.fault_code() == Some(FaultCode::Changed) && taken.tries + 1 < TRIES_MAX => taken.tries += 1,
        // It was not there when it was looked for.
        (ClientError::LocalExists { .. }, Existing::Rename) => taken.step = Step::Look,
        (ClientError::LocalExists { .. }, Existing::Skip | Existing::Newer | Existing::Ask(_)) => {
            shared.report.settle(taken, End::LeftOut(LeftOut::Exists));
        }
        _ => shared.report.settle(taken, End::Failed(error)),
    }
}

/// The places of a batch; a directory is opened once.
struct Places<'a> {
    destination: &'a Destination,
    directories: BTreeMap<RemotePath, Place>,
}

impl Places<'_> {
    fn of(&mut self, job: &GetJob) -> Result<Place, ClientError> {
        let Some(name) = job.at.name() else {
            return Err(ClientError::local(&job.local)(std::io::ErrorKind::IsADirectory.into()));
        };
        let parent = job.at.parent().unwrap_or_else(RemotePath::root);
        let known = match self.directories.get(&parent) {
            Some(known) => known,
            None => {
                let place = self.destination.place(&job.at)?;
                self.directories.entry(parent).or_insert(place)
            }
        };
        Ok(Place { directory: known.directory.clone(), name: name.into(), shown: job.local.clone() })
    }
}
