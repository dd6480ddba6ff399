//! What nobody sees from outside at the right moment: who writes while somebody waits, and what the disk refuses.

use std::sync::mpsc;
use std::time::Duration;

use netdisk_model::{Password, UserName};

use super::*;
use crate::accounts::Accounts as _;
use crate::disk::DiskStore;
use crate::home::Existing;

/// A store with an upload of two parts in it.
struct Fixture {
    parts: DiskParts,
    upload: Arc<Upload>,
    _store: DiskStore,
    data: tempfile::TempDir,
}

const SIZE: u64 = PART_LEN + 5;

impl Fixture {
    async fn new() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let store = DiskStore::open(data.path()).expect("a store");
        let user: UserName = "alice".parse().expect("a name");
        drop(store.register(&user, Password::new("correct horse")).await.expect("an account"));
        let home = Arc::new(store.open_home(&user).await.expect("a home"));
        let (path, resume) = ("/f".parse().expect("a path"), Some("key".parse().expect("a key")));
        let spec = UploadSpec { path, size: Some(SIZE), modified: None, existing: Existing::Replace, resume };
        let parts = DiskParts::begin(home, spec).await.expect("begun");
        Self { upload: parts.upload.clone(), parts, _store: store, data }
    }
}

fn content(number: u64) -> Vec<u8> {
    vec![
        b'a' + u8::try_from(number).expect("few");
        usize::try_from(PART_LEN.min(SIZE - number * PART_LEN)).expect("short")
    ]
}

fn digest(number: u64) -> Digest {
    let mut hasher = PartHasher::new(number);
    hasher.update(&content(number));
    hasher.digest().expect("it has bytes")
}

fn bring(upload: &Upload, number: u64) -> Result<(), StorageError> {
    let (claim, offset, _) = upload.claim(number)?;
    upload.write(&claim, &content(number), offset)?;
    upload.took(&claim, digest(number))
}

fn wait_for_turn(upload: &Upload, turn: u64) {
    while upload.state().last_turn < turn {
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_over_waits_for_a_write_however_many_wait_before_them() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload.clone();
    let (old, ..) = upload.claim(0).expect("a claim");
    let writing = old.turn.hold();
    let next = std::thread::spawn({
        let upload = upload.clone();
        move || upload.claim(0)
    });
    wait_for_turn(&upload, 2);
    let (brought, last) = mpsc::channel();
    let bringing = std::thread::spawn({
        let upload = upload.clone();
        move || brought.send(bring(&upload, 0)).expect("waited for")
    });
    wait_for_turn(&upload, 3);
    assert!(last.recv_timeout(Duration::from_millis(100)).is_err(), "it is there while somebody writes into it");
    upload.file.write_all_at(b"what comes late", 0).expect("written");
    drop(writing);
    // The one between them had its turn before, after, or never.
    last.recv().expect("an outcome").expect("taken");
    bringing.join().expect("no panic");
    let next = next.join().expect("no panic").expect("a claim").0;
    for late in [&old, &next] {
        assert!(matches!(upload.write(late, b"x", 0), Err(StorageError::UnderWay)));
        assert!(matches!(upload.took(late, Digest::of(b"x")), Err(StorageError::UnderWay)));
    }
    bring(&upload, 1).expect("taken");
    let whole = [content(0), content(1)].concat();
    Box::new(fixture.parts).commit(Digest::of(&whole)).await.expect("stored");
    assert!(std::fs::read(fixture.data.path().join("homes/alice/files/f")).expect("there") == whole);
}

/// Whoever waited for their turn while another brought the part does not write into it.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_there_is_written_by_nobody() {
    let fixture = Fixture::new().await;
    let upload = &fixture.upload;
    let (first, offset, _) = upload.claim(0).expect("a claim");
    upload.write(&first, &content(0), offset).expect("written");
    let late = Claim { mine: first.mine + 1, ..first.clone() };
    upload.took(&first, digest(0)).expect("taken");
    *late.turn.hold() = late.mine;
    assert!(matches!(upload.write(&late, b"x", 0), Err(StorageError::UnderWay)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_failed_fails_the_upload_though_all_parts_are_there() {
    let fixture = Fixture::new().await;
    for number in [0, 1] {
        bring(&fixture.upload, number).expect("taken");
    }
    fixture.upload.state().failure = Some(StorageError::Full { missing: None });
    let committed = Box::new(fixture.parts).commit(Digest::of(&[content(0), content(1)].concat())).await;
    assert!(matches!(committed, Err(StorageError::Full { .. })), "{committed:?}");
}

/// Else an upload of which little is on the disk had nothing promised, and others took what it needs.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_brought_again_counts_once() {
    let fixture = Fixture::new().await;
    let upload = &fixture.upload;
    let unwritten = || upload.state().staged.as_ref().expect("open").reservation.unwritten();
    assert_eq!(unwritten(), SIZE);
    for _ in 0..3 {
        let (claim, offset, _) = upload.claim(0).expect("a claim");
        upload.write(&claim, &content(0), offset).expect("written");
    }
    assert_eq!(unwritten(), SIZE);
    bring(upload, 0).expect("taken");
    assert_eq!(unwritten(), SIZE - PART_LEN);
    bring(upload, 1).expect("taken");
    assert_eq!(unwritten(), 0);
}
