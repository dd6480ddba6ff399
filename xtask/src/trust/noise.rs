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

use super::peer::{Peer, address, connect, data, end, frame};
use super::scene::{Effort, InProcess, Random, runtime};
use super::spoilt::{Flaw, Spoilt};
use super::table::Row;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Sessions at once.
const AT_ONCE: usize = 16;

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {
        PANICS.fetch_add(1, Ordering::Relaxed);
    }));
    let outcome = attack(effort);
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
    let time = effort.pick(Duration::from_secs(15), Duration::from_secs(600));
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
        what: "spoilt sessions and JSON bombs".to_owned(),
        tried,
        failed: panics + unserved,
        figure: format!("{panics} panics, {:.0} sessions/s", tried as f64 / began.elapsed().as_secs_f64()),
        control: "a server that panics at one name",
        control_failed,
    }])
}

/// The bytes of a session that somebody spoilt.
fn spoilt(token: &str, random: &mut Random) -> Vec<u8> {
    let mut frames = session(token, random);
    for _ in 0..=random.below(3) {
        let at = random.below(frames.len());
        match random.below(6) {
            0 => frames.swap(at, 0),
            1 => drop(frames.remove(at)),
            2 => frames.insert(at, bomb(random)),
            3 => {
                let len = random.below(300);
                frames.insert(at, frame(&random.bytes(len)));
            }
            4 => {
                let len = random.below(60);
                frames[at] = random.bytes(len);
            }
            _ => frames.insert(at, u32::try_from(random.next() >> 40).unwrap_or(0).to_be_bytes().to_vec()),
        }
        if frames.is_empty() {
            break;
        }
    }
    let mut bytes = frames.concat();
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte = random.next() as u8;
        }
    }
    if random.below(3) == 0 {
        bytes.truncate(random.below(bytes.len() + 1));
    }
    bytes
}

fn session(token: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let message = |value: serde_json::Value| frame(value.to_string().as_bytes());
    let path = format!("/{}", random.below(20));
    let mut frames = vec![
        message(json!({"type": "hello", "version": 1, "software": "noise"})),
        message(json!({"id": 1, "type": "login", "user": "alice", "token": token})),
    ];
    for id in 2..8_u64 {
        match random.below(7) {
            0 => frames.push(message(json!({"id": id, "type": "list", "path": "/", "recursive": true}))),
            1 => frames.push(message(json!({"id": id, "type": "download", "path": path, "offset": random.below(9)}))),
            2 => frames.push(message(json!({"id": id, "type": "mkdir", "path": path, "parents": true}))),
            3 => frames.push(message(json!({"id": id, "type": "remove", "path": path, "recursive": true}))),
            4 => frames.push(message(json!({"id": id, "type": "rename", "from": path, "to": "/x", "replace": true}))),
            5 => frames.push(message(json!({"id": id, "type": "abort", "code": "cancelled", "message": ""}))),
            _ => frames.extend([
                message(json!({"id": id, "type": "upload", "path": path, "size": 5, "body": "now"})),
                data(b"hel"),
                Vec::from([0; 4]),
                data(b"lo"),
                message(end(id, b"hello")),
            ]),
        }
    }
    frames
}

/// JSON that is more than it seems.
fn bomb(random: &mut Random) -> Vec<u8> {
    let depth = random.below(30_000);
    let payload = match random.below(6) {
        0 => format!(r#"{{"id":2,"type":"stat","path":{}"#, "[".repeat(depth)),
        1 => format!(r#"{{"a":{}"#, r#"{"a":"#.repeat(depth / 6)),
        2 => format!(r#"{{"id":{},"type":"whoami"}}"#, "9".repeat(random.below(400))),
        3 => format!(r#"{{"id":1e{},"type":"list","path":"/"}}"#, random.below(400)),
        4 => format!(r#"{{"id":2,{}"type":"whoami"}}"#, r#""id":2,"#.repeat(depth / 8)),
        _ => format!(r#"{{"id":2,"type":"stat","path":"{}"}}"#, r"\ud800".repeat(depth / 6)),
    };
    frame(payload.as_bytes())
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
