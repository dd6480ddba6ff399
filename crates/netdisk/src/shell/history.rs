//! The lines of earlier runs: in a file of its owner alone, some thousand of them, without secrets.

use std::io;
use std::path::PathBuf;

use clap::Command;
use rustyline::Editor;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use serde_json::json;

use super::completer::WordCompleter;
use crate::grammar::{Role, places, role_of};
use crate::lexer::{self, Word};
use crate::output::Output;

/// Lines that are kept, in the file too.
pub(super) const LINES_MAX: usize = 2000;

/// The line editor of the shell.
pub(super) type LineEditor = Editor<WordCompleter, DefaultHistory>;

/// Where lines are kept; nowhere, where the server is thrown away as well.
pub(super) struct History {
    file: Option<PathBuf>,
}

impl History {
    /// Reads what was kept.
    pub(super) fn load(file: Option<PathBuf>, editor: &mut LineEditor) -> Self {
        if let Some(file) = &file {
            match editor.load_history(file) {
                Ok(()) => {}
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => eprintln!("netdisk: {}: {error}", file.display()),
            }
        }
        Self { file }
    }

    /// Keeps a line, unless it holds a secret or begins with a space.
    pub(super) fn add(&self, line: &str, grammar: &Command, editor: &mut LineEditor) -> rustyline::Result<()> {
        if line.starts_with(' ') || holds_secret(line, grammar) {
            return Ok(());
        }
        editor.add_history_entry(line.trim())?;
        if let Some(file) = &self.file
            && let Err(error) = editor.append_history(file)
        {
            eprintln!("netdisk: {}: {error}", file.display());
        }
        Ok(())
    }
}

/// `history`.
pub(super) fn list(editor: &LineEditor, output: &Output) {
    for line in editor.history().iter() {
        output.result(line, json!({"event": "line", "line": line}));
    }
}

/// Words that stand beside secrets in commands of other programs.
const TELLTALES: &[&str] = &["password", "passwd", "token", "secret", "invit"];

/// Whether somebody who reads the line learns a password, an invitation or a token.
fn holds_secret(line: &str, grammar: &Command) -> bool {
    let words = match lexer::lex(line) {
        Ok(lexer::Line::Command { words, .. }) => words,
        Ok(lexer::Line::Nothing) => return false,
        // Nobody knows what the words are.
        Ok(lexer::Line::Local(_)) | Err(_) => return has_telltale(line),
    };
    let places = places(grammar, &words);
    // A command of this machine, typed without its `!`, or one that is misspelt.
    if places.first().is_some_and(|first| std::ptr::eq(first.command, grammar)) && has_telltale(line) {
        return true;
    }
    places.iter().zip(&words).any(|(place, word)| {
        let is_option =
            place.role == Role::Option && place.argument.is_some_and(|option| role_of(option) == Role::Secret);
        // A password is often typed behind the name, where none is taken.
        let takes = place.command.get_positionals().count();
        let is_surplus = place.role != Role::Option && place.argument.is_none() && place.role != Role::Command
            || place.nth.is_some_and(|nth| nth >= takes);
        let is_of_account = matches!(place.command.get_name(), "login" | "register" | "passwd");
        is_option || place.role == Role::Secret || is_of_account && is_surplus || looks_like_token(word)
    })
}

fn has_telltale(line: &str) -> bool {
    let line = line.to_lowercase();
    TELLTALES.iter().any(|telltale| line.contains(telltale))
}

/// Digits of a token or an invitation: 32 bytes in hexadecimal.
const TOKEN_DIGITS: usize = 64;

fn looks_like_token(word: &Word) -> bool {
    let text = word.text();
    text.len() >= TOKEN_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn a_line_with_a_secret_is_not_kept() {
        let mut grammar = crate::command::Line::command();
        grammar.build();
        let token = "0123456789abcdef".repeat(4);
        for line in [
            "register alice --invitation x1",
            "register --invitation=x1 alice",
            "register alice --invit 'x1",
            "login alice hunter2hunter2",
            "passwd hunter2hunter2",
            "!NETDISK_PASSWORD=hunter2 netdisk ls",
            "!curl -H 'Token: x'",
            "curl http://x?password=1",
            "logni alice --password hunter2hunter2",
            &format!("cat {token}"),
        ] {
            assert!(holds_secret(line, &grammar), "{line}");
        }
        for line in
            ["login alice", "register alice", "put passwords.txt", "passwd", "# password", "!ls", "sessions --revoke 1"]
        {
            assert!(!holds_secret(line, &grammar), "{line}");
        }
    }
}
