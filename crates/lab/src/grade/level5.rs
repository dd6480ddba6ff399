//! Level 5, limits: a length is a claim, and bytes from a stranger are bytes from a stranger.

use super::peer::{Peer, content, data, end, frame, hello, message};
use super::{Check, Target, cases};
use netdisk_protocol::limits::{DATA_LEN_MAX, MESSAGE_LEN_MAX, STRANGER_FRAME_LEN_MAX};
use serde_json::{Value, json};

cases! { 5:
    "length-2^32-1" length_max
        "Four bytes can announce 4 GiB. Compare with the limit before anything is reserved; and a length has no sign.";
    "stranger-at-the-limit" stranger_at_the_limit
        "Before login 4,096 bytes may come, all of them: a limit is the last good value.";
    "stranger-over-the-limit" stranger_over_the_limit
        "Before login at most 4,096 bytes may come: ten thousand strangers must not reserve your memory.";
    "message-at-the-limit" message_at_the_limit
        "A message may have 65,536 bytes after login.";
    "message-over-the-limit" message_over_the_limit
        "A message over 65,536 bytes breaks the protocol, though file bytes may be longer.";
    "data-at-the-limit" data_at_the_limit
        "262,144 file bytes fit a frame; its payload is one byte longer, for the zero byte.";
    "data-over-the-limit" data_over_the_limit
        "One byte over the limit breaks the protocol: refuse the header, do not read what follows.";
    "no-frame-at-all" no_frame
        "A browser, a scanner or a wrong port: bytes that are no frame get a fault and the end, at once.";
    "truncated-json" truncated_json
        "The frame was whole and its JSON is not: say bad_request, and do not wait for the rest, for none will come.";
    "deep-json" deep_json
        "JSON may nest as deep as a frame is long; a parser that recurses needs a limit, or a stranger ends your process.";
    "not-utf-8" not_utf8
        "A message is UTF-8; other bytes are refused and never guessed.";
}

/// Sends bytes as a stranger, greeted or not, and expects to be shown the door.
async fn refused(target: &Target, is_greeted: bool, bytes: &[u8]) -> Check {
    let mut peer = if is_greeted { Peer::greeted(target).await? } else { Peer::connect(target).await? };
    peer.write(bytes).await?;
    peer.expect_closed_with("bad_request").await?;
    // And the server lives.
    Peer::greeted(target).await.map(drop)
}

/// A request whose message has exactly this length.
fn padded(mut request: Value, len: usize) -> Vec<u8> {
    request["pad"] = json!("");
    let pad = len.saturating_sub(request.to_string().len());
    request["pad"] = json!("x".repeat(pad));
    message(&request)
}

async fn length_max(target: &Target) -> Check {
    refused(target, false, &[0xff; 4]).await?;
    let mut peer = Peer::member(target).await?;
    peer.write(&[0xff; 4]).await?;
    peer.expect_closed_with("bad_request").await
}

async fn stranger_at_the_limit(target: &Target) -> Check {
    let mut peer = Peer::connect(target).await?;
    peer.write(&padded(hello(), STRANGER_FRAME_LEN_MAX)).await?;
    peer.expect(None, "hello").await.map(drop)
}

async fn stranger_over_the_limit(target: &Target) -> Check {
    refused(target, false, &padded(hello(), STRANGER_FRAME_LEN_MAX + 1)).await
}

async fn message_at_the_limit(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.write(&padded(json!({"id": 2, "type": "whoami"}), MESSAGE_LEN_MAX)).await?;
    peer.expect(Some(2), "account").await.map(drop)
}

async fn message_over_the_limit(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.write(&padded(json!({"id": 2, "type": "whoami"}), MESSAGE_LEN_MAX + 1)).await?;
    peer.expect_closed_with("bad_request").await
}

async fn data_at_the_limit(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    let content = content(DATA_LEN_MAX);
    peer.send(&json!({"id": 2, "type": "upload", "path": "/f", "size": content.len()})).await?;
    peer.expect(Some(2), "ready").await?;
    peer.write(&[data(&content), end(2, &content)].concat()).await?;
    peer.expect_stored(2, &content).await
}

async fn data_over_the_limit(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.send(&json!({"id": 2, "type": "upload", "path": "/f"})).await?;
    peer.expect(Some(2), "ready").await?;
    // The header alone: a server that waits for what it announces would wait for ever.
    peer.write(&data(&content(DATA_LEN_MAX + 1))[..4]).await?;
    peer.expect_closed_with("bad_request").await
}

async fn no_frame(target: &Target) -> Check {
    refused(target, false, b"GET / HTTP/1.1\r\nHost: netdisk\r\n\r\n").await?;
    refused(target, false, &frame(b"plain text")).await?;
    refused(target, true, &data(b"file bytes where none are due")).await
}

async fn truncated_json(target: &Target) -> Check {
    refused(target, false, &frame(br#"{"type":"hello","version":1,"softw"#)).await?;
    refused(target, true, &frame(br#"{"id":1,"type":"login","user":"#)).await?;
    refused(target, true, &frame(b"{}")).await
}

async fn deep_json(target: &Target) -> Check {
    let deep = format!(r#"{{"type":"hello","version":1,"software":"x","deep":{}"#, "[".repeat(4_000));
    refused(target, false, &frame(deep.as_bytes())).await?;
    let mut peer = Peer::member(target).await?;
    let closed = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    peer.write(&frame(format!(r#"{{"id":2,"type":"whoami","deep":{closed}}}"#).as_bytes())).await?;
    // Whoever can read it may answer; whoever cannot says so. Nobody may fall silent.
    let answer = peer.recv().await?;
    if answer["type"] != "account" && answer["code"] != "bad_request" {
        return Err(super::peer::unexpected("account or bad_request", &answer));
    }
    Peer::greeted(target).await.map(drop)
}

async fn not_utf8(target: &Target) -> Check {
    refused(target, false, &frame(b"{\"type\":\"hello\",\"version\":1,\"software\":\"\xff\xfe\"}")).await
}
