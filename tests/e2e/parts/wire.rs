//! Uploads in parts as raw bytes: good, refused, aborted, of somebody else, of nobody any more.

use bytes::Bytes;
use netdisk_model::{Digest, PART_LEN, PartHasher};
use serde_json::{Value, json};

use crate::fixture::{TestServer, content};
use crate::raw::{Raw, data, frame};

const LEN: usize = PART_LEN as usize;
/// Two parts and some bytes.
const SIZE: usize = 2 * LEN + 5;

async fn logged_in(server: &TestServer, user: &str) -> Raw {
    let mut raw = Raw::connect(server).await;
    raw.send(&json!({"type": "hello", "version": 1, "software": "raw"})).await;
    assert_eq!(raw.recv().await["features"], json!(["parts", "reuse"]));
    raw.send(&json!({"id": 1, "type": "login", "user": user, "password": "correct horse"})).await;
    assert_eq!(raw.recv().await["type"], "welcome");
    raw
}

/// Opens an upload; gives its name and offset.
async fn open(raw: &mut Raw, path: &str, resume: &str) -> (String, u64) {
    let upload = json!({"id": 2, "type": "upload", "path": path, "size": SIZE, "resume": resume, "body": "parts"});
    raw.send(&upload).await;
    let opened = raw.recv().await;
    assert_eq!((&opened["id"], &opened["type"]), (&json!(2), &json!("opened")), "{opened}");
    (opened["upload"].as_str().expect("a name").to_owned(), opened["offset"].as_u64().expect("an offset"))
}

fn piece(whole: &[u8], number: usize) -> (Bytes, Digest) {
    let bytes = Bytes::copy_from_slice(&whole[number * LEN..whole.len().min((number + 1) * LEN)]);
    let mut hasher = PartHasher::new(number as u64);
    hasher.update(&bytes);
    (bytes, hasher.digest().expect("it has bytes"))
}

/// Brings a part that ends as it is told to; gives the last reply, behind aborts.
async fn bring(raw: &mut Raw, upload: &str, number: u64, bytes: &[u8], end: Value) -> Value {
    let mut sent = frame(json!({"id": 3, "type": "part", "upload": upload, "part": number}).to_string().as_bytes());
    bytes.chunks(200_000).for_each(|some| sent.extend(data(some)));
    sent.extend(frame(end.to_string().as_bytes()));
    raw.write(&sent).await;
    loop {
        let reply = raw.recv().await;
        assert_eq!(reply["id"], json!(3));
        if reply["type"] != "abort" {
            return reply;
        }
    }
}

async fn bring_good(raw: &mut Raw, upload: &str, whole: &[u8], number: usize) -> Value {
    let (bytes, digest) = piece(whole, number);
    let end = json!({"id": 3, "type": "end", "digest": digest.to_string()});
    bring(raw, upload, number as u64, &bytes, end).await
}

async fn finish(raw: &mut Raw, upload: &str, digest: Option<Digest>) -> Value {
    let mut request = json!({"id": 4, "type": "finish", "upload": upload});
    if let Some(digest) = digest {
        request["digest"] = json!(digest.to_string());
    }
    raw.send(&request).await;
    raw.recv().await
}

#[track_caller]
fn assert_refused(reply: &Value, code: &str) {
    assert_eq!((&reply["type"], &reply["code"]), (&json!("fault"), &json!(code)), "{reply}");
}

#[tokio::test]
async fn parts_of_two_connections_make_a_file() {
    let server = TestServer::plaintext().await;
    let mut one = Raw::registered(&server, "alice").await;
    let mut two = logged_in(&server, "alice").await;
    let whole = content(SIZE);
    let (upload, offset) = open(&mut one, "/f", "key").await;
    assert_eq!(offset, 0);
    assert_eq!(bring_good(&mut two, &upload, &whole, 2).await["type"], "done");
    assert_eq!(bring_good(&mut one, &upload, &whole, 0).await["type"], "done");
    assert_refused(&finish(&mut two, &upload, Some(Digest::of(&whole))).await, "not_found");
    assert_eq!(bring_good(&mut two, &upload, &whole, 1).await["type"], "done");
    assert_refused(&bring_good(&mut two, &upload, &whole, 1).await, "exists");
    assert!(!server.files("alice").join("f").exists(), "nothing is stored until it is whole");
    let stored = finish(&mut one, &upload, Some(Digest::of(&whole))).await;
    assert_eq!((&stored["type"], &stored["size"]), (&json!("stored"), &json!(SIZE)));
    assert_eq!(stored["digest"], json!(Digest::of(&whole).to_string()));
    assert!(std::fs::read(server.files("alice").join("f")).expect("stored") == whole);
    assert_refused(&bring_good(&mut two, &upload, &whole, 0).await, "not_found");
    assert_refused(&finish(&mut one, &upload, Some(Digest::of(&whole))).await, "not_found");
    one.assert_alive().await;
    two.assert_alive().await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_part_is_said_and_changes_nothing() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    let whole = content(SIZE);
    let (upload, _) = open(&mut raw, "/f", "key").await;
    let (bytes, digest) = piece(&whole, 1);
    let end = |digest: Digest| json!({"id": 3, "type": "end", "digest": digest.to_string()});
    // The digest of its bytes is not that of the part.
    assert_refused(&bring(&mut raw, &upload, 1, &bytes, end(Digest::of(&bytes))).await, "digest_mismatch");
    assert_refused(&bring(&mut raw, &upload, 1, &bytes[1..], end(digest)).await, "size_mismatch");
    assert_refused(&bring(&mut raw, &upload, 1, &[&bytes, &b"x"[..]].concat(), end(digest)).await, "size_mismatch");
    assert_refused(&bring(&mut raw, &upload, 0, &bytes, end(digest)).await, "digest_mismatch");
    for none in [3, (1 << 53) - 1] {
        assert_refused(&bring(&mut raw, &upload, none, &bytes, end(digest)).await, "size_mismatch");
    }
    for other in ["", "nobody", "../../x", &"x".repeat(5000)] {
        assert_refused(&bring(&mut raw, other, 1, &bytes, end(digest)).await, "not_found");
    }
    let abort = json!({"id": 3, "type": "abort", "code": "read_failed", "message": "a bad disk"});
    assert_refused(&bring(&mut raw, &upload, 1, &bytes[..1000], abort).await, "read_failed");
    for number in [2, 1, 0] {
        assert_eq!(bring_good(&mut raw, &upload, &whole, number).await["type"], "done");
    }
    assert_refused(&finish(&mut raw, &upload, Some(Digest::of(b"other"))).await, "digest_mismatch");
    assert!(!server.files("alice").join("f").exists());
    assert_eq!(open(&mut raw, "/f", "key").await.1, 0, "nothing of it is kept");
    raw.assert_alive().await;
}

