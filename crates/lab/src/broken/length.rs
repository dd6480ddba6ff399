//! Wrong: reads 4 bytes and then "the rest".
//!
//! The sender writes a length and a message. This program knows that there is a length, reads it, and then takes what
//! the next read brings as the message, because on the author's machine it is.

use std::io::{self, Read};

/// Receives messages until the peer ends the stream.
///
/// # Errors
/// When the stream fails.
pub fn receive(stream: &mut dyn Read) -> io::Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    loop {
        let mut header = [0; 4];
        // WRONG, a little: four bytes are a small read, and still it may bring one.
        if stream.read(&mut header)? == 0 {
            return Ok(messages);
        }
        let mut room = [0; 65_536];
        // WRONG: the rest of what? Of all that has arrived by now: a part of the message, or this message and the next
        // header and half of what follows it. The length that was just read is the only one who knows.
        let count = stream.read(&mut room)?;
        messages.push(room[..count].to_vec());
    }
}
