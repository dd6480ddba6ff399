//! P2 where a cut cannot show it: the order of the system calls behind each acknowledgement.
//!
//! ext4 writes all that happened before along with whatever is synced, so that a power cut there cannot tell whether
//! each directory was. Other file systems are not so kind. The rules:
//!
//! - a name that was made, moved or taken away below `files/` has its directories synced afterwards,
//! - a file that is renamed into `files/` was synced after its last byte was written,
//! - nothing below `files/` is ever opened for writing,
//! - and all of that before the acknowledgement is sent.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use netdisk_client::Client;

use super::proof::Trial;
use super::report::Tally;
use super::scene::register;
use super::server::Transport;
use super::steps::{Step, perform};
use super::strace::{Call, Strace};

/// What is watched: whatever changes names or content, whatever syncs, and what is sent.
pub(super) const WATCHED: &str = "trace=fsync,fdatasync,syncfs,write,writev,pwrite64,pwritev,sendto,sendmsg,mkdir,mkdirat,\
unlink,unlinkat,rename,renameat,renameat2,link,linkat,open,openat,openat2,copy_file_range";

pub(super) async fn prove(trial: Trial) -> Result<Tally> {
    let data = trial.folder.join("store");
    let server = trial.program.serve(&data, Transport::Plaintext)?;
    let mut tally = Tally::default();
    let (mut client, _) = {
        let strace = Strace::attach(server.pid(), &["-e", WATCHED], &trial.folder.join("register"))?;
        let registered = register(&server, "alice").await?;
        let calls = strace.detach()?;
        tally.n += 1;
        tally.failures.extend(check_account(&calls).map(|finding| format!("register: {finding}")));
        registered
    };
    let home = std::fs::canonicalize(data.join("homes/alice"))?;
    for (number, step) in Step::all(trial.seed).iter().enumerate() {
        let out = trial.folder.join(format!("step{number}"));
        let calls = match watch(&mut client, step, &format!("t{number}"), server.pid(), &out).await {
            Ok(calls) => calls,
            // A server that was found to be broken cannot be relied on to do the next step.
            Err(_) if trial.program.sabotage.is_some() && !tally.failures.is_empty() => break,
            Err(error) => return Err(error),
        };
        tally.n += 1;
        let findings = check(&calls, &home, step.changes);
        tally.failures.extend(findings.into_iter().map(|finding| format!("{}: {finding}", step.name)));
    }
    server.kill()?;
    tally.notes.push("parents of new directories, both sides of a rename, files before their names".to_owned());
    Ok(tally)
}

/// The calls of one step, its acknowledgement included.
pub(super) async fn watch(client: &mut Client, step: &Step, folder: &str, pid: u32, out: &Path) -> Result<Vec<Call>> {
    step.prepare(client, folder).await?;
    let strace = Strace::attach(pid, &["-e", WATCHED], out)?;
    perform(client, folder, &step.act).await.context(step.name)?;
    // What a broken server does after its acknowledgement is not waited for.
    strace.detach()
}

/// A change of names, and the directories that must be synced for it.
struct Change<'a> {
    call: &'a Call,
    directories: Vec<PathBuf>,
}

/// Where in the order of events a reply of this type was sent.
fn sent(calls: &[Call], kinds: &[&str]) -> Option<usize> {
    let replies =
        calls.iter().filter(|call| kinds.iter().any(|kind| call.arguments.contains(&format!("\\\"{kind}\\\""))));
    replies.map(|call| call.entered).next_back()
}

/// Whether `path` was synced, by itself or with all else, entirely between two events.
fn is_synced(calls: &[Call], path: &Path, after: usize, before: usize) -> bool {
    calls.iter().any(|call| {
        let on_disk = match call.name.as_str() {
            "fsync" | "fdatasync" => call.paths().first().is_some_and(|synced| Path::new(synced) == path),
            "syncfs" => true,
            _ => false,
        };
        on_disk && call.has_succeeded() && call.entered > after && call.left < before
    })
}

