//! The workloads: what every contender is asked to do. To add one: a file here, an id in `cli`, an arm in `run`.

mod crowd;
mod far;
mod idle;
mod large;
mod listing;
mod small;
mod transfer;

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use crate::cli::WorkloadId;
use crate::peer::Peer;
use crate::programs::Programs;
use crate::report::{Column, Score};
use crate::site::Site;
use crate::stop;

/// All that a workload needs.
pub(crate) struct Bench {
    pub(crate) site: Rc<Site>,
    /// `limit-tcp` is the first.
    pub(crate) peers: Vec<Box<dyn Peer>>,
    pub(crate) runs: u32,
    pub(crate) patience: Duration,
    /// By what sizes and counts are divided.
    pub(crate) divide: u64,
    /// The disk has to be quiet before each run.
    pub(crate) on_disk: bool,
}

impl Bench {
    /// A size or count, divided as asked; something is left of it.
    fn scaled(&self, amount: u64) -> u64 {
        (amount / self.divide).max(1)
    }

    /// What an error of a contender's counts as; a signal that ends the bench is nobody's fault.
    fn failure(&self, error: &anyhow::Error) -> Result<Score> {
        stop::pause(Duration::ZERO)?;
        Ok(Score::Failed(format!("{error:#}")))
    }
}

/// What keeps a workload from being done on this machine.
pub(crate) fn obstacle(id: WorkloadId, programs: &Programs) -> Option<String> {
    match id {
        WorkloadId::W5 | WorkloadId::W6 => far::obstacle(programs),
        _ => None,
    }
}

/// Lets all contenders do one workload.
pub(crate) fn run(id: WorkloadId, bench: &Bench) -> Result<Vec<Column>> {
    match id {
        WorkloadId::W1 => large::upload(bench),
        WorkloadId::W2 => large::download(bench),
        WorkloadId::W3 => small::upload(bench),
        WorkloadId::W4 => small::download(bench),
        WorkloadId::W5 => far::small_files(bench),
        WorkloadId::W6 => far::large_file(bench),
        WorkloadId::W7 => crowd::crowd(bench),
        WorkloadId::W8 => idle::idle(bench),
        WorkloadId::W9 => listing::listing(bench),
    }
}
