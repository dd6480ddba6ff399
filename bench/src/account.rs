//! Accounts of this system that servers run as or log in as: their names and numbers, from `/etc/passwd`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::{Gid, Uid, chown};

/// An account of this system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// Whoever runs the bench.
    pub(crate) fn own() -> Result<Self> {
        let uid = rustix::process::getuid().as_raw();
        find(&fs::read_to_string("/etc/passwd")?, |account| account.uid == uid).context("this user has no name here")
    }

    /// The one with that name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        find(&fs::read_to_string("/etc/passwd")?, |account| account.name == name)
            .with_context(|| format!("there is no user {name} here"))
    }

    /// Gives it a file or folder.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        chown(path, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
            .with_context(|| format!("{} cannot be given to {}", path.display(), self.name))
    }
}

fn find(passwd: &str, wanted: impl Fn(&Account) -> bool) -> Option<Account> {
    let accounts = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, uid, gid) = (fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Account { name, uid, gid })
    });
    accounts.into_iter().find(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nftp:x:105:112:a: b:/srv/ftp:/usr/sbin/nologin\n";
        let ftp = Account { name: "ftp".to_owned(), uid: 105, gid: 112 };
        assert_eq!(find(passwd, |account| account.name == "ftp"), Some(ftp));
        assert_eq!(find(passwd, |account| account.uid == 7), None);
    }
}
