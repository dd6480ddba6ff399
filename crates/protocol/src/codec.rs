//! Cuts a byte stream into frames and writes frames into one.
//!
//! TCP delivers bytes, not messages: two writes may arrive in one read and one write in many. The length header makes
//! the cuts independent of that. tokio-util's `LengthDelimitedCodec` does the cutting; here the first byte of each
//! payload is looked at and limits are kept.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

use crate::connection::ConnectionError;
use crate::frame::{DATA_MARKER, Frame, MESSAGE_MARKER};
use crate::limits::{FRAME_LEN_MAX, MESSAGE_LEN_MAX, STRANGER_FRAME_LEN_MAX};
use crate::observer::{Way, WireObserver};

const HEADER_LEN: usize = 4;

/// What stands before the payload of a frame that goes out.
pub(crate) struct Header {
    bytes: [u8; HEADER_LEN + 1],
    len: usize,
}

impl Header {
    fn new(declared: u32, marker: Option<u8>) -> Self {
        let mut bytes = [0; HEADER_LEN + 1];
        bytes[..HEADER_LEN].copy_from_slice(&declared.to_be_bytes());
        bytes[HEADER_LEN] = marker.unwrap_or(0);
        Self { bytes, len: HEADER_LEN + usize::from(marker.is_some()) }
    }
}

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Frames to bytes and back: a 4-byte big-endian length, then the payload.
#[derive(Debug)]
pub struct FrameCodec {
    cutter: LengthDelimitedCodec,
    /// A header was read whose payload is still to come.
    header_taken: bool,
    observer: Option<Arc<dyn WireObserver>>,
}

impl FrameCodec {
    /// Begins with the limit for strangers, [`STRANGER_FRAME_LEN_MAX`].
    pub fn new() -> Self {
        let cutter = LengthDelimitedCodec::builder()
            .big_endian()
            .length_field_length(HEADER_LEN)
            .max_frame_length(STRANGER_FRAME_LEN_MAX)
            .new_codec();
        Self { cutter, header_taken: false, observer: None }
    }

    /// Raises the limit to what a user may send, [`FRAME_LEN_MAX`].
    pub fn admit(&mut self) {
        self.cutter.set_max_frame_length(FRAME_LEN_MAX);
    }

    /// Shows every frame to `observer`.
    pub(crate) fn observe(&mut self, observer: Arc<dyn WireObserver>) {
        self.observer = Some(observer);
    }

    /// Whether `left`, what is in the buffer after decoding, begins no frame.
    pub(crate) fn is_between_frames(&self, left: &[u8]) -> bool {
        left.is_empty() && !self.header_taken
    }

    /// How much of a frame that has begun has left the buffer already.
    pub(crate) fn header_len_taken(&self) -> usize {
        if self.header_taken { HEADER_LEN } else { 0 }
    }

    /// Header and payload of a frame that goes out.
    pub(crate) fn take_apart(&self, frame: Frame) -> Result<(Header, Bytes), ConnectionError> {
        let len = match &frame {
            Frame::Heartbeat => 0,
            Frame::Message(payload) => payload.len(),
            Frame::Data(payload) => 1 + payload.len(),
        };
        let limit = self.cutter.max_frame_length();
        let declared = u32::try_from(len).ok().filter(|_| len <= limit);
        let declared = declared.ok_or(ConnectionError::FrameTooLarge { limit })?;
        if let Some(observer) = &self.observer {
            observer.frame(Way::Sent, &frame);
        }
        let (marker, payload) = match frame {
            Frame::Heartbeat => (None, Bytes::new()),
            Frame::Message(payload) => (None, payload),
            Frame::Data(payload) => (Some(DATA_MARKER), payload),
        };
        Ok((Header::new(declared, marker), payload))
    }

    fn classify(&self, mut payload: Bytes) -> Result<Frame, ConnectionError> {
        match payload.first().copied() {
            None => Ok(Frame::Heartbeat),
            Some(MESSAGE_MARKER) if payload.len() > MESSAGE_LEN_MAX => {
                Err(ConnectionError::FrameTooLarge { limit: MESSAGE_LEN_MAX })
            }
            Some(MESSAGE_MARKER) => Ok(Frame::Message(payload)),
            Some(DATA_MARKER) => {
                payload.advance(1);
                Ok(Frame::Data(payload))
            }
            Some(byte) => Err(ConnectionError::NotAFrame { byte }),
        }
    }
}

impl Default for FrameCodec {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = ConnectionError;

    fn decode(&mut self, stream: &mut BytesMut) -> Result<Option<Frame>, ConnectionError> {
        let len_before = stream.len();
        // The only error that the cutter knows is a declared length over its limit.
        let limit = self.cutter.max_frame_length();
        match self.cutter.decode(stream).map_err(|_| ConnectionError::FrameTooLarge { limit })? {
            Some(payload) => {
                self.header_taken = false;
                let frame = self.classify(payload.freeze())?;
                if let Some(observer) = &self.observer {
                    observer.frame(Way::Received, &frame);
                }
                Ok(Some(frame))
            }
            None => {
                self.header_taken |= stream.len() < len_before;
                Ok(None)
            }
        }
    }

    /// Tells an end between two frames from one inside a frame, even where the header has left the buffer already.
    fn decode_eof(&mut self, stream: &mut BytesMut) -> Result<Option<Frame>, ConnectionError> {
        match self.decode(stream)? {
            Some(frame) => Ok(Some(frame)),
            None if self.is_between_frames(stream) => Ok(None),
            None => Err(ConnectionError::Truncated),
        }
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = ConnectionError;

    fn encode(&mut self, frame: Frame, stream: &mut BytesMut) -> Result<(), ConnectionError> {
        let (header, payload) = self.take_apart(frame)?;
        stream.reserve(header.as_ref().len() + payload.len());
        stream.extend_from_slice(header.as_ref());
        stream.extend_from_slice(&payload);
        Ok(())
    }
}
