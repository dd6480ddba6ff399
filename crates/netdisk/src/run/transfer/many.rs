//! Several files and trees at once: pipelined, one failure does not stop the others, and a summary says what came of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use netdisk_client::{
    Ask, Client, ClientError, Destination, Existing, Filter as _, GetRoot, PutRoot, Reuse, Summary, Transfers,
};
use netdisk_model::{EntryKind, RemotePath};
use netdisk_protocol::{Fault, FaultCode};
use tokio::sync::Mutex;

use super::super::Context;
use super::dry;
use super::wanted::{IgnoreFiles, Wanted};
use super::watch::Watch;
use crate::command::{ExistingArg, SelectArgs};
use crate::escape::escape;
use crate::failure::Failure;
use crate::question;

/// A transfer of many that is being put together.
pub(super) struct Many<'a, 'b> {
    context: &'a mut Context<'b>,
    is_recursive: bool,
    connections: Option<u8>,
    /// Only said.
    is_dry: bool,
    /// What of the trees is wanted; without it, everything.
    wanted: Option<Wanted>,
    /// What failed before anything was sent.
    failures: Vec<Failure>,
}

impl<'a, 'b> Many<'a, 'b> {
    pub(super) fn new(
        context: &'a mut Context<'b>,
        is_recursive: bool,
        connections: Option<u8>,
        select: &SelectArgs,
        ignore_files: IgnoreFiles,
    ) -> Result<Self, Failure> {
        let wanted = Wanted::new(select, ignore_files)?;
        Ok(Self { context, is_recursive, connections, is_dry: select.dry_run, wanted, failures: Vec::new() })
    }

    pub(super) fn resolve(&self, typed: &str) -> Result<RemotePath, Failure> {
        self.context.remote.resolve(typed)
    }

    /// Takes a root, or why it is none: the others go on.
    pub(super) fn took<T>(&mut self, root: Result<T, Failure>) -> Option<T> {
        root.map_err(|failure| self.failures.push(failure)).ok()
    }

    pub(super) async fn put(self, mut roots: Vec<PutRoot>, existing: ExistingArg, reuse: Reuse) -> Result<(), Failure> {
        roots.retain(|root| {
            let kind = if root.local.is_dir() { EntryKind::Directory } else { EntryKind::File };
            self.is_wanted(&root.remote, kind)
        });
        if self.is_dry {
            self.say_failures();
            let output = self.context.output.clone();
            let wanted = self.wanted.map(|wanted| wanted.telling(Arc::new(move |text| output.warning(text))));
            let failed = dry::put(self.context, roots, existing, wanted).await?;
            return some_failed(failed + self.failures.len());
        }
        let watch = self.watch("stored");
        let began = Instant::now();
        let existing = policy(existing, &watch);
        let client = self.context.remote.client().await?;
        client.set_reuse(reuse);
        let told = watch.clone();
        let wanted = self.wanted.map(|wanted| wanted.telling(Arc::new(move |text| told.warning(text))));
        let transfers = transfers(client, self.connections, wanted).existing(existing).observer(watch.clone());
        let outcome = transfers.cancel(self.context.cancel.clone()).put(roots).await;
        finish(&watch, outcome, began)
    }

    pub(super) async fn get(
        self,
        folder: &Path,
        mut roots: Vec<GetRoot>,
        existing: ExistingArg,
    ) -> Result<(), Failure> {
        roots.retain(|root| {
            let kind = if root.is_tree { EntryKind::Directory } else { EntryKind::File };
            self.is_wanted(&root.remote, kind)
        });
        if self.is_dry {
            self.say_failures();
            let failed = dry::get(self.context, folder, roots, existing, self.wanted).await?;
            return some_failed(failed + self.failures.len());
        }
        let destination = Destination::open(folder)?;
        let watch = self.watch("received");
        let began = Instant::now();
        let existing = policy(existing, &watch);
        let client = self.context.remote.client().await?;
        let transfers = transfers(client, self.connections, self.wanted).existing(existing).observer(watch.clone());
        let outcome = transfers.cancel(self.context.cancel.clone()).get(destination, roots).await;
        finish(&watch, outcome, began)
    }

    /// What was named is left out by its name, too.
    fn is_wanted(&self, remote: &RemotePath, kind: EntryKind) -> bool {
        let name = remote.name().and_then(|name| RemotePath::root().join(name).ok());
        self.wanted.as_ref().zip(name).is_none_or(|(wanted, name)| wanted.admits(&name, kind))
    }

    fn say_failures(&self) {
        self.failures.iter().for_each(|failure| self.context.output.failure(failure));
    }

    fn watch(&self, verb: &'static str) -> Arc<Watch> {
        let watch = Arc::new(Watch::new(self.context.output, verb, !self.is_recursive));
        self.failures.iter().for_each(|failure| watch.failed_before(failure));
        watch
    }
}

/// Whether all could be planned; who could not has been said.
fn some_failed(failed: usize) -> Result<(), Failure> {
    match failed {
        0 => Ok(()),
        failed => Err(Failure::SomeFailed { failed, all: failed }),
    }
}

fn transfers(client: &mut Client, connections: Option<u8>, wanted: Option<Wanted>) -> Transfers<'_> {
    let mut transfers = Transfers::new(client);
    if let Some(connections) = connections {
        transfers = transfers.connections(connections.into());
    }
    match wanted {
        Some(wanted) => transfers.filter(Box::new(wanted)),
        None => transfers,
    }
}

/// Says how it ended. Who failed has been said.
fn finish(watch: &Watch, outcome: Result<Summary, ClientError>, began: Instant) -> Result<(), Failure> {
    watch.close();
    if outcome.is_err() {
        // What ends the transfer is not all that happened.
        watch.say_only();
    }
    let only = watch.take_only_failure();
    let summary = watch.finish(began.elapsed());
    outcome?;
    match (only, summary.failed) {
        (_, 0) => Ok(()),
        (Some(failure), _) => Err(failure),
        (None, failed) => Err(Failure::SomeFailed {
            failed: usize::try_from(failed).unwrap_or(usize::MAX),
            all: usize::try_from(summary.files + summary.left_out + failed).unwrap_or(usize::MAX),
        }),
    }
}

fn policy(existing: ExistingArg, watch: &Arc<Watch>) -> Existing {
    match existing {
        ExistingArg::Overwrite => Existing::Replace,
        ExistingArg::Skip => Existing::Skip,
        ExistingArg::Newer => Existing::Newer,
        ExistingArg::Rename => Existing::Rename,
        ExistingArg::Ask if question::can_be_asked() => {
            Existing::Ask(Arc::new(Person { watch: watch.clone(), turn: Mutex::new(()) }))
        }
        ExistingArg::Ask => Existing::Refuse,
    }
}

/// The person at the terminal, who answers one question at a time.
struct Person {
    watch: Arc<Watch>,
    turn: Mutex<()>,
}

#[async_trait]
impl Ask for Person {
    async fn replace(&self, name: &str) -> Result<bool, ClientError> {
        let turn = self.turn.lock().await;
        let question = format!("{} exists already. Replace it?", escape(name));
        let watch = self.watch.clone();
        let answer = tokio::task::spawn_blocking(move || watch.aside(|| question::ask(&question))).await;
        drop(turn);
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            // Ctrl-C, or no answer can be had.
            _ => Err(Fault::new(FaultCode::Cancelled, FaultCode::Cancelled.meaning()).into()),
        }
    }
}
