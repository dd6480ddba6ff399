//! Grades a client: runs its commands against a mini server that is odd in one way, allowed or not.
//!
//! The client is a command line that takes `--server HOST:PORT --plaintext --user NAME` and then one of `register`,
//! `ls PATH`, `put LOCAL REMOTE` and `get REMOTE LOCAL`, with the password in `NETDISK_PASSWORD`; it exits with 0 when,
//! and only when, all was done.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::peer::{PASSWORD, content, ensure};
use super::{Check, Graded, LEVELS, Report, Seen};
use crate::LabError;
use crate::limits::CLIENT_OUTPUT_LEN_MAX;
use crate::mini::{MiniServer, MiniStore, Quirk};

/// Which client, and how.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The command line, for the shell.
    pub command: String,
    /// The highest level to grade.
    pub level_max: u8,
    /// The only case to run.
    pub only: Option<String>,
    /// How long one command may take.
    pub patience: Duration,
}

/// What a client must do.
#[derive(Debug, Clone, Copy)]
enum Due {
    /// List, put and get work, and every byte arrives.
    Works,
    /// The same, and files of several frames do, too.
    WorksAtLength,
    /// A name can be registered once.
    Registers,
    /// A wrong password is a failure.
    IsRefused,
    /// `get` of what is missing is a failure.
    MissingFails,
    /// `ls` shows every name.
    ListsAll,
    /// `ls` is a failure.
    ListFails,
    /// `get` is a failure, and leaves no file under the name.
    GetFails,
    /// `put` is a failure.
    PutFails,
}

/// A way of being odd, and what is due then.
struct ClientCase {
    level: u8,
    name: &'static str,
    quirk: Option<Quirk>,
    due: Due,
    teaches: &'static str,
}

macro_rules! client_cases {
    ($($level:literal $name:literal $quirk:expr, $due:ident: $teaches:literal;)*) => {
        &[$(ClientCase { level: $level, name: $name, quirk: $quirk, due: Due::$due, teaches: $teaches }),*]
    };
}

const CASES: &[ClientCase] = client_cases! {
    1 "plain-server" None, WorksAtLength: "A frame is 4 bytes of length, the highest first, and then so many bytes.";
    1 "dripping-server" Some(Quirk::Drips), Works: "A read brings at least one byte and promises no more: repeat it until the length is there.";
    1 "headers-split-1-3" Some(Quirk::SplitsHeaders), Works: "Even four bytes can come in two reads: headers need the loop, too.";
    1 "merging-server" Some(Quirk::Merges), Works: "One read may bring ready, file bytes and the end: keep what is behind the first frame.";
    1 "heartbeats" Some(Quirk::Heartbeats), Works: "A frame of length 0 is a heartbeat, allowed between any two frames, also inside a body: skip it.";
    2 "unknown-fields" Some(Quirk::AddsFields), Works: "A receiver ignores fields that it does not know: so a later version can add some.";
    2 "register-once" None, Registers: "A fault is a failure, and a failure has an exit code that is not 0.";
    2 "wrong-password" None, IsRefused: "A refused login is a failure, and whoever reads the exit code must learn of it.";
    3 "small-listings" Some(Quirk::SmallListings), ListsAll: "Any number of entries messages may come: go on until the end.";
    3 "missing-file" None, MissingFails: "A fault in place of ready means that no body comes; the command has failed.";
    3 "unknown-fault-code" Some(Quirk::UnknownFaults), MissingFails: "A code that is not in the list is a failure like any other.";
    3 "wrong-count" Some(Quirk::Miscounts), ListFails: "The count at the end is there to be compared: a part is not the whole.";
    3 "answer-to-another" Some(Quirk::AnswersOthers), ListFails: "A reply to another request than the one asked is no reply: close.";
    4 "small-data-frames" Some(Quirk::SmallDataFrames), Works: "How a body is cut into frames is the sender's affair; a data frame may even be empty.";
    4 "aborted-upload" Some(Quirk::AbortsUploads), PutFails: "An abort from the receiver is followed by the fault: the upload has failed.";
    4 "aborted-download" Some(Quirk::AbortsDownloads), GetFails: "A body that ends with abort is not a file; what came must not get its name.";
    4 "cut-download" Some(Quirk::CutsDownloads), GetFails: "A body that ends with the connection is never a success.";
    4 "wrong-digest" Some(Quirk::LiesAboutDigests), GetFails: "Compare the digest with your own before the file gets its name.";
    5 "huge-length" Some(Quirk::AnnouncesHugeFrames), ListFails: "A server can lie, too: compare a length with the limit before you reserve it, and close.";
    5 "no-frame" Some(Quirk::AnswersGarbage), ListFails: "A payload that begins with neither a brace nor a zero byte is no frame: close.";
};

