//! More peers than there is room for: those who are in go on, and who comes later gets in.

use std::net::TcpStream;
use std::path::PathBuf;

use netdisk_client::{ClientError, OnExisting, PutSource, Trust, Unobserved, dial, put};
use netdisk_model::Password;
use netdisk_protocol::FaultCode;
use netdisk_server::{Limits, Registration};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::fixture::{PASSWORD, Program, ServerProcess, TestServer, path};
use crate::raw::Raw;

fn descriptors_of(server: &ServerProcess) -> u64 {
    let folder = PathBuf::from(format!("/proc/{}/fd", server.pid().as_raw_nonzero()));
    std::fs::read_dir(folder).expect("it runs").count() as u64
}

fn limit_descriptors(server: Pid, current: u64) -> Rlimit {
    let old = prlimit(Some(server), Resource::Nofile, Rlimit { current: Some(current), maximum: Some(20_000) });
    old.expect("the limit of a process of ours")
}

/// Connects until the server leaves somebody waiting, and a bit more.
fn crowd(server: &ServerProcess, size: usize) -> Vec<TcpStream> {
    (0..size).map(|_| TcpStream::connect(&server.address).expect("the kernel's queue takes it")).collect()
}

#[tokio::test]
async fn a_server_without_descriptors_lives_on_and_takes_who_waited() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = ServerProcess::start(&Program::new(), data.path(), &[]);
    let endpoint = server.address.parse().expect("an endpoint");
    let trust = Trust::Pinned(server.fingerprint.clone().expect("TLS").parse().expect("a fingerprint"));
    let alice = "alice".parse().expect("a name");
    let door = dial(&endpoint, &trust).await.expect("a door");
    let mut inside = door.register(&alice, Password::new(PASSWORD), false).await.expect("a new account");

    // Every accept fails from now on: EMFILE.
    let old = limit_descriptors(server.pid(), descriptors_of(&server));
    let waiting = crowd(&server, 20);
    assert_eq!(inside.whoami().await.expect("who is in goes on"), alice);
    let outside = tokio::spawn({
        let (endpoint, alice) = (endpoint, alice.clone());
        async move { dial(&endpoint, &trust).await?.log_in(&alice, Password::new(PASSWORD), false).await }
    });
    assert_eq!(inside.whoami().await.expect("who is in goes on"), alice);
    drop(waiting);
    limit_descriptors(server.pid(), old.current.expect("a limit"));
    let mut late = outside.await.expect("no panic").expect("who waited gets in");
    assert_eq!(late.whoami().await.expect("answered"), alice);
}

#[tokio::test]
async fn a_crowd_of_strangers_leaves_descriptors_for_those_who_are_in() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = ServerProcess::start_with_descriptors(&Program::new(), data.path(), 96);
    let endpoint = server.address.parse().expect("an endpoint");
    let trust = Trust::Pinned(server.fingerprint.clone().expect("TLS").parse().expect("a fingerprint"));
    let alice = "alice".parse().expect("a name");
    let door = dial(&endpoint, &trust).await.expect("a door");
    let mut inside = door.register(&alice, Password::new(PASSWORD), false).await.expect("a new account");
    let crowd = crowd(&server, 200);
    for number in 0..20 {
        let source = PutSource::Stream(Box::new(&b"hello"[..]));
        let to = path(&format!("/{number}"));
        put(&mut inside, source, &to, OnExisting::Refuse, &Unobserved, &Default::default()).await.expect("stored");
    }
    assert!(descriptors_of(&server) <= 96 - 16, "some are kept back for files");
    drop(crowd);
    assert!(dial(&endpoint, &trust).await.is_ok(), "the crowd has gone");
}

#[tokio::test]
async fn one_user_has_so_many_connections_and_others_have_theirs() {
    let limits = Limits { user_connections_max: 3, ..Limits::default() };
    let server = TestServer::start_with(true, Registration::Open, &limits).await;
    let first = server.register("alice").await;
    let log_in = async || {
        let door = dial(&server.address.to_string().parse().expect("an endpoint"), &server.trust).await?;
        door.log_in(&"alice".parse().expect("a name"), Password::new(PASSWORD), false).await
    };
    let (second, _third) = (log_in().await.expect("the second"), log_in().await.expect("the third"));
    match log_in().await {
        Err(ClientError::Fault(fault)) => assert_eq!(fault.code, FaultCode::Busy),
        other => panic!("a fourth: {:?}", other.err()),
    }
    drop(server.register("bob").await);
    drop((first, second));
    // The server notices the end of a connection a little later.
    while log_in().await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_network_is_turned_away_at_its_limit_and_let_in_below_it() {
    let limits = Limits { network_strangers_max: 2, ..Limits::default() };
    let server = TestServer::start_with(false, Registration::Open, &limits).await;
    let mut alice = Raw::registered(&server, "alice").await;
    let (one, _two) = (Raw::connect(&server).await, Raw::connect(&server).await);
    let mut third = Raw::connect(&server).await;
    assert!(third.is_turned_away().await);
    alice.assert_alive().await;
    drop(one);
    while Raw::connect(&server).await.is_turned_away().await {}
}
