//! What only the disk back end can show: links, pipes, debris, modes, the lock, files put there by hand.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use netdisk_model::{Digest, EntryKind, Limits, Password, RemotePath, UserName};
use netdisk_storage::{Accounts, AccountsError, Depth, DiskStore, Existing, Home, Removal, StorageError, UploadSpec};

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

    fn files(&self) -> PathBuf {
        self.data.path().join("homes/alice/files")
    }

    fn staging(&self) -> PathBuf {
        self.data.path().join("homes/alice/staging")
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

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn files_are_plain_files_with_private_modes() {
    let fixture = Fixture::new().await;
    let mut partial = fixture.home.begin_upload(spec("/a.txt")).await.expect("begun");
    partial.write(Bytes::from_static(b"plain")).await.expect("written");
    partial.commit(Digest::of(b"plain")).await.expect("stored");
    assert_eq!(fs::read(fixture.files().join("a.txt")).expect("a plain file"), b"plain");
    assert!(names_in(&fixture.staging()).is_empty());

    let mode = |at: &str| fs::metadata(fixture.data.path().join(at)).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode("homes/alice/files/a.txt"), 0o600);
    assert_eq!(mode("netdisk.db"), 0o600);
    for directory in ["homes", "homes/alice", "homes/alice/files", "homes/alice/staging"] {
        assert_eq!(mode(directory), 0o700, "{directory}");
    }
}

#[tokio::test]
async fn a_file_put_there_by_hand_simply_appears() {
    let fixture = Fixture::new().await;
    fs::write(fixture.files().join("by hand"), b"hello").expect("written");
    let mut file = fixture.home.open(&path("/by hand"), 0).await.expect("it is there");
    assert_eq!(file.read().await.expect("readable"), Some(Bytes::from_static(b"hello")));
    assert_eq!(file.read().await.expect("the end"), None);
    assert_eq!(file.digest(), Digest::of(b"hello"));
}

#[tokio::test]
async fn links_and_pipes_are_listed_as_other_and_never_opened() {
    let fixture = Fixture::new().await;
    let canary = fixture.data.path().join("canary");
    fs::create_dir(&canary).expect("made");
    fs::write(canary.join("secret"), b"secret").expect("written");
    symlink(&canary, fixture.files().join("out")).expect("linked");
    symlink(canary.join("secret"), fixture.files().join("file")).expect("linked");
    let pipe = fixture.files().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a pipe");

    let home = &fixture.home;
    for at in ["/out", "/file", "/pipe"] {
        assert_eq!(home.stat(&path(at)).await.expect("listed").kind, EntryKind::Other, "{at}");
        assert!(matches!(home.open(&path(at), 0).await.err(), Some(StorageError::NotAFile)), "{at}");
        assert!(matches!(home.begin_upload(spec(at)).await.err(), Some(StorageError::NotAFile)), "{at}");
        let moved = home.rename(&path(at), &path("/elsewhere"), Existing::Replace).await;
        assert!(matches!(moved, Err(StorageError::NotAFile)), "{at}");
    }
    for at in ["/out/secret", "/out/new"] {
        assert!(home.stat(&path(at)).await.is_err(), "{at}");
        assert!(home.open(&path(at), 0).await.is_err(), "{at}");
        assert!(home.begin_upload(spec(at)).await.is_err(), "{at}");
        assert!(home.make_directory(&path(at)).await.is_err(), "{at}");
        assert!(home.make_directories(&path(at)).await.is_err(), "{at}");
        assert!(home.remove(&path(at), Removal::Tree).await.is_err(), "{at}");
        assert!(home.rename(&path(at), &path("/stolen"), Existing::Replace).await.is_err(), "{at}");
    }
    assert!(matches!(home.list(&path("/out"), Depth::Tree).await.err(), Some(StorageError::NotADirectory)));
    home.remove(&path("/out"), Removal::Tree).await.expect("the link itself may go");
    assert_eq!(fs::read(canary.join("secret")).expect("untouched"), b"secret");
    assert_eq!(names_in(&canary), ["secret"]);
}

