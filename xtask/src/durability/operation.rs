//! What a writer does: the operations, what each makes of a world, and how they are chosen.

use std::collections::BTreeMap;

use fastrand::Rng;
use netdisk_client::OnExisting;
use netdisk_model::Digest;
use netdisk_protocol::limits::DATA_LEN_MAX;

use super::ledger::{Node, World};

/// Names in a directory: so few that most operations meet something.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// Directories that may be there, parents before children.
const DIRECTORIES: [&str; 5] = ["x", "y", "z", "x/deep", "x/deep/deeper"];

/// Large contents that are sent again and again.
const FAMILIAR: u64 = 3;

/// Files of one batch at most: after a crash, any of them may be there.
const BATCH_LEN_MAX: usize = 4;

/// One request, or one transfer.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Put {
        path: String,
        content: Content,
        existing: OnExisting,
        via: Via,
    },
    /// Small files that are sent without waiting; each is acknowledged for itself.
    PutAll {
        puts: Vec<(String, Content)>,
    },
    MakeDirectory {
        path: String,
        parents: bool,
    },
    Rename {
        from: String,
        to: String,
    },
    Copy {
        from: String,
        to: String,
    },
    Remove {
        path: String,
        recursive: bool,
    },
}

/// How content gets to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// A stream: its size is not known before its end, and nothing of it is kept.
    Stream,
    /// A file: it can be resumed.
    File,
}

/// Bytes that are made when they are needed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    seed: u64,
    len: usize,
    pub(super) digest: Digest,
}

impl Content {
    pub(super) fn new(seed: u64, len: usize) -> Self {
        Self { seed, len, digest: Digest::of(&make(seed, len)) }
    }

    pub(super) fn random(rng: &mut Rng) -> Self {
        if rng.u32(..100) < 90 {
            return Self::small(rng);
        }
        let len = rng.usize(1 << 20..3 << 20);
        Self::new(rng.u64(..), len)
    }

    /// What others in the home send as well, long enough to be stored by its digest where it is there already.
    fn familiar(rng: &mut Rng) -> Self {
        let seed = rng.u64(..FAMILIAR);
        Self::new(seed, (1 << 20) + 1 + usize::try_from(seed).unwrap_or_default())
    }

    fn small(rng: &mut Rng) -> Self {
        let len = match rng.u32(..90) {
            0..5 => 0,
            5..10 => 1,
            10..75 => rng.usize(2..8 * 1024),
            // Around the longest frame, where one becomes two.
            _ => DATA_LEN_MAX - 1 + rng.usize(..3),
        };
        Self::new(rng.u64(..), len)
    }

    pub(super) fn len(self) -> u64 {
        self.len as u64
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        make(self.seed, self.len)
    }
}

fn make(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

impl Operation {
    /// Chooses something that can be done in `world`.
    pub(super) fn choose(rng: &mut Rng, world: &World) -> Self {
        loop {
            let chosen = match rng.u32(..100) {
                0..25 => Self::put(rng, world, OnExisting::Replace),
                25..45 => Self::put_all(rng, world),
                45..55 => Self::put(rng, world, OnExisting::Refuse),
                55..65 => Self::rename_file(rng, world),
                65..70 => Self::rename_directory(rng, world),
                70..85 => Self::make_directory(rng, world),
                85..90 => Self::copy(rng, world),
                90..96 => Self::remove(rng, world, Node::is_file),
                _ => Self::remove(rng, world, Node::is_directory),
            };
            if let Some(operation) = chosen {
                return operation;
            }
        }
    }

    fn put(rng: &mut Rng, world: &World, existing: OnExisting) -> Option<Self> {
        let path = free_or_file(rng, world)?;
        let (content, via) = match rng.u32(..16) {
            0..2 => (Content::familiar(rng), Via::File),
            // These go in parts over several connections.
            2 => (Content::new(rng.u64(..), rng.usize(8 << 20..10 << 20)), Via::File),
            3..9 => (Content::random(rng), Via::File),
            _ => (Content::random(rng), Via::Stream),
        };
        Some(Self::Put { path, content, existing, via })
    }

    fn put_all(rng: &mut Rng, world: &World) -> Option<Self> {
        let mut puts = BTreeMap::new();
        for _ in 0..rng.usize(1..=BATCH_LEN_MAX) {
            puts.insert(free_or_file(rng, world)?, Content::small(rng));
        }
        Some(Self::PutAll { puts: puts.into_iter().collect() })
    }

    fn rename_file(rng: &mut Rng, world: &World) -> Option<Self> {
        let from = existing(rng, world, Node::is_file)?;
        let to = free_or_file(rng, world)?;
        (from != to).then_some(Self::Rename { from, to })
    }

    fn rename_directory(rng: &mut Rng, world: &World) -> Option<Self> {
        let from = existing(rng, world, Node::is_directory)?;
        let to = (*rng.choice(&DIRECTORIES)?).to_owned();
        let free = !world.contains_key(&to) && has_parent(world, &to) && !to.starts_with(&format!("{from}/"));
        free.then_some(Self::Rename { from, to })
    }

    /// A file over a file or nothing, or a tree.
    fn copy(rng: &mut Rng, world: &World) -> Option<Self> {
        let renamed = if rng.bool() { Self::rename_file(rng, world) } else { Self::rename_directory(rng, world) };
        let Self::Rename { from, to } = renamed? else { return None };
        let copied = Self::Copy { from, to };
        // A copy of what is there already would show nothing.
        (copied.steps(world).last() != Some(world)).then_some(copied)
    }

    fn make_directory(rng: &mut Rng, world: &World) -> Option<Self> {
        let path = (*rng.choice(&DIRECTORIES)?).to_owned();
        let parents = rng.bool();
        let free = !world.contains_key(&path) && (parents || has_parent(world, &path));
        free.then_some(Self::MakeDirectory { path, parents })
    }

    fn remove(rng: &mut Rng, world: &World, kind: impl Fn(&Node) -> bool) -> Option<Self> {
        let path = existing(rng, world, kind)?;
        let recursive = world.get(&path).is_some_and(Node::is_directory);
        Some(Self::Remove { path, recursive })
    }

    /// How many bytes of content it brings.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Put { content, .. } => content.len(),
            Self::PutAll { puts } => puts.iter().map(|(_, content)| content.len()).sum(),
            Self::MakeDirectory { .. } | Self::Rename { .. } | Self::Copy { .. } | Self::Remove { .. } => 0,
        }
    }

    /// Whether the server must refuse it.
    pub(super) fn is_refused(&self, world: &World) -> bool {
        matches!(self, Self::Put { path, existing: OnExisting::Refuse, .. } if world.contains_key(path))
    }

    /// The worlds that it leads through; the last is its end.
    pub(super) fn steps(&self, world: &World) -> Vec<World> {
        let mut after = world.clone();
        match self {
            Self::Put { path, content, .. } => {
                after.insert(path.clone(), Node::File(content.digest));
            }
            Self::PutAll { puts } => return subsets(world, puts),
            Self::MakeDirectory { path, .. } => {
                let mut steps = Vec::new();
                for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
                    after.insert(path[..end].to_owned(), Node::Directory);
                    steps.push(after.clone());
                }
                return steps;
            }
            Self::Rename { from, to } => {
                let moved = take(&mut after, from);
                after.extend(moved.into_iter().map(|(rest, node)| (format!("{to}{rest}"), node)));
            }
            Self::Copy { from, to } => {
                let copied = take(&mut after.clone(), from);
                after.extend(copied.into_iter().map(|(rest, node)| (format!("{to}{rest}"), node)));
            }
            Self::Remove { path, .. } => drop(take(&mut after, path)),
        }
        vec![after]
    }
}

