//! A large file up in parts: read and hashed while others are sent, each acknowledged by itself.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::{Digest, PartHasher, Parts};
use netdisk_protocol::limits::DATA_LEN_MAX;
use netdisk_protocol::{
    BodyPart, ConnectionError, Fault, FaultCode, Frame, Incoming, Numbered, Outgoing, Reply, Request,
};
use rustix::buffer::spare_capacity;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Together;
use super::board::{Board, TakenPart};
use crate::client::{Client, Halves, reply_to, unexpected};
use crate::dial::Stream;
use crate::door::{Door, finish};
use crate::error::ClientError;
use crate::transfers::{both, cancelled_fault};

/// Parts that a connection has sent and that are not acknowledged: more than fill the longest line.
const UNACKNOWLEDGED_MAX: usize = 16;

/// A file that goes in parts, and where they come from.
pub(crate) struct SharedPut {
    /// The name of the upload.
    upload: String,
    board: Arc<Board>,
    file: Arc<File>,
    shown: PathBuf,
    cancel: CancellationToken,
    door: Door,
}

impl SharedPut {
    /// What the server lacks of `file`, behind `parts`.
    pub(crate) fn new(
        upload: String,
        parts: Parts,
        file: Arc<File>,
        shown: PathBuf,
        cancel: &CancellationToken,
        door: Door,
    ) -> Arc<Self> {
        Arc::new(Self { upload, board: Board::new(parts), file, shown, cancel: cancel.clone(), door })
    }

    async fn read(&self, taken: &TakenPart) -> Reading {
        let (file, shown) = (self.file.clone(), self.shown.clone());
        let (number, offset, len) = (taken.number, taken.offset, taken.len);
        self.door.start(move || read_part(&file, number, offset, len).map_err(|error| failed(shown, error))).await
    }
}

/// A part as it is read, in frames.
type Reading = JoinHandle<Result<(Vec<Bytes>, Digest), ClientError>>;

/// A file that is shorter than it was has changed.
fn failed(path: PathBuf, error: std::io::Error) -> ClientError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => ClientError::Changed { path },
        _ => ClientError::local(&path)(error),
    }
}

/// Reads and hashes one part. Blocks.
pub(super) fn read_part(file: &File, number: u64, offset: u64, len: u64) -> std::io::Result<(Vec<Bytes>, Digest)> {
    let mut hasher = PartHasher::new(number);
    let mut frames = Vec::new();
    let mut done = 0;
    while done < len {
        let frame_len = usize::try_from(len - done).unwrap_or(DATA_LEN_MAX).min(DATA_LEN_MAX);
        let data = read_frame(file, offset + done, frame_len)?;
        hasher.update(&data);
        done += data.len() as u64;
        frames.push(data.into());
    }
    let digest = hasher.digest().ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((frames, digest))
}

/// Reads `len` bytes, into memory that is not cleared first. Blocks.
fn read_frame(file: &File, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
    let mut data = Vec::with_capacity(len);
    while data.len() < len {
        let position = offset + data.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut data), position) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // A vector may have more room than it was asked to have.
    data.truncate(len);
    Ok(data)
}

/// A part that was sent, or is being sent.
struct Pending {
    id: u64,
    taken: TakenPart,
    digest: Digest,
    /// All of it has gone: the server has something to say.
    is_sent: Arc<AtomicBool>,
}

#[async_trait]
impl Together for SharedPut {
    fn board(&self) -> &Arc<Board> {
        &self.board
    }

    async fn work(&self, client: &mut Client) -> Result<(), ClientError> {
        let Halves { incoming, outgoing, last_id, .. } = client.halves().await?;
        let (to_recv, pending) = mpsc::channel(UNACKNOWLEDGED_MAX);
        let send = Box::pin(Sender { shared: self, outgoing, last_id, to_recv }.run());
        let recv = Box::pin(recv(self, incoming, pending));
        both(send, recv).await
    }
}

/// The sending side of one connection.
struct Sender<'a> {
    shared: &'a SharedPut,
    outgoing: &'a mut Outgoing<Box<dyn Stream>>,
    last_id: &'a mut u64,
    to_recv: mpsc::Sender<Pending>,
}

