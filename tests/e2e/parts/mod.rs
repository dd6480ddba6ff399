//! Large files over several connections, each behind a relay that cuts it where it is told to: [`down`], [`up`], and up as raw
//! bytes ([`wire`]).

mod down;
mod up;
mod wire;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use netdisk_client::{
    Client, ClientError, Destination, Existing, GetRoot, GetTarget, Observer, OnExisting, Outcome, Progress, Summary,
    Transfers, Unobserved, get,
};
use netdisk_model::PART_LEN;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::fixture::{TestServer, path};
use crate::relay::Relay;

/// More than it takes to be shared, and no whole number of parts.
pub(super) const SIZE: usize = 20_000_001;
/// Bytes that pass before the first of a file do: handshakes, logins.
pub(super) const OPENING: u64 = 10_000;
/// Room for what is neither file nor asked for again: handshakes, messages, records, parts under way.
pub(super) const OVERHEAD: u64 = 500_000;

pub(super) struct Scene {
    pub(super) server: TestServer,
    pub(super) relay: Relay,
    pub(super) client: Client,
    pub(super) folder: TempDir,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::behind(TestServer::tls().await).await
    }

    /// Of a server.
    pub(super) async fn behind(server: TestServer) -> Self {
        let relay = Relay::to(server.address).await;
        let client = relay.client(&server).await;
        let mut scene = Self { server, relay, client, folder: tempfile::tempdir().expect("a temporary directory") };
        scene.cut(&[]).await;
        scene
    }

    pub(super) fn local(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A connection that is cut, and the next ones with it, after so many bytes each.
    pub(super) async fn cut(&mut self, cuts: &[u64]) {
        self.relay.cut_next(cuts);
        self.client = self.relay.client_again(&self.server).await;
        self.client.use_connections(Some(4));
        self.relay.take_passed();
    }

    /// Puts a file on the server by hand, of which no digest is known.
    pub(super) fn lay(&self, bytes: &[u8]) {
        fs::write(self.server.files("alice").join("f"), bytes).expect("written");
    }

    pub(super) async fn try_get(
        &mut self,
        observer: &dyn Observer,
        cancel: &CancellationToken,
    ) -> Result<Outcome, ClientError> {
        let target = GetTarget::File(self.local("back"));
        get(&mut self.client, &path("/f"), target, OnExisting::Replace, observer, cancel).await
    }

    pub(super) async fn get(&mut self) -> Outcome {
        self.try_get(&Unobserved, &CancellationToken::new()).await.expect("fetched")
    }

    pub(super) async fn get_tree(&mut self) -> Summary {
        let destination = Destination::open(self.folder.path()).expect("a folder");
        let root = GetRoot { remote: path("/"), at: path("/tree"), is_tree: true };
        let transfers = Transfers::new(&mut self.client).connections(4).existing(Existing::Replace);
        transfers.get(destination, vec![root]).await.expect("no end of the connection")
    }

    #[track_caller]
    pub(super) fn assert_is_back(&self, bytes: &[u8]) {
        assert!(fs::read(self.local("back")).expect("there") == bytes, "byte for byte");
        assert_eq!(fs::read_dir(self.folder.path()).expect("there").count(), 1, "no part file is left");
    }
}

/// Notes how far it came, and that it never went back.
#[derive(Default)]
pub(super) struct Positions(pub(super) AtomicU64);

impl Observer for Positions {
    fn progress(&self, progress: Progress) {
        assert!(self.0.fetch_max(progress.position, Ordering::SeqCst) <= progress.position);
    }
}

/// Stops when half has come.
pub(super) struct CancelHalfWay(pub(super) CancellationToken);

impl Observer for CancelHalfWay {
    fn progress(&self, progress: Progress) {
        if progress.size.is_some_and(|size| progress.position > size / 2) {
            self.0.cancel();
        }
    }
}

/// What one connection alone may carry of a file, while others are waited for.
const SHARE: u64 = 3 * PART_LEN;

/// Moves a file that no connection can move alone: each is held after its share, until two have carried much of it.
pub(super) async fn with_others<T>(relay: &Relay, moving: impl Future<Output = T>) -> T {
    relay.hold_after(SHARE);
    let others = async {
        while relay.passed().iter().filter(|passed| **passed > 2 * PART_LEN).count() < 2 {
            tokio::task::yield_now().await;
        }
        relay.hold_after(u64::MAX);
    };
    tokio::join!(moving, others).0
}
