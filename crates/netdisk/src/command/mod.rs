//! The commands: one grammar for the shell and for scripts. The arguments of each stand in a file of its area.

mod account;
mod files;
mod transfer;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use self::account::{RegisterArgs, SessionsArgs, WhoArgs};
pub(crate) use self::files::{CpArgs, LsArgs, MkdirArgs, MvArgs, PathsArgs, RmArgs, SortKey};
pub(crate) use self::transfer::{ExistingArg, GetArgs, PutArgs};

/// A command that the shell and the command line share.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Make an account and log in
    Register(RegisterArgs),
    /// Log in; later commands need no password until `logout`
    Login(WhoArgs),
    /// Make the stored login worthless and forget it
    Logout,
    /// Change your password; other logins that are kept become worthless
    Passwd,
    /// List the logins that are kept, or make one worthless
    Sessions(SessionsArgs),
    /// Say who is logged in
    Whoami,
    /// List a directory
    #[command(visible_alias = "dir")]
    Ls(LsArgs),
    /// Upload files; one that exists is overwritten
    Put(PutArgs),
    /// Download files
    Get(GetArgs),
    /// Make directories
    Mkdir(MkdirArgs),
    /// Remove files and directories
    Rm(RmArgs),
    /// Move or rename files and directories
    Mv(MvArgs),
    /// Copy files and directories on the server; nothing travels
    Cp(CpArgs),
    /// Say how much of the server the account uses, and how much it may
    Quota,
    /// Say what stands at a path
    Stat(PathsArgs),
    /// Print files
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
    Cd {
        /// Where to; without it, to the root
        path: Option<String>,
    },
    /// Say which directory on the server this is
    Pwd,
    /// Go to another directory on this machine
    Lcd {
        /// Where to; without it, home
        path: Option<PathBuf>,
    },
    /// Say which directory on this machine this is
    Lpwd,
    /// List a directory on this machine
    Lls {
        /// Which one; without it, the current one
        path: Option<PathBuf>,
    },
    /// List the jobs; a `&` behind a command makes one
    Jobs,
    /// Bring a job to the front: its bar is shown, and Ctrl-C stops it
    Fg {
        /// Which one; without it, the last that was begun
        job: Option<u32>,
    },
    /// Stop jobs; what they have moved is kept, and the same command goes on from there
    Cancel {
        /// Which ones
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<u32>,
    },
    /// Wait until jobs have ended
    Wait {
        /// Which one; without it, all
        job: Option<u32>,
    },
    /// List the lines that were typed
    History,
    /// Leave (so do Ctrl-D and `quit`)
    #[command(alias = "quit", alias = "bye")]
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

    #[test]
    fn the_grammar_of_the_shell_is_consistent() {
        Line::command().debug_assert();
    }
}
