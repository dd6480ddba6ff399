//! netdisk by its client library, over a runtime that all sessions of a server share.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::Result;
use netdisk_client::{Client, Endpoint, Trust, dial};
use netdisk_model::{Password, RemotePath, Token, UserName};
use tokio::runtime::Runtime;

use super::Session;

/// How many sessions share an account: the server lets one user have some more.
const SESSIONS_PER_USER: usize = 50;

/// What opens sessions at one server.
pub(crate) struct NetdiskSessions {
    runtime: Rc<Runtime>,
    endpoint: Endpoint,
    trust: Trust,
    /// Accounts that were made for idle sessions, by number.
    accounts: RefCell<Vec<(UserName, Token)>>,
}

impl NetdiskSessions {
    pub(crate) fn new(endpoint: Endpoint, trust: Trust) -> Result<Self> {
        let runtime = Rc::new(tokio::runtime::Builder::new_current_thread().enable_all().build()?);
        Ok(Self { runtime, endpoint, trust, accounts: RefCell::default() })
    }

    /// A session of `user`.
    pub(crate) fn open_as(&self, user: &str, password: &str) -> Result<Box<dyn Session>> {
        let client = self.runtime.block_on(async {
            let door = dial(&self.endpoint, &self.trust).await?;
            anyhow::Ok(door.log_in(&user.parse()?, Password::new(password.to_owned()), false).await?)
        })?;
        Ok(self.session(client))
    }

    /// The session of that number, of an account that some share: the first of each makes it, the others come by token.
    pub(crate) fn open(&self, number: usize, password: &str) -> Result<Box<dyn Session>> {
        let known = self.accounts.borrow().get(number / SESSIONS_PER_USER).cloned();
        let client = self.runtime.block_on(async {
            let door = dial(&self.endpoint, &self.trust).await?;
            if let Some((user, token)) = known {
                return anyhow::Ok(door.log_in_by_token(&user, token).await?);
            }
            let user: UserName = format!("idle{number}").parse()?;
            let client = door.register(&user, Password::new(password.to_owned()), true).await?;
            self.accounts.borrow_mut().extend(client.token().cloned().map(|token| (user, token)));
            Ok(client)
        })?;
        Ok(self.session(client))
    }

    fn session(&self, client: Client) -> Box<dyn Session> {
        Box::new(NetdiskSession { client, runtime: Rc::clone(&self.runtime) })
    }
}

struct NetdiskSession {
    client: Client,
    runtime: Rc<Runtime>,
}

impl Session for NetdiskSession {
    fn list(&mut self, folder: &str) -> Result<String> {
        let path = RemotePath::root().join(folder)?;
        let listing = self.runtime.block_on(self.client.list(&path, false))?;
        let names = listing.entries.iter().map(|entry| entry.path.to_string());
        Ok(names.collect::<Vec<_>>().join("\n"))
    }
}
