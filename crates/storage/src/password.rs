//! Passwords at rest: argon2id, through a door as wide as the machine has cores.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use netdisk_model::Password;

use crate::door::Door;

/// Memory in KiB, passes and lanes: the minimum of OWASP's Password Storage Cheat Sheet for argon2id (19 MiB, 2, 1).
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// Hashes and checks passwords, as many at once as there are cores: more would only cost memory.
///
/// The memory of a hash is kept and used again: an allocator that gets 19 MiB back a hundred times a minute may keep
/// hundreds of them.
#[derive(Clone)]
pub(crate) struct PasswordDoor {
    door: Door,
    spare: Arc<Mutex<Vec<Vec<Block>>>>,
    /// A hash of nobody's password, so that an unknown user costs as much time as a known one.
    decoy: Arc<str>,
}

impl PasswordDoor {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut memory = Vec::new();
        let decoy = hash_now(&Password::new("nobody's password"), &mut memory).into();
        Self { door: Door::new(cores), spare: Arc::new(Mutex::new(vec![memory])), decoy }
    }

    /// Hashes a new password into a PHC string.
    pub(crate) async fn hash(&self, password: Password) -> String {
        self.run(move |memory| hash_now(&password, memory)).await
    }

    /// Tells whether `password` has the hash `stored`; without one, takes as long and says no.
    pub(crate) async fn verify(&self, password: Password, stored: Option<String>) -> bool {
        let decoy = self.decoy.clone();
        self.run(move |memory| {
            let matches = verify_now(&password, stored.as_deref().unwrap_or(&decoy), memory);
            matches && stored.is_some()
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static) -> T {
        let spare = self.spare.clone();
        self.door
            .run(move || {
                let mut memory = lock(&spare).pop().unwrap_or_default();
                let outcome = work(&mut memory);
                lock(&spare).push(memory);
                outcome
            })
            .await
    }
}

impl std::fmt::Debug for PasswordDoor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("PasswordDoor").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What argon2id makes of a password, in memory that is lent.
fn output(password: &Password, salt: &[u8], params: Params, memory: &mut Vec<Block>) -> Option<Output> {
    memory.resize(params.block_count(), Block::new());
    let mut bytes = [0; Params::DEFAULT_OUTPUT_LEN];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password.expose().as_bytes(), salt, &mut bytes, &mut memory[..])
        .ok()?;
    Output::new(&bytes).ok()
}

fn hash_now(password: &Password, memory: &mut Vec<Block>) -> String {
    let (cost, passes, lanes) = COST;
    let params = Params::new(cost, passes, lanes, None).expect("OWASP's parameters are within argon2's bounds");
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).expect("the operating system gives random bytes");
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).expect("OWASP's parameters can be written down"),
        salt: Some(Salt::new(&salt).expect("16 bytes are a salt")),
        hash: output(password, &salt, params, memory),
    };
    assert!(hash.hash.is_some(), "argon2 takes every password and 16 bytes of salt");
    hash.to_string()
}

/// Whether a stored hash was made with other parameters than those of today.
pub(crate) fn is_outdated(stored: &str) -> bool {
    let today = Params::new(COST.0, COST.1, COST.2, None).ok();
    let of_hash = PasswordHash::new(stored).ok().and_then(|hash| {
        (hash.algorithm == Algorithm::Argon2id.ident()).then(|| Params::try_from(&hash).ok()).flatten()
    });
    let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    of_hash.as_ref().map(cost) != today.as_ref().map(cost)
}

/// The parameters are those of the stored hash: they may be raised later without locking anybody out.
fn verify_now(password: &Password, stored: &str, memory: &mut Vec<Block>) -> bool {
    let mut parse = || {
        let hash = PasswordHash::new(stored).ok()?;
        let params = Params::try_from(&hash).ok()?;
        Some((output(password, hash.salt.as_ref()?, params, memory)?, hash.hash?))
    };
    // `Output` compares in constant time.
    parse().is_some_and(|(computed, stored)| computed == stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_matches_its_password_alone() {
        let door = PasswordDoor::new();
        let hash = door.hash(Password::new("correct horse")).await;
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(door.verify(Password::new("correct horse"), Some(hash.clone())).await);
        assert!(!door.verify(Password::new("wrong horse"), Some(hash)).await);
        assert!(!door.verify(Password::new("nobody's password"), None).await);
    }

    #[test]
    fn a_hash_of_other_days_is_known_as_such() {
        let today = hash_now(&Password::new("correct horse"), &mut Vec::new());
        assert!(!is_outdated(&today));
        assert!(is_outdated(&today.replace("m=19456", "m=9728")));
        assert!(is_outdated(&today.replace("t=2", "t=1")));
        assert!(is_outdated("no hash at all"));
    }

    #[test]
    fn the_library_itself_agrees() {
        use argon2::password_hash::PasswordVerifier as _;
        let hash = hash_now(&Password::new("correct horse"), &mut Vec::new());
        assert!(Argon2::default().verify_password(b"correct horse", hash.as_str()).is_ok());
        assert!(Argon2::default().verify_password(b"wrong horse", hash.as_str()).is_err());
    }
}
