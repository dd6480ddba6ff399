//! FTP (RFC 959, with EPSV and AUTH TLS): a listing has a connection of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rustls::ClientConfig;

use super::Session;
use super::wire::{Wire, connect, trusting};

/// A control connection.
pub(crate) struct FtpSession {
    control: Wire,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    /// Where the files are.
    root: String,
}

impl FtpSession {
    /// Connects, over TLS where a certificate is given, and logs in.
    pub(crate) fn open(
        address: SocketAddr,
        certificate: Option<&Path>,
        user: &str,
        password: &str,
        root: &str,
    ) -> Result<Box<dyn Session>> {
        let (stream, tls) = (connect(address)?, certificate.map(trusting).transpose()?);
        let mut control = Wire::new(stream.try_clone()?, None)?;
        reply(&mut control, '2')?;
        if tls.is_some() {
            ask(&mut control, "AUTH TLS", '2')?;
            control = Wire::new(stream, tls.as_ref())?;
        }
        control.send(&format!("USER {user}\r\n"))?;
        let answer = control.line()?;
        // Some need no password.
        if !answer.starts_with('2') {
            ensure!(answer.starts_with('3'), "the server says {answer:?}");
            ask(&mut control, &format!("PASS {password}"), '2')?;
        }
        if tls.is_some() {
            ask(&mut control, "PBSZ 0", '2')?;
            ask(&mut control, "PROT P", '2')?;
        }
        Ok(Box::new(Self { control, address, tls, root: root.to_owned() }))
    }
}

impl Session for FtpSession {
    fn list(&mut self, folder: &str) -> Result<String> {
        let passive = ask(&mut self.control, "EPSV", '2')?;
        let port = passive.rsplit('|').nth(1).with_context(|| format!("the server says {passive:?}"))?.parse()?;
        let stream = connect(SocketAddr::new(self.address.ip(), port))?;
        ask(&mut self.control, &format!("LIST {}/{folder}", self.root), '1')?;
        let listing = Wire::new(stream, self.tls.as_ref())?.rest()?;
        reply(&mut self.control, '2')?;
        Ok(String::from_utf8_lossy(&listing).into_owned())
    }
}

fn ask(control: &mut Wire, command: &str, kind: char) -> Result<String> {
    control.send(&format!("{command}\r\n"))?;
    reply(control, kind).with_context(|| command.split(' ').next().unwrap_or_default().to_owned())
}

/// The last line of a reply whose code begins so.
fn reply(control: &mut Wire, kind: char) -> Result<String> {
    loop {
        let line = control.line()?;
        let is_last =
            line.len() >= 4 && line.as_bytes()[3] == b' ' && line.as_bytes()[..3].iter().all(u8::is_ascii_digit);
        if is_last {
            ensure!(line.starts_with(kind), "the server says {line:?}");
            return Ok(line);
        }
    }
}
