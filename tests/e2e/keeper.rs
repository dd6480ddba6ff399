//! `netdisk admin`, as the keeper of a server uses it: beside the running server, and on a store at rest.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt as _;

use crate::fixture::{PASSWORD, Program, Scene, ServerProcess};

#[test]
fn a_quota_holds_at_once_and_says_how_much_is_missing() {
    let scene = Scene::new();
    let data = scene.data.path().to_str().expect("UTF-8").to_owned();
    let admin = |args: &[&str]| scene.program.ok(&[&["admin", "--data", &data], args].concat());
    let line = admin(&["user", "quota", "alice", "--space", "2K", "--files", "2"]);
    assert!(line.starts_with("alice  0 B of 2.00 KiB, 0 of 2 files, since "), "{line}");
    scene.program.write("small", &[1; 500]);
    scene.program.write("large", &[1; 2049]);
    scene.program.ok(&["put", "small"]);
    let refused = scene.program.fails(&["put", "large"], 7);
    assert!(refused.contains("the quota of 2048 bytes is too small for it by 501"), "{refused}");
    let space = scene.program.ok(&["quota"]);
    assert_eq!(space, "space  500 B of 2.00 KiB\nfiles  1 of 2\n");
    scene.program.ok(&["put", "small", "second"]);
    let refused = scene.program.fails(&["cp", "small", "third"], 7);
    assert!(refused.contains("the quota of 2 files is too small for it by 1"), "{refused}");
    scene.program.ok(&["put", "small", "second"]);
    scene.program.ok(&["rm", "second"]);
    admin(&["user", "quota", "alice", "--files", "none"]);
    scene.program.ok(&["cp", "small", "third"]);
    let json = scene.program.ok(&["--json", "quota"]);
    assert!(json.contains(r#""bytes":1000"#) && json.contains(r#""files_max":null"#), "{json}");
}

#[test]
fn accounts_are_kept_beside_the_running_server() {
    let scene = Scene::new();
    let data = scene.data.path().to_str().expect("UTF-8").to_owned();
    let admin = |args: &[&str]| scene.program.ok(&[&["admin", "--data", &data], args].concat());
    assert_eq!(admin(&["user", "add", "bob"]), "added bob\n");
    let bob = Program::for_server(&scene.server);
    bob.ok(&["login", "bob", "--accept-new"]);
    let list = admin(&["user", "list"]);
    assert!(list.lines().map(|line| line.split("  ").next()).eq([Some("alice"), Some("bob")]), "{list}");
    admin(&["user", "disable", "bob"]);
    bob.fails(&["whoami"], 4);
    bob.fails(&["login", "bob"], 4);
    assert!(admin(&["user", "list"]).contains("disabled"));
    admin(&["user", "enable", "bob"]);
    bob.ok(&["login", "bob"]);
    // Another password ends all logins.
    let mut passwd = scene.program.command(&["admin", "--data", &data, "user", "passwd", "bob"]);
    assert!(passwd.env("NETDISK_PASSWORD", "battery staple").status().expect("it runs").success());
    let old = bob.fails(&["login", "bob"], 4);
    assert!(!old.contains(PASSWORD));
    scene.program.fails(&["admin", "--data", &data, "user", "disable", "nobody"], 6);
    scene.program.fails(&["admin", "--data", &data, "user", "add", "alice"], 7);
    scene.program.fails(&["admin", "--data", "/nowhere", "user", "list"], 6);
    let held = scene.program.fails(&["admin", "--data", &data, "fsck"], 7);
    assert!(held.contains("stop it first"), "{held}");
}

#[test]
fn damage_is_found_backed_up_and_never_handed_out() {
    let scene = Scene::new();
    let data = scene.data.path().to_str().expect("UTF-8").to_owned();
    scene.program.write("good", b"good content");
    scene.program.write("bad", b"soon to be bad");
    scene.program.ok(&["put", "good", "bad", "/"]);
    let at = scene.data.path().join("homes/alice/files/bad");
    let file = File::options().write(true).open(at).expect("there");
    let modified = file.metadata().expect("known").modified().expect("known");
    file.write_all_at(b"S", 0).expect("written");
    file.set_times(FileTimes::new().set_modified(modified)).expect("set");

    let refused = scene.program.fails(&["get", "bad", "fetched"], 8);
    assert!(refused.contains("damaged"), "{refused}");
    assert!(!scene.program.path("fetched").exists());
    let output = scene.program.run(&["admin", "--data", &data, "scrub"]);
    assert_eq!(output.status.code(), Some(8), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.starts_with("ROTTEN alice:/bad (14 bytes)\nscrubbed 2 files"), "{text}");

    let backup = scene.program.path("backup");
    scene.program.fails(&["admin", "--data", &data, "backup", "backup"], 8);
    assert_eq!(fs::read(backup.join("homes/alice/files/good")).expect("a plain file"), b"good content");
    scene.program.fails(&["admin", "--data", "restored", "restore", "backup"], 8);
    // The restored server has the old key: nobody asks.
    scene.program.fails(&["get", "bad", "fetched"], 8);
    let server = ServerProcess::start(&scene.program, &scene.program.path("restored"), &[]);
    assert_eq!(server.fingerprint, scene.server.fingerprint);
    let again = Program::for_server(&server);
    again.ok(&["login", "alice", "--accept-new"]);
    again.ok(&["get", "good"]);
    assert_eq!(again.read("good"), b"good content");
    again.fails(&["get", "bad"], 8);
}
