//! P5: a directory that is swapped for a link, and back, while requests go through it.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;
use tokio::task::JoinSet;

use super::peer::{Peer, address, data, end, frame};
use super::scene::{Effort, runtime};
use super::table::Row;

const CANARY: &[u8] = b"canary outside";

/// Requests on their way at once.
const WINDOW: usize = 32;

/// Sessions at once: one would wait for each of its own changes.
const SESSIONS: usize = 8;

/// How many times as long as planned it may take until it is enough.
const TIMES_MAX: u32 = 15;

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let server = effort.serve(&["--plaintext", "--registration", "open"])?;
    let outside = server.folder.path().join("outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("f"), CANARY)?;
    let runtime = runtime()?;
    let token = runtime.block_on(async {
        let mut bob = Peer::plaintext(server.address, address(1)).await?.greeted().await?;
        bob.enter("bob", None).await
    })?;
    let home = server.files("bob");
    let time = effort.pick(Duration::from_secs(5), Duration::from_secs(60));
    let enough = effort.pick(0, 1_000_000);
    let began = Instant::now();
    let (swaps, (tried, mut failed)) =
        while_swapped(&home, &outside, || runtime.block_on(hammer_all(server.address, &token, time, enough)))?;
    let took = began.elapsed();
    let names: Vec<_> =
        fs::read_dir(&outside)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
    failed += u64::from(names != ["f"] || fs::read(outside.join("f"))? != CANARY);

    let (_, control_failed) = while_swapped(&home, &outside, || Ok(canonicalizing(&home, Duration::from_secs(5))))?;
    Ok(vec![Row {
        promise: "P5",
        what: "requests through a directory that is swapped for a link".to_owned(),
        tried,
        failed,
        figure: format!("{swaps} swaps in {} s", took.as_secs()),
        control: "canonicalize, compare, open",
        control_failed,
    }])
}

/// Runs `work` while `d` in `home` is a directory and a link out of it by turns; gives how often it changed.
fn while_swapped<T>(home: &Path, outside: &Path, work: impl FnOnce() -> Result<T>) -> Result<(u64, T)> {
    let (directory, link) = (home.join("d"), home.join("other"));
    drop(fs::remove_file(&link));
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("f"), b"inside")?;
    symlink(outside, &link)?;
    let stop = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let mut swaps = 0;
            while !stop.load(Ordering::Relaxed) {
                if renameat_with(CWD, &directory, CWD, &link, RenameFlags::EXCHANGE).is_ok() {
                    swaps += 1;
                }
            }
            swaps
        });
        let outcome = work();
        stop.store(true, Ordering::Relaxed);
        (swapping.join().unwrap_or(0), outcome)
    });
    // As it was, for the next one.
    if directory.is_symlink() {
        renameat_with(CWD, &directory, CWD, &link, RenameFlags::EXCHANGE)?;
    }
    Ok((outcome.0, outcome.1?))
}

/// Sessions that send requests, for some time and until they are enough; gives how many, and how many showed what is
/// outside.
async fn hammer_all(server: SocketAddr, token: &str, time: Duration, enough: u64) -> Result<(u64, u64)> {
    let began = Instant::now();
    let tried = Arc::new(AtomicU64::new(0));
    let mut hammering = JoinSet::new();
    for _ in 0..SESSIONS {
        let mut peer = Peer::plaintext(server, address(1)).await?.greeted().await?;
        peer.enter("bob", Some(token)).await?;
        let tried = tried.clone();
        hammering.spawn(async move {
            let mut failed = 0;
            let mut id = 1000;
            let is_enough = || began.elapsed() >= time && tried.load(Ordering::Relaxed) >= enough;
            while !is_enough() && began.elapsed() < time * TIMES_MAX {
                failed += hammer(&mut peer, &mut id).await?;
                tried.fetch_add(WINDOW as u64, Ordering::Relaxed);
            }
            anyhow::Ok(failed)
        });
    }
    let mut failed = 0;
    while let Some(session) = hammering.join_next().await {
        failed += session??;
    }
    Ok((tried.load(Ordering::Relaxed), failed))
}

/// Sends requests, many at once; gives how many showed what is outside.
async fn hammer(peer: &mut Peer, next_id: &mut u64) -> Result<u64> {
    let mut failed = 0;
    let mut bytes = Vec::new();
    let first = *next_id;
    // Few that change something: each waits for the disk, and it is opening that is raced.
    let changes = first.is_multiple_of(4);
    for (id, number) in (first..).zip(0..WINDOW) {
        let request = match number {
            0 if changes => json!({"id": id, "type": "upload", "path": "/d/new", "body": "now"}),
            8 if changes => json!({"id": id, "type": "mkdir", "path": "/d/made"}),
            16 if changes => {
                json!({"id": id, "type": "rename", "from": "/d/new", "to": "/d/moved", "replace": true})
            }
            24 if changes => json!({"id": id, "type": "remove", "path": "/d/moved"}),
            28 if changes => json!({"id": id, "type": "remove", "path": "/d/made"}),
            4 | 12 | 20 => json!({"id": id, "type": "list", "path": "/d"}),
            _ if number % 2 == 1 => json!({"id": id, "type": "stat", "path": "/d/f"}),
            _ => json!({"id": id, "type": "download", "path": "/d/f"}),
        };
        bytes.extend(frame(request.to_string().as_bytes()));
        if request["type"] == "upload" {
            bytes.extend(data(b"x"));
            bytes.extend(frame(end(id, b"x").to_string().as_bytes()));
        }
        *next_id = id + 1;
    }
    // The next window begins at another remainder of four.
    *next_id += 1;
    peer.write(&bytes).await?;
    for (id, number) in (first..).zip(0..WINDOW) {
        let kind = if number == 0 && changes { "upload" } else { "other" };
        for payload in peer.recv_all(id, kind).await? {
            let text = String::from_utf8_lossy(&payload);
            failed += u64::from(text.contains("canary") || text.contains(&format!("\"size\":{}", CANARY.len())));
        }
    }
    Ok(failed)
}

/// The broken variant: how often it reads what is outside.
fn canonicalizing(home: &Path, time: Duration) -> u64 {
    let began = Instant::now();
    let mut read = 0;
    let Ok(home) = home.canonicalize() else { return 0 };
    while began.elapsed() < time {
        let path = home.join("d/f");
        let Ok(resolved) = path.canonicalize() else { continue };
        if !resolved.starts_with(&home) {
            continue;
        }
        let mut content = Vec::new();
        // It opens the name that it has checked, as such code does.
        let Ok(mut file) = File::open(&path) else { continue };
        if file.read_to_end(&mut content).is_ok() && content == CANARY {
            read += 1;
        }
    }
    read
}
