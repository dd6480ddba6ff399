//! P14: a disk that is full, or out of inodes, at every point of every step.
//!
//! A small file system in memory is filled until so many pages are free, and the step tried: over all levels, the disk
//! becomes full at each page that the step writes. The same for inodes, and for the database by logins that keep a token.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use netdisk_client::{Client, dial};
use netdisk_model::{Password, Token, UserName};
use netdisk_protocol::FaultCode;
use rustix::fs::FallocateFlags;

use super::bench::{Bench, Expected, Settled};
use super::mounts::Mount;
use super::proof::Trial;
use super::report::Tally;
use super::server::{Server, Transport};
use super::steps::{Step, perform};

const DISK_LEN: u64 = 24 << 20;
const INODES: u64 = 2_000;
/// What a file system in memory gives at once.
const PAGE_LEN: u64 = 4096;

/// Levels for a step that writes no content, and for the database: until nothing fails any more.
const SMALL_LEVELS: u64 = 6;
const DATABASE_LEVELS: u64 = 48;
const INODE_LEVELS: u64 = 4;

/// How often the disk is filled before it is given up.
const TRIES: usize = 1_000;

pub(super) async fn prove(trial: Trial) -> Result<Tally> {
    let mount = Mount::in_memory(&trial.folder.join("disk"), DISK_LEN, INODES)?;
    let ballast = Ballast { folder: mount.at().join("ballast") };
    std::fs::create_dir(&ballast.folder)?;
    let mut bench = Bench::set_up(&trial, &mount.at().join("store")).await?;
    let mut tally = Tally::default();
    let mut refused = 0;
    for step in Step::all(trial.seed) {
        let levels = SMALL_LEVELS + step.act.len() / PAGE_LEN;
        let pages = (0..=levels).map(Room::Pages);
        for room in pages.chain((0..=INODE_LEVELS).map(Room::Inodes)) {
            let finding = try_step(&mut bench, &ballast, &step, room, &mut refused).await;
            let finding = finding.with_context(|| format!("{} with {room:?} free", step.name))?;
            tally.n += 1;
            if let Some(finding) = finding {
                tally.failures.push(format!("{} with {room:?} free: {finding}", step.name));
                return Ok(tally);
            }
        }
    }
    let tokens = fill_database(&mut bench, &ballast, &mut tally, &mut refused).await?;
    tally.notes.push(format!("{refused} refused, {} acknowledged, each as it should be", tally.n - refused));
    let user = bench.client.user().clone();
    let data = bench.data.clone();
    bench.must_survive(&trial).await?;
    let server = trial.program.serve(&data, Transport::Plaintext)?;
    for token in tokens {
        log_in_by(&server, &user, token).await.context("a token that was given")?;
    }
    server.kill()?;
    Ok(tally)
}

async fn try_step(
    bench: &mut Bench,
    ballast: &Ballast,
    step: &Step,
    room: Room,
    refused: &mut u64,
) -> Result<Option<String>> {
    let folder = bench.next_folder();
    let before = step.prepare(&mut bench.client, &folder).await?;
    bench.must_be_clean(Settled::Yes).await?;
    ballast.leave(room)?;
    let outcome = perform(&mut bench.client, &folder, &step.act).await;
    *refused += u64::from(outcome.is_err());
    let finding = bench.judge(&folder, step, &before, &outcome, Expected::Full)?;
    ballast.throw_out()?;
    if finding.is_some() {
        return Ok(finding);
    }
    bench.must_be_clean(Settled::Yes).await?;
    if outcome.is_err() {
        bench.must_work(step).await?;
    }
    bench.clear(&folder).await?;
    Ok(None)
}

/// Logs in for a token at each level; gives the tokens that were given.
async fn fill_database(
    bench: &mut Bench,
    ballast: &Ballast,
    tally: &mut Tally,
    refused: &mut u64,
) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let user = bench.client.user().clone();
    for level in (0..=DATABASE_LEVELS).step_by(2) {
        ballast.leave(Room::Pages(level))?;
        let outcome = keep_token(&bench.server, &user).await;
        ballast.throw_out()?;
        tally.n += 1;
        match outcome {
            Ok(token) => tokens.push(token),
            Err(error) => {
                *refused += 1;
                let code = error.downcast_ref().and_then(netdisk_client::ClientError::fault_code);
                let is_clear = matches!(code, Some(FaultCode::Full | FaultCode::Internal));
                ensure!(is_clear, "a login with {level} pages free: {error:#}");
            }
        }
        ensure!(bench.server.is_alive()?, "the server is dead after a login with {level} pages free");
        tokens.push(keep_token(&bench.server, &user).await.context("a login once there is room again")?);
    }
    Ok(tokens)
}

async fn keep_token(server: &Server, user: &UserName) -> Result<Token> {
    let door = dial(&server.endpoint, &server.trust).await?;
    let client = door.log_in(user, Password::new("correct horse"), true).await?;
    let token = client.token().context("asked for")?.clone();
    client.close().await?;
    Ok(token)
}

async fn log_in_by(server: &Server, user: &UserName, token: Token) -> Result<()> {
    let client: Client = dial(&server.endpoint, &server.trust).await?.log_in_by_token(user, token).await?;
    Ok(client.close().await?)
}

/// What is left free.
#[derive(Debug, Clone, Copy)]
enum Room {
    Pages(u64),
    Inodes(u64),
}

/// Files that take the room.
struct Ballast {
    folder: PathBuf,
}

impl Ballast {
    fn leave(&self, room: Room) -> Result<()> {
        let free = |at: &Path| rustix::fs::statvfs(at);
        match room {
            Room::Pages(pages) => {
                // What the server throws away behind an acknowledgement may come in between.
                for _ in 0..TRIES {
                    let file = File::create(self.folder.join("pages"))?;
                    let len = (free(&self.folder)?.f_bavail - pages) * PAGE_LEN;
                    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, len)?;
                    if free(&self.folder)?.f_bavail == pages {
                        return Ok(());
                    }
                }
                bail!("the disk is not as full as it should be");
            }
            Room::Inodes(inodes) => {
                for number in 0..free(&self.folder)?.f_favail - inodes {
                    File::create(self.folder.join(number.to_string()))?;
                }
                ensure!(free(&self.folder)?.f_favail == inodes, "not as many inodes are taken as should be");
            }
        }
        Ok(())
    }

    fn throw_out(&self) -> Result<()> {
        for file in std::fs::read_dir(&self.folder)? {
            std::fs::remove_file(file?.path())?;
        }
        Ok(())
    }
}
