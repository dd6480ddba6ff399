//! Where a password comes from: a file, the environment, or a person. Never from the arguments, which all can read.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::Path;

use anyhow::Context as _;
use netdisk_model::Password;

use crate::failure::Failure;

/// What a password is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To log in: typed once.
    Login,
    /// For a new account: typed twice.
    Register,
}

/// A password that needs no person: from `file`, or the environment.
pub(crate) fn given(file: Option<&Path>) -> Result<Option<Password>, Failure> {
    match file {
        Some(file) => first_line(file).map(Some).map_err(Failure::Unexpected),
        None => match std::env::var("NETDISK_PASSWORD") {
            Ok(password) => Ok(Some(Password::new(password))),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(error @ std::env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("NETDISK_PASSWORD: {error}"))),
        },
    }
}

/// A password that was given, or that a person types now.
pub(crate) fn ask(file: Option<&Path>, who: &str, purpose: Purpose) -> Result<Password, Failure> {
    if let Some(password) = given(file)? {
        return Ok(password);
    }
    if !io::stdin().is_terminal() {
        let text = "a password is needed and there is no terminal: set NETDISK_PASSWORD or use --password-file";
        return Err(Failure::LoginNeeded(text.to_owned()));
    }
    let prompt = |text: &str| rpassword::prompt_password(text).map(Password::new).map_err(Failure::unexpected);
    let password = prompt(&format!("Password for {who}: "))?;
    if purpose == Purpose::Register {
        password.check().map_err(|error| Failure::usage(error.to_string()))?;
        if prompt("The same again: ")? != password {
            return Err(Failure::usage("the two passwords differ"));
        }
    }
    Ok(password)
}

fn first_line(file: &Path) -> anyhow::Result<Password> {
    let mut line = String::new();
    if file == Path::new("-") {
        io::stdin().lock().read_line(&mut line).context("standard input")?;
    } else {
        let opened = std::fs::File::open(file).with_context(|| file.display().to_string())?;
        io::BufReader::new(opened).read_line(&mut line).with_context(|| file.display().to_string())?;
    }
    let password = line.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(!password.is_empty(), "{}: the first line, where the password stands, is empty", file.display());
    Ok(Password::new(password))
}
