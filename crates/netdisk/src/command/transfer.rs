//! Arguments of put and get.

use clap::{Args, ValueEnum};

/// What to do with a file that stands where another goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// What of trees travels.
#[derive(Debug, Clone, Args)]
pub(crate) struct SelectArgs {
    /// Leave out what fits this pattern, as in a .gitignore file: a name, `*.log`, `target/`, `/only/here`
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Take what fits this pattern, whatever else says no; without --exclude, nothing else
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Say what would travel, and move nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

/// How many connections a transfer uses.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ConnectionsArg {
    /// How many connections many files, or a large one, may use at once, 1 to 16 [default: 4, and 1 for a large file where
    /// the server is near]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) connections: Option<u8>,
}

/// What to upload.
#[derive(Debug, Clone, Args)]
pub(crate) struct PutArgs {
    /// Files and directories here; of several paths the last is where to put them there. One path alone keeps its name,
    /// in the current directory. `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Directories with all that is in them
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// What to do with a file that stands there [default: overwrite]
    #[arg(long, value_name = "WHAT")]
    pub(crate) existing: Option<ExistingArg>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) connections: ConnectionsArg,
    /// Send every byte. Otherwise the server copies a file of yours that has the same content, where it has one
    #[arg(long)]
    pub(crate) no_reuse: bool,
    /// Do not heed the .netdiskignore files in the trees
    #[arg(long)]
    pub(crate) no_ignore: bool,
}

/// What to download.
#[derive(Debug, Clone, Args)]
pub(crate) struct GetArgs {
    /// Files and directories there; of several paths the last is where to put them here. One path alone keeps its name,
    /// in the current directory. `-` is standard output
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Directories with all that is in them
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// What to do with a file that stands here [default: ask on a terminal, refuse otherwise]
    #[arg(long, value_name = "WHAT")]
    pub(crate) existing: Option<ExistingArg>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) connections: ConnectionsArg,
}
