//! Watching a transfer: the terminal, a log or a test stands behind this trait.

use std::time::Duration;

/// Somebody who watches one transfer. Called often and from the transfer's own task: be quick.
///
/// ```
/// use netdisk_client::{Observer, Progress};
///
/// struct Percent;
///
/// impl Observer for Percent {
///     fn progress(&self, progress: Progress) {
///         if let Some(size) = progress.size.filter(|size| *size > 0) {
///             println!("{} %", progress.position * 100 / size);
///         }
///     }
/// }
/// # Percent.progress(Progress { position: 1, size: Some(2) });
/// ```
pub trait Observer: Send + Sync {
    /// The transfer has come so far.
    fn progress(&self, progress: Progress);

    /// What is there already has been read so far, to go on behind it; nothing travels meanwhile.
    fn verifying(&self, _progress: Progress) {}

    /// The file has been hashed so far: the server may have its content, and nothing travels meanwhile.
    fn hashing(&self, _progress: Progress) {}

    /// The connection was lost, for this reason; the next try comes after `delay`.
    fn waiting(&self, _reason: &str, _delay: Duration) {}
}

/// How far a transfer has come.
///
/// ```
/// let half = netdisk_client::Progress { position: 1, size: Some(2) };
/// assert_eq!(half.size.map(|size| size - half.position), Some(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file that are done.
    pub position: u64,
    /// Length of the file in bytes, when it is known.
    pub size: Option<u64>,
}

/// Nobody watches.
///
/// ```
/// let observer: &dyn netdisk_client::Observer = &netdisk_client::Unobserved;
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn progress(&self, _progress: Progress) {}
}
