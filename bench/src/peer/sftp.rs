//! OpenSSH's own client for files.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use anyhow::Result;

use super::sshd::Sshd;
use super::{Peer, Promises, Service};
use crate::fileset::FileSet;
use crate::process::Server;
use crate::programs::text;
use crate::session::{Session, SftpSession};
use crate::site::Site;

/// sftp over ssh.
pub(super) struct Sftp;

struct Running {
    site: Rc<Site>,
    sshd: Sshd,
}

impl Peer for Sftp {
    fn name(&self) -> &'static str {
        "sftp"
    }

    fn promises(&self) -> Promises {
        Promises { encrypts: true, verifies: false, syncs: false, how: "OpenSSH; AES-128-GCM; key" }
    }

    fn programs(&self) -> &'static [&'static str] {
        &["sshd", "ssh-keygen", "sftp"]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        Ok(Box::new(Running { site: Rc::clone(site), sshd: Sshd::start(site, room)? }))
    }
}

impl Running {
    /// A client that does what one line says.
    fn batch(&self, set: &FileSet, line: &str) -> Result<Command> {
        let batch = self.sshd.room.join(format!("{}.batch", set.name()?));
        fs::write(&batch, format!("{line}\n"))?;
        self.client(&["-b", text(&batch)?])
    }

    fn client(&self, options: &[&str]) -> Result<Command> {
        let mut command = self.site.client("sftp")?;
        command.args(self.sshd.options()?).args(["-P", &self.sshd.address.port().to_string(), "-q"]).args(options);
        command.arg(format!("{}@{}", self.sshd.user, self.sshd.address.ip()));
        Ok(command)
    }
}

impl Service for Running {
    fn server(&self) -> &Server {
        &self.sshd.server
    }

    fn files(&self) -> &Path {
        &self.sshd.files
    }

    fn upload(&self, set: &FileSet) -> Result<Command> {
        self.batch(set, &format!("put -r {} {}", text(&set.root)?, text(self.files())?))
    }

    fn download(&self, set: &FileSet, into: &Path) -> Result<Command> {
        self.batch(set, &format!("get -r {}/{} {}", text(self.files())?, set.name()?, text(into)?))
    }

    fn open_session(&self, _number: usize) -> Result<Option<Box<dyn Session>>> {
        SftpSession::open(self.client(&[])?, text(self.files())?).map(Some)
    }
}
