//! What the probes stand on: the program as people run it, a store, a seed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use netdisk_model::Fingerprint;
use netdisk_server::{Registration, Server};
use netdisk_storage::{Accounts, DiskStore};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The password of every account of these probes.
pub(crate) const PASSWORD: &str = "correct horse";

/// How much is tried, with what.
pub(crate) struct Effort {
    pub(crate) root: PathBuf,
    pub(crate) program: PathBuf,
    full: bool,
    seed: u64,
}

impl Effort {
    /// Builds the program.
    pub(crate) fn new(root: &Path, full: bool, seed: u64) -> Result<Self> {
        let built =
            Command::new("cargo").args(["build", "--release", "--package", "netdisk"]).current_dir(root).status()?;
        ensure!(built.success(), "the program does not build");
        Ok(Self { root: root.to_owned(), program: root.join("target/release/netdisk"), full, seed })
    }

    /// One of two figures.
    pub(crate) fn pick<T>(&self, quick: T, full: T) -> T {
        if self.full { full } else { quick }
    }

    /// Random numbers that follow from the seed, others for each use.
    pub(crate) fn random(&self, purpose: &str) -> Random {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.seed.to_le_bytes()).update(purpose.as_bytes());
        Random(hash.finalize_xof())
    }

    pub(crate) fn serve(&self, options: &[&str]) -> Result<ServerProcess> {
        ServerProcess::start(&self.program, options)
    }
}

/// Random numbers from a seed.
pub(crate) struct Random(blake3::OutputReader);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.fill(&mut bytes);
        bytes
    }
}

/// `netdisk serve` as a process, its log in a file.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) folder: TempDir,
}

impl ServerProcess {
    fn start(program: &Path, options: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = fs::File::create(folder.path().join("log"))?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data", "store"])
            .args(options)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        let mut value = |key: &str| -> Result<String> {
            let line = lines.next().context("the server ended")??;
            Ok(line.strip_prefix(key).with_context(|| line.clone())?.to_owned())
        };
        let address = value("listening on ")?.parse()?;
        let fingerprint = if options.contains(&"--plaintext") { None } else { Some(value("fingerprint ")?.parse()?) };
        Ok(Self { child, address, fingerprint, folder })
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn files(&self, user: &str) -> PathBuf {
        self.store().join("homes").join(user).join("files")
    }

    pub(crate) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("log"))?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A figure of its memory in KiB (proc(5)): `VmRSS` now, `VmHWM` at its peak.
    pub(crate) fn memory_kib(&self, key: &str) -> Result<u64> {
        memory_kib(&self.child.id().to_string(), key)
    }
}

/// A figure of a process's memory in KiB.
pub(crate) fn memory_kib(process: &str, key: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).context("no such figure")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Ended already, where a probe brought it down.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A server in this process, plaintext, over accounts that a probe may have spoilt.
pub(crate) struct InProcess {
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
}

impl InProcess {
    pub(crate) fn start(runtime: &Runtime, accounts: Arc<dyn Accounts>) -> Result<Self> {
        let shutdown = CancellationToken::new();
        let server = Server::new(accounts, None, Registration::Open);
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let address = listener.local_addr()?;
        runtime.spawn(server.run(listener, shutdown.clone()));
        Ok(Self { address, shutdown })
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A store on disk that is gone with its folder.
pub(crate) fn temporary_store() -> Result<(Arc<DiskStore>, TempDir)> {
    let folder = tempfile::tempdir()?;
    Ok((Arc::new(DiskStore::open(folder.path())?), folder))
}

/// A runtime for a probe.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
