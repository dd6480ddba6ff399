//! Right: every message fills a cell of the same size, and `read` is repeated until the cell is full.
//!
//! The cure by fixed size. Good for records that are all alike. The price: short messages carry padding, and no message
//! can be longer than a cell.

use std::io::{self, Read};

/// The size of a cell in bytes: the longest message fits, and one byte more, because the padding is never empty.
pub const CELL_LEN: usize = 2304;

/// Stands behind the message; zeros fill the rest.
const END_MARK: u8 = 0x80;

/// How a sender writes a message: the message, a mark, zeros. A message that does not fit has no place here.
///
/// # Errors
/// When the message is longer than a cell holds.
pub fn encode(message: &[u8]) -> io::Result<Vec<u8>> {
    if message.len() >= CELL_LEN {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is longer than a cell"));
    }
    let mut cell = message.to_vec();
    cell.push(END_MARK);
    cell.resize(CELL_LEN, 0);
    Ok(cell)
}

/// Receives messages until the peer ends the stream.
///
/// # Errors
/// When the stream fails or ends inside a cell, or a cell has no mark.
pub fn receive(stream: &mut dyn Read) -> io::Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    let mut cell = [0; CELL_LEN];
    while fill(stream, &mut cell)? {
        let end = cell.iter().rposition(|byte| *byte != 0).filter(|at| cell[*at] == END_MARK);
        let end = end.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a cell without a mark"))?;
        messages.push(cell[..end].to_vec());
    }
    Ok(messages)
}

/// Reads until `room` is full. `false`: the peer ended the stream before the first byte, between two cells.
fn fill(stream: &mut dyn Read, room: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    // The cure is this loop: a read may bring one byte, and that is no error.
    while filled < room.len() {
        match stream.read(&mut room[filled..])? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended inside a cell")),
            count => filled += count,
        }
    }
    Ok(true)
}
