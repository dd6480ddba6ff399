//! P8 and P9: what ten thousand idle sessions take, and that a thousand slow peers hold nobody up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::peer::{Peer, address, connect, data, end};
use super::scene::{Effort, ServerProcess, runtime};
use super::table::Row;
use super::timing::percentile;

/// What an idle session may take, in KiB.
const IDLE_KIB_MAX: u64 = 64;

/// Handshakes under way at once, on this side.
const AT_ONCE: usize = 64;

/// Sessions of one user, below the server's limit.
const SESSIONS_OF_USER: usize = 50;

/// Until when a silent or dripping peer must be gone.
const CUT_WITHIN: Duration = Duration::from_secs(30);

/// Idle TLS sessions and the server's memory.
pub(crate) fn memory(effort: &Effort) -> Result<Vec<Row>> {
    let server = effort.serve(&["--registration", "open"])?;
    runtime()?.block_on(async {
        let steps: [usize; 2] = effort.pick([200, 1_000], [1_000, 10_000]);
        let tokens = tokens(&server, steps[1].div_ceil(SESSIONS_OF_USER)).await?;
        let empty = server.memory_kib("VmRSS")?;
        let mut figure = format!("0: {} MiB", empty >> 10);
        let mut sessions = Vec::new();
        for step in steps {
            open(&server, &tokens, step, &mut sessions).await?;
            figure.push_str(&format!(", {step}: {} MiB", server.memory_kib("VmRSS")? >> 10));
        }
        let each = (server.memory_kib("VmRSS")? - empty) / steps[1] as u64;
        for session in [0, steps[1] / 2, steps[1] - 1] {
            let account = sessions[session].ask(json!({"type": "whoami"})).await?;
            ensure!(account["type"] == "account", "{account}");
        }
        // The broken variant: sessions that are not idle, but left most of a frame behind.
        let before = server.memory_kib("VmRSS")?;
        let half = [&262_145_u32.to_be_bytes()[..], &[0; 250_000]].concat();
        for session in &mut sessions[..100] {
            session.write(&half).await?;
        }
        sleep(Duration::from_secs(2)).await;
        let each_of_control = server.memory_kib("VmRSS")?.saturating_sub(before) / 100;
        Ok(vec![Row {
            promise: "P8",
            what: "idle TLS sessions".to_owned(),
            tried: steps[1] as u64,
            failed: u64::from(each > IDLE_KIB_MAX),
            figure: format!("{figure}; {each} KiB each (limit {IDLE_KIB_MAX})"),
            control: "sessions that left most of a frame, KiB each",
            control_failed: if each_of_control > IDLE_KIB_MAX { each_of_control } else { 0 },
        }])
    })
}

/// Makes accounts and gives their tokens.
async fn tokens(server: &ServerProcess, users: usize) -> Result<Vec<String>> {
    let mut tokens = Vec::new();
    for user in 0..users {
        let mut peer = Peer::tls(server.address, address(user)).await?.greeted().await?;
        tokens.push(peer.enter(&format!("user{user}"), None).await?);
    }
    Ok(tokens)
}

/// Opens sessions until there are so many.
async fn open(server: &ServerProcess, tokens: &[String], count: usize, sessions: &mut Vec<Peer>) -> Result<()> {
    let mut opening = JoinSet::new();
    let (mut next, to) = (sessions.len(), server.address);
    while sessions.len() < count {
        while next < count && opening.len() < AT_ONCE {
            let user = next / SESSIONS_OF_USER;
            let (name, token) = (format!("user{user}"), tokens.get(user).context("a token for each")?.clone());
            opening.spawn(async move {
                let mut peer = Peer::tls(to, address(user)).await?.greeted().await?;
                peer.enter(&name, Some(&token)).await?;
                anyhow::Ok(peer)
            });
            next += 1;
        }
        sessions.push(opening.join_next().await.context("one is opening")???);
    }
    Ok(())
}

/// Where a peer stops behaving.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Tcp,
    TlsDrip,
    Hello,
    HelloDrip,
    Login,
    LoginDrip,
    Header,
    FrameDrip,
    Body,
    BodyDrip,
    Reader,
}

/// Strangers first, then users: each group fits the places that there are.
const GROUPS: &[&[Phase]] = &[
    &[Phase::Tcp, Phase::TlsDrip],
    &[Phase::Hello, Phase::HelloDrip],
    &[Phase::Login, Phase::LoginDrip],
    &[Phase::Header, Phase::FrameDrip],
    &[Phase::Body, Phase::BodyDrip],
    &[Phase::Reader],
];

/// Length of the file that a peer asks for and does not read: more than all buffers on the way.
const BIG: usize = 24 << 20;

