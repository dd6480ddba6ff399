//! Runs a receiver of the lessons over a wire whose cuts come from a seed, and says what came of three messages.

use std::io::{self, Read, Write};

use crate::limits::LESSON_MESSAGE_LEN_MAX;
use crate::wire::{ReadCall, Wire};
use crate::{LabError, Paint, Random, broken, fixed, paint};

/// The three messages of the lessons: their letter and their length in bytes.
pub const MESSAGES: [(u8, usize); 3] = [(b'A', 256), (b'B', 2056), (b'C', 128)];

/// What the liar of the lesson `limit` announces in bytes: enough to see, and harmless on any machine, since nothing
/// is written into it.
const LIE_LEN: u32 = 512 * 1024 * 1024;

/// Longest piece in which the bytes of a lesson arrive.
const PIECE_LEN_MAX: usize = 1400;

/// A receiver of the lessons.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a function has nothing to show")]
pub struct Program {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it does, in a line.
    pub what: &'static str,
    /// Its text, to be read.
    pub source: &'static str,
    receive: fn(&mut dyn Read) -> io::Result<Vec<Vec<u8>>>,
    encode: fn(&str, &[u8]) -> io::Result<Vec<u8>>,
}

macro_rules! program {
    ($name:literal, $kind:ident :: $module:ident, $encode:expr, $what:literal) => {
        Program {
            name: $name,
            what: $what,
            source: include_str!(concat!(stringify!($kind), "/", stringify!($module), ".rs")),
            receive: $kind::$module::receive,
            encode: $encode,
        }
    };
}

fn by_delimiter(_: &str, message: &[u8]) -> io::Result<Vec<u8>> {
    Ok(fixed::delimiter::encode(message))
}
fn by_fixed_size(_: &str, message: &[u8]) -> io::Result<Vec<u8>> {
    fixed::fixed_size::encode(message)
}
fn by_length(_: &str, message: &[u8]) -> io::Result<Vec<u8>> {
    fixed::length::encode(message)
}
fn by_lie(_: &str, _: &[u8]) -> io::Result<Vec<u8>> {
    Ok(LIE_LEN.to_be_bytes().to_vec())
}

/// The wrong receivers.
pub const BROKEN: [Program; 5] = [
    program!("delimiter", broken::delimiter, by_delimiter, "takes the end of a read for the end of a line"),
    program!("fixed-size", broken::fixed_size, by_fixed_size, "a recv that is never repeated"),
    program!("length", broken::length, by_length, "reads 4 bytes and then \"the rest\""),
    program!("limit", broken::limit, by_lie, "believes every length"),
    program!("header", broken::header, fixed::header::encode, "reads on until it has at least the size"),
];

/// The right ones.
pub const FIXED: [Program; 5] = [
    program!("delimiter", fixed::delimiter, by_delimiter, "keeps what comes behind the last newline"),
    program!("fixed-size", fixed::fixed_size, by_fixed_size, "repeats the read until the cell is full"),
    program!("length", fixed::length, by_length, "reads header and message to their ends"),
    program!("limit", fixed::length, by_lie, "looks at the length before it reserves anything"),
    program!("header", fixed::header, fixed::header::encode, "never asks for more than is left"),
];

/// What a receiver made of the three messages.
#[derive(Debug)]
pub struct Outcome {
    /// Bytes on the wire.
    pub sent_len: usize,
    /// Each call of `read`.
    pub reads: Vec<ReadCall>,
    /// What it took for messages, or why it gave up.
    pub received: Result<Vec<Vec<u8>>, io::Error>,
}

impl Outcome {
    /// Whether the three messages came out as they went in.
    pub fn is_whole(&self) -> bool {
        self.received.as_ref().is_ok_and(|received| *received == messages())
    }
}

/// The three messages.
pub fn messages() -> Vec<Vec<u8>> {
    MESSAGES.iter().map(|&(letter, len)| vec![letter; len]).collect()
}

/// Sends the three messages to a receiver, cut as the seed says.
///
/// # Errors
/// When the wire fails; not when the receiver does.
pub fn run(program: &Program, seed: u64) -> Result<Outcome, LabError> {
    let mut bytes = Vec::new();
    for (message, (letter, _)) in messages().iter().zip(MESSAGES) {
        bytes.extend((program.encode)(&format!("{}.txt", char::from(letter)), message)?);
    }
    let cuts = Random::new(seed).cuts(bytes.len(), PIECE_LEN_MAX);
    let sent_len = bytes.len();
    let mut wire = Wire::new(bytes, cuts)?;
    let received = (program.receive)(&mut wire);
    Ok(Outcome { sent_len, reads: wire.finish()?, received })
}

/// Runs a receiver and prints what happened.
///
/// # Errors
/// When the wire or `out` fails; when a wrong receiver is not found out, or a right one fails.
pub fn show(program: &Program, is_right: bool, seed: u64, paint: Paint, out: &mut dyn Write) -> Result<(), LabError> {
    let kind = if is_right { "fixed" } else { "broken" };
    writeln!(out, "{}", paint.heading(&format!("{kind} {}: {}", program.name, program.what)))?;
    if program.name == "limit" {
        return show_limit(program, is_right, paint, out);
    }
    let sent: Vec<String> = MESSAGES.iter().map(|run| paint::in_words(&[*run])).collect();
    let outcome = run(program, seed)?;
    writeln!(out, "sent      {} as {} bytes, cut by seed {seed}", sent.join(", "), outcome.sent_len)?;
    for (number, read) in (1..).zip(&outcome.reads) {
        writeln!(out, "read {number:<4} asked for {:>6}, got {:>5}", read.asked, read.bytes.len())?;
    }
    match &outcome.received {
        Err(error) => writeln!(out, "gave up   {error}")?,
        Ok(received) => {
            for (number, message) in (1..).zip(received) {
                let good = messages().get(number - 1) == Some(message);
                let verdict = paint.verdict(good, if good { "right" } else { "WRONG" });
                let line =
                    format!("message {number} {:>5} bytes  {verdict}  {}", message.len(), describe(message, paint));
                writeln!(out, "{}", line.trim_end())?;
            }
        }
    }
    conclude(outcome.is_whole(), is_right, paint, out)
}

