//! A line: what it asks for, and the commands that only a shell has.

use clap::{CommandFactory as _, Parser as _};
use serde_json::json;
use tokio::runtime::Runtime;

use super::jobs::Jobs;
use super::local;
use crate::command::{Command, Line, ShellCommand};
use crate::expand::{Globs, Unmatched};
use crate::failure::Failure;
use crate::grammar::{Role, places};
use crate::lexer::{self, Word};
use crate::output::Output;
use crate::remote::Remote;
use crate::{question, run};

/// What lines work with.
pub(super) struct Shell<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) remote: &'a mut Remote,
    pub(super) output: &'a Output,
    pub(super) jobs: Jobs,
    pub(super) grammar: clap::Command,
    /// Whether the last line was an `exit` that jobs kept from leaving.
    wanted_to_leave: bool,
    /// Whether the last line showed what need not end with a line: content, or what another program said.
    pub(super) showed_content: bool,
}

/// What comes after a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next line.
    Line,
    /// A list of the lines so far, and then the next one.
    History,
    /// Nothing.
    Leave,
}

/// What words ask for.
enum Asked {
    Command(Box<ShellCommand>),
    /// Help, which was given.
    Help,
}

impl<'a> Shell<'a> {
    pub(super) fn new(runtime: &'a Runtime, remote: &'a mut Remote, output: &'a Output, jobs: Jobs) -> Self {
        let mut grammar = Line::command();
        grammar.build();
        Self { runtime, remote, output, jobs, grammar, wanted_to_leave: false, showed_content: false }
    }

    /// Runs a line to its end, or begins a job.
    pub(super) fn run_line(&mut self, line: &str) -> Result<Next, Failure> {
        let asked_before = std::mem::take(&mut self.wanted_to_leave);
        self.showed_content = false;
        let (words, background) = match lexer::lex(line).map_err(|error| Failure::usage(error.to_string()))? {
            lexer::Line::Nothing => return Ok(Next::Line),
            lexer::Line::Local(command) => {
                self.showed_content = true;
                self.runtime.block_on(local::run(&command))?;
                return Ok(Next::Line);
            }
            lexer::Line::Command { words, background } => (words, background),
        };
        // Before anything is asked of the server.
        let Asked::Command(command) = parse(words.iter().map(Word::text))? else { return Ok(Next::Line) };
        let unmatched = match command.as_ref() {
            ShellCommand::Common(command) => Unmatched::of(command),
            _ => Unmatched::Fails,
        };
        let expanding = run::expanded(self.remote, &self.grammar, &words, Globs::All, unmatched, self.output);
        let names = self.runtime.block_on(expanding)?;
        if background {
            return self.begin_job(names, line);
        }
        match parse(names)? {
            Asked::Help => Ok(Next::Line),
            Asked::Command(command) => self.execute(*command, asked_before),
        }
    }

    fn begin_job(&mut self, names: Vec<String>, line: &str) -> Result<Next, Failure> {
        let names = with_places_here(&self.grammar, names)?;
        let Asked::Command(command) = parse(names)? else { return Ok(Next::Line) };
        let command = match *command {
            ShellCommand::Common(command) if can_be_a_job(&command) => command,
            _ => return Err(Failure::usage("this command makes no job; leave the `&` out")),
        };
        let line = line.trim_end().trim_end_matches('&').trim_end();
        self.jobs.start(self.remote, command, line, self.output)?;
        Ok(Next::Line)
    }

