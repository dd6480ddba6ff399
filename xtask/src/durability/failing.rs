//! P14: a disk that fails: EIO from each sync and each write behind each step.
//!
//! A step is watched once to learn its places: a system call on a path below the store, before the acknowledgement.
//! Then, for each place, the step is done again with strace failing that call. strace counts calls by thread, and the
//! server has many; but it also selects them by path, and the n-th call on one path by one thread is tried for each n
//! until there is none. The staged file of an upload has a name only once the upload is under way: strace is attached
//! to it in the middle of the body, after so many frames. What was not reached in this way is a failure of the proof.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use netdisk_client::ClientError;
use netdisk_protocol::limits::DATA_LEN_MAX;

use super::bench::{Bench, Expected, Settled};
use super::failing_accounts;
use super::operation::{Content, Operation};
use super::order::watch;
use super::proof::Trial;
use super::report::Tally;
use super::slow::SlowUpload;
use super::steps::{Step, perform};
use super::strace::{Call, Strace};

/// The server has staged what was sent by then.
const STAGED_TIMEOUT: Duration = Duration::from_secs(10);

/// The calls that fail, in strace's words: all ways to sync and all ways to write.
const SYNCS: &str = "fsync,fdatasync,syncfs";
const WRITES: &str = "write,pwrite64,writev,pwritev";

/// Where a step can fail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) at: At,
}

