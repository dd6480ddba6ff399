//! Laws of content that a server has: what is asked and in which order, against a server that counts, and answers late.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_client::{
    Client, OnExisting, Outcome, PutRoot, PutSource, Reuse, Summary, Transfers, Unobserved, greet_over, put,
};
use netdisk_model::{Digest, Password, RemotePath, Version};
use netdisk_protocol::limits::SMALL_LEN;
use netdisk_protocol::{
    Admission, AnnouncedLimits, Connection, ConnectionError, Fault, FaultCode, Greeting, Numbered, REUSE, Reply,
    Request, Sink, Stop, recv_body,
};
use tokio::io::{DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

/// What a server does.
#[derive(Clone)]
struct Script {
    features: Vec<String>,
    /// Sizes of which it says that it has files.
    known: Vec<u64>,
    /// Content that it has.
    content: Vec<Digest>,
    /// Requests for content that must have come before the first of them is answered.
    gathered: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self { features: vec![REUSE.to_owned()], known: Vec::new(), content: Vec::new(), gathered: 0 }
    }
}

/// What it was asked, a word each.
type Asked = Arc<Mutex<Vec<String>>>;

async fn serve(stream: DuplexStream, script: Script, asked: Asked) -> Result<(), ConnectionError> {
    let mut connection = Connection::new(stream, Duration::from_secs(20));
    let Some(Greeting::Hello { .. }) = connection.recv().await? else { return Ok(()) };
    let limits = Some(AnnouncedLimits::OURS);
    let hello = Greeting::Hello { version: 1, software: "laws".into(), limits, features: script.features.clone() };
    connection.send(&hello).await?;
    let Some(Numbered { id, message: Admission::Login { user, .. } }) = connection.recv().await? else { return Ok(()) };
    let user = user.check().expect("a name");
    connection.send(&Numbered::new(id, Reply::Welcome { user, token: None })).await?;
    connection.admit();
    let mut late = Vec::new();
    while let Some(Numbered { id, message }) = connection.recv::<Numbered<Request>>().await? {
        let note = |word: String| asked.lock().expect("not poisoned").push(word);
        let reply = match message {
            Request::Mkdir { .. } => Reply::Done,
            Request::Known { sizes } => {
                note(format!("known {}", sizes.len()));
                Reply::Known { sizes: sizes.into_iter().filter(|size| script.known.contains(size)).collect() }
            }
            Request::Reuse { size, digest, .. } => {
                note("reuse".to_owned());
                let stored = Reply::Stored { size, digest, version: Version::new(1) };
                let unknown = Reply::Fault(Fault::new(FaultCode::NotFound, "unknown"));
                late.push((id, if script.content.contains(&digest) { stored } else { unknown }));
                if late.len() >= script.gathered {
                    for (id, reply) in late.drain(..) {
                        connection.send(&Numbered::new(id, reply)).await?;
                    }
                }
                continue;
            }
            Request::Upload { size, .. } => {
                let known = size.is_some_and(|size| script.known.contains(&size));
                connection
                    .send(&Numbered::new(id, Reply::Ready { offset: 0, entry: None, digest: None, known }))
                    .await?;
                let stop = Stop::new(CancellationToken::new(), FaultCode::ShuttingDown);
                match recv_body(&mut connection, id, &mut Count, &stop).await? {
                    Ok(digest) => {
                        note("upload".to_owned());
                        Reply::Stored { size: size.expect("announced"), digest, version: Version::new(1) }
                    }
                    Err(fault) => {
                        note("abort".to_owned());
                        Reply::Fault(fault)
                    }
                }
            }
            other => panic!("{other:?} was not expected"),
        };
        connection.send(&Numbered::new(id, reply)).await?;
    }
    Ok(())
}

struct Count;

#[async_trait]
impl Sink for Count {
    async fn write(&mut self, _data: Bytes) -> Result<(), Fault> {
        Ok(())
    }
}

struct Scene {
    client: Client,
    asked: Asked,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new(script: Script) -> Self {
        let (near, far) = duplex(64 * 1024);
        let asked = Asked::default();
        let served = serve(far, script, asked.clone());
        // It ends with the connection; what counts is what it was asked.
        tokio::spawn(async move { drop(served.await) });
        let door = greet_over(near).await.expect("a door");
        let alice = "alice".parse().expect("a name");
        let client = door.log_in(&alice, Password::new("correct horse"), false).await.expect("logged in");
        Self { client, asked, folder: tempfile::tempdir().expect("a folder") }
    }

