//! Raw bytes against the server: what a student's client sends, and what an attacker does.

use netdisk_model::Digest;
use netdisk_server::Registration;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::TestServer;

/// A client made of a socket and nothing else.
struct Raw {
    stream: TcpStream,
}

impl Raw {
    async fn connect(server: &TestServer) -> Self {
        Self { stream: TcpStream::connect(server.address).await.expect("connected") }
    }

    /// Greeted and registered.
    async fn registered(server: &TestServer, user: &str) -> Self {
        let mut raw = Self::connect(server).await;
        raw.send(&json!({"type": "hello", "version": 1, "software": "raw"})).await;
        assert_eq!(raw.recv().await["type"], "hello");
        raw.send(&json!({"id": 1, "type": "register", "user": user, "password": "correct horse"})).await;
        assert_eq!(raw.recv().await, json!({"id": 1, "type": "welcome", "user": user}));
        raw
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("written");
    }

    async fn send(&mut self, message: &Value) {
        self.write(&frame(message.to_string().as_bytes())).await;
    }

    async fn recv_payload(&mut self) -> Vec<u8> {
        let len = self.stream.read_u32().await.expect("a header");
        let mut payload = vec![0; len as usize];
        self.stream.read_exact(&mut payload).await.expect("a payload");
        payload
    }

    async fn recv(&mut self) -> Value {
        let payload = self.recv_payload().await;
        serde_json::from_slice(&payload).unwrap_or_else(|error| panic!("{error}: {payload:?}"))
    }

    /// The server says why, and closes properly.
    async fn assert_closed_with(&mut self, code: &str) {
        let fault = self.recv().await;
        assert_eq!((&fault["id"], &fault["type"], &fault["code"]), (&json!(0), &json!("fault"), &json!(code)));
        assert_eq!(self.stream.read(&mut [0]).await.expect("no reset"), 0, "closed");
    }

    async fn assert_alive(&mut self) {
        self.send(&json!({"id": 99, "type": "whoami"})).await;
        let reply = self.recv().await;
        assert_eq!((&reply["id"], &reply["type"]), (&json!(99), &json!("account")));
    }
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("short");
    [&len.to_be_bytes()[..], payload].concat()
}

fn data(bytes: &[u8]) -> Vec<u8> {
    frame(&[&[0], bytes].concat())
}

fn end(id: u64, content: &[u8]) -> Vec<u8> {
    frame(json!({"id": id, "type": "end", "digest": Digest::of(content).to_string()}).to_string().as_bytes())
}

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
async fn a_whole_session_byte_by_byte_is_understood() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::connect(&server).await;
    let session = [
        frame(br#"{"type":"hello","version":1,"software":"drip"}"#),
        frame(br#"{"id":1,"type":"register","user":"alice","password":"correct horse"}"#),
        frame(b""),
        frame(br#"{"id":2,"type":"upload","path":"/f","size":5,"body":"now"}"#),
        data(b"he"),
        data(b""),
        data(b"llo"),
        end(2, b"hello"),
    ]
    .concat();
    for byte in session {
        raw.write(&[byte]).await;
    }
    assert_eq!(raw.recv().await["type"], "hello");
    assert_eq!(raw.recv().await["type"], "welcome");
    assert_eq!(raw.recv().await["type"], "stored");
}

#[tokio::test]
async fn requests_stuck_together_are_answered_in_order() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    let mut bytes = Vec::new();
    for id in 10..20 {
        bytes.extend(frame(
            json!({"id": id, "type": "upload", "path": format!("/{id}"), "body": "now"}).to_string().as_bytes(),
        ));
        bytes.extend(data(b"hello"));
        bytes.extend(end(id, b"hello"));
        bytes.extend(frame(json!({"id": id + 100, "type": "stat", "path": format!("/{id}")}).to_string().as_bytes()));
    }
    raw.write(&bytes).await;
    for id in 10..20 {
        let stored = raw.recv().await;
        assert_eq!((&stored["id"], &stored["type"]), (&json!(id), &json!("stored")));
        let entry = raw.recv().await;
        assert_eq!((&entry["id"], &entry["entry"]["size"]), (&json!(id + 100), &json!(5)));
    }
}

#[tokio::test]
async fn requests_sent_during_a_download_wait_for_its_end() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    std::fs::write(server.files("alice").join("big"), vec![7; 3_000_000]).expect("written");
    raw.send(&json!({"id": 2, "type": "download", "path": "/big"})).await;
    raw.send(&json!({"id": 3, "type": "upload", "path": "/f", "body": "now"})).await;
    raw.write(&[data(b"hello"), end(3, b"hello")].concat()).await;
    raw.send(&json!({"id": 4, "type": "whoami"})).await;
    assert_eq!(raw.recv().await["type"], "ready");
    let mut received = 0;
    let ending = loop {
        let payload = raw.recv_payload().await;
        match payload.first() {
            Some(0) => received += payload.len() - 1,
            _ => break serde_json::from_slice::<Value>(&payload).expect("JSON"),
        }
    };
    assert_eq!((received, &ending["type"]), (3_000_000, &json!("end")));
    assert_eq!(ending["digest"], Digest::of(&vec![7; 3_000_000]).to_string());
    assert_eq!(raw.recv().await["type"], "stored");
    assert_eq!(raw.recv().await["type"], "account");
}

