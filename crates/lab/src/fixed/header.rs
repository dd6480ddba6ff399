//! Right: a length, a JSON header of that length, and then exactly as many bytes of content as the header says.
//!
//! The cure by a header that names the size of what follows. A file travels behind a description of itself, in pieces
//! that need not fit the memory. netdisk's uploads do it so: PROTOCOL.md, section 5.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

/// Longest header in bytes.
pub const HEADER_LEN_MAX: usize = 4 * 1024;
/// Longest content in bytes: the lesson keeps it in memory.
pub const CONTENT_LEN_MAX: u64 = 64 * 1024;

/// What follows.
#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    /// What it is called.
    pub name: String,
    /// How many bytes of content follow this header.
    pub size: u64,
}

/// How a sender writes a message.
///
/// # Errors
/// When the header is no JSON or too long.
pub fn encode(name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let header = serde_json::to_vec(&Header { name: name.to_owned(), size: content.len() as u64 })?;
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the header is too long");
    let len = u32::try_from(header.len()).ok().filter(|_| header.len() <= HEADER_LEN_MAX).ok_or_else(too_long)?;
    Ok([&len.to_be_bytes(), &header[..], content].concat())
}

/// Receives contents until the peer ends the stream.
///
/// # Errors
/// When the stream fails or ends inside a message, or something is too long.
pub fn receive(stream: &mut dyn Read) -> io::Result<Vec<Vec<u8>>> {
    let mut contents = Vec::new();
    let mut len = [0; 4];
    while fill(stream, &mut len)? {
        let len = u32::from_be_bytes(len) as usize;
        if len > HEADER_LEN_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a header of {len} bytes is announced")));
        }
        let mut header = vec![0; len];
        fill(stream, &mut header)?;
        let header: Header = serde_json::from_slice(&header)?;
        if header.size > CONTENT_LEN_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} bytes are announced", header.size)));
        }
        contents.push(read_content(stream, header.size)?);
    }
    Ok(contents)
}

/// Reads exactly `size` bytes, in pieces, as for a file that does not fit the memory.
fn read_content(stream: &mut dyn Read, size: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut room = [0; 1024];
    let mut left = usize::try_from(size).unwrap_or(usize::MAX);
    while left > 0 {
        // Never ask for more than is left: the byte behind the content belongs to the next header.
        let wanted = left.min(room.len());
        let count = stream.read(&mut room[..wanted])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended inside a content"));
        }
        content.extend_from_slice(&room[..count]);
        left -= count;
    }
    Ok(content)
}

/// Reads until `room` is full. `false`: the peer ended the stream before the first byte.
fn fill(stream: &mut dyn Read, room: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < room.len() {
        match stream.read(&mut room[filled..])? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended inside a header")),
            count => filled += count,
        }
    }
    Ok(true)
}
