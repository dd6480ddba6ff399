//! Replies to what was sent, in the same order, and what they mean for the jobs.

use std::sync::Arc;

use netdisk_model::{Digest, Entry, EntryKind};
use netdisk_protocol::{BodyPart, ConnectionError, Fault, FaultCode, Frame, Incoming, Numbered, Reply};
use tokio::sync::{mpsc, oneshot};

use super::send::Flight;
use super::{ContentThere, PutJob, Step};
use crate::client::unexpected;
use crate::dial::Stream;
use crate::error::ClientError;
use crate::local::modified_ms;
use crate::reuse::Reuse;
use crate::transfer::{OnExisting, Outcome};
use crate::transfers::existing::{Existing, Verdict};
use crate::transfers::queue::Taken;
use crate::transfers::report::{End, LeftOut};
use crate::transfers::shared::Shared;
use crate::transfers::window::Place;

/// Tries of one file that failed in a way that another try may cure.
const TRIES_MAX: u32 = 2;

/// A request that waits for its last reply.
pub(super) struct Pending {
    pub(super) id: u64,
    pub(super) awaited: Awaited,
    /// Free for another with the last reply.
    pub(super) place: Place,
}

/// What is to come.
pub(super) enum Awaited {
    /// A directory; without a job, for what goes into it.
    Made(Option<Taken<PutJob>>),
    /// What stands where a file goes.
    Entry(Taken<PutJob>),
    /// Of which sizes there are files.
    Known(Vec<(Taken<PutJob>, u64)>),
    /// The end of a file that is not sent.
    Reused { taken: Taken<PutJob>, size: u64, digest: Digest },
    /// The end of a small file.
    Stored { taken: Taken<PutJob>, size: u64, digest: Digest },
    /// The offset of a large file, then its end.
    Large { taken: Taken<PutJob>, size: u64, go: Option<oneshot::Sender<Go>>, flight: Arc<Flight> },
}

/// What becomes of a large file once the server is ready for it.
pub(super) enum Go {
    /// It is sent from this offset.
    From(u64),
    /// It is not: the server may have its content.
    Abort,
}

/// The receiving side of one connection.
pub(super) struct Receiver<'a> {
    pub(super) incoming: &'a mut Incoming<Box<dyn Stream>>,
    pub(super) shared: &'a Shared<PutJob>,
}

