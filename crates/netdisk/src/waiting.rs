//! Says why a command waits for the server, and when it tries again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use netdisk_client::{Observer, Progress};
use serde_json::json;

use crate::escape::escape;
use crate::output::Output;
use crate::progress::Bar;

/// Watches a command that has no bar of its own; what it showed is gone when it is dropped.
pub(crate) struct Waiting<'a> {
    output: &'a Output,
    /// Shown at the first wait.
    bar: Mutex<Option<Bar>>,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(output: &'a Output) -> Self {
        Self { output, bar: Mutex::new(None) }
    }
}

impl Observer for Waiting<'_> {
    fn progress(&self, _progress: Progress) {}

    fn waiting(&self, reason: &str, delay: Duration) {
        if self.output.is_json() {
            let event = json!({"event": "waiting", "reason": reason, "seconds": delay.as_secs_f64()});
            self.output.note("", event);
        } else if self.output.has_bars() || self.output.job().is_some() {
            let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
            bar.get_or_insert_with(|| Bar::new(self.output, "")).waiting(reason, delay);
        } else {
            eprintln!("netdisk: {}; next try in {:.1} s", escape(reason), delay.as_secs_f64());
        }
    }
}
