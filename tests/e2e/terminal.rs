//! A person at a real terminal: `script` from util-linux lends the program a pseudo-terminal of its own.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::fixture::{Program, content};

/// Whether there is a `script`; where the tests must not skip, its absence fails them.
pub(crate) fn script_is_there() -> bool {
    let there = Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        let required = std::env::var_os("NETDISK_TESTS_REQUIRE_SCRIPT").is_some();
        assert!(!required, "script (util-linux) is required here and missing");
        eprintln!("SKIPPED: there is no script (util-linux)");
    }
    there
}

/// A terminal in which the program runs.
struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: ChildStdout,
    seen: String,
}

impl Terminal {
    fn open(program: &Program, line: &str) -> Self {
        let netdisk = program.command(&[]);
        let line = format!("stty cols 100 rows 40; {} {line}", netdisk.get_program().display());
        // A screen that never shows what is waited for ends after two minutes.
        let mut command = Command::new("timeout");
        command
            .args(["120", "script", "--quiet", "--return", "--command", &line, "/dev/null"])
            .current_dir(program.folder.path());
        command.env("NETDISK_HOME", program.path("config")).env("TERM", "xterm").env_remove("NETDISK_PASSWORD");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
        let keyboard = child.stdin.take().expect("piped");
        let screen = child.stdout.take().expect("piped");
        Self { child, keyboard, screen, seen: String::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).and_then(|()| self.keyboard.flush()).expect("typed");
    }

    /// Reads the screen until `text` appears; gives what came up to it.
    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        let mut bytes = Vec::new();
        loop {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            if let Some(at) = (self.seen.clone() + &shown).find(text) {
                let all = std::mem::take(&mut self.seen) + &shown;
                self.seen = all[at + text.len()..].to_owned();
                return all[..at].to_owned();
            }
            let mut some = [0; 4096];
            let read = self.screen.read(&mut some).expect("readable");
            assert!(read > 0, "the terminal closed before {text:?} appeared; it showed {}{shown}", self.seen);
            bytes.extend_from_slice(&some[..read]);
        }
    }
}

#[test]
fn a_newcomer_registers_moves_files_and_leaves() {
    if !script_is_there() {
        return;
    }
    let program = Program::new();
    let content = content(300_000_000);
    program.write("big file", &content);
    let mut terminal = Terminal::open(&program, "try");
    terminal.until("> ");
    terminal.press("register alice\r");
    terminal.until("Password for alice@");
    terminal.press("correct horse\r");
    terminal.until("The same again: ");
    terminal.press("correct horse\r");
    let echoed = terminal.until("registered and logged in as alice");
    assert!(!echoed.contains("correct horse"), "the password is not shown: {echoed}");
    terminal.until(":/> ");

    terminal.press("put 'big file'\r");
    let bar = terminal.until("stored /big file");
    assert_moves_forwards(&bar);
    terminal.until(":/> ");
    terminal.press("get 'big file' back\r");
    let bar = terminal.until("received back");
    assert_moves_forwards(&bar);
    assert!(program.read("back") == content);

    // A question; completion of a command; an error; Ctrl-C at the prompt; Ctrl-D.
    terminal.until(":/> ");
    terminal.press("get 'big file' back\r");
    terminal.until("Replace it? [y/N] ");
    terminal.press("n\r");
    terminal.until("skipped back");
    terminal.until(":/> ");
    terminal.press("who\t\r");
    terminal.until("whoami");
    terminal.until("alice");
    terminal.until(":/> ");
    terminal.press("cat missing\r");
    terminal.until("netdisk: /missing: no such file");
    terminal.until(":/> ");
    terminal.press("half a li\x03");
    terminal.until(":/> ");
    terminal.press("\x04");
    assert!(terminal.child.wait().expect("it ends").success());
}

/// The bar was drawn, showed rate and time left, and never went back.
#[track_caller]
fn assert_moves_forwards(screen: &str) {
    assert!(screen.contains("ETA") && screen.contains("MiB/s"), "{screen:?}");
    let positions: Vec<f64> = screen
        .split("/286.10 MiB")
        .filter_map(|before| {
            let before = before.trim_end();
            let number = before.strip_suffix(" MiB").or(before.strip_suffix(" KiB"))?.rsplit(' ').next()?;
            let scale = if before.ends_with("KiB") { 1.0 / 1024.0 } else { 1.0 };
            Some(number.parse::<f64>().ok()? * scale)
        })
        .collect();
    assert!(positions.len() >= 2, "{positions:?} in {screen:?}");
    assert!(positions.is_sorted(), "{positions:?}");
}
