//! What ends a session: a wire that is broken, or a peer that broke its rules.

use std::io;
use std::time::Duration;

use crate::fault::{Fault, FaultCode};
use crate::limits::PACE_LEN_MIN;

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
