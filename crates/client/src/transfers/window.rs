//! How much of a connection may be under way at once: requests, and bytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most requests under way, whatever a server announces: each is remembered here until it is answered.
const REQUESTS_MAX: usize = 1024;

/// Most bytes of files under way in one connection: what goes again after a cut, and what fills the longest usual line, 1
/// Gbit/s over 250 ms.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Bytes are counted in pieces of this size.
const PIECE_LEN: u64 = 1024;

/// What is left of both.
pub(super) struct Window {
    requests: Arc<Semaphore>,
    pieces: Arc<Semaphore>,
    capacity: usize,
}

/// A place in it, given back when it is dropped: with the last reply.
pub(super) struct Place {
    _request: OwnedSemaphorePermit,
    _pieces: OwnedSemaphorePermit,
}

impl Window {
    /// As the server announced it.
    pub(super) fn new(announced: usize) -> Self {
        let capacity = announced.clamp(1, REQUESTS_MAX);
        let pieces = usize::try_from(BYTES_MAX / PIECE_LEN).unwrap_or(Semaphore::MAX_PERMITS);
        Self { requests: Arc::new(Semaphore::new(capacity)), pieces: Arc::new(Semaphore::new(pieces)), capacity }
    }

    /// How many requests there can be.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// A place for a request with a body of `len` bytes, if there is one now. What is longer than all of the window takes
    /// all of it.
    pub(super) fn try_enter(&self, len: u64) -> Option<Place> {
        let request = self.requests.clone().try_acquire_owned().ok()?;
        let pieces = self.pieces.clone().try_acquire_many_owned(pieces(len)).ok()?;
        Some(Place { _request: request, _pieces: pieces })
    }

    /// Waits until an eighth of a full window is free: what follows then goes together, and not one by one.
    pub(super) async fn ease(&self) {
        let many = u32::try_from(self.capacity.div_ceil(8)).unwrap_or(1);
        drop(self.requests.acquire_many(many).await);
    }

    /// Waits for one; `None` never comes while the window is there. Cancel safe.
    pub(super) async fn enter(&self, len: u64) -> Option<Place> {
        let request = self.requests.clone().acquire_owned().await.ok()?;
        let pieces = self.pieces.clone().acquire_many_owned(pieces(len)).await.ok()?;
        Some(Place { _request: request, _pieces: pieces })
    }
}

fn pieces(len: u64) -> u32 {
    u32::try_from(len.min(BYTES_MAX).div_ceil(PIECE_LEN)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_bounded_in_count_and_in_bytes() {
        let window = Window::new(2);
        let first = window.try_enter(0).expect("room");
        let second = window.try_enter(1).expect("room");
        assert!(window.try_enter(0).is_none(), "two requests");
        drop((first, second));
        let large = window.try_enter(u64::MAX).expect("the only one, however large");
        assert!(window.try_enter(1).is_none(), "no bytes are left");
        assert!(window.try_enter(0).is_some(), "but a request without any goes");
        drop(large);
        assert!(window.try_enter(BYTES_MAX).is_some());
        assert_eq!(Window::new(0).capacity(), 1);
        assert_eq!(Window::new(usize::MAX).capacity(), REQUESTS_MAX);
    }
}
