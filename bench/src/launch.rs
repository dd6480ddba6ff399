//! What stands between the bench and a program that it starts: the program must not outlive the bench, and may have to
//! run in another network.
//!
//! A program of ours does both to itself and then becomes the other (`exec`), so that its process is the server's.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cli::LaunchArgs;

/// Becomes `args.command`; returns only when that fails.
pub(crate) fn launch(args: &LaunchArgs) -> Result<()> {
    // Not KILL: servers with processes of their own stop them on this one.
    set_parent_process_death_signal(Some(Signal::TERM)).context("the signal for the bench's end")?;
    if let Some(namespace) = &args.namespace {
        let file = File::open(namespace).with_context(|| namespace.display().to_string())?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).context("the network namespace")?;
    }
    let (program, arguments) = args.command.split_first().context("nothing to launch")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| program.display().to_string())
}
