//! Globs on the server: `*`, `?` and `[..]` in a component, and `**` for directories at any depth.
//!
//! As in other shells, a name that begins with a dot has to be asked for with one.

use std::collections::HashMap;

use glob::{MatchOptions, Pattern};
use netdisk_client::ClientError;
use netdisk_model::{Entry, EntryKind, PathError, RemotePath};
use netdisk_protocol::FaultCode;
use unicode_normalization::UnicodeNormalization as _;

use crate::failure::Failure;
use crate::lexer::{Component, Word};
use crate::remote::Remote;

/// Most names that a glob may stand for: far more than anybody reads, and some tens of megabytes.
const MATCHES_MAX: usize = 100_000;

/// How names match, here and on the server.
pub(crate) const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// What a word stands for, in order; each as a person would have typed it.
pub(crate) async fn matching(remote: &mut Remote, word: &Word) -> Result<Vec<String>, Failure> {
    let mut found = vec![Found::directory(String::new(), remote.directory.clone())];
    let mut listings = Listings { remote, known: HashMap::new() };
    let mut components = word.components().enumerate().peekable();
    while let Some((at, component)) = components.next() {
        let is_last = components.peek().is_none();
        match component {
            _ if at == 0 && component.is_empty() => found = vec![Found::directory("/".to_owned(), RemotePath::root())],
            // A slash at the end, or two in a row: what stands before it is a directory.
            _ if component.is_empty() => {}
            _ if component.is_any_depth() => found = listings.below(found, is_last).await?,
            _ => found = listings.step(found, component).await?,
        }
        if found.len() > MATCHES_MAX {
            return Err(Failure::usage(format!("{} stands for more than {MATCHES_MAX} names", word.text())));
        }
        if !is_last {
            found.retain(|found| found.kind == EntryKind::Directory);
            found.iter_mut().for_each(|found| {
                if !found.typed.is_empty() && !found.typed.ends_with('/') {
                    found.typed.push('/');
                }
            });
        }
    }
    let mut names: Vec<String> = found.into_iter().map(|found| found.typed).filter(|typed| !typed.is_empty()).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Something that matches so far.
#[derive(Debug, Clone)]
struct Found {
    typed: String,
    path: RemotePath,
    kind: EntryKind,
}

impl Found {
    fn directory(typed: String, path: RemotePath) -> Self {
        Self { typed, path, kind: EntryKind::Directory }
    }

    /// Something that stands below it.
    fn child(&self, entry: &Entry) -> Self {
        let below = entry.path.as_str()[self.path.as_str().len()..].trim_start_matches('/');
        Self { typed: format!("{}{below}", self.typed), path: entry.path.clone(), kind: entry.kind }
    }
}

/// What is in the directories that were looked into.
struct Listings<'a> {
    remote: &'a mut Remote,
    known: HashMap<RemotePath, Vec<Entry>>,
}

impl Listings<'_> {
    /// What matches one component in each directory.
    async fn step(&mut self, from: Vec<Found>, component: Component<'_>) -> Result<Vec<Found>, Failure> {
        // The server's names are in this form.
        let text: String = component.text().nfc().collect();
        if text == "." || text == ".." {
            return from.into_iter().map(|found| climb(found, &text)).collect();
        }
        // The directories before the first glob are as they were typed.
        let literal = (!component.is_glob()).then_some(text.as_str());
        if let (Some(name), [only], true) = (literal, &from[..], self.known.is_empty()) {
            let path = only.path.join(name).map_err(bad_path(name))?;
            return Ok(vec![Found::directory(format!("{}{text}", only.typed), path)]);
        }
        let pattern: String = component.pattern().nfc().collect();
        let pattern = Pattern::new(&pattern).map_err(|error| Failure::usage(format!("{text}: {error}")))?;
        let mut matching = Vec::new();
        for found in from {
            for entry in self.children(&found.path).await? {
                let name = entry.path.name().unwrap_or_default();
                if literal.map_or_else(|| pattern.matches_with(name, OPTIONS), |literal| literal == name) {
                    matching.push(found.child(entry));
                }
            }
        }
        Ok(matching)
    }

    /// All directories at any depth, themselves too; at the end of a word, the files too, but not themselves.
    async fn below(&mut self, from: Vec<Found>, is_last: bool) -> Result<Vec<Found>, Failure> {
        let mut matching = Vec::new();
        for found in from {
            let tree = self.remote.repeat(async |client| client.list(&found.path, true).await).await?;
            // Its directories need not be listed one by one.
            self.known.entry(found.path.clone()).or_default();
            for entry in &tree.entries {
                if entry.kind == EntryKind::Directory {
                    self.known.entry(entry.path.clone()).or_default();
                }
            }
            for entry in tree.entries {
                let child = found.child(&entry);
                let is_wanted = entry.kind == EntryKind::Directory || is_last && entry.kind == EntryKind::File;
                let is_hidden = child.typed[found.typed.len()..].split('/').any(|name| name.starts_with('.'));
                if is_wanted && !is_hidden {
                    matching.push(child);
                }
                if let Some(siblings) = entry.path.parent().and_then(|parent| self.known.get_mut(&parent)) {
                    siblings.push(entry);
                }
            }
            if !is_last {
                matching.push(found);
            }
        }
        Ok(matching)
    }

    /// What stands in a directory, without what the server does not serve.
    async fn children(&mut self, directory: &RemotePath) -> Result<&[Entry], Failure> {
        if !self.known.contains_key(directory) {
            let mut entries = match self.remote.repeat(async |client| client.list(directory, false).await).await {
                Ok(listing) => listing.entries,
                // It has gone since it was listed, or is none: nothing in it matches.
                Err(Failure::Client(ClientError::Fault(fault)))
                    if matches!(fault.code, FaultCode::NotADirectory | FaultCode::NotFound) =>
                {
                    Vec::new()
                }
                Err(failure) => return Err(failure),
            };
            entries.retain(|entry| entry.kind != EntryKind::Other);
            self.known.insert(directory.clone(), entries);
        }
        Ok(self.known.get(directory).map_or(&[], Vec::as_slice))
    }
}

fn climb(found: Found, text: &str) -> Result<Found, Failure> {
    let path = found.path.resolve(text).map_err(bad_path(text))?;
    Ok(Found::directory(format!("{}{text}", found.typed), path))
}

fn bad_path(name: &str) -> impl FnOnce(PathError) -> ClientError {
    move |error| ClientError::BadPath { name: name.to_owned(), error }
}
