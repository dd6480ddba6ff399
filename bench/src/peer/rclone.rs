//! rclone, through OpenSSH's server and through its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::Result;

use super::sshd::Sshd;
use super::{PASSWORD, Peer, Promises, Service, USER};
use crate::fileset::FileSet;
use crate::process::{Server, said_by_helper};
use crate::programs::text;
use crate::site::Site;

/// rclone over ssh.
pub(super) struct RcloneSftp;

/// rclone to `rclone serve webdav`.
pub(super) struct RcloneDav;

struct Running {
    site: Rc<Site>,
    server: Backend,
    files: PathBuf,
    room: PathBuf,
    /// The place of `files`, in rclone's words.
    remote: String,
}

enum Backend {
    Ssh(Sshd),
    Own(Server),
}

impl Peer for RcloneSftp {
    fn name(&self) -> &'static str {
        "rclone-sftp"
    }

    fn promises(&self) -> Promises {
        let how = "rclone to OpenSSH, sums by `md5sum` there; key";
        Promises { encrypts: true, verifies: true, syncs: false, how }
    }

    fn programs(&self) -> &'static [&'static str] {
        &["sshd", "ssh-keygen", "rclone"]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        let sshd = Sshd::start(site, room)?;
        let (files, key, hosts) = (sshd.files.clone(), sshd.key(), sshd.known_hosts());
        let configuration = format!(
            "[there]\ntype = sftp\nhost = {}\nport = {}\nuser = {}\nkey_file = {}\nknown_hosts_file = {}\n",
            sshd.address.ip(),
            sshd.address.port(),
            sshd.user,
            text(&key)?,
            text(&hosts)?
        );
        fs::write(room.join("rclone.conf"), configuration)?;
        let remote = format!("there:{}", text(&files)?);
        let site = Rc::clone(site);
        Ok(Box::new(Running { site, server: Backend::Ssh(sshd), files, room: room.to_owned(), remote }))
    }
}

impl Peer for RcloneDav {
    fn name(&self) -> &'static str {
        "rclone-dav"
    }

    fn promises(&self) -> Promises {
        let how = "rclone to `rclone serve webdav`; basic auth";
        Promises { encrypts: false, verifies: false, syncs: false, how }
    }

    fn programs(&self) -> &'static [&'static str] {
        &["rclone"]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        let (files, address): (_, SocketAddr) = (room.join("files"), site.free_address()?);
        fs::create_dir(&files)?;
        let obscured = said_by_helper(site.client("rclone")?.args(["obscure", PASSWORD]))?;
        let configuration = format!(
            "[there]\ntype = webdav\nurl = http://{address}\nvendor = other\nuser = {USER}\npass = {obscured}\n"
        );
        fs::write(room.join("rclone.conf"), configuration)?;
        let mut command = site.server("rclone")?;
        command.args(["serve", "webdav", "--config", "", "--addr", &address.to_string()]);
        command.args(["--user", USER, "--pass", PASSWORD]).arg(&files);
        let mut server = Server::start(command, room)?;
        server.until_listening(site, address)?;
        let (site, server, room) = (Rc::clone(site), Backend::Own(server), room.to_owned());
        Ok(Box::new(Running { site, server, files, room, remote: "there:".to_owned() }))
    }
}

impl Running {
    fn copy(&self) -> Result<Command> {
        let mut command = self.site.client("rclone")?;
        command.arg("copy").arg("--config").arg(self.room.join("rclone.conf"));
        Ok(command)
    }

    fn there(&self, set: &FileSet) -> Result<String> {
        let slash = if self.remote.ends_with(':') { "" } else { "/" };
        Ok(format!("{}{slash}{}", self.remote, set.name()?))
    }
}

impl Service for Running {
    fn server(&self) -> &Server {
        match &self.server {
            Backend::Ssh(sshd) => &sshd.server,
            Backend::Own(server) => server,
        }
    }

    fn files(&self) -> &Path {
        &self.files
    }

    fn upload(&self, set: &FileSet) -> Result<Command> {
        let mut command = self.copy()?;
        command.arg(&set.root).arg(self.there(set)?);
        Ok(command)
    }

    fn download(&self, set: &FileSet, into: &Path) -> Result<Command> {
        let mut command = self.copy()?;
        command.arg(self.there(set)?).arg(into.join(set.name()?));
        Ok(command)
    }
}
