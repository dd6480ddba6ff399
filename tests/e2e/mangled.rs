//! The real client and the real server with the lab's mangler between them: what a network may do harms nothing, and
//! what a liar does is found out.

use std::net::SocketAddr;

use netdisk_client::{
    Client, ClientError, GetTarget, OnExisting, PutSource, Trust, Unobserved, dial, fingerprint_of, get, put,
};
use netdisk_lab::proxy::{Plan, Proxy};
use netdisk_model::{Digest, Password};
use netdisk_protocol::FaultCode;
use tokio_util::sync::CancellationToken;

use crate::fixture::{PASSWORD, TestServer, content, path};

/// A mangler in front of a server, stopped when the test drops it.
struct Mangled {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Mangled {
    async fn new(server: &TestServer, up: &[&str], down: &[&str], seed: u64) -> Self {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().expect(text)).collect();
        let plan = Plan { up: parse(up), down: parse(down), seed };
        let listen = ([127, 0, 0, 1], 0).into();
        let proxy = Proxy::bind(listen, server.address.to_string(), plan).await.expect("a free port");
        let (address, stop) = (proxy.local_addr().expect("an address"), CancellationToken::new());
        tokio::spawn(proxy.run(stop.clone(), |_| {}));
        Self { address, stop }
    }

    async fn client(&self, trust: &Trust) -> Result<Client, ClientError> {
        let door = dial(&self.address.to_string().parse().expect("an endpoint"), trust).await?;
        door.log_in(&"alice".parse().expect("a name"), Password::new(PASSWORD), true).await
    }
}

impl Drop for Mangled {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn bytes(content: &[u8]) -> PutSource {
    PutSource::Stream(Box::new(std::io::Cursor::new(content.to_vec())))
}

/// There and back; gives the digest of what came back, computed from the file itself.
async fn there_and_back(client: &mut Client, content: &[u8]) -> Result<Digest, ClientError> {
    let (folder, cancel) = (tempfile::tempdir().expect("a temporary directory"), CancellationToken::new());
    let back = folder.path().join("back");
    put(client, bytes(content), &path("/f"), OnExisting::Replace, &Unobserved, &cancel).await?;
    get(client, &path("/f"), GetTarget::File(back.clone()), OnExisting::Refuse, &Unobserved, &cancel).await?;
    Ok(Digest::of(&std::fs::read(back).expect("there")))
}

#[tokio::test]
async fn whatever_a_network_may_do_harms_nothing() {
    for server in [TestServer::plaintext().await, TestServer::tls().await] {
        drop(server.register("alice").await);
        for (seed, size, mischief) in [
            (1, 100_000, &["split=7"][..]),
            (2, 300_000, &["split=1400"]),
            (3, 300_000, &["merge=60000"]),
            (4, 3_000, &["drip"]),
            (5, 300_000, &["split=1400", "stall=2000,300ms", "stall=90000,300ms"]),
        ] {
            let mangled = Mangled::new(&server, mischief, mischief, seed).await;
            let mut client = mangled.client(&server.trust).await.expect("logged in");
            let content = content(size);
            assert_eq!(there_and_back(&mut client, &content).await.expect("both ways"), Digest::of(&content));
            client.close().await.expect("closed");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn a_flipped_bit_of_an_upload_is_found_out() {
    let plaintext = TestServer::plaintext().await;
    drop(plaintext.register("alice").await);
    // Far behind hello, login and upload, and long before the end.
    let mangled = Mangled::new(&plaintext, &["flip=50000"], &[], 1).await;
    let mut client = mangled.client(&plaintext.trust).await.expect("logged in");
    let refused = there_and_back(&mut client, &content(100_000)).await;
    assert!(
        matches!(&refused, Err(ClientError::Fault(fault)) if fault.code == FaultCode::DigestMismatch),
        "{refused:?}"
    );
    assert!(!plaintext.files("alice").join("f").exists());

    // TLS notices by itself.
    let tls = TestServer::tls().await;
    drop(tls.register("alice").await);
    let mangled = Mangled::new(&tls, &["flip=50000"], &[], 1).await;
    let mut client = mangled.client(&tls.trust).await.expect("logged in");
    let cut = there_and_back(&mut client, &content(100_000)).await;
    assert!(matches!(&cut, Err(ClientError::Connection(_))), "{cut:?}");
    assert!(!tls.files("alice").join("f").exists());
}

#[tokio::test]
async fn a_lie_about_a_length_ends_the_connection_on_either_side() {
    let server = TestServer::plaintext().await;
    drop(server.register("alice").await);
    // The client's second frame is its login; the server's second one is its welcome.
    for (up, down) in [(&["lie=2,4294967295"][..], &[][..]), (&[], &["lie=2,4294967295"]), (&["lie=2,3"], &[])] {
        let mangled = Mangled::new(&server, up, down, 1).await;
        let refused = mangled.client(&server.trust).await.err().expect("no way in");
        let is_told = matches!(&refused, ClientError::Fault(fault) if fault.code == FaultCode::BadRequest);
        assert!(is_told || matches!(refused, ClientError::Connection(_)), "{up:?} {down:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_reset_between_two_requests_loses_neither_program() {
    let server = TestServer::tls().await;
    drop(server.register("alice").await);
    let mangled = Mangled::new(&server, &[], &["reset=100"], 1).await;
    let lost = fingerprint_of(&mangled.address.to_string().parse().expect("an endpoint")).await;
    assert!(lost.is_err(), "{lost:?}");
    let mut client = server.register("bob").await;
    assert_eq!(client.whoami().await.expect("the server lives").as_str(), "bob");
}
