//! The local ends of transfers: any reader as a source, any writer as a sink, and the part file of a download.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use netdisk_model::{Digest, ResumeKey};
use netdisk_protocol::limits::DATA_LEN_MAX;
use netdisk_protocol::{Chunk, Fault, FaultCode, Sink, Source};
use rustix::fs::RenameFlags;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt};

use crate::error::ClientError;
use crate::observer::{Observer, Progress};
use crate::transfer::OnExisting;

/// Reads a body from `reader`, hashing what it reads.
///
/// Names and errors of this machine are not the server's business: it is told a code, the caller gets the error.
pub(crate) struct ReaderSource<'a, R> {
    reader: R,
    name: PathBuf,
    failure: Option<std::io::Error>,
    size: Option<u64>,
    position: u64,
    hash: blake3::Hasher,
    observer: &'a dyn Observer,
}

impl<'a, R: AsyncRead + Send + Unpin> ReaderSource<'a, R> {
    pub(crate) fn new(reader: R, name: PathBuf, size: Option<u64>, observer: &'a dyn Observer) -> Self {
        observer.progress(Progress { position: 0, size });
        Self { reader, name, failure: None, size, position: 0, hash: blake3::Hasher::new(), observer }
    }
}

impl<R: AsyncRead + Send + Unpin> ReaderSource<'_, R> {
    /// Reads and hashes on; empty at the end.
    async fn read(&mut self) -> Result<Bytes, Fault> {
        let mut data = BytesMut::with_capacity(DATA_LEN_MAX);
        while data.len() < DATA_LEN_MAX {
            let room = DATA_LEN_MAX - data.len();
            match (&mut self.reader).take(room as u64).read_buf(&mut data).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    self.failure = Some(error);
                    return Err(fault(FaultCode::ReadFailed));
                }
            }
        }
        self.hash.update(&data);
        self.position += data.len() as u64;
        Ok(data.freeze())
    }

    /// The end, unless the file is not the one that was announced: it grew or shrank while it was sent.
    fn end(&mut self) -> Result<Chunk, Fault> {
        if let Some(size) = self.size.filter(|size| *size != self.position) {
            let text = format!("changed from {size} to {} bytes while it was sent", self.position);
            self.failure = Some(std::io::Error::other(text));
            return Err(fault(FaultCode::Changed));
        }
        Ok(Chunk::End(self.hash.finalize().into()))
    }

    fn observed(&self) -> Progress {
        Progress { position: self.position, size: self.size }
    }
}

#[async_trait]
impl<R: AsyncRead + Send + Unpin> SkippingSource for ReaderSource<'_, R> {
    async fn next_behind(&mut self, offset: u64) -> Result<Chunk, Fault> {
        loop {
            let begin = self.position;
            let data = self.read().await?;
            if data.is_empty() {
                return self.end();
            }
            if self.position > offset {
                self.observer.progress(self.observed());
                let unsent = usize::try_from(offset.saturating_sub(begin)).unwrap_or(0);
                return Ok(Chunk::Data(data.slice(unsent..)));
            }
            self.observer.verifying(self.observed());
        }
    }
}

/// A source that can leave out what the receiver has, and still knows the digest of the whole.
#[async_trait]
pub(crate) trait SkippingSource: Send {
    /// The next bytes behind `offset`, or the end. Not cancel safe.
    async fn next_behind(&mut self, offset: u64) -> Result<Chunk, Fault>;
}

/// A source from an offset on.
pub(crate) struct Skipped<'a> {
    pub(crate) source: &'a mut dyn SkippingSource,
    pub(crate) offset: u64,
}

#[async_trait]
impl Source for Skipped<'_> {
    async fn next(&mut self) -> Result<Chunk, Fault> {
        self.source.next_behind(self.offset).await
    }
}

impl<R> ReaderSource<'_, R> {
    /// What went wrong here, if anything did; otherwise what the other side says.
    pub(crate) fn failure_or(self, error: ClientError) -> ClientError {
        local_or(self.name, self.failure, error)
    }
}

/// What the other side is told of a failure here.
fn fault(code: FaultCode) -> Fault {
    Fault::new(code, code.meaning())
}

fn local_or(path: PathBuf, failure: Option<std::io::Error>, error: ClientError) -> ClientError {
    match failure {
        Some(error) => ClientError::Local { path, error },
        None => error,
    }
}

/// Writes a body to `writer`, hashing what it writes.
pub(crate) struct WriterSink<'a, W> {
    writer: W,
    name: PathBuf,
    failure: Option<std::io::Error>,
    size: u64,
    position: u64,
    hash: blake3::Hasher,
    observer: &'a dyn Observer,
}

