//! What there is to fetch: one recursive listing a tree, kept aside until it is whole.
//!
//! A server answers in the order of requests, so that nothing can be fetched over the connection that lists. What was
//! listed goes into memory first and into a nameless file beyond that: a tree of any size takes no more memory.

use std::io::{BufRead as _, BufReader, Seek as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netdisk_model::{Entry, EntryKind, RemotePath};
use netdisk_protocol::FaultCode;
use tempfile::SpooledTempFile;

use super::{GetJob, GetRoot, What};
use crate::client::Client;
use crate::destination::Destination;
use crate::error::ClientError;
use crate::transfers::queue::BATCH_LEN_MAX;
use crate::transfers::report::{End, Item, LeftOut};
use crate::transfers::shared::{Shared, cancelled_fault};
use crate::transfers::walk::Filter;
use crate::transfers::worker::retrying;

/// Bytes of a listing that are kept in memory: some ten thousand entries.
const MEMORY_LEN: usize = 4 * 1024 * 1024;

/// Longest listing in bytes, as it is kept: some millions of entries. A server could go on for ever.
const LISTED_LEN_MAX: u64 = 1024 * 1024 * 1024;

/// Jobs that are known and not fed yet.
pub(super) struct Plan {
    entries: SpooledTempFile,
    roots: Vec<GetRoot>,
    destination: PathBuf,
}

impl Plan {
    /// Lists every tree.
    pub(super) async fn make(
        client: &mut Client,
        shared: &Arc<Shared<GetJob>>,
        destination: &Destination,
        roots: Vec<GetRoot>,
        filter: Option<Box<dyn Filter>>,
    ) -> Result<Self, ClientError> {
        let destination = destination.shown(&RemotePath::root());
        let mut plan = Self { entries: SpooledTempFile::new(MEMORY_LEN), roots: Vec::new(), destination };
        for mut root in roots {
            if root.is_tree {
                match plan.list(client, shared, &root, filter.as_deref()).await {
                    Ok(()) => {}
                    // A file is fetched as itself.
                    Err(error) if error.fault_code() == Some(FaultCode::NotADirectory) => root.is_tree = false,
                    Err(error)
                        if error.ends_connection() || error.is_worth_a_retry() || shared.cancel.is_cancelled() =>
                    {
                        return Err(error);
                    }
                    Err(error) => {
                        let local = plan.local(&root.at);
                        shared.report.end(Item { local: &local, remote: &root.remote }, &End::Failed(error));
                        continue;
                    }
                }
            }
            plan.roots.push(root);
        }
        Ok(plan)
    }

    /// Lists one tree, again from the start when the connection is lost.
    async fn list(
        &mut self,
        client: &mut Client,
        shared: &Arc<Shared<GetJob>>,
        root: &GetRoot,
        filter: Option<&dyn Filter>,
    ) -> Result<(), ClientError> {
        let begin = self.entries.stream_position().map_err(spool_failed)?;
        let number = self.roots.len();
        retrying(client, shared, async |client| {
            self.entries.seek(std::io::SeekFrom::Start(begin)).map_err(spool_failed)?;
            self.entries.set_len(begin).map_err(spool_failed)?;
            let (mut found, mut len) = ((0, 0_u64), 0);
            let walked = client.walk(&root.remote, true, |entries| {
                if shared.cancel.is_cancelled() {
                    return Ok(ControlFlow::Break(()));
                }
                let mut lines = Vec::new();
                for entry in entries {
                    if !is_wanted(filter, &root.remote, &entry) {
                        continue;
                    }
                    if entry.kind == EntryKind::File {
                        found = (found.0 + 1, found.1.saturating_add(entry.size));
                    }
                    serde_json::to_writer(&mut lines, &(number, entry)).map_err(|error| spool_failed(error.into()))?;
                    lines.push(b'\n');
                }
                len += lines.len() as u64;
                if len > LISTED_LEN_MAX {
                    let text = format!("a listing of more than {} MiB", LISTED_LEN_MAX >> 20);
                    return Err(ClientError::Unexpected(text));
                }
                self.entries.write_all(&lines).map_err(spool_failed)?;
                Ok(ControlFlow::Continue(()))
            });
            match walked.await {
                Ok(_) if shared.cancel.is_cancelled() => return Err(cancelled_fault()),
                Ok(_) => {}
                Err(error) => {
                    // Unless the server refused, it may go on listing.
                    if !matches!(error, ClientError::Fault(_)) {
                        client.give_up();
                    }
                    return Err(error);
                }
            }
            shared.report.observer.found(found.0, found.1);
            Ok(())
        })
        .await
    }

    /// Feeds the jobs to the queue.
    pub(super) async fn feed(mut self, shared: &Arc<Shared<GetJob>>) -> Result<(), ClientError> {
        let mut jobs = Vec::new();
        for root in &self.roots {
            let what = if root.is_tree { What::Directory } else { What::File(None) };
            jobs.push(GetJob::new(root.remote.clone(), root.at.clone(), self.local(&root.at), what));
        }
        if !shared.queue.feed(jobs).await {
            return Ok(());
        }
        self.entries.rewind().map_err(spool_failed)?;
        let Self { entries, roots, destination } = self;
        let mut lines = BufReader::new(entries).lines();
        let mut maker = Maker { roots, destination };
        loop {
            let with = shared.clone();
            let made = shared.door.run(move || {
                let made = maker.some(&mut lines, &with);
                (made, maker, lines)
            });
            let jobs;
            (jobs, maker, lines) = made.await;
            let jobs = jobs?;
            if jobs.is_empty() || !shared.queue.feed(jobs).await {
                return Ok(());
            }
        }
    }

    fn local(&self, at: &RemotePath) -> PathBuf {
        below(&self.destination, at)
    }
}

/// Makes jobs of what was listed.
struct Maker {
    roots: Vec<GetRoot>,
    destination: PathBuf,
}

impl Maker {
    /// Makes some jobs; none at the end. Blocks.
    fn some(
        &self,
        lines: &mut std::io::Lines<BufReader<SpooledTempFile>>,
        shared: &Shared<GetJob>,
    ) -> Result<Vec<GetJob>, ClientError> {
        let mut jobs = Vec::new();
        while jobs.len() < BATCH_LEN_MAX
            && let Some(line) = lines.next()
        {
            let line = line.map_err(spool_failed)?;
            let (number, entry): (usize, Entry) =
                serde_json::from_str(&line).map_err(|error| spool_failed(error.into()))?;
            let Some(root) = self.roots.get(number) else { continue };
            jobs.extend(self.job(root, entry, shared));
        }
        Ok(jobs)
    }

    fn job(&self, root: &GetRoot, entry: Entry, shared: &Shared<GetJob>) -> Option<GetJob> {
        let rest = rest(&root.remote, &entry.path);
        let at = if root.at.is_root() { rest.parse() } else { format!("{}{rest}", root.at).parse() };
        let at: RemotePath = match at {
            Ok(at) => at,
            Err(error) => {
                let local = below(&self.destination, &root.at);
                let error = ClientError::BadPath { name: entry.path.to_string(), error };
                shared.report.end(Item { local: &local, remote: &entry.path }, &End::Failed(error));
                return None;
            }
        };
        let local = below(&self.destination, &at);
        let what = match entry.kind {
            EntryKind::Directory => What::Directory,
            EntryKind::File => What::File(Some(entry.clone())),
            EntryKind::Other => {
                let end = End::LeftOut(LeftOut::Special);
                shared.report.end(Item { local: &local, remote: &entry.path }, &end);
                return None;
            }
        };
        Some(GetJob::new(entry.path, at, local, what))
    }
}

/// A path below a root, with its leading slash.
fn rest<'path>(root: &RemotePath, path: &'path RemotePath) -> &'path str {
    if root.is_root() { path.as_str() } else { path.as_str().strip_prefix(root.as_str()).unwrap_or("/") }
}

/// Whether it is wanted, and every directory that it is in.
fn is_wanted(filter: Option<&dyn Filter>, root: &RemotePath, entry: &Entry) -> bool {
    let Some(filter) = filter else { return true };
    let rest = rest(root, &entry.path);
    let directories = rest.match_indices('/').skip(1).map(|(end, _)| &rest[..end]);
    let admits = |path: &str, kind| path.parse().is_ok_and(|below| filter.admits(&below, kind));
    directories.into_iter().all(|path| admits(path, EntryKind::Directory)) && admits(rest, entry.kind)
}

fn below(destination: &Path, at: &RemotePath) -> PathBuf {
    if at.is_root() { destination.to_owned() } else { destination.join(at.as_relative()) }
}

/// The nameless file of a listing failed.
fn spool_failed(error: std::io::Error) -> ClientError {
    ClientError::local(&std::env::temp_dir())(error)
}
