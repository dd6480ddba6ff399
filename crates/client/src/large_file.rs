//! A large file on its way: read and hashed piece by piece, beside the sending.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::{Digest, ResumeKey};
use netdisk_protocol::limits::DATA_LEN_MAX;
use netdisk_protocol::{Chunk, Fault, FaultCode};
use tokio::task::JoinHandle;

use crate::door::finish;
use crate::error::ClientError;
use crate::local::{SkippingSource, modified_ms};
use crate::observer::{Observer, Progress};
use crate::parts::Announced;
use crate::stamp::{Links, Stamp, open_regular};

/// Frames that are read at once: a hop to a thread and back costs nothing beside them.
const PIECE_FRAMES: usize = 4;

/// An open file, read up to a position.
pub(crate) struct LargeFile {
    file: File,
    path: PathBuf,
    stamp: Stamp,
    modified: Option<i64>,
    position: u64,
    hash: blake3::Hasher,
}

/// What one read gives.
pub(crate) enum Piece {
    /// Bytes before this position, in frames; none while the receiver has them already.
    Data(VecDeque<Bytes>, u64),
    End(Digest),
}

impl LargeFile {
    /// Blocks.
    pub(crate) fn open(path: &Path, links: Links) -> Result<Box<Self>, ClientError> {
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

    pub(crate) fn size(&self) -> u64 {
        self.stamp.size
    }

    pub(crate) fn modified(&self) -> Option<i64> {
        self.modified
    }

    pub(crate) fn resume_key(&self) -> Option<ResumeKey> {
        self.stamp.resume_key()
    }

    /// The file for whoever reads it as a whole before it is sent.
    pub(crate) fn shared(&self) -> Result<Announced, ClientError> {
        let file = self.file.try_clone().map_err(ClientError::local(&self.path))?;
        Ok(Announced { file: Arc::new(file), stamp: self.stamp, path: self.path.clone() })
    }

    /// The file and what it was when it was opened, to be sent in parts.
    pub(crate) fn announced(self: Box<Self>) -> Announced {
        Announced { file: Arc::new(self.file), stamp: self.stamp, path: self.path }
    }

    /// Reads on, and leaves out what is before `offset`. Blocks.
    pub(crate) fn read(&mut self, offset: u64) -> Result<Piece, (FaultCode, ClientError)> {
        let failed = |error| (FaultCode::ReadFailed, ClientError::local(&self.path)(error));
        let mut frames = VecDeque::with_capacity(PIECE_FRAMES);
        let mut is_end = false;
        while frames.len() < PIECE_FRAMES && !is_end {
            let data = read_frame(&self.file).map_err(failed)?;
            is_end = data.len() < DATA_LEN_MAX;
            self.hash.update(&data);
            let begin = self.position;
            self.position += data.len() as u64;
            let unsent = usize::try_from(offset.saturating_sub(begin)).unwrap_or(usize::MAX).min(data.len());
            if unsent < data.len() {
                frames.push_back(data.slice(unsent..));
            } else if !is_end {
                // A few at a time here too, so that whoever waits can say that it lives.
                return Ok(Piece::Data(VecDeque::new(), self.position));
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

/// A large file as a source: the next piece is read while one is sent.
pub(crate) struct LargeSource<'a> {
    next: Next,
    frames: VecDeque<Bytes>,
    /// Of the first byte that is not in `frames`.
    position: u64,
    size: u64,
    failure: Option<ClientError>,
    observer: &'a dyn Observer,
}

enum Next {
    Idle(Box<LargeFile>),
    Reading(Reading),
    /// The end was reached, or a failure reported.
    Over,
}

impl<'a> LargeSource<'a> {
    pub(crate) fn new(file: Box<LargeFile>, observer: &'a dyn Observer) -> Self {
        let size = file.size();
        observer.progress(Progress { position: 0, size: Some(size) });
        Self { next: Next::Idle(file), frames: VecDeque::new(), position: 0, size, failure: None, observer }
    }

    /// What went wrong here, if anything did; otherwise what the other side says.
    pub(crate) fn failure_or(self, error: ClientError) -> ClientError {
        self.failure.unwrap_or(error)
    }

    async fn read(&mut self, offset: u64) -> Result<Option<Chunk>, Fault> {
        let (read, file) = match std::mem::replace(&mut self.next, Next::Over) {
            Next::Idle(file) => finish(read_beside(file, offset)).await,
            Next::Reading(reading) => finish(reading).await,
            Next::Over => return Err(Fault::new(FaultCode::ReadFailed, "it was read to its end")),
        };
        match read {
            Ok(Piece::Data(frames, position)) => {
                (self.frames, self.position) = (frames, position);
                self.next = Next::Reading(read_beside(file, offset));
                Ok(None)
            }
            Ok(Piece::End(digest)) => Ok(Some(Chunk::End(digest))),
            Err((code, failure)) => {
                self.failure = Some(failure);
                Err(Fault::new(code, code.meaning()))
            }
        }
    }

    fn progress(&self) -> Progress {
        let unsent: usize = self.frames.iter().map(Bytes::len).sum();
        Progress { position: self.position - unsent as u64, size: Some(self.size) }
    }
}

#[async_trait]
impl SkippingSource for LargeSource<'_> {
    async fn next_behind(&mut self, offset: u64) -> Result<Chunk, Fault> {
        if self.frames.is_empty() {
            if let Some(end) = self.read(offset).await? {
                return Ok(end);
            }
            if self.frames.is_empty() {
                self.observer.verifying(self.progress());
                // Nothing to send of it, and whoever sends looks meanwhile whether to stop.
                return Ok(Chunk::Data(Bytes::new()));
            }
        }
        let frame = self.frames.pop_front().unwrap_or_default();
        self.observer.progress(self.progress());
        Ok(Chunk::Data(frame))
    }

    fn receiver_verifies(&mut self) {
        self.observer.verifying(Progress { position: 0, size: Some(self.size) });
    }
}

/// A read under way: what it gave, or what the receiver is told and why.
type Reading = JoinHandle<(Result<Piece, (FaultCode, ClientError)>, Box<LargeFile>)>;

fn read_beside(mut file: Box<LargeFile>, offset: u64) -> Reading {
    tokio::task::spawn_blocking(move || {
        let piece = file.read(offset);
        (piece, file)
    })
}

/// As much as fits a frame; less at the end alone.
fn read_frame(file: &File) -> io::Result<Bytes> {
    let mut data = Vec::with_capacity(DATA_LEN_MAX);
    file.take(DATA_LEN_MAX as u64).read_to_end(&mut data)?;
    Ok(data.into())
}
