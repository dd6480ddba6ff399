//! P5: hostile paths in every request; nothing outside the home is named, read, changed or noticed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::peer::{Peer, address, data, end};
use super::scene::{Effort, Random, ServerProcess, runtime};
use super::table::Row;

/// What stands outside the home; nobody may see it.
const CANARY: &[u8] = b"canary: this stands outside of every home";
/// Its length as a reply would tell it.
const CANARY_SIZE: u64 = CANARY.len() as u64;

const COMPONENTS: &[&str] = &[
    "..",
    "..",
    "..",
    ".",
    "",
    "outside",
    "canary",
    "dir",
    "homes",
    "alice",
    "files",
    "store",
    "netdisk.db",
    "identity",
    "key.pem",
    "link",
    "linkdir",
    "linkabs",
    "loop",
    "fifo",
    "d",
    "f",
    "~",
    "*",
    "%2e%2e",
    "%2f",
    "．．",
    "‥",
    "..\\",
    "\\",
    "..;",
    "\0",
    "..\0",
    "\n",
    "\u{1b}[2J",
    "\u{202e}",
    "CON",
    "nul ",
    "a\u{301}",
    "ﬁ",
    "proc",
    "self",
    "root",
    "etc",
    "passwd",
];

const SEPARATORS: &[&str] = &["/", "/", "/", "/", "//", "/./", "\\", "/../", ""];

/// Paths that would lead out, were they followed.
const WELL_AIMED: &[&str] = &[
    "link",
    "linkabs",
    "linkdir",
    "linkdir/canary",
    "linkdir/dir/canary",
    "linkdir/new",
    "link/x",
    "d/../linkdir/canary",
    "../../../../outside/canary",
    "d/../../../../../outside/canary",
    "fifo",
    "loop",
    "loop/x",
    "f/../linkabs",
];

/// The requests that take a path.
const REQUESTS: &[&str] =
    &["stat", "list", "tree", "mkdir", "remove", "from", "to", "copy", "copy to", "upload", "download"];

/// A path that somebody means ill with.
pub(crate) fn hostile_path(random: &mut Random) -> String {
    let mut path = String::new();
    if random.below(8) > 0 {
        path.push('/');
    }
    for _ in 0..=random.below(7) {
        path.push_str(random.pick(COMPONENTS));
        path.push_str(random.pick(SEPARATORS));
    }
    match random.below(12) {
        0 => path.push_str(&"x".repeat(random.below(5000))),
        1 => path = format!("/{}", "../".repeat(random.below(80))) + "outside/canary",
        3 | 4 => path = format!("/{}", random.pick(WELL_AIMED)),
        2 => path = "/d".repeat(random.below(90)),
        _ => {}
    }
    path
}

fn request(kind: &str, path: &str) -> Value {
    match kind {
        "tree" => json!({"type": "list", "path": path, "recursive": true}),
        "from" => json!({"type": "rename", "from": path, "to": "/f", "replace": true}),
        "to" => json!({"type": "rename", "from": "/f", "to": path, "replace": true}),
        "copy" => json!({"type": "copy", "from": path, "to": "/f", "replace": true}),
        "copy to" => json!({"type": "copy", "from": "/f", "to": path, "replace": true}),
        "upload" => json!({"type": "upload", "path": path, "body": "now"}),
        "mkdir" => json!({"type": "mkdir", "path": path, "parents": true}),
        kind => json!({"type": kind, "path": path}),
    }
}

/// Plants what leads out of a home: the administrator of the machine, or a bug, may have.
fn plant(home: &Path, outside: &Path) -> Result<()> {
    for (name, target) in [
        ("link", PathBuf::from("../../../../outside/canary")),
        ("linkabs", outside.join("canary")),
        ("linkdir", outside.to_owned()),
        ("loop", PathBuf::from("loop")),
    ] {
        let link = home.join(name);
        if link.symlink_metadata().is_err() {
            symlink(target, link)?;
        }
    }
    if home.join("fifo").symlink_metadata().is_err() {
        rustix::fs::mknodat(rustix::fs::CWD, home.join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)?;
    }
    if !home.join("d").is_dir() {
        drop(fs::remove_file(home.join("d")));
        fs::create_dir(home.join("d"))?;
    }
    fs::write(home.join("f"), b"inside")?;
    Ok(())
}