/// Slow peers in each phase, and how an honest user fares beside them.
pub(crate) fn slow(effort: &Effort) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let server = effort.serve(&["--registration", "open"])?;
    runtime.block_on(async {
        let count: usize = effort.pick(60, 1_000);
        let control = tokio::spawn(patient_server());
        let groups: Vec<Vec<Phase>> =
            effort.pick(vec![GROUPS.concat()], GROUPS.iter().map(|group| group.to_vec()).collect());
        let most = groups.iter().map(Vec::len).max().unwrap_or(1) * count;
        let tokens = tokens(&server, most.div_ceil(SESSIONS_OF_USER)).await?;
        for user in 0..tokens.len() {
            std::fs::write(server.files(&format!("user{user}")).join("big"), vec![0; BIG])?;
        }
        let mut honest = Honest::new(&server).await?;
        let mut rows = Vec::new();
        for group in groups {
            // Just before: what else the machine does changes from minute to minute.
            let alone = honest.measure(Duration::from_secs(8)).await?;
            rows.push(beside(&server, &tokens, &group, count, &mut honest, alone).await?);
        }
        let control_failed = control.await??;
        rows.iter_mut().for_each(|row| row.control_failed = control_failed);
        Ok(rows)
    })
}

/// The broken variant: a server that waits for ever; how many it does not cut in time.
async fn patient_server() -> Result<u64> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address_of = listener.local_addr()?;
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let mut failed = 0;
    let mut peers = JoinSet::new();
    for number in 0..20 {
        peers.spawn(async move { time_to_cut(Peer::plaintext(address_of, address(number)).await?).await });
    }
    while let Some(cut) = peers.join_next().await {
        failed += u64::from(cut??.is_none());
    }
    holding.abort();
    Ok(failed)
}

