//! The one place where trees change: one group of changes after the other, each group synced together.
//!
//! ```text
//!   prepare ──▶ sync content ──▶ one transaction ──▶ perform ──▶ sync directories ──▶ acknowledge
//!   check, open     fsync        digests, sums     rename, mkdir       fsync
//! ```
//!
//! While a group is on its way to the disk, the next one gathers: many small uploads share a transaction and a sync of
//! their directory, and one alone waits for nobody. An acknowledgement still waits for its own bytes. A row is written
//! before its file gets its name, and what is replaced or removed keeps a name in staging until its row is forgotten: so
//! after a crash, whatever is in staging gives back what it counts, and nothing else has to be remembered.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netdisk_model::RemotePath;
use rustix::fs::AtFlags;

use super::database::Database;
use super::freeze::Freeze;
use super::home::HomeState;
use super::identity::{Found, Identity};
use super::ledger::Ledger;
use super::meter::Reservation;
use super::parents::{Directory, Parents};
use super::staging::{Run, unlink, unlink_shared};
use super::sync::sync_directory;
use crate::error::StorageError;

/// Changes in one group: enough to share a sync, few enough that the first of them does not wait long for the last.
const GROUP_LEN_MAX: usize = 128;

/// Syncs of one group at once: as many as fill a disk's queue.
const SYNCS_AT_ONCE: usize = 8;

/// So long contents are synced one after the other: some disks are done before a thread has begun.
const SYNC_ALONE_FOR: Duration = Duration::from_micros(200);

/// A change of a tree, in the steps that a group of them takes together. All of them block.
pub(super) trait Change: Send {
    /// Whose tree it is.
    fn home(&self) -> &Arc<HomeState>;

    /// The path that it gives a new file; two changes of one path are never in one group. `None` for any other change:
    /// that is a group of its own.
    fn target(&self) -> Option<&RemotePath>;

    /// Checks and opens what it needs. Nothing in the tree changes.
    fn prepare(&mut self, parents: &mut Parents) -> Result<(), StorageError>;

    /// Sees content onto the disk that is not there yet; many do so at once.
    fn sync(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    /// The file of which the ledger must know before it gets its name.
    fn recorded(&self) -> Option<Identity> {
        None
    }

    /// Writes what the ledger is to know. Nothing may be written before an error.
    fn record(&mut self, _ledger: &mut Ledger<'_>) -> Result<(), StorageError> {
        Ok(())
    }

    /// The room that ends to be promised once it is recorded.
    fn reservation(&mut self) -> Option<&mut Reservation> {
        None
    }

    /// Makes it so. Gives the directories that must be synced.
    fn perform(&mut self) -> Result<Vec<Directory>, StorageError>;

    /// A file that has lost its name in the tree and lies in staging under this one now.
    fn grave(&mut self) -> Option<String> {
        None
    }

    /// A file that has lost its last name and lies nowhere.
    fn lost(&self) -> Option<Identity> {
        None
    }

    /// Says what came of it.
    fn answer(self: Box<Self>, outcome: Result<(), StorageError>);
}

/// Takes changes in and makes them in groups.
#[derive(Debug, Clone)]
pub(super) struct Committer {
    queue: Arc<Mutex<Queue>>,
    database: Database,
    /// Shared by each group; whoever wants the trees to stand still has it alone.
    freeze: Arc<Freeze>,
    run: Run,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Box<dyn Change>>,
    /// Whether a thread works on it.
    is_running: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Queue").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Committer {
    pub(super) fn new(database: Database, freeze: Freeze, run: Run) -> Self {
        Self { queue: Arc::default(), database, freeze: Arc::new(freeze), run }
    }

    /// Hands a change in; it is carried through whoever still waits for it.
    pub(super) fn submit(&self, change: Box<dyn Change>) {
        self.submit_all(vec![change]);
    }

