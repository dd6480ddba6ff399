//! Connections that are logged in and stay so: what an idle one costs the server, and how long a listing takes on one that
//! is warm. Where a protocol is simple enough it is spoken here, so that no client's start or screen counts.

mod ftp;
mod http;
mod netdisk;
mod sftp;
mod wire;

use anyhow::Result;

pub(crate) use ftp::FtpSession;
pub(crate) use http::HttpSession;
pub(crate) use netdisk::NetdiskSessions;
pub(crate) use sftp::SftpSession;

/// A connection that is logged in. Dropped, it is closed.
pub(crate) trait Session {
    /// Lists a folder with what is known of each entry; gives text in which every name stands.
    fn list(&mut self, folder: &str) -> Result<String>;
}