    /// Makes a file whose content is a byte, longer than a small one by `more`; gives its digest.
    fn write(&self, name: &str, byte: u8, more: u64) -> Digest {
        let content = vec![byte; usize::try_from(SMALL_LEN + more).expect("short")];
        let at = self.folder.path().join(name);
        fs::create_dir_all(at.parent().expect("a parent")).expect("made");
        fs::write(at, &content).expect("written");
        Digest::of(&content)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn put(&mut self, name: &str) -> Outcome {
        let source = PutSource::File(self.at(name));
        let cancel = CancellationToken::new();
        put(&mut self.client, source, &path("/f"), OnExisting::Replace, &Unobserved, &cancel).await.expect("stored")
    }

    async fn put_tree(&mut self) -> Summary {
        let root = PutRoot { local: self.at("tree"), remote: path("/tree") };
        Transfers::new(&mut self.client).put(vec![root]).await.expect("no end of the connection")
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("not poisoned"))
    }
}

fn path(text: &str) -> RemotePath {
    text.parse().expect("a path")
}

fn digest(byte: u8, more: u64) -> Digest {
    Digest::of(&vec![byte; usize::try_from(SMALL_LEN + more).expect("short")])
}

#[tokio::test]
async fn a_file_like_nothing_there_is_sent_at_once() {
    let mut scene = Scene::new(Script { known: vec![SMALL_LEN + 2], ..Script::default() }).await;
    scene.write("f", b'f', 1);
    assert!(!scene.put("f").await.reused);
    assert_eq!(scene.asked(), ["upload"]);
}

#[tokio::test]
async fn a_file_that_is_there_is_not_sent() {
    let script = Script { known: vec![SMALL_LEN + 1], content: vec![digest(b'f', 1)], ..Script::default() };
    let mut scene = Scene::new(script).await;
    let digest = scene.write("f", b'f', 1);
    assert_eq!(scene.put("f").await, Outcome { size: SMALL_LEN + 1, digest, reused: true });
    assert_eq!(scene.asked(), ["abort", "reuse"]);
    // Unless it is to be.
    scene.client.set_reuse(Reuse::Never);
    assert!(!scene.put("f").await.reused);
    assert_eq!(scene.asked(), ["upload"]);
}

#[tokio::test]
async fn a_file_of_the_same_size_and_other_content_is_sent() {
    let script = Script { known: vec![SMALL_LEN + 1], content: vec![digest(b'x', 1)], ..Script::default() };
    let mut scene = Scene::new(script).await;
    let digest = scene.write("f", b'f', 1);
    assert_eq!(scene.put("f").await, Outcome { size: SMALL_LEN + 1, digest, reused: false });
    assert_eq!(scene.asked(), ["abort", "reuse", "upload"]);
}

/// It answers none before it has been asked for all: whoever waits for an answer before the next question waits for ever.
#[tokio::test]
async fn trees_ask_for_many_at_once_and_wait_for_none() {
    const FILES: u8 = 20;
    let known = (1..=u64::from(FILES)).map(|more| SMALL_LEN + more).collect();
    let content = (1..=FILES).map(|number| digest(number, number.into())).collect();
    let script = Script { known, content, gathered: FILES.into(), ..Script::default() };
    let mut scene = Scene::new(script).await;
    for number in 1..=FILES {
        scene.write(&format!("tree/{number}"), number, number.into());
    }
    let summary = scene.put_tree().await;
    assert_eq!((summary.files, summary.reused, summary.failed), (FILES.into(), FILES.into(), 0));
    let mut asked = scene.asked();
    asked.sort();
    // The first of them was begun at once, and said to be like something there by its `ready`.
    let mut expected = vec!["abort".to_owned(), format!("known {}", FILES - 1)];
    expected.extend((0..FILES).map(|_| "reuse".to_owned()));
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn of_a_tree_what_is_not_there_is_sent() {
    // Of sizes 1 and 2 it says that it has files; of the first it has the content.
    let known = vec![SMALL_LEN + 1, SMALL_LEN + 2];
    let script = Script { known, content: vec![digest(1, 1)], ..Script::default() };
    let mut scene = Scene::new(script).await;
    for number in 1..=6 {
        scene.write(&format!("tree/{number}"), number, number.into());
    }
    let summary = scene.put_tree().await;
    assert_eq!((summary.files, summary.reused, summary.failed), (6, 1, 0));
    let asked = scene.asked();
    let count = |word: &str| asked.iter().filter(|asked| asked.starts_with(word)).count();
    assert_eq!((count("known"), count("reuse"), count("upload")), (1, 2, 5), "{asked:?}");
}

#[tokio::test]
async fn a_server_that_does_not_know_the_question_is_not_asked() {
    let mut scene = Scene::new(Script { features: vec!["another".to_owned()], ..Script::default() }).await;
    for number in 1..=3 {
        scene.write(&format!("tree/{number}"), number, 1);
    }
    let summary = scene.put_tree().await;
    assert_eq!((summary.files, summary.reused), (3, 0));
    assert_eq!(scene.asked(), ["upload", "upload", "upload"]);
}
