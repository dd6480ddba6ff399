//! What a server announces in its hello, as far as this end makes use of it.

use netdisk_protocol::{AnnouncedLimits, REUSE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Requests that may be under way at once.
    pub(crate) window: usize,
    /// Whether it knows the requests `known` and `reuse`.
    pub(crate) has_reuse: bool,
}

impl Offer {
    /// Of a server that announced these; one that announces nothing takes a request at a time.
    pub(crate) fn of(limits: Option<AnnouncedLimits>, features: &[String]) -> Self {
        Self {
            window: limits.map_or(1, |limits| limits.window),
            has_reuse: features.iter().any(|feature| feature == REUSE),
        }
    }
}
