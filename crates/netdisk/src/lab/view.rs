//! `netdisk lab view`: a recording in three rows, in the terminal or as a page.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use netdisk_lab::LabError;
use netdisk_lab::view::{self, Direction, Recording};

use crate::failure::Failure;

/// Options of `lab view`.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// A recording, as `netdisk --trace FILE` writes it; without one, a live run
    #[arg(value_name = "RECORDING", conflicts_with = "seed")]
    recording: Option<PathBuf>,
    /// Where the cuts of the live run come from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Write one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the live run as a recording
    #[arg(long, value_name = "FILE", conflicts_with = "recording")]
    save: Option<PathBuf>,
    /// Which direction to print where there is no terminal
    #[arg(long, value_name = "WHICH", default_value = "received")]
    way: WayArg,
}

/// Seen from whoever recorded.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum WayArg {
    Sent,
    Received,
}

/// Writes what was asked for; otherwise shows it in the terminal, or prints it step by step where there is none.
pub(super) fn view(args: &ViewArgs) -> Result<(), Failure> {
    let (recording, title) = match &args.recording {
        Some(file) => {
            let opened = File::open(file).map_err(|error| Failure::NotFound(format!("{}: {error}", file.display())))?;
            (Recording::load(BufReader::new(opened)).map_err(super::failure)?, file.display().to_string())
        }
        None => (view::live(args.seed).map_err(super::failure)?, format!("a live run, cut by seed {}", args.seed)),
    };
    if let Some(file) = &args.html {
        std::fs::write(file, view::page(&recording, &title)).map_err(Failure::unexpected)?;
    }
    if let Some(file) = &args.save {
        File::create(file).and_then(|mut file| recording.save(&mut file)).map_err(Failure::unexpected)?;
    }
    if args.html.is_some() || args.save.is_some() {
        return Ok(());
    }
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return view::run(&recording).map_err(Failure::unexpected);
    }
    let direction = match args.way {
        WayArg::Sent => Direction::Sent,
        WayArg::Received => Direction::Received,
    };
    super::print(|out| print_steps(&recording, direction, out))
}

fn print_steps(recording: &Recording, direction: Direction, out: &mut dyn io::Write) -> Result<(), LabError> {
    writeln!(out, "step  held  last; decoder")?;
    for (number, step) in recording.steps(direction).enumerate().skip(1) {
        writeln!(out, "{number:>4} {:>5}  {}; {}", step.held, step.last_in_words(), step.state())?;
    }
    Ok(())
}
