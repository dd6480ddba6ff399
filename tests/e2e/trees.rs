//! Many files at once: trees up and down, cuts, failures of single files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netdisk_client::{
    Client, Destination, End, Existing, GetRoot, Item, LeftOut, PutRoot, Summary, Transfers, TransfersObserver, Trust,
    dial,
};
use netdisk_model::Password;
use netdisk_protocol::FaultCode;
use netdisk_protocol::limits::SMALL_LEN;

use crate::fixture::{PASSWORD, Scene, ServerProcess, TestServer, content, path};
use crate::relay::Relay;

/// What came of each file and directory, by its remote path.
#[derive(Default)]
struct Notes {
    ends: Mutex<Vec<(String, String)>>,
    waits: Mutex<usize>,
    /// Done at the first loss.
    at_loss: Option<Box<dyn Fn() + Send + Sync>>,
}

impl TransfersObserver for Notes {
    fn ended(&self, item: Item<'_>, end: &End) {
        let end = match end {
            End::Done(outcome) => format!("done {}", outcome.size),
            End::Made => "made".to_owned(),
            End::LeftOut(why) => format!("left out: {why}"),
            End::Failed(error) => format!("failed: {error}"),
        };
        self.ends.lock().expect("not poisoned").push((item.remote.to_string(), end));
    }

    fn waiting(&self, _reason: &str, _delay: Duration) {
        let mut waits = self.waits.lock().expect("not poisoned");
        *waits += 1;
        if let (1, Some(act)) = (*waits, &self.at_loss) {
            act();
        }
    }
}

impl Notes {
    fn ends(&self) -> Vec<(String, String)> {
        self.ends.lock().expect("not poisoned").clone()
    }

    /// Nothing came to two ends.
    fn assert_each_once(&self) {
        let ends = self.ends();
        let paths: std::collections::BTreeSet<_> = ends.iter().map(|(path, _)| path).collect();
        assert_eq!(paths.len(), ends.len(), "{ends:?}");
    }
}

/// Files with their content and time, directories without; links are left out.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, Option<(Vec<u8>, SystemTime)>> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let at = entry.expect("an entry").path();
            let metadata = at.symlink_metadata().expect("there");
            let below = at.strip_prefix(root).expect("below").to_owned();
            if metadata.is_dir() {
                found.insert(below, None);
                left.push(at);
            } else if metadata.is_file() {
                found.insert(below, Some((fs::read(&at).expect("read"), metadata.modified().expect("a time"))));
            }
        }
    }
    found
}

/// A tree with everything in it that a tree may have.
fn grow(root: &Path, wide: usize) {
    let write = |name: &str, content: &[u8]| {
        let at = root.join(name);
        fs::create_dir_all(at.parent().expect("a parent")).expect("made");
        fs::write(&at, content).expect("written");
        let millis = 1_600_000_000_000 + content.len() as u64 * 1_003;
        let time = UNIX_EPOCH + Duration::from_millis(millis);
        fs::File::options().append(true).open(&at).expect("there").set_modified(time).expect("set");
    };
    let small = usize::try_from(SMALL_LEN).expect("it fits");
    // Nothing, one byte, both sides of the border between small and large, and several pieces of a large one.
    for size in [0, 1, small - 1, small, small + 1, 5_000_001] {
        write(&format!("sizes/{size}"), &content(size));
    }
    for number in 0..wide {
        write(&format!("wide/{number:04}"), &content(number * 7));
    }
    write(&format!("{}leaf", "deep/".repeat(50)), b"deep down");
    for name in ["夏天 [1].jpg", "it's \"here\"", " leading", "-rf", "a.part", "a"] {
        write(&format!("names/{name}"), name.as_bytes());
    }
    fs::create_dir_all(root.join("empty/emptier")).expect("made");
}

async fn put(client: &mut Client, local: &Path, remote: &str, notes: &Arc<Notes>) -> Summary {
    let root = PutRoot { local: local.to_owned(), remote: path(remote) };
    Transfers::new(client).observer(notes.clone()).put(vec![root]).await.expect("no end of the connection")
}

