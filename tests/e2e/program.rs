//! The program as a script sees it: output, exit codes, first contact.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use netdisk_model::Digest;
use serde_json::Value;

use crate::fixture::{PASSWORD, Program, Scene, ServerProcess, content};

/// Spaces, brackets, quotes, Chinese, an emoji, a leading dash, a glob.
const NAMES: &[&str] = &["a b", "[x] (1)", "it's \"here\"", "夏天 文件.txt", "🎉", "*?", "$HOME"];

#[test]
fn the_tour_plays_where_there_is_no_terminal() {
    let program = Program::new();
    let text = program.ok(&["try"]);
    for step in ["register", "put", "overwrite", "ls", "get", "digests   equal"] {
        assert!(text.lines().any(|line| line.starts_with(step)), "{step} in {text}");
    }
    assert!(!program.path("data").exists(), "the tour leaves nothing behind");
}

#[test]
fn a_session_from_register_to_logout() {
    let scene = Scene::new();
    let program = &scene.program;
    assert_eq!(program.ok(&["whoami"]), "alice\n");
    assert_eq!(program.ok(&["ls"]), "");
    program.write("a.txt", b"first");
    assert!(program.ok(&["put", "a.txt"]).starts_with("stored /a.txt"));
    program.write("a.txt", b"second");
    program.ok(&["put", "a.txt"]);
    assert_eq!(program.ok(&["ls"]), "a.txt\n");
    assert_eq!(program.ok(&["cat", "a.txt"]), "second");
    assert!(program.ok(&["get", "a.txt", "back.txt"]).starts_with("received back.txt"));
    assert_eq!(program.read("back.txt"), b"second");

    program.ok(&["mkdir", "docs", "docs/old"]);
    program.ok(&["mv", "a.txt", "docs"]);
    assert_eq!(program.ok(&["ls", "docs"]), "a.txt\nold/\n");
    assert_eq!(program.ok(&["ls", "-R"]), "docs/\ndocs/a.txt\ndocs/old/\n");
    assert_eq!(program.ok(&["ls", "docs/a.txt"]), "a.txt\n");
    assert!(program.ok(&["ls", "-l", "--bytes", "docs"]).contains("              6 20"));
    assert!(program.ok(&["stat", "docs/a.txt"]).contains("size      6"));
    program.fails(&["rm", "docs"], 7);
    program.ok(&["rm", "-r", "docs"]);
    assert_eq!(program.ok(&["ls"]), "");

    program.ok(&["logout"]);
    assert!(program.fails(&["ls"], 4).contains("not logged in"));
    program.ok(&["login", "alice"]);
    program.ok(&["ls"]);
}

#[test]
fn several_paths_and_directories_as_targets() {
    let scene = Scene::new();
    let program = &scene.program;
    for name in ["a", "b", "c"] {
        program.write(name, name.as_bytes());
    }
    program.ok(&["mkdir", "d"]);
    program.ok(&["put", "a", "b", "d"]);
    program.ok(&["put", "c", "d/renamed"]);
    assert_eq!(program.ok(&["ls", "d"]), "a\nb\nrenamed\n");
    std::fs::create_dir(program.path("into")).expect("made");
    program.ok(&["get", "d/a", "d/renamed", "into"]);
    assert_eq!((program.read("into/a"), program.read("into/renamed")), (b"a".to_vec(), b"c".to_vec()));

    // One of several is missing: the others go on, the exit code says so.
    let text = program.fails(&["put", "a", "missing", "b", "d/"], 9);
    assert!(text.contains("missing") && text.contains("1 of 3 failed"), "{text}");
    let text = program.fails(&["rm", "d/a", "d/missing", "d/b"], 9);
    assert!(text.contains("/d/missing"), "{text}");
    assert_eq!(program.ok(&["ls", "d"]), "renamed\n");
}

#[test]
fn names_of_all_kinds_travel_both_ways() {
    let scene = Scene::new();
    let program = &scene.program;
    for name in NAMES {
        program.write(name, name.as_bytes());
        program.ok(&["put", name]);
        program.ok(&["get", name, "back", "--existing", "overwrite"]);
        assert_eq!(program.read("back"), name.as_bytes());
    }
    let mut sorted: Vec<String> = NAMES.iter().map(|name| format!("{name}\n")).collect();
    sorted.sort();
    assert_eq!(program.ok(&["ls"]), sorted.concat());
}

