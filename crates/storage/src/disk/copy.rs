//! Copies within a home: a file as an upload from the disk itself, a tree staged as a whole and named at one stroke.
//!
//! What is copied is read, hashed and compared with what was stored: damage is not passed on. In a tree, each file has its
//! row as soon as it is staged; a crash in between leaves a tree in staging that gives back what it counts.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use netdisk_model::{Entry, EntryKind, RemotePath};

use super::confined::{Confined, DIRECTORY_MODE};
use super::download::{DiskFile, Reader};
use super::home::HomeState;
use super::identity::Found;
use super::ledger::{FileRow, Ledger};
use super::listing::Walk;
use super::meter::{Reservation, Room};
use super::staged::set_modified;
use super::staging::{self, Kind};
use super::sync::{sync_directory, sync_file};
use super::tree::Work;
use super::upload::DiskPartialFile;
use crate::error::StorageError;
use crate::home::{Depth, Existing, UploadSpec};

/// Files whose rows are written in one transaction.
const BATCH_LEN: usize = 128;

/// Copies one file.
pub(super) async fn file(
    home: &Arc<HomeState>,
    from: &RemotePath,
    to: &RemotePath,
    existing: Existing,
) -> Result<(), StorageError> {
    let (its_home, source) = (home.clone(), from.clone());
    let mut file = home.door.run(move || DiskFile::open(&its_home, &source, 0)).await?;
    if from == to {
        return if existing == Existing::Refuse { Err(StorageError::Exists) } else { Ok(()) };
    }
    let entry = file.entry().clone();
    let spec =
        UploadSpec { path: to.clone(), size: Some(entry.size), modified: Some(entry.modified), existing, resume: None };
    let mut partial = DiskPartialFile::begin(home.clone(), spec).await.map_err(in_the_way)?;
    while let Some(data) = file.read().await? {
        partial.write(data).await?;
    }
    partial.commit(file.digest()).await.map(drop)
}

/// As with a rename: what is no file is not replaced.
fn in_the_way(error: StorageError) -> StorageError {
    match error {
        StorageError::NotAFile => StorageError::Exists,
        error => error,
    }
}

/// Copies a directory with all that is in it; what is neither file nor directory is left out.
pub(super) async fn tree(home: &Arc<HomeState>, from: &RemotePath, to: &RemotePath) -> Result<(), StorageError> {
    let (its_home, source, target) = (home.clone(), from.clone(), to.clone());
    let staged = home.run.fresh(Kind::Copy);
    let name = staged.clone();
    // Not through the door of the disk: it takes long.
    let copied = home.copies.run(move || {
        check_free(&its_home, &target)?;
        if target.is_within(&source) {
            return Err(StorageError::IntoItself);
        }
        rustix::fs::mkdirat(&its_home.staging, &name, DIRECTORY_MODE)?;
        Ok(Copier::copy(its_home, &source, &name))
    });
    let placed = match copied.await? {
        Ok(()) => home.change(Work::Place { staged: staged.clone(), path: to.clone() }).await.map(drop),
        Err(error) => Err(error),
    };
    if placed.is_err() {
        home.take_apart(staged).await;
    }
    placed
}

fn check_free(home: &HomeState, path: &RemotePath) -> Result<(), StorageError> {
    let (parent, name) = home.files.open_parent(path)?;
    match Found::at(parent, name) {
        Ok(_) => Err(StorageError::Exists),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Copies one tree into staging. Blocks.
struct Copier {
    home: Arc<HomeState>,
    source: RemotePath,
    target: Confined,
    reservation: Reservation,
    /// Of files that are copied and not counted yet.
    rows: Vec<(FileRow, Reservation)>,
    /// Made and not synced yet.
    directories: Vec<RemotePath>,
}

impl Copier {
    /// Copies the tree at `source` into the directory `staged`, and sees it onto the disk.
    fn copy(home: Arc<HomeState>, source: &RemotePath, staged: &str) -> Result<(), StorageError> {
        let mut room = Room::default();
        walk(&home, source, |entry| {
            if entry.kind == EntryKind::File {
                room.growth += entry.size;
                room.unwritten += entry.size;
                room.files += 1;
            }
            Ok(())
        })?;
        let reservation = home.meter.reserve(&home.staging, room)?;
        let target = Confined::open_in(&home.staging, staged)?;
        let source = source.clone();
        let directories = vec![RemotePath::root()];
        let mut copier =
            Self { home: home.clone(), source: source.clone(), target, reservation, rows: Vec::new(), directories };
        walk(&home, &source, |entry| copier.take(entry))?;
        copier.count()?;
        copier.directories.iter().try_for_each(|path| Ok(sync_directory(copier.target.open_directory(path)?)?))
    }

    fn take(&mut self, entry: &Entry) -> Result<(), StorageError> {
        let rest = entry.path.as_str().strip_prefix(self.source.as_str()).unwrap_or_default();
        let path: RemotePath = rest.parse().map_err(|_| StorageError::NotFound)?;
        let (parent, name) = self.target.open_parent(&path)?;
        match entry.kind {
            EntryKind::Directory => {
                rustix::fs::mkdirat(&parent, name, DIRECTORY_MODE)?;
                self.directories.push(path);
            }
            EntryKind::File => self.copy_file(&entry.path, parent, name)?,
            EntryKind::Other => {}
        }
        Ok(())
    }

    fn copy_file(&mut self, from: &RemotePath, parent: OwnedFd, name: &str) -> Result<(), StorageError> {
        let mut reader = Reader::open(&self.home, from)?;
        let mut file = staging::create(&parent, name)?;
        let size = reader.entry(from.clone()).size;
        let room = Room { growth: size, files: 1, unwritten: size };
        let mut promise = self.reservation.take(&self.home.staging, room)?;
        while let Some(data) = reader.read()? {
            if self.home.run.is_closing() {
                return Err(StorageError::Io(io::ErrorKind::Interrupted.into()));
            }
            file.write_all(&data)?;
            promise.written(data.len() as u64);
        }
        set_modified(&file, reader.entry(from.clone()).modified)?;
        sync_file(&file)?;
        let Found { identity, size, modified_ns, .. } = Found::of(&file)?;
        let (digest, path) = (reader.digest(), from.to_string());
        self.rows.push((FileRow { identity, size, modified_ns, digest, path }, promise));
        if self.rows.len() == BATCH_LEN { self.count() } else { Ok(()) }
    }

    /// Counts what is copied so far; what was promised for it ends.
    fn count(&mut self) -> Result<(), StorageError> {
        let mut rows = std::mem::take(&mut self.rows);
        let meter = &self.home.meter;
        self.home.database.write_blocking(|transaction| {
            let mut ledger = Ledger::open(transaction);
            rows.iter().try_for_each(|(row, _)| ledger.remember(meter.user(), row))?;
            for (_, usage) in ledger.close()? {
                meter.settle(usage, rows.iter_mut().map(|(_, promise)| promise));
            }
            Ok(())
        })
    }
}

/// Visits a tree, each directory before what is in it. Blocks.
fn walk(
    home: &Arc<HomeState>,
    root: &RemotePath,
    mut visit: impl FnMut(&Entry) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let mut walk = Walk::begin(home.clone(), root.clone(), Depth::Tree)?;
    loop {
        let batch = walk.next_batch()?;
        if batch.is_empty() {
            return Ok(());
        }
        batch.iter().try_for_each(&mut visit)?;
    }
}
