//! Tab: what may stand where the cursor is, written as the lexer reads it.

use clap::{Command, CommandFactory as _};
use rustyline::completion::{Completer, Pair};
use rustyline::{Helper, Highlighter, Hinter, Validator};
use tokio::runtime::Handle;
use unicode_normalization::UnicodeNormalization as _;

use super::candidates::{self, Candidate, Ending};
use super::local_names;
use crate::command::Line;
use crate::escape::escape;
use crate::grammar::{Place, Role, places};
use crate::lexer::{self, Cursor};

/// Completes the word at the cursor.
#[derive(Helper, Highlighter, Hinter, Validator)]
pub(super) struct WordCompleter {
    grammar: Command,
    runtime: Handle,
}

impl WordCompleter {
    pub(super) fn new(runtime: Handle) -> Self {
        let mut grammar = Line::command();
        grammar.build();
        Self { grammar, runtime }
    }

    /// What may stand at the cursor, all of it.
    fn candidates(&self, cursor: &Cursor) -> Vec<Candidate> {
        let words: Vec<_> = cursor.words.iter().chain([&cursor.word]).cloned().collect();
        let places = places(&self.grammar, &words);
        let Some(place) = places.last() else { return Vec::new() };
        let typed = cursor.word.text();
        match place.role {
            Role::Command => candidates::commands(place.command),
            Role::Option => candidates::options(place, &typed),
            Role::Local => self.local(cursor, place),
            _ => candidates::values(place),
        }
    }

    fn local(&self, cursor: &Cursor, place: &Place<'_>) -> Vec<Candidate> {
        let mut names = local_names::list(&self.runtime, &cursor.word);
        names.retain(|name| !takes_directories(place) || name.ending == Ending::Directory);
        names
    }
}

/// Whether only directories may stand there.
fn takes_directories(place: &Place<'_>) -> bool {
    matches!(place.command.get_name(), "cd" | "lcd")
}

impl Completer for WordCompleter {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Some(cursor) = lexer::lex_to_cursor(&line[..position]) else { return Ok((position, Vec::new())) };
        let follows = !line[position..].is_empty() && !line[position..].starts_with(' ');
        let fitting = fitting(&cursor, self.candidates(&cursor));
        let pairs = fitting.iter().map(|(candidate, rest)| Pair {
            display: escape(&candidate.shown()).into_owned(),
            replacement: written(line, &cursor, candidate, rest, follows),
        });
        Ok((cursor.start, pairs.collect()))
    }
}

/// The candidates that go on as the word began, and how.
fn fitting(cursor: &Cursor, candidates: Vec<Candidate>) -> Vec<(Candidate, String)> {
    let typed: String = cursor.word.text().nfc().collect();
    let fitting = candidates.into_iter().filter_map(|candidate| {
        let text: String = candidate.text.nfc().collect();
        let rest = text.strip_prefix(&typed)?.to_owned();
        Some((candidate, rest))
    });
    let mut fitting: Vec<_> = fitting.collect();
    fitting.sort_by(|(one, _), (other, _)| one.text.cmp(&other.text));
    fitting
}

/// The word, as it began and with its rest in the same quotes. Whatever `follows` the cursor stays part of it.
fn written(line: &str, cursor: &Cursor, candidate: &Candidate, rest: &str, follows: bool) -> String {
    let mut word = line[cursor.start..cursor.understood].to_owned();
    word.push_str(&lexer::quote_rest(rest, cursor.word.text().chars().next_back(), cursor.quote));
    match candidate.ending {
        Ending::Directory => word.push('/'),
        Ending::Word if !follows => {
            word.push_str(lexer::close(cursor.quote));
            word.push(' ');
        }
        Ending::Word => {}
    }
    word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lexer::{Quote, Word};

    /// All that would be inserted, as the line would then be.
    fn completed(line: &str, candidates: Vec<Candidate>) -> Vec<String> {
        let cursor = lexer::lex_to_cursor(line).expect("a word may stand here");
        let whole = |(candidate, rest): &(Candidate, String)| {
            format!("{}{}", &line[..cursor.start], written(line, &cursor, candidate, rest, false))
        };
        fitting(&cursor, candidates).iter().map(whole).collect()
    }

    fn offered(line: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let completer = WordCompleter::new(runtime.handle().clone());
        let cursor = lexer::lex_to_cursor(line).expect("a word may stand here");
        completed(line, completer.candidates(&cursor))
    }

    #[test]
    fn commands_options_and_their_values_come_from_the_grammar() {
        assert_eq!(offered("whoa"), ["whoami "]);
        assert_eq!(offered("help whoa"), ["help whoami "]);
        assert!(offered("").len() > 20 && !offered("").contains(&"quit ".to_owned()));
        assert_eq!(offered("rm --fo"), ["rm --force "]);
        assert_eq!(offered("get --existing ov"), ["get --existing overwrite "]);
        assert_eq!(offered("get --existing=ov"), ["get --existing=overwrite "]);
        assert_eq!(offered("get --exis"), ["get --existing "]);
        assert_eq!(offered("frobnicate a"), [""; 0]);
    }

    #[test]
    fn a_word_goes_on_in_the_quotes_it_began_in() {
        let file = || vec![Candidate::new("it's \"here\" [1].txt", Ending::Word)];
        for (typed, whole) in [
            ("get it", "get it\\'s\\ \\\"here\\\"\\ \\[1\\].txt "),
            ("get 'it", "get 'it'\\''s \"here\" [1].txt' "),
            ("get \"it'", "get \"it's \\\"here\\\" [1].txt\" "),
            ("get it\\", "get it\\'s\\ \\\"here\\\"\\ \\[1\\].txt "),
        ] {
            assert_eq!(completed(typed, file()), [whole]);
        }
        let directory = || vec![Candidate::new("my docs", Ending::Directory)];
        assert_eq!(completed("ls my", directory()), ["ls my\\ docs/"]);
        assert_eq!(completed("ls 'my", directory()), ["ls 'my docs/"]);
        // What was typed in another normalisation form goes on as well.
        let accented = || vec![Candidate::new("\u{e9}t\u{e9}", Ending::Word)];
        assert_eq!(completed("ls e\u{301}t", accented()), ["ls e\u{301}t\u{e9} "]);
        // And what would move a terminal is written by number.
        assert_eq!(completed("ls ", vec![Candidate::new("\u{1b}[2J", Ending::Word)]), ["ls \\u{1b}\\[2J "]);
    }

    proptest! {
        /// The law: what completion inserts parses back to the same name.
        #[test]
        fn what_is_inserted_parses_back(
            name in prop_oneof!["[^/\\p{Cc}\\\\]{1,20}", "[ '\"*?\\[\\]&#~!$`u{}a1夏🎉\u{301}\u{202e}-]{1,20}"],
            directory in "(夏 天/|a'b/|/)?", cut in 0_usize..25, quote in 0_usize..3,
        ) {
            let name: String = name.nfc().collect();
            let text = format!("{directory}{name}");
            let typed: String = text.chars().take(directory.chars().count() + cut).collect();
            let quote = [Quote::Plain, Quote::Single, Quote::Double][quote];
            let line = format!("get {}{}", lexer::close(quote), lexer::quote_rest(&typed, None, quote));
            let lines = completed(&line, vec![Candidate::new(&text, Ending::Word)]);
            prop_assert_eq!(lines.len(), 1);
            match lexer::lex(&lines[0]) {
                Ok(lexer::Line::Command { words, background: false }) => {
                    let texts: Vec<String> = words.iter().map(Word::text).collect();
                    prop_assert_eq!(texts, vec!["get".to_owned(), text]);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
