//! The netdisk program: it wires the other crates together and talks to the terminal.
//!
//! A library only so that the end-to-end tests can build the same program. The way through it:
//!
//! - [`main`] parses the command line (`cli`, `command`) and runs one of:
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
mod failure;
mod grammar;
mod interrupt;
mod job;
mod lab;
mod lexer;
mod log;
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
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::cli::{Cli, Mode};
use crate::failure::Failure;
use crate::lexer::Word;
use crate::output::Output;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let output = Output::new(cli.connect.json, cli.connect.quiet, cli.connect.color);
    let outcome = match cli.mode {
        Some(Mode::Serve(args)) => cli::refuse_connect_options(&matches, "serve")
            .and_then(|()| serve::serve(args, cli.connect.plaintext, &output)),
        Some(Mode::Try(args)) => {
            cli::refuse_connect_options(&matches, "try").and_then(|()| try_it::try_it(&args, &output))
        }
        Some(Mode::Admin(args)) => admin::admin(args, &cli.connect, &output),
        Some(Mode::Pins(command)) => pins::pins(&cli.connect, command, &output),
        Some(Mode::Lab(part)) => {
            cli::refuse_connect_options(&matches, "lab").and_then(|()| lab::lab(part, cli.connect.color))
        }
        Some(Mode::Shell) | None => shell::shell(cli.connect, &output),
        Some(Mode::Command(command)) => run::one_shot(cli.connect, command, &words(), &output),
    };
    match outcome.and_then(|()| output.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
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
