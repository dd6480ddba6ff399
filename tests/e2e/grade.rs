//! The grader as a program: our own server and every client must pass it, and a wrong one must not.

use serde_json::Value;

use crate::fixture::{Program, ServerProcess};
use crate::toolchain;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netdisk-under-test");
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../clients");

#[test]
fn our_server_passes_every_case() {
    let program = Program::new();
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = ServerProcess::start(&program, data.path(), &["--plaintext"]);
    let report = program.run(&["lab", "grade", &server.address]);
    let text = String::from_utf8(report.stdout).expect("UTF-8");
    assert!(report.status.success() && text.ends_with("54 of 54 passed\n"), "{text}");
}

#[test]
fn a_server_that_is_none_fails_with_sentences_that_teach() {
    let program = Program::new();
    // The messenger speaks frames, too, and another protocol.
    let listening = crate::fixture::Listening::start(&program, &["lab", "messenger", "--listen", "127.0.0.1:0"]);
    let args = ["lab", "grade", &listening.address, "--level", "1", "--patience", "1"];
    let report = program.run(&args);
    assert_eq!(report.status.code(), Some(9), "{report:?}");
    let text = String::from_utf8(report.stdout).expect("UTF-8");
    assert!(text.contains("FAIL  header-split-1-3") && text.contains("learn: Even four bytes"), "{text}");
    let report = program.run(&[&args[..], &["--format", "json"]].concat());
    let json: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    assert_eq!((&json["passed"], &json["failed"]), (&Value::from(0), &Value::from(8)));
    let report = program.run(&[&args[..], &["--format", "junit"]].concat());
    assert!(String::from_utf8_lossy(&report.stdout).contains("<testsuites tests=\"8\" failures=\"8\">"), "{report:?}");
    program.fails(&["lab", "grade", &listening.address, "--case", "no-such-case"], 2);
    program.fails(&["lab", "grade"], 2);
}

#[track_caller]
fn passes(client: &str) {
    let report = Program::new().run(&["lab", "grade", "--client", client]);
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(report.status.success() && text.ends_with("20 of 20 passed\n"), "{client}: {text}");
}

#[test]
fn our_client_passes_every_case() {
    passes(PROGRAM);
}

#[test]
fn the_python_client_passes_every_case() {
    if toolchain::is_there("python3", "PYTHON") {
        passes(&format!("python3 {CLIENTS}/python/netdisk.py"));
    }
}

#[test]
fn a_client_that_does_nothing_passes_nothing_by_doing_nothing() {
    // One that always succeeds, one that always fails, one that is not there.
    for client in ["true", "false", "/no/such/client"] {
        let report = Program::new().run(&["lab", "grade", "--client", client]);
        assert_eq!(report.status.code(), Some(9));
        assert!(String::from_utf8_lossy(&report.stdout).ends_with("0 of 20 passed\n"), "{client}: {report:?}");
    }
}
