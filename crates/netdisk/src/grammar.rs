//! What each word of a command is, read off the grammar that parses it: so that globs and completion know, and nothing is
//! written twice.
//!
//! A new command says it by its types and names: `UserName`, `Token` and `PathBuf` are what they are, a `String` that is
//! called `PATH` is a path on the server, and one that is called `JOB` a job. What only the place of a word tells is in
//! [`by_place`].

use std::any::TypeId;
use std::path::PathBuf;

use clap::{Arg, Command, ValueHint};
use netdisk_model::{Token, UserName};

use crate::lexer::Word;

/// The name of values that are paths on the server.
const REMOTE: &str = "PATH";
/// The name of values that are jobs.
const JOB: &str = "JOB";

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The name of a command.
    Command,
    /// An option, perhaps with its value behind a `=`.
    Option,
    /// Something on the server.
    Remote,
    /// A path on the server where something is to be.
    RemoteTarget,
    /// Something on this machine.
    Local,
    /// A user.
    User,
    /// A profile.
    Profile,
    /// A job.
    Job,
    /// A password or the like.
    Secret,
    /// Anything else.
    Other,
}

/// A word's place in the grammar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) role: Role,
    /// The command that it belongs to.
    pub(crate) command: &'a Command,
    /// The argument that it gives a value to, or the option that it names.
    pub(crate) argument: Option<&'a Arg>,
    /// Which of the words without options it is.
    pub(crate) nth: Option<usize>,
}

/// Finds the place of each word; `root` is built.
pub(crate) fn places<'a>(root: &'a Command, words: &[Word]) -> Vec<Place<'a>> {
    let mut walk = Walk { command: root, awaited: None, positional: 0, options_ended: false };
    let mut places: Vec<Place<'a>> = words.iter().map(|word| walk.step(&word.text())).collect();
    for place in &mut places {
        if let (Some(nth), Some(argument)) = (place.nth, place.argument) {
            place.role = by_place(place.command.get_name(), role_of(argument), nth, walk.positional);
        }
    }
    places
}

/// What a word without an option is, the `nth` of `all`, where the grammar has one argument for two things.
fn by_place(command: &str, role: Role, nth: usize, all: usize) -> Role {
    let is_target = all > 1 && nth + 1 == all;
    match command {
        "get" if is_target => Role::Local,
        "get" => Role::Remote,
        "put" if is_target => Role::RemoteTarget,
        "put" => Role::Local,
        "mv" | "cp" if is_target => Role::RemoteTarget,
        "mkdir" => Role::RemoteTarget,
        _ => role,
    }
}

/// What the values of an argument are.
pub(crate) fn role_of(argument: &Arg) -> Role {
    let value = argument.get_value_parser().type_id();
    let is_called = |name: &str| argument.get_value_names().is_some_and(|names| names.iter().any(|each| each == name));
    if value == TypeId::of::<Token>() || argument.is_hide_env_values_set() {
        Role::Secret
    } else if value == TypeId::of::<UserName>() {
        Role::User
    } else if value == TypeId::of::<PathBuf>() || is_local(argument.get_value_hint()) {
        Role::Local
    } else if is_called(REMOTE) {
        Role::Remote
    } else if is_called(JOB) {
        Role::Job
    } else if argument.get_id() == "profile" {
        Role::Profile
    } else {
        Role::Other
    }
}

fn is_local(hint: ValueHint) -> bool {
    matches!(hint, ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath)
}

/// Goes from word to word.
struct Walk<'a> {
    command: &'a Command,
    /// The option that the next word belongs to.
    awaited: Option<&'a Arg>,
    /// How many words without options there were.
    positional: usize,
    /// `--` was there.
    options_ended: bool,
}

