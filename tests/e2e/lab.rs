//! The framing lab as a student sees it: what it prints, and its exit codes.

use crate::fixture::{Listening, Program, ServerProcess, content};

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
    assert!(text.contains("$ echo hello               wrote     6, got  1024  WRONG"), "{text}");
    assert!(text.contains("$ echo hello               status 0, stdout     6, stderr   0  right  \"hello\""), "{text}");
}
