//! A store, its accounts and their writers; and what must hold of all of it after a crash.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use netdisk_client::dial;
use netdisk_model::{Password, Token, UserName};

use super::load::Load;
use super::server::{Server, Transport};
use super::writer::{Writer, spawn_all};

/// Homes and the writers in each: together they are eight, and both neighbours and strangers disturb each other.
const HOMES: usize = 4;
const WRITERS_PER_HOME: usize = 2;

/// Files in one directory of the crowd.
const CROWD_DIRECTORY_LEN: usize = 1_000;

/// The promise: ready so soon after any crash.
pub(super) const READY_MAX: Duration = Duration::from_secs(2);

/// What a crash left is given back so soon.
const SETTLED_MAX: Duration = Duration::from_secs(20);

/// How long a start took: until a login was answered, and until the server listened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Start {
    pub(super) ready: Duration,
    pub(super) listening: Duration,
}

#[derive(Debug)]
pub(super) struct Scene {
    /// The store.
    pub(super) data: PathBuf,
    writers: Vec<Writer>,
    /// Somebody with many files, who comes first after each start.
    crowd: (UserName, Token),
    identity: netdisk_client::Trust,
    /// How long each start took.
    pub(super) starts: Vec<Start>,
    pub(super) acknowledged: u64,
    pub(super) resumed: u64,
    pub(super) reused: u64,
}

impl Scene {
    /// Registers everybody, and puts `crowd` files into a home of their own by hand. `local` is for local files.
    pub(super) async fn set_up(
        data: &Path,
        server: &Server,
        local: &Path,
        crowd: usize,
        rng: &mut Rng,
    ) -> Result<Self> {
        fs::create_dir_all(local)?;
        let mut writers = Vec::new();
        for home in 0..HOMES {
            let (mut client, token) = register(server, &format!("user{home}")).await?;
            for writer in 0..WRITERS_PER_HOME {
                let folder = format!("w{}", home * WRITERS_PER_HOME + writer);
                writers.push(Writer::new(&mut client, token.clone(), folder, local, rng.fork()).await?);
            }
            client.close().await?;
        }
        let (client, token) = register(server, "crowd").await?;
        let user = client.user().clone();
        client.close().await?;
        let files = data.join("homes/crowd/files");
        for number in 0..crowd {
            let directory = files.join(format!("d{}", number / CROWD_DIRECTORY_LEN));
            if number % CROWD_DIRECTORY_LEN == 0 {
                fs::create_dir(&directory)?;
            }
            fs::write(directory.join(format!("f{number}")), b"crowd")?;
        }
        Ok(Self {
            data: data.to_owned(),
            writers,
            crowd: (user, token),
            identity: server.trust,
            starts: Vec::new(),
            acknowledged: 0,
            resumed: 0,
            reused: 0,
        })
    }

