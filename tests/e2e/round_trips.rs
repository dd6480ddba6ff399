//! How often a command waits for the server before it has its answer.
//!
//! TCP takes one round trip and TLS 1.3 one; nobody gets around them. Behind them stands a gate that does TLS with the
//! program and lets it have nothing of what the server says before the server has answered a request: whoever waits
//! for a hello or a welcome before asking waits there for good. So a command that gets through needs one round trip more,
//! and three in all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use netdisk_client::{Client, ClientError, Endpoint, Trust, dial, fingerprint_of};
use netdisk_model::{Password, Token, UserName};
use netdisk_protocol::FaultCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::fixture::{PASSWORD, Program, ServerProcess, TestServer, path};
use crate::tls;

/// Does TLS in front of a server without, and is a gate where it is told to be one.
struct Gate {
    address: SocketAddr,
    /// Whether what the server says waits for its answer to a request.
    is_shut: Arc<AtomicBool>,
    /// Connections so far.
    connections: Arc<AtomicU32>,
}

impl Gate {
    async fn before(server: SocketAddr, acceptor: TlsAcceptor) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (is_shut, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let gate = Self { address, is_shut: is_shut.clone(), connections: connections.clone() };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, is_shut) = (acceptor.clone(), is_shut.clone());
                tokio::spawn(async move {
                    // A client that only looks at the key leaves in the middle.
                    let Ok(near) = acceptor.accept(near).await else { return };
                    let far = TcpStream::connect(server).await.expect("the server is there");
                    drop(relay(near, far, is_shut.load(Ordering::SeqCst)).await);
                });
            }
        });
        gate
    }
}

/// hello, welcome, and the first of what answers a request.
const REPLIES: usize = 3;

async fn relay<S: AsyncRead + AsyncWrite>(near: S, far: TcpStream, is_shut: bool) -> std::io::Result<()> {
    let (mut near_in, mut near_out) = split(near);
    let (mut far_in, mut far_out) = far.into_split();
    let there = async {
        tokio::io::copy(&mut near_in, &mut far_out).await?;
        far_out.shutdown().await
    };
    let back = async {
        let mut held = Vec::new();
        for _ in 0..if is_shut { REPLIES } else { 0 } {
            let len = far_in.read_u32().await?;
            let mut payload = vec![0; usize::try_from(len).expect("short")];
            far_in.read_exact(&mut payload).await?;
            held.extend(len.to_be_bytes());
            held.extend(payload);
        }
        near_out.write_all(&held).await?;
        near_out.flush().await?;
        tokio::io::copy(&mut far_in, &mut near_out).await?;
        near_out.shutdown().await
    };
    tokio::try_join!(there, back).map(|_| ())
}

