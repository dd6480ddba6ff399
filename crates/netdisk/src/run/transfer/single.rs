//! One file up or down, with a bar of its own.

use std::path::{Path, PathBuf};
use std::time::Instant;

use netdisk_client::{ClientError, GetTarget, OnExisting, PutSource, Reuse, modified_ms, numbered};
use netdisk_model::{EntryKind, RemotePath};
use netdisk_protocol::FaultCode;
use serde_json::json;

use super::super::{Context, join};

use super::{STREAM, remote_entry};
use crate::command::ExistingArg;
use crate::failure::Failure;
use crate::progress::Bar;
use crate::question;

/// How a file is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Over how many connections.
    pub(super) connections: Option<u8>,
    pub(super) reuse: Reuse,
}

pub(super) async fn put_one(
    context: &mut Context<'_>,
    source: &str,
    path: RemotePath,
    existing: ExistingArg,
    how: How,
) -> Result<(), Failure> {
    // Said before anything is asked of the server.
    let local = (source != STREAM).then(|| PathBuf::from(source));
    let modified = match &local {
        Some(local) => Some(check_local_file(local)?),
        None => None,
    };
    let standing = match existing {
        ExistingArg::Overwrite => None,
        _ => remote_entry(context, &path).await?.map(|entry| entry.modified),
    };
    let is_newer = |standing| modified.is_none_or(|modified| modified > standing);
    let Decision { existing, numbered } = match decide(existing, standing, is_newer, path.as_str())? {
        Some(decision) => decision,
        None => return skipped(context, path.as_str()),
    };
    let path = if numbered { free_remote_name(context, &path).await? } else { path };

    let bar = Bar::new(context.output, path.as_str());
    let began = Instant::now();
    let source = match local {
        Some(local) => PutSource::File(local),
        None => PutSource::Stream(Box::new(tokio::io::stdin())),
    };
    let client = context.remote.client().await?;
    client.set_reuse(how.reuse);
    client.use_connections(how.connections.map(usize::from));
    let outcome = Box::pin(netdisk_client::put(client, source, &path, existing, &bar, context.cancel)).await;
    drop(bar);
    let outcome = outcome.map_err(Failure::about(&path))?;
    context.output.transferred("stored", path.as_str(), outcome, began.elapsed());
    Ok(())
}

/// Makes sure that a local file can be sent; gives its time of modification in milliseconds since 1970.
fn check_local_file(local: &Path) -> Result<i64, Failure> {
    let failed = |error| ClientError::Local { path: local.to_owned(), error };
    let metadata = std::fs::metadata(local).map_err(failed)?;
    if metadata.is_dir() {
        return Err(is_a_local_directory(local));
    }
    Ok(modified_ms(&metadata).unwrap_or(i64::MAX))
}

pub(super) async fn get_one(
    context: &mut Context<'_>,
    path: RemotePath,
    local: PathBuf,
    existing: ExistingArg,
    connections: Option<u8>,
) -> Result<(), Failure> {
    let shown = local.strip_prefix("./").unwrap_or(&local).display().to_string();
    let standing = match std::fs::symlink_metadata(&local) {
        Ok(metadata) if metadata.is_dir() => return Err(Failure::Refused(format!("{shown} is a directory"))),
        Ok(metadata) => Some(modified_ms(&metadata).unwrap_or(i64::MIN)),
        Err(_) => None,
    };
    let newer = match (existing, standing) {
        (ExistingArg::Newer, Some(standing)) => {
            context.remote.repeat(async |client| client.stat(&path).await).await?.modified > standing
        }
        _ => true,
    };
    let Decision { existing, numbered } = match decide(existing, standing, |_| newer, &shown)? {
        Some(decision) => decision,
        None => return skipped(context, &shown),
    };
    let local = if numbered { free_local_name(&local) } else { local };
    let shown = local.strip_prefix("./").unwrap_or(&local).display().to_string();

    let bar = Bar::new(context.output, &shown);
    let began = Instant::now();
    let client = context.remote.client().await?;
    client.use_connections(connections.map(usize::from));
    let outcome = netdisk_client::get(client, &path, GetTarget::File(local), existing, &bar, context.cancel).await;
    drop(bar);
    let outcome = match outcome {
        Err(ClientError::Fault(fault)) if fault.code == FaultCode::NotAFile => {
            let is_directory =
                remote_entry(context, &path).await?.is_some_and(|entry| entry.kind == EntryKind::Directory);
            return Err(if is_directory { is_a_directory(&path) } else { ClientError::Fault(fault).into() });
        }
        outcome => outcome.map_err(Failure::about(&path))?,
    };
    context.output.transferred("received", &shown, outcome, began.elapsed());
    Ok(())
}

/// How a transfer goes on where its target may stand already.
struct Decision {
    existing: OnExisting,
    /// Under a free name beside it.
    numbered: bool,
}

/// Decides what happens to a target that was changed at `standing`; `None` leaves it and skips the transfer.
fn decide(
    existing: ExistingArg,
    standing: Option<i64>,
    is_newer: impl FnOnce(i64) -> bool,
    name: &str,
) -> Result<Option<Decision>, Failure> {
    let replace = Some(Decision { existing: OnExisting::Replace, numbered: false });
    let create = |numbered| Some(Decision { existing: OnExisting::Refuse, numbered });
    Ok(match (existing, standing) {
        (ExistingArg::Overwrite, _) => replace,
        (_, None) => create(false),
        (ExistingArg::Skip, Some(_)) => None,
        (ExistingArg::Newer, Some(standing)) => replace.filter(|_| is_newer(standing)),
        (ExistingArg::Rename, Some(_)) => create(true),
        (ExistingArg::Ask, Some(_)) => {
            let yes = ask(name)?;
            replace.filter(|_| yes)
        }
    })
}

fn ask(name: &str) -> Result<bool, Failure> {
    if !question::can_be_asked() {
        let text = format!("{name} exists already; say --existing overwrite, skip, newer or rename");
        return Err(Failure::Refused(text));
    }
    question::ask(&format!("{} exists already. Replace it?", crate::escape::escape(name)))
}

fn skipped(context: &Context<'_>, name: &str) -> Result<(), Failure> {
    context.output.note(&format!("skipped {name}"), json!({"event": "skipped", "name": name}));
    Ok(())
}

fn free_local_name(local: &Path) -> PathBuf {
    let name = local.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let candidates = (1..).map(|number| local.with_file_name(numbered(&name, number)));
    candidates.into_iter().find(|candidate| candidate.symlink_metadata().is_err()).unwrap_or_else(|| local.to_owned())
}

async fn free_remote_name(context: &mut Context<'_>, path: &RemotePath) -> Result<RemotePath, Failure> {
    let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return Ok(path.clone()) };
    let mut number = 1;
    loop {
        let candidate = join(&parent, &numbered(name, number))?;
        if remote_entry(context, &candidate).await?.is_none() {
            return Ok(candidate);
        }
        number += 1;
    }
}

fn is_a_directory(path: &RemotePath) -> Failure {
    Failure::Refused(format!("{path} is a directory; `get -r` fetches it with all that is in it"))
}

pub(super) fn is_a_local_directory(local: &Path) -> Failure {
    Failure::Refused(format!("{} is a directory; `put -r` stores it with all that is in it", local.display()))
}
