//! ls, mkdir, rm, mv, cp, stat.

use netdisk_client::ClientError;
use netdisk_model::{Entry, EntryKind, RemotePath};
use netdisk_protocol::FaultCode;
use serde_json::json;

use super::{Context, Several};
use crate::command::{CpArgs, LsArgs, MkdirArgs, MvArgs, RmArgs, SortKey};
use crate::failure::Failure;
use crate::output::{local_time, name_with_mark};

pub(super) async fn ls(context: Context<'_>, args: LsArgs) -> Result<(), Failure> {
    let path = context.remote.resolve(args.path.as_deref().unwrap_or(""))?;
    let client = context.remote.client().await?;
    let (mut entries, skipped) = match client.list(&path, args.recursive).await {
        Ok(listing) => (listing.entries, listing.skipped),
        // A file is listed as itself.
        Err(ClientError::Fault(fault)) if fault.code == FaultCode::NotADirectory => {
            (vec![client.stat(&path).await?], 0)
        }
        Err(error) => return Err(error.into()),
    };
    sort(&mut entries, args.sort, args.reverse);
    for entry in &entries {
        let name = name_with_mark(name_below(&path, entry), entry.kind);
        let line =
            if args.long { format!("{:>15} {} {name}", size_column(entry), local_time(entry.modified)) } else { name };
        context.output.entry(entry, &line);
    }
    if skipped > 0 {
        let text = format!("({skipped} more whose names cannot be shown here)");
        context.output.note(&text, json!({"event": "skipped", "count": skipped}));
    }
    Ok(())
}

fn sort(entries: &mut [Entry], key: SortKey, reverse: bool) {
    entries.sort_by(|a, b| {
        let by_name = || a.path.cmp(&b.path);
        let order = match key {
            SortKey::Name => by_name(),
            SortKey::Size => b.size.cmp(&a.size).then_with(by_name),
            SortKey::Time => b.modified.cmp(&a.modified).then_with(by_name),
        };
        if reverse { order.reverse() } else { order }
    });
}

fn name_below<'a>(directory: &RemotePath, entry: &'a Entry) -> &'a str {
    let path = entry.path.as_str();
    match path.strip_prefix(directory.as_str()) {
        Some(rest) if !rest.is_empty() => rest.trim_start_matches('/'),
        // The listed thing itself.
        _ => entry.path.name().unwrap_or(path),
    }
}

fn size_column(entry: &Entry) -> String {
    match entry.kind {
        EntryKind::File => entry.size.to_string(),
        EntryKind::Directory => "directory".to_owned(),
        EntryKind::Other => "not served".to_owned(),
    }
}

pub(super) async fn mkdir(context: Context<'_>, args: MkdirArgs) -> Result<(), Failure> {
    let mut several = Several::new(context.output, args.paths.len());
    for typed in &args.paths {
        let made = async {
            let path = context.remote.resolve(typed)?;
            context.remote.client().await?.make_directory(&path, args.parents).await?;
            context.output.note(&format!("made {path}"), json!({"event": "done", "verb": "made", "path": path}));
            Ok(())
        };
        several.took(made.await)?;
    }
    several.end()
}

pub(super) async fn rm(context: Context<'_>, args: RmArgs) -> Result<(), Failure> {
    let mut several = Several::new(context.output, args.paths.len());
    for typed in &args.paths {
        let removed = async {
            let path = context.remote.resolve(typed)?;
            match context.remote.client().await?.remove(&path, args.recursive).await {
                Err(ClientError::Fault(fault)) if args.force && fault.code == FaultCode::NotFound => return Ok(()),
                outcome => outcome?,
            }
            context.output.note(&format!("removed {path}"), json!({"event": "done", "verb": "removed", "path": path}));
            Ok(())
        };
        several.took(removed.await)?;
    }
    several.end()
}

/// Where things go that are moved or copied.
struct Target {
    path: RemotePath,
    /// Into it, each under its own name.
    is_directory: bool,
}

impl Target {
    async fn new(context: &mut Context<'_>, typed: &str, sources: usize) -> Result<Self, Failure> {
        let path = context.remote.resolve(typed)?;
        let is_directory = super::transfer::remote_kind(context, &path).await? == Some(EntryKind::Directory)
            || typed.ends_with('/')
            || sources > 1;
        Ok(Self { path, is_directory })
    }

    fn of(&self, from: &RemotePath) -> Result<RemotePath, Failure> {
        if self.is_directory { join(&self.path, from.name().unwrap_or_default()) } else { Ok(self.path.clone()) }
    }
}

pub(super) async fn cp(mut context: Context<'_>, args: CpArgs) -> Result<(), Failure> {
    let Some((target, sources)) = args.paths.split_last() else { return Ok(()) };
    let target = Target::new(&mut context, target, sources.len()).await?;
    let mut several = Several::new(context.output, sources.len());
    for typed in sources {
        let copied = async {
            let from = context.remote.resolve(typed)?;
            let to = target.of(&from)?;
            let client = context.remote.client().await?;
            if !args.recursive && client.stat(&from).await?.kind == EntryKind::Directory {
                return Err(Failure::Refused(format!(
                    "{from} is a directory; `cp -r` copies it with all that is in it"
                )));
            }
            client.copy(&from, &to, args.force).await?;
            let event = json!({"event": "done", "verb": "copied", "from": from, "to": to});
            context.output.note(&format!("copied {from} to {to}"), event);
            Ok(())
        };
        several.took(copied.await)?;
    }
    several.end()
}

pub(super) async fn mv(mut context: Context<'_>, args: MvArgs) -> Result<(), Failure> {
    let Some((target, sources)) = args.paths.split_last() else { return Ok(()) };
    let target = Target::new(&mut context, target, sources.len()).await?;
    let mut several = Several::new(context.output, sources.len());
    for typed in sources {
        let moved = async {
            let from = context.remote.resolve(typed)?;
            let to = target.of(&from)?;
            context.remote.client().await?.rename(&from, &to, args.force).await?;
            let event = json!({"event": "done", "verb": "moved", "from": from, "to": to});
            context.output.note(&format!("moved {from} to {to}"), event);
            Ok(())
        };
        several.took(moved.await)?;
    }
    several.end()
}

/// A name in a remote directory.
pub(super) fn join(directory: &RemotePath, name: &str) -> Result<RemotePath, Failure> {
    directory.join(name).map_err(|error| ClientError::BadPath { name: name.to_owned(), error }.into())
}

pub(super) async fn stat(context: Context<'_>, paths: Vec<String>) -> Result<(), Failure> {
    let mut several = Several::new(context.output, paths.len());
    for typed in &paths {
        let told = async {
            let path = context.remote.resolve(typed)?;
            let entry = context.remote.client().await?.stat(&path).await?;
            let mut text = format!("path      {path}\nkind      {}\n", kind_word(entry.kind));
            if entry.kind == EntryKind::File {
                text.push_str(&format!("size      {} ({})\n", entry.size, indicatif::BinaryBytes(entry.size)));
            }
            text.push_str(&format!("modified  {}", local_time(entry.modified)));
            if let Some(version) = &entry.version {
                text.push_str(&format!("\nversion   {version}"));
            }
            context.output.lines(&text, &entry);
            Ok(())
        };
        several.took(told.await)?;
    }
    several.end()
}

fn kind_word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Other => "other (a link or device: not served)",
    }
}
