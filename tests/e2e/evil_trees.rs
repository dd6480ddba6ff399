//! Trees from a server that says anything: nothing leaves the folder, nothing is believed, and the client ends.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use netdisk_client::{Destination, Existing, GetRoot, Summary, Transfers, greet_over};
use netdisk_model::Password;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::fixture::{Program, path};
use crate::raw::{data, end, frame};

/// A server that answers `list` with these entries and each download with this.
struct Evil {
    entries: Vec<Value>,
    download: fn(id: u64, path: &str) -> Vec<u8>,
}

async fn recv(stream: &mut DuplexStream) -> Option<Value> {
    let len = stream.read_u32().await.ok()?;
    let mut payload = vec![0; len as usize];
    stream.read_exact(&mut payload).await.ok()?;
    serde_json::from_slice(&payload).ok()
}

impl Evil {
    async fn serve(self, mut stream: DuplexStream) -> Option<()> {
        let message = |value: Value| frame(value.to_string().as_bytes());
        recv(&mut stream).await?;
        let limits = json!({"message_len_max": 65536, "data_len_max": 262_144, "window": u32::MAX});
        let hello = json!({"type": "hello", "version": 1, "software": "evil", "limits": limits});
        stream.write_all(&message(hello)).await.ok()?;
        let login = recv(&mut stream).await?;
        stream.write_all(&message(json!({"id": login["id"], "type": "welcome", "user": "alice"}))).await.ok()?;
        loop {
            let request = recv(&mut stream).await?;
            let id = &request["id"];
            let answer = match request["type"].as_str()? {
                "list" => {
                    let entries = message(json!({"id": id, "type": "entries", "entries": self.entries}));
                    let end = message(json!({"id": id, "type": "end", "count": self.entries.len()}));
                    [entries, end].concat()
                }
                "download" => (self.download)(id.as_u64()?, request["path"].as_str()?),
                _ => message(json!({"id": id, "type": "fault", "code": "internal", "message": "no"})),
            };
            stream.write_all(&answer).await.ok()?;
        }
    }

    /// Fetches `/t` into a folder from it.
    async fn get(self, folder: &Path) -> Result<Summary, netdisk_client::ClientError> {
        let (near, far) = duplex(1 << 20);
        tokio::spawn(self.serve(far));
        let alice = "alice".parse().expect("a name");
        let door = greet_over(near).await.expect("greeted");
        let mut client = door.log_in(&alice, Password::new("correct horse"), false).await.expect("logged in");
        let destination = Destination::open(folder).expect("a folder");
        let root = GetRoot { remote: path("/t"), at: path("/t"), is_tree: true };
        Transfers::new(&mut client).existing(Existing::Replace).get(destination, vec![root]).await
    }
}

fn file(path: &str, size: u64) -> Value {
    json!({"path": path, "kind": "file", "size": size, "modified": 0, "version": "00000000000000ff"})
}

/// As an honest server would send it.
fn honest(id: u64, path: &str) -> Vec<u8> {
    let ready = json!({"id": id, "type": "ready", "offset": 0, "entry": file(path, 5)});
    [frame(ready.to_string().as_bytes()), data(b"hello"), end(id, b"hello")].concat()
}

