//! A person at the shell: completion, quotes, Ctrl-C, jobs, reconnecting, narrow terminals, names that are up to something.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::{Program, Scene, ServerProcess, content};
use crate::pty::Screen;
use crate::raw::frame;
use crate::valve::Valve;

/// A file that does not fit what a valve lets pass.
const BIG: usize = 24_000_000;
/// What it lets pass: some of it is in buffers on the way, and the rest is seen on the bar.
const LITTLE: usize = 12_000_000;

/// Behind a valve, logged in.
fn scene_behind_valve() -> (Scene, Valve) {
    let mut scene = Scene::new();
    let valve = Valve::before(&scene.server.address);
    scene.program.server = Some(valve.address.clone());
    scene.program.ok(&["login", "alice", "--accept-new"]);
    (scene, valve)
}

fn shell(program: &Program, columns: u16) -> Screen {
    let screen = Screen::open(program, &[], columns);
    screen.ends_with(">");
    screen
}

/// Bytes and rate of the bar of the whole, as they are shown.
fn whole_bar(rows: &[String]) -> Option<(String, String)> {
    let row = rows.iter().find(|row| row.contains("0/1 files"))?;
    let (shown, rest) = row.split_once("/22.89 MiB")?;
    let bytes = shown.strip_suffix(" MiB")?.rsplit(' ').next()?.to_owned();
    Some((bytes, rest.split_once(" ETA")?.0.trim().to_owned()))
}

#[test]
fn the_bar_of_a_tree_counts_a_large_file_under_way_and_its_rate_falls_when_that_stands_still() {
    let (scene, valve) = scene_behind_valve();
    std::fs::create_dir(scene.program.path("tree")).expect("made");
    scene.program.write("tree/big", &content(BIG));
    let screen = shell(&scene.program, 120);
    valve.close_after(LITTLE);
    screen.press("put -r tree\r");
    let before = std::cell::RefCell::new(None);
    screen.wait("a bar that stands still while its rate falls", |rows| {
        let shown = whole_bar(rows)?;
        let has_fallen = before.borrow().as_ref().is_some_and(|(bytes, rate)| *bytes == shown.0 && *rate != shown.1);
        before.replace(Some(shown));
        has_fallen.then_some(())
    });
    valve.open();
    screen.shows("stored 1 file, 22.89 MiB");
}

#[test]
fn tab_completes_names_of_the_server_in_the_quotes_they_began_in() {
    let scene = Scene::new();
    let program = &scene.program;
    program.write("empty", b"said");
    program.ok(&["mkdir", "夏天 照片"]);
    for name in ["my file.txt", "夏天 照片/文件 [1].txt", "it's"] {
        program.ok(&["put", "empty", name]);
    }
    let screen = shell(program, 100);
    for (typed, line) in [
        ("cat my\t", "cat my\\ file.txt"),
        ("cat 'my\t", "cat 'my file.txt'"),
        ("cat \"my\t", "cat \"my file.txt\""),
        ("cat it\t", "cat it\\'s"),
        ("cat 夏\t", "cat 夏天\\ 照片/"),
        ("cat 夏\t\t", "cat 夏天\\ 照片/文件\\ \\[1].txt"),
        ("cat '夏\t\t", "cat '夏天 照片/文件 [1].txt'"),
        ("rm --fo\t", "rm --force"),
        ("put emp\t", "put empty"),
    ] {
        screen.clear();
        screen.press(typed);
        screen.ends_with(&format!("> {line}"));
        screen.press("\x03");
        screen.ends_with(":/>");
    }
    screen.clear();
    screen.press("cat 夏\t\t\r");
    // What was inserted is what the server has.
    screen.shows("said");
    // Two that begin alike are listed.
    program.ok(&["put", "empty", "my other"]);
    screen.clear();
    screen.press("cat my\t\t");
    screen.wait("both names", |rows| {
        rows.iter().any(|row| row.contains("my file.txt") && row.contains("my other")).then_some(())
    });
    screen.press("\x03");
    screen.ends_with(":/>");
    // The single candidate is hinted at, dim, and Ctrl-E takes it.
    screen.clear();
    screen.press("whoa");
    screen.ends_with("> whoami");
    // Where the keys come faster than they are shown, the hint is drawn at one of the earlier ones and stays.
    let written = screen.written();
    assert!((1..=4).any(|typed| written.contains(&format!("\x1b[2m{}", &"whoami"[typed..]))), "dim");
    screen.press("\x05\r");
    screen.shows("alice");
    screen.ends_with(":/>");
    screen.press("\x04");
    assert!(screen.end().success());
}

