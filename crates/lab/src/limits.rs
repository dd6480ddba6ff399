//! How long the lab waits and how much it holds, and why.

use std::time::Duration;

/// How long a lesson waits for bytes that are on their way through loopback: they need microseconds. Whoever meets this
/// limit has found a fault of the lab.
pub const LOOPBACK_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest message that a right receiver of the lessons takes in bytes: many times what the lessons send, and little
/// enough that a stranger's four bytes reserve nothing to speak of.
pub const LESSON_MESSAGE_LEN_MAX: usize = 64 * 1024;

/// How long the mangler's own connection to the server may take: a person waits no longer.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a mangled connection may be silent: longer than a netdisk server lets a user be idle, so that it is the
/// server who decides.
pub const PROXY_IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How many connections the mangler relays at once: a test, or a class at one table.
pub const PROXY_CONNECTIONS_MAX: usize = 256;

/// How much the mangler reads at once in bytes.
pub const CHUNK_LEN: usize = 16 * 1024;

/// How long a merging mangler waits for more before it takes what it has: as long as a receiver may delay an
/// acknowledgement on Linux.
pub const MERGE_PAUSE: Duration = Duration::from_millis(40);
