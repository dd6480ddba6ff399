//! Reads and hashes local files before they are sent, a batch at a time, so that a file costs a fraction of a hop.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::sync::Arc;

use bytes::Bytes;
use netdisk_model::Digest;
use netdisk_protocol::limits::SMALL_LEN;
use tokio::sync::{mpsc, oneshot};

use super::reuse::{HashedFile, reuse, set_aside};
use super::{Apart, ContentThere, PutJob, Putting, Step, What};
use crate::error::ClientError;
use crate::large_file::LargeFile;
use crate::local::modified_ms;
use crate::parts::SHARED_LEN_MIN;
use crate::stamp::{Links, Stamp, open_regular};
use crate::transfers::queue::{Batch, Taken};
use crate::transfers::report::End;
use crate::transfers::shared::Shared;

/// Bytes of small files after which a batch is sent on: with the last file, one batch is at most twice that. A connection
/// has one batch under the pen and one being read.
const BATCH_BYTES_MAX: u64 = SMALL_LEN;

/// Tries to read a file that changes while it is read.
const TRIES_MAX: u32 = 2;

/// What is ready to be sent.
pub(super) enum Prepared {
    /// A directory to make.
    Directory(Taken<PutJob>),
    /// A path to ask for.
    Look(Taken<PutJob>),
    /// Large files of whose sizes it is asked whether the server has such.
    Ask(Vec<(Taken<PutJob>, u64)>),
    /// A large file that is hashed and need not be sent, if the server has it.
    Reuse(Taken<PutJob>, HashedFile),
    /// A small file, read and hashed.
    Small(Taken<PutJob>, SmallFile),
    /// A large file, open. Its sender is dropped when it is on its way.
    Large(Taken<PutJob>, Box<LargeFile>, oneshot::Sender<()>),
}

/// A small file in memory.
pub(super) struct SmallFile {
    pub(super) data: Bytes,
    pub(super) digest: Digest,
    pub(super) modified: Option<i64>,
}

/// What may be done over a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    /// To send large files in parts, with other connections.
    pub(super) share: bool,
    /// To ask whether the server has content.
    pub(super) ask: bool,
}

/// Prepares what there is to take, until there is no more, nobody wants it, or something goes apart.
pub(super) async fn prepare(
    putting: &Putting,
    allowed: Allowed,
    to_send: mpsc::Sender<Vec<Prepared>>,
) -> Option<Apart> {
    let shared = &putting.shared;
    while let Some(batch) = shared.queue.take().await {
        let is_wanted = match batch {
            Batch::Small(jobs) => small(shared, allowed, jobs, &to_send).await,
            Batch::Large(taken) if taken.content == ContentThere::Maybe => reuse(shared, taken, &to_send).await,
            Batch::Large(taken) => match open(shared, taken).await {
                None => true,
                Some((taken, file)) if allowed.share && goes_apart(&taken, &file) => {
                    shared.queue.expect_help();
                    return Some(Apart::Own(taken, file));
                }
                Some((taken, file)) => large(taken, file, &to_send).await,
            },
            Batch::Together(shared) => return Some(Apart::Help(shared)),
        };
        if !is_wanted {
            return None;
        }
    }
    None
}

/// Whether a file is better stored in parts.
fn goes_apart(job: &PutJob, file: &LargeFile) -> bool {
    !job.goes_whole && file.size() >= SHARED_LEN_MIN
}

async fn small(
    shared: &Arc<Shared<PutJob>>,
    allowed: Allowed,
    jobs: Vec<Taken<PutJob>>,
    to_send: &mpsc::Sender<Vec<Prepared>>,
) -> bool {
    let mut jobs = VecDeque::from(jobs);
    while !jobs.is_empty() {
        let with = shared.clone();
        let (prepared, left) = shared.door.run(move || read_some(&with, allowed, jobs)).await;
        jobs = left;
        if !prepared.is_empty() && to_send.send(prepared).await.is_err() {
            return false;
        }
    }
    true
}

