//! Replays every command block of the lessons and guides: what a document shows is what the program prints.
//!
//! A block is marked `console`. A line behind `$` is run by `sh`, lines behind `>` belong to it, and the others are what it
//! prints. `...` stands for any text in a line, and alone on a line for any lines. Rates and times of day are not compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::fixture::Listening;
use crate::toolchain;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A folder in which the commands of a lesson find what they name, and what still runs in it.
struct Room {
    folder: TempDir,
    running: Vec<Listening>,
    /// Addresses as the document has them, and as they are: tests take free ports.
    addresses: BTreeMap<String, String>,
    /// The server that commands go to which name none.
    server: Option<String>,
}

/// Where a client looks for a server that it is not told.
const DEFAULT_SERVER: &str = "127.0.0.1:8001";

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let link = |target: &Path, name: &str| {
            std::os::unix::fs::symlink(target, folder.path().join(name)).expect("linked");
        };
        for shared in ["docs", "clients"] {
            link(&Path::new(ROOT).join(shared), shared);
        }
        std::fs::create_dir(folder.path().join("bin")).expect("made");
        link(Path::new(env!("CARGO_BIN_EXE_netdisk-under-test")), "bin/netdisk");
        Self { folder, running: Vec::new(), addresses: BTreeMap::new(), server: None }
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        command.args(["-c", line]).current_dir(self.folder.path());
        command.env("PATH", format!("{}:{path}", self.folder.path().join("bin").display()));
        command.env("NETDISK_HOME", self.folder.path().join("config")).env_remove("NETDISK_SERVER");
        command.env("NETDISK_LOG", "warn");
        if let Some(server) = &self.server {
            command.env("NETDISK_SERVER", server);
        }
        command
    }

    /// Runs a line as the document has it; gives what it prints.
    fn run(&mut self, line: &str) -> String {
        let mut line = line.to_owned();
        for (written, real) in &self.addresses {
            line = line.replace(written, real);
        }
        if let Some(served) = line.strip_suffix(" &") {
            let written = served.split("--listen ").nth(1).and_then(|rest| rest.split(' ').next()).expect("--listen");
            let free = served.replace(&format!("--listen {written}"), "--listen 127.0.0.1:0");
            let listening = Listening::of(self.shell(&format!("exec {free}")));
            self.addresses.insert(written.to_owned(), listening.address.clone());
            if written == DEFAULT_SERVER {
                self.server = Some(listening.address.clone());
            }
            self.running.push(listening);
            return format!("listening on {written}\n");
        }
        let output = self.shell(&line).output().expect("sh runs");
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        self.addresses.iter().fold(printed, |printed, (written, real)| printed.replace(real, written))
    }

    /// Runs a line and holds what it prints against what the document shows.
    fn check(&mut self, name: &str, line: &str, shown: &str) {
        let began = Instant::now();
        loop {
            let printed = self.run(line);
            let pattern: Vec<_> = shown.trim_end().lines().collect();
            if fits(&pattern, &printed.trim_end().lines().collect::<Vec<_>>()) {
                return;
            }
            // A sender may have ended before the receiver has stored what it sent: who looks into a folder may have to
            // look again.
            let looks = line.starts_with("cmp ") || line.starts_with("ls ");
            let is_late = began.elapsed() > Duration::from_secs(10);
            assert!(looks && !is_late, "{name}: `{line}` should print\n{shown}\nand prints\n{printed}");
        }
    }
}

/// The command blocks of a document.
fn blocks(document: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(document).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
    let fenced = text.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix("console\n").map(str::to_owned)).collect()
}

/// Whether lines fit a pattern, in which `...` stands for any lines.
fn fits(pattern: &[&str], lines: &[&str]) -> bool {
    match (pattern.split_first(), lines.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((&"...", rest)), _) => (0..=lines.len()).any(|skipped| fits(rest, &lines[skipped..])),
        (Some((wanted, pattern)), Some((line, lines))) => {
            line_fits(&steady(wanted.trim_end()), &steady(line.trim_end())) && fits(pattern, lines)
        }
        (Some(_), None) => false,
    }
}

/// Whether a line fits a pattern, in which `...` stands for any text.
fn line_fits(wanted: &str, line: &str) -> bool {
    let Some((before, after)) = wanted.split_once("...") else { return wanted == line };
    let Some(rest) = line.strip_prefix(before) else { return false };
    rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_fits(after, &rest[at..]))
}

