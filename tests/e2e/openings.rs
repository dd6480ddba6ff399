//! What a client sends without waiting for the answers to its hello and its login, in one piece, as raw bytes.

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::fixture::{PASSWORD, TestServer};
use crate::raw::{Raw, data, frame};

const HELLO: &str = r#"{"type":"hello","version":1,"software":"hasty"}"#;

fn message(message: &Value) -> Vec<u8> {
    frame(message.to_string().as_bytes())
}

fn login(id: u64, password: &str) -> Vec<u8> {
    message(&json!({"id": id, "type": "login", "user": "alice", "password": password}))
}

fn list(id: u64) -> Vec<u8> {
    message(&json!({"id": id, "type": "list", "path": "/"}))
}

fn hello() -> Vec<u8> {
    frame(HELLO.as_bytes())
}

/// More than a server that waits for a login has read ahead.
fn unread() -> Vec<u8> {
    data(&[7; 4000]).repeat(25)
}

/// What a client sends, and what it hears.
struct Case {
    name: &'static str,
    sent: Vec<u8>,
    replies: Vec<Value>,
    /// With which fault the server closes; otherwise the session goes on.
    closes_with: Option<&'static str>,
}

fn refused(id: u64) -> Value {
    json!({"id": id, "type": "fault", "code": "login_refused"})
}

fn cases() -> Vec<Case> {
    let greeting = json!({"type": "hello", "version": 1});
    let welcome = |id: u64| json!({"id": id, "type": "welcome", "user": "alice"});
    let end = |id: u64| json!({"id": id, "type": "end", "count": 0});
    let long = frame(&[b'{'; 4097]);
    vec![
        Case {
            name: "a good login and a request",
            sent: [hello(), login(1, PASSWORD), list(2)].concat(),
            replies: vec![greeting.clone(), welcome(1), end(2)],
            closes_with: None,
        },
        Case {
            name: "a request with a body",
            sent: [
                hello(),
                login(1, PASSWORD),
                message(&json!({"id": 2, "type": "upload", "path": "/none/f", "body": "now"})),
                data(b"hello"),
                crate::raw::end(2, b"hello"),
            ]
            .concat(),
            replies: vec![
                greeting.clone(),
                welcome(1),
                json!({"id": 2, "type": "abort", "code": "not_found"}),
                json!({"id": 2, "type": "fault", "code": "not_found"}),
            ],
            closes_with: None,
        },
        Case {
            name: "a refused login and a good one",
            sent: [hello(), login(1, "wrong horse"), login(2, PASSWORD), list(3)].concat(),
            replies: vec![greeting.clone(), refused(1), welcome(2), end(3)],
            closes_with: None,
        },
        Case {
            name: "a request behind a refused login",
            sent: [hello(), login(1, "wrong horse"), list(2), list(3)].concat(),
            replies: vec![greeting.clone(), refused(1)],
            closes_with: Some("bad_request"),
        },
        Case {
            name: "two wrong logins and a request",
            sent: [hello(), login(1, "wrong horse"), login(2, "wrong mule"), list(3)].concat(),
            replies: vec![greeting.clone(), refused(1), refused(2)],
            closes_with: Some("bad_request"),
        },
        Case {
            name: "a frame too long for a stranger behind a refused login",
            sent: [hello(), login(1, "wrong horse"), long.clone(), list(2)].concat(),
            replies: vec![greeting.clone(), refused(1)],
            closes_with: Some("bad_request"),
        },
        Case {
            name: "a frame too long for a stranger as a login",
            sent: [hello(), long, list(2)].concat(),
            replies: vec![greeting.clone()],
            closes_with: Some("bad_request"),
        },
        Case {
            name: "a request in place of a login",
            sent: [hello(), list(1), login(2, PASSWORD)].concat(),
            replies: vec![greeting],
            closes_with: Some("bad_request"),
        },
        Case {
            name: "a version that nobody speaks",
            sent: [frame(br#"{"type":"hello","version":0,"software":"old"}"#), login(1, PASSWORD), list(2), unread()]
                .concat(),
            replies: Vec::new(),
            closes_with: Some("unsupported_version"),
        },
    ]
}

/// Each field of `expected` stands in `reply`.
fn fits(reply: &Value, expected: &Value) -> bool {
    expected.as_object().expect("an object").iter().all(|(field, value)| reply.get(field) == Some(value))
}

async fn play<S: AsyncRead + AsyncWrite + Unpin>(case: &Case, mut raw: Raw<S>) {
    raw.write(&case.sent).await;
    for expected in &case.replies {
        let reply = raw.recv().await;
        assert!(fits(&reply, expected), "{}: {reply} in place of {expected}", case.name);
    }
    match case.closes_with {
        None => raw.assert_alive().await,
        // Though bytes lay unread: a reset would have destroyed it.
        Some(code) => raw.assert_closed_with(code).await,
    }
}

#[tokio::test]
async fn what_comes_behind_a_hello_is_answered_in_its_order() {
    let server = TestServer::plaintext().await;
    drop(server.register("alice").await);
    for case in cases() {
        play(&case, Raw::connect(&server).await).await;
    }
}

#[tokio::test]
async fn what_comes_behind_a_hello_inside_tls_is_answered_in_its_order() {
    let server = TestServer::tls().await;
    drop(server.register("alice").await);
    for case in cases() {
        play(&case, Raw::connect_inside_tls(&server).await).await;
    }
}

#[tokio::test]
async fn the_fifth_refusal_arrives_whatever_lies_behind_it() {
    let server = TestServer::plaintext().await;
    drop(server.register("alice").await);
    let mut raw = Raw::connect(&server).await;
    let logins: Vec<u8> = (1..=5).flat_map(|id| login(id, "wrong horse")).collect();
    raw.write(&[hello(), logins, list(6), unread()].concat()).await;
    assert!(fits(&raw.recv().await, &json!({"type": "hello"})));
    for id in 1..=5 {
        assert!(fits(&raw.recv().await, &refused(id)), "refusal {id}");
    }
    assert_eq!(raw.stream.read(&mut [0]).await.expect("no reset"), 0, "closed");
}
