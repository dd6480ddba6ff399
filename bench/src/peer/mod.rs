//! The contenders: each a server, the client that goes with it, and what the two promise.
//!
//! To add one: a file here with a `Peer` and a `Service`, and a line in `all`.

mod curl;
mod dufs;
mod ftp;
mod lftp;
mod limit;
mod netdisk;
mod nginx;
mod pure_ftpd;
mod rclone;
mod rsync;
mod sftp;
mod sshd;
mod vsftpd;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::Result;

use crate::fileset::FileSet;
use crate::process::Server;
use crate::session::Session;
use crate::site::Site;

/// What netdisk's own rows, and the limits', begin with.
pub(crate) const NETDISK: &str = "netdisk";
/// What everybody is held against.
pub(crate) const LIMIT: &str = "limit-tcp";

/// Who is measured.
pub(crate) trait Peer {
    /// Its row.
    fn name(&self) -> &'static str;
    fn promises(&self) -> Promises;
    /// What must be installed.
    fn programs(&self) -> &'static [&'static str];
    /// Starts the server; whatever it keeps is in `room`.
    fn start(&self, site: &Rc<Site>, room: &Path) -> Result<Box<dyn Service>>;
}

/// What a contender does for whoever uses it: without these, times say little.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promises {
    pub(crate) encrypts: bool,
    /// Compares a digest of the content at the end, by itself.
    pub(crate) verifies: bool,
    /// Syncs to the disk before it says that a file is stored.
    pub(crate) syncs: bool,
    /// Client, settings, login.
    pub(crate) how: &'static str,
}

/// A server that runs, and the commands of its client.
pub(crate) trait Service {
    fn server(&self) -> &Server;

    /// The folder whose content clients see.
    fn files(&self) -> &Path;

    /// A whole client that uploads the folder `set` under its own name.
    fn upload(&self, set: &FileSet) -> Result<Command>;

    /// A whole client that downloads that folder into the empty folder `into`, under its own name.
    fn download(&self, set: &FileSet, into: &Path) -> Result<Command>;

    /// Makes `set` something that can be downloaded.
    fn lay(&self, set: &FileSet) -> Result<()> {
        set.lay_into(&self.files().join(set.name()?))
    }

    /// A client for each of `sets`, all to upload at once: nothing of an earlier upload is left.
    fn crowd(&self, sets: &[FileSet]) -> Result<Vec<Client>> {
        let client = |set: &FileSet| {
            self.clear(set)?;
            Ok((self.upload(set)?, self.files().join(set.name()?)))
        };
        sets.iter().map(client).collect()
    }

    /// A session that is logged in; nothing where the protocol has none that could wait.
    fn open_session(&self, _number: usize) -> Result<Option<Box<dyn Session>>> {
        Ok(None)
    }

    /// How many sessions are opened to see what one costs: a server with a process for each needs fewer for a good mean.
    fn sessions_max(&self) -> usize {
        100
    }

    /// Makes room for an upload of `set`: nothing of an earlier one is left.
    fn clear(&self, set: &FileSet) -> Result<()> {
        let folder = self.files().join(set.name()?);
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        Ok(())
    }
}

/// A client that uploads, and where its folder lies afterwards.
pub(crate) type Client = (Command, PathBuf);

/// Everybody, in the order of the tables.
pub(crate) fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(limit::Limit { tls: false }),
        Box::new(limit::Limit { tls: true }),
        Box::new(netdisk::Netdisk::TOKEN),
        Box::new(netdisk::Netdisk::PASSWORD),
        Box::new(netdisk::Netdisk::PLAINTEXT),
        Box::new(rsync::Daemon),
        Box::new(nginx::Nginx { tls: false }),
        Box::new(nginx::Nginx { tls: true }),
        Box::new(dufs::Dufs { tls: false }),
        Box::new(dufs::Dufs { tls: true }),
        Box::new(vsftpd::Vsftpd { tls: false }),
        Box::new(vsftpd::Vsftpd { tls: true }),
        Box::new(pure_ftpd::PureFtpd { tls: false }),
        Box::new(pure_ftpd::PureFtpd { tls: true }),
        Box::new(sftp::Sftp),
        Box::new(rsync::OverSsh),
        Box::new(lftp::LftpSftp),
        Box::new(rclone::RcloneSftp),
        Box::new(rclone::RcloneDav),
    ]
}

/// The account that contenders share where they have accounts: nobody but the bench can reach them.
const USER: &str = "bench";
const PASSWORD: &str = "correct horse battery";
