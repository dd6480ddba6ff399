//! W9: a listing of 1,000 entries on a session that is warm.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::Bench;
use crate::fileset::{FileSet, many_files};
use crate::peer::Peer;
use crate::report::{Column, Figure, Score, Unit};
use crate::statistics::{median, percentile};
use crate::stop;

const ENTRIES: u64 = 1_000;
/// Listings that are timed, so that a 99th percentile says something.
const LISTINGS: u64 = 200;
/// Listings before those, so that everything is warm.
const WARM_UP: usize = 5;

pub(super) fn listing(bench: &Bench) -> Result<Vec<Column>> {
    let count = usize::try_from(bench.scaled(ENTRIES))?;
    let set = FileSet::make(bench.site.room("sets/w9")?, &many_files(count, 1), 9)?;
    let mut scores = Vec::new();
    for peer in &bench.peers {
        let score = match one(bench, peer.as_ref(), &set) {
            Ok(None) => continue,
            Ok(Some(score)) => score,
            Err(error) => bench.failure(&error)?,
        };
        eprintln!("W9 {:18} {score}", peer.name());
        scores.push((peer.name(), score));
    }
    let title = format!("listing of {count} entries, p50 / p99");
    Ok(vec![Column { id: "W9".to_owned(), title, unit: Unit::Millis, cost: None, scores }])
}

fn one(bench: &Bench, peer: &dyn Peer, set: &FileSet) -> Result<Option<Score>> {
    let room = bench.site.room(peer.name())?;
    let service = peer.start(&bench.site, &room)?;
    service.lay(set)?;
    let Some(mut session) = service.open_session(0)? else { return Ok(None) };
    let mut millis = Vec::new();
    for number in 0..WARM_UP + usize::try_from(bench.scaled(LISTINGS))? {
        stop::pause(std::time::Duration::ZERO)?;
        let began = Instant::now();
        let listed = session.list(set.name()?)?;
        if number >= WARM_UP {
            millis.push(began.elapsed().as_secs_f64() * 1000.0);
        } else {
            let missing = set.files.keys().find(|name| !listed.contains(name.as_str()));
            ensure!(missing.is_none(), "{missing:?} is not listed");
        }
    }
    let value = median(&millis).context("at least one listing")?;
    let tail = percentile(&millis, 99);
    Ok(Some(Score::Measured(Figure { value, ratio: None, tail, cpu: None, memory: None })))
}
