//! Shows that what was acknowledged is there, whatever happens: the promises P1 to P4 and P14 to P16 of SECURITY.md.
//!
//! - `proof`: the list: which promise, what it needs, how often, which broken variants must be found out. `report`: the
//!   table of what came of it.
//! - `crashes`: kills, power cuts and stops over a `scene`: `writer`s under one `load`, each with a `ledger` of the
//!   `operation`s that were acknowledged. `stops` adds uploads that stall.
//!   `batch` is what of them waits for nothing.
//! - `order`, `failing`, `failing_accounts`, `full`: single `steps` on a `bench`, call by call (`strace`) or page by page.
//! - `readonly`, `lines`: a disk that comes and goes; connections that are cut (`relay`, `slow`).
//! - `rot`: damage that nobody reports.
//! - `programs`, `server`, `mounts`: what is under proof, and the disks that are taken from it.
//!
//! Nothing in here knows how the store works: it looks through the client library, at plain files, and at system calls.

mod batch;
mod bench;
mod crashes;
mod failing;
mod failing_accounts;
mod full;
mod ledger;
mod lines;
mod load;
mod mounts;
mod operation;
mod order;
mod programs;
mod proof;
mod readonly;
mod relay;
mod report;
mod rot;
mod scene;
mod server;
mod slow;
mod steps;
mod stops;
mod strace;
mod writer;

use std::path::Path;

use anyhow::{Result, bail};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use self::programs::Programs;
use self::proof::{Extent, Proof, Trial};
use self::report::{Control, Report, Row, Tally};
use self::server::Program;

/// Where it is set, a proof that would be skipped fails.
const REQUIRE_ROOT: &str = "NETDISK_PROVE_REQUIRE_ROOT";

/// A broken variant is tried so often at most: one that is not found out by then might never be.
const CONTROL_ROUNDS: u64 = 60;

/// How much, and with which dice.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Some minutes, for every day
    #[arg(long, required_unless_present = "full", conflicts_with = "full")]
    quick: bool,
    /// As often as the numbers need, with the program as it is released: about an hour
    #[arg(long)]
    full: bool,
    /// Run only the negative controls: each must be found out
    #[arg(long)]
    control: bool,
    /// Only these promises or proofs, such as `P2,failing-disk`
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// What the operations are chosen by; a random one is taken and printed
    #[arg(long)]
    seed: Option<u64>,
}

/// Tries everything and prints the table.
pub(crate) fn prove(root: &Path, args: &Args) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let extent = if args.full { Extent::Full } else { Extent::Quick };
    let folder = tempfile::Builder::new().prefix("netdisk-prove-").tempdir()?;
    eprintln!("durability: seed {seed}, in {}", folder.path().display());
    let programs = Programs::build(root, extent, folder.path())?;
    let house = House { programs, folder, extent, seed };
    let mut report = Report {
        commit: report::commit(root)?,
        seed,
        rows: Vec::new(),
        controls: Vec::new(),
        skipped: Vec::new(),
        kept: None,
    };
    let chosen = |proof: &Proof| {
        args.only.is_empty() || args.only.iter().any(|only| only == proof.promise() || only == proof.name())
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for proof in Proof::ALL.iter().copied().filter(chosen) {
        if let Some(lacking) = proof.lacks() {
            report.skipped.push((proof, lacking));
            continue;
        }
        runtime.block_on(async {
            // Dropped, a proof takes its servers and mounts away with it.
            tokio::select! {
                () = house.run(proof, args.control, &mut report) => Ok(()),
                stopped = stopped() => stopped.and_then(|()| bail!("stopped")),
            }
        })?;
    }
    house.finish(&mut report);
    println!("{report}");
    if report.has_failed() {
        bail!("a promise does not hold, or a control was not found out");
    }
    if !report.skipped.is_empty() && std::env::var_os(REQUIRE_ROOT).is_some() {
        bail!("{REQUIRE_ROOT} is set, and something was skipped");
    }
    if report.rows.is_empty() && report.controls.is_empty() {
        bail!("nothing was tried");
    }
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
async fn stopped() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminate.recv() => Ok(()),
    }
}

/// What all proofs stand in.
struct House {
    programs: Programs,
    folder: TempDir,
    extent: Extent,
    seed: u64,
}

impl House {
    /// Runs a proof, unless only controls are asked for, and its controls.
    async fn run(&self, proof: Proof, only_controls: bool, report: &mut Report) {
        if !only_controls {
            let mut tally = self.attempt(proof, self.programs.sound(), proof.rounds(self.extent)).await;
            let also = tally.also.take();
            report.rows.push(Row::new(proof, tally));
            report.rows.extend(also);
        }
        for sabotage in proof.controls() {
            let tally = self.attempt(proof, self.programs.broken(sabotage), CONTROL_ROUNDS).await;
            let more = tally.failures.len().saturating_sub(1);
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            let found = tally.failures.first().map(|finding| format!("{finding}{more}"));
            report.controls.push(Control { proof, sabotage, tries: tally.n, found });
        }
    }

    /// What went wrong on the way counts as a failure of a sound program, and not as the finding that a control needs.
    async fn attempt(&self, proof: Proof, program: Program, rounds: u64) -> Tally {
        let is_control = program.sabotage.is_some();
        let variant = program.sabotage.map(|sabotage| format!("-{sabotage}")).unwrap_or_default();
        let name = format!("{}{variant}", proof.name());
        eprintln!("durability: {name}");
        let folder = self.folder.path().join(&name);
        let crowd = if is_control { 0 } else { proof.crowd(self.extent) };
        let trial = Trial { program, folder: folder.clone(), rounds, crowd, seed: self.seed };
        let ran = match std::fs::create_dir_all(&folder) {
            Ok(()) => proof.run(trial).await,
            Err(error) => Err(error.into()),
        };
        let shorten = |finding: String| finding.replace(&format!("{}/", folder.display()), "");
        match ran {
            Ok(tally) => Tally { failures: tally.failures.into_iter().map(shorten).collect(), ..tally },
            Err(error) if is_control => {
                eprintln!("durability: {name}: {error:#}");
                Tally::default()
            }
            Err(error) => Tally { failures: vec![format!("{error:#}")], ..Tally::default() },
        }
    }

    /// Keeps the stores where something failed, for whoever wants to look.
    fn finish(self, report: &mut Report) {
        if report.has_failed() {
            report.kept = Some(self.folder.keep());
        }
    }
}
