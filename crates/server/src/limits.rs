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

/// Connections at once; the next ones wait in the kernel's queue. Each costs a descriptor, a task and its buffers.
pub const CONNECTIONS_MAX: usize = 1024;

/// Pause after a failed accept: out of descriptors, the next try fails too, and a tight loop helps nobody.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Time that bodies under way have to end after a stop was asked for.
pub const GRACE: Duration = Duration::from_secs(5);

/// Time that aborted bodies have to be told and rolled back after that.
pub const ROLLBACK_GRACE: Duration = Duration::from_secs(2);
