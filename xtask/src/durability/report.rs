//! What was found, and the table of it.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::proof::Proof;

/// What came of one proof.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How often the promise was tried.
    pub(super) n: u64,
    /// What was found against it; empty is good.
    pub(super) failures: Vec<String>,
    /// What else is worth knowing, for the table.
    pub(super) notes: Vec<String>,
    /// Another promise that the same run tried.
    pub(super) also: Option<Row>,
}

impl Tally {
    /// Says now and then how far a long proof has come.
    pub(super) fn log_progress(&self, rounds: u64) {
        if self.n.is_multiple_of(100) {
            eprintln!("durability: {} of {rounds}", self.n);
        }
    }
}

/// A line of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) promise: &'static str,
    pub(super) how: String,
    pub(super) n: u64,
    pub(super) failures: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl Row {
    pub(super) fn new(proof: Proof, tally: Tally) -> Self {
        let Tally { n, failures, notes, .. } = tally;
        Self { promise: proof.promise(), how: proof.how().to_owned(), n, failures, notes }
    }
}

/// A negative control.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) proof: Proof,
    pub(super) sabotage: &'static str,
    /// How often it was tried, and what gave it away, if anything did.
    pub(super) tries: u64,
    pub(super) found: Option<String>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) commit: String,
    pub(super) seed: u64,
    pub(super) rows: Vec<Row>,
    pub(super) controls: Vec<Control>,
    /// What was left out, and why.
    pub(super) skipped: Vec<(Proof, String)>,
    /// Where the stores of failures are.
    pub(super) kept: Option<PathBuf>,
}

impl Report {
    pub(super) fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| !row.failures.is_empty())
            || self.controls.iter().any(|control| control.found.is_none())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commit, seed, .. } = self;
        writeln!(
            out,
            "commit {commit}, seed {seed}\n\n| promise | tried by | N | failures | |\n|---|---|---|---|---|"
        )?;
        for Row { promise, how, n, failures, notes } in &self.rows {
            writeln!(out, "| {promise} | {how} | {n} | {} | {} |", failures.len(), notes.join("; "))?;
        }
        for (proof, why) in &self.skipped {
            writeln!(out, "| {} | {} | - | - | skipped: {why} |", proof.promise(), proof.how())?;
        }
        if !self.controls.is_empty() {
            writeln!(out, "\n| control of | by | broken variant | found out at try | by |\n|---|---|---|---|---|")?;
        }
        for Control { proof, sabotage, tries, found } in &self.controls {
            let (at, by) = match found {
                Some(finding) => (tries.to_string(), finding.as_str()),
                None => (format!("not in {tries}"), "THE PROOF PROVES NOTHING"),
            };
            writeln!(out, "| {} | {} | `{sabotage}` | {at} | {by} |", proof.promise(), proof.how())?;
        }
        for Row { promise, failures, .. } in &self.rows {
            for failure in failures {
                writeln!(out, "\n{promise} FAILED: {failure}")?;
            }
        }
        if let Some(kept) = &self.kept {
            writeln!(out, "\nThe stores are kept in {}; delete them when they have told all.", kept.display())?;
            writeln!(out, "`--seed {seed}` does the same operations; the instants differ a little each time.")?;
        }
        Ok(())
    }
}

/// The commit that is proved, and whether the tree is more than it.
pub(super) fn commit(root: &std::path::Path) -> Result<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(root).output().context("git")?;
        Ok::<_, anyhow::Error>(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    let dirty = !git(&["status", "--porcelain"])?.is_empty();
    Ok(if dirty { format!("{head}-dirty") } else { head })
}
