//! The figures and their tables in Markdown.

use std::fmt;

use crate::peer::{Peer, Promises};

/// One workload, and how each contender did.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) unit: Unit,
    pub(crate) cost: Option<CostUnit>,
    pub(crate) scores: Vec<(&'static str, Score)>,
}

/// What a column counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
    /// Of memory, for one session.
    Kib,
    /// The only one of which more is better.
    MibPerSecond,
}

/// What CPU time is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CostUnit {
    /// Seconds a GiB.
    Gib,
    /// Milliseconds a file.
    Files,
}

/// How a contender did in one workload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Score {
    Measured(Figure),
    /// Stopped after so long; that much had arrived in whole files.
    TooSlow {
        seconds: f64,
        files: usize,
        bytes: u64,
    },
    /// It could not be started, said that it failed, or was wrong.
    Failed(String),
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figure {
    /// The median, in the column's unit.
    pub(crate) value: f64,
    /// The median of the ratios to `limit-tcp` in the same round.
    pub(crate) ratio: Option<f64>,
    /// The 99th percentile, where many were measured.
    pub(crate) tail: Option<f64>,
    /// CPU time of client and server, in the column's cost unit.
    pub(crate) cpu: Option<f64>,
    /// The server's peak, in bytes.
    pub(crate) memory: Option<u64>,
}

impl Column {
    /// How `contender` did, if it took part.
    pub(crate) fn score(&self, contender: &str) -> Option<&Score> {
        self.scores.iter().find(|(name, _)| *name == contender).map(|(_, score)| score)
    }

    /// What was measured of `contender`, if it did well.
    pub(crate) fn figure(&self, contender: &str) -> Option<&Figure> {
        match self.score(contender) {
            Some(Score::Measured(figure)) => Some(figure),
            _ => None,
        }
    }
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Millis => "ms",
            Self::Kib => "KiB",
            Self::MibPerSecond => "MiB/s",
        }
    }
}

impl CostUnit {
    /// CPU seconds of a whole transfer, for one unit of it.
    pub(crate) fn per_unit(self, seconds: f64, files: usize, bytes: u64) -> f64 {
        match self {
            Self::Gib => seconds / (bytes as f64 / (1u64 << 30) as f64),
            Self::Files => seconds * 1000.0 / files as f64,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gib => "CPU s/GiB",
            Self::Files => "CPU ms/file",
        }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured(figure) => {
                f.write_str(&short(figure.value))?;
                figure.tail.map_or(Ok(()), |tail| write!(f, " / {}", short(tail)))?;
                figure.ratio.map_or(Ok(()), |ratio| write!(f, " ({ratio:.2}x)"))
            }
            Self::TooSlow { seconds, files: 0 | 1, bytes: 0 } => write!(f, "> {seconds:.0}"),
            Self::TooSlow { seconds, files, .. } => {
                write!(f, "> {seconds:.0}: {:.0} files/s", *files as f64 / seconds)
            }
            Self::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value {
        value if value < 1.0 => format!("{value:.3}"),
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// Such as `4 KiB`.
pub(crate) fn size_text(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

/// One row a contender, one column a workload: times, then what they cost.
pub(crate) fn tables(peers: &[Box<dyn Peer>], columns: &[Column]) -> String {
    let mut text = String::new();
    let titles: Vec<String> =
        columns.iter().map(|column| format!("{} {}, {}", column.id, column.title, column.unit.name())).collect();
    row(&mut text, ["contender", "encrypts", "verifies", "syncs"].map(str::to_owned).into_iter().chain(titles));
    rule(&mut text, 4 + columns.len());
    let mut reasons = Vec::new();
    for peer in peers {
        let Promises { encrypts, verifies, syncs, .. } = peer.promises();
        let marks = [encrypts, verifies, syncs].map(|kept| if kept { "yes" } else { "-" }.to_owned());
        let cells = columns.iter().map(|column| cell(column, peer.name(), &mut reasons)).collect::<Vec<_>>();
        row(&mut text, [peer.name().to_owned()].into_iter().chain(marks).chain(cells));
    }
    for reason in reasons {
        text.push_str(&format!("\n{reason}\n"));
    }
    text.push('\n');
    text.push_str(&cost_table(peers, columns));
    text
}

fn cell(column: &Column, peer: &str, reasons: &mut Vec<String>) -> String {
    match column.score(peer) {
        None => String::new(),
        Some(Score::Failed(reason)) => {
            reasons.push(format!("{peer} in {}: {}", column.id, reason.replace(['|', '\n'], " ")));
            "failed".to_owned()
        }
        Some(score) => score.to_string(),
    }
}

fn cost_table(peers: &[Box<dyn Peer>], columns: &[Column]) -> String {
    let mut text = String::new();
    let priced: Vec<_> = columns.iter().filter_map(|column| Some((column, column.cost?))).collect();
    if priced.is_empty() {
        return text;
    }
    let titles = priced.iter().map(|(column, cost)| format!("{} {}, peak MiB", column.id, cost.name()));
    row(&mut text, ["contender", "how"].map(str::to_owned).into_iter().chain(titles));
    rule(&mut text, 2 + priced.len());
    for peer in peers {
        let cells = priced.iter().map(|(column, _)| match column.figure(peer.name()) {
            Some(Figure { cpu: Some(cpu), memory: Some(memory), .. }) => {
                format!("{}, {}", short(*cpu), short(*memory as f64 / (1 << 20) as f64))
            }
            _ => String::new(),
        });
        row(&mut text, [peer.name().to_owned(), peer.promises().how.to_owned()].into_iter().chain(cells));
    }
    text
}

/// Adds a row of a table.
pub(crate) fn row(text: &mut String, cells: impl Iterator<Item = String>) {
    text.push('|');
    for cell in cells {
        text.push_str(&format!(" {cell} |"));
    }
    text.push('\n');
}

/// Adds the line between the head of a table and the rest.
pub(crate) fn rule(text: &mut String, columns: usize) {
    text.push_str(&"|---".repeat(columns));
    text.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, ratio: Option<f64>, tail: Option<f64>) -> Score {
        Score::Measured(Figure { value, ratio, tail, cpu: None, memory: None })
    }

    #[test]
    fn cells() {
        assert_eq!(figure(0.1234, Some(1.0), None).to_string(), "0.123 (1.00x)");
        assert_eq!(figure(12.34, None, Some(56.78)).to_string(), "12.3 / 56.8");
        assert_eq!(Score::TooSlow { seconds: 30.0, files: 0, bytes: 0 }.to_string(), "> 30");
        assert_eq!(Score::TooSlow { seconds: 30.0, files: 150, bytes: 9 }.to_string(), "> 30: 5 files/s");
    }

    #[test]
    fn sizes() {
        assert_eq!(size_text(1 << 30), "1 GiB");
        assert_eq!(size_text(4096), "4 KiB");
        assert_eq!(size_text(1025), "1025 bytes");
        assert_eq!(size_text(0), "0 bytes");
    }

    #[test]
    fn costs() {
        assert_eq!(CostUnit::Gib.per_unit(3.0, 1, 1 << 29), 6.0);
        assert_eq!(CostUnit::Files.per_unit(3.0, 1000, 0), 3.0);
    }
}
