//! One large file over several connections at once.
//!
//! ```text
//!   file ──▶ Board: parts, in order ──▶ this connection ──▶ wire
//!              ▲         │ TakenPart ──▶ another one ─────▶ wire        dialled at once, as many as are allowed
//!              │         └─────────────▶ another one ─────▶ wire
//!              └─ given back: a connection was lost
//! ```
//!
//! One connection alone begins slowly and is held to what its send buffer takes in a round trip; several share that. Each
//! part has a digest of its own ([`netdisk_model::Parts`]), and all of them make that of the file. What is kept after a
//! cut is what is there without a gap. An attempt that made no progress is the last of its kind: the file then goes on over
//! one connection, where every byte counts.

mod board;
mod fetch;
mod get;
mod kept;
mod put;
mod send;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub(crate) use self::board::Board;
pub(crate) use self::fetch::{Fetched, fetch};
pub(crate) use self::get::SharedGet;
pub(crate) use self::kept::Kept;
pub(crate) use self::put::SharedPut;
pub(crate) use self::send::{Announced, Failed, finish, open, send};
use crate::client::Client;
use crate::error::ClientError;
use crate::redial::Another;
use crate::transfers::{CONNECTIONS, CONNECTIONS_MAX};

/// Files from this size on, in bytes, are worth another connection: below it one has done most of it before another
/// is there.
pub(crate) const SHARED_LEN_MIN: u64 = 8 * 1024 * 1024;

/// How long other connections are waited for when all is done: long enough to take their leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Before a lost connection that helps is dialled again; the others go on meanwhile.
const REDIAL_PAUSE: Duration = Duration::from_millis(250);

impl Client {
    /// Over how many connections [`crate::put`] and [`crate::get`] move a large file: this one, and others that log in by
    /// its token for as long as it takes. Without a number, over [`crate::CONNECTIONS`], or over this one alone where the
    /// server is near: one stream fills the line there, and others cost both ends a fifth more work. Without a token, or
    /// with a server that does not know how, over this one alone.
    ///
    /// ```no_run
    /// # fn example(client: &mut netdisk_client::Client) {
    /// client.use_connections(Some(4));
    /// # }
    /// ```
    pub fn use_connections(&mut self, connections: Option<usize>) {
        self.connections = connections;
    }

    /// How many connections one large file may use.
    pub(crate) fn connections(&self) -> usize {
        let fitting = if self.is_near { 1 } else { CONNECTIONS };
        self.connections.unwrap_or(fitting).min(CONNECTIONS_MAX)
    }

    /// Whether a file can go over several connections, once the user is let in: before, nobody knows.
    pub(crate) fn can_share(&self) -> bool {
        self.announced.parts && self.can_reconnect()
    }

    /// Whether it may be so.
    pub(crate) fn may_share(&self) -> bool {
        self.connections() > 1 && self.can_reconnect() && (self.announced.parts || !self.is_admitted())
    }
}

/// A file that several connections move.
#[async_trait]
pub(crate) trait Together: Send + Sync {
    /// Its parts.
    fn board(&self) -> &Arc<Board>;

    /// Moves parts over a connection until there are no more. An error ends the connection, and its parts are back by then.
    async fn work(&self, client: &mut Client) -> Result<(), ClientError>;

    /// The same over the connection that began: something may have been asked for over it already.
    async fn lead(&self, client: &mut Client) -> Result<(), ClientError> {
        self.work(client).await
    }
}

/// Moves a file over this connection and others, up to `connections` of them; tells how many bytes have moved. Where it
/// fails and `client` is out of step, it is given up.
pub(crate) async fn together<T: Together + 'static>(
    client: &mut Client,
    connections: usize,
    shared: &Arc<T>,
    tell: impl Fn(u64) + Sync,
) -> Result<(), ClientError> {
    let another = Arc::new(client.another());
    let mut others = JoinSet::new();
    for _ in 1..connections {
        others.spawn(help(another.clone(), shared.clone()));
    }
    let worked = watched(client, &**shared, tell).await;
    let leave = async { while others.join_next().await.is_some() {} };
    if timeout(LEAVE_TIMEOUT, leave).await.is_err() {
        others.shutdown().await;
    }
    worked
}

/// Moves a file over this connection; others may help. Where it fails, so do they. Tells how many bytes have moved.
pub(crate) async fn watched(
    client: &mut Client,
    shared: &dyn Together,
    tell: impl Fn(u64) + Sync,
) -> Result<(), ClientError> {
    let worked = tokio::select! {
        worked = alone(client, shared) => worked,
        () = shared.board().watch(&tell) => Ok(()),
    };
    if worked.is_ok() {
        tell(shared.board().contiguous_len());
    }
    worked
}

async fn alone(client: &mut Client, shared: &dyn Together) -> Result<(), ClientError> {
    let worked = shared.lead(client).await;
    if worked.is_err() {
        client.give_up();
    }
    shared.board().stop();
    match shared.board().take_failure() {
        Some(error) => Err(error),
        // Others have brought what this connection could not.
        None if shared.board().digest().is_some() => Ok(()),
        None => worked,
    }
}

/// Helps over a connection that is there already.
pub(crate) async fn help_with(client: &mut Client, shared: &dyn Together) -> Result<(), ClientError> {
    shared.work(client).await
}

/// Helps over another connection, as long as it gets anywhere.
async fn help<T: Together>(another: Arc<Another>, shared: Arc<T>) {
    let board = shared.board();
    loop {
        let before = board.contiguous();
        let work = async {
            // Refused, or not reached: then it goes on with those there are.
            let Ok(mut client) = another.dial().await else { return false };
            if help_with(&mut client, &*shared).await.is_err() {
                return true;
            }
            // All replies are in: how the server takes its leave changes nothing.
            drop(client.close().await);
            false
        };
        let is_lost = tokio::select! {
            is_lost = work => is_lost,
            // Also while it is still being dialled.
            () = board.over() => false,
        };
        if !is_lost || board.contiguous() == before {
            return;
        }
        sleep(REDIAL_PAUSE).await;
    }
}
