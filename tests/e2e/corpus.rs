//! What fuzzing has found, and what it begins with: played through the same functions, without the fuzzer.

use std::path::Path;

#[expect(unreachable_pub, reason = "there it is a library of its own")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// Plays the corpus of a target, and every message as it travels.
fn play(target: &str, with: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut played = 0;
    for file in std::fs::read_dir(root.join("fuzz/corpus").join(target)).expect("a corpus") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("readable");
        with(&bytes);
        // And cut anywhere, as a fuzzer does first of all.
        (0..bytes.len()).for_each(|len| with(&bytes[..len]));
        played += 1;
    }
    assert!(played >= 5, "{played} files of {target}");
    for file in std::fs::read_dir(root.join("crates/protocol/golden")).expect("golden files") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        with(text.lines().nth(1).expect("the payload").as_bytes());
    }
}

#[test]
fn frames() {
    play("frames", targets::frames);
}

#[test]
fn messages() {
    play("messages", targets::messages);
}

#[test]
fn paths() {
    play("paths", targets::paths);
}

#[test]
fn server() {
    play("server", targets::server);
}

#[test]
fn client() {
    play("client", targets::client);
}
