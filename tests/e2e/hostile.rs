//! Bad input in raw bytes: each gets a clear answer, and the server lives on.

use netdisk_server::Registration;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::TestServer;
use crate::raw::{Raw, data, frame};

#[tokio::test]
async fn bytes_that_are_no_frame_get_a_fault_and_the_server_lives() {
    let server = TestServer::plaintext().await;
    let deep = format!(r#"{{"type":"hello","x":{}"#, "[".repeat(4_000));
    let cases: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 64],
        4097_u32.to_be_bytes().to_vec(),
        frame(b"plain text"),
        frame(b"{not json"),
        frame(b"{}"),
        frame(br#"{"type":"list","id":1,"path":"/"}"#),
        frame(deep.as_bytes()),
        data(b"file bytes"),
        frame(&[b'{', 0xff, 0xfe, b'}']),
    ];
    for bytes in cases {
        let mut raw = Raw::connect(&server).await;
        raw.write(&bytes).await;
        raw.assert_closed_with("bad_request").await;
    }
    Raw::registered(&server, "alice").await.assert_alive().await;
    server.stop().await;
}

#[tokio::test]
async fn requests_that_are_none_end_a_session_with_a_fault() {
    let server = TestServer::plaintext().await;
    let long = format!(r#"{{"id":2,"type":"whoami","x":"{}"}}"#, "y".repeat(65_536));
    let cases: Vec<Vec<u8>> = vec![
        frame(br#"{"id":2,"type":"format_disk"}"#),
        frame(br#"{"id":2}"#),
        frame(br#"{"id":-2,"type":"whoami"}"#),
        frame(br#"{"id":0,"type":"whoami"}"#),
        frame(br#"{"id":9007199254740992,"type":"whoami"}"#),
        frame(br#"{"id":2,"type":"stat"}"#),
        frame(br#"{"id":2,"type":"register","user":"bob","password":"correct horse"}"#),
        frame(long.as_bytes()),
        262_146_u32.to_be_bytes().to_vec(),
        data(b"no body is due"),
        frame(b"\x01binary"),
    ];
    for (number, bytes) in cases.into_iter().enumerate() {
        let mut raw = Raw::registered(&server, &format!("user{number}")).await;
        raw.write(&bytes).await;
        raw.assert_closed_with("bad_request").await;
    }
}

#[tokio::test]
async fn bad_input_gets_a_fault_with_its_code_and_the_connection_lives() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    let refusals = [
        (json!({"type": "stat", "path": "/../etc/passwd"}), "bad_path"),
        (json!({"type": "list", "path": "../.."}), "bad_path"),
        (json!({"type": "download", "path": "//etc/passwd"}), "bad_path"),
        (json!({"type": "upload", "path": "/a/../b", "size": 1}), "bad_path"),
        (json!({"type": "rename", "from": "/a", "to": "/b\\c"}), "bad_path"),
        (json!({"type": "mkdir", "path": "/a\u{0}"}), "bad_path"),
        (json!({"type": "remove", "path": "/"}), "bad_path"),
        (json!({"type": "stat", "path": "/missing"}), "not_found"),
        (json!({"type": "download", "path": "/missing"}), "not_found"),
        (json!({"type": "upload", "path": "/missing/f", "size": 1}), "not_found"),
        (json!({"type": "download", "path": "/"}), "not_a_file"),
        (json!({"type": "mkdir", "path": "/"}), "exists"),
    ];
    for (id, (mut request, code)) in (2..).zip(refusals) {
        request["id"] = json!(id);
        raw.send(&request).await;
        let reply = raw.recv().await;
        assert_eq!(
            (&reply["id"], &reply["type"], &reply["code"]),
            (&json!(id), &json!("fault"), &json!(code)),
            "{request}"
        );
    }
    raw.assert_alive().await;
}

#[tokio::test]
async fn logins_are_refused_alike_and_only_so_often() {
    let server = TestServer::plaintext().await;
    drop(Raw::registered(&server, "alice").await);
    let mut raw = Raw::connect(&server).await;
    raw.send(&json!({"type": "hello", "version": 1, "software": "raw"})).await;
    raw.recv().await;
    let tries = [
        json!({"id": 7, "type": "login", "user": "alice", "password": "wrong horse"}),
        json!({"id": 7, "type": "login", "user": "nobody", "password": "wrong horse"}),
        json!({"id": 7, "type": "login", "user": "../alice", "password": "wrong horse"}),
        json!({"id": 7, "type": "login", "user": "alice", "token": "0000"}),
        json!({"id": 7, "type": "login", "user": "alice", "password": ""}),
    ];
    let mut answers = Vec::new();
    for attempt in &tries {
        raw.send(attempt).await;
        answers.push(raw.recv_payload().await);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "equal to the byte");
    assert!(String::from_utf8_lossy(&answers[0]).contains("login_refused"));
    assert_eq!(raw.stream.read(&mut [0]).await.expect("no reset"), 0, "closed after the fifth");
}

#[tokio::test]
async fn registration_says_what_is_wrong() {
    let server = TestServer::plaintext().await;
    drop(Raw::registered(&server, "alice").await);
    let mut raw = Raw::connect(&server).await;
    raw.send(&json!({"type": "hello", "version": 7, "software": "raw", "later": true})).await;
    assert_eq!(raw.recv().await["version"], 1, "the server answers with the version that holds");
    for (user, password, code) in [
        ("alice", "correct horse", "name_taken"),
        ("../bob", "correct horse", "bad_name"),
        ("bob", "short", "bad_password"),
    ] {
        raw.send(&json!({"id": 1, "type": "register", "user": user, "password": password})).await;
        assert_eq!(raw.recv().await["code"], code);
    }
    raw.send(&json!({"id": 1, "type": "register", "user": "bob", "password": "correct horse"})).await;
    assert_eq!(raw.recv().await["type"], "welcome", "the connection lived through the refusals");
    assert!(server.files("bob").is_dir(), "the server made a directory for this user");

    let closed = TestServer::start(false, Registration::Closed).await;
    let mut raw = Raw::connect(&closed).await;
    raw.send(&json!({"type": "hello", "version": 1, "software": "raw"})).await;
    raw.recv().await;
    raw.send(&json!({"id": 1, "type": "register", "user": "bob", "password": "correct horse"})).await;
    assert_eq!(raw.recv().await["code"], "registration_closed");
}

#[tokio::test]
async fn a_version_that_never_was_is_refused() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::connect(&server).await;
    raw.send(&json!({"type": "hello", "version": 0, "software": "raw"})).await;
    raw.assert_closed_with("unsupported_version").await;
}

#[tokio::test]
async fn random_sessions_never_stop_the_server() {
    let server = TestServer::plaintext().await;
    let mut seed = blake3::Hasher::new().update(b"random sessions").finalize_xof();
    for _ in 0..300 {
        let mut noise = [0; 200];
        seed.fill(&mut noise);
        let mut raw = Raw::connect(&server).await;
        // Half of them begin well and go astray later.
        if noise[0] % 2 == 0 {
            raw.send(&json!({"type": "hello", "version": 1, "software": "noise"})).await;
        }
        let spoilt = frame(&[b"{\"id\":1,\"type\":\"login\",", &noise[2..usize::from(noise[1]) % 190 + 3]].concat());
        // The server may have closed already.
        drop(raw.stream.write_all(&spoilt).await);
        drop(raw.stream.write_all(&noise).await);
        drop(raw.stream.shutdown().await);
        drop(raw.stream.read_to_end(&mut Vec::new()).await);
    }
    Raw::registered(&server, "alice").await.assert_alive().await;
    server.stop().await;
}

#[tokio::test]
async fn a_user_never_sees_another_users_files() {
    let server = TestServer::plaintext().await;
    drop(Raw::registered(&server, "alice").await);
    std::fs::write(server.files("alice").join("secret"), b"hers").expect("written");
    let mut bob = Raw::registered(&server, "bob").await;
    for at in ["/secret", "/alice/secret", "/homes/alice/files/secret"] {
        for request in ["stat", "download", "list", "remove"] {
            bob.send(&json!({"id": 2, "type": request, "path": at})).await;
            assert_eq!(bob.recv().await["code"], "not_found", "{request} {at}");
        }
    }
    assert_eq!(std::fs::read(server.files("alice").join("secret")).expect("there"), b"hers");
}

#[tokio::test]
async fn what_a_stranger_sends_is_not_quoted() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::connect(&server).await;
    raw.send(&json!({"type": "hello", "version": 1, "software": "raw"})).await;
    raw.recv().await;
    raw.send(&json!({"id": 1, "type": "login\n2026 INFO forged", "user": "alice", "password": 12345678})).await;
    let fault = raw.recv().await.to_string();
    assert!(!fault.contains("forged") && !fault.contains("12345678"), "{fault}");
}