#[tokio::test]
async fn an_upload_waits_for_ready_and_honours_create() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    raw.send(&json!({"id": 2, "type": "upload", "path": "/f", "size": 5, "create": true})).await;
    assert_eq!(raw.recv().await, json!({"id": 2, "type": "ready", "offset": 0}));
    raw.write(&[data(b"hello"), end(2, b"hello")].concat()).await;
    let stored = raw.recv().await;
    assert_eq!((&stored["type"], &stored["digest"]), (&json!("stored"), &json!(Digest::of(b"hello").to_string())));
    raw.send(&json!({"id": 3, "type": "upload", "path": "/f", "size": 5, "create": true})).await;
    assert_eq!(raw.recv().await["code"], "exists");
    raw.assert_alive().await;
}

#[tokio::test]
async fn a_refused_body_that_is_on_its_way_is_taken_off_the_wire() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    let cases = [
        (json!({"type": "upload", "path": "/no/f", "body": "now"}), "not_found"),
        (json!({"type": "upload", "path": "/../f", "body": "now"}), "bad_path"),
        (json!({"type": "upload", "path": "/f", "size": 3, "body": "now"}), "size_mismatch"),
    ];
    for (id, (mut request, code)) in (2..).zip(cases) {
        request["id"] = json!(id);
        raw.send(&request).await;
        raw.write(&[data(b"hello"), end(id, b"hello")].concat()).await;
        let abort = raw.recv().await;
        assert_eq!((&abort["id"], &abort["type"], &abort["code"]), (&json!(id), &json!("abort"), &json!(code)));
        let fault = raw.recv().await;
        assert_eq!((&fault["id"], &fault["type"], &fault["code"]), (&json!(id), &json!("fault"), &json!(code)));
    }
    raw.assert_alive().await;
    assert_eq!(std::fs::read_dir(server.files("alice")).expect("there").count(), 0);
}

