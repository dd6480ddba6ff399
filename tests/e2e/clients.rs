//! The independent clients in Go and JavaScript, written from PROTOCOL.md alone: each reads what the other wrote.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::fixture::{PASSWORD, Program, Scene, ServerProcess, content};
use crate::toolchain;

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../clients");

/// The command line of the client in JavaScript, where there is a Node.js.
fn javascript() -> Option<Vec<String>> {
    toolchain::is_there("node", "NODE").then(|| vec!["node".to_owned(), format!("{CLIENTS}/javascript/netdisk.mjs")])
}

/// The command line of the client in Go, built once, where there is a Go.
fn go() -> Option<Vec<String>> {
    static BUILT: OnceLock<tempfile::TempDir> = OnceLock::new();
    toolchain::is_there("go", "GO").then(|| {
        let folder = BUILT.get_or_init(build_go);
        vec![folder.path().join("netdisk-go").to_str().expect("UTF-8").to_owned()]
    })
}

fn build_go() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let built = Command::new("go")
        .args(["build", "-buildvcs=false", "-o"])
        .arg(folder.path().join("netdisk-go"))
        .arg(".")
        .current_dir(Path::new(CLIENTS).join("go"))
        .env("GOPROXY", "off")
        .output()
        .expect("go runs");
    assert!(built.status.success(), "{built:?}");
    folder
}

fn run(client: &[String], program: &Program, args: &[&str]) -> Output {
    let mut command = Command::new(&client[0]);
    command.args(&client[1..]).args(["--server", program.server.as_deref().expect("a server")]).args(args);
    command.current_dir(program.folder.path()).env("NETDISK_PASSWORD", PASSWORD).env_remove("NETDISK_USER");
    command.output().expect("it runs")
}

/// Files of all lengths that matter go there and back, over TLS.
fn exchanges_files(client: &[String]) {
    let scene = Scene::new();
    let (program, server) = (&scene.program, &scene.server);
    let trust = ["--fingerprint", server.fingerprint.as_deref().expect("TLS"), "--user", "alice"];
    let theirs = |args: &[&str]| {
        let output = run(client, program, &[&trust, args].concat());
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    // One byte, a chunk of the hash and one more, several chunks, a full data frame and one byte more.
    for (number, size) in [0, 1, 1024, 1025, 5000, 262_144, 262_145].into_iter().enumerate() {
        let name = format!("夏天 [{number}]");
        program.write(&name, &content(size));
        program.ok(&["put", &name]);
        theirs(&["get", &name, "there"]);
        assert!(program.read("there") == content(size), "{size}");
        std::fs::remove_file(program.path("there")).expect("removed");
        program.write(&name, &content(size + 1));
        theirs(&["put", &name]);
        program.ok(&["get", &name, "here", "--existing", "overwrite"]);
        assert!(program.read("here") == content(size + 1), "{size}");
    }
    assert_eq!(theirs(&["ls"]), program.ok(&["ls"]));
    let wrong = "0".repeat(64);
    let output = run(client, program, &["--fingerprint", &wrong, "--user", "alice", "ls"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}

/// Refusals have the exit codes of the README, over plaintext.
fn understands_refusals(client: &[String]) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut program = Program::new();
    let server = ServerProcess::start(&program, data.path(), &["--plaintext"]);
    program.server = Some(server.address.clone());
    program.write("f", b"hello");
    for (args, code) in [
        (&["register"][..], 0),
        (&["login"], 0),
        (&["register"], 7),
        (&["put", "f"], 0),
        (&["put", "f", "no/f"], 6),
        (&["put", "no such file"], 6),
        (&["get", "missing"], 6),
        (&["get", "../other"], 2),
        (&["get", "f"], 7),
        (&["frobnicate"], 2),
    ] {
        let output = run(client, &program, &[&["--plaintext", "--user", "bob"], args].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    }
    assert_eq!(run(client, &program, &["--plaintext", "--user", "nobody", "ls"]).status.code(), Some(4));
    server.terminate();
    assert!(server.wait().success());
    assert_eq!(run(client, &program, &["--plaintext", "--user", "bob", "ls"]).status.code(), Some(3));
}

fn passes_the_grader(client: &[String]) {
    let report = Program::new().run(&["lab", "grade", "--client", &client.join(" ")]);
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(report.status.success() && text.ends_with("20 of 20 passed\n"), "{client:?}: {text}");
}

macro_rules! client_tests {
    ($($client:ident)*) => {$(
        mod $client {
            #[test]
            fn exchanges_files_with_our_client() {
                if let Some(client) = super::$client() {
                    super::exchanges_files(&client);
                }
            }

            #[test]
            fn understands_refusals() {
                if let Some(client) = super::$client() {
                    super::understands_refusals(&client);
                }
            }

            #[test]
            fn passes_the_grader() {
                if let Some(client) = super::$client() {
                    super::passes_the_grader(&client);
                }
            }
        }
    )*};
}
client_tests! { go javascript }
