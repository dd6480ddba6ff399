//! Replies and bodies, in the order of their requests.

use std::sync::Arc;

use bytes::Bytes;
use netdisk_model::{Digest, Entry, EntryKind};
use netdisk_protocol::limits::SMALL_LEN;
use netdisk_protocol::{BodyPart, ConnectionError, Fault, FaultCode, Frame, Incoming, Numbered, Reply};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::arrived::Arrived;
use super::land::{Landing, failed};
use super::{GetJob, What};
use crate::client::{reply_to, unexpected};
use crate::destination::Destination;
use crate::dial::Stream;
use crate::door::finish;
use crate::error::ClientError;
use crate::observer::Progress;
use crate::transfers::queue::{BATCH_LEN_MAX, Taken};
use crate::transfers::report::{End, Shown as _};
use crate::transfers::shared::{Shared, cancelled_fault};
use crate::transfers::window::Place;

/// Bytes of small files after which a batch lands, and of a large one that are written at once. With the last file, a
/// batch is at most twice that.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// A request that waits for its last reply.
pub(super) struct Pending {
    pub(super) id: u64,
    pub(super) awaited: Awaited,
    /// Free for another with the last reply.
    pub(super) place: Place,
}

/// What is to come.
pub(super) enum Awaited {
    /// What a path is that a person named.
    Entry(Taken<GetJob>),
    /// A file from an offset, behind what was kept of it.
    File { taken: Taken<GetJob>, kept: Option<Box<Arrived>>, offset: u64 },
}

/// The receiving side of one connection.
pub(super) struct Receiver<'a> {
    pub(super) incoming: &'a mut Incoming<Box<dyn Stream>>,
    pub(super) shared: &'a Arc<Shared<GetJob>>,
    pub(super) destination: &'a Arc<Destination>,
    pub(super) to_abort: mpsc::Sender<u64>,
    pub(super) to_land: mpsc::Sender<Vec<Landing>>,
}

/// Small files that have come and have not landed.
#[derive(Default)]
struct Gathered {
    files: Vec<Landing>,
    len: usize,
}

/// A step of a body.
enum Part {
    Data(Bytes),
    End(Digest),
    Abort(Fault),
}

