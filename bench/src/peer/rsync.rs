//! rsync: its daemon in plaintext, and through OpenSSH's server.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::Result;

use super::sshd::Sshd;
use super::{PASSWORD, Peer, Promises, Service, USER};
use crate::fileset::FileSet;
use crate::process::Server;
use crate::programs::text;
use crate::site::Site;

/// The daemon.
pub(super) struct Daemon;

/// Through ssh.
pub(super) struct OverSsh;

struct Running {
    site: Rc<Site>,
    server: Server,
    room: PathBuf,
    files: PathBuf,
    address: SocketAddr,
}

impl Peer for Daemon {
    fn name(&self) -> &'static str {
        "rsync"
    }

    fn promises(&self) -> Promises {
        Promises { encrypts: false, verifies: true, syncs: false, how: "daemon; password by challenge" }
    }

    fn programs(&self) -> &'static [&'static str] {
        &["rsync"]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        let (files, address) = (room.join("files"), site.free_address()?);
        fs::create_dir(&files)?;
        write_secret(&room.join("secrets"), &format!("{USER}:{PASSWORD}\n"))?;
        write_secret(&room.join("password"), &format!("{PASSWORD}\n"))?;
        let (folder, ids) = (text(room)?, if rustix::process::geteuid().is_root() { "uid = 0\ngid = 0\n" } else { "" });
        let configuration = format!(
            "{ids}use chroot = no\nlog file = {folder}/rsyncd.log\npid file = {folder}/rsyncd.pid\n\
             [files]\npath = {folder}/files\nread only = no\nauth users = {USER}\nsecrets file = {folder}/secrets\n"
        );
        fs::write(room.join("rsyncd.conf"), configuration)?;
        let mut command = site.server("rsync")?;
        command.args(["--daemon", "--no-detach", "--address", &address.ip().to_string()]);
        command.args(["--port", &address.port().to_string()]).arg("--config").arg(room.join("rsyncd.conf"));
        let mut server = Server::start(command, room)?;
        server.until_listening(site, address)?;
        Ok(Box::new(Running { site: Rc::clone(site), server, room: room.to_owned(), files, address }))
    }
}

impl Peer for OverSsh {
    fn name(&self) -> &'static str {
        "rsync-ssh"
    }

    fn promises(&self) -> Promises {
        Promises { encrypts: true, verifies: true, syncs: false, how: "through OpenSSH; AES-128-GCM; key" }
    }

    fn programs(&self) -> &'static [&'static str] {
        &["rsync", "sshd", "ssh", "ssh-keygen"]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        Ok(Box::new(RunningOverSsh { site: Rc::clone(site), sshd: Sshd::start(site, room)? }))
    }
}

fn write_secret(file: &Path, content: &str) -> Result<()> {
    fs::write(file, content)?;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o600))?)
}

struct RunningOverSsh {
    site: Rc<Site>,
    sshd: Sshd,
}

impl Running {
    fn client(&self) -> Result<Command> {
        let mut command = self.site.client("rsync")?;
        command.arg("--recursive").arg("--password-file").arg(self.room.join("password"));
        Ok(command)
    }

    fn url(&self, path: &str) -> String {
        format!("rsync://{USER}@{}/files/{path}", self.address)
    }
}

impl Service for Running {
    fn server(&self) -> &Server {
        &self.server
    }

    fn files(&self) -> &Path {
        &self.files
    }

    fn upload(&self, set: &FileSet) -> Result<Command> {
        let mut command = self.client()?;
        command.arg(&set.root).arg(self.url(""));
        Ok(command)
    }

    fn download(&self, set: &FileSet, into: &Path) -> Result<Command> {
        let mut command = self.client()?;
        command.arg(self.url(set.name()?)).arg(into);
        Ok(command)
    }
}

impl RunningOverSsh {
    fn client(&self) -> Result<Command> {
        let mut command = self.site.client("rsync")?;
        command.args(["--recursive", "--rsh", &self.sshd.shell(&self.site)?]);
        Ok(command)
    }

    fn there(&self) -> Result<String> {
        Ok(format!("{}@{}:{}/", self.sshd.user, self.sshd.address.ip(), text(&self.sshd.files)?))
    }
}

impl Service for RunningOverSsh {
    fn server(&self) -> &Server {
        &self.sshd.server
    }

    fn files(&self) -> &Path {
        &self.sshd.files
    }

    fn upload(&self, set: &FileSet) -> Result<Command> {
        let mut command = self.client()?;
        command.arg(&set.root).arg(self.there()?);
        Ok(command)
    }

    fn download(&self, set: &FileSet, into: &Path) -> Result<Command> {
        let mut command = self.client()?;
        command.arg(format!("{}{}", self.there()?, set.name()?)).arg(into);
        Ok(command)
    }
}