/// Grades a client.
///
/// # Errors
/// When the grader's own server or folder fails; not when the client does.
pub async fn grade_client(options: &ClientOptions) -> Result<Report, LabError> {
    let mut report = Report::default();
    // Whoever can do nothing fails everything, and must not be praised for it.
    let plain = Scene::new(None, options).await?;
    let inability = plain.check_lists().await.err();
    plain.stop.cancel();
    for case in CASES {
        let is_wanted = options.only.as_deref().is_none_or(|only| only == case.name);
        if case.level <= options.level_max && is_wanted {
            let began = Instant::now();
            let scene = Scene::new(case.quirk, options).await?;
            let problem = match &inability {
                Some(seen) => Some(format!("with a server that is in order: {seen}")),
                None => scene.check(case.due).await.err(),
            };
            scene.stop.cancel();
            let (level, about) = (case.level, LEVELS[usize::from(case.level) - 1]);
            let (name, teaches) = (case.name, case.teaches);
            report.cases.push(Graded { level, about, name, teaches, problem, took: began.elapsed() });
        }
    }
    Ok(report)
}

/// A file of two data frames at the least.
const LEN: usize = 300_001;
/// Enough to be cut in many ways, and little enough for an interpreter that hashes by hand.
const SHORT_LEN: usize = 10_007;

/// A mini server and a folder for the client.
struct Scene<'a> {
    address: String,
    store: MiniStore,
    folder: TempDir,
    options: &'a ClientOptions,
    stop: CancellationToken,
}

impl<'a> Scene<'a> {
    async fn new(quirk: Option<Quirk>, options: &'a ClientOptions) -> Result<Self, LabError> {
        let server = MiniServer::bind(quirk).await?;
        let (address, store, stop) = (server.local_addr()?.to_string(), server.store(), CancellationToken::new());
        let files: &[(&str, &[u8])] =
            &[("/f", &content(LEN)), ("/short", &content(SHORT_LEN)), ("/empty", b""), ("/夏天.txt", b"hello")];
        store.add("alice", PASSWORD, files);
        tokio::spawn(server.run(stop.clone()));
        Ok(Self { address, store, folder: tempfile::tempdir()?, options, stop })
    }

