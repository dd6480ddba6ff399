//! P3: an overwrite over a line that is cut: at every byte of a small one, in both directions, and anywhere in large ones.
//!
//! The small one is sent as raw bytes over plaintext, where a byte of the protocol is a byte on the line. The large ones
//! go through the client library over TLS.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use netdisk_client::{OnExisting, PutSource, Unobserved, dial, put};
use netdisk_model::{Digest, RemotePath, Token};
use netdisk_protocol::limits::DATA_LEN_MAX;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::operation::Content;
use super::proof::Trial;
use super::relay::{Direction, Failure, Fate, Relay};
use super::report::Tally;
use super::scene::register;
use super::server::{Server, Transport};
use super::slow::frame;

/// The server answers or closes within this time, or something hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// A commit that a reset left behind has ended by then.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(20);

pub(super) async fn prove(trial: Trial) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut rng = Rng::with_seed(trial.seed);
    small(&trial, &mut rng, &mut tally).await?;
    let points = tally.n;
    if tally.failures.is_empty() {
        large(&trial, &mut rng, &mut tally).await?;
    }
    tally
        .notes
        .push(format!("{points} points of a small one over plaintext, {} of large ones over TLS", tally.n - points));
    Ok(tally)
}

/// The file under proof, and what may be in it.
struct Target {
    path: PathBuf,
    staging: PathBuf,
    /// What it was, and what is being put in its place.
    old: Digest,
    new: Digest,
    /// What cut uploads may still put there: whole, and never acknowledged.
    late: Vec<Digest>,
}

impl Target {
    fn of(data: &Path, user: &str) -> Self {
        let home = data.join("homes").join(user);
        let nothing = Digest::of(b"");
        Self { path: home.join("files/f"), staging: home.join("staging"), old: nothing, new: nothing, late: Vec::new() }
    }

    fn now(&self) -> Result<Digest> {
        Ok(Digest::of(&std::fs::read(&self.path).with_context(|| self.path.display().to_string())?))
    }

    /// What is wrong with the file, if it must still be the old one.
    fn must_be_old(&self) -> Result<Option<String>> {
        Ok((self.now()? != self.old).then(|| "torn: the old file is gone before the new one was whole".to_owned()))
    }

