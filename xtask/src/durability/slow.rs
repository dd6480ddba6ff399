//! An upload by hand over plaintext, which can be held between two frames: the client library sends when it likes.

use anyhow::{Context as _, Result, bail};
use netdisk_client::ClientError;
use netdisk_model::{Digest, Token, UserName};
use netdisk_protocol::limits::DATA_LEN_MAX;
use netdisk_protocol::{ConnectionError, Numbered, Reply};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

use super::server::Server;

/// The server answers within this time, or something hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// An upload that is ready for its body.
pub(super) struct SlowUpload {
    stream: TcpStream,
    content: Vec<u8>,
    sent: usize,
}

impl SlowUpload {
    /// Logs in and announces the upload.
    pub(super) async fn begin(
        server: &Server,
        (user, token): (&UserName, &Token),
        path: &str,
        content: Vec<u8>,
    ) -> Result<Self> {
        let mut stream = TcpStream::connect(server.endpoint.to_string()).await?;
        stream.set_nodelay(true)?;
        let messages = [
            json!({"type": "hello", "version": 1, "software": "proof"}),
            json!({"id": 1, "type": "login", "user": user.as_str(), "token": token.expose()}),
            json!({"id": 2, "type": "upload", "path": path, "size": content.len()}),
        ];
        for message in messages {
            stream.write_all(&frame(message.to_string().as_bytes())?).await?;
        }
        let mut upload = Self { stream, content, sent: 0 };
        loop {
            let message = upload.recv().await?.context("the server leaves")?;
            match message["type"].as_str() {
                Some("ready") => return Ok(upload),
                Some("hello" | "welcome") => {}
                _ => bail!("{message} instead of ready"),
            }
        }
    }

    /// Sends the next `frames` frames, as far as there are so many; gives how many bytes were sent until now.
    pub(super) async fn send(&mut self, frames: usize) -> Result<u64> {
        for _ in 0..frames {
            let end = self.content.len().min(self.sent + DATA_LEN_MAX);
            if self.sent < end {
                let data = frame(&[&[0], &self.content[self.sent..end]].concat())?;
                self.stream.write_all(&data).await?;
                self.sent = end;
            }
        }
        Ok(self.sent as u64)
    }

    /// Sends the rest and the end; gives what came of it as the client library does.
    pub(super) async fn finish(mut self) -> Result<Result<(), ClientError>> {
        self.send(self.content.len().div_ceil(DATA_LEN_MAX)).await?;
        let end = json!({"id": 2, "type": "end", "digest": Digest::of(&self.content).to_string()});
        self.stream.write_all(&frame(end.to_string().as_bytes())?).await?;
        loop {
            let Some(message) = self.recv().await? else { return Ok(Err(ConnectionError::Closed.into())) };
            // What it says in the middle of the body it says again at the end.
            if message["type"] == "abort" {
                continue;
            }
            return Ok(match serde_json::from_value::<Numbered<Reply>>(message)?.message {
                Reply::Stored { .. } => Ok(()),
                Reply::Fault(fault) => Err(fault.into()),
                other => Err(ClientError::Unexpected(format!("{other:?}"))),
            });
        }
    }

    /// The next message; heartbeats are none.
    async fn recv(&mut self) -> Result<Option<Value>> {
        loop {
            let len = match timeout(ANSWER_TIMEOUT, self.stream.read_u32()).await.context("the server hangs")? {
                Ok(len) => len,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let mut payload = vec![0; usize::try_from(len)?];
            self.stream.read_exact(&mut payload).await?;
            if !payload.is_empty() {
                return Ok(Some(serde_json::from_slice(&payload)?));
            }
        }
    }
}

/// A frame of the protocol.
pub(super) fn frame(payload: &[u8]) -> Result<Vec<u8>> {
    Ok([&u32::try_from(payload.len())?.to_be_bytes()[..], payload].concat())
}
