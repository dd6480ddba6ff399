//! The parts of one file on their way to the connections that move them.
//!
//! A part that was taken is done, or it is dropped with whatever happened to its connection, and then somebody else takes
//! it. They are given out in order, so that what is there is nearly contiguous at any time: only that is kept for later.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netdisk_model::{Digest, Parts};
use tokio::sync::Notify;

use crate::error::ClientError;

/// So many parts may be given out behind the first that is missing: what one slow connection can make others lose, and
/// fewer than a server takes.
const AHEAD_MAX: u64 = 192;

/// Parts of one file.
pub(crate) struct Board {
    state: Mutex<State>,
    /// Bytes that are done or on their way.
    moved: AtomicU64,
    /// A part to take, or the end.
    changed: Notify,
    /// Bytes have moved.
    progress: Notify,
}

struct State {
    parts: Parts,
    /// The first that nobody has taken yet, and those that came back.
    next: u64,
    returned: BTreeSet<u64>,
    /// Nothing more is to be taken; with the reason, where it is one for all.
    is_stopped: bool,
    failure: Option<ClientError>,
}

impl State {
    fn is_over(&self) -> bool {
        self.is_stopped || self.parts.contiguous() == self.parts.count()
    }

    fn pick(&mut self) -> Option<u64> {
        if let Some(number) = self.returned.pop_first() {
            return Some(number);
        }
        let number = self.next;
        if number >= self.parts.count() || number - self.parts.contiguous() >= AHEAD_MAX {
            return None;
        }
        self.next += 1;
        Some(number)
    }
}

impl Board {
    /// What is missing of `parts`, of which what is there is contiguous.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let (next, moved) = (parts.contiguous(), AtomicU64::new(parts.contiguous_len()));
        let state = State { parts, next, returned: BTreeSet::new(), is_stopped: false, failure: None };
        Arc::new(Self { state: Mutex::new(state), moved, changed: Notify::new(), progress: Notify::new() })
    }

    /// Takes the next part; `None` when all are there, or no more are wanted. While others have parts that may come back,
    /// it waits. Cancel safe.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<TakenPart> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(taken) = self.try_take() {
                return Some(taken);
            }
            if self.is_over() {
                return None;
            }
            changed.await;
        }
    }

    /// Takes the next part, if there is one now.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<TakenPart> {
        let mut state = self.state();
        if state.is_over() {
            return None;
        }
        let number = state.pick()?;
        let (offset, len) = state.parts.place(number)?;
        Some(TakenPart { board: self.clone(), number, offset, len, moved: 0, is_done: false })
    }

    /// Waits until nothing more is to be done. Cancel safe.
    pub(crate) async fn over(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.is_over() {
                return;
            }
            changed.await;
        }
    }

    /// Whether all parts are there, or no more are wanted.
    pub(crate) fn is_over(&self) -> bool {
        self.state().is_over()
    }

    /// Wants no more.
    pub(crate) fn stop(&self) {
        self.state().is_stopped = true;
        self.changed.notify_waiters();
    }

    /// Wants no more, for a reason that holds for all connections; the first one counts.
    pub(crate) fn fail(&self, error: ClientError) {
        self.state().failure.get_or_insert(error);
        self.stop();
    }

    /// Why no more is wanted.
    pub(crate) fn take_failure(&self) -> Option<ClientError> {
        self.state().failure.take()
    }

    /// Digest of the whole file, once all parts are there.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.state().parts.digest()
    }

    /// Bytes that are there without a gap.
    pub(crate) fn contiguous_len(&self) -> u64 {
        self.state().parts.contiguous_len()
    }

    /// Parts that are there without a gap.
    pub(crate) fn contiguous(&self) -> u64 {
        self.state().parts.contiguous()
    }

    /// Tells how many bytes have moved each time that it is more, for ever. Cancel safe.
    pub(crate) async fn watch(&self, tell: impl Fn(u64)) {
        let mut told = self.moved.load(Ordering::Relaxed);
        tell(told);
        loop {
            self.progress.notified().await;
            let moved = self.moved.load(Ordering::Relaxed);
            // What comes back is on its way once more, and was told.
            if moved > told {
                told = moved;
                tell(told);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part that a connection moves. Dropped, it goes back.
pub(crate) struct TakenPart {
    board: Arc<Board>,
    pub(crate) number: u64,
    /// Where it begins, and how long it is.
    pub(crate) offset: u64,
    pub(crate) len: u64,
    moved: u64,
    is_done: bool,
}

impl TakenPart {
    /// So many more bytes of it are on their way.
    pub(crate) fn moved(&mut self, len: u64) {
        self.moved += len;
        self.board.moved.fetch_add(len, Ordering::Relaxed);
        self.board.progress.notify_one();
    }

    /// It is there.
    pub(crate) fn done(mut self, digest: Digest) {
        self.is_done = true;
        self.board.state().parts.add(self.number, digest);
        self.board.changed.notify_waiters();
    }
}

impl Drop for TakenPart {
    fn drop(&mut self) {
        if !self.is_done {
            self.board.moved.fetch_sub(self.moved, Ordering::Relaxed);
            self.board.state().returned.insert(self.number);
            self.board.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use netdisk_model::PART_LEN;

    use super::*;

    #[tokio::test]
    async fn a_dropped_part_comes_back_and_each_is_done_once() {
        let board = Board::new(Parts::of(2 * PART_LEN + 1).expect("three parts"));
        let mut first = board.take().await.expect("one");
        let second = board.take().await.expect("two");
        let third = board.take().await.expect("three");
        assert_eq!((first.number, second.number, third.number, third.len), (0, 1, 2, 1));
        assert!(board.take().now_or_never().is_none(), "one may come back");
        first.moved(7);
        drop(first);
        let first = board.take().now_or_never().flatten().expect("it is back");
        assert_eq!((first.number, board.moved.load(Ordering::Relaxed)), (0, 0));
        for part in [third, first, second] {
            assert!(!board.is_over());
            part.done(Digest::of(b"not looked at"));
        }
        assert!(board.is_over() && board.take().await.is_none() && board.digest().is_some());
    }

    #[tokio::test]
    async fn a_slow_part_holds_the_others_up_before_too_much_could_be_lost() {
        let board = Board::new(Parts::of(1000 * PART_LEN).expect("many"));
        let slow = board.take().await.expect("one");
        for _ in 1..AHEAD_MAX {
            board.take().await.expect("another").done(Digest::of(b""));
        }
        assert!(board.take().now_or_never().is_none());
        slow.done(Digest::of(b""));
        assert_eq!(board.take().now_or_never().flatten().map(|part| part.number), Some(AHEAD_MAX));
        board.fail(ClientError::DigestMismatch);
        board.fail(ClientError::Unexpected("later".to_owned()));
        assert!(board.take().await.is_none());
        assert!(matches!(board.take_failure(), Some(ClientError::DigestMismatch)), "the first reason counts");
    }
}