    /// Hands changes in at once, to be made in their order.
    pub(super) fn submit_all(&self, changes: Vec<Box<dyn Change>>) {
        let mut queue = self.lock();
        queue.waiting.extend(changes);
        if !queue.is_running {
            queue.is_running = true;
            let committer = self.clone();
            tokio::task::spawn_blocking(move || committer.run());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes changes until there are none.
    fn run(&self) {
        let mut running = Running { committer: self, is_done: false };
        loop {
            let group = {
                let mut queue = self.lock();
                if queue.waiting.is_empty() {
                    queue.is_running = false;
                    running.is_done = true;
                    return;
                }
                take_group(&mut queue.waiting)
            };
            self.commit(group);
        }
    }

    fn commit(&self, group: Vec<Box<dyn Change>>) {
        let frozen = self.freeze.share(&self.run).map_err(StorageError::from);
        let mut parents = Parents::default();
        let group = step(group, |change| match &frozen {
            Ok(()) => change.prepare(&mut parents),
            Err(error) => Err(error.again()),
        });
        let group = self.record(sync_all(group));
        let mut directories = HashMap::new();
        let mut performed: Vec<(Box<dyn Change>, Vec<Identity>)> = Vec::new();
        let mut lost = Vec::new();
        let mut refused = Vec::new();
        for mut change in group {
            match perform(&mut *change, &mut directories) {
                Ok(needed) => performed.push((change, needed)),
                Err(error) => {
                    lost.extend(change.recorded().map(|identity| (change.home().clone(), identity)));
                    refused.push((change, error));
                }
            }
        }
        // A directory that could not be synced cannot be told to forget: whoever needs it hears of it.
        let failed: Vec<(Identity, StorageError)> = directories
            .into_iter()
            .filter_map(|(identity, directory)| sync_directory(directory).err().map(|error| (identity, error.into())))
            .collect();
        let is_on_disk = |needed: &[Identity]| !failed.iter().any(|(identity, _)| needed.contains(identity));
        let mut graves = Vec::new();
        // What may come back after a power cut is not forgotten: the next sweep of staging knows.
        for (change, _) in performed.iter_mut().filter(|(_, needed)| is_on_disk(needed)) {
            lost.extend(change.lost().map(|identity| (change.home().clone(), identity)));
            graves.extend(Grave::of(&mut **change));
        }
        lost.extend(graves.iter().filter(|grave| grave.was_last).map(|grave| (grave.home.clone(), grave.identity)));
        match self.forget(&lost) {
            Ok(()) => {}
            Err(StorageError::Full { .. }) => {
                // What is removed must make room first, also for this.
                graves.iter().for_each(Grave::unlink);
                if let Err(error) = self.forget(&lost) {
                    tracing::error!(%error, "files are counted that are gone; `netdisk admin fsck` counts anew");
                }
            }
            Err(error) => {
                // They stay in staging, and are forgotten when it is next cleared.
                tracing::error!(%error, "what was replaced or removed is counted for now");
                graves.clear();
            }
        }
        for (change, error) in refused {
            change.answer(Err(error));
        }
        for (change, needed) in performed {
            let error = failed.iter().find(|(identity, _)| needed.contains(identity)).map(|(_, error)| error.again());
            change.answer(error.map_or(Ok(()), Err));
        }
        if frozen.is_ok()
            && let Err(error) = self.freeze.unlock()
        {
            tracing::error!(%error, "the lock of the trees could not be given back");
        }
        // Nobody waits for what follows, and a large file takes its time.
        if !graves.is_empty() {
            tokio::task::spawn_blocking(move || graves.iter().for_each(Grave::unlink));
        }
    }

    /// Writes the rows of a group in one transaction; what is refused or fails drops out.
    fn record(&self, mut group: Vec<Box<dyn Change>>) -> Vec<Box<dyn Change>> {
        if !group.iter().any(|change| change.recorded().is_some()) {
            return group;
        }
        let mut refused = Vec::new();
        let written = self.database.write_blocking(|transaction| {
            refused.clear();
            let mut ledger = Ledger::open(transaction);
            for (at, change) in group.iter_mut().enumerate() {
                match change.record(&mut ledger) {
                    Ok(()) => {}
                    Err(error @ (StorageError::Database(_) | StorageError::Full { .. })) => return Err(error),
                    Err(error) => refused.push((at, error)),
                }
            }
            // Before the lock of the database is given back: whoever asks then must not count anything twice.
            for (user, usage) in ledger.close()? {
                let mut mine: Vec<_> = group.iter_mut().filter(|change| *change.home().meter.user() == user).collect();
                let Some(meter) = mine.first().map(|change| change.home().meter.clone()) else { continue };
                meter.settle(usage, mine.iter_mut().filter_map(|change| change.reservation()));
            }
            Ok(())
        });
        if let Err(error) = written {
            group.iter().for_each(|change| change.home().meter.doubt());
            return step(group, |_| Err(error.again()));
        }
        for (at, error) in refused.into_iter().rev() {
            group.remove(at).answer(Err(error));
        }
        group
    }

    /// Forgets the rows of files that are gone, or never got their name, in one transaction.
    fn forget(&self, lost: &[(Arc<HomeState>, Identity)]) -> Result<(), StorageError> {
        if lost.is_empty() {
            return Ok(());
        }
        self.database.write_blocking(|transaction| {
            let mut ledger = Ledger::open(transaction);
            for (home, identity) in lost {
                ledger.forget(home.meter.user(), *identity)?;
            }
            for (user, usage) in ledger.close()? {
                if let Some((home, _)) = lost.iter().find(|(home, _)| *home.meter.user() == user) {
                    home.meter.settle(usage, std::iter::empty());
                }
            }
            Ok(())
        })
    }
}

/// A thread at work; when it panics, the changes that wait are given up and the next one starts a new thread.
struct Running<'a> {
    committer: &'a Committer,
    is_done: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            let mut queue = self.committer.lock();
            queue.is_running = false;
            queue.waiting.clear();
        }
    }
}

