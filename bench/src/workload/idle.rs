//! W8: what a session that is logged in and does nothing costs the server's memory.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use crate::peer::Peer;
use crate::report::{Column, Figure, Score, Unit};
use crate::{stop, usage};

/// How long a server has to come to rest: what it does for the last session is over by then.
const REST: Duration = Duration::from_millis(500);

pub(super) fn idle(bench: &Bench) -> Result<Vec<Column>> {
    let mut scores = Vec::new();
    for peer in &bench.peers {
        let score = match one(bench, peer.as_ref()) {
            Ok(None) => continue,
            Ok(Some(score)) => score,
            Err(error) => bench.failure(&error)?,
        };
        eprintln!("W8 {:18} {score}", peer.name());
        scores.push((peer.name(), score));
    }
    let title = "server memory of an idle session".to_owned();
    Ok(vec![Column { id: "W8".to_owned(), title, unit: Unit::Kib, cost: None, scores }])
}

fn one(bench: &Bench, peer: &dyn Peer) -> Result<Option<Score>> {
    let room = bench.site.room(peer.name())?;
    let service = peer.start(&bench.site, &room)?;
    let server = service.server().pid();
    // The first session is not counted: what the server allocates once is not a session's.
    let Some(first) = service.open_session(0)? else { return Ok(None) };
    stop::pause(REST)?;
    let before = usage::shared_memory_of_tree(server)?;
    let count = usize::try_from(bench.scaled(service.sessions_max() as u64))?;
    let mut sessions = Vec::new();
    for number in 1..=count {
        sessions.extend(service.open_session(number)?);
        stop::pause(Duration::ZERO)?;
    }
    stop::pause(REST)?;
    let after = usage::shared_memory_of_tree(server)?;
    drop((first, sessions));
    let value = after.saturating_sub(before) as f64 / 1024.0 / count as f64;
    Ok(Some(Score::Measured(Figure { value, ratio: None, tail: None, cpu: None, memory: None })))
}
