//! `netdisk admin fsck`, `scrub`, `backup`, `restore`: what they find, and how it is said.

use std::path::Path;
use std::time::Instant;

use indicatif::BinaryBytes;
use netdisk_storage::{AccountsError, DiskStore, FileFinding, Finding, Looked};
use serde_json::{Value, json};

use super::failure;
use crate::failure::Failure;
use crate::output::Output;

/// Makes the database agree with the files.
pub(super) fn fsck(store: &DiskStore, output: &Output) -> Result<(), Failure> {
    run("checked", output, |report| store.fsck(report))
}

/// Reads all again.
pub(super) fn scrub(store: &DiskStore, output: &Output) -> Result<(), Failure> {
    run("scrubbed", output, |report| store.scrub(report))
}

/// Copies a store.
pub(super) fn backup(store: &DiskStore, to: &Path, output: &Output) -> Result<(), Failure> {
    run("backed up", output, |report| store.backup(to, report))
}

/// Makes a store of a copy.
pub(super) fn restore(from: &Path, data: &Path, output: &Output) -> Result<(), Failure> {
    if !from.join("netdisk.db").exists() {
        return Err(Failure::NotFound(format!("there is no backup in {}", from.display())));
    }
    run("restored", output, |report| DiskStore::restore(from, data, report))
}

fn run(
    verb: &str,
    output: &Output,
    work: impl FnOnce(&mut dyn FnMut(Finding)) -> Result<Looked, AccountsError>,
) -> Result<(), Failure> {
    let began = Instant::now();
    let (mut rotten, mut unreadable) = (0_u64, 0_u64);
    let looked = work(&mut |finding| {
        match finding {
            Finding::Rotten(_) => rotten += 1,
            Finding::Unreadable(..) => unreadable += 1,
            _ => {}
        }
        say(&finding, output);
    });
    let Looked { files, bytes } = looked.map_err(failure)?;
    let seconds = began.elapsed().as_secs_f64();
    output.note(
        &format!("{verb} {files} files, {} read, in {seconds:.1} s", BinaryBytes(bytes)),
        json!({"event": "done", "verb": verb, "files": files, "bytes": bytes, "seconds": seconds,
               "rotten": rotten, "unreadable": unreadable}),
    );
    match (rotten, unreadable) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Integrity(format!("{unreadable} could not be read"))),
        (_, 0) => Err(Failure::Integrity(format!("{rotten} rotted"))),
        _ => Err(Failure::Integrity(format!("{rotten} rotted, {unreadable} could not be read"))),
    }
}

fn say(finding: &Finding, output: &Output) {
    let of = |word: &str, kind: &str, file: &FileFinding| {
        let FileFinding { user, path, size } = file;
        let event = json!({"event": "finding", "kind": kind, "user": user, "path": path, "size": size});
        (format!("{word} {user}:{path} ({size} bytes)"), event)
    };
    let (text, event): (String, Value) = match finding {
        Finding::Adopted(file) => of("adopted", "adopted", file),
        Finding::Changed(file) => of("changed by hand", "changed", file),
        Finding::Missing(file) => of("missing", "missing", file),
        Finding::Rotten(file) => of("ROTTEN", "rotten", file),
        Finding::Unreadable(file, error) => {
            let (text, mut event) = of("unreadable", "unreadable", file);
            event["error"] = json!(error);
            (format!("{text}: {error}"), event)
        }
        Finding::Recounted(user, before, after) => (
            format!(
                "recounted {user}: {} bytes in {} files, not {} in {}",
                after.bytes, after.files, before.bytes, before.files
            ),
            json!({"event": "finding", "kind": "recounted", "user": user, "before": before, "after": after}),
        ),
        Finding::Stray(name) => {
            (format!("homes/{name} belongs to no account"), json!({"event": "finding", "kind": "stray", "name": name}))
        }
    };
    output.result(&text, event);
}
