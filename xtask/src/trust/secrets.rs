//! P17: a password and a token are nowhere but where they belong.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::scene::{Effort, ServerProcess};
use super::table::Row;

/// Wrong logins: fewer than the limiter gives away.
const WRONG: u64 = 4;

const CANARY: &str = "canary password d41c";

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let server = effort.serve(&["--registration", "open", "--log-format", "json"])?;
    let config = server.folder.path().join("config");
    let run = |args: &[&str], password: &str| -> Result<bool> {
        let mut command = Command::new(&effort.program);
        command.args(args).args(["--accept-new", "--server", &server.address.to_string()]);
        command.current_dir(server.folder.path()).env("NETDISK_HOME", &config).env("NETDISK_PASSWORD", password);
        Ok(command.output()?.status.success())
    };
    ensure!(run(&["register", "alice"], CANARY)?, "not registered");
    fs::write(server.folder.path().join("f"), "hello")?;
    let rounds = effort.pick(5, 100);
    for round in 0..rounds {
        ensure!(run(&["put", "f"], CANARY)? && run(&["login", "alice"], CANARY)?, "not served");
        // After some wrong ones the limiter lets nobody in for a while.
        ensure!(round >= WRONG || !run(&["login", "alice"], &format!("{CANARY}, but wrong"))?, "let in");
    }
    let logins = fs::read_to_string(config.join("logins.json"))?;
    let token = logins.split('"').find(|word| word.len() == 64).context("a token")?.to_owned();
    let bytes = places(&server)?;
    let found = |what: &str| bytes.windows(what.len()).filter(|bytes| *bytes == what.as_bytes()).count() as u64;
    let events = server.log()?.lines().map(|line| u64::from(!line.starts_with("{\"timestamp\""))).sum::<u64>();
    let core = fs::read_to_string(format!("/proc/{}/limits", server.pid()))?;
    let no_core =
        core.lines().any(|line| line.starts_with("Max core file size") && line.split_whitespace().nth(4) == Some("0"));
    Ok(vec![Row {
        promise: "P17",
        what: "logins, right and wrong; then every file of the store, log, audit, command line".to_owned(),
        tried: rounds + WRONG + 1,
        failed: found(CANARY) + found(&token) + events + u64::from(!no_core),
        figure: format!("{} KiB searched, each line of the log one event, no core file", bytes.len() >> 10),
        control: "the same search for what must be there",
        control_failed: found("alice"),
    }])
}

/// All that the server leaves: files, log, command line, environment.
fn places(server: &ServerProcess) -> Result<Vec<u8>> {
    let mut bytes = server.log()?.into_bytes();
    collect(&server.store(), &mut bytes)?;
    for place in ["cmdline", "environ"] {
        bytes.extend(fs::read(format!("/proc/{}/{place}", server.pid()))?);
    }
    Ok(bytes)
}

fn collect(folder: &Path, into: &mut Vec<u8>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, into)?;
        } else {
            into.extend(fs::read(&path)?);
        }
    }
    Ok(())
}
