//! What a writer knows: what was acknowledged to it, and what may stand there besides because an operation is under way.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use netdisk_client::{Client, GetTarget, OnExisting, Unobserved, get};
use netdisk_model::{Digest, EntryKind, RemotePath};
use tokio_util::sync::CancellationToken;

/// All that stands in a writer's folder, by path relative to it.
pub(super) type World = BTreeMap<String, Node>;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File(Digest),
    /// Neither file nor directory: nobody sent such a thing.
    Other,
}

/// The worlds that may be found after a crash.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Never empty. The first is what was acknowledged; the others are steps of the operation under way, the last its end.
    /// Where some files of a batch were acknowledged, the first is what has these and no other.
    worlds: Vec<World>,
    /// Every content that was ever sent: what is found and not in here is torn.
    sent: HashSet<Digest>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { worlds: vec![World::new()], sent: HashSet::new() }
    }

    /// What was acknowledged, and nothing else.
    pub(super) fn acknowledged(&self) -> &World {
        &self.worlds[0]
    }

    /// An operation is sent: from now on each of its steps may be found.
    pub(super) fn begin(&mut self, steps: Vec<World>) {
        self.sent.extend(steps.iter().flat_map(World::values).filter_map(|node| match node {
            Node::File(digest) => Some(*digest),
            Node::Directory | Node::Other => None,
        }));
        self.worlds.truncate(1);
        self.worlds.extend(steps);
    }

    /// The operation was acknowledged: nothing but its end may be found.
    pub(super) fn acknowledge(&mut self) {
        self.worlds.drain(..self.worlds.len() - 1);
    }

    /// Some of the files of a batch were acknowledged: they are there, whatever becomes of the others.
    pub(super) fn acknowledge_some(&mut self, files: impl Iterator<Item = (String, Digest)>) {
        for (path, digest) in files {
            self.worlds.retain(|world| world.get(&path) == Some(&Node::File(digest)));
        }
    }

    /// The operation was refused: nothing but what was there before may be found.
    pub(super) fn refuse(&mut self) {
        self.worlds.truncate(1);
    }

    /// Says what is wrong with what was found, if anything is; what was found is the truth from then on.
    pub(super) fn settle(&mut self, found: World) -> Vec<String> {
        let findings = if self.worlds.contains(&found) { Vec::new() } else { self.judge(&found) };
        self.worlds = vec![found];
        findings
    }

    fn judge(&self, found: &World) -> Vec<String> {
        let paths: BTreeSet<&String> = self.worlds.iter().flat_map(World::keys).chain(found.keys()).collect();
        let mut findings = Vec::new();
        for path in paths {
            let (before, now) = (self.worlds[0].get(path), found.get(path));
            if self.worlds.iter().any(|world| world.get(path) == now) {
                continue;
            }
            findings.push(match (before, now) {
                (_, Some(Node::Other)) => format!("stray: {path} is neither file nor directory"),
                (_, Some(Node::File(digest))) if !self.sent.contains(digest) => {
                    format!("torn: {path} holds what nobody sent")
                }
                (Some(_), None) => format!("lost: {path} is gone"),
                (Some(_), Some(_)) => format!("lost: {path} is not what was acknowledged last"),
                (None, _) => format!("lost: {path} was removed, renamed or never acknowledged, and is there"),
            });
        }
        if findings.is_empty() {
            findings.push("torn: half of an operation is there".to_owned());
        }
        findings
    }
}

/// Reads a folder with ordinary tools.
pub(super) fn read_plain(folder: &Path) -> Result<World> {
    let mut world = World::new();
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((directory, prefix)) = open.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            let node = if kind.is_dir() {
                open.push((entry.path(), format!("{name}/")));
                Node::Directory
            } else if kind.is_file() {
                Node::File(Digest::of(&fs::read(entry.path())?))
            } else {
                Node::Other
            };
            world.insert(name, node);
        }
    }
    Ok(world)
}

/// Reads the same folder through the server, every byte of it.
pub(super) async fn read_served(client: &mut Client, folder: &RemotePath) -> Result<World> {
    let mut world = World::new();
    for entry in client.list(folder, true).await?.entries {
        let node = match entry.kind {
            EntryKind::Directory => Node::Directory,
            EntryKind::Other => Node::Other,
            EntryKind::File => {
                let nowhere = GetTarget::Stream(Box::new(tokio::io::sink()));
                let cancel = CancellationToken::new();
                let outcome = get(client, &entry.path, nowhere, OnExisting::Refuse, &Unobserved, &cancel).await?;
                Node::File(outcome.digest)
            }
        };
        let path = entry.path.as_str().strip_prefix(folder.as_str()).context("below the folder")?;
        world.insert(path.trim_start_matches('/').to_owned(), node);
    }
    Ok(world)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(nodes: &[(&str, Node)]) -> World {
        nodes.iter().map(|(path, node)| ((*path).to_owned(), *node)).collect()
    }

    #[test]
    fn each_kind_of_damage_has_its_name() {
        let [old, new, strange] = [&b"old"[..], b"new", b"strange"].map(|content| Node::File(Digest::of(content)));
        let acknowledged = || {
            let mut ledger = Ledger::new();
            ledger.begin(vec![world(&[("a", old)])]);
            ledger.acknowledge();
            ledger
        };
        let under_way = || {
            let mut ledger = acknowledged();
            ledger.begin(vec![world(&[("b", old)])]);
            ledger
        };
        assert!(acknowledged().settle(world(&[("a", old)])).is_empty());
        assert!(under_way().settle(world(&[("a", old)])).is_empty());
        assert!(under_way().settle(world(&[("b", old)])).is_empty());
        for (ledger, found, kind) in [
            (acknowledged(), world(&[]), "lost"),
            (acknowledged(), world(&[("a", strange)]), "torn"),
            (acknowledged(), world(&[("a", old), ("b", old)]), "lost"),
            (acknowledged(), world(&[("a", old), ("b", Node::Other)]), "stray"),
            (under_way(), world(&[]), "torn: half"),
            (under_way(), world(&[("b", new)]), "torn"),
        ] {
            let mut ledger = ledger;
            let findings = ledger.settle(found.clone());
            assert!(findings.iter().any(|finding| finding.starts_with(kind)), "{kind}: {findings:?}");
            assert!(ledger.settle(found).is_empty(), "what was found is the truth from then on");
        }
    }
}
