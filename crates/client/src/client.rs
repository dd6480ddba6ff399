//! A logged-in connection: one method for each request.

use std::ops::ControlFlow;

use netdisk_model::{Entry, RemotePath, Token, Usage, UserName};
use netdisk_protocol::{Connection, ConnectionError, Fault, Incoming, Numbered, Outgoing, Reply, Request};

use crate::caps::{ListingTally, excerpt};
use crate::dial::Stream;
use crate::error::ClientError;
use crate::opening::{Announced, Opening};
use crate::redial::Redial;
use crate::reuse::Reuse;

/// A user's connection to their home. Requests go one after the other; a fault leaves it usable, an error of which
/// [`ClientError::ends_connection`] says so does not.
///
/// ```no_run
/// # async fn example(door: netdisk_client::Door) -> Result<(), Box<dyn std::error::Error>> {
/// let password = netdisk_model::Password::new("correct horse");
/// let mut client = door.log_in(&"alice".parse()?, password, false).await?;
/// client.make_directory(&"/docs".parse()?, true).await?;
/// client.close().await?;
/// # Ok(())
/// # }
/// ```
#[expect(missing_debug_implementations, reason = "the stream behind it has nothing to show")]
pub struct Client {
    pub(crate) connection: Connection<Box<dyn Stream>>,
    /// What is due before the reply to the first request; `None` once the user is let in.
    pub(crate) opening: Option<Opening>,
    pub(crate) user: UserName,
    pub(crate) token: Option<Token>,
    pub(crate) redial: Option<Redial>,
    pub(crate) last_id: u64,
    /// What the server announced.
    pub(crate) announced: Announced,
    /// How many connections one large file may use, where somebody has said so.
    pub(crate) connections: Option<usize>,
    /// Whether the server answered its dial at once.
    pub(crate) is_near: bool,
    /// It was left in the middle of something.
    pub(crate) is_given_up: bool,
    /// Whether content that the server has is sent nevertheless.
    pub(crate) reuse: Reuse,
}

/// A client taken apart, for whoever sends and receives at once.
pub(crate) struct Halves<'a> {
    pub(crate) incoming: &'a mut Incoming<Box<dyn Stream>>,
    pub(crate) outgoing: &'a mut Outgoing<Box<dyn Stream>>,
    pub(crate) last_id: &'a mut u64,
    /// Requests that may be under way at once.
    pub(crate) window: usize,
}

/// What is in a directory.
///
/// ```
/// let nothing = netdisk_client::Listing { entries: Vec::new(), skipped: 0 };
/// assert!(nothing.entries.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The entries, in no promised order.
    pub entries: Vec<Entry>,
    /// How many things the server could not name.
    pub skipped: u64,
}

impl Client {
    pub(crate) fn new(
        connection: Connection<Box<dyn Stream>>,
        user: UserName,
        token: Option<Token>,
        redial: Option<Redial>,
        last_id: u64,
    ) -> Self {
        let announced = Announced::default();
        let (opening, connections) = (None, None);
        let reuse = Reuse::default();
        Self {
            connection,
            opening,
            user,
            token,
            redial,
            last_id,
            announced,
            connections,
            is_near: false,
            is_given_up: false,
            reuse,
        }
    }

