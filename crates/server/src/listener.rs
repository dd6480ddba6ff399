//! The listener: accepts, takes a permit, spawns; and stops.
//!
//! ```text
//!   stop asked ──▶ no more accepts; idle sessions told and closed; bodies go on
//!     + GRACE ───▶ bodies aborted and rolled back, their senders told
//!     + ROLLBACK_GRACE ──▶ what is left is dropped: nothing of it was acknowledged
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use netdisk_protocol::limits::TLS_BUFFER_LEN;
use netdisk_protocol::{Connection, ConnectionError, Fault, FaultCode, Gulp, Numbered, Reply, Stop};
use netdisk_storage::Accounts;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gate::{Gate, Network, Place, StrangersPlace};
use crate::handshake::handshake;
use crate::limiter::Limiter;
use crate::limits::{
    ACCEPT_BACKOFF, FAREWELL_TIMEOUT, GRACE, HELLO_TIMEOUT, Limits, MAINTENANCE_INTERVAL, ROLLBACK_GRACE, TLS_TIMEOUT,
};
use crate::parts::OpenUploads;
use crate::socket::prepare;
use crate::tls::Identity;

/// Whether strangers may make accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anybody who reaches the server.
    Open,
    /// Who has an invitation.
    Invited,
    /// Nobody.
    Closed,
}

/// What all connections share.
#[derive(Debug)]
pub struct Server {
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) registration: Registration,
    pub(crate) gate: Gate,
    pub(crate) limiter: Limiter,
    /// Uploads in parts that sessions have opened.
    pub(crate) open: Arc<OpenUploads>,
    identity: Option<Identity>,
    /// No new requests.
    stopping: CancellationToken,
    /// Bodies under way end, too.
    aborting: CancellationToken,
    /// Whatever is left is dropped.
    dropping: CancellationToken,
}

impl Server {
    /// A server over `accounts`. Without an identity it speaks plaintext.
    pub fn new(accounts: Arc<dyn Accounts>, identity: Option<Identity>, registration: Registration) -> Self {
        Self {
            accounts,
            registration,
            gate: Gate::new(&Limits::default()),
            limiter: Limiter::new(),
            open: Arc::default(),
            identity,
            stopping: CancellationToken::new(),
            aborting: CancellationToken::new(),
            dropping: CancellationToken::new(),
        }
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: &Limits) -> Self {
        self.gate = Gate::new(limits);
        self
    }

    /// Serves the connections of `listener` until `shutdown` is cancelled and all of them have ended or been dropped.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let server = Arc::new(self);
        let tasks = TaskTracker::new();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = maintain(&*server.accounts) => {}
            () = accept_all(&server, &listener, &tasks) => {}
        }
        drop(listener);
        server.stop(&tasks).await;
    }

    /// Serves one connection over a stream that somebody else accepted, without TLS: a tunnel, a pipe, a test.
    ///
    /// # Errors
    /// Why the connection ended, unless the peer just left.
    pub async fn serve_stream<S: AsyncRead + AsyncWrite + Send>(
        &self,
        stream: S,
        peer: SocketAddr,
    ) -> Result<(), ConnectionError> {
        let Some(room) = self.gate.room().await else { return Ok(()) };
        let Some((place, stranger)) = self.gate.admit(room, Network::of(peer.ip())) else { return Ok(()) };
        let served = serve(self, stream, peer, stranger).await;
        drop(place);
        served
    }

    async fn stop(&self, tasks: &TaskTracker) {
        tracing::info!(connections = tasks.len(), "stopping");
        tasks.close();
        self.stopping.cancel();
        if timeout(GRACE, tasks.wait()).await.is_err() {
            self.aborting.cancel();
            if timeout(ROLLBACK_GRACE, tasks.wait()).await.is_err() {
                tracing::warn!(connections = tasks.len(), "dropped at the end of the grace time");
                self.dropping.cancel();
                tasks.wait().await;
            }
        }
        tracing::info!("stopped");
    }

    /// Waits for the next message of a peer from whom one is due; when the server stops first, tells the peer and gives
    /// `None`, as for a peer that left.
    pub(crate) async fn recv<T: DeserializeOwned, S: AsyncRead + AsyncWrite>(
        &self,
        connection: &mut Connection<S>,
    ) -> Result<Option<T>, ConnectionError> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => {
                let fault = Fault::new(FaultCode::ShuttingDown, FaultCode::ShuttingDown.meaning());
                connection.send(&Numbered::new(0, Reply::Fault(fault))).await?;
                Ok(None)
            }
            message = connection.recv() => message,
        }
    }

    /// Waits until the server stops. Cancel safe.
    pub(crate) async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// What ends the bodies of sessions.
    pub(crate) fn stop_bodies(&self) -> Stop {
        Stop::new(self.aborting.clone(), FaultCode::ShuttingDown)
    }
}

