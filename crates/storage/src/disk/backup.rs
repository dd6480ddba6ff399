//! Backups: a store as it is at one moment, while a server goes on with it; and a store made of a backup.
//!
//! ```text
//!   <backup>/netdisk.db             accounts, tokens, quotas; in `manifest` the digest of each file
//!   <backup>/homes/<user>/files/    plain files
//!   <backup>/identity/              the server's key
//! ```
//!
//! All changes wait for a moment, in which each home gets a tree of links in staging; then they go on, and the links are
//! copied. A file is never written in place, so the links stay what they were. What is copied is compared with what was
//! stored. Until it is whole and on the disk, a backup is called `<backup>.partial`; the same holds for a store.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use netdisk_model::{Digest, EntryKind, UserName};
use rusqlite::{Connection, OptionalExtension as _, params};
use rustix::fs::{AtFlags, FlockOperation};

use super::confined::{DIRECTORY_MODE, open_directory_in};
use super::database::Database;
use super::freeze::Freeze;
use super::home::open_directories;
use super::identity::Found;
use super::keeper::{FileFinding, Finding, Looked, open_same};
use super::ledger::{FileRow, Ledger, row};
use super::removal::{Undertaker, take_apart};
use super::staging::{self, Kind};
use super::sync::sync_directory;
use super::visit::{Visited, shown, visit};
use super::{DiskStore, lock, make_home, make_private_directory, private_file};
use crate::accounts::AccountsError;
use crate::error::StorageError;

/// Bytes read at once.
const CHUNK_LEN: usize = 1024 * 1024;

/// What a backup's database has beside that of a store.
const MANIFEST: &str = "CREATE TABLE manifest (
    user     TEXT    NOT NULL,
    path     BLOB    NOT NULL,  -- from the root of the home, as the file system has it
    size     INTEGER NOT NULL,  -- in bytes
    modified INTEGER NOT NULL,  -- in ns since 1970-01-01 UTC
    digest   BLOB    NOT NULL,  -- BLAKE3
    PRIMARY KEY (user, path)
) STRICT, WITHOUT ROWID";

impl DiskStore {
    /// Copies the store as it is now to `to`, which must not exist. A server may run meanwhile. Blocks.
    ///
    /// # Errors
    /// When `to` cannot be made, or the store cannot be read; what is wrong with a file is a finding.
    pub fn backup(&self, to: &Path, report: &mut dyn FnMut(Finding)) -> Result<Looked, AccountsError> {
        let target = Unfinished::make(to)?;
        let mut snapshots = Vec::new();
        let outcome = self.back_up(&target, &mut snapshots, report);
        // Whatever came of it: the links go.
        for Snapshot { user, staging, name, .. } in snapshots {
            let undertaker = Undertaker { database: &self.database, user: &user, run: &self.run };
            let name = std::ffi::CString::new(name).expect("a name without NUL");
            if let Err(error) = take_apart(&staging, name, &undertaker) {
                tracing::warn!(%user, %error, "links of a backup stay in staging until the store is next put in order");
            }
        }
        let looked = outcome?;
        target.finish()?;
        Ok(looked)
    }

