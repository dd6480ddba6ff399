//! Reaching a server: TCP, TLS, hello, all within one deadline; then registering or logging in.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use netdisk_model::{Fingerprint, Password, Token, UserName};
use netdisk_protocol::limits::TLS_BUFFER_LEN;
use netdisk_protocol::{
    Admission, Connection, ConnectionError, Greeting, Gulp, Numbered, Proof, Reply, VERSION, WireObserver,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::caps::excerpt;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::offer::Offer;
use crate::tap::Tap;
use crate::trust::{PinVerifier, Trust, system_config};

/// Time for TCP, TLS and hello together: a person waits no longer without an answer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);

/// Time for one frame, in or out; a server that works long sends heartbeats.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);

/// A byte stream to a server, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Reaches a server and greets it. The trust is checked before a byte of the protocol is sent.
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
/// [`ClientError::NotNetdisk`], all within eight seconds.
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
    within_deadline(endpoint, async {
        let mut stream: Box<dyn Stream> = match trust {
            Trust::Plaintext => Box::new(connect(endpoint).await?),
            Trust::Pinned(fingerprint) => Box::new(connect_pinned(endpoint, Some(*fingerprint)).await?.0),
            Trust::System => Box::new(connect_vouched(endpoint).await?),
        };
        if let Some(observer) = &observer {
            stream = Box::new(Tap::new(stream, observer.clone()));
        }
        let mut connection = Connection::new(stream, FRAME_TIMEOUT);
        if let Some(observer) = &observer {
            connection.observe(observer);
        }
        let offer = greet(&mut connection).await.map_err(|error| odd(endpoint, trust, error))?;
        let way = Way { endpoint: endpoint.clone(), trust: *trust, observer };
        Ok(Door { connection, way: Some(way), offer })
    })
    .await
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
    let offer = greet(&mut connection).await?;
    Ok(Door { connection, way: None, offer })
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
    within_deadline(endpoint, async {
        let (mut stream, fingerprint) = connect_pinned(endpoint, None).await?;
        // Whether the farewell arrives changes nothing about the key.
        drop(stream.shutdown().await);
        Ok(fingerprint)
    })
    .await
}

