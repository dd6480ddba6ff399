//! Wrong: reads on until it has *at least* the size that the header names.
//!
//! The file receiver of many a course: it gets the size right and still eats the beginning of the next message, because
//! it always asks for a full buffer. With one file a connection, nobody ever notices.

use std::io::{self, Read};

use crate::fixed::header::Header;

/// Receives contents until the peer ends the stream.
///
/// # Errors
/// When the stream fails, or what should be a header is none.
pub fn receive(stream: &mut dyn Read) -> io::Result<Vec<Vec<u8>>> {
    let mut contents = Vec::new();
    loop {
        let mut len = [0; 4];
        match stream.read_exact(&mut len) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(contents),
            read => read?,
        }
        let len = u32::from_be_bytes(len) as usize;
        let mut header = vec![0; len.min(4096)];
        stream.read_exact(&mut header)?;
        let header: Header = serde_json::from_slice(&header)?;
        let mut content = Vec::new();
        let mut room = [0; 1024];
        while (content.len() as u64) < header.size {
            // WRONG: asks for 1,024 bytes where fewer are left. What comes behind the content was the next header.
            let count = stream.read(&mut room)?;
            if count == 0 {
                break;
            }
            content.extend_from_slice(&room[..count]);
        }
        contents.push(content);
    }
}
