//! `--trace FILE`: what the client sends and receives, frame by frame, secrets blacked out.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use netdisk_lab::view::Event;
use netdisk_protocol::{Frame, Way, WireObserver};

use crate::escape::{escape, escape_json};
use crate::failure::Failure;

/// A trace that is being written.
#[derive(Debug)]
struct Trace {
    began: Instant,
    /// Without a file, lines for people go to standard error.
    file: Option<Mutex<File>>,
}

/// Begins a trace in FILE; `-` is standard error.
pub(crate) fn start(file: &Path) -> Result<Arc<dyn WireObserver>, Failure> {
    let file = if file == Path::new("-") {
        None
    } else {
        // Names of files stand in it: they are nobody else's business.
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
        let opened = opened.map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
        Some(Mutex::new(opened))
    };
    Ok(Arc::new(Trace { began: Instant::now(), file }))
}

impl Trace {
    fn us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn write(&self, event: &Event) {
        let Some(file) = &self.file else {
            if matches!(event, Event::Frame { .. }) {
                eprintln!("{}", escape(&event.in_words()));
            }
            return;
        };
        let line = serde_json::to_string(event).map(|json| escape_json(&json) + "\n");
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // The transfer is what was asked for: a trace that cannot be written on must not end it.
        if let Err(error) = line.map_err(Into::into).and_then(|line| file.write_all(line.as_bytes())) {
            eprintln!("netdisk: the trace has a gap: {error}");
        }
    }
}

impl WireObserver for Trace {
    fn frame(&self, way: Way, frame: &Frame) {
        self.write(&Event::of_frame(self.us(), way.into(), frame));
    }

    fn moved(&self, way: Way, len: usize) {
        self.write(&match way {
            Way::Sent => Event::Written { us: self.us(), way: way.into(), len },
            Way::Received => Event::Read { us: self.us(), len },
        });
    }
}