/// What the names of a call are relative to, and the names, in pairs.
fn named(call: &Call) -> Vec<(PathBuf, String)> {
    let names = call.strings().into_iter().map(str::to_owned);
    match call.name.as_str() {
        "mkdirat" | "unlinkat" | "renameat" | "renameat2" | "linkat" | "openat" | "openat2" => {
            call.paths().into_iter().map(PathBuf::from).zip(names).collect()
        }
        "mkdir" | "unlink" | "rename" | "link" | "open" => names.map(|name| (PathBuf::from("/"), name)).collect(),
        _ => Vec::new(),
    }
}

/// The paths that a call names.
fn targets(call: &Call) -> Vec<PathBuf> {
    named(call).into_iter().map(|(directory, name)| directory.join(name)).collect()
}

fn changes<'a>(calls: &'a [Call], below: &Path) -> Vec<Change<'a>> {
    let changing = calls.iter().filter(|call| {
        call.has_succeeded() && ["mkdir", "unlink", "rename", "link"].iter().any(|name| call.name.starts_with(name))
    });
    let change = |call: &'a Call| {
        let parents = targets(call).into_iter().filter_map(|path| path.parent().map(Path::to_owned));
        let mut directories: Vec<_> = parents.filter(|parent| parent.starts_with(below)).collect();
        directories.dedup();
        Change { call, directories }
    };
    changing.map(change).filter(|change| !change.directories.is_empty()).collect()
}

/// Says which rule the calls of one operation break.
fn check(calls: &[Call], home: &Path, changes_min: usize) -> Vec<String> {
    let files = home.join("files");
    let Some(acknowledged) = sent(calls, &["stored", "done"]) else {
        return vec!["no acknowledgement was seen".into()];
    };
    let mut findings = Vec::new();
    let changes = changes(calls, &files);
    let in_time = changes.iter().filter(|change| change.call.left < acknowledged).count();
    if in_time < changes_min {
        findings.push(format!("{in_time} changes of names before the acknowledgement, where {changes_min} are due"));
    }
    for Change { call, directories } in &changes {
        for directory in directories {
            if !is_synced(calls, directory, call.left, acknowledged) {
                findings.push(format!("{} in {}, which was not synced in time", call.name, directory.display()));
            }
        }
        let [source, target] = &targets(call)[..] else { continue };
        if target.starts_with(&files) && !source.starts_with(&files) {
            let written = calls.iter().filter(|call| call.name.contains("write") && wrote_to(call, source));
            let written = written.map(|call| call.left).max().unwrap_or(0);
            if !is_synced(calls, source, written, call.entered) {
                findings.push(format!("{} got its name before its content was synced", target.display()));
            }
        }
    }
    let opened = calls.iter().filter(|call| call.name.starts_with("open") && is_for_writing(call));
    let in_place = opened.flat_map(targets).find(|path| path.starts_with(&files));
    findings.extend(in_place.map(|path| format!("{} was opened for writing", path.display())));
    findings
}

fn wrote_to(call: &Call, path: &Path) -> bool {
    call.paths().first().is_some_and(|written| Path::new(written) == path)
}

fn is_for_writing(call: &Call) -> bool {
    ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.arguments.contains(flag))
}

/// Says what is wrong with the calls behind a new account: its directories and its row.
fn check_account(calls: &[Call]) -> Option<String> {
    let Some(welcomed) = sent(calls, &["welcome"]) else { return Some("no welcome was seen".into()) };
    let directory = calls.iter().filter(|call| call.name.starts_with("mkdir") && call.has_succeeded());
    let unsynced = directory
        .flat_map(|call| targets(call).into_iter().map(move |path| (call, path)))
        .find(|(call, path)| path.parent().is_none_or(|parent| !is_synced(calls, parent, call.left, welcomed)));
    if let Some((_, path)) = unsynced {
        return Some(format!("the parent of {} was not synced in time", path.display()));
    }
    let mut row = calls
        .iter()
        .filter(|call| call.name.contains("write") && call.paths().first().is_some_and(|p| p.ends_with(".db-wal")));
    let Some(row) = row.rfind(|call| call.left < welcomed) else {
        return Some("no row was written".into());
    };
    let wal = PathBuf::from(row.paths()[0]);
    (!is_synced(calls, &wal, row.left, welcomed)).then(|| "its row was not synced in time".into())
}
