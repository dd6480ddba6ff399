//! Frames and messages over a byte stream, each wait under a deadline.

mod error;
mod incoming;
mod outgoing;
mod pace;
mod queue;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::error::ConnectionError;
pub use self::incoming::Incoming;
pub use self::outgoing::Outgoing;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::observer::WireObserver;
use crate::reply::Reply;
use crate::request::Numbered;

/// How often a peer that waits is told that this end is alive: several times within every deadline of a frame.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// One end of a connection: frames in and out of the byte stream `S`.
///
/// Receiving is cancel safe, sending is not: nothing may select over a send.
#[derive(Debug)]
pub struct Connection<S> {
    incoming: Incoming<S>,
    outgoing: Outgoing<S>,
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    /// Wraps a stream with the limits for strangers; a silence longer than `deadline` is an error.
    pub fn new(stream: S, deadline: Duration) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self { incoming: Incoming::new(reader, deadline), outgoing: Outgoing::new(writer, deadline) }
    }

    /// Raises the limits to what a user may send.
    pub fn admit(&mut self) {
        self.incoming.admit();
        self.outgoing.admit();
    }

    /// Shows every frame, in both directions, to `observer`.
    pub fn observe(&mut self, observer: &Arc<dyn WireObserver>) {
        self.incoming.observe(observer.clone());
        self.outgoing.observe(observer.clone());
    }

    /// Sets how long nothing may arrive, or nothing may be taken; it bounds silence and not a transfer.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.incoming.deadline = deadline;
        self.outgoing.deadline = deadline;
    }

    /// Both halves, for whoever sends and receives at once.
    pub fn halves(&mut self) -> (&mut Incoming<S>, &mut Outgoing<S>) {
        (&mut self.incoming, &mut self.outgoing)
    }

    /// Sends one message and flushes it. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails, the deadline passes, or the message is over the limit.
    pub async fn send<T: Serialize>(&mut self, message: &T) -> Result<(), ConnectionError> {
        self.outgoing.send(message).await
    }

    /// Puts one message into the buffer, once there is room; sent with the next flush, or before. Not cancel safe.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn feed_message<T: Serialize>(&mut self, message: &T) -> Result<(), ConnectionError> {
        self.outgoing.feed_message(message).await
    }

    /// Sends what was put into the buffer. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails or the deadline passes.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        self.outgoing.flush().await
    }

    /// Sends file bytes, at most [`crate::limits::DATA_LEN_MAX`]; flushed with the message that ends the body. Says what
    /// the peer said, where it stopped listening. Not cancel safe.
    pub(crate) async fn feed_data(&mut self, data: Bytes) -> Result<(), ConnectionError> {
        let fed = self.outgoing.feed_data(data).await;
        fed.map_err(|error| self.incoming.last_word().unwrap_or(error))
    }

    /// Sends a sign of life. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails or the deadline passes.
    pub async fn send_heartbeat(&mut self) -> Result<(), ConnectionError> {
        self.outgoing.send_heartbeat().await
    }

    /// Waits for `work`, with a sign of life now and then for the peer that waits for its outcome. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails or the deadline passes; `work` is then dropped.
    pub async fn keep_alive<T>(&mut self, work: impl Future<Output = T>) -> Result<T, ConnectionError> {
        self.outgoing.keep_alive(work).await
    }

    /// Waits for the next frame that is no heartbeat; `None` when the peer ended the stream. Cancel safe.
    ///
    /// # Errors
    /// When the stream fails, is cut inside a frame, or brings what is no frame; when nothing comes in time.
    pub async fn recv_frame(&mut self) -> Result<Option<Frame>, ConnectionError> {
        self.incoming.recv_frame().await
    }

    /// Waits for the next message, skipping late aborts; `None` when the peer ended the stream. Cancel safe.
    ///
    /// # Errors
    /// As [`Connection::recv_frame`]; when file bytes come, or a message that is no `T`.
    pub async fn recv<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ConnectionError> {
        self.incoming.recv().await
    }

    /// Waits for the next reply, as [`Connection::recv`] does; a listing is parsed in half the time. Cancel safe.
    ///
    /// # Errors
    /// As [`Connection::recv`].
    pub async fn recv_reply(&mut self) -> Result<Option<Numbered<Reply>>, ConnectionError> {
        self.incoming.recv_reply().await
    }

    /// The next message, if it has come already and is wanted; whatever else has come is left for later. Does not wait.
    pub fn try_recv<T: DeserializeOwned>(&mut self, is_wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        self.incoming.try_recv(is_wanted)
    }

    /// Looks, without waiting, whether the peer wants the body `id` to stop. What else it sent is kept in order.
    ///
    /// # Errors
    /// When the stream failed or ended, or brought what is no frame.
    pub fn try_recv_abort(&mut self, id: u64) -> Result<Option<Fault>, ConnectionError> {
        self.incoming.try_recv_abort(id)
    }

    /// Tells without waiting whether the peer has gone; an idle client asks before it sends.
    pub fn is_closed(&mut self) -> bool {
        self.incoming.is_closed()
    }

    /// Ends the stream in this direction. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails or the deadline passes.
    pub async fn close(&mut self) -> Result<(), ConnectionError> {
        self.outgoing.close().await
    }

    /// Ends the stream in this direction, then reads and discards for a moment: a socket closed with bytes unread makes
    /// the kernel send RST (RFC 1122, 4.2.2.13), which destroys the last message on its way. For a peer that may be
    /// sending still. Not cancel safe.
    ///
    /// # Errors
    /// When the stream fails or the deadline passes.
    pub async fn close_on_talker(&mut self) -> Result<(), ConnectionError> {
        self.close().await?;
        self.incoming.discard().await;
        Ok(())
    }
}