/// Opens a large file.
async fn open(shared: &Arc<Shared<PutJob>>, taken: Taken<PutJob>) -> Option<(Taken<PutJob>, Box<LargeFile>)> {
    let with = shared.clone();
    let opened = shared.door.run(move || match LargeFile::open(&taken.local, links(&taken)) {
        Ok(file) => Some((taken, file)),
        Err(error) => {
            with.report.settle(taken, End::Failed(error));
            None
        }
    });
    opened.await
}

/// Hands a large file on and waits until it is on its way: what is taken meanwhile would have to wait behind it.
async fn large(taken: Taken<PutJob>, file: Box<LargeFile>, to_send: &mpsc::Sender<Vec<Prepared>>) -> bool {
    let (on_its_way, sent) = oneshot::channel();
    let is_wanted = to_send.send(vec![Prepared::Large(taken, file, on_its_way)]).await.is_ok();
    // Dropped, not sent.
    drop(sent.await);
    is_wanted
}

/// Reads files until they fill a batch; gives what is left. Blocks.
fn read_some(
    shared: &Shared<PutJob>,
    allowed: Allowed,
    mut jobs: VecDeque<Taken<PutJob>>,
) -> (Vec<Prepared>, VecDeque<Taken<PutJob>>) {
    let mut prepared = Vec::with_capacity(jobs.len());
    let mut large = Vec::new();
    let mut len = 0;
    while len < BATCH_BYTES_MAX
        && let Some(mut taken) = jobs.pop_front()
    {
        if taken.what == What::Directory {
            prepared.push(Prepared::Directory(taken));
            continue;
        }
        if taken.step == Step::Look {
            if shared.existing.must_look() {
                prepared.push(Prepared::Look(taken));
                continue;
            }
            taken.step = Step::Send(shared.existing.unseen());
        }
        match read(&taken) {
            Ok(Read::Small(file)) => {
                len += file.data.len() as u64;
                prepared.push(Prepared::Small(taken, file));
            }
            Ok(Read::Large(size)) => large.push((taken, size)),
            Err(error) => shared.report.settle(taken, End::Failed(error)),
        }
    }
    let ask = set_aside(large, allowed);
    if !ask.is_empty() {
        prepared.push(Prepared::Ask(ask));
    }
    (prepared, jobs)
}

/// A person's own link is followed, one in a tree is not.
pub(super) fn links(job: &PutJob) -> Links {
    if job.what == (What::File { is_root: true }) { Links::Follow } else { Links::Refuse }
}

/// Reads a small file, once more when it changes meanwhile.
fn read(job: &PutJob) -> Result<Read, ClientError> {
    for _ in 0..TRIES_MAX {
        if let Some(read) = read_once(job).map_err(ClientError::local(&job.local))? {
            return Ok(read);
        }
    }
    Err(ClientError::Changed { path: job.local.clone() })
}

enum Read {
    Small(SmallFile),
    /// It is so long, and was not read.
    Large(u64),
}

/// `None` when it changed meanwhile.
fn read_once(job: &PutJob) -> io::Result<Option<Read>> {
    let (file, metadata) = open_regular(&job.local, links(job))?;
    let stamp = Stamp::of(&metadata);
    if stamp.size > SMALL_LEN {
        return Ok(Some(Read::Large(stamp.size)));
    }
    // One byte more, to see that there is none.
    let mut data = Vec::with_capacity(usize::try_from(stamp.size).unwrap_or_default() + 1);
    (&file).take(stamp.size + 1).read_to_end(&mut data)?;
    if data.len() as u64 != stamp.size || !stamp.is_still(&file)? {
        return Ok(None);
    }
    let digest = Digest::of(&data);
    Ok(Some(Read::Small(SmallFile { data: data.into(), digest, modified: modified_ms(&metadata) })))
}
