//! Level 4, bodies: nothing is stored until it is whole.

use super::peer::{Peer, content, data, end, ensure, frame, message};
use super::{Check, Target, cases};
use netdisk_protocol::limits::DATA_LEN_MAX;
use serde_json::{Value, json};

cases! { 4:
    "there-and-back" there_and_back
        "File bytes travel in frames of their own, behind a zero byte; what comes back is what was sent, bit by bit.";
    "empty-file" empty_file
        "An empty file has no data frame, only its end; it is a file all the same.";
    "body-at-once" body_at_once
        "With \"body\":\"now\" nobody waits for ready: for a small file this saves a round trip.";
    "frames-of-any-length" frames_of_any_length
        "A data frame carries one byte, or none, or 262,144: the receiver does not care how a body is cut.";
    "heartbeat-in-a-body" heartbeat_in_a_body
        "A heartbeat may stand between any two frames, also inside a body: a sender that waits for its disk shows life.";
    "wrong-digest" wrong_digest
        "The digest at the end covers the whole file; one that does not fit means that nothing is stored.";
    "wrong-size" wrong_size
        "A body that is longer or shorter than declared is not stored: half a file is not a file.";
    "abort-leaves-it-in-step" abort_case
        "A sender that cannot go on says abort; the fault is the last reply, and the connection is in step.";
    "refused-body-is-read" refused_body
        "A body that was sent at once is on the wire even if it is refused: take it off, then say the fault.";
    "fin-in-a-body" fin_in_a_body
        "A body that ends with the connection is never a success: the old file stays.";
    "late-abort" late_abort
        "An abort that crossed the end of its body is skipped: nobody has to win a race.";
    "download-from-an-offset" download_from_an_offset
        "A receiver that has the beginning asks for the rest; the digest at the end is of the whole file.";
}

fn abort(id: u64) -> Vec<u8> {
    message(&json!({"id": id, "type": "abort", "code": "cancelled", "message": "on purpose"}))
}

fn upload(id: u64, path: &str, size: usize, body: &str) -> Value {
    json!({"id": id, "type": "upload", "path": path, "size": size, "body": body})
}

/// The old content stands there still.
async fn expect_old(peer: &mut Peer, path: &str, old: &[u8]) -> Check {
    let there = peer.get(800, path, b"").await?;
    ensure(there == old, format!("{path} does not hold its old content any more, but {} other bytes", there.len()))?;
    peer.expect_alive().await
}

async fn there_and_back(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    for (id, len) in (2..).step_by(2).zip([1, 1_000_003, 5]) {
        let content = content(len);
        peer.put(id, "/f", &content).await?;
        let back = peer.get(id + 1, "/f", b"").await?;
        ensure(back == content, format!("{len} bytes went in and {} others came back", back.len()))?;
    }
    Ok(())
}

async fn empty_file(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.put(2, "/empty", b"").await?;
    let back = peer.get(3, "/empty", b"").await?;
    ensure(back.is_empty(), "an empty file came back with something in it")
}

async fn body_at_once(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.write(&[message(&upload(2, "/f", 5, "now")), data(b"hello"), end(2, b"hello")].concat()).await?;
    peer.expect_stored(2, b"hello").await
}

async fn frames_of_any_length(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    let content = content(DATA_LEN_MAX + 4);
    peer.send(&upload(2, "/f", content.len(), "wait")).await?;
    peer.expect(Some(2), "ready").await?;
    peer.write(&[data(&content[..1]), data(b""), data(&content[1..3])].concat()).await?;
    // In parts below the limit: the limit itself is level 5.
    for piece in content[3..].chunks(100_000) {
        peer.write(&data(piece)).await?;
    }
    peer.write(&end(2, &content)).await?;
    peer.expect_stored(2, &content).await
}

