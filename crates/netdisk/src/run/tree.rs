//! tree. With `--depth` directory by directory, so that what is deeper is not even listed; otherwise at one stroke.

use std::collections::HashMap;

use indicatif::BinaryBytes;
use netdisk_client::ClientError;
use netdisk_model::{Entry, EntryKind, RemotePath};
use netdisk_protocol::FaultCode;
use serde_json::{Value, json};

use super::Context;
use super::du::{Sum, ancestors};
use crate::command::TreeArgs;
use crate::failure::Failure;
use crate::output::{Output, entry_event, name_with_mark};
use crate::paint::Safe;

pub(super) async fn tree(mut context: Context<'_>, args: TreeArgs) -> Result<(), Failure> {
    let top = context.remote.resolve(args.path.as_deref().unwrap_or(""))?;
    let mut branches = Branches::new(&mut context, &top, &args).await?;
    let mut root = Safe::default();
    root.push(top.as_str(), context.output.style(EntryKind::Directory));
    let mut page = context.output.page();
    page.text(&root);

    let (mut directories, mut files) = (0_u64, 0_u64);
    // What is still to be shown of each directory on the way down.
    let mut open = vec![branches.of(&mut context, &top, &top).await?.into_iter().peekable()];
    while let Some(level) = open.last_mut() {
        let Some(entry) = level.next() else {
            open.pop();
            continue;
        };
        let line = line(context.output, &mut open, &entry, branches.sum_of(&entry), args.bytes);
        page.line(|| line, || event(&entry, branches.sum_of(&entry)));
        if entry.kind == EntryKind::Directory {
            directories += 1;
            if args.depth.is_none_or(|depth| open.len() < usize::from(depth)) {
                page.show();
                open.push(branches.of(&mut context, &entry.path, &top).await?.into_iter().peekable());
            }
        } else {
            files += 1;
        }
        if context.output.is_lost() {
            return Ok(());
        }
    }
    drop(page);
    let text = format!("{}, {}", counted(directories, "directory", "directories"), counted(files, "file", "files"));
    let event = json!({"event": "done", "verb": "listed", "path": top, "directories": directories, "files": files});
    context.output.note(&text, event);
    Ok(())
}

type Level = std::iter::Peekable<std::vec::IntoIter<Entry>>;

/// A line with the branches that lead to it.
fn line(output: &Output, open: &mut [Level], entry: &Entry, sum: Option<Sum>, exact: bool) -> Safe {
    let mut line = Safe::default();
    let levels = open.len();
    for (number, level) in (1..).zip(open) {
        let goes_on = level.peek().is_some();
        line.append(&Safe::plain(match (number == levels, goes_on) {
            (true, true) => "├── ",
            (true, false) => "└── ",
            (false, true) => "│   ",
            (false, false) => "    ",
        }));
    }
    if let Some(sum) = sum {
        let size = if exact { sum.bytes.to_string() } else { BinaryBytes(sum.bytes).to_string() };
        line.append(&Safe::plain(&format!("[{size}]  ")));
    }
    let name = name_with_mark(entry.path.name().unwrap_or_default(), entry.kind);
    line.push(&name, output.style(entry.kind));
    line
}

fn event(entry: &Entry, sum: Option<Sum>) -> Value {
    let mut event = entry_event(entry);
    if let Some(sum) = sum.filter(|_| entry.kind == EntryKind::Directory) {
        event["bytes"] = json!(sum.bytes);
        event["files"] = json!(sum.files);
    }
    event
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Where what is in a directory comes from.
enum Branches {
    /// Listed when it is needed.
    OneByOne,
    /// Listed all at once.
    Whole { children: HashMap<RemotePath, Vec<Entry>>, sums: Option<HashMap<RemotePath, Sum>> },
}

impl Branches {
    async fn new(context: &mut Context<'_>, top: &RemotePath, args: &TreeArgs) -> Result<Self, Failure> {
        if args.depth.is_some() && !args.size {
            return Ok(Self::OneByOne);
        }
        let mut children: HashMap<RemotePath, Vec<Entry>> = HashMap::new();
        let mut sums = args.size.then(HashMap::new);
        let listing = context.remote.repeat(async |client| client.list(top, true).await).await?;
        for entry in listing.entries {
            let Some(parent) = entry.path.parent() else { continue };
            if let (Some(sums), EntryKind::File) = (&mut sums, entry.kind) {
                for (above, _) in ancestors(Some(parent.clone()), top) {
                    sums.entry(above).or_insert_with(Sum::default).add(entry.size);
                }
            }
            children.entry(parent).or_default().push(entry);
        }
        Ok(Self::Whole { children, sums })
    }

    /// What is in a directory, by name.
    async fn of(
        &mut self,
        context: &mut Context<'_>,
        directory: &RemotePath,
        top: &RemotePath,
    ) -> Result<Vec<Entry>, Failure> {
        let mut entries = match self {
            Self::OneByOne => match context.remote.repeat(async |client| client.list(directory, false).await).await {
                // Removed since it was listed.
                Err(Failure::Client(ClientError::Fault(fault)))
                    if fault.code == FaultCode::NotFound && directory != top =>
                {
                    Vec::new()
                }
                listing => listing?.entries,
            },
            Self::Whole { children, .. } => children.remove(directory).unwrap_or_default(),
        };
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// What a thing takes, where sizes are wanted.
    fn sum_of(&self, entry: &Entry) -> Option<Sum> {
        let Self::Whole { sums: Some(sums), .. } = self else { return None };
        match entry.kind {
            EntryKind::Directory => Some(sums.get(&entry.path).copied().unwrap_or_default()),
            _ => Some(Sum { bytes: entry.size, files: 1 }),
        }
    }
}
