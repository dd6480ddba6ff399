//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures netdisk beside what people have: the same work, the same machine, the same minute.
#[derive(Debug, Parser)]
#[command(name = "netdisk-bench", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

/// What is asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Measure netdisk beside every peer that is installed
    Compare(CompareArgs),
    /// List the contenders, and which programs they lack here
    Peers(ProgramArgs),
    /// Become another program that ends when the bench ends, perhaps in another network
    #[command(hide = true)]
    Launch(LaunchArgs),
    /// Hold packets between two networks
    #[command(hide = true)]
    Relay(RelayArgs),
    /// One stream of files with nothing else: what the machine can do at best
    #[command(hide = true, subcommand)]
    Limit(LimitCommand),
}

/// Options of `compare`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompareArgs {
    /// Only these workloads
    #[arg(long, value_name = "W1,W3", value_delimiter = ',', ignore_case = true)]
    pub(crate) only: Vec<WorkloadId>,
    /// Only these contenders, by name; `limit-tcp` is always among them
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) peers: Vec<String>,
    /// How often each does each workload
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,
    /// Write the tables to FILE too
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Draw the times in FILE too
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// Work in DIR, on a real disk, instead of in memory
    #[arg(long, value_name = "DIR")]
    pub(crate) disk: Option<PathBuf>,
    /// A transfer that takes longer than this many seconds is stopped, and its rate is reported
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) patience: u64,
    /// Divide all sizes and counts by N: for trying things, not for figures
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) divide: u64,
    #[command(flatten)]
    pub(crate) programs: ProgramArgs,
}

/// Where programs are.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProgramArgs {
    /// The program to measure [default: `netdisk` beside this one]
    #[arg(long, value_name = "FILE")]
    pub(crate) netdisk: Option<PathBuf>,
    /// Look for the peers' programs in DIR too, before PATH and the `sbin` folders; may be given again
    #[arg(long = "programs", value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
}

/// What to become.
#[derive(Debug, Clone, Args)]
pub(crate) struct LaunchArgs {
    /// The network namespace to enter, as a file
    #[arg(long, value_name = "FILE")]
    pub(crate) namespace: Option<PathBuf>,
    /// The program and its arguments
    #[arg(required = true, last = true)]
    pub(crate) command: Vec<OsString>,
}

/// How long a wire to lay.
#[derive(Debug, Clone, Args)]
pub(crate) struct RelayArgs {
    /// How long a packet travels
    #[arg(long)]
    pub(crate) delay_micros: u64,
    /// The program `ip`
    #[arg(long)]
    pub(crate) ip: PathBuf,
}

/// The ends of a limit.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LimitCommand {
    /// Serve a folder
    Serve {
        /// Where to listen
        #[arg(long)]
        listen: SocketAddr,
        /// What to serve
        #[arg(long)]
        folder: PathBuf,
        /// Over TLS, with this certificate
        #[arg(long, requires = "key")]
        certificate: Option<PathBuf>,
        /// and this key
        #[arg(long, requires = "certificate")]
        key: Option<PathBuf>,
    },
    /// Send a folder
    Put(LimitClientArgs),
    /// Fetch a folder
    Get(LimitClientArgs),
}

/// What a client of a limit moves.
#[derive(Debug, Clone, Args)]
pub(crate) struct LimitClientArgs {
    /// The server
    #[arg(long)]
    pub(crate) server: SocketAddr,
    /// Over TLS, trusting this certificate
    #[arg(long)]
    pub(crate) certificate: Option<PathBuf>,
    /// The folder here
    pub(crate) folder: PathBuf,
    /// Its name there
    pub(crate) name: String,
}

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum WorkloadId {
    /// Upload a large file
    W1,
    /// Download a large file
    W2,
    /// Upload many small files
    W3,
    /// Download many small files
    W4,
    /// Many small files far away
    W5,
    /// A large file far away
    W6,
    /// A hundred clients at once
    W7,
    /// Memory of idle sessions
    W8,
    /// Listings
    W9,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn compare(args: &[&str]) -> Result<CompareArgs, clap::Error> {
        let line = ["netdisk-bench", "compare"].iter().chain(args);
        Cli::try_parse_from(line).map(|cli| match cli.mode {
            Mode::Compare(args) => args,
            mode => panic!("{mode:?}"),
        })
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lists_are_cut_at_commas() -> Result<(), clap::Error> {
        let args = compare(&["--only", "W1,w3", "--peers", "netdisk,rsync", "--runs", "5"])?;
        assert_eq!(args.only, [WorkloadId::W1, WorkloadId::W3]);
        assert_eq!(args.peers, ["netdisk", "rsync"]);
        assert_eq!((args.runs, args.divide, args.patience), (5, 1, 30));
        Ok(())
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for args in [["--only", "W99"], ["--runs", "0"], ["--divide", "0"], ["--patience", "0"], ["--unknown", "1"]] {
            assert!(compare(&args).is_err(), "{args:?}");
        }
    }
}
