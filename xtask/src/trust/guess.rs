//! P10: guessing is dear, and many who log in at once cost no more memory than a few.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::task::JoinSet;

use super::peer::{Peer, address};
use super::scene::{Effort, PASSWORD, ServerProcess, memory_kib, runtime};
use super::table::Row;

/// What one hash takes, in KiB: OWASP's minimum for argon2id.
const HASH_KIB: u64 = 19 * 1024;

/// What else one of those who wait may take, in KiB.
const WAITING_KIB: u64 = 64;

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let server = effort.serve(&["--plaintext", "--registration", "open"])?;
    Ok(vec![runtime.block_on(flood(effort, &server))?, runtime.block_on(guesses(effort))?])
}

async fn flood(effort: &Effort, server: &ServerProcess) -> Result<Row> {
    let logins = effort.pick(1_000, 5_000);
    let mut owner = Peer::plaintext(server.address, address(1)).await?.greeted().await?;
    owner.enter("alice", None).await?;
    let before = server.memory_kib("VmRSS")?;
    let mut flood = JoinSet::new();
    let address_of = server.address;
    for number in 0..logins {
        // Accepted or waiting in the kernel's queue: from many networks, so that no limit of one speaks first.
        flood.spawn(async move {
            let mut peer = Peer::plaintext(address_of, address(10 + number)).await?.greeted().await?;
            let user = format!("user{number}");
            peer.ask(json!({"type": "login", "user": user, "password": "a wrong password"})).await
        });
    }
    // The flood is there before its victim comes.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let honest = async {
        let mut peer = Peer::plaintext(server.address, address(1)).await?.greeted().await?;
        let mut tries = 0;
        loop {
            tries += 1;
            let reply = peer.ask(json!({"type": "login", "user": "alice", "password": PASSWORD})).await;
            match reply {
                Ok(reply) if reply["type"] == "welcome" => return anyhow::Ok(tries),
                Ok(reply) if reply["code"] == "busy" && tries % 5 != 0 => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                _ => peer = Peer::plaintext(server.address, address(1)).await?.greeted().await?,
            }
        }
    };
    let tries = honest.await?;
    let waited = began.elapsed();
    let (mut refused, mut busy, mut other) = (0, 0, 0);
    while let Some(outcome) = flood.join_next().await {
        match outcome? {
            Ok(reply) if reply["code"] == "login_refused" => refused += 1,
            Ok(reply) if reply["code"] == "busy" => busy += 1,
            _ => other += 1,
        }
    }
    let took = began.elapsed();
    let peak = server.memory_kib("VmHWM")?;
    let cores = std::thread::available_parallelism()?.get() as u64;
    let limit = before + cores * HASH_KIB + logins as u64 * WAITING_KIB;
    owner.ask(json!({"type": "whoami"})).await.context("who was in is served")?;
    Ok(Row {
        promise: "P10",
        what: format!("{logins} logins at once"),
        tried: logins as u64,
        failed: other + u64::from(peak > limit),
        figure: format!(
            "peak {} MiB (before {}, limit {}); {refused} refused, {busy} told to come again in {:.0} s; the owner was in after {:.1} s, {tries} tries",
            peak >> 10,
            before >> 10,
            limit >> 10,
            took.as_secs_f64(),
            waited.as_secs_f64(),
        ),
        control: "hashes without a door: MiB over the limit",
        control_failed: unbounded(cores)?,
    })
}

/// The broken variant: sixteen times as many hashes at once as there are cores; by how many MiB that is too much.
fn unbounded(cores: u64) -> Result<u64> {
    let before = memory_kib("self", "VmRSS")?;
    let barrier = std::sync::Barrier::new(usize::try_from(16 * cores)?);
    std::thread::scope(|scope| {
        for _ in 0..16 * cores {
            scope.spawn(|| {
                let mut blocks = vec![argon2::Block::new(); usize::try_from(HASH_KIB).unwrap_or(0)];
                let params = argon2::Params::new(HASH_KIB as u32, 2, 1, None).unwrap_or_default();
                let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
                let hashed =
                    argon.hash_password_into_with_memory(b"password", b"saltsalt", &mut [0; 32], &mut blocks[..]);
                // All of them hold their memory at once.
                barrier.wait();
                hashed.is_ok()
            });
        }
    });
    let peak = memory_kib("self", "VmHWM")?;
    Ok(peak.saturating_sub(before + cores * HASH_KIB) >> 10)
}

/// How many guesses at one account are looked at, from as many networks as somebody likes.
async fn guesses(effort: &Effort) -> Result<Row> {
    let server = effort.serve(&["--plaintext", "--registration", "open"])?;
    let mut owner = Peer::plaintext(server.address, address(1)).await?.greeted().await?;
    let token = owner.enter("alice", None).await?;
    let time = effort.pick(Duration::from_secs(10), Duration::from_secs(60));
    let attacked = attack(&server, "alice", time).await?;
    // Token and known network come in meanwhile.
    let mut failed = 0;
    for request in [
        json!({"type": "login", "user": "alice", "token": token}),
        json!({"type": "login", "user": "alice", "password": PASSWORD}),
    ] {
        let mut peer = Peer::plaintext(server.address, address(1)).await?.greeted().await?;
        failed += u64::from(peer.ask(request).await?["type"] != "welcome");
    }
    // Five are free, then each wait is twice as long as the one before: 1, 2, 4, ... seconds.
    let allowed = 5 + 2 + time.as_secs().ilog2();
    failed += u64::from(attacked.looked_at > u64::from(allowed));
    // Spraying has no single account to protect: each name has guesses of its own, so this must see many.
    let sprayed = attack(&server, "", Duration::from_secs(3)).await?;
    Ok(Row {
        promise: "P10",
        what: "guesses at one account, each from another network".to_owned(),
        tried: attacked.sent,
        failed,
        figure: format!(
            "{} looked at in {} s (limit {allowed}); the owner came in by token and by password",
            attacked.looked_at,
            time.as_secs()
        ),
        control: "a name that nobody limits: each guess another, looked at",
        control_failed: if sprayed.looked_at > u64::from(allowed) { sprayed.looked_at } else { 0 },
    })
}

struct Guesses {
    sent: u64,
    looked_at: u64,
}

/// Guesses at `user`, or with each guess at another one.
async fn attack(server: &ServerProcess, user: &str, time: Duration) -> Result<Guesses> {
    let began = Instant::now();
    let mut guesses = Guesses { sent: 0, looked_at: 0 };
    while began.elapsed() < time {
        let number = usize::try_from(guesses.sent)?;
        let name = if user.is_empty() { format!("user{number}") } else { user.to_owned() };
        let mut peer = Peer::plaintext(server.address, address(1_000 + number)).await?.greeted().await?;
        let reply = peer.ask(json!({"type": "login", "user": name, "password": "a wrong password"})).await?;
        guesses.sent += 1;
        guesses.looked_at += u64::from(reply["code"] == "login_refused");
    }
    Ok(guesses)
}
