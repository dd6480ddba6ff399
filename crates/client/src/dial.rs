//! Reaching a server: TCP, TLS, hello, all within one deadline.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use netdisk_model::Fingerprint;
use netdisk_protocol::limits::TLS_BUFFER_LEN;
use netdisk_protocol::{Connection, ConnectionError, Gulp, WireObserver};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::login::Door;
use crate::opening::{Hello, feed_hello};
use crate::tap::Tap;
use crate::trust::{ALPN, PinVerifier, Trust, system_config};

/// Time for TCP, TLS and hello together: a person waits no longer without an answer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);

/// Time for one frame, in or out; a server that works long sends heartbeats.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);

/// A byte stream to a server, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Reaches a server and greets it. The trust is checked before a byte of the protocol is sent.
///
/// Where TLS has agreed on netdisk's protocol, hello goes out with the login that follows, and the server's own is read
/// with the answer to it: that saves a round trip, and [`Door::greeted`] waits for it where nobody logs in yet. Anywhere
/// else the server has said hello when this returns: no secret goes to somebody who may be no netdisk server.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use netdisk_client::{Trust, dial};
/// let door = dial(&"127.0.0.1".parse()?, &Trust::Plaintext).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ClientError::Unreachable`], [`ClientError::NotTrusted`], [`ClientError::NotVouchedFor`],
/// [`ClientError::NotNetdisk`], all within eight seconds; a hello that is read later has what is left of them.
pub async fn dial(endpoint: &Endpoint, trust: &Trust) -> Result<Door, ClientError> {
    dial_observed(endpoint, trust, None).await
}

/// The same, and shows what passes to an observer: frames, and the reads and writes inside TLS. What it sees holds
/// secrets ([`netdisk_protocol::without_secrets`]).
///
/// ```no_run
/// # async fn example(watch: std::sync::Arc<dyn netdisk_protocol::WireObserver>) -> Result<(), Box<dyn std::error::Error>> {
/// use netdisk_client::{Trust, dial_observed};
/// let door = dial_observed(&"127.0.0.1".parse()?, &Trust::Plaintext, Some(watch)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`dial`].
pub async fn dial_observed(
    endpoint: &Endpoint,
    trust: &Trust,
    observer: Option<Arc<dyn WireObserver>>,
) -> Result<Door, ClientError> {
    let way = Way { endpoint: endpoint.clone(), trust: *trust, observer };
    let began = Instant::now();
    let (mut connection, from) = within(DIAL_TIMEOUT, endpoint, way.connect()).await?;
    let took = began.elapsed();
    feed_hello(&mut connection).await?;
    let left = DIAL_TIMEOUT.saturating_sub(took);
    let door = Door::new(connection, Hello::Due { from, left }, Some(way)).after(took);
    match from {
        Peer::Netdisk => Ok(door),
        Peer::Unknown => door.greeted().await,
    }
}

/// Greets a server over a stream that somebody else opened and trusts: a tunnel, a pipe, a test. Such a connection cannot
/// be dialled again.
///
/// ```no_run
/// # async fn example(tunnel: tokio::net::UnixStream) -> Result<(), Box<dyn std::error::Error>> {
/// let door = netdisk_client::greet_over(tunnel).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ClientError::Connection`], or the server's fault.
pub async fn greet_over<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S) -> Result<Door, ClientError> {
    let mut connection = Connection::new(Box::new(stream) as Box<dyn Stream>, FRAME_TIMEOUT);
    feed_hello(&mut connection).await?;
    Door::new(connection, Hello::Due { from: Peer::Unknown, left: FRAME_TIMEOUT }, None).greeted().await
}

/// Asks a server for its key, for a person or a policy to decide about. Nothing of the protocol is sent.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let fingerprint = netdisk_client::fingerprint_of(&"files.example.org".parse()?).await?;
/// println!("is {fingerprint} what your server printed?");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ClientError::Unreachable`], [`ClientError::NotNetdisk`].
pub async fn fingerprint_of(endpoint: &Endpoint) -> Result<Fingerprint, ClientError> {
    within(DIAL_TIMEOUT, endpoint, async {
        let (mut stream, fingerprint) = connect_pinned(endpoint, None).await?;
        // Whether the farewell arrives changes nothing about the key.
        drop(stream.shutdown().await);
        Ok(fingerprint)
    })
    .await
}

/// Gives `work` up after `left`: of the time for dialling, that much is left.
async fn within<T>(
    left: Duration,
    endpoint: &Endpoint,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    timeout(left, work)
        .await
        .map_err(|_| unreachable(endpoint, format!("no answer within {} seconds", DIAL_TIMEOUT.as_secs())))?
}

fn unreachable(endpoint: &Endpoint, reason: String) -> ClientError {
    ClientError::Unreachable { endpoint: endpoint.clone(), reason }
}

async fn connect(endpoint: &Endpoint) -> Result<TcpStream, ClientError> {
    let refused = |error: io::Error| unreachable(endpoint, error.to_string());
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.map_err(refused)?;
    // Small messages must not wait for the acknowledgement of earlier ones (RFC 896).
    stream.set_nodelay(true).map_err(refused)?;
    Ok(stream)
}

