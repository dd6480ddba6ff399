//! What is printed: lines for people, or one JSON object a line for scripts.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, OnceLock};

use anstyle::Style;
use netdisk_client::Outcome;
use netdisk_model::{Entry, EntryKind};
use serde_json::{Value, json};

use crate::escape::{escape, escape_json};
use crate::failure::Failure;
use crate::job::JobView;
use crate::paint::{Safe, When, style_of};

/// How much of a listing is gathered before it is written, in bytes.
const PAGE_LEN: usize = 64 * 1024;
/// Of a file of which nothing travelled.
pub(crate) const NOT_SENT: &str = "not sent: the server had it";
/// Columns of a terminal that does not say how wide it is.
const COLUMNS: usize = 80;

/// Where results go.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    /// The job that prints, where it is not the command at the prompt.
    job: Option<Arc<JobView>>,
    colour: bool,
    /// The first failure to write. Work goes on: it was asked for, whoever reads of it.
    lost: Arc<OnceLock<io::Error>>,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool, colour: When) -> Self {
        Self { json, quiet, colour: !json && colour.is_wanted(), job: None, lost: Arc::default() }
    }

    /// The same for a job: lines stand above the prompt, and there are no bars.
    pub(crate) fn beside(&self, job: Arc<JobView>) -> Self {
        Self { job: Some(job), ..self.clone() }
    }

    /// The job that prints.
    pub(crate) fn job(&self) -> Option<&Arc<JobView>> {
        self.job.as_ref()
    }

    /// How many columns the terminal has on which a person reads; `None` where the reader is a program.
    pub(crate) fn columns(&self) -> Option<usize> {
        if self.json || !io::stdout().is_terminal() {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        Some(if size == 0 { COLUMNS } else { size })
    }

    /// How the name of such a thing looks here.
    pub(crate) fn style(&self, kind: EntryKind) -> Style {
        if self.colour { style_of(kind) } else { Style::new() }
    }

    /// Whether there are colours.
    pub(crate) fn has_colour(&self) -> bool {
        self.colour
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    /// Lines that come in great number.
    pub(crate) fn page(&self) -> Page<'_> {
        Page { output: self, text: String::new() }
    }

    /// Whether all could be written. A reader that has gone (`| head`) has seen enough.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        match self.lost.get() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::output(io::Error::new(error.kind(), error.to_string())))
            }
            _ => Ok(()),
        }
    }

    /// Text for people that no script reads.
    pub(crate) fn text(&self, text: &str) {
        if !self.json {
            text.lines().for_each(|line| self.print(line, Value::Null));
        }
    }

    /// Whether progress bars are wanted and can be shown.
    pub(crate) fn has_bars(&self) -> bool {
        !self.json && !self.quiet && self.job.is_none() && io::stderr().is_terminal()
    }

    /// Whether events are printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A result: always printed. The text may hold names of others.
    pub(crate) fn result(&self, text: &str, event: Value) {
        self.print(text, event);
    }

    /// What a person likes to know; `--quiet` leaves it out.
    pub(crate) fn note(&self, text: &str, event: Value) {
        if self.json || !self.quiet {
            self.print(text, event);
        }
    }

    /// Several lines about one thing, for a person; one object, for a script.
    pub(crate) fn lines(&self, text: &str, entry: &Entry) {
        if self.json {
            return self.print("", entry_event(entry));
        }
        for line in text.lines() {
            self.print(line, Value::Null);
        }
    }

    /// The end of a transfer.
    pub(crate) fn transferred(&self, verb: &str, name: &str, outcome: Outcome, took: std::time::Duration) {
        let digest = outcome.digest.to_string();
        let rate = outcome.size as f64 / took.as_secs_f64().max(1e-6);
        let size = indicatif::BinaryBytes(outcome.size);
        let how =
            if outcome.reused { NOT_SENT.to_owned() } else { format!("{}/s", indicatif::BinaryBytes(rate as u64)) };
        let text = format!("{verb} {name}  {size}  {how}  blake3:{}", &digest[..16]);
        let mut event = json!({
            "event": "done", "verb": verb, "name": name, "size": outcome.size, "digest": digest,
            "seconds": took.as_secs_f64(),
        });
        if outcome.reused {
            event["reused"] = true.into();
        }
        self.note(&text, event);
    }

    /// What went wrong: on standard error, or as an event.
    pub(crate) fn failure(&self, failure: &Failure) {
        let message = failure.to_string();
        if self.json {
            let event = json!({"event": "error", "code": failure.name(), "exit": failure.code(), "message": message});
            self.print("", event);
        } else {
            self.say(&message);
        }
    }

    /// What is wrong and stops nothing.
    pub(crate) fn warning(&self, message: &str) {
        if self.json {
            self.print("", json!({"event": "warning", "message": message}));
        } else {
            self.say(message);
        }
    }

    /// On standard error; of a job, where its person looks.
    fn say(&self, message: &str) {
        match &self.job {
            None => eprintln!("netdisk: {}", escape(message)),
            Some(job) => {
                if let Some(line) = job.say(&escape(message)) {
                    eprintln!("{line}");
                }
            }
        }
    }

    fn print(&self, text: &str, event: Value) {
        let line = if self.json { escape_json(&event.to_string()) } else { escape(text).into_owned() };
        self.write(&(line + "\n"));
    }

    fn write(&self, text: &str) {
        let text: Cow<'_, str> = match self.job.as_ref().filter(|_| !self.json) {
            Some(job) => text.lines().filter_map(|line| job.say(line)).map(|line| line + "\n").collect(),
            None => text.into(),
        };
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.lost.get_or_init(|| error);
        }
    }
}

/// Lines of a listing that are written together; each call of a write costs more than the line.
pub(crate) struct Page<'a> {
    output: &'a Output,
    text: String,
}

impl Page<'_> {
    /// A result: always printed.
    pub(crate) fn line(&mut self, shown: impl FnOnce() -> Safe, event: impl FnOnce() -> Value) {
        match self.output.json {
            true => self.text.push_str(&escape_json(&event().to_string())),
            false => self.text.push_str(&shown().to_string()),
        }
        self.text.push('\n');
        if self.text.len() >= PAGE_LEN {
            self.show();
        }
    }

    /// A line that only people need, such as a heading.
    pub(crate) fn text(&mut self, shown: &Safe) {
        if !self.output.json {
            self.text.push_str(&format!("{shown}\n"));
        }
    }

    /// Writes what was gathered.
    pub(crate) fn show(&mut self) {
        if !self.text.is_empty() {
            self.output.write(&std::mem::take(&mut self.text));
        }
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        self.show();
    }
}

/// A line of a listing, for a script.
pub(crate) fn entry_event(entry: &Entry) -> Value {
    let mut event = json!({"event": "entry"});
    if let (Value::Object(event), Ok(Value::Object(entry))) = (&mut event, serde_json::to_value(entry)) {
        event.extend(entry);
    }
    event
}

/// The name of an entry as `ls` shows it.
pub(crate) fn name_with_mark(name: &str, kind: EntryKind) -> String {
    match kind {
        EntryKind::File => name.to_owned(),
        EntryKind::Directory => format!("{name}/"),
        EntryKind::Other => format!("{name}?"),
    }
}

/// A time in the zone of this machine.
pub(crate) fn local_time(modified_ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(modified_ms) {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => "?".to_owned(),
    }
}
