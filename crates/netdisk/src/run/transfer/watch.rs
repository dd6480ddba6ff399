//! What a person or a script sees of a transfer of many: bars, a line or an event for each file, and a summary.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, MultiProgress, ProgressBar, ProgressDrawTarget};
use netdisk_client::{ClientError, End, Item, Progress, Summary, TransfersObserver};
use serde_json::json;

use crate::escape::escape;
use crate::failure::Failure;
use crate::job::Now;
use crate::output::Output;
use crate::progress::{REDRAW_INTERVAL, REDRAWS_PER_SEC, file_style, line_style, whole_style};

/// How often a script is told how far a large file has come.
const EVENT_INTERVAL: Duration = Duration::from_secs(1);
/// Files shorter than this have no bar of their own: they are gone before anybody reads it.
const OWN_BAR_LEN: u64 = 8 * 1024 * 1024;
/// Bars of files at once, below the whole: as many as fit most screens.
const BARS_MAX: usize = 8;

/// Watches one transfer.
pub(super) struct Watch {
    output: Output,
    verb: &'static str,
    /// Whether each file has its line: of a tree, nobody reads them.
    has_lines: bool,
    bars: Option<Bars>,
    state: Mutex<State>,
}

struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
}

#[derive(Default)]
struct State {
    summary: Summary,
    found: (u64, u64),
    /// How far the large files have come that are under way: as many as there are connections.
    under_way: HashMap<PathBuf, u64>,
    large: HashMap<PathBuf, ProgressBar>,
    told: HashMap<PathBuf, Instant>,
    /// The first failure, as long as it is all that has happened.
    only: Option<Failure>,
    /// Whether the line of the whole says why it waits.
    is_waiting: bool,
}

impl State {
    /// Bytes that were acknowledged, and those of large files that are under way.
    fn position(&self) -> u64 {
        self.under_way.values().fold(self.summary.bytes, |sum, come| sum.saturating_add(*come))
    }

    /// Files that have come to their end.
    fn settled(&self) -> u64 {
        self.summary.files + self.summary.left_out + self.summary.failed
    }
}

impl Watch {
    pub(super) fn new(output: &Output, verb: &'static str, has_lines: bool) -> Self {
        let bars = output.has_bars().then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SEC));
            let whole = all.add(ProgressBar::no_length().with_style(whole_style(false)));
            whole.enable_steady_tick(REDRAW_INTERVAL);
            Bars { all, whole }
        });
        Self { output: output.clone(), verb, has_lines, bars, state: Mutex::default() }
    }

    /// Something failed before it began.
    pub(super) fn failed_before(&self, failure: &Failure) {
        self.output.failure(failure);
        self.state().summary.failed += 1;
    }

    /// Something is wrong that stops nothing.
    pub(super) fn warning(&self, text: &str) {
        self.aside(|| self.output.warning(text));
    }

    /// Does something at the terminal while no bar is drawn.
    pub(super) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.all.suspend(work),
            None => work(),
        }
    }

    /// Takes the bars away.
    pub(super) fn close(&self) {
        if let Some(bars) = &self.bars {
            let large: Vec<ProgressBar> = self.state().large.drain().map(|(_, bar)| bar).collect();
            large.iter().for_each(ProgressBar::finish_and_clear);
            bars.whole.finish_and_clear();
        }
    }

    /// The failure, where it is all that happened: it is the outcome of the command.
    pub(super) fn take_only_failure(&self) -> Option<Failure> {
        self.state().only.take()
    }

    /// Says what came of all of them.
    pub(super) fn finish(&self, took: Duration) -> Summary {
        let summary = self.state().summary;
        let Summary { files, bytes, directories, left_out, failed } = summary;
        let rate = BinaryBytes((bytes as f64 / took.as_secs_f64().max(1e-6)) as u64);
        let mut text = format!("{} {files} {}", self.verb, if files == 1 { "file" } else { "files" });
        text.push_str(&format!(", {} in {:.1} s, {rate}/s", BinaryBytes(bytes), took.as_secs_f64()));
        for (count, what) in [(left_out, "skipped"), (failed, "failed")] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        let event = json!({
            "event": "summary", "verb": self.verb, "files": files, "bytes": bytes, "directories": directories,
            "skipped": left_out, "failed": failed, "seconds": took.as_secs_f64(),
        });
        self.output.note(&text, event);
        summary
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What failed first is said once something else happens.
    pub(super) fn say_only(&self) {
        let only = self.state().only.take();
        if let Some(only) = only {
            self.aside(|| self.output.failure(&only));
        }
    }

    fn done(&self, item: Item<'_>, outcome: netdisk_client::Outcome) {
        {
            let mut state = self.state();
            state.summary.files += 1;
            state.summary.bytes += outcome.size;
        }
        if !self.has_lines && !self.output.is_json() {
            return;
        }
        let digest = outcome.digest.to_string();
        let text = format!("{} {}  {}  blake3:{}", self.verb, item.remote, BinaryBytes(outcome.size), &digest[..16]);
        let event = json!({
            "event": "done", "verb": self.verb, "name": item.remote, "local": item.local.to_string_lossy(),
            "size": outcome.size, "digest": digest,
        });
        self.aside(|| self.output.note(&text, event));
    }

    fn failed(&self, item: Item<'_>, error: &ClientError) {
        let failure = Failure::of_one(item, error);
        let mut state = self.state();
        let is_first = state.summary == Summary::default();
        state.summary.failed += 1;
        if is_first {
            state.only = Some(failure);
            return;
        }
        drop(state);
        self.aside(|| self.output.failure(&failure));
    }

    /// Something moves: nothing waits any more.
    fn goes_on(&self) {
        let (was_waiting, has_size) = {
            let mut state = self.state();
            (std::mem::take(&mut state.is_waiting), state.found.0 > 0)
        };
        if let (true, Some(Bars { whole, .. })) = (was_waiting, &self.bars) {
            whole.set_style(whole_style(has_size));
            self.show_whole();
        }
    }

    fn show_whole(&self) {
        if let Some(job) = self.output.job() {
            let state = self.state();
            let (settled, found) = (state.settled(), state.found);
            let progress = Progress { position: state.position(), size: Some(found.1).filter(|size| *size > 0) };
            drop(state);
            job.show(|now| {
                let name = format!("{settled}/{} files", found.0.max(settled));
                *now = Now { name, progress: Some(progress), phase: None };
            });
        }
        let Some(Bars { whole, .. }) = &self.bars else { return };
        let state = self.state();
        let settled = state.settled();
        let of = if state.found.0 > 0 { format!("/{}", state.found.0.max(settled)) } else { String::new() };
        whole.set_message(format!("{settled}{of} files"));
        whole.set_position(state.position());
    }
}

