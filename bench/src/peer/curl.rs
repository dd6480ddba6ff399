//! curl as the client of whoever speaks HTTP or FTP: one process, its connections kept; of HTTP up to 16 at once.
//!
//! It cannot list a folder by itself, so it is told every name; a person would need another tool for that.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{PASSWORD, USER};
use crate::fileset::FileSet;
use crate::programs::text;
use crate::site::Site;

/// Where a server is, for curl.
pub(super) struct Curl {
    /// Without the path, such as `http://127.0.0.1:4711`.
    pub(super) base: String,
    /// Where its lists of transfers go.
    pub(super) room: PathBuf,
    pub(super) user: &'static str,
    /// Options of this server.
    pub(super) options: Vec<String>,
}

/// Connections at once: near and far, faster than one after the other with every server here.
const PARALLEL: &str = "16";

impl Curl {
    /// curl for an HTTP server.
    pub(super) fn http(site: &Site, room: &Path, address: SocketAddr, tls: bool) -> Result<Self> {
        let mut options = vec!["--parallel", "--parallel-immediate", "--parallel-max", PARALLEL];
        let certificate = site.certificate();
        if tls {
            options.extend(["--cacert", text(&certificate)?]);
        }
        let base = format!("{}://{address}", if tls { "https" } else { "http" });
        let options = options.into_iter().map(str::to_owned).collect();
        Ok(Self { base, room: room.to_owned(), user: USER, options })
    }

    /// curl for an FTP server whose files lie under `path`.
    pub(super) fn ftp(site: &Site, room: &Path, address: SocketAddr, path: &str, tls: bool) -> Result<Self> {
        let mut options = vec!["--ftp-create-dirs".to_owned()];
        if tls {
            options.extend(["--ssl-reqd", "--cacert", text(&site.certificate())?].map(str::to_owned));
        }
        Ok(Self { base: format!("ftp://{address}{path}"), room: room.to_owned(), user: USER, options })
    }

    /// A whole client that uploads `set`.
    pub(super) fn upload(&self, site: &Site, set: &FileSet) -> Result<Command> {
        let name = set.name()?;
        self.command(site, name, set, |path| Ok(("upload-file", set.root.join(path))))
    }

    /// A whole client that downloads `set` into the folder `into`.
    pub(super) fn download(&self, site: &Site, set: &FileSet, into: &Path) -> Result<Command> {
        let name = set.name()?;
        self.command(site, name, set, |path| Ok(("output", into.join(name).join(path))))
    }

    fn command(
        &self,
        site: &Site,
        name: &str,
        set: &FileSet,
        local: impl Fn(&str) -> Result<(&'static str, PathBuf)>,
    ) -> Result<Command> {
        let mut list = String::new();
        for path in set.files.keys() {
            let (option, file) = local(path)?;
            writeln!(list, "url = \"{}/{name}/{path}\"\n{option} = \"{}\"", self.base, text(&file)?)?;
        }
        let file = self.room.join(format!("{name}.curl"));
        fs::write(&file, list)?;
        let mut command = site.client("curl")?;
        command.args(["--silent", "--show-error", "--fail", "--create-dirs", "--disable"]);
        command.args(["--user", &format!("{}:{PASSWORD}", self.user)]).args(&self.options).arg("--config").arg(file);
        Ok(command)
    }
}
