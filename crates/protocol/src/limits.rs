//! How long anything on the wire may be, and why. The server announces these in its `hello`.

/// Longest payload before login in bytes: a receiver reserves what a length declares, and strangers are many.
/// It holds a `login` with the longest name and password.
pub const STRANGER_FRAME_LEN_MAX: usize = 4 * 1024;

/// Longest message after login in bytes: the longest path doubled by JSON escapes, several times over.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024;

/// Most file bytes in one frame: large enough that framing costs nothing beside them, small enough to hold a few for
/// each of many sessions.
pub const DATA_LEN_MAX: usize = 256 * 1024;

/// Longest payload after login in bytes: the marker byte and file bytes, or a message.
pub const FRAME_LEN_MAX: usize = 1 + DATA_LEN_MAX;

/// Bytes that TLS gathers before it writes: a frame of file bytes in one call of the system.
pub const TLS_BUFFER_LEN: usize = FRAME_LEN_MAX + 8 * 1024;

/// Most requests sent and not yet answered. Far away it decides how many small files go in a round trip: with 512 of
/// them at 50 ms, ten thousand a second. A server holds none of them: what it has not come to waits in the stream, whose
/// own window holds the client back.
pub const WINDOW: usize = 512;

/// Most that is read ahead while a body is being sent, in bytes, to find an abort of it among pipelined requests: a window
/// of them with paths of usual length, and the one frame that goes beyond it.
pub const READ_AHEAD_LEN_MAX: usize = 128 * 1024;

/// Uploads up to this size, in bytes, are worth sending at once: to send them again costs less than to ask first what is
/// there. A server commits them while the next ones come.
pub const SMALL_LEN: u64 = 1024 * 1024;

/// Longest human text of a fault in bytes; a sender shortens, a receiver does not trust.
pub const FAULT_MESSAGE_LEN_MAX: usize = 1024;

/// Fewest bytes of a frame that has begun in each interval in which it is looked at: about 700 bytes a second, which
/// every link has, and which nobody can afford to drip in thousands.
pub const PACE_LEN_MIN: usize = 8 * 1024;
