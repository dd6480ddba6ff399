//! What comes into a connection: frames, cut from the stream and waited for under a deadline.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf};
use tokio::time::{Duration, Instant, timeout};
use tokio_util::codec::FramedRead;

use super::ConnectionError;
use super::pace::PACE_INTERVAL;
use crate::body::BodyPart;
use crate::codec::FrameCodec;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::limits::{READ_AHEAD_LEN_MAX, WINDOW};
use crate::observer::WireObserver;
use crate::peek::{connection_fault, is_abort, refusal_or};
use crate::reply::Reply;
use crate::request::Numbered;

/// How long a closing end goes on reading what the peer still sends.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of it, in bytes: what fits a socket's buffers.
const LINGER_LEN_MAX: u64 = 8 * 1024 * 1024;

/// The half of a connection that receives. All of it is cancel safe.
#[derive(Debug)]
pub struct Incoming<S> {
    pub(super) reader: FramedRead<ReadHalf<S>, FrameCodec>,
    /// Read ahead while a body was being sent: at most [`WINDOW`] frames, at most the last of them file bytes.
    read_ahead: VecDeque<Frame>,
    /// Bytes in it; the last frame may go beyond [`READ_AHEAD_LEN_MAX`].
    read_ahead_len: usize,
    /// Why the stream failed, where nobody has heard of it yet.
    failed: Option<ConnectionError>,
    pub(super) deadline: Duration,
    admitted: bool,
}

impl<S: AsyncRead + AsyncWrite> Incoming<S> {
    pub(super) fn new(reader: ReadHalf<S>, deadline: Duration) -> Self {
        let reader = FramedRead::new(reader, FrameCodec::new());
        let read_ahead = VecDeque::new();
        Self { reader, read_ahead, read_ahead_len: 0, failed: None, deadline, admitted: false }
    }

    pub(super) fn admit(&mut self) {
        self.reader.decoder_mut().admit();
        self.admitted = true;
    }

    pub(super) fn observe(&mut self, observer: Arc<dyn WireObserver>) {
        self.reader.decoder_mut().observe(observer);
    }

    /// Why the peer stopped listening, if it said so before it did.
    pub(super) fn last_word(&mut self) -> Option<ConnectionError> {
        while let Some(Some(Ok(frame))) = self.reader.next().now_or_never() {
            if let Frame::Message(payload) = frame
                && let Some(fault) = connection_fault(&payload)
            {
                return Some(ConnectionError::Refused(fault));
            }
        }
        None
    }

    /// Waits for the next frame that is no heartbeat; `None` when the peer ended the stream. Cancel safe.
    ///
    /// # Errors
    /// When the stream fails, is cut inside a frame, or brings what is no frame; when nothing comes in time.
    pub async fn recv_frame(&mut self) -> Result<Option<Frame>, ConnectionError> {
        if let Some(frame) = self.take_kept() {
            return Ok(Some(frame));
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut heard = Instant::now();
        loop {
            let begun = self.begun_len();
            let left = if begun > 0 { PACE_INTERVAL } else { self.deadline.saturating_sub(heard.elapsed()) };
            match timeout(left.min(PACE_INTERVAL), self.reader.next()).await {
                Err(_) => self.check_pace(heard, begun)?,
                Ok(Some(Ok(Frame::Heartbeat))) => heard = Instant::now(),
                // TLS calls it unexpected when a peer leaves without a farewell. Between two frames it is a plain end:
                // what a truncation could hide, `end` and its digest would show.
                Ok(Some(Err(ConnectionError::Io(error)))) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return self.end();
                }
                Ok(Some(frame)) => return frame.map(Some),
                Ok(None) => return Ok(None),
            }
        }
    }

    /// Whether an end of the stream here cuts a frame.
    fn end<T>(&mut self) -> Result<Option<T>, ConnectionError> {
        if self.reader.decoder().is_between_frames(self.reader.read_buffer()) {
            Ok(None)
        } else {
            Err(ConnectionError::Truncated)
        }
    }

    /// Waits for the next message, skipping late aborts; `None` when the peer ended the stream. Cancel safe.
    ///
    /// # Errors
    /// As [`Incoming::recv_frame`]; when file bytes come, or a message that is no `T`.
    pub async fn recv<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ConnectionError> {
        self.recv_parsed(|payload| serde_json::from_slice(payload)).await
    }

    /// Waits for the next reply, as [`Incoming::recv`] does; a listing is parsed in half the time. Cancel safe.
    ///
    /// # Errors
    /// As [`Incoming::recv`].
    pub async fn recv_reply(&mut self) -> Result<Option<Numbered<Reply>>, ConnectionError> {
        self.recv_parsed(Reply::parse).await
    }

