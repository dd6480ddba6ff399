//! What the keeper of a store does: fsck, scrub, backup, restore.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use netdisk_model::{Digest, Limits, Password, RemotePath, Usage, UserName};
use netdisk_storage::{
    Accounts, AccountsError, DiskStore, Existing, FileFinding, Finding, Home, Looked, Options, Removal, Sharing,
    StorageError, UploadSpec,
};

fn name(text: &str) -> UserName {
    text.parse().expect("a name")
}

fn password() -> Password {
    Password::new("correct horse")
}

fn path(text: &str) -> RemotePath {
    text.parse().expect("a path")
}

async fn register(store: &DiskStore, user: &str) -> Arc<dyn Home> {
    store.register(&name(user), password()).await.expect("a new account").home
}

async fn put(home: &Arc<dyn Home>, at: &str, content: &[u8]) {
    let spec = UploadSpec { path: path(at), size: None, modified: Some(5), existing: Existing::Replace, resume: None };
    let mut partial = home.begin_upload(spec).await.expect("begun");
    partial.write(Bytes::copy_from_slice(content)).await.expect("written");
    partial.commit(Digest::of(content)).await.expect("stored");
}

async fn get(home: &Arc<dyn Home>, at: &str) -> Result<Vec<u8>, StorageError> {
    let mut file = home.open(&path(at), 0).await?;
    let mut content = Vec::new();
    while let Some(data) = file.read().await? {
        content.extend_from_slice(&data);
    }
    Ok(content)
}

fn about(user: &str, path: &str, size: u64) -> FileFinding {
    FileFinding { user: name(user), path: path.to_owned(), size }
}

/// Flips a bit, as a bad disk does: nothing else of the file changes.
fn rot(path: &Path) {
    let file = File::options().read(true).write(true).open(path).expect("there");
    let modified = file.metadata().expect("known").modified().expect("known");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 0).expect("long enough");
    file.write_all_at(&[byte[0] ^ 1], 0).expect("written");
    file.set_times(FileTimes::new().set_modified(modified)).expect("set");
}

fn beside(data: &Path) -> DiskStore {
    DiskStore::open_with(data, Options { sharing: Sharing::Beside, ..Options::default() }).expect("a store")
}

fn found(
    work: impl FnOnce(&mut dyn FnMut(Finding)) -> Result<Looked, AccountsError>,
) -> (Result<Looked, AccountsError>, Vec<Finding>) {
    let mut findings = Vec::new();
    let looked = work(&mut |finding| findings.push(finding));
    (looked, findings)
}

#[tokio::test]
async fn fsck_adopts_counts_anew_and_names_what_is_missing() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let files = data.path().join("homes/alice/files");
    let store = DiskStore::open(data.path()).expect("a store");
    let home = register(&store, "alice").await;
    home.make_directory(&path("/d")).await.expect("made");
    put(&home, "/d/gone", b"12345").await;
    put(&home, "/d/changed", b"123").await;
    put(&home, "/d/same", b"1").await;
    let (looked, findings) = found(|report| store.fsck(report));
    assert_eq!((looked.expect("checked"), findings), (Looked { files: 3, bytes: 0 }, vec![]), "nothing is wrong");

    fs::remove_file(files.join("d/gone")).expect("removed");
    fs::write(files.join("d/changed"), b"1234567").expect("written");
    fs::write(files.join("by hand"), b"12").expect("written");
    fs::create_dir(data.path().join("homes/nobody")).expect("made");
    let (looked, mut findings) = found(|report| store.fsck(report));
    assert_eq!(looked.expect("checked"), Looked { files: 3, bytes: 9 });
    findings.sort_by_key(|finding| format!("{finding:?}"));
    assert_eq!(
        findings,
        [
            Finding::Adopted(about("alice", "/by hand", 2)),
            Finding::Changed(about("alice", "/d/changed", 7)),
            Finding::Missing(about("alice", "/d/gone", 5)),
            Finding::Stray("nobody".to_owned()),
        ]
    );
    let usage = home.usage().await.expect("known");
    assert_eq!((usage.bytes, usage.files), (10, 3));
    let (_, findings) = found(|report| store.fsck(report));
    assert_eq!(findings, [Finding::Stray("nobody".to_owned())], "the rest is in order now");
    assert_eq!(fs::read(files.join("d/changed")).expect("there"), b"1234567", "no byte is touched");
}

