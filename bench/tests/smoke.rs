//! A comparison of a few KiB from end to end: netdisk and the limits alone, no time asserted.

use std::path::Path;
use std::process::{Command, Output};

/// Sizes and counts by which 1 GiB becomes some KiB, and 2,000 files one.
const DIVIDE: &str = "100000";

fn compare(out: &Path, args: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_netdisk-bench"))
        .args(["compare", "--runs", "2", "--divide", DIVIDE])
        .args(["--netdisk", env!("CARGO_BIN_EXE_netdisk-under-bench"), "--out"])
        .arg(out)
        .args(args)
        // Also as root it works as it does for anybody: with no mounts of its own.
        .env("NETDISK_BENCH_STARTED_OVER", "1")
        .output()
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
