//! The opening of a connection: what was said first, and is answered in its order.
//!
//! Hello, login and the first request may go out in one flight; whoever waits for the reply to the request reads what
//! answers the others before it:
//!
//! ```text
//!   hello  login  request  ──▶
//!                          ◀──  hello  welcome  reply
//! ```

use std::time::Duration;

use netdisk_model::{Token, UserName};
use netdisk_protocol::{Connection, ConnectionError, Greeting, Numbered, PARTS, REUSE, Reply, VERSION};
use tokio::time::timeout;

use crate::caps::excerpt;
use crate::client::Client;
use crate::dial::{Peer, Stream, Way};
use crate::error::ClientError;
use crate::redial::Redial;

/// The id of every login: it is the first on its connection, and a refused one is not tried again on the same.
pub(crate) const LOGIN_ID: u64 = 1;

/// The server's hello.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hello {
    /// Ours is in the buffer, or sent, and so long the server's is waited for.
    Due {
        /// From whom.
        from: Peer,
        /// Time.
        left: Duration,
    },
    /// It came, and said so much.
    Heard(Announced),
}

/// What a server says of itself in its hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Requests that may be under way at once.
    pub(crate) window: usize,
    /// It sends and takes files in parts.
    pub(crate) parts: bool,
    /// It knows the requests `known` and `reuse`.
    pub(crate) reuse: bool,
}

impl Default for Announced {
    /// What holds where nothing was said.
    fn default() -> Self {
        Self { window: 1, parts: false, reuse: false }
    }
}

/// Puts our hello into the buffer.
pub(crate) async fn feed_hello(connection: &mut Connection<Box<dyn Stream>>) -> Result<(), ConnectionError> {
    let software = concat!("netdisk/", env!("CARGO_PKG_VERSION")).to_owned();
    let hello = Greeting::Hello { version: VERSION, software, limits: None, features: Vec::new() };
    connection.feed_message(&hello).await
}

impl Hello {
    /// Sends what waits, and waits for the server's hello where it has not come yet; gives what it said.
    pub(crate) async fn hear(
        &mut self,
        connection: &mut Connection<Box<dyn Stream>>,
        way: Option<&Way>,
    ) -> Result<Announced, ClientError> {
        let announced = match (*self, way) {
            (Self::Heard(announced), _) => announced,
            (Self::Due { from, left }, Some(way)) => way.hear(from, left, greet(connection)).await?,
            (Self::Due { left, .. }, None) => {
                timeout(left, greet(connection)).await.map_err(|_| ConnectionError::TimedOut(left))??
            }
        };
        *self = Self::Heard(announced);
        Ok(announced)
    }
}

async fn greet(connection: &mut Connection<Box<dyn Stream>>) -> Result<Announced, ConnectionError> {
    let sent = connection.flush().await;
    match (sent, recv_hello(connection).await) {
        (Ok(()), heard) => heard,
        // It may have said why it stopped listening.
        (Err(_), Err(refused @ ConnectionError::Refused(_))) => Err(refused),
        (Err(error), _) => Err(error),
    }
}

async fn recv_hello(connection: &mut Connection<Box<dyn Stream>>) -> Result<Announced, ConnectionError> {
    match connection.recv::<Greeting>().await?.ok_or(ConnectionError::Closed)? {
        Greeting::Hello { version: VERSION, limits, features, .. } => {
            let has = |name: &str| features.iter().any(|feature| feature == name);
            let window = limits.map_or(1, |limits| limits.window);
            Ok(Announced { window, parts: has(PARTS), reuse: has(REUSE) })
        }
        Greeting::Hello { version, .. } => {
            Err(ConnectionError::NotAMessage(format!("version {version}, where {VERSION} was offered")))
        }
    }
}

/// What is due before the reply to the first request.
pub(crate) struct Opening {
    pub(crate) hello: Hello,
    pub(crate) way: Option<Way>,
}

/// What the server said when it let somebody in.
pub(crate) struct Welcome {
    pub(crate) announced: Announced,
    pub(crate) token: Option<Token>,
}

impl Opening {
    /// Waits until `who` is let in.
    pub(crate) async fn end(
        &mut self,
        connection: &mut Connection<Box<dyn Stream>>,
        who: &UserName,
    ) -> Result<Welcome, ClientError> {
        let announced = self.hello.hear(connection, self.way.as_ref()).await?;
        // Where hello had come already, the login still waits in the buffer.
        connection.flush().await?;
        let reply: Numbered<Reply> = connection.recv().await?.ok_or(ConnectionError::Closed)?;
        match reply.message {
            Reply::Welcome { user, token } if reply.id == LOGIN_ID && user == *who => {
                connection.admit();
                Ok(Welcome { announced, token })
            }
            Reply::Fault(fault) => {
                // The refusal is what matters; how the farewell goes does not.
                drop(connection.close().await);
                Err(fault.into())
            }
            other => Err(ClientError::Unexpected(excerpt(format!("as a welcome: {other:?}")))),
        }
    }
}

impl Client {
    /// With an opening that is not answered yet.
    pub(crate) fn opened_by(self, opening: Opening) -> Self {
        Self { opening: Some(opening), ..self }
    }

    /// Whether the server has let the user in: until then nothing of what was asked has been done.
    ///
    /// ```no_run
    /// # fn example(client: &netdisk_client::Client) {
    /// assert!(client.is_admitted());
    /// # }
    /// ```
    pub fn is_admitted(&self) -> bool {
        self.opening.is_none()
    }

    /// Waits until the server has let the user in, where a login went ahead. Not cancel safe.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), netdisk_client::ClientError> {
    /// client.admitted().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::NotLoggedIn`], those of [`crate::dial()`], a broken connection: it is then of no use any more.
    pub async fn admitted(&mut self) -> Result<(), ClientError> {
        self.end_opening().await.map_err(|error| match error {
            ClientError::Fault(fault) => ClientError::NotLoggedIn(fault),
            error => error,
        })
    }

    /// The same for a login that is waited for: a refusal is the fault that answers it.
    pub(crate) async fn end_opening(&mut self) -> Result<(), ClientError> {
        let Some(opening) = &mut self.opening else { return Ok(()) };
        if self.is_given_up {
            return Err(ConnectionError::Closed.into());
        }
        match opening.end(&mut self.connection, &self.user).await {
            Ok(welcome) => {
                if let (Some(way), Some(token)) = (opening.way.take(), &welcome.token) {
                    self.redial = Some(Redial::new(way, token.clone()));
                }
                (self.announced, self.token) = (welcome.announced, welcome.token);
                self.opening = None;
                Ok(())
            }
            Err(error) => {
                self.is_given_up = true;
                Err(error)
            }
        }
    }
}
