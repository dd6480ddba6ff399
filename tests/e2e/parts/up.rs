//! Up: stored whole or not at all, whatever is cut, killed, changed or spoilt meanwhile.

use std::fs;
use std::path::PathBuf;
use std::sync::Once;

use netdisk_client::{
    ClientError, Observer, OnExisting, Outcome, Progress, PutRoot, PutSource, Reuse, Summary, Transfers, Trust,
    Unobserved, dial, put,
};
use netdisk_model::{Digest, PART_LEN, Password};
use netdisk_protocol::FaultCode;
use netdisk_server::{Limits, Registration};
use tokio_util::sync::CancellationToken;

use super::{CancelHalfWay, OPENING, OVERHEAD, Positions, SIZE, Scene, with_others};
use crate::fixture::{PASSWORD, Program, ServerProcess, TestServer, content, path};
use crate::relay::Relay;

impl Scene {
    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.local(name), bytes).expect("written");
    }

    async fn try_put(&mut self, observer: &dyn Observer, cancel: &CancellationToken) -> Result<Outcome, ClientError> {
        let source = PutSource::File(self.local("f"));
        put(&mut self.client, source, &path("/f"), OnExisting::Replace, observer, cancel).await
    }

    async fn put_tree(&mut self) -> Summary {
        let root = PutRoot { local: self.local("tree"), remote: path("/tree") };
        Transfers::new(&mut self.client).connections(4).put(vec![root]).await.expect("no end of the connection")
    }

    #[track_caller]
    fn assert_is_there(&self, bytes: &[u8]) {
        assert!(fs::read(self.server.files("alice").join("f")).expect("stored") == bytes, "byte for byte");
    }

    fn staging(&self) -> PathBuf {
        self.server.data.path().join("homes/alice/staging")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_over_several_connections() {
    let mut scene = Scene::new().await;
    let part = usize::try_from(PART_LEN).expect("short");
    for size in [part + 1, 8 * part - 1, 8 * part, 8 * part + 1, SIZE] {
        let bytes = content(size);
        scene.write("f", &bytes);
        let watch = Positions::default();
        let outcome = scene.try_put(&watch, &CancellationToken::new()).await.expect("stored");
        assert_eq!(outcome, Outcome { size: size as u64, digest: Digest::of(&bytes), reused: false });
        assert_eq!(watch.0.into_inner(), size as u64, "all of it was seen");
        scene.assert_is_there(&bytes);
        scene.client.whoami().await.expect("the connection is in step");
    }
    assert_eq!(fs::read_dir(scene.staging()).expect("there").count(), 0, "nothing is left");
    assert_eq!(scene.client.quota().await.expect("known").bytes, SIZE as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_carry_what_one_connection_cannot() {
    let mut scene = Scene::new().await;
    let bytes = content(SIZE);
    scene.write("f", &bytes);
    let source = PutSource::File(scene.local("f"));
    let Scene { relay, client, .. } = &mut scene;
    let (path, cancel) = (path("/f"), CancellationToken::new());
    let moving = put(client, source, &path, OnExisting::Replace, &Unobserved, &cancel);
    with_others(relay, moving).await.expect("stored");
    scene.assert_is_there(&bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_with_large_files_goes_over_several_connections() {
    let mut scene = Scene::new().await;
    let files = [("a", SIZE), ("deep/b", SIZE - 7), ("deep/er/c", 5), ("d", 3_000_000)];
    fs::create_dir_all(scene.local("tree/deep/er")).expect("made");
    for (name, size) in files {
        scene.write(&format!("tree/{name}"), &content(size));
    }
    let summary = scene.put_tree().await;
    assert_eq!((summary.files, summary.failed), (4, 0));
    for (name, size) in files {
        assert!(
            fs::read(scene.server.files("alice").join("tree").join(name)).expect("stored") == content(size),
            "{name}"
        );
    }
    scene.client.whoami().await.expect("the connection is in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_few_connections_gets_the_file_over_those() {
    // One for this client, one for the client before it, which may not be known to be gone.
    for most in [2, 3] {
        let limits = Limits { user_connections_max: most, ..Limits::default() };
        let mut scene = Scene::behind(TestServer::start_with(true, Registration::Open, &limits).await).await;
        let bytes = content(SIZE);
        scene.write("f", &bytes);
        scene.try_put(&Unobserved, &CancellationToken::new()).await.expect("stored");
        scene.assert_is_there(&bytes);
        scene.get().await;
        assert!(fs::read(scene.local("back")).expect("there") == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_cut_the_file_is_stored_whole() {
    // The connection that opens the upload: early, in parts, at its end; others; all of them, several times.
    for cuts in [
        &[OPENING + 100][..],
        &[3_000_000],
        &[u64::MAX, 2_000_000],
        &[u64::MAX, 100, OPENING + 1, 4_000_000],
        &[2_500_000, 2_600_000, 2_700_000, 2_800_000],
        &[1_500_000, 700_000, 900_000, 1_100_000, 1_200_000, 1_300_000, 1_400_000],
    ] {
        let mut scene = Scene::new().await;
        let bytes = content(SIZE);
        scene.write("f", &bytes);
        scene.cut(cuts).await;
        let outcome = scene.try_put(&Unobserved, &CancellationToken::new()).await.expect("stored");
        assert_eq!(outcome.digest, Digest::of(&bytes), "{cuts:?}");
        scene.assert_is_there(&bytes);
        assert_eq!(scene.client.quota().await.expect("known").bytes, SIZE as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_one_connection_is_cut_the_file_is_stored_whole() {
    let mut scene = Scene::new().await;
    for number in 0..16_u8 {
        // Another content each time, or it would be resumed.
        let bytes: Vec<u8> = content(9_000_001).into_iter().map(|byte| byte.wrapping_add(number)).collect();
        scene.write("f", &bytes);
        let mut cuts = [u64::MAX; 4];
        cuts[usize::from(number % 4)] = OPENING + u64::from(number) * 190_000;
        scene.cut(&cuts).await;
        let outcome = scene.try_put(&Unobserved, &CancellationToken::new()).await.expect("stored");
        assert_eq!(outcome.digest, Digest::of(&bytes), "{cuts:?}");
        scene.assert_is_there(&bytes);
    }
    assert_eq!(scene.client.quota().await.expect("known").bytes, 9_000_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_that_are_cut_are_stored_whole() {
    for cuts in [&[5_000_000][..], &[u64::MAX, 3_000_000, 2_000_000], &[4_000_000, 4_000_000, 4_000_000, 4_000_000]] {
        let mut scene = Scene::new().await;
        fs::create_dir(scene.local("tree")).expect("made");
        for name in ["a", "b"] {
            scene.write(&format!("tree/{name}"), &content(SIZE));
        }
        scene.cut(cuts).await;
        let summary = scene.put_tree().await;
        assert_eq!((summary.files, summary.failed), (2, 0), "{cuts:?}");
        for name in ["a", "b"] {
            assert!(fs::read(scene.server.files("alice").join("tree").join(name)).expect("there") == content(SIZE));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_upload_goes_on_behind_what_the_server_has() {
    let mut scene = Scene::new().await;
    let bytes = content(SIZE);
    scene.write("f", &bytes);
    let cancel = CancellationToken::new();
    // What is on its way cannot all arrive before it is stopped.
    scene.relay.hold_after(SIZE as u64 / 5);
    let stopped = scene.try_put(&CancelHalfWay(cancel.clone()), &cancel).await.expect_err("stopped");
    assert_eq!(stopped.fault_code(), Some(FaultCode::Cancelled));
    assert!(!scene.server.files("alice").join("f").exists());
    scene.relay.cut_all();
    scene.relay.hold_after(u64::MAX);
    scene.cut(&[]).await;
    scene.try_put(&Unobserved, &CancellationToken::new()).await.expect("stored");
    scene.assert_is_there(&bytes);
    let passed: u64 = scene.relay.take_passed().iter().sum();
    assert!(passed < SIZE as u64 - SIZE as u64 / 4 + OVERHEAD, "{passed} of {SIZE} passed again");
}

/// Does something once some of the file is there.
struct After(u64, Once, Box<dyn Fn() + Send + Sync>);

impl Observer for After {
    fn progress(&self, progress: Progress) {
        if progress.position > self.0 {
            self.1.call_once(&*self.2);
        }
    }
}

fn once(after: u64, act: impl Fn() + Send + Sync + 'static) -> After {
    After(after, Once::new(), Box::new(act))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_sent_is_never_stored_as_a_mixture() {
    let mut scene = Scene::new().await;
    scene.write("f", &content(SIZE));
    let other: Vec<u8> = content(SIZE).into_iter().map(|byte| !byte).collect();
    let (local, new) = (scene.local("f"), other.clone());
    let watch = once(0, move || fs::write(&local, &new).expect("written"));
    scene.try_put(&watch, &CancellationToken::new()).await.expect("stored at the second try");
    assert!(watch.1.is_completed());
    scene.assert_is_there(&other);

    // And one that changes for ever is refused.
    let local = scene.local("f");
    let always = Always(local);
    scene.client.set_reuse(Reuse::Never);
    let refused = scene.try_put(&always, &CancellationToken::new()).await.expect_err("never still");
    assert_eq!(refused.fault_code(), Some(FaultCode::Changed), "{refused}");
    scene.assert_is_there(&other);
}

/// Writes into the file whenever it can.
struct Always(PathBuf);

impl Observer for Always {
    fn progress(&self, progress: Progress) {
        let byte = u8::try_from(progress.position % 251).expect("below 251");
        let file = fs::File::options().write(true).open(&self.0).expect("there");
        std::os::unix::fs::FileExt::write_all_at(&file, &[byte], SIZE as u64 - 1).expect("written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_uploads_of_one_path_end_whole() {
    let mut scene = Scene::new().await;
    let mut another = Scene::new().await;
    another.client = scene.relay.client_again(&scene.server).await;
    another.client.use_connections(Some(4));
    let other: Vec<u8> = content(SIZE).into_iter().map(|byte| !byte).collect();
    scene.write("f", &content(SIZE));
    another.write("f", &other);
    let (cancel, unobserved) = (CancellationToken::new(), Unobserved);
    let both = tokio::join!(scene.try_put(&unobserved, &cancel), another.try_put(&unobserved, &cancel));
    both.0.and(both.1).expect("both stored");
    let stored = fs::read(scene.server.files("alice").join("f")).expect("stored");
    assert!(stored == content(SIZE) || stored == other, "one or the other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_prefix_costs_a_second_upload_and_never_a_wrong_file() {
    let mut scene = Scene::new().await;
    let bytes = content(SIZE);
    scene.write("f", &bytes);
    let cancel = CancellationToken::new();
    scene.try_put(&CancelHalfWay(cancel.clone()), &cancel).await.expect_err("stopped");
    scene.cut(&[]).await;
    for staged in fs::read_dir(scene.staging()).expect("there") {
        let file = fs::File::options().write(true).open(staged.expect("an entry").path()).expect("there");
        std::os::unix::fs::FileExt::write_all_at(&file, b"spoilt", 1000).expect("written");
    }
    scene.try_put(&Unobserved, &CancellationToken::new()).await.expect("stored");
    scene.assert_is_there(&bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_when_the_server_was_killed() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let program = Program::new();
    let server = ServerProcess::start(&program, data.path(), &[]);
    let fingerprint = server.fingerprint.as_deref().expect("TLS").parse().expect("a fingerprint");
    let relay = Relay::to(server.address.parse().expect("an address")).await;
    let endpoint = relay.address.to_string().parse().expect("an endpoint");
    let door = dial(&endpoint, &Trust::Pinned(fingerprint)).await.expect("a door");
    let alice = "alice".parse().expect("a name");
    let mut client = door.register(&alice, Password::new(PASSWORD), true).await.expect("an account");
    client.use_connections(Some(4));
    let bytes = content(3 * SIZE);
    program.write("f", &bytes);
    relay.take_passed();
    std::thread::scope(|scope| {
        let (kill, killed) = std::sync::mpsc::channel::<()>();
        let (relay, program, data) = (&relay, &program, data.path());
        scope.spawn(move || {
            killed.recv().expect("half has come");
            server.kill_and_wait();
            drop(server);
            let next = ServerProcess::start(program, data, &[]);
            relay.lead_to(next.address.parse().expect("an address"));
            killed.recv().expect_err("until all has come");
        });
        let watch = once(SIZE as u64, move || kill.send(()).expect("somebody waits"));
        let source = PutSource::File(program.path("f"));
        let cancel = CancellationToken::new();
        let at = path("/f");
        let stored = put(&mut client, source, &at, OnExisting::Replace, &watch, &cancel);
        let runtime = tokio::runtime::Handle::current();
        let stored = tokio::task::block_in_place(|| runtime.block_on(stored)).expect("stored");
        assert_eq!(stored.digest, Digest::of(&bytes));
        drop(watch);
    });
    let stored = fs::read(data.path().join("homes/alice/files/f")).expect("stored");
    assert!(stored == bytes);
    let passed: u64 = relay.take_passed().iter().sum();
    assert!(passed < 2 * bytes.len() as u64, "it went on and not anew: {passed}");
}
