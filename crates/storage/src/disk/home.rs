//! One user's tree on disk.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use netdisk_model::{Digest, Entry, EntryKind, RemotePath, Usage};
use rustix::fs::{CWD, Mode, OFlags};

use super::committer::Committer;
use super::confined::Confined;
use super::copy;
use super::database::Database;
use super::download::DiskFile;
use super::known;
use super::listing::DiskListing;
use super::meter::Meter;
use super::parts::DiskParts;
use super::removal::{Undertaker, take_apart};
use super::sabotage::{self, Sabotage};
use super::staging::{self, Run};
use super::tree::Work;
use super::upload::DiskPartialFile;
use super::whole;
use crate::door::Door;
use crate::error::StorageError;
use crate::home::{
    Depth, Existing, Home, Listing, PartialFile, Removal, Stored, StoredFile, UploadSpec, WholeFile, one_by_one,
};
use crate::parts::PartedFile;

/// An open home, as everything that works in it shares it.
#[derive(Debug)]
pub(super) struct HomeState {
    /// The user's tree.
    pub(super) files: Confined,
    pub(super) staging: OwnedFd,
    pub(super) run: Run,
    pub(super) meter: Arc<Meter>,
    pub(super) database: Database,
    pub(super) committer: Committer,
    pub(super) door: Door,
    /// Of its own, because a large tree takes long to take apart.
    pub(super) removals: Door,
    /// The same for copies.
    pub(super) copies: Door,
}

/// Opens `<home>/files` and `<home>/staging`. Blocks.
pub(super) fn open_directories(home: &Path) -> io::Result<(Confined, OwnedFd)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let staging = rustix::fs::openat(CWD, home.join("staging"), flags, Mode::empty())?;
    Ok((Confined::open(&home.join("files"))?, staging))
}

impl HomeState {
    pub(super) fn undertaker(&self) -> Undertaker<'_> {
        Undertaker { database: &self.database, user: self.meter.user(), run: &self.run }
    }

    /// Takes a directory in staging apart, and what it counted with it. What fails is debris, for the next time that the
    /// store is put in order.
    pub(super) async fn take_apart(self: &Arc<Self>, grave: String) {
        let home = self.clone();
        let taken_apart = self.removals.run(move || {
            let name = CString::new(grave).expect("a name without NUL");
            take_apart(&home.staging, name, &home.undertaker())
        });
        if let Err(error) = taken_apart.await {
            tracing::warn!(user = %self.meter.user(), %error, "a removed tree stays in staging for now");
        }
        self.meter.doubt();
    }

    /// Clears what crashes left in staging, and what nobody came back for.
    pub(super) async fn sweep(self: &Arc<Self>) {
        let home = self.clone();
        let swept = self.removals.run(move || staging::sweep(&home.staging, &home.undertaker()));
        if let Err(error) = swept.await {
            tracing::warn!(user = %self.meter.user(), %error, "staging could not be cleared");
        }
        self.meter.doubt();
    }

    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let home = self.clone();
        self.door.run(move || work(&home)).await
    }
}

/// Runs something to its end, whoever still waits for it: half done, it would leave debris that is counted.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StorageError>> + Send + 'static,
) -> Result<T, StorageError> {
    crate::door::finish(tokio::spawn(work)).await
}

/// One user's tree on disk. All calls go through the doors of the store.
#[derive(Debug)]
pub(super) struct DiskHome(pub(super) Arc<HomeState>);

#[async_trait]
impl Home for DiskHome {
    async fn list(&self, path: &RemotePath, depth: Depth) -> Result<Box<dyn Listing>, StorageError> {
        let path = path.clone();
        self.0.run(move |home| DiskListing::begin(home.clone(), path, depth)).await
    }

    async fn stat(&self, path: &RemotePath) -> Result<Entry, StorageError> {
        let path = path.clone();
        self.0.run(move |home| home.files.stat(&path)).await
    }

    async fn make_directory(&self, path: &RemotePath) -> Result<(), StorageError> {
        self.0.change(Work::MakeDirectory { path: path.clone() }).await.map(drop)
    }

    async fn make_directories(&self, path: &RemotePath) -> Result<(), StorageError> {
        self.0.change(Work::MakeDirectories { path: path.clone() }).await.map(drop)
    }

    async fn remove(&self, path: &RemotePath, removal: Removal) -> Result<(), StorageError> {
        let (home, path) = (self.0.clone(), path.clone());
        to_its_end(async move {
            let done = home.change(Work::Remove { path, removal }).await?;
            if let Some(grave) = done.directory {
                // It is gone for its owner from here on.
                home.take_apart(grave).await;
            }
            Ok(())
        })
        .await
    }

    async fn rename(&self, from: &RemotePath, to: &RemotePath, existing: Existing) -> Result<(), StorageError> {
        let (from, to) = (from.clone(), to.clone());
        self.0.change(Work::Rename { from, to, existing }).await.map(drop)
    }

    async fn copy(&self, from: &RemotePath, to: &RemotePath, existing: Existing) -> Result<(), StorageError> {
        match self.stat(from).await?.kind {
            EntryKind::File => copy::file(&self.0, from, to, existing).await,
            EntryKind::Directory => {
                let (home, from, to) = (self.0.clone(), from.clone(), to.clone());
                to_its_end(async move { copy::tree(&home, &from, &to).await }).await
            }
            EntryKind::Other => Err(StorageError::NotAFile),
        }
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.0.run(|home| home.meter.usage()).await
    }

    async fn begin_upload(&self, spec: UploadSpec) -> Result<Box<dyn PartialFile>, StorageError> {
        DiskPartialFile::begin(self.0.clone(), spec).await
    }

    async fn begin_parts(&self, spec: UploadSpec) -> Result<Box<dyn PartedFile>, StorageError> {
        Ok(Box::new(DiskParts::begin(self.0.clone(), spec).await?))
    }

    async fn store(&self, files: Vec<WholeFile>) -> Vec<Result<Stored, StorageError>> {
        if sabotage::is(Sabotage::AckFirst) {
            return one_by_one(self, files).await;
        }
        whole::store(&self.0, files).await
    }

    async fn known_sizes(&self, sizes: &[u64]) -> Result<Vec<u64>, StorageError> {
        known::sizes(&self.0, sizes).await
    }

    async fn store_known(&self, spec: UploadSpec, digest: Digest) -> Result<Option<Stored>, StorageError> {
        known::store(&self.0, spec, digest).await
    }

    async fn open(&self, path: &RemotePath, offset: u64) -> Result<Box<dyn StoredFile>, StorageError> {
        let path = path.clone();
        self.0.run(move |home| DiskFile::open(home, &path, offset)).await
    }

    async fn open_part(&self, path: &RemotePath, part: u64) -> Result<Box<dyn StoredFile>, StorageError> {
        let path = path.clone();
        self.0.run(move |home| DiskFile::open_part(home, &path, part)).await
    }

    async fn open_all(&self, paths: &[RemotePath]) -> Vec<Result<Box<dyn StoredFile>, StorageError>> {
        let (home, paths) = (self.0.clone(), paths.to_vec());
        self.0.door.run(move || DiskFile::open_all(&home, paths)).await
    }
}
