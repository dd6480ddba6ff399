//! What of trees travels: excludes, includes, ignore files, dry runs; and what keeps its time.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::fixture::{Program, Scene};

fn plant(program: &Program, files: &[&str]) {
    for path in files {
        let path = program.path(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, b"12345").expect("written");
    }
}

/// A scene with a tree here.
fn with_tree() -> Scene {
    let scene = Scene::new();
    plant(&scene.program, &["t/a.txt", "t/b.log", "t/sub/c.log", "t/sub/夏天 [1].txt", "t/target/big", "t/keep.log"]);
    scene
}

fn there(program: &Program) -> Vec<String> {
    let mut files: Vec<String> = program.ok(&["find", "--type", "f"]).lines().map(str::to_owned).collect();
    files.sort();
    files
}

#[test]
fn excludes_and_includes_choose_what_is_sent() {
    let scene = with_tree();
    let program = &scene.program;
    program.ok(&["put", "-r", "t", "--exclude", "*.log", "--exclude", "target/", "--include", "keep.log"]);
    assert_eq!(there(program), ["/t/a.txt", "/t/keep.log", "/t/sub/夏天 [1].txt"]);
    program.ok(&["rm", "-r", "t"]);
    program.ok(&["put", "-r", "t", "--include", "*.txt"]);
    assert_eq!(there(program), ["/t/a.txt", "/t/sub/夏天 [1].txt"]);
    // What is named is left out by its name, too.
    program.ok(&["put", "t/a.txt", "t/b.log", "/", "--exclude", "*.log"]);
    assert_eq!(there(program), ["/a.txt", "/t/a.txt", "/t/sub/夏天 [1].txt"]);
    assert!(program.fails(&["put", "-r", "t", "--exclude", "{a"], 2).contains("{a"));
}

#[test]
fn excludes_choose_what_is_fetched() {
    let scene = with_tree();
    let program = &scene.program;
    program.ok(&["put", "-r", "t"]);
    program.ok(&["get", "-r", "t", "back", "--exclude", "*.log", "--exclude", "/target"]);
    assert!(program.path("back/a.txt").exists() && program.path("back/sub/夏天 [1].txt").exists());
    for left_out in ["back/b.log", "back/sub/c.log", "back/target"] {
        assert!(!program.path(left_out).exists(), "{left_out}");
    }
}

#[test]
fn ignore_files_say_what_stays_here() {
    let scene = with_tree();
    let program = &scene.program;
    program.write("t/.netdiskignore", b"*.log\n/target/\n");
    program.write("t/sub/.netdiskignore", b"!c.log\n");
    program.ok(&["put", "-r", "t"]);
    assert_eq!(
        there(program),
        ["/t/.netdiskignore", "/t/a.txt", "/t/sub/.netdiskignore", "/t/sub/c.log", "/t/sub/夏天 [1].txt"]
    );
    program.ok(&["put", "-r", "t", "--no-ignore"]);
    assert_eq!(there(program).len(), 8);
}