impl TransfersObserver for Watch {
    fn wants_totals(&self) -> bool {
        self.bars.is_some() || self.output.job().is_some()
    }

    fn found(&self, files: u64, bytes: u64) {
        let mut state = self.state();
        state.found = (state.found.0 + files, state.found.1.saturating_add(bytes));
        if let Some(Bars { whole, .. }) = &self.bars {
            whole.set_length(state.found.1);
            if !state.is_waiting {
                whole.set_style(whole_style(true));
            }
        }
    }

    fn began(&self, item: Item<'_>, size: u64) {
        self.goes_on();
        if self.output.is_json() {
            self.output.note("", json!({"event": "start", "name": item.remote, "size": size}));
        }
        let Some(Bars { all, .. }) = &self.bars else { return };
        let mut state = self.state();
        if size >= OWN_BAR_LEN && state.large.len() < BARS_MAX && !state.large.contains_key(item.local) {
            let bar = all.add(ProgressBar::new(size).with_style(file_style(true)));
            bar.set_message(escape(item.remote.name().unwrap_or_default()).into_owned());
            bar.enable_steady_tick(REDRAW_INTERVAL);
            state.large.insert(item.local.to_owned(), bar);
        }
    }

    fn progress(&self, item: Item<'_>, progress: Progress) {
        self.goes_on();
        if let Some(job) = self.output.job() {
            let name = escape(item.remote.as_str()).into_owned();
            job.show(|now| *now = Now { name, progress: Some(progress), phase: None });
        }
        let mut state = self.state();
        if let Some(bar) = state.large.get(item.local) {
            // A retry counts from the start again; what has been shown as done stays shown.
            bar.set_position(bar.position().max(progress.position));
        }
        let come = state.under_way.entry(item.local.to_owned()).or_default();
        *come = progress.position.max(*come);
        if let Some(Bars { whole, .. }) = &self.bars {
            whole.set_position(state.position());
        }
        if self.output.is_json() {
            let now = Instant::now();
            let told = state.told.entry(item.local.to_owned()).or_insert(now);
            if told.elapsed() >= EVENT_INTERVAL {
                *told = now;
                let size = progress.size;
                let event =
                    json!({"event": "progress", "name": item.remote, "position": progress.position, "size": size});
                self.output.note("", event);
            }
        }
    }

    fn ended(&self, item: Item<'_>, end: &End) {
        self.goes_on();
        self.say_only();
        {
            let mut state = self.state();
            state.told.remove(item.local);
            state.under_way.remove(item.local);
            if let Some(bar) = state.large.remove(item.local) {
                bar.finish_and_clear();
            }
        }
        match end {
            End::Done(outcome) => self.done(item, *outcome),
            End::Made => self.state().summary.directories += 1,
            End::LeftOut(why) => {
                self.state().summary.left_out += 1;
                let event = json!({"event": "skipped", "name": item.remote, "local": item.local.to_string_lossy(), "reason": why.to_string()});
                let text = format!("skipped {}: {why}", item.local.display());
                self.aside(|| self.output.note(&text, event));
            }
            End::Failed(error) => self.failed(item, error),
        }
        self.show_whole();
    }

    fn waiting(&self, reason: &str, delay: Duration) {
        if let Some(job) = self.output.job() {
            let text = format!("waiting {:.1} s: {}", delay.as_secs_f64(), escape(reason));
            job.show(|now| now.phase = Some(text));
        }
        if self.output.is_json() {
            let event = json!({"event": "waiting", "reason": reason, "seconds": delay.as_secs_f64()});
            self.output.note("", event);
        }
        if let Some(Bars { whole, .. }) = &self.bars {
            self.state().is_waiting = true;
            // The whole line: the reason says what to do.
            whole.set_style(line_style());
            whole.set_message(format!("waiting {:.1} s: {}", delay.as_secs_f64(), escape(reason)));
        }
    }
}