    /// Lets everybody work until `blow`, which takes the server away, is done; gives what was refused without reason.
    pub(super) async fn work<T>(
        &mut self,
        load: Arc<Load>,
        blow: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<(T, Vec<String>)> {
        let mut tasks = spawn_all(&mut self.writers, &load);
        let blown = blow().await;
        load.gone.cancel();
        let mut findings = Vec::new();
        while let Some(done) = tasks.join_next().await {
            let (writer, worked) = done?;
            findings.extend(worked.err());
            self.writers.push(writer);
        }
        self.acknowledged += load.acknowledged();
        self.resumed += load.resumed.load(std::sync::atomic::Ordering::Relaxed);
        self.reused += load.reused.load(std::sync::atomic::Ordering::Relaxed);
        Ok((blown?, findings))
    }

    /// Says what is wrong with the store that `server` was just started over.
    pub(super) async fn verify(&mut self, server: &Server) -> Result<Vec<String>> {
        let mut findings = Vec::new();
        if server.trust != self.identity {
            findings.push("lost: the server's key is another one".to_owned());
            self.identity = server.trust;
        }
        let began = Instant::now();
        if let Err(error) = self.log_in_crowd(server).await {
            findings.push(format!("lost: an account or token: {error:#}"));
        }
        self.starts.push(Start { ready: server.started_in + began.elapsed(), listening: server.started_in });
        let mut tasks = tokio::task::JoinSet::new();
        for mut writer in self.writers.drain(..) {
            let home = self.data.join("homes").join(writer.user.as_str());
            let server = (server.endpoint.clone(), server.trust);
            tasks.spawn(async move {
                let found = writer.verify(server, &home).await;
                (writer, found)
            });
        }
        while let Some(done) = tasks.join_next().await {
            let (writer, found) = done?;
            findings.extend(found?);
            self.writers.push(writer);
        }
        findings.extend(self.check_strays().await?);
        findings.extend(self.check_sums().await?);
        findings.extend(check_database(&self.data.join("netdisk.db"))?);
        Ok(findings)
    }

    async fn log_in_crowd(&self, server: &Server) -> Result<()> {
        let (user, token) = &self.crowd;
        let client = dial(&server.endpoint, &server.trust).await?.log_in_by_token(user, token.clone()).await?;
        Ok(client.close().await?)
    }

    /// Whether what is counted is what is there. What a crash left is given back beside the first requests.
    async fn check_sums(&self) -> Result<Vec<String>> {
        let path = self.data.join("netdisk.db");
        let database = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut findings = Vec::new();
        for home in 0..HOMES {
            let user = format!("user{home}");
            let there = sums(&self.data.join("homes").join(&user).join("files"))?;
            let began = Instant::now();
            loop {
                let query = "SELECT bytes_used, files_used,
                    (SELECT coalesce(sum(size), 0) FROM files WHERE user = ?1),
                    (SELECT count(*) FROM files WHERE user = ?1) FROM accounts WHERE user = ?1";
                let counted = database
                    .query_row(query, [&user], |row| Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?))))?;
                if counted == (there, there) {
                    break;
                }
                if began.elapsed() > SETTLED_MAX {
                    findings.push(format!("miscounted: {user} has {there:?} bytes and files, counted are {counted:?}"));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(findings)
    }

    /// What stands in a home and belongs to no writer, and what lies in staging beyond what can be resumed. What a crash
    /// left there is cleared beside the first requests.
    async fn check_strays(&self) -> Result<Vec<String>> {
        let began = Instant::now();
        loop {
            let findings = self.find_strays()?;
            if findings.is_empty() || began.elapsed() > SETTLED_MAX {
                return Ok(findings);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn find_strays(&self) -> Result<Vec<String>> {
        let mut findings = Vec::new();
        let homes = self.data.join("homes");
        for user in names(&homes)?.into_iter().filter(|user| user != "crowd") {
            let writers = || self.writers.iter().filter(|writer| writer.user.as_str() == user);
            if writers().count() != names(&homes.join(&user).join("files"))?.len() {
                findings.push(format!("stray: something in {user}/files is no writer's folder"));
            }
            let mut resumable: Vec<u64> = writers().flat_map(|writer| writer.unfinished.iter().copied()).collect();
            resumable.sort_unstable();
            let mut staged = Vec::new();
            for name in names(&homes.join(&user).join("staging"))? {
                let staged_file = homes.join(&user).join("staging").join(&name);
                let metadata = match fs::symlink_metadata(&staged_file) {
                    Ok(metadata) => metadata,
                    // It was cleared at this moment.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error).with_context(|| staged_file.display().to_string()),
                };
                if !metadata.is_file() {
                    findings.push(format!("debris: {user}/staging/{name} is no file"));
                }
                staged.push(metadata.len());
            }
            staged.sort_unstable();
            // Each staged file is the beginning of another unfinished upload.
            let fits = staged.len() <= resumable.len()
                && staged.iter().rev().zip(resumable.iter().rev()).all(|(staged, whole)| staged <= whole);
            if !fits {
                findings.push(format!("debris: {user}/staging holds {staged:?} bytes, resumable are {resumable:?}"));
            }
        }
        Ok(findings)
    }
}

/// Makes an account; gives a client of it, and a token for later.
pub(super) async fn register(server: &Server, user: &str) -> Result<(netdisk_client::Client, Token)> {
    let door = dial(&server.endpoint, &server.trust).await?;
    let client = door.register(&user.parse()?, Password::new("correct horse"), true).await?;
    let token = client.token().context("a token was asked for")?.clone();
    Ok((client, token))
}

/// The bytes and the number of the files in a tree.
fn sums(directory: &Path) -> Result<(i64, i64)> {
    let mut sums = (0, 0);
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let (bytes, files) = match metadata.is_dir() {
            true => self::sums(&entry.path())?,
            false => (metadata.len().cast_signed(), 1),
        };
        sums = (sums.0 + bytes, sums.1 + files);
    }
    Ok(sums)
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Asks SQLite itself.
pub(super) fn check_database(path: &Path) -> Result<Vec<String>> {
    let connection = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let said: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    Ok(if said == "ok" { Vec::new() } else { vec![format!("torn: integrity_check: {said}")] })
}

/// The transport of the writers: TLS, as by default. Each round costs eight handshakes and nothing else for it.
pub(super) const TRANSPORT: Transport = Transport::Tls;