async fn get(client: &mut Client, remote: &str, folder: &Path, existing: Existing, notes: &Arc<Notes>) -> Summary {
    let destination = Destination::open(folder).expect("a folder");
    let root = GetRoot { remote: path(remote), at: path("/back"), is_tree: true };
    let transfers = Transfers::new(client).existing(existing).observer(notes.clone());
    transfers.get(destination, vec![root]).await.expect("no end of the connection")
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_come_back_as_they_went() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let tree = folder.path().join("tree");
    grow(&tree, 700);
    let before = snapshot(&tree);
    symlink("/etc/passwd", tree.join("link")).expect("a link");
    symlink(&tree, tree.join("loop")).expect("a link");

    let notes = Arc::new(Notes::default());
    let up = put(&mut client, &tree, "/tree", &notes).await;
    notes.assert_each_once();
    let files = before.values().filter(|file| file.is_some()).count() as u64;
    let bytes = before.values().flatten().map(|(content, _)| content.len() as u64).sum();
    let directories = before.len() as u64 - files + 1;
    assert_eq!(up, Summary { files, bytes, directories, left_out: 2, failed: 0 });
    assert!(snapshot(&server.files("alice").join("tree")) == before, "byte for byte, and the times");

    let notes = Arc::new(Notes::default());
    let down = get(&mut client, "/tree", folder.path(), Existing::Refuse, &notes).await;
    notes.assert_each_once();
    assert_eq!(down, Summary { files, bytes, directories, left_out: 0, failed: 0 });
    assert!(snapshot(&folder.path().join("back")) == before, "byte for byte, and the times, and no part file");
    client.close().await.expect("the connection is in step");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_there_is_treated_as_it_was_asked() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let tree = folder.path().join("tree");
    grow(&tree, 3);
    put(&mut client, &tree, "/tree", &Arc::default()).await;
    let mut up = async |existing| {
        let root = PutRoot { local: tree.clone(), remote: path("/tree") };
        Transfers::new(&mut client).existing(existing).put(vec![root]).await.expect("an outcome")
    };
    let all = up(Existing::Replace).await.files;
    let skipped = up(Existing::Skip).await;
    assert_eq!((skipped.files, skipped.left_out), (0, all));
    fs::write(tree.join("wide/0001"), b"newer").expect("written");
    let newer = up(Existing::Newer).await;
    assert_eq!((newer.files, newer.left_out), (1, all - 1));
    let refused = up(Existing::Refuse).await;
    assert_eq!((refused.files, refused.failed), (0, all));
    let renamed = up(Existing::Rename).await;
    assert_eq!((renamed.files, renamed.left_out), (all, 0));
    let there = server.files("alice").join("tree");
    assert_eq!(fs::read(there.join("wide/0001")).expect("kept"), b"newer");
    assert_eq!(fs::read(there.join("wide/0001 (1)")).expect("beside it"), b"newer");
    assert!(there.join("sizes/5000001 (1)").exists(), "large ones, too");

    let mut down = async |existing| get(&mut client, "/tree", folder.path(), existing, &Arc::default()).await;
    let all = down(Existing::Refuse).await.files;
    assert_eq!(down(Existing::Skip).await.left_out, all);
    assert_eq!(down(Existing::Refuse).await.failed, all);
    fs::write(folder.path().join("back/wide/0001"), b"mine").expect("written");
    assert_eq!(down(Existing::Newer).await.left_out, all, "what is here is newer");
    assert_eq!(down(Existing::Rename).await.files, all);
    assert_eq!(fs::read(folder.path().join("back/wide/0001")).expect("kept"), b"mine");
    assert_eq!(fs::read(folder.path().join("back/wide/0001 (2)")).expect("beside both"), b"newer");
    assert_eq!(down(Existing::Replace).await.files, all);
    assert_eq!(fs::read(folder.path().join("back/wide/0001")).expect("there"), b"newer");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_cut_comes_to_its_end_once() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let tree = folder.path().join("tree");
    grow(&tree, 300);
    let before = snapshot(&tree);
    // Early and late: in handshakes, among small files, in the middle of large ones, and several times.
    for cuts in [&[6_000][..], &[100_000, 300_000], &[2_000_000, 900_000, 3_000_000, 7_000_000], &[9_000_000]] {
        let server = TestServer::tls().await;
        let relay = Relay::to(server.address).await;
        let mut client = relay.client(&server).await;
        relay.cut_next(cuts);
        // The connection at hand was made before; the next one is the first to be cut.
        relay.cut_all();
        let notes = Arc::new(Notes::default());
        // Of several connections, some that only help might be cut, and nobody waits for those.
        let transfers = Transfers::new(&mut client).connections(1).observer(notes.clone());
        let root = PutRoot { local: tree.clone(), remote: path("/tree") };
        let up = transfers.put(vec![root]).await.expect("it goes on");
        notes.assert_each_once();
        assert_eq!(up.failed, 0, "{:?}", notes.ends());
        assert!(*notes.waits.lock().expect("not poisoned") >= cuts.len(), "each was cut");
        assert!(snapshot(&server.files("alice").join("tree")) == before, "{cuts:?}");

        relay.cut_next(cuts);
        relay.cut_all();
        let notes = Arc::new(Notes::default());
        let back = tempfile::tempdir().expect("a temporary directory");
        let down = get(&mut client, "/tree", back.path(), Existing::Replace, &notes).await;
        notes.assert_each_once();
        assert_eq!(down.failed, 0, "{:?}", notes.ends());
        assert!(snapshot(&back.path().join("back")) == before, "{cuts:?}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_fails_is_named_and_the_others_go_on() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let tree = folder.path().join("tree");
    grow(&tree, 100);
    fs::write(tree.join("wide/back\\slash"), b"no name there").expect("written");
    fs::write(tree.join("wide/over"), b"a directory stands there").expect("written");
    let files = server.files("alice");
    fs::create_dir_all(files.join("tree/wide/over")).expect("made");
    let notes = Arc::new(Notes::default());
    let up = put(&mut client, &tree, "/tree", &notes).await;
    assert_eq!(up.failed, 2, "{:?}", notes.ends());
    let failed: Vec<_> = notes.ends().into_iter().filter(|(_, end)| end.starts_with("failed")).collect();
    assert!(failed.iter().any(|(at, _)| at == "/tree/wide/over"), "{failed:?}");
    assert!(failed.iter().any(|(_, end)| end.contains("back\\slash")), "{failed:?}");
    client.whoami().await.expect("the connection is in step");

    // Down: a directory stands in the way of one file, a link in the way of a directory.
    let back = folder.path().join("back");
    fs::create_dir_all(back.join("wide/0001")).expect("made");
    let outside = folder.path().join("outside");
    fs::create_dir_all(&outside).expect("made");
    symlink(&outside, back.join("names")).expect("a link");
    let notes = Arc::new(Notes::default());
    let down = get(&mut client, "/tree", folder.path(), Existing::Replace, &notes).await;
    // The directory of the names, and the six files in it.
    assert_eq!(down.failed, 1 + 1 + 6, "{:?}", notes.ends());
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 0, "a link leads nowhere");
    client.whoami().await.expect("the connection is in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_keeps_what_was_acknowledged_and_a_repeated_command_goes_on() {
    let server = TestServer::tls().await;
    let relay = Relay::to(server.address).await;
    let mut client = relay.client(&server).await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let tree = folder.path().join("tree");
    fs::create_dir_all(&tree).expect("made");
    fs::write(tree.join("large"), content(20_000_000)).expect("written");
    let cancel = tokio_util::sync::CancellationToken::new();
    let stop = Arc::new(StopHalfWay(cancel.clone()));
    let root = || vec![PutRoot { local: tree.clone(), remote: path("/tree") }];
    let stopped = Transfers::new(&mut client).observer(stop).cancel(cancel).put(root()).await;
    assert_eq!(stopped.expect_err("stopped").fault_code(), Some(FaultCode::Cancelled));
    relay.take_passed();
    let mut client = relay.client_again(&server).await;
    assert_eq!(Transfers::new(&mut client).put(root()).await.expect("stored").files, 1);
    assert!(relay.take_passed().iter().sum::<u64>() < 14_000_000, "half of it was there");
    assert!(fs::read(server.files("alice").join("tree/large")).expect("there") == content(20_000_000));
}

/// Stops when a large file has come half way.
struct StopHalfWay(tokio_util::sync::CancellationToken);

impl TransfersObserver for StopHalfWay {
    fn progress(&self, _item: Item<'_>, progress: netdisk_client::Progress) {
        if progress.size.is_some_and(|size| progress.position >= size / 2) {
            self.0.cancel();
        }
    }

    fn ended(&self, _item: Item<'_>, _end: &End) {}
}

#[test]
fn the_program_moves_folders_and_says_what_came_of_them() {
    let scene = Scene::new();
    let program = &scene.program;
    grow(&program.path("tree"), 80);
    let text = program.fails(&["put", "tree"], 7);
    assert!(text.contains("put -r"), "{text}");
    let text = program.ok(&["put", "-r", "tree"]);
    assert!(text.starts_with("stored 93 files, ") && text.lines().count() == 1, "{text}");
    let text = program.fails(&["get", "tree", "x"], 7);
    assert!(text.contains("get -r"), "{text}");
    program.ok(&["get", "-r", "tree", "back"]);
    assert!(snapshot(&program.path("back")) == snapshot(&program.path("tree")));
    // Into a directory that is there, and several at once.
    program.ok(&["mkdir", "into"]);
    program.ok(&["put", "-r", "tree/names", "tree/wide", "into"]);
    fs::create_dir(program.path("down")).expect("made");
    program.ok(&["get", "-r", "into/names", "into/wide", "down"]);
    assert!(snapshot(&program.path("down/names")) == snapshot(&program.path("tree/names")));

    // A name that the server refuses: the rest goes on.
    program.write("tree/wide/b\\s", b"x");
    symlink("0001", program.path("tree/wide/link")).expect("a link");
    let output = program.run(&["--json", "put", "-r", "tree/wide", "again"]);
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((count("start"), count("done"), count("skipped"), count("summary")), (80, 80, 1, 1), "{text}");
    let summary = events.iter().find(|event| event["event"] == "summary").expect("one");
    assert_eq!((&summary["files"], &summary["failed"], &summary["skipped"]), (&80.into(), &1.into(), &1.into()));
    assert!(events.iter().any(|event| event["event"] == "error" && event["code"] == "bad_path"), "{text}");
    // One thing that is missing fails with its own code.
    program.fails(&["put", "-r", "missing"], 6);
    program.fails(&["get", "-r", "missing"], 6);
}

#[test]
fn links_are_said() {
    assert_eq!(LeftOut::Link.to_string(), "a symbolic link");
}

/// Does something once so many files and directories have come to their end.
struct After<F> {
    left: Mutex<u32>,
    act: F,
    notes: Notes,
}

impl<F: Fn() + Send + Sync> TransfersObserver for After<F> {
    fn ended(&self, item: Item<'_>, end: &End) {
        self.notes.ended(item, end);
        let mut left = self.left.lock().expect("not poisoned");
        *left = left.wrapping_sub(1);
        if *left == 0 {
            (self.act)();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_started_again_in_the_middle_gets_the_rest() {
    let scene = Arc::new(Scene::new());
    let fingerprint = scene.server.fingerprint.as_ref().expect("one").parse().expect("a fingerprint");
    let relay = Arc::new(Relay::to(scene.server.address.parse().expect("an address")).await);
    let endpoint = relay.address.to_string().parse().expect("an endpoint");
    let door = dial(&endpoint, &Trust::Pinned(fingerprint)).await.expect("a door");
    let alice = "alice".parse().expect("a name");
    let mut client = door.log_in(&alice, Password::new(PASSWORD), true).await.expect("logged in");
    let tree = scene.program.path("tree");
    grow(&tree, 600);
    let before = snapshot(&tree);

    let again = Arc::new(Mutex::new(None));
    let act = {
        let (scene, relay, again) = (scene.clone(), relay.clone(), again.clone());
        move || {
            let (scene, relay, again) = (scene.clone(), relay.clone(), again.clone());
            // Who watches must be quick.
            std::thread::spawn(move || {
                scene.server.kill_and_wait();
                let server = ServerProcess::start(&scene.program, scene.data.path(), &[]);
                relay.lead_to(server.address.parse().expect("an address"));
                *again.lock().expect("not poisoned") = Some(server);
            });
        }
    };
    let watch = Arc::new(After { left: Mutex::new(150), act, notes: Notes::default() });
    let root = PutRoot { local: tree.clone(), remote: path("/tree") };
    let summary = Transfers::new(&mut client).observer(watch.clone()).put(vec![root]).await.expect("it came back");
    assert_eq!(summary.failed, 0, "{:?}", watch.notes.ends());
    watch.notes.assert_each_once();
    assert!(again.lock().expect("not poisoned").is_some(), "it was killed in the middle");
    assert!(snapshot(&scene.data.path().join("homes/alice/files/tree")) == before, "byte for byte");
}

#[test]
fn a_quota_that_is_full_in_the_middle_fails_what_does_not_fit() {
    let scene = Scene::new();
    let tree = scene.program.path("tree");
    fs::create_dir_all(&tree).expect("made");
    for number in 0..200 {
        fs::write(tree.join(number.to_string()), content(1000)).expect("written");
    }
    let data = scene.data.path().to_str().expect("UTF-8");
    scene.program.ok(&["admin", "--data", data, "user", "quota", "alice", "--space", "100000"]);
    let output = scene.program.run(&["--json", "put", "-r", "tree"]);
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let failed = text.lines().filter(|line| line.contains("\"quota_exceeded\"")).count();
    let done = text.lines().filter(|line| line.contains("\"event\":\"done\"")).count();
    assert_eq!((done, failed), (100, 100), "{text}");
    let stored = fs::read_dir(scene.data.path().join("homes/alice/files/tree")).expect("there").count();
    assert_eq!(stored, 100, "what was said to be stored, and nothing else");
    // With room for it, the same command again leaves out nothing.
    scene.program.ok(&["admin", "--data", data, "user", "quota", "alice", "--space", "none"]);
    scene.program.ok(&["put", "-r", "tree", "--existing", "skip"]);
    assert!(snapshot(&scene.data.path().join("homes/alice/files/tree")).len() == 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_more_connections_is_served_by_those_there_are() {
    let limits = netdisk_server::Limits { user_connections_max: 2, ..netdisk_server::Limits::default() };
    let server = TestServer::start_with(true, netdisk_server::Registration::Open, &limits).await;
    let relay = Relay::to(server.address).await;
    let mut client = relay.client(&server).await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let tree = folder.path().join("tree");
    grow(&tree, 1_500);
    let root = PutRoot { local: tree.clone(), remote: path("/tree") };
    let notes = Arc::new(Notes::default());
    let transfers = Transfers::new(&mut client).connections(8).observer(notes.clone());
    let summary = transfers.put(vec![root]).await.expect("it goes on");
    notes.assert_each_once();
    assert_eq!(summary.failed, 0, "{:?}", notes.ends());
    assert!(snapshot(&server.files("alice").join("tree")) == snapshot(&tree));
    assert!(relay.take_passed().len() >= 3, "more were tried than there may be");
}
