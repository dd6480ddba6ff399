//! put, get, cat.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use netdisk_client::{ClientError, GetTarget, OnExisting, PutSource, Unobserved, modified_ms};
use netdisk_model::{EntryKind, RemotePath};
use netdisk_protocol::FaultCode;
use serde_json::json;

use super::{Context, Several, join};
use crate::command::{ExistingArg, GetArgs, PutArgs};
use crate::failure::Failure;
use crate::progress::Bar;
use crate::question;

/// Standard input or output instead of a file.
const STREAM: &str = "-";

/// What stands at a remote path, if anything does.
pub(super) async fn remote_kind(context: &mut Context<'_>, path: &RemotePath) -> Result<Option<EntryKind>, Failure> {
    Ok(remote_entry(context, path).await?.map(|entry| entry.kind))
}

async fn remote_entry(context: &mut Context<'_>, path: &RemotePath) -> Result<Option<netdisk_model::Entry>, Failure> {
    match context.remote.client().await?.stat(path).await {
        Ok(entry) => Ok(Some(entry)),
        Err(ClientError::Fault(fault)) if fault.code == FaultCode::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `LOCAL... [REMOTE]`: with several paths the last is the remote one.
fn split_target(paths: &[String]) -> (&[String], Option<&str>) {
    match paths.split_last() {
        Some((target, sources)) if !sources.is_empty() => (sources, Some(target)),
        _ => (paths, None),
    }
}

pub(super) async fn put(context: &mut Context<'_>, args: PutArgs) -> Result<(), Failure> {
    let (sources, target) = split_target(&args.paths);
    let target_path = context.remote.resolve(target.unwrap_or(""))?;
    let existing = args.existing.or(context.remote.defaults().put_existing).unwrap_or(ExistingArg::Overwrite);
    let into = match target {
        None => true,
        Some(typed) => {
            typed.ends_with('/')
                || sources.len() > 1
                || remote_kind(context, &target_path).await? == Some(EntryKind::Directory)
        }
    };
    let mut several = Several::new(context.output, sources.len());
    for source in sources {
        let path = if into {
            name_of_local(source).and_then(|name| join(&target_path, &name))
        } else {
            Ok(target_path.clone())
        };
        let outcome = match path {
            Ok(path) => put_one(context, source, path, existing).await,
            Err(failure) => Err(failure),
        };
        several.took(outcome)?;
    }
    several.end()
}

/// The name that a local file has on the server.
fn name_of_local(source: &str) -> Result<String, Failure> {
    if source == STREAM {
        return Err(Failure::usage("`put -` needs a remote name: put - REMOTE"));
    }
    // `.` and `..` have a name only once they are resolved.
    let path = Path::new(source);
    let resolved = if path.file_name().is_some() { path.to_owned() } else { canonical(path)? };
    match resolved.file_name().and_then(|name| name.to_str()) {
        // A file system that stores names decomposed means the same name.
        Some(name) => Ok(RemotePath::root()
            .resolve(name)
            .map_or_else(|_| name.to_owned(), |path| path.name().unwrap_or(name).to_owned())),
        None => Err(Failure::usage(format!("{source}: its name is no UTF-8; give a remote one"))),
    }
}

fn canonical(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| ClientError::Local { path: path.to_owned(), error }.into())
}

async fn put_one(
    context: &mut Context<'_>,
    source: &str,
    path: RemotePath,
    existing: ExistingArg,
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
    let outcome = netdisk_client::put(client, source, &path, existing, &bar, context.cancel).await;
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
        return Err(failed(io::ErrorKind::IsADirectory.into()).into());
    }
    Ok(modified_ms(&metadata).unwrap_or(i64::MAX))
}

