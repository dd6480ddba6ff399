//! W1 and W2: one file of 1 GiB.

use anyhow::Result;

use super::Bench;
use super::transfer::{Direction, Plan, measure};
use crate::fileset::one_file;
use crate::report::{Column, CostUnit};

const SIZE: u64 = 1 << 30;

pub(super) fn upload(bench: &Bench) -> Result<Vec<Column>> {
    large("W1", Direction::Upload, bench)
}

pub(super) fn download(bench: &Bench) -> Result<Vec<Column>> {
    large("W2", Direction::Download, bench)
}

fn large(id: &str, direction: Direction, bench: &Bench) -> Result<Vec<Column>> {
    let size = bench.scaled(SIZE);
    let title = format!("{direction} {}", crate::report::size_text(size));
    let plan = Plan { id: id.to_owned(), title, direction, shape: one_file(size), cost: CostUnit::Gib };
    Ok(vec![measure(bench, &bench.site, &plan)?])
}
