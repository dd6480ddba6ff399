//! A file open for reading: read one chunk ahead of the caller, hashed from its first byte, compared with what was stored.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::{Digest, Entry, PartHasher, Parts, RemotePath};
use rustix::buffer::spare_capacity;
use tokio::task::JoinHandle;

use super::home::HomeState;
use super::identity::Found;
use super::ledger::{self, FileRow};
use super::sabotage::{self, Sabotage};
use crate::door::{Door, finish};
use crate::error::StorageError;
use crate::home::StoredFile;

/// Bytes read at once: one data frame of the wire, and large enough that a call costs nothing beside the copy.
const CHUNK_LEN: usize = 256 * 1024;

/// Chunks read in one step through the door: a step is read while one is sent.
const STEP_CHUNKS: usize = 2;

pub(super) struct DiskFile {
    door: Door,
    entry: Entry,
    offset: u64,
    /// Of the next chunk.
    position: u64,
    state: State,
    digest: Digest,
    recorded: Option<Digest>,
}

enum State {
    /// All of it was read when it was opened.
    Whole(Result<Option<Bytes>, StorageError>),
    Idle(Box<Reader>),
    Reading(Reading, VecDeque<Bytes>),
    /// The end was reached, or a failure reported.
    Over,
}

/// A read under way: the reader comes back with what it read, or with nothing at the end.
type Reading = JoinHandle<Result<(Box<Reader>, VecDeque<Bytes>), StorageError>>;

/// Reads a file from its first byte to its last, once.
pub(super) struct Reader {
    file: OwnedFd,
    opened: Found,
    /// The digest that it was stored with, unless somebody has written into it since.
    stored: Option<Digest>,
    hash: Hash,
    position: u64,
    /// Where it ends: with the file, or with a part of it.
    end: u64,
}

/// What is read is hashed as.
enum Hash {
    Whole(blake3::Hasher),
    Part(PartHasher),
}

impl DiskFile {
    /// Opens the file. Blocks.
    pub(super) fn open(home: &HomeState, path: &RemotePath, offset: u64) -> Result<Box<dyn StoredFile>, StorageError> {
        let reader = Reader::open(home, path)?;
        let entry = reader.entry(path.clone());
        if offset > entry.size {
            return Err(StorageError::Changed);
        }
        let mut room = CHUNK_LEN;
        Ok(Box::new(Self::new(home.door.clone(), entry, offset, reader, &mut room)))
    }

    /// Opens one part of a file; a file that has only one is opened as a whole. Blocks.
    pub(super) fn open_part(
        home: &HomeState,
        path: &RemotePath,
        part: u64,
    ) -> Result<Box<dyn StoredFile>, StorageError> {
        let mut reader = Reader::open(home, path)?;
        let entry = reader.entry(path.clone());
        let Some(parts) = Parts::of(entry.size) else {
            if part > 0 {
                return Err(StorageError::Changed);
            }
            return Ok(Box::new(Self::new(home.door.clone(), entry, 0, reader, &mut { CHUNK_LEN })));
        };
        let (offset, len) = parts.place(part).ok_or(StorageError::Changed)?;
        let recorded = reader.stored;
        (reader.position, reader.end) = (offset, offset + len);
        reader.hash = Hash::Part(PartHasher::new(part));
        let state = State::Idle(Box::new(reader));
        let (door, digest) = (home.door.clone(), Digest::of(b""));
        Ok(Box::new(Self { door, entry, offset, position: offset, state, digest, recorded }))
    }

    /// Opens files, each from its start. Blocks.
    pub(super) fn open_all(home: &HomeState, paths: Vec<RemotePath>) -> Vec<Result<Box<dyn StoredFile>, StorageError>> {
        let mut room = CHUNK_LEN;
        let readers = Reader::open_all(home, &paths);
        let opened = paths.into_iter().zip(readers).map(|(path, reader)| {
            let reader = reader?;
            let entry = reader.entry(path);
            Ok(Box::new(Self::new(home.door.clone(), entry, 0, reader, &mut room)) as Box<dyn StoredFile>)
        });
        opened.collect()
    }

    /// Reads a file of at most `room` bytes at once: then nobody has to wait for another step through the door. Blocks.
    fn new(door: Door, entry: Entry, offset: u64, mut reader: Reader, room: &mut usize) -> Self {
        let mut digest = Digest::of(b"");
        let state = match usize::try_from(entry.size) {
            Ok(size) if size <= *room => {
                *room -= size;
                let whole = reader.read_whole();
                digest = reader.digest();
                State::Whole(whole)
            }
            _ => State::Idle(Box::new(reader)),
        };
        Self { door, entry, offset, position: 0, state, digest, recorded: None }
    }

    async fn start(&self, mut reader: Box<Reader>) -> Reading {
        let read = move || {
            let mut chunks = VecDeque::new();
            while chunks.len() < STEP_CHUNKS
                && let Some(data) = reader.read()?
            {
                chunks.push_back(data);
            }
            Ok((reader, chunks))
        };
        self.door.start(read).await
    }
}

#[async_trait]
impl StoredFile for DiskFile {
    fn entry(&self) -> &Entry {
        &self.entry
    }