/// A program that is logged in to a server behind a gate.
async fn behind_a_gate() -> (Program, Gate, ServerProcess, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut program = Program::new();
    let server = ServerProcess::start(&program, data.path(), &["--plaintext"]);
    let gate = Gate::before(server.address.parse().expect("an address"), tls::netdisk_acceptor()).await;
    program.server = Some(gate.address.to_string());
    program.ok(&["register", "alice", "--accept-new"]);
    program.ok(&["mkdir", "d"]);
    program.write("f", b"hello");
    program.ok(&["put", "f"]);
    (program, gate, server, data)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_asks_has_its_answer_after_one_round_trip_beyond_those_of_tls() {
    let (program, gate, _server, _data) = behind_a_gate().await;
    gate.is_shut.store(true, Ordering::SeqCst);
    for (args, answer) in [
        (&["ls"][..], "d/\nf\n"),
        (&["ls", "-R"], ""),
        (&["ll"], ""),
        (&["stat", "f"], ""),
        (&["find", "--name", "f"], ""),
        (&["du"], ""),
        (&["tree"], ""),
        (&["quota"], ""),
        (&["whoami"], "alice\n"),
        (&["sessions"], ""),
        // With its listing, a glob's answer is there.
        (&["ls", "f*"], "f\n"),
    ] {
        let before = gate.connections.load(Ordering::SeqCst);
        let printed = program.ok(args);
        assert!(printed == answer || answer.is_empty() && !printed.is_empty(), "{args:?}: {printed}");
        assert_eq!(gate.connections.load(Ordering::SeqCst), before + 1, "{args:?}: one connection");
    }
}

/// A server, and how somebody comes in there by a token.
async fn with_a_token() -> (TestServer, Endpoint, UserName, Token) {
    let server = TestServer::tls().await;
    drop(server.register("alice").await);
    let endpoint: Endpoint = server.address.to_string().parse().expect("an endpoint");
    let alice: UserName = "alice".parse().expect("a name");
    let door = dial(&endpoint, &server.trust).await.expect("a door");
    let client = door.log_in(&alice, Password::new(PASSWORD), true).await.expect("logged in");
    let token = client.token().cloned().expect("kept");
    (server, endpoint, alice, token)
}

async fn log_in_at_once(server: &TestServer, endpoint: &Endpoint, user: &UserName, token: Token) -> Client {
    let door = dial(endpoint, &server.trust).await.expect("a door");
    door.log_in_at_once(user, token).await.expect("nothing is sent yet")
}

#[tokio::test]
async fn a_request_too_long_for_a_stranger_waits_for_the_welcome() {
    let (server, endpoint, alice, token) = with_a_token().await;
    let mut client = log_in_at_once(&server, &endpoint, &alice, token).await;
    // In JSON, each quotation mark takes two bytes: a good path, and 8,000 bytes of it.
    let path = path(&format!("/{}", vec!["\"".repeat(250); 16].join("/")));
    let refused = client.list(&path, false).await.expect_err("not there");
    assert!(matches!(&refused, ClientError::Fault(fault) if fault.code == FaultCode::NotFound), "{refused:?}");
    assert_eq!(client.whoami().await.expect("answered"), alice);
}

#[tokio::test]
async fn a_refused_token_is_told_from_a_refused_request() {
    let (server, endpoint, alice, token) = with_a_token().await;
    let mut client = log_in_at_once(&server, &endpoint, &alice, Token::from_random(&[7; 32])).await;
    assert!(!client.is_admitted() && !client.is_closed());
    match client.make_directory(&path("/made"), false).await {
        Err(ClientError::NotLoggedIn(fault)) => assert_eq!(fault.code, FaultCode::LoginRefused),
        other => panic!("{other:?}"),
    }
    assert!(!client.is_admitted() && client.is_closed());
    assert!(!server.files("alice").join("made").exists());
    // And a good one, whose request is refused.
    let mut client = log_in_at_once(&server, &endpoint, &alice, token).await;
    let refused = client.stat(&path("/none")).await.expect_err("not there");
    assert!(matches!(&refused, ClientError::Fault(fault) if fault.code == FaultCode::NotFound), "{refused:?}");
    assert!(client.is_admitted() && !client.is_closed());
    assert_eq!(client.whoami().await.expect("answered"), alice);
}

#[tokio::test]
async fn no_secret_goes_ahead_to_who_may_be_no_netdisk_server() {
    // It does TLS, but does not say for what, and it says no hello.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let endpoint = listener.local_addr().expect("an address").to_string().parse().expect("an endpoint");
    let serving = tokio::spawn(async move {
        let acceptor = tls::acceptor(None);
        let mut heard = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.expect("a client");
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut some = [0; 4096];
            let read = stream.read(&mut some).await.unwrap_or(0);
            heard.extend_from_slice(&some[..read]);
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
            drop(stream.shutdown().await);
            drop(stream.read_to_end(&mut heard).await);
        }
        String::from_utf8_lossy(&heard).into_owned()
    });
    let fingerprint = fingerprint_of(&endpoint).await.expect("a key");
    let refused = dial(&endpoint, &Trust::Pinned(fingerprint)).await.err().expect("no hello");
    assert!(matches!(refused, ClientError::NotNetdisk { .. }), "{refused:?}");
    let heard = serving.await.expect("no panic");
    assert!(heard.contains("hello") && !heard.contains("login"), "{heard}");
}
