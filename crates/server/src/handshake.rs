//! From a stranger to a session: greeting, then register or log in.
//!
//! ```text
//!   Connection ──hello──▶ greeted ──register | login──▶ Session
//!                            └── at most LOGIN_TRIES_MAX refusals, then closed
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use netdisk_model::{Password, Token, UserName};
use netdisk_protocol::{
    Admission, AnnouncedLimits, Claim, Connection, ConnectionError, Fault, FaultCode, Greeting, Numbered, PARTS, Proof,
    REUSE, Reply, VERSION,
};
use netdisk_storage::{Account, AccountsError};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::gate::{Network, UsersPlace};
use crate::limits::{HELLO_TIMEOUT, LOGIN_TIMEOUT, LOGIN_TRIES_MAX};
use crate::listener::{Registration, Server};
use crate::refusal;
use crate::session::Session;

/// Turns an anonymous stream into a session and its user's place; `None` when the stranger left without one.
pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Send>(
    server: &Server,
    connection: &mut Connection<S>,
    peer: SocketAddr,
) -> Result<Option<(Session, UsersPlace)>, ConnectionError> {
    connection.set_deadline(HELLO_TIMEOUT);
    if !greet(server, connection).await? {
        return Ok(None);
    }
    connection.set_deadline(LOGIN_TIMEOUT);
    for _ in 0..LOGIN_TRIES_MAX {
        let request = recv_within::<Numbered<Admission>, _>(server, connection, LOGIN_TIMEOUT).await?;
        let Some((id, message)) = request.map(Numbered::of_request).transpose()? else { return Ok(None) };
        let (how, claimed) = describe(&message);
        match connection.keep_alive(admit(server, message, Network::of(peer.ip()))).await? {
            Ok((account, token, place)) => {
                tracing::info!(%peer, user = %account.user, how, "logged in");
                let welcome = Reply::Welcome { user: account.user.clone(), token: token.issued.clone() };
                connection.send(&Numbered::new(id, welcome)).await?;
                connection.admit();
                return Ok(Some((Session::new(account, token.known(), peer), place)));
            }
            Err(fault) => {
                tracing::info!(%peer, user = claimed, how, code = %fault.code, "not logged in");
                connection.send(&Numbered::new(id, Reply::Fault(fault))).await?;
            }
        }
    }
    Ok(None)
}

/// Waits for a stranger's next message, heartbeats or not: a sign of life is no reason to be let in.
async fn recv_within<T: DeserializeOwned, S: AsyncRead + AsyncWrite>(
    server: &Server,
    connection: &mut Connection<S>,
    deadline: Duration,
) -> Result<Option<T>, ConnectionError> {
    timeout(deadline, server.recv(connection)).await.map_err(|_| ConnectionError::TimedOut(deadline))?
}

/// Exchanges hellos; false when there is no common version, of which the client has been told.
async fn greet<S: AsyncRead + AsyncWrite>(
    server: &Server,
    connection: &mut Connection<S>,
) -> Result<bool, ConnectionError> {
    let Some(Greeting::Hello { version, .. }) = recv_within(server, connection, HELLO_TIMEOUT).await? else {
        return Ok(false);
    };
    if version < VERSION {
        let fault = Fault::new(FaultCode::UnsupportedVersion, format!("this server speaks version {VERSION}"));
        connection.send(&Numbered::new(0, Reply::Fault(fault))).await?;
        return Ok(false);
    }
    let hello = Greeting::Hello {
        version: VERSION,
        software: concat!("netdisk/", env!("CARGO_PKG_VERSION")).to_owned(),
        limits: Some(AnnouncedLimits::OURS),
        features: vec![PARTS.to_owned(), REUSE.to_owned()],
    };
    connection.send(&hello).await?;
    Ok(true)
}

/// The token of a session: given now, or used to come in.
#[derive(Default)]
struct SessionToken {
    issued: Option<Token>,
    used: Option<Token>,
}

impl SessionToken {
    /// What `logout` revokes.
    fn known(self) -> Vec<Token> {
        self.issued.into_iter().chain(self.used).collect()
    }
}

/// How somebody wants to come in, and as whom. What is no user name is not quoted: it may be a misplaced password.
fn describe(admission: &Admission) -> (&'static str, Option<String>) {
    let (how, user) = match admission {
        Admission::Register { user, .. } => ("register", user),
        Admission::Login { user, proof: Proof::Password(_), .. } => ("password", user),
        Admission::Login { user, proof: Proof::Token(_), .. } => ("token", user),
    };
    (how, user.clone().check().ok().map(|user| user.to_string()))
}