#[test]
fn streams_of_unknown_length_travel_both_ways() {
    let scene = Scene::new();
    let program = &scene.program;
    let content = content(1_000_000);
    let output = program.run_with(&["put", "-", "stream"], &content);
    assert!(output.status.success(), "{output:?}");
    let output = program.run(&["get", "stream", "-"]);
    assert!(output.status.success() && output.stdout == content);
    program.fails(&["put", "-"], 2);
}

#[test]
fn missing_things_are_named() {
    let scene = Scene::new();
    let program = &scene.program;
    assert!(program.fails(&["put", "no such file"], 6).contains("no such file"));
    for command in ["get", "cat", "stat", "rm", "ls"] {
        let text = program.fails(&[command, "no such file"], 6);
        assert!(text.contains("/no such file"), "{command}: {text}");
    }
    program.write("f", b"");
    assert!(program.fails(&["put", "f", "no/f"], 6).contains("/no: no such"));
    assert!(program.fails(&["mkdir", "no/d"], 6).contains("/no: no such"));
    assert!(!program.path("no such file.part").exists());
}

#[test]
fn bad_input_has_its_exit_code() {
    let scene = Scene::new();
    let program = &scene.program;
    assert!(program.fails(&["get", "../../etc/passwd"], 2).contains("leads out of the home"));
    program.fails(&["ls", "a\\b"], 2);
    program.fails(&["register", "Bad Name"], 2);
    program.fails(&["frobnicate"], 2);
    program.fails(&["put"], 2);
    program.fails(&["mkdir", "d", "--no-such-option"], 2);
    program.fails(&["serve", "--user", "alice"], 2);
    assert!(program.fails(&["register", "alice"], 7).contains("exists"));

    // Wrong password and unknown user: the same line.
    let refused = |user: &str| {
        let output =
            program.command(&["login", user]).env("NETDISK_PASSWORD", "wrong horse").output().expect("it runs");
        assert_eq!(output.status.code(), Some(4));
        output.stderr
    };
    assert_eq!(refused("alice"), refused("nobody"));

    let output = program.command(&["register", "bob"]).env("NETDISK_PASSWORD", "short").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_stands_locally_is_not_touched_unasked() {
    let scene = Scene::new();
    let program = &scene.program;
    program.write("f", b"there");
    program.ok(&["put", "f"]);
    program.write("f", b"here");
    assert!(program.fails(&["get", "f"], 7).contains("--existing"));
    program.ok(&["get", "f", "--existing", "skip"]);
    assert_eq!(program.read("f"), b"here");
    // The one here was written later.
    program.ok(&["get", "f", "--existing", "newer"]);
    assert_eq!(program.read("f"), b"here");
    program.ok(&["get", "f", "--existing", "rename"]);
    assert_eq!((program.read("f"), program.read("f (1)")), (b"here".to_vec(), b"there".to_vec()));
    program.ok(&["get", "f", "--existing", "overwrite"]);
    assert_eq!(program.read("f"), b"there");

    program.write("f", b"newer");
    program.ok(&["put", "f", "--existing", "skip"]);
    assert_eq!(program.ok(&["cat", "f"]), "there");
    program.ok(&["put", "f", "--existing", "rename"]);
    assert_eq!(program.ok(&["cat", "f (1)"]), "newer");
    program.ok(&["put", "f", "--existing", "newer"]);
    assert_eq!(program.ok(&["cat", "f"]), "newer");
    program.ok(&["mv", "-f", "f (1)", "f"]);
    program.write("g", b"g");
    program.ok(&["put", "g"]);
    assert!(program.fails(&["mv", "g", "f"], 7).contains("/f"));
}

#[test]
fn a_server_that_is_not_there_is_said_in_time() {
    let mut program = Program::new();
    // Nobody listens: the port was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    program.server = Some(free.to_string());
    assert!(program.fails(&["ls"], 3).contains(&free.to_string()));
    // Somebody listens and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    program.server = Some(silent.local_addr().expect("an address").to_string());
    let began = Instant::now();
    program.fails(&["ls"], 3);
    program.fails(&["ls", "--plaintext"], 3);
    assert!(began.elapsed() < Duration::from_secs(20), "within ten seconds each");
}

#[test]
fn an_unknown_server_is_trusted_only_when_told_and_a_changed_one_never() {
    let Scene { program: _program, server, data } = Scene::new();
    let stranger = Program::for_server(&server);
    let fingerprint = server.fingerprint.clone().expect("TLS");
    assert!(stranger.fails(&["login", "alice"], 5).contains(&fingerprint));
    let wrong = format!("sha256:{}", "0".repeat(64));
    stranger.fails(&["login", "alice", "--fingerprint", &wrong], 5);
    stranger.ok(&["login", "alice", "--fingerprint", &fingerprint]);
    // It is remembered now.
    stranger.ok(&["ls"]);
    stranger.fails(&["ls", "--fingerprint", &wrong], 5);

    let pins = stranger.path("config/pins.json");
    let changed = std::fs::read_to_string(&pins).expect("there").replace(&fingerprint, &wrong);
    std::fs::write(&pins, changed).expect("written");
    assert!(stranger.fails(&["ls"], 5).contains("ANOTHER KEY"));
    stranger.fails(&["ls", "--accept-new"], 5);

    // A server that was restarted has kept its key.
    drop(server);
    let again = ServerProcess::start(&stranger, data.path(), &[]);
    assert_eq!(again.fingerprint, Some(fingerprint));
}

#[test]
fn plaintext_is_spoken_only_when_both_sides_say_so() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut program = Program::new();
    let plain = ServerProcess::start(&program, data.path(), &["--plaintext"]);
    program.server = Some(plain.address.clone());
    program.ok(&["register", "alice", "--plaintext"]);
    assert_eq!(program.ok(&["whoami", "--plaintext"]), "alice\n");
    assert!(program.fails(&["ls", "--accept-new"], 3).contains("--plaintext"));
    let scene = Scene::new();
    let program = &scene.program;
    program.fails(&["ls", "--plaintext"], 3);
}

