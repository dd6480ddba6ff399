//! `--dry-run`: says what would travel, and moves nothing.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use indicatif::BinaryBytes;
use netdisk_client::{ClientError, Filter as _, GetRoot, LeftOut, PutRoot, modified_ms};
use netdisk_model::{Entry, EntryKind, RemotePath};
use netdisk_protocol::FaultCode;
use serde_json::json;

use super::super::Context;
use super::wanted::Wanted;
use crate::command::ExistingArg;
use crate::failure::Failure;
use crate::output::Output;
use crate::paint::Safe;

/// What would come of a transfer.
struct Plan {
    output: Output,
    existing: ExistingArg,
    /// What is done to files: `store` or `receive`.
    verb: &'static str,
    files: u64,
    bytes: u64,
    skipped: u64,
    failed: usize,
}

impl Plan {
    fn new(output: &Output, existing: ExistingArg, verb: &'static str) -> Self {
        Self { output: output.clone(), existing, verb, files: 0, bytes: 0, skipped: 0, failed: 0 }
    }

    /// A file that would go to `name`; what stands there was changed at `standing`.
    fn file(&mut self, name: &str, size: u64, modified: i64, standing: Option<i64>) {
        let travels = match (self.existing, standing) {
            (ExistingArg::Skip, Some(_)) => false,
            (ExistingArg::Newer, Some(standing)) => modified > standing,
            _ => true,
        };
        if !travels {
            return self.skip(name, LeftOut::Exists);
        }
        self.files += 1;
        self.bytes += size;
        let how = match (self.existing, standing) {
            (_, None) => "",
            (ExistingArg::Rename, _) => ", under another name",
            (ExistingArg::Ask, _) => ", if you say so",
            _ => ", in place of what is there",
        };
        let text = format!("would {} {name}  {}{how}", self.verb, BinaryBytes(size));
        let event = json!({
            "event": "would", "verb": self.verb, "name": name, "size": size, "exists": standing.is_some(),
        });
        self.output.page().line(|| Safe::plain(&text), || event);
    }

    fn skip(&mut self, name: &str, why: LeftOut) {
        self.skipped += 1;
        let event = json!({"event": "would", "verb": "skip", "name": name, "reason": why.to_string()});
        self.output.page().line(|| Safe::plain(&format!("would skip {name}: {why}")), || event);
    }

    /// What would fail as it does here; the others go on.
    fn fail(&mut self, failure: impl Into<Failure>) {
        self.failed += 1;
        self.output.failure(&failure.into());
    }

    /// Says what it comes to; how many would fail.
    fn finish(&self) -> usize {
        let Self { verb, files, bytes, skipped, failed, .. } = self;
        let noun = if *files == 1 { "file" } else { "files" };
        let mut text = format!("would {verb} {files} {noun}, {}", BinaryBytes(*bytes));
        if *skipped > 0 {
            text.push_str(&format!(", {skipped} skipped"));
        }
        if *failed > 0 {
            text.push_str(&format!(", {failed} failed"));
        }
        let event = json!({
            "event": "summary", "verb": verb, "files": files, "bytes": bytes, "skipped": skipped, "failed": failed, "dry_run": true,
        });
        self.output.note(&format!("{text}; nothing was moved"), event);
        *failed
    }
}

/// Says what `put` would do; gives how many would fail.
pub(super) async fn put(
    context: &mut Context<'_>,
    roots: Vec<PutRoot>,
    existing: ExistingArg,
    mut wanted: Option<Wanted>,
) -> Result<usize, Failure> {
    let mut plan = Plan::new(context.output, existing, "store");
    let is_alone = roots.len() == 1;
    for root in roots {
        let standing = standing(context, &root.remote).await?;
        // Looking into many directories takes its time.
        let planned = tokio::task::spawn_blocking(move || {
            let planned = plan_put(&mut plan, root, &standing, wanted.as_mut());
            (planned, plan, wanted)
        });
        let outcome;
        (outcome, plan, wanted) = planned.await.map_err(Failure::unexpected)?;
        match outcome {
            Err(error) if is_alone => return Err(error.into()),
            outcome => outcome.unwrap_or_else(|error| plan.fail(error)),
        }
    }
    Ok(plan.finish())
}

/// What stands at a remote path and below it, and when it was changed.
async fn standing(context: &mut Context<'_>, path: &RemotePath) -> Result<HashMap<RemotePath, i64>, Failure> {
    let entries: Vec<Entry> = match context.remote.repeat(async |client| client.list(path, true).await).await {
        Ok(listing) => listing.entries,
        Err(Failure::Client(ClientError::Fault(fault))) if fault.code == FaultCode::NotADirectory => {
            vec![context.remote.repeat(async |client| client.stat(path).await).await?]
        }
        Err(Failure::Client(ClientError::Fault(fault))) if fault.code == FaultCode::NotFound => Vec::new(),
        Err(failure) => return Err(failure),
    };
    Ok(entries.into_iter().map(|entry| (entry.path, entry.modified)).collect())
}