#[tokio::test]
async fn fsck_mends_sums_that_are_wrong_and_wants_the_store_alone() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let store = DiskStore::open(data.path()).expect("a store");
    let home = register(&store, "alice").await;
    put(&home, "/f", b"12345").await;
    let refused = DiskStore::open(data.path()).expect_err("the server has it");
    assert!(matches!(refused, AccountsError::InUse(_)));
    drop((home, store));
    let database = rusqlite::Connection::open(data.path().join("netdisk.db")).expect("a database");
    database.execute("UPDATE accounts SET bytes_used = 77, files_used = -3", []).expect("broken");
    drop(database);
    let store = DiskStore::open(data.path()).expect("a store");
    let (_, findings) = found(|report| store.fsck(report));
    let usage = |bytes, files| Usage { bytes, files, limits: Limits::default() };
    assert_eq!(findings, [Finding::Recounted(name("alice"), usage(77, 0), usage(5, 1))]);
}

#[tokio::test]
async fn scrub_finds_each_file_that_rotted_and_no_other_beside_a_running_server() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let store = DiskStore::open(data.path()).expect("a store");
    let (alice, bob) = (register(&store, "alice").await, register(&store, "bob").await);
    for number in 0..100_u32 {
        let home = if number.is_multiple_of(2) { &alice } else { &bob };
        put(home, &format!("/{number}"), format!("content of {number}").as_bytes()).await;
    }
    let at = |number: u32| {
        let user = if number.is_multiple_of(2) { "alice" } else { "bob" };
        data.path().join(format!("homes/{user}/files/{number}"))
    };
    for number in (0..100).step_by(3) {
        rot(&at(number));
    }
    fs::write(at(1), "by hand").expect("written");
    fs::write(data.path().join("homes/bob/files/new"), "by hand").expect("written");
    let keeper = beside(data.path());
    let (looked, findings) = found(|report| keeper.scrub(report));
    assert_eq!(looked.expect("scrubbed").files, 101);
    let count = |wanted: fn(&Finding) -> bool| findings.iter().filter(|finding| wanted(finding)).count();
    assert_eq!(count(|finding| matches!(finding, Finding::Rotten(_))), 34);
    assert_eq!(count(|finding| matches!(finding, Finding::Changed(_))), 1);
    assert_eq!(count(|finding| matches!(finding, Finding::Adopted(_))), 1);
    assert_eq!(findings.len(), 36);
    assert!(matches!(get(&alice, "/0").await, Err(StorageError::Corrupt)));
    assert_eq!(get(&alice, "/2").await.expect("whole"), b"content of 2");
    rot(&data.path().join("homes/bob/files/new"));
    assert!(matches!(get(&bob, "/new").await, Err(StorageError::Corrupt)), "what was adopted is watched");
}

/// The directory of a backup, and the one that a store is made in.
fn places() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (backup, restored) = (folder.path().join("backup"), folder.path().join("restored"));
    (folder, backup, restored)
}

#[tokio::test]
async fn a_backup_of_a_running_store_comes_back_whole() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let store = DiskStore::open(data.path()).expect("a store");
    let (alice, bob) = (register(&store, "alice").await, register(&store, "bob").await);
    let limits = Limits { bytes: Some(1000), files: None };
    store.set_limits(&name("alice"), limits).await.expect("set");
    alice.make_directories(&path("/a/empty")).await.expect("made");
    put(&alice, "/a/f", b"12345").await;
    put(&bob, "/夏天 [1]", b"bob's").await;
    fs::write(data.path().join("homes/bob/files/not\\nameable"), b"by hand").expect("written");

    let (_folder, backup, restored) = places();
    let keeper = beside(data.path());
    let (looked, findings) = found(|report| keeper.backup(&backup, report));
    assert_eq!((looked.expect("backed up").files, findings), (3, vec![]));
    assert_eq!(fs::metadata(&backup).expect("there").mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(backup.join("netdisk.db")).expect("there").mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(data.path().join("homes/alice/staging")).expect("there").count(), 0);
    let (again, _) = found(|report| keeper.backup(&backup, report));
    assert!(matches!(again, Err(AccountsError::Occupied(_))), "never over anything");
    // The store goes on, and the backup stays what it was.
    put(&alice, "/a/f", b"after the backup").await;
    assert_eq!(get(&alice, "/a/f").await.expect("there"), b"after the backup");

    let (looked, findings) = found(|report| DiskStore::restore(&backup, &restored, report));
    assert_eq!((looked.expect("restored").files, findings), (3, vec![]));
    let store = DiskStore::open(&restored).expect("a store");
    let (looked, findings) = found(|report| store.fsck(report));
    assert_eq!((looked.expect("checked").bytes, findings), (0, vec![]), "all is known, and counted right");
    let alice = store.log_in(&name("alice"), password()).await.expect("known").home;
    assert_eq!(get(&alice, "/a/f").await.expect("there"), b"12345");
    assert_eq!(alice.stat(&path("/a/f")).await.expect("there").modified, 5);
    alice.stat(&path("/a/empty")).await.expect("there");
    assert_eq!(alice.usage().await.expect("known"), Usage { bytes: 5, files: 1, limits });
    let bob = store.log_in(&name("bob"), password()).await.expect("known").home;
    assert_eq!(get(&bob, "/夏天 [1]").await.expect("there"), b"bob's");
    assert_eq!(fs::read(restored.join("homes/bob/files/not\\nameable")).expect("there"), b"by hand");
}

