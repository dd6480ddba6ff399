//! What the grammar offers: commands, options and the values that an option can have.

use clap::{Arg, Command};

use crate::grammar::{Place, takes_value};

/// Something that a word may become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The whole word, unquoted.
    pub(super) text: String,
    pub(super) ending: Ending,
}

/// What follows a word that was completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The next word.
    Word,
    /// What is in the directory.
    Directory,
}

impl Candidate {
    pub(super) fn new(text: impl Into<String>, ending: Ending) -> Self {
        Self { text: text.into(), ending }
    }

    /// As it stands in a list: without the directory that is known already.
    pub(super) fn shown(&self) -> String {
        let name = self.text.rsplit('/').next().unwrap_or(&self.text);
        if self.ending == Ending::Directory { format!("{name}/") } else { name.to_owned() }
    }
}

/// The commands below this one.
pub(super) fn commands(command: &Command) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| Candidate::new(command.get_name(), Ending::Word)).collect()
}

/// The options of a command, or the values of the one that is followed by a `=`.
pub(super) fn options(place: &Place<'_>, typed: &str) -> Vec<Candidate> {
    if let (Some((option, _)), Some(argument)) = (typed.split_once('='), place.argument) {
        let values = possible(argument);
        return values.map(|value| Candidate::new(format!("{option}={value}"), Ending::Word)).collect();
    }
    let shown: Vec<&Arg> = place.command.get_arguments().filter(|argument| !argument.is_hide_set()).collect();
    let long = shown.iter().filter_map(|argument| argument.get_long()).map(|name| format!("--{name}"));
    let short = shown.iter().filter_map(|argument| argument.get_short()).map(|letter| format!("-{letter}"));
    // Letters only where nothing else is asked for.
    let names: Vec<String> = if typed == "-" { short.chain(long).collect() } else { long.collect() };
    names.into_iter().map(|name| Candidate::new(name, Ending::Word)).collect()
}

/// The values that an argument can have, where they are few.
pub(super) fn values(place: &Place<'_>) -> Vec<Candidate> {
    let argument = place.argument.filter(|argument| takes_value(argument));
    argument.into_iter().flat_map(possible).map(|value| Candidate::new(value, Ending::Word)).collect()
}

fn possible(argument: &Arg) -> impl Iterator<Item = String> {
    argument
        .get_possible_values()
        .into_iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
}
