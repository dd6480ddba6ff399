//! The commands, as the shell and the command line run them.

mod account;
mod du;
mod find;
mod ls;
mod mkdir;
mod relocate;
mod rm;
mod stat;
mod transfer;
mod tree;

use clap::{CommandFactory as _, Parser as _};
use netdisk_client::ClientError;
use netdisk_model::{EntryKind, RemotePath};
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, ConnectArgs, Mode};
use crate::command::{Command, LsArgs};
use crate::config::Config;
use crate::expand::{self, Globs, Unmatched};
use crate::failure::Failure;
use crate::interrupt::{cancellable, interruptible};
use crate::lexer::Word;
use crate::output::Output;
use crate::question;
use crate::remote::Remote;

/// What a command works with.
pub(crate) struct Context<'a> {
    pub(crate) remote: &'a mut Remote,
    pub(crate) output: &'a Output,
    pub(crate) cancel: &'a CancellationToken,
}

/// Runs one command of the command line, whose arguments are `words`.
pub(crate) fn one_shot(args: ConnectArgs, command: Command, words: &[Word], output: &Output) -> Result<(), Failure> {
    let config = Config::locate(args.profile.as_deref()).map_err(Failure::Unexpected)?;
    let mut remote = Remote::new(args, config);
    let runtime = crate::runtime()?;
    let outcome = runtime.block_on(async {
        let outcome = match with_globs(&mut remote, command, words, output).await {
            Ok(command) => run(&mut remote, command, output).await,
            Err(failure) => Err(failure),
        };
        remote.close().await;
        outcome
    });
    // A read from standard input may still wait for its next line: nobody needs it.
    runtime.shutdown_background();
    outcome
}

/// The same command with names in the place of globs of the server.
async fn with_globs(
    remote: &mut Remote,
    command: Command,
    words: &[Word],
    output: &Output,
) -> Result<Command, Failure> {
    let mut grammar = Cli::command();
    grammar.build();
    if !expand::needs_server(&grammar, words) {
        return Ok(command);
    }
    let names = expanded(remote, &grammar, words, Globs::Remote, Unmatched::of(&command), output).await?;
    let program = grammar.get_name().to_owned();
    match Cli::try_parse_from(std::iter::once(program).chain(names)) {
        Ok(Cli { mode: Some(Mode::Command(command)), .. }) => Ok(command),
        Ok(_) => Err(Failure::unexpected(anyhow::anyhow!("the names of a glob made another command"))),
        Err(error) => Err(Failure::usage(usage_text(&error))),
    }
}

/// The words of a command with names in the place of globs, until Ctrl-C is pressed.
pub(crate) async fn expanded(
    remote: &mut Remote,
    grammar: &clap::Command,
    words: &[Word],
    globs: Globs,
    unmatched: Unmatched,
    output: &Output,
) -> Result<Vec<String>, Failure> {
    let cancel = CancellationToken::new();
    remote.attend(output, &cancel);
    let outcome = interruptible(&cancel, expand::expand(remote, grammar, words, globs, unmatched)).await;
    disconnect_after(remote, outcome)
}

/// What the parser says, on one line, without the word `error`.
pub(crate) fn usage_text(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    format!("{}; `help` lists the commands", said.join(" ").trim_start_matches("error: "))
}

/// Runs a command until it ends or Ctrl-C is pressed.
pub(crate) async fn run(remote: &mut Remote, command: Command, output: &Output) -> Result<(), Failure> {
    let cancel = CancellationToken::new();
    remote.attend(output, &cancel);
    let outcome = interruptible(&cancel, dispatch_surely(remote, command, output, &cancel)).await;
    disconnect_after(remote, outcome)
}

/// Runs a command beside the prompt, until it ends or is cancelled: it asks nobody.
pub(crate) async fn run_beside(
    mut remote: Remote,
    command: Command,
    output: &Output,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    remote.attend(output, cancel);
    let work = question::unattended(dispatch_surely(&mut remote, command, output, cancel));
    let outcome = cancellable(cancel, work).await;
    if !outcome.as_ref().is_err_and(Failure::ends_connection) {
        remote.close().await;
    }
    outcome
}

