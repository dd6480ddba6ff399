//! The grader's end of a connection: raw bytes out, frames in, and words for what was seen.

use std::time::Duration;

use netdisk_model::Digest;
use netdisk_protocol::limits::FRAME_LEN_MAX;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Check, Seen, Target};
use crate::limits::GRADED_BODY_LEN_MAX;

/// The password of every account that the grader makes.
pub(super) const PASSWORD: &str = "correct horse";

/// A connection to the server that is graded.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    pub(super) user: String,
    patience: Duration,
}

/// A frame around a payload.
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&len.to_be_bytes(), payload].concat()
}

/// A frame around a message.
pub(super) fn message(message: &Value) -> Vec<u8> {
    frame(message.to_string().as_bytes())
}

/// A frame of file bytes.
pub(super) fn data(bytes: &[u8]) -> Vec<u8> {
    frame(&[&[0], bytes].concat())
}

/// The end of a body.
pub(super) fn end(id: u64, content: &[u8]) -> Vec<u8> {
    message(&json!({"id": id, "type": "end", "digest": Digest::of(content).to_string()}))
}

/// The greeting.
pub(super) fn hello() -> Value {
    json!({"type": "hello", "version": 1, "software": "netdisk-lab"})
}

/// A new account for `user`.
pub(super) fn register(user: &str) -> Value {
    json!({"id": 1, "type": "register", "user": user, "password": PASSWORD})
}

/// Shortens what a server sent, for a line of a report.
fn short(text: &str) -> String {
    let shown: String = text.chars().take(120).collect();
    if shown.len() < text.len() { shown + "…" } else { shown }
}

