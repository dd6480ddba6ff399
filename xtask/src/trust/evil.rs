//! P13: a server that says anything: the client writes nowhere but where it was told, overwrites nothing unasked, and
//! shows nothing that moves a terminal.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use netdisk_client::{GetTarget, OnExisting, PutSource, Trust, Unobserved, dial, get, put};
use netdisk_model::{Password, RemotePath};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::paths::hostile_path;
use super::peer::{Peer, data, end, frame};
use super::scene::{Effort, PASSWORD, Random, runtime};
use super::table::Row;
use super::trees;

/// What would take hold of a terminal, each followed by a word that is looked for.
const MARKS: &[&str] = &[
    "\u{1b}]0;pwned\u{7}",
    "\u{1b}[2Jpwned",
    "\u{9b}31mpwned",
    "\u{202e}pwned",
    "\rpwned",
    "\npwned",
    "\u{200b}pwned",
    "\u{8}pwned",
];

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let address = runtime.block_on(serve(effort.random("evil"), answers))?;
    let folder = tempfile::tempdir()?;
    let (sessions, library_failed) = runtime.block_on(library(address, folder.path(), effort.pick(1_000, 10_000)))?;
    let (runs, program_failed) = program(effort, address, folder.path(), effort.pick(100, 1_000))?;
    let (climbed, moved) = naive(&mut effort.random("evil"));
    let row = |what: &str, tried, failed, control, control_failed| Row {
        promise: "P13",
        what: what.to_owned(),
        tried,
        failed,
        figure: String::new(),
        control,
        control_failed,
    };
    Ok(vec![
        trees::probe(effort, &runtime)?,
        row(
            "sessions of the library with an evil server",
            sessions,
            library_failed,
            "a client that joins the server's names: climbed out",
            climbed,
        ),
        row(
            "commands of the program with an evil server, their output",
            runs,
            program_failed,
            "a client that prints as it is told",
            moved,
        ),
    ])
}

/// What an evil server says to a request.
pub(crate) type Answers = fn(&Value, &mut Random) -> Vec<Vec<u8>>;

/// Serves evil until the runtime goes down.
pub(crate) async fn serve(random: Random, answers: Answers) -> Result<SocketAddr> {
    let random = Arc::new(Mutex::new(random));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let random = random.clone();
            // A client that has had enough ends it.
            tokio::spawn(
                async move { drop(timeout(Duration::from_secs(20), session(stream, &random, answers)).await) },
            );
        }
    });
    Ok(address)
}

async fn session(stream: TcpStream, random: &Mutex<Random>, answers: Answers) -> Result<()> {
    let mut peer = Peer::over(stream);
    peer.recv().await?;
    let limits = json!({"message_len_max": 65536, "data_len_max": 262_144, "window": 32});
    peer.send(&json!({"type": "hello", "version": 1, "software": MARKS[0], "limits": limits})).await?;
    let login = peer.recv().await?;
    let welcome = match draw(random, |random| random.below(20)) {
        0 => json!({"id": login["id"], "type": "welcome", "user": draw(random, |random| random.pick(MARKS))}),
        1 => json!({"id": login["id"], "type": "fault", "code": "login_refused", "message": draw(random, text)}),
        _ => json!({"id": login["id"], "type": "welcome", "user": login["user"]}),
    };
    peer.send(&welcome).await?;
    loop {
        let payload = peer.recv_payload().await?;
        let Ok(request) = serde_json::from_slice::<Value>(&payload) else { continue };
        for bytes in draw(random, |random| answers(&request, random)) {
            peer.write(&bytes).await?;
        }
    }
}

