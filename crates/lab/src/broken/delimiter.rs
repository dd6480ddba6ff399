//! Wrong: takes the end of a read for the end of a line.
//!
//! The sender ends each message with a newline. With short messages and nobody in a hurry, each read brings one line,
//! and this program passes every test on the author's machine.

use std::io::{self, Read};

/// Receives messages until the peer ends the stream.
///
/// # Errors
/// When the stream fails.
pub fn receive(stream: &mut dyn Read) -> io::Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    let mut room = [0; 1024];
    loop {
        let count = stream.read(&mut room)?;
        if count == 0 {
            return Ok(messages);
        }
        // WRONG: the last part of a read may be the first half of a line. Nothing keeps it for the next read, so one
        // message becomes two.
        for line in room[..count].split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                messages.push(line.to_vec());
            }
        }
    }
}
