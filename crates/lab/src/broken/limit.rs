//! Wrong: believes every length.
//!
//! This program reads headers and messages to their ends, as it should. It is wrong only when somebody lies: four bytes
//! from a stranger make it reserve half a gigabyte, and the stranger can come back a hundred times.

use std::io::{self, Read};

/// Receives messages until the peer ends the stream.
///
/// # Errors
/// When the stream fails or ends inside a message.
pub fn receive(stream: &mut dyn Read) -> io::Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    loop {
        let mut header = [0; 4];
        match stream.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(messages),
            read => read?,
        }
        // WRONG: reserved before a single byte of it has come, however much is announced.
        let mut message = vec![0; u32::from_be_bytes(header) as usize];
        stream.read_exact(&mut message)?;
        messages.push(message);
    }
}
