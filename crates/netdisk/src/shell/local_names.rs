//! Names of this machine, for completion.

use std::path::PathBuf;
use std::sync::mpsc;

use tokio::runtime::Handle;

use super::candidates::{Candidate, Ending};
use crate::lexer::Word;
use crate::shelf::PATIENCE;

/// What stands in the directory of a word that is half typed.
pub(super) fn list(runtime: &Handle, word: &Word) -> Vec<Candidate> {
    let typed = word.text();
    let directory = typed.rfind('/').map_or("", |slash| &typed[..=slash]).to_owned();
    let hidden = typed[directory.len()..].starts_with('.');
    let Some(path) = path_of(word, &directory) else { return Vec::new() };
    let (send, names) = mpsc::sync_channel(1);
    // A mount that hangs holds a thread of the pool, and not the prompt.
    runtime.spawn_blocking(move || {
        let names = read(&path, hidden).into_iter();
        let named = names.map(|(name, ending)| Candidate::new(format!("{directory}{name}"), ending)).collect();
        // Whoever asked may have lost patience.
        drop(send.send(named));
    });
    names.recv_timeout(PATIENCE).unwrap_or_default()
}

fn path_of(word: &Word, directory: &str) -> Option<PathBuf> {
    match directory.strip_prefix("~/") {
        Some(rest) if word.begins_with('~') => Some(etcetera::home_dir().ok()?.join(rest)),
        _ if directory.is_empty() => Some(".".into()),
        _ => Some(directory.into()),
    }
}

/// Names with what follows them. What cannot be read or named is not offered.
fn read(path: &PathBuf, hidden: bool) -> Vec<(String, Ending)> {
    let Ok(found) = std::fs::read_dir(path) else { return Vec::new() };
    let named = found.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        // Where a link leads counts.
        let is_directory = entry.path().metadata().is_ok_and(|metadata| metadata.is_dir());
        Some((name, if is_directory { Ending::Directory } else { Ending::Word }))
    });
    named.filter(|(name, _)| hidden || !name.starts_with('.')).collect()
}
