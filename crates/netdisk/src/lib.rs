//! The netdisk program: it wires the other crates together and talks to the terminal.
//!
//! A library only so that the end-to-end tests can build the same program. The way through it:
//!
//! - [`main`] parses the command line (`cli`, `command`), asks `settings` what is in force, and runs one of:
//! - `serve`: the server; `try_it`: a server and a shell in one process; `tour`: the same without a person;
//! - `lab`: the framing lab; `shell`: the prompt; a single command, for scripts.
//! - Lines become words in `lexer`, `grammar` knows what each word is, `expand` turns globs into names.
//! - Both end in `run`, which has the commands; `remote` is the connection that they share.
//! - `failure` says what went wrong and which exit code it becomes.

mod admin;
mod cli;
mod columns;
mod command;
mod config;
mod escape;
mod expand;
mod explain;
mod failure;
mod grammar;
mod interrupt;
mod job;
mod lab;
mod lexer;
mod log;
mod manuals;
mod notices;
mod output;
mod paint;
mod passwords;
mod pins;
mod progress;
mod question;
mod remote;
mod remote_glob;
mod run;
mod serve;
mod settings;
mod shelf;
mod shell;
mod size;
mod tour;
mod trace;
mod trust;
mod try_it;
mod waiting;
mod wall;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue};

use crate::cli::{Cli, ConnectArgs, Mode};
use crate::command::Line;
use crate::failure::Failure;
use crate::lexer::Word;
use crate::output::Output;
use crate::paint::When;
use crate::settings::{Setting, SettingsFile};

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    let (matches, Cli { connect, mode }) = match cli::parse(&line) {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&line, &error),
    };
    let mode = mode.unwrap_or(Mode::Shell);
    let as_given = Output::new(connect.json, connect.quiet, connect.color);
    let in_force = if mode.is_client() {
        SettingsFile::read().map(|file| file.settle(&matches, connect))
    } else {
        cli::refuse_useless(&matches).map(|()| (connect, Vec::new()))
    };
    let (output, outcome) = match in_force {
        Err(failure) => (as_given, Err(failure)),
        Ok((connect, settings)) => {
            let output = Output::new(connect.json, connect.quiet, connect.color);
            let outcome = run_mode(mode, connect, &settings, &output);
            let outcome = outcome.and_then(|()| output.finish());
            (output, outcome)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

/// Helps, or says what is wrong with a command line; to a script by an object, as every other error.
fn refuse(line: &[OsString], error: &clap::Error) -> ExitCode {
    let is_script = line.iter().take_while(|word| *word != "--").any(|word| word == "--json");
    let text = match shell_word(error) {
        Some((word, help)) if line.get(1..) == Some(&["help".into(), word.as_str().into()]) => {
            // Whoever reads no help needs none.
            drop(write!(
                io::stdout().lock(),
                "`{word}` is a word of the shell: run `netdisk`, and type it there.\n\n{help}"
            ));
            return ExitCode::SUCCESS;
        }
        Some((word, _)) => format!("`{word}` is a word of the shell: run `netdisk`, and type it there"),
        None if !error.use_stderr() || !is_script => error.exit(),
        None => run::usage_text(error),
    };
    let failure = Failure::usage(text);
    Output::new(is_script, false, When::Never).failure(&failure);
    failure.exit_code()
}

/// The word that was not understood, where the shell understands it, and its help.
fn shell_word(error: &clap::Error) -> Option<(String, String)> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let mut grammar = Line::command();
    grammar.build();
    let help = grammar.find_subcommand_mut(word)?.render_long_help();
    Some((word.clone(), help.to_string()))
}

fn run_mode(mode: Mode, connect: ConnectArgs, settings: &[Setting], output: &Output) -> Result<(), Failure> {
    match mode {
        Mode::Serve(args) => serve::serve(args, connect.plaintext, output),
        Mode::Try(args) => try_it::try_it(&args, output),
        Mode::Admin(args) => admin::admin(args, &connect, output),
        Mode::Lab(part) => lab::lab(part, connect.color),
        Mode::Completions { shell } => manuals::completions(shell),
        Mode::Man { folder } => manuals::man(folder),
        Mode::Pins(command) => pins::pins(&connect, command, output),
        Mode::Config => explain::config(&connect, settings, output),
        Mode::Profiles => explain::profiles(output),
        Mode::Shell => shell::shell(connect, output),
        Mode::Command(command) => run::one_shot(connect, command, &words(), output),
    }
}

/// The arguments of the process, of which nothing is quoted any more; none where one is no UTF-8, and so no glob.
fn words() -> Vec<Word> {
    let texts: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    texts.unwrap_or_default().iter().map(|text| Word::unquoted(text)).collect()
}

/// Starts the runtime of the program.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::unexpected)
}