#[tokio::test]
async fn nobody_elses_upload_can_be_named() {
    let server = TestServer::plaintext().await;
    let mut alice = Raw::registered(&server, "alice").await;
    let mut bob = Raw::registered(&server, "bob").await;
    let whole = content(SIZE);
    let (upload, _) = open(&mut alice, "/f", "key").await;
    let foreign = bring_good(&mut bob, &upload, &whole, 0).await;
    assert_refused(&foreign, "not_found");
    let absent = bring_good(&mut bob, &"0".repeat(upload.len()), &whole, 0).await;
    let text =
        |reply: &Value| reply["message"].as_str().expect("a text").split_once(':').map(|(_, text)| text.to_owned());
    assert_eq!(text(&foreign), text(&absent), "the same answer");
    assert_refused(&finish(&mut bob, &upload, None).await, "not_found");
    for number in 0..3 {
        assert_eq!(bring_good(&mut alice, &upload, &whole, number).await["type"], "done");
    }
    assert_eq!(finish(&mut alice, &upload, Some(Digest::of(&whole))).await["type"], "stored");
}

#[tokio::test]
async fn an_upload_ends_with_the_connection_that_opened_it_and_is_resumed() {
    let server = TestServer::plaintext().await;
    let mut one = Raw::registered(&server, "alice").await;
    let mut two = logged_in(&server, "alice").await;
    let whole = content(SIZE);
    let (upload, _) = open(&mut one, "/f", "key").await;
    for number in [0, 2] {
        assert_eq!(bring_good(&mut two, &upload, &whole, number).await["type"], "done");
    }
    drop(one);
    // The server hears of it in its own time.
    while bring_good(&mut two, &upload, &whole, 2).await["code"] != "not_found" {}
    let (upload, offset) = loop {
        // What is still being put away is copied; then less of it may be there.
        let (upload, offset) = open(&mut two, "/f", "key").await;
        if offset == PART_LEN {
            break (upload, offset);
        }
    };
    assert_eq!(offset, PART_LEN, "what is there without a gap");
    assert_eq!(finish(&mut two, &upload, None).await["type"], "done");
    assert_refused(&bring_good(&mut two, &upload, &whole, 1).await, "not_found");
    let (first, offset) = open(&mut two, "/f", "key").await;
    assert_eq!(offset, PART_LEN);
    let (upload, offset) = open(&mut two, "/f", "key").await;
    assert!(offset <= PART_LEN);
    assert_refused(&bring_good(&mut two, &first, &whole, 1).await, "not_found");
    for number in usize::try_from(offset / PART_LEN).expect("few")..3 {
        assert_eq!(bring_good(&mut two, &upload, &whole, number).await["type"], "done");
    }
    assert_eq!(finish(&mut two, &upload, Some(Digest::of(&whole))).await["type"], "stored");
    assert!(std::fs::read(server.files("alice").join("f")).expect("stored") == whole);
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    std::fs::write(server.files("alice").join("there"), b"old").expect("written");
    for (code, upload) in [
        ("size_mismatch", json!({"id": 2, "type": "upload", "path": "/f", "size": PART_LEN, "body": "parts"})),
        ("size_mismatch", json!({"id": 2, "type": "upload", "path": "/f", "body": "parts"})),
        ("bad_path", json!({"id": 2, "type": "upload", "path": "/../f", "size": SIZE, "body": "parts"})),
        ("not_found", json!({"id": 2, "type": "upload", "path": "/no/f", "size": SIZE, "body": "parts"})),
        ("exists", json!({"id": 2, "type": "upload", "path": "/there", "size": SIZE, "create": true, "body": "parts"})),
        ("full", json!({"id": 2, "type": "upload", "path": "/f", "size": 1_u64 << 52, "body": "parts"})),
    ] {
        raw.send(&upload).await;
        assert_refused(&raw.recv().await, code);
    }
    raw.send(&json!({"id": 2, "type": "download", "path": "/there", "part": 1})).await;
    assert_refused(&raw.recv().await, "changed");
    raw.send(&json!({"id": 2, "type": "download", "path": "/there", "part": 0, "version": "0000000000000001"})).await;
    assert_refused(&raw.recv().await, "changed");
    raw.assert_alive().await;
}
