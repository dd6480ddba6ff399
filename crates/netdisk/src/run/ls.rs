//! ls.

use netdisk_client::ClientError;
use netdisk_model::{Entry, EntryKind, RemotePath};
use netdisk_protocol::FaultCode;
use serde_json::json;

use super::Context;
use crate::command::{LsArgs, SortKey};
use crate::failure::Failure;
use crate::output::{local_time, name_with_mark};

pub(super) async fn ls(context: Context<'_>, args: LsArgs) -> Result<(), Failure> {
    let path = context.remote.resolve(args.path.as_deref().unwrap_or(""))?;
    let listing = context.remote.repeat(async |client| client.list(&path, args.recursive).await).await;
    let (mut entries, skipped) = match listing {
        Ok(listing) => (listing.entries, listing.skipped),
        // A file is listed as itself.
        Err(Failure::Client(ClientError::Fault(fault))) if fault.code == FaultCode::NotADirectory => {
            (vec![context.remote.repeat(async |client| client.stat(&path).await).await?], 0)
        }
        Err(failure) => return Err(failure),
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