/// A file that has lost its name in the tree and lies in staging.
struct Grave {
    home: Arc<HomeState>,
    name: String,
    identity: Identity,
    /// Whether it has no other name.
    was_last: bool,
}

impl Grave {
    fn of(change: &mut dyn Change) -> Option<Self> {
        let name = change.grave()?;
        let home = change.home().clone();
        match Found::at(&home.staging, name.as_str()) {
            Ok(found) => Some(Self { home, name, identity: found.identity, was_last: found.links <= 1 }),
            Err(error) => {
                tracing::warn!(user = %home.meter.user(), name, %error, "what was replaced or removed is not in staging");
                None
            }
        }
    }

    fn unlink(&self) {
        let (user, staging, name) = (self.home.meter.user(), &self.home.staging, self.name.as_str());
        let unlinked = match self.was_last {
            true => unlink(staging, name, AtFlags::empty()).map(|()| None),
            false => unlink_shared(staging, name),
        };
        match unlinked {
            Ok(None) => {}
            Ok(Some(identity)) => {
                if let Err(error) = self.home.undertaker().give_back(&[identity]) {
                    tracing::error!(%user, %error, "a file is counted that is gone; `netdisk admin fsck` counts anew");
                }
                self.home.meter.doubt();
            }
            Err(error) => {
                tracing::warn!(%user, name, %error, "stays in staging until the store is next put in order");
            }
        }
    }
}

/// Performs a change and adds the directories that it needs synced to those of the group, each once.
fn perform(
    change: &mut dyn Change,
    directories: &mut HashMap<Identity, Directory>,
) -> Result<Vec<Identity>, StorageError> {
    let mut needed = Vec::new();
    for directory in change.perform()? {
        needed.push(directory.identity);
        directories.entry(directory.identity).or_insert(directory);
    }
    Ok(needed)
}

/// Syncs the contents of a group: side by side where the disk takes its time, since it takes hardly more of it for many.
/// Those that fail are answered and drop out.
fn sync_all(mut group: Vec<Box<dyn Change>>) -> Vec<Box<dyn Change>> {
    let mut outcomes = Vec::with_capacity(group.len());
    let began = Instant::now();
    while outcomes.len() < group.len() && began.elapsed() < SYNC_ALONE_FOR {
        let change = &mut group[outcomes.len()];
        outcomes.push(change.sync());
    }
    let left = &mut group[outcomes.len()..];
    if !left.is_empty() {
        let share = left.len().div_ceil(SYNCS_AT_ONCE);
        let sync = |changes: &mut [Box<dyn Change>]| changes.iter_mut().map(|change| change.sync()).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            let threads: Vec<_> = left.chunks_mut(share).map(|share| scope.spawn(move || sync(share))).collect();
            for thread in threads {
                outcomes.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
    }
    let mut outcomes = outcomes.into_iter();
    // One without an outcome was not seen onto the disk.
    step(group, |_| outcomes.next().unwrap_or_else(|| Err(std::io::Error::other("not synced").into())))
}

/// Lets each change take a step; those that fail are answered and drop out.
fn step(
    group: Vec<Box<dyn Change>>,
    mut work: impl FnMut(&mut dyn Change) -> Result<(), StorageError>,
) -> Vec<Box<dyn Change>> {
    let mut left = Vec::with_capacity(group.len());
    for mut change in group {
        match work(&mut *change) {
            Ok(()) => left.push(change),
            Err(error) => change.answer(Err(error)),
        }
    }
    left
}

/// Takes the next changes that can be made together: new files with different paths, or one change of another kind.
fn take_group(waiting: &mut Vec<Box<dyn Change>>) -> Vec<Box<dyn Change>> {
    let mut targets = HashSet::new();
    let together = waiting
        .iter()
        .take(GROUP_LEN_MAX)
        .take_while(|change| {
            change.target().is_some_and(|path| targets.insert((change.home().meter.user().clone(), path.clone())))
        })
        .count();
    waiting.drain(..together.max(1).min(waiting.len())).collect()
}
