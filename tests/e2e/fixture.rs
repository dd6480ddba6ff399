//! What the tests stand on: a server in this process, and the program as processes.

use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use netdisk_client::{Client, Trust, dial};
use netdisk_model::{Password, RemotePath};
use netdisk_server::{Identity, Limits, Registration, Server};
use netdisk_storage::DiskStore;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PASSWORD: &str = "correct horse";

/// How long a line of a process may take: far more than any needs.
const LINE_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn path(text: &str) -> RemotePath {
    text.parse().expect("a path")
}

/// A server in this process, on a free port, over a temporary store.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) trust: Trust,
    pub(crate) data: TempDir,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl TestServer {
    pub(crate) async fn tls() -> Self {
        Self::start(true, Registration::Open).await
    }

    pub(crate) async fn plaintext() -> Self {
        Self::start(false, Registration::Open).await
    }

    pub(crate) async fn start(tls: bool, registration: Registration) -> Self {
        Self::start_with(tls, registration, &Limits::default()).await
    }

    pub(crate) async fn start_with(tls: bool, registration: Registration, limits: &Limits) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let store = DiskStore::open(data.path()).expect("a store");
        let identity = tls.then(|| Identity::load_or_make(&data.path().join("identity")).expect("an identity"));
        let trust = identity.as_ref().map_or(Trust::Plaintext, |identity| Trust::Pinned(identity.fingerprint()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let server = Server::new(Arc::new(store), identity, registration).with_limits(limits);
        let serving = tokio::spawn(server.run(listener, shutdown.clone()));
        Self { address, trust, data, shutdown, serving }
    }

    /// A client of a new account.
    pub(crate) async fn register(&self, user: &str) -> Client {
        let door = dial(&self.address.to_string().parse().expect("an endpoint"), &self.trust).await.expect("a door");
        let user = user.parse().expect("a name");
        door.register(&user, Password::new(PASSWORD), false).await.expect("a new account")
    }

    pub(crate) fn files(&self, user: &str) -> PathBuf {
        self.data.path().join("homes").join(user).join("files")
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.expect("the server stops properly");
    }
}

/// The program with a configuration folder and a working directory of its own.
pub(crate) struct Program {
    pub(crate) folder: TempDir,
    pub(crate) server: Option<String>,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary directory"), server: None }
    }

    /// A second person on the same machine.
    pub(crate) fn for_server(server: &ServerProcess) -> Self {
        Self { server: Some(server.address.clone()), ..Self::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).expect("written");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netdisk-under-test"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("NETDISK_HOME", self.folder.path().join("config"))
            .env("NETDISK_PASSWORD", PASSWORD)
            .env_remove("NETDISK_USER")
            .env_remove("NETDISK_SERVER")
            .stdin(Stdio::null());
        if let Some(server) = &self.server {
            command.env("NETDISK_SERVER", server);
        }
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program runs")
    }

    /// Runs with something on standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut stdin = child.stdin.take().expect("piped");
        std::thread::scope(|scope| {
            // A program that leaves early does not read all of it.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().expect("the program ends")
        })
    }

    /// Runs and must succeed; gives standard output.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs and must fail with this exit code; gives standard error.
    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(text.starts_with("netdisk: ") || code == 2, "{text}");
        text
    }
}

/// `netdisk serve` as a process.
pub(crate) struct ServerProcess {
    pub(crate) address: String,
    pub(crate) fingerprint: Option<String>,
    child: Child,
}

impl ServerProcess {
    pub(crate) fn start(program: &Program, data: &Path, options: &[&str]) -> Self {
        let data = data.to_str().expect("UTF-8");
        let command = program.command(&[&["serve", "--listen", "127.0.0.1:0", "--data", data], options].concat());
        Self::spawn(command, !options.contains(&"--plaintext"))
    }

    /// Where an earlier one listened.
    pub(crate) fn start_at(program: &Program, data: &Path, address: &str) -> Self {
        let data = data.to_str().expect("UTF-8");
        Self::spawn(program.command(&["serve", "--listen", address, "--data", data]), true)
    }

    /// With a limit of descriptors for its process.
    pub(crate) fn start_with_descriptors(program: &Program, data: &Path, descriptors: u32) -> Self {
        let serve = program.command(&["serve", "--listen", "127.0.0.1:0", "--data"]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")]);
        command.arg(serve.get_program()).args(serve.get_args()).arg(data);
        Self::spawn(command, true)
    }

    fn spawn(command: Command, tls: bool) -> Self {
        Self::spawn_logging(command, tls, "warn")
    }

    /// With a level of its log.
    pub(crate) fn spawn_with_log(command: Command, level: &str) -> Self {
        Self::spawn_logging(command, true, level)
    }

    fn spawn_logging(mut command: Command, tls: bool, level: &str) -> Self {
        let spawned = command.env("NETDISK_LOG", level).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut value_of = |key: &str| {
            let line = lines.next().expect("a line").expect("UTF-8");
            line.strip_prefix(key).unwrap_or_else(|| panic!("{line:?} should begin with {key:?}")).to_owned()
        };
        let address = value_of("listening on ");
        let fingerprint = tls.then(|| value_of("fingerprint "));
        Self { address, fingerprint, child }
    }

    /// What it logs, where it was piped.
    pub(crate) fn take_stderr(&mut self) -> std::process::ChildStderr {
        self.child.stderr.take().expect("piped")
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Ends it as `kill -9` does; it holds the store no more when this returns.
    pub(crate) fn kill_and_wait(&self) {
        self.signal(rustix::process::Signal::KILL);
        // Not until the last of its threads is gone is it said to have exited; it stays to be waited for.
        let exited = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(self.pid()), exited).expect("a child");
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("it runs");
    }

    pub(crate) fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Ended already where a test waited for it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A process that prints where it listens, and then lines: a part of the lab, or somebody else's program.
pub(crate) struct Listening {
    pub(crate) address: String,
    lines: Receiver<String>,
    child: Child,
}

impl Listening {
    pub(crate) fn start(program: &Program, args: &[&str]) -> Self {
        let mut command = program.command(args);
        command.stderr(Stdio::null());
        Self::of(command)
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (send, lines) = mpsc::channel();
        // Ends with the process, or with whoever waits for its lines.
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let line = lines.recv_timeout(LINE_TIMEOUT).expect("a line");
        let address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { address, lines, child }
    }

    /// The next line on standard output.
    pub(crate) fn line(&mut self) -> String {
        self.lines.recv_timeout(LINE_TIMEOUT).expect("a line")
    }

    /// Stops it and gives what it said on standard error, where that was piped.
    pub(crate) fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let mut text = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut text).expect("UTF-8");
        assert!(self.child.wait().expect("it ends").success());
        text
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Ended already where a test waited for it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A server process over TLS and a program that knows it and is registered.
pub(crate) struct Scene {
    pub(crate) program: Program,
    pub(crate) server: ServerProcess,
    /// Outlives the server.
    pub(crate) data: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut program = Program::new();
        let server = ServerProcess::start(&program, data.path(), &[]);
        program.server = Some(server.address.clone());
        program.ok(&["register", "alice", "--accept-new"]);
        Self { program, server, data }
    }
}

/// Bytes that do not repeat with any power of two.
pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at * 7 + at / 251) % 251).expect("below 251")).collect()
}
