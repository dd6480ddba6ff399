//! Frames in and out of a socket, as a beginner writes them; and here the quirks of framing live.

use std::collections::VecDeque;
use std::io;

use netdisk_protocol::limits::{DATA_LEN_MAX, FRAME_LEN_MAX, MESSAGE_LEN_MAX, STRANGER_FRAME_LEN_MAX};
use netdisk_protocol::{Fault, FaultCode, Numbered, Reply};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Quirk, Shared};
use crate::limits::{IMPATIENCE, MINI_FRAME_TIMEOUT, MINI_LINGER_LEN_MAX, MINI_LINGER_TIMEOUT};

/// What came.
#[derive(Debug)]
pub(super) enum Frame {
    Message(Value),
    Data(Vec<u8>),
    Heartbeat,
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client broke the protocol and is told so.
    Protocol(String),
    /// There is nobody to talk to any more, or no wish to.
    Gone,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

pub(super) struct Wire<'a> {
    stream: TcpStream,
    pub(super) shared: &'a Shared,
    pub(super) admitted: bool,
    /// Written and not yet sent: only a server that merges has something here.
    unsent: Vec<u8>,
    /// Read and not yet looked at: only a server that leaves early reads ahead.
    ahead: VecDeque<u8>,
}

impl<'a> Wire<'a> {
    pub(super) fn new(stream: TcpStream, shared: &'a Shared) -> Self {
        Self { stream, shared, admitted: false, unsent: Vec::new(), ahead: VecDeque::new() }
    }

