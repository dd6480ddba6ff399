//! The list of proofs: which promise each is about, what it needs, how often it is tried, and what must be found out.

use std::path::PathBuf;

use anyhow::Result;

use super::crashes::{Blow, Storm};
use super::failing;
use super::full;
use super::lines;
use super::mounts::{self, Image, PowerSwitch};
use super::order;
use super::readonly;
use super::report::Tally;
use super::rot;
use super::server::Program;
use super::stops;
use super::strace;

/// A way to try a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Kills,
    Cuts,
    Order,
    Lines,
    FullDisk,
    FailingDisk,
    ReadOnlyDisk,
    Rot,
    Stops,
}

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Some minutes, in every check of a change.
    Quick,
    /// Until the numbers mean something.
    Full,
}

/// One run of a proof, with a sound program or a broken one.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) program: Program,
    /// Empty, and its own.
    pub(super) folder: PathBuf,
    pub(super) rounds: u64,
    /// Files that somebody else has in the store.
    pub(super) crowd: usize,
    pub(super) seed: u64,
}

impl Trial {
    /// Whether this finding is what the trial is about. A broken program fails in other ways, too; a control counts for
    /// what it does to the files.
    pub(super) fn counts(&self, finding: &str) -> bool {
        self.program.sabotage.is_none() || finding.contains("lost: ") || finding.contains("torn: ")
    }
}

impl Proof {
    pub(super) const ALL: &[Self] = &[
        Self::Kills,
        Self::Cuts,
        Self::Order,
        Self::Lines,
        Self::FullDisk,
        Self::FailingDisk,
        Self::ReadOnlyDisk,
        Self::Rot,
        Self::Stops,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kills => "kills",
            Self::Cuts => "cuts",
            Self::Order => "order",
            Self::Lines => "lines",
            Self::FullDisk => "full-disk",
            Self::FailingDisk => "failing-disk",
            Self::ReadOnlyDisk => "read-only-disk",
            Self::Rot => "rot",
            Self::Stops => "stops",
        }
    }

    pub(super) fn promise(self) -> &'static str {
        match self {
            Self::Kills => "P1",
            Self::Cuts | Self::Order => "P2",
            Self::Lines => "P3",
            Self::FullDisk | Self::FailingDisk | Self::ReadOnlyDisk => "P14",
            Self::Rot => "P15",
            Self::Stops => "P16",
        }
    }

    pub(super) fn how(self) -> &'static str {
        match self {
            Self::Kills => "`kill -9` under 8 writers",
            Self::Cuts => "power cut of an ext4 under 8 writers",
            Self::Order => "order of system calls behind an acknowledgement",
            Self::Lines => "connection cut during an overwrite",
            Self::FullDisk => "full disk, at each page and inode of each operation",
            Self::FailingDisk => "EIO from each sync and write of each operation",
            Self::ReadOnlyDisk => "disk remounted read-only, and back, under 4 writers",
            Self::Rot => "a bit flipped in a stored file: scrub, get, cp, put of the same",
            Self::Stops => "SIGTERM under 8 writers",
        }
    }

    /// The broken variants that must be found out.
    pub(super) fn controls(self) -> &'static [&'static str] {
        match self {
            Self::Kills => &["ack-first"],
            Self::Cuts => &["no-file-sync", "no-directory-sync"],
            Self::Order => &["no-file-sync", "no-directory-sync", "ack-first", "in-place"],
            Self::Lines | Self::FullDisk => &["in-place"],
            Self::FailingDisk => &["ignore-sync-error"],
            Self::ReadOnlyDisk => &["ignore-remove-error"],
            Self::Rot => &["ignore-digest"],
            Self::Stops => &["ack-first"],
        }
    }

    /// Why it cannot be tried here, if so.
    pub(super) fn lacks(self) -> Option<String> {
        match self {
            Self::Kills | Self::Lines | Self::Rot | Self::Stops => None,
            Self::Cuts | Self::FullDisk | Self::ReadOnlyDisk => mounts::why_not(),
            Self::Order | Self::FailingDisk => strace::why_not(),
        }
    }

    pub(super) fn rounds(self, extent: Extent) -> u64 {
        match (self, extent) {
            // Each step, or each place in it, once: they are always the same.
            (Self::Order | Self::FullDisk | Self::FailingDisk, _) => 1,
            (Self::Kills, Extent::Quick) => 40,
            (Self::Cuts, Extent::Quick) => 25,
            // Of large overwrites; the points of the small one are always all of them.
            (Self::Lines, Extent::Quick) => 30,
            (Self::ReadOnlyDisk, Extent::Quick) => 5,
            (Self::Stops, Extent::Quick) => 10,
            (Self::Rot, Extent::Quick) => 100,
            (Self::Kills | Self::Cuts | Self::Lines | Self::Rot, Extent::Full) => 1_000,
            (Self::ReadOnlyDisk, Extent::Full) => 100,
            (Self::Stops, Extent::Full) => 200,
        }
    }

    /// Files that somebody else has in the store, where the time of starts is measured.
    pub(super) fn crowd(self, extent: Extent) -> usize {
        match (self, extent) {
            (Self::Kills, Extent::Quick) => 10_000,
            (Self::Kills, Extent::Full) => 100_000,
            _ => 0,
        }
    }

    pub(super) async fn run(self, trial: Trial) -> Result<Tally> {
        match self {
            Self::Kills => Storm::new(trial).rage(Blow::Kill).await,
            Self::Cuts => {
                let image = Image::make(&trial.folder)?;
                Storm::new(trial).rage(Blow::Cut(image, PowerSwitch::new()?)).await
            }
            Self::Order => order::prove(trial).await,
            Self::Lines => lines::prove(trial).await,
            Self::FullDisk => full::prove(trial).await,
            Self::FailingDisk => failing::prove(trial).await,
            Self::ReadOnlyDisk => readonly::prove(trial).await,
            Self::Rot => rot::prove(trial).await,
            Self::Stops => stops::prove(trial).await,
        }
    }
}
