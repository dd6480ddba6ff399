//! Transfers that are cut go on where they were, and never splice two contents.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use netdisk_client::{
    Client, GetTarget, Observer, OnExisting, Outcome, Progress, PutSource, Unobserved, dial, get, put,
};
use netdisk_model::{Digest, Password};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::fixture::{PASSWORD, TestServer, content, path};
use crate::relay::Relay;

const SIZE: usize = 20_000_000;
/// Room for what is neither file nor under way: handshakes, messages, records.
const OVERHEAD: u64 = 500_000;

/// Notes what an observer sees, and may do something at the first loss.
#[derive(Default)]
struct Notes {
    waits: AtomicUsize,
    verified: AtomicU64,
    at_loss: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Observer for Notes {
    fn progress(&self, _progress: Progress) {}

    fn verifying(&self, progress: Progress) {
        self.verified.fetch_max(progress.position, Ordering::SeqCst);
    }

    fn waiting(&self, _reason: &str, _delay: Duration) {
        if self.waits.fetch_add(1, Ordering::SeqCst) == 0
            && let Some(act) = &self.at_loss
        {
            act();
        }
    }
}

struct Scene {
    server: TestServer,
    relay: Relay,
    client: Client,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let server = TestServer::tls().await;
        let relay = Relay::to(server.address).await;
        let client = relay.client(&server).await;
        Self { server, relay, client, folder: tempfile::tempdir().expect("a temporary directory") }
    }

