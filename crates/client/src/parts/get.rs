//! A large file down in parts: asked for over each connection some parts ahead, written where they belong, compared one by
//! one and all together.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use netdisk_model::{Digest, Entry, PartHasher, Parts};
use netdisk_protocol::{BodyPart, ConnectionError, Fault, Frame, Incoming, Numbered, Outgoing, Reply, Request};
use rustix::fs::FlockOperation;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Together;
use super::board::{Board, TakenPart};
use crate::client::{Client, Halves, reply_to, unexpected};
use crate::dial::Stream;
use crate::door::{Door, finish};
use crate::error::ClientError;
use crate::transfers::{both, cancelled_fault};

/// Parts that a connection asks for ahead, at first and at most. It is one more with each that came: near the server few
/// are out of order, far from it the line is full.
const AHEAD_FIRST: usize = 2;
const AHEAD_MAX: usize = 8;

/// File bytes in a frame, below which they are copied together.
const SHORT_LEN: usize = 16 * 1024;

/// A file that comes in parts, and where they are written.
pub(crate) struct SharedGet {
    entry: Entry,
    board: Arc<Board>,
    file: Arc<Writable>,
    cancel: CancellationToken,
    door: Door,
    /// What the server says that the whole was stored as.
    recorded: Mutex<Option<Digest>>,
    /// Whether some of it was here before, compared with nothing yet.
    is_kept: bool,
    /// The request for the first part, where that was to find out how large the file is.
    asked: Mutex<Option<(u64, TakenPart)>>,
}

/// A file that is written by many, until it is not to be any more.
struct Writable {
    file: File,
    shown: PathBuf,
    is_closed: RwLock<bool>,
}

impl Writable {
    /// Writes a part; it is there before anybody can close the file. Blocks.
    fn write(&self, taken: TakenPart, frames: &[Bytes], digest: Digest) -> Result<(), ClientError> {
        let is_closed = self.is_closed.read().unwrap_or_else(PoisonError::into_inner);
        if *is_closed {
            return Err(cancelled_fault());
        }
        let mut offset = taken.offset;
        for frame in frames {
            self.file.write_all_at(frame, offset).map_err(ClientError::local(&self.shown))?;
            offset += frame.len() as u64;
        }
        taken.done(digest);
        Ok(())
    }
}

/// What came of a request for a part.
struct Pending {
    id: u64,
    taken: TakenPart,
    /// Its `ready` has come.
    is_ready: bool,
    place: OwnedSemaphorePermit,
}

impl SharedGet {
    /// What is missing of the file that `entry` is, behind `parts`.
    pub(crate) fn new(
        entry: Entry,
        parts: Parts,
        file: File,
        shown: PathBuf,
        cancel: &CancellationToken,
        door: Door,
    ) -> Arc<Self> {
        Arc::new(Self {
            entry,
            is_kept: parts.contiguous() > 0,
            board: Board::new(parts),
            file: Arc::new(Writable { file, shown, is_closed: RwLock::new(false) }),
            cancel: cancel.clone(),
            door,
            recorded: Mutex::new(None),
            asked: Mutex::new(None),
        })
    }

