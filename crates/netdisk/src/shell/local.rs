//! lcd, lpwd, lls, !CMD: what the shell does on this machine.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;

use serde_json::json;

use crate::failure::Failure;
use crate::interrupt::CtrlC;
use crate::output::Output;

pub(super) fn lcd(path: Option<PathBuf>) -> Result<(), Failure> {
    let path = match path {
        Some(path) => path,
        None => etcetera::home_dir().map_err(Failure::unexpected)?,
    };
    std::env::set_current_dir(&path).map_err(|error| local(path, error))
}

pub(super) fn lpwd(output: &Output) -> Result<(), Failure> {
    let directory = std::env::current_dir().map_err(Failure::unexpected)?.display().to_string();
    output.result(&directory, json!({"event": "done", "path": directory}));
    Ok(())
}

pub(super) fn lls(path: PathBuf, output: &Output) -> Result<(), Failure> {
    let read = || -> io::Result<Vec<String>> {
        std::fs::read_dir(&path)?
            .map(|found| {
                let found = found?;
                let mark = if found.file_type()?.is_dir() { "/" } else { "" };
                Ok(format!("{}{mark}", found.file_name().to_string_lossy()))
            })
            .collect()
    };
    let mut names = read().map_err(|error| local(path.clone(), error))?;
    names.sort();
    for name in names {
        output.result(&name, json!({"event": "entry", "name": name}));
    }
    Ok(())
}

/// Runs a command of this machine, with the terminal; without one, a shell.
pub(super) async fn run(command: &str) -> Result<(), Failure> {
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let mut process = tokio::process::Command::new(&shell);
    if !command.is_empty() {
        process.arg("-c").arg(command);
    }
    let failed = |error| local(shell.clone().into(), error);
    let mut pressed = CtrlC::listen()?;
    let mut child = process.spawn().map_err(failed)?;
    let status = loop {
        // Ctrl-C is for the command: it gets the signal too, and this one goes on waiting for it.
        tokio::select! {
            status = child.wait() => break status.map_err(failed)?,
            () = pressed.next() => {}
        }
    };
    match (status.success(), status.signal()) {
        (true, _) => Ok(()),
        // Whoever pressed Ctrl-C knows.
        (_, Some(2)) => Err(Failure::Interrupted),
        _ => Err(Failure::unexpected(anyhow::anyhow!("!{command}: {status}"))),
    }
}

fn local(path: PathBuf, error: io::Error) -> Failure {
    netdisk_client::ClientError::Local { path, error }.into()
}
