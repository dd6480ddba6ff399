//! Level 1, framing: cut the stream by the lengths and by nothing else.

use std::time::Duration;

use super::peer::{Peer, data, end, frame, hello, message, register};
use super::{Check, Target, cases};
use serde_json::json;

/// Long enough for a server on loopback to read what is there, even on a busy machine.
const PAUSE: Duration = Duration::from_millis(100);
/// The same for a case of sixty pieces, of which a few may come together.
const SHORT_PAUSE: Duration = Duration::from_millis(3);

cases! { 1:
    "hello-in-one-piece" hello_in_one_piece
        "A frame is 4 bytes of length, the highest first, and then so many bytes; the length does not count itself.";
    "header-split-1-3" header_split
        "Even four bytes can come in two reads: repeat the read until the header is full, like any other read.";
    "header-and-payload-apart" header_and_payload_apart
        "The payload may come long after its header: wait for it, and do not take an empty read for an empty message.";
    "payload-dripped" payload_dripped
        "A read brings at least one byte and promises no more: repeat it until the announced length is there.";
    "character-split" character_split
        "A cut may go through the middle of a character: decode UTF-8 when the whole payload is there, not read by read.";
    "frames-merged" frames_merged
        "One read may bring several frames: what is behind the first one belongs to the next, so keep it.";
    "frame-and-a-half" frame_and_a_half
        "One read may bring a frame and the beginning of the next: keep the beginning until its rest arrives.";
    "heartbeat-between-frames" heartbeat_between_frames
        "A frame of length 0 is a heartbeat: allowed between any two frames, and otherwise ignored.";
}

async fn hello_in_one_piece(target: &Target) -> Check {
    Peer::greeted(target).await.map(drop)
}

async fn header_split(target: &Target) -> Check {
    let mut peer = Peer::connect(target).await?;
    let bytes = message(&hello());
    peer.write_pieces(&[&bytes[..1], &bytes[1..4], &bytes[4..]], PAUSE).await?;
    peer.expect(None, "hello").await.map(drop)
}

async fn header_and_payload_apart(target: &Target) -> Check {
    let mut peer = Peer::connect(target).await?;
    let bytes = message(&hello());
    peer.write_pieces(&[&bytes[..4], &bytes[4..]], PAUSE).await?;
    peer.expect(None, "hello").await.map(drop)
}

async fn payload_dripped(target: &Target) -> Check {
    let mut peer = Peer::connect(target).await?;
    let bytes = message(&hello());
    peer.write(&bytes[..4]).await?;
    let pieces: Vec<&[u8]> = bytes[4..].chunks(1).collect();
    peer.write_pieces(&pieces, SHORT_PAUSE).await?;
    peer.expect(None, "hello").await.map(drop)
}

async fn character_split(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    let bytes = message(&json!({"id": 2, "type": "mkdir", "path": "/夏天"}));
    let middle = bytes.windows(3).position(|window| window == "夏".as_bytes()).unwrap_or_default() + 1;
    peer.write_pieces(&[&bytes[..middle], &bytes[middle..]], PAUSE).await?;
    peer.expect(Some(2), "done").await?;
    peer.send(&json!({"id": 3, "type": "stat", "path": "/夏天"})).await?;
    peer.expect(Some(3), "entry").await.map(drop)
}

async fn frames_merged(target: &Target) -> Check {
    let mut peer = Peer::connect(target).await?;
    let upload = json!({"id": 2, "type": "upload", "path": "/f", "size": 5, "body": "now"});
    let bytes = [message(&hello()), message(&register(&peer.user)), message(&upload), data(b"hello"), end(2, b"hello")];
    peer.write(&bytes.concat()).await?;
    peer.expect(None, "hello").await?;
    peer.expect(Some(1), "welcome").await?;
    peer.expect_stored(2, b"hello").await
}

async fn frame_and_a_half(target: &Target) -> Check {
    let mut peer = Peer::connect(target).await?;
    let (first, second) = (message(&hello()), message(&register(&peer.user)));
    let half = second.len() / 2;
    peer.write(&[&first[..], &second[..half]].concat()).await?;
    peer.expect(None, "hello").await?;
    peer.write(&second[half..]).await?;
    peer.expect(Some(1), "welcome").await.map(drop)
}

async fn heartbeat_between_frames(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.write(&[frame(b""), frame(b""), message(&json!({"id": 2, "type": "whoami"})), frame(b"")].concat()).await?;
    peer.expect(Some(2), "account").await?;
    peer.expect_alive().await
}