/// The letters of a message as a band; other bytes are framing that got into it.
fn describe(message: &[u8], paint: Paint) -> String {
    let is_letter = |byte: &u8| MESSAGES.iter().any(|(letter, _)| letter == byte);
    let mut text = String::new();
    for part in message.chunk_by(|a, b| is_letter(a) == is_letter(b)) {
        if is_letter(&part[0]) {
            text += &paint.band(&paint::runs(part));
        } else {
            text += &format!("[{} bytes of framing]", part.len());
        }
    }
    text
}

fn show_limit(program: &Program, is_right: bool, paint: Paint, out: &mut dyn Write) -> Result<(), LabError> {
    writeln!(out, "sent      the bytes {:02x?}: \"{LIE_LEN} bytes follow\", and nothing else", LIE_LEN.to_be_bytes())?;
    let mut wire = Wire::new(LIE_LEN.to_be_bytes().to_vec(), vec![4])?;
    let received = (program.receive)(&mut wire);
    // A read is offered the room that was reserved: it says how much that was.
    let reserved = wire.finish()?.iter().map(|read| read.asked).max().unwrap_or_default();
    let outcome = received.map_or_else(|error| error.to_string(), |messages| format!("{} messages", messages.len()));
    writeln!(out, "gave up   {outcome}")?;
    writeln!(out, "reserved  {reserved} bytes, and no byte of the message ever came")?;
    conclude(reserved <= LESSON_MESSAGE_LEN_MAX, is_right, paint, out)
}

fn conclude(is_whole: bool, is_right: bool, paint: Paint, out: &mut dyn Write) -> Result<(), LabError> {
    match (is_whole, is_right) {
        (true, true) => writeln!(out, "verdict   {}", paint.verdict(true, "right"))?,
        (false, false) => writeln!(out, "verdict   {}", paint.verdict(false, "broken, as it is meant to be"))?,
        (true, false) => return Err(LabError::NotShown("the broken receiver got away with it".to_owned())),
        (false, true) => return Err(LabError::Failed("the right receiver failed".to_owned())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_receiver_is_found_out_by_every_seed_and_no_right_one_is() {
        for seed in 0..60 {
            for program in BROKEN.iter().filter(|program| program.name != "limit") {
                assert!(!run(program, seed).expect("a wire").is_whole(), "broken {} with seed {seed}", program.name);
            }
            for program in FIXED.iter().filter(|program| program.name != "limit") {
                let outcome = run(program, seed).expect("a wire");
                assert!(outcome.is_whole(), "fixed {} with seed {seed}: {outcome:?}", program.name);
            }
        }
    }

    #[test]
    fn a_lie_about_a_length_costs_the_wrong_receiver_memory_and_the_right_one_nothing() {
        let shown = |programs: &[Program; 5], is_right| {
            let mut out = Vec::new();
            let limit = programs.iter().find(|program| program.name == "limit").expect("there");
            show(limit, is_right, 1, Paint::Plain, &mut out).expect("shown");
            String::from_utf8(out).expect("UTF-8")
        };
        assert!(shown(&FIXED, true).contains("reserved  4 bytes"));
        assert!(shown(&BROKEN, false).contains("reserved  536870912 bytes"));
    }

    #[test]
    fn an_end_in_the_middle_is_no_message() {
        for program in FIXED.iter().filter(|program| program.name != "limit") {
            let whole = (program.encode)("x", b"hello").expect("encoded");
            for len in 1..whole.len() {
                let cut = (program.receive)(&mut &whole[..len]);
                assert!(cut.is_err(), "{} cut at {len} of {}", program.name, whole.len());
            }
            assert_eq!((program.receive)(&mut &whole[..]).expect("whole"), [b"hello"]);
        }
    }

    #[test]
    fn lengths_are_limited_at_the_limit() {
        let announced = |len: usize| {
            let mut bytes = u32::try_from(len).expect("short").to_be_bytes().to_vec();
            bytes.resize(4 + len, b'x');
            fixed::length::receive(&mut &bytes[..])
        };
        let max = fixed::length::MESSAGE_LEN_MAX;
        assert!(announced(max - 1).is_ok() && announced(max).is_ok() && announced(max + 1).is_err());
        let line = |len: usize| fixed::delimiter::receive(&mut &fixed::delimiter::encode(&vec![b'x'; len])[..]);
        let max = fixed::delimiter::LINE_LEN_MAX;
        assert!(line(max - 1).is_ok() && line(max).is_ok() && line(max + 1).is_err());
    }

    #[test]
    fn the_lessons_stay_short() {
        for program in BROKEN.iter().chain(&FIXED) {
            assert!(program.source.lines().count() < 150, "{}", program.name);
        }
    }
}