    /// The first part was asked for already, and `ready` has come.
    pub(crate) fn asked(&self, id: u64, taken: TakenPart, recorded: Option<Digest>) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, taken));
        *self.recorded.lock().unwrap_or_else(PoisonError::into_inner) = recorded;
    }

    /// Lets nobody write any more. What is there without a gap stays. Blocks.
    pub(crate) fn close(&self) -> Result<(), ClientError> {
        let mut is_closed = self.file.is_closed.write().unwrap_or_else(PoisonError::into_inner);
        *is_closed = true;
        let len = self.board.contiguous_len();
        if self.board.digest().is_some() {
            return Ok(());
        }
        self.file.file.set_len(len).map_err(ClientError::local(&self.file.shown))?;
        self.release()
    }

    /// The whole of it, once it is closed.
    pub(crate) fn file(&self) -> &File {
        &self.file.file
    }

    /// Digest of the whole, unless it is not what the server stored, or not all there. `None` where all is there, and what
    /// was kept from before was compared with nothing: the server has no digest of the file, or was asked for no part.
    pub(crate) fn digest(&self) -> Result<Option<Digest>, ClientError> {
        let recorded = *self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.board.digest(), recorded) {
            (Some(digest), Some(recorded)) if digest != recorded => Err(ClientError::DigestMismatch),
            (Some(_), None) if self.is_kept => Ok(None),
            (Some(digest), _) => Ok(Some(digest)),
            (None, _) => Err(ConnectionError::Closed.into()),
        }
    }

    /// Lets others go on with what is there, though some of those who helped may have hold of it still.
    pub(crate) fn release(&self) -> Result<(), ClientError> {
        let released = rustix::fs::flock(&self.file.file, FlockOperation::Unlock);
        released.map_err(|error| ClientError::local(&self.file.shown)(error.into()))
    }

    /// A failure that holds for all connections.
    fn settle(&self, outcome: Result<(), ClientError>) {
        if let Err(error) = outcome {
            self.board.fail(error);
        }
    }

    /// Compares a part, and writes it.
    async fn write(
        &self,
        taken: TakenPart,
        frames: Vec<Bytes>,
        claimed: Digest,
    ) -> JoinHandle<Result<(), ClientError>> {
        let file = self.file.clone();
        let write = move || {
            let mut hasher = PartHasher::new(taken.number);
            frames.iter().for_each(|frame| hasher.update(frame));
            if hasher.digest() != Some(claimed) {
                return Err(ClientError::DigestMismatch);
            }
            file.write(taken, &frames, claimed)
        };
        self.door.start(write).await
    }

    /// Whether `reply` says that this part of this file follows.
    fn follows(&self, taken: &TakenPart, reply: &Reply) -> Result<bool, ClientError> {
        let Reply::Ready { offset, entry: Some(entry), digest, .. } = reply else { return Ok(false) };
        let is_same = entry.version.is_some() && entry.version == self.entry.version;
        if *offset != taken.offset || entry.path != self.entry.path || !is_same {
            return Ok(false);
        }
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        match (*recorded, digest) {
            (Some(before), Some(now)) if before != *now => Err(ClientError::DigestMismatch),
            (None, Some(now)) => {
                *recorded = Some(*now);
                Ok(true)
            }
            _ => Ok(true),
        }
    }
}

#[async_trait]
impl Together for SharedGet {
    fn board(&self) -> &Arc<Board> {
        &self.board
    }

    async fn work(&self, client: &mut Client) -> Result<(), ClientError> {
        self.receive(client, None).await
    }

    async fn lead(&self, client: &mut Client) -> Result<(), ClientError> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.receive(client, asked).await
    }
}

impl SharedGet {
    /// Receives parts over a connection; of one of them, `ready` may have come already.
    async fn receive(&self, client: &mut Client, asked: Option<(u64, TakenPart)>) -> Result<(), ClientError> {
        let Halves { incoming, outgoing, last_id, .. } = client.halves().await?;
        let ahead = Arc::new(Semaphore::new(AHEAD_FIRST));
        let (to_recv, pending) = mpsc::channel(AHEAD_MAX);
        let ask = Box::pin(ask(self, outgoing, last_id, ahead.clone(), to_recv, asked));
        let recv = Box::pin(Receiver { shared: self, incoming, ahead, granted: AHEAD_FIRST }.run(pending));
        both(ask, recv).await
    }
}

/// Asks for parts, some ahead, until there are no more. Not cancel safe.
async fn ask(
    shared: &SharedGet,
    outgoing: &mut Outgoing<Box<dyn Stream>>,
    last_id: &mut u64,
    ahead: Arc<Semaphore>,
    to_recv: mpsc::Sender<Pending>,
    asked: Option<(u64, TakenPart)>,
) -> Result<(), ClientError> {
    let closed = || ClientError::from(ConnectionError::Closed);
    if let Some((id, taken)) = asked {
        let place = ahead.clone().acquire_owned().await.map_err(|_| closed())?;
        to_recv.send(Pending { id, taken, is_ready: true, place }).await.map_err(|_| closed())?;
    }
    loop {
        let place = ahead.clone().acquire_owned().await.map_err(|_| closed())?;
        // Others may be slow, and a silent peer is given up.
        let Some(taken) = outgoing.keep_alive(shared.board.take()).await? else { return Ok(()) };
        *last_id += 1;
        let id = *last_id;
        let request = Request::Download {
            path: shared.entry.path.clone().into(),
            offset: 0,
            version: shared.entry.version.clone(),
            part: Some(taken.number),
        };
        // Its receiver is gone with an error of its own, which is the one that counts.
        to_recv.send(Pending { id, taken, is_ready: false, place }).await.map_err(|_| closed())?;
        outgoing.send(&Numbered::new(id, request)).await?;
    }
}

