//! The messenger against the programs of a course, as they stand, and against senders that mean no good.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use netdisk_model::Digest;

use crate::fixture::{Listening, Program, content};
use crate::toolchain;

const COURSE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lab/course");

fn receive(program: &Program, endian: &str) -> Listening {
    Listening::start(program, &["lab", "messenger", "--listen", "127.0.0.1:0", "--endian", endian, "--into", "inbox"])
}

/// A length and bytes, the lowest byte of the length first.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&i32::try_from(bytes.len()).expect("short").to_le_bytes(), bytes].concat()
}

fn item(item_type: &str, content: &[u8]) -> Vec<u8> {
    [sized(item_type.as_bytes()), sized(content)].concat()
}

/// Sends raw bytes and waits until the messenger hangs up.
fn send_raw(listening: &Listening, bytes: &[u8]) {
    let mut stream = TcpStream::connect(&listening.address).expect("it listens");
    // It may hang up before it has read all.
    drop(stream.write_all(bytes));
    drop(stream.shutdown(Shutdown::Write));
    drop(stream.read_to_end(&mut Vec::new()));
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_courses_sender_delivers_texts_and_a_large_file_as_it_stands() {
    if !toolchain::is_there("python3", "PYTHON") {
        return;
    }
    let program = Program::new();
    let mut listening = receive(&program, "little");
    let big = content(100 << 20);
    program.write("夏天 big.bin", &big);
    program.write("empty", b"");
    for round in ["first", "second"] {
        let sent = Command::new("python3")
            .arg(format!("{COURSE}/sender.py"))
            .args([&listening.address, "你好, netdisk", "夏天 big.bin", "empty", round])
            .current_dir(program.folder.path())
            .output()
            .expect("python runs");
        assert!(sent.status.success(), "{sent:?}");
        assert_eq!([listening.line(), listening.line()], ["你好, netdisk", round]);
    }
    // The last text stands behind the files.
    assert_eq!(Digest::of(&program.read("inbox/夏天 big.bin")), Digest::of(&big));
    assert_eq!(names_in(&program.path("inbox")), ["empty", "夏天 big.bin"]);
}

#[test]
fn the_messenger_sends_to_a_courses_receiver_and_to_itself() {
    let program = Program::new();
    program.write("a.bin", &content(300_000));
    for endian in ["little", "big"] {
        let mut listening = receive(&program, endian);
        let to = ["lab", "messenger", "--to", &listening.address, "--endian", endian];
        program.ok(&[&to[..], &["--text", "one", "--text", "two\nlines", "--file", "a.bin"]].concat());
        assert_eq!([listening.line(), listening.line(), listening.line()], ["one", "two", "lines"]);
        assert!(program.read("inbox/a.bin") == content(300_000));
        std::fs::remove_file(program.path("inbox/a.bin")).expect("removed");
    }
    if !toolchain::is_there("python3", "PYTHON") {
        return;
    }
    std::fs::create_dir(program.path("course")).expect("made");
    let mut command = Command::new("python3");
    command.arg(format!("{COURSE}/receiver.py")).arg("course").current_dir(program.folder.path());
    let mut listening = Listening::of(command);
    program.ok(&["lab", "messenger", "--to", &listening.address, "--text", "hello", "--file", "a.bin"]);
    assert_eq!([listening.line(), listening.line()], ["hello", "file a.bin 300000"]);
    assert!(program.read("course/a.bin") == content(300_000));
}

#[test]
fn names_are_confined_and_what_is_refused_costs_only_itself() {
    let program = Program::new();
    let mut listening = receive(&program, "little");
    program.write("outside", b"mine");
    let mut bytes = Vec::new();
    for name in ["../outside", "/tmp/netdisk-lab-outside", "..", ".hidden", "a/b", "..\\\\x", ""] {
        bytes.extend(item(&format!(r#"{{"msg_type": "file", "file_name": "{name}"}}"#), b"theirs"));
    }
    bytes.extend(item(r#"{"msg_type": "file", "file_name": "good"}"#, b"good"));
    bytes.extend(item(r#"{"msg_type": "text"}"#, b"and \x1b[31mon\xff"));
    bytes.extend(sized(b"close"));
    send_raw(&listening, &bytes);
    assert_eq!(listening.line(), "and \\u{1b}[31mon\u{fffd}", "nothing that moves a cursor");
    assert_eq!(names_in(&program.path("inbox")), ["good"]);
    assert_eq!(program.read("outside"), b"mine");
    // A link under the name is replaced and not followed.
    std::os::unix::fs::symlink(program.path("outside"), program.path("inbox/link")).expect("linked");
    send_raw(&listening, &item(r#"{"msg_type": "file", "file_name": "link"}"#, b"theirs"));
    assert_eq!((program.read("outside"), program.read("inbox/link")), (b"mine".to_vec(), b"theirs".to_vec()));
}

#[test]
fn a_sender_that_breaks_the_rules_costs_its_own_connection() {
    let program = Program::new();
    let mut listening = receive(&program, "little");
    let msg = sized(br#"{"msg_type": "msg"}"#);
    let file = sized(br#"{"msg_type": "file", "file_name": "half"}"#);
    let cases: [Vec<u8>; 9] = [
        vec![0xff; 4],
        i32::MAX.to_le_bytes().to_vec(),
        sized(b"no JSON"),
        sized(br#"{"msg_type": "file"}"#),
        sized(br#"{"msg_type": "format disk"}"#),
        [&msg[..], &(-1_i32).to_le_bytes()].concat(),
        [&msg[..], &(2_i32 << 20).to_le_bytes()].concat(),
        // Half a length, half a file.
        vec![1, 0],
        [&file[..], &100_i32.to_le_bytes(), b"only this"].concat(),
    ];
    for bytes in cases {
        send_raw(&listening, &bytes);
    }
    send_raw(&listening, &item(r#"{"msg_type": "msg"}"#, b"it lives"));
    assert_eq!(listening.line(), "it lives", "no text of theirs was shown");
    assert_eq!(names_in(&program.path("inbox")), Vec::<String>::new(), "half a file is none");
}

#[test]
fn the_wrong_end_of_a_length_is_explained() {
    let program = Program::new();
    let mut command = program.command(&["lab", "messenger", "--listen", "127.0.0.1:0", "--endian", "big"]);
    command.stderr(Stdio::piped());
    let listening = Listening::of(command);
    send_raw(&listening, &item(r#"{"msg_type": "msg"}"#, b"hello"));
    let text = listening.stop();
    // As lesson 4 shows it.
    let said = "a type of 318767104 bytes is announced, and at most 4096 may be (from the other end it would be 19: try \
                the other --endian)";
    assert!(text.contains(said), "{text}");
}

#[test]
fn the_wrong_order_of_bytes_is_told_to_both_sides_every_time() {
    let program = Program::new();
    let mut listening = receive(&program, "big");
    for _ in 0..5 {
        let to = ["lab", "messenger", "--to", &listening.address, "--endian", "little", "--text", "hello"];
        let sent = program.fails(&to, 1);
        assert!(sent.contains("broke off") && sent.contains("try the other --endian"), "{sent}");
    }
    if toolchain::is_there("python3", "PYTHON") {
        // A simple sender is through before it is refused, whatever the machine is busy with.
        for _ in 0..10 {
            let sent = Command::new("python3")
                .arg(format!("{COURSE}/sender.py"))
                .args([&listening.address, "hello"])
                .output()
                .expect("python runs");
            assert!(sent.status.success() && sent.stderr.is_empty(), "{sent:?}");
        }
    }
    program.ok(&["lab", "messenger", "--to", &listening.address, "--endian", "big", "--text", "it lives"]);
    assert_eq!(listening.line(), "it lives");
}

#[test]
fn only_files_with_a_length_are_sent() {
    let program = Program::new();
    let listening = receive(&program, "little");
    let fifo = program.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    for file in [fifo.to_str().expect("UTF-8"), "/dev/zero", "inbox"] {
        let said = program.fails(&["lab", "messenger", "--to", &listening.address, "--file", file], 2);
        assert!(said.contains("no regular file"), "{said}");
    }
    assert_eq!(names_in(&program.path("inbox")), Vec::<String>::new());
}

#[test]
fn one_sender_too_many_is_told_so_and_the_next_one_is_served() {
    let program = Program::new();
    let mut listening = receive(&program, "little");
    let mut idle: Vec<TcpStream> = Vec::new();
    for _ in 0..64 {
        idle.push(TcpStream::connect(&listening.address).expect("it listens"));
    }
    let mut late = TcpStream::connect(&listening.address).expect("it listens");
    late.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("set");
    let refused = late.read(&mut [0]).expect_err("no end without a word");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionReset);
    // Who leaves makes room; when, is the messenger's affair.
    drop(idle.pop());
    let to = ["lab", "messenger", "--to", &listening.address, "--text", "it lives"];
    let began = std::time::Instant::now();
    while !program.run(&to).status.success() {
        assert!(began.elapsed().as_secs() < 10, "there is room again");
    }
    assert_eq!(listening.line(), "it lives");
}