impl Peer {
    pub(super) async fn connect(target: &Target) -> Seen<Self> {
        let connected = timeout(target.patience, TcpStream::connect(&target.address)).await;
        let stream = connected.map_err(|_| "no connection in time".to_owned())?;
        let stream = stream.map_err(|error| format!("no connection: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { stream, user: target.new_user(), patience: target.patience })
    }

    /// Connected and greeted.
    pub(super) async fn greeted(target: &Target) -> Seen<Self> {
        let mut peer = Self::connect(target).await?;
        peer.send(&hello()).await?;
        peer.expect(None, "hello").await?;
        Ok(peer)
    }

    /// Connected, greeted and logged in to a new account.
    pub(super) async fn member(target: &Target) -> Seen<Self> {
        let mut peer = Self::greeted(target).await?;
        peer.send(&register(&peer.user)).await?;
        peer.expect(Some(1), "welcome").await?;
        Ok(peer)
    }

    /// Another connection of the same user.
    pub(super) async fn again(&self, target: &Target) -> Seen<Self> {
        let mut peer = Self::greeted(target).await?;
        peer.user.clone_from(&self.user);
        peer.send(&json!({"id": 1, "type": "login", "user": self.user, "password": PASSWORD})).await?;
        peer.expect(Some(1), "welcome").await?;
        Ok(peer)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Check {
        match timeout(self.patience, self.stream.write_all(bytes)).await {
            Err(_) => Err("the server does not read".to_owned()),
            Ok(Err(error)) => Err(format!("the server has hung up: {error}")),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// Writes each piece in a call of its own and gives the server the time to read it alone.
    pub(super) async fn write_pieces(&mut self, pieces: &[&[u8]], pause: Duration) -> Check {
        for piece in pieces {
            self.write(piece).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    pub(super) async fn send(&mut self, message_to_send: &Value) -> Check {
        self.write(&message(message_to_send)).await
    }

    async fn fill(&mut self, room: &mut [u8]) -> Seen<usize> {
        let mut filled = 0;
        while filled < room.len() {
            match timeout(self.patience, self.stream.read(&mut room[filled..])).await {
                Err(_) => return Err(format!("nothing came for {} s", self.patience.as_secs_f32())),
                Ok(Err(error)) => return Err(format!("the connection broke: {error}")),
                Ok(Ok(0)) => break,
                Ok(Ok(count)) => filled += count,
            }
        }
        Ok(filled)
    }

    /// The next payload that is no heartbeat; `None` at an end between two frames.
    pub(super) async fn recv_payload(&mut self) -> Seen<Option<Vec<u8>>> {
        loop {
            let mut header = [0; 4];
            match self.fill(&mut header).await? {
                0 => return Ok(None),
                4 => {}
                count => return Err(format!("the server closed after {count} bytes of a header")),
            }
            let len = u32::from_be_bytes(header) as usize;
            if len > FRAME_LEN_MAX {
                return Err(format!("the server announces a frame of {len} bytes (is the length big-endian?)"));
            }
            let mut payload = vec![0; len];
            let filled = self.fill(&mut payload).await?;
            if filled < len {
                return Err(format!("the server closed after {filled} of the {len} bytes that it announced"));
            }
            if !payload.is_empty() {
                return Ok(Some(payload));
            }
        }
    }

    /// The next message.
    pub(super) async fn recv(&mut self) -> Seen<Value> {
        let payload = self.recv_payload().await?.ok_or("the server closed the connection")?;
        if payload.first() == Some(&0) {
            return Err(format!("{} file bytes came in place of a message", payload.len() - 1));
        }
        let text = String::from_utf8(payload).map_err(|_| "a message is not UTF-8")?;
        serde_json::from_str(&text).map_err(|error| format!("not JSON ({error}): {}", short(&text)))
    }

    /// The next message, which must have this id and type.
    pub(super) async fn expect(&mut self, id: Option<u64>, kind: &str) -> Seen<Value> {
        let due = id.map_or_else(|| kind.to_owned(), |id| format!("{kind} to request {id}"));
        let message = self.recv().await.map_err(|seen| format!("where {due} is due: {seen}"))?;
        let has_id = id.is_none_or(|id| message["id"] == json!(id));
        if message["type"] == kind && has_id { Ok(message) } else { Err(unexpected(&due, &message)) }
    }

    /// The next message, which must be a fault with this id and one of these codes.
    pub(super) async fn expect_fault(&mut self, id: u64, codes: &[&str]) -> Check {
        let due = format!("a fault {} to request {id}", codes.join(" or "));
        let fault = self.recv().await.map_err(|seen| format!("where {due} is due: {seen}"))?;
        let fits = fault["type"] == "fault" && fault["id"] == json!(id);
        if fits && codes.iter().any(|code| fault["code"] == *code) { Ok(()) } else { Err(unexpected(&due, &fault)) }
    }

    /// A fault with id 0 and this code, and then a proper end.
    pub(super) async fn expect_closed_with(&mut self, code: &str) -> Check {
        self.expect_fault(0, &[code]).await?;
        match self.recv_payload().await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("more came behind a fault with id 0, which is the last message".to_owned()),
            Err(seen) => Err(format!("behind the fault: {seen}; the server should close properly")),
        }
    }

    /// Whether the connection is in step.
    pub(super) async fn expect_alive(&mut self) -> Check {
        self.send(&json!({"id": 99, "type": "whoami"})).await?;
        let account = self.expect(Some(99), "account").await?;
        if account["user"] == self.user { Ok(()) } else { Err(unexpected(&self.user, &account)) }
    }

    /// Stores a file.
    pub(super) async fn put(&mut self, id: u64, path: &str, content: &[u8]) -> Check {
        self.send(&json!({"id": id, "type": "upload", "path": path, "size": content.len()})).await?;
        self.expect(Some(id), "ready").await?;
        for piece in content.chunks(200_000) {
            self.write(&data(piece)).await?;
        }
        self.write(&end(id, content)).await?;
        self.expect_stored(id, content).await
    }

    /// The reply to a whole upload.
    pub(super) async fn expect_stored(&mut self, id: u64, content: &[u8]) -> Check {
        let stored = self.expect(Some(id), "stored").await?;
        let digest = Digest::of(content).to_string();
        if stored["size"] == json!(content.len()) && stored["digest"] == json!(digest) {
            Ok(())
        } else {
            Err(unexpected(&format!("stored with size {} and digest {digest}", content.len()), &stored))
        }
    }

    /// Fetches a file from an offset; gives what came, whose digest fits.
    pub(super) async fn get(&mut self, id: u64, path: &str, before: &[u8]) -> Seen<Vec<u8>> {
        self.send(&json!({"id": id, "type": "download", "path": path, "offset": before.len()})).await?;
        let ready = self.expect(Some(id), "ready").await?;
        if ready["offset"] != json!(before.len()) {
            return Err(unexpected(&format!("ready from offset {}", before.len()), &ready));
        }
        self.recv_body(id, before).await
    }

    /// Receives a body behind `ready`.
    pub(super) async fn recv_body(&mut self, id: u64, before: &[u8]) -> Seen<Vec<u8>> {
        let mut content = before.to_vec();
        loop {
            let payload = self.recv_payload().await?.ok_or("the server closed in the middle of a body")?;
            if payload[0] == 0 {
                content.extend_from_slice(&payload[1..]);
                let is_too_long = content.len() > GRADED_BODY_LEN_MAX;
                ensure(!is_too_long, format!("a body does not end: {} bytes came already", content.len()))?;
                continue;
            }
            let text = String::from_utf8_lossy(&payload).into_owned();
            let message: Value = serde_json::from_str(&text).map_err(|_| format!("no JSON: {}", short(&text)))?;
            let digest = Digest::of(&content).to_string();
            if message["type"] != "end" || message["id"] != json!(id) {
                return Err(unexpected(&format!("end of body {id}"), &message));
            }
            if message["digest"] != json!(digest) {
                return Err(format!("the digest at the end is {}, of the bytes that came {digest}", message["digest"]));
            }
            return Ok(content);
        }
    }
}

/// What should have come, and what came.
pub(super) fn unexpected(due: &str, message: &Value) -> String {
    format!("where {due} is due came {}", short(&message.to_string()))
}

/// A check in words.
pub(super) fn ensure(good: bool, problem: impl Into<String>) -> Check {
    if good { Ok(()) } else { Err(problem.into()) }
}

/// Bytes that do not repeat with any power of two.
pub(super) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at * 7 + at / 251) % 251).unwrap_or_default()).collect()
}
