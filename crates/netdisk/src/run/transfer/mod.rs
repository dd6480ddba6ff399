//! put, get, cat: of one file ([`single`]), of several and of trees ([`many`]), to standard output ([`mod@cat`]); or only said
//! ([`dry`]). What of trees is wanted is in [`wanted`].

mod cat;
mod dry;
mod many;
mod single;
mod wanted;
mod watch;

use std::path::{Path, PathBuf};

use netdisk_client::{ClientError, GetRoot, PutRoot, Reuse};
use netdisk_model::{Entry, EntryKind, RemotePath};
use netdisk_protocol::FaultCode;

pub(super) use self::cat::cat;
use self::wanted::IgnoreFiles;
use super::{Context, join};

use crate::command::{ExistingArg, GetArgs, PutArgs};
use crate::failure::Failure;

/// Standard input or output instead of a file.
const STREAM: &str = "-";

/// What stands at a remote path, if anything does.
pub(super) async fn remote_kind(context: &mut Context<'_>, path: &RemotePath) -> Result<Option<EntryKind>, Failure> {
    Ok(remote_entry(context, path).await?.map(|entry| entry.kind))
}

async fn remote_entry(context: &mut Context<'_>, path: &RemotePath) -> Result<Option<Entry>, Failure> {
    match context.remote.repeat(async |client| client.stat(path).await).await {
        Ok(entry) => Ok(Some(entry)),
        Err(Failure::Client(ClientError::Fault(fault))) if fault.code == FaultCode::NotFound => Ok(None),
        Err(failure) => Err(failure),
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
    if args.select.dry_run && sources.iter().any(|source| source == STREAM) {
        return Err(Failure::usage("what comes from standard input is known when it has come: no --dry-run"));
    }
    let target_path = context.remote.resolve(target.unwrap_or(""))?;
    let existing = args.existing.or(context.remote.defaults().put_existing).unwrap_or(ExistingArg::Overwrite);
    let connections = args.connections.connections.or(context.remote.defaults().connections);
    let reuse = if args.no_reuse { Reuse::Never } else { Reuse::WherePossible };
    let into = match target {
        None => true,
        Some(typed) => {
            typed.ends_with('/')
                || sources.len() > 1
                || remote_kind(context, &target_path).await? == Some(EntryKind::Directory)
        }
    };
    let place = |source: &str| {
        if into { name_of_local(source).and_then(|name| join(&target_path, &name)) } else { Ok(target_path.clone()) }
    };
    if let [source] = sources
        && !(args.recursive && Path::new(source).is_dir())
        && !args.select.dry_run
    {
        let how = single::How { connections, reuse };
        return single::put_one(context, source, place(source)?, existing, how).await;
    }
    let ignore_files = if args.no_ignore { IgnoreFiles::Unread } else { IgnoreFiles::Heeded };
    let mut many = many::Many::new(context, args.recursive, connections, &args.select, ignore_files)?;
    let mut roots = Vec::new();
    for source in sources {
        let local = PathBuf::from(source);
        let root = match place(source) {
            Ok(_) if local.is_dir() && !args.recursive => Err(single::is_a_local_directory(&local)),
            Ok(remote) => Ok(PutRoot { local, remote }),
            Err(failure) => Err(failure),
        };
        roots.extend(many.took(root));
    }
    many.put(roots, existing, reuse).await
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

pub(super) async fn get(context: &mut Context<'_>, args: GetArgs) -> Result<(), Failure> {
    let (sources, target) = split_target(&args.paths);
    let existing = args.existing.or(context.remote.defaults().get_existing).unwrap_or(ExistingArg::Ask);
    let connections = args.connections.connections.or(context.remote.defaults().connections);
    if target == Some(STREAM) {
        return cat::cat_all(context, sources).await;
    }
    let target_path = PathBuf::from(target.unwrap_or("."));
    let into = sources.len() > 1 || target_path.is_dir() || target.is_some_and(|target| target.ends_with('/'));
    if let [source] = sources
        && !args.recursive
        && !args.select.dry_run
    {
        let path = context.remote.resolve(source)?;
        // The name is that of the request, not of the reply: one component, and nothing that climbs.
        let local = if into { target_path.join(path.name().unwrap_or(".")) } else { target_path };
        return single::get_one(context, path, local, existing, connections).await;
    }
    let (folder, name) = if into { (target_path, None) } else { parent_and_name(&target_path)? };
    let mut many = many::Many::new(context, args.recursive, connections, &args.select, IgnoreFiles::Unread)?;
    let mut roots = Vec::new();
    for source in sources {
        let root = many.resolve(source).map(|remote| {
            let at = match (&name, remote.name()) {
                (Some(name), _) => RemotePath::root().resolve(name),
                (None, Some(name)) => RemotePath::root().join(name),
                (None, None) => Ok(RemotePath::root()),
            };
            at.map(|at| GetRoot { remote, at, is_tree: args.recursive })
        });
        let root =
            root.and_then(|root| root.map_err(|error| ClientError::BadPath { name: source.clone(), error }.into()));
        roots.extend(many.took(root));
    }
    many.get(&folder, roots, existing).await
}

/// Where something new goes: a folder that is there, and a name in it.
fn parent_and_name(path: &Path) -> Result<(PathBuf, Option<String>), Failure> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Err(Failure::usage(format!("{}: give the folder a name in UTF-8", path.display())));
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((parent.to_owned(), Some(name.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_paths_the_last_is_the_target() {
        let paths = |all: &[&str]| all.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        assert_eq!(split_target(&paths(&["a"])), (&paths(&["a"])[..], None));
        assert_eq!(split_target(&paths(&["a", "b"])), (&paths(&["a"])[..], Some("b")));
        assert_eq!(split_target(&paths(&["a", "b", "c"])), (&paths(&["a", "b"])[..], Some("c")));
    }
}
