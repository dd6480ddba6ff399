//! netdisk beside what people have: `netdisk-bench compare` does the same work with each of them and says how long it took.
//!
//! Reading order: `cli` (what is asked), `compare` (the whole of it), `workload` (what is done), `peer` (who does it),
//! `fileset` (with what, and whether it arrived), `site` and `process` (where and how servers and clients run), `limit`
//! (what the machine can do at best), `usage` (what it cost), `stop` (how it ends early), `statistics`, `report`, `targets`, `plot`.

mod account;
mod cli;
mod compare;
mod fileset;
mod launch;
mod limit;
mod machine;
mod network;
mod peer;
mod plot;
mod process;
mod programs;
mod relay;
mod report;
mod session;
mod site;
mod statistics;
mod stop;
mod targets;
mod usage;
mod workload;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use cli::{Cli, Mode};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netdisk-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    match cli.mode {
        Mode::Compare(args) => compare::compare(&args),
        Mode::Peers(args) => compare::list_peers(&args),
        Mode::Launch(args) => launch::launch(&args),
        Mode::Relay(args) => relay::run(&args),
        Mode::Limit(command) => limit::run(&command),
    }
}