    /// What it takes to send and to receive at once, once the user is let in.
    pub(crate) async fn halves(&mut self) -> Result<Halves<'_>, ClientError> {
        self.admitted().await?;
        let (incoming, outgoing) = self.connection.halves();
        Ok(Halves { incoming, outgoing, last_id: &mut self.last_id, window: self.announced.window })
    }

    /// Who is logged in.
    ///
    /// ```no_run
    /// # fn example(client: &netdisk_client::Client) {
    /// println!("this is {}'s home", client.user());
    /// # }
    /// ```
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// The token that was asked for at login.
    ///
    /// ```no_run
    /// # fn example(client: &netdisk_client::Client) {
    /// let for_next_time = client.token().cloned();
    /// # }
    /// ```
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Tells, without waiting, whether the server has closed the connection meanwhile.
    ///
    /// ```no_run
    /// # fn example(client: &mut netdisk_client::Client) {
    /// if client.is_closed() {
    ///     println!("time to dial again");
    /// }
    /// # }
    /// ```
    pub fn is_closed(&mut self) -> bool {
        // What answers an opening is no sign of an end.
        self.is_given_up || self.opening.is_none() && self.connection.is_closed()
    }

    /// The connection was left in the middle of something, and is of no use any more.
    pub(crate) fn give_up(&mut self) {
        self.is_given_up = true;
    }

    /// Asks the server who is logged in. Not cancel safe, like all requests.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), netdisk_client::ClientError> {
    /// assert_eq!(client.whoami().await?, *client.user());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A broken connection.
    pub async fn whoami(&mut self) -> Result<UserName, ClientError> {
        match self.ask(Request::Whoami).await? {
            Reply::Account { user } => Ok(user),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes the token of this login worthless and ends the connection.
    ///
    /// ```no_run
    /// # async fn example(client: netdisk_client::Client) -> Result<(), netdisk_client::ClientError> {
    /// client.log_out().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// A broken connection.
    pub async fn log_out(mut self) -> Result<(), ClientError> {
        self.ask_done(Request::Logout).await?;
        self.close().await
    }

    /// Ends the connection properly.
    ///
    /// ```no_run
    /// # async fn example(client: netdisk_client::Client) -> Result<(), netdisk_client::ClientError> {
    /// client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// A broken connection.
    pub async fn close(mut self) -> Result<(), ClientError> {
        match self.opening {
            // Nobody is in: there is nothing to end.
            Some(_) => Ok(()),
            None => Ok(self.connection.close().await?),
        }
    }

    /// Lists a directory, one level or the whole tree below it, and makes sure that nothing of it is missing.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let tree = client.list(&"/photos".parse()?, true).await?;
    /// println!("{} entries", tree.entries.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The faults `not_found` and `not_a_directory`; a broken connection.
    pub async fn list(&mut self, path: &RemotePath, recursive: bool) -> Result<Listing, ClientError> {
        let mut listed = Vec::new();
        let mut tally = ListingTally::default();
        let skipped = self
            .walk(path, recursive, |entries| {
                tally.take(&entries)?;
                listed.extend(entries);
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        Ok(Listing { entries: listed, skipped })
    }

    /// Says what stands at a path.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// println!("{} bytes", client.stat(&"/a.txt".parse()?).await?.size);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The fault `not_found`; a broken connection.
    pub async fn stat(&mut self, path: &RemotePath) -> Result<Entry, ClientError> {
        match self.ask(Request::Stat { path: path.clone().into() }).await? {
            Reply::Entry { entry } if entry.path == *path => Ok(entry),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes a directory; with `parents` missing parents too, and one that exists is no fault.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.make_directory(&"/photos/2026".parse()?, true).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The faults `exists`, `not_found`, `not_a_directory`; a broken connection.
    pub async fn make_directory(&mut self, path: &RemotePath, parents: bool) -> Result<(), ClientError> {
        self.ask_done(Request::Mkdir { path: path.clone().into(), parents }).await
    }

    /// Removes a file or an empty directory; with `recursive` a directory with all that is in it.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.remove(&"/a.txt".parse()?, false).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The faults `not_found` and `not_empty`; a broken connection.
    pub async fn remove(&mut self, path: &RemotePath, recursive: bool) -> Result<(), ClientError> {
        self.ask_done(Request::Remove { path: path.clone().into(), recursive }).await
    }

    /// Gives a file or directory another path; with `replace` in place of a file that stands there.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.rename(&"/a.txt".parse()?, &"/b.txt".parse()?, false).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The faults `not_found` and `exists`; a broken connection.
    pub async fn rename(&mut self, from: &RemotePath, to: &RemotePath, replace: bool) -> Result<(), ClientError> {
        self.ask_done(Request::Rename { from: from.clone().into(), to: to.clone().into(), replace }).await
    }

    /// Copies a file, with `replace` in place of a file that stands there, or a directory with all that is in it. Nothing
    /// travels.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.copy(&"/photos".parse()?, &"/photos 2".parse()?, false).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The faults `not_found`, `exists`, `quota_exceeded`, `full` and `corrupt`; a broken connection.
    pub async fn copy(&mut self, from: &RemotePath, to: &RemotePath, replace: bool) -> Result<(), ClientError> {
        self.ask_done(Request::Copy { from: from.clone().into(), to: to.clone().into(), replace }).await
    }

    /// Asks how much of the store the account uses, and how much it may.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), netdisk_client::ClientError> {
    /// println!("{} bytes in {} files", client.quota().await?.bytes, client.quota().await?.files);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A broken connection.
    pub async fn quota(&mut self) -> Result<Usage, ClientError> {
        match self.ask(Request::Quota).await? {
            Reply::Quota(usage) => Ok(usage),
            other => Err(unexpected(&other)),
        }
    }

    /// The stream of frames behind it.
    pub(crate) fn connection(&mut self) -> &mut Connection<Box<dyn Stream>> {
        &mut self.connection
    }

    async fn ask_done(&mut self, request: Request) -> Result<(), ClientError> {
        match self.ask(request).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn ask(&mut self, request: Request) -> Result<Reply, ClientError> {
        let id = self.send(request).await?;
        self.recv(id).await
    }

    pub(crate) async fn send(&mut self, request: Request) -> Result<u64, ClientError> {
        self.last_id += 1;
        let request = Numbered::new(self.last_id, request);
        match self.connection.feed_message(&request).await {
            // Too long for a stranger: it waits for the welcome.
            Err(ConnectionError::FrameTooLarge { .. }) if !self.is_admitted() => {
                self.admitted().await?;
                self.connection.send(&request).await?;
            }
            fed => {
                fed?;
                self.flush().await?;
            }
        }
        Ok(self.last_id)
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        let flushed = self.connection.flush().await;
        if flushed.is_err() {
            // A server that stopped listening may have said why.
            self.admitted().await?;
        }
        Ok(flushed?)
    }

    /// The next reply to request `id`; a fault is an error.
    pub(crate) async fn recv(&mut self, id: u64) -> Result<Reply, ClientError> {
        self.admitted().await?;
        let reply = self.connection.recv_reply().await?.ok_or(ConnectionError::Closed)?;
        match reply.message {
            // Made anew, so that its text is cut to the limit.
            Reply::Fault(fault) if reply.id == id => Err(Fault::new(fault.code, fault.message).into()),
            Reply::Fault(fault) if reply.id == 0 => Err(ConnectionError::Refused(fault).into()),
            message if reply.id == id => Ok(message),
            _ => Err(ClientError::Unexpected(format!("a reply to request {} instead of {id}", reply.id))),
        }
    }
}

/// The reply to request `id` that a message is.
pub(crate) fn reply_to(id: u64, payload: &[u8]) -> Result<Reply, ClientError> {
    match serde_json::from_slice::<Numbered<Reply>>(payload) {
        // Faults are made anew, so that their text is cut to the limit.
        Ok(Numbered { id: 0, message: Reply::Fault(fault) }) => {
            Err(ConnectionError::Refused(Fault::new(fault.code, fault.message)).into())
        }
        Ok(Numbered { id: of, message: Reply::Fault(fault) }) if of == id => {
            Ok(Reply::Fault(Fault::new(fault.code, fault.message)))
        }
        Ok(reply) if reply.id == id => Ok(reply.message),
        Ok(reply) => Err(ClientError::Unexpected(format!("a reply to request {} instead of {id}", reply.id))),
        Err(error) => Err(ConnectionError::not_a_message(error.to_string()).into()),
    }
}

pub(crate) fn unexpected(reply: &Reply) -> ClientError {
    ClientError::Unexpected(excerpt(format!("{reply:?}")))
}