pub(super) async fn get(context: &mut Context<'_>, args: GetArgs) -> Result<(), Failure> {
    let (sources, target) = split_target(&args.paths);
    let existing = args.existing.or(context.remote.defaults().get_existing).unwrap_or(ExistingArg::Ask);
    if target == Some(STREAM) {
        return cat_all(context, sources).await;
    }
    let target_path = PathBuf::from(target.unwrap_or("."));
    let into = sources.len() > 1 || target_path.is_dir() || target.is_some_and(|target| target.ends_with('/'));
    let mut several = Several::new(context.output, sources.len());
    for source in sources {
        let outcome = match context.remote.resolve(source) {
            Ok(path) => {
                // The name is that of the request, not of the reply: one component, and nothing that climbs.
                let local = if into { target_path.join(path.name().unwrap_or(".")) } else { target_path.clone() };
                get_one(context, path, local, existing).await
            }
            Err(failure) => Err(failure),
        };
        several.took(outcome)?;
    }
    several.end()
}

async fn get_one(
    context: &mut Context<'_>,
    path: RemotePath,
    local: PathBuf,
    existing: ExistingArg,
) -> Result<(), Failure> {
    let shown = local.strip_prefix("./").unwrap_or(&local).display().to_string();
    let standing = match std::fs::symlink_metadata(&local) {
        Ok(metadata) if metadata.is_dir() => return Err(Failure::Refused(format!("{shown} is a directory"))),
        Ok(metadata) => Some(modified_ms(&metadata).unwrap_or(i64::MIN)),
        Err(_) => None,
    };
    let newer = match (existing, standing) {
        (ExistingArg::Newer, Some(standing)) => context.remote.client().await?.stat(&path).await?.modified > standing,
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
    let outcome = netdisk_client::get(client, &path, GetTarget::File(local), existing, &bar, context.cancel).await;
    drop(bar);
    let outcome = outcome.map_err(Failure::about(&path))?;
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

/// `name`, `name (1)`, `name (2)`, ..., the number before the extension.
fn numbered(name: &str, number: u32) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => format!("{stem} ({number}).{extension}"),
        _ => format!("{name} ({number})"),
    }
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

pub(super) async fn cat(mut context: Context<'_>, paths: Vec<String>) -> Result<(), Failure> {
    cat_all(&mut context, &paths).await
}

async fn cat_all(context: &mut Context<'_>, paths: &[String]) -> Result<(), Failure> {
    if context.output.is_json() {
        return Err(Failure::usage("a file on standard output leaves no room for --json"));
    }
    let mut several = Several::new(context.output, paths.len());
    for typed in paths {
        let printed = async {
            let path = context.remote.resolve(typed)?;
            let client = context.remote.client().await?;
            let target = GetTarget::Stream(Box::new(tokio::io::stdout()));
            let cancel = context.cancel;
            match netdisk_client::get(client, &path, target, OnExisting::Refuse, &Unobserved, cancel).await {
                // A reader that has gone (`| head`) has seen enough.
                Err(ClientError::Local { error, .. }) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                Err(ClientError::Local { error, .. }) => Err(Failure::output(error)),
                outcome => outcome.map(drop).map_err(Failure::about(&path)),
            }
        };
        several.took(printed.await)?;
    }
    several.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_before_the_extension() {
        assert_eq!(numbered("a.txt", 1), "a (1).txt");
        assert_eq!(numbered("archive.tar.gz", 2), "archive.tar (2).gz");
        assert_eq!(numbered("noext", 3), "noext (3)");
        assert_eq!(numbered(".hidden", 4), ".hidden (4)");
    }

    #[test]
    fn of_several_paths_the_last_is_the_target() {
        let paths = |all: &[&str]| all.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        assert_eq!(split_target(&paths(&["a"])), (&paths(&["a"])[..], None));
        assert_eq!(split_target(&paths(&["a", "b"])), (&paths(&["a"])[..], Some("b")));
        assert_eq!(split_target(&paths(&["a", "b", "c"])), (&paths(&["a", "b"])[..], Some("c")));
    }
}
