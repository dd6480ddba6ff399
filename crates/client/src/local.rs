//! The local ends of transfers: any reader as a source, any writer as a sink, and the part file of a download.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use netdisk_model::Digest;
use netdisk_protocol::limits::DATA_LEN_MAX;
use netdisk_protocol::{Chunk, Fault, FaultCode, Sink, Source};
use rustix::fs::{FlockOperation, RenameFlags};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::ClientError;
use crate::observer::{Observer, Progress};
use crate::transfer::OnExisting;

/// Reads a body from `reader`, hashing what it reads.
pub(crate) struct ReaderSource<'a, R> {
    reader: R,
    name: String,
    size: Option<u64>,
    position: u64,
    hash: blake3::Hasher,
    observer: &'a dyn Observer,
}

impl<'a, R: AsyncRead + Send + Unpin> ReaderSource<'a, R> {
    pub(crate) fn new(reader: R, name: String, size: Option<u64>, observer: &'a dyn Observer) -> Self {
        observer.progress(Progress { position: 0, size });
        Self { reader, name, size, position: 0, hash: blake3::Hasher::new(), observer }
    }
}

#[async_trait]
impl<R: AsyncRead + Send + Unpin> Source for ReaderSource<'_, R> {
    async fn next(&mut self) -> Result<Chunk, Fault> {
        let failed = |error: std::io::Error| Fault::new(FaultCode::ReadFailed, format!("{}: {error}", self.name));
        let mut data = BytesMut::with_capacity(DATA_LEN_MAX);
        while data.len() < DATA_LEN_MAX {
            let room = DATA_LEN_MAX - data.len();
            if (&mut self.reader).take(room as u64).read_buf(&mut data).await.map_err(failed)? == 0 {
                break;
            }
        }
        if data.is_empty() {
            // A file that grew or shrank while it was sent is not the file that was announced.
            if let Some(size) = self.size.filter(|size| *size != self.position) {
                let message =
                    format!("{}: changed from {size} to {} bytes while it was sent", self.name, self.position);
                return Err(Fault::new(FaultCode::Changed, message));
            }
            return Ok(Chunk::End(self.hash.finalize().into()));
        }
        self.hash.update(&data);
        self.position += data.len() as u64;
        self.observer.progress(Progress { position: self.position, size: self.size });
        Ok(Chunk::Data(data.freeze()))
    }
}

/// Writes a body to `writer`, hashing what it writes.
pub(crate) struct WriterSink<'a, W> {
    writer: W,
    name: String,
    size: u64,
    position: u64,
    hash: blake3::Hasher,
    observer: &'a dyn Observer,
}

impl<'a, W: AsyncWrite + Send + Unpin> WriterSink<'a, W> {
    pub(crate) fn new(writer: W, name: String, size: u64, observer: &'a dyn Observer) -> Self {
        observer.progress(Progress { position: 0, size: Some(size) });
        Self { writer, name, size, position: 0, hash: blake3::Hasher::new(), observer }
    }

    /// Makes sure that all of it was written and has the digest that the sender claims.
    pub(crate) async fn finish(mut self, claimed: Digest) -> Result<(W, u64), ClientError> {
        let local = |error| ClientError::Local { path: self.name.clone().into(), error };
        self.writer.flush().await.map_err(local)?;
        if self.position != self.size || Digest::from(self.hash.finalize()) != claimed {
            return Err(ClientError::DigestMismatch);
        }
        Ok((self.writer, self.position))
    }
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> Sink for WriterSink<'_, W> {
    async fn write(&mut self, data: Bytes) -> Result<(), Fault> {
        let position = self.position + data.len() as u64;
        if position > self.size {
            let message = format!("{}: more than the {} bytes announced", self.name, self.size);
            return Err(Fault::new(FaultCode::SizeMismatch, message));
        }
        self.writer.write_all(&data).await.map_err(|error| {
            let code = match error.kind() {
                std::io::ErrorKind::StorageFull => FaultCode::Full,
                _ => FaultCode::WriteFailed,
            };
            Fault::new(code, format!("{}: {error}", self.name))
        })?;
        self.hash.update(&data);
        self.position = position;
        self.observer.progress(Progress { position, size: Some(self.size) });
        Ok(())
    }
}

/// An unfinished download: `NAME.part` beside its target, locked against a second transfer, gone when it is dropped.
pub(crate) struct PartFile {
    path: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl PartFile {
    /// Creates the part file of `target`.
    pub(crate) fn create(target: &Path) -> Result<(Self, File), ClientError> {
        let mut path = target.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let mut options = OpenOptions::new();
        // No link is followed, whoever planted it.
        let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let file = options.write(true).create(true).truncate(false).custom_flags(nofollow).open(&path);
        let file = file.map_err(ClientError::local(&path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(ClientError::LocalBusy { path }),
            Err(error) => return Err(ClientError::local(&path)(error.into())),
        }
        file.set_len(0).map_err(ClientError::local(&path))?;
        let mut file = File::from_std(file);
        file.set_max_buf_size(DATA_LEN_MAX);
        Ok((Self { path, target: target.to_owned(), committed: false }, file))
    }

    /// Puts the file at its target, at one stroke and onto the disk.
    pub(crate) async fn commit(
        mut self,
        file: File,
        modified_ms: i64,
        existing: OnExisting,
    ) -> Result<(), ClientError> {
        let (part, target) = (self.path.clone(), self.target.clone());
        let file = file.into_std().await;
        let commit = move || {
            let local = ClientError::local(&target);
            if let Some(modified) = time(modified_ms) {
                file.set_modified(modified).map_err(&local)?;
            }
            file.sync_all().map_err(&local)?;
            let flags = match existing {
                OnExisting::Replace => RenameFlags::empty(),
                OnExisting::Refuse => RenameFlags::NOREPLACE,
            };
            let cwd = rustix::fs::CWD;
            match rustix::fs::renameat_with(cwd, &part, cwd, &target, flags) {
                Ok(()) => {}
                Err(rustix::io::Errno::EXIST) => return Err(ClientError::LocalExists { path: target.clone() }),
                Err(error) => return Err(local(error.into())),
            }
            let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(local)
        };
        let outcome = tokio::task::spawn_blocking(commit).await;
        self.committed = matches!(outcome, Ok(Ok(())));
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.committed {
            // It may never have been made, or be gone already.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

fn time(modified_ms: i64) -> Option<SystemTime> {
    let distance = Duration::from_millis(modified_ms.unsigned_abs());
    if modified_ms < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// The time of last modification, in milliseconds since 1970-01-01 UTC.
pub(crate) fn modified_ms(metadata: &std::fs::Metadata) -> Option<i64> {
    match metadata.modified().ok()?.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).ok(),
        Err(before) => i64::try_from(before.duration().as_millis()).ok().map(|ms| -ms),
    }
}