impl<'a> Walk<'a> {
    fn step(&mut self, word: &str) -> Place<'a> {
        if let Some(argument) = self.awaited.take() {
            return self.place(role_of(argument), Some(argument), None);
        }
        if word == "--" && !self.options_ended {
            self.options_ended = true;
            return self.place(Role::Option, None, None);
        }
        if word.len() > 1 && word.starts_with('-') && !self.options_ended {
            let option = self.option(word);
            return self.place(Role::Option, option, None);
        }
        if self.positional == 0 && !self.options_ended {
            if let Some(command) = self.command.find_subcommand(word) {
                self.command = command;
                return self.place(Role::Command, None, None);
            }
            if self.command.has_subcommands() {
                return self.place(Role::Command, None, None);
            }
        }
        let nth = self.positional;
        self.positional += 1;
        // The last one takes what is left.
        let argument = self.command.get_positionals().nth(nth).or_else(|| self.command.get_positionals().last());
        self.place(Role::Other, argument, argument.map(|_| nth))
    }

    fn place(&self, role: Role, argument: Option<&'a Arg>, nth: Option<usize>) -> Place<'a> {
        Place { role, command: self.command, argument, nth }
    }

    /// The option that a word names; of several letters, the last. Without a value of its own it awaits the next word.
    fn option(&mut self, word: &str) -> Option<&'a Arg> {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let option = self.find(|argument| {
                argument.get_long() == Some(name)
                    || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
            })?;
            self.awaited = Some(option).filter(|option| value.is_none() && takes_value(option));
            return Some(option);
        }
        let mut letters = word.chars().skip(1);
        let mut last = None;
        while let Some(letter) = letters.next() {
            let option = self.find(|argument| argument.get_short() == Some(letter))?;
            last = Some(option);
            if takes_value(option) {
                // What follows in the same word is the value.
                self.awaited = Some(option).filter(|_| letters.next().is_none());
                break;
            }
        }
        last
    }

    fn find(&self, is_it: impl Fn(&Arg) -> bool) -> Option<&'a Arg> {
        self.command.get_arguments().find(|argument| is_it(argument))
    }
}

/// Whether an option has a value.
pub(crate) fn takes_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;
    use crate::command::Line;

    #[track_caller]
    fn assert_roles(mut root: Command, line: &str, expected: &[Role]) {
        root.build();
        let words: Vec<Word> = line.split(' ').map(Word::unquoted).collect();
        let roles: Vec<Role> = places(&root, &words).iter().map(|place| place.role).collect();
        assert_eq!(roles, expected, "{line}");
    }

    #[test]
    fn each_word_has_its_role() {
        use Role::{Command as Name, *};
        for (line, roles) in [
            ("rm -r a b", &[Name, Option, Remote, Remote][..]),
            ("dir a", &[Name, Remote]),
            ("rm -- -r a", &[Name, Option, Remote, Remote]),
            ("get a", &[Name, Remote]),
            ("get --existing skip a b", &[Name, Option, Other, Remote, Local]),
            ("get --existing=skip a b", &[Name, Option, Remote, Local]),
            ("put a", &[Name, Local]),
            ("put a b c", &[Name, Local, Local, RemoteTarget]),
            ("put - c", &[Name, Local, RemoteTarget]),
            ("mv a b", &[Name, Remote, RemoteTarget]),
            ("mkdir a b", &[Name, RemoteTarget, RemoteTarget]),
            ("login alice", &[Name, User]),
            ("register --invitation abc alice", &[Name, Option, Secret, User]),
            ("cd a", &[Name, Remote]),
            ("lcd a", &[Name, Local]),
            ("help put", &[Name, Name]),
            ("frobnicate a", &[Name, Name]),
        ] {
            assert_roles(Line::command(), line, roles);
        }
    }

    #[test]
    fn options_of_the_command_line_stand_before_and_behind_a_command() {
        use Role::{Command as Name, *};
        for (line, roles) in [
            ("--user alice rm a", &[Option, User, Name, Remote][..]),
            ("-q rm -rf a --profile p b", &[Option, Name, Option, Remote, Option, Profile, Remote]),
            ("ls --password-file p a", &[Name, Option, Local, Remote]),
        ] {
            assert_roles(Cli::command(), line, roles);
        }
    }
}
