//! Registering and logging in.

use std::time::Duration;

use netdisk_model::{Password, Token, UserName};
use netdisk_protocol::{Admission, Connection, Numbered, Proof};

use crate::client::Client;
use crate::dial::{Stream, Way};
use crate::error::ClientError;
use crate::opening::{Hello, LOGIN_ID, Opening};
use crate::redial::Redial;

/// A server that is connected to within this time, the handshake of TLS with it, is near: a round trip is at most half of it,
/// and the 4 MiB that one stream may have on its way there are more than any line carries in it.
const NEAR: Duration = Duration::from_millis(15);

/// A server that waits for somebody to register or log in. It has said hello, or is about to.
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
    hello: Hello,
    /// How to come here again.
    way: Option<Way>,
    /// Whether the server answered at once.
    is_near: bool,
}

impl Door {
    pub(crate) fn new(connection: Connection<Box<dyn Stream>>, hello: Hello, way: Option<Way>) -> Self {
        Self { connection, hello, way, is_near: false }
    }

    /// Of a server that took so long to be connected to.
    pub(crate) fn after(self, took: Duration) -> Self {
        Self { is_near: took < NEAR, ..self }
    }

    /// Waits until the server has said hello: whoever asks a person for a password first knows that it is there, speaks
    /// this protocol and has room.
    ///
    /// ```no_run
    /// # async fn example(door: netdisk_client::Door) -> Result<netdisk_client::Door, netdisk_client::ClientError> {
    /// door.greeted().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::NotNetdisk`], [`ClientError::Unreachable`] when no hello comes in time; the server's fault.
    pub async fn greeted(mut self) -> Result<Self, ClientError> {
        self.hello.hear(&mut self.connection, self.way.as_ref()).await?;
        Ok(self)
    }

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
        self.enter(user, Admission::Register { user: user.clone().into(), password, invitation: None, keep }).await
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
        self.enter(user, Admission::Register { user: user_claim, password, invitation: Some(invitation), keep }).await
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
        self.enter(user, Admission::Login { user: user.clone().into(), proof: Proof::Password(password), keep }).await
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
        let mut client = self.log_in_at_once(user, token).await?;
        client.end_opening().await?;
        Ok(client)
    }

    /// Logs in by a token from an earlier login, and does not wait for what comes of it: the login goes out with the first
    /// request, and its outcome is known with the reply. [`ClientError::NotLoggedIn`] of a request means that it was
    /// refused, and nothing was done. Whether a request may go ahead of the welcome is the caller's choice: a line that breaks
    /// then leaves open whether it was done. [`Client::admitted`] waits first.
    ///
    /// ```no_run
    /// # async fn example(door: netdisk_client::Door, token: netdisk_model::Token)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// let mut client = door.log_in_at_once(&"alice".parse()?, token).await?;
    /// let listing = client.list(&netdisk_model::RemotePath::root(), false).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// None that depends on the server: nothing is sent yet.
    pub async fn log_in_at_once(self, user: &UserName, token: Token) -> Result<Client, ClientError> {
        let proof = Proof::Token(token.clone());
        self.say(user, Admission::Login { user: user.clone().into(), proof, keep: false }, Some(token)).await
    }

    async fn enter(self, who: &UserName, admission: Admission) -> Result<Client, ClientError> {
        let mut client = self.say(who, admission, None).await?;
        client.end_opening().await?;
        Ok(client)
    }

    /// Puts what somebody says to be let in behind our hello; the answer is still due.
    async fn say(mut self, who: &UserName, admission: Admission, used: Option<Token>) -> Result<Client, ClientError> {
        self.connection.feed_message(&Numbered::new(LOGIN_ID, admission)).await?;
        let redial = self.way.clone().zip(used).map(|(way, token)| Redial::new(way, token));
        let opening = Opening { hello: self.hello, way: self.way };
        let client = Client::new(self.connection, who.clone(), None, redial, LOGIN_ID);
        Ok(Client { is_near: self.is_near, ..client.opened_by(opening) })
    }
}