    /// The next frame; `None` at an end between two frames.
    pub(super) async fn recv(&mut self) -> Result<Option<Frame>, Broken> {
        self.flush().await?;
        let mut header = [0; 4];
        if !self.recv_header(&mut header).await? {
            return Ok(None);
        }
        let mut len = u32::from_be_bytes(header) as usize;
        if self.shared.has(Quirk::SignedLength) && i32::from_be_bytes(header) < 0 {
            len = 0;
        }
        let limit = match self.admitted || self.shared.has(Quirk::TrustsStrangers) {
            true if self.shared.has(Quirk::LimitOffByOne) => FRAME_LEN_MAX - 1,
            true => FRAME_LEN_MAX,
            false => STRANGER_FRAME_LEN_MAX,
        };
        if len > limit {
            return Err(Broken::Protocol(format!("a frame of {len} bytes, where {limit} may be")));
        }
        let mut payload = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.read(&mut payload[filled..]).await? {
                0 => return Err(Broken::Gone),
                count => filled += count,
            }
        }
        self.classify(payload).map(Some)
    }

    async fn read(&mut self, room: &mut [u8]) -> Result<usize, Broken> {
        if self.ahead.is_empty() {
            return Ok(timeout(MINI_FRAME_TIMEOUT, self.stream.read(room)).await.map_err(|_| Broken::Gone)??);
        }
        let count = room.len().min(self.ahead.len());
        room.iter_mut().zip(self.ahead.drain(..count)).for_each(|(to, from)| *to = from);
        Ok(count)
    }

    /// Whether the client has ended its direction, as far as a look ahead of a few kilobytes shows.
    pub(super) fn has_end_ahead(&mut self) -> bool {
        let mut room = [0; 4096];
        match self.stream.try_read(&mut room) {
            Ok(0) => true,
            Ok(count) => {
                self.ahead.extend(&room[..count]);
                false
            }
            Err(_) => false,
        }
    }

    async fn recv_header(&mut self, header: &mut [u8; 4]) -> Result<bool, Broken> {
        let mut filled = 0;
        while filled < header.len() {
            match self.read(&mut header[filled..]).await? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(Broken::Gone),
                count => filled += count,
            }
            if self.shared.has(Quirk::ReadsHeaderOnce) {
                break;
            }
        }
        Ok(true)
    }

    fn classify(&self, payload: Vec<u8>) -> Result<Frame, Broken> {
        match payload.first() {
            None => Ok(Frame::Heartbeat),
            Some(0) => Ok(Frame::Data(payload[1..].to_vec())),
            Some(b'{') if payload.len() > MESSAGE_LEN_MAX => {
                Err(Broken::Protocol("a message over the limit".to_owned()))
            }
            Some(b'{') => match serde_json::from_slice(&payload) {
                Ok(message) => Ok(Frame::Message(message)),
                // serde_json stops at 128 levels; a parser without a limit would have run out of stack by now.
                Err(error) if error.to_string().contains("recursion") && self.shared.has(Quirk::DiesOfDeepJson) => {
                    Err(Broken::Gone)
                }
                Err(error) => Err(Broken::Protocol(error.to_string())),
            },
            Some(byte) => Err(Broken::Protocol(format!("a payload that begins with byte {byte:#04x} is no frame"))),
        }
    }

    pub(super) async fn send<T: Serialize>(&mut self, id: u64, message: T) -> Result<(), Broken> {
        let id = if self.shared.has(Quirk::IdsIn32Bits) { id % (1 << 32) } else { id };
        let id = if self.shared.has(Quirk::AnswersOthers) && self.admitted { id + 1 } else { id };
        let message = serde_json::to_value(Numbered::new(id, message)).map_err(|_| Broken::Gone)?;
        self.send_value(message).await
    }

    pub(super) async fn send_value(&mut self, mut message: Value) -> Result<(), Broken> {
        if self.shared.has(Quirk::AddsFields) {
            message["x-unknown"] = json!({"nested": [1, "two", null]});
        }
        if self.shared.has(Quirk::UnknownFaults) && message["type"] == "fault" {
            message["code"] = json!("of_version_two");
        }
        if self.admitted && self.shared.has(Quirk::AnnouncesHugeFrames) && message["type"] != "welcome" {
            return Ok(self.stream.write_all(&[0xff; 4]).await?);
        }
        if self.admitted && self.shared.has(Quirk::AnswersGarbage) && message["type"] != "welcome" {
            return self.send_payload(b"HTTP/1.1 400 Bad Request").await;
        }
        self.send_payload(message.to_string().as_bytes()).await
    }

    pub(super) async fn send_data(&mut self, data: &[u8]) -> Result<(), Broken> {
        debug_assert!(data.len() <= DATA_LEN_MAX);
        self.send_payload(&[&[0], data].concat()).await
    }

    async fn send_payload(&mut self, payload: &[u8]) -> Result<(), Broken> {
        let len = u32::try_from(payload.len()).map_err(|_| Broken::Gone)?;
        let frame = [&len.to_be_bytes(), payload].concat();
        match self.shared.quirk {
            Some(Quirk::Merges) => self.unsent.extend(frame),
            Some(Quirk::Drips) => self.write_pieces(frame.chunks(1)).await?,
            Some(Quirk::SplitsHeaders) => self.write_pieces([&frame[..1], &frame[1..]].into_iter()).await?,
            Some(Quirk::Heartbeats) => self.write(&[&[0; 4], &frame[..]].concat()).await?,
            _ => self.write(&frame).await?,
        }
        Ok(())
    }

    async fn write_pieces(&mut self, pieces: impl Iterator<Item = &[u8]>) -> Result<(), Broken> {
        for piece in pieces {
            self.write(piece).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let patience = if self.shared.has(Quirk::Impatient) { IMPATIENCE } else { MINI_FRAME_TIMEOUT };
        Ok(timeout(patience, self.stream.write_all(bytes)).await.map_err(|_| Broken::Gone)??)
    }

    /// Sends what a merging server has held back.
    pub(super) async fn flush(&mut self) -> Result<(), Broken> {
        let unsent = std::mem::take(&mut self.unsent);
        self.write(&unsent).await
    }

    /// The last words: why, and a proper end.
    pub(super) async fn close(mut self, broken: Option<Broken>) {
        let told = match broken {
            Some(Broken::Gone) => return,
            Some(Broken::Protocol(why)) => {
                self.send(0, Reply::Fault(Fault::new(FaultCode::BadRequest, why))).await.is_ok()
            }
            None => true,
        };
        if told && self.flush().await.is_ok() && self.stream.shutdown().await.is_ok() {
            // A socket closed with bytes unread resets, and a reset destroys the fault on its way.
            let mut rest = self.stream.take(MINI_LINGER_LEN_MAX);
            let mut nowhere = tokio::io::sink();
            drop(timeout(MINI_LINGER_TIMEOUT, tokio::io::copy(&mut rest, &mut nowhere)).await);
        }
    }
}
