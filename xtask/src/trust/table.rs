//! The table of promises: what was tried how often, what failed, and whether the control was seen.

use std::fmt;
use std::path::Path;
use std::process::Command;

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// Which promise.
    pub(crate) promise: &'static str,
    /// What was tried.
    pub(crate) what: String,
    /// How often.
    pub(crate) tried: u64,
    /// How often it went wrong.
    pub(crate) failed: u64,
    /// What was measured.
    pub(crate) figure: String,
    /// The broken variant.
    pub(crate) control: &'static str,
    /// How often the control went wrong; 0 means that the probe is blind.
    pub(crate) control_failed: u64,
}

impl Row {
    fn is_good(&self) -> bool {
        self.tried > 0 && self.failed == 0 && self.control_failed > 0
    }
}

/// All of them.
pub(crate) struct Report {
    rows: Vec<Row>,
    broken: Vec<String>,
    commit: String,
    seed: u64,
}

impl Report {
    pub(crate) fn new(root: &Path, seed: u64) -> Self {
        let git = |args: &[&str]| {
            let output = Command::new("git").args(args).current_dir(root).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
        };
        let changed = if git(&["status", "--porcelain"]).is_empty() { "" } else { " and changes" };
        let commit = format!("{}{changed}", git(&["rev-parse", "--short", "HEAD"]));
        Self { rows: Vec::new(), broken: Vec::new(), commit, seed }
    }

    pub(crate) fn extend(&mut self, rows: Vec<Row>) {
        for row in &rows {
            eprintln!("  {row}");
        }
        self.rows.extend(rows);
    }

    /// A probe that could not be run to its end.
    pub(crate) fn broke(&mut self, name: &str, error: &anyhow::Error) {
        eprintln!("  {name} broke: {error:#}");
        self.broken.push(format!("`{name}` did not end: {error:#}"));
    }

    pub(crate) fn failures(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_good()).count() + self.broken.len()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, what, tried, failed, figure, control, control_failed } = self;
        let verdict = if self.is_good() { "holds" } else { "FAILED" };
        write!(out, "| {promise} | {what} | {tried} | {failed} | {figure} | {control}: {control_failed} | {verdict} |")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "Commit {}, seed {}. 0 failures of N mean a rate under 3/N at 95 %.\n", self.commit, self.seed)?;
        writeln!(out, "| | tried | N | failed | figure | control: failed | |\n|---|---|---|---|---|---|---|")?;
        self.rows.iter().try_for_each(|row| writeln!(out, "{row}"))?;
        self.broken.iter().try_for_each(|broken| writeln!(out, "\n{broken}"))
    }
}