    /// What is wrong with the file, if it may be the old one or the new one. Which it is, it is from then on.
    async fn must_be_whole(&mut self) -> Result<Option<String>> {
        let began = Instant::now();
        loop {
            let now = self.now()?;
            if now != self.old && now != self.new && !self.late.contains(&now) {
                return Ok(Some("torn: neither the old file nor the new one".to_owned()));
            }
            if now == self.new || began.elapsed() > SETTLE_TIMEOUT {
                self.old = now;
                self.late.push(self.new);
                return Ok(None);
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn staged(&self) -> Result<usize> {
        Ok(std::fs::read_dir(&self.staging)?.count())
    }
}

/// How a small overwrite is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// So many bytes are sent, and then no more; what the server says is read to its end.
    EndAfterSending(usize),
    /// So many bytes are sent, and then the connection is reset.
    ResetAfterSending(usize),
    /// All is sent, so many bytes of the answers are read, and then the connection is reset.
    ResetAfterReading(usize),
}

async fn small(trial: &Trial, rng: &mut Rng, tally: &mut Tally) -> Result<()> {
    let data = trial.folder.join("plain");
    let server = trial.program.serve(&data, Transport::Plaintext)?;
    let (mut client, token) = register(&server, "alice").await?;
    let first = PutSource::Stream(Box::new(&b"the first"[..]));
    let path = RemotePath::root().join("f")?;
    put(&mut client, first, &path, OnExisting::Replace, &Unobserved, &CancellationToken::new()).await?;
    client.close().await?;
    let mut target = Target { old: Digest::of(b"the first"), ..Target::of(&data, "alice") };

    let (sent, answers) = session(&server, &token, &mut target, rng).await?;
    let cuts = (0..=sent)
        .map(Cut::EndAfterSending)
        .chain((0..sent).map(Cut::ResetAfterSending))
        .chain((0..answers).map(Cut::ResetAfterReading));
    for cut in cuts {
        if let Some(finding) = cut_small(&server, &token, &mut target, cut, rng).await? {
            tally.failures.push(format!("{cut:?} of {sent} sent and {answers} answered: {finding}"));
            return Ok(());
        }
        tally.n += 1;
    }
    // Whatever was cut is gone from staging, and the server is as it was.
    session(&server, &token, &mut target, rng).await?;
    let began = Instant::now();
    while target.staged()? > 0 {
        if began.elapsed() > ANSWER_TIMEOUT {
            tally.failures.push(format!("debris: {} staged files", target.staged()?));
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    server.kill()
}

/// Overwrites without a cut; gives how many bytes travel in each direction.
async fn session(server: &Server, token: &Token, target: &mut Target, rng: &mut Rng) -> Result<(usize, usize)> {
    let bytes = overwrite(token, target, rng)?;
    let mut stream = TcpStream::connect(server.endpoint.to_string()).await?;
    stream.write_all(&bytes).await?;
    stream.shutdown().await?;
    let mut answers = Vec::new();
    timeout(ANSWER_TIMEOUT, stream.read_to_end(&mut answers)).await??;
    ensure!(is_stored(&answers), "an overwrite failed: {:?}", String::from_utf8_lossy(&answers));
    ensure!(target.now()? == target.new, "stored, and not there");
    target.old = target.new;
    Ok((bytes.len(), answers.len()))
}

async fn cut_small(
    server: &Server,
    token: &Token,
    target: &mut Target,
    cut: Cut,
    rng: &mut Rng,
) -> Result<Option<String>> {
    let bytes = overwrite(token, target, rng)?;
    let mut stream = TcpStream::connect(server.endpoint.to_string()).await?;
    stream.set_nodelay(true)?;
    match cut {
        Cut::EndAfterSending(len) => {
            stream.write_all(&bytes[..len]).await?;
            stream.shutdown().await?;
            let mut answers = Vec::new();
            timeout(ANSWER_TIMEOUT, stream.read_to_end(&mut answers)).await.context("the server hangs")??;
            if is_stored(&answers) {
                ensure!(len == bytes.len(), "stored before all of it was sent");
                target.old = target.new;
            }
            target.must_be_old()
        }
        Cut::ResetAfterSending(len) => {
            stream.write_all(&bytes[..len]).await?;
            stream.set_zero_linger()?;
            drop(stream);
            target.must_be_old()
        }
        Cut::ResetAfterReading(len) => {
            stream.write_all(&bytes).await?;
            let read = timeout(ANSWER_TIMEOUT, stream.read_exact(&mut vec![0; len])).await;
            read.context("the server hangs")??;
            stream.set_zero_linger()?;
            drop(stream);
            target.must_be_whole().await
        }
    }
}

fn is_stored(answers: &[u8]) -> bool {
    String::from_utf8_lossy(answers).contains(r#""type":"stored""#)
}

/// All that a client sends to overwrite `/f` with something new, of the same length each time.
fn overwrite(token: &Token, target: &mut Target, rng: &mut Rng) -> Result<Vec<u8>> {
    let content: Vec<u8> = (0..40).map(|_| rng.u8(b'a'..=b'z')).collect();
    target.new = Digest::of(&content);
    let message = |value: Value| frame(value.to_string().as_bytes());
    let (one, two) = content.split_at(16);
    let parts = [
        message(json!({"type": "hello", "version": 1, "software": "proof"})),
        message(json!({"id": 1, "type": "login", "user": "alice", "token": token.expose()})),
        message(json!({"id": 2, "type": "upload", "path": "/f", "size": content.len(), "body": "now"})),
        frame(&[&[0], one].concat()),
        frame(&[&[0], two].concat()),
        message(json!({"id": 2, "type": "end", "digest": target.new.to_string()})),
    ];
    Ok(parts.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

async fn large(trial: &Trial, rng: &mut Rng, tally: &mut Tally) -> Result<()> {
    let data = trial.folder.join("tls");
    let server = trial.program.serve(&data, Transport::Tls)?;
    let (client, token) = register(&server, "alice").await?;
    let user = client.user().clone();
    client.close().await?;
    let mut target = Target::of(&data, "alice");
    let local = trial.folder.join("large");
    let path = RemotePath::root().join("f")?;
    for round in 0..=trial.rounds {
        let content = Content::new(rng.u64(..), rng.usize(DATA_LEN_MAX..3 << 20));
        std::fs::write(&local, content.bytes())?;
        target.new = content.digest;
        // The first one makes the file.
        if round > 0 {
            let fate = fate(rng, content.len());
            let relay = Relay::start(&server.endpoint, fate).await?;
            let failed = relay.failed.clone();
            let attempt = async {
                let door = dial(&relay.endpoint, &server.trust).await?;
                let mut client = door.log_in_by_token(&user, token.clone()).await?;
                put(&mut client, PutSource::File(local.clone()), &path, OnExisting::Replace, &Unobserved, &failed).await
            };
            let was_stored = timeout(ANSWER_TIMEOUT, attempt).await.context("the client hangs")?.is_ok();
            let finding = target.must_be_whole().await?.or_else(|| {
                (was_stored && target.old != target.new).then(|| "lost: acknowledged, and not there".to_owned())
            });
            if let Some(finding) = finding {
                tally.failures.push(format!("{fate:?} of {} bytes: {finding}", content.len()));
                return Ok(());
            }
            tally.n += 1;
        }
        let mut client = dial(&server.endpoint, &server.trust).await?.log_in_by_token(&user, token.clone()).await?;
        let source = PutSource::File(local.clone());
        put(&mut client, source, &path, OnExisting::Replace, &Unobserved, &CancellationToken::new()).await?;
        client.close().await?;
        ensure!(target.now()? == target.new, "acknowledged, and not there");
        target.old = target.new;
    }
    server.kill()
}

/// Anywhere, and as often near the end, where the commit is.
fn fate(rng: &mut Rng, len: u64) -> Fate {
    let failure = if rng.bool() { Failure::End } else { Failure::Reset };
    if rng.u8(..4) == 0 {
        return Fate { direction: Direction::ToClient, after: rng.u64(..3_000), failure };
    }
    let after = if rng.bool() { rng.u64(..len) } else { rng.u64(len..len + 4_000) };
    Fate { direction: Direction::ToServer, after, failure }
}