    fn back_up(
        &self,
        target: &Unfinished,
        snapshots: &mut Vec<Snapshot>,
        report: &mut dyn FnMut(Finding),
    ) -> Result<Looked, AccountsError> {
        {
            let data = self.homes_path.parent().unwrap_or(Path::new("/"));
            let freeze = Freeze::open(data)?;
            freeze.take_alone().map_err(StorageError::from)?;
            let database = target.path.join("netdisk.db");
            private_file(&database)?;
            vacuum_into(&Connection::open(data.join("netdisk.db"))?, &database)?;
            // Those of the copy: who registers from now on is not in it.
            for user in users(&Connection::open(&database)?)? {
                match Snapshot::take(self, user.clone(), report) {
                    Ok(snapshot) => snapshots.push(snapshot),
                    Err(error) => report(Finding::Unreadable(home_of(&user), error.to_string())),
                }
            }
        }
        let mut manifest = Connection::open(target.path.join("netdisk.db"))?;
        manifest.execute_batch(MANIFEST)?;
        let transaction = manifest.transaction()?;
        let mut looked = Looked::default();
        for Snapshot { user, links, .. } in snapshots.iter() {
            let files = target.home(user)?;
            visit(links.try_clone().map_err(StorageError::from)?.into(), |visited| {
                let copied = match copy(&visited, &files) {
                    Ok(Some(copied)) => copied,
                    Ok(None) => return Ok(()),
                    Err(error @ StorageError::Full { .. }) => return Err(error),
                    Err(error) => {
                        report(Finding::Unreadable(about(user, &visited), error.to_string()));
                        return Ok(());
                    }
                };
                looked.files += 1;
                looked.bytes += copied.found.size;
                let known = row(&transaction, user, visited.found.identity)?.filter(|row| row.fits(&visited.found));
                let digest = known.map_or(copied.digest, |known| known.digest);
                if digest != copied.digest {
                    report(Finding::Rotten(about(user, &visited)));
                }
                transaction.prepare_cached("INSERT INTO manifest VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                    user.as_str(),
                    visited.path.as_os_str().as_bytes(),
                    visited.found.size.cast_signed(),
                    visited.found.modified_ns,
                    digest.as_bytes(),
                ])?;
                Ok::<_, StorageError>(())
            })?;
        }
        // Rows know inodes, and these are others.
        transaction.execute("DELETE FROM files", [])?;
        transaction.commit()?;
        copy_identity(&self.homes_path.with_file_name("identity"), &target.path.join("identity"))?;
        Ok(looked)
    }

    /// Makes a store of a backup. `data` must not exist, or be empty. Blocks.
    ///
    /// # Errors
    /// When there is no backup at `from`, or the store cannot be made; what is wrong with a file is a finding.
    pub fn restore(from: &Path, data: &Path, report: &mut dyn FnMut(Finding)) -> Result<Looked, AccountsError> {
        let source = Connection::open_with_flags(
            from.join("netdisk.db"),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        if fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none()) {
            fs::remove_dir(data).map_err(StorageError::from)?;
        }
        let target = Unfinished::make(data)?;
        let _lock = lock(&target.path.join("lock"))?;
        let path = target.path.join("netdisk.db");
        private_file(&path)?;
        vacuum_into(&source, &path)?;
        let database = Database::open(&path)?;
        let mut looked = Looked::default();
        for user in &users(&source)? {
            restore_home(from, &target, &source, &database, user, &mut looked, report)?;
        }
        database
            .write_blocking(|transaction| Ok::<_, AccountsError>(transaction.execute_batch("DROP TABLE manifest")?))?;
        copy_identity(&from.join("identity"), &target.path.join("identity"))?;
        drop(database);
        target.finish()?;
        Ok(looked)
    }
}

/// Copies one home out of a backup and writes its rows.
fn restore_home(
    from: &Path,
    target: &Unfinished,
    source: &Connection,
    database: &Database,
    user: &UserName,
    looked: &mut Looked,
    report: &mut dyn FnMut(Finding),
) -> Result<(), AccountsError> {
    let files = target.home(user)?;
    let root = match File::open(from.join("homes").join(user.as_str()).join("files")) {
        Ok(root) => root,
        Err(error) => {
            report(Finding::Unreadable(home_of(user), error.to_string()));
            return Ok(());
        }
    };
    let mut rows = Vec::new();
    let mut of_backup = 0;
    let mut manifest = source.prepare("SELECT digest FROM manifest WHERE user = ?1 AND path = ?2")?;
    visit(root.into(), |visited| {
        let Some(copied) = copy(&visited, &files)? else { return Ok(()) };
        looked.files += 1;
        looked.bytes += copied.found.size;
        let known = params![user.as_str(), visited.path.as_os_str().as_bytes()];
        let known = manifest.query_row(known, |row| row.get::<_, [u8; 32]>(0)).optional()?.map(Digest::from);
        match known {
            Some(digest) if digest != copied.digest => {
                of_backup += 1;
                report(Finding::Rotten(about(user, &visited)));
            }
            Some(_) => of_backup += 1,
            None => report(Finding::Adopted(about(user, &visited))),
        }
        let Found { identity, size, modified_ns, .. } = copied.found;
        // With the digest that it was stored with: what rotted in the backup is not handed out.
        let digest = known.unwrap_or(copied.digest);
        rows.push(FileRow { identity, size, modified_ns, digest, path: shown(&visited.path) });
        Ok::<_, StorageError>(())
    })?;
    let known = source.query_row("SELECT count(*) FROM manifest WHERE user = ?1", [user.as_str()], |row| {
        row.get::<_, i64>(0).map(i64::cast_unsigned)
    })?;
    if known > of_backup {
        let missing = format!("{} files of the backup are missing", known - of_backup);
        report(Finding::Unreadable(home_of(user), missing));
    }
    database.write_blocking(|transaction| {
        let zero = "UPDATE accounts SET bytes_used = 0, files_used = 0 WHERE user = ?1";
        transaction.execute(zero, [user.as_str()])?;
        let mut ledger = Ledger::open(transaction);
        rows.iter().try_for_each(|row| ledger.remember(user, row))?;
        ledger.close()?;
        Ok::<_, StorageError>(())
    })?;
    Ok(())
}

/// The links to the files of one home.
struct Snapshot {
    user: UserName,
    staging: OwnedFd,
    name: String,
    /// Locked, so that nobody takes it for debris.
    links: File,
}

