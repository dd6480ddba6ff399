//! Whole files in memory on their way to the disk: a batch of them is staged in one step through the door, and handed to the
//! committer at once. Each takes the same steps as any other upload.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::committer::Change;
use super::home::HomeState;
use super::parents::Parents;
use super::staged::Staged;
use super::upload;
use crate::error::StorageError;
use crate::home::{Stored, WholeFile};

/// Stores files; gives what came of each.
pub(super) async fn store(home: &Arc<HomeState>, files: Vec<WholeFile>) -> Vec<Result<Stored, StorageError>> {
    let its_home = home.clone();
    let waiting = home.door.run(move || stage(&its_home, files)).await;
    let mut outcomes = Vec::with_capacity(waiting.len());
    for stored in waiting {
        outcomes.push(upload::outcome(stored).await);
    }
    outcomes
}

/// Stages files and hands them in. Blocks.
fn stage(home: &Arc<HomeState>, files: Vec<WholeFile>) -> Vec<oneshot::Receiver<Result<Stored, StorageError>>> {
    let mut parents = Parents::default();
    let mut changes: Vec<Box<dyn Change>> = Vec::with_capacity(files.len());
    let mut waiting = Vec::with_capacity(files.len());
    for file in files {
        let (done, stored) = oneshot::channel();
        waiting.push(stored);
        match write(home, &file, &mut parents) {
            Ok(staged) => changes.extend(staged.into_change(file.claimed, done).map(|store| store as Box<dyn Change>)),
            // Whoever asked may have gone.
            Err(error) => drop(done.send(Err(error))),
        }
    }
    home.committer.submit_all(changes);
    waiting
}

/// Writes a file into staging. Blocks.
fn write(home: &Arc<HomeState>, file: &WholeFile, parents: &mut Parents) -> Result<Box<Staged>, StorageError> {
    let WholeFile { spec, data, .. } = file;
    let actual = data.len() as u64;
    if let Some(declared) = spec.size.filter(|declared| *declared != actual) {
        return Err(StorageError::SizeMismatch { declared, actual });
    }
    let mut spec = spec.clone();
    (spec.size, spec.resume) = (Some(actual), None);
    let (mut staged, _) = Staged::open(home.clone(), spec, parents)?;
    staged.write(data)?;
    Ok(staged)
}
