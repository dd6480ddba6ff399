//! What the disk back end knows of files: damage is found, hands are not taken for damage, and crashes count nothing twice.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use netdisk_model::{Digest, Limits, Password, RemotePath, UserName};
use netdisk_storage::{Accounts, DiskStore, Existing, Home, Removal, StorageError, UploadSpec};

struct Fixture {
    store: DiskStore,
    home: Arc<dyn Home>,
    data: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let store = DiskStore::open(data.path()).expect("a store");
        let home = store.register(&alice(), password()).await.expect("a new account").home;
        Self { store, home, data }
    }

    /// As after a crash, with what `meanwhile` does to the disk: nothing of the first store's memory is left.
    async fn restart(self, meanwhile: impl FnOnce(PathBuf, PathBuf)) -> Self {
        let Self { store, home, data } = self;
        drop((store, home));
        let home = data.path().join("homes/alice");
        meanwhile(home.join("files"), home.join("staging"));
        let store = DiskStore::open(data.path()).expect("a store");
        store.maintain().await;
        let home = store.log_in(&alice(), password()).await.expect("known").home;
        Self { store, home, data }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.data.path().join("homes/alice/files").join(name)
    }

    async fn put(&self, at: &str, content: &[u8]) {
        let mut partial = self.home.begin_upload(spec(at)).await.expect("begun");
        partial.write(Bytes::copy_from_slice(content)).await.expect("written");
        partial.commit(Digest::of(content)).await.expect("stored");
    }

    async fn get(&self, at: &str) -> Result<Vec<u8>, StorageError> {
        let mut file = self.home.open(&path(at), 0).await?;
        let mut content = Vec::new();
        while let Some(data) = file.read().await? {
            content.extend_from_slice(&data);
        }
        Ok(content)
    }

    async fn used(&self) -> (u64, u64) {
        let usage = self.home.usage().await.expect("known");
        (usage.bytes, usage.files)
    }
}

fn alice() -> UserName {
    "alice".parse().expect("a name")
}

fn password() -> Password {
    Password::new("correct horse")
}

fn path(text: &str) -> RemotePath {
    text.parse().expect("a path")
}

fn spec(at: &str) -> UploadSpec {
    UploadSpec { path: path(at), size: None, modified: None, existing: Existing::Replace, resume: None }
}

/// Flips a bit, as a bad disk does: nothing else of the file changes.
fn rot(path: PathBuf) {
    let file = File::options().read(true).write(true).open(path).expect("there");
    let times = file.metadata().expect("known");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2).expect("long enough");
    file.write_all_at(&[byte[0] ^ 1], 2).expect("written");
    file.set_times(FileTimes::new().set_modified(times.modified().expect("known"))).expect("set");
}

#[tokio::test]
async fn a_file_that_rotted_is_not_handed_out_as_whole_and_not_copied() {
    let fixture = Fixture::new().await;
    fixture.put("/f", b"content").await;
    rot(fixture.file("f"));
    assert!(matches!(fixture.get("/f").await, Err(StorageError::Corrupt)));
    let copied = fixture.home.copy(&path("/f"), &path("/g"), Existing::Refuse).await;
    assert!(matches!(copied, Err(StorageError::Corrupt)), "{copied:?}");
    fixture.home.make_directory(&path("/d")).await.expect("made");
    fixture.home.rename(&path("/f"), &path("/d/f"), Existing::Refuse).await.expect("moved");
    let copied = fixture.home.copy(&path("/d"), &path("/e"), Existing::Refuse).await;
    assert!(matches!(copied, Err(StorageError::Corrupt)), "{copied:?}");
    assert!(!fixture.file("e").exists() && !fixture.file("g").exists());
    assert_eq!(fixture.used().await, (7, 1), "what was copied of it counts no more");
    assert!(matches!(fixture.get("/d/f").await, Err(StorageError::Corrupt)), "under another name too");
}

#[tokio::test]
async fn content_that_rotted_or_was_changed_by_hand_is_known_no_more() {
    let fixture = Fixture::new().await;
    let content = vec![b'k'; 1024 * 1024];
    let digest = Digest::of(&content);
    let spec = || UploadSpec {
        path: path("/copy"),
        size: Some(content.len() as u64),
        modified: None,
        existing: Existing::Refuse,
        resume: None,
    };
    fixture.put("/rotten", &content).await;
    rot(fixture.file("rotten"));
    assert_eq!(fixture.home.store_known(spec(), digest).await.expect("asked"), None);
    fixture.put("/changed", &content).await;
    fs::write(fixture.file("changed"), vec![b'x'; content.len()]).expect("written");
    assert_eq!(fixture.home.store_known(spec(), digest).await.expect("asked"), None);
    assert!(!fixture.file("copy").exists());
    // Whatever was found to be unfit, a good one is found behind it.
    fixture.put("/good", &content).await;
    assert!(fixture.home.store_known(spec(), digest).await.expect("asked").is_some());
    assert_eq!(fixture.get("/copy").await.expect("stored"), content);
}