#[tokio::test]
async fn removing_a_tree_takes_links_in_it_and_not_what_they_point_at() {
    let fixture = Fixture::new().await;
    let canary = fixture.data.path().join("canary");
    fs::create_dir(&canary).expect("made");
    fs::write(canary.join("secret"), b"secret").expect("written");
    let mut deep = fixture.files().join("tree");
    for _ in 0..100 {
        deep.push("deeper than the protocol allows");
    }
    fs::create_dir_all(&deep).expect("made");
    symlink(&canary, deep.join("link")).expect("linked");
    fixture.home.remove(&path("/tree"), Removal::Tree).await.expect("removed");
    assert!(names_in(&fixture.files()).is_empty());
    assert!(names_in(&fixture.staging()).is_empty());
    assert_eq!(names_in(&canary), ["secret"]);
}

#[tokio::test]
async fn names_that_no_path_can_carry_are_counted_and_left_out() {
    let fixture = Fixture::new().await;
    for name in ["good", "back\\slash", "esc\u{1b}[2J", "e\u{301}"] {
        fs::write(fixture.files().join(name), b"").expect("written");
    }
    let mut listing = fixture.home.list(&path("/"), Depth::Tree).await.expect("a directory");
    let batch = listing.next_batch().await.expect("a good disk");
    assert_eq!(batch.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["/good"]);
    assert!(listing.next_batch().await.expect("the end").is_empty());
    assert_eq!(listing.skipped(), 3);
}

#[tokio::test]
async fn a_large_directory_is_listed_whole() {
    let fixture = Fixture::new().await;
    // Three batches and a bit.
    for number in 0..1600 {
        fs::write(fixture.files().join(format!("f{number}")), b"").expect("written");
    }
    let mut listing = fixture.home.list(&path("/"), Depth::OneLevel).await.expect("a directory");
    let mut count = 0;
    loop {
        let batch = listing.next_batch().await.expect("a good disk");
        count += batch.len();
        if batch.is_empty() {
            break;
        }
    }
    assert_eq!(count, 1600);
}

#[tokio::test]
async fn a_file_written_by_hand_while_it_is_read_is_not_served_as_whole() {
    let fixture = Fixture::new().await;
    let at = fixture.files().join("f");
    fs::write(&at, vec![1; 2_000_000]).expect("written");
    let mut file = fixture.home.open(&path("/f"), 0).await.expect("there");
    assert!(file.read().await.expect("readable").is_some());
    fs::write(&at, vec![2; 2_000_001]).expect("written");
    let outcome = loop {
        match file.read().await {
            Ok(None) => break Ok(()),
            Ok(Some(_)) => {}
            Err(error) => break Err(error),
        }
    };
    assert!(matches!(outcome, Err(StorageError::Changed)), "{outcome:?}");
}

#[tokio::test]
async fn debris_of_a_crash_is_cleared() {
    let fixture = Fixture::new().await;
    let staging = fixture.staging();
    let Fixture { store, home, data } = fixture;
    drop((store, home));
    fs::write(staging.join("0123"), b"half an upload").expect("written");
    fs::create_dir_all(staging.join("4567/a tree/that was removed")).expect("made");
    let store = DiskStore::open(data.path()).expect("a store");
    store.maintain().await;
    assert!(names_in(&staging).is_empty());
}

#[tokio::test]
async fn putting_the_store_in_order_spares_uploads_under_way() {
    let fixture = Fixture::new().await;
    let mut partial = fixture.home.begin_upload(spec("/f")).await.expect("begun");
    partial.write(Bytes::from_static(b"whole")).await.expect("written");
    let Fixture { store, home, data } = fixture;
    drop(home);
    store.maintain().await;
    partial.commit(Digest::of(b"whole")).await.expect("not taken for debris");
    drop(data);
}

#[tokio::test]
async fn two_servers_never_share_a_store() {
    let fixture = Fixture::new().await;
    let second = DiskStore::open(fixture.data.path()).expect_err("locked");
    assert!(second.to_string().contains("another server uses this store"), "{second}");
    let Fixture { store, home, data } = fixture;
    drop((store, home));
    DiskStore::open(data.path()).expect("free again");
}

#[tokio::test]
async fn accounts_and_tokens_outlive_the_process() {
    let fixture = Fixture::new().await;
    let token = fixture.store.issue_token(&alice()).await.expect("a token");
    let Fixture { store, home, data } = fixture;
    drop((store, home));
    let store = DiskStore::open(data.path()).expect("a store");
    store.log_in(&alice(), password()).await.expect("known");
    store.log_in_by_token(&alice(), &token).await.expect("known");
    let database = fs::read(data.path().join("netdisk.db")).expect("readable");
    assert!(!database.windows(64).any(|window| window == token.expose().as_bytes()), "only its hash is stored");
}

