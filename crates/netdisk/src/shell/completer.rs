//! Tab: what may stand where the cursor is, written as the lexer reads it.

use std::borrow::Cow;
use std::sync::Arc;

use clap::{Command, CommandFactory as _};
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter, HistoryHinter};
use rustyline::{Context, Helper, Validator};
use tokio::runtime::Handle;
use unicode_normalization::UnicodeNormalization as _;

use super::candidates::{self, Candidate, Ending};
use super::local_names;
use crate::command::Line;
use crate::escape::escape;
use crate::grammar::{Place, Role, places};
use crate::lexer::{self, Cursor};
use crate::shelf::Shelf;

/// Completes the word at the cursor, and hints at what it may become.
#[derive(Helper, Validator)]
pub(super) struct WordCompleter {
    pub(super) grammar: Command,
    runtime: Handle,
    shelf: Arc<Shelf>,
    /// Users of whom a login is kept.
    users: Vec<String>,
    /// Hints are dim; where nothing is, they would be taken for what was typed.
    can_dim: bool,
    /// The jobs that there are.
    pub(super) jobs: Vec<u32>,
}

/// How long Tab may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// As long as a person waits.
    Some,
    /// Not at all: it is for a hint.
    None,
}

impl WordCompleter {
    pub(super) fn new(runtime: Handle, shelf: Arc<Shelf>, users: Vec<String>, can_dim: bool) -> Self {
        let mut grammar = Line::command();
        grammar.build();
        Self { grammar, runtime, shelf, users, can_dim, jobs: Vec::new() }
    }

    /// What may stand at the cursor, all of it.
    fn candidates(&self, cursor: &Cursor, wait: Wait) -> Vec<Candidate> {
        let words: Vec<_> = cursor.words.iter().chain([&cursor.word]).cloned().collect();
        let places = places(&self.grammar, &words);
        let Some(place) = places.last() else { return Vec::new() };
        let word = |text: &String| Candidate::new(text, Ending::Word);
        let mut found = match place.role {
            Role::Command => return candidates::commands(place.command),
            Role::Option => return candidates::options(place, &cursor.word.text()),
            Role::User => return self.users.iter().map(word).collect(),
            Role::Job => return self.jobs.iter().map(|job| word(&job.to_string())).collect(),
            Role::Remote | Role::RemoteTarget => self.remote(cursor, wait),
            Role::Local => self.local(cursor, wait),
            _ => return candidates::values(place),
        };
        // The last of several may be one more, or where to put them.
        if place.nth.is_some_and(|nth| nth > 0) {
            match place.command.get_name() {
                "get" => found.extend(self.remote(cursor, wait)),
                "put" => found.extend(self.local(cursor, wait)),
                _ => {}
            }
        }
        found.retain(|name| !takes_directories(place) || name.ending == Ending::Directory);
        let options_ended =
            places.iter().zip(&words).any(|(place, word)| place.role == Role::Option && word.text() == "--");
        for name in &mut found {
            if name.text.starts_with('-') && !options_ended {
                name.text.insert_str(0, "./");
            }
        }
        found
    }

    fn remote(&self, cursor: &Cursor, wait: Wait) -> Vec<Candidate> {
        let typed = cursor.word.text();
        let (directory, begun) = typed.split_at(typed.rfind('/').map_or(0, |slash| slash + 1));
        let names = match wait {
            Wait::Some => self.shelf.names(directory),
            Wait::None => self.shelf.names_at_hand(directory),
        };
        let shown = names.iter().filter(|name| begun.starts_with('.') || !name.name.starts_with('.'));
        let named = shown.map(|name| {
            let ending = if name.is_directory { Ending::Directory } else { Ending::Word };
            Candidate::new(format!("{directory}{}", name.name), ending)
        });
        named.collect()
    }

    fn local(&self, cursor: &Cursor, wait: Wait) -> Vec<Candidate> {
        // A disk may take its time.
        if wait == Wait::Some { local_names::list(&self.runtime, &cursor.word) } else { Vec::new() }
    }
}

/// Whether only directories may stand there.
fn takes_directories(place: &Place<'_>) -> bool {
    matches!(place.command.get_name(), "cd" | "lcd")
}

impl Completer for WordCompleter {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Some(cursor) = lexer::lex_to_cursor(&line[..position]) else { return Ok((position, Vec::new())) };
        let follows = !line[position..].is_empty() && !line[position..].starts_with(' ');
        let fitting = fitting(&cursor, self.candidates(&cursor, Wait::Some));
        let pairs = fitting.iter().map(|(candidate, rest)| Pair {
            display: escape(&candidate.shown()).into_owned(),
            replacement: written(line, &cursor, candidate, rest, follows),
        });
        Ok((cursor.start, pairs.collect()))
    }
}

impl Hinter for WordCompleter {
    type Hint = SafeHint;

    fn hint(&self, line: &str, position: usize, context: &Context<'_>) -> Option<SafeHint> {
        if !self.can_dim || position < line.len() || line.trim().is_empty() {
            return None;
        }
        if let Some(rest) = HistoryHinter::new().hint(line, position, context) {
            return Some(SafeHint::new(rest));
        }
        // Of a word that has not begun nothing is known.
        let cursor = lexer::lex_to_cursor(line).filter(|cursor| !cursor.word.text().is_empty())?;
        let fitting = fitting(&cursor, self.candidates(&cursor, Wait::None));
        let [(candidate, rest)] = &fitting[..] else { return None };
        let whole = written(line, &cursor, candidate, rest, false);
        let rest = whole.strip_prefix(&line[cursor.start..])?.trim_end();
        (!rest.is_empty()).then(|| SafeHint::new(rest.to_owned()))
    }
}

/// A hint, and how it looks: a line of the history may hold anything.
pub(super) struct SafeHint {
    text: String,
    shown: String,
}

impl SafeHint {
    fn new(text: String) -> Self {
        let shown = escape(&text).into_owned();
        Self { text, shown }
    }
}

impl Hint for SafeHint {
    fn display(&self) -> &str {
        &self.shown
    }

    fn completion(&self) -> Option<&str> {
        Some(&self.text)
    }
}

impl Highlighter for WordCompleter {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
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
    fitting.dedup_by(|(one, _), (other, _)| one == other);
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
        let users = vec!["alice".to_owned()];
        let mut completer = WordCompleter::new(runtime.handle().clone(), Arc::default(), users, true);
        completer.jobs = vec![7];
        let cursor = lexer::lex_to_cursor(line).expect("a word may stand here");
        completed(line, completer.candidates(&cursor, Wait::Some))
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
        assert_eq!(offered("login "), ["login alice "]);
        assert_eq!(offered("cancel "), ["cancel 7 "]);
        assert_eq!(offered("frobnicate a"), [""; 0]);
    }

    #[test]
    fn a_word_goes_on_in_the_quotes_it_began_in() {
        let file = || vec![Candidate::new("it's \"here\" [1].txt", Ending::Word)];
        for (typed, whole) in [
            ("get it", "get it\\'s\\ \\\"here\\\"\\ \\[1].txt "),
            ("get 'it", "get 'it'\\''s \"here\" [1].txt' "),
            ("get \"it'", "get \"it's \\\"here\\\" [1].txt\" "),
            ("get it\\", "get it\\'s\\ \\\"here\\\"\\ \\[1].txt "),
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
