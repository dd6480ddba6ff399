//! A relay between client and server that cuts connections where it is told to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use netdisk_client::{Client, dial};
use netdisk_model::Password;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::fixture::{PASSWORD, TestServer};

/// Stands between client and server; cuts connections after so many bytes in either direction.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    /// Where it leads.
    target: Arc<Mutex<SocketAddr>>,
    /// Bytes that passed on each connection.
    passed: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
    /// After how many bytes each of the next connections is cut; later ones are not.
    cuts: Arc<Mutex<Vec<u64>>>,
    /// After how many bytes in one direction nothing passes in it any more.
    hold: watch::Sender<u64>,
    /// How often all were cut.
    cut_now: watch::Sender<u32>,
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let target = Arc::new(Mutex::new(server));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (passed, cuts) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (all, next_cuts, to) = (passed.clone(), cuts.clone(), target.clone());
        let (hold, held) = watch::channel(u64::MAX);
        let (cut_now, cut) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let server = *to.lock().expect("not poisoned");
                // A server that is not there: neither is the relay, as far as the client sees.
                let Ok(far) = TcpStream::connect(server).await else { continue };
                let count = Arc::new(AtomicU64::new(0));
                all.lock().expect("not poisoned").push(count.clone());
                let after = next_cuts.lock().expect("not poisoned").pop().unwrap_or(u64::MAX);
                let held = held.clone();
                let mut cut = cut.clone();
                cut.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        () = relay(near, far, count, after, held) => {}
                        // The test has ended, or wants it.
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, target, passed, cuts, hold, cut_now }
    }

    pub(crate) fn cut_next(&self, cuts: &[u64]) {
        *self.cuts.lock().expect("not poisoned") = cuts.iter().rev().copied().collect();
    }

    /// Until it is called again, so many bytes pass on a connection in one direction, and then no more.
    pub(crate) fn hold_after(&self, bytes: u64) {
        self.hold.send_replace(bytes);
    }

    /// What has passed on the connections since the last call of [`Relay::take_passed`].
    pub(crate) fn passed(&self) -> Vec<u64> {
        self.passed.lock().expect("not poisoned").iter().map(|count| count.load(Ordering::SeqCst)).collect()
    }

    /// What passed on the connections since the last call, in order.
    pub(crate) fn take_passed(&self) -> Vec<u64> {
        self.passed.lock().expect("not poisoned").drain(..).map(|count| count.load(Ordering::SeqCst)).collect()
    }

    /// Leads elsewhere from now on.
    pub(crate) fn lead_to(&self, server: SocketAddr) {
        *self.target.lock().expect("not poisoned") = server;
    }

    /// Cuts every connection at hand.
    pub(crate) fn cut_all(&self) {
        self.cut_now.send_modify(|times| *times += 1);
    }

    /// The same user on a new connection.
    pub(crate) async fn client_again(&self, server: &TestServer) -> Client {
        let door = dial(&self.address.to_string().parse().expect("an endpoint"), &server.trust).await.expect("a door");
        let alice = "alice".parse().expect("a name");
        door.log_in(&alice, Password::new(PASSWORD), true).await.expect("logged in")
    }

    /// A client that comes through here and can come again.
    pub(crate) async fn client(&self, server: &TestServer) -> Client {
        server.register("alice").await.close().await.expect("closed");
        self.client_again(server).await
    }
}

async fn relay(near: TcpStream, far: TcpStream, count: Arc<AtomicU64>, cut: u64, hold: watch::Receiver<u64>) {
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = pump(near_in, far_out, &count, cut, hold.clone()) => {}
        () = pump(far_in, near_out, &count, cut, hold.clone()) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    count: &AtomicU64,
    cut: u64,
    mut hold: watch::Receiver<u64>,
) {
    let mut some = vec![0; 64 * 1024];
    let mut passed = 0;
    loop {
        if hold.wait_for(|hold| passed < *hold).await.is_err() {
            return;
        }
        match from.read(&mut some).await {
            Ok(0) => break,
            Ok(read) => {
                passed += read as u64;
                if count.fetch_add(read as u64, Ordering::SeqCst) + read as u64 > cut
                    || to.write_all(&some[..read]).await.is_err()
                {
                    return;
                }
            }
            Err(_) => return,
        }
    }
    // An end in one direction is told there, and is not one in the other.
    if to.shutdown().await.is_ok() {
        std::future::pending().await
    }
}
