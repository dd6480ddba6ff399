//! What the store costs without a network: commits of small files together, and listings. In memory (`/dev/shm`) where
//! there is such a place: then it is the work that counts, and not the disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use futures::future::join_all;
use netdisk_model::{Digest, Password, RemotePath};
use netdisk_storage::{Accounts as _, Depth, DiskStore, Existing, Home, UploadSpec};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const FILE_LEN: usize = 4 * 1024;

fn main() {
    divan::main();
}

/// A store with one account.
struct Scene {
    runtime: Runtime,
    home: Arc<dyn Home>,
    folders: AtomicUsize,
    _store: DiskStore,
    _folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::tempdir_in(base).expect("a folder");
        let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let store = DiskStore::open(&folder.path().join("data")).expect("a store");
        let password = Password::new("correct horse battery".to_owned());
        let account =
            runtime.block_on(store.register(&"bench".parse().expect("a name"), password)).expect("an account");
        Self { runtime, home: account.home, folders: AtomicUsize::new(0), _store: store, _folder: folder }
    }

    fn new_folder(&self) -> RemotePath {
        let name = self.folders.fetch_add(1, Ordering::Relaxed).to_string();
        let folder = RemotePath::root().join(&name).expect("a path");
        self.runtime.block_on(self.home.make_directory(&folder)).expect("a folder");
        folder
    }

    /// Uploads so many small files, all under way at once, as a client with a wide window does.
    fn store(&self, folder: &RemotePath, count: usize) {
        let data = Bytes::from(vec![7; FILE_LEN]);
        let digest = Digest::from(blake3::hash(&data));
        let upload = async |number: usize| {
            let path = folder.join(&number.to_string()).expect("a path");
            let size = Some(FILE_LEN as u64);
            let spec = UploadSpec { path, size, modified: None, existing: Existing::Replace, resume: None };
            let mut partial = self.home.begin_upload(spec).await.expect("an upload");
            partial.write(data.clone()).await.expect("room");
            partial.commit(digest).await.expect("stored");
        };
        self.runtime.block_on(join_all((0..count).map(upload)));
    }
}

#[divan::bench(args = [1, 32, 2_000], sample_count = 10, sample_size = 1)]
fn commit(bencher: Bencher<'_, '_>, count: usize) {
    let scene = Scene::new();
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| scene.new_folder())
        .bench_local_refs(|folder| scene.store(folder, count));
}

#[divan::bench(args = [100, 1_000, 10_000], sample_count = 20, sample_size = 1)]
fn list(bencher: Bencher<'_, '_>, count: usize) {
    let scene = Scene::new();
    let folder = scene.new_folder();
    scene.store(&folder, count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        scene.runtime.block_on(async {
            let mut listing = scene.home.list(&folder, Depth::OneLevel).await.expect("a listing");
            let mut listed = 0;
            loop {
                let batch = listing.next_batch().await.expect("entries");
                if batch.is_empty() {
                    break;
                }
                listed += batch.len();
            }
            assert_eq!(listed, count);
        });
    });
}