    fn execute(&mut self, command: ShellCommand, asked_before: bool) -> Result<Next, Failure> {
        let runtime = self.runtime;
        match command {
            // The shell reads its own lines from there.
            ShellCommand::Common(Command::Put(args)) if args.paths.iter().any(|path| path == "-") => {
                return Err(Failure::usage(
                    "`put -` takes standard input, from which the shell reads; run it as a command",
                ));
            }
            ShellCommand::Common(command) => {
                self.showed_content = shows_content(&command);
                runtime.block_on(run::run(self.remote, command, self.output))?;
            }
            ShellCommand::Cd { path } => {
                let path = path.as_deref().unwrap_or("/");
                runtime.block_on(run::change_directory(self.remote, path, self.output))?;
            }
            ShellCommand::Pwd => {
                let path = &self.remote.directory;
                self.output.result(path.as_str(), json!({"event": "done", "path": path}));
            }
            ShellCommand::Lcd { path } => local::lcd(path)?,
            ShellCommand::Lpwd => local::lpwd(self.output)?,
            ShellCommand::Lls { path } => local::lls(path.unwrap_or_else(|| ".".into()), self.output)?,
            ShellCommand::Jobs => self.jobs.list(self.output),
            ShellCommand::Fg { job } => runtime.block_on(self.jobs.to_the_front(job, self.output))?,
            ShellCommand::Cancel { jobs } => runtime.block_on(self.jobs.cancel(&jobs))?,
            ShellCommand::Wait { job } => runtime.block_on(self.jobs.wait(job))?,
            ShellCommand::History => return Ok(Next::History),
            ShellCommand::Exit { force } => return self.leave(force || asked_before),
        }
        Ok(Next::Line)
    }

    /// Asks where jobs run; a script waits for them at its end.
    fn leave(&mut self, surely: bool) -> Result<Next, Failure> {
        let running = self.jobs.running();
        if running == 0 || surely || !question::can_be_asked() {
            return Ok(Next::Leave);
        }
        let what = if running == 1 { "A job is".to_owned() } else { format!("{running} jobs are") };
        if question::ask(&format!("{what} not done yet. Stop and leave?"))? {
            return Ok(Next::Leave);
        }
        self.wanted_to_leave = true;
        Ok(Next::Line)
    }
}

fn parse(words: impl IntoIterator<Item = String>) -> Result<Asked, Failure> {
    match Line::try_parse_from(words) {
        Ok(line) => Ok(Asked::Command(Box::new(line.command))),
        Err(error) if error.use_stderr() => Err(Failure::usage(run::usage_text(&error))),
        Err(help) => help.print().map(|()| Asked::Help).map_err(Failure::unexpected),
    }
}

/// Whether a command writes the content of files to the terminal.
fn shows_content(command: &Command) -> bool {
    match command {
        Command::Cat(_) => true,
        Command::Get(args) => args.paths.last().is_some_and(|path| path == "-"),
        _ => false,
    }
}

/// Whether a command can run beside the prompt: it asks nobody and needs no terminal.
fn can_be_a_job(command: &Command) -> bool {
    let streams = |paths: &[String]| paths.iter().any(|path| path == "-");
    match command {
        Command::Put(args) => !streams(&args.paths),
        Command::Get(args) => !streams(&args.paths),
        Command::Register(_) | Command::Login(_) | Command::Logout | Command::Passwd | Command::Cat(_) => false,
        _ => true,
    }
}

/// Roots what is of this machine: `lcd` may have changed the directory when the job's turn comes.
fn with_places_here(grammar: &clap::Command, mut names: Vec<String>) -> Result<Vec<String>, Failure> {
    let here = std::env::current_dir().map_err(Failure::unexpected)?;
    let words: Vec<Word> = names.iter().map(|name| Word::unquoted(name)).collect();
    let places = places(grammar, &words);
    for (name, place) in names.iter_mut().zip(&places) {
        if place.role == Role::Local && name != "-" {
            let rooted = here.join(&*name);
            *name =
                rooted.to_str().ok_or_else(|| Failure::usage(format!("{}: no UTF-8", rooted.display())))?.to_owned();
        }
    }
    let is_get = places.last().is_some_and(|place| place.command.get_name() == "get");
    if is_get && places.iter().all(|place| place.role != Role::Local) {
        let here = here.to_str().ok_or_else(|| Failure::usage(format!("{}: no UTF-8", here.display())))?;
        names.push(here.to_owned());
    }
    Ok(names)
}
