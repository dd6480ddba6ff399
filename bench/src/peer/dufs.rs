//! dufs, a file server in Rust, and curl.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::Result;

use super::curl::Curl;
use super::{PASSWORD, Peer, Promises, Service, USER};
use crate::fileset::FileSet;
use crate::process::Server;
use crate::session::{HttpSession, Session};
use crate::site::Site;

/// dufs, in plaintext or over TLS.
pub(super) struct Dufs {
    pub(super) tls: bool,
}

struct Running {
    site: Rc<Site>,
    server: Server,
    files: PathBuf,
    curl: Curl,
    address: SocketAddr,
    tls: bool,
}

impl Peer for Dufs {
    fn name(&self) -> &'static str {
        if self.tls { "dufs-tls" } else { "dufs" }
    }

    fn promises(&self) -> Promises {
        Promises {
            encrypts: self.tls,
            verifies: false,
            syncs: false,
            how: "curl, up to 16 kept-alive connections; basic auth",
        }
    }

    fn programs(&self) -> &'static [&'static str] {
        &["dufs", "curl"]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        let (files, address) = (room.join("files"), site.free_address()?);
        fs::create_dir(&files)?;
        let mut command = site.server("dufs")?;
        command.args(["--allow-all", "--log-format", "", "--bind", &address.ip().to_string()]);
        command.args(["--port", &address.port().to_string(), "--auth", &format!("{USER}:{PASSWORD}@/:rw")]);
        if self.tls {
            command.arg("--tls-cert").arg(site.certificate()).arg("--tls-key").arg(site.key());
        }
        command.arg(&files);
        let mut server = Server::start(command, room)?;
        server.until_listening(site, address)?;
        let curl = Curl::http(site, room, address, self.tls)?;
        Ok(Box::new(Running { site: Rc::clone(site), server, files, curl, address, tls: self.tls }))
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
        self.curl.upload(&self.site, set)
    }

    fn download(&self, set: &FileSet, into: &Path) -> Result<Command> {
        self.curl.download(&self.site, set, into)
    }

    fn open_session(&self, _number: usize) -> Result<Option<Box<dyn Session>>> {
        let certificate = self.tls.then(|| self.site.certificate());
        HttpSession::open(self.address, certificate.as_deref(), (USER, PASSWORD), "?json").map(Some)
    }

    fn sessions_max(&self) -> usize {
        1000
    }
}