/// Plans what is below a root; an error when that is missing.
fn plan_put(
    plan: &mut Plan,
    root: PutRoot,
    standing: &HashMap<RemotePath, i64>,
    mut wanted: Option<&mut Wanted>,
) -> Result<(), ClientError> {
    let mut open = vec![(root.local, root.remote, RemotePath::root())];
    while let Some((local, remote, below)) = open.pop() {
        let failed = |error| ClientError::Local { path: local.clone(), error };
        let metadata = match (below.is_root(), local.symlink_metadata()) {
            // A link that a person named is followed.
            (true, _) => local.metadata().map_err(failed)?,
            (false, Ok(metadata)) => metadata,
            (false, Err(error)) => {
                plan.fail(failed(error));
                continue;
            }
        };
        if metadata.is_file() {
            let modified = modified_ms(&metadata).unwrap_or(i64::MAX);
            plan.file(remote.as_str(), metadata.len(), modified, standing.get(&remote).copied());
        } else if metadata.is_dir() {
            match within(plan, &local, &remote, &below, wanted.as_deref_mut()) {
                Ok(found) => open.extend(found),
                Err(error) => plan.fail(failed(error)),
            }
        } else {
            let why = if metadata.is_symlink() { LeftOut::Link } else { LeftOut::Special };
            plan.skip(&local.display().to_string(), why);
        }
    }
    Ok(())
}

/// What is wanted of a directory, the last name first.
fn within(
    plan: &mut Plan,
    local: &Path,
    remote: &RemotePath,
    below: &RemotePath,
    mut wanted: Option<&mut Wanted>,
) -> io::Result<Vec<(PathBuf, RemotePath, RemotePath)>> {
    let reader = std::fs::read_dir(local)?;
    if let Some(wanted) = &mut wanted {
        wanted.entering(local, below);
    }
    let mut found = Vec::new();
    for entry in reader {
        let entry = entry?;
        let kind = entry.file_type()?;
        let kind = match (kind.is_dir(), kind.is_file()) {
            (true, _) => EntryKind::Directory,
            (_, true) => EntryKind::File,
            _ => EntryKind::Other,
        };
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            plan.fail(ClientError::Local { path: entry.path(), error: io::Error::other("its name is no UTF-8") });
            continue;
        };
        let (remote, below) = match remote.resolve(&name).and_then(|remote| Ok((remote, below.resolve(&name)?))) {
            Ok(paths) => paths,
            Err(error) => {
                plan.fail(ClientError::BadPath { name: entry.path().display().to_string(), error });
                continue;
            }
        };
        if wanted.as_ref().is_none_or(|wanted| wanted.admits(&below, kind)) {
            found.push((entry.path(), remote, below));
        }
    }
    found.sort();
    found.reverse();
    Ok(found)
}

/// Says what `get` would do; gives how many would fail.
pub(super) async fn get(
    context: &mut Context<'_>,
    folder: &Path,
    roots: Vec<GetRoot>,
    existing: ExistingArg,
    wanted: Option<Wanted>,
) -> Result<usize, Failure> {
    let mut plan = Plan::new(context.output, existing, "receive");
    for root in roots {
        let mut entries = entries(context, &root).await?;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        for entry in entries {
            let rest = &entry.path.as_str()[if root.remote.is_root() { 0 } else { root.remote.as_str().len() }..];
            if !is_wanted(wanted.as_ref(), rest, entry.kind) {
                continue;
            }
            let place = if root.at.is_root() { folder.to_owned() } else { folder.join(root.at.as_relative()) };
            let local = place.join(rest.trim_start_matches('/'));
            let shown = local.strip_prefix("./").unwrap_or(&local).display().to_string();
            let shown = shown.trim_end_matches('/');
            match entry.kind {
                EntryKind::Directory => {}
                EntryKind::Other => plan.skip(shown, LeftOut::Special),
                EntryKind::File => {
                    let there = Path::new(shown).symlink_metadata().ok();
                    let standing = there.map(|metadata| modified_ms(&metadata).unwrap_or(i64::MIN));
                    plan.file(shown, entry.size, entry.modified, standing);
                }
            }
        }
    }
    Ok(plan.finish())
}

/// The files of a root, and what else is in it.
async fn entries(context: &mut Context<'_>, root: &GetRoot) -> Result<Vec<Entry>, Failure> {
    if root.is_tree {
        match context.remote.repeat(async |client| client.list(&root.remote, true).await).await {
            Err(Failure::Client(ClientError::Fault(fault))) if fault.code == FaultCode::NotADirectory => {}
            listing => return Ok(listing?.entries),
        }
    }
    match context.remote.repeat(async |client| client.stat(&root.remote).await).await? {
        Entry { kind: EntryKind::Directory, path, .. } => {
            Err(Failure::Refused(format!("{path} is a directory; `get -r` takes all that is in it")))
        }
        entry => Ok(vec![entry]),
    }
}

/// Whether it is wanted, and every directory that it is in; `rest` is its path below the root of its tree.
fn is_wanted(wanted: Option<&Wanted>, rest: &str, kind: EntryKind) -> bool {
    let (Some(wanted), Ok(below)) = (wanted, rest.parse::<RemotePath>()) else { return true };
    let above = std::iter::successors(below.parent(), RemotePath::parent).filter(|path| !path.is_root());
    wanted.admits(&below, kind) && above.into_iter().all(|path| wanted.admits(&path, EntryKind::Directory))
}
