//! A large file on its way: read and hashed piece by piece, beside the sending.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use netdisk_model::{Digest, ResumeKey};
use netdisk_protocol::FaultCode;
use netdisk_protocol::limits::DATA_LEN_MAX;

use crate::error::ClientError;
use crate::local::modified_ms;
use crate::stamp::{Links, Stamp, open_regular};

/// Frames that are read at once: a hop to a thread and back costs nothing beside them.
const PIECE_FRAMES: usize = 4;

/// An open file, read up to a position.
pub(super) struct LargeFile {
    file: File,
    path: PathBuf,
    stamp: Stamp,
    modified: Option<i64>,
    position: u64,
    hash: blake3::Hasher,
}

/// What one read gives.
pub(super) enum Piece {
    /// Bytes before this position, in frames; none while the receiver has them already.
    Data(Vec<Bytes>, u64),
    End(Digest),
}

impl LargeFile {
    /// Blocks.
    pub(super) fn open(path: &Path, links: Links) -> Result<Box<Self>, ClientError> {
        let (file, metadata) = open_regular(path, links).map_err(ClientError::local(path))?;
        Ok(Box::new(Self {
            file,
            path: path.to_owned(),
            stamp: Stamp::of(&metadata),
            modified: modified_ms(&metadata),
            position: 0,
            hash: blake3::Hasher::new(),
        }))
    }

    pub(super) fn size(&self) -> u64 {
        self.stamp.size
    }

    pub(super) fn modified(&self) -> Option<i64> {
        self.modified
    }

    pub(super) fn resume_key(&self) -> Option<ResumeKey> {
        self.stamp.resume_key()
    }

    /// Reads on, and leaves out what is before `offset`. Blocks.
    pub(super) fn read(&mut self, offset: u64) -> Result<Piece, (FaultCode, ClientError)> {
        let failed = |error| (FaultCode::ReadFailed, ClientError::local(&self.path)(error));
        let mut frames = Vec::with_capacity(PIECE_FRAMES);
        let mut is_end = false;
        while frames.len() < PIECE_FRAMES && !is_end {
            let data = read_frame(&self.file).map_err(failed)?;
            is_end = data.len() < DATA_LEN_MAX;
            self.hash.update(&data);
            let begin = self.position;
            self.position += data.len() as u64;
            let unsent = usize::try_from(offset.saturating_sub(begin)).unwrap_or(usize::MAX).min(data.len());
            if unsent < data.len() {
                frames.push(data.slice(unsent..));
            } else if !is_end {
                // A few at a time here too, so that whoever waits can say that it lives.
                return Ok(Piece::Data(Vec::new(), self.position));
            }
        }
        let has_changed = || (FaultCode::Changed, ClientError::Changed { path: self.path.clone() });
        if self.position > self.stamp.size {
            return Err(has_changed());
        }
        if !frames.is_empty() {
            return Ok(Piece::Data(frames, self.position));
        }
        if self.position != self.stamp.size || !self.stamp.is_still(&self.file).map_err(failed)? {
            return Err(has_changed());
        }
        Ok(Piece::End(self.hash.finalize().into()))
    }
}

/// As much as fits a frame; less at the end alone.
fn read_frame(file: &File) -> io::Result<Bytes> {
    let mut data = Vec::with_capacity(DATA_LEN_MAX);
    file.take(DATA_LEN_MAX as u64).read_to_end(&mut data)?;
    Ok(data.into())
}