fn draw<T>(random: &Mutex<Random>, with: impl FnOnce(&mut Random) -> T) -> T {
    with(&mut random.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Words that nobody should believe.
fn text(random: &mut Random) -> String {
    let mut text = String::from("it is ");
    for _ in 0..=random.below(4) {
        text.push_str(random.pick(MARKS));
    }
    if random.below(10) == 0 {
        text.push_str(&"long ".repeat(random.below(10_000)));
    }
    text
}

fn evil_path(random: &mut Random) -> String {
    match random.below(4) {
        0 => format!("/{}", text(random)),
        1 => "/wanted".to_owned(),
        2 => format!("/a{}b", random.pick(MARKS)),
        _ => hostile_path(random),
    }
}

fn entry(random: &mut Random) -> Value {
    let size = random.pick(&[0, 5, 5, 5, 1 << 40, u64::MAX]);
    let kind = random.pick(&["file", "file", "file", "directory", "other", "link"]);
    let modified = random.pick(&[0, i64::MAX, i64::MIN, 1_760_000_000_000]);
    json!({"path": evil_path(random), "kind": kind, "size": size, "modified": modified, "version": text(random), "mode": 0o4777})
}

/// What an evil server answers to a request: what is due, spoilt; or something else.
pub(crate) fn answers(request: &Value, random: &mut Random) -> Vec<Vec<u8>> {
    let message = |value: Value| frame(value.to_string().as_bytes());
    let id = if random.below(20) == 0 { json!(random.next() >> 20) } else { request["id"].clone() };
    let number = id.as_u64().unwrap_or(0);
    let honest = json!({"path": "/wanted", "kind": "file", "size": 5, "modified": 0, "version": "00000000000000ff"});
    match random.below(16) {
        0 => return vec![message(json!({"id": id, "type": "fault", "code": text(random), "message": text(random)}))],
        1 => return vec![message(json!({"id": 0, "type": "fault", "code": "not_found", "message": text(random)}))],
        2 => return vec![frame(&random.bytes(40))],
        3 => return vec![message(json!({"id": id, "type": text(random), "path": text(random)}))],
        4 => return vec![u32::MAX.to_be_bytes().to_vec(), vec![0; 4096]],
        _ => {}
    }
    let kind = request["type"].as_str().unwrap_or_default();
    match kind {
        "list" => {
            let entries: Vec<Value> = (0..random.below(9)).map(|_| entry(random)).collect();
            let count = if random.below(3) == 0 { random.next() >> 12 } else { entries.len() as u64 };
            let end = json!({"id": id, "type": "end", "count": count, "skipped": random.below(3)});
            vec![message(json!({"id": id, "type": "entries", "entries": entries})), message(end)]
        }
        "stat" => vec![message(json!({"id": id, "type": "entry", "entry": entry(random)}))],
        "whoami" => vec![message(json!({"id": id, "type": "account", "user": text(random)}))],
        "download" => {
            let entry = if random.below(3) == 0 { entry(random) } else { honest };
            let offset = random.pick(&[0, 0, 0, 3, u64::MAX >> 12]);
            let content = random.pick(&[&b"hello"[..], b"hell", b"hello and more", b"\x1b[2J"]).to_vec();
            let claimed = if random.below(3) == 0 { b"other".to_vec() } else { content.clone() };
            let last = match random.below(4) {
                0 => json!({"id": id, "type": "abort", "code": text(random), "message": text(random)}),
                _ => end(number, &claimed),
            };
            vec![
                message(json!({"id": id, "type": "ready", "offset": offset, "entry": entry})),
                data(&content),
                message(last),
            ]
        }
        "upload" => {
            let offset = random.pick(&[0, 0, 2, 9, u64::MAX >> 12]);
            let stored = json!({
                "id": id, "type": "stored", "size": 5, "digest": blake3::hash(b"other").to_hex().to_string(),
                "version": text(random),
            });
            vec![message(json!({"id": id, "type": "ready", "offset": offset})), message(stored)]
        }
        _ => vec![message(json!({"id": id, "type": "done"}))],
    }
}

/// What stands in a folder and below it: kind, mode and content.
pub(crate) fn snapshot(folder: &Path) -> Result<BTreeMap<PathBuf, (u32, Vec<u8>)>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let metadata = path.symlink_metadata()?;
            let mode = std::os::unix::fs::MetadataExt::mode(&metadata);
            let content = if metadata.is_file() { fs::read(&path)? } else { Vec::new() };
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path, (mode, content));
        }
    }
    Ok(found)
}

/// Sessions of the library; gives how many, and how often something stood where nothing should, or was not what it was.
async fn library(server: SocketAddr, folder: &Path, count: u64) -> Result<(u64, u64)> {
    let chosen = folder.join("chosen");
    fs::create_dir_all(&chosen)?;
    fs::write(chosen.join("kept"), "mine")?;
    fs::write(folder.join("beside"), "mine")?;
    let before = snapshot(folder)?;
    let mut failed = 0;
    for _ in 0..count {
        // Whatever they come to, they end, and leave nothing but what was asked for.
        failed += u64::from(timeout(Duration::from_secs(30), all_requests(server, &chosen)).await.is_err());
        let mut after = snapshot(folder)?;
        // What was asked for, or what has come of it and can be resumed.
        for name in ["wanted", "wanted.part"] {
            if let Some((mode, _)) = after.remove(&chosen.join(name)) {
                failed += u64::from(mode & 0o170_111 != 0o100_000);
                fs::remove_file(chosen.join(name))?;
            }
        }
        failed += u64::from(after != before);
    }
    Ok((count, failed))
}

