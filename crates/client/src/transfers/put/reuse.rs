//! Large files whose content the server may have: it is asked for their sizes, many at once; what it may have is hashed, and
//! stored by its digest. Nothing in here waits for an answer.
//!
//! ```text
//!   a batch ──▶ the first: set aside, begun at once ──▶ ready, known ──┐
//!          └──▶ the others: Ask ──▶ size is there ─────────────────────┴─▶ Maybe ──▶ hashed ──▶ Reuse ──▶ stored
//!                             └──▶ it is not ──▶ No, sent               (by whoever takes large ones)  └──▶ No, sent
//! ```

use std::sync::Arc;

use netdisk_model::Digest;
use netdisk_protocol::{ConnectionError, Reply, Request};
use tokio::sync::mpsc;

use super::prepare::{Allowed, Prepared, links};
use super::recv::{Awaited, Receiver};
use super::send::{Sender, creates};
use super::{ContentThere, PutJob};
use crate::client::unexpected;
use crate::error::ClientError;
use crate::hashing::{Hashing, PIECE_LEN};
use crate::local::modified_ms;
use crate::parts::SHARED_LEN_MIN;
use crate::stamp::{Stamp, open_regular};
use crate::transfer::Outcome;
use crate::transfers::queue::Taken;
use crate::transfers::report::{End, Shown as _};
use crate::transfers::shared::Shared;

/// A large file that was hashed.
pub(super) struct HashedFile {
    pub(super) size: u64,
    pub(super) digest: Digest,
    pub(super) modified: Option<i64>,
}

/// Sets large files aside but for those of whose sizes it is to be asked. The first of a batch is not: it can begin at once,
/// and its offset comes with the same answer.
pub(super) fn set_aside(large: Vec<(Taken<PutJob>, u64)>, allowed: Allowed) -> Vec<(Taken<PutJob>, u64)> {
    let mut ask = Vec::new();
    for (at, (taken, size)) in large.into_iter().enumerate() {
        // What goes in parts is not told so.
        let is_told = at == 0 && !(allowed.share && size >= SHARED_LEN_MIN);
        if allowed.ask && !is_told && taken.content == ContentThere::Unasked {
            ask.push((taken, size));
        } else {
            taken.set_aside();
        }
    }
    ask
}

/// Hashes a file, and hands it on with its digest; says whether anybody wants it.
pub(super) async fn reuse(
    shared: &Arc<Shared<PutJob>>,
    mut taken: Taken<PutJob>,
    to_send: &mpsc::Sender<Vec<Prepared>>,
) -> bool {
    let Some(hashed) = hash(shared, &taken).await else {
        // Why it cannot be read is said when it is sent.
        taken.content = ContentThere::No;
        taken.set_aside();
        return true;
    };
    taken.lighten();
    to_send.send(vec![Prepared::Reuse(taken, hashed)]).await.is_ok()
}

/// `None` where it cannot be read, has changed meanwhile, or is not wanted any more.
async fn hash(shared: &Arc<Shared<PutJob>>, job: &PutJob) -> Option<HashedFile> {
    let (local, links) = (job.local.clone(), links(job));
    let opened = shared.door.run(move || open_regular(&local, links)).await;
    let (file, metadata) = opened.ok()?;
    let stamp = Stamp::of(&metadata);
    let mut hashing = Hashing::new(Arc::new(file), stamp);
    while !shared.queue.is_stopped() {
        let (step, next) = shared.door.run(move || (hashing.read(PIECE_LEN), hashing)).await;
        if let Some(digest) = step.ok()? {
            return Some(HashedFile { size: stamp.size, digest: digest?, modified: modified_ms(&metadata) });
        }
        hashing = next;
    }
    None
}

impl Sender<'_> {
    /// Asks of which sizes the server has files.
    pub(super) async fn ask_sizes(&mut self, jobs: Vec<(Taken<PutJob>, u64)>) -> Result<(), ConnectionError> {
        let sizes = jobs.iter().map(|(_, size)| *size).collect();
        self.ask(Request::Known { sizes }, Awaited::Known(jobs), 0).await.map(drop)
    }

    /// Has the server store what it may have.
    pub(super) async fn reuse(&mut self, taken: Taken<PutJob>, file: HashedFile) -> Result<(), ConnectionError> {
        self.make_parent(&taken).await?;
        let HashedFile { size, digest, modified } = file;
        let path = taken.remote.clone().into();
        let request = Request::Reuse { path, size, digest, modified, create: creates(&taken) };
        self.ask(request, Awaited::Reused { taken, size, digest }, 0).await.map(drop)
    }
}

impl Receiver<'_> {
    /// Of which sizes there are files.
    pub(super) async fn known(&mut self, id: u64, jobs: Vec<(Taken<PutJob>, u64)>) -> Result<(), ClientError> {
        let known = match self.reply(id, None).await? {
            Reply::Known { sizes } => sizes,
            Reply::Fault(fault) => match ClientError::from(fault) {
                error if error.is_worth_a_retry() => return Err(error),
                _ => Vec::new(),
            },
            other => return Err(unexpected(&other)),
        };
        for (mut taken, size) in jobs {
            taken.content = if known.contains(&size) { ContentThere::Maybe } else { ContentThere::No };
            taken.set_aside();
        }
        Ok(())
    }

    /// What came of a file that was not sent.
    pub(super) async fn reused(
        &mut self,
        id: u64,
        mut taken: Taken<PutJob>,
        size: u64,
        digest: Digest,
    ) -> Result<(), ClientError> {
        match self.reply(id, None).await? {
            Reply::Stored { size: stored, digest: of, .. } if stored == size && of == digest => {
                self.shared.report.observer.began(taken.item(), size);
                self.shared.report.settle(taken, End::Done(Outcome { size, digest, reused: true }));
            }
            Reply::Fault(fault) => {
                let error = ClientError::from(fault);
                if error.is_worth_a_retry() {
                    return Err(error);
                }
                // The upload says it better, if it fails as well.
                taken.content = ContentThere::No;
                taken.set_aside();
            }
            other => return Err(unexpected(&other)),
        }
        Ok(())
    }
}