impl Receiver<'_> {
    /// Receives what was asked for, until there is no more.
    pub(super) async fn run(mut self, mut pending: mpsc::Receiver<Pending>) -> Result<(), ClientError> {
        let mut gathered = Gathered::default();
        loop {
            let next = match pending.try_recv() {
                Ok(next) => Some(next),
                // Nothing is held back while nothing comes.
                Err(_) => {
                    self.land(&mut gathered).await;
                    pending.recv().await
                }
            };
            let Some(Pending { id, awaited, place }) = next else { return Ok(()) };
            match awaited {
                Awaited::Entry(taken) => self.entry(id, taken).await?,
                Awaited::File { taken, kept, offset } => {
                    let landing = self.file(id, taken, kept, offset, &mut gathered.len).await?;
                    gathered.files.extend(landing);
                }
            }
            drop(place);
            if self.to_land.capacity() > 0 || gathered.files.len() >= BATCH_LEN_MAX || gathered.len >= BATCH_BYTES_MAX {
                self.land(&mut gathered).await;
            }
        }
    }

    async fn land(&mut self, gathered: &mut Gathered) {
        let Gathered { files, .. } = std::mem::take(gathered);
        if !files.is_empty() {
            // Who lands goes only when the connection is given up, and then the jobs go back.
            drop(self.to_land.send(files).await);
        }
    }

    /// What a person named, now that it is known.
    async fn entry(&mut self, id: u64, mut taken: Taken<GetJob>) -> Result<(), ClientError> {
        match self.reply(id).await? {
            Reply::Entry { entry } if entry.path == taken.remote => {
                if entry.kind == EntryKind::File {
                    self.shared.report.observer.found(1, entry.size);
                    taken.what = What::File(Some(entry));
                } else {
                    let text = match entry.kind {
                        EntryKind::Directory => "is a directory",
                        _ => "is neither a file nor a directory",
                    };
                    let fault = Fault::new(FaultCode::NotAFile, format!("{} {text}", taken.remote));
                    self.shared.report.settle(taken, End::Failed(fault.into()));
                }
                Ok(())
            }
            Reply::Fault(fault) => self.failed(taken, fault),
            other => Err(unexpected(&other)),
        }
    }

    fn failed(&self, taken: Taken<GetJob>, fault: Fault) -> Result<(), ClientError> {
        let error = ClientError::from(fault);
        if error.is_worth_a_retry() {
            return Err(error);
        }
        failed(self.shared, taken, error);
        Ok(())
    }

    /// One file; what is whole lands.
    async fn file(
        &mut self,
        id: u64,
        taken: Taken<GetJob>,
        kept: Option<Box<Arrived>>,
        offset: u64,
        gathered: &mut usize,
    ) -> Result<Option<Landing>, ClientError> {
        let (from, entry) = match self.reply(id).await? {
            Reply::Ready { offset: from, entry: Some(entry), .. } => (from, entry),
            Reply::Fault(fault) => {
                if fault.code == FaultCode::Corrupt
                    && let Some(kept) = kept
                {
                    kept.discard();
                }
                self.failed(taken, fault)?;
                return Ok(None);
            }
            other => return Err(unexpected(&other)),
        };
        let version = kept.as_ref().and_then(|kept| kept.entry().version.as_ref());
        let goes_on = from == offset && entry.version.as_ref() == version;
        if entry.path != taken.remote || entry.kind != EntryKind::File || from > 0 && !goes_on {
            return Err(unexpected(&Reply::Ready { offset: from, entry: Some(entry), digest: None, known: false }));
        }
        if kept.is_none() && entry.size <= SMALL_LEN {
            return self.small(id, taken, entry, gathered).await;
        }
        self.large(id, taken, entry, kept, from).await
    }

    async fn small(
        &mut self,
        id: u64,
        taken: Taken<GetJob>,
        entry: Entry,
        gathered: &mut usize,
    ) -> Result<Option<Landing>, ClientError> {
        self.shared.report.observer.began(taken.item(), entry.size);
        let (mut data, mut len) = (Vec::new(), 0);
        loop {
            match self.part(id).await? {
                Part::Data(frame) => {
                    len += frame.len() as u64;
                    if len > entry.size {
                        return Err(ClientError::Unexpected(format!("more than the {} bytes announced", entry.size)));
                    }
                    data.push(frame);
                }
                Part::End(_) if len < entry.size => {
                    return Err(ClientError::Unexpected(format!("less than the {} bytes announced", entry.size)));
                }
                Part::End(claimed) => {
                    *gathered += data.iter().map(Bytes::len).sum::<usize>();
                    return Ok(Some(Landing::Small { taken, entry, data, claimed }));
                }
                Part::Abort(fault) => {
                    self.failed(taken, fault)?;
                    return Ok(None);
                }
            }
        }
    }

    /// Writes while more comes: one piece is on its way to the disk, one is gathered.
    async fn large(
        &mut self,
        id: u64,
        taken: Taken<GetJob>,
        entry: Entry,
        kept: Option<Box<Arrived>>,
        from: u64,
    ) -> Result<Option<Landing>, ClientError> {
        self.shared.report.observer.began(taken.item(), entry.size);
        let mut writing = self.begin(&taken, entry.clone(), kept, from).await;
        let (mut frames, mut len, mut position) = (Vec::new(), 0, from);
        let end = loop {
            match self.part(id).await {
                Ok(Part::Data(frame)) => {
                    len += frame.len();
                    position += frame.len() as u64;
                    if position > entry.size {
                        break Err(ClientError::Unexpected(format!("more than the {} bytes announced", entry.size)));
                    }
                    frames.push(frame);
                    if len < BATCH_BYTES_MAX {
                        continue;
                    }
                    match finish(writing).await {
                        Ok(arrived) => {
                            let progress = Progress { position: arrived.position(), size: Some(entry.size) };
                            self.shared.report.observer.progress(taken.item(), progress);
                            writing = self.write(arrived, std::mem::take(&mut frames)).await;
                            len = 0;
                        }
                        Err(error) => {
                            self.refuse(id).await?;
                            failed(self.shared, taken, error);
                            return Ok(None);
                        }
                    }
                }
                Ok(Part::End(claimed)) => break Ok(Ok(claimed)),
                Ok(Part::Abort(fault)) => break Ok(Err(fault)),
                Err(error) => break Err(error),
            }
        };
        // Also when the connection is lost: what has come is kept, and nobody else must find it in use.
        let written = match finish(writing).await {
            Ok(arrived) => finish(self.write(arrived, frames).await).await,
            Err(error) => Err(error),
        };
        match (written, end?) {
            (Ok(arrived), Ok(claimed)) => return Ok(Some(Landing::Large { taken, arrived, claimed })),
            (Ok(arrived), Err(fault)) => {
                if fault.code == FaultCode::Corrupt {
                    arrived.discard();
                }
                self.failed(taken, fault)?;
            }
            (Err(error), _) => failed(self.shared, taken, error),
        }
        Ok(None)
    }

    async fn begin(&mut self, job: &GetJob, entry: Entry, kept: Option<Box<Arrived>>, from: u64) -> Writing {
        let (destination, at) = (self.destination.clone(), job.at.clone());
        let begin = move || match kept {
            Some(mut kept) => {
                kept.update(from, &entry)?;
                Ok(kept)
            }
            None => Ok(Box::new(Arrived::begin(&destination.place(&at)?, &entry)?)),
        };
        self.shared.door.start(begin).await
    }

    async fn write(&mut self, mut arrived: Box<Arrived>, frames: Vec<Bytes>) -> Writing {
        let write = move || {
            arrived.write(&frames)?;
            Ok(arrived)
        };
        self.shared.door.start(write).await
    }

    /// Wants no more of a body, and discards what is under way of it.
    async fn refuse(&mut self, id: u64) -> Result<(), ClientError> {
        // Who sends goes only with an error of its own, which ends both.
        self.to_abort.send(id).await.map_err(|_| ConnectionError::Closed)?;
        while let Part::Data(_) = self.part(id).await? {}
        Ok(())
    }

    async fn reply(&mut self, id: u64) -> Result<Reply, ClientError> {
        let Frame::Message(payload) = self.frame().await? else {
            return Err(ConnectionError::not_a_message("file bytes where no body is due").into());
        };
        reply_to(id, &payload)
    }

    /// The next part of a body. File bytes may be none: whoever sends them for ever fills no memory here.
    async fn part(&mut self, id: u64) -> Result<Part, ClientError> {
        let payload = loop {
            match self.frame().await? {
                Frame::Data(data) if data.is_empty() => {}
                Frame::Data(data) => return Ok(Part::Data(data)),
                Frame::Message(payload) => break payload,
                Frame::Heartbeat => return Err(ConnectionError::not_a_message("a heartbeat").into()),
            }
        };
        match serde_json::from_slice::<Numbered<BodyPart>>(&payload) {
            Ok(Numbered { id: of, message: BodyPart::End { digest } }) if of == id => Ok(Part::End(digest)),
            Ok(Numbered { id: of, message: BodyPart::Abort(fault) }) if of == id => {
                Ok(Part::Abort(Fault::new(fault.code, fault.message)))
            }
            Ok(part) => Err(ClientError::Unexpected(format!("the end of body {} inside body {id}", part.id))),
            Err(error) => match serde_json::from_slice::<Numbered<Reply>>(&payload) {
                Ok(Numbered { id: 0, message: Reply::Fault(fault) }) => {
                    Err(ConnectionError::Refused(Fault::new(fault.code, fault.message)).into())
                }
                _ => Err(ConnectionError::not_a_message(error.to_string()).into()),
            },
        }
    }

    /// The next frame, unless nothing more is wanted: what has arrived is kept.
    async fn frame(&mut self) -> Result<Frame, ClientError> {
        tokio::select! {
            biased;
            () = self.shared.cancel.cancelled() => Err(cancelled_fault()),
            frame = self.incoming.recv_frame() => Ok(frame?.ok_or(ConnectionError::Closed)?),
        }
    }
}

type Writing = JoinHandle<Result<Box<Arrived>, ClientError>>;
