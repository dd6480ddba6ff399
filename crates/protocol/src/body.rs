//! File content in flight: one sender and one receiver, the same for upload and download, on both ends.
//!
//! ```text
//!   sender                                   receiver
//!     data ────────────────────────────────────▶  written, hashed
//!     data ────────────────────────────────────▶
//!       ◀──────────────── abort  (wants no more; discards until the sender's end or abort)
//!     end {digest}  or  abort {code, message} ─▶  the connection is in step again
//! ```

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::Digest;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, ConnectionError, HEARTBEAT_INTERVAL};
use crate::fault::{Fault, FaultCode};
use crate::frame::Frame;
use crate::request::Numbered;

/// A message inside a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BodyPart {
    /// That was all; the digest is that of the whole file, not only of what was sent now.
    End {
        /// The digest.
        digest: Digest,
    },
    /// The sender cannot go on, or the receiver wants no more.
    Abort(Fault),
}

impl BodyPart {
    /// An abort for a reason that this version does not know is an abort all the same: what is passed on is known.
    pub(crate) fn with_known_code(self) -> Self {
        match self {
            Self::Abort(fault) if fault.code == FaultCode::Unknown => {
                Self::Abort(Fault::new(FaultCode::Cancelled, fault.message))
            }
            part => part,
        }
    }
}

/// Where a body comes from.
#[async_trait]
pub trait Source: Send {
    /// Reads on: at most [`crate::limits::DATA_LEN_MAX`] bytes, or the end. Not cancel safe.
    ///
    /// # Errors
    /// A fault that the receiver is told in an `abort`.
    async fn next(&mut self) -> Result<Chunk, Fault>;
}

/// A step of a [`Source`].
#[derive(Debug)]
pub enum Chunk {
    /// File bytes; none while the source reads what the receiver has already.
    Data(Bytes),
    /// The end, with the digest of the whole file.
    End(Digest),
}

/// Where a body goes.
#[async_trait]
pub trait Sink: Send {
    /// Takes the next bytes. Not cancel safe.
    ///
    /// # Errors
    /// A fault that the sender is told in an `abort`; nothing more is written then.
    async fn write(&mut self, data: Bytes) -> Result<(), Fault>;
}

/// What makes this end want no more of a body, and what it then says.
#[derive(Debug, Clone)]
pub struct Stop {
    token: CancellationToken,
    code: FaultCode,
}

impl Stop {
    /// When `token` is cancelled, says `code`.
    pub fn new(token: CancellationToken, code: FaultCode) -> Self {
        Self { token, code }
    }

    /// What is said, once no more is wanted.
    pub fn check(&self) -> Result<(), Fault> {
        if self.token.is_cancelled() { Err(self.fault()) } else { Ok(()) }
    }

    fn fault(&self) -> Fault {
        Fault::new(self.code, self.code.meaning())
    }
}

/// Sends a body up to its end. Not cancel safe; `stop` is.
///
/// The outer error ends the session. The inner one is a fault after which the connection is in step: this end's own
/// (the source failed, `stop` was called), or the peer's `abort`.
///
/// # Errors
/// When the stream fails or a frame takes longer than the deadline.
pub async fn send_body<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    id: u64,
    source: &mut dyn Source,
    stop: &Stop,
) -> Result<Result<Digest, Fault>, ConnectionError> {
    let outcome = feed_body(connection, id, source, stop).await?;
    connection.flush().await?;
    Ok(outcome)
}

/// Does the same, but leaves the end of it in the buffer for a flush that is to follow. Not cancel safe; `stop` is.
///
/// # Errors
/// As [`send_body`].
pub async fn feed_body<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    id: u64,
    source: &mut dyn Source,
    stop: &Stop,
) -> Result<Result<Digest, Fault>, ConnectionError> {
    let mut sent = Instant::now();
    let outcome = loop {
        if let Some(fault) = connection.try_recv_abort(id)? {
            break Err(fault);
        }
        if let Err(fault) = stop.check() {
            break Err(fault);
        }
        match connection.keep_alive(source.next()).await? {
            // Reading what the receiver has may take long, and a silent peer is given up.
            Ok(Chunk::Data(data)) if data.is_empty() => {
                if sent.elapsed() >= HEARTBEAT_INTERVAL {
                    connection.send_heartbeat().await?;
                    sent = Instant::now();
                }
            }
            Ok(Chunk::Data(data)) => {
                connection.feed_data(data).await?;
                sent = Instant::now();
            }
            Ok(Chunk::End(digest)) => break Ok(digest),
            Err(fault) => break Err(fault),
        }
    };
    let last = match &outcome {
        Ok(digest) => BodyPart::End { digest: *digest },
        Err(fault) => BodyPart::Abort(fault.clone()),
    };
    connection.feed_message(&Numbered::new(id, last)).await?;
    Ok(outcome)
}

/// Receives a body up to its end, which is what the sender claims of it: comparing digests is the caller's part.
/// Not cancel safe; `stop` is.
///
/// The outer error ends the session. The inner one is a fault after which the connection is in step: this end's own
/// (the sink refused, `stop` was called), or the peer's `abort`.
///
/// # Errors
/// When the stream fails or ends early, a frame takes longer than the deadline, or what comes is no part of the body.
pub async fn recv_body<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    id: u64,
    sink: &mut dyn Sink,
    stop: &Stop,
) -> Result<Result<Digest, Fault>, ConnectionError> {
    loop {
        let part = tokio::select! {
            biased;
            () = stop.token.cancelled() => return refuse_body(connection, id, stop.fault()).await.map(Err),
            part = recv_part(connection, id) => part?,
        };
        match part {
            Part::Data(data) => {
                if let Err(fault) = connection.keep_alive(sink.write(data)).await? {
                    return refuse_body(connection, id, fault).await.map(Err);
                }
            }
            Part::LateAbort => {}
            Part::Last(BodyPart::End { digest }) => return Ok(Ok(digest)),
            Part::Last(BodyPart::Abort(fault)) => return Ok(Err(fault)),
        }
    }
}

/// Says that no more of body `id` is wanted and discards what is under way. Gives `fault` back. Not cancel safe.
///
/// # Errors
/// As [`recv_body`].
pub async fn refuse_body<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    id: u64,
    fault: Fault,
) -> Result<Fault, ConnectionError> {
    connection.send(&Numbered::new(id, BodyPart::Abort(fault.clone()))).await?;
    while let Part::Data(_) | Part::LateAbort = recv_part(connection, id).await? {}
    Ok(fault)
}

enum Part {
    Data(Bytes),
    Last(BodyPart),
    LateAbort,
}

/// Cancel safe.
async fn recv_part<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    id: u64,
) -> Result<Part, ConnectionError> {
    match connection.recv_frame().await?.ok_or(ConnectionError::Closed)? {
        Frame::Data(data) => Ok(Part::Data(data)),
        Frame::Heartbeat => Err(ConnectionError::not_a_message("a heartbeat")),
        Frame::Message(payload) => match serde_json::from_slice::<Numbered<BodyPart>>(&payload) {
            Ok(part) if part.id == id => Ok(Part::Last(part.message.with_known_code())),
            // It crossed the end of its own body, which came before this one.
            Ok(Numbered { message: BodyPart::Abort(_), .. }) => Ok(Part::LateAbort),
            Ok(part) => Err(ConnectionError::not_a_message(format!("the end of body {} inside body {id}", part.id))),
            Err(error) => Err(crate::peek::refusal_or(&payload, error)),
        },
    }
}
