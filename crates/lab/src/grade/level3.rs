//! Level 3, requests: every one gets exactly one last reply, and a refusal costs nothing but itself.

use super::peer::{Peer, ensure, unexpected};
use super::{Check, Seen, Target, cases};
use serde_json::{Value, json};

cases! { 3:
    "ids-come-back" ids_come_back
        "The client chooses the ids; a reply carries the one of its request, however large.";
    "directories" directories
        "mkdir, stat, rename and remove do what they say and answer done when it is done.";
    "listing-is-whole" listing
        "A listing ends with a count, so that nobody takes a part for the whole; the tree comes in one request.";
    "missing-things" missing_things
        "What is not there is a fault not_found; the connection lives.";
    "bad-paths" bad_paths
        "A path that climbs, or is none, is refused and never repaired; the request fails and the connection lives.";
    "obstacles" obstacles
        "What stands in the way has a code of its own: exists, not_empty, not_a_directory, not_a_file.";
    "unknown-request" unknown_request
        "A request that is none breaks the protocol: a fault with id 0, then the end.";
}

async fn done(peer: &mut Peer, request: Value) -> Check {
    peer.send(&request).await?;
    peer.expect(request["id"].as_u64(), "done").await.map(drop)
}

async fn refused(peer: &mut Peer, request: Value, code: &str) -> Check {
    peer.send(&request).await?;
    let id = request["id"].as_u64().unwrap_or_default();
    peer.expect_fault(id, &[code]).await.map_err(|seen| format!("{request}: {seen}"))
}

async fn ids_come_back(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    // The highest that a number of JavaScript holds, and no order.
    for id in [7, 3, 70_000, (1 << 53) - 1, 1] {
        peer.send(&json!({"id": id, "type": "whoami"})).await?;
        peer.expect(Some(id), "account").await?;
    }
    Ok(())
}

async fn directories(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    done(&mut peer, json!({"id": 2, "type": "mkdir", "path": "/a/b", "parents": true})).await?;
    peer.put(3, "/a/b/f", b"hello").await?;
    done(&mut peer, json!({"id": 4, "type": "rename", "from": "/a/b", "to": "/c"})).await?;
    peer.send(&json!({"id": 5, "type": "stat", "path": "/c/f"})).await?;
    let entry = peer.expect(Some(5), "entry").await?;
    let fits = entry["entry"]["kind"] == "file" && entry["entry"]["size"] == 5 && entry["entry"]["path"] == "/c/f";
    ensure(fits, unexpected("the entry of /c/f", &entry))?;
    done(&mut peer, json!({"id": 6, "type": "remove", "path": "/c", "recursive": true})).await?;
    refused(&mut peer, json!({"id": 7, "type": "stat", "path": "/c"}), "not_found").await
}

/// The paths of a listing, sorted; the count at its end is right.
async fn list(peer: &mut Peer, id: u64, path: &str, recursive: bool) -> Seen<Vec<String>> {
    peer.send(&json!({"id": id, "type": "list", "path": path, "recursive": recursive})).await?;
    let mut paths = Vec::new();
    loop {
        let message = peer.recv().await?;
        match (message["type"].as_str(), message["entries"].as_array()) {
            (Some("entries"), Some(entries)) => {
                paths.extend(entries.iter().filter_map(|entry| entry["path"].as_str().map(str::to_owned)));
                // Three things are in there at the most.
                ensure(paths.len() <= 1_000, "the listing does not end")?;
            }
            (Some("end"), _) if message["id"] == id => {
                ensure(
                    message["count"] == paths.len(),
                    format!("{} entries came, and the end says {message}", paths.len()),
                )?;
                paths.sort();
                return Ok(paths);
            }
            _ => return Err(unexpected("entries or end", &message)),
        }
    }
}

async fn listing(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    let empty = list(&mut peer, 2, "/", true).await?;
    ensure(empty.is_empty(), format!("a new account has {empty:?}"))?;
    done(&mut peer, json!({"id": 3, "type": "mkdir", "path": "/d"})).await?;
    peer.put(4, "/d/f", b"hello").await?;
    peer.put(5, "/夏天", b"").await?;
    let level = list(&mut peer, 6, "/", false).await?;
    ensure(level == ["/d", "/夏天"], format!("one level below / is {level:?}"))?;
    let tree = list(&mut peer, 7, "/", true).await?;
    ensure(tree == ["/d", "/d/f", "/夏天"], format!("the tree below / is {tree:?}"))
}

async fn missing_things(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    for (id, kind) in (2..).zip(["stat", "list", "remove", "download"]) {
        refused(&mut peer, json!({"id": id, "type": kind, "path": "/missing"}), "not_found").await?;
    }
    refused(&mut peer, json!({"id": 8, "type": "upload", "path": "/missing/f", "size": 1}), "not_found").await?;
    peer.expect_alive().await
}

async fn bad_paths(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    let long = format!("/{}", "x".repeat(256));
    for (id, path) in (2..).zip(["", "a", "/..", "/a/../b", "/a//b", "/a/", "/.", "/a\\b", "/a\u{7}", &long]) {
        refused(&mut peer, json!({"id": id, "type": "stat", "path": path}), "bad_path").await?;
    }
    peer.expect_alive().await
}

async fn obstacles(target: &Target) -> Check {
    let mut peer = Peer::member(target).await?;
    done(&mut peer, json!({"id": 2, "type": "mkdir", "path": "/d"})).await?;
    peer.put(3, "/d/f", b"hello").await?;
    refused(&mut peer, json!({"id": 4, "type": "mkdir", "path": "/d"}), "exists").await?;
    refused(&mut peer, json!({"id": 5, "type": "remove", "path": "/d"}), "not_empty").await?;
    refused(&mut peer, json!({"id": 6, "type": "list", "path": "/d/f"}), "not_a_directory").await?;
    refused(&mut peer, json!({"id": 7, "type": "download", "path": "/d"}), "not_a_file").await?;
    let upload = json!({"id": 8, "type": "upload", "path": "/d/f", "size": 1, "create": true});
    refused(&mut peer, upload, "exists").await?;
    peer.expect_alive().await
}

async fn unknown_request(target: &Target) -> Check {
    for request in [json!({"id": 2, "type": "format_disk"}), json!({"id": 0, "type": "whoami"}), json!({"id": 2})] {
        let mut peer = Peer::member(target).await?;
        peer.send(&request).await?;
        peer.expect_closed_with("bad_request").await.map_err(|seen| format!("{request}: {seen}"))?;
    }
    Ok(())
}
