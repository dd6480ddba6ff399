//! The local ends of transfers: any reader as a source, any writer as a sink.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use netdisk_model::Digest;
use netdisk_protocol::limits::DATA_LEN_MAX;
use netdisk_protocol::{Chunk, Fault, FaultCode, Sink, Source};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::error::ClientError;
use crate::observer::{Observer, Progress};

/// Reads a body from `reader`, hashing what it reads.
///
/// Names and errors of this machine are not the server's business: it is told a code, the caller gets the error.
pub(crate) struct ReaderSource<'a, R> {
    reader: R,
    name: PathBuf,
    failure: Option<ClientError>,
    position: u64,
    hash: blake3::Hasher,
    observer: &'a dyn Observer,
}

impl<'a, R: AsyncRead + Send + Unpin> ReaderSource<'a, R> {
    pub(crate) fn new(reader: R, name: PathBuf, observer: &'a dyn Observer) -> Self {
        observer.progress(Progress { position: 0, size: None });
        Self { reader, name, failure: None, position: 0, hash: blake3::Hasher::new(), observer }
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
                    return Err(self.fail_read(error));
                }
            }
        }
        self.hash.update(&data);
        self.position += data.len() as u64;
        Ok(data.freeze())
    }

    fn fail_read(&mut self, error: std::io::Error) -> Fault {
        self.failure = Some(ClientError::local(&self.name)(error));
        fault(FaultCode::ReadFailed)
    }

    fn observed(&self) -> Progress {
        Progress { position: self.position, size: None }
    }
}

#[async_trait]
impl<R: AsyncRead + Send + Unpin> SkippingSource for ReaderSource<'_, R> {
    async fn next_behind(&mut self, offset: u64) -> Result<Chunk, Fault> {
        let begin = self.position;
        let data = self.read().await?;
        if data.is_empty() {
            return Ok(Chunk::End(self.hash.finalize().into()));
        }
        if self.position <= offset {
            self.observer.verifying(self.observed());
            // Nothing to send of it, and whoever sends looks meanwhile whether to stop.
            return Ok(Chunk::Data(Bytes::new()));
        }
        self.observer.progress(self.observed());
        let unsent = usize::try_from(offset.saturating_sub(begin)).unwrap_or(0);
        Ok(Chunk::Data(data.slice(unsent..)))
    }

    fn receiver_verifies(&mut self) {
        self.observer.verifying(Progress { position: 0, size: None });
    }
}

/// A source that can leave out what the receiver has, and still knows the digest of the whole.
#[async_trait]
pub(crate) trait SkippingSource: Send {
    /// The next bytes behind `offset`, or the end. Not cancel safe.
    async fn next_behind(&mut self, offset: u64) -> Result<Chunk, Fault>;

    /// The receiver reads what it has, before it says how much that is.
    fn receiver_verifies(&mut self);
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
        self.failure.unwrap_or(error)
    }
}

/// What the other side is told of a failure here.
fn fault(code: FaultCode) -> Fault {
    Fault::new(code, code.meaning())
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
        match self.failure.take() {
            Some(failure) => ClientError::local(&self.name)(failure),
            None => error,
        }
    }

    /// Where it goes.
    pub(crate) fn file(&self) -> &W {
        &self.writer
    }

    /// How many bytes have arrived.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }
}

impl WriterSink<'_, File> {
    /// Reads and hashes what arrived before, `len` bytes, to go on behind it.
    pub(crate) async fn take_prefix(&mut self, len: u64, cancel: &CancellationToken) -> Result<(), ClientError> {
        let mut data = vec![0; DATA_LEN_MAX];
        while self.position < len {
            if cancel.is_cancelled() {
                return Err(fault(FaultCode::Cancelled).into());
            }
            let wanted = usize::try_from(len - self.position).unwrap_or(data.len()).min(data.len());
            let read = self.writer.read_exact(&mut data[..wanted]).await;
            read.map_err(ClientError::local(&self.name))?;
            self.hash.update(&data[..wanted]);
            self.position += wanted as u64;
            self.observer.verifying(Progress { position: self.position, size: Some(self.size) });
        }
        Ok(())
    }

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

pub(crate) fn time(modified_ms: i64) -> Option<SystemTime> {
    let distance = Duration::from_millis(modified_ms.unsigned_abs());
    if modified_ms < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
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