impl Snapshot {
    /// Links all files of a home. Nothing changes in it meanwhile.
    fn take(store: &DiskStore, user: UserName, report: &mut dyn FnMut(Finding)) -> Result<Self, StorageError> {
        let (files, staging) = open_directories(&store.homes_path.join(user.as_str()))?;
        let name = store.run.fresh(Kind::Backup);
        rustix::fs::mkdirat(&staging, &name, DIRECTORY_MODE)?;
        let c_name = std::ffi::CString::new(name.as_str()).expect("a name without NUL");
        let links = File::from(open_directory_in(&staging, &c_name)?);
        rustix::fs::flock(&links, FlockOperation::LockExclusive)?;
        visit(files.as_fd().try_clone_to_owned()?, |visited| {
            let Visited { parent, name, path, found, unreadable } = &visited;
            let linked = match (found.kind, unreadable) {
                (_, Some(error)) => Err(error.to_string()),
                (EntryKind::Directory, _) => {
                    rustix::fs::mkdirat(&links, path, DIRECTORY_MODE).map_err(|error| error.to_string())
                }
                (EntryKind::File, _) => {
                    rustix::fs::linkat(parent, name, &links, path, AtFlags::empty()).map_err(|error| error.to_string())
                }
                (EntryKind::Other, _) => Ok(()),
            };
            // A path too long for one call, a file that is not ours to link: the others are backed up all the same.
            if let Err(error) = linked {
                report(Finding::Unreadable(about(&user, &visited), error));
            }
            Ok::<_, StorageError>(())
        })?;
        Ok(Self { user, staging, name, links })
    }
}

/// A directory that is being made, and has its name once it is whole.
struct Unfinished {
    path: PathBuf,
    name: PathBuf,
}

impl Unfinished {
    fn make(name: &Path) -> Result<Self, AccountsError> {
        let name = std::path::absolute(name).map_err(StorageError::from)?;
        if name.symlink_metadata().is_ok() {
            return Err(AccountsError::Occupied(name));
        }
        let mut path = OsString::from(name.clone());
        path.push(".partial");
        let path = PathBuf::from(path);
        if path.symlink_metadata().is_ok() {
            return Err(AccountsError::Occupied(path));
        }
        make_private_directory(&path)?;
        make_private_directory(&path.join("homes"))?;
        Ok(Self { path, name })
    }

    /// Makes a home in it and opens its `files/`.
    fn home(&self, user: &UserName) -> Result<File, AccountsError> {
        let home = self.path.join("homes").join(user.as_str());
        make_home(&home)?;
        Ok(File::open(home.join("files")).map_err(StorageError::from)?)
    }

    /// Sees all of it onto the disk and gives it its name.
    fn finish(self) -> Result<(), StorageError> {
        rustix::fs::syncfs(File::open(&self.path)?)?;
        fs::rename(&self.path, &self.name)?;
        Ok(sync_directory(File::open(self.name.parent().unwrap_or(Path::new("/")))?)?)
    }
}

/// A file that was copied, as it stands at its new place.
struct Copied {
    digest: Digest,
    found: Found,
}

/// Copies what was visited to the same path below `root`; nothing to tell of what is no file.
fn copy(visited: &Visited<'_>, root: &File) -> Result<Option<Copied>, StorageError> {
    if visited.found.kind == EntryKind::Directory {
        rustix::fs::mkdirat(root, &visited.path, DIRECTORY_MODE)?;
        return Ok(None);
    }
    if visited.found.kind != EntryKind::File {
        return Ok(None);
    }
    let Some((file, _)) = open_same(visited)? else { return Ok(None) };
    let mut file = File::from(file);
    let directory = visited.path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = rustix::fs::openat(
        root,
        directory,
        rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let mut copy = staging::create(&directory, &visited.name)?;
    let mut hash = blake3::Hasher::new();
    let mut buffer = vec![0; CHUNK_LEN];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        copy.write_all(&buffer[..read])?;
    }
    copy.set_modified(file.metadata()?.modified()?)?;
    Ok(Some(Copied { digest: hash.finalize().into(), found: Found::of(&copy)? }))
}

fn about(user: &UserName, visited: &Visited<'_>) -> FileFinding {
    FileFinding { user: user.clone(), path: shown(&visited.path), size: visited.found.size }
}

/// The whole home of a user.
fn home_of(user: &UserName) -> FileFinding {
    FileFinding { user: user.clone(), path: "/".to_owned(), size: 0 }
}

/// The users of a database.
fn users(database: &Connection) -> Result<Vec<UserName>, AccountsError> {
    let mut query = database.prepare("SELECT user FROM accounts ORDER BY user")?;
    let names = query.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let parse = |name: String| name.parse().map_err(|error| AccountsError::Database(Box::new(error)));
    names.into_iter().map(parse).collect()
}

fn vacuum_into(connection: &Connection, path: &Path) -> Result<(), AccountsError> {
    let path = path.to_str().ok_or_else(|| AccountsError::Occupied(path.to_owned()))?;
    connection.execute("VACUUM INTO ?1", [path])?;
    Ok(())
}

/// Copies the server's key and certificate, where there are any.
fn copy_identity(from: &Path, to: &Path) -> Result<(), StorageError> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    make_private_directory(to)?;
    for entry in entries {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
