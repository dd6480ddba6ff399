//! The workloads: what every contender is asked to do. To add one: a file here, an id in `cli`, an arm in `run`.

mod large;
mod small;
mod transfer;

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use crate::cli::WorkloadId;
use crate::peer::Peer;
use crate::report::Column;
use crate::site::Site;

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
}

/// Lets all contenders do one workload.
pub(crate) fn run(id: WorkloadId, bench: &Bench) -> Result<Vec<Column>> {
    match id {
        WorkloadId::W1 => large::upload(bench),
        WorkloadId::W2 => large::download(bench),
        WorkloadId::W3 => small::upload(bench),
        WorkloadId::W4 => small::download(bench),
    }
}
