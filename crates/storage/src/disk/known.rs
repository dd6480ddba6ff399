//! Content that a home has already: it is stored under another name as a copy, and nothing of it travels.
//!
//! The rows say which files were stored with this digest, and where they were then; one that has moved since is not found,
//! and its content is uploaded as any other. What is copied is read, hashed and compared: damage is not passed on.

use std::sync::Arc;

use netdisk_model::{Digest, RemotePath};

use super::download::DiskFile;
use super::home::HomeState;
use super::ledger;
use super::upload::DiskPartialFile;
use crate::error::StorageError;
use crate::home::{KNOWN_LEN_MIN, Stored, UploadSpec};

/// Stores a copy of whatever has this content; `None` where nothing has it.
pub(super) async fn store(
    home: &Arc<HomeState>,
    spec: UploadSpec,
    digest: Digest,
) -> Result<Option<Stored>, StorageError> {
    let Some(size) = spec.size.filter(|size| *size >= KNOWN_LEN_MIN) else { return Ok(None) };
    let spec = UploadSpec { resume: None, ..spec };
    let its_home = home.clone();
    for path in home.door.run(move || find(&its_home, size, digest)).await? {
        if let Some(stored) = copy(home, path, &spec, digest).await? {
            return Ok(Some(stored));
        }
    }
    Ok(None)
}

/// Stores a copy of the file at `path`, if it has this content still.
async fn copy(
    home: &Arc<HomeState>,
    path: RemotePath,
    spec: &UploadSpec,
    digest: Digest,
) -> Result<Option<Stored>, StorageError> {
    let its_home = home.clone();
    let Ok(mut file) = home.door.run(move || DiskFile::open(&its_home, &path, 0)).await else { return Ok(None) };
    if Some(file.entry().size) != spec.size {
        return Ok(None);
    }
    let mut partial = DiskPartialFile::begin(home.clone(), spec.clone()).await?;
    loop {
        match file.read().await {
            Ok(Some(data)) => partial.write(data).await?,
            Ok(None) if file.digest() == digest => return partial.commit(digest).await.map(Some),
            // Written into or rotted: the sender has the content.
            Ok(None) | Err(StorageError::Corrupt | StorageError::Changed | StorageError::Io(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Where files are that were stored with this content and look as they did then. Blocks.
fn find(home: &HomeState, size: u64, digest: Digest) -> Result<Vec<RemotePath>, StorageError> {
    let user = home.meter.user();
    let rows = home.database.read_blocking(|connection| ledger::rows_of_content(connection, user, size, digest))?;
    let found = rows.into_iter().filter_map(|row| {
        let path = row.path.parse::<RemotePath>().ok()?;
        let (_, found) = home.files.open_file(&path).ok()?;
        row.fits(&found).then_some(path)
    });
    Ok(found.collect())
}
