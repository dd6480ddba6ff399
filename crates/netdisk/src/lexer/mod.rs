//! The one lexer of the shell: a line becomes words that remember which of their characters were quoted.
//!
//! ```text
//! 'a b'       everything as it stands, up to the next '
//! "a b"       the same, but \" \\ \$ \` are one character, and so is \u{1b}
//! a\ b        the next character as it stands; \u{1b} is the character of that number
//! # ...       where a word could begin: a comment
//! !CMD        the rest of the line is for this machine
//! ... &       at the end of the line: beside the prompt
//! ```
//!
//! The parser reads whole lines by [`lex`], completion reads up to the cursor by [`lex_to_cursor`], and both by the same
//! scanner; [`quote_rest`] writes what they read. Names with control or invisible characters are shown as `\u{..}`, and
//! can be typed as they are shown.

mod quote;
mod scan;
mod word;

pub(crate) use quote::{close, quote_rest};
pub(crate) use word::{Component, Word};

use scan::{Ending, scan};

/// In what kind of quotes a character stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    /// In none.
    Plain,
    /// In `'...'`.
    Single,
    /// In `"..."`.
    Double,
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// It is empty, or a comment.
    Nothing,
    /// A command of this machine.
    Local(String),
    /// A command of the shell.
    Command {
        /// Its words, of which there is at least one.
        words: Vec<Word>,
        /// Whether it ends with `&`.
        background: bool,
    },
}

/// Why a line cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LexError {
    /// A quote is still open at the end.
    #[error("a quote is not closed")]
    OpenQuote,
    /// The last character is a backslash.
    #[error("nothing follows the last `\\`")]
    OpenEscape,
    /// A lone `&`.
    #[error("`&` stands after a command")]
    NoCommand,
}

/// Reads a whole line.
pub(crate) fn lex(line: &str) -> Result<Line, LexError> {
    if let Some(command) = line.trim_start().strip_prefix('!') {
        return Ok(Line::Local(command.trim().to_owned()));
    }
    let scanned = scan(line, Ending::Line);
    if scanned.unfinished.is_some() {
        return Err(LexError::OpenEscape);
    }
    if scanned.quote != Quote::Plain {
        return Err(LexError::OpenQuote);
    }
    let mut words = scanned.words;
    words.extend(scanned.open.map(|open| open.word));
    let background = words.last_mut().is_some_and(Word::take_ampersand);
    // It was a word of its own.
    if background && words.last().is_some_and(Word::is_bare) {
        words.pop();
        if words.is_empty() {
            return Err(LexError::NoCommand);
        }
    }
    if words.is_empty() { Ok(Line::Nothing) } else { Ok(Line::Command { words, background }) }
}

/// What stands before a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The words before the one at the cursor.
    pub(crate) words: Vec<Word>,
    /// As much of the word at the cursor as stands before it.
    pub(crate) word: Word,
    /// The byte at which that word begins.
    pub(crate) start: usize,
    /// The byte before which it is understood; behind it stands an escape that is not finished.
    pub(crate) understood: usize,
    /// In what quotes the cursor stands.
    pub(crate) quote: Quote,
}

/// Reads a line up to the cursor at its end; `None` where no word of ours can stand.
pub(crate) fn lex_to_cursor(line: &str) -> Option<Cursor> {
    if line.trim_start().starts_with('!') {
        return None;
    }
    let scanned = scan(line, Ending::Cursor);
    if scanned.in_comment {
        return None;
    }
    let understood = scanned.unfinished.unwrap_or(line.len());
    let (start, word) = match scanned.open {
        Some(open) => (open.start, open.word),
        None => (understood, Word::default()),
    };
    Some(Cursor { words: scanned.words, word, start, understood, quote: scanned.quote })
}

#[cfg(test)]
mod tests;
