//! What an upload in parts leaves in staging.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use netdisk_model::{PART_LEN, PartHasher, Password, UserName};
use netdisk_storage::{Accounts, DiskStore, Existing, Home, PartedFile, UploadSpec};

struct Fixture {
    home: Arc<dyn Home>,
    _store: DiskStore,
    data: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let store = DiskStore::open(data.path()).expect("a store");
        let user: UserName = "alice".parse().expect("a name");
        let home = store.register(&user, Password::new("correct horse")).await.expect("a new account").home;
        Self { home, _store: store, data }
    }

    /// Of each file in staging what its name begins with.
    fn staged(&self) -> Vec<String> {
        let staging: PathBuf = self.data.path().join("homes/alice/staging");
        let names = fs::read_dir(staging).expect("a directory").map(|entry| entry.expect("an entry").file_name());
        names.map(|name| name.to_string_lossy().split('-').next().unwrap_or_default().to_owned()).collect()
    }
}

fn spec() -> UploadSpec {
    let (path, resume) = ("/f".parse().expect("a path"), Some("key".parse().expect("a key")));
    UploadSpec { path, size: Some(3 * PART_LEN), modified: None, existing: Existing::Replace, resume }
}

async fn bring_first(upload: &dyn PartedFile) {
    let mut hasher = PartHasher::new(0);
    let content = vec![1; usize::try_from(PART_LEN).expect("short")];
    hasher.update(&content);
    let mut part = upload.taker().begin(0).await.expect("begun");
    part.write(content.into()).await.expect("written");
    part.finish(hasher.digest().expect("it has bytes")).await.expect("taken");
}

/// The session that brings it may not know yet that it is for nothing.
#[tokio::test]
async fn a_part_under_way_does_not_lock_what_is_kept() {
    let fixture = Fixture::new().await;
    let upload = fixture.home.begin_parts(spec()).await.expect("begun");
    bring_first(&*upload).await;
    let mut late = upload.taker().begin(1).await.expect("begun");
    late.write(Bytes::from_static(&[1; 1000])).await.expect("written");
    upload.give_up().await;
    let again = fixture.home.begin_parts(spec()).await.expect("begun");
    assert_eq!(again.offset(), PART_LEN);
    assert_eq!(fixture.staged(), ["resume"], "it goes on in the same file, and copies nothing");
    drop(late);
    again.give_up().await;
}

#[tokio::test]
async fn nothing_is_kept_of_an_upload_of_which_no_part_came() {
    let fixture = Fixture::new().await;
    let upload = fixture.home.begin_parts(spec()).await.expect("begun");
    let mut part = upload.taker().begin(0).await.expect("begun");
    part.write(Bytes::from_static(&[1; 1000])).await.expect("written");
    drop(part);
    assert_eq!(fixture.staged(), ["resume"]);
    upload.give_up().await;
    assert!(fixture.staged().is_empty());
}
