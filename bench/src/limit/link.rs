//! One TCP stream, plain or in TLS.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rustix::fs::sendfile;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Bytes in hand at a time: a few of these fit the cache of a core, and a read takes what the socket holds.
pub(super) const BUFFER_LEN: usize = 256 * 1024;
/// Bytes that are asked of sendfile at a time; the kernel takes less than 2 GiB.
const SENDFILE_LEN: u64 = 1 << 30;

/// How a link is protected.
#[derive(Debug)]
pub(super) enum Security {
    None,
    Server(Arc<ServerConfig>),
    Client(Arc<ClientConfig>),
}

impl Security {
    /// TLS 1.3 with this certificate.
    pub(super) fn server(certificate: &Path, key: &Path) -> Result<Self> {
        let chain = vec![CertificateDer::from_pem_file(certificate)?];
        let config = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
        Ok(Self::Server(Arc::new(config)))
    }

    /// TLS 1.3, trusting this certificate.
    pub(super) fn client(certificate: &Path) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate)?)?;
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        // Of two ciphers that are safe, the one that processors have.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::Client(Arc::new(config)))
    }
}

/// A stream with a buffer in each direction.
pub(super) struct Link {
    wire: Wire,
    /// What was read and not yet asked for begins at `taken`.
    ahead: Vec<u8>,
    taken: usize,
    /// What was written and not yet sent.
    pending: Vec<u8>,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<dyn Stream + Send>),
}

/// What TLS of either side is to the link.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Link {
    pub(super) fn new(stream: TcpStream, security: &Security) -> Result<Self> {
        stream.set_nodelay(true)?;
        let wire = match security {
            Security::None => Wire::Plain(stream),
            Security::Server(config) => {
                Wire::Tls(Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(config))?, stream)))
            }
            Security::Client(config) => {
                let name = ServerName::from(stream.peer_addr()?.ip());
                Wire::Tls(Box::new(StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, stream)))
            }
        };
        Ok(Self { wire, ahead: Vec::with_capacity(BUFFER_LEN), taken: 0, pending: Vec::with_capacity(BUFFER_LEN) })
    }

    /// Sends the two bytes of its length, and `text`. An empty one would be the end.
    pub(super) fn write_text(&mut self, text: &str) -> Result<()> {
        self.write_all(&u16::try_from(text.len())?.to_be_bytes())?;
        self.write_all(text.as_bytes())
    }

    /// Sends `bytes`, sooner or later.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        if self.pending.len() + bytes.len() > BUFFER_LEN {
            self.flush()?;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends all of a file.
    pub(super) fn write_file(&mut self, file: &File, size: u64) -> Result<()> {
        match self.wire {
            Wire::Plain(_) => self.send_file(file, size),
            Wire::Tls(_) => self.copy_file(file, size),
        }
    }

    fn send_file(&mut self, file: &File, size: u64) -> Result<()> {
        self.flush()?;
        let Wire::Plain(stream) = &self.wire else { bail!("sendfile through TLS") };
        let mut left = size;
        while left > 0 {
            let sent = sendfile(stream, file, None, usize::try_from(left.min(SENDFILE_LEN))?)?;
            if sent == 0 {
                bail!("a file became shorter");
            }
            left -= sent as u64;
        }
        Ok(())
    }

    fn copy_file(&mut self, mut file: &File, size: u64) -> Result<()> {
        let mut left = size;
        while left > 0 {
            if self.pending.len() == BUFFER_LEN {
                self.flush()?;
            }
            let (old, room) = (self.pending.len(), (BUFFER_LEN - self.pending.len()) as u64);
            let wanted = usize::try_from(left.min(room))?;
            self.pending.resize(old + wanted, 0);
            file.read_exact(&mut self.pending[old..]).context("a file became shorter")?;
            left -= wanted as u64;
        }
        Ok(())
    }

    /// Sends what is pending.
    pub(super) fn flush(&mut self) -> Result<()> {
        match &mut self.wire {
            Wire::Plain(stream) => stream.write_all(&self.pending)?,
            Wire::Tls(stream) => {
                stream.write_all(&self.pending)?;
                stream.flush()?;
            }
        }
        self.pending.clear();
        Ok(())
    }

    /// Reads a text; nothing at the end.
    pub(super) fn read_text(&mut self) -> Result<Option<String>> {
        let mut length = [0; 2];
        self.read_exact(&mut length)?;
        let mut text = vec![0; u16::from_be_bytes(length).into()];
        self.read_exact(&mut text)?;
        Ok(if text.is_empty() { None } else { Some(String::from_utf8(text)?) })
    }

    /// Fills `buffer`.
    pub(super) fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            filled += self.read_some(&mut buffer[filled..])?;
        }
        Ok(())
    }

    /// Reads at least one byte; a large buffer is filled from the stream without a detour.
    pub(super) fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.taken == self.ahead.len() {
            let wire: &mut dyn Read = match &mut self.wire {
                Wire::Plain(stream) => stream,
                Wire::Tls(stream) => stream,
            };
            if buffer.len() == BUFFER_LEN {
                return nonzero(wire.read(buffer)?);
            }
            self.ahead.resize(BUFFER_LEN, 0);
            let length = nonzero(wire.read(&mut self.ahead)?)?;
            self.ahead.truncate(length);
            self.taken = 0;
        }
        let length = buffer.len().min(self.ahead.len() - self.taken);
        buffer[..length].copy_from_slice(&self.ahead[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

fn nonzero(length: usize) -> Result<usize> {
    if length == 0 {
        bail!("the stream ended early");
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn texts_and_files_arrive_whatever_their_lengths() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        // 0 and 1; the buffer's length and one beside it, with what stands before it in the buffer.
        let lengths = [0, 1, BUFFER_LEN - 1, BUFFER_LEN, BUFFER_LEN + 1];
        let mut sender = Link::new(TcpStream::connect(listener.local_addr()?)?, &Security::None)?;
        let mut receiver = Link::new(listener.accept()?.0, &Security::None)?;
        let writer = std::thread::spawn(move || {
            for length in lengths {
                let path = folder.path().join("file");
                std::fs::write(&path, vec![7; length])?;
                sender.write_text("name")?;
                sender.write_file(&File::open(path)?, length as u64)?;
            }
            sender.write_all(&[0; 2])?;
            sender.flush()
        });
        for length in lengths {
            assert_eq!(receiver.read_text()?.as_deref(), Some("name"));
            let mut content = vec![0; length];
            receiver.read_exact(&mut content)?;
            assert!(content.iter().all(|byte| *byte == 7));
        }
        assert_eq!(receiver.read_text()?, None);
        writer.join().expect("no panic")
    }
}