async fn all_requests(server: SocketAddr, chosen: &Path) -> Result<()> {
    let door = dial(&server.to_string().parse()?, &Trust::Plaintext).await?;
    let mut client = door.log_in(&"alice".parse()?, Password::new(PASSWORD), false).await?;
    let wanted: RemotePath = "/wanted".parse()?;
    let cancel = CancellationToken::new();
    // Each may fail as it likes, as long as it ends; one that breaks the connection ends the rest.
    drop(client.list(&RemotePath::root(), true).await);
    drop(client.stat(&wanted).await);
    for name in ["wanted", "kept"] {
        let target = GetTarget::File(chosen.join(name));
        drop(get(&mut client, &wanted, target, OnExisting::Refuse, &Unobserved, &cancel).await);
    }
    let source = PutSource::Stream(Box::new(&b"hello"[..]));
    drop(put(&mut client, source, &wanted, OnExisting::Replace, &Unobserved, &cancel).await);
    drop(client.whoami().await);
    Ok(())
}

/// Commands of the program; gives how many, and how often their output, or the folder, was not as it should be.
fn program(effort: &Effort, server: SocketAddr, folder: &Path, count: u64) -> Result<(u64, u64)> {
    let work = folder.join("work");
    fs::create_dir_all(&work)?;
    fs::write(work.join("kept"), "mine")?;
    fs::write(work.join("f"), "hello")?;
    let commands: &[&[&str]] = &[
        &["ls", "-l"],
        &["ls", "-R"],
        &["get", "wanted"],
        &["get", "wanted", "kept"],
        &["get", "-r", "wanted"],
        &["stat", "wanted"],
        &["whoami"],
        &["put", "f"],
        &["mkdir", "d"],
        &["ls", "--json"],
        &["rm", "wanted"],
        &["mv", "wanted", "other"],
        &["login", "alice"],
    ];
    let mut failed = 0;
    for number in 0..count {
        let args = commands[usize::try_from(number)? % commands.len()];
        let mut command = Command::new(&effort.program);
        command.args(args).args(["--plaintext", "--user", "alice", "--server", &server.to_string()]);
        command.current_dir(&work).env("NETDISK_HOME", folder.join("config")).env("NETDISK_PASSWORD", PASSWORD);
        let output = command.stdin(Stdio::null()).output()?;
        let shown = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let panicked = output.status.code().is_none_or(|code| code == 101);
        if moves_a_terminal(&shown) || panicked {
            failed += 1;
            eprintln!("  {args:?}: {shown:?}");
        }
        // A tree, or a file.
        drop(fs::remove_dir_all(work.join("wanted")));
        drop(fs::remove_file(work.join("wanted")));
        let names = fs::read_dir(&work)?.count();
        failed += u64::from(names != 2 || fs::read(work.join("kept"))? != b"mine");
    }
    Ok((count, failed))
}

/// Whether a line begins with somebody else's word, or a character is none that a name may show.
fn moves_a_terminal(shown: &str) -> bool {
    let is_hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    shown.contains("\npwned") || shown.chars().any(|c| c != '\n' && c.is_control() || is_hidden(c))
}

/// The broken variant: joins what the server says to its folder, and prints it. How often it climbed out, how often it
/// would have moved a terminal.
fn naive(random: &mut Random) -> (u64, u64) {
    let (mut climbed, mut moved) = (0, 0);
    for _ in 0..1_000 {
        let path = evil_path(random);
        let joined = Path::new("chosen").join(path.trim_start_matches('/'));
        let depth = joined.components().try_fold(0_usize, |depth, component| match component {
            Component::ParentDir => depth.checked_sub(1),
            Component::CurDir => Some(depth),
            _ => Some(depth + 1),
        });
        climbed += u64::from(depth.is_none_or(|depth| depth == 0));
        moved += u64::from(moves_a_terminal(&path));
    }
    (climbed, moved)
}
