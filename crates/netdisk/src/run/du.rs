//! du. Only directories are held, and only as deep as they are shown.

use std::collections::HashMap;
use std::ops::ControlFlow;

use indicatif::BinaryBytes;
use netdisk_client::{Client, ClientError};
use netdisk_model::{EntryKind, RemotePath};
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

/// Adds up a directory and those below it, down to `depth_max` levels; or a file alone.
async fn sums_in(
    context: &mut Context<'_>,
    path: &RemotePath,
    depth_max: usize,
) -> Result<HashMap<RemotePath, Sum>, Failure> {
    let mut sums = HashMap::new();
    let adding_up = async |client: &mut Client| {
        // From the start, where a lost connection ended an earlier try.
        sums = HashMap::from([(path.clone(), Sum::default())]);
        let walked = client.walk(path, true, |entries| {
            for entry in entries {
                let (counted, is_directory) = match entry.kind {
                    EntryKind::File => (entry.path.parent(), false),
                    EntryKind::Directory => (Some(entry.path.clone()), true),
                    EntryKind::Other => continue,
                };
                for above in ancestors(counted, path).filter(|(_, depth)| *depth <= depth_max).map(|(above, _)| above) {
                    let sum = sums.entry(above).or_default();
                    if !is_directory {
                        sum.add(entry.size);
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        });
        walked.await
    };
    match context.remote.repeat(adding_up).await {
        Ok(_) => {}
        Err(Failure::Client(ClientError::Fault(fault))) if fault.code == FaultCode::NotADirectory => {
            let size = context.remote.repeat(async |client| client.stat(path).await).await?.size;
            sums.entry(path.clone()).or_default().add(size);
        }
        Err(failure) => return Err(failure),
    }
    Ok(sums)
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
}
