//! Many files at once: trees and lists of files, up and down.
//!
//! ```text
//!   walk, listing ──▶ Queue ──▶ worker, one for each connection
//!                      ▲   │     prepare ──▶ send ───▶ wire        local files are read before they are sent,
//!                      │   │                  │                    in batches, behind one door
//!                      │   └── Taken          ▼ Pending            in the order of their requests
//!                      └───── given back ◀── recv ◀─── wire
//!                                             └──▶ Report          done, left out or failed: each once
//! ```
//!
//! Requests go out before the last is answered, as many as fit the [`window`]; nothing waits for a round trip but the
//! first byte of a large file. Sender and receiver are apart, and nothing selects over a send. Stops are designed first:
//! - cut: everything under way is dropped, and dropped jobs go back to the [`queue`]; after a new connection only what was
//!   not acknowledged goes again;
//! - cancel: nothing more is taken, a large body is aborted, what is under way is still answered;
//! - failure of one file: it is said, and the others go on.

mod existing;
mod get;
mod pool;
mod put;
mod queue;
mod report;
mod shared;
mod walk;
mod window;
mod worker;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use self::existing::{Ask, Existing, numbered};
pub use self::get::GetRoot;
pub(crate) use self::pool::CONNECTIONS_MAX;
pub use self::put::PutRoot;
pub use self::report::{End, Item, LeftOut, Summary, TransfersObserver};
use self::shared::Shared;
pub(crate) use self::shared::cancelled_fault;
pub use self::walk::Filter;
pub(crate) use self::worker::both;
use crate::client::Client;
use crate::destination::Destination;
use crate::error::ClientError;
use crate::observer::Unobserved;

/// Connections of a transfer where nobody says how many: one for a large file, and others that small ones go by meanwhile,
/// or that take parts of it.
pub const CONNECTIONS: usize = 4;

/// Transfers of many files over a connection: how, and with whom watching.
///
/// ```no_run
/// use netdisk_client::{PutRoot, Transfers};
///
/// # async fn example(client: &mut netdisk_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let root = PutRoot { local: "photos".into(), remote: "/photos".parse()? };
/// let summary = Transfers::new(client).put(vec![root]).await?;
/// println!("{} files, {} failed", summary.files, summary.failed);
/// # Ok(())
/// # }
/// ```
#[expect(missing_debug_implementations, reason = "the client and whoever watches have nothing to show")]
pub struct Transfers<'a> {
    client: &'a mut Client,
    connections: Option<usize>,
    existing: Existing,
    filter: Option<Box<dyn Filter>>,
    observer: Arc<dyn TransfersObserver>,
    cancel: CancellationToken,
}

impl<'a> Transfers<'a> {
    /// With nobody watching, and what stands there is replaced.
    ///
    /// ```no_run
    /// # fn example(client: &mut netdisk_client::Client) {
    /// let transfers = netdisk_client::Transfers::new(client);
    /// # }
    /// ```
    pub fn new(client: &'a mut Client) -> Self {
        let cancel = CancellationToken::new();
        let (existing, observer) = (Existing::Replace, Arc::new(Unobserved));
        Self { client, connections: None, existing, filter: None, observer, cancel }
    }

    /// How many connections it may use at once: the client's own, and others that log in by its token while there is work
    /// for them. Without a token, or where the server refuses more, it goes on with those there are. Where this is not
    /// called, they are [`CONNECTIONS`] for files, and for the parts of a large one as [`Client::use_connections`] has it.
    ///
    /// ```no_run
    /// # fn example(transfers: netdisk_client::Transfers<'_>) {
    /// let alone = transfers.connections(1);
    /// # }
    /// ```
    #[must_use]
    pub fn connections(self, connections: usize) -> Self {
        Self { connections: Some(connections), ..self }
    }

    /// What happens to files that stand there already.
    ///
    /// ```no_run
    /// # fn example(transfers: netdisk_client::Transfers<'_>) {
    /// let careful = transfers.existing(netdisk_client::Existing::Skip);
    /// # }
    /// ```
    #[must_use]
    pub fn existing(self, existing: Existing) -> Self {
        Self { existing, ..self }
    }

    /// What of the trees is wanted; without one, everything.
    ///
    /// ```no_run
    /// # fn example(transfers: netdisk_client::Transfers<'_>, filter: Box<dyn netdisk_client::Filter>) {
    /// let less = transfers.filter(filter);
    /// # }
    /// ```
    #[must_use]
    pub fn filter(self, filter: Box<dyn Filter>) -> Self {
        Self { filter: Some(filter), ..self }
    }

    /// Who watches.
    ///
    /// ```no_run
    /// # fn example(transfers: netdisk_client::Transfers<'_>) {
    /// let watched = transfers.observer(std::sync::Arc::new(netdisk_client::Unobserved));
    /// # }
    /// ```
    #[must_use]
    pub fn observer(self, observer: Arc<dyn TransfersObserver>) -> Self {
        Self { observer, ..self }
    }

    /// What stops it. What was acknowledged stays, unfinished files are kept where they can be resumed, and the
    /// connection is of no use afterwards.
    ///
    /// ```no_run
    /// # fn example(transfers: netdisk_client::Transfers<'_>, cancel: tokio_util::sync::CancellationToken) {
    /// let stoppable = transfers.cancel(cancel);
    /// # }
    /// ```
    #[must_use]
    pub fn cancel(self, cancel: CancellationToken) -> Self {
        Self { cancel, ..self }
    }

    /// Stores files and trees. A file that fails does not stop the others; the observer is told of each.
    ///
    /// ```no_run
    /// # async fn example(transfers: netdisk_client::Transfers<'_>) -> Result<(), Box<dyn std::error::Error>> {
    /// let root = netdisk_client::PutRoot { local: "photos".into(), remote: "/photos".parse()? };
    /// let summary = transfers.put(vec![root]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What concerns no single file: a connection that is lost for good, [`Transfers::cancel`].
    pub async fn put(self, roots: Vec<PutRoot>) -> Result<Summary, ClientError> {
        let shared = Arc::new(Shared::new(&self));
        self.client.use_connections(self.connections);
        let connections = self.connections.unwrap_or(CONNECTIONS);
        Box::pin(put::put(self.client, shared, roots, self.filter, connections)).await
    }

    /// Fetches files and trees into a folder. A file that fails does not stop the others; the observer is told of each.
    ///
    /// ```no_run
    /// use netdisk_client::{Destination, GetRoot};
    ///
    /// # async fn example(transfers: netdisk_client::Transfers<'_>) -> Result<(), Box<dyn std::error::Error>> {
    /// let destination = Destination::open(std::path::Path::new("."))?;
    /// let root = GetRoot { remote: "/photos".parse()?, at: "/photos".parse()?, is_tree: true };
    /// let summary = transfers.get(destination, vec![root]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What concerns no single file: a connection that is lost for good, a listing that cannot be had, [`Transfers::cancel`].
    pub async fn get(self, destination: Destination, roots: Vec<GetRoot>) -> Result<Summary, ClientError> {
        let shared = Arc::new(Shared::new(&self));
        self.client.use_connections(self.connections);
        let connections = self.connections.unwrap_or(CONNECTIONS);
        Box::pin(get::get(self.client, shared, destination, roots, self.filter, connections)).await
    }
}
