//! What users do about their own passwords and kept logins.

use netdisk_model::{KeptLogin, Password};
use netdisk_protocol::{Reply, Request};

use crate::client::{Client, unexpected};
use crate::error::ClientError;

/// Most logins that a server may list: each is a token that somebody asked for.
const KEPT_LOGINS_MAX: usize = 10_000;

impl Client {
    /// Sets another password; all tokens become worthless. With `keep` there is a new one, [`Client::token`].
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), netdisk_client::ClientError> {
    /// use netdisk_model::Password;
    /// client.change_password(Password::new("correct horse"), Password::new("battery staple"), true).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// The faults `login_refused`, `bad_password` and `busy`; a broken connection.
    pub async fn change_password(&mut self, old: Password, new: Password, keep: bool) -> Result<(), ClientError> {
        match self.ask(Request::Passwd { old, new, keep }).await? {
            Reply::Welcome { user, token } if user == *self.user() => {
                self.renew(token);
                Ok(())
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Lists the logins that are kept, and which of them is this one.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), netdisk_client::ClientError> {
    /// let (kept, current) = client.kept_logins().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A broken connection.
    pub async fn kept_logins(&mut self) -> Result<(Vec<KeptLogin>, Option<String>), ClientError> {
        match self.ask(Request::Sessions).await? {
            Reply::Sessions { sessions, current } if sessions.len() <= KEPT_LOGINS_MAX => Ok((sessions, current)),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes the token of a kept login worthless.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), netdisk_client::ClientError> {
    /// client.revoke("b0ec3f1a2c77").await
    /// # }
    /// ```
    ///
    /// # Errors
    /// The fault `not_found`; a broken connection.
    pub async fn revoke(&mut self, session: &str) -> Result<(), ClientError> {
        match self.ask(Request::Revoke { session: session.to_owned() }).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}