impl Receiver<'_> {
    /// Receives a last reply to each request, until there are no more.
    pub(super) async fn run(mut self, mut pending: mpsc::Receiver<Pending>) -> Result<(), ClientError> {
        while let Some(Pending { id, awaited, place }) = pending.recv().await {
            match awaited {
                Awaited::Made(taken) => self.made(id, taken).await?,
                Awaited::Entry(taken) => self.entry(id, taken).await?,
                Awaited::Known(jobs) => self.known(id, jobs).await?,
                Awaited::Reused { taken, size, digest } => self.reused(id, taken, size, digest).await?,
                Awaited::Stored { taken, size, digest } => {
                    let reply = self.reply(id, None).await?;
                    self.stored(taken, reply, size, Some(digest), None)?;
                }
                Awaited::Large { taken, size, go, flight } => self.large(id, taken, size, go, &flight).await?,
            }
            drop(place);
        }
        Ok(())
    }

    async fn made(&mut self, id: u64, taken: Option<Taken<PutJob>>) -> Result<(), ClientError> {
        let reply = self.reply(id, None).await?;
        match (taken, reply) {
            (Some(taken), Reply::Done) => self.shared.report.settle(taken, End::Made),
            (None, Reply::Done) => {}
            (Some(taken), Reply::Fault(fault)) => self.failed(taken, fault.into())?,
            // What goes into it says so, each by itself.
            (None, Reply::Fault(_)) => {}
            (_, other) => return Err(unexpected(&other)),
        }
        Ok(())
    }

    /// Decides, now that it is known what stands there.
    async fn entry(&mut self, id: u64, mut taken: Taken<PutJob>) -> Result<(), ClientError> {
        let standing: Entry = match self.reply(id, None).await? {
            Reply::Entry { entry } if entry.path == taken.remote => entry,
            Reply::Fault(fault) if fault.code == FaultCode::NotFound => {
                taken.step = Step::Send(OnExisting::Refuse);
                return Ok(());
            }
            Reply::Fault(fault) => return self.failed(taken, fault.into()),
            other => return Err(unexpected(&other)),
        };
        if standing.kind != EntryKind::File && !matches!(self.shared.existing, Existing::Rename) {
            let text = format!("{}: a directory or something else that is no file stands there", taken.remote);
            return self.failed(taken, Fault::new(FaultCode::NotAFile, text).into());
        }
        let local = taken.local.clone();
        let ours = self.shared.door.run(move || std::fs::metadata(local).ok().as_ref().and_then(modified_ms)).await;
        let name = taken.remote.as_str();
        match self.shared.existing.decide(name, ours.unwrap_or(i64::MAX), standing.modified).await? {
            Verdict::Replace => taken.step = Step::Send(OnExisting::Replace),
            Verdict::Number => {
                if let Err(error) = taken.renumber() {
                    self.failed(taken, error)?;
                }
            }
            Verdict::LeaveOut => self.shared.report.settle(taken, End::LeftOut(LeftOut::Exists)),
            Verdict::Fail => {
                let text = format!("{}: it exists already", taken.remote);
                self.failed(taken, Fault::new(FaultCode::Exists, text).into())?;
            }
        }
        Ok(())
    }

    async fn large(
        &mut self,
        id: u64,
        mut taken: Taken<PutJob>,
        size: u64,
        mut go: Option<oneshot::Sender<Go>>,
        flight: &Flight,
    ) -> Result<(), ClientError> {
        let mut reply = self.reply(id, None).await?;
        if let Reply::Ready { offset, entry: None, known, .. } = reply
            && offset <= size
            && let Some(go) = go.take()
        {
            // Who sends goes only with an error of its own, which ends both.
            let may_be_there = known && offset == 0 && self.shared.reuse == Reuse::WherePossible;
            let is_to_be_asked = may_be_there && taken.content == ContentThere::Unasked;
            let next = if is_to_be_asked { Go::Abort } else { Go::From(offset) };
            go.send(next).map_err(|_| ConnectionError::Closed)?;
            reply = self.reply(id, Some(flight)).await?;
            if let (true, Reply::Fault(_)) = (is_to_be_asked, &reply) {
                taken.content = ContentThere::Maybe;
                taken.set_aside();
                return Ok(());
            }
        }
        self.stored(taken, reply, size, flight.digest(), flight.take_own())
    }

    /// The last reply to an upload.
    fn stored(
        &self,
        taken: Taken<PutJob>,
        reply: Reply,
        sent: u64,
        digest: Option<Digest>,
        own: Option<ClientError>,
    ) -> Result<(), ClientError> {
        match reply {
            Reply::Stored { size, digest: stored, .. } if size == sent && digest == Some(stored) => {
                self.shared.report.settle(taken, End::Done(Outcome { size, digest: stored, reused: false }));
                Ok(())
            }
            // This end gave up: its own reason is the better one.
            Reply::Fault(fault) => self.failed(taken, own.unwrap_or_else(|| fault.into())),
            other => Err(unexpected(&other)),
        }
    }

    fn failed(&self, taken: Taken<PutJob>, error: ClientError) -> Result<(), ClientError> {
        failed(self.shared, taken, error)
    }

    /// The next reply to request `id`. While its body is on its way the server has nothing to say but `abort`.
    pub(super) async fn reply(&mut self, id: u64, flight: Option<&Flight>) -> Result<Reply, ClientError> {
        loop {
            let frame = match self.incoming.recv_frame().await {
                Err(ConnectionError::TimedOut(_)) if flight.is_some_and(Flight::is_on_its_way) => continue,
                frame => frame?.ok_or(ConnectionError::Closed)?,
            };
            let Frame::Message(payload) = frame else {
                return Err(ConnectionError::not_a_message("file bytes where no body is due").into());
            };
            match serde_json::from_slice::<Numbered<Reply>>(&payload) {
                // Faults are made anew, so that their text is cut to the limit.
                Ok(Numbered { id: 0, message: Reply::Fault(fault) }) => {
                    return Err(ConnectionError::Refused(Fault::new(fault.code, fault.message)).into());
                }
                Ok(Numbered { id: of, message: Reply::Fault(fault) }) if of == id => {
                    return Ok(Reply::Fault(Fault::new(fault.code, fault.message)));
                }
                Ok(reply) if reply.id == id => return Ok(reply.message),
                Ok(reply) => {
                    let text = format!("a reply to request {} instead of {id}", reply.id);
                    return Err(ClientError::Unexpected(text));
                }
                Err(error) => match (serde_json::from_slice::<Numbered<BodyPart>>(&payload), flight) {
                    (Ok(Numbered { id: of, message: BodyPart::Abort(_) }), Some(flight)) if of == id => flight.refuse(),
                    // Of a body that was sent already.
                    (Ok(Numbered { message: BodyPart::Abort(_), .. }), _) => {}
                    _ => return Err(ConnectionError::not_a_message(error.to_string()).into()),
                },
            }
        }
    }
}

/// A file or directory failed: another try, or the end of it. An error when the whole connection is meant.
pub(super) fn failed(shared: &Shared<PutJob>, mut taken: Taken<PutJob>, error: ClientError) -> Result<(), ClientError> {
    if error.is_worth_a_retry() {
        return Err(error);
    }
    if shared.cancel.is_cancelled() {
        return Ok(());
    }
    match (error.fault_code(), &shared.existing) {
        // What the server had kept may have been spoilt; whoever wrote into the file may be done now.
        (Some(FaultCode::DigestMismatch | FaultCode::Changed), _) if taken.tries + 1 < TRIES_MAX => {
            taken.tries += 1;
            return Ok(());
        }
        // It was not there when it was looked for.
        (Some(FaultCode::Exists), Existing::Rename) => {
            taken.step = Step::Look;
            return Ok(());
        }
        (Some(FaultCode::Exists), Existing::Skip | Existing::Newer | Existing::Ask(_)) => {
            shared.report.settle(taken, End::LeftOut(LeftOut::Exists));
        }
        _ => shared.report.settle(taken, End::Failed(error)),
    }
    Ok(())
}
