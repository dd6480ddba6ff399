//! System calls of the server, seen by strace: in which order they come, and what happens when they fail.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// One system call. Where two overlap in time, `entered` and `left` tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// Arguments as strace prints them: descriptors with their paths.
    pub(super) arguments: String,
    pub(super) result: String,
    /// Places in the order of events.
    pub(super) entered: usize,
    pub(super) left: usize,
}

impl Call {
    pub(super) fn has_succeeded(&self) -> bool {
        !self.result.starts_with("-1") && !self.result.starts_with('?')
    }

    pub(super) fn is_injected(&self) -> bool {
        self.result.contains("(INJECTED)")
    }

    /// The paths of the descriptors among the arguments, in order.
    pub(super) fn paths(&self) -> Vec<&str> {
        self.arguments.split('<').skip(1).filter_map(|rest| rest.split('>').next()).collect()
    }

    /// The strings among the arguments, in order.
    pub(super) fn strings(&self) -> Vec<&str> {
        self.arguments.split('"').skip(1).step_by(2).collect()
    }
}

/// strace at work on a process. Dropped, it is detached.
#[derive(Debug)]
pub(super) struct Strace {
    child: Child,
    out: PathBuf,
}

impl Strace {
    /// Attaches to all threads of a process, and to those that it makes from now on.
    pub(super) fn attach(pid: u32, options: &[&str], out: &Path) -> Result<Self> {
        let mut child = Command::new("strace")
            .args(["-f", "-y", "-s", "512", "-o"])
            .arg(out)
            .args(options)
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .context("strace")?;
        let mut said = BufReader::new(child.stderr.take().context("piped")?);
        let strace = Self { child, out: out.to_owned() };
        let mut line = String::new();
        while !line.contains(" attached") {
            line.clear();
            ensure!(said.read_line(&mut line)? > 0, "strace does not attach");
        }
        // It goes on talking about new threads, and is not to wait for a reader.
        std::thread::spawn(move || drop(std::io::copy(&mut said, &mut std::io::sink())));
        Ok(strace)
    }

    /// Leaves the process alone again; gives what was seen.
    pub(super) fn detach(mut self) -> Result<Vec<Call>> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        self.child.wait()?;
        let lines = BufReader::new(File::open(&self.out)?).lines().collect::<Result<Vec<_>, _>>()?;
        Ok(parse(&lines))
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // Gone already where it was detached, and then its number may be another's.
        if let Ok(None) = self.child.try_wait() {
            // Not killed outright: what it traces would stay stopped.
            drop(kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(std::io::Error::from));
            drop(self.child.wait());
        }
    }
}

/// Puts together what strace prints in two parts when calls overlap.
fn parse(lines: &[String]) -> Vec<Call> {
    let mut calls = Vec::<Call>::new();
    let mut open = std::collections::HashMap::<&str, usize>::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let (Some(call), Some((_, end))) = (open.remove(thread), resumed.split_once(" resumed>")) else { continue };
            let (more, result) = split_result(end);
            calls[call].arguments.push_str(more);
            calls[call].result = result.to_owned();
            calls[call].left = at;
            continue;
        }
        let Some((name, rest)) = rest.split_once('(') else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let (arguments, result, left) = match rest.strip_suffix(" <unfinished ...>") {
            Some(arguments) => {
                open.insert(thread, calls.len());
                (arguments, "?", usize::MAX)
            }
            None => {
                let (arguments, result) = split_result(rest);
                (arguments, result, at)
            }
        };
        let (name, arguments, result) = (name.to_owned(), arguments.to_owned(), result.to_owned());
        calls.push(Call { name, arguments, result, entered: at, left });
    }
    calls
}

fn split_result(text: &str) -> (&str, &str) {
    let (arguments, result) = text.rsplit_once(" = ").unwrap_or((text, "?"));
    (arguments.trim_end().trim_end_matches(')'), result)
}

/// Why nothing can be traced here, if so.
pub(super) fn why_not() -> Option<String> {
    let found = Command::new("strace").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        return Some("no strace".to_owned());
    }
    (!rustix::process::geteuid().is_root()).then(|| "not root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_overlap_are_put_together() {
        let lines: Vec<String> = [
            r#"11    fsync(9</s/staging/a b> <unfinished ...>"#,
            r#"12    sendto(7<socket:[5]>, "\0{\"type\":\"done\"}", 9, MSG_NOSIGNAL, NULL, 0) = 9"#,
            r#"11    <... fsync resumed>)               = 0"#,
            r#"11    renameat2(4</s/staging>, "a b", 5</s/files>, "f", RENAME_NOREPLACE) = -1 EIO (Input/output error) (INJECTED)"#,
            r#"11    +++ exited with 0 +++"#,
        ]
        .map(str::to_owned)
        .into();
        let calls = parse(&lines);
        let [sync, send, rename] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!((sync.name.as_str(), sync.entered, sync.left, sync.result.as_str()), ("fsync", 0, 2, "0"));
        assert_eq!(sync.paths(), ["/s/staging/a b"]);
        assert!(send.has_succeeded() && send.left == 1);
        assert_eq!((rename.paths(), rename.strings()), (vec!["/s/staging", "/s/files"], vec!["a b", "f"]));
        assert!(rename.is_injected() && !rename.has_succeeded());
    }
}
