//! W3 and W4: 2,000 files of 4 KiB.

use std::fs::{self, File};
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Bench;
use super::transfer::{Direction, Plan, measure};
use crate::fileset::tree;
use crate::report::{Column, CostUnit, Figure, Score};
use crate::statistics::median;
use crate::stop;
use crate::targets::ONE_BY_ONE;

pub(super) const COUNT: u64 = 2_000;
pub(super) const SIZE: u64 = 4 * 1024;

pub(super) fn upload(bench: &Bench) -> Result<Vec<Column>> {
    let mut columns = small("W3", Direction::Upload, bench)?;
    if bench.on_disk {
        let figure = one_by_one(bench)?;
        columns.iter_mut().for_each(|column| column.scores.push((ONE_BY_ONE, Score::Measured(figure))));
    }
    Ok(columns)
}

/// What the disk gives to who stores one file after the other, each safely: written, synced, renamed, its folder synced.
fn one_by_one(bench: &Bench) -> Result<Figure> {
    let (count, content) = (bench.scaled(COUNT), vec![7; usize::try_from(SIZE)?]);
    let mut seconds = Vec::new();
    for _ in 0..bench.runs {
        let folder = bench.site.room("one-by-one")?;
        let directory = File::open(&folder)?;
        let (part, began) = (folder.join("part"), Instant::now());
        for number in 0..count {
            stop::pause(Duration::ZERO)?;
            let mut file = File::create(&part)?;
            file.write_all(&content)?;
            file.sync_all()?;
            fs::rename(&part, folder.join(number.to_string()))?;
            directory.sync_all()?;
        }
        seconds.push(began.elapsed().as_secs_f64());
    }
    let value = median(&seconds).context("at least one round")?;
    eprintln!("W3 {ONE_BY_ONE}: {value:.3} s");
    Ok(Figure { value, ratio: None, tail: None, cpu: None, memory: None })
}

pub(super) fn download(bench: &Bench) -> Result<Vec<Column>> {
    small("W4", Direction::Download, bench)
}

fn small(id: &str, direction: Direction, bench: &Bench) -> Result<Vec<Column>> {
    let count = usize::try_from(bench.scaled(COUNT))?;
    let title = format!("{direction} {count} x 4 KiB");
    let plan = Plan { id: id.to_owned(), title, direction, shape: tree(count, SIZE), cost: CostUnit::Files };
    Ok(vec![measure(bench, &bench.site, &plan)?])
}