/// Runs a command; what must not be done twice and may have been done is said.
async fn dispatch_surely(
    remote: &mut Remote,
    command: Command,
    output: &Output,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let is_safe_to_repeat = match &command {
        Command::Rm(_) | Command::Mv(_) | Command::Cp(_) | Command::Passwd => false,
        Command::Mkdir(args) => args.parents,
        Command::Sessions(args) => args.revoke.is_none(),
        _ => true,
    };
    let outcome = dispatch(Context { remote, output, cancel }, command).await;
    if is_safe_to_repeat { outcome } else { outcome.map_err(Failure::unsure) }
}

/// Makes a directory the current one, until it ends or Ctrl-C is pressed.
pub(crate) async fn change_directory(remote: &mut Remote, typed: &str, output: &Output) -> Result<(), Failure> {
    let cancel = CancellationToken::new();
    remote.attend(output, &cancel);
    let change = async {
        let path = remote.resolve(typed)?;
        let entry = remote.repeat(async |client| client.stat(&path).await).await?;
        if entry.kind != EntryKind::Directory {
            return Err(Failure::Refused(format!("{path}: not a directory")));
        }
        remote.directory = path;
        Ok(())
    };
    let outcome = interruptible(&cancel, change).await;
    disconnect_after(remote, outcome)
}

/// A name in a remote directory.
fn join(directory: &RemotePath, name: &str) -> Result<RemotePath, Failure> {
    directory.join(name).map_err(|error| ClientError::BadPath { name: name.to_owned(), error }.into())
}

/// Gives up a connection that may be out of step.
fn disconnect_after<T>(remote: &mut Remote, outcome: Result<T, Failure>) -> Result<T, Failure> {
    if outcome.as_ref().is_err_and(Failure::ends_connection) {
        remote.disconnect();
    }
    outcome
}

async fn dispatch(mut context: Context<'_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Register(args) => account::register(context, args).await,
        Command::Login(args) => account::log_in(context, args.name).await,
        Command::Logout => account::log_out(context).await,
        Command::Passwd => account::passwd(context).await,
        Command::Sessions(args) => account::sessions(context, args).await,
        Command::Whoami => account::whoami(context).await,
        Command::Ls(args) => ls::ls(context, args).await,
        Command::Ll(args) => ls::ls(context, LsArgs { long: true, ..args }).await,
        Command::Tree(args) => tree::tree(context, args).await,
        Command::Find(args) => find::find(context, args).await,
        Command::Du(args) => du::du(context, args).await,
        Command::Mkdir(args) => mkdir::mkdir(context, args).await,
        Command::Rm(args) => rm::rm(context, args).await,
        Command::Mv(args) => relocate::mv(context, args).await,
        Command::Cp(args) => relocate::cp(context, args).await,
        Command::Quota => account::quota(context).await,
        Command::Stat(args) => stat::stat(context, args.paths).await,
        Command::Cat(args) => transfer::cat(context, args.paths).await,
        Command::Put(args) => transfer::put(&mut context, args).await,
        Command::Get(args) => transfer::get(&mut context, args).await,
    }
}

/// Counts the failures of a command that is given several things. One thing fails with its own code; of several, each
/// failure is said and the others go on.
struct Several<'a> {
    output: &'a Output,
    all: usize,
    failed: usize,
}

impl<'a> Several<'a> {
    fn new(output: &'a Output, all: usize) -> Self {
        Self { output, all, failed: 0 }
    }

    /// Takes the outcome of one of them; an error when it is no use to go on.
    fn took(&mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        match outcome {
            Ok(()) => Ok(()),
            Err(failure) if self.all == 1 || is_final(&failure) => Err(failure),
            Err(failure) => {
                self.output.failure(&failure);
                self.failed += 1;
                Ok(())
            }
        }
    }

    fn end(self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::SomeFailed { failed, all: self.all }),
        }
    }
}

/// Whether the next thing would fail in the same way.
fn is_final(failure: &Failure) -> bool {
    failure.ends_connection() || matches!(failure.code(), 3..=5 | 130)
}