/// The receiving side of one connection.
struct Receiver<'a> {
    shared: &'a SharedGet,
    incoming: &'a mut Incoming<Box<dyn Stream>>,
    ahead: Arc<Semaphore>,
    /// How many parts may be asked for ahead by now.
    granted: usize,
}

impl Receiver<'_> {
    /// Receives what was asked for; one part is written while the next one comes.
    async fn run(mut self, mut pending: mpsc::Receiver<Pending>) -> Result<(), ClientError> {
        let mut writing: Option<JoinHandle<Result<(), ClientError>>> = None;
        while let Some(Pending { id, mut taken, is_ready, place }) = pending.recv().await {
            let received = self.part(id, &mut taken, is_ready).await?;
            drop(place);
            if let Some(written) = writing.take() {
                let written = finish(written).await;
                self.shared.settle(written);
            }
            match received {
                Ok((frames, claimed)) => {
                    if self.granted < AHEAD_MAX {
                        self.granted += 1;
                        self.ahead.add_permits(1);
                    }
                    writing = Some(self.shared.write(taken, frames, claimed).await);
                }
                // The other parts that were asked for are on their way, and are taken off it.
                Err(fault) => self.shared.settle(Err(fault.into())),
            }
        }
        if let Some(written) = writing.take() {
            let written = finish(written).await;
            self.shared.settle(written);
        }
        Ok(())
    }

    /// One part: its bytes and its digest, or why it does not come.
    async fn part(
        &mut self,
        id: u64,
        taken: &mut TakenPart,
        is_ready: bool,
    ) -> Result<Result<(Vec<Bytes>, Digest), Fault>, ClientError> {
        if !is_ready {
            match self.reply(id).await? {
                Reply::Fault(fault) => return Ok(Err(fault)),
                reply if self.shared.follows(taken, &reply)? => {}
                other => return Err(unexpected(&other)),
            }
        }
        let (mut frames, mut short, mut len) = (Vec::new(), BytesMut::new(), 0);
        loop {
            let payload = match self.frame().await? {
                Frame::Data(data) => {
                    len += data.len() as u64;
                    if len > taken.len {
                        return Err(ClientError::Unexpected(format!("more than the {} bytes of a part", taken.len)));
                    }
                    taken.moved(data.len() as u64);
                    // Many short frames take no more memory than a few long ones.
                    if data.len() < SHORT_LEN {
                        short.extend_from_slice(&data);
                        continue;
                    }
                    frames.extend((!short.is_empty()).then(|| short.split().freeze()));
                    frames.push(data);
                    continue;
                }
                Frame::Message(payload) => payload,
                Frame::Heartbeat => return Err(ConnectionError::not_a_message("a heartbeat").into()),
            };
            return match serde_json::from_slice::<Numbered<BodyPart>>(&payload) {
                Ok(Numbered { id: of, message: BodyPart::End { digest } }) if of == id && len == taken.len => {
                    frames.extend((!short.is_empty()).then(|| short.freeze()));
                    Ok(Ok((frames, digest)))
                }
                Ok(Numbered { id: of, message: BodyPart::Abort(fault) }) if of == id => {
                    Ok(Err(Fault::new(fault.code, fault.message)))
                }
                Ok(_) => Err(ClientError::Unexpected(format!("an end of a body after {len} of {} bytes", taken.len))),
                Err(error) => Err(refused_or(&payload, error)),
            };
        }
    }

    async fn reply(&mut self, id: u64) -> Result<Reply, ClientError> {
        let Frame::Message(payload) = self.frame().await? else {
            return Err(ConnectionError::not_a_message("file bytes where no body is due").into());
        };
        reply_to(id, &payload)
    }

    /// The next frame, unless nothing more is wanted.
    async fn frame(&mut self) -> Result<Frame, ClientError> {
        tokio::select! {
            biased;
            () = self.shared.cancel.cancelled() => Err(cancelled_fault()),
            frame = self.incoming.recv_frame() => Ok(frame?.ok_or(ConnectionError::Closed)?),
        }
    }
}

/// A fault about the connection itself may come in place of anything.
fn refused_or(payload: &[u8], error: serde_json::Error) -> ClientError {
    match serde_json::from_slice(payload) {
        Ok(Numbered { id: 0, message: Reply::Fault(fault) }) => {
            ConnectionError::Refused(Fault::new(fault.code, fault.message)).into()
        }
        _ => ConnectionError::not_a_message(error.to_string()).into(),
    }
}
