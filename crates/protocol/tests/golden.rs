//! Ties three things together: the types of this crate, the golden files, and PROTOCOL.md.
//!
//! `UPDATE_GOLDEN=1 cargo test -p netdisk-protocol` rewrites the golden files; read the diff.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use netdisk_model::{
    Digest, Entry, EntryKind, KeptLogin, Limits, PART_LEN, Password, RemotePath, Token, Usage, UserName, Version,
};
use netdisk_protocol::{
    Admission, AnnouncedLimits, BodyPart, BodyStart, Fault, FaultCode, Frame, FrameCodec, Greeting, Numbered, PARTS,
    Proof, REUSE, Reply, Request,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::codec::{Decoder, Encoder};

/// A message as the types have it, and as JSON.
struct Sample {
    name: &'static str,
    json: String,
}

fn sample<T>(name: &'static str, message: T) -> Sample
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let json = serde_json::to_string(&message).expect("every message is JSON");
    let back: T = serde_json::from_str(&json).expect("every message parses");
    assert_eq!(back, message, "{name}");
    Sample { name, json }
}

fn path(text: &str) -> RemotePath {
    text.parse().expect("a path")
}

fn samples() -> Vec<Sample> {
    let alice = || "alice".parse::<UserName>().expect("a name");
    let password = || Password::new("correct horse");
    let token = || Token::from_random(&[7; 32]);
    let register =
        |invitation| Admission::Register { user: alice().into(), password: password(), invitation, keep: false };
    let kept = KeptLogin {
        id: "b0ec3f1a2c77".to_owned(),
        created: 1_760_000_000_000,
        used: 1_760_000_000_000,
        expires: 1_767_776_000_000,
    };
    let current = Some(kept.id.clone());
    let software = || "netdisk/0.1.0".to_owned();
    let digest = Digest::of(b"hello");
    let version = Version::new(255);
    let time = 1_760_000_000_000;
    let docs = Entry { path: path("/docs"), kind: EntryKind::Directory, size: 0, modified: time, version: None };
    let file = |at, modified| Entry {
        path: path(at),
        kind: EntryKind::File,
        size: 5,
        modified,
        version: Some(version.clone()),
    };
    let hello = |limits: Option<_>| {
        let features = if limits.is_some() { vec![PARTS.to_owned(), REUSE.to_owned()] } else { Vec::new() };
        Greeting::Hello { version: 1, software: software(), limits, features }
    };
    let login = |proof, keep| Admission::Login { user: alice().into(), proof, keep };
    let upload = Request::Upload {
        path: path("/a.txt").into(),
        size: Some(5),
        modified: Some(time),
        create: false,
        resume: Some("4f3a2b".parse().expect("a key")),
        body: BodyStart::Wait,
    };
    let upload_name = || "c2f04c5e13a94b0d8f6be6de1c7a9b35".to_owned();
    let limits = Limits { bytes: Some(1_000_000_000), files: None };
    let not_found = Fault::new(FaultCode::NotFound, "nothing stands at /docs");
    let no_frame = Fault::new(FaultCode::BadRequest, "a payload that begins with byte 0x47 is no frame");
    let cancelled = Fault::new(FaultCode::Cancelled, FaultCode::Cancelled.meaning());
    vec![
        sample("hello-client", hello(None)),
        sample("hello-server", hello(Some(AnnouncedLimits::OURS))),
        sample("register", Numbered::new(1, register(None))),
        sample("register-invited", Numbered::new(1, register(Some(token())))),
        sample("login-password", Numbered::new(1, login(Proof::Password(password()), true))),
        sample("login-token", Numbered::new(1, login(Proof::Token(token()), false))),
        sample("welcome-token", Numbered::new(1, Reply::Welcome { user: alice(), token: Some(token()) })),
        sample("welcome", Numbered::new(1, Reply::Welcome { user: alice(), token: None })),
        sample("whoami", Numbered::new(2, Request::Whoami)),
        sample("account", Numbered::new(2, Reply::Account { user: alice() })),
        sample("logout", Numbered::new(3, Request::Logout)),
        sample("done", Numbered::new(3, Reply::Done)),
        sample("list", Numbered::new(4, Request::List { path: path("/").into(), recursive: false })),
        sample(
            "entries",
            Numbered::new(4, Reply::Entries { entries: vec![docs.clone(), file("/夏天 [1].jpg", time + 123)] }),
        ),
        sample("list-end", Numbered::new(4, Reply::End { count: 2, skipped: 0 })),
        sample("stat", Numbered::new(5, Request::Stat { path: path("/docs").into() })),
        sample("entry", Numbered::new(5, Reply::Entry { entry: docs })),
        sample("mkdir", Numbered::new(6, Request::Mkdir { path: path("/docs").into(), parents: false })),
        sample("remove", Numbered::new(7, Request::Remove { path: path("/docs").into(), recursive: true })),
        sample(
            "rename",
            Numbered::new(
                8,
                Request::Rename { from: path("/a.txt").into(), to: path("/docs/b.txt").into(), replace: false },
            ),
        ),
        sample(
            "copy",
            Numbered::new(11, Request::Copy { from: path("/docs").into(), to: path("/docs 2").into(), replace: false }),
        ),
        sample(
            "passwd",
            Numbered::new(13, Request::Passwd { old: password(), new: Password::new("battery staple"), keep: true }),
        ),
        sample("passwd-reply", Numbered::new(13, Reply::Welcome { user: alice(), token: Some(token()) })),
        sample("sessions", Numbered::new(14, Request::Sessions)),
        sample("sessions-reply", Numbered::new(14, Reply::Sessions { sessions: vec![kept], current })),
        sample("revoke", Numbered::new(15, Request::Revoke { session: "b0ec3f1a2c77".to_owned() })),
        sample("quota", Numbered::new(12, Request::Quota)),
        sample("quota-reply", Numbered::new(12, Reply::Quota(Usage { bytes: 5, files: 1, limits }))),
        sample("upload", Numbered::new(9, upload)),
        sample("upload-ready", Numbered::new(9, Reply::Ready { offset: 0, entry: None, digest: None, known: false })),
        sample(
            "upload-ready-known",
            Numbered::new(9, Reply::Ready { offset: 0, entry: None, digest: None, known: true }),
        ),
        sample("known", Numbered::new(16, Request::Known { sizes: vec![1_048_576, 3_145_728] })),
        sample("known-reply", Numbered::new(16, Reply::Known { sizes: vec![1_048_576] })),
        sample(
            "reuse",
            Numbered::new(
                17,
                Request::Reuse {
                    path: path("/b.bin").into(),
                    size: 1_048_576,
                    digest,
                    modified: Some(time),
                    create: false,
                },
            ),
        ),
        sample("stored", Numbered::new(9, Reply::Stored { size: 5, digest, version: version.clone() })),
        sample(
            "upload-parts",
            Numbered::new(
                17,
                Request::Upload {
                    path: path("/film.mkv").into(),
                    size: Some(5 * PART_LEN + 5),
                    modified: Some(time),
                    create: false,
                    resume: Some("4f3a2b".parse().expect("a key")),
                    body: BodyStart::Parts,
                },
            ),
        ),
        sample("upload-opened", Numbered::new(17, Reply::Opened { upload: upload_name(), offset: 2 * PART_LEN })),
        sample("part", Numbered::new(18, Request::Part { upload: upload_name(), part: 4 })),
        sample("finish", Numbered::new(19, Request::Finish { upload: upload_name(), digest: Some(digest) })),
        sample("finish-given-up", Numbered::new(20, Request::Finish { upload: upload_name(), digest: None })),
        sample(
            "download",
            Numbered::new(10, Request::Download { path: path("/a.txt").into(), offset: 0, version: None, part: None }),
        ),
        sample(
            "download-resumed",
            Numbered::new(
                10,
                Request::Download {
                    path: path("/a.txt").into(),
                    offset: 3,
                    version: Some(version.clone()),
                    part: None,
                },
            ),
        ),
        sample(
            "download-ready",
            Numbered::new(
                10,
                Reply::Ready { offset: 0, entry: Some(file("/a.txt", time)), digest: None, known: false },
            ),
        ),
        sample(
            "download-part",
            Numbered::new(
                16,
                Request::Download {
                    path: path("/film.mkv").into(),
                    offset: 0,
                    version: Some(version.clone()),
                    part: Some(3),
                },
            ),
        ),
        sample(
            "download-part-ready",
            Numbered::new(
                16,
                Reply::Ready {
                    offset: 3 * PART_LEN,
                    entry: Some(Entry { size: 5 * PART_LEN + 5, ..file("/film.mkv", time) }),
                    digest: Some(digest),
                    known: false,
                },
            ),
        ),
        sample("body-end", Numbered::new(9, BodyPart::End { digest })),
        sample("body-abort", Numbered::new(9, BodyPart::Abort(cancelled))),
        sample("fault", Numbered::new(5, Reply::Fault(not_found))),
        sample("fault-connection", Numbered::new(0, Reply::Fault(no_frame))),
    ]
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    fs::read_to_string(root().join("../../PROTOCOL.md")).expect("PROTOCOL.md stands at the root of the repository")
}

fn encode(frame: Frame) -> BytesMut {
    let mut stream = BytesMut::new();
    FrameCodec::new().encode(frame, &mut stream).expect("within the limits");
    stream
}

fn spaced_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn golden_files_are_what_travels() {
    let mut expected_files = BTreeSet::new();
    for Sample { name, json } in samples() {
        let frame = Frame::Message(Bytes::from(json.clone()));
        let mut stream = encode(frame.clone());
        let text = format!("{}\n{json}\n", spaced_hex(&stream[..4]));
        assert_eq!(&stream[4..], json.as_bytes());
        assert_eq!(FrameCodec::new().decode(&mut stream).expect("a frame"), Some(frame));

        let file = root().join("golden").join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &text).expect("the golden file can be written");
        }
        let golden = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(golden, text, "{} differs; UPDATE_GOLDEN=1 rewrites it", file.display());
        expected_files.insert(file);
    }
    let files: BTreeSet<PathBuf> =
        fs::read_dir(root().join("golden")).expect("a directory").map(|file| file.expect("a file").path()).collect();
    assert_eq!(files, expected_files, "a golden file without a sample, or a sample without its file");
}

