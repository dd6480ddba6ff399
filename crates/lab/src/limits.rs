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

/// How long to wait after a failed accept: out of file descriptors, it would otherwise be tried without a pause.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long a partner in the messenger may be silent: a person types in the meantime.
pub const MESSENGER_IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How many senders the messenger serves at once: a class.
pub const MESSENGER_CONNECTIONS_MAX: usize = 64;

/// How long the messenger takes what a refused sender has under way, and how much: a simple sender is through by then.
pub const MESSENGER_LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// As much as fits a socket's buffers.
pub const MESSENGER_LINGER_LEN_MAX: u64 = 8 * 1024 * 1024;

/// Longest type of the messenger in bytes: the longest file name with every byte escaped, and the words around it.
pub const MESSENGER_TYPE_LEN_MAX: u64 = 4 * 1024;

/// Longest text of the messenger in bytes. It is kept in memory until it is whole.
pub const MESSENGER_TEXT_LEN_MAX: u64 = 1024 * 1024;

/// Most that a merging mangler holds back in bytes: more than any frame is long.
pub const MERGE_LEN_MAX: usize = 1024 * 1024;

/// Longest file of the messenger in bytes, unless said otherwise: what a signed length can announce.
pub const MESSENGER_FILE_LEN_MAX: u64 = i32::MAX as u64;

/// How long the mini server waits for a frame, in or out: PROTOCOL.md, section 8.
pub const MINI_FRAME_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an impatient server waits for a reader: far less than a slow one needs.
pub const IMPATIENCE: Duration = Duration::from_secs(1);

/// How long the mini server reads on behind its last word, and how much.
pub const MINI_LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// As much as fits a socket's buffers.
pub const MINI_LINGER_LEN_MAX: u64 = 8 * 1024 * 1024;

/// The largest file that the mini server keeps in bytes: it keeps all in memory.
pub const MINI_FILE_LEN_MAX: usize = 64 * 1024 * 1024;

/// How long one case of the grader may take: the slowest ones wait for a slow reader on purpose.
pub const CASE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server may take for a reply, unless said otherwise: PROTOCOL.md allows more, and nobody wants to wait.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Longest body that the grader takes in bytes: twice its largest file. A wrong server may never end.
pub const GRADED_BODY_LEN_MAX: usize = 16 * 1024 * 1024;

/// Most that the grader keeps of what a client says in bytes: a listing is far shorter, and a wrong client may never end.
pub const CLIENT_OUTPUT_LEN_MAX: u64 = 1024 * 1024;

/// How long a graded client may take for one command: a slow interpreter starts within a second.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Most that a command of the lesson may say in bytes: less than a socket's buffers hold, since one side writes it all
/// before the other reads.
pub const COMMAND_OUTPUT_LEN_MAX: usize = 64 * 1024;

/// Longest recording in events: far more than a person steps through, and little memory.
pub const RECORDING_EVENTS_MAX: usize = 1_000_000;

/// Longest recording in bytes: half a million frames of a transfer, and as much memory as a person notices not.
pub const RECORDING_LEN_MAX: u64 = 64 * 1024 * 1024;

/// Longest packet of a capture in bytes: tcpdump's own limit.
pub const CAPTURE_PACKET_LEN_MAX: usize = 262_144;

/// Longest capture in bytes: thousands of times a lesson's session. It is kept in memory, and its payloads once more.
pub const CAPTURE_LEN_MAX: u64 = 64 * 1024 * 1024;

/// How long tcpdump may take to begin, and the packets of a finished session to arrive in its file.
pub const CAPTURE_TIMEOUT: Duration = Duration::from_secs(5);
