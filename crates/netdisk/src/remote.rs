//! The connection that commands share: who, where, and dialling again when the server has gone.

use std::sync::Arc;

use netdisk_client::{Client, ClientError, Door, Endpoint, Retry, Trust, dial_observed};
use netdisk_model::{Password, RemotePath, Token, UserName};
use netdisk_protocol::{ConnectionError, FaultCode, WireObserver};
use tokio_util::sync::CancellationToken;

use crate::cli::ConnectArgs;
use crate::config::{Config, Login};
use crate::escape::escape;
use crate::failure::Failure;
use crate::output::Output;
use crate::paint::When;
use crate::passwords::{self, Purpose};
use crate::settings::{Defaults, JOBS_AT_ONCE};
use crate::waiting::Waiting;
use crate::{trace, trust};

/// A server, a user, a directory; the connection itself is made when it is needed.
pub(crate) struct Remote {
    args: ConnectArgs,
    memory: Memory,
    trust: Option<Trust>,
    login: Option<Login>,
    /// The token that the server refused last.
    refused: Option<Token>,
    client: Option<Client>,
    /// Begun at the first dial, and one for all of them.
    trace: Option<Arc<dyn WireObserver>>,
    /// Who is told of a wait, and who may end it.
    company: Company,
    /// Whether the server was there before: then it is worth a wait.
    was_there: bool,
    /// The directory that relative paths start from.
    pub(crate) directory: RemotePath,
}

/// Whom a command answers to while it waits for the server.
#[derive(Debug, Clone)]
struct Company {
    output: Output,
    cancel: CancellationToken,
}

/// Where logins and pins are kept.
#[derive(Clone)]
enum Memory {
    /// In the configuration folder.
    Kept(Config),
    /// Nowhere: the server is gone with this process.
    Forgotten,
}

impl Remote {
    /// The server and user of the command line.
    pub(crate) fn new(args: ConnectArgs, config: Config) -> Self {
        Self::with(args, Memory::Kept(config), None)
    }

    /// A server of this process, which need not be remembered.
    pub(crate) fn of_this_process(args: ConnectArgs, trust: Trust) -> Self {
        Self::with(args, Memory::Forgotten, Some(trust))
    }

    fn with(args: ConnectArgs, memory: Memory, trust: Option<Trust>) -> Self {
        // A command brings better company; until then nobody is told.
        let company = Company { output: Output::new(false, true, When::Never), cancel: CancellationToken::new() };
        let directory = RemotePath::root();
        let (login, refused, client, trace) = (None, None, None, None);
        Self { args, memory, trust, login, refused, client, trace, company, was_there: false, directory }
    }

    /// The same person at the same place, for a connection of its own.
    pub(crate) fn beside(&self) -> Self {
        Self {
            args: self.args.clone(),
            memory: self.memory.clone(),
            trust: self.trust,
            login: self.login.clone(),
            refused: self.refused.clone(),
            client: None,
            trace: self.trace.clone(),
            company: self.company.clone(),
            was_there: self.was_there,
            directory: self.directory.clone(),
        }
    }

    /// Waits of what follows are shown by `output` and ended by `cancel`.
    pub(crate) fn attend(&mut self, output: &Output, cancel: &CancellationToken) {
        self.company = Company { output: output.clone(), cancel: cancel.clone() };
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.args.server
    }

    /// What commands take where their own options say nothing.
    pub(crate) fn defaults(&self) -> Defaults {
        self.args.defaults
    }

    /// How many jobs run at once.
    pub(crate) fn jobs_at_once(&self) -> u8 {
        self.args.jobs.unwrap_or(JOBS_AT_ONCE)
    }

    /// Who is logged in, as far as is known without asking the server.
    pub(crate) fn user(&self) -> Option<&UserName> {
        self.client.as_ref().map(Client::user).or(self.login.as_ref().map(|login| &login.user))
    }

    /// Of whom a login is kept here; of nobody, where that cannot be read.
    pub(crate) fn kept_users(&self) -> Vec<String> {
        let Memory::Kept(config) = &self.memory else { return Vec::new() };
        let users = config.users(&self.login_key()).unwrap_or_default();
        users.into_iter().map(|user| user.to_string()).collect()
    }

    /// The path that a person typed, from the current directory.
    pub(crate) fn resolve(&self, typed: &str) -> Result<RemotePath, Failure> {
        self.directory.resolve(typed).map_err(|error| ClientError::BadPath { name: typed.to_owned(), error }.into())
    }

    /// A connection that is logged in: the one at hand, or a new one. A server that was there before is waited for.
    pub(crate) async fn client(&mut self) -> Result<&mut Client, Failure> {
        self.repeat(async |client| client.admitted().await).await?;
        self.client.as_mut().ok_or_else(|| ClientError::from(ConnectionError::Closed).into())
    }