    async fn recv_parsed<T>(
        &mut self,
        parse: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<Option<T>, ConnectionError> {
        loop {
            let payload = match self.recv_frame().await? {
                None => return Ok(None),
                Some(Frame::Message(payload)) => payload,
                Some(_) => return Err(ConnectionError::not_a_message("file bytes where no body is due")),
            };
            match parse(&payload) {
                Ok(message) => return Ok(Some(message)),
                // An abort that crossed the end of its body has nothing left to stop.
                Err(_) if is_abort(&payload) => {}
                // A parser quotes what it was given, which before login may be a misplaced password.
                Err(_) if !self.admitted => {
                    return Err(connection_fault(&payload).map_or_else(
                        || ConnectionError::not_a_message("before login, hello, register and login may"),
                        ConnectionError::Refused,
                    ));
                }
                Err(error) => return Err(refusal_or(&payload, error)),
            }
        }
    }

    /// The next message, if it has come already and is wanted; whatever else has come is left for later. Does not wait.
    pub fn try_recv<T: DeserializeOwned>(&mut self, is_wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let frame = match self.take_kept() {
            Some(frame) => frame,
            None => match self.reader.next().now_or_never()?? {
                Ok(frame) => frame,
                Err(error) => {
                    self.failed = Some(error);
                    return None;
                }
            },
        };
        let message = match &frame {
            Frame::Message(payload) => serde_json::from_slice(payload).ok().filter(is_wanted),
            Frame::Heartbeat | Frame::Data(_) => None,
        };
        if message.is_none() && frame != Frame::Heartbeat {
            self.read_ahead_len += len(&frame);
            self.read_ahead.push_front(frame);
        }
        message
    }

    /// Looks, without waiting, whether the peer wants the body `id` to stop. What else it sent is kept in order.
    ///
    /// Looks no further than the first file bytes of a pipelined upload: an abort behind them comes too late, which
    /// the grammar allows, and memory stays bounded.
    ///
    /// # Errors
    /// When the stream failed or ended, or brought what is no frame.
    pub fn try_recv_abort(&mut self, id: u64) -> Result<Option<Fault>, ConnectionError> {
        while self.read_ahead.len() < WINDOW
            && self.read_ahead_len < READ_AHEAD_LEN_MAX
            && !matches!(self.read_ahead.back(), Some(Frame::Data(_)))
        {
            let frame = match self.reader.next().now_or_never() {
                // A peer that has said all that it wanted to say may still listen; if it does not, sending fails.
                None | Some(None) => break,
                Some(Some(frame)) => frame?,
            };
            match &frame {
                Frame::Heartbeat => {}
                Frame::Message(payload) => match serde_json::from_slice(payload) {
                    Ok(Numbered { id: of, message: BodyPart::Abort(fault) }) if of == id => {
                        return match BodyPart::Abort(fault).with_known_code() {
                            BodyPart::Abort(fault) => Ok(Some(fault)),
                            BodyPart::End { .. } => Ok(None),
                        };
                    }
                    _ => match connection_fault(payload) {
                        Some(fault) => return Err(ConnectionError::Refused(fault)),
                        None => self.keep(frame),
                    },
                },
                Frame::Data(_) => self.keep(frame),
            }
        }
        Ok(None)
    }

    fn take_kept(&mut self) -> Option<Frame> {
        let frame = self.read_ahead.pop_front()?;
        self.read_ahead_len -= len(&frame);
        Some(frame)
    }

    fn keep(&mut self, frame: Frame) {
        self.read_ahead_len += len(&frame);
        self.read_ahead.push_back(frame);
    }

    /// Tells without waiting whether the peer has gone; an idle client asks before it sends.
    pub fn is_closed(&mut self) -> bool {
        loop {
            match self.reader.next().now_or_never() {
                None => return false,
                Some(Some(Ok(Frame::Heartbeat))) => {}
                // Nothing is due while nobody has asked: a last fault, or a broken stream.
                Some(_) => return true,
            }
        }
    }

    /// Reads and discards for a moment what the peer still sends.
    pub(super) async fn discard(&mut self) {
        let discard = async {
            let mut left = self.reader.get_mut().take(LINGER_LEN_MAX);
            tokio::io::copy(&mut left, &mut tokio::io::sink()).await
        };
        // A peer that resets, or sends on and on, has been waited for long enough.
        drop(timeout(LINGER_TIMEOUT, discard).await);
    }
}

fn len(frame: &Frame) -> usize {
    match frame {
        Frame::Heartbeat => 0,
        Frame::Message(payload) | Frame::Data(payload) => payload.len(),
    }
}
