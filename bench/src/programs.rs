//! Where the programs of the contenders are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::cli::ProgramArgs;

/// Where servers are kept, which PATH may not name.
const SERVER_FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Programs by name.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    found: BTreeMap<String, PathBuf>,
    folders: Vec<PathBuf>,
}

impl Programs {
    /// Looks in the folders given, in PATH, and where servers are; `netdisk` is the one beside this program.
    pub(crate) fn new(args: &ProgramArgs) -> Result<Self> {
        let mut folders = args.folders.clone();
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        folders.extend(SERVER_FOLDERS.iter().map(PathBuf::from));
        let netdisk = match &args.netdisk {
            Some(netdisk) => netdisk.clone(),
            None => std::env::current_exe()?.with_file_name("netdisk"),
        };
        ensure!(netdisk.is_file(), "there is no {}: `cargo build --release` makes it", netdisk.display());
        let netdisk = netdisk.canonicalize().with_context(|| netdisk.display().to_string())?;
        Ok(Self { found: BTreeMap::from([("netdisk".to_owned(), netdisk)]), folders })
    }

    /// The program of that name, if it is installed.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        let installed = || self.folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
        self.found.get(name).cloned().or_else(installed)
    }

    /// The program of that name.
    pub(crate) fn get(&self, name: &str) -> Result<PathBuf> {
        self.find(name).with_context(|| format!("{name} is not installed"))
    }

    /// Which of `names` are not installed.
    pub(crate) fn missing<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        names.iter().copied().filter(|name| self.find(name).is_none()).collect()
    }
}

/// The text of a path, for configuration files and command lines of others.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}
