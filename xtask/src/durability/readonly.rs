//! P14: a disk that becomes read-only under load, and writable again.
//!
//! The homes lie on a file system of their own, as an operator may have them, so that the kernel lets go of it: one
//! with files open for writing is never made read-only. It is asked again and again until a moment comes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use netdisk_client::dial;
use netdisk_model::{RemotePath, Token, UserName};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::ledger::{Ledger, read_plain};
use super::mounts::Mount;
use super::operation::Operation;
use super::proof::Trial;
use super::report::Tally;
use super::scene::register;
use super::server::{Server, Transport};
use super::steps::perform;

const WORKERS: usize = 4;
const DISK_LEN: u64 = 256 << 20;
const INODES: u64 = 100_000;

/// So many of each kind of answer are waited for.
const ANSWERS: u64 = 40;

/// Whatever is waited for comes within this time, or something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the workers have been told.
#[derive(Debug, Default)]
struct Answers {
    acknowledged: AtomicU64,
    refused: AtomicU64,
    /// It is over, or somebody was lied to.
    stop: AtomicBool,
}

pub(super) async fn prove(trial: Trial) -> Result<Tally> {
    let data = trial.folder.join("store");
    std::fs::create_dir(&data)?;
    let mount = Mount::in_memory(&data.join("homes"), DISK_LEN, INODES)?;
    let mut server = trial.program.serve(&data, Transport::Plaintext)?;
    let answers = Arc::new(Answers::default());
    let mut rng = Rng::with_seed(trial.seed);
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let user = format!("user{number}");
        let (mut client, token) = register(&server, &user).await?;
        client.make_directory(&RemotePath::root().join("w")?, false).await?;
        let files = data.join("homes").join(&user).join("files/w");
        let (user, answers) = (client.user().clone(), answers.clone());
        let told = answers.clone();
        let worker = Worker { user, token, files, rng: rng.fork(), answers };
        let work = worker.work(server.endpoint.clone(), server.trust);
        workers.spawn(async move { work.await.inspect_err(|_| told.stop.store(true, Ordering::SeqCst)) });
    }
    let mut tally = Tally::default();
    let toggled = toggle(&trial, &mount, &mut server, &answers, &mut tally).await;
    answers.stop.store(true, Ordering::SeqCst);
    mount.remount("rw")?;
    while let Some(worked) = workers.join_next().await {
        tally.failures.extend(worked?.err().map(|error| format!("{error:#}")));
    }
    if tally.failures.is_empty() {
        toggled?;
    }
    let [acknowledged, refused] = [&answers.acknowledged, &answers.refused].map(|count| count.load(Ordering::SeqCst));
    tally.notes.push(format!("{acknowledged} acknowledged, {refused} refused, each looked at"));
    server.kill()?;
    Ok(tally)
}

/// Makes the disk read-only and writable in turn, each until enough was answered.
async fn toggle(trial: &Trial, mount: &Mount, server: &mut Server, answers: &Answers, tally: &mut Tally) -> Result<()> {
    for _ in 0..trial.rounds {
        tally.n += 1;
        wait_for_more(answers, &answers.acknowledged).await.context("acknowledgements, while the disk is writable")?;
        let began = Instant::now();
        while let Err(error) = mount.remount("ro") {
            ensure!(began.elapsed() < PATIENCE, "never a moment to make it read-only: {error:#}");
            // An odd time, so that no rhythm of the workers can hide from it.
            sleep(Duration::from_micros(700)).await;
        }
        wait_for_more(answers, &answers.refused).await.context("refusals, while the disk is read-only")?;
        ensure!(server.is_alive()?, "the server is dead");
        mount.remount("rw")?;
    }
    wait_for_more(answers, &answers.acknowledged).await.context("acknowledgements, once the disk is writable again")
}

async fn wait_for_more(answers: &Answers, count: &AtomicU64) -> Result<()> {
    let (began, enough) = (Instant::now(), count.load(Ordering::SeqCst) + ANSWERS);
    while count.load(Ordering::SeqCst) < enough {
        ensure!(began.elapsed() < PATIENCE && !answers.stop.load(Ordering::SeqCst), "none came");
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Works on whatever it is told, and looks after each answer.
struct Worker {
    user: UserName,
    token: Token,
    files: PathBuf,
    rng: Rng,
    answers: Arc<Answers>,
}

impl Worker {
    /// Fails at the first answer that is not true, and when the connection breaks.
    async fn work(mut self, endpoint: netdisk_client::Endpoint, trust: netdisk_client::Trust) -> Result<()> {
        let mut client = dial(&endpoint, &trust).await?.log_in_by_token(&self.user, self.token).await?;
        let mut ledger = Ledger::new();
        while !self.answers.stop.load(Ordering::SeqCst) {
            let operation = Operation::choose(&mut self.rng, ledger.acknowledged());
            ledger.begin(operation.steps(ledger.acknowledged()));
            let is_refused = operation.is_refused(ledger.acknowledged());
            match perform(&mut client, "w", &operation).await {
                Ok(()) => {
                    ledger.acknowledge();
                    self.answers.acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) if error.ends_connection() => return Err(error.into()),
                Err(_) if is_refused => ledger.refuse(),
                Err(_) => drop(self.answers.refused.fetch_add(1, Ordering::SeqCst)),
            }
            // On another thread: the workers are not to wait for each other.
            let files = self.files.clone();
            let found = tokio::task::spawn_blocking(move || read_plain(&files)).await??;
            let findings = ledger.settle(found);
            ensure!(findings.is_empty(), "{}: after {operation:?}: {}", self.user, findings.join(", "));
        }
        Ok(client.close().await?)
    }
}
