//! lftp, the client that mirrors folders, through OpenSSH's server.

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
use crate::site::Site;

/// How many files at once: what its users commonly take.
const PARALLEL: u32 = 4;

/// lftp over ssh.
pub(super) struct LftpSftp;

struct Running {
    site: Rc<Site>,
    sshd: Sshd,
}

impl Peer for LftpSftp {
    fn name(&self) -> &'static str {
        "lftp-sftp"
    }

    fn promises(&self) -> Promises {
        let how = "lftp `mirror --parallel=4` to OpenSSH; AES-128-GCM; key";
        Promises { encrypts: true, verifies: false, syncs: false, how }
    }

    fn programs(&self) -> &'static [&'static str] {
        &["sshd", "ssh", "ssh-keygen", "lftp"]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        Ok(Box::new(Running { site: Rc::clone(site), sshd: Sshd::start(site, room)? }))
    }
}

impl Running {
    fn script(&self, set: &FileSet, mirror: &str) -> Result<Command> {
        let (file, shell) = (self.sshd.room.join(format!("{}.lftp", set.name()?)), self.sshd.shell(&self.site)?);
        let script = format!(
            "set cmd:fail-exit yes\nset net:max-retries 1\nset sftp:connect-program \"{shell} -a -x\"\n\
             open -u {},none -p {} sftp://{}\nmirror --no-perms --parallel={PARALLEL} {mirror}\n",
            self.sshd.user,
            self.sshd.address.port(),
            self.sshd.address.ip(),
        );
        fs::write(&file, script)?;
        let mut command = self.site.client("lftp")?;
        command.arg("-f").arg(file);
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
        self.script(set, &format!("-R {} {}/", text(&set.root)?, text(self.files())?))
    }

    fn download(&self, set: &FileSet, into: &Path) -> Result<Command> {
        self.script(set, &format!("{}/{} {}/", text(self.files())?, set.name()?, text(into)?))
    }
}
