//! The server under proof: a process of its own, started, timed, killed, stopped.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use netdisk_client::{Endpoint, Trust};

/// A start that takes longer is given up; the promise is far below.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A stop that takes longer is given up; the grace time is far below.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A program to run: sound, or broken in one way.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) sabotage: Option<&'static str>,
}

/// `netdisk serve` as a process. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) endpoint: Endpoint,
    pub(super) trust: Trust,
    /// From the start of the process until it listened.
    pub(super) started_in: Duration,
    child: Child,
}

/// Whether the server speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Tls,
    Plaintext,
}

impl Program {
    /// The process of a server over the store `data`; what it logs is added to the file beside the store.
    pub(super) fn spawn(&self, data: &Path, transport: Transport) -> Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(log_of(data))?;
        let mut command = Command::new(&self.path);
        command.args(["serve", "--listen", "127.0.0.1:0", "--registration", "open", "--data"]).arg(data);
        if transport == Transport::Plaintext {
            command.arg("--plaintext");
        }
        command.env_remove("NETDISK_SABOTAGE").env("NETDISK_LOG", "warn");
        if let Some(sabotage) = self.sabotage {
            command.env("NETDISK_SABOTAGE", sabotage);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().context("the server does not start")
    }

    /// Starts a server and waits until it listens.
    pub(super) fn serve(&self, data: &Path, transport: Transport) -> Result<Server> {
        let began = Instant::now();
        let mut child = self.spawn(data, transport)?;
        match announced(&mut child, transport) {
            Ok((endpoint, trust)) => Ok(Server { endpoint, trust, started_in: began.elapsed(), child }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error.context(format!("the server does not serve; see {}", log_of(data).display())))
            }
        }
    }
}

/// Where the servers of a store log to.
pub(super) fn log_of(data: &Path) -> PathBuf {
    data.with_extension("log")
}

/// Reads what the server says once it listens.
fn announced(child: &mut Child, transport: Transport) -> Result<(Endpoint, Trust)> {
    let out = child.stdout.take().context("piped")?;
    let (lines, said) = mpsc::channel();
    // The thread ends with the process: it reads to the end.
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // Nobody listens any more once the server was found to serve.
            drop(lines.send(line));
        }
    });
    let next = |key: &str| {
        let line = said.recv_timeout(START_TIMEOUT).context("it says nothing")?;
        Ok::<_, anyhow::Error>(line.strip_prefix(key).with_context(|| format!("it says {line:?}"))?.to_owned())
    };
    let endpoint = next("listening on ")?.parse()?;
    let trust = match transport {
        Transport::Tls => Trust::Pinned(next("fingerprint ")?.parse()?),
        Transport::Plaintext => Trust::Plaintext,
    };
    Ok((endpoint, trust))
}

impl Server {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process as `kill -9` does.
    pub(super) fn kill(mut self) -> Result<()> {
        ensure!(self.child.try_wait()?.is_none(), "the server has ended by itself");
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Asks for a stop and waits for it; gives how it ended and how long that took.
    pub(super) async fn terminate(mut self) -> Result<(ExitStatus, Duration)> {
        let pid = rustix::process::Pid::from_child(&self.child);
        let began = Instant::now();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, began.elapsed()));
            }
            if began.elapsed() > STOP_TIMEOUT {
                bail!("the server does not stop");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already where a proof waited for it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
