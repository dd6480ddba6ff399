//! A peer made of a socket: says what it is told to say, from an address of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::scene::PASSWORD;

/// How long a probe waits for anything.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A peer of a server.
pub(crate) struct Peer {
    pub(crate) stream: Box<dyn Stream>,
    last_id: u64,
}

/// One of sixteen million addresses of this machine: a network of its own, as a server sees it.
pub(crate) fn address(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number % 0xff_0000).unwrap_or(0);
    Ipv4Addr::from_bits(0x7f01_0000 + number)
}

/// A bare connection from an address.
pub(crate) async fn connect(server: SocketAddr, from: Ipv4Addr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = timeout(PATIENCE, socket.connect(server)).await.context("not connected in time")??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Peer {
    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), last_id: 0 }
    }

    pub(crate) async fn plaintext(server: SocketAddr, from: Ipv4Addr) -> Result<Self> {
        Ok(Self::over(connect(server, from).await?))
    }

    /// Over TLS, whatever key the server has.
    pub(crate) async fn tls(server: SocketAddr, from: Ipv4Addr) -> Result<Self> {
        let stream = connect(server, from).await?;
        let connector = TlsConnector::from(careless_config()?);
        let connected = timeout(PATIENCE, connector.connect(ServerName::try_from("netdisk")?, stream)).await;
        Ok(Self::over(connected.context("no TLS in time")??))
    }

    /// Exchanges hellos.
    pub(crate) async fn greeted(mut self) -> Result<Self> {
        self.send(&json!({"type": "hello", "version": 1, "software": "probe"})).await?;
        let hello = self.recv().await?;
        ensure!(hello["type"] == "hello", "{hello}");
        Ok(self)
    }

    /// Makes an account, or with a token logs in; gives the token.
    pub(crate) async fn enter(&mut self, user: &str, token: Option<&str>) -> Result<String> {
        let request = match token {
            None => json!({"type": "register", "user": user, "password": PASSWORD, "keep": true}),
            Some(token) => json!({"type": "login", "user": user, "token": token}),
        };
        let reply = self.ask(request).await?;
        ensure!(reply["type"] == "welcome", "{reply}");
        Ok(reply["token"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        timeout(PATIENCE, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await
        .context("not taken in time")??;
        Ok(())
    }

    pub(crate) async fn send(&mut self, message: &Value) -> Result<()> {
        self.write(&frame(message.to_string().as_bytes())).await
    }

    /// The next payload that is no heartbeat.
    pub(crate) async fn recv_payload(&mut self) -> Result<Vec<u8>> {
        let read = async {
            loop {
                let len = self.stream.read_u32().await?;
                let mut payload = vec![0; len as usize];
                self.stream.read_exact(&mut payload).await?;
                if !payload.is_empty() {
                    return anyhow::Ok(payload);
                }
            }
        };
        timeout(PATIENCE, read).await.context("no answer in time")?
    }

    pub(crate) async fn recv(&mut self) -> Result<Value> {
        let payload = self.recv_payload().await?;
        serde_json::from_slice(&payload).with_context(|| String::from_utf8_lossy(&payload).into_owned())
    }

    /// Sends a request and gives its reply.
    pub(crate) async fn ask(&mut self, request: Value) -> Result<Value> {
        let id = self.send_request(request).await?;
        let reply = self.recv().await?;
        ensure!(reply["id"] == id, "{reply} to {id}");
        Ok(reply)
    }

    pub(crate) async fn send_request(&mut self, mut request: Value) -> Result<u64> {
        self.last_id += 1;
        request["id"] = self.last_id.into();
        self.send(&request).await?;
        Ok(self.last_id)
    }

    /// All payloads up to the last reply to a request, whatever its kind.
    pub(crate) async fn recv_all(&mut self, id: u64, request: &str) -> Result<Vec<Vec<u8>>> {
        let mut payloads = Vec::new();
        loop {
            let payload = self.recv_payload().await?;
            let last = match payload.first() {
                Some(0) => false,
                _ => {
                    let message: Value = serde_json::from_slice(&payload)?;
                    let is_abort = message["type"] == "abort" && request == "upload";
                    ensure!(message["id"] == id, "{message} to {id}");
                    !(message["type"] == "entries" || message["type"] == "ready" || is_abort)
                }
            };
            payloads.push(payload);
            if last {
                return Ok(payloads);
            }
        }
    }

    /// Waits until the server closes the connection; what it says before is not looked at.
    pub(crate) async fn until_closed(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match timeout(PATIENCE, self.stream.read(&mut buffer)).await {
                Err(_) => bail!("not closed"),
                Ok(Ok(0) | Err(_)) => return Ok(()),
                Ok(Ok(_)) => {}
            }
        }
    }
}

/// A frame of a payload.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&len.to_be_bytes()[..], payload].concat()
}

/// A frame of file bytes.
pub(crate) fn data(bytes: &[u8]) -> Vec<u8> {
    frame(&[&[0], bytes].concat())
}

/// The end of a body.
pub(crate) fn end(id: u64, content: &[u8]) -> Value {
    json!({"id": id, "type": "end", "digest": blake3::hash(content).to_hex().to_string()})
}

/// A client that looks at nothing: any certificate, any signature. Probes of a server need no more; as a client it is
/// the broken variant.
#[derive(Debug)]
struct Careless;

pub(crate) fn careless_config() -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Careless))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}
