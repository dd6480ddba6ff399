//! Passwords at rest: argon2id, through a door as wide as the machine has cores.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use netdisk_model::Password;

use crate::door::Door;

/// Memory in KiB, passes and lanes: the minimum of OWASP's Password Storage Cheat Sheet for argon2id (19 MiB, 2, 1).
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// Hashes and checks passwords, as many at once as there are cores: more would only cost memory.
#[derive(Debug, Clone)]
pub(crate) struct PasswordDoor {
    door: Door,
    /// A hash of nobody's password, so that an unknown user costs as much time as a known one.
    decoy: Arc<str>,
}

impl PasswordDoor {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { door: Door::new(cores), decoy: hash_now(&Password::new("nobody's password")).into() }
    }

    /// Hashes a new password into a PHC string.
    pub(crate) async fn hash(&self, password: Password) -> String {
        self.door.run(move || hash_now(&password)).await
    }

    /// Tells whether `password` has the hash `stored`; without one, takes as long and says no.
    pub(crate) async fn verify(&self, password: Password, stored: Option<String>) -> bool {
        let decoy = self.decoy.clone();
        let check = move || {
            let matches = verify_now(&password, stored.as_deref().unwrap_or(&decoy));
            matches && stored.is_some()
        };
        self.door.run(check).await
    }
}

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).expect("OWASP's parameters are within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash_now(password: &Password) -> String {
    let hash = argon2().hash_password(password.expose().as_bytes());
    hash.expect("the operating system gives random bytes, and the parameters are good").to_string()
}

fn verify_now(password: &Password, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|hash| argon2().verify_password(password.expose().as_bytes(), &hash).is_ok())
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
}
