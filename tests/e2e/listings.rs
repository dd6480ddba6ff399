//! ls, ll, tree, find, du, as a script and as a person sees them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use netdisk_client::ClientError;
use netdisk_protocol::FaultCode;
use serde_json::Value;

use crate::fixture::{Program, Scene, TestServer, path};
use crate::terminal::script_is_there;

/// Puts files of these sizes into the home of the scene's user, by hand.
fn plant(scene: &Scene, files: &[(&str, usize)]) {
    for (path, len) in files {
        let file = home(scene).join(path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        std::fs::write(file, vec![b'x'; *len]).expect("written");
    }
}

fn home(scene: &Scene) -> PathBuf {
    scene.data.path().join("homes/alice/files")
}

fn set_age(scene: &Scene, path: &str, seconds: u64) {
    let then = SystemTime::now() - std::time::Duration::from_secs(seconds);
    let file = std::fs::File::open(home(scene).join(path)).expect("there");
    file.set_modified(then).expect("set");
}

/// A scene with a small tree.
fn with_tree() -> Scene {
    let scene = Scene::new();
    plant(&scene, &[("a.txt", 10), ("b.bin", 3000), ("photos/2025/old.jpg", 500), ("photos/new.jpg", 2000), ("z", 0)]);
    scene
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Runs a line of `sh` at a terminal of so many columns; gives what it shows.
fn at_terminal(program: &Program, columns: usize, line: &str) -> String {
    let binary = program.command(&[]).get_program().to_string_lossy().into_owned();
    let line = format!("stty cols {columns} rows 40; {}", line.replace("netdisk", &binary));
    let mut command = Command::new("timeout");
    command.args(["120", "script", "--quiet", "--return", "--command", &line, "/dev/null"]);
    command.current_dir(program.folder.path()).stdin(Stdio::null());
    command
        .env("NETDISK_HOME", program.path("config"))
        .env("NETDISK_SERVER", program.server.as_deref().expect("a server"));
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    let output = command.output().expect("script runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").replace('\r', "")
}

#[test]
fn listings_are_sorted_by_name_size_or_time() {
    let scene = with_tree();
    let program = &scene.program;
    set_age(&scene, "b.bin", 3000);
    set_age(&scene, "z", 2000);
    set_age(&scene, "a.txt", 1000);
    assert_eq!(program.ok(&["ls"]), "a.txt\nb.bin\nphotos/\nz\n");
    assert_eq!(program.ok(&["ls", "-r"]), "z\nphotos/\nb.bin\na.txt\n");
    assert_eq!(program.ok(&["ls", "-S"]), "b.bin\na.txt\nphotos/\nz\n");
    assert_eq!(program.ok(&["ls", "--sort", "size", "-r"]), "z\nphotos/\na.txt\nb.bin\n");
    assert_eq!(program.ok(&["ls", "-t"]), "photos/\na.txt\nz\nb.bin\n");
    program.fails(&["ls", "-t", "-S"], 2);
    // All of a tree is sorted together.
    assert_eq!(
        program.ok(&["ls", "-RS"]),
        "b.bin\nphotos/new.jpg\nphotos/2025/old.jpg\na.txt\nphotos/\nphotos/2025/\nz\n"
    );
}

#[test]
fn sizes_are_for_people_unless_bytes_are_asked_for() {
    let scene = with_tree();
    let program = &scene.program;
    let long = program.ok(&["ls", "-l", "b.bin"]);
    assert!(long.starts_with("   2.93 KiB 20") && long.ends_with(" b.bin\n"), "{long}");
    assert_eq!(program.ok(&["ll", "b.bin"]), long);
    let exact = program.ok(&["ll", "--bytes", "b.bin", "photos/2025"]);
    let lines: Vec<&str> = exact.lines().collect();
    assert!(lines[0].starts_with("           3000 20"), "{exact}");
    assert_eq!(lines[1..3], ["", "photos/2025:"], "{exact}");
    assert!(lines[3].starts_with("            500 20") && lines[3].ends_with(" old.jpg"), "{exact}");
}

#[test]
fn several_paths_are_listed_files_first_and_a_missing_one_is_named() {
    let scene = with_tree();
    let program = &scene.program;
    assert_eq!(
        program.ok(&["ls", "photos", "a.txt", "photos/2025", "b.bin"]),
        "a.txt\nb.bin\n\nphotos:\n2025/\nnew.jpg\n\nphotos/2025:\nold.jpg\n"
    );
    let output = program.run(&["ls", "missing", "a.txt"]);
    assert_eq!(output.status.code(), Some(9));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a.txt\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/missing"), "{output:?}");
    let listed = events(&program.ok(&["ls", "photos", "a.txt", "--json"]));
    let paths: Vec<&Value> = listed.iter().map(|event| &event["path"]).collect();
    assert_eq!(paths, ["/a.txt", "/photos/2025", "/photos/new.jpg"]);
}

#[test]
fn find_finds_by_name_size_age_and_kind() {
    let scene = with_tree();
    plant(&scene, &[("photos/夏天 [1].JPG", 1), ("photos/2025/x.jpg/inner", 1)]);
    let program = &scene.program;
    for name in ["a.txt", "b.bin", "photos/2025/old.jpg"] {
        set_age(&scene, name, 3 * 86_400);
    }
    let find = |args: &[&str]| {
        let text = program.ok(&[&["find"], args].concat());
        sorted(&text).join(" ")
    };
    assert_eq!(find(&["--name", "*.jpg"]), "/photos/2025/old.jpg /photos/2025/x.jpg /photos/new.jpg");
    assert_eq!(find(&["photos/2025", "--name", "*.jpg", "--type", "f"]), "/photos/2025/old.jpg");
    assert_eq!(find(&["--iname", "夏*.jpg"]), "/photos/夏天 [1].JPG");
    assert_eq!(find(&["--name", "夏天 \\[?\\]*"]), "/photos/夏天 [1].JPG");
    assert_eq!(find(&["--type", "d"]), "/photos /photos/2025 /photos/2025/x.jpg");
    assert_eq!(find(&["--size", "+1k"]), "/b.bin /photos/new.jpg");
    assert_eq!(find(&["--size", "+9", "--size", "-1000"]), "/a.txt /photos/2025/old.jpg");
    assert_eq!(find(&["--size", "0"]), "/z");
    assert_eq!(find(&["--older", "2d", "--type", "f"]), "/a.txt /b.bin /photos/2025/old.jpg");
    assert_eq!(find(&["--newer", "2d", "--name", "*.txt", "--name", "z"]), "/z");
    assert_eq!(find(&["a.txt", "z", "--older", "2d"]), "/a.txt");
    assert_eq!(find(&["--name", "nothing like that"]), "");
    let found = events(&program.ok(&["find", "--name", "old.jpg", "--json"]));
    assert_eq!((&found[0]["path"], &found[0]["size"]), (&"/photos/2025/old.jpg".into(), &500.into()));
    assert!(program.fails(&["find", "missing"], 6).contains("/missing"));
    for wrong in [["--size", "big"], ["--newer", "soon"], ["--name", "["], ["--type", "x"]] {
        program.fails(&["find", wrong[0], wrong[1]], 2);
    }
}

#[test]
fn du_adds_up_and_shows_the_largest_first() {
    let scene = with_tree();
    let program = &scene.program;
    plant(&scene, &[("docs/big", 100_000)]);
    assert_eq!(
        program.ok(&["du", "--bytes"]),
        "         105510  /\n         100000  /docs\n           2500  /photos\n            500  /photos/2025\n"
    );
    assert_eq!(program.ok(&["du", "--depth", "1"]), " 103.04 KiB  /\n  97.66 KiB  /docs\n   2.44 KiB  /photos\n");
    assert_eq!(program.ok(&["du", "-s", "photos", "b.bin"]), "   2.44 KiB  /photos\n   2.93 KiB  /b.bin\n");
    let sums = events(&program.ok(&["du", "--json", "photos"]));
    assert_eq!((&sums[0]["event"], &sums[0]["bytes"], &sums[0]["files"]), (&"usage".into(), &2500.into(), &2.into()));
    assert!(program.fails(&["du", "missing"], 6).contains("/missing"));
}

#[test]
fn a_tree_has_its_branches() {
    let scene = with_tree();
    let program = &scene.program;
    let whole = "\
/
├── a.txt
├── b.bin
├── photos/
│   ├── 2025/
│   │   └── old.jpg
│   └── new.jpg
└── z
2 directories, 5 files
";
    assert_eq!(program.ok(&["tree"]), whole);
    assert_eq!(program.ok(&["tree", "--depth", "3"]), whole);
    let shallow = "/\n├── a.txt\n├── b.bin\n├── photos/\n└── z\n1 directory, 3 files\n";
    assert_eq!(program.ok(&["tree", "--depth", "1"]), shallow);
    assert_eq!(
        program.ok(&["tree", "photos", "--size", "--quiet"]),
        "/photos\n├── [500 B]  2025/\n│   └── [500 B]  old.jpg\n└── [1.95 KiB]  new.jpg\n"
    );
    let sized = program.ok(&["tree", "--size", "--depth", "1", "--bytes"]);
    assert!(sized.contains("├── [2500]  photos/\n└── [0]  z\n"), "{sized}");
    let shown = events(&program.ok(&["tree", "--json", "photos"]));
    let last = shown.last().expect("an event");
    assert_eq!(shown.len(), 4);
    assert_eq!((&last["event"], &last["directories"], &last["files"]), (&"done".into(), &1.into(), &2.into()));
    assert!(program.fails(&["tree", "missing"], 6).contains("/missing"));
    assert!(program.fails(&["tree", "a.txt"], 7).contains("/a.txt"));
}

/// More than is held to be sorted: it comes as the server reads it, and all of it.
#[test]
fn a_tree_too_large_to_be_sorted_is_listed_whole_all_the_same() {
    let scene = Scene::new();
    for directory in 0..101 {
        let folder = home(&scene).join(format!("d{directory}"));
        std::fs::create_dir_all(&folder).expect("made");
        for file in 0..1000 {
            std::fs::File::create(folder.join(format!("f{file}"))).expect("made");
        }
    }
    let program = &scene.program;
    let text = program.ok(&["ls", "-R"]);
    let listed = sorted(&text);
    assert_eq!(listed.len(), 101 * 1001);
    assert!(listed.windows(2).all(|pair| pair[0] != pair[1]));
    let in_order = program.ok(&["ls", "-R", "--sort", "name"]);
    assert!(in_order.starts_with("d0/\nd0/f0\nd0/f1\nd0/f10\n") && in_order.lines().count() == 101 * 1001);
    assert_eq!(program.ok(&["find", "--name", "f7"]).lines().count(), 101);

    // A reader that has seen enough ends it, and that is no failure; nobody reads the rest from the server either.
    for args in [&["find"][..], &["ls", "-R"], &["tree", "--depth", "9"]] {
        let mut child = program.command(args).stdout(Stdio::piped()).spawn().expect("it runs");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("readable");
        assert!(first.len() > 1, "{first}");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_pager_that_has_seen_enough_of_a_file_ends_cat_quietly() {
    let scene = Scene::new();
    plant(&scene, &[("long", 50_000_000)]);
    let mut child =
        scene.program.command(&["cat", "long"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut some = [0; 1000];
    child.stdout.take().expect("piped").read_exact(&mut some).expect("readable");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn on_a_terminal_names_stand_in_columns_that_fit_and_line_up() {
    if !script_is_there() {
        return;
    }
    let scene = Scene::new();
    let names = ["夏天", "a", "bb", "文档.txt", "ccc", "🎉", "a rather long name", "d", "e", "f"];
    plant(&scene, &names.map(|name| (name, 1)));
    let program = &scene.program;
    let wide = at_terminal(program, 80, "netdisk ls");
    assert_eq!(wide, "a  a rather long name  bb  ccc  d  e  f  夏天  文档.txt  🎉\n");
    let narrow = at_terminal(program, 40, "netdisk ls");
    assert_eq!(
        narrow,
        "a                   ccc  f         🎉\na rather long name  d    夏天\nbb                  e    文档.txt\n"
    );
    let tiny = at_terminal(program, 10, "netdisk ls");
    assert_eq!(tiny.lines().count(), names.len());
    assert_eq!(at_terminal(program, 80, "netdisk ls -1").lines().count(), names.len());
    // A pipe gets one name a line, also at a terminal.
    assert_eq!(at_terminal(program, 80, "netdisk ls | cat").lines().count(), names.len());
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    if !script_is_there() {
        return;
    }
    let scene = with_tree();
    let program = &scene.program;
    let blue = "\u{1b}[1m\u{1b}[34mphotos/\u{1b}[0m";
    assert!(at_terminal(program, 80, "netdisk ls").contains(blue));
    assert!(at_terminal(program, 80, "netdisk ls -l").contains(blue));
    assert!(at_terminal(program, 80, "netdisk tree").contains(blue));
    assert!(program.ok(&["ls", "--color", "always"]).contains(blue));
    for line in [
        "netdisk ls --color never",
        "NO_COLOR=1 netdisk ls",
        "TERM=dumb netdisk ls",
        "netdisk ls | cat",
        "netdisk ls --json",
    ] {
        let shown = at_terminal(program, 80, line);
        assert!(shown.contains("photos") && !shown.contains('\u{1b}'), "{line}: {shown:?}");
    }
}

#[test]
fn names_of_others_do_not_move_the_terminal() {
    let scene = Scene::new();
    plant(&scene, &[("d/txt.\u{202e}exe", 1)]);
    let program = &scene.program;
    for args in [
        &["ls", "d"][..],
        &["ll", "d"],
        &["tree"],
        &["find", "--type", "f"],
        &["ls", "-R"],
        &["du", "d/txt.\u{202e}exe"],
    ] {
        for colour in ["never", "always"] {
            let text = program.ok(&[args, &["--color", colour]].concat());
            assert!(text.contains("txt.\\u{202e}exe") && !text.contains('\u{202e}'), "{args:?}: {text}");
        }
    }
    // What no path can name is counted.
    std::fs::write(home(&scene).join("d/\u{1b}[2J"), "").expect("written");
    for command in ["ls", "find"] {
        let text = program.ok(&[command, "d"]);
        assert!(text.contains("(1 more whose names cannot be shown here)") && !text.contains('\u{1b}'), "{text}");
    }
}

/// Whoever breaks a listing off goes on with the same connection, wherever the server was by then.
#[tokio::test]
async fn a_connection_outlives_a_listing_that_was_broken_off() {
    let server = TestServer::tls().await;
    let mut client = server.register("alice").await;
    let folder = server.files("alice");
    for (directory, files) in [("few", 3), ("many", 5000)] {
        std::fs::create_dir(folder.join(directory)).expect("made");
        for file in 0..files {
            std::fs::File::create(folder.join(format!("{directory}/f{file}"))).expect("made");
        }
    }
    for (at, recursive) in [("/few", false), ("/many", false), ("/", true), ("/many", false)] {
        let mut parts = 0;
        let mut stop = |_| {
            parts += 1;
            Ok(ControlFlow::Break(()))
        };
        client.walk(&path(at), recursive, &mut stop).await.expect("broken off");
        assert_eq!((parts, client.whoami().await.expect("usable").as_str()), (1, "alice"), "{at}");
    }
    let missing = client.walk(&path("/missing"), true, |_| Ok(ControlFlow::Continue(()))).await;
    assert!(matches!(missing, Err(ClientError::Fault(fault)) if fault.code == FaultCode::NotFound));
    let mut count = 0;
    let add = |entries: Vec<_>| {
        count += entries.len();
        Ok(ControlFlow::Continue(()))
    };
    assert_eq!(client.walk(&path("/"), true, add).await.expect("walked"), 0);
    assert_eq!(count, 5005);
    client.close().await.expect("closed");
    server.stop().await;
}
