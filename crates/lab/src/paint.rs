//! Coloured bands: which message each byte came from, at a glance.

/// Whether colours may be used. The letters alone say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Letters only: for files, pipes and tests.
    Plain,
    /// Coloured backgrounds (ECMA-48), for a terminal.
    Colour,
}

/// Bytes that one cell of a band stands for.
const CELL_LEN: usize = 64;

impl Paint {
    /// A band for runs of bytes: one cell for each 64 bytes, at least one a run.
    pub fn band(self, runs: &[(u8, usize)]) -> String {
        runs.iter().map(|&(letter, len)| self.cells(letter, len.div_ceil(CELL_LEN))).collect()
    }

    /// `count` cells of the message `letter`.
    pub fn cells(self, letter: u8, count: usize) -> String {
        let text = char::from(letter).to_string().repeat(count);
        match self {
            Self::Plain => text,
            // Black on one of six light colours: readable on dark and light terminals.
            Self::Colour => format!("\x1b[30;{}m{text}\x1b[0m", 102 + letter.wrapping_sub(b'A') % 5),
        }
    }

    /// A heading.
    pub fn heading(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[1m{text}\x1b[0m"),
        }
    }

    /// A verdict: green for good, red for bad.
    pub fn verdict(self, good: bool, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{}m{text}\x1b[0m", if good { 32 } else { 31 }),
        }
    }
}

/// The runs of equal bytes: which message each part of a read came from, said by the bytes themselves.
pub(crate) fn runs(bytes: &[u8]) -> Vec<(u8, usize)> {
    bytes.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

/// Runs in words: `8 B + 128 C`.
pub(crate) fn in_words(runs: &[(u8, usize)]) -> String {
    let words: Vec<String> = runs.iter().map(|(letter, len)| format!("{len} {}", char::from(*letter))).collect();
    words.join(" + ")
}

/// What a peer or a file says, with nothing in it that moves a cursor, changes colours or turns letters round.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if is_harmless(c) { c } else { '\u{fffd}' }).collect()
}

fn is_harmless(c: char) -> bool {
    // The standard library knows which characters are seen; behind another one a combining mark is.
    let is_seen = || format!("x{c}").escape_debug().count() == 2;
    if c.is_ascii() { !c.is_control() } else { is_seen() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_stays_and_what_steers_a_terminal_does_not() {
        for text in ["{\"it's\": \"a\\\\b\"}", "夏天 [1].jpg", "élise", "e\u{301}", "🎉", "عربي"] {
            assert_eq!(harmless(text), text);
        }
        assert_eq!(harmless("a\n\u{1b}[2J\u{9b}m\u{202e}\u{200b}\u{feff}z"), "a??[2J?m???z".replace('?', "\u{fffd}"));
    }

    #[test]
    fn a_band_has_a_cell_for_every_run() {
        let runs = runs(&[vec![b'B'; 8], vec![b'C'; 128]].concat());
        assert_eq!(in_words(&runs), "8 B + 128 C");
        assert_eq!(Paint::Plain.band(&runs), "BCC");
        assert_eq!(Paint::Colour.band(&runs[..1]), "\x1b[30;103mB\x1b[0m");
    }
}
