//! The commands: one grammar for the shell and for scripts. The arguments of each stand in a file of its area.

mod account;
mod examples;
mod files;
mod listings;
mod transfer;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use self::account::{RegisterArgs, SessionsArgs, WhoArgs};
pub(crate) use self::files::{CpArgs, MkdirArgs, MvArgs, PathsArgs, RmArgs};
pub(crate) use self::listings::{DuArgs, FindArgs, KindArg, LsArgs, SortKey, TreeArgs};
pub(crate) use self::transfer::{ExistingArg, GetArgs, PutArgs, SelectArgs};

/// A command that the shell and the command line share.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Make an account and log in
    #[command(after_help = examples::REGISTER)]
    Register(RegisterArgs),
    /// Log in; later commands need no password until `logout`
    #[command(after_help = examples::LOGIN)]
    Login(WhoArgs),
    /// Make the stored login worthless and forget it
    #[command(after_help = examples::LOGOUT)]
    Logout,
    /// Change your password; other logins that are kept become worthless
    #[command(after_help = examples::PASSWD)]
    Passwd,
    /// List the logins that are kept, or make one worthless
    #[command(after_help = examples::SESSIONS)]
    Sessions(SessionsArgs),
    /// Say who is logged in
    #[command(after_help = examples::WHOAMI)]
    Whoami,
    /// List directories
    #[command(visible_alias = "dir")]
    #[command(after_help = examples::LS)]
    Ls(LsArgs),
    /// List a directory with kind, size and time, as `ls -l` does
    #[command(after_help = examples::LL)]
    Ll(LsArgs),
    /// Show a directory and what is in it as a tree
    #[command(after_help = examples::TREE)]
    Tree(TreeArgs),
    /// Find files and directories by name, size, age or kind
    #[command(after_help = examples::FIND)]
    Find(FindArgs),
    /// Say how much directories hold, the largest first
    #[command(after_help = examples::DU)]
    Du(DuArgs),
    /// Upload files and directories; a file that exists is overwritten
    #[command(after_help = examples::PUT)]
    Put(PutArgs),
    /// Download files and directories
    #[command(after_help = examples::GET)]
    Get(GetArgs),
    /// Make directories
    #[command(after_help = examples::MKDIR)]
    Mkdir(MkdirArgs),
    /// Remove files and directories
    #[command(after_help = examples::RM)]
    Rm(RmArgs),
    /// Move or rename files and directories
    #[command(after_help = examples::MV)]
    Mv(MvArgs),
    /// Copy files and directories on the server; nothing travels
    #[command(after_help = examples::CP)]
    Cp(CpArgs),
    /// Say how much of the server the account uses, and how much it may
    #[command(after_help = examples::QUOTA)]
    Quota,
    /// Say what stands at a path
    #[command(after_help = examples::STAT)]
    Stat(PathsArgs),
    /// Print files
    #[command(after_help = examples::CAT)]
    Cat(PathsArgs),
}

/// A line of the shell.
#[derive(Debug, Parser)]
#[command(
    name = "netdisk",
    no_binary_name = true,
    disable_version_flag = true,
    max_term_width = 100,
    help_template = "{subcommands}\n\n`help COMMAND` says more. Names with spaces stand in quotes; * ? [..] ** stand for names.\nA `&` at the end makes a job; `!CMD` runs a command of this machine. Ctrl-C stops a command, Ctrl-D leaves.",
    override_usage = "COMMAND [ARGUMENTS]"
)]
pub(crate) struct Line {
    #[command(subcommand)]
    pub(crate) command: ShellCommand,
}

/// A command of the shell.
#[derive(Debug, Subcommand)]
pub(crate) enum ShellCommand {
    #[command(flatten)]
    Common(Command),
    /// Go to another directory on the server
    #[command(after_help = examples::CD)]
    Cd {
        /// Where to; without it, to the root
        path: Option<String>,
    },
    /// Say which directory on the server this is
    #[command(after_help = examples::PWD)]
    Pwd,
    /// Go to another directory on this machine
    #[command(after_help = examples::LCD)]
    Lcd {
        /// Where to; without it, home
        path: Option<PathBuf>,
    },
    /// Say which directory on this machine this is
    #[command(after_help = examples::LPWD)]
    Lpwd,
    /// List a directory on this machine
    #[command(after_help = examples::LLS)]
    Lls {
        /// Which one; without it, the current one
        path: Option<PathBuf>,
    },
    /// List the jobs; a `&` behind a command makes one
    #[command(after_help = examples::JOBS)]
    Jobs,
    /// Bring a job to the front: its bar is shown, and Ctrl-C stops it
    #[command(after_help = examples::FG)]
    Fg {
        /// Which one; without it, the last that was begun
        job: Option<u32>,
    },
    /// Stop jobs; what they have moved is kept, and the same command goes on from there
    #[command(after_help = examples::CANCEL)]
    Cancel {
        /// Which ones
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<u32>,
    },
    /// Wait until jobs have ended
    #[command(after_help = examples::WAIT)]
    Wait {
        /// Which one; without it, all
        job: Option<u32>,
    },
    /// List the lines that were typed
    #[command(after_help = examples::HISTORY)]
    History,
    /// Leave (so do Ctrl-D and `quit`)
    #[command(alias = "quit", alias = "bye")]
    #[command(after_help = examples::EXIT)]
    Exit {
        /// Even while jobs run: they are stopped
        #[arg(short, long)]
        force: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::lexer::{self, Word};

    #[test]
    fn the_grammar_of_the_shell_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        let mut grammar = Line::command();
        grammar.build();
        for command in grammar.get_subcommands().filter(|command| command.get_name() != "help") {
            let name = command.get_name();
            let text = command.get_after_help().unwrap_or_else(|| panic!("{name} has no examples")).to_string();
            let examples: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  ")).collect();
            assert!(!examples.is_empty(), "{name}");
            for example in examples {
                let line = example.split("  #").next().unwrap_or(example).trim_end();
                let lexer::Line::Command { words, .. } = lexer::lex(line).expect(line) else { panic!("{line}") };
                let words: Vec<String> = words.iter().map(Word::text).collect();
                assert_eq!(words.first().map(String::as_str), Some(name), "{line}");
                Line::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }
}
