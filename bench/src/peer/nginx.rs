//! nginx with its WebDAV module, and curl.

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
use crate::programs::text;
use crate::session::{HttpSession, Session};
use crate::site::Site;

/// nginx, in plaintext or over TLS 1.3.
pub(super) struct Nginx {
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

impl Peer for Nginx {
    fn name(&self) -> &'static str {
        if self.tls { "nginx-dav-tls" } else { "nginx-dav" }
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
        &["nginx", "curl"]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        let (files, address) = (room.join("files"), site.free_address()?);
        fs::create_dir(&files)?;
        fs::write(room.join("users"), format!("{USER}:{{PLAIN}}{PASSWORD}\n"))?;
        let file = room.join("nginx.conf");
        fs::write(&file, configuration(site, room, address, self.tls)?)?;
        let mut command = site.server("nginx")?;
        command.args(["-e", "stderr", "-p"]).arg(room).arg("-c").arg(&file);
        let mut server = Server::start(command, room)?;
        server.until_listening(site, address)?;
        let curl = Curl::http(site, room, address, self.tls)?;
        Ok(Box::new(Running { site: Rc::clone(site), server, files, curl, address, tls: self.tls }))
    }
}

fn configuration(site: &Site, room: &Path, address: SocketAddr, tls: bool) -> Result<String> {
    let room = text(room)?;
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let (listen, keys) = if tls {
        let (certificate, key) = (site.certificate(), site.key());
        let keys = format!("ssl_certificate {}; ssl_certificate_key {};", text(&certificate)?, text(&key)?);
        (format!("{address} ssl"), format!("{keys} ssl_protocols TLSv1.3;"))
    } else {
        (address.to_string(), String::new())
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {room}/{kind};\n  "))
        .concat();
    Ok(format!(
        "daemon off; {user} worker_processes auto; pid {room}/nginx.pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; client_max_body_size 0; keepalive_requests 1000000;
  {temporary}server {{
    listen {listen}; {keys}
    root {room}/files;
    autoindex on;
    dav_methods PUT DELETE MKCOL; create_full_put_path on;
    auth_basic bench; auth_basic_user_file {room}/users;
  }}
}}
"
    ))
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
        HttpSession::open(self.address, certificate.as_deref(), (USER, PASSWORD), "").map(Some)
    }

    fn sessions_max(&self) -> usize {
        1000
    }
}
