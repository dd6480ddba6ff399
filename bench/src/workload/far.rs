//! W5 and W6: at a round trip of 50 ms, many small files and a large one, up and down.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::small;
use super::transfer::{Direction, Plan, measure};
use crate::fileset::{one_file, tree};
use crate::programs::Programs;
use crate::report::{Column, CostUnit, size_text};
use crate::site::Site;

const ROUND_TRIP: Duration = Duration::from_millis(50);
const LARGE_SIZE: u64 = 100 << 20;

/// What keeps a long wire from being laid here.
pub(super) fn obstacle(programs: &Programs) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("networks with a long wire between them take root".to_owned());
    }
    let lacks = |what: &str| format!("networks with a long wire between them take {what}");
    if !Path::new("/dev/net/tun").exists() {
        return Some(lacks("/dev/net/tun"));
    }
    programs.find("ip").is_none().then(|| lacks("the program `ip`"))
}

/// W5: 2,000 files of 4 KiB.
pub(super) fn small_files(bench: &Bench) -> Result<Vec<Column>> {
    let count = usize::try_from(bench.scaled(small::COUNT))?;
    both_ways(bench, "W5", &format!("{count} x 4 KiB"), tree(count, small::SIZE), CostUnit::Files)
}

/// W6: one file of 100 MiB.
pub(super) fn large_file(bench: &Bench) -> Result<Vec<Column>> {
    let size = bench.scaled(LARGE_SIZE);
    both_ways(bench, "W6", &size_text(size), one_file(size), CostUnit::Gib)
}

fn both_ways(bench: &Bench, id: &str, what: &str, shape: Vec<(String, u64)>, cost: CostUnit) -> Result<Vec<Column>> {
    let site = Rc::new(Site::far(&bench.site, ROUND_TRIP)?);
    let mut columns = Vec::new();
    for (direction, way) in [(Direction::Upload, "up"), (Direction::Download, "down")] {
        let title = format!("{what} at {} ms", ROUND_TRIP.as_millis());
        let plan = Plan { id: format!("{id} {way}"), title, direction, shape: shape.clone(), cost };
        columns.push(measure(bench, &site, &plan)?);
    }
    Ok(columns)
}