#[test]
fn scripts_get_one_object_a_line() {
    let scene = Scene::new();
    let program = &scene.program;
    program.write("f", b"hello");
    let lines = |text: String| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    };
    let events = lines(program.ok(&["put", "f", "--json"]));
    let done = events.last().expect("an event");
    assert_eq!((&done["event"], &done["size"]), (&"done".into(), &5.into()));
    assert_eq!(done["digest"], Digest::of(b"hello").to_string());
    let events = lines(program.ok(&["ls", "--json"]));
    assert_eq!((&events[0]["event"], &events[0]["path"]), (&"entry".into(), &"/f".into()));
    let output = program.run(&["get", "missing", "--json"]);
    assert_eq!(output.status.code(), Some(6));
    let events = lines(String::from_utf8(output.stdout).expect("UTF-8"));
    let error = events.last().expect("an event");
    assert_eq!((&error["event"], &error["code"], &error["exit"]), (&"error".into(), &"not_found".into(), &6.into()));
    assert_eq!(program.ok(&["put", "f", "--quiet"]), "");
}

#[test]
fn passwords_come_from_a_file_too() {
    let scene = Scene::new();
    let program = &scene.program;
    program.write("password", format!("{PASSWORD}\n").as_bytes());
    let run = |args: &[&str], input: &str| {
        let mut command = program.command(args);
        command.env_remove("NETDISK_PASSWORD");
        if !input.is_empty() {
            return program.run_with(args, input.as_bytes());
        }
        command.output().expect("it runs")
    };
    assert!(run(&["login", "alice", "--password-file", "password"], "").status.success());
    assert!(run(&["login", "alice", "--password-file", "-"], &format!("{PASSWORD}\n")).status.success());
    assert_eq!(run(&["login", "alice"], "").status.code(), Some(4), "no terminal, no password");
    assert_eq!(run(&["login", "alice", "--password-file", "missing"], "").status.code(), Some(6));
}

#[test]
fn profiles_are_apart() {
    let scene = Scene::new();
    let program = &scene.program;
    program.fails(&["whoami", "--profile", "other"], 5);
    program.ok(&["register", "bob", "--profile", "other", "--accept-new"]);
    assert_eq!(program.ok(&["whoami", "--profile", "other"]), "bob\n");
    assert_eq!(program.ok(&["whoami"]), "alice\n");
    program.fails(&["whoami", "--profile", "../x"], 2);
}

#[test]
fn what_is_in_force_is_explained() {
    let program = Program::new();
    program.write("netdisk.toml", b"listen = \"0.0.0.0:9000\"\n");
    let text = program.ok(&["serve", "--config", "netdisk.toml", "--check"]);
    assert!(text.contains("0.0.0.0:9000") && text.contains("registration  closed"), "{text}");
    program.write("netdisk.toml", b"lisen = \"0.0.0.0:9000\"\n");
    assert!(program.fails(&["serve", "--config", "netdisk.toml", "--check"], 2).contains("lisen"));
}

