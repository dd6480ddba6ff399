//! The framing lab as a student sees it: what it prints, and its exit codes.

use crate::fixture::{Listening, PASSWORD, Program, Scene, ServerProcess, content};

#[test]
fn the_classic_sticks_on_real_sockets() {
    let text = Program::new().ok(&["lab", "stick", "--rounds", "5"]);
    let reads = "   read 1    256  AAAA              256 A\n   read 2  1,024  BBBBBBBBBBBBBBBB  1024 B\n   read 3  1,024  \
                 BBBBBBBBBBBBBBBB  1024 B\n   read 4    136  BCC               8 B + 128 C\n";
    assert!(text.contains(reads), "{text}");
    for cure in ["delimiter", "fixed-size", "length", "header"] {
        let line = text.lines().find(|line| line.trim_start().starts_with(cure)).expect(cure);
        assert!(line.ends_with("256 A, 2056 B, 128 C  right"), "{line}");
    }
    assert!(!text.contains('\x1b'), "no colours where there is no terminal");
    assert!(
        Program::new().ok(&["lab", "stick", "--rounds", "1", "--color", "always"]).contains("\x1b[30;102mAAAA\x1b[0m")
    );
}

#[test]
fn wrong_receivers_break_and_right_ones_do_not_and_a_seed_repeats_it() {
    let program = Program::new();
    for name in ["delimiter", "fixed-size", "length", "limit", "header"] {
        for seed in ["1", "7"] {
            let broken = program.ok(&["lab", "broken", name, "--seed", seed]);
            assert!(broken.ends_with("verdict   broken, as it is meant to be\n"), "{broken}");
            assert_eq!(broken, program.ok(&["lab", "broken", name, "--seed", seed]));
            let fixed = program.ok(&["lab", "fixed", name, "--seed", seed]);
            assert!(fixed.ends_with("verdict   right\n"), "{fixed}");
        }
        assert!(program.ok(&["lab", "broken", name, "--source"]).contains("WRONG:"));
    }
    program.fails(&["lab", "broken", "no-such-lesson"], 2);
}

#[test]
fn the_mangler_stands_between_two_programs() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut program = Program::new();
    let server = ServerProcess::start(&program, data.path(), &[]);
    let proxy = Listening::start(
        &program,
        &["lab", "proxy", &server.address, "--up", "split=9", "--down", "split=9 stall=2000,100ms", "--seed", "3"],
    );
    program.server = Some(proxy.address.clone());
    program.ok(&["register", "alice", "--accept-new"]);
    program.write("f", &content(100_000));
    program.ok(&["put", "f"]);
    program.ok(&["get", "f", "back"]);
    assert!(program.read("back") == content(100_000));
    for wrong in ["split", "splat=1", "lie=0,1"] {
        program.fails(&["lab", "proxy", &server.address, "--up", wrong], 2);
    }
}

#[test]
fn leftovers_of_one_command_come_as_the_answer_to_the_next() {
    let text = Program::new().ok(&["lab", "command"]);
    assert!(text.contains("$ echo hello            wrote    6, got 1024  WRONG"), "{text}");
    assert!(text.contains("$ echo hello            status 0, out    6, err  0  right  \"hello\""), "{text}");
}

#[test]
fn a_trace_of_the_real_client_can_be_viewed_and_holds_no_secret() {
    let scene = Scene::new();
    let program = &scene.program;
    program.write("f", b"the content of the file");
    program.ok(&["put", "f", "--trace", "trace"]);
    let login = program.run(&["login", "alice", "--trace", "-"]);
    assert!(login.status.success(), "{login:?}");
    let (trace, shown) = (program.read("trace"), login.stderr);
    let (trace, shown) = (String::from_utf8(trace).expect("UTF-8"), String::from_utf8(shown).expect("UTF-8"));
    assert!(trace.contains(r#"\"type\":\"upload\""#) && trace.contains(r#""kind":"data","len":24"#), "{trace}");
    assert!(shown.contains(r#""password":"***""#) && shown.contains(r#""token":"***""#), "{shown}");
    let token = std::fs::read_dir(program.path("config")).expect("a folder").flatten();
    let kept: String = token.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
    let token = kept.split('"').find(|part| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    for secret in [PASSWORD, "the content", token.expect("a kept token")] {
        assert!(!trace.contains(secret) && !shown.contains(secret), "{secret}");
    }
    let steps = program.ok(&["lab", "view", "trace", "--way", "sent"]);
    assert!(steps.contains("->     24  file bytes"), "{steps}");
    program.ok(&["lab", "view", "trace", "--html", "page.html"]);
    assert!(String::from_utf8_lossy(&program.read("page.html")).contains("stored"));
    program.fails(&["lab", "view", "no-such-recording"], 6);
}

#[test]
fn a_live_run_is_a_recording_and_repeats_by_its_seed() {
    let program = Program::new();
    let steps = program.ok(&["lab", "view", "--seed", "7"]);
    program.ok(&["lab", "view", "--seed", "7", "--save", "run"]);
    assert_eq!(program.ok(&["lab", "view", "run"]), steps);
    assert_ne!(program.ok(&["lab", "view", "--seed", "8"]), steps);
}

#[test]
fn what_is_printed_fits_a_terminal_of_80_columns() {
    let program = Program::new();
    for args in [
        &["lab", "stick", "--rounds", "20"][..],
        &["lab", "broken"],
        &["lab", "fixed"],
        &["lab", "command"],
        &["lab", "view"],
    ] {
        let text = program.ok(args);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{args:?}: {} columns: {line}", line.chars().count());
        }
    }
}
