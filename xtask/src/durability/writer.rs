//! One of the writers: works through the client library, and keeps a ledger of what was acknowledged to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use netdisk_client::{Client, ClientError, Endpoint, Observer, Progress, PutSource, Trust, dial, put};
use netdisk_model::{RemotePath, Token, UserName};
use netdisk_protocol::FaultCode;

use super::batch::put_all;
use super::ledger::{Ledger, World, read_plain, read_served};
use super::load::Load;
use super::operation::{Content, Operation, Via};

/// An upload that was interrupted is mostly, not always, sent again: what is never asked for again is there, too.
const PERCENT_GIVEN_UP: u32 = 5;

/// Connections of a writer while it sends a large file.
const CONNECTIONS: usize = 3;

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) user: UserName,
    token: Token,
    /// Its folder in the home, by name.
    folder: String,
    rng: Rng,
    ledger: Ledger,
    /// The upload to go on with, and the local file that it comes from.
    interrupted: Option<(Operation, PathBuf)>,
    /// Uploads that can be resumed and are not known to have ended: what may be left of them, in bytes.
    pub(super) unfinished: Vec<u64>,
    /// Where the local files are.
    local: PathBuf,
    sources: u64,
}

/// How a writer's round ended.
pub(super) type Worked = Result<(), String>;

impl Writer {
    /// A writer with a folder of its own in the home of `user`, acknowledged to be there.
    pub(super) async fn new(client: &mut Client, token: Token, folder: String, local: &Path, rng: Rng) -> Result<Self> {
        client.make_directory(&RemotePath::root().join(&folder)?, false).await?;
        Ok(Self {
            user: client.user().clone(),
            token,
            folder,
            rng,
            ledger: Ledger::new(),
            interrupted: None,
            unfinished: Vec::new(),
            local: local.to_owned(),
            sources: 0,
        })
    }

    fn at(&self, path: &str) -> Result<RemotePath> {
        Ok(format!("/{}/{path}", self.folder).parse()?)
    }

    /// Sends one operation after the other until the server is gone; says what was refused without reason.
    pub(super) async fn work(&mut self, load: &Load) -> Worked {
        match self.work_until_failure(load).await {
            Err(_) if load.has_blow_fallen() => Ok(()),
            Err(error) => Err(format!("{}: {error:#}", self.folder)),
            Ok(()) => Ok(()),
        }
    }

    async fn work_until_failure(&mut self, load: &Load) -> Result<()> {
        let mut client = self.log_in(load.endpoint.clone(), load.trust).await?;
        loop {
            let (operation, source) = self.next_operation()?;
            self.ledger.begin(operation.steps(self.ledger.acknowledged()));
            let is_refused = operation.is_refused(self.ledger.acknowledged());
            let begun = self.perform(&mut client, &operation, source.as_deref(), load).await;
            match begun {
                Ok(()) if !is_refused => {
                    self.ledger.acknowledge();
                    load.acknowledge();
                }
                Ok(()) => anyhow::bail!("acknowledged, where a file stood in the way: {operation:?}"),
                Err(error) if is_refused && error.fault_code() == Some(FaultCode::Exists) => self.ledger.refuse(),
                Err(error) => {
                    // A server that stops says which upload it rolled back; of a batch, the others are another matter.
                    let is_one = !matches!(operation, Operation::PutAll { .. });
                    if is_one && matches!(&error, ClientError::Fault(fault) if fault.code == FaultCode::ShuttingDown) {
                        self.ledger.refuse();
                    }
                    self.interrupt(&operation, source);
                    return Err(anyhow::Error::new(error).context(format!("{operation:?}")));
                }
            }
            if let Some(source) = source {
                std::fs::remove_file(source)?;
                self.unfinished.pop();
            }
        }
    }

    /// What was interrupted, or something new; an upload from a file comes with the file.
    fn next_operation(&mut self) -> Result<(Operation, Option<PathBuf>)> {
        if let Some((operation, source)) = self.interrupted.take() {
            if self.rng.u32(..100) >= PERCENT_GIVEN_UP {
                return Ok((operation, Some(source)));
            }
            std::fs::remove_file(source)?;
        }
        let operation = Operation::choose(&mut self.rng, self.ledger.acknowledged());
        let Operation::Put { content, via: Via::File, .. } = &operation else { return Ok((operation, None)) };
        self.sources += 1;
        let source = self.local.join(format!("{}-{}", self.folder, self.sources));
        std::fs::write(&source, content.bytes())?;
        self.unfinished.push(content.len());
        Ok((operation, Some(source)))
    }

