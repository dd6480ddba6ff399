//! lcd, lpwd, lls: what the shell does on this machine.

use std::io;
use std::path::PathBuf;

use serde_json::json;

use crate::failure::Failure;
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

fn local(path: PathBuf, error: io::Error) -> Failure {
    netdisk_client::ClientError::Local { path, error }.into()
}
