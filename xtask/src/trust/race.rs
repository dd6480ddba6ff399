//! P5: a directory that is swapped for a link, and back, while requests go through it.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use super::peer::{Peer, address, data, end, frame};
use super::scene::{Effort, runtime};
use super::table::Row;

const CANARY: &[u8] = b"canary outside";

/// Requests on their way at once.
const WINDOW: usize = 32;

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let server = effort.serve(&["--plaintext", "--registration", "open"])?;
    let outside = server.folder.path().join("outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("f"), CANARY)?;
    let runtime = runtime()?;
    let mut bob = runtime.block_on(async {
        let mut bob = Peer::plaintext(server.address, address(1)).await?.greeted().await?;
        bob.enter("bob", None).await?;
        anyhow::Ok(bob)
    })?;
    let home = server.files("bob");
    let time = effort.pick(Duration::from_secs(5), Duration::from_secs(60));
    let enough = effort.pick(0, 1_000_000);
    let began = Instant::now();
    let (swaps, (tried, mut failed)) =
        while_swapped(&home, &outside, || runtime.block_on(hammer(&mut bob, time, enough)))?;
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

/// Sends requests, many at once; gives how many, and how many showed what is outside.
async fn hammer(peer: &mut Peer, time: Duration, enough: u64) -> Result<(u64, u64)> {
    let began = Instant::now();
    let (mut tried, mut failed) = (0, 0);
    let mut id = 1000;
    while began.elapsed() < time || (tried < enough && began.elapsed() < time * 5) {
        let mut bytes = Vec::new();
        let first = id;
        for number in 0..WINDOW {
            let request = match number {
                0 => json!({"id": id, "type": "upload", "path": "/d/new", "body": "now"}),
                4 | 12 | 20 => json!({"id": id, "type": "list", "path": "/d"}),
                8 => json!({"id": id, "type": "mkdir", "path": "/d/made"}),
                16 => json!({"id": id, "type": "rename", "from": "/d/new", "to": "/d/moved", "replace": true}),
                24 => json!({"id": id, "type": "remove", "path": "/d/moved"}),
                28 => json!({"id": id, "type": "remove", "path": "/d/made"}),
                _ if number % 2 == 1 => json!({"id": id, "type": "stat", "path": "/d/f"}),
                _ => json!({"id": id, "type": "download", "path": "/d/f"}),
            };
            bytes.extend(frame(request.to_string().as_bytes()));
            if number == 0 {
                bytes.extend(data(b"x"));
                bytes.extend(frame(end(id, b"x").to_string().as_bytes()));
            }
            id += 1;
        }
        peer.write(&bytes).await?;
        for at in first..id {
            let kind = if at == first { "upload" } else { "other" };
            for payload in peer.recv_all(at, kind).await? {
                let text = String::from_utf8_lossy(&payload);
                failed += u64::from(text.contains("canary") || text.contains(&format!("\"size\":{}", CANARY.len())));
            }
            tried += 1;
        }
    }
    Ok((tried, failed))
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
