//! Hashing a local file from its first byte to its last, a piece at a time, so that whoever waits can stop it or show how
//! far it is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use netdisk_model::Digest;

use crate::stamp::Stamp;

/// Bytes that are hashed in one step: some milliseconds.
pub(crate) const PIECE_LEN: u64 = 16 * 1024 * 1024;

/// Bytes that are read at once: they stay in the processor's cache until they are hashed.
const BUFFER_LEN: usize = 256 * 1024;

pub(crate) struct Hashing {
    file: Arc<File>,
    stamp: Stamp,
    position: u64,
    hash: blake3::Hasher,
    buffer: Vec<u8>,
}

impl Hashing {
    /// Of an open file, as it was when it was looked at. Where others read it does not matter.
    pub(crate) fn new(file: Arc<File>, stamp: Stamp) -> Self {
        Self { file, stamp, position: 0, hash: blake3::Hasher::new(), buffer: vec![0; BUFFER_LEN] }
    }

    /// How far it is.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Hashes the next `len` bytes. At the end gives the digest, or nothing where the file is not as it was. Blocks.
    pub(crate) fn read(&mut self, len: u64) -> io::Result<Option<Option<Digest>>> {
        let until = self.position.saturating_add(len);
        while self.position < until {
            let read = match self.file.read_at(&mut self.buffer, self.position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                let is_same = self.position == self.stamp.size && self.stamp.is_still(&self.file)?;
                return Ok(Some(is_same.then(|| self.hash.finalize().into())));
            }
            self.hash.update(&self.buffer[..read]);
            self.position += read as u64;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn hashing(content: &[u8]) -> (tempfile::NamedTempFile, Hashing) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content).expect("written");
        let metadata = file.as_file().metadata().expect("known");
        let hashing = Hashing::new(Arc::new(file.reopen().expect("open")), Stamp::of(&metadata));
        (file, hashing)
    }

    #[test]
    fn pieces_of_any_length_give_the_digest_of_the_whole() {
        let content = vec![7; BUFFER_LEN + 1];
        for len in [1 << 10, BUFFER_LEN as u64, u64::MAX] {
            let (_file, mut hashing) = hashing(&content);
            let digest = loop {
                if let Some(digest) = hashing.read(len).expect("readable") {
                    break digest;
                }
            };
            assert_eq!(digest, Some(Digest::of(&content)));
        }
    }

    #[test]
    fn a_file_that_grew_has_no_digest() {
        let (mut file, mut hashing) = hashing(b"content");
        file.write_all(b"more").expect("written");
        assert_eq!(hashing.read(u64::MAX).expect("readable"), Some(None));
    }
}
