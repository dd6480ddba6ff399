//! P6: every request of one user at everything of another: the answer is the one for what is not there.

use anyhow::Result;
use serde_json::{Value, json};

use super::peer::{Peer, address, data, end};
use super::scene::{Effort, InProcess, runtime, temporary_store};
use super::spoilt::{Flaw, Spoilt};
use super::table::Row;

/// What the other user has.
const THINGS: &[&str] = &["/secret", "/folder", "/folder/deep", "/folder/deep/secret", "/夏天"];

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let server = effort.serve(&["--plaintext", "--registration", "open"])?;
    let rounds = effort.pick(20, 500);
    let (tried, failed) = runtime.block_on(matrix(server.address, rounds))?;

    let (store, _folder) = temporary_store()?;
    let mixed = InProcess::start(&runtime, Spoilt::with(store, Flaw::MixedUp))?;
    let (_, control_failed) = runtime.block_on(matrix(mixed.address, 1))?;
    Ok(vec![Row {
        promise: "P6",
        what: "requests at another user's paths, tokens and uploads".to_owned(),
        tried,
        failed,
        figure: "foreign and absent have equal answers".to_owned(),
        control: "a server that opens the first user's home for all",
        control_failed,
    }])
}

fn requests(path: &str) -> Vec<Value> {
    vec![
        json!({"type": "stat", "path": path}),
        json!({"type": "list", "path": path}),
        json!({"type": "list", "path": path, "recursive": true}),
        json!({"type": "download", "path": path}),
        json!({"type": "download", "path": path, "offset": 3}),
        json!({"type": "rename", "from": path, "to": "/mine"}),
        json!({"type": "copy", "from": path, "to": "/mine"}),
        json!({"type": "remove", "path": path}),
        json!({"type": "remove", "path": path, "recursive": true}),
        json!({"type": "mkdir", "path": format!("{path}/new")}),
        json!({"type": "upload", "path": format!("{path}/new"), "size": 1}),
    ]
}

/// An answer without what may differ: its number and the path that was asked for.
async fn answer(peer: &mut Peer, request: Value, path: &str) -> Result<String> {
    let kind = request["type"].as_str().unwrap_or_default().to_owned();
    let id = peer.send_request(request).await?;
    // After `ready` a body is due; an abort ends it.
    let mut payloads = Vec::new();
    if kind == "upload" {
        let first = peer.recv().await?;
        payloads.push(first.to_string().into_bytes());
        if first["type"] == "ready" {
            peer.send(&json!({"id": id, "type": "abort", "code": "cancelled", "message": ""})).await?;
            payloads.push(peer.recv().await?.to_string().into_bytes());
        }
    } else {
        payloads = peer.recv_all(id, &kind).await?;
    }
    let text: String = payloads.iter().map(|payload| String::from_utf8_lossy(payload).into_owned()).collect();
    Ok(text.replace(&format!("\"id\":{id}"), "\"id\":0").replace(path, "PATH"))
}

async fn matrix(server: std::net::SocketAddr, rounds: usize) -> Result<(u64, u64)> {
    let mut alice = Peer::plaintext(server, address(1)).await?.greeted().await?;
    let token = alice.enter("alice", None).await?;
    alice.ask(json!({"type": "mkdir", "path": "/folder/deep", "parents": true})).await?;
    for file in ["/secret", "/folder/deep/secret", "/夏天"] {
        let id = alice.send_request(json!({"type": "upload", "path": file, "body": "now"})).await?;
        alice.write(&data(b"hers")).await?;
        alice.send(&end(id, b"hers")).await?;
        alice.recv().await?;
    }
    // An upload of hers that was cut and can be resumed.
    let upload = json!({"type": "upload", "path": "/kept", "size": 1000, "resume": "hers"});
    let mut cut = Peer::plaintext(server, address(1)).await?.greeted().await?;
    cut.enter("alice", Some(&token)).await?;
    cut.ask(upload.clone()).await?;
    cut.write(&data(&[7; 500])).await?;
    drop(cut);

    let mut bob = Peer::plaintext(server, address(2)).await?.greeted().await?;
    bob.enter("bob", None).await?;
    let (mut tried, mut failed) = (0, 0);
    for round in 0..rounds {
        for path in THINGS {
            let absent = format!("/absent-{round}");
            for (foreign, none) in requests(path).into_iter().zip(requests(&absent)) {
                let shown = answer(&mut bob, foreign, path).await?;
                let expected = answer(&mut bob, none, &absent).await?;
                tried += 1;
                failed += u64::from(shown != expected);
            }
        }
        let id = bob.send_request(upload.clone()).await?;
        let offset = bob.recv().await?["offset"].clone();
        bob.send(&json!({"id": id, "type": "abort", "code": "cancelled", "message": ""})).await?;
        bob.recv().await?;
        tried += 1;
        failed += u64::from(offset != 0);
    }
    // Her token under his name: refused like one that nobody has.
    let mut refusals = Vec::new();
    for token in [token.as_str(), &"0".repeat(token.len())] {
        let mut peer = Peer::plaintext(server, address(3)).await?.greeted().await?;
        refusals.push(peer.ask(json!({"type": "login", "user": "bob", "token": token})).await?);
        tried += 1;
    }
    failed += u64::from(refusals[0] != refusals[1] || refusals[0]["code"] != "login_refused");
    // Hers is as it was.
    for path in THINGS {
        tried += 1;
        failed += u64::from(alice.ask(json!({"type": "stat", "path": path})).await?["type"] != "entry");
    }
    Ok((tried, failed))
}