    fn interrupt(&mut self, operation: &Operation, source: Option<PathBuf>) {
        self.interrupted = source.map(|source| (operation.clone(), source));
    }

    async fn perform(
        &mut self,
        client: &mut Client,
        operation: &Operation,
        source: Option<&Path>,
        load: &Load,
    ) -> Result<(), ClientError> {
        let at = |path: &str| self.at(path).map_err(|error| ClientError::Unexpected(error.to_string()));
        match operation {
            Operation::Put { path, content, existing, .. } => {
                let watch = Watch { load, resumed: AtomicBool::new(false) };
                let outcome = put(client, open(*content, source), &at(path)?, *existing, &watch, &load.gone).await?;
                load.reused.fetch_add(outcome.reused.into(), Ordering::Relaxed);
                if outcome.digest == content.digest { Ok(()) } else { Err(ClientError::DigestMismatch) }
            }
            Operation::PutAll { puts } => {
                let at_all = puts.iter().map(|(path, content)| Ok((at(path)?, *content)));
                let at_all = at_all.collect::<Result<Vec<_>, ClientError>>()?;
                let (done, outcome) = put_all(client, &at_all, &load.gone).await;
                let is_done = |(remote, _): &&(RemotePath, Content)| done.contains(remote);
                let done = at_all.iter().zip(puts).filter(|(at, _)| is_done(at)).map(|(_, put)| put);
                self.ledger.acknowledge_some(done.map(|(path, content)| (path.clone(), content.digest)));
                outcome
            }
            Operation::MakeDirectory { path, parents } => client.make_directory(&at(path)?, *parents).await,
            Operation::Rename { from, to } => client.rename(&at(from)?, &at(to)?, true).await,
            Operation::Copy { from, to } => client.copy(&at(from)?, &at(to)?, true).await,
            Operation::Remove { path, recursive } => client.remove(&at(path)?, *recursive).await,
        }
    }

    async fn log_in(&self, endpoint: Endpoint, trust: Trust) -> Result<Client> {
        let door = dial(&endpoint, &trust).await?;
        let logged_in = door.log_in_by_token(&self.user, self.token.clone()).await;
        let mut client = logged_in.context("by the token that was given")?;
        client.use_connections(Some(CONNECTIONS));
        Ok(client)
    }

    /// Compares the folder with the ledger: as plain files below `home`, and through the server.
    pub(super) async fn verify(&mut self, (endpoint, trust): (Endpoint, Trust), home: &Path) -> Result<Vec<String>> {
        let plain = match read_plain(&home.join("files").join(&self.folder)) {
            Ok(world) => world,
            Err(error) => return Ok(vec![format!("lost: {}/{}: {error:#}", self.user, self.folder)]),
        };
        let served = async {
            let mut client = self.log_in(endpoint, trust).await?;
            let served = read_served(&mut client, &RemotePath::root().join(&self.folder)?).await?;
            client.close().await?;
            Ok::<World, anyhow::Error>(served)
        };
        let mut findings = match served.await {
            Ok(served) if served == plain => Vec::new(),
            Ok(_) => vec!["torn: the server shows another tree than stands in the file system".to_owned()],
            Err(error) => vec![format!("lost: the tree cannot be read through the server: {error:#}")],
        };
        findings.extend(self.ledger.settle(plain));
        Ok(findings.into_iter().map(|finding| format!("{}/{}: {finding}", self.user, self.folder)).collect())
    }
}

fn open(content: Content, source: Option<&Path>) -> PutSource {
    match source {
        Some(source) => PutSource::File(source.to_owned()),
        None => PutSource::Stream(Box::new(std::io::Cursor::new(content.bytes()))),
    }
}

/// Counts the uploads that went on where they were.
struct Watch<'a> {
    load: &'a Load,
    resumed: AtomicBool,
}

impl Observer for Watch<'_> {
    fn progress(&self, _: Progress) {}

    fn verifying(&self, _: Progress) {
        if !self.resumed.swap(true, Ordering::Relaxed) {
            self.load.resumed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Lets all writers work until the server is gone.
pub(super) fn spawn_all(writers: &mut Vec<Writer>, load: &Arc<Load>) -> tokio::task::JoinSet<(Writer, Worked)> {
    let mut tasks = tokio::task::JoinSet::new();
    for mut writer in writers.drain(..) {
        let load = load.clone();
        tasks.spawn(async move {
            let worked = writer.work(&load).await;
            (writer, worked)
        });
    }
    tasks
}
