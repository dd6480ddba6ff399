//! `netdisk lab`: the grammar of the framing lab, and its wiring.

use std::io::{self, IsTerminal as _, Write};
use std::net::SocketAddr;

use clap::{Args, Subcommand, ValueEnum};
use netdisk_lab::mangle::Mischief;
use netdisk_lab::proxy::{Plan, Proxy};
use netdisk_lab::{LabError, Paint, bench, stick};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// The parts of the lab.
#[derive(Debug, Subcommand)]
pub(crate) enum Lab {
    /// Show how messages stick together and split, live on real sockets, and four cures
    Stick(StickArgs),
    /// Run a small wrong receiver and see it fail
    Broken(LessonArgs),
    /// Run the right receiver in its place
    Fixed(LessonArgs),
    /// Stand between a client and a server and mangle what passes
    Proxy(ProxyArgs),
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
    #[command(flatten)]
    colour: ColourArg,
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
    #[command(flatten)]
    colour: ColourArg,
}

/// Options of `lab proxy`. What may be done to a direction: split=BYTES, merge=BYTES, drip[=TIME], stall=BYTES,TIME,
/// reset=BYTES, lie=FRAME,LENGTH, flip=BYTE; several are separated by spaces or by giving the option again.
#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// The server
    #[arg(value_name = "HOST:PORT")]
    to: String,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What is done to bytes from client to server
    #[arg(long, value_name = "WHAT", value_delimiter = ' ')]
    up: Vec<Mischief>,
    /// What is done to bytes from server to client
    #[arg(long, value_name = "WHAT", value_delimiter = ' ')]
    down: Vec<Mischief>,
    /// Where random pieces come from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// Whether to use colours.
#[derive(Debug, Args)]
struct ColourArg {
    /// Whether to use colours
    #[arg(long = "color", value_name = "WHEN", default_value = "auto")]
    when: When,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl ColourArg {
    fn paint(&self) -> Paint {
        let wanted = match self.when {
            When::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
            When::Always => true,
            When::Never => false,
        };
        if wanted { Paint::Colour } else { Paint::Plain }
    }
}

/// Runs a part of the lab.
pub(crate) fn lab(lab: Lab) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let done = match lab {
        Lab::Stick(args) => {
            let options = stick::Options { seed: args.seed, rounds: args.rounds.into(), paint: args.colour.paint() };
            stick::run(&options, &mut out)
        }
        Lab::Broken(args) => lesson(&args, &bench::BROKEN, false, &mut out),
        Lab::Fixed(args) => lesson(&args, &bench::FIXED, true, &mut out),
        Lab::Proxy(args) => return proxy(args),
    };
    done.and_then(|()| Ok(out.flush()?)).or_else(gone).map_err(failure)
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

fn lesson(args: &LessonArgs, programs: &[bench::Program], is_right: bool, out: &mut dyn Write) -> Result<(), LabError> {
    let paint = args.colour.paint();
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

/// Relays until Ctrl-C or SIGTERM.
fn proxy(args: ProxyArgs) -> Result<(), Failure> {
    let plan = Plan { up: args.up, down: args.down, seed: args.seed };
    crate::runtime()?.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone())?;
        let proxy = Proxy::bind(args.listen, args.to, plan).await.map_err(Failure::unexpected)?;
        say_listening(proxy.local_addr().map_err(Failure::unexpected)?)?;
        proxy.run(stop, |line| eprintln!("{line}")).await;
        Ok(())
    })
}

/// The first line of every part that listens, as of `netdisk serve`.
fn say_listening(address: SocketAddr) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {address}").and_then(|()| out.flush()).map_err(Failure::output)
}

/// Cancels `stop` at the first Ctrl-C or SIGTERM.
fn stop_on_signals(stop: CancellationToken) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::unexpected)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}
