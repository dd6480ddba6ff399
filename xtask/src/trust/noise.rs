//! P7: sessions that begin well and are spoilt somewhere, and bombs of JSON: no panic, and the next one is served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use netdisk_storage::MemoryStore;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::peer::{Peer, address, connect};
use super::scene::{Effort, InProcess, runtime};
use super::spoil::spoilt;
use super::spoilt::{Flaw, Spoilt};
use super::table::Row;
use super::volume;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Sessions at once.
const AT_ONCE: usize = 16;

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {
        PANICS.fetch_add(1, Ordering::Relaxed);
    }));
    let outcome = attack(effort).and_then(|mut rows| {
        rows.extend(volume::rows(effort, &PANICS)?);
        Ok(rows)
    });
    std::panic::set_hook(usual);
    outcome
}

fn attack(effort: &Effort) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let fragile = InProcess::start(&runtime, Spoilt::with(Arc::new(MemoryStore::new()), Flaw::Fragile))?;
    runtime.block_on(async {
        let mut peer = Peer::plaintext(fragile.address, address(1)).await?.greeted().await?;
        let request = json!({"id": 1, "type": "login", "user": "fragile", "password": "correct horse"});
        peer.send(&request).await?;
        peer.until_closed().await
    })?;
    let control_failed = PANICS.swap(0, Ordering::Relaxed);

    let server = InProcess::start(&runtime, Arc::new(MemoryStore::new()))?;
    let token = runtime.block_on(async {
        let mut peer = Peer::plaintext(server.address, address(1)).await?.greeted().await?;
        peer.enter("alice", None).await
    })?;
    let began = Instant::now();
    let time = effort.pick(Duration::from_secs(8), Duration::from_secs(120));
    let mut random = effort.random("noise");
    let (tried, unserved) = runtime.block_on(async {
        let (mut tried, mut unserved) = (0_u64, 0);
        while began.elapsed() < time {
            let sessions = (0..AT_ONCE).map(|_| spoilt(&token, &mut random)).collect::<Vec<_>>();
            // Each from another address, so that wrong tokens of others do not keep it out.
            let numbered = (tried as usize..).zip(sessions);
            let sent = numbered.map(|(number, bytes)| tokio::spawn(play(server.address, number, bytes)));
            for session in sent.collect::<Vec<_>>() {
                tried += 1;
                unserved += u64::from(!session.await.unwrap_or(false));
            }
        }
        // Who is honest is served as before.
        let mut peer = Peer::plaintext(server.address, address(1)).await?.greeted().await?;
        peer.enter("alice", Some(&token)).await?;
        anyhow::Ok((tried, unserved))
    })?;
    let panics = PANICS.load(Ordering::Relaxed);
    Ok(vec![Row {
        promise: "P7",
        what: "spoilt sessions and JSON bombs, over sockets".to_owned(),
        tried,
        failed: panics + unserved,
        figure: format!("{panics} panics, {:.0} sessions/s", tried as f64 / began.elapsed().as_secs_f64()),
        control: "a server that panics at one name",
        control_failed,
    }])
}

/// Sends bytes and waits for the server to be done with them; false when it never is.
async fn play(server: SocketAddr, number: usize, bytes: Vec<u8>) -> bool {
    let played = async {
        let Ok(mut stream) = connect(server, address(10 + number)).await else { return };
        // The server may have had enough.
        drop(stream.write_all(&bytes).await);
        drop(stream.shutdown().await);
        drop(stream.read_to_end(&mut Vec::new()).await);
    };
    timeout(Duration::from_secs(60), played).await.is_ok()
}