impl<'a, W: AsyncWrite + Send + Unpin> WriterSink<'a, W> {
    pub(crate) fn new(writer: W, name: PathBuf, size: u64, observer: &'a dyn Observer) -> Self {
        observer.progress(Progress { position: 0, size: Some(size) });
        Self { writer, name, failure: None, size, position: 0, hash: blake3::Hasher::new(), observer }
    }

    /// Makes sure that all of it was written and has the digest that the sender claims.
    pub(crate) async fn finish(mut self, claimed: Digest) -> Result<(W, u64), ClientError> {
        self.writer.flush().await.map_err(ClientError::local(&self.name))?;
        if self.position != self.size || Digest::from(self.hash.finalize()) != claimed {
            return Err(ClientError::DigestMismatch);
        }
        Ok((self.writer, self.position))
    }

    /// What went wrong here, if anything did; otherwise what the other side says.
    pub(crate) fn failure_or(&mut self, error: ClientError) -> ClientError {
        local_or(self.name.clone(), self.failure.take(), error)
    }

    /// How many bytes have arrived.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }
}

impl WriterSink<'_, File> {
    /// Forgets what has arrived: the file is another now, of this size.
    pub(crate) async fn restart(&mut self, size: u64) -> Result<(), ClientError> {
        let restart = async {
            self.writer.flush().await?;
            self.writer.set_len(0).await?;
            self.writer.rewind().await
        };
        restart.await.map_err(ClientError::local(&self.name))?;
        self.size = size;
        self.position = 0;
        self.hash = blake3::Hasher::new();
        Ok(())
    }
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> Sink for WriterSink<'_, W> {
    async fn write(&mut self, data: Bytes) -> Result<(), Fault> {
        let position = self.position + data.len() as u64;
        if position > self.size {
            return Err(Fault::new(FaultCode::SizeMismatch, format!("more than the {} bytes announced", self.size)));
        }
        if let Err(error) = self.writer.write_all(&data).await {
            self.failure = Some(error);
            return Err(fault(FaultCode::WriteFailed));
        }
        self.hash.update(&data);
        self.position = position;
        self.observer.progress(Progress { position, size: Some(self.size) });
        Ok(())
    }
}

/// An unfinished download: `NAME.part` beside its target, made by this transfer alone and gone when it is dropped.
pub(crate) struct PartFile {
    path: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl PartFile {
    /// Creates the part file of `target`; beside somebody's file of that name, one with another number.
    pub(crate) async fn create(target: &Path) -> Result<(Self, File), ClientError> {
        let mut number = 0;
        loop {
            let mut path = target.as_os_str().to_owned();
            path.push(if number == 0 { ".part".to_owned() } else { format!(".{number}.part") });
            let path = PathBuf::from(path);
            // Exclusive: what stands there is somebody else's, be it a file, a link or a pipe.
            match tokio::fs::OpenOptions::new().write(true).create_new(true).open(&path).await {
                Ok(mut file) => {
                    file.set_max_buf_size(DATA_LEN_MAX);
                    return Ok((Self { path, target: target.to_owned(), committed: false }, file));
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                // The part file is nobody's business: its target cannot be made.
                Err(error) => return Err(ClientError::local(target)(error)),
            }
        }
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
            // Whoever took it away has done what was to be done.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

fn time(modified_ms: i64) -> Option<SystemTime> {
    let distance = Duration::from_millis(modified_ms.unsigned_abs());
    if modified_ms < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// A name for the content of a local file, by which an interrupted upload of it is found again: whoever writes into the
/// file, or puts another in its place, moves its inode, size or ctime.
pub(crate) fn resume_key(metadata: &std::fs::Metadata) -> Option<ResumeKey> {
    let mut hash = blake3::Hasher::new();
    for number in [metadata.dev(), metadata.ino(), metadata.size()] {
        hash.update(&number.to_le_bytes());
    }
    for time in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
        hash.update(&time.to_le_bytes());
    }
    hash.finalize().to_hex().parse().ok()
}

/// The time of last modification of a local file, in milliseconds since 1970-01-01 UTC, as an upload sends it; `None`
/// where the file system keeps none.
///
/// ```
/// let metadata = std::fs::metadata("Cargo.toml")?;
/// assert!(netdisk_client::modified_ms(&metadata).is_some_and(|ms| ms > 0));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn modified_ms(metadata: &std::fs::Metadata) -> Option<i64> {
    match metadata.modified().ok()?.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).ok(),
        Err(before) => i64::try_from(before.duration().as_millis()).ok().map(|ms| -ms),
    }
}