#[tokio::test]
async fn wrong_ends_of_a_body_store_nothing() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    std::fs::write(server.files("alice").join("f"), b"old").expect("written");
    let cases: [(Vec<u8>, &str); 3] = [
        ([data(b"hello"), end(2, b"other")].concat(), "digest_mismatch"),
        ([data(b"hell"), end(2, b"hell")].concat(), "size_mismatch"),
        ([data(b"he"), frame(br#"{"id":2,"type":"abort","code":"cancelled","message":"no"}"#)].concat(), "cancelled"),
    ];
    for (body, code) in cases {
        raw.send(&json!({"id": 2, "type": "upload", "path": "/f", "size": 5})).await;
        assert_eq!(raw.recv().await["type"], "ready");
        raw.write(&body).await;
        let fault = raw.recv().await;
        assert_eq!((&fault["type"], &fault["code"]), (&json!("fault"), &json!(code)));
        assert_eq!(std::fs::read(server.files("alice").join("f")).expect("there"), b"old");
    }
    raw.assert_alive().await;
}

#[tokio::test]
async fn a_connection_cut_at_every_byte_of_an_upload_stores_nothing_or_all() {
    let server = TestServer::plaintext().await;
    drop(Raw::registered(&server, "alice").await);
    let file = server.files("alice").join("f");
    let upload =
        [frame(br#"{"id":2,"type":"upload","path":"/f","size":5,"body":"now"}"#), data(b"hello"), end(2, b"hello")]
            .concat();
    let opening = [
        frame(br#"{"type":"hello","version":1,"software":"cut"}"#),
        frame(br#"{"id":1,"type":"login","user":"alice","password":"correct horse"}"#),
    ]
    .concat();
    for cut in (0..=upload.len()).step_by(7).chain([upload.len() - 1, upload.len()]) {
        std::fs::write(&file, b"old").expect("written");
        let mut raw = Raw::connect(&server).await;
        raw.write(&[&opening[..], &upload[..cut]].concat()).await;
        raw.stream.shutdown().await.expect("cut");
        // The server closes when it has dealt with it.
        raw.stream.read_to_end(&mut Vec::new()).await.expect("closed");
        let expected = if cut == upload.len() { b"hello".as_slice() } else { b"old" };
        assert_eq!(std::fs::read(&file).expect("there"), expected, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_listing_can_be_aborted_and_a_late_abort_is_skipped() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    raw.send(&json!({"id": 2, "type": "list", "path": "/"})).await;
    assert_eq!(raw.recv().await, json!({"id": 2, "type": "end", "count": 0, "skipped": 0}));
    raw.send(&json!({"id": 2, "type": "abort", "code": "cancelled", "message": "too late"})).await;
    raw.assert_alive().await;
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
async fn a_client_that_has_said_all_still_gets_its_answer() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    std::fs::write(server.files("alice").join("f"), vec![7; 1_000_000]).expect("written");
    raw.send(&json!({"id": 2, "type": "list", "path": "/"})).await;
    raw.send(&json!({"id": 3, "type": "download", "path": "/f"})).await;
    raw.stream.shutdown().await.expect("half closed");
    let mut all = Vec::new();
    raw.stream.read_to_end(&mut all).await.expect("closed properly");
    let digest = Digest::of(&vec![7; 1_000_000]).to_string();
    assert!(all.windows(digest.len()).any(|window| window == digest.as_bytes()), "the end of the body arrived");
}

#[tokio::test]
async fn a_late_abort_inside_the_next_body_is_skipped() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    raw.send(&json!({"id": 5, "type": "upload", "path": "/f", "body": "now"})).await;
    raw.write(&data(b"hel")).await;
    raw.send(&json!({"id": 4, "type": "abort", "code": "of_version_two", "message": "late"})).await;
    raw.write(&[data(b"lo"), end(5, b"hello")].concat()).await;
    assert_eq!(raw.recv().await["type"], "stored");
    // An abort of its own body for a reason that is not known is cancelled, in a code that is.
    raw.send(&json!({"id": 6, "type": "upload", "path": "/f", "body": "now"})).await;
    raw.send(&json!({"id": 6, "type": "abort", "code": "of_version_two", "message": "no"})).await;
    let fault = raw.recv().await;
    assert_eq!((&fault["id"], &fault["code"]), (&json!(6), &json!("cancelled")));
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

#[tokio::test]
async fn an_interrupted_upload_is_resumed_by_its_name_and_by_nobody_else() {
    let server = TestServer::plaintext().await;
    let request = json!({"id": 2, "type": "upload", "path": "/f", "size": 9, "resume": "key"});
    let mut raw = Raw::registered(&server, "alice").await;
    raw.send(&request).await;
    assert_eq!(raw.recv().await["offset"], 0);
    raw.write(&data(b"one")).await;
    raw.send(&json!({"id": 2, "type": "abort", "code": "cancelled", "message": "later"})).await;
    assert_eq!(raw.recv().await["code"], "cancelled");

    let mut bob = Raw::registered(&server, "bob").await;
    bob.send(&request).await;
    assert_eq!(bob.recv().await["offset"], 0, "another user's upload is no business of his");
    for (field, other) in [("resume", json!("other")), ("path", json!("/g")), ("size", json!(8))] {
        let mut changed = request.clone();
        changed[field] = other;
        raw.send(&changed).await;
        assert_eq!(raw.recv().await["offset"], 0, "{field}");
        raw.send(&json!({"id": 2, "type": "abort", "code": "cancelled", "message": "no"})).await;
        assert_eq!(raw.recv().await["type"], "fault");
    }

    raw.send(&request).await;
    assert_eq!(raw.recv().await["offset"], 3);
    raw.write(&[data(b"twosix"), end(2, b"onetwosix")].concat()).await;
    assert_eq!(raw.recv().await["type"], "stored");
    assert_eq!(std::fs::read(server.files("alice").join("f")).expect("there"), b"onetwosix");
    raw.send(&request).await;
    assert_eq!(raw.recv().await["offset"], 0, "it is over");
}

#[tokio::test]
async fn a_download_goes_on_only_in_the_version_that_it_began_with() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    std::fs::write(server.files("alice").join("f"), b"hello").expect("written");
    raw.send(&json!({"id": 2, "type": "stat", "path": "/f"})).await;
    let version = raw.recv().await["entry"]["version"].clone();
    raw.send(&json!({"id": 3, "type": "download", "path": "/f", "offset": 3, "version": version})).await;
    assert_eq!(raw.recv().await["offset"], 3);
    assert_eq!(raw.recv_payload().await, b"\0lo");
    assert_eq!(raw.recv().await["digest"], Digest::of(b"hello").to_string());

    std::fs::write(server.files("alice").join("f"), b"HELLO").expect("written");
    for offset in [3, 5, 100] {
        raw.send(&json!({"id": 4, "type": "download", "path": "/f", "offset": offset, "version": version})).await;
        assert_eq!(raw.recv().await["offset"], 0);
        assert_eq!(raw.recv_payload().await, b"\0HELLO");
        assert_eq!(raw.recv().await["type"], "end");
    }
}
