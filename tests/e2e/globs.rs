//! Globs and quoting: in the shell, and as arguments of the process.

use crate::fixture::{Program, Scene};

/// Makes empty files and directories (with a `/` at the end) on the server.
fn make(program: &Program, names: &[&str]) {
    program.write("empty", b"");
    for name in names {
        match name.strip_suffix('/') {
            Some(directory) => drop(program.ok(&["mkdir", "-p", "--", directory])),
            None => drop(program.ok(&["put", "--", "empty", name])),
        }
    }
}

#[track_caller]
fn script(program: &Program, lines: &str) -> String {
    let output = program.run_with(&["--quiet"], lines.as_bytes());
    assert!(output.status.success(), "{lines}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn globs_stand_for_the_names_that_the_server_lists() {
    let scene = Scene::new();
    let program = &scene.program;
    make(program, &["d/", "d/e/", "a.txt", "b.txt", "夏天.txt", ".hidden.txt", "a b.log", "d/c.txt", "d/e/f.txt"]);
    // `stat` says the names of what it is given.
    let paths = |arguments: &[&str]| -> Vec<String> {
        let text = program.ok(&[&["stat"], arguments].concat());
        text.lines().filter_map(|line| line.strip_prefix("path      ")).map(str::to_owned).collect()
    };
    assert_eq!(paths(&["*.txt"]), ["/a.txt", "/b.txt", "/夏天.txt"]);
    assert_eq!(paths(&["?.txt"]), ["/a.txt", "/b.txt"]);
    assert_eq!(paths(&["??.txt"]), ["/夏天.txt"], "a Chinese character is one character");
    assert_eq!(paths(&["[ab夏]*.txt"]), ["/a.txt", "/b.txt", "/夏天.txt"]);
    assert_eq!(paths(&[".*"]), ["/.hidden.txt"]);
    assert_eq!(paths(&["**/*.txt"]), ["/a.txt", "/b.txt", "/d/c.txt", "/d/e/f.txt", "/夏天.txt"]);
    assert_eq!(paths(&["d/**/*.txt", "a*"]), ["/d/c.txt", "/d/e/f.txt", "/a b.log", "/a.txt"]);
    assert_eq!(paths(&["*/"]), ["/d"]);
    assert_eq!(paths(&["*/*.txt", "/d/?"]), ["/d/c.txt", "/d/e"]);
    assert_eq!(paths(&["d/*/../c.txt"]), ["/d/c.txt"]);

    for (arguments, code) in [(&["rm", "*.jpg"][..], 6), (&["rm", "a.txt/*"], 6), (&["stat", "nothing/*"], 6)] {
        let text = program.fails(arguments, code);
        assert!(text.contains(arguments[1]), "it is named: {text}");
    }
    program.ok(&["rm", "-f", "*.jpg"]);
    assert!(script(program, "cd d\nrm *.txt\nls\n").ends_with("e/\n"));
}

#[test]
fn a_literal_name_wins_and_a_quoted_glob_is_a_name() {
    let scene = Scene::new();
    let program = &scene.program;
    make(program, &["*", "[ab]", "a", "b"]);
    let left = || program.ok(&["ls"]);
    // As an argument of the process nothing is quoted: the literal name wins.
    program.ok(&["mv", "[ab]", "c"]);
    assert_eq!(left(), "*\na\nb\nc\n");
    script(program, "rm '*'\n");
    assert_eq!(left(), "a\nb\nc\n");
    // No file is called so any more: now it is a glob, unless it is quoted.
    for quoted in ["'[ab]'", "\"[ab]\"", "\\[ab]", "[ab"] {
        let output = program.run_with(&["shell"], format!("rm {quoted}").as_bytes());
        assert_eq!(output.status.code(), Some(6), "{quoted}: {output:?}");
    }
    assert_eq!(left(), "a\nb\nc\n");
    script(program, "rm [ab]\n");
    assert_eq!(left(), "c\n");
}

#[test]
fn names_of_all_kinds_survive_quotes_and_globs() {
    let scene = Scene::new();
    let program = &scene.program;
    // A name that looks like an option stays a name when a glob brings it.
    make(program, &["-rf", "a b", "[x] (1)", "it's \"here\"", "夏天", "🎉", "#1", "R&B", "~"]);
    let listed = program.ok(&["ls"]);
    script(
        program,
        "mkdir 'new folder'
mv \"it's \\\"here\\\"\" '[x] (1)' a\\ b R&B \\#1 ~ new\\ folder
mv ?rf 夏* \\u{1f389} 'new folder' # all that is left
",
    );
    assert_eq!(program.ok(&["ls"]), "new folder/\n");
    assert_eq!(program.ok(&["ls", "new folder"]), listed);
}

#[test]
fn local_globs_are_for_the_shell() {
    let scene = Scene::new();
    let program = &scene.program;
    for name in ["a 1.txt", "b.txt", "夏.txt", "[1].log", ".hidden.txt"] {
        program.write(name, name.as_bytes());
    }
    std::fs::create_dir(program.path("sub")).expect("made");
    program.write("sub/c.txt", b"c");
    assert_eq!(
        script(program, "mkdir in\nput *.txt in\nput '[1].log' in\nput ./s*/?.txt in\nls in\n"),
        "[1].log\na 1.txt\nb.txt\nc.txt\n夏.txt\n"
    );
    let output = program.run_with(&["shell"], b"put *.jpg in\n");
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("*.jpg"), "{output:?}");
    // As an argument of the process it has been expanded, or is meant as it stands.
    program.fails(&["put", "*.txt", "in"], 6);
}

