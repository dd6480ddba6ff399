//! Right: messages end with a newline, and what comes behind the last newline is kept for the next read.
//!
//! The cure by delimiter. Good for text that people type. The price: no message may hold the delimiter, and the receiver
//! must look at every byte.

use std::io::{self, Read};

/// Longest line without its newline. A peer that never sends a newline must not fill the memory.
pub const LINE_LEN_MAX: usize = 64 * 1024;

/// How a sender writes a message.
pub fn encode(message: &[u8]) -> Vec<u8> {
    [message, b"\n"].concat()
}

/// Receives messages until the peer ends the stream.
///
/// # Errors
/// When the stream fails, ends inside a line, or a line is too long.
pub fn receive(stream: &mut dyn Read) -> io::Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    // Bytes that have arrived and belong to no whole message yet. This buffer is the cure: it outlives a read.
    let mut pending: Vec<u8> = Vec::new();
    let mut room = [0; 1024];
    loop {
        let count = stream.read(&mut room)?;
        if count == 0 {
            break;
        }
        pending.extend_from_slice(&room[..count]);
        // One read may have brought several newlines, or none.
        while let Some(at) = pending.iter().position(|byte| *byte == b'\n') {
            check_len(at)?;
            let mut line: Vec<u8> = pending.drain(..=at).collect();
            line.pop();
            messages.push(line);
        }
        check_len(pending.len())?;
    }
    if pending.is_empty() {
        Ok(messages)
    } else {
        // Half a line and then the end: the peer died in the middle of it. It is not a message.
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended inside a line"))
    }
}

fn check_len(len: usize) -> io::Result<()> {
    if len > LINE_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
    }
    Ok(())
}
