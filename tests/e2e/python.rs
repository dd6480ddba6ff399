//! The independent client, written from PROTOCOL.md alone: each reads what the other wrote.

use std::process::{Command, Output};

use crate::fixture::{PASSWORD, Program, Scene, ServerProcess, content};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../clients/python/netdisk.py");

/// Whether there is a Python; where the tests must not skip, its absence fails them.
fn python_is_there() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        let required = std::env::var_os("NETDISK_TESTS_REQUIRE_PYTHON").is_some();
        assert!(!required, "python3 is required here and missing");
        eprintln!("SKIPPED: there is no python3");
    }
    there
}

fn python(program: &Program, args: &[&str]) -> Output {
    let mut command = Command::new("python3");
    command.arg(CLIENT).args(["--server", program.server.as_deref().expect("a server")]).args(args);
    command.current_dir(program.folder.path()).env("NETDISK_PASSWORD", PASSWORD).env_remove("NETDISK_USER");
    command.output().expect("python runs")
}

#[track_caller]
fn python_ok(program: &Program, args: &[&str]) -> String {
    let output = python(program, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn each_client_reads_what_the_other_wrote_over_tls() {
    if !python_is_there() {
        return;
    }
    let scene = Scene::new();
    let (program, server) = (&scene.program, &scene.server);
    let trust = ["--fingerprint", server.fingerprint.as_deref().expect("TLS"), "--user", "alice"];
    let python = |args: &[&str]| python_ok(program, &[&trust, args].concat());

    for (number, size) in [0, 1, 1024, 300_000].into_iter().enumerate() {
        let name = format!("夏天 [{number}]");
        program.write(&name, &content(size));
        // From here, read there.
        program.ok(&["put", &name]);
        python(&["get", &name, "there"]);
        assert!(program.read("there") == content(size), "{size}");
        std::fs::remove_file(program.path("there")).expect("removed");
        // From there, read here; over what stands.
        program.write(&name, &content(size + 1));
        python(&["put", &name]);
        program.ok(&["get", &name, "here", "--existing", "overwrite"]);
        assert!(program.read("here") == content(size + 1), "{size}");
    }
    assert_eq!(python(&["ls"]), program.ok(&["ls"]));
}

#[test]
fn the_python_client_registers_over_plaintext_and_understands_refusals() {
    if !python_is_there() {
        return;
    }
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut program = Program::new();
    let server = ServerProcess::start(&program, data.path(), &["--plaintext"]);
    program.server = Some(server.address.clone());
    let bob = |args: &[&str]| python(&program, &[&["--plaintext", "--user", "bob"], args].concat());

    assert!(bob(&["register"]).status.success());
    assert!(bob(&["login"]).status.success());
    assert_eq!(bob(&["register"]).status.code(), Some(7), "the name is taken");
    program.write("f", b"hello");
    assert!(bob(&["put", "f"]).status.success());
    assert_eq!(bob(&["put", "f", "no/f"]).status.code(), Some(6), "no such directory");
    assert_eq!(bob(&["get", "missing"]).status.code(), Some(6));
    assert_eq!(bob(&["get", "../other"]).status.code(), Some(2));
    assert_eq!(bob(&["get", "f"]).status.code(), Some(7), "a local file is not overwritten");
    assert_eq!(python(&program, &["--plaintext", "--user", "nobody", "ls"]).status.code(), Some(4));
}

#[test]
fn the_python_client_stops_at_another_key() {
    if !python_is_there() {
        return;
    }
    let scene = Scene::new();
    let program = &scene.program;
    let wrong = "0".repeat(64);
    let output = python(program, &["--fingerprint", &wrong, "--user", "alice", "ls"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}

#[test]
fn the_python_client_stays_small() {
    let lines = std::fs::read_to_string(CLIENT).expect("there").lines().count();
    assert!(lines <= 200, "{lines} lines");
}
