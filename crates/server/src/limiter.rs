//! Makes guessing dear: who was refused lately waits before the next password is even looked at.
//!
//! A network pays for all its wrong tries, an account for those of everybody. The owner is not locked out by that: tokens
//! ask no account's leave, and a network from which the account was entered with its password lately has a count of its
//! own for it. Waiting is bounded, and tries that are told to wait do not lengthen it. Tries under way are counted too:
//! some at once where few were wrong lately, one after the other where many were.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netdisk_model::UserName;
use tokio::time::Instant;

use crate::gate::Network;

/// Wrong tries of a network that cost no wait: an office may sit behind one address, and people mistype.
const NETWORK_FREE: u32 = 20;
/// The longest wait of a network.
const NETWORK_WAIT_MAX: Duration = Duration::from_secs(5 * 60);
/// One wrong try of a network is forgiven in this time.
const NETWORK_FORGIVE: Duration = Duration::from_secs(60);

/// Wrong tries for an account that cost no wait.
const ACCOUNT_FREE: u32 = 5;
/// The longest wait for an account: 1,440 guesses a day, wherever they come from.
const ACCOUNT_WAIT_MAX: Duration = Duration::from_secs(60);
/// One wrong try for an account is forgiven in this time.
const ACCOUNT_FORGIVE: Duration = Duration::from_secs(10 * 60);

/// Tries at once, where few were wrong lately: scripts and offices begin their day so.
const AT_ONCE_MAX: u32 = 128;
/// How long to wait for those under way.
const AT_ONCE_WAIT: Duration = Duration::from_secs(1);

/// How long a network stays known to an account.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Keys in each table: some MiB. What a full table forgets first has the fewest wrong tries.
const KEYS_MAX: usize = 64 * 1024;
/// How many keys a full table looks at for one to forget.
const LOOKED_AT: usize = 32;

/// Counts wrong tries.
#[derive(Debug)]
pub(crate) struct Limiter {
    hasher: RandomState,
    networks: Mutex<Table>,
    accounts: Mutex<Table>,
}

/// A try under way. Dropped, it was wrong: who leaves before the answer has guessed all the same.
#[derive(Debug)]
pub(crate) struct Try<'a> {
    limiter: &'a Limiter,
    network: u64,
    account: Option<u64>,
    /// What makes the network known to the account.
    pair: Option<u64>,
    is_known: bool,
    right: bool,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        let networks = Rule { free: NETWORK_FREE, wait_max: NETWORK_WAIT_MAX, forgive: NETWORK_FORGIVE };
        let accounts = Rule { free: ACCOUNT_FREE, wait_max: ACCOUNT_WAIT_MAX, forgive: ACCOUNT_FORGIVE };
        Self {
            hasher: RandomState::new(),
            networks: Mutex::new(Table::new(networks)),
            accounts: Mutex::new(Table::new(accounts)),
        }
    }

    /// Begins a try by password, whether there is such an account or not.
    ///
    /// # Errors
    /// How long to wait before the next try.
    pub(crate) fn begin_password(&self, network: Network, user: &UserName) -> Result<Try<'_>, Duration> {
        let now = Instant::now();
        let pair = self.key(&(network, user));
        let mut accounts = lock(&self.accounts);
        let is_known = accounts.is_known(pair, now);
        let account = if is_known { pair } else { self.key(user) };
        accounts.check(account, now)?;
        let network = self.begin_network(network, now)?;
        accounts.begin(account, now);
        Ok(Try { limiter: self, network, account: Some(account), pair: Some(pair), is_known, right: false })
    }

    /// Begins a try that concerns no account's password: by token, or to make an account.
    ///
    /// # Errors
    /// As [`Limiter::begin_password`].
    pub(crate) fn begin_other(&self, network: Network) -> Result<Try<'_>, Duration> {
        let network = self.begin_network(network, Instant::now())?;
        Ok(Try { limiter: self, network, account: None, pair: None, is_known: false, right: false })
    }

    /// Somebody came in as `user` otherwise than by password: from there, the owner's tries are the owner's.
    pub(crate) fn know(&self, network: Network, user: &UserName) {
        lock(&self.accounts).make_known(self.key(&(network, user)), Instant::now());
    }

    fn begin_network(&self, network: Network, now: Instant) -> Result<u64, Duration> {
        let key = self.key(&network);
        let mut networks = lock(&self.networks);
        networks.check(key, now)?;
        networks.begin(key, now);
        Ok(key)
    }

    /// Keys are hashes that nobody outside can foresee: names of any length take the same room.
    fn key(&self, of: &impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }
}

