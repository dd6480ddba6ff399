//! Requests for files, one behind the other, as far as the window goes.

use netdisk_protocol::{BodyPart, ConnectionError, Fault, FaultCode, Numbered, Outgoing, Request};
use tokio::sync::mpsc;

use super::prepare::Prepared;
use super::recv::{Awaited, Pending};
use crate::dial::Stream;
use crate::transfers::window::{Place, Window};

/// The sending side of one connection.
pub(super) struct Asker<'a> {
    pub(super) outgoing: &'a mut Outgoing<Box<dyn Stream>>,
    pub(super) last_id: &'a mut u64,
    pub(super) window: &'a Window,
    pub(super) pending: mpsc::Sender<Pending>,
    /// Bodies of which no more is wanted.
    pub(super) aborts: mpsc::Receiver<u64>,
}

impl Asker<'_> {
    /// Asks for what is prepared, and says which bodies are not wanted, until all bodies have come. Not cancel safe.
    pub(super) async fn run(mut self, mut prepared: mpsc::Receiver<Vec<Prepared>>) -> Result<(), ConnectionError> {
        loop {
            let batch = match prepared.try_recv() {
                Ok(batch) => batch,
                Err(_) => {
                    // Nothing waits in the buffer while this end waits.
                    self.outgoing.flush().await?;
                    match self.beside_aborts(prepared.recv()).await? {
                        Some(batch) => batch,
                        None => break,
                    }
                }
            };
            for one in batch {
                self.ask(one).await?;
            }
        }
        // No more requests: the receiver ends behind the last of them.
        let Self { outgoing, mut aborts, pending, .. } = self;
        drop(pending);
        while let Some(id) = aborts.recv().await {
            abort(outgoing, id).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, prepared: Prepared) -> Result<(), ConnectionError> {
        let (request, awaited, len) = match prepared {
            Prepared::Look(taken) => (Request::Stat { path: taken.remote.clone().into() }, Awaited::Entry(taken), 0),
            Prepared::File(taken, kept) => {
                let (offset, version) = match &kept {
                    Some(kept) => (kept.position(), kept.entry().version.clone()),
                    None => (0, None),
                };
                let len = taken.entry().map_or(0, |entry| entry.size.saturating_sub(offset));
                let path = taken.remote.clone().into();
                (Request::Download { path, offset, version, part: None }, Awaited::File { taken, kept, offset }, len)
            }
        };
        let Some(place) = self.enter(len).await? else { return Err(ConnectionError::Closed) };
        *self.last_id += 1;
        let id = *self.last_id;
        // Its receiver is gone with an error of its own, which is the one that counts.
        self.pending.send(Pending { id, awaited, place }).await.map_err(|_| ConnectionError::Closed)?;
        self.outgoing.feed_message(&Numbered::new(id, request)).await
    }

    async fn enter(&mut self, len: u64) -> Result<Option<Place>, ConnectionError> {
        if let Some(place) = self.window.try_enter(len) {
            return Ok(Some(place));
        }
        // What is gathered must be on its way, or nothing that is waited for comes.
        self.outgoing.flush().await?;
        let window = self.window;
        self.beside_aborts(async {
            window.ease().await;
            window.enter(len).await
        })
        .await
    }

    /// Waits for something, and sends aborts meanwhile.
    async fn beside_aborts<T>(&mut self, work: impl Future<Output = T>) -> Result<T, ConnectionError> {
        let mut work = std::pin::pin!(work);
        loop {
            let id = tokio::select! {
                biased;
                id = self.aborts.recv() => id,
                done = &mut work => return Ok(done),
            };
            match id {
                Some(id) => abort(self.outgoing, id).await?,
                // The receiver has gone, with an error of its own.
                None => return Err(ConnectionError::Closed),
            }
        }
    }
}

async fn abort(outgoing: &mut Outgoing<Box<dyn Stream>>, id: u64) -> Result<(), ConnectionError> {
    let fault = Fault::new(FaultCode::WriteFailed, FaultCode::WriteFailed.meaning());
    outgoing.send(&Numbered::new(id, BodyPart::Abort(fault))).await
}