#[test]
fn without_colours_there_are_no_hints() {
    let scene = Scene::new();
    let screen = Screen::open_with(&scene.program, &["--color", "never"], 100, &[]);
    screen.ends_with(">");
    screen.press("whoa");
    screen.ends_with("> whoa");
    screen.press("m\t");
    screen.ends_with("> whoami");
    assert!(!screen.written().contains("\x1b[2m"), "{:?}", screen.written());
    let screen = Screen::open_with(&scene.program, &[], 100, &[("TERM", "dumb")]);
    screen.ends_with(">");
    screen.press("whoami\r");
    screen.shows("alice");
    assert!(!screen.written().contains('\x1b'), "{:?}", screen.written());
}

#[test]
fn lines_are_kept_between_runs_without_secrets() {
    let scene = Scene::new();
    let screen = shell(&scene.program, 100);
    screen.run("whoami");
    screen.run("register bob --invitation 12345");
    screen.run(" pwd");
    screen.press("\x04");
    assert!(screen.end().success());
    let file = scene.program.path("config/history");
    let text = std::fs::read_to_string(&file).expect("there");
    assert!(text.contains("whoami") && !text.contains("12345") && !text.contains("pwd"), "{text}");
    let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata().expect("there"));
    assert_eq!(mode & 0o777, 0o600);
    let screen = shell(&scene.program, 100);
    assert_eq!(screen.run("history"), ["whoami", "history"]);
    screen.clear();
    screen.press("\x1b[A\x1b[A");
    screen.ends_with("> whoami");
}

#[test]
fn ctrl_c_in_a_put_leaves_a_connection_and_a_partial() {
    let (scene, valve) = scene_behind_valve();
    let program = &scene.program;
    program.write("big", &content(BIG));
    let screen = shell(program, 100);
    valve.close_after(LITTLE);
    screen.press("put big\r");
    screen.wait("a bar that moved", |rows| rows.iter().find(|row| row.contains("MiB/22.89 MiB")).cloned());
    screen.press("\x03");
    screen.shows("netdisk: interrupted");
    valve.open();
    assert_eq!(screen.run("ls"), [""; 0]);
    screen.clear();
    screen.press("put big\r");
    screen.shows("stored /big");
    screen.ends_with(":/>");
    screen.press("\x04");
    assert!(screen.end().success());
    program.ok(&["get", "big", "back"]);
    assert!(program.read("back") == content(BIG));
}

#[test]
fn a_tree_that_waits_says_why_on_the_whole_line() {
    let (scene, valve) = scene_behind_valve();
    let program = &scene.program;
    std::fs::create_dir(program.path("t")).expect("made");
    program.write("t/big", &content(BIG));
    let screen = shell(program, 100);
    valve.close_after(LITTLE);
    screen.press("put -r t\r");
    screen.wait("a bar that moved", |rows| rows.iter().find(|row| row.contains("MiB/22.89 MiB")).cloned());
    let address = scene.server.address.clone();
    drop(scene.server);
    valve.open();
    screen.wait("a reason, and no bar behind it", |rows| {
        rows.iter().find(|row| row.contains("waiting ") && !row.contains('░')).cloned()
    });
    let _server = ServerProcess::start_at(program, scene.data.path(), &address);
    screen.shows("stored 1 file");
    screen.ends_with(":/>");
    screen.press("\x04");
    assert!(screen.end().success());
}

