//! Where everything happens: a folder in memory or on a disk, an address, a certificate, and the programs.
//!
//! As root the bench has mounts of its own (`unshare --mount`): the folder in memory is seen by nobody else and is gone
//! with the last process, however that ends.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::network::Network;
use crate::programs::Programs;

/// Set for the bench that was started over, so that this happens once.
const STARTED_OVER: &str = "NETDISK_BENCH_STARTED_OVER";
/// A file system in memory that every Linux has, where nothing may be mounted.
const SHARED_MEMORY: &str = "/dev/shm";

/// The place of one comparison. Dropped, nothing is left of it.
#[derive(Debug)]
pub(crate) struct Site {
    /// Where servers listen.
    pub(crate) address: IpAddr,
    pub(crate) programs: Rc<Programs>,
    folder: PathBuf,
    /// Where server and client are far from each other.
    network: Option<Network>,
    mounted: Vec<PathBuf>,
    _temporary: Option<TempDir>,
}

/// Starts the bench over with mounts of its own; returns where it has them already or cannot.
pub(crate) fn own_mounts(programs: &Programs) -> Result<()> {
    if std::env::var_os(STARTED_OVER).is_some() || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let Some(unshare) = programs.find("unshare") else { return Ok(()) };
    let mut command = Command::new(unshare);
    command.args(["--mount", "--"]).arg(std::env::current_exe()?).args(std::env::args_os().skip(1));
    // The signal mask, standard streams and process stay the same; what is not allowed in this container fails in there.
    let allowed = Command::new(command.get_program()).args(["--mount", "--", "true"]).status()?.success();
    if !allowed {
        eprintln!("netdisk-bench: no mounts of our own here: working in {SHARED_MEMORY}");
        return Ok(());
    }
    Err(command.env(STARTED_OVER, "1").exec()).context("unshare")
}

/// Whether mounts made here are seen by nobody else: the parent's are not these. Nothing is mounted where that is not sure.
fn has_own_mounts() -> bool {
    let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/mnt")).ok();
    let parent = rustix::process::getppid().and_then(|parent| namespace(&parent.as_raw_pid().to_string()));
    parent.is_some_and(|parent| namespace("self") != Some(parent))
}

impl Site {
    /// Makes the place: on `disk`, or in memory.
    pub(crate) fn new(programs: Programs, disk: Option<&Path>) -> Result<Self> {
        let mut mounted = Vec::new();
        let own = has_own_mounts();
        let base = match disk {
            Some(disk) => disk.to_owned(),
            None if own => std::env::temp_dir(),
            None => PathBuf::from(SHARED_MEMORY),
        };
        let temp = tempfile::Builder::new()
            .prefix("netdisk-bench-")
            // Servers drop their rights: who they become must come this far.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(&base)
            .with_context(|| format!("a folder in {}", base.display()))?;
        let folder = temp.path().canonicalize()?;
        let mut in_memory = |at: &Path| {
            mount("netdisk-bench", at, "tmpfs", MountFlags::empty(), Some(c"mode=755"))
                .with_context(|| format!("a file system in memory at {}", at.display()))?;
            mounted.push(at.to_owned());
            anyhow::Ok(())
        };
        if own && disk.is_none() {
            in_memory(&folder)?;
        }
        if own {
            // sshd insists on a folder there, and it is not ours to make in everybody's.
            in_memory(Path::new("/run"))?;
            fs::create_dir("/run/sshd")?;
        }
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let programs = Rc::new(programs);
        let site = Self { address, programs, folder, network: None, mounted, _temporary: Some(temp) };
        site.make_certificate()?;
        Ok(site)
    }

    /// A place in `near` whose servers are so far from their clients. That takes root.
    pub(crate) fn far(near: &Self, round_trip: Duration) -> Result<Self> {
        let folder = near.room("far")?;
        let network = Network::lay(&near.programs, round_trip, &folder.join("relay.log"))?;
        let (address, programs) = (network.address(), Rc::clone(&near.programs));
        let site = Self { address, programs, folder, network: Some(network), mounted: Vec::new(), _temporary: None };
        site.make_certificate()?;
        Ok(site)
    }

    /// A folder of its own for whatever has that name; what stood there is gone.
    pub(crate) fn room(&self, name: &str) -> Result<PathBuf> {
        let room = self.folder.join(name);
        if room.exists() {
            fs::remove_dir_all(&room)?;
        }
        fs::create_dir_all(&room)?;
        Ok(room)
    }

    /// The whole place.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// An address that is free at this moment, for servers that cannot say which port they took.
    pub(crate) fn free_address(&self) -> Result<SocketAddr> {
        if let Some(network) = &self.network {
            return network.free_address();
        }
        Ok(TcpListener::bind((self.address, 0)).context("a free port")?.local_addr()?)
    }

    /// Whether somebody accepts connections there.
    pub(crate) fn accepts(&self, address: SocketAddr) -> Result<bool> {
        if let Some(network) = &self.network {
            return network.accepts(address);
        }
        Ok(TcpStream::connect(address).is_ok())
    }

    /// The process of a server: it ends with the bench.
    pub(crate) fn server(&self, program: &str) -> Result<Command> {
        self.server_at(&self.programs.get(program)?)
    }

    /// The same, and the program is this one.
    pub(crate) fn server_of_ours(&self) -> Result<Command> {
        self.server_at(&std::env::current_exe()?)
    }

    fn server_at(&self, program: &Path) -> Result<Command> {
        launched(program, self.network.as_ref().map(Network::server))
    }

    /// The process of a client. It finds nothing of who runs the bench: no configuration, no keys.
    pub(crate) fn client(&self, program: &str) -> Result<Command> {
        self.client_at(&self.programs.get(program)?)
    }

    /// The same, and the program is this one.
    pub(crate) fn client_of_ours(&self) -> Result<Command> {
        self.client_at(&std::env::current_exe()?)
    }

    fn client_at(&self, program: &Path) -> Result<Command> {
        let mut command = match &self.network {
            None => Command::new(program),
            Some(network) => launched(program, Some(network.client()))?,
        };
        command.env("HOME", &self.folder).env_remove("XDG_CONFIG_HOME").env_remove("SSH_AUTH_SOCK");
        Ok(command)
    }

    /// The certificate of every server that takes one, in PEM; it vouches for itself.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    /// Its key, in PEM.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    fn make_certificate(&self) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(["localhost".to_owned()])?;
        params.subject_alt_names.push(SanType::IpAddress(self.address));
        fs::write(self.certificate(), params.self_signed(&key)?.pem())?;
        fs::write(self.key(), key.serialize_pem())?;
        fs::set_permissions(self.key(), fs::Permissions::from_mode(0o600))?;
        Ok(())
    }
}

/// A program behind `launch`, perhaps in another network.
fn launched(program: &Path, network: Option<&Path>) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("launch");
    if let Some(network) = network {
        command.arg("--namespace").arg(network);
    }
    command.arg("--").arg(program);
    Ok(command)
}

impl Drop for Site {
    fn drop(&mut self) {
        for at in self.mounted.drain(..).rev() {
            if let Err(error) = unmount(&at, UnmountFlags::DETACH) {
                eprintln!("netdisk-bench: {} stays mounted: {error}", at.display());
            }
        }
    }
}
