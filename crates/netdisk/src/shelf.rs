//! What is known of directories on the server while a person types: for completion, which must not wait for the line.
//!
//! ```text
//! completer ── names(directory) ──> Shelf ── wanted ──> the task that keeps the connection
//!     ^                               |                             |
//!     '───── what is known, at once or within PATIENCE ─────<── put ┘
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netdisk_client::{Client, ClientError};
use netdisk_model::{EntryKind, RemotePath};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a person waits for Tab; then what is known has to do.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);
/// How long a listing is as good as new.
const FRESH: Duration = Duration::from_secs(5);
/// Directories that are remembered: as many as somebody looks into while typing some lines.
const DIRECTORIES_MAX: usize = 64;
/// Names that are remembered of each: nobody reads more, and all of them stay under some tens of megabytes.
const NAMES_MAX: usize = 10_000;
/// Listings that are waited for: Tab asks for one at a time.
const WANTED_MAX: usize = 4;

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) is_directory: bool,
}

/// The listings that are known.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Where relative paths start.
    directory: Option<RemotePath>,
    /// To whoever lists, while somebody does.
    wanted: Option<mpsc::Sender<RemotePath>>,
    known: HashMap<RemotePath, Listed>,
    /// Counts what came, so that whoever waits sees that it did.
    came: u64,
}

#[derive(Debug, Clone)]
struct Listed {
    at: Instant,
    names: Arc<[Name]>,
}

impl Shelf {
    /// A prompt is about to be shown in `directory`: what was known may have changed since. Gives what will be asked.
    pub(crate) fn open(&self, directory: &RemotePath) -> mpsc::Receiver<RemotePath> {
        let (send, wanted) = mpsc::channel(WANTED_MAX);
        let mut state = self.lock();
        state.directory = Some(directory.clone());
        state.wanted = Some(send);
        // Still good for an answer when the server gives none in time.
        if let Some(long_ago) = Instant::now().checked_sub(FRESH) {
            state.known.values_mut().for_each(|listed| listed.at = long_ago);
        }
        wanted
    }

    /// The prompt is gone.
    pub(crate) fn close(&self) {
        self.lock().wanted = None;
    }

    /// Somebody else is logged in.
    pub(crate) fn clear(&self) {
        self.lock().known.clear();
    }

    /// The names in a directory as it was typed, as far as they are known within [`PATIENCE`].
    pub(crate) fn names(&self, typed: &str) -> Arc<[Name]> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.lock();
        let Some(path) = state.resolve(typed) else { return Arc::default() };
        let asked = match state.known.get(&path) {
            Some(listed) if listed.at.elapsed() < FRESH => false,
            // Full: an earlier question is not answered yet, and neither would this one be.
            _ => state.wanted.as_ref().is_some_and(|wanted| wanted.try_send(path.clone()).is_ok()),
        };
        let before = state.came;
        while asked && state.came == before {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.came.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.known.get(&path).map(|listed| listed.names.clone()).unwrap_or_default()
    }

    /// The same, without a wait and without a question.
    pub(crate) fn names_at_hand(&self, typed: &str) -> Arc<[Name]> {
        let state = self.lock();
        let listed = state.resolve(typed).and_then(|path| state.known.get(&path));
        listed.map(|listed| listed.names.clone()).unwrap_or_default()
    }

    fn put(&self, path: RemotePath, names: Option<Vec<Name>>) {
        let mut state = self.lock();
        if let Some(names) = names {
            if state.known.len() >= DIRECTORIES_MAX {
                let oldest = state.known.iter().min_by_key(|(_, listed)| listed.at).map(|(path, _)| path.clone());
                oldest.and_then(|oldest| state.known.remove(&oldest));
            }
            state.known.insert(path, Listed { at: Instant::now(), names: names.into() });
        }
        state.came += 1;
        self.came.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn resolve(&self, typed: &str) -> Option<RemotePath> {
        self.directory.as_ref()?.resolve(typed).ok()
    }
}

/// Keeps a connection until `wake` is cancelled, and lists what is wanted meanwhile; `None` when it was lost.
pub(crate) async fn keep(
    mut client: Client,
    wake: CancellationToken,
    mut wanted: mpsc::Receiver<RemotePath>,
    shelf: Arc<Shelf>,
) -> Option<Client> {
    loop {
        let pause = wake.child_token();
        let path = {
            let mut rest = std::pin::pin!(client.rest(pause.clone()));
            let path = tokio::select! {
                kept = &mut rest => return kept,
                Some(path) = wanted.recv() => path,
            };
            pause.cancel();
            client = rest.await?;
            path
        };
        let listing = client.list(&path, false).await;
        // The next command dials again.
        let is_lost = listing.as_ref().is_err_and(ClientError::ends_connection);
        let names = listing.ok().map(|listing| {
            let served = listing.entries.iter().filter(|entry| entry.kind != EntryKind::Other);
            let named = served.filter_map(|entry| {
                Some(Name { name: entry.path.name()?.to_owned(), is_directory: entry.kind == EntryKind::Directory })
            });
            named.take(NAMES_MAX).collect()
        });
        shelf.put(path, names);
        if is_lost {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        Name { name: name.to_owned(), is_directory: false }
    }

    #[test]
    fn what_comes_in_time_is_offered_and_then_known() {
        let shelf = Arc::new(Shelf::default());
        let mut wanted = shelf.open(&RemotePath::root());
        let server = std::thread::spawn({
            let shelf = shelf.clone();
            move || {
                let path = wanted.blocking_recv().expect("asked");
                shelf.put(path, Some(vec![name("a")]));
                wanted
            }
        });
        assert_eq!(shelf.names("docs/")[..], [name("a")]);
        let mut wanted = server.join().expect("no panic");
        assert_eq!(shelf.names("docs/")[..], [name("a")]);
        assert_eq!(shelf.names_at_hand("/docs")[..], [name("a")]);
        assert!(wanted.try_recv().is_err(), "nobody asked again");
    }

    #[test]
    fn a_server_that_says_nothing_holds_the_prompt_up_for_no_longer_than_a_person_waits() {
        let shelf = Shelf::default();
        let _wanted = shelf.open(&RemotePath::root());
        shelf.put(RemotePath::root(), Some(vec![name("old")]));
        // Of an earlier prompt: asked again, and offered when no answer comes.
        let _wanted = shelf.open(&RemotePath::root());
        let began = Instant::now();
        assert_eq!(shelf.names("")[..], [name("old")]);
        assert!(began.elapsed() >= PATIENCE);
        shelf.close();
        assert_eq!(shelf.names("")[..], [name("old")], "without a connection nobody waits");
        shelf.clear();
        assert_eq!(shelf.names("")[..], []);
    }
}