#[tokio::test]
async fn what_somebody_wrote_by_hand_is_no_damage() {
    let fixture = Fixture::new().await;
    fixture.put("/f", b"content").await;
    fs::write(fixture.file("f"), b"CONTENT").expect("written");
    assert_eq!(fixture.get("/f").await.expect("as it is now"), b"CONTENT");
    fs::write(fixture.file("g"), b"by hand").expect("written");
    fs::rename(fixture.file("g"), fixture.file("f")).expect("put in its place");
    assert_eq!(fixture.get("/f").await.expect("as it is now"), b"by hand");
}

#[tokio::test]
async fn a_file_put_there_by_hand_counts_nothing_and_gives_nothing_back() {
    let fixture = Fixture::new().await;
    fixture.put("/f", b"12345").await;
    fs::write(fixture.file("g"), b"by hand").expect("written");
    fs::write(fixture.file("h"), b"by hand too").expect("written");
    assert_eq!(fixture.used().await, (5, 1));
    fixture.home.remove(&path("/g"), Removal::Single).await.expect("removed");
    assert_eq!(fixture.used().await, (5, 1));
    fixture.put("/h", b"123").await;
    assert_eq!(fixture.used().await, (8, 2));
}

/// The row is written before the file gets its name: a crash in between leaves the row of a staged file.
#[tokio::test]
async fn a_crash_before_the_name_counts_nothing() {
    let fixture = Fixture::new().await;
    fixture.put("/f", b"12345").await;
    fixture.put("/kept", b"123").await;
    let fixture = fixture
        .restart(|files, staging| fs::rename(files.join("f"), staging.join("upload-before-1")).expect("moved"))
        .await;
    assert_eq!(fixture.used().await, (3, 1));
    assert_eq!(fs::read_dir(fixture.file("../staging")).expect("there").count(), 0);
    // The same of an upload that can be resumed: it stays, and counts once it is committed.
    let resumable = || UploadSpec { size: Some(9), resume: Some("key".parse().expect("a key")), ..spec("/r") };
    let mut partial = fixture.home.begin_upload(resumable()).await.expect("begun");
    partial.write(Bytes::from_static(b"123456")).await.expect("written");
    drop(partial);
    while fixture.home.begin_upload(resumable()).await.expect("begun").offset() != 6 {
        tokio::task::yield_now().await;
    }
    fixture.put("/r", b"whatever").await;
    let fixture = fixture
        .restart(|files, staging| {
            let kept = fs::read_dir(&staging).expect("there").next().expect("kept").expect("an entry").path();
            fs::rename(files.join("r"), kept).expect("moved");
        })
        .await;
    assert_eq!(fixture.used().await, (3, 1));
    assert_eq!(fixture.home.begin_upload(resumable()).await.expect("begun").offset(), 8);
}

/// Whoever resumes it may be there before the store is put in order.
#[tokio::test]
async fn a_resumed_upload_that_a_crash_left_counted_counts_once_or_not_at_all() {
    let fixture = Fixture::new().await;
    fixture.store.set_limits(&alice(), Limits { bytes: Some(7), files: Some(1) }).await.expect("set");
    let resumable = || UploadSpec { size: Some(5), resume: Some("key".parse().expect("a key")), ..spec("/r") };
    let mut partial = fixture.home.begin_upload(resumable()).await.expect("begun");
    partial.write(Bytes::from_static(b"1")).await.expect("written");
    drop(partial);
    // Its last write may be under way still, and keeps the promise until it ends.
    while let Err(StorageError::QuotaExceeded { .. }) = fixture.home.begin_upload(spec("/r")).await.map(drop) {
        tokio::task::yield_now().await;
    }
    let kept = fs::read_dir(fixture.file("../staging")).expect("there").next().expect("kept").expect("an entry").path();
    fixture.put("/r", b"12345").await;
    fs::rename(fixture.file("r"), kept).expect("moved");
    let partial = fixture.home.begin_upload(resumable()).await.expect("it is not counted beside itself");
    assert_eq!(partial.offset(), 5);
    assert!(matches!(partial.commit(Digest::of(b"other")).await, Err(StorageError::DigestMismatch)));
    assert_eq!(fixture.used().await, (0, 0));
}

/// Whoever asked for the offset alone leaves nothing behind.
#[tokio::test]
async fn nothing_is_kept_of_an_upload_of_which_nothing_came() {
    let fixture = Fixture::new().await;
    let resumable = UploadSpec { size: Some(5), resume: Some("key".parse().expect("a key")), ..spec("/r") };
    let staging = fixture.file("../staging");
    let partial = fixture.home.begin_upload(resumable).await.expect("begun");
    assert_eq!(fs::read_dir(&staging).expect("there").count(), 1);
    drop(partial);
    assert_eq!(fs::read_dir(&staging).expect("there").count(), 0);
}

