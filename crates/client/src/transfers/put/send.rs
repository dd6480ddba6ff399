//! Requests and bodies, one behind the other, as far as the window goes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use netdisk_model::{Digest, RemotePath};
use netdisk_protocol::limits::DATA_LEN_MAX;
use netdisk_protocol::{BodyPart, BodyStart, ConnectionError, Fault, FaultCode, Numbered, Outgoing, Request};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::prepare::{Prepared, SmallFile};
use super::recv::{Awaited, Go, Pending};
use super::{PutJob, Step, What};
use crate::dial::Stream;
use crate::door::finish;
use crate::error::ClientError;
use crate::large_file::{LargeFile, Piece};
use crate::observer::Progress;
use crate::transfer::OnExisting;
use crate::transfers::queue::Taken;
use crate::transfers::report::Shown as _;
use crate::transfers::shared::Shared;
use crate::transfers::window::{Place, Window};

/// Bytes that are gathered before they are sent: a system call and a few TLS records for many small files.
const GATHER_LEN: usize = 128 * 1024;

/// Directories that are remembered as made; then they are made again, which is no fault.
const MADE_MAX: usize = 1024;

/// The sending side of one connection.
pub(super) struct Sender<'a> {
    outgoing: &'a mut Outgoing<Box<dyn Stream>>,
    last_id: &'a mut u64,
    window: &'a Window,
    pending: mpsc::Sender<Pending>,
    shared: &'a Shared<PutJob>,
    /// Directories that this connection has made, or asked for: what it sends behind that finds them.
    made: HashSet<RemotePath>,
}

impl<'a> Sender<'a> {
    pub(super) fn new(
        outgoing: &'a mut Outgoing<Box<dyn Stream>>,
        last_id: &'a mut u64,
        window: &'a Window,
        pending: mpsc::Sender<Pending>,
        shared: &'a Shared<PutJob>,
    ) -> Self {
        outgoing.gather(GATHER_LEN);
        Self { outgoing, last_id, window, pending, shared, made: HashSet::new() }
    }

    /// Sends what is prepared until no more comes. Not cancel safe.
    pub(super) async fn run(mut self, mut prepared: mpsc::Receiver<Vec<Prepared>>) -> Result<(), ConnectionError> {
        loop {
            let batch = match prepared.try_recv() {
                Ok(batch) => batch,
                Err(_) => {
                    // Nothing waits in the buffer while this end waits.
                    self.outgoing.flush().await?;
                    // Hashing a large file takes its time, and a silent peer is given up.
                    match self.outgoing.keep_alive(prepared.recv()).await? {
                        Some(batch) => batch,
                        None => return Ok(()),
                    }
                }
            };
            for one in batch {
                self.send(one).await?;
            }
        }
    }

    async fn send(&mut self, prepared: Prepared) -> Result<(), ConnectionError> {
        match prepared {
            Prepared::Directory(taken) => {
                let path = taken.remote.clone();
                self.make(path, Some(taken)).await
            }
            Prepared::Look(taken) => {
                let request = Request::Stat { path: taken.remote.clone().into() };
                self.ask(request, Awaited::Entry(taken), 0).await.map(drop)
            }
            Prepared::Ask(jobs) => self.ask_sizes(jobs).await,
            Prepared::Reuse(taken, file) => self.reuse(taken, file).await,
            Prepared::Small(taken, file) => self.small(taken, file).await,
            Prepared::Large(taken, file, on_its_way) => {
                let sent = self.large(taken, file).await;
                drop(on_its_way);
                sent
            }
        }
    }

    /// Makes a directory, for its own sake or for what goes into it.
    async fn make(&mut self, path: RemotePath, taken: Option<Taken<PutJob>>) -> Result<(), ConnectionError> {
        if self.made.len() == MADE_MAX {
            self.made.clear();
        }
        self.made.insert(path.clone());
        self.ask(Request::Mkdir { path: path.into(), parents: true }, Awaited::Made(taken), 0).await.map(drop)
    }

    /// Another connection may have been asked for the directory, and may not have made it yet.
    pub(super) async fn make_parent(&mut self, job: &PutJob) -> Result<(), ConnectionError> {
        match job.remote.parent() {
            Some(parent) if job.what == What::File { is_root: false } && !self.made.contains(&parent) => {
                self.make(parent, None).await
            }
            _ => Ok(()),
        }
    }

    async fn small(&mut self, taken: Taken<PutJob>, file: SmallFile) -> Result<(), ConnectionError> {
        self.make_parent(&taken).await?;
        let SmallFile { mut data, digest, modified } = file;
        let size = data.len() as u64;
        self.shared.report.observer.began(taken.item(), size);
        let request = Request::Upload {
            path: taken.remote.clone().into(),
            size: Some(size),
            modified,
            create: creates(&taken),
            resume: None,
            body: BodyStart::Now,
        };
        let id = self.ask(request, Awaited::Stored { taken, size, digest }, size).await?;
        while !data.is_empty() {
            self.outgoing.feed_data(data.split_to(data.len().min(DATA_LEN_MAX))).await?;
        }
        self.outgoing.feed_message(&Numbered::new(id, BodyPart::End { digest })).await
    }

