//! vsftpd. Its accounts would be this system's, so clients come without one.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use anyhow::Result;

use super::curl::Curl;
use super::ftp::{Ftp, folder_of};
use super::{Peer, Promises, Service};
use crate::account::Account;
use crate::process::Server;
use crate::programs::text;
use crate::site::Site;

/// Who it serves strangers as; Debian's package makes the account.
const ACCOUNT: &str = "ftp";

/// Where its clients find the files.
const ROOT: &str = "/files";

/// vsftpd, in plaintext or over TLS.
pub(super) struct Vsftpd {
    pub(super) tls: bool,
}

impl Peer for Vsftpd {
    fn name(&self) -> &'static str {
        if self.tls { "vsftpd-tls" } else { "vsftpd" }
    }

    fn promises(&self) -> Promises {
        Promises { encrypts: self.tls, verifies: false, syncs: false, how: "curl, one control connection; anonymous" }
    }

    fn programs(&self) -> &'static [&'static str] {
        &["vsftpd", "curl"]
    }

    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>> {
        let (account, address) = (Account::named(ACCOUNT)?, site.free_address()?);
        // The root of a stranger must not be theirs.
        let files = room.join("root/files");
        folder_of(&account, &files)?;
        fs::create_dir(room.join("empty"))?;
        fs::write(room.join("vsftpd.conf"), configuration(site, room, address, self.tls)?)?;
        let mut command = site.server("vsftpd")?;
        command.arg(room.join("vsftpd.conf"));
        let mut server = Server::start(command, room)?;
        server.until_listening(site, address)?;
        let mut curl = Curl::ftp(site, room, address, ROOT, self.tls)?;
        curl.user = ACCOUNT;
        Ok(Box::new(Ftp { site: Rc::clone(site), server, files, account, curl, address, root: ROOT, tls: self.tls }))
    }
}

fn configuration(site: &Site, room: &Path, address: SocketAddr, tls: bool) -> Result<String> {
    let (room, ip, port) = (text(room)?, address.ip(), address.port());
    let (certificate, key) = (site.certificate(), site.key());
    let security = if tls {
        let (certificate, key) = (text(&certificate)?, text(&key)?);
        format!(
            "ssl_enable=YES\nallow_anon_ssl=YES\nforce_anon_logins_ssl=YES\nforce_anon_data_ssl=YES\nssl_ciphers=HIGH\n\
             require_ssl_reuse=NO\nstrict_ssl_read_eof=NO\nrsa_cert_file={certificate}\nrsa_private_key_file={key}\n"
        )
    } else {
        String::new()
    };
    Ok(format!(
        "listen=YES\nlisten_address={ip}\nlisten_port={port}\nbackground=NO\nanonymous_enable=YES\nno_anon_password=YES\n\
         ftp_username={ACCOUNT}\nanon_root={room}/root\nwrite_enable=YES\nanon_upload_enable=YES\n\
         anon_mkdir_write_enable=YES\nanon_other_write_enable=YES\nanon_umask=022\nanon_world_readable_only=NO\n\
         xferlog_enable=NO\nsecure_chroot_dir={room}/empty\n{security}"
    ))
}
