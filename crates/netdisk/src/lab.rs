//! `netdisk lab`: the grammar of the framing lab, and its wiring.

mod dissect;
mod grade;
mod service;
mod view;

use std::io::{self, Write};

use clap::{Args, Subcommand};
use netdisk_lab::{LabError, Paint, bench, command, stick};

use crate::failure::Failure;
use crate::paint::When;
use dissect::DissectArgs;
use grade::GradeArgs;
use service::{MessengerArgs, ProxyArgs};
use view::ViewArgs;

/// The parts of the lab.
#[derive(Debug, Subcommand)]
pub(crate) enum Lab {
    /// Show how messages stick together and split, live on real sockets, and four cures
    Stick(StickArgs),
    /// Run a small wrong receiver and see it fail
    Broken(LessonArgs),
    /// Run the right receiver in its place
    Fixed(LessonArgs),
    /// See the rest of one command's output come as the answer to the next
    Command,
    /// Step through what was written, what arrived, and what the decoder cut
    View(ViewArgs),
    /// Take one message apart, from frame to packet, on a real capture
    Dissect(DissectArgs),
    /// Stand between a client and a server and mangle what passes
    Proxy(ProxyArgs),
    /// Exchange texts and files as the first program of every course does
    Messenger(MessengerArgs),
    /// Hold your own server or client against PROTOCOL.md
    Grade(GradeArgs),
}

/// Options of `lab stick`.
#[derive(Debug, Args)]
pub(crate) struct StickArgs {
    /// Where random orders and cuts come from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How often sender and receiver run free
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    rounds: u16,
}

/// Options of `lab broken` and `lab fixed`.
#[derive(Debug, Args)]
pub(crate) struct LessonArgs {
    /// Which one: delimiter, fixed-size, length, limit, header; all without it
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Where the cuts come from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Print its text instead of running it
    #[arg(long)]
    source: bool,
}

/// Runs a part of the lab.
pub(crate) fn lab(lab: Lab, colour: When) -> Result<(), Failure> {
    let paint = if colour.is_wanted() { Paint::Colour } else { Paint::Plain };
    match lab {
        Lab::Stick(args) => {
            print(|out| stick::run(&stick::Options { seed: args.seed, rounds: args.rounds.into(), paint }, out))
        }
        Lab::Broken(args) => print(|out| lesson(&args, &bench::BROKEN, false, paint, out)),
        Lab::Fixed(args) => print(|out| lesson(&args, &bench::FIXED, true, paint, out)),
        Lab::Command => print(|out| command::run(paint, out)),
        Lab::View(args) => view::view(&args),
        Lab::Dissect(args) => dissect::dissect(&args, paint),
        Lab::Proxy(args) => service::proxy(args),
        Lab::Messenger(args) => service::messenger(args),
        Lab::Grade(args) => grade::grade(args, paint),
    }
}

/// Lends standard output to a part that prints and ends.
fn print(part: impl FnOnce(&mut dyn Write) -> Result<(), LabError>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    part(&mut out).and_then(|()| Ok(out.flush()?)).or_else(gone).map_err(failure)
}

/// A reader that has gone (`| head`) has seen enough.
fn gone(error: LabError) -> Result<(), LabError> {
    match error {
        LabError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        error => Err(error),
    }
}

fn failure(error: LabError) -> Failure {
    match error {
        LabError::Usage(text) => Failure::Usage(text),
        error => Failure::unexpected(error),
    }
}

fn lesson(
    args: &LessonArgs,
    programs: &[bench::Program],
    is_right: bool,
    paint: Paint,
    out: &mut dyn Write,
) -> Result<(), LabError> {
    let chosen: Vec<_> =
        programs.iter().filter(|program| args.name.as_deref().is_none_or(|name| name == program.name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = programs.iter().map(|program| program.name).collect();
        return Err(LabError::Usage(format!("no such lesson; there are {}", names.join(", "))));
    }
    for (number, program) in chosen.into_iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        if args.source {
            out.write_all(program.source.as_bytes())?;
        } else {
            bench::show(program, is_right, args.seed, paint, out)?;
        }
    }
    Ok(())
}
