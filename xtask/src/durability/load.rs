//! What the writers of one round share: where the server is, and the instant of the blow.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use netdisk_client::{Endpoint, Trust};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::server::Server;

/// Rounds in which nothing is acknowledged for so long end anyway, and are found out by that.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Load {
    pub(super) endpoint: Endpoint,
    pub(super) trust: Trust,
    /// The server is gone: trying again is no use.
    pub(super) gone: CancellationToken,
    /// From here on a refusal is no surprise.
    blow: AtomicBool,
    acknowledged: AtomicU64,
    enough: u64,
    reached: Notify,
    pub(super) resumed: AtomicU64,
    /// Uploads of which nothing travelled.
    pub(super) reused: AtomicU64,
}

/// When the blow falls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instant {
    /// After a time, whatever is going on.
    After(Duration),
    /// At an acknowledgement: what is not on disk by then is late.
    AtAcknowledgement(u64),
}

impl Instant {
    pub(super) fn random(rng: &mut Rng) -> Self {
        match rng.bool() {
            true => Self::After(Duration::from_micros(rng.u64(5_000..250_000))),
            false => Self::AtAcknowledgement(rng.u64(1..80)),
        }
    }
}

impl Load {
    pub(super) fn new(server: &Server, instant: Instant) -> Self {
        let enough = match instant {
            Instant::After(_) => u64::MAX,
            Instant::AtAcknowledgement(number) => number,
        };
        Self {
            endpoint: server.endpoint.clone(),
            trust: server.trust,
            gone: CancellationToken::new(),
            blow: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            enough,
            reached: Notify::new(),
            resumed: AtomicU64::new(0),
            reused: AtomicU64::new(0),
        }
    }

    pub(super) fn acknowledge(&self) {
        if self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == self.enough {
            self.reached.notify_one();
        }
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits for the instant of the blow.
    pub(super) async fn wait(&self, instant: Instant) {
        match instant {
            Instant::After(delay) => tokio::time::sleep(delay).await,
            Instant::AtAcknowledgement(_) => drop(tokio::time::timeout(PATIENCE, self.reached.notified()).await),
        }
        self.blow.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_blow_fallen(&self) -> bool {
        self.blow.load(Ordering::SeqCst)
    }
}
