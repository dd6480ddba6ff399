//! Right: four bytes say how long the message is; both are read to their end, and the length is not believed blindly.
//!
//! The cure by length. Any bytes can travel, nothing is padded, nothing is searched. This is the framing of netdisk
//! itself: PROTOCOL.md, section 2.

use std::io::{self, Read};

/// Longest message. Four bytes can announce 4,294,967,295 bytes; a receiver that believes it has lost.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024;

/// How a sender writes a message: its length as 4 bytes, the highest first, then the message.
///
/// # Errors
/// When the message is longer than may be.
pub fn encode(message: &[u8]) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the message is too long");
    let len = u32::try_from(message.len()).ok().filter(|_| message.len() <= MESSAGE_LEN_MAX).ok_or_else(too_long)?;
    Ok([&len.to_be_bytes(), message].concat())
}

/// Receives messages until the peer ends the stream.
///
/// # Errors
/// When the stream fails, ends inside a message, or announces too long a one.
pub fn receive(stream: &mut dyn Read) -> io::Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    let mut header = [0; 4];
    // The header is split by TCP like everything else: it has its own loop.
    while fill(stream, &mut header)? {
        let len = u32::from_be_bytes(header) as usize;
        // Before anything is reserved.
        if len > MESSAGE_LEN_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {len} bytes is announced")));
        }
        let mut message = vec![0; len];
        if !fill(stream, &mut message)? {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended behind a header"));
        }
        messages.push(message);
    }
    Ok(messages)
}

/// Reads until `room` is full. `false`: the peer ended the stream before the first byte.
fn fill(stream: &mut dyn Read, room: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < room.len() {
        match stream.read(&mut room[filled..])? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended inside a message")),
            count => filled += count,
        }
    }
    Ok(true)
}
