//! Arguments of the commands that change or show files and directories on the server.

use clap::Args;

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
