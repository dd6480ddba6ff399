//! Telling who is slow from who only pretends: frames that have begun must come on, and what is sent must be taken.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

use super::{ConnectionError, Incoming, Outgoing};
use crate::limits::PACE_LEN_MIN;

/// How often a frame that has begun is looked at: each time, [`PACE_LEN_MIN`] more bytes of it must have come. So who
/// drips is cut within twice that, and a deadline bounds silence alone.
pub(super) const PACE_INTERVAL: Duration = Duration::from_secs(12);
/// How often it is looked at what a peer takes that does not take all.
const DRAIN_INTERVAL: Duration = Duration::from_secs(1);

impl<S: AsyncRead + AsyncWrite> Outgoing<S> {
    /// Sends what is in the buffer: in each deadline the peer takes all of it, or [`PACE_LEN_MIN`] bytes.
    pub(super) async fn drain(&mut self) -> Result<(), ConnectionError> {
        // Whoever took nothing for so long takes no farewell either.
        if self.stalled {
            return Err(ConnectionError::TimedOut(self.deadline));
        }
        let (mut since, mut taken) = (Instant::now(), 0);
        loop {
            let before = self.queue.len();
            if let Ok(flushed) = timeout(DRAIN_INTERVAL.min(self.deadline), self.queue.write_to(&mut self.stream)).await
            {
                return Ok(flushed?);
            }
            taken += before - self.queue.len();
            if taken >= PACE_LEN_MIN {
                (since, taken) = (Instant::now(), 0);
            } else if since.elapsed() >= self.deadline {
                let slow = taken > 0;
                self.stalled = true;
                return Err(if slow {
                    ConnectionError::TooSlow(self.deadline)
                } else {
                    ConnectionError::TimedOut(self.deadline)
                });
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite> Incoming<S> {
    /// How much has come of a frame that is not whole yet.
    pub(super) fn begun_len(&self) -> usize {
        self.reader.decoder().header_len_taken() + self.reader.read_buffer().len()
    }

    /// Whether a peer may be waited for still that was last `heard` then, and had sent `begun` bytes of a frame when the
    /// wait began.
    pub(super) fn check_pace(&self, heard: Instant, begun: usize) -> Result<(), ConnectionError> {
        match self.begun_len() {
            0 if heard.elapsed() < self.deadline => Ok(()),
            0 => Err(ConnectionError::TimedOut(self.deadline)),
            // It began meanwhile: the next look will tell.
            _ if begun == 0 => Ok(()),
            len if len < begun + PACE_LEN_MIN => Err(ConnectionError::TooSlow(PACE_INTERVAL)),
            _ => Ok(()),
        }
    }
}
