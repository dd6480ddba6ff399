//! W7: 100 clients at once, each a process of its own that uploads 1 MiB; and how long a client of netdisk takes to start.

use std::time::Instant;

use anyhow::{Context as _, Result};

use super::Bench;
use crate::fileset::{FileSet, one_file};
use crate::peer::{NETDISK, Peer};
use crate::process::{Ended, run_client, run_crowd};
use crate::report::{Column, Figure, Score, Unit};
use crate::statistics::{median, percentile};

const CLIENTS: u64 = 100;
const SIZE: u64 = 1 << 20;
/// How often a client is started that only says its version.
const STARTS: u32 = 50;

pub(super) fn crowd(bench: &Bench) -> Result<Vec<Column>> {
    let (clients, size) = (bench.scaled(CLIENTS), bench.scaled(SIZE));
    let make = |number| {
        let root = bench.site.room(&format!("sets/c{number:03}"))?;
        FileSet::make(root, &one_file(size), number)
    };
    let sets = (0..clients).map(make).collect::<Result<Vec<_>>>()?;
    let mut scores = Vec::new();
    for peer in &bench.peers {
        let score = match one(bench, peer.as_ref(), &sets) {
            Ok(score) => score,
            Err(error) => bench.failure(&error)?,
        };
        eprintln!("W7 {:18} {score}", peer.name());
        scores.push((peer.name(), score));
    }
    let title = format!("{clients} clients at once, {} each", crate::report::size_text(size));
    let together = Column { id: "W7".to_owned(), title, unit: Unit::MibPerSecond, cost: None, scores };
    Ok(vec![together, start(bench)?])
}

/// All rounds of one contender: interleaving would keep a hundred sessions' worth of every server at once.
fn one(bench: &Bench, peer: &dyn Peer, sets: &[FileSet]) -> Result<Score> {
    let room = bench.site.room(peer.name())?;
    let service = peer.start(&bench.site, &room)?;
    let mib = sets.iter().map(FileSet::size).sum::<u64>() as f64 / f64::from(1 << 20);
    let mut rates = Vec::new();
    for _ in 0..bench.runs {
        let (commands, landings): (Vec<_>, Vec<_>) = service.crowd(sets)?.into_iter().unzip();
        match run_crowd(commands, &room, bench.patience)? {
            Ended::Well(spent) => rates.push(mib / spent.time.as_secs_f64()),
            Ended::Badly(words) => return Ok(Score::Failed(words)),
            Ended::TooSlow => {
                return Ok(Score::TooSlow { seconds: bench.patience.as_secs_f64(), files: 0, bytes: 0 });
            }
        }
        for (set, landing) in sets.iter().zip(&landings) {
            if let Some(fault) = set.find_fault(landing)? {
                return Ok(Score::Failed(format!("all clients said that all is well, but {fault}")));
            }
        }
    }
    let value = median(&rates).context("at least one round")?;
    Ok(Score::Measured(Figure { value, ratio: None, tail: None, cpu: None, memory: None }))
}

/// The start of a client alone: from before its process was made until it has said its version and ended.
fn start(bench: &Bench) -> Result<Column> {
    let mut millis = Vec::new();
    for _ in 0..STARTS {
        let mut command = bench.site.client("netdisk")?;
        command.arg("--version");
        let began = Instant::now();
        match run_client(command, bench.site.folder(), bench.patience)? {
            Ended::Well(spent) => millis.push(spent.time.as_secs_f64() * 1000.0),
            ended => anyhow::bail!("netdisk --version, after {:?}: {ended:?}", began.elapsed()),
        }
    }
    let value = median(&millis).context("at least one start")?;
    let figure = Figure { value, ratio: None, tail: percentile(&millis, 99), cpu: None, memory: None };
    let (id, title) = ("W7 start".to_owned(), "of a client, p50 / p99".to_owned());
    Ok(Column { id, title, unit: Unit::Millis, cost: None, scores: vec![(NETDISK, Score::Measured(figure))] })
}
