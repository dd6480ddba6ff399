//! The folder that a person chose for what a server sends: nothing written through it lands elsewhere.
//!
//! It is a directory handle. Every open below it goes through `openat2` with BENEATH | NO_SYMLINKS | NO_MAGICLINKS, one
//! component after the other is made, and no link ever is: neither a server's names nor a link that somebody swaps in
//! while it works lead out. Modes are those of any new file, 0666 and 0777 without what the umask takes away; a server
//! has no say in them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netdisk_model::RemotePath;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::error::ClientError;
use crate::part_file::Place;
use crate::transfer::OnExisting;

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
const NEW_FILE: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::CLOEXEC);

/// Times that `openat2` is tried again when somebody renames something at the same moment (openat2(2), EAGAIN).
const TRIES_MAX: usize = 100;

/// A folder on this machine.
///
/// ```
/// use netdisk_client::Destination;
///
/// let folder = tempfile::tempdir()?;
/// let destination = Destination::open(folder.path())?;
/// destination.make_directories(&"/photos/2026".parse()?)?;
/// let file = destination.create(&"/photos/2026/a.jpg".parse()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Destination {
    directory: OwnedFd,
    path: PathBuf,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Directory,
    /// A file, or what could be replaced by one.
    Other {
        /// Time of last modification, in milliseconds since 1970.
        modified: i64,
    },
}

impl Destination {
    /// Opens a folder that exists. Its own path is the person's choice, links and all.
    ///
    /// ```
    /// assert!(netdisk_client::Destination::open(std::path::Path::new("/no such folder")).is_err());
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Local`].
    pub fn open(path: &Path) -> Result<Self, ClientError> {
        let opened = rustix::fs::openat(CWD, path, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty());
        let directory = opened.map_err(|error| ClientError::local(path)(error.into()))?;
        Ok(Self { directory, path: path.to_owned() })
    }

    /// Makes a directory below it, and those above it that are missing. One that stands there is no error; a link is.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// let destination = netdisk_client::Destination::open(folder.path())?;
    /// destination.make_directories(&"/a/b".parse()?)?;
    /// destination.make_directories(&"/a/b/c".parse()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Local`].
    pub fn make_directories(&self, at: &RemotePath) -> Result<(), ClientError> {
        let make = || -> io::Result<()> {
            let mut within = self.directory.try_clone()?;
            for name in at.as_str().split('/').filter(|name| !name.is_empty()) {
                match rustix::fs::mkdirat(&within, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                within = open_below(&within, name, DIRECTORY)?;
            }
            Ok(())
        };
        make().map_err(ClientError::local(&self.shown(at)))
    }

    /// Makes a file below it, where nothing stands.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// let destination = netdisk_client::Destination::open(folder.path())?;
    /// assert!(destination.create(&"/a".parse()?).is_ok());
    /// assert!(destination.create(&"/a".parse()?).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ClientError::LocalExists`], also for a link that leads nowhere; [`ClientError::Local`].
    pub fn create(&self, at: &RemotePath) -> Result<File, ClientError> {
        let created = self.parent(at).and_then(|(parent, name)| open_below(&parent, name, NEW_FILE));
        created.map(File::from).map_err(|error| self.explain(at, error))
    }

    /// Gives a file below it another name there, at one stroke.
    ///
    /// ```
    /// use netdisk_client::OnExisting;
    /// # let folder = tempfile::tempdir()?;
    /// let destination = netdisk_client::Destination::open(folder.path())?;
    /// destination.create(&"/a.part".parse()?)?;
    /// destination.rename(&"/a.part".parse()?, &"/a".parse()?, OnExisting::Refuse)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ClientError::LocalExists`], [`ClientError::Local`].
    pub fn rename(&self, from: &RemotePath, to: &RemotePath, existing: OnExisting) -> Result<(), ClientError> {
        let flags = match existing {
            OnExisting::Replace => RenameFlags::empty(),
            OnExisting::Refuse => RenameFlags::NOREPLACE,
        };
        let rename = || -> io::Result<()> {
            let ((from, old), (to, new)) = (self.parent(from)?, self.parent(to)?);
            Ok(rustix::fs::renameat_with(from, old, to, new, flags)?)
        };
        rename().map_err(|error| self.explain(to, error))
    }

    /// Where a file below it goes; the directories above it are made.
    pub(crate) fn place(&self, at: &RemotePath) -> Result<Place, ClientError> {
        let (directory, name) = match self.parent(at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_directories(&at.parent().unwrap_or_else(RemotePath::root))?;
                self.parent(at)
            }
            parent => parent,
        }
        .map_err(|error| self.explain(at, error))?;
        Ok(Place { directory: Arc::new(directory), name: name.into(), shown: self.shown(at) })
    }

    /// What stands where something goes, if anything does; a link is one itself.
    pub(crate) fn standing(&self, at: &RemotePath) -> Result<Option<Standing>, ClientError> {
        let stat = self.parent(at).and_then(|(directory, name)| {
            rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from)
        });
        match stat {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => Ok(Some(Standing::Directory)),
            Ok(stat) => {
                let modified = stat.st_mtime.saturating_mul(1000).saturating_add(stat.st_mtime_nsec as i64 / 1_000_000);
                Ok(Some(Standing::Other { modified }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.explain(at, error)),
        }
    }

    /// Opens the directory that something stands in, and names it there.
    fn parent<'path>(&self, at: &'path RemotePath) -> io::Result<(OwnedFd, &'path str)> {
        let (Some(parent), Some(name)) = (at.parent(), at.name()) else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        let below = parent.as_str().trim_start_matches('/');
        Ok((open_below(&self.directory, if below.is_empty() { "." } else { below }, DIRECTORY)?, name))
    }

    fn explain(&self, at: &RemotePath, error: io::Error) -> ClientError {
        let path = self.shown(at);
        match error.kind() {
            io::ErrorKind::AlreadyExists => ClientError::LocalExists { path },
            _ => ClientError::Local { path, error },
        }
    }

    /// As a person is told.
    pub(crate) fn shown(&self, at: &RemotePath) -> PathBuf {
        self.path.join(at.as_str().trim_start_matches('/'))
    }
}

