//! The log and the audit file: one event, one line, no secret.

use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::fixture::{Program, ServerProcess};

const CANARY: &str = "canary password 7f3a";

fn lines_of(folder: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let text: String = files.map(|file| std::fs::read_to_string(file).expect("text")).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn all_bytes_below(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        bytes.extend(if path.is_dir() { all_bytes_below(&path) } else { std::fs::read(&path).expect("readable") });
    }
    bytes
}

#[test]
fn every_event_is_one_json_line_and_no_secret_is_in_any() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut program = Program::new();
    let serve =
        ["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--data", data.path().to_str().expect("UTF-8")];
    let mut command = program.command(&serve);
    command.stderr(Stdio::piped());
    let mut server = ServerProcess::spawn_with_log(command, "trace");
    let mut stderr = server.take_stderr();
    let log = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    program.server = Some(server.address.clone());
    let run = |args: &[&str], password: &str| {
        let output = program.command(args).env("NETDISK_PASSWORD", password).output().expect("it runs");
        output.status.code()
    };
    assert_eq!(run(&["register", "alice", "--accept-new"], CANARY), Some(0));
    assert_eq!(run(&["login", "alice"], "a wrong password 9c1"), Some(4));
    assert_eq!(run(&["login", "nobody"], CANARY), Some(4));
    program.write("f", b"hello");
    for args in [&["put", "f"][..], &["cat", "f"], &["mkdir", "d"], &["rm", "f"], &["login", "alice"]] {
        assert_eq!(run(args, CANARY), Some(0), "{args:?}");
    }
    let logins = std::fs::read_to_string(program.path("config/logins.json")).expect("there");
    let logins: Value = serde_json::from_str(&logins).expect("JSON");
    let token = logins[&server.address]["kept"][0]["token"].as_str().expect("a token").to_owned();

    let audit = lines_of(&data.path().join("audit"));
    let has = |message: &str, user: &str| {
        audit.iter().any(|line| line["message"] == message && line["user"] == user && line["peer"].is_string())
    };
    for message in ["logged in", "not logged in", "stored", "sent", "made directory", "removed"] {
        assert!(has(message, "alice"), "{message}: {audit:?}");
    }
    assert!(has("not logged in", "nobody"));
    let mode = std::fs::metadata(data.path().join("audit")).expect("there").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o700);

    server.terminate();
    assert!(server.wait().success());
    let log = log.join().expect("no panic").expect("UTF-8");
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        // A field of an event that is called like one of the line would be there twice.
        for key in [r#""level":"#, r#""timestamp":"#, r#""message":"#] {
            assert!(line.matches(key).count() <= 1, "{line}");
        }
    }
    assert!(log.lines().count() >= audit.len());
    let mut everything = all_bytes_below(data.path());
    everything.extend(log.as_bytes());
    for secret in [CANARY, &token, "a wrong password 9c1"] {
        assert!(!everything.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{secret}");
    }
    // The search finds what is there.
    assert!(everything.windows(5).any(|bytes| bytes == b"alice"));
}
