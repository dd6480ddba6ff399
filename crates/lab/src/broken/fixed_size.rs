//! Wrong: a `recv` that is never repeated.
//!
//! Every message fills a cell of the same size, so one `recv` of that size must bring one message. It does not say so
//! anywhere: `recv` brings at most what was asked for, and at least one byte.

use std::io::{self, Read};

use crate::fixed::fixed_size::CELL_LEN;

/// Receives messages until the peer ends the stream.
///
/// # Errors
/// When the stream fails.
pub fn receive(stream: &mut dyn Read) -> io::Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    let mut cell = [0; CELL_LEN];
    loop {
        // WRONG: `count` may be less than a cell. Then this "message" is a part of one, and every later one begins
        // somewhere in the middle.
        let count = stream.read(&mut cell)?;
        if count == 0 {
            return Ok(messages);
        }
        let end = cell[..count].iter().rposition(|byte| *byte != 0).unwrap_or(0);
        messages.push(cell[..end].to_vec());
    }
}