/// A connection inside TLS.
type Encrypted = TlsStream<Gulp<TcpStream>>;

/// Does the handshake of TLS.
async fn encrypt(
    endpoint: &Endpoint,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<io::Result<Encrypted>, ClientError> {
    let stream = Gulp::new(connect(endpoint).await?);
    let connected = TlsConnector::from(config).connect(name, stream).await;
    Ok(connected.map(|mut stream| {
        stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_LEN));
        stream
    }))
}

/// Connects to a server that is known by its key; without one that is expected, tells the key.
async fn connect_pinned(
    endpoint: &Endpoint,
    expected: Option<Fingerprint>,
) -> Result<(Encrypted, Fingerprint), ClientError> {
    let verifier = PinVerifier::new(expected);
    let config = verifier.client_config().map_err(|error| no_tls(endpoint, error))?;
    let name = ServerName::try_from("netdisk").map_err(|error| no_tls(endpoint, error))?;
    let connected = encrypt(endpoint, config, name).await?;
    match (connected, expected, verifier.seen()) {
        (Err(_), Some(expected), Some(actual)) if expected != actual => {
            Err(ClientError::NotTrusted { endpoint: endpoint.clone(), expected, actual })
        }
        (Ok(stream), _, Some(seen)) => Ok((stream, seen)),
        (Ok(_), _, None) => Err(no_tls(endpoint, "it showed no key")),
        (Err(error), ..) => Err(no_tls(endpoint, error)),
    }
}

/// Connects to a server for whose certificate and name an authority of this system vouches.
async fn connect_vouched(endpoint: &Endpoint) -> Result<Encrypted, ClientError> {
    let not_vouched = |reason: String| ClientError::NotVouchedFor { endpoint: endpoint.clone(), reason };
    let config = system_config().map_err(|error| not_vouched(error.to_string()))?;
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| not_vouched(error.to_string()))?;
    encrypt(endpoint, config, name).await?.map_err(|error| {
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(reason)) => not_vouched(reason.to_string()),
            _ => no_tls(endpoint, error),
        }
    })
}

fn no_tls(endpoint: &Endpoint, error: impl fmt::Display) -> ClientError {
    let reason = format!("no TLS with it ({error}); was it started with --plaintext?");
    ClientError::NotNetdisk { endpoint: endpoint.clone(), reason }
}

/// What is known of the other side before it has said hello.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Peer {
    /// It does TLS, and has agreed there on netdisk's protocol.
    Netdisk,
    /// Anything may listen there.
    Unknown,
}

impl Peer {
    fn of(stream: &Encrypted) -> Self {
        if stream.get_ref().1.alpn_protocol() == Some(ALPN) { Self::Netdisk } else { Self::Unknown }
    }
}

/// How to reach a server.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) endpoint: Endpoint,
    pub(crate) trust: Trust,
    pub(crate) observer: Option<Arc<dyn WireObserver>>,
}

impl Way {
    /// Connects, and says what is known of the other side.
    async fn connect(&self) -> Result<(Connection<Box<dyn Stream>>, Peer), ClientError> {
        let encrypted = match self.trust {
            Trust::Plaintext => None,
            Trust::Pinned(fingerprint) => Some(connect_pinned(&self.endpoint, Some(fingerprint)).await?.0),
            Trust::System => Some(connect_vouched(&self.endpoint).await?),
        };
        let peer = encrypted.as_ref().map_or(Peer::Unknown, Peer::of);
        let mut stream: Box<dyn Stream> = match encrypted {
            Some(stream) => Box::new(stream),
            None => Box::new(connect(&self.endpoint).await?),
        };
        if let Some(observer) = &self.observer {
            stream = Box::new(Tap::new(stream, observer.clone()));
        }
        let mut connection = Connection::new(stream, FRAME_TIMEOUT);
        if let Some(observer) = &self.observer {
            connection.observe(observer);
        }
        Ok((connection, peer))
    }

    /// What comes of the hello of such a peer, for which there is so much time left.
    pub(crate) async fn hear<T>(
        &self,
        from: Peer,
        left: Duration,
        hello: impl Future<Output = Result<T, ConnectionError>>,
    ) -> Result<T, ClientError> {
        within(left, &self.endpoint, async { hello.await.map_err(|error| self.no_hello(from, error)) }).await
    }

    /// A server that does not even say hello as it should, or whose line broke before.
    fn no_hello(&self, from: Peer, error: ConnectionError) -> ClientError {
        match (error, from) {
            (ConnectionError::Refused(fault), _) => fault.into(),
            (
                error @ (ConnectionError::Io(_) | ConnectionError::Closed | ConnectionError::Truncated),
                Peer::Netdisk,
            ) => error.into(),
            (error, _) => {
                let hint = if self.trust == Trust::Plaintext { "; does it want TLS?" } else { "" };
                ClientError::NotNetdisk { endpoint: self.endpoint.clone(), reason: format!("{error}{hint}") }
            }
        }
    }
}
