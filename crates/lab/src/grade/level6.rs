//! Level 6, pace: fast askers, slow readers, silent strangers, and peers that vanish.

use std::collections::VecDeque;
use std::time::Duration;

use super::peer::{Peer, content, data, ensure, hello, message, unexpected};
use super::{Check, Target, cases};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

cases! { 6:
    "a-thousand-pipelined" a_thousand_pipelined
        "Up to the window, the next request may come before the last is answered; the answers come in order, all of them.";
    "request-during-a-download" request_during_a_download
        "What is asked during a body waits for its end: a reply never stands inside a body.";
    "slow-reader" slow_reader
        "A client that reads slowly is no attacker: wait for it while its window is shut, and send on when it opens.";
    "all-said-is-not-gone" all_said
        "A client that ends its own direction still listens (a half-closed connection): it is owed its answers.";
    "silent-stranger" silent_stranger
        "One connection that says nothing must not keep the others waiting: serve each on its own.";
    "twenty-at-once" twenty_at_once
        "Accept while you serve: twenty clients want an answer now, and not one after the other's farewell.";
    "reset-in-the-middle" reset
        "A peer may vanish with a reset at any byte: that costs its connection and nobody else's.";
}

async fn a_thousand_pipelined(target: &Target) -> Check {
    let mut peer = Peer::connect(target).await?;
    peer.send(&hello()).await?;
    let greeting = peer.expect(None, "hello").await?;
    // Who announces none is taken to mean 1; who announces 0 could never be asked anything.
    let window = greeting["limits"].get("window").map_or(Some(1), Value::as_u64).filter(|window| *window > 0);
    let window = window.ok_or_else(|| unexpected("a window of at least 1", &greeting))?;
    peer.send(&super::peer::register(&peer.user)).await?;
    peer.expect(Some(1), "welcome").await?;
    let mut due: VecDeque<u64> = VecDeque::new();
    let mut next = 2..1_002;
    loop {
        let room = usize::try_from(window).unwrap_or(1) - due.len();
        let ids: Vec<u64> = next.by_ref().take(room).collect();
        let requests: Vec<u8> = ids.iter().flat_map(|id| message(&json!({"id": id, "type": "whoami"}))).collect();
        peer.write(&requests).await?;
        due.extend(ids);
        let Some(id) = due.pop_front() else { return Ok(()) };
        peer.expect(Some(id), "account").await?;
    }
}

async fn request_during_a_download(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    let content = content(700_000);
    peer.put(2, "/f", &content).await?;
    peer.send(&json!({"id": 3, "type": "download", "path": "/f"})).await?;
    peer.send(&json!({"id": 4, "type": "whoami"})).await?;
    peer.expect(Some(3), "ready").await?;
    let back = peer.recv_body(3, b"").await?;
    ensure(back == content, "the body is not the file")?;
    peer.expect(Some(4), "account").await.map(drop)
}

async fn slow_reader(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    // More than the buffers of two sockets hold.
    let content = content(8 << 20);
    peer.put(2, "/f", &content).await?;
    peer.send(&json!({"id": 3, "type": "download", "path": "/f"})).await?;
    peer.expect(Some(3), "ready").await?;
    // Long enough for the window to shut and for an impatient server to leave.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let back = peer.recv_body(3, b"").await?;
    ensure(back == content, "the body is not the file")?;
    peer.expect_alive().await
}

async fn all_said(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    // More than the buffers of two sockets hold: the server is at work still when it can see the end.
    let content = content(8 << 20);
    peer.put(2, "/f", &content).await?;
    let asked = [json!({"id": 3, "type": "download", "path": "/f"}), json!({"id": 4, "type": "whoami"})];
    peer.write(&asked.iter().flat_map(message).collect::<Vec<u8>>()).await?;
    peer.stream.shutdown().await.map_err(|error| error.to_string())?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    peer.expect(Some(3), "ready").await?;
    peer.recv_body(3, b"").await?;
    peer.expect(Some(4), "account").await?;
    match peer.recv_payload().await? {
        None => Ok(()),
        Some(payload) => Err(format!("{} bytes came behind the last answer", payload.len())),
    }
}

async fn silent_stranger(target: &Target) -> Check {
    let silent = Peer::connect(target).await?;
    let mut half = Peer::connect(target).await?;
    half.write(&[0, 0]).await?;
    let mut peer = Peer::member(target).await?;
    peer.expect_alive().await?;
    drop((silent, half));
    Ok(())
}

async fn twenty_at_once(target: &Target) -> Check {
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(Peer::member(target).await?);
    }
    for peer in &mut peers {
        peer.send(&json!({"id": 2, "type": "whoami"})).await?;
    }
    // In the other order: nobody may wait for the first.
    for peer in peers.iter_mut().rev() {
        let account = peer.expect(Some(2), "account").await?;
        ensure(account["user"] == peer.user, unexpected(&peer.user, &account))?;
    }
    Ok(())
}

async fn reset(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    let upload = message(&json!({"id": 3, "type": "upload", "path": "/f", "size": 100, "body": "now"}));
    for len in [2, upload.len() / 2, upload.len(), upload.len() + 7] {
        let mut second = peer.again(target).await?;
        second.write(&[&upload[..], &data(b"half of it")].concat()[..len]).await?;
        // With a linger time of zero, closing sends RST in place of FIN.
        second.stream.set_zero_linger().map_err(|error| error.to_string())?;
        drop(second);
        peer.expect_alive().await?;
    }
    // What became of the file is asked by fin-in-a-body.
    Ok(())
}