async fn beside(
    server: &ServerProcess,
    tokens: &[String],
    group: &[Phase],
    count: usize,
    honest: &mut Honest,
    alone: Latency,
) -> Result<Row> {
    let mut slow = JoinSet::new();
    for number in 0..count {
        for (at, phase) in group.iter().copied().enumerate() {
            let (to, user) = (server.address, (number * group.len() + at) / SESSIONS_OF_USER);
            let token = tokens[user].clone();
            slow.spawn(async move { (phase, misbehave(phase, to, number, user, &token).await) });
            // As fast as they can be opened, and not faster: it is their silence that is measured.
            if slow.len() % AT_ONCE == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    // The crowd has come; while it lingers, somebody works.
    sleep(Duration::from_secs(3)).await;
    let beside = honest.measure(Duration::from_secs(8)).await?;
    let (mut tried, mut failed, mut longest) = (0, 0, Duration::ZERO);
    let mut why: BTreeMap<String, u64> = BTreeMap::new();
    while let Some(cut) = slow.join_next().await {
        tried += 1;
        let (phase, cut) = cut?;
        let late = match cut {
            Ok(Some(after)) => {
                longest = longest.max(after);
                continue;
            }
            Ok(None) => "not cut".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        failed += 1;
        *why.entry(format!("{phase:?}: {late}")).or_default() += 1;
    }
    why.iter().for_each(|(why, count)| eprintln!("  {count} x {why}"));
    failed += u64::from(beside.is_held_up(alone));
    Ok(Row {
        promise: "P9",
        what: format!("slow peers, {count} in each phase: {group:?}"),
        tried,
        failed,
        figure: format!(
            "all cut within {:.1} s; an honest user: {beside} beside, {alone} without",
            longest.as_secs_f64()
        ),
        control: "a server without deadlines: not cut",
        control_failed: 0,
    })
}

/// Comes as far as the phase, then is slow; gives how long it took to be cut, `None` when it was not in time.
async fn misbehave(
    phase: Phase,
    server: SocketAddr,
    number: usize,
    user: usize,
    token: &str,
) -> Result<Option<Duration>> {
    let from = address(1_000 + number);
    let hello = [0, 0, 0, 60, b'{'];
    match phase {
        Phase::Tcp => return time_to_cut(Peer::over(connect(server, from).await?)).await,
        // A record of a handshake that goes on and on (RFC 8446, 5.1).
        Phase::TlsDrip => {
            return drip(Peer::over(connect(server, from).await?), &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).await;
        }
        _ => {}
    }
    let mut peer = Peer::tls(server, from).await?;
    match phase {
        Phase::Hello => return time_to_cut(peer).await,
        Phase::HelloDrip => return drip(peer, &hello).await,
        _ => peer = peer.greeted().await?,
    }
    match phase {
        Phase::Login => return time_to_cut(peer).await,
        Phase::LoginDrip => return drip(peer, &hello).await,
        _ => peer.enter(&format!("user{user}"), Some(token)).await?,
    };
    match phase {
        Phase::Header => {
            peer.write(&[0, 0]).await?;
            time_to_cut(peer).await
        }
        Phase::FrameDrip => drip(peer, &hello).await,
        Phase::Reader => {
            peer.send(&json!({"id": 1, "type": "download", "path": "/big"})).await?;
            time_to_cut_unread(peer).await
        }
        _ => {
            let path = format!("/{number}");
            peer.send(&json!({"id": 1, "type": "upload", "path": path, "size": 1 << 20, "body": "now"})).await?;
            match phase {
                Phase::Body => time_to_cut(peer).await,
                _ => drip(peer, &[&262_145_u32.to_be_bytes()[..], &[0]].concat()).await,
            }
        }
    }
}

async fn time_to_cut(mut peer: Peer) -> Result<Option<Duration>> {
    let began = Instant::now();
    let cut = timeout(CUT_WITHIN, peer.until_closed()).await;
    Ok(cut.is_ok().then(|| began.elapsed()))
}

/// Who does not read sees the end only by writing.
async fn time_to_cut_unread(mut peer: Peer) -> Result<Option<Duration>> {
    let began = Instant::now();
    while began.elapsed() < CUT_WITHIN {
        sleep(Duration::from_millis(500)).await;
        // A heartbeat, which asks for nothing.
        if peer.write(&[0; 4]).await.is_err() {
            return Ok(Some(began.elapsed()));
        }
    }
    Ok(None)
}

/// Sends something, then a byte every two seconds.
async fn drip(mut peer: Peer, first: &[u8]) -> Result<Option<Duration>> {
    let began = Instant::now();
    peer.write(first).await?;
    loop {
        if timeout(Duration::from_secs(2), peer.until_closed()).await.is_ok() {
            return Ok(Some(began.elapsed()));
        }
        if began.elapsed() > CUT_WITHIN {
            return Ok(None);
        }
        if peer.write(b" ").await.is_err() {
            return Ok(Some(began.elapsed()));
        }
    }
}

/// A user who works: asks, lists, stores.
struct Honest(Peer);

/// Milliseconds that requests took.
#[derive(Debug, Clone, Copy)]
struct Latency {
    /// Of questions, which wait for nobody but the server.
    asks_p99: f64,
    /// Of small files stored, which wait for the disk.
    stores_p50: f64,
    stores_p99: f64,
}

impl Latency {
    /// Twice as long is allowed; below some ms the scheduler speaks louder than the server. What one write in a hundred
    /// takes is the disk's affair and what else uses it: it is shown, and not judged.
    fn is_held_up(self, alone: Self) -> bool {
        let is_slower = |beside: f64, alone: f64| beside > 2.0 * alone.max(5.0);
        is_slower(self.asks_p99, alone.asks_p99) || is_slower(self.stores_p50, alone.stores_p50)
    }
}

impl std::fmt::Display for Latency {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { asks_p99, stores_p50, stores_p99 } = self;
        write!(out, "asks p99 {asks_p99:.1} ms, stores p50 {stores_p50:.1}, p99 {stores_p99:.1} ms")
    }
}

impl Honest {
    async fn new(server: &ServerProcess) -> Result<Self> {
        let mut peer = Peer::tls(server.address, address(1)).await?.greeted().await?;
        peer.enter("honest", None).await?;
        Ok(Self(peer))
    }

    async fn measure(&mut self, time: Duration) -> Result<Latency> {
        let began = Instant::now();
        let (mut asks, mut stores) = (Vec::new(), Vec::new());
        while began.elapsed() < time {
            for request in [
                json!({"type": "stat", "path": "/"}),
                json!({"type": "list", "path": "/"}),
                json!({"type": "upload", "path": "/note", "body": "now"}),
            ] {
                let kind = request["type"].as_str().unwrap_or_default().to_owned();
                let asked = Instant::now();
                let id = self.0.send_request(request).await?;
                if kind == "upload" {
                    self.0.write(&data(&[7; 4096])).await?;
                    self.0.send(&end(id, &[7; 4096])).await?;
                }
                self.0.recv_all(id, &kind).await?;
                let took = asked.elapsed().as_secs_f64() * 1e3;
                if kind == "upload" { stores.push(took) } else { asks.push(took) }
            }
            sleep(Duration::from_millis(2)).await;
        }
        Ok(Latency {
            asks_p99: percentile(asks, 99),
            stores_p50: percentile(stores.clone(), 50),
            stores_p99: percentile(stores, 99),
        })
    }
}
