//! The small exchange of texts and files that every course on sockets begins with.
//!
//! ```text
//!   item  = type content
//!   type  = length  {"msg_type": "msg"}  or  {"msg_type": "file", "file_name": "a.txt"}
//!   content = length  as many bytes
//! ```
//!
//! A length is a signed 32-bit number, as `struct.pack('i', n)` of Python makes it: on most machines the lowest byte
//! first; `'!i'` and `'>i'` put the highest first. A type that is the bare text `close` ends the exchange.

mod inbox;
mod receive;
mod send;

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

pub use inbox::{FileName, FileNameError};
pub use receive::{Event, Messenger};
pub use send::{Outgoing, send};

use crate::limits::MESSENGER_IDLE_TIMEOUT;

/// Which byte of a length comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endian {
    /// The lowest: `struct.pack('i', n)` or `'<i'` on an ordinary PC.
    Little,
    /// The highest, network order: `struct.pack('!i', n)`.
    Big,
}

impl Endian {
    /// The four bytes of a length.
    pub fn bytes(self, len: i32) -> [u8; 4] {
        match self {
            Self::Little => len.to_le_bytes(),
            Self::Big => len.to_be_bytes(),
        }
    }

    fn length(self, bytes: [u8; 4]) -> i32 {
        match self {
            Self::Little => i32::from_le_bytes(bytes),
            Self::Big => i32::from_be_bytes(bytes),
        }
    }
}

/// Why an exchange ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum MessengerError {
    /// The connection or a file failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream ended where more was announced.
    #[error("the stream ended inside {0}")]
    Truncated(&'static str),
    /// A length is negative or over its limit.
    #[error("{what} of {len} bytes is announced, and at most {max} may be{}", hint(*.len, *.max))]
    Length {
        /// Of what.
        what: &'static str,
        /// How much was announced.
        len: i32,
        /// The limit.
        max: u64,
    },
    /// What should say what follows does not.
    #[error(
        "not a type: {0}; expected {{\"msg_type\": \"msg\"}}, {{\"msg_type\": \"file\", \"file_name\": ...}} or close"
    )]
    NotAType(String),
    /// Nothing came for too long.
    #[error("nothing came for {} seconds", MESSENGER_IDLE_TIMEOUT.as_secs())]
    Silent,
}

/// The most common reason for an absurd length is a sensible one read from the wrong end.
fn hint(len: i32, max: u64) -> String {
    match u64::try_from(len.swap_bytes()) {
        Ok(other) if other <= max => format!(" (from the other end it would be {other}: try the other --endian)"),
        _ => String::new(),
    }
}

/// Fills `room`, however often it takes. Not cancel safe.
async fn fill(
    stream: &mut (impl AsyncRead + Unpin),
    room: &mut [u8],
    what: &'static str,
) -> Result<(), MessengerError> {
    match timeout(MESSENGER_IDLE_TIMEOUT, stream.read_exact(room)).await {
        Err(_) => Err(MessengerError::Silent),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(MessengerError::Truncated(what)),
        Ok(filled) => Ok(filled.map(drop)?),
    }
}

/// Reads a length and checks it before anybody reserves anything. Not cancel safe.
async fn read_length(
    stream: &mut (impl AsyncRead + Unpin),
    endian: Endian,
    what: &'static str,
    max: u64,
) -> Result<u64, MessengerError> {
    let mut bytes = [0; 4];
    fill(stream, &mut bytes, what).await?;
    check_length(endian.length(bytes), what, max)
}

fn check_length(len: i32, what: &'static str, max: u64) -> Result<u64, MessengerError> {
    u64::try_from(len).ok().filter(|len| *len <= max).ok_or(MessengerError::Length { what, len, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_pythons_struct() {
        // struct.pack('<i', 300), struct.pack('>i', 300), struct.pack('<i', -1)
        assert_eq!(Endian::Little.bytes(300), [0x2c, 1, 0, 0]);
        assert_eq!(Endian::Big.bytes(300), [0, 0, 1, 0x2c]);
        assert_eq!(Endian::Little.length([0xff; 4]), -1);
        for len in [0, 1, 300, i32::MAX, i32::MIN] {
            assert_eq!(Endian::Big.length(Endian::Big.bytes(len)), len);
            assert_eq!(Endian::Little.length(Endian::Little.bytes(len)), len);
        }
    }

    #[test]
    fn a_length_is_checked_at_its_limit_and_a_negative_one_is_none() {
        assert_eq!(check_length(100, "x", 100).expect("the limit itself"), 100);
        assert!(check_length(101, "x", 100).is_err());
        assert!(check_length(-1, "x", 100).is_err());
        assert_eq!(check_length(0, "x", 100).expect("nothing is something"), 0);
        let error = check_length(0x1400_0000, "a text", 100).expect_err("far too much").to_string();
        assert!(error.contains("would be 20: try the other --endian"), "{error}");
    }
}
