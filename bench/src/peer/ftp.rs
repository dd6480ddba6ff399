//! What the FTP servers share: a folder for the account that they serve, and curl.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::Result;

use super::curl::Curl;
use super::{PASSWORD, Service};
use crate::account::Account;
use crate::fileset::FileSet;
use crate::process::Server;
use crate::session::{FtpSession, Session};
use crate::site::Site;

/// An FTP server that runs.
pub(super) struct Ftp {
    pub(super) site: Rc<Site>,
    pub(super) server: Server,
    pub(super) files: PathBuf,
    /// Who writes the files.
    pub(super) account: Account,
    pub(super) curl: Curl,
    pub(super) address: SocketAddr,
    /// Where the files are, for a client.
    pub(super) root: &'static str,
    pub(super) tls: bool,
}

/// Makes a folder that `account` may write to.
pub(super) fn folder_of(account: &Account, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    account.give(folder)
}

impl Service for Ftp {
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

    /// The folder is there and empty: to make it is not what FTP is measured by.
    fn clear(&self, set: &FileSet) -> Result<()> {
        let folder = self.files.join(set.name()?);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        folder_of(&self.account, &folder)
    }

    fn open_session(&self, _number: usize) -> Result<Option<Box<dyn Session>>> {
        let certificate = self.tls.then(|| self.site.certificate());
        FtpSession::open(self.address, certificate.as_deref(), self.curl.user, PASSWORD, self.root).map(Some)
    }
}
