//! Laws of many files over a connection that is cut anywhere: no job is lost, none comes to two ends, and none is said to be
//! done before the other side has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_client::{
    Client, Destination, End, Filter, GetRoot, Item, PutRoot, Summary, Transfers, TransfersObserver, greet_over,
};
use netdisk_model::{Digest, Entry, EntryKind, Password, RemotePath, Version};
use netdisk_protocol::limits::{DATA_LEN_MAX, MESSAGE_LEN_MAX};
use netdisk_protocol::{
    Admission, AnnouncedLimits, BodyStart, Chunk, Connection, ConnectionError, Fault, FaultCode, Greeting, Numbered,
    Reply, Request, Sink, Source, Stop, recv_body, send_body,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio_util::sync::CancellationToken;

/// Small, so that a window is more than fits.
const PIPE_LEN: usize = 4096;

/// A server that keeps what it stores in memory, and says what it acknowledged.
#[derive(Default)]
struct Store {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Paths whose upload is refused.
    refused: BTreeSet<String>,
}

fn path(text: &str) -> RemotePath {
    text.parse().expect("a path")
}

async fn serve(stream: DuplexStream, store: Arc<Store>, window: usize) -> Result<(), ConnectionError> {
    let mut connection = Connection::new(stream, Duration::from_secs(20));
    let Some(Greeting::Hello { .. }) = connection.recv().await? else { return Ok(()) };
    let limits = AnnouncedLimits { message_len_max: MESSAGE_LEN_MAX, data_len_max: DATA_LEN_MAX, window };
    let hello = Greeting::Hello { version: 1, software: "laws".into(), limits: Some(limits), features: Vec::new() };
    connection.send(&hello).await?;
    let Some(Numbered { id, message: Admission::Login { user, .. } }) = connection.recv().await? else { return Ok(()) };
    let user = user.check().expect("a name");
    connection.send(&Numbered::new(id, Reply::Welcome { user, token: None })).await?;
    connection.admit();
    while let Some(Numbered { id, message }) = connection.recv::<Numbered<Request>>().await? {
        let reply = match message {
            Request::Mkdir { .. } => Reply::Done,
            Request::Upload { path, size, body, .. } => {
                let path = path.check().expect("a path").to_string();
                upload(&mut connection, id, &store, path, size, body).await?
            }
            Request::List { path, .. } => {
                let entries = entries(&store, &path.check().expect("a path"));
                let count = entries.len() as u64;
                for entries in entries.chunks(3) {
                    connection.send(&Numbered::new(id, Reply::Entries { entries: entries.to_vec() })).await?;
                }
                Reply::End { count, skipped: 0 }
            }
            Request::Download { path, offset, .. } => {
                let path = path.check().expect("a path");
                let entry = entry(&store, &path);
                let content = store.files.lock().expect("not poisoned")[path.as_str()].clone();
                connection
                    .send(&Numbered::new(id, Reply::Ready { offset, entry: Some(entry), digest: None, known: false }))
                    .await?;
                let mut source = Memory { content, position: usize::try_from(offset).expect("short") };
                let stop = Stop::new(CancellationToken::new(), FaultCode::ShuttingDown);
                drop(send_body(&mut connection, id, &mut source, &stop).await?);
                continue;
            }
            other => panic!("{other:?} was not expected"),
        };
        connection.send(&Numbered::new(id, reply)).await?;
    }
    Ok(())
}

async fn upload(
    connection: &mut Connection<DuplexStream>,
    id: u64,
    store: &Store,
    path: String,
    size: Option<u64>,
    body: BodyStart,
) -> Result<Reply, ConnectionError> {
    if body == BodyStart::Wait {
        connection
            .send(&Numbered::new(id, Reply::Ready { offset: 0, entry: None, digest: None, known: false }))
            .await?;
    }
    let mut sink = Gather::default();
    let stop = Stop::new(CancellationToken::new(), FaultCode::ShuttingDown);
    let claimed = match recv_body(connection, id, &mut sink, &stop).await? {
        Ok(claimed) => claimed,
        Err(fault) => return Ok(Reply::Fault(fault)),
    };
    let Gather(content) = sink;
    assert_eq!((Some(content.len() as u64), Digest::of(&content)), (size, claimed), "{path} came as it was announced");
    if store.refused.contains(&path) {
        return Ok(Reply::Fault(Fault::new(FaultCode::QuotaExceeded, "no room for it")));
    }
    let size = content.len() as u64;
    store.files.lock().expect("not poisoned").insert(path, content);
    Ok(Reply::Stored { size, digest: claimed, version: Version::new(size) })
}

fn entry(store: &Store, at: &RemotePath) -> Entry {
    let size = store.files.lock().expect("not poisoned")[at.as_str()].len() as u64;
    Entry { path: at.clone(), kind: EntryKind::File, size, modified: 1_000, version: Some(Version::new(size)) }
}

/// The files below a directory; the directories between are left to the client.
fn entries(store: &Store, directory: &RemotePath) -> Vec<Entry> {
    let paths: Vec<RemotePath> = store.files.lock().expect("not poisoned").keys().map(|at| path(at)).collect();
    paths.iter().filter(|at| at.is_within(directory)).map(|at| entry(store, at)).collect()
}

#[derive(Default)]
struct Gather(Vec<u8>);

#[async_trait]
impl Sink for Gather {
    async fn write(&mut self, data: Bytes) -> Result<(), Fault> {
        self.0.extend_from_slice(&data);
        Ok(())
    }
}

struct Memory {
    content: Vec<u8>,
    position: usize,
}

#[async_trait]
impl Source for Memory {
    async fn next(&mut self) -> Result<Chunk, Fault> {
        if self.position == self.content.len() {
            return Ok(Chunk::End(Digest::of(&self.content)));
        }
        let end = self.content.len().min(self.position + DATA_LEN_MAX);
        let data = Bytes::copy_from_slice(&self.content[self.position..end]);
        self.position = end;
        Ok(Chunk::Data(data))
    }
}

/// A client whose connection to a server ends after so many bytes in either direction.
async fn client(store: &Arc<Store>, window: usize, cut: u64) -> Option<Client> {
    let (near, middle) = duplex(PIPE_LEN);
    let (far_middle, far) = duplex(PIPE_LEN);
    // A server whose client is cut ends with an error; what counts is what it stored.
    let served = serve(far, store.clone(), window);
    tokio::spawn(async move { drop(served.await) });
    tokio::spawn(async move {
        let (mut near_in, mut near_out) = split(middle);
        let (mut far_in, mut far_out) = split(far_middle);
        tokio::select! {
            _ = pump(&mut near_in, &mut far_out, cut) => {}
            _ = pump(&mut far_in, &mut near_out, cut) => {}
        }
    });
    let door = greet_over(near).await.ok()?;
    door.log_in(&"alice".parse().expect("a name"), Password::new("correct horse"), false).await.ok()
}

async fn pump<R: AsyncReadExt + Unpin, W: AsyncWriteExt + Unpin>(
    from: &mut R,
    to: &mut W,
    cut: u64,
) -> std::io::Result<()> {
    tokio::io::copy(&mut from.take(cut), to).await?;
    to.flush().await
}

#[derive(Default)]
struct Notes(Mutex<Vec<(RemotePath, bool)>>);

impl TransfersObserver for Notes {
    fn ended(&self, item: Item<'_>, end: &End) {
        if !matches!(end, End::Made) {
            self.0.lock().expect("not poisoned").push((item.remote.clone(), matches!(end, End::Done(_))));
        }
    }
}

impl Notes {
    /// The files that came to an end, each of them once.
    fn each_once(&self, done: bool) -> BTreeSet<String> {
        let ends = self.0.lock().expect("not poisoned");
        let paths: BTreeSet<&RemotePath> = ends.iter().map(|(path, _)| path).collect();
        assert_eq!(paths.len(), ends.len(), "each once: {ends:?}");
        ends.iter().filter(|(_, is_done)| *is_done == done).map(|(path, _)| path.to_string()).collect()
    }
}

/// Sizes around nothing, a frame, and the border between small and large.
const SIZES: &[usize] = &[0, 1, 100, 4096, 5000, DATA_LEN_MAX, DATA_LEN_MAX + 1, 1024 * 1024 + 1, 40, 7];

fn grow(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for (number, size) in SIZES.iter().enumerate() {
        let content: Vec<u8> = (0..*size).map(|at| u8::try_from((at * 7 + number) % 251).expect("a byte")).collect();
        let below = format!("d{}/f{number}", number % 3);
        fs::create_dir_all(root.join(&below).parent().expect("a parent")).expect("made");
        fs::write(root.join(&below), &content).expect("written");
        all.insert(format!("/t/{below}"), content);
    }
    all
}

async fn put(client: &mut Client, root: &Path, notes: &Arc<Notes>) -> Option<Summary> {
    let root = PutRoot { local: root.to_owned(), remote: path("/t") };
    Transfers::new(client).observer(notes.clone()).put(vec![root]).await.ok()
}

/// Bytes after which a connection is cut: close together at first, where it is greeted and asked, then anywhere.
fn cuts() -> impl Iterator<Item = u64> {
    (0..40).map(|step| 150 + step * 37).chain((0..40).map(|step| 1_700 + step * 41_113)).chain([u64::MAX])
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_are_cut_anywhere_are_neither_lost_nor_said_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = grow(folder.path());
    let mut came_through = 0;
    for (number, cut) in cuts().enumerate() {
        let store = Arc::new(Store::default());
        let window = [1, 2, 3, 512][number % 4];
        let notes = Arc::new(Notes::default());
        if let Some(mut client) = client(&store, window, cut).await
            && let Some(summary) = put(&mut client, folder.path(), &notes).await
        {
            assert_eq!(summary.files, all.len() as u64);
            came_through += 1;
        }
        // Whoever was told that a file is done finds it there.
        for done in notes.each_once(true) {
            assert_eq!(store.files.lock().expect("not poisoned").get(&done), all.get(&done), "{done} at {cut}");
        }
        assert!(notes.each_once(false).is_empty(), "a cut is no failure of a file");
        // Repeated, it is whole.
        let mut client = client(&store, window, u64::MAX).await.expect("not cut");
        assert!(put(&mut client, folder.path(), &Arc::default()).await.is_some());
        assert_eq!(*store.files.lock().expect("not poisoned"), all, "{cut}");
    }
    assert!((1..cuts().count()).contains(&came_through), "{came_through} came through");
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_are_cut_anywhere_leave_whole_files_or_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = grow(folder.path());
    let store = Arc::new(Store { files: Mutex::new(all.clone()), ..Store::default() });
    let get = async |client: &mut Client, into: &Path, notes: &Arc<Notes>| {
        let root = GetRoot { remote: path("/t"), at: path("/t"), is_tree: true };
        let destination = Destination::open(into).expect("a folder");
        Transfers::new(client).observer(notes.clone()).get(destination, vec![root]).await.ok()
    };
    for (number, cut) in cuts().enumerate() {
        let window = [1, 2, 3, 512][number % 4];
        let back = tempfile::tempdir().expect("a folder");
        let notes = Arc::new(Notes::default());
        if let Some(mut client) = client(&store, window, cut).await
            && let Some(summary) = get(&mut client, back.path(), &notes).await
        {
            assert_eq!(summary.files, all.len() as u64);
        }
        for (at, content) in &all {
            match fs::read(back.path().join(&at[1..])) {
                Ok(there) => assert!(there == *content, "{at} at {cut} is whole"),
                Err(_) => assert!(!notes.each_once(true).contains(at), "{at} at {cut} was said to be there"),
            }
        }
        assert!(notes.each_once(false).is_empty(), "a cut is no failure of a file");
        let mut client = client(&store, window, u64::MAX).await.expect("not cut");
        let summary = get(&mut client, back.path(), &Arc::default()).await.expect("not cut");
        assert_eq!((summary.files, summary.failed), (all.len() as u64, 0));
        for (at, content) in &all {
            assert!(fs::read(back.path().join(&at[1..])).expect("there") == *content, "{at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_fails_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = grow(folder.path());
    let refused: BTreeSet<String> = ["/t/d0/f3", "/t/d1/f7", "/t/d2/f8"].map(str::to_owned).into();
    let store = Arc::new(Store { refused: refused.clone(), ..Store::default() });
    let mut client = client(&store, 512, u64::MAX).await.expect("not cut");
    let notes = Arc::new(Notes::default());
    let summary = put(&mut client, folder.path(), &notes).await.expect("the connection lives");
    assert_eq!((summary.files, summary.failed), (all.len() as u64 - 3, 3));
    assert_eq!(notes.each_once(false), refused);
}

/// Somebody who wants totals, for which trees are walked once more.
struct Counts;

impl TransfersObserver for Counts {
    fn wants_totals(&self) -> bool {
        true
    }

    fn ended(&self, _item: Item<'_>, _end: &End) {}
}

/// Takes down what each walk enters.
struct Entered {
    walks: Arc<Mutex<Vec<Vec<RemotePath>>>>,
    own: Vec<RemotePath>,
}

impl Filter for Entered {
    fn admits(&self, below: &RemotePath, _kind: EntryKind) -> bool {
        self.own.contains(&below.parent().expect("not the root"))
    }

    fn entering(&mut self, _local: &Path, below: &RemotePath) {
        self.own.push(below.clone());
    }

    fn for_another_walk(&self) -> Box<dyn Filter> {
        Box::new(Self { walks: self.walks.clone(), own: Vec::new() })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.walks.lock().expect("not poisoned").push(std::mem::take(&mut self.own));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_walk_that_counts_and_the_walk_that_sends_have_each_a_filter_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = grow(folder.path());
    let mut client = client(&Arc::default(), 512, u64::MAX).await.expect("not cut");
    let walks = Arc::new(Mutex::new(Vec::new()));
    let filter = Box::new(Entered { walks: walks.clone(), own: Vec::new() });
    let root = PutRoot { local: folder.path().to_owned(), remote: path("/t") };
    let transfers = Transfers::new(&mut client).observer(Arc::new(Counts)).filter(filter);
    let summary = transfers.put(vec![root]).await.expect("stored");
    assert_eq!(summary.files, all.len() as u64);
    let mut walks = walks.lock().expect("not poisoned").clone();
    walks.iter_mut().for_each(|entered| entered.sort());
    let each = ["/", "/d0", "/d1", "/d2"].map(path).to_vec();
    assert_eq!(*walks, [each.clone(), each]);
}

/// Somebody who wants no more once so many have come to their end.
struct Impatient {
    left: Mutex<usize>,
    cancel: CancellationToken,
}

impl TransfersObserver for Impatient {
    fn ended(&self, _item: Item<'_>, _end: &End) {
        let mut left = self.left.lock().expect("not poisoned");
        if *left == 1 {
            self.cancel.cancel();
        }
        *left = left.saturating_sub(1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_the_very_end_stops_nothing_and_an_earlier_one_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = grow(folder.path());
    let mut client = client(&Arc::default(), 512, u64::MAX).await.expect("not cut");
    let whole = put(&mut client, folder.path(), &Arc::default()).await.expect("stored");
    let ends = usize::try_from(whole.files + whole.directories).expect("few");
    for stop in [ends, 1, 2, ends / 2, ends - 1, ends] {
        let cancel = CancellationToken::new();
        let impatient = Impatient { left: Mutex::new(stop), cancel: cancel.clone() };
        let root = PutRoot { local: folder.path().to_owned(), remote: path("/t") };
        let transfers = Transfers::new(&mut client).observer(Arc::new(impatient)).cancel(cancel);
        match transfers.put(vec![root]).await {
            Ok(summary) => assert_eq!(summary.files, all.len() as u64, "at {stop}"),
            Err(error) => {
                assert_eq!(error.fault_code(), Some(FaultCode::Cancelled), "at {stop}");
                assert!(stop < ends, "all were done");
            }
        }
    }
}
