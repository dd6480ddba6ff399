//! Many files down.
//!
//! - [`apart`]: a large file in parts, with all connections that have nothing else to do.
//! - [`plan`]: what there is to fetch, from one recursive listing a tree.
//! - [`prepare`]: what stands here already, a batch at a time.
//! - [`ask`]: requests, one behind the other.
//! - [`recv`]: replies and bodies, in the same order.
//! - [`arrived`]: what has come of a large file, and what was kept of it.
//! - [`land`]: whole files get their names, a batch at a time.

mod apart;
mod arrived;
mod ask;
mod land;
mod plan;
mod prepare;
mod recv;

use std::path::PathBuf;
use std::sync::Arc;

use netdisk_model::{Entry, EntryKind, RemotePath};
use tokio::sync::mpsc;

use self::plan::Plan;
use super::existing::numbered;
use super::pool;
use super::queue::Taken;
use super::report::{Item, Shown, Summary};
use super::shared::Shared;
use super::walk::Filter;
use super::window::Window;
use super::worker::{self, Work};
use crate::client::{Client, Halves};
use crate::destination::Destination;
use crate::error::ClientError;
use crate::parts::{self, Together};
use crate::transfer::OnExisting;

/// A file or a tree on the server, and where it goes.
///
/// ```
/// let root = netdisk_client::GetRoot { remote: "/photos/2026".parse()?, at: "/2026".parse()?, is_tree: true };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetRoot {
    /// Its path on the server.
    pub remote: RemotePath,
    /// Where it goes, from the destination; `/` for a tree that becomes the destination.
    pub at: RemotePath,
    /// Whether a directory is fetched with all that is in it; otherwise one fails.
    pub is_tree: bool,
}

/// A file to fetch, or a directory to make.
#[derive(Debug, Clone)]
pub(super) struct GetJob {
    remote: RemotePath,
    /// Where it goes, and where it was to go before it got a number.
    at: RemotePath,
    wanted: Option<RemotePath>,
    /// The same for a person.
    local: PathBuf,
    what: What,
    step: Step,
    number: u32,
    tries: u32,
    /// It did not come on in parts.
    goes_whole: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Directory,
    /// With what the listing said of it; of a file that a person named, nothing is known at first.
    File(Option<Entry>),
}

/// What is next for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// To see what stands here.
    Look,
    Fetch(OnExisting),
}

impl GetJob {
    fn new(remote: RemotePath, at: RemotePath, local: PathBuf, what: What) -> Self {
        Self { remote, at, wanted: None, local, what, step: Step::Look, number: 0, tries: 0, goes_whole: false }
    }

    /// Goes on under the next number.
    fn renumber(&mut self) -> Result<(), ClientError> {
        self.number += 1;
        let wanted = self.wanted.get_or_insert_with(|| self.at.clone());
        let name = numbered(wanted.name().unwrap_or_default(), self.number);
        let parent = wanted.parent().unwrap_or_else(RemotePath::root);
        self.local.set_file_name(&name);
        self.at = parent.join(&name).map_err(|error| ClientError::BadPath { name, error })?;
        Ok(())
    }

    fn entry(&self) -> Option<&Entry> {
        match &self.what {
            What::File(entry) => entry.as_ref().filter(|entry| entry.kind == EntryKind::File),
            What::Directory => None,
        }
    }
}

impl Shown for GetJob {
    fn item(&self) -> Item<'_> {
        Item { local: &self.local, remote: &self.remote }
    }
}

/// Fetches the files and trees of `roots`.
pub(super) async fn get(
    client: &mut Client,
    shared: Arc<Shared<GetJob>>,
    destination: Destination,
    roots: Vec<GetRoot>,
    filter: Option<Box<dyn Filter>>,
    connections: usize,
) -> Result<Summary, ClientError> {
    let destination = Arc::new(destination);
    let plan = Plan::make(client, &shared, &destination, roots, filter).await?;
    let may_share = client.connections() > 1;
    let getting = Arc::new(Getting { shared: shared.clone(), destination, may_share });
    let work = Box::pin(pool::work(client, connections, &shared, &getting));
    shared.run(Box::pin(plan.feed(&shared)), work).await
}

/// What stands behind or beside the pipeline of a connection.
enum Apart {
    /// A large file, to be shared with others.
    Own(Taken<GetJob>),
    /// Somebody else's.
    Help(Arc<dyn Together>),
}

/// What workers share that fetch files.
struct Getting {
    shared: Arc<Shared<GetJob>>,
    destination: Arc<Destination>,
    /// Large files may come in parts.
    may_share: bool,
}

impl Work for Getting {
    async fn once(&self, client: &mut Client) -> Result<(), ClientError> {
        loop {
            match self.pipeline(client).await? {
                None => return Ok(()),
                Some(Apart::Own(taken)) => Box::pin(self.fetch_apart(client, taken)).await?,
                Some(Apart::Help(shared)) => parts::help_with(client, &*shared).await?,
            }
        }
    }
}

impl Getting {
    /// Fetches one file behind the other, until there are no more, or one that is better fetched apart.
    async fn pipeline(&self, client: &mut Client) -> Result<Option<Apart>, ClientError> {
        client.admitted().await?;
        let may_share = self.may_share && client.can_share();
        let Halves { incoming, outgoing, last_id, window } = client.halves().await?;
        let window = Window::new(window);
        let (to_ask, prepared) = mpsc::channel(1);
        let (to_recv, pending) = mpsc::channel(window.capacity());
        // Aborts are few: one for each large file that cannot be written.
        let (to_abort, aborts) = mpsc::channel(1);
        // One batch lands while one arrives.
        let (to_land, landing) = mpsc::channel(1);
        let mut apart = None;
        let prepare = async {
            apart = prepare::prepare(self, may_share, to_ask).await?;
            Ok::<_, ClientError>(())
        };
        let ask = ask::Asker { outgoing, last_id, window: &window, pending: to_recv, aborts }.run(prepared);
        let receiver =
            recv::Receiver { incoming, shared: &self.shared, destination: &self.destination, to_abort, to_land };
        // Boxed, as all that is handed on: a future that is an argument lies in its caller twice.
        let ask = Box::pin(async {
            let (prepared, asked) = futures::future::join(prepare, ask).await;
            prepared.and(asked.map_err(ClientError::from))
        });
        let recv = Box::pin(async {
            let (received, landed) =
                futures::future::join(receiver.run(pending), land::land(&self.shared, &self.destination, landing))
                    .await;
            received.and(landed)
        });
        worker::both(ask, recv).await?;
        Ok(apart)
    }
}
