//! A recording: one JSON object a line, as `netdisk --trace FILE` writes them. It holds no secret and no file byte.

use std::io::{self, BufRead, Write};

use netdisk_protocol::{Frame, Way, without_secrets};
use serde::{Deserialize, Serialize};

use super::HEADER_LEN;
use super::steps::Cell;
use crate::LabError;
use crate::limits::{RECORDING_EVENTS_MAX, RECORDING_LEN_MAX};
use crate::paint::harmless;

/// Longest label of a cell in characters: the longest type of a message, and room.
const LABEL_LEN_MAX: usize = 24;

/// In which direction bytes go, seen from whoever recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From here to the peer.
    Sent,
    /// From the peer to here.
    Received,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Sent => Self::Sent,
            Way::Received => Self::Received,
        }
    }
}

/// What kind of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A JSON message.
    Message,
    /// File bytes.
    Data,
    /// A sign of life.
    Heartbeat,
}

impl Kind {
    /// A few words for a cell: the type of a message.
    pub(super) fn label(self, text: &str) -> String {
        match self {
            Self::Data => "file bytes".to_owned(),
            Self::Heartbeat => "heartbeat".to_owned(),
            Self::Message => {
                let message = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
                let label = harmless(message["type"].as_str().unwrap_or(text));
                label.chars().take(LABEL_LEN_MAX).collect()
            }
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// One call wrote so many bytes.
    Written {
        /// Microseconds since the recording began.
        us: u64,
        /// Which way they go.
        way: Direction,
        /// How many.
        len: usize,
    },
    /// One read brought so many bytes.
    Read {
        /// Microseconds since the recording began.
        us: u64,
        /// How many.
        len: usize,
    },
    /// A frame was sent, or cut from what came.
    Frame {
        /// Microseconds since the recording began.
        us: u64,
        /// Which way it goes.
        way: Direction,
        /// What it is.
        kind: Kind,
        /// Length of its payload in bytes.
        len: usize,
        /// The message, secrets blacked out; nothing of file bytes.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
    },
}

impl Event {
    /// A frame as it may be kept.
    pub fn of_frame(us: u64, way: Direction, frame: &Frame) -> Self {
        let (kind, len, text) = match frame {
            Frame::Heartbeat => (Kind::Heartbeat, 0, String::new()),
            Frame::Data(data) => (Kind::Data, 1 + data.len(), String::new()),
            Frame::Message(payload) => (Kind::Message, payload.len(), without_secrets(payload)),
        };
        Self::Frame { us, way, kind, len, text }
    }

    pub(super) fn direction(&self) -> Direction {
        match self {
            Self::Read { .. } => Direction::Received,
            Self::Written { way, .. } | Self::Frame { way, .. } => *way,
        }
    }

    /// Length of the payload, if this is a frame.
    pub(super) fn frame_len(&self) -> Option<usize> {
        if let Self::Frame { len, .. } = self { Some(*len) } else { None }
    }

    pub(super) fn written_cell(&self) -> Option<Cell> {
        if let Self::Written { len, .. } = self { Some(Cell { len: *len, label: len.to_string() }) } else { None }
    }

    pub(super) fn read_cell(&self) -> Option<Cell> {
        if let Self::Read { len, .. } = self { Some(Cell { len: *len, label: len.to_string() }) } else { None }
    }

    /// The cell of a frame is as long as its header and its payload.
    pub(super) fn frame_cell(&self) -> Option<Cell> {
        let Self::Frame { len, kind, text, .. } = self else { return None };
        Some(Cell { len: len.saturating_add(HEADER_LEN), label: kind.label(text) })
    }

    /// A line for people.
    pub fn in_words(&self) -> String {
        match self {
            Self::Written { len, .. } => format!("a call wrote {len} bytes"),
            Self::Read { len, .. } => format!("a read brought {len} bytes"),
            Self::Frame { way, kind, len, text, .. } => {
                let arrow = if *way == Direction::Sent { "->" } else { "<-" };
                let what = if *kind == Kind::Message { harmless(text) } else { kind.label(text) };
                format!("{arrow} {len:>6}  {what}")
            }
        }
    }
}

/// Events in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recording {
    /// The events.
    pub events: Vec<Event>,
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// When it cannot be read or is too long, or a line is no event.
    pub fn load(input: impl BufRead) -> Result<Self, LabError> {
        Self::load_at_most(input, RECORDING_LEN_MAX)
    }

    fn load_at_most(input: impl BufRead, len_max: u64) -> Result<Self, LabError> {
        let mut events = Vec::new();
        let mut len = 0;
        for (number, line) in (1..).zip(input.take(len_max + 1).lines()) {
            len += line.as_ref().map_or(0, |line| line.len() as u64 + 1);
            if len > len_max {
                return Err(LabError::Failed(format!("the recording is longer than {len_max} bytes")));
            }
            if events.len() == RECORDING_EVENTS_MAX {
                return Err(LabError::Failed(format!("more than {RECORDING_EVENTS_MAX} events")));
            }
            let event = serde_json::from_str(&line?);
            events.push(event.map_err(|error| LabError::Failed(format!("line {number} is no event: {error}")))?);
        }
        Ok(Self { events })
    }

    /// Writes it, as it can be read again.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn save(&self, out: &mut dyn Write) -> io::Result<()> {
        for event in &self.events {
            writeln!(out, "{}", serde_json::to_string(event)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_read_as_it_was_written_and_holds_no_secret() {
        let login = br#"{"id":1,"type":"login","user":"alice","password":"correct horse"}"#;
        let frames = [
            Event::of_frame(1, Direction::Sent, &Frame::Message(login.to_vec().into())),
            Event::Written { us: 2, way: Direction::Sent, len: 70 },
            Event::Read { us: 3, len: 9 },
            Event::of_frame(4, Direction::Received, &Frame::Data(b"hello".to_vec().into())),
            Event::of_frame(5, Direction::Received, &Frame::Heartbeat),
        ];
        let recording = Recording { events: frames.to_vec() };
        let mut text = Vec::new();
        recording.save(&mut text).expect("written");
        assert_eq!(Recording::load(&text[..]).expect("read"), recording);
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(!text.contains("correct") && !text.contains("hello"), "{text}");
        assert_eq!(
            recording.events[0].in_words(),
            r#"->     65  {"id":1,"password":"***","type":"login","user":"alice"}"#
        );
        assert!(Recording::load(&b"{}\n"[..]).is_err());
    }

    #[test]
    fn a_recording_has_a_limit() {
        let line = b"{\"event\":\"read\",\"us\":1,\"len\":1}\n";
        let text = line.repeat(3);
        let loaded = |len_max| Recording::load_at_most(&text[..], len_max);
        let len = text.len() as u64;
        assert_eq!(loaded(len).expect("the limit itself").events.len(), 3);
        assert!(loaded(len - 1).is_err());
        // A line without an end is read no further than the limit.
        assert!(Recording::load_at_most(io::BufReader::new(io::repeat(b' ')), 1000).is_err());
    }
}
