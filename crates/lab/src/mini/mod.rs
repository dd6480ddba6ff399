//! A small netdisk server in memory: the grader's partner for clients, and, with one flaw, a broken server to be found out.
//!
//! It keeps everything in memory and nothing on disk, knows no TLS and no resuming: never a server for anybody's files.

mod body;
mod session;
mod store;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{ACCEPT_BACKOFF, PROXY_CONNECTIONS_MAX};
use store::Store;

/// What a mini server does otherwise than others. The first half is allowed, and a client must bear it; of the second
/// half each is one mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    /// Allowed: writes one byte at a time.
    Drips,
    /// Allowed: writes the first byte of a header, and then the rest.
    SplitsHeaders,
    /// Allowed: writes all that is due in one call.
    Merges,
    /// Allowed: sends a heartbeat before every frame.
    Heartbeats,
    /// Allowed: adds fields that nobody knows.
    AddsFields,
    /// Allowed: sends file bytes in frames of seven, and some with none.
    SmallDataFrames,
    /// Allowed: refuses every upload in the middle of its body.
    AbortsUploads,
    /// Allowed: breaks every download off with an abort.
    AbortsDownloads,
    /// Allowed: refuses with a code that is not in the list.
    UnknownFaults,
    /// Allowed: a list comes in many small messages.
    SmallListings,
    /// Wrong: a download ends with the digest of something else.
    LiesAboutDigests,
    /// Wrong: closes in the middle of a download.
    CutsDownloads,
    /// Wrong: announces a frame of 2^32-1 bytes in place of a reply.
    AnnouncesHugeFrames,
    /// Wrong: answers with bytes that are no frame.
    AnswersGarbage,
    /// Wrong: answers another request than the one asked.
    AnswersOthers,
    /// Wrong: a listing ends with a count that is not right.
    Miscounts,
    /// Wrong: reads a header with one read.
    ReadsHeaderOnce,
    /// Wrong: takes a heartbeat between requests for an error.
    FearsHeartbeats,
    /// Wrong: takes a heartbeat in a body for an error.
    FearsHeartbeatsInBodies,
    /// Wrong: reads the length as a signed number, and a negative one as 0.
    SignedLength,
    /// Wrong: lets strangers send as much as users.
    TrustsStrangers,
    /// Wrong: refuses file bytes of exactly the limit.
    LimitOffByOne,
    /// Wrong: dies of deep JSON without a word.
    DiesOfDeepJson,
    /// Wrong: stores what came when the connection is cut in a body.
    StoresHalves,
    /// Wrong: answers nothing to an aborted upload.
    SilentAfterAbort,
    /// Wrong: stores without a look at the digest.
    IgnoresDigests,
    /// Wrong: keeps ids in 32 bits.
    IdsIn32Bits,
    /// Wrong: gives out after 500 requests on one connection.
    Tires,
    /// Wrong: leaves as soon as the client has said all, and owes the answers.
    LeavesAtHalfClose,
    /// Wrong: closes the connection at a bad path.
    CutsAtBadPaths,
    /// Wrong: says whether a user exists.
    TellsUsersApart,
    /// Wrong: gives up whoever does not read at once.
    Impatient,
}

/// A listening mini server.
#[derive(Debug)]
pub struct MiniServer {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    store: Store,
    quirk: Option<Quirk>,
}

impl Shared {
    fn has(&self, quirk: Quirk) -> bool {
        self.quirk == Some(quirk)
    }
}

/// A look into a mini server's store, for whoever started it.
#[derive(Debug, Clone)]
pub struct MiniStore(Arc<Shared>);

impl MiniStore {
    /// Makes an account with a file or more in it.
    pub fn add(&self, user: &str, password: &str, files: &[(&str, &[u8])]) {
        self.0.store.add(user, password, files);
    }

    /// The content of a user's file.
    pub fn read(&self, user: &str, path: &str) -> Option<Vec<u8>> {
        self.0.store.read(user, path)
    }
}

impl MiniServer {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// When the system gives no socket.
    pub async fn bind(quirk: Option<Quirk>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Ok(Self { listener, shared: Arc::new(Shared { store: Store::default(), quirk }) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Its store.
    pub fn store(&self) -> MiniStore {
        MiniStore(self.shared.clone())
    }

    /// Serves until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let permits = Arc::new(Semaphore::new(PROXY_CONNECTIONS_MAX));
        loop {
            let Ok(permit) = permits.clone().acquire_owned().await else { break };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                sleep(ACCEPT_BACKOFF).await;
                continue;
            };
            let (shared, stop) = (self.shared.clone(), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = session::serve(stream, &shared) => {}
                }
                drop(permit);
            });
        }
        tasks.close();
        tasks.wait().await;
    }
}
