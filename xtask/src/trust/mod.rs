//! Shows what is promised about trust: nobody gets in, nobody is held up, nobody is believed.
//!
//! Each probe attacks a real server or a real client, counts what it tried and what went wrong, and then attacks a
//! broken variant in the same way: a control that is not found out fails the proof, because a probe that cannot see
//! anything proves nothing.

mod contents;
mod crowd;
mod dependencies;
mod evil;
mod guess;
mod middle;
mod noise;
mod paths;
mod peer;
mod race;
mod scene;
mod secrets;
mod spoil;
mod spoilt;
mod table;
mod timing;
mod trees;
mod users;
mod volume;

use std::path::Path;

use anyhow::{Result, bail};

use self::scene::Effort;
use self::table::{Report, Row};

/// How much is tried.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Some minutes, for every day; this is the default
    #[arg(long)]
    quick: bool,
    /// As much as the promise says; about an hour on two cores
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Only the probe of this name
    #[arg(long, value_name = "PROBE")]
    only: Option<String>,
    /// Repeat a run: what is random follows from this
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

type Probe = fn(&Effort) -> Result<Vec<Row>>;

const PROBES: &[(&str, Probe)] = &[
    ("dependencies", dependencies::probe),
    ("paths", paths::probe),
    ("race", race::probe),
    ("users", users::probe),
    ("contents", contents::probe),
    ("noise", noise::probe),
    ("middle", middle::probe),
    ("evil", evil::probe),
    ("secrets", secrets::probe),
    ("timing", timing::probe),
    ("guess", guess::probe),
    ("memory", crowd::memory),
    ("slow", crowd::slow),
];

/// Runs the probes and prints the table.
pub(crate) fn prove(root: &Path, args: &Args) -> Result<()> {
    let effort = Effort::new(root, args.full, args.seed)?;
    let mut report = Report::new(root, args.seed);
    for (name, probe) in PROBES {
        if args.only.as_deref().is_some_and(|only| only != *name) {
            continue;
        }
        eprintln!("trust: {name}");
        match probe(&effort) {
            Ok(rows) => report.extend(rows),
            Err(error) => report.broke(name, &error),
        }
    }
    println!("{report}");
    match report.failures() {
        0 => Ok(()),
        failures => bail!("{failures} rows failed"),
    }
}
