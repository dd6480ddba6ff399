//! P15: damage that no disk reports is found, and not handed out as whole.

use std::collections::BTreeSet;
use std::fs::{File, FileTimes};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use netdisk_client::{Client, GetTarget, OnExisting, PutSource, Unobserved, get, put};
use netdisk_model::RemotePath;
use netdisk_protocol::FaultCode;
use netdisk_protocol::limits::SMALL_LEN;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::operation::Content;
use super::proof::Trial;
use super::report::Tally;
use super::scene::{TRANSPORT, register};

/// For so many files that rot, one stays sound: none of these may be named.
const ROTTEN_FOR_A_SOUND_ONE: u64 = 10;

pub(super) async fn prove(trial: Trial) -> Result<Tally> {
    let mut rng = Rng::with_seed(trial.seed);
    let mut contents = Vec::new();
    let data = trial.folder.join("store");
    let server = trial.program.serve(&data, TRANSPORT)?;
    let (mut client, _) = register(&server, "alice").await?;
    let all = trial.rounds + trial.rounds / ROTTEN_FOR_A_SOUND_ONE;
    for number in 0..all {
        let content = non_empty(&mut rng);
        contents.push(content);
        let source = PutSource::Stream(Box::new(std::io::Cursor::new(content.bytes())));
        let cancel = CancellationToken::new();
        put(&mut client, source, &path(number)?, OnExisting::Replace, &Unobserved, &cancel).await?;
    }
    let rotten: BTreeSet<u64> = rng.choose_multiple(0..all, usize::try_from(trial.rounds)?).into_iter().collect();
    for number in &rotten {
        flip(&data.join(format!("homes/alice/files/{number}")), &mut rng)?;
    }

    let mut tally = Tally { n: trial.rounds, ..Tally::default() };
    let named = scrub(&trial, &data)?;
    for number in 0..all {
        let is_rotten = rotten.contains(&number);
        if is_rotten != named.contains(&format!("/{number}")) {
            let word = if is_rotten { "rotted, and scrub does not name it" } else { "is sound, and scrub names it" };
            tally.failures.push(format!("lost: {number} {word}"));
        }
        let refused = is_refused(&mut client, number).await?;
        if is_rotten != refused {
            let word = if is_rotten { "rotted, and is handed out" } else { "is sound, and is not handed out" };
            tally.failures.push(format!("torn: {number} {word}"));
        }
    }
    // One is enough: it reads as a download does.
    if let Some(number) = rotten.first() {
        let copied = client.copy(&path(*number)?, &"/copy".parse()?, false).await;
        if copied.is_ok() {
            tally.failures.push(format!("torn: {number} rotted, and is copied as if it were sound"));
        }
    }
    let long = |number: &&u64| contents[**number as usize].len() > SMALL_LEN;
    let number =
        rotten.iter().find(long).context("no long file rotted: what is stored by its digest is not under proof")?;
    let source = trial.folder.join("source");
    std::fs::write(&source, contents[*number as usize].bytes())?;
    let cancel = CancellationToken::new();
    let again = RemotePath::root().join("again")?;
    let outcome = put(&mut client, PutSource::File(source), &again, OnExisting::Replace, &Unobserved, &cancel).await;
    if outcome.is_ok_and(|outcome| !outcome.reused) {
        tally.notes.push("content that rotted is sent again, and not stored by its digest".to_owned());
    } else {
        tally.failures.push(format!("torn: {number} rotted, and its content is stored again by its digest"));
    }
    client.close().await?;
    server.terminate().await?;
    tally.notes.push(format!(
        "{} named by scrub and refused to a reader; {} sound ones are neither",
        rotten.len(),
        all - tally.n
    ));
    Ok(tally)
}

fn non_empty(rng: &mut Rng) -> Content {
    loop {
        let content = Content::random(rng);
        if content.len() > 0 {
            return content;
        }
    }
}

fn path(number: u64) -> Result<RemotePath> {
    Ok(RemotePath::root().join(&number.to_string())?)
}

/// Flips one bit. The disk says nothing of it, so the times stay.
fn flip(path: &Path, rng: &mut Rng) -> Result<()> {
    let file = File::options().read(true).write(true).open(path).with_context(|| path.display().to_string())?;
    let metadata = file.metadata()?;
    let at = rng.u64(..metadata.len());
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ 1 << rng.u32(..8)], at)?;
    Ok(file.set_times(FileTimes::new().set_modified(metadata.modified()?))?)
}

/// The paths that `netdisk admin scrub` names, beside the running server.
fn scrub(trial: &Trial, data: &Path) -> Result<BTreeSet<String>> {
    let mut command = Command::new(&trial.program.path);
    command.args(["admin", "scrub", "--json", "--data"]).arg(data).env_remove("NETDISK_SABOTAGE");
    if let Some(sabotage) = trial.program.sabotage {
        command.env("NETDISK_SABOTAGE", sabotage);
    }
    let output = command.output().context("scrub")?;
    let mut named = BTreeSet::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let event: Value = serde_json::from_str(line)?;
        if event["kind"] == "rotten" {
            named.insert(event["path"].as_str().context("a path")?.to_owned());
        }
    }
    let expected = if named.is_empty() { 0 } else { 8 };
    ensure!(output.status.code() == Some(expected), "scrub ended with {}", output.status);
    Ok(named)
}

/// Whether the server refuses to hand a file out as whole, and says why.
async fn is_refused(client: &mut Client, number: u64) -> Result<bool> {
    let target = GetTarget::Stream(Box::new(tokio::io::sink()));
    let cancel = CancellationToken::new();
    match get(client, &path(number)?, target, OnExisting::Refuse, &Unobserved, &cancel).await {
        Ok(_) => Ok(false),
        Err(error) if error.fault_code() == Some(FaultCode::Corrupt) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
