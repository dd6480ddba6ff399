//! ls, ll.

use std::ops::ControlFlow;

use indicatif::BinaryBytes;
use netdisk_client::{Client, ClientError, ListingTally};
use netdisk_model::{Entry, EntryKind, RemotePath};
use netdisk_protocol::FaultCode;
use serde_json::json;

use super::{Context, Several};
use crate::columns::Columns;
use crate::command::{LsArgs, SortKey};
use crate::failure::Failure;
use crate::output::{Output, entry_event, local_time, name_with_mark};
use crate::paint::Safe;

/// Entries of a tree that are held to be sorted, where no order was asked for. What is beyond is shown as it comes: a
/// million entries need no more memory than these.
const SORTED_MAX: usize = 100_000;

pub(super) async fn ls(mut context: Context<'_>, args: LsArgs) -> Result<(), Failure> {
    let here = [String::new()];
    match args.paths.as_slice() {
        [] => list(&mut context, &here[0], &args).await,
        // The listing itself says whether it is a directory: one round trip.
        [typed] => list(&mut context, typed, &args).await,
        several => list_several(&mut context, several, &args).await,
    }
}

/// Files first, together; then what is in each directory, under its name.
async fn list_several(context: &mut Context<'_>, paths: &[String], args: &LsArgs) -> Result<(), Failure> {
    let mut several = Several::new(context.output, paths.len());
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    for typed in paths {
        let stated = async {
            let path = context.remote.resolve(typed)?;
            context.remote.repeat(async |client| client.stat(&path).await).await
        };
        match stated.await {
            Ok(entry) if entry.kind == EntryKind::Directory => directories.push(typed),
            Ok(entry) => files.push(entry),
            Err(failure) => several.took(Err(failure))?,
        }
    }
    let view = View::new(context.output, &context.remote.directory, args);
    let has_files = !files.is_empty();
    view.sorted(files);
    for (number, typed) in directories.into_iter().enumerate() {
        let mut page = context.output.page();
        if has_files || number > 0 {
            page.text(&Safe::plain(""));
        }
        page.text(&Safe::plain(&format!("{typed}:")));
        drop(page);
        let listed = list(context, typed, args).await;
        several.took(listed)?;
    }
    several.end()
}

async fn list(context: &mut Context<'_>, typed: &str, args: &LsArgs) -> Result<(), Failure> {
    let path = context.remote.resolve(typed)?;
    let output = context.output;
    let view = View::new(output, &path, args);
    let (mut held, mut tally) = (Vec::new(), ListingTally::default());
    let held_max = if args.recursive && args.sort_key().is_none() { SORTED_MAX } else { usize::MAX };
    let mut is_sorted = true;
    let listing = async |client: &mut Client| {
        held.clear();
        tally = ListingTally::default();
        let walked = client.walk(&path, args.recursive, |entries| {
            if is_sorted {
                tally.take(&entries)?;
            }
            held.extend(entries);
            if held.len() > held_max || !is_sorted {
                is_sorted = false;
                view.as_it_comes(std::mem::take(&mut held));
            }
            Ok(if output.is_lost() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        let walked = walked.await;
        // What has been shown is not shown again.
        if is_sorted { walked.map(Ok) } else { Ok(walked) }
    };
    let skipped = match context.remote.repeat(listing).await {
        Ok(walked) => walked.map_err(Failure::cut_short)?,
        // A file is listed as itself.
        Err(Failure::Client(ClientError::Fault(fault))) if fault.code == FaultCode::NotADirectory => {
            held.push(context.remote.repeat(async |client| client.stat(&path).await).await?);
            0
        }
        Err(failure) => return Err(failure),
    };
    if is_sorted {
        view.sorted(held);
    }
    if skipped > 0 {
        let text = format!("({skipped} more whose names cannot be shown here)");
        output.note(&text, json!({"event": "skipped", "count": skipped}));
    }
    Ok(())
}

/// How the entries of one directory are shown.
struct View<'a> {
    output: &'a Output,
    below: &'a RemotePath,
    args: &'a LsArgs,
    columns: Option<usize>,
}

impl<'a> View<'a> {
    fn new(output: &'a Output, below: &'a RemotePath, args: &'a LsArgs) -> Self {
        let in_columns = !args.long && !args.recursive && !args.one_a_line;
        Self { output, below, args, columns: output.columns().filter(|_| in_columns) }
    }

    fn sorted(&self, mut entries: Vec<Entry>) {
        sort(&mut entries, self.args.sort_key().unwrap_or(SortKey::Name), self.args.reverse);
        match self.columns {
            Some(width) => self.side_by_side(&entries, width),
            None => self.as_it_comes(entries),
        }
    }

    fn as_it_comes(&self, entries: Vec<Entry>) {
        let mut page = self.output.page();
        for entry in &entries {
            page.line(|| self.line(entry), || entry_event(entry));
        }
    }

    fn side_by_side(&self, entries: &[Entry], width: usize) {
        let names: Vec<Safe> = entries.iter().map(|entry| self.name(entry)).collect();
        let widths: Vec<usize> = names.iter().map(Safe::columns).collect();
        let mut page = self.output.page();
        for row in Columns::arrange(&widths, width).rows(names.len()) {
            let mut line = Safe::default();
            for (cell, start) in row {
                line.fill_to(start);
                line.append(&names[cell]);
            }
            page.text(&line);
        }
    }

    fn line(&self, entry: &Entry) -> Safe {
        if !self.args.long {
            return self.name(entry);
        }
        let size = match entry.kind {
            EntryKind::File if self.args.bytes => entry.size.to_string(),
            EntryKind::File => BinaryBytes(entry.size).to_string(),
            EntryKind::Directory => "directory".to_owned(),
            EntryKind::Other => "not served".to_owned(),
        };
        let width = if self.args.bytes { 15 } else { 11 };
        let mut line = Safe::plain(&format!("{size:>width$} {} ", local_time(entry.modified)));
        line.append(&self.name(entry));
        line
    }

    fn name(&self, entry: &Entry) -> Safe {
        let mut name = Safe::default();
        let text = name_with_mark(name_below(self.below, entry), entry.kind);
        name.push(&text, self.output.style(entry.kind));
        name
    }
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
    if !entry.path.is_within(directory) {
        // The listed thing itself, or one that stands elsewhere.
        return if *directory == entry.path { entry.path.name().unwrap_or(path) } else { path };
    }
    path[directory.as_str().len()..].trim_start_matches('/')
}