/// A line without what differs from one time to the next: `1.23 MiB/s` and `2026-11-26 12:00`.
fn steady(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    for at in 1..words.len() {
        if words[at].ends_with("B/s") {
            (words[at - 1], words[at]) = ("RATE", "");
        }
        let has_form = |text: &str, form: &str| {
            text.len() == form.len()
                && text.bytes().zip(form.bytes()).all(|(c, f)| if f == b'0' { c.is_ascii_digit() } else { c == f })
        };
        if has_form(words[at - 1], "0000-00-00") && has_form(words[at], "00:00") {
            (words[at - 1], words[at]) = ("DAY", "TIME");
        }
    }
    words.join(" ")
}

fn replay(name: &str) {
    let document = Path::new(ROOT).join("docs").join(format!("{name}.md"));
    let blocks = blocks(&document);
    assert!(blocks.len() >= 2, "{name} has its commands");
    let mut room = Room::new();
    for block in blocks {
        for step in format!("\n{block}").split("\n$ ").skip(1) {
            let (line, shown) = command_and_output(step);
            let needs = [("python3", "PYTHON"), ("tshark", "TSHARK")];
            if needs.iter().any(|(program, name)| line.contains(program) && !toolchain::is_there(program, name)) {
                return;
            }
            room.check(name, &line, &shown);
        }
    }
}

/// Splits a step into what is typed, over several lines where these begin with `> `, and what is shown.
fn command_and_output(step: &str) -> (String, String) {
    let mut lines = step.lines();
    let mut command = lines.next().unwrap_or_default().to_owned();
    let mut rest = lines.peekable();
    while let Some(more) = rest.next_if(|line| line.starts_with("> ")) {
        command.push('\n');
        command.push_str(&more[2..]);
    }
    let shown: Vec<&str> = rest.collect();
    (command, shown.join("\n"))
}

macro_rules! lessons {
    ($($function:ident $name:literal;)*) => {
        const LESSONS: &[&str] = &[$($name),*];
        $(#[test]
        fn $function() {
            replay($name);
        })*
    };
}
lessons! {
    lesson_1_is_what_is_printed "lab/1-sticking";
    lesson_2_is_what_is_printed "lab/2-read-until-whole";
    lesson_3_is_what_is_printed "lab/3-length";
    lesson_4_is_what_is_printed "lab/4-messenger";
    lesson_5_is_what_is_printed "lab/5-command";
    lesson_6_is_what_is_printed "lab/6-your-own";
    the_guide_is_what_is_printed "guide";
    the_guide_to_serving_is_what_is_printed "serve";
}

#[test]
fn every_lesson_is_replayed_and_says_the_same_in_both_languages() {
    let docs = Path::new(ROOT).join("docs");
    let files = std::fs::read_dir(docs.join("lab")).expect("the lessons").flatten().map(|entry| entry.path());
    let documents: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    let lessons = LESSONS.iter().filter(|name| name.starts_with("lab/")).count();
    assert_eq!(documents.len(), 2 * (lessons + 1), "six lessons and an index, each in two languages");
    for name in LESSONS.iter().chain(&["lab/README"]) {
        let read = |suffix: &str| std::fs::read_to_string(docs.join(format!("{name}{suffix}"))).expect(name);
        let (english, chinese) = (read(".md"), read(".zh.md"));
        let fenced = |text: &str| text.split("```").skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(fenced(&english), fenced(&chinese), "{name}");
        let sections = |text: &str| text.lines().filter(|line| line.starts_with("## ")).count();
        assert_eq!(sections(&english), sections(&chinese), "{name}");
    }
}

#[test]
fn a_pattern_is_strict_but_for_its_gaps() {
    assert!(fits(&["a", "...", "c"], &["a", "b", "b", "c"]) && fits(&["..."], &[]) && fits(&["a  "], &["a"]));
    assert!(!fits(&["a", "c"], &["a", "b", "c"]) && !fits(&["a"], &["a", "b"]) && !fits(&["a", "..."], &["b"]));
    assert!(fits(&["a ... c"], &["a b c"]) && fits(&["a..."], &["a"]) && !fits(&["a ... c"], &["a b d"]));
    assert!(fits(&["f  1.00 MiB/s  x"], &["f  273.10 KiB/s  x"]) && !fits(&["f  1.00 MiB  x"], &["f  2.00 MiB  x"]));
    assert!(fits(&["2026-01-02 03:04 f"], &["1999-12-31 23:59 f"]) && !fits(&["2026-01-02 f"], &["1999-12-31 f"]));
}
