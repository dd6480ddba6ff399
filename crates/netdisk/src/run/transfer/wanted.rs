//! What of a tree is wanted: `--exclude`, `--include`, and the `.netdiskignore` files in it, in the syntax of gitignore.

use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use netdisk_client::Filter;
use netdisk_model::{EntryKind, RemotePath};

use crate::command::SelectArgs;
use crate::failure::Failure;

/// The file with the patterns of what is to stay on this machine.
const IGNORE_FILE: &str = ".netdiskignore";

/// Whether ignore files are heeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IgnoreFiles {
    Heeded,
    /// Of trees on the server, or because they are not to be.
    Unread,
}

/// Decides about each file and directory of a tree.
pub(super) struct Wanted {
    /// Excludes, and includes in their place.
    rules: Gitignore,
    /// With includes alone, nothing else is wanted.
    only_included: bool,
    ignore_files: IgnoreFiles,
    /// Those of the directory that is being read and those above it.
    open: Vec<(RemotePath, Gitignore)>,
    /// Who is told what is wrong in them; of several walks over a tree, one tells.
    told: Option<Told>,
}

/// Somebody who is told what is wrong in an ignore file.
pub(super) type Told = Arc<dyn Fn(&str) + Send + Sync>;

impl Wanted {
    /// `None` where everything is.
    pub(super) fn new(args: &SelectArgs, ignore_files: IgnoreFiles) -> Result<Option<Self>, Failure> {
        if args.exclude.is_empty() && args.include.is_empty() && ignore_files == IgnoreFiles::Unread {
            return Ok(None);
        }
        let mut builder = GitignoreBuilder::new("");
        let includes = args.include.iter().map(|glob| format!("!{glob}"));
        for line in args.exclude.iter().cloned().chain(includes) {
            builder.add_line(None, &line).map_err(|error| Failure::usage(error.to_string()))?;
        }
        let rules = builder.build().map_err(|error| Failure::usage(error.to_string()))?;
        let only_included = args.exclude.is_empty() && !args.include.is_empty();
        Ok(Some(Self { rules, only_included, ignore_files, open: Vec::new(), told: None }))
    }

    /// With somebody who is told what is wrong in ignore files.
    pub(super) fn telling(self, told: Told) -> Self {
        Self { told: Some(told), ..self }
    }

    fn tell(&self, text: &str) {
        if let Some(told) = &self.told {
            told(text);
        }
    }
}

impl Filter for Wanted {
    fn entering(&mut self, local: &Path, below: &RemotePath) {
        while self.open.pop_if(|(directory, _)| !below.is_within(directory)).is_some() {}
        if self.ignore_files == IgnoreFiles::Unread {
            return;
        }
        let file = local.join(IGNORE_FILE);
        if !file.is_file() {
            return;
        }
        let mut builder = GitignoreBuilder::new("");
        // What is right in it holds, what is wrong is said.
        if let Some(error) = builder.add(&file) {
            self.tell(&error.to_string());
        }
        match builder.build() {
            Ok(rules) => self.open.push((below.clone(), rules)),
            Err(error) => self.tell(&format!("{}: {error}", file.display())),
        }
    }

    fn admits(&self, below: &RemotePath, kind: EntryKind) -> bool {
        let is_directory = kind == EntryKind::Directory;
        match self.rules.matched(below.as_relative(), is_directory) {
            Match::Ignore(_) => return false,
            Match::Whitelist(_) => return true,
            Match::None if self.only_included && !is_directory => return false,
            Match::None => {}
        }
        // The nearest file that says something decides.
        let said = self.open.iter().rev().filter(|(directory, _)| below.is_within(directory)).find_map(
            |(directory, rules)| {
                let from_there = below.as_str()[directory.as_str().len()..].trim_start_matches('/');
                match rules.matched(from_there, is_directory) {
                    Match::None => None,
                    Match::Ignore(_) => Some(false),
                    Match::Whitelist(_) => Some(true),
                }
            },
        );
        said.unwrap_or(true)
    }

    fn for_another_walk(&self) -> Box<dyn Filter> {
        let Self { ref rules, only_included, ignore_files, .. } = *self;
        Box::new(Self { rules: rules.clone(), only_included, ignore_files, open: Vec::new(), told: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(exclude: &[&str], include: &[&str], files: IgnoreFiles) -> Wanted {
        let owned = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
        let args = SelectArgs { exclude: owned(exclude), include: owned(include), dry_run: false };
        Wanted::new(&args, files).expect("patterns").expect("some")
    }

    fn admits(wanted: &Wanted, path: &str) -> bool {
        let (path, kind) = match path.strip_suffix('/') {
            Some(directory) => (directory, EntryKind::Directory),
            None => (path, EntryKind::File),
        };
        wanted.admits(&path.parse().expect("a path"), kind)
    }

    #[test]
    fn excludes_leave_out_and_includes_take_nevertheless() {
        let some = wanted(&["*.log", "target/", "/top"], &["keep.log"], IgnoreFiles::Unread);
        for path in ["/a.log", "/d/b.log", "/target/", "/d/target/", "/top"] {
            assert!(!admits(&some, path), "{path}");
        }
        for path in ["/a.txt", "/keep.log", "/d/keep.log", "/target", "/d/top", "/夏天 [1].jpg"] {
            assert!(admits(&some, path), "{path}");
        }
        let only = wanted(&[], &["*.jpg"], IgnoreFiles::Unread);
        assert!(admits(&only, "/d/a.jpg") && admits(&only, "/d/") && !admits(&only, "/d/a.png"));
        let wrong = SelectArgs { exclude: vec!["{a".to_owned()], include: Vec::new(), dry_run: false };
        assert_eq!(Wanted::new(&wrong, IgnoreFiles::Unread).err().map(|failure| failure.code()), Some(2));
    }

    #[test]
    fn the_nearest_ignore_file_decides_and_holds_below_its_directory_alone() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write(".netdiskignore", "# nothing of these\n*.tmp\n/a/secret\n");
        write("a/.netdiskignore", "!keep.tmp\n*.bak\n");
        std::fs::create_dir(folder.path().join("b")).expect("made");
        let mut wanted = wanted(&[], &[], IgnoreFiles::Heeded);
        let enter = |wanted: &mut Wanted, path: &str| {
            wanted.entering(&folder.path().join(path.trim_start_matches('/')), &path.parse().expect("a path"))
        };
        enter(&mut wanted, "/");
        assert!(!admits(&wanted, "/x.tmp") && admits(&wanted, "/x.bak") && admits(&wanted, "/a/"));
        enter(&mut wanted, "/a");
        assert!(!admits(&wanted, "/a/secret") && !admits(&wanted, "/a/x.tmp") && !admits(&wanted, "/a/x.bak"));
        assert!(admits(&wanted, "/a/keep.tmp"));
        enter(&mut wanted, "/b");
        assert!(admits(&wanted, "/b/x.bak") && !admits(&wanted, "/b/keep.tmp"));
        // The next tree begins anew.
        wanted.entering(&folder.path().join("b"), &RemotePath::root());
        assert!(admits(&wanted, "/x.tmp"));
    }
}