#[test]
fn jobs_run_beside_the_prompt_and_do_not_tear_it() {
    let (scene, valve) = scene_behind_valve();
    let program = &scene.program;
    program.write("big one", &content(BIG));
    let screen = shell(program, 100);
    valve.close_after(LITTLE);
    assert_eq!(screen.run("put 'big one' &"), ["[1] put 'big one'"]);
    screen.ends_with(":/ [1]>");
    // It has stopped to move: the valve is closed.
    screen.clear();
    screen.press("jobs\r");
    screen.wait("a job under way", |rows| {
        let row = rows.iter().find(|row| row.starts_with("[1] running"))?;
        assert!(row.contains("put 'big one'"), "{row}");
        Some(row.clone())
    });
    screen.ends_with(":/ [1]>");
    // A line is being typed while it ends.
    screen.press("lpw");
    screen.ends_with(":/ [1]> lpwd");
    valve.open();
    screen.shows("[1] done: put 'big one'");
    screen.ends_with(":/ [1]> lpwd");
    screen.press("d\r");
    screen.shows(&program.folder.path().display().to_string());
    screen.ends_with(":/>");
    assert_eq!(screen.run("ls"), ["big one"]);

    // To the front: a bar; and Ctrl-C stops it, and only it.
    program.write("other", &content(BIG + 1)[1..]);
    valve.close_after(LITTLE);
    screen.run("put other &");
    screen.press("fg\r");
    screen.wait("its bar", |rows| rows.iter().find(|row| row.contains("MiB/22.89 MiB")).cloned());
    screen.press("\x03");
    screen.shows("job 2 failed");
    valve.open();
    assert_eq!(screen.run("ls"), ["big one"]);

    // Leaving asks, and asks once.
    valve.close_after(LITTLE);
    screen.run("put other &");
    screen.press("exit\r");
    screen.shows("Stop and leave? [y/N]");
    screen.press("n\r");
    screen.ends_with(":/ [1]>");
    screen.press("cancel 3\r");
    screen.shows("[3] cancelled: put other");
    valve.open();
    screen.run("put other &");
    screen.run("wait");
    assert_eq!(screen.run("ls"), ["big one  other"]);
    valve.close_after(LITTLE);
    screen.run("put other again &");
    screen.press("exit --force\r");
    assert!(screen.end().success());
}

#[test]
fn as_many_jobs_run_at_once_as_is_said_and_the_others_queue() {
    let (scene, valve) = scene_behind_valve();
    let program = &scene.program;
    for name in ["a", "b", "c"] {
        program.write(name, &content(BIG));
    }
    std::fs::write(program.path("config/config.toml"), "jobs = 2\n").expect("written");
    for (options, at_once) in [(&["--jobs", "1"][..], 1), (&[], 2)] {
        let screen = Screen::open(program, options, 100);
        screen.ends_with(">");
        // Before any of them is through: each is begun and stands still, or waits for its turn.
        valve.close_after(LITTLE);
        for name in ["a", "b", "c"] {
            screen.run(&format!("put {name} &"));
        }
        let began = Instant::now();
        loop {
            let listed = screen.run("jobs");
            let are = |state: &str| listed.iter().filter(|row| row.contains(&format!("] {state} "))).count();
            assert!(are("running") <= at_once, "{listed:?}");
            if (are("running"), are("queued")) == (at_once, 3 - at_once) {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{listed:?}");
        }
        valve.open();
        screen.press("wait\r");
        screen.ends_with(":/>");
        screen.press("\x04");
        assert!(screen.end().success());
        program.ok(&["rm", "a", "b", "c"]);
    }
    for options in [["--jobs", "0"], ["--jobs", "17"], ["--jobs", "x"]] {
        assert!(program.fails(&options, 2).contains("--jobs"), "{options:?}");
    }
}

#[test]
fn a_script_waits_for_its_jobs_and_takes_over_their_failure() {
    let scene = Scene::new();
    let program = &scene.program;
    for name in ["a", "b", "c", "d", "e"] {
        program.write(name, name.as_bytes());
    }
    std::fs::create_dir(program.path("elsewhere")).expect("made");
    // More than run at once; and what is of this machine is of the place where the job was begun.
    let output = program.run_with(&["--quiet"], b"put a &\nput b &\nput c &\nput d &\nput e &\nlcd elsewhere\n");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(program.ok(&["ls"]), "a\nb\nc\nd\ne\n");
    let output = program.run_with(&["--quiet"], b"get a elsewhere &\nget missing &\nwait 1\n");
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("[2] /missing: no such"), "{output:?}");
    assert_eq!(program.read("elsewhere/a"), b"a");
    for (script, code) in [("login alice &\n", 2), ("put - x &\n", 2), ("fg\n", 6), ("wait 7\n", 6), ("&\n", 2)] {
        let output = program.run_with(&["--quiet"], script.as_bytes());
        assert_eq!(output.status.code(), Some(code), "{script}: {output:?}");
    }
}

#[test]
fn a_server_that_restarts_is_waited_for_and_nothing_is_forgotten() {
    let scene = Scene::new();
    let program = &scene.program;
    program.ok(&["mkdir", "-p", "docs/old"]);
    let screen = shell(program, 100);
    screen.run("cd docs");
    let address = scene.server.address.clone();
    drop(scene.server);
    screen.clear();
    screen.press("ls\r");
    screen.wait("the reason and the next try", |rows| {
        rows.iter().find(|row| row.contains("waiting") && row.contains("cannot be reached")).cloned()
    });
    let server = ServerProcess::start_at(program, scene.data.path(), &address);
    screen.shows("old/");
    screen.ends_with(":/docs>");
    // A transfer, and what must not be done twice.
    program.write("f", b"f");
    drop(server);
    let server = ServerProcess::start_at(program, scene.data.path(), &address);
    screen.clear();
    screen.press("put f\r");
    screen.shows("stored /docs/f");
    // Ctrl-C ends the waiting.
    drop(server);
    screen.clear();
    screen.press("ls\r");
    screen.shows("waiting");
    screen.press("\x03");
    screen.shows("netdisk: interrupted");
    screen.ends_with(":/docs>");
    screen.press("\x04");
    assert!(screen.end().success());
}