#[test]
fn several_names_are_downloaded_by_one_glob() {
    let scene = Scene::new();
    let program = &scene.program;
    for name in ["a 1", "a 2"] {
        program.write(name, name.as_bytes());
        program.ok(&["put", name]);
    }
    std::fs::create_dir(program.path("into")).expect("made");
    program.ok(&["get", "a*", "into"]);
    assert_eq!((program.read("into/a 1"), program.read("into/a 2")), (b"a 1".to_vec(), b"a 2".to_vec()));
}

#[test]
fn none_of_the_names_of_one_glob_is_where_the_others_go() {
    let scene = Scene::new();
    let program = &scene.program;
    program.write("a.txt", b"of a");
    program.write("b.txt", b"of b");
    assert_eq!(script(program, "mkdir d\ncd d\nput *.txt --existing overwrite\ncat a.txt b.txt\n"), "of aof b");
    std::fs::create_dir(program.path("back")).expect("made");
    assert_eq!(script(program, "cd d\nlcd back\nget *.txt\n"), "");
    assert_eq!((program.read("back/a.txt"), program.read("back/b.txt")), (b"of a".to_vec(), b"of b".to_vec()));
    // And where one was asked for, it is one.
    let output = program.run_with(&["shell"], b"cd d\nget a.txt ?.txt\n");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 names"), "{output:?}");
}

#[test]
fn one_glob_is_not_several_names_where_one_is_wanted() {
    let scene = Scene::new();
    let program = &scene.program;
    make(program, &["photos/", "papers/", "pictures/"]);
    assert_eq!(script(program, "cd ph*\npwd\n"), "/photos\n");
    let output = program.run_with(&["shell"], b"cd p*\n");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("3 names"), "{output:?}");
}

#[test]
fn commands_of_this_machine_run_from_the_shell() {
    let scene = Scene::new();
    let program = &scene.program;
    assert_eq!(script(program, "!echo 'a  b' | tr a-z A-Z\n"), "A  B\n");
    let output = program.run_with(&["shell"], b"!exit 3\nmkdir never\n");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("3"), "{output:?}");
    assert_eq!(program.ok(&["ls"]), "");
}
