//! P6: whether somebody else has a content cannot be asked: the answers are those for what nobody has, after the same time.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::peer::{Peer, address, data, end};
use super::scene::{Effort, InProcess, runtime, temporary_store};
use super::spoilt::{Flaw, Spoilt};
use super::table::Row;
use super::timing::{LEFT_OUT_PERCENT, T_MAX, percentile, welch_t};

/// Long enough to be looked for.
const LEN: usize = 1 << 20;

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let server = effort.serve(&["--plaintext", "--registration", "open"])?;
    let rounds = effort.pick(400, 4_000);
    let Compared { tried, different, t, mean_us } = runtime.block_on(compare(server.address, rounds))?;

    let (store, _folder) = temporary_store()?;
    let mixed = InProcess::start(&runtime, Spoilt::with(store, Flaw::MixedUp))?;
    let control = runtime.block_on(compare(mixed.address, 20))?;
    let control_is_slower = u64::from(control.t.abs() >= T_MAX);
    Ok(vec![Row {
        promise: "P6",
        what: "questions for content that another user has, and that nobody has, by turns".to_owned(),
        tried,
        failed: different + u64::from(t.abs() >= T_MAX),
        figure: format!("equal answers, Welch t = {t:.2} (limit {T_MAX}), mean {mean_us:.0} µs"),
        control: "a server that opens the first user's home for all",
        // Both must be seen: the answers, and the time that they take.
        control_failed: if control_is_slower == 1 { control.different } else { 0 },
    }])
}

struct Compared {
    tried: u64,
    /// Answers that were other for what another user has.
    different: u64,
    t: f64,
    mean_us: f64,
}

/// What is asked of a content: its size, its digest, and by beginning to send it.
fn questions(content: &[u8]) -> [Value; 3] {
    let digest = blake3::hash(content).to_hex().to_string();
    [
        json!({"type": "known", "sizes": [content.len()]}),
        json!({"type": "reuse", "path": "/mine", "size": content.len(), "digest": digest}),
        json!({"type": "upload", "path": "/mine", "size": content.len()}),
    ]
}

/// Asks, and gives the answer without its number, and how long it took in microseconds.
async fn answer(peer: &mut Peer, question: Value) -> Result<(Vec<u8>, f64)> {
    let is_upload = question["type"] == "upload";
    let began = Instant::now();
    let mut reply = peer.ask(question).await?;
    let took = began.elapsed().as_secs_f64() * 1e6;
    if is_upload && reply["type"] == "ready" {
        peer.send(&json!({"id": reply["id"], "type": "abort", "code": "cancelled", "message": ""})).await?;
        ensure!(peer.recv().await?["type"] == "fault", "an aborted upload is not stored");
    }
    reply["id"] = 0.into();
    // Of what a mixed-up server stores.
    reply["version"] = Value::Null;
    Ok((reply.to_string().into_bytes(), took))
}

async fn compare(server: SocketAddr, rounds: usize) -> Result<Compared> {
    let mut alice = Peer::plaintext(server, address(1)).await?.greeted().await?;
    alice.enter("alice", None).await?;
    let hers = vec![1; LEN];
    let id = alice.send_request(json!({"type": "upload", "path": "/hers", "body": "now"})).await?;
    for frame in hers.chunks(LEN / 4) {
        alice.write(&data(frame)).await?;
    }
    alice.send(&end(id, &hers)).await?;
    ensure!(alice.recv().await?["type"] == "stored", "hers is not stored");

    let mut bob = Peer::plaintext(server, address(2)).await?.greeted().await?;
    bob.enter("bob", None).await?;
    let (hers, nobodys) = (questions(&hers), questions(&vec![2; LEN + 1]));
    let mut compared = Compared { tried: 0, different: 0, t: 0.0, mean_us: 0.0 };
    let (mut foreign, mut absent) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for (of_hers, of_nobodys) in hers.iter().zip(&nobodys) {
            // Who comes first alternates: it may find less in the caches.
            let both = match round % 2 {
                0 => [(of_hers, true), (of_nobodys, false)],
                _ => [(of_nobodys, false), (of_hers, true)],
            };
            let mut answers = Vec::new();
            for (question, is_hers) in both {
                let (shown, took) = answer(&mut bob, question.clone()).await?;
                answers.push(shown);
                if question["type"] == "reuse" {
                    if is_hers { foreign.push(took) } else { absent.push(took) }
                }
            }
            compared.tried += 1;
            compared.different += u64::from(answers[0] != answers[1]);
        }
    }
    let limit = percentile(foreign.iter().chain(&absent).copied().collect(), 100 - LEFT_OUT_PERCENT);
    compared.mean_us = foreign.iter().sum::<f64>() / foreign.len() as f64;
    // Where one of them is always the longer, what is left out must not hide it.
    let kept = |times: &[f64]| times.iter().copied().filter(|took| *took <= limit).collect::<Vec<_>>();
    compared.t = welch_t(&kept(&foreign), &kept(&absent));
    Ok(compared)
}
