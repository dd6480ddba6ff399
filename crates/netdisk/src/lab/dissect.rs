//! `netdisk lab dissect`: a session of its own, captured where that is permitted; a recorded one otherwise.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser as _};
use netdisk_lab::view::Recording;
use netdisk_lab::{Paint, dissect, limits};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::try_it::PrivateServer;

/// Options of `lab dissect`.
#[derive(Debug, Args)]
pub(crate) struct DissectArgs {
    /// Show the recorded capture, even where capturing is permitted
    #[arg(long, conflicts_with = "capture")]
    recorded: bool,
    /// Show a capture of your own (tcpdump -i lo -w FILE) of one connection over TLS
    #[arg(long, value_name = "FILE", requires = "recording")]
    capture: Option<PathBuf>,
    /// What `netdisk --trace FILE` wrote meanwhile
    #[arg(long, value_name = "FILE", requires = "capture")]
    recording: Option<PathBuf>,
}

/// Shows a capture, and says which.
pub(super) fn dissect(args: &DissectArgs, paint: Paint) -> Result<(), Failure> {
    let (capture, trace, what) = if let (Some(capture), Some(recording)) = (&args.capture, &args.recording) {
        let (bytes, trace) = load(capture, recording).map_err(Failure::Unexpected)?;
        (bytes, trace, capture.display().to_string())
    } else {
        let live = if args.recorded { Err(anyhow::anyhow!("as asked")) } else { live() };
        match live {
            Ok((bytes, trace)) => (bytes, trace, "captured just now on this machine's loopback".to_owned()),
            Err(error) => {
                let trace = Recording::load(dissect::RECORDED_TRACE.as_bytes()).map_err(super::failure)?;
                (dissect::RECORDED_CAPTURE.to_vec(), trace, format!("recorded earlier ({error:#})"))
            }
        }
    };
    super::print(|out| {
        writeln!(out, "{what}")?;
        dissect::show(&capture, &trace, paint, out)
    })
}

fn load(capture: &Path, recording: &Path) -> Result<(Vec<u8>, Recording)> {
    let open = |path: &Path| File::open(path).with_context(|| path.display().to_string());
    let mut bytes = Vec::new();
    open(capture)?.take(limits::CAPTURE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limits::CAPTURE_LEN_MAX {
        bail!("{}: longer than {} bytes", capture.display(), limits::CAPTURE_LEN_MAX);
    }
    Ok((bytes, Recording::load(BufReader::new(open(recording)?))?))
}

/// A server and a client of this process, with tcpdump beside them.
fn live() -> Result<(Vec<u8>, Recording)> {
    let folder = tempfile::tempdir()?;
    let (capture, trace) = (folder.path().join("capture"), folder.path().join("trace"));
    let server = PrivateServer::start(&folder.path().join("data")).map_err(failed)?;
    let tcpdump = start_tcpdump(&capture, &server.endpoint.to_string());
    let spoken = tcpdump.and_then(|tcpdump| {
        let spoken = server.runtime.block_on(speak(&server, &trace));
        let whole = wait_for_end(&capture);
        stop(tcpdump)?;
        spoken.and(whole)
    });
    server.stop();
    spoken?;
    load(&capture, &trace)
}

/// Failures of the program, as context for the fall back.
fn failed(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{failure}")
}

fn start_tcpdump(capture: &Path, endpoint: &str) -> Result<Child> {
    let port = endpoint.rsplit(':').next().unwrap_or_default();
    let mut child = Command::new("tcpdump")
        .args(["--immediate-mode", "-i", "lo", "-U", "-w"])
        .arg(capture)
        .arg(format!("tcp port {port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("no tcpdump")?;
    let said = BufReader::new(child.stderr.take().context("piped")?).lines();
    let (listening, listens) = sync_channel(1);
    // Reads all that it says, up to its last line: a program that nobody reads may stop.
    std::thread::spawn(move || {
        for line in said.map_while(Result::ok) {
            if line.contains("listening on") && listening.send(()).is_err() {
                return;
            }
        }
    });
    // It says so when it listens, or ends, and with it the channel.
    match listens.recv_timeout(limits::CAPTURE_TIMEOUT) {
        Ok(()) => Ok(child),
        Err(_) => {
            child.kill()?;
            child.wait()?;
            bail!("tcpdump may not capture here")
        }
    }
}

/// One short session: a login and a directory.
async fn speak(server: &PrivateServer, trace: &Path) -> Result<()> {
    let mut args = Cli::parse_from(["netdisk"]).connect;
    args.server = server.endpoint.clone();
    args.trace = Some(trace.to_owned());
    let mut remote = Remote::of_this_process(args, server.trust);
    let user = "dissect".parse()?;
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let password = netdisk_model::Password::new(hex::encode(random));
    let client = remote.register_as(&user, password).await.map_err(failed)?;
    client.make_directory(&"/docs".parse()?, false).await?;
    remote.close().await;
    Ok(())
}

/// Waits until the session is over in the capture: what the kernel has seen is in the file a moment later.
fn wait_for_end(capture: &Path) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < limits::CAPTURE_TIMEOUT {
        let bytes = std::fs::read(capture)?;
        let packets = dissect::read_pcap(&bytes).unwrap_or_default();
        let segments: Vec<_> = packets.iter().filter_map(dissect::parse_segment).collect();
        if dissect::is_over(&segments) {
            return Ok(());
        }
        std::thread::yield_now();
    }
    bail!("the end of the session was not captured")
}

fn stop(mut tcpdump: Child) -> Result<()> {
    let pid = rustix::process::Pid::from_child(&tcpdump);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    tcpdump.wait()?;
    Ok(())
}
