//! The grammar in raw bytes: whatever PROTOCOL.md allows works, split, merged, pipelined, aborted, cut and resumed.

use netdisk_model::Digest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::TestServer;
use crate::raw::{Raw, data, end, frame};

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
