//! A live run over real sockets, recorded: three messages, framed by length, cut as a seed says.

use super::HEADER_LEN;
use super::recording::{Direction, Event, Kind, Recording};
use crate::LabError;
use crate::bench::{FIXED, MESSAGES, run};
use crate::paint;

/// Sends the three messages of the lessons to the right receiver and records it.
///
/// # Errors
/// When the wire fails, or the receiver does.
pub fn live(seed: u64) -> Result<Recording, LabError> {
    let program = FIXED.iter().find(|program| program.name == "length");
    let program = program.ok_or_else(|| LabError::Failed("there is no lesson `length`".to_owned()))?;
    let outcome = run(program, seed)?;
    let received = outcome.received.map_err(|error| LabError::Failed(error.to_string()))?;
    // The steps are the clock here: what the seed decides takes no time worth a number.
    let mut us = 0;
    let mut next = || {
        us += 1;
        us
    };
    let way = Direction::Received;
    let written = MESSAGES.iter().map(|(_, len)| Event::Written { us: next(), way, len: HEADER_LEN + len });
    let mut events: Vec<Event> = written.collect();
    let (mut held, mut frames) = (0, received.into_iter().peekable());
    for read in outcome.reads.iter().filter(|read| !read.bytes.is_empty()) {
        events.push(Event::Read { us: next(), len: read.bytes.len() });
        held += read.bytes.len();
        while let Some(message) = frames.next_if(|message| held >= HEADER_LEN + message.len()) {
            held -= HEADER_LEN + message.len();
            let text = paint::in_words(&paint::runs(&message));
            events.push(Event::Frame { us: next(), way, kind: Kind::Message, len: message.len(), text });
        }
    }
    Ok(Recording { events })
}
