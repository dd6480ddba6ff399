//! The scanner: one pass over the characters of a line.

use super::{Quote, Word};

/// What the end of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The end of the line: nothing more will come.
    Line,
    /// The cursor: an escape may be half typed.
    Cursor,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Scanned {
    /// The words that have ended.
    pub(super) words: Vec<Word>,
    /// The word that the text ends in.
    pub(super) open: Option<Open>,
    /// The quotes that the text ends in.
    pub(super) quote: Quote,
    /// Where an escape begins that the text ends in.
    pub(super) unfinished: Option<usize>,
    /// Whether the text ends in a comment.
    pub(super) in_comment: bool,
}

/// A word that has not ended.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The byte at which it begins.
    pub(super) start: usize,
    pub(super) word: Word,
}

/// What stands behind a backslash.
enum Escape {
    /// This character, spelled by so many bytes.
    Character(char, usize),
    /// Nothing special: the backslash stands for itself.
    Nothing,
    /// The text ends before that is clear.
    Unfinished,
}

pub(super) fn scan(text: &str, ending: Ending) -> Scanned {
    let mut scanned =
        Scanned { words: Vec::new(), open: None, quote: Quote::Plain, unfinished: None, in_comment: false };
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let next = at + c.len_utf8();
        match (scanned.quote, c) {
            (Quote::Plain, ' ' | '\t' | '\n' | '\r') => {
                scanned.words.extend(scanned.open.take().map(|open| open.word));
            }
            (Quote::Plain, '#') if scanned.open.is_none() => {
                scanned.in_comment = true;
                return scanned;
            }
            (Quote::Plain, '\'') => scanned.enter(Quote::Single, at),
            (Quote::Plain, '"') => scanned.enter(Quote::Double, at),
            (Quote::Single, '\'') | (Quote::Double, '"') => scanned.quote = Quote::Plain,
            (Quote::Plain | Quote::Double, '\\') => match escape(&text[next..], scanned.quote, ending) {
                Escape::Character(c, len) => {
                    scanned.word(at).push(c, true);
                    at = next + len;
                    continue;
                }
                Escape::Nothing => scanned.word(at).push('\\', true),
                Escape::Unfinished => {
                    scanned.word(at);
                    scanned.unfinished = Some(at);
                    return scanned;
                }
            },
            (quote, c) => scanned.word(at).push(c, quote != Quote::Plain),
        }
        at = next;
    }
    scanned
}

impl Scanned {
    /// The word at hand, which begins at `at` if there is none yet.
    fn word(&mut self, at: usize) -> &mut Word {
        &mut self.open.get_or_insert_with(|| Open { start: at, word: Word::default() }).word
    }

    fn enter(&mut self, quote: Quote, at: usize) {
        self.word(at).mark_quoted();
        self.quote = quote;
    }
}

/// Reads what follows a backslash.
fn escape(rest: &str, quote: Quote, ending: Ending) -> Escape {
    if let Some(escape) = code_point(rest) {
        match escape {
            Escape::Unfinished if ending == Ending::Line => {}
            escape => return escape,
        }
    }
    match rest.chars().next() {
        None => Escape::Unfinished,
        Some(c) if quote == Quote::Plain || "\"\\$`".contains(c) => Escape::Character(c, c.len_utf8()),
        Some(_) => Escape::Nothing,
    }
}

/// The digits of the highest code point, 10ffff.
const CODE_POINT_DIGITS_MAX: usize = 6;

/// `u{1b}`; `None` when it is something else.
fn code_point(rest: &str) -> Option<Escape> {
    let digits = match rest.strip_prefix('u')?.strip_prefix('{') {
        Some(digits) => digits,
        None if rest == "u" => return Some(Escape::Unfinished),
        None => return None,
    };
    let len = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
    match digits[len..].chars().next() {
        _ if len > CODE_POINT_DIGITS_MAX => None,
        None => Some(Escape::Unfinished),
        Some('}') => {
            let c = u32::from_str_radix(&digits[..len], 16).ok().and_then(char::from_u32)?;
            Some(Escape::Character(c, "u{".len() + len + "}".len()))
        }
        Some(_) => None,
    }
}
