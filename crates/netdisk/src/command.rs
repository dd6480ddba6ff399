//! The commands: one grammar for the shell and for scripts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use netdisk_model::{Token, UserName};

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
    /// Upload files and directories; a file that exists is overwritten
    Put(PutArgs),
    /// Download files and directories
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
    help_template = "{subcommands}\n\n`help COMMAND` says more. Names with spaces stand in quotes.\nCtrl-C stops a command, Ctrl-D leaves.",
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
    /// Leave (so do Ctrl-D and `quit`)
    #[command(alias = "quit", alias = "bye")]
    Exit,
}

/// Whose new account.
#[derive(Debug, Clone, Args)]
pub(crate) struct RegisterArgs {
    /// The user
    pub(crate) name: Option<UserName>,
    /// The invitation, where the server asks for one; or set NETDISK_INVITATION
    #[arg(long, value_name = "CODE", env = "NETDISK_INVITATION", hide_env_values = true)]
    pub(crate) invitation: Option<Token>,
}

/// Whose account.
#[derive(Debug, Clone, Args)]
pub(crate) struct WhoArgs {
    /// The user
    pub(crate) name: Option<UserName>,
}

/// What to do about kept logins.
#[derive(Debug, Clone, Args)]
pub(crate) struct SessionsArgs {
    /// Make this one worthless
    #[arg(long, value_name = "ID")]
    pub(crate) revoke: Option<String>,
}

/// What to list and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct LsArgs {
    /// The directory, or a file
    pub(crate) path: Option<String>,
    /// Kind, size and time too
    #[arg(short)]
    pub(crate) long: bool,
    /// The whole tree
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// What to sort by
    #[arg(long, value_name = "KEY", default_value = "name")]
    pub(crate) sort: SortKey,
    /// The other way round
    #[arg(short, long)]
    pub(crate) reverse: bool,
}

/// What a listing is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortKey {
    /// By name
    Name,
    /// Largest first
    Size,
    /// Newest first
    Time,
}

/// What to do with a file that stands where another goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExistingArg {
    /// Replace it
    Overwrite,
    /// Keep it and go on
    Skip,
    /// Replace it when the other is newer
    Newer,
    /// Keep both, the other under a new name
    Rename,
    /// Ask
    Ask,
}

/// What to upload.
#[derive(Debug, Clone, Args)]
pub(crate) struct PutArgs {
    /// Files here; of several paths the last is where to put them there. One path alone keeps its name, in the current
    /// directory. `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Directories with all that is in them
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// What to do with a file that stands there
    #[arg(long, value_name = "WHAT", default_value = "overwrite")]
    pub(crate) existing: ExistingArg,
}

/// What to download.
#[derive(Debug, Clone, Args)]
pub(crate) struct GetArgs {
    /// Files there; of several paths the last is where to put them here. One path alone keeps its name, in the current
    /// directory. `-` is standard output
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Directories with all that is in them
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// What to do with a file that stands here [default: ask on a terminal, refuse otherwise]
    #[arg(long, value_name = "WHAT")]
    pub(crate) existing: Option<ExistingArg>,
}

/// Which directories to make.
#[derive(Debug, Clone, Args)]
pub(crate) struct MkdirArgs {
    /// The directories
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Make missing parents too, and do not mind what exists
    #[arg(short, long)]
    pub(crate) parents: bool,
}

/// What to remove.
#[derive(Debug, Clone, Args)]
pub(crate) struct RmArgs {
    /// Files and directories
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Directories with all that is in them
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Do not mind what is missing
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// What to move.
#[derive(Debug, Clone, Args)]
pub(crate) struct MvArgs {
    /// What, then where to: FROM... TO. Into TO when that is a directory
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Replace a file that stands there
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// What to copy.
#[derive(Debug, Clone, Args)]
pub(crate) struct CpArgs {
    /// What, then where to: FROM... TO. Into TO when that is a directory
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Directories with all that is in them
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Replace a file that stands there
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Some paths.
#[derive(Debug, Clone, Args)]
pub(crate) struct PathsArgs {
    /// The paths
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
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