/// What stands outside of a home: names, contents, inodes and times.
fn snapshot(folder: &Path, into: &mut BTreeMap<PathBuf, (u64, i64, Vec<u8>)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = path.symlink_metadata()?;
        let content = if metadata.is_file() { fs::read(&path)? } else { Vec::new() };
        into.insert(path.clone(), (metadata.ino(), metadata.mtime_nsec(), content));
        if metadata.is_dir() {
            snapshot(&path, into)?;
        }
    }
    Ok(())
}

/// Whether a reply shows the canary, or that the server did not know what to say.
fn is_bad(payload: &[u8]) -> bool {
    if payload.windows(6).any(|bytes| bytes == b"canary" || bytes == &CANARY[8..14]) && payload.first() == Some(&0) {
        return true;
    }
    let Ok(message) = serde_json::from_slice::<Value>(payload) else { return false };
    let entries = message["entries"].as_array().cloned().unwrap_or_default();
    let shown = entries.iter().chain([&message["entry"]]).any(|entry| entry["size"] == CANARY_SIZE);
    shown || message["code"] == "internal"
}

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let server = effort.serve(&["--plaintext", "--registration", "open"])?;
    let outside = server.folder.path().join("outside");
    fs::create_dir_all(outside.join("dir"))?;
    fs::write(outside.join("canary"), CANARY)?;
    fs::write(outside.join("dir/canary"), CANARY)?;
    let paths = effort.pick(1_000, 10_000);
    let mut random = effort.random("paths");
    let (tried, failed, allowed) = runtime()?.block_on(attack(&server, &outside, paths, &mut random))?;
    let row = Row {
        promise: "P5",
        what: format!("{paths} hostile paths in each of {} requests", REQUESTS.len()),
        tried,
        failed,
        figure: format!("{allowed} were harmless and done"),
        control: "a server that joins strings",
        control_failed: naive(&outside, effort)?,
    };
    Ok(vec![row])
}

async fn attack(server: &ServerProcess, outside: &Path, paths: usize, random: &mut Random) -> Result<(u64, u64, u64)> {
    let mut alice = Peer::plaintext(server.address, address(1)).await?.greeted().await?;
    alice.enter("alice", None).await?;
    fs::write(server.files("alice").join("canary"), CANARY)?;
    let mut bob = Peer::plaintext(server.address, address(2)).await?.greeted().await?;
    let token = bob.enter("bob", None).await?;
    let home = server.files("bob");
    let mut before = BTreeMap::new();
    snapshot(outside, &mut before)?;
    snapshot(&server.files("alice"), &mut before)?;
    let (mut tried, mut failed, mut allowed) = (0, 0, 0);
    for _ in 0..paths {
        let path = hostile_path(random);
        plant(&home, outside)?;
        for kind in REQUESTS {
            tried += 1;
            match ask(&mut bob, kind, &path).await {
                Ok(payloads) => {
                    failed += u64::from(payloads.iter().any(|payload| is_bad(payload)));
                    let last: Value =
                        payloads.last().map_or(Value::Null, |last| serde_json::from_slice(last).unwrap_or_default());
                    allowed += u64::from(last["type"] != "fault");
                }
                // A path over the limit of a frame breaks the connection; nothing else may.
                Err(error) => {
                    failed += u64::from(path.len() < 4096);
                    if path.len() < 4096 {
                        eprintln!("  {kind} {path:?}: {error:#}");
                    }
                    bob = Peer::plaintext(server.address, address(2)).await?.greeted().await?;
                    bob.enter("bob", Some(&token)).await?;
                }
            }
        }
    }
    let mut after = BTreeMap::new();
    snapshot(outside, &mut after)?;
    snapshot(&server.files("alice"), &mut after)?;
    failed += u64::from(before != after);
    Ok((tried, failed, allowed))
}

async fn ask(peer: &mut Peer, kind: &str, path: &str) -> Result<Vec<Vec<u8>>> {
    let id = peer.send_request(request(kind, path)).await?;
    if kind == "upload" {
        peer.write(&data(b"x")).await?;
        peer.send(&end(id, b"x")).await?;
    }
    peer.recv_all(id, kind).await
}

/// The broken variant: the path behind the root, as strings. How many of the same paths show the canary.
fn naive(outside: &Path, effort: &Effort) -> Result<u64> {
    let root = outside.with_file_name("naive/a/b/c");
    fs::create_dir_all(&root)?;
    plant(&root, outside)?;
    let mut random = effort.random("paths");
    let shown = (0..1_000).filter(|_| {
        let path = hostile_path(&mut random);
        let file = format!("{}/{path}", root.display());
        !path.contains('\0') && !path.contains("fifo") && fs::read(file).is_ok_and(|content| content == CANARY)
    });
    Ok(shown.count() as u64)
}
