//! W3 and W4: 2,000 files of 4 KiB.

use anyhow::Result;

use super::Bench;
use super::transfer::{Direction, Plan, measure};
use crate::fileset::many_files;
use crate::report::{Column, CostUnit};

pub(super) const COUNT: u64 = 2_000;
pub(super) const SIZE: u64 = 4 * 1024;

pub(super) fn upload(bench: &Bench) -> Result<Vec<Column>> {
    small("W3", Direction::Upload, bench)
}

pub(super) fn download(bench: &Bench) -> Result<Vec<Column>> {
    small("W4", Direction::Download, bench)
}

fn small(id: &str, direction: Direction, bench: &Bench) -> Result<Vec<Column>> {
    let count = usize::try_from(bench.scaled(COUNT))?;
    let title = format!("{direction} {count} x 4 KiB");
    let plan = Plan { id: id.to_owned(), title, direction, shape: many_files(count, SIZE), cost: CostUnit::Files };
    Ok(vec![measure(bench, &bench.site, &plan)?])
}