#[tokio::test]
async fn nobody_inherits_the_files_of_an_account_that_was() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let store = DiskStore::open(data.path()).expect("a store");
    fs::create_dir_all(data.path().join("homes/alice/files/left behind")).expect("made");
    let refused = store.register(&alice(), password()).await;
    assert!(matches!(refused, Err(AccountsError::NameTaken)));
    assert!(matches!(store.log_in(&alice(), password()).await, Err(AccountsError::Refused)));
}

#[tokio::test]
async fn a_client_that_is_back_before_its_old_connection_is_given_up_goes_on_too() {
    let fixture = Fixture::new().await;
    let spec = || UploadSpec { size: Some(3_000_006), resume: Some("key".parse().expect("a key")), ..spec("/f") };
    let mut stalled = fixture.home.begin_upload(spec()).await.expect("begun");
    stalled.write(Bytes::from(vec![1; 3_000_000])).await.expect("written");
    // Writing is behind its caller.
    let staged_len = || {
        let staging = fs::read_dir(fixture.staging()).expect("there");
        staging.map(|staged| staged.expect("readable").metadata().expect("there").len()).sum::<u64>()
    };
    while staged_len() < 3_000_000 {
        tokio::task::yield_now().await;
    }
    let mut back = fixture.home.begin_upload(spec()).await.expect("begun");
    assert_eq!(back.offset(), 3_000_000);
    back.write(Bytes::from_static(b"behind")).await.expect("written");
    let whole = [&vec![1; 3_000_000][..], b"behind"].concat();
    back.commit(Digest::of(&whole)).await.expect("whole");
    assert!(fs::read(fixture.files().join("f")).expect("there") == whole);
    // The old connection wakes up: its bytes reach nobody.
    stalled.write(Bytes::from_static(b"BEHIND")).await.expect("written");
    drop(stalled);
    assert!(fs::read(fixture.files().join("f")).expect("there") == whole);
}

/// Neither the quota nor the disk is too small for it: there is no room for two of it.
#[tokio::test]
async fn a_client_that_is_back_too_soon_is_told_to_come_again_where_two_find_no_room() {
    let fixture = Fixture::new().await;
    fixture.store.set_limits(&alice(), Limits { bytes: Some(15), files: None }).await.expect("set");
    let spec = || UploadSpec { size: Some(10), resume: Some("key".parse().expect("a key")), ..spec("/f") };
    let mut stalled = fixture.home.begin_upload(spec()).await.expect("begun");
    stalled.write(Bytes::from_static(b"012345")).await.expect("written");
    // The write is behind its caller: the next one waits for it.
    stalled.write(Bytes::new()).await.expect("written");
    let back = fixture.home.begin_upload(spec()).await.map(drop);
    assert!(matches!(back, Err(StorageError::UnderWay)), "{back:?}");
    stalled.write(Bytes::new()).await.expect("the first one has lost nothing");
    drop(stalled);
    let mut back = loop {
        match fixture.home.begin_upload(spec()).await {
            Err(StorageError::UnderWay) => tokio::task::yield_now().await,
            back => break back.expect("there is room for one"),
        }
    };
    assert_eq!(back.offset(), 6);
    back.write(Bytes::from_static(b"6789")).await.expect("written");
    back.commit(Digest::of(b"0123456789")).await.expect("whole");
}

/// A wrong digest of a second upload must not take the name of what a first one still writes.
#[tokio::test]
async fn a_second_upload_that_fails_leaves_the_first_its_name() {
    let fixture = Fixture::new().await;
    let spec = || UploadSpec { size: Some(9), resume: Some("key".parse().expect("a key")), ..spec("/f") };
    let mut first = fixture.home.begin_upload(spec()).await.expect("begun");
    first.write(Bytes::from_static(b"the first")).await.expect("written");
    first.write(Bytes::new()).await.expect("written");
    let second = fixture.home.begin_upload(spec()).await.expect("begun");
    assert_eq!(second.offset(), 9, "a copy of what is there");
    assert!(matches!(second.commit(Digest::of(b"wrong")).await, Err(StorageError::DigestMismatch)));
    let mut third = fixture.home.begin_upload(spec()).await.expect("begun");
    third.write(Bytes::from_static(b"")).await.expect("written");
    first.commit(Digest::of(b"the first")).await.expect("whole");
    assert_eq!(fs::read(fixture.files().join("f")).expect("there"), b"the first");
    drop(third);
    assert_eq!(fs::read(fixture.files().join("f")).expect("there"), b"the first");
}
