//! The shell without a terminal: lines from a pipe, as a script gives them.

use crate::fixture::Scene;

#[test]
fn a_script_runs_to_its_end() {
    let scene = Scene::new();
    let program = &scene.program;
    program.write("a b.txt", b"content");
    let script = "
# a comment
mkdir \"my docs\"
cd 'my docs'
put \"a b.txt\"
put 'a b.txt' 夏天.txt
pwd
ls
cd ..
ls
get 'my docs/夏天.txt' back
exit
ls nothing after exit runs
";
    let output = program.run_with(&["--quiet"], script.as_bytes());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/my docs\na b.txt\n夏天.txt\nmy docs/\n");
    assert_eq!(program.read("back"), b"content");
}

#[test]
fn a_script_ends_at_its_first_failure_with_its_code() {
    let scene = Scene::new();
    let program = &scene.program;
    for (script, line, code) in [
        ("cat missing\nmkdir never", 1, 6),
        ("\n# a comment\nls \"unclosed\nmkdir never", 3, 2),
        ("pwd\nfrobnicate\nmkdir never", 2, 2),
        ("pwd\ncd missing\nmkdir never", 2, 6),
    ] {
        let output = program.run_with(&["shell"], script.as_bytes());
        assert_eq!(output.status.code(), Some(code), "{script}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with(&format!("netdisk: line {line}: ")), "{said}");
    }
    assert_eq!(program.ok(&["ls"]), "");
}

#[test]
fn words_of_the_shell_are_known_outside_of_it_as_such() {
    let scene = Scene::new();
    let program = &scene.program;
    let help = program.ok(&["help", "cd"]);
    assert!(help.contains("a word of the shell") && help.contains("Go to another directory"), "{help}");
    for args in [&["cd", "docs"][..], &["jobs"], &["help", "jobs", "x"]] {
        let refused = program.fails(args, 2);
        assert!(refused.contains("a word of the shell"), "{args:?}: {refused}");
    }
    let event = String::from_utf8(program.run(&["--json", "jobs"]).stdout).expect("UTF-8");
    assert!(event.contains("a word of the shell"), "{event}");
    assert!(!program.fails(&["frobnicate"], 2).contains("a word of the shell"));
}

#[test]
fn help_lists_the_commands_and_explains_each() {
    let scene = Scene::new();
    let program = &scene.program;
    let output = program.run_with(&["shell", "--quiet"], b"help\nhelp put\nput --help\n");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for word in ["register", "lcd", "exit", "--existing", "overwrite"] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn whoever_is_not_logged_in_is_told_and_can_log_in() {
    let scene = Scene::new();
    let program = &scene.program;
    program.ok(&["logout"]);
    let output = program.run_with(&["shell"], b"login alice\nwhoami\n");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not logged in"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("alice\n"), "{output:?}");
}
