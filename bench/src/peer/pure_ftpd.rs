//! pure-ftpd, with an account of its own.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use anyhow::Result;

use super::curl::Curl;
use super::ftp::{Ftp, folder_of};
use super::{Peer, Promises, Service, USER};
use crate::account::Account;
use crate::process::{Server, run_helper};
use crate::programs::text;
use crate::site::Site;

/// Who owns the files.
const ACCOUNT: &str = "nobody";
/// What crypt(5) makes of the password with SHA-256 and its usual 5,000 rounds: a login must not outweigh the transfer, as
/// it does with what `pure-pw` makes.
const PASSWORD_HASH: &str = "$5$netdiskbench$4L/KvH1RAmuzTjLFEI7VeY7xshOhrhcvwLVx8XaRHf5";
/// How many sessions, in all and from one address: more than any workload opens.
const SESSIONS_MAX: &str = "2000";

/// pure-ftpd, in plaintext or over TLS.
pub(super) struct PureFtpd {
    pub(super) tls: bool,
}

impl Peer for PureFtpd {
    fn name(&self) -> &'static str {
        if self.tls { "pure-ftpd-tls" } else { "pure-ftpd" }
    }

    fn promises(&self) -> Promises {
        Promises { encrypts: self.tls, verifies: false, syncs: false, how: "curl, one control connection; password" }
    }

    fn programs(&self) -> &'static [&'static str] {
        &["pure-ftpd", "pure-pw", "curl"]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        let (account, address, files) = (Account::named(ACCOUNT)?, site.free_address()?, room.join("files"));
        folder_of(&account, &files)?;
        let users = room.join("users.pdb");
        let (list, home) = (room.join("users.passwd"), text(&files)?);
        fs::write(
            &list,
            format!("{USER}:{PASSWORD_HASH}:{}:{}::{home}/./{}\n", account.uid, account.gid, ":".repeat(12)),
        )?;
        run_helper(site.client("pure-pw")?.arg("mkdb").arg(&users).arg("-f").arg(list))?;
        let mut command = site.server("pure-ftpd")?;
        command.args(["-S", &format!("{},{}", address.ip(), address.port()), "-H", "-E", "-u", "1"]);
        command.args(["-c", SESSIONS_MAX, "-C", SESSIONS_MAX, "-l", &format!("puredb:{}", users.display())]);
        command.arg("-g").arg(room.join("pure-ftpd.pid"));
        if self.tls {
            let (certificate, key) = (site.certificate(), site.key());
            command.args(["-Y", "3", "-2", &format!("{},{}", certificate.display(), key.display())]);
        }
        let mut server = Server::start(command, room)?;
        server.until_listening(site, address)?;
        let curl = Curl::ftp(site, room, address, "", self.tls)?;
        Ok(Box::new(Ftp { site: Rc::clone(site), server, files, account, curl, address, root: "", tls: self.tls }))
    }
}
