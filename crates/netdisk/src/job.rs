//! A job as others see it: what it says, and how far it is.

use std::sync::{Arc, Mutex, PoisonError};

use indicatif::BinaryBytes;
use netdisk_client::Progress;

use crate::notices::Notices;

/// What a command shows of itself while it runs beside the prompt.
#[derive(Debug)]
pub(crate) struct JobView {
    number: u32,
    notices: Arc<Notices>,
    now: Mutex<Now>,
}

/// What a job is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Now {
    /// The file under way.
    pub(crate) name: String,
    pub(crate) progress: Option<Progress>,
    /// Something else than moving bytes: verifying, waiting.
    pub(crate) phase: Option<String>,
}

impl JobView {
    pub(crate) fn new(number: u32, notices: Arc<Notices>) -> Self {
        Self { number, notices, now: Mutex::default() }
    }

    /// Says a line, which is safe for a terminal; gives back what is to be printed at once.
    #[must_use]
    pub(crate) fn say(&self, line: &str) -> Option<String> {
        self.notices.say(format!("[{}] {line}", self.number))
    }

    /// Takes over what a bar would show.
    pub(crate) fn show(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn now(&self) -> Now {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Now {
    /// In some words; nothing when there is nothing to say.
    pub(crate) fn words(&self) -> String {
        let done = match (&self.phase, self.progress) {
            (Some(phase), _) => phase.clone(),
            (None, Some(Progress { position, size: Some(size) })) if size > 0 => {
                let percent = u128::from(position) * 100 / u128::from(size);
                format!("{percent}% of {}", BinaryBytes(size))
            }
            (None, Some(Progress { position, .. })) => BinaryBytes(position).to_string(),
            (None, None) => return String::new(),
        };
        format!("{done}  {}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_says_how_far_it_is() {
        let mut now = Now::default();
        assert_eq!(now.words(), "");
        now.name = "/a b".to_owned();
        now.progress = Some(Progress { position: 1 << 20, size: Some(4 << 20) });
        assert_eq!(now.words(), "25% of 4.00 MiB  /a b");
        now.progress = Some(Progress { position: 1 << 20, size: None });
        assert_eq!(now.words(), "1.00 MiB  /a b");
        now.phase = Some("verifying".to_owned());
        assert_eq!(now.words(), "verifying  /a b");
    }
}