impl Try<'_> {
    /// Whether the account was entered from this network lately.
    pub(crate) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Costs nothing. Wrong tries before it stay: otherwise an account of one's own would pay for guesses at those of
    /// others.
    pub(crate) fn succeeded(mut self) {
        self.right = true;
        if let Some(pair) = self.pair {
            lock(&self.limiter.accounts).make_known(pair, Instant::now());
        }
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        if let Some(account) = self.account {
            lock(&self.limiter.accounts).end(account, now, self.right);
        }
        lock(&self.limiter.networks).end(self.network, now, self.right);
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What wrong tries cost.
#[derive(Debug, Clone, Copy)]
struct Rule {
    free: u32,
    wait_max: Duration,
    forgive: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    wrong: u32,
    /// The last wrong try.
    last: Instant,
    under_way: u32,
    known_until: Option<Instant>,
}

#[derive(Debug)]
struct Table {
    rule: Rule,
    counts: HashMap<u64, Count>,
}

impl Table {
    fn new(rule: Rule) -> Self {
        Self { rule, counts: HashMap::new() }
    }

    /// Wrong tries that are not forgiven yet.
    fn wrong(&self, count: &Count, now: Instant) -> u32 {
        let forgiven = now.duration_since(count.last).as_secs() / self.rule.forgive.as_secs();
        count.wrong.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }

    fn check(&self, key: u64, now: Instant) -> Result<(), Duration> {
        let Some(count) = self.counts.get(&key) else { return Ok(()) };
        let over = self.wrong(count, now).checked_sub(self.rule.free);
        let at_once_max = if over.is_none() { AT_ONCE_MAX } else { 1 };
        if count.under_way >= at_once_max {
            return Err(AT_ONCE_WAIT);
        }
        let Some(over) = over else { return Ok(()) };
        let wait = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(over)).min(self.rule.wait_max);
        match wait.checked_sub(now.duration_since(count.last)) {
            Some(left) if !left.is_zero() => Err(left),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, key: u64, now: Instant) {
        self.count(key, now).under_way += 1;
    }

    fn end(&mut self, key: u64, now: Instant, right: bool) {
        let wrong = self.counts.get(&key).map_or(0, |count| self.wrong(count, now));
        let count = self.count(key, now);
        count.under_way = count.under_way.saturating_sub(1);
        if !right {
            count.wrong = wrong + 1;
            count.last = now;
        } else if count.wrong == 0 && count.under_way == 0 && count.known_until.is_none() {
            self.counts.remove(&key);
        }
    }

    fn is_known(&self, pair: u64, now: Instant) -> bool {
        self.counts.get(&pair).is_some_and(|count| count.known_until.is_some_and(|until| until > now))
    }

    fn make_known(&mut self, pair: u64, now: Instant) {
        self.count(pair, now).known_until = Some(now + KNOWN_FOR);
    }

    /// The count of a key, a new one where there is none. A full table forgets the one that matters least, of some.
    fn count(&mut self, key: u64, now: Instant) -> &mut Count {
        if self.counts.len() >= KEYS_MAX && !self.counts.contains_key(&key) {
            let weight = |count: &Count| {
                (count.under_way, self.wrong(count, now), count.known_until.is_some_and(|until| until > now))
            };
            let least = self.counts.iter().take(LOOKED_AT).min_by_key(|(_, count)| weight(count));
            if let Some(least) = least.map(|(key, _)| *key) {
                self.counts.remove(&least);
            }
        }
        self.counts.entry(key).or_insert(Count { wrong: 0, last: now, under_way: 0, known_until: None })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn network(number: u32) -> Network {
        Network::of(std::net::Ipv4Addr::from_bits(number).into())
    }

    fn user(name: &str) -> UserName {
        name.parse().expect("a name")
    }

    /// Guesses as fast as the limiter lets, from ever new networks, for so long; gives how many got through.
    async fn guesses(limiter: &Limiter, name: &str, duration: Duration) -> u32 {
        let end = Instant::now() + duration;
        let mut through = 0;
        while Instant::now() < end {
            match limiter.begin_password(network(through), &user(name)) {
                Ok(guess) => {
                    drop(guess);
                    through += 1;
                }
                Err(wait) => advance(wait).await,
            }
        }
        through
    }

    #[tokio::test(start_paused = true)]
    async fn a_botnet_has_some_thousand_guesses_a_day_at_an_account() {
        let limiter = Limiter::new();
        let through = guesses(&limiter, "alice", Duration::from_secs(24 * 60 * 60)).await;
        assert!((1_000..1_500).contains(&through), "{through}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_network_has_few_guesses_at_all_accounts() {
        let limiter = Limiter::new();
        let mut through = 0_u32;
        let end = Instant::now() + Duration::from_secs(24 * 60 * 60);
        while Instant::now() < end {
            match limiter.begin_password(network(1), &user(&format!("user{through}"))) {
                Ok(guess) => {
                    drop(guess);
                    through += 1;
                }
                Err(wait) => advance(wait).await,
            }
        }
        assert!(through < 1_500, "{through}");
        assert!(limiter.begin_password(network(2), &user("alice")).is_ok(), "others do not wait for it");
    }

    #[tokio::test(start_paused = true)]
    async fn the_owner_is_not_locked_out() {
        let limiter = Limiter::new();
        let home = network(0x7f00_0001);
        limiter.begin_password(home, &user("alice")).expect("the first try").succeeded();
        guesses(&limiter, "alice", Duration::from_secs(3600)).await;
        let stranger = [0, 1].map(|number| limiter.begin_password(network(1 << 20 | number), &user("alice")).is_ok());
        assert!(!stranger[1], "a stranger's network waits");
        limiter.begin_password(home, &user("alice")).expect("a known network").succeeded();
        let other = network(2 << 20);
        limiter.begin_other(other).expect("a token").succeeded();
        limiter.know(other, &user("alice"));
        limiter.begin_password(other, &user("alice")).expect("a known network").succeeded();
    }

    #[tokio::test(start_paused = true)]
    async fn tries_at_once_count_and_right_ones_cost_nothing() {
        let limiter = Limiter::new();
        let tries: Vec<_> = (0..1000).map_while(|_| limiter.begin_password(network(1), &user("alice")).ok()).collect();
        assert_eq!(tries.len(), AT_ONCE_MAX as usize);
        drop(tries);
        for _ in 0..1000 {
            limiter.begin_password(network(2), &user("bob")).expect("right each time").succeeded();
        }
        let ask = || limiter.begin_password(network(2), &user("alice")).err();
        assert_eq!([ask(), ask()], [Some(ACCOUNT_WAIT_MAX); 2], "asking while waiting does not lengthen the wait");
        advance(ACCOUNT_WAIT_MAX).await;
        let one = limiter.begin_password(network(2), &user("alice")).expect("waited");
        assert_eq!(ask(), Some(AT_ONCE_WAIT), "one after the other now");
        drop(one);
        advance(ACCOUNT_FORGIVE * AT_ONCE_MAX).await;
        let again: Vec<_> = (0..2).map_while(|_| limiter.begin_password(network(2), &user("alice")).ok()).collect();
        assert_eq!(again.len(), 2, "forgiven");
    }

    #[tokio::test(start_paused = true)]
    async fn the_tables_do_not_grow_without_end() {
        let limiter = Limiter::new();
        let attacker = network(u32::MAX);
        for _ in 0..NETWORK_FREE {
            drop(limiter.begin_other(attacker).expect("free"));
        }
        for number in 0..u32::try_from(KEYS_MAX + KEYS_MAX / 8).expect("small") {
            drop(limiter.begin_password(network(number), &user(&format!("user{number}"))));
        }
        assert_eq!(limiter.networks.lock().expect("no panic").counts.len(), KEYS_MAX);
        assert_eq!(limiter.accounts.lock().expect("no panic").counts.len(), KEYS_MAX);
        assert!(limiter.begin_other(attacker).is_err(), "who matters is not forgotten");
    }
}
