//! A server on a disk that fails, one step at a time: what may come of a step, and whether all is well afterwards.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use netdisk_client::{Client, ClientError, dial};
use netdisk_model::{RemotePath, Token};
use netdisk_protocol::FaultCode;

use super::ledger::{World, read_plain};
use super::proof::Trial;
use super::scene::{check_database, register};
use super::server::{Server, Transport};
use super::steps::{Step, perform};

/// What a failed upload leaves in staging is gone by then.
const CLEAN_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Bench {
    pub(super) server: Server,
    pub(super) client: Client,
    /// The store.
    pub(super) data: PathBuf,
    pub(super) home: PathBuf,
    pub(super) token: Token,
    folders: usize,
    /// Files in staging of which it is not known whether their names are gone from the disk, or whose rows could not be
    /// forgotten: they stay until the next start.
    unsettled: BTreeSet<OsString>,
}

/// Whether what a step replaces or removes may stay in staging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// All of it is on the disk: nothing stays.
    Yes,
    /// A directory could not be synced, or the database: a file that lost its name stays.
    No,
}

/// What a fault says to the person who meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// The disk is full: nothing else will do.
    Full,
    /// The disk failed: the server's log says how.
    Internal,
}

impl Bench {
    /// Starts a server over the store `data`, with one account.
    pub(super) async fn set_up(trial: &Trial, data: &Path) -> Result<Self> {
        let server = trial.program.serve(data, Transport::Plaintext)?;
        let (client, token) = register(&server, "alice").await?;
        let data = std::fs::canonicalize(data)?;
        let home = data.join("homes/alice");
        Ok(Self { server, client, data, home, token, folders: 0, unsettled: BTreeSet::new() })
    }

    /// A folder for the next step.
    pub(super) fn next_folder(&mut self) -> String {
        self.folders += 1;
        format!("t{}", self.folders)
    }

    pub(super) fn path_of(&self, folder: &str) -> PathBuf {
        self.home.join("files").join(folder)
    }

    /// What is wrong after a step that met a fault on its way, and ended so.
    pub(super) fn judge(
        &self,
        folder: &str,
        step: &Step,
        before: &World,
        outcome: &Result<(), ClientError>,
        expected: Expected,
    ) -> Result<Option<String>> {
        let found = read_plain(&self.path_of(folder))?;
        let steps = step.act.steps(before);
        Ok(match outcome {
            Ok(()) if steps.last() == Some(&found) => None,
            Ok(()) => Some("lost: acknowledged, and not there".to_owned()),
            Err(error) if error.ends_connection() => Some(format!("refused: the connection broke: {error}")),
            Err(_) if found == *before => wrong_words(outcome, expected),
            // After `internal` the old or the new may be there; of `mkdir` some of the way.
            Err(_) if steps.contains(&found) => wrong_words(outcome, expected),
            Err(error) => Some(format!("torn: neither what was there nor what was to be, after {error}")),
        })
    }

    /// The fault has passed: the same server does the step as if nothing had been.
    pub(super) async fn must_work(&mut self, step: &Step) -> Result<()> {
        ensure!(self.server.is_alive()?, "the server is dead");
        let folder = self.next_folder();
        let before = step.prepare(&mut self.client, &folder).await.context("once the fault has passed")?;
        perform(&mut self.client, &folder, &step.act).await.context("once the fault has passed")?;
        let found = read_plain(&self.path_of(&folder))?;
        ensure!(
            step.act.steps(&before).last() == Some(&found),
            "acknowledged, and not there, though no fault was left"
        );
        self.clear(&folder).await
    }

    /// Makes room again.
    pub(super) async fn clear(&mut self, folder: &str) -> Result<()> {
        Ok(self.client.remove(&RemotePath::root().join(folder)?, true).await?)
    }

    /// Nothing is left of an upload that failed, nor of what was replaced or removed by changes that are settled. A tree
    /// may be: while it is not known whether its removal is on disk, it is not taken apart.
    pub(super) async fn must_be_clean(&mut self, settled: Settled) -> Result<()> {
        let began = Instant::now();
        loop {
            let mut left = self.staged_files()?;
            if settled == Settled::No {
                self.unsettled.extend(left.extract_if(.., |name| is_grave(name)));
            }
            if left.is_empty() {
                return Ok(());
            }
            ensure!(began.elapsed() < CLEAN_TIMEOUT, "debris in staging: {left:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The files in staging, but for those that are unsettled.
    pub(super) fn staged_files(&self) -> Result<Vec<OsString>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.home.join("staging"))? {
            let entry = entry?;
            if entry.file_type()?.is_file() && !self.unsettled.contains(&entry.file_name()) {
                files.push(entry.file_name());
            }
        }
        Ok(files)
    }

    /// Kills the server and looks at what the next one finds: the account, and a sound database.
    pub(super) async fn must_survive(self, trial: &Trial) -> Result<()> {
        let files = self.home.join("files");
        let before = read_plain(&files)?;
        let Self { server, client, data, home, token, .. } = self;
        server.kill()?;
        let server = trial.program.serve(&data, Transport::Plaintext)?;
        let door = dial(&server.endpoint, &server.trust).await?;
        door.log_in_by_token(client.user(), token).await.context("the account")?.close().await?;
        ensure!(read_plain(&files)? == before, "a restart changed the files");
        // It is cleared beside the first requests.
        let began = Instant::now();
        while std::fs::read_dir(home.join("staging"))?.next().is_some() {
            ensure!(began.elapsed() < CLEAN_TIMEOUT, "debris in staging after a restart");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let findings = check_database(&data.join("netdisk.db"))?;
        ensure!(findings.is_empty(), "{findings:?}");
        server.kill()
    }
}

fn is_grave(name: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(b"grave-")
}

fn wrong_words(outcome: &Result<(), ClientError>, expected: Expected) -> Option<String> {
    let code = outcome.as_ref().err().and_then(ClientError::fault_code);
    let wanted = match expected {
        Expected::Full => FaultCode::Full,
        Expected::Internal => FaultCode::Internal,
    };
    (code != Some(wanted)).then(|| format!("refused: {code:?}, where {wanted:?} would be clear"))
}
