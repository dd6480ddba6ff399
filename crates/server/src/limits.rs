//! How long the server waits and how many it serves, and why.

use std::time::Duration;

/// A stranger's time for the TLS handshake: two round trips and some arithmetic.
pub const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// A stranger's time for `hello`, which needs no thought.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for each try to log in: a person may be typing a password.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Tries to log in on one connection before it is closed.
pub const LOGIN_TRIES_MAX: usize = 5;

/// Silence between two requests of a user; heartbeats count as sound.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Time for one frame of a body or a reply, in or out: it bounds silence, not the transfer.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(60);

/// Uploads up to this size, in bytes, whose bodies come at once are committed while the next ones come: what waits for the
/// disk is bounded by this and the window.
pub const SMALL_LEN: u64 = 1024 * 1024;

/// Between two rounds of putting the store in order. What it clears is old or of no use; nothing waits for it.
pub const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Connections at once; the next ones wait in the kernel's queue. Each costs a descriptor, a task and its buffers.
pub const CONNECTIONS_MAX: usize = 1024;

/// Pause after a failed accept: out of descriptors, the next try fails too, and a tight loop helps nobody.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Time that bodies under way have to end after a stop was asked for.
pub const GRACE: Duration = Duration::from_secs(5);

/// Time that aborted bodies have to be told and rolled back after that.
pub const ROLLBACK_GRACE: Duration = Duration::from_secs(2);
