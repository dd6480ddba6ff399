//! An OpenSSH server of the bench's own, for every client that goes through it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::account::Account;
use crate::process::{Server, run_helper};
use crate::programs::text;
use crate::site::Site;

/// A server with a key of its own, and one key that may log in as whoever runs the bench.
pub(super) struct Sshd {
    pub(super) server: Server,
    pub(super) address: SocketAddr,
    pub(super) user: String,
    pub(super) files: PathBuf,
    pub(super) room: PathBuf,
}

impl Sshd {
    pub(super) fn start(site: &Site, room: &Path) -> Result<Self> {
        let (files, address, user) = (room.join("files"), site.free_address()?, Account::own()?.name);
        fs::create_dir(&files)?;
        for key in ["host_key", "user_key"] {
            run_helper(site.client("ssh-keygen")?.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(room.join(key)))?;
        }
        fs::copy(room.join("user_key.pub"), room.join("authorized_keys"))?;
        let host_key = fs::read_to_string(room.join("host_key.pub"))?;
        fs::write(room.join("known_hosts"), format!("[{}]:{} {host_key}", address.ip(), address.port()))?;
        fs::write(room.join("sshd_config"), configuration(room, address)?)?;
        let mut command = site.server("sshd")?;
        command.args(["-D", "-e", "-f"]).arg(room.join("sshd_config"));
        let mut server = Server::start(command, room)?;
        server.until_listening(site, address)?;
        Ok(Self { server, address, user, files, room: room.to_owned() })
    }

    /// Options for `ssh` and `sftp`, without the port: no file of the user is read, and the cipher is the fastest one.
    pub(super) fn options(&self) -> Result<Vec<String>> {
        let (key, hosts) = (self.key(), self.known_hosts());
        let mut options = vec!["-F".to_owned(), "none".to_owned(), "-i".to_owned(), text(&key)?.to_owned()];
        let settings = [
            "BatchMode=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "Ciphers=aes128-gcm@openssh.com".to_owned(),
            format!("UserKnownHostsFile={}", text(&hosts)?),
        ];
        options.extend(settings.into_iter().flat_map(|setting| ["-o".to_owned(), setting]));
        Ok(options)
    }

    /// `ssh` with its options as one line, for programs that start it themselves.
    pub(super) fn shell(&self, site: &Site) -> Result<String> {
        let ssh = site.programs.get("ssh")?;
        Ok(format!("{} -p {} {}", text(&ssh)?, self.address.port(), self.options()?.join(" ")))
    }

    pub(super) fn key(&self) -> PathBuf {
        self.room.join("user_key")
    }

    pub(super) fn known_hosts(&self) -> PathBuf {
        self.room.join("known_hosts")
    }
}

fn configuration(room: &Path, address: SocketAddr) -> Result<String> {
    let room = text(room)?;
    let (ip, port) = (address.ip(), address.port());
    Ok(format!(
        "ListenAddress {ip}\nPort {port}\nHostKey {room}/host_key\nPidFile none\nAuthorizedKeysFile {room}/authorized_keys\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nUseDNS no\nMaxStartups 1000\nLogLevel ERROR\nSubsystem sftp internal-sftp\n"
    ))
}