    fn local(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes the connection at hand die and the next ones after so many bytes.
    async fn cut(&mut self, cuts: &[u64]) {
        // The one at hand was made before: a new one takes its place.
        self.relay.cut_next(cuts);
        self.client = {
            let door = dial(&self.relay.address.to_string().parse().expect("an endpoint"), &self.server.trust).await;
            let alice = "alice".parse().expect("a name");
            door.expect("a door").log_in(&alice, Password::new(PASSWORD), true).await.expect("logged in")
        };
        self.relay.take_passed();
    }

    async fn put(&mut self, local: &str, observer: &dyn Observer) -> Outcome {
        let source = PutSource::File(self.local(local));
        let cancel = CancellationToken::new();
        put(&mut self.client, source, &path("/f"), OnExisting::Replace, observer, &cancel).await.expect("stored")
    }

    async fn get(&mut self, observer: &dyn Observer) -> Outcome {
        let target = GetTarget::File(self.local("back"));
        let cancel = CancellationToken::new();
        get(&mut self.client, &path("/f"), target, OnExisting::Refuse, observer, &cancel).await.expect("fetched")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_twice_goes_on_and_nothing_travels_twice() {
    let mut scene = Scene::new().await;
    std::fs::write(scene.local("f"), content(SIZE)).expect("written");
    scene.cut(&[8_000_000, 6_000_000]).await;
    let notes = Notes::default();
    let outcome = scene.put("f", &notes).await;
    assert_eq!(outcome.digest, Digest::of(&content(SIZE)));
    assert!(std::fs::read(scene.server.files("alice").join("f")).expect("there") == content(SIZE));
    assert!(notes.waits.load(Ordering::SeqCst) >= 2, "both losses were said");
    assert!(notes.verified.load(Ordering::SeqCst) > 5_000_000, "what was there was verified");
    // The first connection was counted away when it was made; the others carried the rest, and not all of it again.
    let passed: u64 = scene.relay.take_passed().iter().sum();
    assert!(passed < SIZE as u64 - 6_000_000 + OVERHEAD, "{passed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_twice_goes_on_and_nothing_travels_twice() {
    let mut scene = Scene::new().await;
    std::fs::write(scene.server.files("alice").join("f"), content(SIZE)).expect("written");
    scene.cut(&[8_000_000, 6_000_000]).await;
    let notes = Notes::default();
    scene.get(&notes).await;
    assert!(std::fs::read(scene.local("back")).expect("there") == content(SIZE));
    assert!(notes.waits.load(Ordering::SeqCst) >= 2, "both losses were said");
    let passed: u64 = scene.relay.take_passed().iter().sum();
    assert!(passed < SIZE as u64 - 6_000_000 + OVERHEAD, "{passed}");
    assert_eq!(std::fs::read_dir(scene.folder.path()).expect("there").count(), 1, "no part file is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_on_the_server_meanwhile_is_fetched_anew() {
    let mut scene = Scene::new().await;
    let stored = scene.server.files("alice").join("f");
    std::fs::write(&stored, content(SIZE)).expect("written");
    scene.cut(&[8_000_000]).await;
    // As long as before, and other bytes throughout.
    let other: Vec<u8> = content(SIZE).into_iter().map(|byte| !byte).collect();
    let replacement = other.clone();
    let notes = Notes {
        at_loss: Some(Box::new(move || std::fs::write(&stored, &replacement).expect("written"))),
        ..Notes::default()
    };
    scene.get(&notes).await;
    assert!(std::fs::read(scene.local("back")).expect("there") == other, "no splice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grew_before_its_first_byte_arrived_is_fetched_whole() {
    // Early enough that `ready` may have come and no byte of the body.
    for cut in [5_000, 10_000, 20_000, 40_000] {
        let mut scene = Scene::new().await;
        let stored = scene.server.files("alice").join("f");
        std::fs::write(&stored, content(1_000_000)).expect("written");
        scene.cut(&[cut]).await;
        let grow = move || std::fs::write(&stored, content(1_000_001)).expect("written");
        scene.get(&Notes { at_loss: Some(Box::new(grow)), ..Notes::default() }).await;
        assert!(std::fs::read(scene.local("back")).expect("there") == content(1_000_001), "{cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_file_that_changed_meanwhile_is_sent_anew() {
    let mut scene = Scene::new().await;
    let local = scene.local("f");
    std::fs::write(&local, content(SIZE)).expect("written");
    scene.cut(&[8_000_000]).await;
    let other: Vec<u8> = content(SIZE).into_iter().map(|byte| !byte).collect();
    let replacement = other.clone();
    let notes = Notes {
        at_loss: Some(Box::new(move || std::fs::write(&local, &replacement).expect("written"))),
        ..Notes::default()
    };
    scene.put("f", &notes).await;
    assert!(std::fs::read(scene.server.files("alice").join("f")).expect("there") == other, "no splice");
}

/// Cancels when a transfer has come half way.
struct CancelHalfWay(CancellationToken);

impl Observer for CancelHalfWay {
    fn progress(&self, progress: Progress) {
        if progress.position >= SIZE as u64 / 2 {
            self.0.cancel();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_repeated_goes_on_where_it_was_interrupted() {
    let mut scene = Scene::new().await;
    std::fs::write(scene.local("f"), content(SIZE)).expect("written");
    let cancel = CancellationToken::new();
    let source = PutSource::File(scene.local("f"));
    let watch = CancelHalfWay(cancel.clone());
    let interrupted = put(&mut scene.client, source, &path("/f"), OnExisting::Replace, &watch, &cancel).await;
    assert!(interrupted.is_err());
    assert!(!scene.server.files("alice").join("f").exists());
    // Another process, later: another connection.
    scene.cut(&[]).await;
    scene.relay.take_passed();
    let notes = Notes::default();
    scene.put("f", &notes).await;
    assert!(notes.verified.load(Ordering::SeqCst) > SIZE as u64 / 3, "most of the first half was there");
    assert!(std::fs::read(scene.server.files("alice").join("f")).expect("there") == content(SIZE));
}

/// Fetches half of `/f` into `back`, and is interrupted.
async fn interrupted_get(scene: &mut Scene) {
    std::fs::write(scene.server.files("alice").join("f"), content(SIZE)).expect("written");
    let cancel = CancellationToken::new();
    let watch = CancelHalfWay(cancel.clone());
    let target = GetTarget::File(scene.local("back"));
    let interrupted = get(&mut scene.client, &path("/f"), target, OnExisting::Refuse, &watch, &cancel).await;
    assert!(interrupted.is_err());
    assert!(!scene.local("back").exists());
    assert!(std::fs::metadata(scene.local("back.part")).expect("kept").len() > SIZE as u64 / 3);
    // Another process, later: another connection.
    scene.cut(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_repeated_goes_on_where_it_was_interrupted() {
    let mut scene = Scene::new().await;
    interrupted_get(&mut scene).await;
    let kept = std::fs::metadata(scene.local("back.part")).expect("kept").len();
    // The part of another file is left alone.
    std::fs::write(scene.server.files("alice").join("g"), b"another").expect("written");
    let target = GetTarget::File(scene.local("back"));
    let cancel = CancellationToken::new();
    get(&mut scene.client, &path("/g"), target, OnExisting::Replace, &Unobserved, &cancel).await.expect("fetched");
    assert_eq!(std::fs::read(scene.local("back")).expect("there"), b"another");
    std::fs::remove_file(scene.local("back")).expect("removed");
    scene.relay.take_passed();

    let notes = Notes::default();
    scene.get(&notes).await;
    assert_eq!(notes.verified.load(Ordering::SeqCst), kept, "what was there was verified");
    assert!(std::fs::read(scene.local("back")).expect("there") == content(SIZE));
    assert_eq!(std::fs::read_dir(scene.folder.path()).expect("there").count(), 1, "no part file is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_another_version_is_fetched_anew() {
    let mut scene = Scene::new().await;
    interrupted_get(&mut scene).await;
    let other: Vec<u8> = content(SIZE - 1).into_iter().map(|byte| !byte).collect();
    std::fs::write(scene.server.files("alice").join("f"), &other).expect("written");
    let notes = Notes::default();
    scene.get(&notes).await;
    assert_eq!(notes.verified.load(Ordering::SeqCst), 0, "nothing is read for nothing");
    assert!(std::fs::read(scene.local("back")).expect("there") == other, "no splice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_part_costs_a_second_download_and_never_a_wrong_file() {
    let mut scene = Scene::new().await;
    interrupted_get(&mut scene).await;
    let part = std::fs::File::options().write(true).open(scene.local("back.part")).expect("kept");
    std::os::unix::fs::FileExt::write_all_at(&part, b"spoilt", 1000).expect("written");
    drop(part);
    scene.get(&Notes::default()).await;
    assert!(std::fs::read(scene.local("back")).expect("there") == content(SIZE));
    assert_eq!(std::fs::read_dir(scene.folder.path()).expect("there").count(), 1, "no part file is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_prefix_costs_a_second_upload_and_never_a_wrong_file() {
    let mut scene = Scene::new().await;
    std::fs::write(scene.local("f"), content(SIZE)).expect("written");
    scene.cut(&[8_000_000]).await;
    let staging = scene.server.data.path().join("homes/alice/staging");
    let spoil = move || {
        for staged in std::fs::read_dir(&staging).expect("there") {
            let staged = staged.expect("an entry").path();
            let mut bytes = std::fs::read(&staged).expect("there");
            if let Some(byte) = bytes.get_mut(1000) {
                *byte ^= 1;
            }
            std::fs::write(&staged, bytes).expect("written");
        }
    };
    let notes = Notes { at_loss: Some(Box::new(spoil)), ..Notes::default() };
    scene.put("f", &notes).await;
    assert!(std::fs::read(scene.server.files("alice").join("f")).expect("there") == content(SIZE));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_a_lost_connection_is_an_error() {
    let server = TestServer::tls().await;
    let relay = Relay::to(server.address).await;
    relay.cut_next(&[8_000_000]);
    let door = dial(&relay.address.to_string().parse().expect("an endpoint"), &server.trust).await.expect("a door");
    let mut client =
        door.register(&"alice".parse().expect("a name"), Password::new(PASSWORD), false).await.expect("an account");
    let source = PutSource::Stream(Box::new(std::io::Cursor::new(content(SIZE))));
    let cancel = CancellationToken::new();
    let lost = put(&mut client, source, &path("/f"), OnExisting::Replace, &Unobserved, &cancel).await;
    assert!(lost.is_err_and(|error| error.ends_connection()));
}
