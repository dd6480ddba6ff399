//! The jobs of a transfer on their way to whoever has time for them.
//!
//! ```text
//!   feed ──▶ fresh ──┐              ┌──▶ settle    done, skipped or failed, once
//!                    ├─ take ──▶ Taken ─▶ set aside   it is large: not in front of small ones
//!   given back ──────┘              └──▶ dropped   whatever happened to its connection: another try
//! ```
//!
//! A job that was taken comes back by itself when its [`Taken`] is dropped. So no way out of a worker loses one, be it an
//! error, a cut or a panic.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::parts::Together;

/// Most jobs in one batch: so many small files go through the door at once.
pub(super) const BATCH_LEN_MAX: usize = 64;

/// Most jobs that wait to be taken: enough for every worker to find a batch. Whoever feeds waits then, so that a tree of
/// any size takes no more memory.
const FRESH_LEN_MAX: usize = 1024;

/// Jobs that wait while others are under way, and are worth another connection: some batches.
const PLENTY_LEN: usize = 4 * BATCH_LEN_MAX;

/// Most large files that are set aside: beyond it every worker takes one before it looks for more.
const ASIDE_LEN_MAX: usize = 64;

/// Jobs of one transfer.
pub(super) struct Queue<J: Clone> {
    state: Mutex<State<J>>,
    /// Something to take, room to feed, or the end.
    changed: Notify,
}

struct State<J> {
    fresh: VecDeque<J>,
    /// Of a worker whose connection was lost, or for another try: they go first.
    returned: VecDeque<J>,
    aside: VecDeque<J>,
    /// Taken and neither settled nor back.
    taken: usize,
    /// How many workers have a large file under way, of how many.
    large_taken: usize,
    workers: usize,
    /// Nothing more will be fed.
    is_fed: bool,
    /// Nothing more is to be taken.
    is_stopped: bool,
    /// A large file is about to be shared: whoever helps can be on the way.
    expects_help: bool,
    /// Large files that somebody moves in parts: whoever has no job helps.
    together: Vec<Arc<dyn Together>>,
    /// It was stopped before all were there and settled, and some never will be.
    has_given_up: bool,
}

/// What a worker takes.
pub(super) enum Batch<J: Clone> {
    /// Several that go together.
    Small(Vec<Taken<J>>),
    /// One that takes its time.
    Large(Taken<J>),
    /// One that somebody else has taken, and that others may help with.
    Together(Arc<dyn Together>),
}