#[test]
fn a_second_server_on_one_store_is_refused() {
    let scene = Scene::new();
    let (program, data) = (&scene.program, &scene.data);
    let data = data.path().to_str().expect("UTF-8");
    let text = program.fails(&["serve", "--listen", "127.0.0.1:0", "--data", data], 1);
    assert!(text.contains("another server uses this store"), "{text}");
}

#[test]
fn a_server_whose_output_nobody_reads_serves_all_the_same() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let program = Program::new();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let address = free.to_string();
    let mut server = program
        .command(&["serve", "--listen", &address, "--data", data.path().to_str().expect("UTF-8")])
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the server starts");
    // Its log says that it noticed, once it listens.
    let mut log = BufReader::new(server.stderr.take().expect("piped")).lines();
    let noticed = log.find(|line| line.as_ref().is_ok_and(|line| line.contains("standard output is closed")));
    assert!(noticed.is_some());
    program.ok(&["register", "alice", "--accept-new", "--server", &address]);
    server.kill().expect("it runs");
    server.wait().expect("it ends");
}

#[test]
fn what_cannot_be_printed_is_an_error_and_what_nobody_reads_is_none() {
    let scene = Scene::new();
    let program = &scene.program;
    for name in ["a", "b", "c"] {
        program.write(name, b"");
    }
    program.ok(&["mkdir", "d"]);
    // A reader that has gone: the work is done all the same.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = program.command(&["put", "a", "b", "c", "d/"]).stdout(writer).status().expect("it runs");
    assert_eq!(status.code(), Some(0));
    assert_eq!(program.ok(&["ls", "d"]), "a\nb\nc\n");
    // A full disk behind standard output.
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    assert_eq!(program.command(&["ls"]).stdout(full()).status().expect("it runs").code(), Some(1));
    let missing = program.command(&["stat", "missing", "--json"]).stdout(full()).status().expect("it runs");
    assert_eq!(missing.code(), Some(6));
}

#[test]
fn logging_out_leaves_nobody_in_unasked() {
    let scene = Scene::new();
    let program = &scene.program;
    program.ok(&["register", "bob"]);
    program.ok(&["login", "alice"]);
    program.ok(&["logout"]);
    program.fails(&["whoami"], 4);
    assert_eq!(program.ok(&["whoami", "--user", "bob"]), "bob\n");
    // A later login replaces an earlier one, and its token dies.
    let logins = || std::fs::read_to_string(program.path("config/logins.json")).expect("there");
    let old = logins();
    program.ok(&["login", "bob"]);
    let new = logins();
    std::fs::write(program.path("config/logins.json"), old).expect("written");
    let output =
        program.command(&["whoami", "--user", "bob"]).env_remove("NETDISK_PASSWORD").output().expect("it runs");
    assert_eq!(output.status.code(), Some(4), "the old token is worthless");
    std::fs::write(program.path("config/logins.json"), new).expect("written");
    assert_eq!(program.ok(&["whoami"]), "bob\n");
}

#[test]
fn a_token_given_over_tls_is_never_sent_in_plaintext() {
    let scene = Scene::new();
    let program = &scene.program;
    let output = program.command(&["ls", "--plaintext"]).env_remove("NETDISK_PASSWORD").output().expect("it runs");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

/// A crash of the client is no different from a lost line: the same command goes on.
#[test]
fn a_command_that_was_killed_goes_on_when_it_is_repeated() {
    let scene = Scene::new();
    let content = crate::fixture::content(64 * 1024 * 1024);
    scene.program.write("f", &content);
    scene.program.ok(&["put", "f"]);
    let part = scene.program.path("back.part");
    let mut get = scene.program.command(&["get", "f", "back"]).spawn().expect("it runs");
    while std::fs::metadata(&part).map_or(0, |metadata| metadata.len()) < 1_000_000 {
        assert!(get.try_wait().expect("known").is_none(), "it ended before it could be killed");
        std::thread::yield_now();
    }
    get.kill().expect("it runs");
    get.wait().expect("it ended");
    assert!(part.exists() && !scene.program.path("back").exists());
    scene.program.ok(&["get", "f", "back"]);
    assert!(scene.program.read("back") == content);
    assert!(!part.exists());
}