/// Opens a path below a directory, no link followed anywhere.
fn open_below(directory: impl AsFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o666) } else { Mode::empty() };
    let mut tries = 0;
    loop {
        match openat2(&directory, path, flags, mode, RESOLVE) {
            Err(Errno::AGAIN) if tries < TRIES_MAX => tries += 1,
            opened => return Ok(opened?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn path(text: &str) -> RemotePath {
        text.parse().expect("a path")
    }

    /// A folder, and another beside it that nothing may reach.
    fn folders() -> (tempfile::TempDir, Destination, PathBuf) {
        let all = tempfile::tempdir().expect("a directory");
        fs::create_dir(all.path().join("chosen")).expect("made");
        let outside = all.path().join("outside");
        fs::create_dir_all(outside.join("deep")).expect("made");
        let destination = Destination::open(&all.path().join("chosen")).expect("opened");
        (all, destination, outside)
    }

    #[test]
    fn links_lead_nowhere() {
        let (all, destination, outside) = folders();
        let chosen = all.path().join("chosen");
        symlink(&outside, chosen.join("d")).expect("a link");
        symlink(outside.join("new"), chosen.join("f")).expect("a link");
        assert!(destination.create(&path("/d/f")).is_err());
        assert!(destination.create(&path("/d/deep/f")).is_err(), "also where the link is no last component");
        assert!(matches!(destination.create(&path("/f")), Err(ClientError::LocalExists { .. })));
        assert!(destination.make_directories(&path("/d")).is_err());
        assert!(destination.make_directories(&path("/d/e")).is_err());
        destination.create(&path("/mine")).expect("made");
        assert!(destination.rename(&path("/mine"), &path("/d/mine"), OnExisting::Replace).is_err());
        assert_eq!(fs::read_dir(outside.join("deep")).expect("a directory").count(), 0);
        assert_eq!(fs::read_dir(outside).expect("a directory").count(), 1);
    }

    #[test]
    fn a_server_has_no_say_in_modes_and_nothing_is_overwritten_unasked() {
        let (all, destination, _outside) = folders();
        destination.make_directories(&path("/a/b")).expect("made");
        destination.create(&path("/a/b/f")).expect("made");
        destination.create(&path("/a/b/g")).expect("made");
        let mode = fs::metadata(all.path().join("chosen/a/b/f")).expect("there").mode();
        assert_eq!(mode & 0o7111, 0, "{mode:o}");
        let refused = destination.rename(&path("/a/b/f"), &path("/a/b/g"), OnExisting::Refuse);
        assert!(matches!(refused, Err(ClientError::LocalExists { .. })));
        destination.rename(&path("/a/b/f"), &path("/a/b/g"), OnExisting::Replace).expect("asked for");
        assert!(destination.create(&path("/")).is_err(), "the folder itself");
    }

    #[test]
    fn a_directory_that_is_swapped_for_a_link_lets_nothing_out() {
        let (all, destination, outside) = folders();
        let chosen = all.path().join("chosen");
        fs::create_dir_all(chosen.join("d/deep")).expect("made");
        symlink(&outside, chosen.join("link")).expect("a link");
        let stop = AtomicBool::new(false);
        let made = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let (d, link) = (chosen.join("d"), chosen.join("link"));
                    rustix::fs::renameat_with(CWD, &d, CWD, &link, RenameFlags::EXCHANGE).expect("swapped");
                }
            });
            let made =
                (0..20_000).filter(|number| destination.create(&path(&format!("/d/deep/{number}"))).is_ok()).count();
            stop.store(true, Ordering::Relaxed);
            made
        });
        assert!(made > 0, "the directory was there now and then");
        assert_eq!(fs::read_dir(outside.join("deep")).expect("a directory").count(), 0);
    }
}
