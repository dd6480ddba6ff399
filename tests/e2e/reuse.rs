//! Content that the server has travels no more: bytes are counted on the way, and what is not the user's own, not whole or not
//! the same is sent.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use netdisk_client::{
    Client, Observer, OnExisting, Outcome, Progress, PutRoot, PutSource, Reuse, Transfers, Unobserved, dial, put,
};
use netdisk_model::{Digest, Limits, Password};
use netdisk_protocol::FaultCode;
use netdisk_storage::{Accounts as _, DiskStore, Options, Sharing};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::fixture::{PASSWORD, Scene as Processes, TestServer, content, path};
use crate::relay::Relay;

const SIZE: usize = 5_000_000;
/// More than all messages of a transfer of one file, and far less than the file.
const MESSAGES: u64 = 50_000;

struct Scene {
    server: TestServer,
    relay: Relay,
    folder: TempDir,
}

impl Scene {
    /// With a file of alice's on the server, sent by another connection.
    async fn new() -> Self {
        let server = TestServer::tls().await;
        let relay = Relay::to(server.address).await;
        let mut first = relay.client(&server).await;
        let scene = Self { server, relay, folder: tempfile::tempdir().expect("a temporary directory") };
        scene.write("f", &content(SIZE));
        scene.put_by(&mut first, "f", "/first", &Unobserved).await.expect("stored");
        first.close().await.expect("closed");
        scene.relay.take_passed();
        scene
    }

    fn local(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.local(name), content).expect("written");
    }

    fn stored(&self, name: &str) -> PathBuf {
        self.server.files("alice").join(name)
    }

    async fn put_by(
        &self,
        client: &mut Client,
        local: &str,
        remote: &str,
        observer: &dyn Observer,
    ) -> Result<Outcome, netdisk_client::ClientError> {
        let source = PutSource::File(self.local(local));
        let cancel = CancellationToken::new();
        put(client, source, &path(remote), OnExisting::Replace, observer, &cancel).await
    }

    /// Alice on a new connection through the relay.
    async fn client(&self) -> Client {
        self.relay.client_again(&self.server).await
    }

    /// Puts by a connection of its own; gives what came of it, and how many bytes passed.
    async fn put(&self, local: &str, remote: &str) -> (Outcome, u64) {
        self.put_observed(local, remote, &Unobserved).await
    }

    async fn put_observed(&self, local: &str, remote: &str, observer: &dyn Observer) -> (Outcome, u64) {
        let mut client = self.client().await;
        let outcome = self.put_by(&mut client, local, remote, observer).await.expect("stored");
        (outcome, self.relay.take_passed().iter().sum())
    }
}

/// Keeps the last that it was told.
#[derive(Default)]
struct Last(Mutex<Option<Progress>>);

impl Observer for Last {
    fn progress(&self, progress: Progress) {
        *self.0.lock().expect("not poisoned") = Some(progress);
    }
}