#[tokio::test]
async fn damage_is_named_by_backup_and_restore_and_not_handed_out() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let store = DiskStore::open(data.path()).expect("a store");
    let alice = register(&store, "alice").await;
    put(&alice, "/before", b"12345").await;
    put(&alice, "/after", b"12345").await;
    put(&alice, "/lost", b"12345").await;
    rot(&data.path().join("homes/alice/files/before"));
    let (_folder, backup, restored) = places();
    let (looked, findings) = found(|report| store.backup(&backup, report));
    assert_eq!(looked.expect("backed up").files, 3);
    assert_eq!(findings, [Finding::Rotten(about("alice", "/before", 5))]);
    // Also where the backup was copied by other tools: it knows files by path.
    fs::write(backup.join("homes/alice/files/after"), b"12346").expect("written");
    fs::remove_file(backup.join("homes/alice/files/lost")).expect("removed");
    let (looked, mut findings) = found(|report| DiskStore::restore(&backup, &restored, report));
    assert_eq!(looked.expect("restored").files, 2);
    findings.sort_by_key(|finding| format!("{finding:?}"));
    assert_eq!(findings[..2], ["/after", "/before"].map(|at| Finding::Rotten(about("alice", at, 5))));
    assert!(matches!(&findings[2..], [Finding::Unreadable(_, text)] if text.contains("1 files")), "{findings:?}");
    let store = DiskStore::open(&restored).expect("a store");
    let alice = store.log_in(&name("alice"), password()).await.expect("known").home;
    assert!(matches!(get(&alice, "/before").await, Err(StorageError::Corrupt)));
    assert!(matches!(get(&alice, "/after").await, Err(StorageError::Corrupt)));
}

/// Renames make trees deeper than a path may be long: one such does not keep the others from their backup.
#[tokio::test]
async fn a_tree_too_deep_for_one_call_is_named_and_the_rest_is_backed_up() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let store = DiskStore::open(data.path()).expect("a store");
    let alice = register(&store, "alice").await;
    put(&alice, "/f", b"12345").await;
    let deep = |first: char| format!("/{first}{}", format!("/{}", "x".repeat(250)).repeat(15));
    alice.make_directories(&path(&deep('a'))).await.expect("made");
    alice.make_directories(&path(&deep('b'))).await.expect("made");
    put(&alice, &format!("{}/g", deep('b')), b"123").await;
    let below = format!("{}/b", deep('a'));
    alice.rename(&path("/b"), &path(&below), Existing::Refuse).await.expect("moved");
    let (looked, findings) = found(|report| store.scrub(report));
    assert_eq!((looked.expect("scrubbed").files, findings), (2, vec![]));
    let (_folder, backup, _) = places();
    let (looked, findings) = found(|report| store.backup(&backup, report));
    assert_eq!(looked.expect("backed up").files, 1);
    assert!(!findings.is_empty() && findings.iter().all(|finding| matches!(finding, Finding::Unreadable(..))));
    assert_eq!(fs::read(backup.join("homes/alice/files/f")).expect("there"), b"12345");
    let (looked, findings) = found(|report| store.fsck(report));
    assert_eq!((looked.expect("checked").files, findings), (2, vec![]));
}

/// What is removed while a backup holds links to it is given back when the links go.
#[tokio::test]
async fn links_of_a_backup_count_nothing_once_they_are_gone() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let store = DiskStore::open(data.path()).expect("a store");
    let alice = register(&store, "alice").await;
    put(&alice, "/f", b"12345").await;
    let links = data.path().join("homes/alice/staging/backup-before-1");
    fs::create_dir(&links).expect("made");
    fs::hard_link(data.path().join("homes/alice/files/f"), links.join("f")).expect("linked");
    alice.remove(&path("/f"), Removal::Single).await.expect("removed");
    assert_eq!(alice.usage().await.expect("known").bytes, 5, "the bytes are there still");
    let reading = File::open(&links).expect("there");
    rustix::fs::flock(&reading, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    store.maintain().await;
    assert!(links.exists(), "a backup reads in there");
    drop(reading);
    store.maintain().await;
    assert!(links.exists(), "it is young: a backup may be about to lock it");
    File::open(&links).expect("there").set_modified(std::time::UNIX_EPOCH).expect("set");
    store.maintain().await;
    assert!(!links.exists());
    // What was removed may be on its way out still: whoever takes the last name away gives the bytes back.
    while alice.usage().await.expect("known").bytes > 0 {
        tokio::task::yield_now().await;
    }
}