/// Puts the store in order for ever: at the start, beside the first connections, and now and then.
async fn maintain(accounts: &dyn Accounts) {
    loop {
        accounts.maintain().await;
        sleep(MAINTENANCE_INTERVAL).await;
    }
}

/// Accepts for ever. An accept that fails concerns one stranger, or passes: it never ends the server.
async fn accept_all(server: &Arc<Server>, listener: &TcpListener, tasks: &TaskTracker) {
    let mut failing = false;
    loop {
        let Some(room) = server.gate.room().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                failing = false;
                match server.gate.admit(room, Network::of(peer.ip())) {
                    Some((place, stranger)) => {
                        tasks.spawn(connection_task(server.clone(), stream, peer, place, stranger));
                    }
                    // No word to it, and no TLS: whoever floods must not cost more than the accept.
                    None => tracing::debug!(%peer, "turned away: too many connections of its network"),
                }
            }
            Err(error) => {
                // Once, and not ten times a second for as long as it lasts.
                if !failing {
                    tracing::warn!(%error, "accept failed; trying on");
                }
                failing = true;
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn connection_task(
    server: Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    stranger: StrangersPlace,
) {
    let served = tokio::select! {
        biased;
        () = server.dropping.cancelled() => Ok(()),
        served = connect(&server, stream, peer, stranger) => served,
    };
    if let Err(error) = served {
        tracing::info!(%peer, %error, "connection ended");
    }
    drop(place);
}

/// Does TLS, where there is an identity, under a deadline; then serves.
async fn connect(
    server: &Server,
    stream: TcpStream,
    peer: SocketAddr,
    stranger: StrangersPlace,
) -> Result<(), ConnectionError> {
    prepare(&stream)?;
    match &server.identity {
        None => serve(server, stream, peer, stranger).await,
        Some(identity) => {
            let accepted = tokio::select! {
                () = server.stopping.cancelled() => return Ok(()),
                accepted = timeout(TLS_TIMEOUT, identity.acceptor().accept(Gulp::new(stream))) => accepted,
            };
            let mut stream = accepted.map_err(|_| ConnectionError::TimedOut(TLS_TIMEOUT))??;
            stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_LEN));
            serve(server, stream, peer, stranger).await
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Send>(
    server: &Server,
    stream: S,
    peer: SocketAddr,
    stranger: StrangersPlace,
) -> Result<(), ConnectionError> {
    let mut connection = Connection::new(stream, HELLO_TIMEOUT);
    let served = async {
        match handshake(server, &mut connection, peer).await? {
            Some((session, place)) => {
                drop(stranger);
                let served = session.serve(server, &mut connection).await;
                drop(place);
                served
            }
            None => Ok(()),
        }
    }
    .await;
    match served.as_ref().err().map(ConnectionError::as_fault) {
        // It may have been sent more than it waited to read: behind a hello of another version, or the fifth refusal.
        None => connection.close_on_talker().await?,
        Some(fault) => {
            connection.set_deadline(FAREWELL_TIMEOUT);
            // The peer broke the protocol or fell silent: it is told if it still listens.
            let farewell = async {
                if let Some(fault) = fault {
                    connection.send(&Numbered::new(0, Reply::Fault(fault))).await?;
                }
                connection.close_on_talker().await
            };
            // How it goes does not change why the connection ends.
            drop(farewell.await);
        }
    }
    served
}

#[cfg(test)]
mod tests {
    use netdisk_protocol::Greeting;
    use netdisk_storage::MemoryStore;
    use tokio::io::{AsyncWriteExt, duplex, split};

    use super::*;

    /// Time is paused: the clock jumps from wait to wait.
    #[tokio::test(start_paused = true)]
    async fn who_sends_ahead_is_read_to_its_end_though_nobody_answers() {
        let server = Server::new(Arc::new(MemoryStore::new()), None, Registration::Open);
        // A pipe that is full of what nobody has read.
        let (near, far) = duplex(256);
        let peer: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        let room = server.gate.room().await.expect("room");
        let (_place, stranger) = server.gate.admit(room, Network::of(peer.ip())).expect("a place");
        let hello = Greeting::Hello { version: 0, software: "old".to_owned(), limits: None, features: Vec::new() };
        let hello = serde_json::to_vec(&hello).expect("JSON");
        let ahead = [&u32::try_from(hello.len()).expect("short").to_be_bytes()[..], &hello, &[7; 100_000]].concat();
        let (mut incoming, mut outgoing) = split(near);
        let (served, sent, heard) = tokio::join!(
            serve(&server, far, peer, stranger),
            async {
                outgoing.write_all(&ahead).await?;
                outgoing.shutdown().await
            },
            async {
                let mut heard = Vec::new();
                tokio::io::AsyncReadExt::read_to_end(&mut incoming, &mut heard).await.map(|_| heard)
            },
        );
        served.expect("a proper end");
        sent.expect("all of it was taken");
        let heard = String::from_utf8_lossy(&heard.expect("no error")[4..]).into_owned();
        assert!(heard.contains("unsupported_version"), "{heard}");
    }
}