impl Sender<'_> {
    /// Sends parts until there are no more; the next one is read while one is sent. Not cancel safe.
    async fn run(mut self) -> Result<(), ClientError> {
        let mut next = None;
        loop {
            let (taken, reading) = match next.take() {
                Some(next) => next,
                None => {
                    // Others may be slow, and a silent peer is given up.
                    let Some(taken) = self.outgoing.keep_alive(self.shared.board.take()).await? else { return Ok(()) };
                    let reading = self.shared.read(&taken).await;
                    (taken, reading)
                }
            };
            let (frames, digest) = match self.outgoing.keep_alive(finish(reading)).await? {
                Ok(read) => read,
                Err(error) => {
                    self.shared.board.fail(error);
                    return Ok(());
                }
            };
            if let Some(taken) = self.shared.board.try_take() {
                let reading = self.shared.read(&taken).await;
                next = Some((taken, reading));
            }
            self.send(taken, frames, digest).await?;
        }
    }

    async fn send(&mut self, taken: TakenPart, frames: Vec<Bytes>, digest: Digest) -> Result<(), ClientError> {
        *self.last_id += 1;
        let id = *self.last_id;
        let request = Request::Part { upload: self.shared.upload.clone(), part: taken.number };
        let is_sent = Arc::new(AtomicBool::new(false));
        let pending = Pending { id, taken, digest, is_sent: is_sent.clone() };
        // Its receiver is gone with an error of its own, which is the one that counts.
        self.to_recv.send(pending).await.map_err(|_| ConnectionError::Closed)?;
        self.outgoing.feed_message(&Numbered::new(id, request)).await?;
        for frame in frames {
            self.outgoing.feed_data(frame).await?;
        }
        self.outgoing.send(&Numbered::new(id, BodyPart::End { digest })).await?;
        is_sent.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Receives what comes of the parts that one connection sends.
async fn recv(
    shared: &SharedPut,
    incoming: &mut Incoming<Box<dyn Stream>>,
    mut pending: mpsc::Receiver<Pending>,
) -> Result<(), ClientError> {
    loop {
        let next = tokio::select! {
            biased;
            () = shared.cancel.cancelled() => return Err(cancelled_fault()),
            next = pending.recv() => next,
        };
        let Some(Pending { id, mut taken, digest, is_sent }) = next else { return Ok(()) };
        match reply(shared, incoming, id, &is_sent).await? {
            Reply::Done => {}
            // Of a connection that was lost behind the part.
            Reply::Fault(fault) if fault.code == FaultCode::Exists => {}
            // The upload is gone with the connection that opened it, which is the one to hear of.
            Reply::Fault(fault) if fault.code == FaultCode::NotFound => return Err(ConnectionError::Closed.into()),
            Reply::Fault(fault) => {
                // The others are on their way, and will be answered.
                shared.board.fail(fault.into());
                continue;
            }
            other => return Err(unexpected(&other)),
        }
        taken.moved(taken.len);
        taken.done(digest);
    }
}

/// The last reply to a part. While it is being sent the server has nothing to say but `abort`, and then a fault.
async fn reply(
    shared: &SharedPut,
    incoming: &mut Incoming<Box<dyn Stream>>,
    id: u64,
    is_sent: &AtomicBool,
) -> Result<Reply, ClientError> {
    loop {
        let frame = tokio::select! {
            biased;
            () = shared.cancel.cancelled() => return Err(cancelled_fault()),
            frame = incoming.recv_frame() => match frame {
                Err(ConnectionError::TimedOut(_)) if !is_sent.load(Ordering::Relaxed) => continue,
                frame => frame?.ok_or(ConnectionError::Closed)?,
            },
        };
        let Frame::Message(payload) = frame else {
            return Err(ConnectionError::not_a_message("file bytes where no body is due").into());
        };
        match serde_json::from_slice::<Numbered<BodyPart>>(&payload) {
            Ok(Numbered { message: BodyPart::Abort(Fault { .. }), .. }) => {}
            _ => return reply_to(id, &payload),
        }
    }
}
