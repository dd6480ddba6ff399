//! The parts of the lab that listen: the mangler and the messenger.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use netdisk_lab::mangle::Mischief;
use netdisk_lab::messenger::{self, Event, Messenger, Outgoing};
use netdisk_lab::proxy::{Plan, Proxy};
use netdisk_lab::{LabError, limits};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::escape::escape;
use crate::failure::Failure;

/// Options of `lab proxy`.
#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// The server
    #[arg(value_name = "HOST:PORT")]
    to: String,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What is done to bytes from client to server: split=BYTES, merge=BYTES, drip[=TIME], stall=BYTES,TIME,
    /// reset=BYTES, lie=FRAME,LENGTH, flip=BYTE; several in one argument, between spaces. A TIME is 5ms or 2s
    #[arg(long, value_name = "WHAT", value_delimiter = ' ')]
    up: Vec<Mischief>,
    /// The same from server to client
    #[arg(long, value_name = "WHAT", value_delimiter = ' ')]
    down: Vec<Mischief>,
    /// Where random pieces come from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// Options of `lab messenger`.
#[derive(Debug, Args)]
pub(crate) struct MessengerArgs {
    /// Receive: where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", required_unless_present = "to", conflicts_with = "to")]
    listen: Option<SocketAddr>,
    /// Receive: the directory that files go into
    #[arg(long, value_name = "DIR", default_value = ".", conflicts_with = "to")]
    into: PathBuf,
    /// Receive: the longest file in bytes
    #[arg(long, value_name = "BYTES", default_value_t = limits::MESSENGER_FILE_LEN_MAX, conflicts_with = "to")]
    file_max: u64,
    /// Send: the receiver
    #[arg(long, value_name = "HOST:PORT")]
    to: Option<String>,
    /// Send a text; may be given several times, and goes before files
    #[arg(long, value_name = "TEXT", requires = "to")]
    text: Vec<String>,
    /// Send a file; may be given several times
    #[arg(long, value_name = "FILE", requires = "to")]
    file: Vec<PathBuf>,
    /// Which byte of a length comes first: `struct.pack('i', n)` is little, `'!i'` is big
    #[arg(long, value_name = "ORDER", default_value = "little")]
    endian: Endian,
}

/// Which byte of a length comes first.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Endian {
    Little,
    Big,
}

/// Relays until Ctrl-C or SIGTERM.
pub(super) fn proxy(args: ProxyArgs) -> Result<(), Failure> {
    let plan = Plan { up: args.up, down: args.down, seed: args.seed };
    crate::runtime()?.block_on(async {
        let stop = stop_on_signals()?;
        let proxy = Proxy::bind(args.listen, args.to, plan).await.map_err(Failure::unexpected)?;
        say_listening(proxy.local_addr().map_err(Failure::unexpected)?)?;
        proxy.run(stop, |line| eprintln!("{line}")).await;
        Ok(())
    })
}

/// Receives until Ctrl-C or SIGTERM; or sends what was said.
pub(super) fn messenger(args: MessengerArgs) -> Result<(), Failure> {
    let endian = match args.endian {
        Endian::Little => messenger::Endian::Little,
        Endian::Big => messenger::Endian::Big,
    };
    crate::runtime()?.block_on(async {
        if let Some(to) = args.to {
            let texts = args.text.into_iter().map(Outgoing::Text);
            let items: Vec<_> = texts.chain(args.file.into_iter().map(Outgoing::File)).collect();
            return messenger::send(&to, endian, &items).await.map_err(super::failure);
        }
        let listen = args.listen.ok_or_else(|| super::failure(LabError::Usage("where to listen?".to_owned())))?;
        let stop = stop_on_signals()?;
        let bound = Messenger::bind(listen, endian, &args.into, args.file_max).await;
        let messenger = bound.map_err(Failure::unexpected)?;
        say_listening(messenger.local_addr().map_err(Failure::unexpected)?)?;
        messenger.run(stop, say_event).await;
        Ok(())
    })
}

/// Texts on standard output, the rest on standard error.
fn say_event(peer: SocketAddr, event: Event) {
    match event {
        Event::Text(text) => {
            let lines: String = text.split('\n').map(|line| format!("{}\n", escape(line))).collect();
            let mut out = io::stdout().lock();
            if let Err(error) = out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
                eprintln!("{peer}: a text could not be shown: {error}");
            }
        }
        Event::File { name, size } => eprintln!("{peer}: received {}, {size} bytes", escape(&name)),
        Event::Refused(why) => eprintln!("{peer}: refused: {}", escape(&why)),
        Event::Ended => eprintln!("{peer}: ended"),
        Event::Failed(why) => eprintln!("{peer}: broken off: {}", escape(&why)),
    }
}

/// The first line of every part that listens, as of `netdisk serve`.
fn say_listening(address: SocketAddr) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {address}").and_then(|()| out.flush()).map_err(Failure::output)
}

/// A token that the first Ctrl-C or SIGTERM cancels.
fn stop_on_signals() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::unexpected)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::unexpected)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stopped.cancel();
    });
    Ok(stop)
}
