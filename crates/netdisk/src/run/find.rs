//! find. What fits is shown as it comes: nothing is held.

use std::ops::ControlFlow;

use netdisk_client::{Client, ClientError};
use netdisk_model::{Entry, EntryKind};
use netdisk_protocol::FaultCode;
use serde_json::json;

use super::{Context, Several};
use crate::command::{FindArgs, KindArg};
use crate::failure::Failure;
use crate::output::{Output, entry_event};
use crate::paint::Safe;

pub(super) async fn find(mut context: Context<'_>, args: FindArgs) -> Result<(), Failure> {
    let here = [String::new()];
    let paths = if args.paths.is_empty() { &here[..] } else { &args.paths };
    let mut several = Several::new(context.output, paths.len());
    for typed in paths {
        let found = find_in(&mut context, typed, &args).await;
        several.took(found)?;
    }
    several.end()
}

async fn find_in(context: &mut Context<'_>, typed: &str, args: &FindArgs) -> Result<(), Failure> {
    let path = context.remote.resolve(typed)?;
    let output = context.output;
    let mut has_shown = false;
    let walking = async |client: &mut Client| {
        let walked = client.walk(&path, true, |entries| {
            has_shown |= show(output, entries.iter().filter(|entry| fits(args, entry)));
            Ok(if output.is_lost() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        let walked = walked.await;
        // What has been shown is not shown again.
        if has_shown { Ok(walked) } else { walked.map(Ok) }
    };
    let skipped = match context.remote.repeat(walking).await {
        Ok(walked) => walked.map_err(Failure::cut_short)?,
        Err(Failure::Client(ClientError::Fault(fault))) if fault.code == FaultCode::NotADirectory => {
            let entry = context.remote.repeat(async |client| client.stat(&path).await).await?;
            show(output, Some(&entry).into_iter().filter(|entry| fits(args, entry)));
            0
        }
        Err(failure) => return Err(failure),
    };
    if skipped > 0 {
        let text = format!("({skipped} more whose names cannot be shown here)");
        output.note(&text, json!({"event": "skipped", "count": skipped}));
    }
    Ok(())
}

/// Gives whether there was anything.
fn show<'a>(output: &Output, found: impl Iterator<Item = &'a Entry>) -> bool {
    let mut page = output.page();
    let mut any = false;
    for entry in found {
        any = true;
        let shown = || {
            let mut line = Safe::default();
            line.push(entry.path.as_str(), output.style(entry.kind));
            line
        };
        page.line(shown, || entry_event(entry));
    }
    any
}

fn fits(args: &FindArgs, entry: &Entry) -> bool {
    let name = entry.path.name().unwrap_or_default();
    let mut patterns = args.name.iter().chain(&args.iname).peekable();
    let has_name = patterns.peek().is_none() || patterns.any(|pattern| pattern.is_match(name));
    let is_of_kind = match args.kind {
        None => true,
        Some(KindArg::File) => entry.kind == EntryKind::File,
        Some(KindArg::Directory) => entry.kind == EntryKind::Directory,
    };
    // Only files have a size.
    let has_size =
        args.size.is_empty() || entry.kind == EntryKind::File && args.size.iter().all(|wanted| wanted.fits(entry.size));
    has_name
        && is_of_kind
        && has_size
        && args.newer.is_none_or(|moment| entry.modified >= moment)
        && args.older.is_none_or(|moment| entry.modified < moment)
}
