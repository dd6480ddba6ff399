//! A connection for protocols of lines, plain or in TLS.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A server that is silent for longer is given up.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(20);
/// No line of these protocols is nearly as long.
const LINE_LEN_MAX: u64 = 64 * 1024;

/// A connection, buffered for reading.
pub(super) struct Wire {
    reader: BufReader<Box<dyn Stream>>,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// What trusts that one certificate.
pub(super) fn trusting(certificate: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

/// Connects; a server that falls silent is an error.
pub(super) fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, SILENCE_TIMEOUT).with_context(|| address.to_string())?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_TIMEOUT))?;
    stream.set_write_timeout(Some(SILENCE_TIMEOUT))?;
    Ok(stream)
}

impl Wire {
    /// The connection itself, or TLS over it.
    pub(super) fn new(stream: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::from(stream.peer_addr()?.ip());
                Box::new(StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, stream))
            }
        };
        Ok(Self { reader: BufReader::new(stream) })
    }

    pub(super) fn send(&mut self, text: &str) -> Result<()> {
        self.reader.get_mut().write_all(text.as_bytes())?;
        Ok(self.reader.get_mut().flush()?)
    }

    /// A line without its end.
    pub(super) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let length = self.reader.by_ref().take(LINE_LEN_MAX).read_line(&mut line)?;
        ensure!(length > 0 && line.ends_with('\n'), "the server ended the connection, or a line is too long");
        Ok(line.trim_end().to_owned())
    }

    /// So many bytes.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// All that comes before the end; servers of FTP end TLS without a word.
    pub(super) fn rest(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.reader.read_to_end(&mut bytes) {
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error.into()),
            _ => Ok(bytes),
        }
    }
}