async fn heartbeat_in_a_body(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.send(&upload(2, "/f", 5, "wait")).await?;
    peer.expect(Some(2), "ready").await?;
    peer.write(&[frame(b""), data(b"he"), frame(b""), frame(b""), data(b"llo"), frame(b""), end(2, b"hello")].concat())
        .await?;
    peer.expect_stored(2, b"hello").await
}

async fn wrong_digest(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.put(2, "/f", b"old").await?;
    peer.send(&upload(3, "/f", 5, "wait")).await?;
    peer.expect(Some(3), "ready").await?;
    peer.write(&[data(b"hello"), end(3, b"other")].concat()).await?;
    peer.expect_fault(3, &["digest_mismatch"]).await?;
    expect_old(&mut peer, "/f", b"old").await
}

async fn wrong_size(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.put(2, "/f", b"old").await?;
    peer.send(&upload(3, "/f", 6, "wait")).await?;
    peer.expect(Some(3), "ready").await?;
    peer.write(&[data(b"hello"), end(3, b"hello")].concat()).await?;
    peer.expect_fault(3, &["size_mismatch"]).await?;
    expect_old(&mut peer, "/f", b"old").await
}

async fn abort_in_step(target: &Target, start: &str) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.put(2, "/f", b"old").await?;
    peer.send(&upload(3, "/f", 5, start)).await?;
    if start == "wait" {
        peer.expect(Some(3), "ready").await?;
    }
    peer.write(&[data(b"he"), abort(3)].concat()).await?;
    peer.expect_fault(3, &["cancelled"]).await?;
    expect_old(&mut peer, "/f", b"old").await
}

async fn abort_case(target: &Target) -> Check {
    abort_in_step(target, "wait").await?;
    abort_in_step(target, "now").await
}

async fn refused_body(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.write(&[message(&upload(2, "/no/f", 5, "now")), data(b"hello"), end(2, b"hello")].concat()).await?;
    let abort = peer.expect(Some(2), "abort").await?;
    ensure(abort["code"] == "not_found", format!("the abort says {}", abort["code"]))?;
    peer.expect_fault(2, &["not_found"]).await?;
    peer.expect_alive().await
}

async fn fin_in_a_body(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.put(2, "/f", b"old").await?;
    // Between two frames, inside a frame, inside a header; with a declared size and without.
    let cuts = [data(b"hel"), data(b"hel")[..6].to_vec(), [data(b"hel"), vec![0, 0]].concat()];
    for (cut, size) in cuts.into_iter().zip([json!(5), json!(5), Value::Null]) {
        let mut second = peer.again(target).await?;
        let mut request = json!({"id": 3, "type": "upload", "path": "/f", "body": "now"});
        if !size.is_null() {
            request["size"] = size;
        }
        second.write(&[message(&request), cut].concat()).await?;
        tokio::io::AsyncWriteExt::shutdown(&mut second.stream).await.map_err(|error| error.to_string())?;
        // The server closes when it has dealt with it; how it takes its leave is its own affair.
        while let Ok(Some(_)) = second.recv_payload().await {}
        expect_old(&mut peer, "/f", b"old").await?;
    }
    Ok(())
}

async fn late_abort(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    peer.put(2, "/f", b"hello").await?;
    peer.write(&abort(2)).await?;
    peer.expect_alive().await?;
    // It may even arrive inside the next body.
    peer.write(&[message(&upload(3, "/g", 5, "now")), data(b"he"), abort(2), data(b"llo"), end(3, b"hello")].concat())
        .await?;
    peer.expect_stored(3, b"hello").await
}

async fn download_from_an_offset(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    let content = content(1000);
    peer.put(2, "/f", &content).await?;
    for (id, offset) in (3..).zip([0, 1, 999, 1000]) {
        let whole = peer.get(id, "/f", &content[..offset]).await?;
        ensure(whole == content, format!("from offset {offset} came something else"))?;
    }
    peer.send(&json!({"id": 9, "type": "download", "path": "/f", "offset": 1001})).await?;
    peer.expect_fault(9, &["changed"]).await
}
