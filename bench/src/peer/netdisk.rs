//! netdisk itself, with default settings, and with what people may want to take away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context as _, Result};

use super::{PASSWORD, Peer, Promises, Service, USER};
use crate::fileset::FileSet;
use crate::process::{Server, run_helper};
use crate::site::Site;

/// netdisk, logged in one way or another.
pub(super) struct Netdisk {
    name: &'static str,
    how: &'static str,
    login: Login,
    plaintext: bool,
}

/// How a client logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    /// By the token that an earlier `register` has left.
    Token,
    /// By the password, which the server hashes each time, on purpose slowly.
    Password,
}

impl Netdisk {
    pub(super) const TOKEN: Self = Self {
        name: super::NETDISK,
        how: "as installed; logged in by token beforehand",
        login: Login::Token,
        plaintext: false,
    };
    pub(super) const PASSWORD: Self = Self {
        name: "netdisk-password",
        how: "the same; each client logs in by password (argon2)",
        login: Login::Password,
        plaintext: false,
    };
    pub(super) const PLAINTEXT: Self = Self {
        name: "netdisk-plaintext",
        how: "`--plaintext`; logged in by token beforehand",
        login: Login::Token,
        plaintext: true,
    };
}

struct Running {
    site: Rc<Site>,
    server: Server,
    files: PathBuf,
    address: String,
    home: PathBuf,
    login: Login,
    plaintext: bool,
}

impl Peer for Netdisk {
    fn name(&self) -> &'static str {
        self.name
    }

    fn promises(&self) -> Promises {
        Promises { encrypts: !self.plaintext, verifies: true, syncs: true, how: self.how }
    }

    fn programs(&self) -> &'static [&'static str] {
        &["netdisk"]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        let data = room.join("data");
        let mut command = site.server("netdisk")?;
        let listen = format!("{}:0", site.address);
        command.args(["serve", "--registration", "open", "--listen", &listen, "--data"]).arg(&data);
        if self.plaintext {
            command.arg("--plaintext");
        }
        let mut server = Server::start(command, room)?;
        let out = server.out.clone();
        let address = server.until(|| {
            let said = fs::read_to_string(&out)?;
            let address = said.lines().find_map(|line| line.strip_prefix("listening on "));
            // The last line may be half written; the next one has begun only after it.
            Ok(address.filter(|_| said.ends_with('\n')).map(str::to_owned))
        })?;
        let files = data.join("homes").join(USER).join("files");
        let (site, home) = (Rc::clone(site), room.join("home"));
        let running = Running { site, server, files, address, home, login: self.login, plaintext: self.plaintext };
        running.register().context("netdisk register")?;
        Ok(Box::new(running))
    }
}

impl Running {
    /// A client that knows the server, and is logged in or has the password.
    fn client(&self) -> Result<Command> {
        let mut command = self.site.client("netdisk")?;
        command.env("NETDISK_HOME", &self.home).env("NETDISK_SERVER", &self.address).env("NETDISK_USER", USER);
        if self.login == Login::Password {
            command.env("NETDISK_PASSWORD", PASSWORD);
        }
        if self.plaintext {
            command.arg("--plaintext");
        }
        command.arg("--quiet");
        Ok(command)
    }

    fn register(&self) -> Result<()> {
        let mut register = self.client()?;
        if !self.plaintext {
            register.arg("--accept-new");
        }
        run_helper(register.env("NETDISK_PASSWORD", PASSWORD).args(["register", USER]))?;
        if self.login == Login::Password {
            run_helper(self.client()?.arg("logout"))?;
        }
        Ok(())
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
        command.arg("put").args(set.files.keys().map(|path| set.root.join(path))).arg(format!("/{}", set.name()?));
        Ok(command)
    }

    fn download(&self, set: &FileSet, into: &Path) -> Result<Command> {
        let (mut command, name) = (self.client()?, set.name()?);
        fs::create_dir(into.join(name))?;
        command.arg("get").args(set.files.keys().map(|path| format!("/{name}/{path}"))).arg(into.join(name));
        Ok(command)
    }

    /// By an upload: the server has to know the digests.
    fn lay(&self, set: &FileSet) -> Result<()> {
        self.clear(set)?;
        run_helper(&mut self.upload(set)?)
    }

    /// By a command: the server counts what it has.
    fn clear(&self, set: &FileSet) -> Result<()> {
        let mut command = self.client()?;
        let folder = format!("/{}", set.name()?);
        command.args(["rm", "-r", "-f", &folder]);
        run_helper(&mut command)?;
        run_helper(self.client()?.args(["mkdir", &folder]))
    }
}