#[test]
fn forty_columns_are_enough() {
    let (scene, valve) = scene_behind_valve();
    let program = &scene.program;
    program.write("a file with quite a long name.txt", &content(BIG));
    program.ok(&["mkdir", "-p", "夏天/二〇二六年的照片"]);
    let screen = shell(program, 40);
    screen.ends_with("alice:/>");
    screen.press("cd 夏天/二〇二六年的照片\r");
    screen.ends_with("alice:…/二〇二六…>");
    valve.close_after(LITTLE);
    screen.press("put a\t\r");
    let percent = |rows: &[String]| -> Option<u32> {
        let row = rows.iter().find(|row| row.contains('%'))?;
        row.split('%').next()?.rsplit(' ').next()?.parse().ok()
    };
    let before = screen.wait("a bar", |rows| percent(rows).filter(|percent| *percent > 0));
    valve.open();
    screen.wait("the end", |rows| {
        if let Some(now) = percent(rows) {
            assert!(now >= before, "{now} after {before}");
        }
        rows.iter().any(|row| row.starts_with("stored")).then_some(())
    });
    let bars = screen.written().matches("a file with quite").count();
    assert!(bars > 0, "the name is shown");
}

#[test]
fn no_name_speaks_to_the_terminal() {
    let scene = Scene::new();
    let program = &scene.program;
    program.write("a\u{1b}]0;pwned\u{7}b", b"");
    program.write("empty", b"");
    program.ok(&["put", "empty", "txt.\u{202e}exe"]);
    let screen = shell(program, 100);
    screen.press("put a\t");
    screen.ends_with("> put a\\u{1b}]0;pwned\\u{7}b");
    screen.press("\x03");
    screen.ends_with(":/>");
    screen.clear();
    screen.press("cat txt\t");
    screen.ends_with("> cat txt.\\u{202e}exe");
    screen.press("\r");
    screen.ends_with(":/>");
    screen.run("ls");
    screen.press("\x04");
    let written = screen.written();
    assert!(!written.contains("\x1b]0;pwned") && !written.contains('\u{202e}'), "{written:?}");
}

/// Answers each listing with a name that would clear the screen.
fn evil_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut len = [0; 4];
            while stream.read_exact(&mut len).is_ok() {
                let mut payload = vec![0; u32::from_be_bytes(len) as usize];
                stream.read_exact(&mut payload).expect("a payload");
                let request: Value = serde_json::from_slice(&payload).expect("a request");
                let id = &request["id"];
                let entry = json!({"path": "/a\u{1b}[2Jpwned", "kind": "file", "size": 1, "modified": 0});
                let replies = match request["type"].as_str().unwrap_or_default() {
                    "hello" => vec![json!({"type": "hello", "version": 1, "software": "\u{1b}[2Jpwned"})],
                    "login" => vec![json!({"id": id, "type": "welcome", "user": request["user"]})],
                    "list" => vec![
                        json!({"id": id, "type": "entries", "entries": [entry]}),
                        json!({"id": id, "type": "end", "count": 1, "skipped": 0}),
                    ],
                    _ => vec![json!({"id": id, "type": "fault", "code": "not_found", "message": "\u{1b}[2Jpwned"})],
                };
                for reply in replies {
                    stream.write_all(&frame(reply.to_string().as_bytes())).expect("written");
                }
            }
        }
    });
    address
}

#[test]
fn an_evil_server_says_nothing_to_the_terminal_by_completion() {
    let mut program = Program::new();
    program.server = Some(evil_server());
    let screen = Screen::open(&program, &["--plaintext", "--user", "alice"], 100);
    screen.ends_with(">");
    screen.press("cat a\t\t");
    screen.ends_with("> cat a");
    screen.press("\r");
    screen.shows("netdisk: ");
    screen.press("ls\r");
    screen.press("ls *\r");
    screen.press("\x04");
    let written = screen.written();
    assert!(!written.contains("\x1b[2Jpwned"), "{written:?}");
}
