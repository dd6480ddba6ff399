//! The mangler as a proxy: stands between any client and any server and makes loopback behave like the worst network.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{ACCEPT_BACKOFF, CHUNK_LEN, DIAL_TIMEOUT, MERGE_PAUSE, PROXY_CONNECTIONS_MAX, PROXY_IDLE_TIMEOUT};
use crate::mangle::{Act, Mangler, Mischief};

/// What is done to which direction.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// From client to server.
    pub up: Vec<Mischief>,
    /// From server to client.
    pub down: Vec<Mischief>,
    /// Where random pieces come from; each connection has its own sequence.
    pub seed: u64,
}

/// A listening mangler.
#[derive(Debug)]
pub struct Proxy {
    listener: TcpListener,
    upstream: String,
    plan: Arc<Plan>,
}

impl Proxy {
    /// Listens, for whoever then wants to reach `upstream`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(listen: SocketAddr, upstream: impl Into<String>, plan: Plan) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        Ok(Self { listener, upstream: upstream.into(), plan: Arc::new(plan) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Relays connections until `stop` is cancelled; those under way are then cut. What happens to each is told to
    /// `note`.
    pub async fn run(self, stop: CancellationToken, note: impl Fn(String) + Send + Sync + 'static) {
        let tasks = TaskTracker::new();
        let permits = Arc::new(Semaphore::new(PROXY_CONNECTIONS_MAX));
        let note = Arc::new(note);
        let mut number = 0;
        loop {
            let Ok(permit) = permits.clone().acquire_owned().await else { break };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let client = match accepted {
                Ok((client, _)) => client,
                Err(error) => {
                    note(format!("accept failed: {error}"));
                    sleep(ACCEPT_BACKOFF).await;
                    continue;
                }
            };
            number += 1;
            let (plan, upstream, stop, note) = (self.plan.clone(), self.upstream.clone(), stop.clone(), note.clone());
            tasks.spawn(async move {
                let relayed = tokio::select! {
                    () = stop.cancelled() => Ok(()),
                    relayed = relay(client, &upstream, &plan, number) => relayed,
                };
                match relayed {
                    Ok(()) => note(format!("connection {number}: ended")),
                    Err(error) => note(format!("connection {number}: cut: {error}")),
                }
                drop(permit);
            });
        }
        tasks.close();
        tasks.wait().await;
    }
}

/// Relays both directions of one connection until both have ended. What ends one of them badly resets both.
async fn relay(mut client: TcpStream, upstream: &str, plan: &Plan, number: u64) -> io::Result<()> {
    let mut server = timeout(DIAL_TIMEOUT, TcpStream::connect(upstream)).await??;
    // Each piece is to be a segment of its own.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let up = Mangler::new(&plan.up, plan.seed.wrapping_add(number * 2));
    let down = Mangler::new(&plan.down, plan.seed.wrapping_add(number * 2 + 1));
    let (client_in, client_out) = client.split();
    let (server_in, server_out) = server.split();
    let relayed = tokio::try_join!(pump(client_in, server_out, up), pump(server_in, client_out, down));
    if let Err(error) = relayed {
        // With a linger time of zero, closing sends RST in place of FIN.
        client.set_zero_linger()?;
        server.set_zero_linger()?;
        return Err(error);
    }
    Ok(())
}

/// Relays one direction up to its end.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut mangler: Mangler) -> io::Result<()> {
    loop {
        let (bytes, is_end) = gather(&mut from, mangler.wanted_len()).await?;
        for act in mangler.mangle(bytes) {
            match act {
                Act::Pause(pause) => sleep(pause).await,
                Act::Reset => return Err(io::Error::other("a reset, as planned")),
                Act::Send(piece) => {
                    timeout(PROXY_IDLE_TIMEOUT, to.write_all(&piece)).await??;
                    // The other side gets a chance to read this piece alone.
                    tokio::task::yield_now().await;
                }
            }
        }
        if is_end {
            return to.shutdown().await;
        }
    }
}

/// Reads what comes; where more is wanted, goes on until so much is there, or the sender pauses or ends.
async fn gather(from: &mut ReadHalf<'_>, wanted_len: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = vec![0; CHUNK_LEN.max(wanted_len)];
    let mut len = timeout(PROXY_IDLE_TIMEOUT, from.read(&mut bytes)).await??;
    let mut is_end = len == 0;
    while !is_end && len < wanted_len {
        match timeout(MERGE_PAUSE, from.read(&mut bytes[len..])).await {
            Ok(count) => {
                let count = count?;
                len += count;
                is_end = count == 0;
            }
            Err(_) => break,
        }
    }
    bytes.truncate(len);
    Ok((bytes, is_end))
}
