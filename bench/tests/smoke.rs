//! A comparison of a few KiB from end to end: netdisk and the limits alone, no time asserted.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Sizes and counts by which 1 GiB becomes some KiB, and 2,000 files one.
const DIVIDE: &str = "100000";

fn command(out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netdisk-bench"));
    command
        .args(["compare", "--divide", DIVIDE, "--netdisk", env!("CARGO_BIN_EXE_netdisk-under-bench"), "--out"])
        .arg(out)
        // Also as root it works as it does for anybody: with no mounts of its own.
        .env("NETDISK_BENCH_STARTED_OVER", "1");
    command
}

fn compare(out: &Path, args: &[&str]) -> std::io::Result<Output> {
    command(out).args(["--runs", "2"]).args(args).output()
}

#[test]
fn a_tiny_comparison_gives_tables() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("table.md");
    let disk = folder.path().to_string_lossy().into_owned();
    let peers = "netdisk,netdisk-plaintext,limit-tls";
    let output = compare(&out, &["--only", "W1,W3", "--peers", peers, "--disk", &disk])?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let table = std::fs::read_to_string(&out)?;
    assert!(!table.contains("failed"), "{table}");
    for row in ["| limit-tcp | - | - | - |", "| netdisk | yes | yes | yes |", "| netdisk-plaintext | - | yes | yes |"] {
        let found = table.lines().find(|line| line.starts_with(row)).unwrap_or_default();
        assert_eq!(found.matches("x)").count(), 2, "a time and a ratio in both workloads: {table}");
    }
    // The folder of the comparison is gone: only the table is left.
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
    Ok(())
}

#[test]
fn an_unknown_contender_is_named() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let output = compare(&folder.path().join("table.md"), &["--peers", "nobody"])?;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no contender is called nobody"));
    Ok(())
}

#[test]
fn a_comparison_that_is_stopped_takes_everything_down() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().to_string_lossy().into_owned();
    // So many runs that the signal comes in the middle.
    let mut comparison = command(&folder.path().join("table.md"))
        .args(["--only", "W1", "--peers", "netdisk", "--runs", "100", "--disk", &disk])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(comparison.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.starts_with("W1 1/100 netdisk") {
        line.clear();
        assert!(said.read_line(&mut line)? > 0, "it has ended before a round was done");
    }
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "it works in a folder of its own");
    rustix::process::kill_process(rustix::process::Pid::from_child(&comparison), rustix::process::Signal::TERM)?;
    let mut rest = String::new();
    said.read_to_string(&mut rest)?;
    assert!(!comparison.wait()?.success());
    assert!(rest.contains("interrupted"), "{rest}");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 0, "nothing is left");
    Ok(())
}
