//! How long the server waits and how many it serves, and why.

use std::time::Duration;

/// A stranger's time for the TLS handshake: two round trips and some arithmetic.
pub const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// A stranger's time for `hello`, which needs no thought.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for each try to log in: a client asks for the password before it connects.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(25);

/// Tries to log in on one connection before it is closed.
pub const LOGIN_TRIES_MAX: usize = 5;

/// Silence between two requests of a user; heartbeats count as sound.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Silence inside a body or a reply, in or out: it bounds neither a frame nor the transfer. With what it takes to notice,
/// a silent peer is gone within half a minute.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(25);

/// Time to tell a peer that broke the protocol or fell silent, and to close: one that does not read does not get more.
pub const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes for a peer that the kernel takes before they can be sent, so one that does not read holds no more of its memory
/// than this. Unless it is asked, Linux takes 4 MiB, and has less than that for a thousand such peers: they make it short
/// of memory for the sockets of everybody, and each that is cut gives room to others, who then seem to be reading. It is
/// one frame of file bytes: the next one is at hand before that is sent.
pub(crate) const UNSENT_LEN_MAX: u32 = 256 * 1024;

/// Uploads up to this size, in bytes, are taken off the wire as a whole before anything is done about them: what fits one
/// frame has been in memory anyway.
pub const WHOLE_LEN: u64 = netdisk_protocol::limits::DATA_LEN_MAX as u64;

/// Small uploads of one session that wait for the disk while the next ones come: as many as a batch under way and the
/// next one. Each that is under way holds a descriptor.
pub const COMMITS_MAX: usize = 2 * BATCH_LEN_MAX;

/// Small uploads that are handed to the store at once: enough to share its syncs.
pub const BATCH_LEN_MAX: usize = 64;

/// And so many bytes of them, beyond which one more may go: what a session holds in memory is bounded by it.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Downloads that are opened together where a client has asked for so many already. Each holds a descriptor.
pub const DOWNLOADS_MAX: usize = 16;

/// Sizes that one request may ask about: several times what a client sends in a batch. The files of each size are looked
/// at.
pub const SIZES_MAX: usize = 256;

/// How often a session asks whether its account is let in still.
pub const STANDING_INTERVAL: Duration = Duration::from_secs(2);

/// Between two rounds of putting the store in order. What it clears is old or of no use; nothing waits for it.
pub const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Pause after a failed accept: out of descriptors, the next try fails too, and a tight loop helps nobody.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Time that bodies under way have to end after a stop was asked for.
pub const GRACE: Duration = Duration::from_secs(5);

/// Time that aborted bodies have to be told and rolled back after that.
pub const ROLLBACK_GRACE: Duration = Duration::from_secs(2);

/// Connections at once, where descriptors suffice; the next ones wait in the kernel's queue. An idle one costs some
/// tens of KiB.
const CONNECTIONS_MAX: usize = 16 * 1024;

/// Descriptors that no connection gets: the database, directories, the log, standard streams.
const DESCRIPTORS_KEPT_BACK: usize = 32;

/// How many connections are served at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// All together.
    pub connections_max: usize,
    /// Of those that have not logged in. Each is gone within its deadlines, so the others' turn comes.
    pub strangers_max: usize,
    /// From one IPv4 address or IPv6 /64. An office may sit behind one address.
    pub network_connections_max: usize,
    /// The same before login: it takes many networks to take all strangers' places.
    pub network_strangers_max: usize,
    /// Of one user: several programs with a pool each.
    pub user_connections_max: usize,
    /// Passwords being hashed or waiting for it: some seconds of work for two cores.
    pub logins_max: usize,
    /// The same from one network: a flood from one place leaves room for others.
    pub network_logins_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            strangers_max: 2048,
            network_connections_max: 1024,
            network_strangers_max: 128,
            user_connections_max: 64,
            logins_max: 192,
            network_logins_max: 96,
        }
    }
}

impl Limits {
    /// As many connections as a process that may have so many descriptors can serve: of four descriptors, three are for
    /// connections and one is for a file under way.
    pub fn for_descriptors(descriptors: usize) -> Self {
        let connections_max = (descriptors.saturating_sub(DESCRIPTORS_KEPT_BACK) / 4 * 3).clamp(1, CONNECTIONS_MAX);
        let default = Self::default();
        Self {
            connections_max,
            // Where there are few, those who are in must not have to leave room for strangers.
            strangers_max: default.strangers_max.min(connections_max.div_ceil(2)),
            network_strangers_max: default.network_strangers_max.min(connections_max.div_ceil(4)),
            ..default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_files() {
        for descriptors in [0, 32, 33, 64, 256, 1024, 20_000, 1 << 20] {
            let limits = Limits::for_descriptors(descriptors);
            assert!(limits.connections_max >= 1 && limits.strangers_max >= 1 && limits.network_strangers_max >= 1);
            assert!(limits.connections_max == 1 || limits.connections_max + DESCRIPTORS_KEPT_BACK < descriptors);
            assert!(limits.strangers_max <= limits.connections_max);
        }
        assert_eq!(Limits::for_descriptors(1 << 20).connections_max, CONNECTIONS_MAX);
    }
}
