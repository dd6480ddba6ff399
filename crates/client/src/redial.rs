//! Coming back to a server by a token: in place of a connection that broke, or beside the one at hand.

use netdisk_model::{Token, UserName};
use netdisk_protocol::ConnectionError;

use crate::client::Client;
use crate::dial::{Way, dial_observed};
use crate::error::ClientError;

/// What it takes to come back to a server.
#[derive(Clone)]
pub(crate) struct Redial {
    way: Way,
    token: Token,
}

impl Redial {
    pub(crate) fn new(way: Way, token: Token) -> Self {
        Self { way, token }
    }

    /// The same way with another token.
    pub(crate) fn with(self, token: Token) -> Self {
        Self { token, ..self }
    }

    /// Dials and logs in again; the same trust is asked for.
    pub(crate) async fn dial(&self, user: &UserName) -> Result<Client, ClientError> {
        let Way { endpoint, trust, observer } = &self.way;
        let door = dial_observed(endpoint, trust, observer.clone()).await.map_err(|error| match error {
            // It was one: what closes or answers in its place now is what stands before it while it is started again.
            ClientError::NotNetdisk { endpoint, reason } => ClientError::Unreachable { endpoint, reason },
            error => error,
        })?;
        door.log_in_by_token(user, self.token.clone()).await
    }
}

/// The way to another connection of the same user.
pub(crate) struct Another {
    redial: Option<Redial>,
    user: UserName,
}

impl Another {
    /// Dials and logs in, where a token is at hand.
    pub(crate) async fn dial(&self) -> Result<Client, ClientError> {
        match &self.redial {
            Some(redial) => redial.dial(&self.user).await,
            None => Err(ConnectionError::Closed.into()),
        }
    }
}

impl Client {
    /// What it takes to make another connection of the same user.
    pub(crate) fn another(&self) -> Another {
        Another { redial: self.redial.clone(), user: self.user.clone() }
    }

    /// Takes over what the server gave after a change of the password: the old token is worthless.
    pub(crate) fn renew(&mut self, token: Option<Token>) {
        self.redial = match (self.redial.take(), &token) {
            (Some(redial), Some(token)) => Some(redial.with(token.clone())),
            _ => None,
        };
        self.token = token;
    }

    /// Whether [`Client::reconnect`] can be tried: a token is at hand.
    pub(crate) fn can_reconnect(&self) -> bool {
        self.redial.is_some()
    }

    /// Dials and logs in again in place of a connection that broke.
    pub(crate) async fn reconnect(&mut self) -> Result<(), ClientError> {
        let Some(redial) = &self.redial else { return Err(ConnectionError::Closed.into()) };
        let Client { connection, opening, last_id, announced, .. } = redial.dial(&self.user).await?;
        self.connection = connection;
        self.opening = opening;
        self.last_id = last_id;
        self.announced = announced;
        self.is_given_up = false;
        Ok(())
    }
}
