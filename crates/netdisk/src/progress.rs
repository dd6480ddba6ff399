//! Progress bars: bytes, rate and time left.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use netdisk_client::{Observer, Progress};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::escape::escape;
use crate::job::{JobView, Now};
use crate::output::Output;

/// Redraws a second: smooth to the eye, nothing beside the transfer.
pub(crate) const REDRAWS_PER_SEC: u8 = 10;
/// How often a bar is drawn, whether something moves it or not: where nothing does, its rate falls.
pub(crate) const REDRAW_INTERVAL: Duration = Duration::from_millis(1000 / REDRAWS_PER_SEC as u64);
/// How often a script is told.
const EVENT_INTERVAL: Duration = Duration::from_secs(1);

/// The bar of one transfer; gone when it is dropped.
pub(crate) enum Bar {
    Shown {
        bar: ProgressBar,
        name: String,
    },
    Events {
        output: Output,
        name: String,
        last: Mutex<Instant>,
    },
    /// Of a job: whoever asks for it is told.
    Beside(Arc<JobView>),
    Hidden,
}

impl Bar {
    /// A bar where one is wanted. The file's name may be somebody else's.
    pub(crate) fn new(output: &Output, name: &str) -> Self {
        if output.is_json() {
            return Self::Events { output: output.clone(), name: name.to_owned(), last: Mutex::new(Instant::now()) };
        }
        if let Some(job) = output.job() {
            job.show(|now| *now = Now { name: escape(name).into_owned(), ..Now::default() });
            return Self::Beside(job.clone());
        }
        if !output.has_bars() {
            return Self::Hidden;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SEC));
        let name = escape(name).into_owned();
        bar.set_message(name.clone());
        Self::Shown { bar, name }
    }
}

/// Columns that the bar with all its figures needs; the last three stay free for the `^C` that a terminal echoes.
const WIDE_COLUMNS: u16 = 79;

/// Of a transfer of many files, for which the bytes that are to come are known or not.
pub(crate) fn whole_style(has_size: bool) -> ProgressStyle {
    let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
    let template = match (has_size, columns >= WIDE_COLUMNS) {
        (true, true) => {
            "{msg:!28} {wide_bar} {binary_bytes:>10}/{binary_total_bytes} {binary_bytes_per_sec:>12} ETA {eta}   "
        }
        (true, false) => "{wide_msg} {percent:>3}% {binary_bytes_per_sec} {eta}",
        (false, _) => "{wide_msg} {binary_bytes} {binary_bytes_per_sec}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Of a file whose length is known, or of a stream; as much as fits a line, for a bar that wraps cannot be redrawn.
pub(crate) fn file_style(has_size: bool) -> ProgressStyle {
    let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
    let template = match (has_size, columns >= WIDE_COLUMNS) {
        (true, true) => {
            "{msg:!20} {wide_bar} {binary_bytes:>10}/{binary_total_bytes} {binary_bytes_per_sec:>12} ETA {eta}   "
        }
        (true, false) => "{wide_msg} {percent:>3}% {binary_bytes_per_sec} {eta}",
        (false, _) => "{wide_msg} {binary_bytes} {binary_bytes_per_sec}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Observer for Bar {
    fn progress(&self, progress: Progress) {
        match self {
            Self::Hidden => {}
            Self::Beside(job) => job.show(|now| {
                now.phase = None;
                now.progress = Some(progress);
            }),
            Self::Shown { bar, name } => {
                if progress.position == 0 {
                    bar.set_style(file_style(progress.size.is_some()));
                    bar.enable_steady_tick(REDRAW_INTERVAL);
                    if let Some(size) = progress.size {
                        bar.set_length(size);
                    }
                }
                if progress.position > 0 {
                    show_phase(bar, name, file_style(progress.size.is_some()));
                }
                // A retry counts from the start again; what has been shown as done stays shown.
                bar.set_position(bar.position().max(progress.position));
            }
            Self::Events { output, name, last } => {
                let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if progress.position == 0 || last.elapsed() >= EVENT_INTERVAL {
                    *last = Instant::now();
                    let event = if progress.position == 0 { "start" } else { "progress" };
                    output.note(
                        "",
                        json!({"event": event, "name": name, "position": progress.position, "size": progress.size}),
                    );
                }
            }
        }
    }

    fn verifying(&self, progress: Progress) {
        if let Self::Beside(job) = self {
            job.show(|now| now.phase = Some("verifying".to_owned()));
        }
        if let Self::Shown { bar, .. } = self {
            show_phase(bar, "verifying", file_style(progress.size.is_some()));
            bar.set_position(bar.position().max(progress.position));
        }
    }

    fn waiting(&self, reason: &str, delay: Duration) {
        match self {
            Self::Hidden => {}
            Self::Beside(job) => {
                let text = format!("waiting {:.1} s: {}", delay.as_secs_f64(), escape(reason));
                job.show(|now| now.phase = Some(text));
            }
            Self::Shown { bar, .. } => {
                let text = format!("waiting {:.1} s: {}", delay.as_secs_f64(), escape(reason));
                show_phase(bar, &text, line_style());
            }
            Self::Events { output, name, .. } => {
                let event = json!({"event": "waiting", "name": name, "reason": reason, "seconds": delay.as_secs_f64()});
                output.note("", event);
            }
        }
    }
}

/// Puts a phase in the place of the name, until there is progress again.
fn show_phase(bar: &ProgressBar, text: &str, style: ProgressStyle) {
    if bar.message() != text {
        bar.set_style(style);
        bar.set_message(text.to_owned());
        bar.tick();
    }
}

/// A line of text in the place of a bar.
pub(crate) fn line_style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Self::Shown { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}
