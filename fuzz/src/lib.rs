//! What the fuzz targets do with their bytes. Whatever the bytes are: no panic, and each law holds.
//!
//! The workspace's tests play the corpus through the same functions, so that what was found once is not found twice.

use std::cell::OnceCell;
use std::hash::{DefaultHasher, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use netdisk_client::{Endpoint, GetTarget, OnExisting, PutSource, Unobserved, get, greet_over, put};
use netdisk_model::{Password, RemotePath, UserName};
use netdisk_protocol::{Admission, BodyPart, Frame, FrameCodec, Greeting, Numbered, Reply, Request};
use netdisk_server::{Registration, Server};
use netdisk_storage::{Accounts, Depth, Home, MemoryStore, Removal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::Runtime;
use tokio_util::codec::{Decoder as _, Encoder as _};

/// What a pipe between two ends holds; small, so that much is split.
const PIPE_LEN: usize = 4096;

/// Bytes cut into frames: wherever the stream is split, the frames are the same; and written again they are the bytes.
/// Gives how many frames they were.
pub fn frames(data: &[u8]) -> usize {
    let Some((&split, stream)) = data.split_first() else { return 0 };
    let whole = decode(stream, stream.len().max(1), split & 1 == 1);
    let pieces = decode(stream, usize::from(split >> 1) + 1, split & 1 == 1);
    assert_eq!(whole, pieces, "frames do not depend on how the stream is split");
    let mut written = BytesMut::new();
    let mut codec = codec(split & 1 == 1);
    let count = whole.0.len();
    for frame in whole.0 {
        codec.encode(frame, &mut written).expect("what was read can be written");
    }
    assert!(stream.starts_with(&written), "and is the same bytes");
    count
}

fn codec(admitted: bool) -> FrameCodec {
    let mut codec = FrameCodec::new();
    if admitted {
        codec.admit();
    }
    codec
}

/// The frames of a stream that comes in pieces, and what ended them.
fn decode(stream: &[u8], piece_len: usize, admitted: bool) -> (Vec<Frame>, Option<String>) {
    let mut codec = codec(admitted);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in stream.chunks(piece_len) {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
    }
    let end = codec.decode_eof(&mut buffer).err().map(|error| error.to_string());
    (frames, end)
}

/// A payload as each kind of message: what is understood can be written, and is then understood alike.
pub fn messages(data: &[u8]) {
    round_trip::<Greeting>(data);
    round_trip::<Numbered<Admission>>(data);
    round_trip::<Numbered<Request>>(data);
    round_trip::<Numbered<Reply>>(data);
    round_trip::<Numbered<BodyPart>>(data);
}

fn round_trip<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(message) = serde_json::from_slice::<T>(data) else { return };
    let written = serde_json::to_vec(&message).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("and read again");
    // A claim that is none forgets why when it is written, and no more than that.
    assert_eq!(written, serde_json::to_vec(&again).expect("and written again"));
}

/// A text as a path, a user name, an endpoint: what is accepted keeps the rules.
pub fn paths(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(path) = text.parse::<RemotePath>() {
        let shown = path.as_str();
        assert!(shown.starts_with('/') && shown.len() <= 4096 && !shown.chars().any(char::is_control));
        let components: Vec<&str> = shown.split('/').skip(1).filter(|_| shown != "/").collect();
        assert!(components.len() <= 64);
        for component in components {
            let is_one = !component.is_empty() && component != "." && component != ".." && component.len() <= 255;
            assert!(is_one && !component.contains('\\'), "{component:?}");
        }
        assert_eq!(shown.parse().as_ref(), Ok(&path));
    }
    if let Ok(resolved) = RemotePath::root().resolve(text) {
        assert_eq!(resolved.as_str().parse().as_ref(), Ok(&resolved), "it leads to a path, and nowhere else");
    }
    if let Ok(user) = text.parse::<UserName>() {
        let name = user.as_str();
        assert!(!name.contains(['/', '\\', '\0']) && !name.starts_with('.') && name.chars().count() <= 32);
    }
    if let Ok(endpoint) = text.parse::<Endpoint>() {
        assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
    }
}

/// What a server session stands on; made once, because an account costs a password hash.
struct Stage {
    runtime: Runtime,
    server: Server,
    store: Arc<MemoryStore>,
    alice: UserName,
    home: Arc<dyn Home>,
}

thread_local! {
    static STAGE: OnceCell<Stage> = const { OnceCell::new() };
    /// Of the sessions in which the fuzzer is the server.
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

impl Stage {
    fn new() -> Self {
        let runtime = runtime();
        let store = Arc::new(MemoryStore::new());
        let alice: UserName = "alice".parse().expect("a name");
        let password = Password::new("correct horse");
        let account = runtime.block_on(store.register(&alice, password)).expect("a new account");
        let server = Server::new(store.clone(), None, Registration::Closed);
        Self { runtime, server, store, alice, home: account.home }
    }

    /// One session; it begins with a token of its own, as an earlier one may have logged out, and with an empty home.
    async fn play(&self, is_in: bool, data: &[u8]) -> Vec<u8> {
        let token = self.store.issue_token(&self.alice).await.expect("a token");
        let mut bytes = Vec::new();
        if is_in {
            bytes.extend(frame(br#"{"type":"hello","version":1,"software":"fuzz"}"#));
            let token = token.expose();
            bytes.extend(frame(format!(r#"{{"id":1,"type":"login","user":"alice","token":"{token}"}}"#).as_bytes()));
        }
        bytes.extend_from_slice(data);
        let (near, far) = duplex(PIPE_LEN);
        let (mut reader, mut writer) = tokio::io::split(near);
        let client = async {
            // A server that has had enough does not take the rest.
            drop(writer.write_all(&bytes).await);
            drop(writer.shutdown().await);
        };
        let mut said = Vec::new();
        let listen = async { drop(reader.read_to_end(&mut said).await) };
        // Why it ended is its own affair; that it ends is the law.
        drop(tokio::join!(self.server.serve_stream(far, peer(data)), client, listen).0);
        self.store.revoke_token(&token).await.expect("revoked");
        empty(&*self.home).await;
        said
    }
}

/// Where a session comes from: each from elsewhere, so that wrong tokens of others do not keep it out, and the same one
/// from the same place, so that it can be played again.
fn peer(data: &[u8]) -> SocketAddr {
    let mut hasher = DefaultHasher::new();
    hasher.write(data);
    let [a, b, c, ..] = hasher.finish().to_le_bytes();
    SocketAddr::from(([10, a, b, c], 1))
}

/// Time is paused: a session that would wait for a deadline is there at once.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

fn frame(payload: &[u8]) -> Vec<u8> {
    [&u32::try_from(payload.len()).expect("short").to_be_bytes(), payload].concat()
}

/// A session in which the bytes are the client's: from the first one on, or after a proper login. Gives what the server
/// said.
pub fn server(data: &[u8]) -> Vec<u8> {
    let Some((&first, data)) = data.split_first() else { return Vec::new() };
    STAGE.with(|stage| {
        let stage = stage.get_or_init(Stage::new);
        stage.runtime.block_on(stage.play(first & 1 == 1, data))
    })
}

async fn empty(home: &dyn Home) {
    let listed = home.list(&RemotePath::root(), Depth::OneLevel).await;
    let entries = listed.expect("the root").next_batch().await.expect("memory");
    for entry in entries {
        home.remove(&entry.path, Removal::Tree).await.expect("removed");
    }
}

/// A session in which the bytes are the server's, after a proper welcome or from the first one on.
pub fn client(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let mut bytes = Vec::new();
    if first & 1 == 1 {
        bytes.extend(frame(br#"{"type":"hello","version":1,"software":"fuzz"}"#));
        bytes.extend(frame(br#"{"id":1,"type":"welcome","user":"alice"}"#));
    }
    bytes.extend_from_slice(data);
    RUNTIME.with(|of_thread| of_thread.get_or_init(runtime).block_on(serve_client(&bytes, first >> 1)));
}

async fn serve_client(bytes: &[u8], order: u8) {
    let (near, far) = duplex(PIPE_LEN);
    let (mut reader, mut writer) = tokio::io::split(far);
    let speak = async {
        drop(writer.write_all(bytes).await);
        drop(writer.shutdown().await);
    };
    let listen = async { drop(tokio::io::copy(&mut reader, &mut tokio::io::sink()).await) };
    let requests = async { drop(all_requests(near, order).await) };
    // An hour of its time: longer than all deadlines together.
    let session = async { tokio::join!(requests, speak, listen) };
    tokio::time::timeout(Duration::from_secs(3600), session).await.expect("it ends");
}

async fn all_requests(stream: tokio::io::DuplexStream, order: u8) -> Result<(), Box<dyn std::error::Error>> {
    let door = greet_over(stream).await?;
    let mut client = door.log_in(&"alice".parse()?, Password::new("correct horse"), false).await?;
    let path: RemotePath = "/a.txt".parse()?;
    let cancel = Default::default();
    for request in 0..6 {
        match (request + order) % 6 {
            0 => drop(client.list(&RemotePath::root(), true).await?),
            1 => drop(client.stat(&path).await),
            2 => {
                let target = GetTarget::Stream(Box::new(tokio::io::sink()));
                drop(get(&mut client, &path, target, OnExisting::Refuse, &Unobserved, &cancel).await);
            }
            3 => {
                let source = PutSource::Stream(Box::new(&b"hello"[..]));
                drop(put(&mut client, source, &path, OnExisting::Replace, &Unobserved, &cancel).await);
            }
            4 => drop(client.rename(&path, &path, true).await),
            _ => drop(client.whoami().await),
        }
    }
    Ok(())
}