    /// Asks what is safe to ask again: after a lost connection it is. On a new connection it goes out with the login.
    pub(crate) async fn repeat<T>(
        &mut self,
        mut request: impl AsyncFnMut(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, Failure> {
        let Company { output, cancel } = self.company.clone();
        let waiting = Waiting::new(&output);
        let mut retry = Retry::new(&waiting, &cancel);
        loop {
            let failure = match self.client_at_once().await {
                Err(failure) => failure,
                Ok(client) => {
                    let outcome = client.repeat(&waiting, &cancel, &mut request).await;
                    if client.is_admitted() {
                        self.was_there = true;
                        return Ok(outcome?);
                    }
                    self.client = None;
                    match outcome {
                        Ok(answer) => return Ok(answer),
                        Err(ClientError::NotLoggedIn(fault)) if fault.code == FaultCode::LoginRefused => {
                            // Revoked: the password may still be at hand.
                            self.refused = self.login.take().map(|login| login.token);
                            continue;
                        }
                        Err(error) => {
                            // A line that broke over the first request led to a server.
                            self.was_there |= matches!(error, ClientError::Connection(_));
                            error.into()
                        }
                    }
                }
            };
            match failure {
                Failure::Client(error) if self.was_there && retry.wait(&error).await => {}
                failure => return Err(failure),
            }
        }
    }

    /// The connection at hand, or a new one to which the server has not said yet whether it lets the user in.
    async fn client_at_once(&mut self) -> Result<&mut Client, Failure> {
        if self.client.as_mut().is_some_and(Client::is_closed) {
            self.client = None;
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => self.log_in_at_once().await?,
        };
        Ok(self.client.insert(client))
    }

    /// Takes the connection out, for somebody who keeps it.
    pub(crate) fn take_client(&mut self) -> Option<Client> {
        self.client.take()
    }

    /// Puts a connection back that was kept.
    pub(crate) fn put_client(&mut self, client: Option<Client>) {
        self.client = client;
    }

    /// Gives up a connection that is out of step.
    pub(crate) fn disconnect(&mut self) {
        self.client = None;
    }

    /// Ends the connection properly, if there is one.
    pub(crate) async fn close(&mut self) {
        if let Some(client) = self.client.take() {
            // All replies are in: how the server takes its leave changes nothing.
            drop(client.close().await);
        }
    }

    /// Makes an account and stays logged in.
    pub(crate) async fn register(
        &mut self,
        name: Option<UserName>,
        invitation: Option<Token>,
    ) -> Result<&UserName, Failure> {
        let user = self.who(name)?;
        let password = self.password(&user, Purpose::Register).await?;
        let door = self.dial().await?;
        let client = match invitation {
            Some(invitation) => door.register_invited(&user, password, invitation, true).await?,
            None => door.register(&user, password, true).await?,
        };
        self.logged_in(client).await
    }

    /// Makes an account with a password that nobody typed, and gives its connection.
    pub(crate) async fn register_as(&mut self, user: &UserName, password: Password) -> Result<&mut Client, Failure> {
        let client = self.dial().await?.register(user, password, false).await?;
        Ok(self.client.insert(client))
    }

    /// Logs in by password and stays so.
    pub(crate) async fn log_in(&mut self, name: Option<UserName>) -> Result<&UserName, Failure> {
        let user = self.who(name)?;
        let password = self.password(&user, Purpose::Login).await?;
        let client = self.dial().await?.log_in(&user, password, true).await?;
        self.logged_in(client).await
    }

    /// Makes the kept login worthless and forgets it; gives whose it was.
    pub(crate) async fn log_out(&mut self) -> Result<UserName, Failure> {
        let login = self.known_login()?.ok_or_else(|| self.login_needed())?;
        match self.dial().await?.log_in_at_once(&login.user, login.token.clone()).await?.log_out().await {
            // It was worthless already.
            Err(ClientError::NotLoggedIn(fault)) if fault.code == FaultCode::LoginRefused => {}
            revoked => revoked?,
        }
        self.client = None;
        self.login = None;
        self.was_there = false;
        self.directory = RemotePath::root();
        if let Memory::Kept(config) = &self.memory {
            config.forget_login(&self.login_key(), &login.user).map_err(Failure::Unexpected)?;
        }
        Ok(login.user)
    }

    /// Asks for the old password and a new one, and changes it.
    pub(crate) async fn change_password(&mut self) -> Result<&UserName, Failure> {
        let user = self.client().await?.user().clone();
        let old = self.password(&user, Purpose::Login).await?;
        let new = match passwords::given_new() {
            Some(new) => new,
            None => passwords::ask(&format!("{user}@{}", self.args.server), Purpose::Change)?,
        };
        let keep = self.known_login()?.is_some();
        let client = self.client().await?;
        client.change_password(old, new, keep).await?;
        let token = client.token().cloned();
        if let Some(token) = token {
            let login = Login { user: user.clone(), token };
            if let Memory::Kept(config) = &self.memory {
                config.set_login(&self.login_key(), login.clone()).map_err(Failure::Unexpected)?;
            }
            self.login = Some(login);
        }
        Ok(self.client().await?.user())
    }

    /// Logs in with what is at hand. By a token, the login goes out with the first request.
    async fn log_in_at_once(&mut self) -> Result<Client, Failure> {
        if let Some(login) = self.known_login()?.filter(|login| self.refused.as_ref() != Some(&login.token)) {
            let client = self.dial().await?.log_in_at_once(&login.user, login.token.clone()).await?;
            self.login = Some(login);
            return Ok(client);
        }
        let given = passwords::given(self.args.password_file.as_deref())?;
        let (Some(user), Some(password)) = (self.args.user.clone(), given) else {
            // A server that is not there, or not the right one, is the more urgent news.
            drop(self.dial().await?.greeted().await?);
            return Err(self.login_needed());
        };
        Ok(self.dial().await?.log_in(&user, password, false).await?)
    }

    fn login_needed(&self) -> Failure {
        let whom = self.args.user.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
        Failure::LoginNeeded(format!(
            "not logged in to {}{whom}: `login NAME`, or `register NAME` for a new account",
            self.args.server
        ))
    }

    /// The login of this process, or the one that was kept.
    fn known_login(&self) -> Result<Option<Login>, Failure> {
        match (&self.login, &self.memory) {
            (Some(login), _) => Ok(Some(login.clone())),
            (None, Memory::Forgotten) => Ok(None),
            (None, Memory::Kept(config)) => {
                config.login(&self.login_key(), self.args.user.as_ref()).map_err(Failure::Unexpected)
            }
        }
    }

    async fn dial(&mut self) -> Result<Door, Failure> {
        let trust = match (self.trust, &self.memory) {
            (Some(trust), _) => trust,
            (None, Memory::Kept(config)) => trust::decide(&self.args, config).await?,
            (None, Memory::Forgotten) => return Err(Failure::unexpected(anyhow::anyhow!("no trust was given"))),
        };
        if let (None, Some(file)) = (&self.trace, &self.args.trace) {
            self.trace = Some(trace::start(file)?);
        }
        let dialled = dial_observed(&self.args.server, &trust, self.trace.clone()).await;
        let mut door = match (dialled, &self.memory) {
            (Err(error), Memory::Kept(_)) => return Err(trust::explain(error, &self.args)),
            (door, _) => door?,
        };
        if let Memory::Kept(config) = &self.memory
            && let Some(pin) = trust::not_remembered(&self.args, config, &trust)?
        {
            // Not before it has said that it is a netdisk server.
            door = door.greeted().await?;
            trust::remember(&self.args, config, pin)?;
        }
        self.trust = Some(trust);
        Ok(door)
    }

    fn who(&self, name: Option<UserName>) -> Result<UserName, Failure> {
        name.or_else(|| self.args.user.clone())
            .ok_or_else(|| Failure::usage("whose account? `register NAME`, `login NAME`"))
    }

    /// A server that cannot be reached or trusted is said before anybody types a password, and none has to wait for it.
    async fn password(&mut self, user: &UserName, purpose: Purpose) -> Result<Password, Failure> {
        if let Some(password) = passwords::given(self.args.password_file.as_deref())? {
            return Ok(password);
        }
        drop(self.dial().await?.greeted().await?);
        passwords::ask(&format!("{user}@{}", self.args.server), purpose)
    }

    async fn logged_in(&mut self, client: Client) -> Result<&UserName, Failure> {
        let token: Option<Token> = client.token().cloned();
        self.directory = RemotePath::root();
        if let Some(token) = token {
            let login = Login { user: client.user().clone(), token };
            if let Memory::Kept(config) = &self.memory
                && let Some(old) = config.set_login(&self.login_key(), login.clone()).map_err(Failure::Unexpected)?
            {
                self.revoke(old).await;
            }
            self.login = Some(login);
        }
        Ok(self.client.insert(client).user())
    }

    /// Makes a token worthless that a new login replaces. Whether it works or not, the new login holds.
    async fn revoke(&mut self, old: Login) {
        let revoked = async {
            let client = self.dial().await?.log_in_at_once(&old.user, old.token).await?;
            Ok::<_, Failure>(client.log_out().await?)
        };
        match revoked.await {
            Ok(()) => {}
            // It was worthless already.
            Err(Failure::Client(ClientError::NotLoggedIn(fault))) if fault.code == FaultCode::LoginRefused => {}
            Err(failure) => {
                eprintln!("netdisk: the token of the last login stays valid: {}", escape(&failure.to_string()))
            }
        }
    }

    /// Under which name logins are kept. A token that was given over TLS is never sent in plaintext.
    fn login_key(&self) -> String {
        let transport = if self.args.plaintext { "plaintext " } else { "" };
        format!("{transport}{}", self.args.server)
    }
}
