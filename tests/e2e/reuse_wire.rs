//! `known` and `reuse` as raw bytes: good, refused, and what they tell of others.

use netdisk_model::Digest;
use serde_json::{Value, json};

use crate::fixture::{TestServer, content};
use crate::raw::{Raw, data, end};

const LEN: usize = 1_048_576;

async fn store(raw: &mut Raw, id: u64, path: &str, content: &[u8]) {
    raw.send(&json!({"id": id, "type": "upload", "path": path, "body": "now"})).await;
    for chunk in content.chunks(262_144) {
        raw.write(&data(chunk)).await;
    }
    raw.write(&end(id, content)).await;
    assert_eq!(raw.recv().await["type"], "stored");
}

fn reuse(id: u64, path: &str, content: &[u8]) -> Value {
    let digest = Digest::of(content).to_string();
    json!({"id": id, "type": "reuse", "path": path, "size": content.len(), "digest": digest, "create": true})
}

#[tokio::test]
async fn content_that_is_there_is_stored_again_without_a_body() {
    let server = TestServer::plaintext().await;
    let content = content(LEN);
    let mut raw = Raw::registered(&server, "alice").await;
    store(&mut raw, 2, "/f", &content).await;
    raw.send(&json!({"id": 3, "type": "known", "sizes": [LEN + 1, LEN, LEN, 5]})).await;
    raw.send(&json!({"id": 4, "type": "known", "sizes": []})).await;
    raw.send(&reuse(5, "/mine", &content)).await;
    assert_eq!(raw.recv().await, json!({"id": 3, "type": "known", "sizes": [LEN]}));
    assert_eq!(raw.recv().await, json!({"id": 4, "type": "known", "sizes": []}));
    let stored = raw.recv().await;
    assert_eq!((&stored["type"], &stored["size"]), (&json!("stored"), &json!(LEN)));
    assert_eq!(stored["digest"], Digest::of(&content).to_string());
    for (request, code) in [
        (reuse(6, "/mine", &content), "exists"),
        (reuse(7, "/../x", &content), "bad_path"),
        (reuse(8, "/no/f", &content), "not_found"),
        (reuse(9, "/g", &content[1..]), "not_found"),
        (reuse(10, "/g", &vec![0; LEN]), "not_found"),
    ] {
        raw.send(&request).await;
        let fault = raw.recv().await;
        assert_eq!((&fault["id"], &fault["code"]), (&request["id"], &json!(code)));
    }
    raw.assert_alive().await;
    assert!(std::fs::read(server.files("alice").join("mine")).expect("stored") == content);
}

/// Byte for byte, what another user has is as unknown as what nobody has.
#[tokio::test]
async fn what_another_user_has_is_answered_like_what_nobody_has() {
    let server = TestServer::plaintext().await;
    let (theirs, nobodys) = (content(LEN), vec![7; LEN + 1]);
    let mut bob = Raw::registered(&server, "bob").await;
    store(&mut bob, 2, "/theirs", &theirs).await;
    let mut alice = Raw::registered(&server, "alice").await;
    for of_known in [true, false] {
        let mut answers = Vec::new();
        for content in [&theirs, &nobodys] {
            let known = json!({"id": 2, "type": "known", "sizes": [content.len()]});
            alice.send(&if of_known { known } else { reuse(2, "/f", content) }).await;
            answers.push(alice.recv_payload().await);
        }
        assert_eq!(answers[0], answers[1]);
    }
    alice.send(&json!({"id": 3, "type": "list", "path": "/", "recursive": true})).await;
    assert_eq!(alice.recv().await, json!({"id": 3, "type": "end", "count": 0, "skipped": 0}));
    // Nor does it matter to whose path it goes.
    alice.send(&reuse(4, "/theirs", &theirs)).await;
    assert_eq!(alice.recv().await["code"], "not_found");
}

/// Each costs the server a look; a size that no file has is none.
#[tokio::test]
async fn so_many_sizes_may_be_asked_for_and_no_more() {
    let server = TestServer::plaintext().await;
    let mut raw = Raw::registered(&server, "alice").await;
    store(&mut raw, 2, "/f", &content(LEN)).await;
    let mut sizes: Vec<u64> = (0..254).map(|more| 1_100_000 + more).collect();
    sizes.push(LEN as u64);
    sizes.push(u64::MAX);
    raw.send(&json!({"id": 3, "type": "known", "sizes": sizes})).await;
    assert_eq!(raw.recv().await, json!({"id": 3, "type": "known", "sizes": [LEN]}));
    sizes.push(7);
    for (number, bad) in [json!(sizes), json!([-1]), json!(["1"]), json!(7), Value::Null].into_iter().enumerate() {
        let mut raw = Raw::registered(&server, &format!("user{number}")).await;
        raw.send(&json!({"id": 2, "type": "known", "sizes": bad})).await;
        assert_eq!(raw.recv().await["code"], "bad_request");
    }
}