/// The worlds with some of the files of a batch in them; the last has all.
fn subsets(world: &World, puts: &[(String, Content)]) -> Vec<World> {
    let with = |chosen: u32| {
        let put = puts.iter().enumerate().filter(|(at, _)| chosen & (1 << at) != 0);
        let mut after = world.clone();
        after.extend(put.map(|(_, (path, content))| (path.clone(), Node::File(content.digest))));
        after
    };
    (1..1 << puts.len()).map(with).collect()
}

impl Node {
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    fn is_directory(&self) -> bool {
        *self == Self::Directory
    }
}

/// Takes `path` and all that is below it out of a world, by what follows `path`.
fn take(world: &mut World, path: &str) -> BTreeMap<String, Node> {
    let mut taken = BTreeMap::new();
    world.retain(|at, node| {
        let rest = at.strip_prefix(path).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        if let Some(rest) = rest {
            taken.insert(rest.to_owned(), *node);
        }
        rest.is_none()
    });
    taken
}

fn has_parent(world: &World, path: &str) -> bool {
    path.rsplit_once('/').is_none_or(|(parent, _)| world.get(parent) == Some(&Node::Directory))
}

fn existing(rng: &mut Rng, world: &World, kind: impl Fn(&Node) -> bool) -> Option<String> {
    let found: Vec<&String> = world.iter().filter(|(_, node)| kind(node)).map(|(path, _)| path).collect();
    rng.choice(found).cloned()
}

/// A path in a directory that exists, where a file stands or nothing.
fn free_or_file(rng: &mut Rng, world: &World) -> Option<String> {
    let name = rng.choice(&NAMES)?;
    match existing(rng, world, Node::is_directory) {
        Some(directory) if rng.bool() => Some(format!("{directory}/{name}")),
        _ => Some((*name).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_operations_lead_from_world_to_world() {
        let mut rng = Rng::with_seed(7);
        let (mut world, mut renames) = (World::new(), 0);
        for _ in 0..2_000 {
            let operation = Operation::choose(&mut rng, &world);
            let steps = operation.steps(&world);
            let next = steps.last().expect("an end").clone();
            if let Operation::Rename { from, to } = &operation {
                assert!(!next.contains_key(from) && next.contains_key(to), "{operation:?}");
                renames += 1;
            }
            if let Operation::Put { path, content, .. } = &operation {
                assert_eq!(next.get(path), Some(&Node::File(content.digest)));
            } else if let Operation::PutAll { puts } = &operation {
                assert_eq!(steps.len(), (1 << puts.len()) - 1, "every choice of them, but for none");
                assert!(puts.iter().all(|(path, content)| next.get(path) == Some(&Node::File(content.digest))));
            } else {
                assert_ne!(next, world, "{operation:?} does something");
            }
            if !operation.is_refused(&world) {
                world = next;
            }
            assert!(world.keys().all(|path| has_parent(&world, path)), "{operation:?} leaves orphans");
        }
        assert!(renames > 100, "{renames}");
    }
}
