//! A transfer by every contender in turn, so many rounds: timed, paid for, and looked at afterwards.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Bench;
use crate::fileset::FileSet;
use crate::peer::{Peer, Service};
use crate::process::{Ended, run_client};
use crate::report::{Column, CostUnit, Figure, Score, Unit};
use crate::site::Site;
use crate::statistics::{median, median_ratio};
use crate::stop;
use crate::usage::{MemoryWatch, cpu_of_tree, tree_len};

/// The processes of a session end a little after its client. Their CPU time counts once they have.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(500);
const SETTLE_INTERVAL: Duration = Duration::from_millis(5);

/// What is to be transferred, and how that is reported.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) direction: Direction,
    pub(super) shape: Vec<(String, u64)>,
    pub(super) cost: CostUnit,
}

/// Which way, seen from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Upload,
    Download,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upload => "upload",
            Self::Download => "download",
        })
    }
}

/// A contender at work.
struct Entrant<'a> {
    peer: &'a dyn Peer,
    service: Box<dyn Service>,
    room: PathBuf,
    runs: Vec<Run>,
}

/// One transfer that was right.
#[derive(Debug, Clone, Copy)]
struct Run {
    seconds: f64,
    cpu: f64,
    memory: u64,
}

/// Lets every contender do it, in turns; who fails once is out, with the reason.
pub(super) fn measure(bench: &Bench, site: &Rc<Site>, plan: &Plan) -> Result<Column> {
    let name = plan.id.to_lowercase().replace(' ', "-");
    let root = site.room(&format!("sets/{name}"))?;
    let seed = plan.id.bytes().fold(0, |seed, byte| seed * 256 + u64::from(byte));
    let set = FileSet::make(root, &plan.shape, seed)?;
    let (mut entrants, mut scores) = (Vec::new(), Vec::new());
    for peer in &bench.peers {
        match enter(site, plan, &set, peer.as_ref()) {
            Ok(entrant) => entrants.push(entrant),
            Err(error) => scores.push((peer.name(), bench.failure(&error)?)),
        }
    }
    for round in 1..=bench.runs {
        let mut left = Vec::new();
        for mut entrant in entrants {
            match entrant.run(bench, site, plan, &set)? {
                Ok(run) => {
                    eprintln!("{} {round}/{} {:18} {:.3} s", plan.id, bench.runs, entrant.peer.name(), run.seconds);
                    entrant.runs.push(run);
                    left.push(entrant);
                }
                Err(score) => {
                    eprintln!("{} {round}/{} {:18} {score}", plan.id, bench.runs, entrant.peer.name());
                    scores.push((entrant.peer.name(), score));
                }
            }
        }
        entrants = left;
    }
    let limit: Vec<f64> = entrants.first().map(Entrant::seconds).unwrap_or_default();
    scores.extend(entrants.iter().map(|entrant| (entrant.peer.name(), entrant.score(plan, &set, &limit))));
    fs::remove_dir_all(&set.root)?;
    Ok(Column { id: plan.id.clone(), title: plan.title.clone(), unit: Unit::Seconds, cost: Some(plan.cost), scores })
}

fn enter<'a>(site: &Rc<Site>, plan: &Plan, set: &FileSet, peer: &'a dyn Peer) -> Result<Entrant<'a>> {
    let room = site.room(peer.name())?;
    let service = peer.start(site, &room)?;
    if plan.direction == Direction::Download {
        service.lay(set).context("what is to be downloaded")?;
    }
    Ok(Entrant { peer, service, room, runs: Vec::new() })
}

impl Entrant<'_> {
    /// One transfer; a contender that is too slow or wrong gives its score instead.
    fn run(&self, bench: &Bench, site: &Site, plan: &Plan, set: &FileSet) -> Result<Result<Run, Score>> {
        let server = self.service.server().pid();
        let (command, arrived) = match plan.direction {
            Direction::Upload => {
                self.service.clear(set)?;
                (self.service.upload(set)?, self.service.files().join(set.name()?))
            }
            Direction::Download => {
                let into = site.room("downloads")?;
                (self.service.download(set, &into)?, into.join(set.name()?))
            }
        };
        if bench.on_disk {
            rustix::fs::sync();
        }
        let (processes, cpu_before, watch) = (tree_len(server), cpu_of_tree(server)?, MemoryWatch::start(server));
        let ended = run_client(command, &self.room, bench.patience)?;
        settle(server, processes)?;
        let (cpu, memory) = (cpu_of_tree(server)?.saturating_sub(cpu_before), watch.finish()?);
        let spent = match ended {
            Ended::Well(spent) => spent,
            Ended::Badly(words) => return Ok(Err(Score::Failed(words))),
            Ended::TooSlow => {
                let (files, bytes) = set.arrived(&arrived)?;
                return Ok(Err(Score::TooSlow { seconds: bench.patience.as_secs_f64(), files, bytes }));
            }
        };
        if let Some(fault) = set.find_fault(&arrived)? {
            return Ok(Err(Score::Failed(format!("it said that all is well, but {fault}"))));
        }
        match plan.direction {
            Direction::Upload => self.service.clear(set)?,
            Direction::Download => fs::remove_dir_all(&arrived)?,
        }
        Ok(Ok(Run { seconds: spent.time.as_secs_f64(), cpu: (spent.cpu + cpu).as_secs_f64(), memory }))
    }

    fn seconds(&self) -> Vec<f64> {
        self.runs.iter().map(|run| run.seconds).collect()
    }

    fn score(&self, plan: &Plan, set: &FileSet, limit: &[f64]) -> Score {
        let (seconds, cpus) = (self.seconds(), self.runs.iter().map(|run| run.cpu).collect::<Vec<_>>());
        Score::Measured(Figure {
            value: median(&seconds).unwrap_or_default(),
            ratio: median_ratio(&seconds, limit),
            tail: None,
            cpu: median(&cpus).map(|cpu| plan.cost.per_unit(cpu, set.files.len(), set.size())),
            memory: self.runs.iter().map(|run| run.memory).max(),
        })
    }
}

/// Waits until no more processes are left than before the transfer, but not for ever.
fn settle(server: u32, processes: usize) -> Result<()> {
    let began = Instant::now();
    while tree_len(server) > processes && began.elapsed() < SETTLE_TIMEOUT {
        stop::pause(SETTLE_INTERVAL)?;
    }
    Ok(())
}
