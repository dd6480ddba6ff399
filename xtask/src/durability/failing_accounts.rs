//! P14: EIO from each sync and each write behind a new account and a new token.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use netdisk_client::{Client, ClientError, dial};
use netdisk_model::{Password, UserName};
use netdisk_protocol::FaultCode;

use super::bench::Bench;
use super::failing::{At, Place, inject, places};
use super::order::WATCHED;
use super::report::Tally;
use super::strace::Strace;

/// What somebody asks for at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Register,
    LogInForToken,
}

impl Entry {
    /// The fault of the server, or a client with a token.
    async fn ask(self, bench: &Bench, user: &UserName) -> Result<Client, ClientError> {
        let door = dial(&bench.server.endpoint, &bench.server.trust).await?;
        let password = Password::new("correct horse");
        match self {
            Self::Register => door.register(user, password, true).await,
            Self::LogInForToken => door.log_in(user, password, true).await,
        }
    }
}

/// Fails everything at each of its places; gives how many places there are, and how many calls failed.
pub(super) async fn fail(bench: &mut Bench, out: &Path, tally: &mut Tally) -> Result<(usize, usize)> {
    let (mut seen, mut injected) = (0, 0);
    let mut users = (0..).map(|number| format!("user{number}"));
    let mut next_user = || users.next().context("no end of them")?.parse::<UserName>().map_err(anyhow::Error::from);
    for entry in [Entry::Register, Entry::LogInForToken] {
        let user = user_for(entry, bench, &mut next_user)?;
        let strace = Strace::attach(bench.server.pid(), &["-e", WATCHED], out)?;
        entry.ask(bench, &user).await?.close().await?;
        let places = places(&strace.detach()?, bench, &home_of(bench, &user));
        ensure!(!places.is_empty(), "{entry:?}: nothing was seen that could fail");
        for place in &places {
            let mut reached = 0;
            for number in 1.. {
                let user = user_for(entry, bench, &mut next_user)?;
                let about = || format!("{entry:?}, EIO from {:?} at {:?}", place.kind, place.at);
                let hits = fail_one(bench, entry, &user, place, number, out).await.with_context(about)?;
                if hits == 0 {
                    break;
                }
                reached += 1;
                injected += hits;
                tally.n += 1;
            }
            ensure!(reached > 0, "{entry:?}, {place:?} was not reached");
        }
        seen += places.len();
    }
    Ok((seen, injected))
}

/// Who asks: somebody new, or somebody known.
fn user_for(entry: Entry, bench: &Bench, next: &mut impl FnMut() -> Result<UserName>) -> Result<UserName> {
    match entry {
        Entry::Register => next(),
        Entry::LogInForToken => Ok(bench.client.user().clone()),
    }
}

fn home_of(bench: &Bench, user: &UserName) -> PathBuf {
    bench.data.join("homes").join(user.as_str())
}

async fn fail_one(
    bench: &mut Bench,
    entry: Entry,
    user: &UserName,
    place: &Place,
    number: usize,
    out: &Path,
) -> Result<usize> {
    let path = match &place.at {
        // What is not there yet must be spelt as it will be: without a slash at its end.
        At::Folder(inside) => home_of(bench, user).join(inside).components().collect(),
        At::Store(inside) => bench.data.join(inside),
        At::Staged => anyhow::bail!("nobody uploads anything"),
    };
    let strace = inject(bench.server.pid(), place.kind, &path, number, out)?;
    let outcome = entry.ask(bench, user).await;
    let hits = strace.detach()?.iter().filter(|call| call.is_injected()).count();
    ensure!(bench.server.is_alive()?, "the server is dead");
    match outcome {
        Ok(_) => ensure!(hits == 0, "lost: acknowledged, though it was not seen onto the disk"),
        Err(error) => {
            ensure!(hits > 0, "refused without a fault: {error}");
            ensure!(error.fault_code() == Some(FaultCode::Internal), "{error}, where `internal` would be clear");
            // The fault has passed. The account may have been made, and only its token not: then its owner gets in.
            let again = match entry.ask(bench, user).await {
                Err(error) if error.fault_code() == Some(FaultCode::NameTaken) => {
                    Entry::LogInForToken.ask(bench, user).await
                }
                outcome => outcome,
            };
            again.context("once the fault has passed")?.close().await?;
        }
    }
    Ok(hits)
}
