//! One operation of each kind, with what must stand before it: what is looked at call by call.

use anyhow::Result;
use netdisk_client::{Client, ClientError, OnExisting, PutSource, Unobserved, put};
use netdisk_model::RemotePath;
use netdisk_protocol::limits::DATA_LEN_MAX;
use tokio_util::sync::CancellationToken;

use super::batch::put_all;
use super::ledger::World;
use super::operation::{Content, Operation, Via};

/// An operation in a folder of its own.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: &'static str,
    prepare: Vec<Operation>,
    pub(super) act: Operation,
    /// So many names are made, moved or taken away at least: a trace with fewer has not seen it.
    pub(super) changes: usize,
}

/// Three frames and a bit: more than one write.
const UPLOAD_LEN: usize = 3 * DATA_LEN_MAX + 17;

impl Step {
    /// All of them.
    pub(super) fn all(seed: u64) -> Vec<Self> {
        let old = || file("old", seed, 1_000);
        let step = |name, prepare, act, changes| Self { name, prepare, act, changes };
        vec![
            step("upload of a new file", vec![], file("new", seed + 1, UPLOAD_LEN), 1),
            step("overwrite", vec![old()], file("old", seed + 2, UPLOAD_LEN), 1),
            step("upload of an empty file", vec![], file("empty", seed, 0), 1),
            step("uploads without waiting", vec![], files(&["new", "newer"], seed + 5), 2),
            step(
                "overwrites without waiting",
                vec![old(), file("other", seed, 500)],
                files(&["old", "other"], seed + 6),
                2,
            ),
            step("upload into a new directory", vec![directory("x/y", true)], file("x/y/new", seed + 3, 10), 1),
            step("mkdir", vec![], directory("x", false), 1),
            step("mkdir with parents", vec![], directory("x/y/z", true), 3),
            step("mkdir of what is there in part", vec![directory("x", false)], directory("x/y/z", true), 2),
            step("rename", vec![old()], rename("old", "new"), 1),
            step("rename to another directory", vec![old(), directory("x", false)], rename("old", "x/new"), 1),
            step("rename over a file", vec![old(), file("other", seed + 4, 500)], rename("old", "other"), 1),
            step("rename of a directory", vec![directory("x/y", true), file("x/y/f", seed, 9)], rename("x", "z"), 1),
            step("copy", vec![old()], copy("old", "new"), 1),
            step("copy over a file", vec![old(), file("other", seed + 4, 500)], copy("old", "other"), 1),
            step("copy of a tree", vec![directory("x/y", true), file("x/y/f", seed, 9)], copy("x", "z"), 1),
            step("remove", vec![old()], remove("old", false), 1),
            step("remove of an empty directory", vec![directory("x", false)], remove("x", false), 1),
            step("remove of a tree", vec![directory("x/y", true), file("x/y/f", seed, 9)], remove("x", true), 1),
        ]
    }

    /// Makes the folder, and in it what the step needs; gives what stands there then.
    pub(super) async fn prepare(&self, client: &mut Client, folder: &str) -> Result<World> {
        client.make_directory(&RemotePath::root().join(folder)?, false).await?;
        let mut world = World::new();
        for operation in &self.prepare {
            perform(client, folder, operation).await?;
            world = operation.steps(&world).pop().unwrap_or(world);
        }
        Ok(world)
    }
}

/// Sends one operation; Ok when it was acknowledged.
pub(super) async fn perform(client: &mut Client, folder: &str, operation: &Operation) -> Result<(), ClientError> {
    let at = |path: &str| {
        let path = format!("/{folder}/{path}").parse::<RemotePath>();
        path.map_err(|error| ClientError::Unexpected(error.to_string()))
    };
    match operation {
        Operation::Put { path, content, existing, .. } => {
            let source = PutSource::Stream(Box::new(std::io::Cursor::new(content.bytes())));
            put(client, source, &at(path)?, *existing, &Unobserved, &CancellationToken::new()).await.map(drop)
        }
        Operation::PutAll { puts } => {
            let puts = puts.iter().map(|(path, content)| Ok((at(path)?, *content)));
            let puts = puts.collect::<Result<Vec<_>, ClientError>>()?;
            put_all(client, &puts, &CancellationToken::new()).await.1
        }
        Operation::MakeDirectory { path, parents } => client.make_directory(&at(path)?, *parents).await,
        Operation::Rename { from, to } => client.rename(&at(from)?, &at(to)?, true).await,
        Operation::Copy { from, to } => client.copy(&at(from)?, &at(to)?, true).await,
        Operation::Remove { path, recursive } => client.remove(&at(path)?, *recursive).await,
    }
}

fn file(path: &str, seed: u64, len: usize) -> Operation {
    let content = Content::new(seed, len);
    Operation::Put { path: path.to_owned(), content, existing: OnExisting::Replace, via: Via::Stream }
}

/// Small ones, one of them longer than a page.
fn files(paths: &[&str], seed: u64) -> Operation {
    let put = |(at, path): (usize, &&str)| ((*path).to_owned(), Content::new(seed + at as u64, 100 + 5_000 * at));
    Operation::PutAll { puts: paths.iter().enumerate().map(put).collect() }
}

fn directory(path: &str, parents: bool) -> Operation {
    Operation::MakeDirectory { path: path.to_owned(), parents }
}

fn copy(from: &str, to: &str) -> Operation {
    Operation::Copy { from: from.to_owned(), to: to.to_owned() }
}

fn rename(from: &str, to: &str) -> Operation {
    Operation::Rename { from: from.to_owned(), to: to.to_owned() }
}

fn remove(path: &str, recursive: bool) -> Operation {
    Operation::Remove { path: path.to_owned(), recursive }
}
