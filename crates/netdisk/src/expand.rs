//! Globs become names before a command is parsed: what runs sees only names.
//!
//! A literal name wins over a glob, and a glob that matches nothing is an error that names it.

use std::path::Path;

use clap::{Arg, Command};
use netdisk_client::ClientError;
use netdisk_protocol::FaultCode;

use crate::command::{self, RmArgs};
use crate::failure::Failure;
use crate::grammar::{Place, Role, places};
use crate::lexer::Word;
use crate::remote::Remote;
use crate::remote_glob::{self, OPTIONS};

/// Whose globs are there to expand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Globs {
    /// Those of both ends.
    All,
    /// Those of the server: a shell of this machine has expanded the others.
    Remote,
}

/// What becomes of a glob that matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unmatched {
    /// An error.
    Fails,
    /// It stays, as the name of something that is missing.
    Stays,
}

impl Unmatched {
    /// What it is for a command.
    pub(crate) fn of(command: &command::Command) -> Self {
        match command {
            command::Command::Rm(RmArgs { force: true, .. }) => Self::Stays,
            _ => Self::Fails,
        }
    }
}

/// Whether there is a glob on the server to expand: whoever has none need not be connected.
pub(crate) fn needs_server(grammar: &Command, words: &[Word]) -> bool {
    places(grammar, words).iter().zip(words).any(|(place, word)| place.role == Role::Remote && word.is_glob())
}

/// The words of a command as its parser is to see them.
pub(crate) async fn expand(
    remote: &mut Remote,
    grammar: &Command,
    words: &[Word],
    globs: Globs,
    unmatched: Unmatched,
) -> Result<Vec<String>, Failure> {
    let places = places(grammar, words);
    let options_end = places.iter().zip(words).position(|(place, word)| is_end_of_options(place, word));
    let mut expanded = Vec::new();
    let mut needs_target = false;
    for (at, (word, place)) in words.iter().zip(&places).enumerate() {
        let names = match place.role {
            Role::Remote if word.is_glob() && !exists(remote, word).await? => {
                remote_glob::matching(remote, word).await?
            }
            Role::Local if globs == Globs::All => local(word).await?,
            _ => vec![word.text()],
        };
        match names.len() {
            0 if unmatched == Unmatched::Stays => expanded.push(word.text()),
            0 => return Err(Failure::NotFound(format!("{}: nothing matches", word.text()))),
            all if all > 1 && !takes_several(place) => {
                return Err(Failure::usage(format!("{} stands for {all} names, and one is wanted", word.text())));
            }
            all => {
                needs_target |= all > 1 && is_only_source(place, &places);
                expanded.extend(names.into_iter().map(|name| {
                    let is_option =
                        name.starts_with('-') && word.text() != name && options_end.is_none_or(|end| at < end);
                    if is_option { format!("./{name}") } else { name }
                }));
            }
        }
    }
    // The last of several paths is where the others go, and nobody asked for that: they go where one would.
    if needs_target {
        expanded.push(".".to_owned());
    }
    Ok(expanded)
}

/// Whether it is the one path of a transfer, which goes to the directory at hand.
fn is_only_source(place: &Place<'_>, places: &[Place<'_>]) -> bool {
    let is_of_transfer = matches!(place.command.get_name(), "put" | "get");
    is_of_transfer && place.nth == Some(0) && places.iter().all(|other| other.nth.is_none_or(|nth| nth == 0))
}

fn is_end_of_options(place: &Place<'_>, word: &Word) -> bool {
    place.role == Role::Option && word.text() == "--"
}

fn takes_several(place: &Place<'_>) -> bool {
    let is_target_here = place.command.get_name() == "get" && place.role == Role::Local;
    !is_target_here
        && place.nth.is_some()
        && place.argument.and_then(Arg::get_num_args).is_some_and(|range| range.max_values() > 1)
}

/// Whether something on the server has this very name.
async fn exists(remote: &mut Remote, word: &Word) -> Result<bool, Failure> {
    // No name: then it can only be a pattern.
    let Ok(path) = remote.directory.resolve(&word.text()) else { return Ok(false) };
    match remote.repeat(async |client| client.stat(&path).await).await {
        Ok(_) => Ok(true),
        Err(Failure::Client(ClientError::Fault(fault)))
            if matches!(fault.code, FaultCode::NotFound | FaultCode::NotADirectory) =>
        {
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}

/// What a word stands for on this machine: `~` is home.
async fn local(word: &Word) -> Result<Vec<String>, Failure> {
    let mut text = word.text();
    let home = match text.strip_prefix('~') {
        Some(rest) if word.begins_with('~') && (rest.is_empty() || rest.starts_with('/')) => {
            let home = etcetera::home_dir().map_err(Failure::unexpected)?;
            let home = home.to_str().ok_or_else(|| Failure::usage("the home directory is no UTF-8"))?.to_owned();
            text = format!("{home}{rest}");
            Some(home)
        }
        _ => None,
    };
    if !word.is_glob() || Path::new(&text).symlink_metadata().is_ok() {
        return Ok(vec![text]);
    }
    let components = word.components().enumerate().map(|(at, component)| match &home {
        Some(home) if at == 0 => glob::Pattern::escape(home),
        _ if component.is_any_depth() => "**".to_owned(),
        _ if component.is_glob() => component.pattern(),
        _ => glob::Pattern::escape(&component.text()),
    });
    let pattern = components.collect::<Vec<_>>().join("/");
    // Looking into many directories takes its time.
    tokio::task::spawn_blocking(move || local_matching(&pattern)).await.map_err(Failure::unexpected)?
}

fn local_matching(pattern: &str) -> Result<Vec<String>, Failure> {
    let found = glob::glob_with(pattern, OPTIONS).map_err(|error| Failure::usage(format!("{pattern}: {error}")))?;
    found
        .map(|path| match path {
            Ok(path) => path
                .into_os_string()
                .into_string()
                .map_err(|name| Failure::usage(format!("{}: its name is no UTF-8", name.display()))),
            Err(error) => {
                let path = error.path().to_owned();
                Err(ClientError::Local { path, error: error.into() }.into())
            }
        })
        .collect()
}
