//! Frames and messages over a byte stream, each wait under a deadline.

mod pace;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout};
use tokio_util::codec::{FramedRead, FramedWrite};

use self::pace::PACE_INTERVAL;
use crate::body::BodyPart;
use crate::codec::FrameCodec;
use crate::fault::{Fault, FaultCode};
use crate::frame::Frame;
use crate::limits::{MESSAGE_LEN_MAX, PACE_LEN_MIN, WINDOW};
use crate::observer::WireObserver;
use crate::peek::{connection_fault, is_abort, refusal_or};
use crate::request::Numbered;

/// How often a peer that waits is told that this end is alive: several times within every deadline of a frame.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// How long a closing end goes on reading what the peer still sends.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of it, in bytes: what fits a socket's buffers.
const LINGER_LEN_MAX: u64 = 8 * 1024 * 1024;

/// A broken wire: it ends the session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The peer ended the stream between two frames where more was due.
    #[error("the peer closed the connection")]
    Closed,
    /// The stream ended inside a frame.
    #[error("the connection was cut inside a frame")]
    Truncated,
    /// A frame is longer than may be.
    #[error("a frame over the limit of {limit} bytes")]
    FrameTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A payload begins with a byte that no frame begins with.
    #[error("a payload that begins with byte {byte:#04x} is no frame")]
    NotAFrame {
        /// The byte.
        byte: u8,
    },
    /// A message is not what may stand here. Made by [`ConnectionError::not_a_message`].
    #[error("not a message that may stand here: {0}")]
    NotAMessage(String),
    /// Nothing arrived, or nothing could be sent, for too long.
    #[error("the peer was silent for {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// A frame that had begun did not come on, or was not taken, fast enough.
    #[error("less than {PACE_LEN_MIN} bytes of a frame in {} seconds", .0.as_secs())]
    TooSlow(Duration),
    /// The peer says why it closes the connection.
    #[error("the peer closes the connection: {0}")]
    Refused(Fault),
}

impl ConnectionError {
    /// Says what is wrong with a message. Parsers quote what the peer sent: it is escaped here, once for log and reply.
    pub fn not_a_message(why: impl AsRef<str>) -> Self {
        Self::NotAMessage(why.as_ref().escape_debug().to_string())
    }

    /// What the peer is told before the connection closes; `None` where nobody listens any more.
    pub fn as_fault(&self) -> Option<Fault> {
        let code = match self {
            Self::Io(_) | Self::Closed | Self::Truncated | Self::Refused(_) => return None,
            Self::FrameTooLarge { .. } | Self::NotAFrame { .. } | Self::NotAMessage(_) => FaultCode::BadRequest,
            Self::TimedOut(_) | Self::TooSlow(_) => FaultCode::TimedOut,
        };
        Some(Fault::new(code, self.to_string()))
    }
}