#[test]
fn a_dry_run_says_what_would_travel_and_moves_nothing() {
    let scene = with_tree();
    let program = &scene.program;
    std::os::unix::fs::symlink("a.txt", program.path("t/link")).expect("linked");
    let said = program.ok(&["put", "-r", "t", "--dry-run", "--exclude", "*.log"]);
    assert_eq!(
        said,
        "would store /t/a.txt  5 B\nwould skip t/link: a symbolic link\nwould store /t/sub/夏天 [1].txt  5 B\n\
         would store /t/target/big  5 B\nwould store 3 files, 15 B, 1 skipped; nothing was moved\n"
    );
    assert!(there(program).is_empty());

    program.ok(&["put", "-r", "t", "--exclude", "target/"]);
    let said = program.ok(&["put", "-r", "-n", "t", "--existing", "skip", "--quiet"]);
    assert!(
        said.contains("would skip /t/a.txt: exists already\n") && said.contains("would store /t/target/big"),
        "{said}"
    );
    let said = program.ok(&["put", "-n", "t/a.txt", "/t/a.txt"]);
    assert!(said.starts_with("would store /t/a.txt  5 B, in place of what is there\n"), "{said}");
    let said = program.ok(&["get", "-r", "t", "back", "-n", "--include", "*.txt"]);
    assert_eq!(
        said,
        "would receive back/a.txt  5 B\nwould receive back/sub/夏天 [1].txt  5 B\n\
         would receive 2 files, 10 B; nothing was moved\n"
    );
    assert!(!program.path("back").exists());
    let said = program.ok(&["get", "t/a.txt", "-n", "--json"]);
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&events[0]["event"], &events[0]["name"]), (&"would".into(), &"a.txt".into()));
    assert_eq!((&events[1]["event"], &events[1]["dry_run"]), (&"summary".into(), &true.into()));
    assert!(!program.path("a.txt").exists());
    program.fails(&["get", "t", "-n"], 7);
    program.fails(&["put", "missing", "-n"], 6);
    program.fails(&["put", "-", "x", "-n"], 2);
}

#[test]
fn a_dry_run_goes_on_behind_what_would_fail() {
    let scene = with_tree();
    let program = &scene.program;
    program.write("t/a\\b", b"no name for the server");
    for rehearsed in [&["-n"][..], &[]] {
        let output = program.run_with(&[&["put", "-r", "t"], rehearsed].concat(), b"");
        assert_eq!(output.status.code(), Some(9), "{output:?}");
        let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("6 files, 30 B") && said.contains(", 1 failed"), "{said}");
        assert!(failed.starts_with("netdisk: t/a\\b: a path has no"), "{failed}");
    }
}

#[test]
fn trees_keep_their_times_and_the_summary_counts_right() {
    let scene = with_tree();
    let program = &scene.program;
    std::os::unix::fs::symlink("a.txt", program.path("t/link")).expect("linked");
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = std::fs::File::options().write(true).open(program.path("t/a.txt")).expect("there");
    file.set_modified(then).expect("set");
    let said = program.ok(&["put", "-r", "t", "--json"]);
    let summary: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    assert_eq!(
        (&summary["event"], &summary["files"], &summary["bytes"], &summary["skipped"], &summary["failed"]),
        (&"summary".into(), &6.into(), &30.into(), &1.into(), &0.into()),
        "{summary}"
    );
    let said = program.ok(&["put", "-r", "t"]);
    assert!(said.contains("skipped t/link: a symbolic link\n"), "{said}");
    let last = said.lines().last().expect("a line");
    assert!(last.starts_with("stored 6 files, 30 B in ") && last.ends_with("/s, 1 skipped"), "{last}");
    let stated: Value = serde_json::from_str(&program.ok(&["stat", "t/a.txt", "--json"])).expect("JSON");
    assert_eq!(stated["modified"], 1_000_000_000_000_i64);
    program.ok(&["get", "-r", "t", "back"]);
    let back = program.path("back/a.txt").metadata().and_then(|metadata| metadata.modified()).expect("known");
    assert_eq!(back, then);
}

#[test]
fn what_is_wrong_in_an_ignore_file_is_said_once_and_what_is_right_holds() {
    let scene = Scene::new();
    let program = &scene.program;
    for folder in ["t", "u"] {
        std::fs::create_dir(program.path(folder)).expect("made");
        program.write(&format!("{folder}/.netdiskignore"), b"*.log\n{a\n");
        for name in ["a.txt", "b.log"] {
            program.write(&format!("{folder}/{name}"), b"x");
        }
    }
    let output = program.run(&["put", "-r", "t"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.matches("{a").count() == 1, "{said}");
    let output = program.run(&["--json", "put", "-r", "u"]);
    let events = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(events.lines().filter(|line| line.contains(r#""event":"warning""#)).count(), 1, "{events}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(!program.ok(&["ls", "-R"]).contains("b.log"));
}