async fn admit(
    server: &Server,
    admission: Admission,
    network: Network,
) -> Result<(Account, SessionToken, UsersPlace), Fault> {
    let (account, keep, used) = match admission {
        Admission::Register { user, password, invitation, keep } => {
            (register(server, network, user, password, invitation).await?, keep, None)
        }
        Admission::Login { user, proof: Proof::Password(password), keep } => {
            (log_in(server, network, known_user(user)?, password).await?, keep, None)
        }
        Admission::Login { user, proof: Proof::Token(token), keep } => {
            (log_in_by_token(server, network, &known_user(user)?, &token).await?, keep, Some(token))
        }
    };
    // Before a token is made that nobody would get.
    let place = server.gate.admit_user(&account.user).ok_or_else(too_many_connections)?;
    let issued = if keep { Some(server.accounts.issue_token(&account.user).await.map_err(refused)?) } else { None };
    Ok((account, SessionToken { issued, used }, place))
}

async fn register(
    server: &Server,
    network: Network,
    user: Claim<UserName>,
    password: Password,
    invitation: Option<Token>,
) -> Result<Account, Fault> {
    if server.registration == Registration::Closed {
        let code = FaultCode::RegistrationClosed;
        return Err(Fault::new(code, code.meaning()));
    }
    let user = user.check().map_err(refusal::of_user_name)?;
    // A refusal tells that a name is taken, or a code good: asking for many of them is a guess, too.
    let attempt = server.limiter.begin_other(network).map_err(wait)?;
    let place = server.gate.admit_login(network, false).ok_or_else(too_many_logins)?;
    let registered = match (server.registration, invitation) {
        (Registration::Open, _) => server.accounts.register(&user, password).await,
        (_, Some(invitation)) => server.accounts.register_invited(&user, password, &invitation).await,
        (_, None) => Err(AccountsError::NotInvited),
    };
    drop(place);
    if registered.is_ok() {
        server.limiter.know(network, &user);
    }
    if !matches!(registered, Err(AccountsError::NameTaken | AccountsError::NotInvited)) {
        attempt.succeeded();
    }
    registered.map_err(refused)
}

/// Checks a password: the limiter has the first word.
pub(crate) async fn log_in(
    server: &Server,
    network: Network,
    user: UserName,
    password: Password,
) -> Result<Account, Fault> {
    let attempt = server.limiter.begin_password(network, &user).map_err(wait)?;
    let place = server.gate.admit_login(network, attempt.is_known()).ok_or_else(too_many_logins)?;
    let logged_in = server.accounts.log_in(&user, password).await;
    drop(place);
    if logged_in.is_ok() {
        attempt.succeeded();
    }
    logged_in.map_err(refused)
}

async fn log_in_by_token(server: &Server, network: Network, user: &UserName, token: &Token) -> Result<Account, Fault> {
    let attempt = server.limiter.begin_other(network).map_err(wait)?;
    let account = server.accounts.log_in_by_token(user, token).await.map_err(refused)?;
    server.limiter.know(network, user);
    attempt.succeeded();
    Ok(account)
}

pub(crate) fn refused(error: AccountsError) -> Fault {
    refusal::of_accounts(&error)
}

fn wait(left: Duration) -> Fault {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    Fault::new(FaultCode::Busy, format!("too many logins were refused lately; try again in {seconds} seconds"))
}

fn too_many_logins() -> Fault {
    Fault::new(FaultCode::Busy, "too many are logging in at this moment; try again in some seconds")
}

fn too_many_connections() -> Fault {
    Fault::new(FaultCode::Busy, "this account has as many connections as one may have")
}

/// A name that no account can have is refused like one that no account has.
fn known_user(user: Claim<UserName>) -> Result<UserName, Fault> {
    user.check().map_err(|_| refusal::of_accounts(&AccountsError::Refused))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use netdisk_storage::MemoryStore;
    use tokio::io::duplex;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// Time is paused: the clock jumps from wait to wait.
    #[tokio::test(start_paused = true)]
    async fn signs_of_life_do_not_hold_a_strangers_place() {
        let server = Server::new(Arc::new(MemoryStore::new()), None, Registration::Open);
        let (near, far) = duplex(1024);
        let mut stranger = Connection::new(near, Duration::from_secs(60));
        let mut connection = Connection::new(far, HELLO_TIMEOUT);
        let peer = "127.0.0.1:1".parse().expect("an address");
        let began = Instant::now();
        let heartbeats = async {
            for _ in 0..100 {
                stranger.send_heartbeat().await.expect("the pipe is open");
                sleep(Duration::from_secs(4)).await;
            }
        };
        let outcome = tokio::select! {
            outcome = handshake(&server, &mut connection, peer) => outcome,
            () = heartbeats => panic!("not given up after 400 seconds"),
        };
        assert!(matches!(outcome, Err(ConnectionError::TimedOut(after)) if after == HELLO_TIMEOUT));
        assert_eq!(began.elapsed(), HELLO_TIMEOUT);
    }
}
