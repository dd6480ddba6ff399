//! Many files up.
//!
//! - [`apart`]: a large file in parts, with all connections that have nothing else to do.
//! - [`mod@find`]: what there is to send.
//! - [`reuse`]: content that the server has, of which nothing is sent.
//! - [`prepare`]: reads and hashes local files, a batch at a time.
//! - [`send`]: requests and bodies, one behind the other.
//! - [`recv`]: their replies, in the same order, and what they mean.

mod apart;
mod find;
mod prepare;
mod recv;
mod reuse;
mod send;

use std::path::PathBuf;
use std::sync::Arc;

use netdisk_model::RemotePath;
use tokio::sync::mpsc;

use self::find::{Count, Feed};
use self::prepare::Allowed;
use super::existing::numbered;
use super::pool;
use super::queue::Taken;
use super::report::{Item, Shown, Summary};
use super::shared::Shared;
use super::walk::{Filter, Walk};
use super::window::Window;
use super::worker::{self, Work};
use crate::client::{Client, Halves};
use crate::error::ClientError;
use crate::large_file::LargeFile;
use crate::parts::{self, Together};
use crate::reuse::Reuse;
use crate::transfer::OnExisting;

/// A file or a tree on this machine, and where it goes.
///
/// ```
/// let root = netdisk_client::PutRoot { local: "photos".into(), remote: "/photos".parse()? };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutRoot {
    /// The file or directory; a link to one is followed, those below it are not.
    pub local: PathBuf,
    /// Its path on the server. What it stands in must exist; a directory there is made, or goes on.
    pub remote: RemotePath,
}

/// A file to store, or a directory to make.
#[derive(Debug, Clone)]
pub(super) struct PutJob {
    local: PathBuf,
    /// Where it goes, and where it was to go before it got a number.
    remote: RemotePath,
    wanted: Option<RemotePath>,
    pub(super) what: What,
    step: Step,
    content: ContentThere,
    number: u32,
    tries: u32,
    /// It did not come on in parts.
    goes_whole: bool,
}

/// Whether the server has the content of a large file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContentThere {
    /// It was not asked yet.
    Unasked,
    /// It has files of this size.
    Maybe,
    /// It has not, or what it has is of no use.
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Directory,
    File {
        /// A person named it: a link is followed, and its directory must exist already.
        is_root: bool,
    },
}

/// What is next for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// To ask what stands there.
    Look,
    Send(OnExisting),
}

impl PutJob {
    pub(super) fn new(local: PathBuf, remote: RemotePath, what: What) -> Self {
        Self {
            local,
            remote,
            wanted: None,
            what,
            step: Step::Look,
            content: ContentThere::Unasked,
            number: 0,
            tries: 0,
            goes_whole: false,
        }
    }

    /// Goes on under the next number.
    fn renumber(&mut self) -> Result<(), ClientError> {
        self.number += 1;
        let wanted = self.wanted.get_or_insert_with(|| self.remote.clone());
        let name = numbered(wanted.name().unwrap_or_default(), self.number);
        let parent = wanted.parent().unwrap_or_else(RemotePath::root);
        self.remote = parent.join(&name).map_err(|error| ClientError::BadPath { name, error })?;
        Ok(())
    }
}

impl Shown for PutJob {
    fn item(&self) -> Item<'_> {
        Item { local: &self.local, remote: &self.remote }
    }
}

/// Stores the files and trees of `roots`.
pub(super) async fn put(
    client: &mut Client,
    shared: Arc<Shared<PutJob>>,
    roots: Vec<PutRoot>,
    filter: Option<Box<dyn Filter>>,
    connections: usize,
) -> Result<Summary, ClientError> {
    let find = Box::pin(find(&shared, roots, filter));
    let may_share = client.connections() > 1;
    let putting = Arc::new(Putting { shared: shared.clone(), may_share });
    let work = Box::pin(pool::work(client, connections, &shared, &putting));
    shared.run(find, work).await
}

/// Walks the trees, once for their jobs and, where somebody wants to know, once for their number.
async fn find(
    shared: &Arc<Shared<PutJob>>,
    roots: Vec<PutRoot>,
    filter: Option<Box<dyn Filter>>,
) -> Result<(), ClientError> {
    let counted = (roots.clone(), filter.as_ref().map(|filter| filter.for_another_walk()));
    let counting = async {
        if shared.report.observer.wants_totals() {
            let (roots, filter) = counted;
            let mut walk = Walk { filter, visit: Count::new(shared.clone()) };
            let count = move || walk.run(roots).is_ok().then(|| walk.visit.tell());
            shared.door.run(count).await;
        }
    };
    let feeding = async {
        let mut walk = Walk { filter, visit: Feed::new(shared.clone()) };
        // Whether they are taken or not, that was all.
        shared.door.run(move || walk.run(roots).and_then(|()| walk.visit.flush()).is_ok()).await;
        shared.queue.end();
    };
    futures::future::join(counting, feeding).await;
    Ok(())
}

/// What stands behind or beside the pipeline of a connection.
enum Apart {
    /// A large file, to be shared with others.
    Own(Taken<PutJob>, Box<LargeFile>),
    /// Somebody else's.
    Help(Arc<dyn Together>),
}

/// What workers share that store files.
struct Putting {
    shared: Arc<Shared<PutJob>>,
    /// Large files may go in parts.
    may_share: bool,
}

impl Work for Putting {
    async fn once(&self, client: &mut Client) -> Result<(), ClientError> {
        loop {
            match self.pipeline(client).await? {
                None => return Ok(()),
                Some(Apart::Own(taken, file)) => Box::pin(self.store_apart(client, taken, file)).await?,
                Some(Apart::Help(shared)) => parts::help_with(client, &*shared).await?,
            }
        }
    }
}

impl Putting {
    /// Stores one file behind the other, until there are no more, or one that is better stored apart.
    async fn pipeline(&self, client: &mut Client) -> Result<Option<Apart>, ClientError> {
        client.admitted().await?;
        let may_share = self.may_share && client.can_share();
        let may_ask = client.announced.reuse && self.shared.reuse == Reuse::WherePossible;
        let Halves { incoming, outgoing, last_id, window } = client.halves().await?;
        let window = Window::new(window);
        // One batch is read while one is sent.
        let (to_send, prepared) = mpsc::channel(1);
        let (to_recv, pending) = mpsc::channel(window.capacity());
        let mut apart = None;
        let prepare =
            async { apart = prepare::prepare(self, Allowed { share: may_share, ask: may_ask }, to_send).await };
        let send = send::Sender::new(outgoing, last_id, &window, to_recv, &self.shared).run(prepared);
        let recv = recv::Receiver { incoming, shared: &self.shared }.run(pending);
        // Boxed, as all that is handed on: a future that is an argument lies in its caller twice.
        let send = Box::pin(async { futures::future::join(prepare, send).await.1.map_err(ClientError::from) });
        let recv = Box::pin(recv);
        worker::both(send, recv).await?;
        Ok(apart)
    }
}
