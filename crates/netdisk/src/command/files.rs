//! Arguments of the commands about files and directories on the server.

use clap::{Args, ValueEnum};

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