impl Place {
    /// After a failure here: whether all that lost its name is known to have lost it on the disk, and its row too.
    fn settled(&self) -> Settled {
        match (self.kind, &self.at) {
            (Kind::Sync, At::Folder(_)) => Settled::No,
            (_, at) if is_spare(at) => Settled::No,
            _ => Settled::Yes,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Sync,
    Write,
}

/// On what the call is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    /// The staged file.
    Staged,
    /// A directory or file of the step, relative to its folder; of a new account, relative to its home.
    Folder(PathBuf),
    /// Anything else, relative to the store.
    Store(PathBuf),
}

pub(super) async fn prove(trial: Trial) -> Result<Tally> {
    let mut bench = Bench::set_up(&trial, &trial.folder.join("store")).await?;
    let mut tally = Tally::default();
    let (mut places_seen, mut injected) = (0, 0);
    let out = trial.folder.join("trace");
    for step in Step::all(trial.seed).into_iter().filter(|step| !is_copy(step)) {
        let folder = bench.next_folder();
        let calls = watch(&mut bench.client, &step, &folder, bench.server.pid(), &out).await?;
        let places = places(&calls, &bench, &bench.path_of(&folder));
        ensure!(!places.is_empty(), "{}: nothing was seen that could fail", step.name);
        for place in places.iter().filter(|place| !is_staged_at_once(&step, place)) {
            let mut reached = 0;
            for number in 1.. {
                let (finding, hits) =
                    fail(&mut bench, &step, place, number, &out).await.with_context(|| at(&step, place))?;
                if hits == 0 {
                    break;
                }
                reached += 1;
                injected += hits;
                tally.n += 1;
                if let Some(finding) = finding {
                    tally.failures.push(format!("{}: {finding}", at(&step, place)));
                    return Ok(tally);
                }
                bench.must_work(&step).await.with_context(|| at(&step, place))?;
                bench.must_be_clean(place.settled()).await.with_context(|| at(&step, place))?;
            }
            ensure!(reached > 0, "{} was not reached", at(&step, place));
            places_seen += 1;
        }
    }
    let (places_of_accounts, injected_in_accounts) = failing_accounts::fail(&mut bench, &out, &mut tally).await?;
    bench.must_survive(&trial).await?;
    tally.notes.push(format!(
        "all {} places of {} operations reached, {} calls failed",
        places_seen + places_of_accounts,
        Step::all(0).iter().filter(|step| !is_copy(step)).count() + 2,
        injected + injected_in_accounts
    ));
    Ok(tally)
}

/// A copy stages a file from beginning to end by itself: there is no moment in which strace could be told its name. What
/// it does with it is what an upload does.
fn is_copy(step: &Step) -> bool {
    matches!(step.act, Operation::Copy { .. })
}

/// So does an upload whose content came as a whole: what fails on its staged file fails on that of any other upload, by
/// the same calls.
fn is_staged_at_once(step: &Step, place: &Place) -> bool {
    matches!(step.act, Operation::PutAll { .. }) && place.at == At::Staged
}

fn at(step: &Step, place: &Place) -> String {
    format!("{}, EIO from {:?} at {:?}", step.name, place.kind, place.at)
}

/// Where the calls of a step were that write or sync something below the store.
pub(super) fn places(calls: &[Call], bench: &Bench, folder: &Path) -> BTreeSet<Place> {
    let staging = bench.home.join("staging");
    let place = |call: &Call| {
        let kind = if SYNCS.split(',').any(|name| name == call.name) {
            Kind::Sync
        } else if WRITES.split(',').any(|name| name == call.name) {
            Kind::Write
        } else {
            return None;
        };
        let path = PathBuf::from(call.paths().first()?);
        // The audit file says who did what; nothing is acknowledged on its account.
        if path.starts_with(bench.data.join("audit")) {
            return None;
        }
        let at = if path.parent() == Some(&staging) {
            At::Staged
        } else if let Ok(inside) = path.strip_prefix(folder) {
            At::Folder(inside.to_owned())
        } else {
            At::Store(path.strip_prefix(&bench.data).ok()?.to_owned())
        };
        Some(Place { kind, at })
    };
    calls.iter().filter_map(place).collect()
}

/// Does a step with a call failing, the `number`-th of its place; gives what is wrong then, and how many calls failed.
async fn fail(
    bench: &mut Bench,
    step: &Step,
    place: &Place,
    number: usize,
    out: &Path,
) -> Result<(Option<String>, usize)> {
    let folder = bench.next_folder();
    let before = step.prepare(&mut bench.client, &folder).await?;
    let pid = bench.server.pid();
    let (outcome, calls) = match (&place.at, &step.act) {
        (At::Staged, Operation::Put { path, content, .. }) => {
            let all = usize::try_from(content.len())?.div_ceil(DATA_LEN_MAX);
            let frames = match place.kind {
                Kind::Write if number <= all => number - 1,
                Kind::Sync if number == 1 => all,
                Kind::Write | Kind::Sync => return Ok((None, 0)),
            };
            upload(bench, &format!("/{folder}/{path}"), *content, frames, place.kind, out).await?
        }
        (at, _) => {
            let path = match at {
                At::Folder(inside) => bench.path_of(&folder).join(inside),
                At::Store(inside) => bench.data.join(inside),
                At::Staged => anyhow::bail!("a step other than an upload writes to staging"),
            };
            let strace = inject(pid, place.kind, &path, number, out)?;
            let outcome = perform(&mut bench.client, &folder, &step.act).await;
            (outcome, strace.detach()?)
        }
    };
    let hits = calls.iter().filter(|call| call.is_injected()).count();
    let false_acknowledgement = outcome.is_ok() && hits > 0 && !is_spare(&place.at);
    let finding = match false_acknowledgement {
        true => Some("lost: acknowledged, though it was not seen onto the disk".to_owned()),
        false => bench.judge(&folder, step, &before, &outcome, Expected::Internal)?,
    };
    Ok((finding, hits))
}

/// Whether an acknowledgement can do without it: what is in the database of a file can be had from the file.
fn is_spare(at: &At) -> bool {
    matches!(at, At::Store(path) if path.to_string_lossy().starts_with("netdisk.db"))
}

pub(super) fn inject(pid: u32, kind: Kind, path: &Path, number: usize, out: &Path) -> Result<Strace> {
    let calls = match kind {
        Kind::Sync => SYNCS,
        Kind::Write => WRITES,
    };
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error=EIO:when={number}"));
    Strace::attach(pid, &["-P", path.to_str().context("UTF-8")?, "-e", &trace, "-e", &inject], out)
}

/// Waits until the server has written what it was sent, `len` bytes, and gives the staged file.
async fn staged(bench: &Bench, len: u64) -> Result<PathBuf> {
    let staging = bench.home.join("staging");
    let began = Instant::now();
    loop {
        let files = bench.staged_files()?.into_iter().map(|name| staging.join(name));
        if let Some(staged) = files.into_iter().find(|file| file.metadata().is_ok_and(|found| found.len() == len)) {
            return Ok(staged);
        }
        ensure!(began.elapsed() < STAGED_TIMEOUT, "the server has not staged {len} bytes");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Uploads with the calls on the staged file failing once `frames` frames have been written to it.
async fn upload(
    bench: &Bench,
    path: &str,
    content: Content,
    frames: usize,
    kind: Kind,
    out: &Path,
) -> Result<(Result<(), ClientError>, Vec<Call>)> {
    let account = (bench.client.user(), &bench.token);
    let mut upload = SlowUpload::begin(&bench.server, account, path, content.bytes()).await?;
    let len = upload.send(frames).await?;
    let strace = inject(bench.server.pid(), kind, &staged(bench, len).await?, 1, out)?;
    let outcome = upload.finish().await?;
    Ok((outcome, strace.detach()?))
}
