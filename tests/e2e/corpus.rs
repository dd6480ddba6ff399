//! What fuzzing has found, and what it begins with: played through the same functions, without the fuzzer.

use std::path::Path;

use crate::raw::frame;

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
    play("frames", |bytes| {
        targets::frames(bytes);
    });
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
    play("server", |bytes| drop(targets::server(bytes)));
}

/// Otherwise all that a fuzzer does after that is done to a closed door.
#[test]
fn whatever_a_session_did_the_next_one_gets_in() {
    let session = |request: &[u8]| targets::server(&[&[1], &frame(request)[..]].concat());
    for spoiler in [
        &br#"{"id":2,"type":"logout"}"#[..],
        br#"{"id":2,"type":"revoke","session":"all"}"#,
        br#"{"id":2,"type":"upload","path":"/f","body":"now"}"#,
        b"no message",
    ] {
        session(spoiler);
        let said = session(br#"{"id":2,"type":"whoami"}"#);
        let text = String::from_utf8_lossy(&said).into_owned();
        assert!(text.contains(r#""type":"account""#), "{text}");
    }
    for number in 0..100 {
        let stranger = format!(r#"{{"id":1,"type":"login","user":"alice","token":"{number:064}"}}"#);
        let hello = frame(br#"{"type":"hello","version":1,"software":"fuzz"}"#);
        targets::server(&[&[0], &hello[..], &frame(stranger.as_bytes())].concat());
    }
    let said = session(br#"{"id":2,"type":"whoami"}"#);
    assert!(String::from_utf8_lossy(&said).contains(r#""type":"account""#), "wrong tokens of others keep nobody out");
}

#[test]
fn client() {
    play("client", targets::client);
}
