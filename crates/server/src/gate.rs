//! Who may hold how many connections: all together, strangers, one network, one user.
//!
//! A place is given back when its guard is dropped. The maps hold an entry for each network and user that has a place
//! at this moment, so they are bounded by the connections.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use netdisk_model::UserName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

/// Whoever shares an address, as far as a server can tell: an IPv4 address, or the /64 that an IPv6 host chooses its
/// addresses from (RFC 4291, 2.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl Network {
    pub(crate) fn of(address: IpAddr) -> Self {
        // An IPv4 peer of a dual-stack socket comes as ::ffff:a.b.c.d, and all of those are one /64.
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
            v4 => v4,
        })
    }
}

/// Counts the places.
#[derive(Debug)]
pub(crate) struct Gate {
    all: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    networks: Counts<Network>,
    networks_of_strangers: Counts<Network>,
    users: Counts<UserName>,
    logins: Arc<Semaphore>,
    networks_of_logins: Counts<Network>,
}

/// A place among all connections, and in one network.
#[derive(Debug)]
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    _network: Counted<Network>,
}

/// A place among the strangers: given up at login, so that those who are in do not keep others out.
#[derive(Debug)]
pub(crate) struct StrangersPlace {
    _strangers: OwnedSemaphorePermit,
    _network: Counted<Network>,
}

/// A place among the connections of one user.
#[derive(Debug)]
pub(crate) struct UsersPlace {
    _user: Counted<UserName>,
}

/// A place among those whose password is being hashed, or waits for it.
#[derive(Debug)]
pub(crate) struct LoginsPlace {
    _all: Option<OwnedSemaphorePermit>,
    _network: Counted<Network>,
}

/// Room for one more connection, whoever it will be.
pub(crate) struct Room {
    all: OwnedSemaphorePermit,
    strangers: OwnedSemaphorePermit,
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections_max)),
            strangers: Arc::new(Semaphore::new(limits.strangers_max)),
            networks: Counts::new(limits.network_connections_max),
            networks_of_strangers: Counts::new(limits.network_strangers_max),
            users: Counts::new(limits.user_connections_max),
            logins: Arc::new(Semaphore::new(limits.logins_max)),
            networks_of_logins: Counts::new(limits.network_logins_max),
        }
    }

    /// Waits for room; until there is, strangers wait in the kernel's queue.
    pub(crate) async fn room(&self) -> Option<Room> {
        let all = self.all.clone().acquire_owned().await.ok()?;
        let strangers = self.strangers.clone().acquire_owned().await.ok()?;
        Some(Room { all, strangers })
    }

    /// Gives room to a peer; `None` when its network has all that one network may have.
    pub(crate) fn admit(&self, room: Room, network: Network) -> Option<(Place, StrangersPlace)> {
        let of_strangers = self.networks_of_strangers.count(network)?;
        let of_all = self.networks.count(network)?;
        Some((
            Place { _all: room.all, _network: of_all },
            StrangersPlace { _strangers: room.strangers, _network: of_strangers },
        ))
    }

    /// A place for one more password; `None` when so many wait already that the wait would be long. Who `is_known` need
    /// not find one among all: a flood of strangers is none of their business.
    pub(crate) fn admit_login(&self, network: Network, is_known: bool) -> Option<LoginsPlace> {
        let of_network = self.networks_of_logins.count(network)?;
        let all = if is_known { None } else { Some(self.logins.clone().try_acquire_owned().ok()?) };
        Some(LoginsPlace { _all: all, _network: of_network })
    }

    /// A place for one more connection of a user; `None` when they have all that one user may have.
    pub(crate) fn admit_user(&self, user: &UserName) -> Option<UsersPlace> {
        self.users.count(user.clone()).map(|counted| UsersPlace { _user: counted })
    }
}

/// How many there are of each key, up to a limit.
#[derive(Debug, Clone)]
struct Counts<K> {
    counts: Arc<Mutex<HashMap<K, usize>>>,
    limit: usize,
}

impl<K: Hash + Eq + Clone> Counts<K> {
    fn new(limit: usize) -> Self {
        Self { counts: Arc::default(), limit }
    }

    fn count(&self, key: K) -> Option<Counted<K>>
    where
        K: std::fmt::Debug,
    {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key.clone()).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Counted { counts: self.counts.clone(), key })
    }
}

/// One of them; counted no more when it is dropped.
#[derive(Debug)]
struct Counted<K: Hash + Eq> {
    counts: Arc<Mutex<HashMap<K, usize>>>,
    key: K,
}

impl<K: Hash + Eq> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = counts.get_mut(&self.key) else { return };
        *count -= 1;
        if *count == 0 {
            counts.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        Network::of(address.parse().expect("an address"))
    }

    #[test]
    fn an_ipv6_host_is_its_64_and_an_ipv4_host_itself() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[tokio::test]
    async fn a_network_gets_its_share_and_gives_it_back() {
        let limits = Limits { network_strangers_max: 2, network_connections_max: 3, ..Limits::default() };
        let gate = Gate::new(&limits);
        let here = network("192.0.2.1");
        let (one, _stranger) = gate.admit(gate.room().await.expect("room"), here).expect("the first");
        let (_two, second) = gate.admit(gate.room().await.expect("room"), here).expect("the second");
        assert!(gate.admit(gate.room().await.expect("room"), here).is_none(), "two strangers");
        assert!(gate.admit(gate.room().await.expect("room"), network("192.0.2.2")).is_some(), "another network");
        drop(second);
        let (_three, third) = gate.admit(gate.room().await.expect("room"), here).expect("one logged in");
        drop(third);
        assert!(gate.admit(gate.room().await.expect("room"), here).is_none(), "three connections");
        drop(one);
        assert!(gate.admit(gate.room().await.expect("room"), here).is_some());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_who_has_gone() {
        let gate = Gate::new(&Limits::default());
        for last in 0..=255 {
            let network = Network::of(IpAddr::from([192, 0, 2, last]));
            assert!(gate.admit(gate.room().await.expect("room"), network).is_some());
            assert!(gate.admit_user(&format!("user{last}").parse().expect("a name")).is_some());
        }
        assert!(gate.networks.counts.lock().expect("no panic").is_empty());
        assert!(gate.users.counts.lock().expect("no panic").is_empty());
    }
}