    /// A local file. Its path is absolute, because the client runs where the person is: its own path may be relative.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn local(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    async fn run(&self, user: &str, args: &[&str]) -> Seen<Output> {
        self.run_as(user, PASSWORD, args).await
    }

    async fn run_as(&self, user: &str, password: &str, args: &[&str]) -> Seen<Output> {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("exec {} \"$@\"", self.options.command))
            .args(["client", "--server", &self.address, "--plaintext", "--user", user])
            .args(args)
            .env("NETDISK_HOME", self.path("config"))
            .env("NETDISK_PASSWORD", password)
            .env_remove("NETDISK_SERVER")
            .env_remove("NETDISK_USER")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        match timeout(self.options.patience, output_of(command)).await {
            Err(_) => Err(format!("`{}` was not done within {} s", args.join(" "), self.options.patience.as_secs())),
            Ok(output) => output.map_err(|error| format!("`{}`: {error}", args.join(" "))),
        }
    }

    async fn succeeds(&self, args: &[&str]) -> Seen<String> {
        let output = self.run("alice", args).await?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure(output.status.success(), format!("`{}` failed ({}): {said}", args.join(" "), output.status))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn fails(&self, args: &[&str]) -> Check {
        let output = self.run("alice", args).await?;
        ensure(!output.status.success(), format!("`{}` exits with 0, as if all were well", args.join(" ")))?;
        // Killed by a signal: it crashed, which is no way to fail.
        ensure(output.status.code().is_some(), format!("`{}` crashed: {}", args.join(" "), output.status))
    }

    async fn check(&self, due: Due) -> Check {
        match due {
            Due::WorksAtLength => {
                self.check_get("/f", &content(LEN)).await?;
                self.check_put(LEN).await?;
                self.check_works().await
            }
            Due::Works => self.check_works().await,
            Due::Registers => self.check_registers().await,
            Due::IsRefused => {
                let output = self.run_as("alice", "a wrong horse", &["ls", "/"]).await?;
                ensure(!output.status.success(), "a wrong password, and `ls` exits with 0")
            }
            Due::MissingFails => {
                self.fails(&["get", "/missing", &self.local("local")]).await?;
                self.check_absent("local")
            }
            Due::ListsAll => self.check_lists().await,
            Due::ListFails => self.fails(&["ls", "/"]).await,
            Due::GetFails => {
                self.fails(&["get", "/f", &self.local("local")]).await?;
                self.check_absent("local")
            }
            Due::PutFails => {
                self.write("local", &content(LEN))?;
                self.fails(&["put", &self.local("local"), "/new"]).await
            }
        }
    }

    async fn check_works(&self) -> Check {
        self.check_lists().await?;
        for (remote, expected) in
            [("/short", content(SHORT_LEN)), ("/empty", Vec::new()), ("/夏天.txt", b"hello".to_vec())]
        {
            self.check_get(remote, &expected).await?;
        }
        for len in [0, 5, SHORT_LEN] {
            self.check_put(len).await?;
        }
        Ok(())
    }

    async fn check_get(&self, remote: &str, expected: &[u8]) -> Check {
        self.succeeds(&["get", remote, &self.local("back")]).await?;
        let back = std::fs::read(self.path("back")).map_err(|error| format!("`get {remote} back`: {error}"))?;
        ensure(back == expected, format!("{remote} has {} bytes, and {} others came", expected.len(), back.len()))?;
        std::fs::remove_file(self.path("back")).map_err(|error| error.to_string())
    }

    async fn check_put(&self, len: usize) -> Check {
        self.write("local", &content(len))?;
        self.succeeds(&["put", &self.local("local"), "/new"]).await?;
        let there = self.store.read("alice", "/new");
        ensure(there == Some(content(len)), format!("{len} bytes were put, and the server has others"))
    }

    async fn check_lists(&self) -> Check {
        let listed = self.succeeds(&["ls", "/"]).await?;
        for name in ["f", "short", "empty", "夏天.txt"] {
            ensure(listed.lines().any(|line| line.contains(name)), format!("`ls /` does not show {name}"))?;
        }
        Ok(())
    }

    async fn check_registers(&self) -> Check {
        let first = self.run("bob", &["register"]).await?;
        ensure(first.status.success(), format!("`register` failed: {}", String::from_utf8_lossy(&first.stderr)))?;
        let second = self.run("bob", &["register"]).await?;
        ensure(!second.status.success(), "the name is taken, and `register` exits with 0")
    }

    fn write(&self, name: &str, content: &[u8]) -> Check {
        std::fs::write(self.path(name), content).map_err(|error| error.to_string())
    }

    fn check_absent(&self, name: &str) -> Check {
        let stands = Path::exists(&self.path(name));
        ensure(!stands, format!("`get` failed, and still {name} stands there, whole to whoever looks"))
    }
}

/// Runs a command to its end and keeps what it says. Whoever says too much is stopped.
async fn output_of(mut command: Command) -> io::Result<Output> {
    let mut child = command.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::try_join!(heard(out), heard(err), child.wait())?;
    Ok(Output { status, stdout, stderr })
}

/// All that comes out of a pipe.
async fn heard(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    let Some(pipe) = pipe else { return Ok(said) };
    pipe.take(CLIENT_OUTPUT_LEN_MAX + 1).read_to_end(&mut said).await?;
    if said.len() as u64 > CLIENT_OUTPUT_LEN_MAX {
        return Err(io::Error::other(format!("it says more than {CLIENT_OUTPUT_LEN_MAX} bytes")));
    }
    Ok(said)
}