    /// Asks from which offset, waits for the answer, and sends the file from there.
    async fn large(&mut self, taken: Taken<PutJob>, file: Box<LargeFile>) -> Result<(), ConnectionError> {
        self.make_parent(&taken).await?;
        let request = upload(&taken, &file, BodyStart::Wait);
        let flight = Arc::new(Flight::default());
        let (to_go, go) = oneshot::channel();
        let job = PutJob::clone(&taken);
        let size = file.size();
        let awaited = Awaited::Large { taken, size, go: Some(to_go), flight: flight.clone() };
        let id = self.ask(request, awaited, size).await?;
        self.outgoing.flush().await?;
        // Refused, or the connection is lost: the receiver knows what to do.
        let Ok(go) = go.await else { return Ok(()) };
        let Go::From(offset) = go else {
            flight.ended(None, None);
            let fault = Fault::new(FaultCode::Cancelled, FaultCode::Cancelled.meaning());
            return self.outgoing.send(&Numbered::new(id, BodyPart::Abort(fault))).await;
        };
        self.shared.report.observer.began(job.item(), size);
        let last = match self.body(&job, file, offset, &flight).await? {
            Ok(digest) => {
                flight.ended(Some(digest), None);
                BodyPart::End { digest }
            }
            Err((fault, own)) => {
                flight.ended(None, own);
                BodyPart::Abort(fault)
            }
        };
        self.outgoing.send(&Numbered::new(id, last)).await
    }

    /// Sends the bytes of a large file; the next piece is read while one is sent.
    async fn body(
        &mut self,
        job: &PutJob,
        file: Box<LargeFile>,
        offset: u64,
        flight: &Flight,
    ) -> Result<Result<Digest, (Fault, Option<ClientError>)>, ConnectionError> {
        let fault = |code: FaultCode| Fault::new(code, code.meaning());
        let size = file.size();
        let mut reading = self.read(file, offset).await;
        loop {
            let (read, file) = self.outgoing.keep_alive(finish(reading)).await?;
            if flight.is_refused() {
                return Ok(Err((fault(FaultCode::Cancelled), None)));
            }
            if self.shared.cancel.is_cancelled() {
                return Ok(Err((fault(FaultCode::Cancelled), None)));
            }
            let (frames, position) = match read {
                Ok(Piece::Data(frames, position)) => (frames, position),
                Ok(Piece::End(digest)) => return Ok(Ok(digest)),
                Err((code, own)) => return Ok(Err((fault(code), Some(own)))),
            };
            reading = self.read(file, offset).await;
            for frame in frames {
                self.outgoing.feed_data(frame).await?;
            }
            self.shared.report.observer.progress(job.item(), Progress { position, size: Some(size) });
        }
    }

    async fn read(&mut self, mut file: Box<LargeFile>, offset: u64) -> Reading {
        self.shared
            .door
            .start(move || {
                let piece = file.read(offset);
                (piece, file)
            })
            .await
    }

    /// Sends a request once the window has room for it and its body. The receiver knows of it before the server does.
    pub(super) async fn ask(&mut self, request: Request, awaited: Awaited, len: u64) -> Result<u64, ConnectionError> {
        let Some(place) = self.enter(len).await? else { return Err(ConnectionError::Closed) };
        *self.last_id += 1;
        let id = *self.last_id;
        // Its receiver is gone with an error of its own, which is the one that counts.
        self.pending.send(Pending { id, awaited, place }).await.map_err(|_| ConnectionError::Closed)?;
        self.outgoing.feed_message(&Numbered::new(id, request)).await?;
        Ok(id)
    }

    async fn enter(&mut self, len: u64) -> Result<Option<Place>, ConnectionError> {
        if let Some(place) = self.window.try_enter(len) {
            return Ok(Some(place));
        }
        // What is gathered must be on its way, or nothing that is waited for comes.
        self.outgoing.flush().await?;
        self.window.ease().await;
        Ok(self.window.enter(len).await)
    }
}

type Reading = JoinHandle<(Result<Piece, (FaultCode, ClientError)>, Box<LargeFile>)>;

/// Asks to store a large file, which can be resumed.
pub(super) fn upload(job: &PutJob, file: &LargeFile, body: BodyStart) -> Request {
    Request::Upload {
        path: job.remote.clone().into(),
        size: Some(file.size()),
        modified: file.modified(),
        create: creates(job),
        resume: file.resume_key(),
        body,
    }
}

pub(super) fn creates(job: &PutJob) -> bool {
    job.step == Step::Send(OnExisting::Refuse)
}

/// What the two sides of a connection know of a large body under way.
#[derive(Default)]
pub(super) struct Flight {
    /// The server wants no more of it.
    refused: AtomicBool,
    end: Mutex<FlightEnd>,
}

#[derive(Default)]
struct FlightEnd {
    /// All was sent, and this is its digest.
    digest: Option<Digest>,
    /// Why this end gave up.
    own: Option<ClientError>,
    has_ended: bool,
}

impl Flight {
    pub(super) fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    fn ended(&self, digest: Option<Digest>, own: Option<ClientError>) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = FlightEnd { digest, own, has_ended: true };
    }

    /// Whether the body is being sent still, and the server has nothing to say.
    pub(super) fn is_on_its_way(&self) -> bool {
        !self.end.lock().unwrap_or_else(PoisonError::into_inner).has_ended
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).digest
    }

    pub(super) fn take_own(&self) -> Option<ClientError> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).own.take()
    }
}