#[test]
fn every_message_of_the_document_is_a_sample_and_every_sample_is_in_the_document() {
    let document = document();
    let documented: BTreeSet<&str> = document
        .split("```json\n")
        .skip(1)
        .flat_map(|rest| rest.split("```").next().unwrap_or_default().lines())
        .collect();
    let samples = samples();
    let known: BTreeSet<&str> = samples.iter().map(|sample| sample.json.as_str()).collect();
    assert_eq!(documented, known);
}

#[test]
fn the_table_of_faults_is_the_closed_list() {
    let rows: Vec<String> = FaultCode::ALL
        .iter()
        .map(|code| {
            let retry = if code.is_worth_a_retry() { "yes" } else { "no" };
            format!("| `{code}` | {} | {retry} | {} |", code.meaning(), code.exit_code())
        })
        .collect();
    let document = document();
    let table: Vec<&str> = document
        .lines()
        .skip_while(|line| !line.starts_with("| code | meaning |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(table, rows);
}

#[test]
fn the_session_byte_by_byte_is_true() {
    let document = document();
    let data = spaced_hex(&encode(Frame::Data(Bytes::from_static(b"hello"))));
    let whoami = serde_json::to_vec(&Numbered::new(2, Request::Whoami)).expect("JSON");
    let message = spaced_hex(&encode(Frame::Message(whoami.into())));
    for bytes in [data, message] {
        assert!(document.contains(&bytes), "PROTOCOL.md, section 9, should have {bytes}");
    }
}

#[test]
fn limits_in_the_document_are_those_of_the_code() {
    use netdisk_protocol::limits::*;
    let document = document();
    for (row, limit) in [
        ("payload before login", STRANGER_FRAME_LEN_MAX),
        ("message after login", MESSAGE_LEN_MAX),
        ("file bytes in a frame (its payload is one byte longer)", DATA_LEN_MAX),
    ] {
        let with_commas = limit
            .to_string()
            .as_bytes()
            .rchunks(3)
            .rev()
            .map(|group| std::str::from_utf8(group).expect("digits"))
            .collect::<Vec<_>>()
            .join(",");
        assert!(document.contains(&format!("| {row} | {with_commas} |")), "{row}: {with_commas}");
    }
}
