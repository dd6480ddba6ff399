//! Content that a home has already: it is stored under another name as a clone, and nothing of it travels.
//!
//! ```text
//!   rows of this size and digest ──▶ file as it was then? ──▶ clone into staging ──▶ read and hash the clone ──▶ commit
//!            none │                        no │                                        other digest │
//!                 ▼                           ▼                                                     ▼
//!             not known                   the next one                                        the next one
//! ```
//!
//! A row says what a file was stored as, and is no proof of what it is now: it may have rotted, or be written into at this
//! moment. So it is the clone that is read and compared, and the clone, which nobody else can write to, that gets the name:
//! whatever happens to the file that it was made from, what is stored has the digest that was asked for.
//!
//! A file is looked for where it was when its row was written; one that has moved since is not found, and its content is
//! sent as any other. All of it is of one user: rows and paths of others are not looked at.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use netdisk_model::{Digest, RemotePath};

use super::home::HomeState;
use super::identity::Found;
use super::ledger::{self, FileRow};
use super::parents::Parents;
use super::staged::Staged;
use super::upload::DiskPartialFile;
use crate::error::StorageError;
use crate::home::{KNOWN_LEN_MIN, PartialFile, Stored, UploadSpec};

/// Sizes that are looked up in one step: whoever else asks the database waits no longer.
const SIZES_AT_ONCE: usize = 64;

/// Bytes that are copied in one step through the door where blocks cannot be shared: some milliseconds.
const COPY_LEN: u64 = 16 * 1024 * 1024;

/// Gives those of `sizes` of which a file may be known: each once.
pub(super) async fn sizes(home: &Arc<HomeState>, sizes: &[u64]) -> Result<Vec<u64>, StorageError> {
    let mut wanted: Vec<u64> = sizes.iter().copied().filter(|size| *size >= KNOWN_LEN_MIN).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut known = Vec::new();
    for some in wanted.chunks(SIZES_AT_ONCE) {
        let (home, some) = (home.clone(), some.to_vec());
        let its_home = home.clone();
        known.extend(home.door.run(move || sizes_of(&its_home, some)).await?);
    }
    Ok(known)
}

/// Blocks.
fn sizes_of(home: &HomeState, sizes: Vec<u64>) -> Result<Vec<u64>, StorageError> {
    let user = home.meter.user();
    let rows = home.database.read_blocking(|connection| {
        let rows = sizes.iter().map(|size| ledger::rows_of_size(connection, user, *size));
        rows.collect::<Result<Vec<_>, rusqlite::Error>>()
    })?;
    let known = sizes.into_iter().zip(rows);
    Ok(known.filter(|(_, rows)| rows.iter().any(|row| open(home, row).is_some())).map(|(size, _)| size).collect())
}

/// Opens the file of a row, if it looks as it did when that was written. Blocks.
fn open(home: &HomeState, row: &FileRow) -> Option<File> {
    let path = row.path.parse::<RemotePath>().ok()?;
    let (file, found) = home.files.open_file(&path).ok()?;
    row.fits(&found).then(|| file.into())
}

/// Stores a clone of whatever has this content; `None` where nothing has it.
pub(super) async fn store(
    home: &Arc<HomeState>,
    spec: UploadSpec,
    digest: Digest,
) -> Result<Option<Stored>, StorageError> {
    let Some(size) = spec.size.filter(|size| *size >= KNOWN_LEN_MIN) else { return Ok(None) };
    let spec = UploadSpec { resume: None, ..spec };
    let its_home = home.clone();
    let rows = home.door.run(move || {
        let user = its_home.meter.user();
        its_home.database.read_blocking(|connection| ledger::rows_of_content(connection, user, size, digest))
    });
    for row in rows.await? {
        let (its_home, its_row) = (home.clone(), row.clone());
        let Some(source) = home.door.run(move || open(&its_home, &its_row)).await else { continue };
        if let Some(stored) = clone(home, &row, source, &spec).await? {
            return Ok(Some(stored));
        }
    }
    Ok(None)
}

/// Stores a clone of the file of a row, if that has the content still. Its room is promised before, and it takes every step
/// of an upload.
async fn clone(
    home: &Arc<HomeState>,
    row: &FileRow,
    source: File,
    spec: &UploadSpec,
) -> Result<Option<Stored>, StorageError> {
    let (its_home, its_spec) = (home.clone(), spec.clone());
    let (staged, _) = home.door.run(move || Staged::open(its_home, its_spec, &mut Parents::default())).await?;
    let mut filled = Filled { staged, source, len: 0 };
    filled = home.door.run(move || filled.share()).await?;
    while filled.len < row.size {
        let before = filled.len;
        filled = home.door.run(move || filled.copy(COPY_LEN)).await?;
        if filled.len == before {
            break;
        }
    }
    let Filled { staged, source, len } = filled;
    let partial = DiskPartialFile::of_copy(home.clone(), staged, len).await?;
    match Box::new(partial).commit(row.digest).await {
        Ok(stored) => Ok(Some(stored)),
        Err(StorageError::DigestMismatch | StorageError::SizeMismatch { .. }) => {
            if row.fits(&Found::of(&source)?) {
                let user = home.meter.user();
                tracing::error!(%user, path = row.path, "the stored content is damaged; `netdisk admin scrub` names all such");
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A staged file that takes over the content of another file.
struct Filled {
    staged: Box<Staged>,
    source: File,
    /// Bytes that it has.
    len: u64,
}

impl Filled {
    /// Shares the blocks, where the file system can: nothing is copied, and what is written to either file later is its own.
    /// Blocks.
    fn share(mut self) -> Result<Self, StorageError> {
        // Whatever is wrong where it fails, a copy will show it.
        if rustix::fs::ioctl_ficlone(&self.staged.file, &self.source).is_ok() {
            self.len = self.staged.file.metadata()?.len();
            self.staged.reservation.written(self.len);
        }
        Ok(self)
    }

    /// Copies the next bytes, within the kernel where that can. Blocks.
    fn copy(mut self, len: u64) -> Result<Self, StorageError> {
        let copied = io::copy(&mut (&self.source).take(len), &mut self.staged.file)?;
        self.staged.reservation.written(copied);
        self.len += copied;
        Ok(self)
    }
}
