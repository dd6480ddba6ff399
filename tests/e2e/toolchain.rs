//! Programs that a test needs and this machine may lack.

use std::process::Command;

/// Whether `program` runs; where the tests must not skip, as `NETDISK_TESTS_REQUIRE_...` says, its absence fails them.
#[track_caller]
pub(crate) fn is_there(program: &str, requirement: &str) -> bool {
    let version = if program == "go" { "version" } else { "--version" };
    let there = Command::new(program).arg(version).output().is_ok_and(|output| output.status.success());
    if !there {
        let required = std::env::var_os(format!("NETDISK_TESTS_REQUIRE_{requirement}")).is_some();
        assert!(!required, "{program} is required here and missing");
        eprintln!("SKIPPED: there is no {program}");
    }
    there
}
