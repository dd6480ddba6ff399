//! Shows that server and client stay flat while gigabytes pass: real processes, TLS, peak resident memory from the kernel.
//!
//! The negative control (`--control`) is a client that reads the whole file into memory before it sends it, as a shell
//! pipe into a buffer would: it must be seen to break the limit.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// What each process may take at its peak, in KiB.
const PEAK_KIB_MAX: u64 = 64 * 1024;

/// How much passes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// 256 MiB, for every day; without it 4 GiB
    #[arg(long)]
    quick: bool,
    /// Run the negative control instead: it must be found to break the limit
    #[arg(long)]
    control: bool,
}

/// Uploads and downloads one large file and reads the peaks.
pub(crate) fn prove(root: &Path, args: &Args) -> Result<()> {
    let size: u64 = if args.quick { 256 << 20 } else { 4 << 30 };
    let program = build(root)?;
    let folder = tempfile::tempdir()?;
    let scene = Scene { program, folder: folder.path().to_owned() };
    let (mut server, address) = scene.serve()?;
    let outcome = scene.pass(&address, size, args.control, server.id());
    server.kill()?;
    server.wait()?;
    let peaks = outcome?;
    for (who, peak) in &peaks {
        println!("memory: {who} peaked at {} KiB while {} MiB passed", peak, size >> 20);
    }
    let broken = peaks.iter().any(|(_, peak)| *peak > PEAK_KIB_MAX);
    match (broken, args.control) {
        (false, false) => println!("memory: 1 passed, 0 failed (limit {PEAK_KIB_MAX} KiB)"),
        (true, true) => println!("memory: the control was found out (limit {PEAK_KIB_MAX} KiB)"),
        (true, false) => bail!("over the limit of {PEAK_KIB_MAX} KiB"),
        (false, true) => bail!("the control was not found out: this proof proves nothing"),
    }
    Ok(())
}

/// Builds the program as people run it.
fn build(root: &Path) -> Result<PathBuf> {
    let built =
        Command::new("cargo").args(["build", "--release", "--package", "netdisk"]).current_dir(root).status()?;
    ensure!(built.success(), "the program does not build");
    Ok(root.join("target/release/netdisk"))
}

struct Scene {
    program: PathBuf,
    folder: PathBuf,
}

impl Scene {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(&self.folder)
            .env("NETDISK_HOME", self.folder.join("config"))
            .env("NETDISK_PASSWORD", "correct horse")
            .env("NETDISK_LOG", "warn")
            .stdin(Stdio::null());
        command
    }

    fn serve(&self) -> Result<(Child, String)> {
        let mut child =
            self.command(&["serve", "--listen", "127.0.0.1:0", "--data", "store"]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("piped")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on ").context(line.clone())?.to_owned();
        Ok((child, address))
    }

    /// Sends a file there and back; gives the peaks in KiB.
    fn pass(&self, address: &str, size: u64, control: bool, server: u32) -> Result<Vec<(&'static str, u64)>> {
        let registered =
            self.command(&["register", "alice", "--accept-new", "--quiet", "--server", address]).status()?;
        ensure!(registered.success(), "not registered");
        write_random(&self.folder.join("big"), size)?;
        let mut peaks = Vec::new();
        if control {
            peaks.push(("a client that holds the whole file", hold(&self.folder.join("big"))?));
        }
        peaks.push(("put", self.peak_of(&["put", "big", "--quiet", "--server", address])?));
        peaks.push(("get", self.peak_of(&["get", "big", "back", "--quiet", "--server", address])?));
        let same = Command::new("cmp").args(["big", "back"]).current_dir(&self.folder).status()?;
        ensure!(same.success(), "what came back is not what was sent");
        peaks.push(("the server", peak_of_process(server)?));
        Ok(peaks)
    }

    /// Runs a command to its end and gives its peak.
    fn peak_of(&self, args: &[&str]) -> Result<u64> {
        let mut child = self.command(args).spawn()?;
        let mut peak = 0;
        loop {
            // The last reading before the end is the peak but for an instant: the mark only rises.
            if let Ok(seen) = peak_of_process(child.id()) {
                peak = seen.max(peak);
            }
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "{args:?} failed");
                return Ok(peak);
            }
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }
}

/// The high-water mark of resident memory in KiB (proc(5), VmHWM).
fn peak_of_process(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the process has ended")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn write_random(path: &Path, size: u64) -> Result<()> {
    let mut random = File::open("/dev/urandom")?.take(size);
    Ok(std::io::copy(&mut random, &mut File::create(path)?).map(drop)?)
}

/// The broken variant: a process with the whole file in memory.
fn hold(file: &Path) -> Result<u64> {
    let mut child = Command::new("sh")
        .args(["-c", "x=$(base64 -w 0 \"$1\"); read line", "hold"])
        .arg(file)
        .stdin(Stdio::piped())
        .spawn()?;
    let mut last = 0;
    let peak = loop {
        let seen = peak_of_process(child.id())?;
        if seen > PEAK_KIB_MAX && seen == last {
            break seen;
        }
        last = seen;
        std::thread::park_timeout(std::time::Duration::from_millis(300));
    };
    child.stdin.take().context("piped")?.write_all(b"\n")?;
    child.wait()?;
    Ok(peak)
}
