//! Ways to break the store on purpose, so that the proofs of durability can be seen to fail.
//!
//! Only a build with the feature `sabotage` has them, and it takes one from the environment variable
//! `NETDISK_SABOTAGE`. In every other build [`is`] is a constant `false`, and nothing of this is in the binary.

/// One thing that the store does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// An upload is acknowledged before it is committed.
    AckFirst,
    /// Files are not synced.
    NoFileSync,
    /// Directories are not synced.
    NoDirectorySync,
    /// An upload is written over the old file.
    InPlace,
    /// A sync that fails counts as one that succeeded.
    IgnoreSyncError,
    /// What could not be removed counts as removed.
    IgnoreRemoveError,
    /// What is read or copied is not compared with what was stored, nor what comes with what was claimed.
    IgnoreDigest,
}

/// Whether the store is broken so.
#[cfg(not(feature = "sabotage"))]
pub(super) const fn is(_: Sabotage) -> bool {
    false
}

/// Whether the store is broken so.
#[cfg(feature = "sabotage")]
pub(super) fn is(sabotage: Sabotage) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Sabotage>> = std::sync::OnceLock::new();
    let choose = || {
        let name = std::env::var("NETDISK_SABOTAGE").ok()?;
        let chosen = match name.as_str() {
            "ack-first" => Sabotage::AckFirst,
            "no-file-sync" => Sabotage::NoFileSync,
            "no-directory-sync" => Sabotage::NoDirectorySync,
            "in-place" => Sabotage::InPlace,
            "ignore-sync-error" => Sabotage::IgnoreSyncError,
            "ignore-remove-error" => Sabotage::IgnoreRemoveError,
            "ignore-digest" => Sabotage::IgnoreDigest,
            // A misspelt control would be a sound server, and its proof green for the wrong reason.
            _ => panic!("NETDISK_SABOTAGE={name} is none"),
        };
        tracing::error!(?chosen, "this store is broken on purpose");
        Some(chosen)
    };
    *CHOSEN.get_or_init(choose) == Some(sabotage)
}
