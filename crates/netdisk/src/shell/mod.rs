//! The interactive shell: a prompt, a parser, a loop.

mod candidates;
mod completer;
mod local;
mod local_names;
mod prompt;

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::Path;

use clap::{CommandFactory as _, Parser as _};
use rustyline::Editor;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::cli::ConnectArgs;
use crate::command::{Command, Line, ShellCommand};
use crate::config::Config;
use crate::expand::{Globs, Unmatched};
use crate::failure::Failure;
use crate::lexer::{self, Word};
use crate::output::Output;
use crate::remote::Remote;
use crate::run;
use completer::WordCompleter;

/// Opens the shell on the server of the command line.
pub(crate) fn shell(args: ConnectArgs, output: &Output) -> Result<(), Failure> {
    let config = Config::locate(args.profile.as_deref()).map_err(Failure::Unexpected)?;
    let history = config.history().map_err(Failure::unexpected)?;
    let mut remote = Remote::new(args, config);
    let runtime = crate::runtime()?;
    // Who is logged in already goes on without a word.
    match runtime.block_on(async { remote.client().await.map(|client| client.user().clone()) }) {
        Ok(user) if output.has_bars() => eprintln!("logged in to {} as {user}", remote.endpoint()),
        Ok(_) => {}
        Err(Failure::LoginNeeded(text)) => eprintln!("netdisk: {text}"),
        Err(failure) => return Err(failure),
    }
    let outcome = run(&runtime, &mut remote, Some(&history), output);
    runtime.shutdown_background();
    outcome
}

/// Reads commands and runs them: from a terminal until the person leaves; from a pipe or file until the first failure.
pub(crate) fn run(
    runtime: &Runtime,
    remote: &mut Remote,
    history: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    let outcome = if io::stdin().is_terminal() {
        run_terminal(runtime, remote, history, output)
    } else {
        run_script(runtime, remote, output)
    };
    runtime.block_on(remote.close());
    outcome
}

fn run_script(runtime: &Runtime, remote: &mut Remote, output: &Output) -> Result<(), Failure> {
    loop {
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line).map_err(Failure::unexpected)? == 0 {
            return Ok(());
        }
        if run_line(runtime, remote, line.trim(), output)? == Next::Leave {
            return Ok(());
        }
    }
}

fn run_terminal(
    runtime: &Runtime,
    remote: &mut Remote,
    history: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    let mut editor = Editor::<WordCompleter, DefaultHistory>::new().map_err(Failure::unexpected)?;
    editor.set_helper(Some(WordCompleter::new(runtime.handle().clone())));
    if let Some(history) = history {
        match editor.load_history(history) {
            Ok(()) => {}
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => eprintln!("netdisk: {}: {error}", history.display()),
        }
    }
    loop {
        let prompt = prompt::prompt(remote);
        let resting = remote.rest(runtime);
        let line = editor.readline(&prompt);
        remote.wake(runtime, resting);
        match line {
            Ok(line) => {
                let line = line.trim();
                if line.is_empty() {
                    continue;
                }
                editor.add_history_entry(line).map_err(Failure::unexpected)?;
                match run_line(runtime, remote, line, output) {
                    Ok(Next::Line) => {}
                    Ok(Next::Leave) => break,
                    Err(failure) => output.failure(&failure),
                }
            }
            // Ctrl-C: a new line.
            Err(ReadlineError::Interrupted) => {}
            // Ctrl-D.
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Failure::unexpected(error)),
        }
    }
    if let Some(history) = history
        && let Err(error) = editor.save_history(history)
    {
        eprintln!("netdisk: {}: {error}", history.display());
    }
    Ok(())
}

/// Whether the shell goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Line,
    Leave,
}

fn run_line(runtime: &Runtime, remote: &mut Remote, line: &str, output: &Output) -> Result<Next, Failure> {
    let words = match lexer::lex(line).map_err(|error| Failure::usage(error.to_string()))? {
        lexer::Line::Nothing => return Ok(Next::Line),
        lexer::Line::Local(command) => {
            runtime.block_on(local::run(&command))?;
            return Ok(Next::Line);
        }
        lexer::Line::Command { background: true, .. } => {
            return Err(Failure::usage("a command cannot run beside the prompt yet; leave the `&` out"));
        }
        lexer::Line::Command { words, background: false } => words,
    };
    // Before anything is asked of the server.
    let Some(command) = parse(words.iter().map(Word::text))? else { return Ok(Next::Line) };
    let mut grammar = Line::command();
    grammar.build();
    let names = runtime.block_on(run::expanded(remote, &grammar, &words, Globs::All, unmatched(&command)))?;
    let Some(command) = parse(names)? else { return Ok(Next::Line) };
    execute(runtime, remote, command, output)
}

fn unmatched(command: &ShellCommand) -> Unmatched {
    match command {
        ShellCommand::Common(command) => Unmatched::of(command),
        _ => Unmatched::Fails,
    }
}

/// Parses a command; `None` when help was asked for, and given.
fn parse(words: impl IntoIterator<Item = String>) -> Result<Option<ShellCommand>, Failure> {
    match Line::try_parse_from(words) {
        Ok(line) => Ok(Some(line.command)),
        Err(error) if error.use_stderr() => Err(Failure::usage(run::usage_text(&error))),
        Err(help) => help.print().map(|()| None).map_err(Failure::unexpected),
    }
}

fn execute(runtime: &Runtime, remote: &mut Remote, command: ShellCommand, output: &Output) -> Result<Next, Failure> {
    match command {
        // The shell reads its own lines from there.
        ShellCommand::Common(Command::Put(args)) if args.paths.iter().any(|path| path == "-") => {
            return Err(Failure::usage(
                "`put -` takes standard input, from which the shell reads; run it as a command",
            ));
        }
        ShellCommand::Common(command) => runtime.block_on(run::run(remote, command, output))?,
        ShellCommand::Cd { path } => runtime.block_on(run::change_directory(remote, path.as_deref().unwrap_or("/")))?,
        ShellCommand::Pwd => {
            output.result(remote.directory.as_str(), json!({"event": "done", "path": remote.directory}))
        }
        ShellCommand::Lcd { path } => local::lcd(path)?,
        ShellCommand::Lpwd => local::lpwd(output)?,
        ShellCommand::Lls { path } => local::lls(path.unwrap_or_else(|| ".".into()), output)?,
        ShellCommand::Exit => return Ok(Next::Leave),
    }
    Ok(Next::Line)
}
