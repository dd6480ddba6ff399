//! The limits as contenders: one stream, nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::Result;

use super::{Peer, Promises, Service};
use crate::fileset::FileSet;
use crate::process::Server;
use crate::site::Site;

/// One stream, in plaintext or over TLS 1.3.
pub(super) struct Limit {
    pub(super) tls: bool,
}

struct Running {
    site: Rc<Site>,
    server: Server,
    files: PathBuf,
    address: std::net::SocketAddr,
    tls: bool,
}

impl Peer for Limit {
    fn name(&self) -> &'static str {
        if self.tls { "limit-tls" } else { super::LIMIT }
    }

    fn promises(&self) -> Promises {
        let how = if self.tls { "one stream over TLS 1.3, no account" } else { "one stream by sendfile, no account" };
        Promises { encrypts: self.tls, verifies: false, syncs: false, how }
    }

    fn programs(&self) -> &'static [&'static str] {
        &[]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        let (files, address) = (room.join("files"), site.free_address()?);
        std::fs::create_dir(&files)?;
        let mut command = site.server_of_ours()?;
        command.args(["limit", "serve", "--listen", &address.to_string(), "--folder"]).arg(&files);
        if self.tls {
            command.arg("--certificate").arg(site.certificate()).arg("--key").arg(site.key());
        }
        let mut server = Server::start(command, room)?;
        server.until_listening(site, address)?;
        Ok(Box::new(Running { site: Rc::clone(site), server, files, address, tls: self.tls }))
    }
}

impl Running {
    fn client(&self, what: &str) -> Result<Command> {
        let mut command = self.site.client_of_ours()?;
        command.args(["limit", what, "--server", &self.address.to_string()]);
        if self.tls {
            command.arg("--certificate").arg(self.site.certificate());
        }
        Ok(command)
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
        let mut command = self.client("put")?;
        command.arg(&set.root).arg(set.name()?);
        Ok(command)
    }

    fn download(&self, set: &FileSet, into: &Path) -> Result<Command> {
        let mut command = self.client("get")?;
        command.arg(into.join(set.name()?)).arg(set.name()?);
        Ok(command)
    }
}
