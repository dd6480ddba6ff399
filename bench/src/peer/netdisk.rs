//! netdisk itself, with default settings, and with what people may want to take away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use netdisk_client::Trust;

use super::{Client, PASSWORD, Peer, Promises, Service, USER};
use crate::fileset::FileSet;
use crate::process::{Server, run_helper};
use crate::session::{NetdiskSessions, Session};
use crate::site::Site;

/// How many clients of a crowd share an account: the server lets one user have some more connections.
const CLIENTS_PER_USER: usize = 50;

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
    homes: PathBuf,
    files: PathBuf,
    address: String,
    home: PathBuf,
    login: Login,
    plaintext: bool,
    sessions: NetdiskSessions,
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
        let (address, trust) = server.until(|| announced(&fs::read_to_string(&out)?, self.plaintext))?;
        let sessions = NetdiskSessions::new(address.parse()?, trust)?;
        let homes = data.join("homes");
        let files = homes.join(USER).join("files");
        let (site, home) = (Rc::clone(site), room.join("home"));
        let running = Running {
            site,
            server,
            homes,
            files,
            address,
            home,
            login: self.login,
            plaintext: self.plaintext,
            sessions,
        };
        running.register(USER).context("netdisk register")?;
        Ok(Box::new(running))
    }
}

/// Where it listens and what its key is, once it has said so in whole lines.
fn announced(said: &str, plaintext: bool) -> Result<Option<(String, Trust)>> {
    let said = said.rsplit_once('\n').map_or("", |(lines, _)| lines);
    let line = |key: &str| said.lines().find_map(|line| line.strip_prefix(key));
    Ok(match (line("listening on "), line("fingerprint ")) {
        (Some(address), _) if plaintext => Some((address.to_owned(), Trust::Plaintext)),
        (Some(address), Some(fingerprint)) => Some((address.to_owned(), Trust::Pinned(fingerprint.parse()?))),
        _ => None,
    })
}

impl Running {
    /// A client that knows the server, and is logged in or has the password.
    fn client(&self) -> Result<Command> {
        self.client_of(USER)
    }

    fn client_of(&self, user: &str) -> Result<Command> {
        let mut command = self.site.client("netdisk")?;
        command
            .env("NETDISK_HOME", self.home.join(user))
            .env("NETDISK_SERVER", &self.address)
            .env("NETDISK_USER", user);
        if self.login == Login::Password {
            command.env("NETDISK_PASSWORD", PASSWORD);
        }
        if self.plaintext {
            command.arg("--plaintext");
        }
        command.arg("--quiet");
        Ok(command)
    }

    /// Makes the account, once.
    fn register(&self, user: &str) -> Result<()> {
        if self.home.join(user).exists() {
            return Ok(());
        }
        let mut register = self.client_of(user)?;
        if !self.plaintext {
            register.arg("--accept-new");
        }
        run_helper(register.env("NETDISK_PASSWORD", PASSWORD).args(["register", user]))?;
        if self.login == Login::Password {
            run_helper(self.client_of(user)?.arg("logout"))?;
        }
        Ok(())
    }

    fn upload_as(&self, user: &str, set: &FileSet) -> Result<Command> {
        let mut command = self.client_of(user)?;
        command.args(["put", "-r"]).arg(&set.root).arg("/");
        Ok(command)
    }

    /// By a command: the server counts what it has.
    fn clear_as(&self, user: &str, set: &FileSet) -> Result<()> {
        run_helper(self.client_of(user)?.args(["rm", "-r", "-f", &format!("/{}", set.name()?)]))
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
        self.upload_as(USER, set)
    }

    fn download(&self, set: &FileSet, into: &Path) -> Result<Command> {
        let mut command = self.client()?;
        command.args(["get", "-r", &format!("/{}", set.name()?)]).arg(into);
        Ok(command)
    }

    /// By an upload: the server has to know the digests.
    fn lay(&self, set: &FileSet) -> Result<()> {
        run_helper(&mut self.upload(set)?)
    }

    fn clear(&self, set: &FileSet) -> Result<()> {
        self.clear_as(USER, set)
    }

    /// By several users: one alone may not have so many connections.
    fn crowd(&self, sets: &[FileSet]) -> Result<Vec<Client>> {
        let mut clients = Vec::new();
        for (number, some) in sets.chunks(CLIENTS_PER_USER).enumerate() {
            let user = format!("{USER}{number}");
            self.register(&user)?;
            for set in some {
                self.clear_as(&user, set)?;
                let files = self.homes.join(&user).join("files");
                clients.push((self.upload_as(&user, set)?, files.join(set.name()?)));
            }
        }
        Ok(clients)
    }

    fn open_session(&self, number: usize) -> Result<Option<Box<dyn Session>>> {
        let session = match number {
            0 => self.sessions.open_as(USER, PASSWORD),
            _ => self.sessions.open(number - 1, PASSWORD),
        };
        session.map(Some)
    }

    fn sessions_max(&self) -> usize {
        1000
    }
}