/// One end of a connection: frames in and out of the byte stream `S`.
///
/// Receiving is cancel safe, sending is not: nothing may select over a send.
#[derive(Debug)]
pub struct Connection<S> {
    reader: FramedRead<ReadHalf<S>, FrameCodec>,
    writer: FramedWrite<WriteHalf<S>, FrameCodec>,
    /// Read ahead while a body was being sent: at most [`WINDOW`] frames, at most the last of them file bytes.
    read_ahead: VecDeque<Frame>,
    deadline: Duration,
    admitted: bool,
    /// The peer stopped taking what is sent.
    stalled: bool,
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    /// Wraps a stream with the limits for strangers; a silence longer than `deadline` is an error.
    pub fn new(stream: S, deadline: Duration) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader: FramedRead::new(reader, FrameCodec::new()),
            writer: FramedWrite::new(writer, FrameCodec::new()),
            read_ahead: VecDeque::new(),
            deadline,
            admitted: false,
            stalled: false,
        }
    }

    /// Raises the limits to what a user may send.
    pub fn admit(&mut self) {
        self.reader.decoder_mut().admit();
        self.writer.encoder_mut().admit();
        self.admitted = true;
    }

    /// Shows every frame, in both directions, to `observer`.
    pub fn observe(&mut self, observer: &Arc<dyn WireObserver>) {
        self.reader.decoder_mut().observe(observer.clone());
        self.writer.encoder_mut().observe(observer.clone());
    }

    /// Sets how long nothing may arrive, or nothing may be taken; it bounds silence and not a transfer.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// Sends one message and flushes it. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails, the deadline passes, or the message is over the limit.
    pub async fn send<T: Serialize>(&mut self, message: &T) -> Result<(), ConnectionError> {
        let payload = serde_json::to_vec(message).map_err(|error| ConnectionError::not_a_message(error.to_string()))?;
        if payload.len() > MESSAGE_LEN_MAX {
            return Err(ConnectionError::FrameTooLarge { limit: MESSAGE_LEN_MAX });
        }
        self.feed(Frame::Message(payload.into())).await?;
        self.drain().await
    }

    /// Sends file bytes, at most [`crate::limits::DATA_LEN_MAX`]; flushed with the message that ends the body.
    /// Not cancel safe.
    pub(crate) async fn feed_data(&mut self, data: Bytes) -> Result<(), ConnectionError> {
        let fed = self.feed(Frame::Data(data)).await;
        fed.map_err(|error| self.last_word().unwrap_or(error))
    }

    /// Puts a frame into the buffer, once there is room. Not cancel safe.
    async fn feed(&mut self, frame: Frame) -> Result<(), ConnectionError> {
        if self.writer.write_buffer().len() >= self.writer.backpressure_boundary() {
            self.drain().await?;
        }
        self.writer.feed(frame).await
    }

    /// Why the peer stopped listening, if it said so before it did.
    fn last_word(&mut self) -> Option<ConnectionError> {
        while let Some(Some(Ok(frame))) = self.reader.next().now_or_never() {
            if let Frame::Message(payload) = frame
                && let Some(fault) = connection_fault(&payload)
            {
                return Some(ConnectionError::Refused(fault));
            }
        }
        None
    }

    /// Sends a sign of life. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails or the deadline passes.
    pub async fn send_heartbeat(&mut self) -> Result<(), ConnectionError> {
        self.feed(Frame::Heartbeat).await?;
        self.drain().await
    }

    /// Waits for `work`, with a sign of life now and then for the peer that waits for its outcome. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails or the deadline passes; `work` is then dropped.
    pub async fn keep_alive<T>(&mut self, work: impl Future<Output = T>) -> Result<T, ConnectionError> {
        let mut work = std::pin::pin!(work);
        loop {
            match timeout(HEARTBEAT_INTERVAL, &mut work).await {
                Ok(outcome) => return Ok(outcome),
                Err(_) => self.send_heartbeat().await?,
            }
        }
    }

    /// Waits for the next frame that is no heartbeat; `None` when the peer ended the stream. Cancel safe.
    ///
    /// # Errors
    /// When the stream fails, is cut inside a frame, or brings what is no frame; when nothing comes in time.
    pub async fn recv_frame(&mut self) -> Result<Option<Frame>, ConnectionError> {
        if let Some(frame) = self.read_ahead.pop_front() {
            return Ok(Some(frame));
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
    /// As [`Connection::recv_frame`]; when file bytes come, or a message that is no `T`.
    pub async fn recv<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ConnectionError> {
        loop {
            let payload = match self.recv_frame().await? {
                None => return Ok(None),
                Some(Frame::Message(payload)) => payload,
                Some(_) => return Err(ConnectionError::not_a_message("file bytes where no body is due")),
            };
            match serde_json::from_slice(&payload) {
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

    /// Looks, without waiting, whether the peer wants the body `id` to stop. What else it sent is kept in order.
    ///
    /// Looks no further than the first file bytes of a pipelined upload: an abort behind them comes too late, which
    /// the grammar allows, and memory stays bounded.
    ///
    /// # Errors
    /// When the stream failed or ended, or brought what is no frame.
    pub fn try_recv_abort(&mut self, id: u64) -> Result<Option<Fault>, ConnectionError> {
        while self.read_ahead.len() < WINDOW && !matches!(self.read_ahead.back(), Some(Frame::Data(_))) {
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
                        None => self.read_ahead.push_back(frame),
                    },
                },
                Frame::Data(_) => self.read_ahead.push_back(frame),
            }
        }
        Ok(None)
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

    /// Ends the stream in this direction. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails or the deadline passes.
    pub async fn close(&mut self) -> Result<(), ConnectionError> {
        within(self.deadline, async {
            self.writer.flush().await?;
            Ok(self.writer.get_mut().shutdown().await?)
        })
        .await
    }

    /// Ends the stream in this direction, then reads and discards for a moment: a socket closed with bytes unread makes
    /// the kernel send RST (RFC 1122, 4.2.2.13), which destroys the last message on its way. For a peer that may be
    /// sending still. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails or the deadline passes.
    pub async fn close_on_talker(&mut self) -> Result<(), ConnectionError> {
        self.close().await?;
        let discard = async {
            let mut left = self.reader.get_mut().take(LINGER_LEN_MAX);
            tokio::io::copy(&mut left, &mut tokio::io::sink()).await
        };
        // A peer that resets, or sends on and on, has been waited for long enough.
        drop(timeout(LINGER_TIMEOUT, discard).await);
        Ok(())
    }
}

async fn within<T>(
    deadline: Duration,
    io: impl Future<Output = Result<T, ConnectionError>>,
) -> Result<T, ConnectionError> {
    timeout(deadline, io).await.map_err(|_| ConnectionError::TimedOut(deadline))?
}