/// What is replaced or removed has a name in staging until its row is forgotten.
#[tokio::test]
async fn a_crash_behind_an_overwrite_or_a_removal_gives_back_what_is_gone() {
    let fixture = Fixture::new().await;
    fixture.put("/old", b"12345").await;
    fixture.put("/f", b"123").await;
    fixture.home.make_directories(&path("/d/e")).await.expect("made");
    fixture.put("/d/e/f", b"1234567").await;
    assert_eq!(fixture.used().await, (15, 3));
    let fixture = fixture
        .restart(|files, staging| {
            fs::rename(files.join("old"), staging.join("grave-before-1")).expect("moved");
            fs::rename(files.join("d"), staging.join("grave-before-2")).expect("moved");
            // A crash between the link and the rename over it: the file has its name still.
            fs::hard_link(files.join("f"), staging.join("grave-before-3")).expect("linked");
        })
        .await;
    assert_eq!(fixture.used().await, (3, 1));
    assert_eq!(fs::read_dir(fixture.file("../staging")).expect("there").count(), 0);
    rot(fixture.file("f"));
    assert!(matches!(fixture.get("/f").await, Err(StorageError::Corrupt)), "its row is there still");
}

#[tokio::test]
async fn a_thousand_small_uploads_at_once_are_each_stored_and_counted_once() {
    let fixture = Fixture::new().await;
    fixture.store.set_limits(&alice(), Limits { bytes: None, files: Some(1000) }).await.expect("set");
    let put = |number: usize| {
        let home = fixture.home.clone();
        tokio::spawn(async move {
            let content = number.to_string();
            // Every tenth goes where another one goes.
            let at = format!("/{}", if number.is_multiple_of(10) { number + 1 } else { number });
            let mut partial = home.begin_upload(spec(&at)).await?;
            partial.write(Bytes::from(content.clone())).await?;
            partial.commit(Digest::of(content.as_bytes())).await
        })
    };
    let uploads: Vec<_> = (0..1000).map(put).collect();
    for upload in uploads {
        upload.await.expect("no panic").expect("stored");
    }
    let mut bytes = 0;
    for number in (0..1000_usize).filter(|number| !number.is_multiple_of(10)) {
        let content = String::from_utf8(fixture.get(&format!("/{number}")).await.expect("stored")).expect("digits");
        let stored: usize = content.parse().expect("a number");
        assert!(stored == number || (stored + 1 == number && stored.is_multiple_of(10)), "{stored} in {number}");
        bytes += content.len() as u64;
    }
    assert_eq!(fixture.used().await, (bytes, 900));
    // What was replaced is unlinked behind the acknowledgement.
    while fs::read_dir(fixture.file("../staging")).expect("there").count() > 0 {
        tokio::task::yield_now().await;
    }
}

/// As a backup's links have, and what somebody links by hand.
#[tokio::test]
async fn names_of_one_file_that_go_together_give_back_what_it_counts() {
    let fixture = Fixture::new().await;
    fixture.home.make_directory(&path("/d")).await.expect("made");
    fixture.put("/d/a", b"12345").await;
    fs::hard_link(fixture.file("d/a"), fixture.file("d/b")).expect("linked");
    fixture.home.remove(&path("/d"), Removal::Tree).await.expect("removed");
    assert_eq!(fixture.used().await, (0, 0));
}

/// One that hangs, in another process, has all changes stand still.
#[tokio::test]
async fn a_store_that_is_closed_waits_for_no_backup() {
    let Fixture { store, home, data } = Fixture::new().await;
    let lock = File::open(data.path().join("changes.lock")).expect("there");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("nobody has it");
    let change = tokio::spawn(async move { home.make_directory(&path("/d")).await });
    drop(store);
    let given_up = tokio::time::timeout(Duration::from_secs(10), change).await.expect("it waits no more");
    assert!(matches!(given_up.expect("no panic"), Err(StorageError::Io(_))));
}

/// Nobody fills the disk with beginnings.
#[tokio::test]
async fn what_is_kept_of_interrupted_uploads_fits_into_the_quota_and_the_newest_stays() {
    let fixture = Fixture::new().await;
    fixture.store.set_limits(&alice(), Limits { bytes: Some(1000), files: None }).await.expect("set");
    let resumable = |number: u64| UploadSpec {
        size: Some(500),
        resume: Some(format!("key{number}").parse().expect("a key")),
        ..spec("/f")
    };
    let staging = fixture.file("../staging");
    let kept = || fs::read_dir(&staging).expect("there").map(|entry| entry.expect("an entry")).collect::<Vec<_>>();
    for number in 0..6 {
        let mut partial = fixture.home.begin_upload(resumable(number)).await.expect("there is room");
        partial.write(Bytes::from(vec![0; 400])).await.expect("written");
        // The write is behind its caller: the next one waits for it.
        partial.write(Bytes::new()).await.expect("written");
        drop(partial);
        let bytes: u64 = kept().iter().map(|entry| entry.metadata().expect("known").len()).sum();
        assert!(bytes <= 1200, "{bytes}");
    }
    while fixture.home.begin_upload(resumable(5)).await.expect("there is room").offset() != 400 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.home.begin_upload(resumable(0)).await.expect("there is room").offset(), 0, "given up");
}
