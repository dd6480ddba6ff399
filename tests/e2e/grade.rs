//! The grader as a program: our own server and every client must pass it, and a wrong one must not.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;

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
    assert!(report.status.success() && text.ends_with("55 of 55 passed\n"), "{text}");
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
    // One that always succeeds, one that always fails, one that is not there, one that never stops talking.
    for client in ["true", "false", "/no/such/client", "yes"] {
        let report = Program::new().run(&["lab", "grade", "--client", client]);
        assert_eq!(report.status.code(), Some(9));
        assert!(String::from_utf8_lossy(&report.stdout).ends_with("0 of 20 passed\n"), "{client}: {report:?}");
    }
}

/// A server that says the same to everybody and then this without an end; gives its address.
fn droning(begin: Vec<u8>, again: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (begin, again) = (begin.clone(), again.clone());
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut said = stream.write_all(&begin);
                while said.is_ok() {
                    said = if again.is_empty() {
                        stream.read_to_end(&mut Vec::new()).and(Err(ErrorKind::Other.into()))
                    } else {
                        stream.write_all(&again)
                    };
                }
            });
        }
    });
    address
}

fn frames(payloads: &[&[u8]]) -> Vec<u8> {
    let frame = |payload: &&[u8]| [&u32::try_from(payload.len()).expect("short").to_be_bytes(), *payload].concat();
    payloads.iter().flat_map(frame).collect()
}

#[test]
fn a_server_that_says_nonsense_without_an_end_fails_in_bounds() {
    let hello = |window: &str| {
        format!(
            r#"{{"type":"hello","version":1,"limits":{{"message_len_max":65536,"data_len_max":262144,"window":{window}}}}}"#
        )
    };
    let welcome = br#"{"id":1,"type":"welcome","user":"x"}"#;
    let case = |name: &str, address: &str| {
        let report = Program::new().run(&["lab", "grade", address, "--case", name]);
        assert_eq!(report.status.code(), Some(9), "{name}: {report:?}");
        String::from_utf8(report.stdout).expect("UTF-8")
    };
    // Nobody can be asked a thousand things by a window of nothing.
    let closed = droning(frames(&[hello("0").as_bytes(), welcome]), Vec::new());
    assert!(case("a-thousand-pipelined", &closed).contains("a window of at least 1"));
    let stored = br#"{"id":2,"type":"stored","size":0,"digest":"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"}"#;
    let (hello, ready) = (hello("1"), |id: u8| format!(r#"{{"id":{id},"type":"ready","offset":0}}"#).into_bytes());
    let begin = frames(&[hello.as_bytes(), welcome, &ready(2), stored, &ready(3)]);
    let body = droning(begin, frames(&[&[0; 200_000]]));
    assert!(case("empty-file", &body).contains("a body does not end"));
    let entries = format!(r#"{{"id":2,"type":"entries","entries":[{}]}}"#, vec![r#"{"path":"/x"}"#; 50].join(","));
    let listing = droning(frames(&[hello.as_bytes(), welcome]), frames(&[entries.as_bytes()]));
    assert!(case("listing-is-whole", &listing).contains("the listing does not end"));
}
