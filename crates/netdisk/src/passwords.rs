//! Where a password comes from: a file, the environment, or a person. Never from the arguments, which all can read.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::Path;

use netdisk_client::ClientError;
use netdisk_model::Password;
use rustix::termios::{self, LocalModes, OptionalActions, Termios};

use crate::failure::Failure;

/// What a password is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To log in: typed once.
    Login,
    /// For a new account: typed twice.
    Register,
    /// In place of another: typed twice.
    Change,
}

/// A password that needs no person: from `file`, or the environment.
pub(crate) fn given(file: Option<&Path>) -> Result<Option<Password>, Failure> {
    match file {
        Some(file) => first_line(file).map(Some),
        None => match std::env::var("NETDISK_PASSWORD") {
            Ok(password) => Ok(Some(Password::new(password))),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(error @ std::env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("NETDISK_PASSWORD: {error}"))),
        },
    }
}

/// A new password that needs no person: from the environment.
pub(crate) fn given_new() -> Option<Password> {
    std::env::var("NETDISK_NEW_PASSWORD").ok().map(Password::new)
}

/// A password that a person types now.
pub(crate) fn ask(who: &str, purpose: Purpose) -> Result<Password, Failure> {
    if !io::stdin().is_terminal() {
        let text = "a password is needed and there is no terminal: set NETDISK_PASSWORD or use --password-file";
        return Err(Failure::LoginNeeded(text.to_owned()));
    }
    // From before the first prompt to after the last: what is typed ahead between them is not shown either.
    let silence = Silence::begin().map_err(Failure::unexpected)?;
    let prompt = |text: &str| match rpassword::prompt_password(text) {
        Ok(password) => Ok(Password::new(password)),
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted) => {
            eprintln!();
            Err(Failure::Interrupted)
        }
        Err(error) => Err(Failure::unexpected(error)),
    };
    let word = if purpose == Purpose::Change { "New password" } else { "Password" };
    let password = prompt(&format!("{word} for {who}: "))?;
    if purpose != Purpose::Login {
        password.check().map_err(|error| Failure::usage(error.to_string()))?;
        if prompt("The same again: ")? != password {
            return Err(Failure::usage("the two passwords differ"));
        }
    }
    drop(silence);
    Ok(password)
}

/// The terminal does not show what is typed, until this is dropped.
struct Silence {
    before: Termios,
}

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Err(error) = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before) {
            eprintln!("netdisk: the terminal still hides what you type ({error}); `reset` mends it");
        }
    }
}

fn first_line(file: &Path) -> Result<Password, Failure> {
    let read = || -> io::Result<String> {
        let mut line = String::new();
        if file == Path::new("-") {
            io::stdin().lock().read_line(&mut line)?;
        } else {
            io::BufReader::new(std::fs::File::open(file)?).read_line(&mut line)?;
        }
        Ok(line)
    };
    let line = read().map_err(|error| ClientError::Local { path: file.to_owned(), error })?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::usage(format!("{}: the first line, where the password stands, is empty", file.display()))),
        password => Ok(Password::new(password)),
    }
}