fn set_time(path: &Path, time: SystemTime) {
    let file = File::options().write(true).open(path).expect("there");
    file.set_times(FileTimes::new().set_modified(time)).expect("set");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_has_travels_no_more() {
    let scene = Scene::new().await;
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_600_000_000_123);
    set_time(&scene.local("f"), time);
    let last = Last::default();
    let (outcome, passed) = scene.put_observed("f", "/second", &last).await;
    assert_eq!(outcome, Outcome { size: SIZE as u64, digest: Digest::of(&content(SIZE)), reused: true });
    assert!(passed < MESSAGES, "{passed}");
    assert!(fs::read(scene.stored("second")).expect("stored") == content(SIZE));
    assert_eq!(fs::metadata(scene.stored("second")).expect("there").modified().expect("a time"), time);
    let whole = Progress { position: SIZE as u64, size: Some(SIZE as u64) };
    assert_eq!(*last.0.lock().expect("not poisoned"), Some(whole), "it is seen to come to its end");
    // Over itself, too; and of an upload that was given up nothing is left.
    let (outcome, passed) = scene.put("f", "/second").await;
    assert!(outcome.reused && passed < MESSAGES, "{passed}");
    let staging = scene.server.data.path().join("homes/alice/staging");
    while fs::read_dir(&staging).expect("there").count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_content_of_the_same_size_is_sent() {
    let scene = Scene::new().await;
    let mut other = content(SIZE);
    other[SIZE / 2] ^= 1;
    scene.write("other", &other);
    let (outcome, passed) = scene.put("other", "/second").await;
    assert_eq!((outcome.reused, outcome.digest), (false, Digest::of(&other)));
    assert!(passed > SIZE as u64);
    assert!(fs::read(scene.stored("second")).expect("stored") == other);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_travel_travels() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    client.set_reuse(Reuse::Never);
    let outcome = scene.put_by(&mut client, "f", "/second", &Unobserved).await.expect("stored");
    assert!(!outcome.reused);
    assert!(scene.relay.take_passed().iter().sum::<u64>() > SIZE as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_user_has_is_sent_in_full() {
    let scene = Scene::new().await;
    let relay = Relay::to(scene.server.address).await;
    scene.server.register("bob").await.close().await.expect("closed");
    let endpoint = relay.address.to_string().parse().expect("an endpoint");
    let door = dial(&endpoint, &scene.server.trust).await.expect("a door");
    let bob = "bob".parse().expect("a name");
    let mut client = door.log_in(&bob, Password::new(PASSWORD), false).await.expect("logged in");
    let outcome = scene.put_by(&mut client, "f", "/f", &Unobserved).await.expect("stored");
    assert!(!outcome.reused);
    assert!(relay.take_passed().iter().sum::<u64>() > SIZE as u64);
    // Now it is his own.
    let outcome = scene.put_by(&mut client, "f", "/g", &Unobserved).await.expect("stored");
    assert!(outcome.reused);
}

/// A bit flips and the times stay; or somebody writes into it, and its time as well stays as it was.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_was_changed_by_hand_is_sent() {
    let scene = Scene::new().await;
    let first = scene.stored("first");
    let time = fs::metadata(&first).expect("there").modified().expect("a time");
    let file = File::options().write(true).open(&first).expect("there");
    file.write_all_at(b"rotten", 4_000_000).expect("written");
    set_time(&first, time);
    let (outcome, passed) = scene.put("f", "/second").await;
    assert!(!outcome.reused && passed > SIZE as u64);
    assert!(fs::read(scene.stored("second")).expect("stored") == content(SIZE));
    // The one that was sent is good, and found behind the other.
    let (outcome, _) = scene.put("f", "/third").await;
    assert!(outcome.reused);
    for name in ["second", "third"] {
        let other = content(SIZE + 7)[7..].to_vec();
        fs::write(scene.stored(name), other).expect("written");
    }
    let (outcome, _) = scene.put("f", "/fourth").await;
    assert!(!outcome.reused, "it is not what it was");
    assert!(fs::read(scene.stored("fourth")).expect("stored") == content(SIZE));
}

/// Wherever the line is cut, the next try asks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_anywhere_costs_another_try_and_no_byte_of_the_file() {
    let scene = Scene::new().await;
    let mut cut_short = 0;
    let endpoint = scene.relay.address.to_string().parse().expect("an endpoint");
    let alice = "alice".parse().expect("a name");
    for (number, after) in (2_000..6_000).step_by(150).enumerate() {
        scene.relay.cut_next(&[after]);
        let Ok(door) = dial(&endpoint, &scene.server.trust).await else { continue };
        let Ok(mut client) = door.log_in(&alice, Password::new(PASSWORD), true).await else { continue };
        scene.relay.take_passed();
        let at = format!("/cut-{number}");
        let outcome = scene.put_by(&mut client, "f", &at, &Unobserved).await.expect("stored at last");
        assert!(outcome.reused, "cut after {after}");
        let passed = scene.relay.take_passed();
        assert!(passed.iter().sum::<u64>() < MESSAGES, "{passed:?}");
        cut_short += usize::from(!passed.is_empty());
        assert!(fs::read(scene.stored(&at[1..])).expect("stored") == content(SIZE));
    }
    assert!(cut_short > 2, "{cut_short} were cut on the way");
}

/// What is kept of an upload is of more use than a question.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_cut_goes_on_where_files_of_its_size_are() {
    let scene = Scene::new().await;
    let mut other = content(SIZE);
    other[0] ^= 1;
    scene.write("other", &other);
    scene.relay.cut_next(&[3_000_000]);
    let mut client = scene.client().await;
    let outcome = scene.put_by(&mut client, "other", "/second", &Unobserved).await.expect("stored");
    assert_eq!((outcome.reused, outcome.digest), (false, Digest::of(&other)));
    let passed: u64 = scene.relay.take_passed().iter().sum();
    assert!(passed < SIZE as u64 + 1_500_000, "{passed}: what was there did not travel twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_for_what_does_not_travel() {
    let scene = Scene::new().await;
    let mut client = scene.client().await;
    let alice = "alice".parse().expect("a name");
    let keeper =
        DiskStore::open_with(scene.server.data.path(), Options { sharing: Sharing::Beside, ..Options::default() });
    let limits = Limits { bytes: Some(SIZE as u64 * 2 - 1), files: None };
    keeper.expect("beside the server").set_limits(&alice, limits).await.expect("set");
    let refused = loop {
        // A quota takes a second to be seen; until then there is room, and it is removed again.
        match scene.put_by(&mut client, "f", "/second", &Unobserved).await {
            Err(error) => break error,
            Ok(_) => client.remove(&path("/second"), false).await.expect("removed"),
        }
    };
    assert_eq!(refused.fault_code(), Some(FaultCode::QuotaExceeded));
    assert!(!scene.stored("second").exists());
    // In its own place it needs nothing more.
    assert!(scene.put_by(&mut client, "f", "/first", &Unobserved).await.expect("stored").reused);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_tree_only_what_is_new_travels() {
    let scene = Scene::new().await;
    let tree = scene.local("tree");
    fs::create_dir_all(tree.join("deep/er")).expect("made");
    let write = |name: &str, seed: usize, len: usize| {
        fs::write(tree.join(name), &content(seed + len)[seed..]).expect("written");
    };
    // Some of one size.
    for number in 0..24 {
        write(&format!("deep/{number}"), number, 1_100_000 + number / 3);
        write(&format!("deep/er/small-{number}"), number, 1_000);
    }
    let root = |remote: &str| vec![PutRoot { local: tree.clone(), remote: path(remote) }];
    let mut client = scene.client().await;
    let summary = Transfers::new(&mut client).put(root("/one")).await.expect("no end of the connection");
    assert_eq!((summary.files, summary.reused), (48, 0));
    scene.relay.take_passed();
    let mut client = scene.client().await;
    write("deep/new", 99, 1_100_000);
    let summary = Transfers::new(&mut client).put(root("/two")).await.expect("no end of the connection");
    assert_eq!((summary.files, summary.reused, summary.failed), (49, 24, 0));
    let passed: u64 = scene.relay.take_passed().iter().sum();
    assert!((1_100_000..1_300_000).contains(&passed), "{passed}");
    for name in ["deep/0", "deep/23", "deep/new", "deep/er/small-7"] {
        let here = fs::read(tree.join(name)).expect("there");
        assert!(fs::read(scene.stored("two").join(name)).expect("stored") == here, "{name}");
    }
    let mut client = scene.client().await;
    client.set_reuse(Reuse::Never);
    scene.relay.take_passed();
    let summary = Transfers::new(&mut client).put(root("/three")).await.expect("no end of the connection");
    assert_eq!((summary.files, summary.reused), (49, 0));
}

#[test]
fn the_program_says_what_was_not_sent() {
    let scene = Processes::new();
    let program = &scene.program;
    fs::create_dir(program.path("d")).expect("made");
    program.write("d/f", &content(SIZE));
    program.write("d/small", b"small");
    assert!(!program.ok(&["put", "d/f"]).contains("not sent"));
    let line = program.ok(&["put", "d/f", "/g"]);
    assert!(line.starts_with("stored /g  4.77 MiB  not sent: the server had it  blake3:"), "{line}");
    let event: Value =
        serde_json::from_str(program.ok(&["--json", "put", "d/f", "/h"]).lines().last().expect("a line"))
            .expect("an object");
    assert_eq!((&event["event"], &event["reused"]), (&"done".into(), &true.into()));
    assert!(program.ok(&["put", "-r", "d"]).contains("stored 2 files, 4.77 MiB in "));
    assert!(program.ok(&["put", "-r", "d", "/e"]).trim_end().ends_with(", 1 not sent"));
    let events = program.ok(&["--json", "put", "-r", "d", "/i"]);
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let is = |kind: &str, name: &str| {
        let found: Vec<_> = events.iter().filter(|event| event["event"] == kind && event["name"] == name).collect();
        assert_eq!(found.len(), 1, "{kind} {name}: {events:?}");
        found[0].clone()
    };
    is("start", "/i/f");
    assert_eq!(is("done", "/i/f")["reused"], true);
    assert_eq!(is("done", "/i/small").get("reused"), None);
    assert_eq!(events.last().expect("a summary")["reused"], 1);
    let sent = program.ok(&["put", "--no-reuse", "d/f", "/j"]);
    assert!(!sent.contains("not sent"), "{sent}");
    let sent = program.ok(&["put", "--no-reuse", "-r", "d", "/k"]);
    assert!(!sent.contains("not sent"), "{sent}");
}
