//! The dissectors on recorded captures: Wireshark's, in Lua, by tshark; and `netdisk lab dissect`.

use std::process::Command;

use crate::fixture::Program;
use crate::toolchain;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lab");

/// Runs tshark with our dissector over a capture; gives what it prints.
fn tshark(capture: &str, options: &[&str]) -> String {
    let output = Command::new("tshark")
        .args(["-X", &format!("lua_script:{DOCS}/netdisk.lua"), "-r", capture])
        .args(options)
        .output()
        .expect("tshark runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("Lua Error") && !said.contains("error in"), "{said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn wireshark_cuts_the_frames_of_a_recorded_session() {
    if !toolchain::is_there("tshark", "TSHARK") {
        return;
    }
    let capture = format!("{DOCS}/captures/plain.pcap");
    let fields = ["-Y", "netdisk", "-T", "fields", "-e", "netdisk.length", "-e", "netdisk.kind", "-e", "netdisk.type"];
    let frames = tshark(&capture, &fields);
    // Two frames in a segment; four in one, a heartbeat among them; one over six segments.
    for line in [
        "52,70\tmessage,message\thello,register",
        "46,0,24,33\tmessage,heartbeat,message,message\tmkdir,whoami,list",
        "3001\tdata\t",
    ] {
        assert!(frames.lines().any(|seen| seen == line), "{line:?} in {frames}");
    }
    assert_eq!(frames.lines().count(), 13, "{frames}");
    let list = tshark(&capture, &["-Y", "netdisk"]);
    assert!(list.contains("mkdir 2, heartbeat, whoami 3, list 4") && list.contains("3000 file bytes"), "{list}");
    // Wireshark's own parser sees the JSON: its members can be filtered by.
    let json = tshark(&capture, &["-Y", "json.value.string == \"digest_mismatch\""]);
    assert_eq!(json.lines().count(), 1, "{json}");
    assert!(tshark(&capture, &["-Y", "_ws.malformed || netdisk.too_long || netdisk.no_frame"]).is_empty());
}

#[test]
fn wireshark_marks_what_is_no_frame() {
    if !toolchain::is_there("tshark", "TSHARK") {
        return;
    }
    // The first length of the session, 52 bytes of hello, is made a lie, and the first brace of a payload another byte.
    let recorded = std::fs::read(format!("{DOCS}/captures/plain.pcap")).expect("there");
    let hello = recorded.windows(5).position(|window| window == b"\0\0\0\x34{").expect("a hello");
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (at, byte, filter) in [(hello, 0xff, "netdisk.too_long"), (hello + 4, b'X', "netdisk.no_frame")] {
        let mut damaged = recorded.clone();
        damaged[at] = byte;
        let capture = folder.path().join("damaged.pcap");
        std::fs::write(&capture, damaged).expect("written");
        let marked = tshark(capture.to_str().expect("UTF-8"), &["-Y", filter]);
        assert_eq!(marked.lines().count(), 1, "{filter}: {marked}");
    }
}

#[test]
fn one_message_is_taken_apart_on_a_capture() {
    let program = Program::new();
    let text = program.ok(&["lab", "dissect", "--recorded"]);
    assert!(text.starts_with("recorded earlier"), "{text}");
    // On a machine that permits it this is captured now; elsewhere it is the recorded one, and says why.
    let now = program.ok(&["lab", "dissect"]);
    let permitted = toolchain::is_there("tcpdump", "TCPDUMP") && !now.starts_with("recorded earlier (tcpdump may not");
    let begin = if permitted { "captured just now" } else { "recorded earlier (" };
    assert!(now.starts_with(begin), "{now}");
    for text in [text, now] {
        for line in ["SYN opens", "FIN ACK has said all", "TLS handshake, in the clear", "\"type\":\"mkdir\"}"] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(text.contains("5 of header, 1 of kind, 16 of tag"), "{text}");
    }
    let capture = format!("{DOCS}/captures/tls.pcap");
    let trace = format!("{DOCS}/captures/tls.trace");
    let own = program.ok(&["lab", "dissect", "--capture", &capture, "--recording", &trace]);
    assert!(own.contains("TLS record"), "{own}");
    program.fails(&["lab", "dissect", "--capture", &trace, "--recording", &trace], 1);
}
