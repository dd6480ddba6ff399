//! du. Only directories are held, and only as deep as they are shown.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::ops::ControlFlow;

use indicatif::BinaryBytes;
use netdisk_client::{Client, ClientError, ListingTally};
use netdisk_model::{Entry, EntryKind, RemotePath};
use netdisk_protocol::FaultCode;
use serde_json::json;

use super::{Context, Several};
use crate::command::DuArgs;
use crate::failure::Failure;
use crate::paint::Safe;

/// What the files in a directory, and below it, come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Sum {
    pub(super) fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.files += 1;
    }
}

pub(super) async fn du(mut context: Context<'_>, args: DuArgs) -> Result<(), Failure> {
    let here = [String::new()];
    let paths = if args.paths.is_empty() { &here[..] } else { &args.paths };
    let depth_max = if args.summarize { 0 } else { args.depth.map_or(usize::MAX, usize::from) };
    let mut several = Several::new(context.output, paths.len());
    for typed in paths {
        let summed = async {
            let path = context.remote.resolve(typed)?;
            let sums = sums_in(&mut context, &path, depth_max).await?;
            show(&context, sums, args.bytes);
            Ok(())
        };
        several.took(summed.await)?;
    }
    several.end()
}

fn show(context: &Context<'_>, sums: HashMap<RemotePath, Sum>, exact: bool) {
    let mut sums: Vec<(RemotePath, Sum)> = sums.into_iter().collect();
    sums.sort_by(|(path, sum), (other_path, other)| other.bytes.cmp(&sum.bytes).then_with(|| path.cmp(other_path)));
    let mut page = context.output.page();
    for (path, sum) in &sums {
        let shown = || {
            let size = if exact { sum.bytes.to_string() } else { BinaryBytes(sum.bytes).to_string() };
            let width = if exact { 15 } else { 11 };
            Safe::plain(&format!("{size:>width$}  {path}"))
        };
        page.line(shown, || json!({"event": "usage", "path": path, "bytes": sum.bytes, "files": sum.files}));
    }
}

/// What the directories of a tree come to.
#[derive(Default)]
struct Sums {
    sums: HashMap<RemotePath, Sum>,
    /// A server can name directories without end.
    tally: ListingTally,
}

impl Sums {
    /// Begins with the top of the tree, which no listing names.
    fn of(top: &RemotePath) -> Self {
        Self { sums: HashMap::from([(top.clone(), Sum::default())]), tally: ListingTally::default() }
    }

    /// The sum of a directory.
    fn at(&mut self, directory: RemotePath) -> Result<&mut Sum, ClientError> {
        Ok(match self.sums.entry(directory) {
            MapEntry::Occupied(known) => known.into_mut(),
            MapEntry::Vacant(new) => {
                self.tally.take_path(new.key())?;
                new.insert(Sum::default())
            }
        })
    }

    /// Adds something to all directories above it up to `top`, and down to `depth_max` levels.
    fn add(&mut self, entry: &Entry, top: &RemotePath, depth_max: usize) -> Result<(), ClientError> {
        let (counted, is_directory) = match entry.kind {
            EntryKind::File => (entry.path.parent(), false),
            EntryKind::Directory => (Some(entry.path.clone()), true),
            EntryKind::Other => return Ok(()),
        };
        for (above, _) in ancestors(counted, top).filter(|(_, depth)| *depth <= depth_max) {
            let sum = self.at(above)?;
            if !is_directory {
                sum.add(entry.size);
            }
        }
        Ok(())
    }
}

/// Adds up a directory and those below it, down to `depth_max` levels; or a file alone.
async fn sums_in(
    context: &mut Context<'_>,
    path: &RemotePath,
    depth_max: usize,
) -> Result<HashMap<RemotePath, Sum>, Failure> {
    let mut sums = Sums::default();
    let adding_up = async |client: &mut Client| {
        // From the start, where a lost connection ended an earlier try.
        sums = Sums::of(path);
        let walked = client.walk(path, true, |entries| {
            entries.iter().try_for_each(|entry| sums.add(entry, path, depth_max))?;
            Ok(ControlFlow::Continue(()))
        });
        walked.await
    };
    match context.remote.repeat(adding_up).await {
        Ok(_) => {}
        Err(Failure::Client(ClientError::Fault(fault))) if fault.code == FaultCode::NotADirectory => {
            let size = context.remote.repeat(async |client| client.stat(path).await).await?.size;
            sums.at(path.clone())?.add(size);
        }
        Err(failure) => return Err(failure),
    }
    Ok(sums.sums)
}

/// A directory and those above it up to `top`, each with how many levels it is below `top`.
pub(super) fn ancestors(directory: Option<RemotePath>, top: &RemotePath) -> impl Iterator<Item = (RemotePath, usize)> {
    let mut chain: Vec<RemotePath> = std::iter::successors(directory, RemotePath::parent)
        .take_while(|above| above == top || above.is_within(top))
        .collect();
    chain.reverse();
    chain.into_iter().zip(0..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_in_each_directory_above_it_up_to_the_top() {
        let path = |text: &str| text.parse::<RemotePath>().expect("a path");
        let above = |directory: &str, top: &str| -> Vec<String> {
            ancestors(Some(path(directory)), &path(top)).map(|(path, depth)| format!("{depth} {path}")).collect()
        };
        assert_eq!(above("/a/b/c", "/"), ["0 /", "1 /a", "2 /a/b", "3 /a/b/c"]);
        assert_eq!(above("/a/b/c", "/a/b"), ["0 /a/b", "1 /a/b/c"]);
        assert_eq!(above("/a", "/a"), ["0 /a"]);
    }

    #[test]
    fn directories_without_end_come_to_one() {
        let top = RemotePath::root();
        let mut sums = Sums::of(&top);
        // As if nearly all that may be held had come.
        let long: RemotePath = format!("/{}", vec!["x".repeat(250); 15].join("/")).parse().expect("a path");
        while sums.tally.take_path(&long).is_ok() {}
        let mut add = |path: &str| {
            let path = path.parse().expect("a path");
            let entry = Entry { path, kind: EntryKind::Directory, size: 0, modified: 0, version: None };
            sums.add(&entry, &top, usize::MAX)
        };
        assert!(add("/").is_ok(), "what is held already takes no more");
        let refused = (0..100).find_map(|number| add(&format!("/{number}")).err());
        assert!(refused.is_some_and(|error| error.ends_connection()));
    }
}
