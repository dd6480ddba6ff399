//! How long the lab waits and how much it holds, and why.

use std::time::Duration;

/// How long a lesson waits for bytes that are on their way through loopback: they need microseconds. Whoever meets this
/// limit has found a fault of the lab.
pub const LOOPBACK_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest message that a right receiver of the lessons takes in bytes: many times what the lessons send, and little
/// enough that a stranger's four bytes reserve nothing to speak of.
pub const LESSON_MESSAGE_LEN_MAX: usize = 64 * 1024;
