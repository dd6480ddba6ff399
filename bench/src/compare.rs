//! The whole comparison: who is here, what is asked, the tables.

use std::fs;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;

use crate::cli::{CompareArgs, ProgramArgs, WorkloadId};
use crate::peer::{self, Peer};
use crate::programs::Programs;
use crate::site::{self, Site};
use crate::workload::{self, Bench};
use crate::{machine, plot, report, stop, targets};

/// Measures, and prints what came of it.
pub(crate) fn compare(args: &CompareArgs) -> Result<()> {
    let programs = Programs::new(&args.programs)?;
    let (peers, absent) = contenders(&programs, &args.peers)?;
    site::own_mounts(&programs)?;
    stop::watch()?;
    let site = Rc::new(Site::new(programs, args.disk.as_deref())?);
    let load_before = machine::load()?;
    let bench = Bench {
        site,
        peers,
        runs: args.runs,
        patience: Duration::from_secs(args.patience),
        divide: args.divide,
        on_disk: args.disk.is_some(),
    };
    let (mut columns, mut left_out) = (Vec::new(), Vec::new());
    for id in chosen(&args.only) {
        if let Some(reason) = workload::obstacle(id, &bench.site.programs) {
            eprintln!("{id:?} is left out: {reason}");
            left_out.push(format!("Left out: {id:?}: {reason}.\n"));
            continue;
        }
        columns.extend(workload::run(id, &bench).with_context(|| format!("{id:?}"))?);
    }
    let mut text = report::tables(&bench.peers, &columns);
    text.push_str(&format!("\n{}\n", targets::table(&bench.peers, &columns)));
    text.push_str(&left_out.concat());
    text.push_str(&remarks(&bench, &absent, load_before)?);
    println!("{text}");
    if let Some(file) = &args.plot {
        fs::write(file, plot::svg(&columns, &machine::line(bench.site.folder())?))
            .with_context(|| file.display().to_string())?;
    }
    if let Some(out) = &args.out {
        fs::write(out, text).with_context(|| out.display().to_string())?;
    }
    Ok(())
}

/// Who was left out, where this was, and how to do it again.
fn remarks(bench: &Bench, absent: &[(&str, Vec<&str>)], load_before: f64) -> Result<String> {
    let mut text = String::new();
    for (name, missing) in absent {
        text.push_str(&format!("Left out, not installed: {name} ({}).\n", missing.join(", ")));
    }
    let (machine, load) = (machine::line(bench.site.folder())?, machine::load()?);
    text.push_str(&format!("\nMachine: {machine}. Load average {load_before:.1} before, {load:.1} after.\n"));
    text.push_str(&format!("Peers: {}.\n", machine::versions(&bench.site.programs, &bench.peers)));
    text.push_str(&format!("Medians of {} runs in turns. Command: `{}`\n", bench.runs, command_line()));
    Ok(text)
}

/// Says who could take part, and who lacks what.
pub(crate) fn list_peers(args: &ProgramArgs) -> Result<()> {
    let programs = Programs::new(args)?;
    for peer in peer::all() {
        let missing = programs.missing(peer.programs());
        let state = if missing.is_empty() { "ready".to_owned() } else { format!("lacks {}", missing.join(", ")) };
        println!("{:20} {state:24} {}", peer.name(), peer.promises().how);
    }
    Ok(())
}

/// Who takes part, and who cannot.
type Contenders = (Vec<Box<dyn Peer>>, Vec<(&'static str, Vec<&'static str>)>);

fn contenders(programs: &Programs, wanted: &[String]) -> Result<Contenders> {
    let all = peer::all();
    if let Some(unknown) = wanted.iter().find(|wanted| !all.iter().any(|peer| peer.name() == wanted.as_str())) {
        let names: Vec<_> = all.iter().map(|peer| peer.name()).collect();
        bail!("no contender is called {unknown}: there are {}", names.join(", "));
    }
    let chosen = |peer: &dyn Peer| {
        wanted.is_empty() || peer.name() == peer::LIMIT || wanted.iter().any(|wanted| wanted == peer.name())
    };
    let (mut ready, mut absent) = (Vec::new(), Vec::new());
    for peer in all.into_iter().filter(|peer| chosen(peer.as_ref())) {
        let missing = programs.missing(peer.programs());
        if missing.is_empty() {
            ready.push(peer);
        } else {
            absent.push((peer.name(), missing));
        }
    }
    Ok((ready, absent))
}

fn chosen(only: &[WorkloadId]) -> Vec<WorkloadId> {
    let all = WorkloadId::value_variants().iter().copied();
    all.filter(|id| only.is_empty() || only.contains(id)).collect()
}

fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo run -p netdisk-bench --release -- {}", arguments.join(" "))
}
