//! What goes out of a connection: frames gathered in a buffer, sent in time or not at all.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::time::{Duration, timeout};

use super::queue::Queue;
use super::{ConnectionError, HEARTBEAT_INTERVAL};
use crate::codec::FrameCodec;
use crate::frame::Frame;
use crate::limits::MESSAGE_LEN_MAX;
use crate::observer::WireObserver;

/// Bytes that wait before they are sent without being flushed: a few small files share a write and a TLS record.
const GATHERED_MAX: usize = 64 * 1024;

/// The half of a connection that sends. Nothing in it is cancel safe: who drops a send drops the connection with it.
#[derive(Debug)]
pub struct Outgoing<S> {
    pub(super) stream: WriteHalf<S>,
    codec: FrameCodec,
    pub(super) queue: Queue,
    /// How many bytes may wait before they are sent without being flushed.
    gathered_max: usize,
    pub(super) deadline: Duration,
    /// The peer stopped taking what is sent.
    pub(super) stalled: bool,
}

impl<S: AsyncRead + AsyncWrite> Outgoing<S> {
    pub(super) fn new(writer: WriteHalf<S>, deadline: Duration) -> Self {
        let (codec, queue, gathered_max) = (FrameCodec::new(), Queue::default(), GATHERED_MAX);
        Self { stream: writer, codec, queue, gathered_max, deadline, stalled: false }
    }

    pub(super) fn admit(&mut self) {
        self.codec.admit();
    }

    pub(super) fn observe(&mut self, observer: Arc<dyn WireObserver>) {
        self.codec.observe(observer);
    }

    /// Gathers so many bytes, for a peer to whom much is said at once, before they are sent without being flushed.
    pub fn gather(&mut self, len: usize) {
        self.gathered_max = len;
    }

    /// Sends one message and flushes it. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails, the deadline passes, or the message is over the limit.
    pub async fn send<T: Serialize>(&mut self, message: &T) -> Result<(), ConnectionError> {
        self.feed_message(message).await?;
        self.flush().await
    }

    /// Puts one message into the buffer, once there is room; sent with the next flush, or before. Not cancel safe.
    ///
    /// # Errors
    /// As [`Outgoing::send`].
    pub async fn feed_message<T: Serialize>(&mut self, message: &T) -> Result<(), ConnectionError> {
        let payload = serde_json::to_vec(message).map_err(|error| ConnectionError::not_a_message(error.to_string()))?;
        if payload.len() > MESSAGE_LEN_MAX {
            return Err(ConnectionError::FrameTooLarge { limit: MESSAGE_LEN_MAX });
        }
        self.feed(Frame::Message(payload.into())).await
    }

    /// Puts file bytes into the buffer, at most [`crate::limits::DATA_LEN_MAX`], once there is room. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails or the deadline passes.
    pub async fn feed_data(&mut self, data: Bytes) -> Result<(), ConnectionError> {
        self.feed(Frame::Data(data)).await
    }

    async fn feed(&mut self, frame: Frame) -> Result<(), ConnectionError> {
        if self.queue.len() >= self.gathered_max {
            self.drain().await?;
        }
        let (header, payload) = self.codec.take_apart(frame)?;
        self.queue.push(header.as_ref(), payload);
        Ok(())
    }

    /// Sends what was gathered. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails or the deadline passes.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        self.drain().await
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

    /// Ends the stream in this direction. Not cancel safe.
    pub(super) async fn close(&mut self) -> Result<(), ConnectionError> {
        let close = async {
            self.queue.write_to(&mut self.stream).await?;
            Ok(self.stream.shutdown().await?)
        };
        timeout(self.deadline, close).await.map_err(|_| ConnectionError::TimedOut(self.deadline))?
    }
}
