//! Four ways to say where a message ends; over the worst cuts that the seed has, each gives back what was written.

use std::io::Write;

use super::{Options, grouped};
use crate::bench::{self, FIXED, MESSAGES};
use crate::{LabError, paint};

pub(super) fn show(options: &Options, out: &mut dyn Write) -> Result<(), LabError> {
    let plain: usize = MESSAGES.iter().map(|(_, len)| len).sum();
    writeln!(out, "   cure         on the wire   reads   messages (cuts from seed {})", options.seed)?;
    for program in FIXED.iter().filter(|program| program.name != "limit") {
        let outcome = bench::run(program, options.seed)?;
        let received = outcome.received.as_ref().map_err(|error| LabError::Failed(error.to_string()))?;
        let words: Vec<String> = received.iter().map(|message| paint::in_words(&paint::runs(message))).collect();
        let reads = outcome.reads.iter().filter(|read| !read.bytes.is_empty()).count();
        let verdict = options.paint.verdict(outcome.is_whole(), if outcome.is_whole() { "right" } else { "WRONG" });
        writeln!(
            out,
            "   {:<12} {:>6} +{:<5} {reads:>4}   {}  {verdict}",
            program.name,
            grouped(outcome.sent_len),
            outcome.sent_len.saturating_sub(plain),
            words.join(", "),
        )?;
        if !outcome.is_whole() {
            return Err(LabError::Failed(format!("the cure by {} failed", program.name)));
        }
    }
    writeln!(out, "   `netdisk lab fixed NAME --source` prints each of these receivers;")?;
    writeln!(out, "   `netdisk lab broken NAME` is its wrong twin.")?;
    Ok(())
}
