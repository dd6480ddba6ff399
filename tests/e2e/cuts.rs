//! Commands whose line is cut: what is safe to repeat goes on by itself, and what has been shown is not shown again.

use std::net::SocketAddr;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use netdisk_client::{Observer, Progress};

use crate::fixture::{Program, Scene, TestServer, path};
use crate::relay::Relay;

/// So many that a listing is cut in the middle by far: each takes more than 50 bytes on the wire.
const FILES: usize = 20_000;
/// Behind the login, and before the end of the listing.
const IN_THE_LISTING: u64 = 600_000;

/// Behind a relay, logged in.
async fn scene_behind_relay() -> (Scene, Relay) {
    let mut scene = Scene::new();
    let relay = Relay::to(scene.server.address.parse().expect("an address")).await;
    scene.program.server = Some(relay.address.to_string());
    scene.program.ok(&["login", "alice", "--accept-new"]);
    relay.take_passed();
    (scene, relay)
}

/// Runs a command whose first connection is cut; gives what it printed.
fn cut(program: &Program, relay: &Relay, after: u64, args: &[&str]) -> String {
    relay.cut_next(&[after]);
    let output = program.run(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    assert!(said(&output).contains("; next try in "), "{args:?} was cut: {output:?}");
    assert_eq!(relay.take_passed().len(), 2, "{args:?}: on a second connection");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_that_are_cut_go_on_or_say_that_they_are_not_whole() {
    let (scene, relay) = scene_behind_relay().await;
    let program = &scene.program;
    let folder = scene.data.path().join("homes/alice/files/many");
    std::fs::create_dir(&folder).expect("made");
    for number in 0..FILES {
        std::fs::write(folder.join(format!("{number:05}")), b"x").expect("written");
    }
    let tree = program.ok(&["tree", "many"]);
    let du = program.ok(&["du", "--bytes", "many"]);
    assert!(tree.lines().count() > FILES && du.contains(&FILES.to_string()), "{du}");
    relay.take_passed();
    assert_eq!(cut(program, &relay, IN_THE_LISTING, &["tree", "many"]), tree);
    assert_eq!(cut(program, &relay, IN_THE_LISTING, &["tree", "--depth", "1", "many"]), tree);
    assert_eq!(cut(program, &relay, IN_THE_LISTING, &["du", "--bytes", "many"]), du);
    assert_eq!(cut(program, &relay, IN_THE_LISTING, &["find", "many", "--name", "nothing"]), "");

    relay.cut_next(&[IN_THE_LISTING]);
    let output = program.run(&["find", "many"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let found = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    let mut names: Vec<&str> = found.lines().collect();
    assert!(!names.is_empty() && names.len() < FILES, "{}", names.len());
    assert!(said(&output).contains("repeat it for the whole"), "{}", said(&output));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), found.lines().count(), "nothing is shown twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn small_questions_that_are_cut_are_asked_again() {
    let (scene, relay) = scene_behind_relay().await;
    let program = &scene.program;
    // Long enough that the question about it is far longer than any other.
    let long = format!("{0}/{0}/{0}", "d".repeat(250));
    assert!(path(&format!("/{long}")).as_str().len() > 750);
    program.ok(&["mkdir", "-p", &long]);
    for number in 0..5 {
        program.ok(&["login", "alice", "--accept-new", "--profile", &format!("p{number}")]);
    }
    relay.take_passed();
    program.ok(&["whoami"]);
    // All of a session with a short question and a short reply: whatever is longer is cut in its question or reply.
    let short = relay.take_passed()[0] + 50;

    assert_eq!(cut(program, &relay, short, &["sessions"]).lines().count(), 7);
    program.write("f", b"new");
    assert!(cut(program, &relay, short, &["put", "f", &long]).starts_with(&format!("stored /{long}/f")));
    let remote = format!("{long}/f");
    let newer = ["get", &remote, "f", "--existing", "newer"];
    assert_eq!(cut(program, &relay, short, &newer), "skipped f\n");
    let dry = ["get", &remote, "back", "--dry-run"];
    assert!(cut(program, &relay, short, &dry).starts_with("would receive back"));
}

/// Leads a relay back to its server once a client has waited twice.
struct Patient<'a> {
    relay: &'a Relay,
    server: SocketAddr,
    waits: AtomicU32,
}

impl Observer for Patient<'_> {
    fn progress(&self, _progress: Progress) {}

    fn waiting(&self, _reason: &str, _delay: Duration) {
        if self.waits.fetch_add(1, Ordering::SeqCst) == 1 {
            self.relay.lead_to(self.server);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_closes_at_once_in_place_of_a_server_that_was_there_is_waited_out() {
    let server = TestServer::tls().await;
    let relay = Relay::to(server.address).await;
    let mut client = relay.client(&server).await;
    // Nobody listens behind the relay: it takes a connection, and closes it in the middle of TLS.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    relay.lead_to(nobody);
    relay.cut_all();
    let patient = Patient { relay: &relay, server: server.address, waits: AtomicU32::new(0) };
    let cancel = tokio_util::sync::CancellationToken::new();
    let asked = client.repeat(&patient, &cancel, async |client| client.whoami().await).await;
    assert_eq!(asked.expect("answered").as_str(), "alice");
    assert!(patient.waits.load(Ordering::SeqCst) >= 2);
}
