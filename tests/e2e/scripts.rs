//! What scripts rely on: exit codes, one object a line, the configuration file, completions and manual pages.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fixture::{Program, Scene, content};

fn events(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Runs with `--json` and must end in this error: by its exit code, and by its last object on standard output.
#[track_caller]
fn ends_in(program: &Program, args: &[&str], exit: i32, code: &str) {
    let output = program.run(&[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(exit), "{args:?}: {output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    let last = events(&output.stdout).pop().unwrap_or_else(|| panic!("{args:?} says nothing"));
    assert_eq!((&last["event"], &last["exit"], &last["code"]), (&"error".into(), &exit.into(), &code.into()), "{last}");
    assert!(last["message"].as_str().is_some_and(|message| !message.is_empty() && !message.contains('\n')), "{last}");
}

/// Each row of the table in the README.
#[test]
fn every_exit_code_means_what_the_table_says() {
    let scene = Scene::new();
    let program = &scene.program;
    program.write("f", b"content");
    // 0: done.
    let done = program.run(&["put", "f", "--json"]);
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(events(&done.stdout).last().expect("an event")["event"], "done");
    // 1: unexpected, here a port that is taken.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    assert!(program.fails(&["serve", "--listen", &address], 1).contains(&address));
    // 2: usage, from the parser and from the command.
    ends_in(program, &["ls", "--no-such-option"], 2, "usage");
    ends_in(program, &["frobnicate"], 2, "usage");
    ends_in(program, &["put"], 2, "usage");
    ends_in(program, &["ls", "../.."], 2, "bad_path");
    ends_in(program, &["cat", "f"], 2, "usage");
    // 3: nobody there.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    ends_in(program, &["ls", "--server", &free.to_string()], 3, "connection_lost");
    // 4: refused, and needed.
    let wrong = program.command(&["login", "alice", "--json"]).env("NETDISK_PASSWORD", "wrong horse").output();
    let wrong = wrong.expect("it runs");
    assert_eq!(wrong.status.code(), Some(4));
    assert_eq!(events(&wrong.stdout).last().expect("an event")["code"], "login_refused");
    ends_in(program, &["ls", "--user", "nobody"], 4, "login_refused");
    let needed = program.command(&["ls", "--user", "nobody", "--json"]).env_remove("NETDISK_PASSWORD").output();
    assert_eq!(events(&needed.expect("it runs").stdout).last().expect("an event")["code"], "login_needed");
    // 5: not trusted.
    ends_in(program, &["ls", "--profile", "stranger"], 5, "not_trusted");
    // 6: not found, there and here.
    ends_in(program, &["stat", "missing"], 6, "not_found");
    ends_in(program, &["put", "missing"], 6, "not_found");
    // 7: refused.
    ends_in(program, &["get", "f"], 7, "refused");
    ends_in(program, &["mkdir", "f"], 7, "exists");
    program.ok(&["mkdir", "-p", "d/e"]);
    ends_in(program, &["rm", "d"], 7, "not_empty");
    // 8: what the disk gives is not what was stored.
    program.write("rot", b"stored");
    program.ok(&["put", "rot"]);
    let stored = scene.data.path().join("homes/alice/files/rot");
    let modified = stored.metadata().and_then(|metadata| metadata.modified()).expect("known");
    let mut file = std::fs::File::options().write(true).open(&stored).expect("there");
    file.write_all(b"ROTTED").and_then(|()| file.set_modified(modified)).expect("written");
    drop(file);
    let data = scene.data.path().to_str().expect("UTF-8");
    let scrubbed = program.run(&["admin", "--data", data, "scrub", "--json"]);
    let last = events(&scrubbed.stdout).pop().expect("an event");
    assert_eq!((scrubbed.status.code(), &last["code"], &last["exit"]), (Some(8), &"integrity".into(), &8.into()));
    ends_in(program, &["get", "rot", "back"], 8, "corrupt");
    // 9: some of several.
    let some = program.run(&["stat", "f", "missing", "--json"]);
    let said: Vec<String> = events(&some.stdout).iter().map(|event| event["code"].to_string()).collect();
    assert_eq!(
        (some.status.code(), said),
        (Some(9), ["null", "\"not_found\"", "\"some_failed\""].map(str::to_owned).to_vec())
    );
    // 130: Ctrl-C, once the transfer has begun.
    let mut put = program
        .command(&["put", "-", "stream", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = put.stdin.take().expect("piped");
    let mut lines = BufReader::new(put.stdout.take().expect("piped")).lines();
    stdin.write_all(&content(1_000_000)).expect("taken");
    let first = lines.next().expect("a line").expect("UTF-8");
    assert!(first.contains("\"start\""), "{first}");
    kill_process(Pid::from_child(&put), Signal::INT).expect("it runs");
    let last = lines.map_while(Result::ok).last().expect("a line");
    assert!(last.contains("\"interrupted\"") && last.contains("130"), "{last}");
    assert_eq!(put.wait().expect("it ends").code(), Some(130));
    drop(stdin);
}

#[test]
fn usage_is_explained_to_people_and_given_as_an_object_to_scripts() {
    let program = Program::new();
    let output = program.run(&["ls", "--no-such"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: netdisk"), "{output:?}");
    // Help is what was asked for, and no error.
    let help = program.run(&["help", "find", "--json"]);
    let help = if help.status.success() { help } else { program.run(&["find", "--help", "--json"]) };
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--newer 2d"), "{help:?}");
    // Behind `--` it is a name.
    let output = program.run(&["ls", "a", "--", "--json", "--bad"]);
    assert_ne!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn the_configuration_file_is_in_force_and_explained() {
    let scene = Scene::new();
    let program = &scene.program;
    let address = program.server.clone().expect("a server");
    let config = program.path("config/config.toml");
    let write = |text: &str| std::fs::write(&config, text).expect("written");
    write(&format!(
        "server = \"{address}\"\nget_existing = \"skip\"\ncolor = \"always\"\n\n\
         [profile.work]\nuser = \"bob\"\nput_existing = \"skip\"\n"
    ));
    let run = |args: &[&str]| program.command(args).env_remove("NETDISK_SERVER").output().expect("it runs");
    let text = |args: &[&str]| {
        let output = run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    program.write("f", b"one");
    assert!(text(&["put", "f"]).starts_with("stored /f"));
    program.write("f", b"two");
    assert_eq!(text(&["get", "f"]), "skipped f\n");
    assert!(text(&["put", "f"]).starts_with("stored /f"));
    assert!(text(&["get", "f", "--existing", "rename"]).starts_with("received f (1)"));
    text(&["mkdir", "d"]);
    assert!(text(&["ls"]).contains("\u{1b}[34md/"));
    assert!(!text(&["ls", "--color", "never"]).contains('\u{1b}'));

    text(&["register", "--profile", "work", "--accept-new"]);
    assert_eq!(text(&["whoami", "--profile", "work"]), "bob\n");
    text(&["put", "f", "--profile", "work"]);
    assert_eq!(text(&["put", "f", "--profile", "work"]), "skipped /f\n");
    let by_environment = program.command(&["whoami"]).env("NETDISK_PROFILE", "work").output().expect("it runs");
    assert_eq!(by_environment.stdout, b"bob\n");

    let explained = text(&["config", "--profile", "work", "--color", "never"]);
    let line =
        |key: &str| explained.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{explained}"));
    let path = config.display();
    assert!(line("server").ends_with(&format!(" {path}")), "{explained}");
    assert!(line("user").ends_with(&format!("bob                          {path} [profile.work]")), "{explained}");
    assert!(line("color").ends_with("never                        --color"), "{explained}");
    assert!(line("get_existing").contains("skip") && line("ca").ends_with("default"), "{explained}");
    let output = program.run(&["config", "--json"]);
    let server = events(&output.stdout).into_iter().find(|event| event["key"] == "server").expect("it is said");
    assert_eq!((&server["value"], &server["origin"]), (&address.as_str().into(), &"NETDISK_SERVER".into()));

    text(&["register", "carol", "--profile", "home", "--accept-new"]);
    let listed = text(&["profiles"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("home ") && lines[1].starts_with("work ") && lines[1].ends_with("bob"), "{listed}");

    write("server = \"nas\"\ncolour = \"never\"\n");
    for args in [&["ls"][..], &["config"], &["profiles"], &["pins", "list"]] {
        let output = run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("config.toml, line 2: unknown field `colour`"), "{said}");
    }
    // What is no client does not read it.
    assert!(text(&["serve", "--check"]).contains("127.0.0.1:8001"));
}

#[test]
fn the_help_of_the_server_is_about_the_server() {
    let program = Program::new();
    let help = program.ok(&["serve", "--help"]);
    assert!(help.contains("--min-free") && help.contains("--plaintext"), "{help}");
    assert!(!help.contains("--fingerprint") && !help.contains("NETDISK_USER"), "{help}");
    assert!(program.ok(&["ls", "--help"]).contains("--fingerprint"));
    assert!(program.fails(&["lab", "stick", "--user", "alice"], 2).contains("`lab` takes no --user"));
}

#[test]
fn bash_takes_the_completions_and_every_command_has_its_manual_page() {
    let program = Program::new();
    program.write("netdisk.bash", program.ok(&["completions", "bash"]).as_bytes());
    // As bash does it: the function that is registered for the command, with the words typed so far.
    let complete = "source ./netdisk.bash && complete -p netdisk && \
                    COMP_WORDS=(netdisk get --exi) COMP_CWORD=2 && _netdisk netdisk --exi get && echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["--norc", "-c", complete]).current_dir(program.folder.path()).output();
    let output = output.expect("bash runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("-F _netdisk") && lines[0].ends_with(" netdisk"), "{said} {:?}", output.stderr);
    assert_eq!(lines[1], "--existing", "{said}");
    let zsh = program.ok(&["completions", "zsh"]);
    assert!(zsh.starts_with("#compdef netdisk"));
    let fish = program.ok(&["completions", "fish"]);
    assert!(fish.contains("complete -c netdisk"));

    // The profiles of whoever presses Tab.
    std::fs::create_dir_all(program.path("config/profiles/work")).expect("made");
    std::fs::create_dir_all(program.path("config/profiles/home")).expect("made");
    std::fs::create_dir(program.path("was a file")).expect("made");
    let complete = |typed: &str| {
        let line = format!(
            "netdisk() {{ \"$NETDISK\" \"$@\"; }}; source ./netdisk.bash && COMP_WORDS=(netdisk ls --profile {typed}) && \
             COMP_CWORD=3 && _netdisk netdisk '{typed}' --profile && echo \"${{COMPREPLY[@]}}\""
        );
        let given = program.command(&[]);
        let mut command = Command::new("bash");
        command.args(["--norc", "-c", &line]).current_dir(program.folder.path()).env("NETDISK", given.get_program());
        command.env("NETDISK_HOME", program.path("config"));
        let output = command.output().expect("bash runs");
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    };
    assert_eq!((complete("w"), complete("x"), complete("''")), ("work".into(), String::new(), "home work".into()));
    let of_profile = |text: &str, option: &str| {
        let mut lines = text.lines().filter(|line| line.contains(option)).peekable();
        assert!(
            lines.peek().is_some()
                && lines.all(|line| line.contains("$(netdisk profiles") || line.contains("(netdisk profiles"))
        );
    };
    of_profile(&zsh, "'--profile=");
    of_profile(&fish, "-l profile ");

    assert!(program.ok(&["man"]).contains(".TH netdisk 1"));
    program.ok(&["man", "pages"]);
    let page = |name: &str| String::from_utf8(program.read(&format!("pages/{name}.1"))).expect("UTF-8");
    for name in
        ["netdisk", "netdisk-ls", "netdisk-find", "netdisk-serve", "netdisk-admin-user-quota", "netdisk-lab-stick"]
    {
        assert!(page(name).contains(&format!(".TH {name} 1")), "{name}");
    }
    assert!(page("netdisk-find").contains("newer 2d") && !page("netdisk-serve").contains("fingerprint SHA256"));
    program.write("in the way", b"");
    program.fails(&["man", "in the way"], 7);
}
