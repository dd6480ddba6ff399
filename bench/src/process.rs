//! Servers and clients as processes: started, waited for, timed, stopped.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::site::Site;
use crate::{stop, usage};

/// A server that has not come up by then is given up.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// A server that has not stopped by then is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at a server that comes up or goes down.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How much of what a client says last is shown when it fails, in characters.
const LAST_WORDS_LEN: usize = 200;

/// A server of the bench's own. Dropped, it is stopped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// What it prints.
    pub(crate) out: PathBuf,
    log: PathBuf,
}

impl Server {
    /// Starts `command` and keeps what it says in files in `room`.
    pub(crate) fn start(mut command: Command, room: &Path) -> Result<Self> {
        let (out, log) = (room.join("server.out"), room.join("server.log"));
        command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&log)?);
        // Ctrl-C is for the bench, which stops it in its turn.
        let child = command.process_group(0).spawn().context("the server does not start")?;
        Ok(Self { child, out, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` gives something.
    pub(crate) fn until<T>(&mut self, mut ready: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server has ended, {status}: {}", last_words(&[&self.log, &self.out]));
            }
            if let Some(value) = ready()? {
                return Ok(value);
            }
            if began.elapsed() > START_TIMEOUT {
                bail!("the server does not come up: {}", last_words(&[&self.log, &self.out]));
            }
            stop::pause(LOOK_INTERVAL)?;
        }
    }

    /// Waits until somebody accepts connections at `address`.
    pub(crate) fn until_listening(&mut self, site: &Site, address: SocketAddr) -> Result<()> {
        self.until(|| Ok(site.accepts(address)?.then_some(())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let began = Instant::now();
        if matches!(self.child.try_wait(), Ok(None))
            && let Err(error) = kill_process(Pid::from_child(&self.child), Signal::TERM)
        {
            eprintln!("netdisk-bench: a server cannot be stopped: {error}");
        }
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > STOP_TIMEOUT {
                drop(self.child.kill());
                // It is dead or dying: what its status is does not matter any more.
                drop(self.child.wait());
                return;
            }
            std::thread::park_timeout(LOOK_INTERVAL);
        }
    }
}

/// What came of a client.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It said that all is well.
    Well(Spent),
    /// It took longer than it was given, and was killed.
    TooSlow,
    /// It failed, and with which words.
    Badly(String),
}

/// What a client that ended well took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    /// From before its process was made until it had ended.
    pub(crate) time: Duration,
    /// User and system, of the client and what came from it.
    pub(crate) cpu: Duration,
}

/// Runs a client to its end, or to the end of patience.
pub(crate) fn run_client(command: Command, room: &Path, patience: Duration) -> Result<Ended> {
    let log = room.join("client.log");
    let mut command = quiet_client(command, &log)?;
    let cpu_before = usage::cpu_of_children()?;
    let began = Instant::now();
    let mut child = command.spawn().context("the client does not start")?;
    let status = stop::wait(&mut child, patience)?;
    let time = began.elapsed();
    Ok(match status {
        None => Ended::TooSlow,
        Some(status) if status.success() => Ended::Well(Spent { time, cpu: usage::cpu_of_children()? - cpu_before }),
        Some(status) => Ended::Badly(format!("{status}: {}", last_words(&[&log]))),
    })
}

/// Starts all clients at once and waits for the last one; one that fails or is too slow speaks for all.
pub(crate) fn run_crowd(commands: Vec<Command>, room: &Path, patience: Duration) -> Result<Ended> {
    let logs = (0..commands.len()).map(|number| room.join(format!("client{number}.log"))).collect::<Vec<_>>();
    let clients = commands.into_iter().zip(&logs).map(|(command, log)| quiet_client(command, log));
    let mut clients = clients.collect::<Result<Vec<_>>>()?;
    let cpu_before = usage::cpu_of_children()?;
    let began = Instant::now();
    let started = clients.iter_mut().map(|client| client.spawn().context("a client does not start"));
    let mut children = started.collect::<Result<Vec<_>>>()?;
    let mut bad = None;
    for (child, log) in children.iter_mut().zip(&logs) {
        // Once it is decided, nobody is given more time; but each is waited for.
        let left = patience.saturating_sub(began.elapsed());
        match stop::wait(child, if bad.is_some() { Duration::ZERO } else { left })? {
            Some(status) if status.success() => {}
            ended if bad.is_none() => {
                bad = Some(
                    ended.map_or(Ended::TooSlow, |status| Ended::Badly(format!("{status}: {}", last_words(&[log])))),
                );
            }
            _ => {}
        }
    }
    let time = began.elapsed();
    Ok(bad.unwrap_or(Ended::Well(Spent { time, cpu: usage::cpu_of_children()? - cpu_before })))
}

/// A client in a process group of its own, whose words go to `log`.
fn quiet_client(mut command: Command, log: &Path) -> Result<Command> {
    let log = File::create(log)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    Ok(command)
}

/// Runs something that prepares a measurement and must work.
pub(crate) fn run_helper(command: &mut Command) -> Result<()> {
    feed_helper(command, "").map(drop)
}

/// The same, and gives what it says.
pub(crate) fn said_by_helper(command: &mut Command) -> Result<String> {
    Ok(feed_helper(command, "")?.trim().to_owned())
}

/// The same for one that wants to be told something short.
pub(crate) fn feed_helper(command: &mut Command, input: &str) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| name.clone())?;
    // It fits the pipe: nothing waits for the other side to read.
    let fed = child.stdin.take().context("piped")?.write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed, {}: {}", output.status, words.trim());
    }
    fed.with_context(|| format!("{name} does not listen"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The end of what was written to the first file that has anything.
fn last_words(files: &[&Path]) -> String {
    let said = files.iter().filter_map(|file| fs::read(file).ok()).find(|bytes| !bytes.is_empty()).unwrap_or_default();
    let text = String::from_utf8_lossy(&said);
    let line = text.trim().lines().next_back().unwrap_or("it says nothing").to_owned();
    line.chars().filter(|character| !character.is_control()).take(LAST_WORDS_LEN).collect()
}
