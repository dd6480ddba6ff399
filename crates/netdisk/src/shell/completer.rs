//! Tab: what may stand where the cursor is.

use clap::CommandFactory as _;
use rustyline::completion::{Completer, Pair};
use rustyline::{Helper, Highlighter, Hinter, Validator};

use crate::command::Line;

/// Completes the first word of a line.
#[derive(Helper, Highlighter, Hinter, Validator)]
pub(super) struct CommandNames {
    names: Vec<String>,
}

impl CommandNames {
    pub(super) fn new() -> Self {
        let mut command = Line::command();
        command.build();
        let names = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        Self { names }
    }
}

impl Completer for CommandNames {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line[..position].trim_start();
        if typed.contains(char::is_whitespace) {
            return Ok((position, Vec::new()));
        }
        let matching = self.names.iter().filter(|name| name.starts_with(typed));
        let pairs = matching.map(|name| Pair { display: name.clone(), replacement: format!("{name} ") }).collect();
        Ok((position - typed.len(), pairs))
    }
}