/// A folder, and another beside it that must stay empty.
fn folders() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let all = tempfile::tempdir().expect("a temporary directory");
    let (chosen, outside) = (all.path().join("chosen"), all.path().join("outside"));
    fs::create_dir_all(&chosen).expect("made");
    fs::create_dir_all(&outside).expect("made");
    (all, chosen, outside)
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).expect("there").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_climb_or_were_not_asked_for_end_the_connection() {
    for name in [
        "/../outside/x",
        "/t/../../outside/x",
        "/t/./x",
        "/t//x",
        "/x",
        "/t",
        "/t/a\\..\\x",
        "/t/a\u{0}b",
        "t/x",
        "/tx",
    ] {
        let (all, chosen, outside) = folders();
        let evil = Evil { entries: vec![file("/t/good", 5), file(name, 5)], download: honest };
        assert!(evil.get(&chosen).await.is_err(), "{name:?}");
        assert_eq!((count(&chosen), count(&outside), count(all.path())), (0, 0, 2), "{name:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_the_way_lead_nowhere() {
    let (_all, chosen, outside) = folders();
    fs::create_dir(chosen.join("t")).expect("made");
    symlink(&outside, chosen.join("t/d")).expect("a link");
    symlink(outside.join("new"), chosen.join("t/f")).expect("a link");
    symlink(outside.join("new"), chosen.join("t/g.part")).expect("a link");
    let entries = vec![
        json!({"path": "/t/d", "kind": "directory", "size": 0, "modified": 0}),
        file("/t/d/x", 5),
        file("/t/d/e/x", 5),
        file("/t/f", 5),
        file("/t/g", 5),
        json!({"path": "/t/h", "kind": "other", "size": 0, "modified": 0}),
    ];
    let summary = Evil { entries, download: honest }.get(&chosen).await.expect("the connection lives");
    // The directory and what is in it; a link that is a file is replaced, as it was asked for, and not followed.
    assert_eq!((summary.files, summary.failed, summary.left_out), (2, 3, 1));
    assert_eq!(count(&outside), 0);
    assert_eq!(fs::read(chosen.join("t/f")).expect("a file now"), b"hello");
    assert!(chosen.join("t/f").symlink_metadata().expect("there").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_what_was_announced_never_get_a_name() {
    let downloads: [fn(u64, &str) -> Vec<u8>; 5] = [
        // Another content than its digest.
        |id, path| {
            let ready = json!({"id": id, "type": "ready", "offset": 0, "entry": file(path, 5)});
            [frame(ready.to_string().as_bytes()), data(b"hellO"), end(id, b"hello")].concat()
        },
        // Longer, and shorter, than was said.
        |id, path| {
            let ready = json!({"id": id, "type": "ready", "offset": 0, "entry": file(path, 4)});
            [frame(ready.to_string().as_bytes()), data(b"hello"), end(id, b"hello")].concat()
        },
        |id, path| {
            let ready = json!({"id": id, "type": "ready", "offset": 0, "entry": file(path, 6)});
            [frame(ready.to_string().as_bytes()), data(b"hello"), end(id, b"hello")].concat()
        },
        // Another file.
        |id, _| honest(id, "/t/other"),
        // From an offset that nobody asked for.
        |id, path| {
            let ready = json!({"id": id, "type": "ready", "offset": 3, "entry": file(path, 5)});
            [frame(ready.to_string().as_bytes()), data(b"lo"), end(id, b"hello")].concat()
        },
    ];
    for download in downloads {
        let (_all, chosen, _outside) = folders();
        let evil = Evil { entries: vec![file("/t/x", 5)], download };
        if let Ok(summary) = evil.get(&chosen).await {
            assert_eq!((summary.files, summary.failed), (0, 1));
        }
        assert!(!chosen.join("t/x").exists());
        assert!(count(&chosen.join("t")) == 0, "and no part file is left");
    }
}

/// As [`honest`], with frames of no bytes before, between and behind.
fn halting(id: u64, path: &str) -> Vec<u8> {
    let ready = json!({"id": id, "type": "ready", "offset": 0, "entry": file(path, 5)});
    let nothing = data(b"").repeat(1000);
    let parts = [&frame(ready.to_string().as_bytes()), &nothing, &data(b"hel"), &nothing, &data(b"lo"), &nothing];
    [parts.map(Vec::as_slice).concat(), end(id, b"hello")].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_no_bytes_change_nothing() {
    let (_all, chosen, _outside) = folders();
    let summary = Evil { entries: vec![file("/t/a", 5)], download: halting }.get(&chosen).await.expect("whole");
    assert_eq!((summary.files, summary.failed), (1, 0));
    assert_eq!(fs::read(chosen.join("t/a")).expect("there"), b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_fits_no_disk_is_not_begun() {
    let download = |id: u64, path: &str| {
        let ready = json!({"id": id, "type": "ready", "offset": 0, "entry": file(path, 1 << 52)});
        [frame(ready.to_string().as_bytes()), data(b"hello"), end(id, b"hello")].concat()
    };
    let (_all, chosen, _outside) = folders();
    let entries = vec![file("/t/x", 1 << 52), file("/t/y", 5)];
    // The body is refused; what comes of it then breaks the protocol or not, but nothing is written.
    drop(Evil { entries, download }.get(&chosen).await);
    assert!(!chosen.join("t/x").exists() && !chosen.join("t/x.part").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_twice_is_one_file() {
    let (_all, chosen, _outside) = folders();
    let entries = vec![file("/t/x", 5), file("/t/x", 5)];
    let summary = Arc::new(Evil { entries, download: honest }.get(&chosen).await.expect("the connection lives"));
    assert_eq!(summary.files + summary.failed, 2);
    assert_eq!(fs::read(chosen.join("t/x")).expect("there"), b"hello");
    assert_eq!(count(&chosen.join("t")), 1);
}

/// Names things in a directory without end.
fn endless(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().expect("a client");
    let recv = |stream: &mut std::net::TcpStream| -> Value {
        let mut len = [0; 4];
        stream.read_exact(&mut len).expect("a header");
        let mut payload = vec![0; u32::from_be_bytes(len) as usize];
        stream.read_exact(&mut payload).expect("a payload");
        serde_json::from_slice(&payload).expect("JSON")
    };
    let message = |value: Value| frame(value.to_string().as_bytes());
    recv(&mut stream);
    let hello = message(json!({"type": "hello", "version": 1, "software": "evil"}));
    stream.write_all(&hello).expect("taken");
    let login = recv(&mut stream);
    stream.write_all(&message(json!({"id": login["id"], "type": "welcome", "user": "alice"}))).expect("taken");
    let request = recv(&mut stream);
    let directory = request["path"].as_str().expect("a path");
    let entries: Vec<Value> = (0..15).map(|number| file(&format!("{directory}/{number}"), 1)).collect();
    let part = message(json!({"id": request["id"], "type": "entries", "entries": entries}));
    // Until the client has had enough.
    while stream.write_all(&part).is_ok() {}
}

#[test]
fn a_listing_without_end_comes_to_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut program = Program::new();
    program.server = Some(listener.local_addr().expect("an address").to_string());
    let serving = std::thread::spawn(move || endless(&listener));
    // Long paths, so that few of them are too many.
    let directory = format!("/{}", vec!["d".repeat(250); 15].join("/"));
    let refused = program.fails(&["ls", &directory, "--user", "alice", "--plaintext"], 1);
    assert!(refused.contains("a listing of more than 256 MiB"), "{refused}");
    serving.join().expect("no panic");
}
