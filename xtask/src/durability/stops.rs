//! P16: orderly stops, under load and with uploads that do not get on.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use netdisk_client::{Client, Endpoint, Observer, OnExisting, Progress, PutSource, Trust, dial, put};
use netdisk_model::{Digest, RemotePath, Token, UserName};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::crashes::{Blow, STOP_MAX, Storm};
use super::operation::Content;
use super::proof::Trial;
use super::relay::{Direction, Failure, Fate, Relay};
use super::report::Tally;
use super::scene::{TRANSPORT, register};

/// Uploads that stall while the server is asked to stop.
const STALLED: usize = 4;
const STALLED_LEN: usize = 2 << 20;

pub(super) async fn prove(trial: Trial) -> Result<Tally> {
    let stalled = Stalled { trial: Trial { folder: trial.folder.join("stalled"), ..trial.clone() } };
    let mut tally = Storm::new(trial).rage(Blow::Terminate).await?;
    // A control is about what was acknowledged; here nothing is.
    if stalled.trial.program.sabotage.is_none() && tally.failures.is_empty() {
        match stalled.stop().await {
            Ok(note) => tally.notes.push(note),
            Err(error) => tally.failures.push(format!("stalled uploads: {error:#}")),
        }
        tally.n += 1;
    }
    Ok(tally)
}

/// A stop that has to give up on bodies under way, and what becomes of them.
struct Stalled {
    trial: Trial,
}

impl Stalled {
    async fn stop(&self) -> Result<String> {
        let mut rng = Rng::with_seed(self.trial.seed);
        let folder = &self.trial.folder;
        std::fs::create_dir_all(folder)?;
        let data = folder.join("store");
        let server = self.trial.program.serve(&data, TRANSPORT)?;
        let (client, token) = register(&server, "slow").await?;
        let user = client.user().clone();
        client.close().await?;

        let (mut uploads, mut relays) = (JoinSet::new(), Vec::new());
        for number in 0..STALLED {
            let content = Content::new(rng.u64(..), STALLED_LEN);
            std::fs::write(folder.join(number.to_string()), content.bytes())?;
            let after = rng.u64(600_000..STALLED_LEN as u64 - 1000);
            let fate = Fate { direction: Direction::ToServer, after, failure: Failure::Stall };
            let relay = Relay::start(&server.endpoint, fate).await?;
            let upload = Upload { number, folder: folder.clone(), resumed: AtomicU64::new(0) };
            let client = log_in(&relay.endpoint, &server.trust, &user, &token).await?;
            uploads.spawn(async move { upload.send(client).await });
            relay.failed.cancelled().await;
            relays.push(relay);
        }
        let (status, took) = server.terminate().await?;
        uploads.abort_all();
        ensure!(status.code() == Some(0), "ended with {status}");
        ensure!(took <= STOP_MAX, "took {took:?}");
        let files = data.join("homes/slow/files");
        ensure!(std::fs::read_dir(&files)?.next().is_none(), "something was stored that never came to its end");

        let server = self.trial.program.serve(&data, TRANSPORT)?;
        let mut resumed = 0;
        for number in 0..STALLED {
            let upload = Upload { number, folder: folder.clone(), resumed: AtomicU64::new(0) };
            let client = log_in(&server.endpoint, &server.trust, &user, &token).await?;
            resumed += upload.send(client).await?;
            let [sent, stored] = [folder.join(number.to_string()), files.join(number.to_string())];
            ensure!(digest(&sent)? == digest(&stored)?, "what went on is not what was sent");
        }
        ensure!(resumed == STALLED as u64, "{resumed} of {STALLED} went on where they were");
        server.terminate().await?;
        Ok(format!("with {STALLED} stalled uploads stopped in {took:.2?}, and all of them resumed after it"))
    }
}

/// One upload from a file of the name that it has on the server.
struct Upload {
    number: usize,
    folder: std::path::PathBuf,
    resumed: AtomicU64,
}

impl Upload {
    /// Gives 1 if it went on where it was.
    async fn send(&self, mut client: Client) -> Result<u64> {
        let name = self.number.to_string();
        let (source, cancel) = (PutSource::File(self.folder.join(&name)), CancellationToken::new());
        let path = RemotePath::root().join(&name)?;
        put(&mut client, source, &path, OnExisting::Replace, self, &cancel).await?;
        client.close().await?;
        Ok(self.resumed.load(Ordering::SeqCst))
    }
}

impl Observer for Upload {
    fn progress(&self, _: Progress) {}

    fn verifying(&self, _: Progress) {
        self.resumed.store(1, Ordering::SeqCst);
    }
}

async fn log_in(endpoint: &Endpoint, trust: &Trust, user: &UserName, token: &Token) -> Result<Client> {
    Ok(dial(endpoint, trust).await?.log_in_by_token(user, token.clone()).await?)
}

fn digest(path: &Path) -> Result<Digest> {
    Ok(Digest::of(&std::fs::read(path).with_context(|| path.display().to_string())?))
}