async fn within_deadline<T>(
    endpoint: &Endpoint,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    timeout(DIAL_TIMEOUT, work)
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

/// Exchanges hellos; gives what the server announces.
async fn greet(connection: &mut Connection<Box<dyn Stream>>) -> Result<Offer, ConnectionError> {
    let software = concat!("netdisk/", env!("CARGO_PKG_VERSION")).to_owned();
    let hello = Greeting::Hello { version: VERSION, software, limits: None, features: Vec::new() };
    connection.send(&hello).await?;
    match connection.recv::<Greeting>().await?.ok_or(ConnectionError::Closed)? {
        Greeting::Hello { version: VERSION, limits, features, .. } => Ok(Offer::of(limits, &features)),
        Greeting::Hello { version, .. } => {
            Err(ConnectionError::NotAMessage(format!("version {version}, where {VERSION} was offered")))
        }
    }
}

/// A server that does not even say hello as it should.
fn odd(endpoint: &Endpoint, trust: &Trust, error: ConnectionError) -> ClientError {
    match error {
        ConnectionError::Refused(fault) => fault.into(),
        error => {
            let hint = if *trust == Trust::Plaintext { "; does it want TLS?" } else { "" };
            ClientError::NotNetdisk { endpoint: endpoint.clone(), reason: format!("{error}{hint}") }
        }
    }
}

/// A server that has said hello and waits for somebody to register or log in.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use netdisk_client::{Trust, dial};
/// let door = dial(&"127.0.0.1".parse()?, &Trust::Plaintext).await?;
/// let client = door.log_in(&"alice".parse()?, netdisk_model::Password::new("correct horse"), false).await?;
/// # Ok(())
/// # }
/// ```
#[expect(missing_debug_implementations, reason = "the stream behind it has nothing to show")]
pub struct Door {
    connection: Connection<Box<dyn Stream>>,
    /// How to come here again.
    way: Option<Way>,
    offer: Offer,
}

impl Door {
    /// Makes an account and logs in; with `keep`, asks for a token for later logins.
    ///
    /// ```no_run
    /// # async fn example(door: netdisk_client::Door) -> Result<(), Box<dyn std::error::Error>> {
    /// let password = netdisk_model::Password::new("correct horse");
    /// let client = door.register(&"alice".parse()?, password, false).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A fault: `name_taken`, `bad_password`, `registration_closed`; a broken connection.
    pub async fn register(self, user: &UserName, password: Password, keep: bool) -> Result<Client, ClientError> {
        self.enter(user, Admission::Register { user: user.clone().into(), password, invitation: None, keep }, None)
            .await
    }

    /// Makes an account by an invitation and logs in; with `keep`, asks for a token for later logins.
    ///
    /// ```no_run
    /// # async fn example(door: netdisk_client::Door, invitation: netdisk_model::Token)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// let password = netdisk_model::Password::new("correct horse");
    /// let client = door.register_invited(&"alice".parse()?, password, invitation, false).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Door::register`].
    pub async fn register_invited(
        self,
        user: &UserName,
        password: Password,
        invitation: Token,
        keep: bool,
    ) -> Result<Client, ClientError> {
        let user_claim = user.clone().into();
        self.enter(user, Admission::Register { user: user_claim, password, invitation: Some(invitation), keep }, None)
            .await
    }

    /// Logs in by password; with `keep`, asks for a token for later logins.
    ///
    /// ```no_run
    /// # async fn example(door: netdisk_client::Door) -> Result<(), Box<dyn std::error::Error>> {
    /// let password = netdisk_model::Password::new("correct horse");
    /// let client = door.log_in(&"alice".parse()?, password, true).await?;
    /// let token = client.token().cloned();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The fault `login_refused`; a broken connection.
    pub async fn log_in(self, user: &UserName, password: Password, keep: bool) -> Result<Client, ClientError> {
        self.enter(user, Admission::Login { user: user.clone().into(), proof: Proof::Password(password), keep }, None)
            .await
    }

    /// Logs in by a token from an earlier login.
    ///
    /// ```no_run
    /// # async fn example(door: netdisk_client::Door, token: netdisk_model::Token)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// let client = door.log_in_by_token(&"alice".parse()?, token).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The fault `login_refused`; a broken connection.
    pub async fn log_in_by_token(self, user: &UserName, token: Token) -> Result<Client, ClientError> {
        self.enter(
            user,
            Admission::Login { user: user.clone().into(), proof: Proof::Token(token.clone()), keep: false },
            Some(token),
        )
        .await
    }

    async fn enter(mut self, who: &UserName, admission: Admission, used: Option<Token>) -> Result<Client, ClientError> {
        let id = 1;
        self.connection.send(&Numbered::new(id, admission)).await?;
        let reply: Numbered<Reply> = self.connection.recv().await?.ok_or(ConnectionError::Closed)?;
        match reply.message {
            Reply::Welcome { user, token } if reply.id == id && user == *who => {
                self.connection.admit();
                let redial = self.way.zip(token.clone().or(used)).map(|(way, token)| Redial { way, token });
                Ok(Client::new(self.connection, user, token, redial, id).with_offer(self.offer))
            }
            Reply::Fault(fault) => {
                // The refusal is what matters; how the farewell goes does not.
                drop(self.connection.close().await);
                Err(fault.into())
            }
            other => Err(ClientError::Unexpected(excerpt(format!("as a welcome: {other:?}")))),
        }
    }
}

/// What it takes to come back to a server.
#[derive(Clone)]
pub(crate) struct Redial {
    way: Way,
    token: Token,
}

/// How to reach a server.
#[derive(Clone)]
struct Way {
    endpoint: Endpoint,
    trust: Trust,
    observer: Option<Arc<dyn WireObserver>>,
}

impl Redial {
    /// The same way with another token.
    pub(crate) fn with(self, token: Token) -> Self {
        Self { token, ..self }
    }

    /// Dials and logs in again; the same trust is asked for.
    pub(crate) async fn dial(&self, user: &UserName) -> Result<Client, ClientError> {
        let Way { endpoint, trust, observer } = &self.way;
        let door = dial_observed(endpoint, trust, observer.clone()).await?;
        door.log_in_by_token(user, self.token.clone()).await
    }
}
