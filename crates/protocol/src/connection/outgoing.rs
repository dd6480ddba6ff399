//! What goes out of a connection: frames gathered in a buffer, sent in time or not at all.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::SinkExt;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::time::{Duration, timeout};
use tokio_util::codec::FramedWrite;

use super::{ConnectionError, HEARTBEAT_INTERVAL};
use crate::codec::FrameCodec;
use crate::frame::Frame;
use crate::limits::MESSAGE_LEN_MAX;
use crate::observer::WireObserver;

/// The half of a connection that sends. Nothing in it is cancel safe: who drops a send drops the connection with it.
#[derive(Debug)]
pub struct Outgoing<S> {
    pub(super) writer: FramedWrite<WriteHalf<S>, FrameCodec>,
    pub(super) deadline: Duration,
    /// The peer stopped taking what is sent.
    pub(super) stalled: bool,
}

impl<S: AsyncRead + AsyncWrite> Outgoing<S> {
    pub(super) fn new(writer: WriteHalf<S>, deadline: Duration) -> Self {
        Self { writer: FramedWrite::new(writer, FrameCodec::new()), deadline, stalled: false }
    }

    pub(super) fn admit(&mut self) {
        self.writer.encoder_mut().admit();
    }

    pub(super) fn observe(&mut self, observer: Arc<dyn WireObserver>) {
        self.writer.encoder_mut().observe(observer);
    }

    /// Gathers so many bytes, for a peer to whom much is said at once, before they are sent without being flushed.
    pub fn gather(&mut self, len: usize) {
        self.writer.set_backpressure_boundary(len);
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
        if self.writer.write_buffer().len() >= self.writer.backpressure_boundary() {
            self.drain().await?;
        }
        self.writer.feed(frame).await
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
            self.writer.flush().await?;
            Ok(self.writer.get_mut().shutdown().await?)
        };
        timeout(self.deadline, close).await.map_err(|_| ConnectionError::TimedOut(self.deadline))?
    }
}
