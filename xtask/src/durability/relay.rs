//! A bad line: a relay on loopback that lets so many bytes of its first connection through and then fails.

use std::time::Duration;

use anyhow::Result;
use netdisk_client::Endpoint;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A transfer that does not come so far within this time is let go.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which direction fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToClient,
}

/// How it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Both ends see the connection end.
    End,
    /// Both ends see it reset; what is under way is destroyed.
    Reset,
    /// Nothing more comes through, and nobody is told.
    Stall,
}

/// What a relay does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fate {
    pub(super) direction: Direction,
    pub(super) after: u64,
    pub(super) failure: Failure,
}

/// Dropped, it ends.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) endpoint: Endpoint,
    /// Cancelled when it fails.
    pub(super) failed: CancellationToken,
    task: JoinHandle<()>,
}

impl Relay {
    pub(super) async fn start(server: &Endpoint, fate: Fate) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = listener.local_addr()?.to_string().parse()?;
        let failed = CancellationToken::new();
        let (server, token) = (server.to_string(), failed.clone());
        let task = tokio::spawn(async move {
            let relayed = async {
                let (client, _) = listener.accept().await?;
                // Nobody else is let in.
                drop(listener);
                relay(client, TcpStream::connect(server).await?, fate, &token).await
            };
            if let Err(error) = tokio::time::timeout(PATIENCE, relayed).await.unwrap_or_else(|late| Err(late.into())) {
                eprintln!("durability: the relay: {error}");
            }
            token.cancel();
        });
        Ok(Self { endpoint, failed, task })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    fate: Fate,
    failed: &CancellationToken,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let is_upwards = fate.direction == Direction::ToServer;
    let limit = |is_limited: bool| if is_limited { fate.after } else { u64::MAX };
    tokio::select! {
        reached = pass(from_client, to_server, limit(is_upwards)) => reached?,
        reached = pass(from_server, to_client, limit(!is_upwards)) => reached?,
    }
    if fate.failure == Failure::Stall {
        failed.cancel();
        std::future::pending::<()>().await;
    }
    if fate.failure == Failure::Reset {
        client.set_zero_linger()?;
        server.set_zero_linger()?;
    }
    Ok(())
}

/// Passes bytes on until there were `limit` of them, or an end.
async fn pass(from: ReadHalf<'_>, mut to: WriteHalf<'_>, limit: u64) -> std::io::Result<()> {
    copy(&mut from.take(limit), &mut to).await?;
    to.flush().await
}
