//! HTTP/1.1 with the connection kept: a listing is the page of a folder.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::Session;
use super::wire::{Wire, connect, trusting};

/// No page of these workloads is nearly as long.
const BODY_LEN_MAX: usize = 16 << 20;

/// A kept-alive connection.
pub(crate) struct HttpSession {
    wire: Wire,
    /// What is added to the path of a folder for a listing.
    query: &'static str,
    head: String,
}

impl HttpSession {
    /// Connects, over TLS where a certificate is given, and asks for the root, so that the server knows who it is.
    pub(crate) fn open(
        address: SocketAddr,
        certificate: Option<&Path>,
        (user, password): (&str, &str),
        query: &'static str,
    ) -> Result<Box<dyn Session>> {
        let tls = certificate.map(trusting).transpose()?;
        let wire = Wire::new(connect(address)?, tls.as_ref())?;
        let account = base64(format!("{user}:{password}").as_bytes());
        let head = format!("HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {account}\r\n\r\n");
        let mut session = Self { wire, query, head };
        session.list("")?;
        Ok(Box::new(session))
    }

    fn body(&mut self) -> Result<Vec<u8>> {
        let status = self.wire.line()?;
        ensure!(status.starts_with("HTTP/1.1 200"), "the server says {status:?}");
        let (mut length, mut chunked) = (None, false);
        loop {
            let line = self.wire.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                _ if line.is_empty() => break,
                Some(("content-length", value)) => length = Some(value.trim().parse::<usize>()?),
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                _ => {}
            }
        }
        if !chunked {
            let length = length.context("a page of no known length")?;
            ensure!(length <= BODY_LEN_MAX, "a page of {length} bytes");
            return self.wire.bytes(length);
        }
        let mut body = Vec::new();
        loop {
            let length = usize::from_str_radix(&self.wire.line()?, 16)?;
            ensure!(body.len() + length <= BODY_LEN_MAX, "a page of more than {BODY_LEN_MAX} bytes");
            body.extend(self.wire.bytes(length)?);
            self.wire.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

impl Session for HttpSession {
    fn list(&mut self, folder: &str) -> Result<String> {
        let slash = if folder.is_empty() { "" } else { "/" };
        self.wire.send(&format!("GET /{folder}{slash}{} {}", self.query, self.head))?;
        Ok(String::from_utf8_lossy(&self.body()?).into_owned())
    }
}

/// RFC 4648, for one header.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[number >> (18 - 6 * place) & 63];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        let vectors = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, text) in vectors {
            assert_eq!(base64(plain.as_bytes()), text);
        }
    }
}
