//! The interactive shell: a prompt, a parser, a loop.
//!
//! - `line`: what a line asks for, and the commands that only a shell has.
//! - `prompt`, `completer`, `candidates`, `local_names`, `history`: the line editor.
//! - `resting`: the connection while a person thinks. `jobs`: what runs beside the prompt. `local`: this machine.

mod candidates;
mod completer;
mod history;
mod jobs;
mod line;
mod local;
mod local_names;
mod prompt;
mod resting;

use std::io::{self, BufRead, IsTerminal as _, Read as _};
use std::path::Path;
use std::sync::Arc;

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Editor};
use tokio::runtime::Runtime;

use self::completer::WordCompleter;
use self::history::{History, LineEditor};
use self::jobs::Jobs;
use self::line::{Next, Shell};
use self::resting::Resting;
use crate::cli::ConnectArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::interrupt::CtrlC;
use crate::notices::Notices;
use crate::output::Output;
use crate::remote::Remote;
use crate::shelf::Shelf;

/// Longest line of a script in bytes: a system takes no longer words for a command, and a file without an end of line is
/// none.
const SCRIPT_LINE_LEN_MAX: u64 = 128 * 1024;

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

/// Runs the lines of a script up to the first failure, and waits for its jobs.
fn run_script(runtime: &Runtime, remote: &mut Remote, output: &Output) -> Result<(), Failure> {
    let jobs = Jobs::new(runtime.handle().clone(), Notices::direct(), remote.jobs_at_once());
    let mut shell = Shell::new(runtime, remote, output, jobs);
    let outcome = run_lines(&mut shell);
    match outcome {
        Ok(()) => runtime.block_on(shell.jobs.wait(None)).inspect_err(|failure| {
            if matches!(failure, Failure::Interrupted) {
                runtime.block_on(shell.jobs.stop());
            }
        }),
        Err(failure) => {
            runtime.block_on(shell.jobs.stop());
            Err(failure)
        }
    }
}

fn run_lines(shell: &mut Shell<'_>) -> Result<(), Failure> {
    for number in 1.. {
        let at_line = |failure| Failure::AtLine { line: number, failure: Box::new(failure) };
        let Some(line) = read_line(&mut io::stdin().lock()).map_err(at_line)? else { break };
        match shell.run_line(line.trim()) {
            Ok(Next::Line) => {}
            Ok(_) => break,
            // Ctrl-C is no fault of a line.
            Err(failure @ (Failure::Interrupted | Failure::Dropped)) => return Err(failure),
            Err(failure) => return Err(at_line(failure)),
        }
    }
    Ok(())
}

/// The next line; `None` at the end.
fn read_line(script: &mut impl BufRead) -> Result<Option<String>, Failure> {
    let mut line = String::new();
    let read = script.take(SCRIPT_LINE_LEN_MAX + 1).read_line(&mut line).map_err(Failure::unexpected)?;
    if read as u64 > SCRIPT_LINE_LEN_MAX {
        return Err(Failure::usage(format!("longer than {SCRIPT_LINE_LEN_MAX} bytes: is this a script?")));
    }
    Ok((read > 0).then_some(line))
}

fn run_terminal(
    runtime: &Runtime,
    remote: &mut Remote,
    history: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    // From here on Ctrl-C ends a command, and never the shell.
    let guard = runtime.enter();
    let _ignored = CtrlC::listen()?;
    drop(guard);
    let shelf = Arc::new(Shelf::default());
    let config = rustyline::Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(history::LINES_MAX)
        .map_err(Failure::unexpected)?
        .build();
    let mut editor = Editor::<WordCompleter, DefaultHistory>::with_config(config).map_err(Failure::unexpected)?;
    let users = remote.kept_users();
    let completer = WordCompleter::new(runtime.handle().clone(), shelf.clone(), users, output.has_colour());
    editor.set_helper(Some(completer));
    let history = History::load(history.map(Path::to_owned), &mut editor);
    // A terminal that cannot move its cursor has no place above the prompt.
    let notices = editor.create_external_printer().map_or_else(|_| Notices::direct(), Notices::above);
    let jobs = Jobs::new(runtime.handle().clone(), notices.clone(), remote.jobs_at_once());
    let mut shell = Shell::new(runtime, remote, output, jobs);
    let outcome = edit_lines(&mut shell, &mut editor, &history, &shelf, &notices);
    runtime.block_on(shell.jobs.stop());
    notices.close();
    outcome
}

fn edit_lines(
    shell: &mut Shell<'_>,
    editor: &mut LineEditor,
    history: &History,
    shelf: &Arc<Shelf>,
    notices: &Notices,
) -> Result<(), Failure> {
    let mut user = shell.remote.user().cloned();
    loop {
        if shell.remote.user() != user.as_ref() {
            shelf.clear();
            user = shell.remote.user().cloned();
        }
        let prompt = prompt::prompt(shell.remote, shell.jobs.running());
        if let Some(completer) = editor.helper_mut() {
            completer.jobs = shell.jobs.numbers();
        }
        let resting = Resting::begin(shell.runtime, shell.remote, shelf);
        notices.prompt_comes();
        let line = editor.readline(&prompt);
        notices.prompt_went();
        resting.end(shell.runtime, shell.remote, shelf);
        let next = match line {
            Ok(line) => {
                if line.trim().is_empty() {
                    continue;
                }
                history.add(&line, &shell.grammar, editor).map_err(Failure::unexpected)?;
                shell.run_line(line.trim())
            }
            // Ctrl-C: a new line.
            Err(ReadlineError::Interrupted) => continue,
            // Ctrl-D.
            Err(ReadlineError::Eof) => shell.run_line("exit"),
            Err(error) => return Err(Failure::unexpected(error)),
        };
        if shell.showed_content {
            prompt::fresh_line().map_err(Failure::unexpected)?;
        }
        match next {
            Ok(Next::Line) => {}
            Ok(Next::History) => history::list(editor, shell.output),
            Ok(Next::Leave) => return Ok(()),
            Err(failure) => shell.output.failure(&failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_script_has_an_end() {
        let len_max = usize::try_from(SCRIPT_LINE_LEN_MAX).expect("short");
        let whole = format!("{}\n", "x".repeat(len_max - 1));
        let mut script = whole.as_bytes();
        assert_eq!(read_line(&mut script).expect("a line"), Some(whole.clone()));
        assert_eq!(read_line(&mut script).expect("the end"), None);
        let longer = format!("x{whole}");
        assert_eq!(read_line(&mut longer.as_bytes()).err().map(|failure| failure.code()), Some(2));
        assert_eq!(read_line(&mut &b"ls"[..]).expect("a line without an end"), Some("ls".to_owned()));
    }
}