impl<J: Clone> Queue<J> {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            fresh: VecDeque::new(),
            returned: VecDeque::new(),
            aside: VecDeque::new(),
            taken: 0,
            large_taken: 0,
            workers: 0,
            is_fed: false,
            is_stopped: false,
            expects_help: false,
            together: Vec::new(),
            has_given_up: false,
        };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    /// Adds jobs once there is room; false when no more are wanted. Cancel safe: all of them or none.
    pub(super) async fn feed(&self, jobs: Vec<J>) -> bool {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if state.is_stopped {
                    return false;
                }
                if state.fresh.len() < FRESH_LEN_MAX {
                    state.fresh.extend(jobs);
                    break;
                }
            }
            changed.await;
        }
        self.changed.notify_waiters();
        true
    }

    /// Says that no more will come.
    pub(super) fn end(&self) {
        self.state().is_fed = true;
        self.changed.notify_waiters();
    }

    /// Wants no more to be taken; what has been taken may still be settled.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.has_given_up |= !state.is_fed || state.has_more();
        state.is_stopped = true;
        state.fresh.clear();
        state.returned.clear();
        state.aside.clear();
        drop(state);
        self.changed.notify_waiters();
    }

    /// Whether some jobs will never be settled, because it was stopped before.
    pub(super) fn has_given_up(&self) -> bool {
        self.state().has_given_up
    }

    /// Whether nothing more is wanted.
    pub(super) fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    /// Whether each job has come to its end.
    pub(super) fn is_settled(&self) -> bool {
        self.state().is_settled()
    }

    /// Says that others will be able to help with a large file, as soon as it is known what there is to do.
    pub(super) fn expect_help(&self) {
        self.state().expects_help = true;
        self.changed.notify_waiters();
    }

    /// Lets others help with a large file; for as long as what this gives is held.
    pub(super) fn share(self: &Arc<Self>, shared: Arc<dyn Together>) -> Lent<J> {
        self.state().together.push(shared.clone());
        self.changed.notify_waiters();
        Lent { shared, queue: self.clone() }
    }

    /// Waits until there is work for one more worker. Cancel safe.
    pub(super) async fn has_plenty(&self) -> Plenty {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state();
                if state.is_stopped || state.is_settled() {
                    return Plenty::Never;
                }
                // Then they are dialled at once, not one after the other.
                if state.expects_help {
                    return Plenty::ForAll;
                }
                if state.fresh.len() + state.returned.len() >= PLENTY_LEN || state.large_taken > 0 && state.has_more() {
                    return Plenty::ForOne;
                }
            }
            changed.await;
        }
    }

    /// One more worker takes from here.
    pub(super) fn join(&self) {
        self.state().workers += 1;
    }

    /// A worker goes. What it had must be back already.
    pub(super) fn leave(&self) {
        self.state().workers -= 1;
        self.changed.notify_waiters();
    }

    /// Takes what comes next; `None` when all are settled, or no more are wanted. While others have jobs that may come
    /// back, it waits. Cancel safe.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Batch<J>> {
        loop {
            let changed = self.changed.notified();
            let picked = {
                let mut state = self.state();
                if state.is_stopped || state.is_settled() {
                    return None;
                }
                state.pick()
            };
            if let Some(picked) = picked {
                self.changed.notify_waiters();
                let taken = |job, is_large| Taken { job, queue: self.clone(), is_large, is_released: false };
                return Some(match picked {
                    Picked::Small(jobs) => Batch::Small(jobs.into_iter().map(|job| taken(job, false)).collect()),
                    Picked::Large(job) => Batch::Large(taken(job, true)),
                    Picked::Together(shared) => Batch::Together(shared),
                });
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is work for more workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plenty {
    /// There will be none.
    Never,
    ForOne,
    /// For as many as there may be.
    ForAll,
}

/// A file with which others help until this is dropped.
pub(super) struct Lent<J: Clone> {
    shared: Arc<dyn Together>,
    queue: Arc<Queue<J>>,
}

impl<J: Clone> Drop for Lent<J> {
    fn drop(&mut self) {
        self.queue.state().together.retain(|shared| !Arc::ptr_eq(shared, &self.shared));
    }
}

enum Picked<J> {
    Small(Vec<J>),
    Large(J),
    Together(Arc<dyn Together>),
}

impl<J> State<J> {
    fn is_settled(&self) -> bool {
        self.is_fed && self.taken == 0 && self.fresh.is_empty() && self.returned.is_empty() && self.aside.is_empty()
    }

    fn has_more(&self) -> bool {
        !self.fresh.is_empty() || !self.returned.is_empty() || !self.aside.is_empty()
    }

    fn pick(&mut self) -> Option<Picked<J>> {
        let has_small = !self.returned.is_empty() || !self.fresh.is_empty();
        // One worker is left to the small files as long as there are any, unless too many large ones pile up.
        let may_be_large = self.large_taken + 1 < self.workers || self.workers <= 1;
        if !self.aside.is_empty() && (may_be_large || !has_small || self.aside.len() >= ASIDE_LEN_MAX) {
            self.taken += 1;
            self.large_taken += 1;
            return self.aside.pop_front().map(Picked::Large);
        }
        let from = if self.returned.is_empty() { &mut self.fresh } else { &mut self.returned };
        let jobs: Vec<J> = from.drain(..from.len().min(BATCH_LEN_MAX)).collect();
        self.taken += jobs.len();
        if !jobs.is_empty() {
            return Some(Picked::Small(jobs));
        }
        self.together.iter().find(|shared| !shared.board().is_over()).cloned().map(Picked::Together)
    }
}

/// A job that somebody works at. Dropped, it goes back.
pub(super) struct Taken<J: Clone> {
    job: J,
    queue: Arc<Queue<J>>,
    is_large: bool,
    /// Nothing is to be done when it is dropped.
    is_released: bool,
}

impl<J: Clone> Taken<J> {
    /// It is done, skipped or failed: it does not come back.
    pub(super) fn settle(mut self) {
        self.release(None::<fn(&mut State<J>)>);
    }

    /// It takes its time no more: whoever has it may take another large one.
    pub(super) fn lighten(&mut self) {
        if std::mem::take(&mut self.is_large) {
            self.queue.state().large_taken -= 1;
            self.queue.changed.notify_waiters();
        }
    }

    /// It is large: whoever has time for it takes it by itself.
    pub(super) fn set_aside(mut self) {
        let job = self.job.clone();
        self.release(Some(|state: &mut State<J>| state.aside.push_back(job)));
    }

    /// Nobody works at it any more; where it is not settled, it is given back.
    fn release(&mut self, give_back: Option<impl FnOnce(&mut State<J>)>) {
        self.is_released = true;
        let mut state = self.queue.state();
        state.taken -= 1;
        state.large_taken -= usize::from(self.is_large);
        match give_back {
            Some(_) if state.is_stopped => state.has_given_up = true,
            Some(give_back) => give_back(&mut state),
            None => {}
        }
        drop(state);
        self.queue.changed.notify_waiters();
    }
}

impl<J: Clone> Drop for Taken<J> {
    fn drop(&mut self) {
        if !self.is_released {
            let (job, is_large) = (self.job.clone(), self.is_large);
            self.release(Some(
                |state: &mut State<J>| {
                    if is_large { state.aside.push_front(job) } else { state.returned.push_back(job) }
                },
            ));
        }
    }
}

impl<J: Clone> Deref for Taken<J> {
    type Target = J;

    fn deref(&self) -> &J {
        &self.job
    }
}

impl<J: Clone> DerefMut for Taken<J> {
    fn deref_mut(&mut self) -> &mut J {
        &mut self.job
    }
}