    async fn read(&mut self) -> Result<Option<Bytes>, StorageError> {
        let (mut reading, mut chunks) = match std::mem::replace(&mut self.state, State::Over) {
            State::Over => return Ok(None),
            State::Whole(whole) => {
                let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
                return Ok(whole?.map(|data| data.slice(offset.min(data.len())..)));
            }
            State::Idle(reader) => (self.start(reader).await, VecDeque::new()),
            State::Reading(reading, chunks) => (reading, chunks),
        };
        if chunks.is_empty() {
            let reader;
            (reader, chunks) = finish(reading).await?;
            if chunks.is_empty() {
                self.digest = reader.digest();
                return Ok(None);
            }
            reading = self.start(reader).await;
        }
        let data = chunks.pop_front();
        self.state = State::Reading(reading, chunks);
        // What the receiver has already is read for the digest alone.
        Ok(data.map(|data| {
            let known =
                usize::try_from(self.offset.saturating_sub(self.position)).unwrap_or(usize::MAX).min(data.len());
            self.position += data.len() as u64;
            data.slice(known..)
        }))
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    fn recorded(&self) -> Option<Digest> {
        self.recorded
    }
}

impl Reader {
    /// Opens a file and looks up what it was stored with. Blocks.
    pub(super) fn open(home: &HomeState, path: &RemotePath) -> Result<Self, StorageError> {
        let (file, opened) = home.files.open_file(path)?;
        let row =
            home.database.read_blocking(|connection| ledger::row(connection, home.meter.user(), opened.identity))?;
        Ok(Self::new(file, opened, row))
    }

    /// Opens files and looks up what they were stored with, all in one question. Blocks.
    fn open_all(home: &HomeState, paths: &[RemotePath]) -> Vec<Result<Self, StorageError>> {
        let opened: Vec<_> = paths.iter().map(|path| home.files.open_file(path)).collect();
        let user = home.meter.user();
        let rows = home.database.read_blocking(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let rows = opened.iter().map(|opened| match opened {
                Ok((_, found)) => ledger::row(&transaction, user, found.identity),
                Err(_) => Ok(None),
            });
            rows.collect::<Result<Vec<_>, rusqlite::Error>>()
        });
        match rows {
            Ok(rows) => {
                let readers = opened.into_iter().zip(rows).map(|(opened, row)| {
                    let (file, found) = opened?;
                    Ok(Self::new(file, found, row))
                });
                readers.collect()
            }
            Err(error) => {
                let error = StorageError::from(error);
                opened.into_iter().map(|opened| Err(opened.err().unwrap_or_else(|| error.again()))).collect()
            }
        }
    }

    fn new(file: OwnedFd, opened: Found, row: Option<FileRow>) -> Self {
        let stored = row.filter(|row| row.fits(&opened)).map(|row| row.digest);
        let (hash, end) = (Hash::Whole(blake3::Hasher::new()), opened.size);
        Self { file, opened, stored, hash, position: 0, end }
    }

    /// Reads all of a file that fits one chunk, and checks it. Blocks.
    fn read_whole(&mut self) -> Result<Option<Bytes>, StorageError> {
        let data = self.read()?;
        if data.is_some() {
            self.read()?;
        }
        Ok(data)
    }

    /// What was opened, at `path`.
    pub(super) fn entry(&self, path: RemotePath) -> Entry {
        self.opened.entry(path)
    }

    /// Digest of what was read.
    pub(super) fn digest(&self) -> Digest {
        match &self.hash {
            Hash::Whole(hash) => hash.finalize().into(),
            // A part is never empty.
            Hash::Part(hash) => hash.digest().unwrap_or(Digest::of(b"")),
        }
    }

    /// Reads and hashes the next chunk. At the end, makes sure that nobody wrote into the file, and that it is what was
    /// stored. Blocks.
    pub(super) fn read(&mut self) -> Result<Option<Bytes>, StorageError> {
        let left = self.end - self.position;
        let len = usize::try_from(left).unwrap_or(CHUNK_LEN).min(CHUNK_LEN);
        if len == 0 {
            return self.check().map(|()| None);
        }
        let mut data = Vec::with_capacity(len);
        while data.len() < len {
            let position = self.position + data.len() as u64;
            match rustix::io::pread(&self.file, spare_capacity(&mut data), position) {
                Ok(0) => return Err(StorageError::Changed),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // A vector may have more room than it was asked to have.
        data.truncate(len);
        match &mut self.hash {
            Hash::Whole(hash) => drop(hash.update(&data)),
            Hash::Part(hash) => hash.update(&data),
        }
        self.position += len as u64;
        Ok(Some(data.into()))
    }

    fn check(&self) -> Result<(), StorageError> {
        if Found::of(&self.file)?.version() != self.opened.version() {
            return Err(StorageError::Changed);
        }
        match (&self.hash, self.stored) {
            // Whoever has all parts compares them.
            (Hash::Part(_), _) => Ok(()),
            (Hash::Whole(_), Some(stored)) if stored != self.digest() && !sabotage::is(Sabotage::IgnoreDigest) => {
                Err(StorageError::Corrupt)
            }
            _ => Ok(()),
        }
    }
}
