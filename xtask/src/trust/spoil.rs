//! What noise is made of: sessions, streams and replies that begin well and are spoilt somewhere, and bombs of JSON.

use serde_json::json;

use super::evil::answers;
use super::peer::{data, end, frame};
use super::scene::Random;

/// Frames in a stream, at most.
const STREAM_FRAMES_MAX: usize = 64;

/// What the requests of the client in `fuzz/src/lib.rs` are, in their order.
const REQUESTS: &[&str] = &["list", "stat", "download", "upload", "rename", "whoami"];

/// The bytes of a session that somebody spoilt.
pub(crate) fn spoilt(token: &str, random: &mut Random) -> Vec<u8> {
    spoil(session(token, random), random)
}

/// The same from its first request on: who sends it is in already.
pub(crate) fn spoilt_requests(random: &mut Random) -> Vec<u8> {
    spoil(session("", random).split_off(2), random)
}

/// What a server says to a client that asks all that it can ask, beginning with `first`: evil, and spoilt besides.
pub(crate) fn spoilt_replies(first: usize, random: &mut Random) -> Vec<u8> {
    let mut frames = Vec::new();
    for (id, kind) in (2..).zip(REQUESTS.iter().cycle().skip(first).take(REQUESTS.len())) {
        frames.extend(answers(&json!({"id": id, "type": kind}), random));
    }
    // What is evil enough is not spoilt on top of it.
    if random.below(2) == 0 { frames.concat() } else { spoil(frames, random) }
}

/// Frames to make streams of: heartbeats, messages as they are and as bombs, file bytes.
pub(crate) fn frames(random: &mut Random) -> Vec<Vec<u8>> {
    let mut frames = vec![vec![0; 4]; 20];
    for _ in 0..100 {
        frames.extend(session("0", random));
        frames.extend(answers(&json!({"id": 2, "type": random.pick(REQUESTS)}), random));
        let len = random.below(300);
        frames.push(data(&random.bytes(len)));
    }
    frames.extend((0..20).map(|_| bomb(random)));
    // Each is one of tens in a stream: few long ones are enough.
    let mut long = 0;
    frames.retain(|frame| {
        long += usize::from(frame.len() > 2_000);
        frame.len() <= 2_000 || long < 10
    });
    frames
}

/// A stream of such frames, with a first byte that says how it is split; half of them are spoilt here and there.
pub(crate) fn stream(frames: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![random.next() as u8];
    for _ in 0..1 + random.below(STREAM_FRAMES_MAX) {
        bytes.extend_from_slice(&frames[random.below(frames.len())]);
    }
    if random.below(2) == 0 {
        for _ in 0..=random.below(3) {
            flip(&mut bytes, random);
        }
        bytes.truncate(1 + random.below(2 * bytes.len()));
    }
    bytes
}

fn spoil(mut frames: Vec<Vec<u8>>, random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(3) {
        let at = random.below(frames.len());
        if frames.is_empty() {
            break;
        }
        match random.below(6) {
            0 => frames.swap(at, 0),
            1 => drop(frames.remove(at)),
            2 => frames.insert(at, bomb(random)),
            3 => {
                let len = random.below(300);
                frames.insert(at, frame(&random.bytes(len)));
            }
            4 => {
                let len = random.below(60);
                frames[at] = random.bytes(len);
            }
            _ => frames.insert(at, u32::try_from(random.next() >> 40).unwrap_or(0).to_be_bytes().to_vec()),
        }
    }
    let mut bytes = frames.concat();
    for _ in 0..random.below(4) {
        flip(&mut bytes, random);
    }
    if random.below(3) == 0 {
        bytes.truncate(random.below(bytes.len() + 1));
    }
    bytes
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte = random.next() as u8;
    }
}

fn session(token: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let message = |value: serde_json::Value| frame(value.to_string().as_bytes());
    let path = format!("/{}", random.below(20));
    let mut frames = vec![
        message(json!({"type": "hello", "version": 1, "software": "noise"})),
        message(json!({"id": 1, "type": "login", "user": "alice", "token": token})),
    ];
    for id in 2..8_u64 {
        match random.below(7) {
            0 => frames.push(message(json!({"id": id, "type": "list", "path": "/", "recursive": true}))),
            1 => frames.push(message(json!({"id": id, "type": "download", "path": path, "offset": random.below(9)}))),
            2 => frames.push(message(json!({"id": id, "type": "mkdir", "path": path, "parents": true}))),
            3 => frames.push(message(json!({"id": id, "type": "remove", "path": path, "recursive": true}))),
            4 => frames.push(message(json!({"id": id, "type": "rename", "from": path, "to": "/x", "replace": true}))),
            5 => frames.push(message(json!({"id": id, "type": "abort", "code": "cancelled", "message": ""}))),
            _ => frames.extend([
                message(json!({"id": id, "type": "upload", "path": path, "size": 5, "body": "now"})),
                data(b"hel"),
                Vec::from([0; 4]),
                data(b"lo"),
                message(end(id, b"hello")),
            ]),
        }
    }
    frames
}

/// JSON that is more than it seems.
fn bomb(random: &mut Random) -> Vec<u8> {
    let depth = random.below(30_000);
    let payload = match random.below(6) {
        0 => format!(r#"{{"id":2,"type":"stat","path":{}"#, "[".repeat(depth)),
        1 => format!(r#"{{"a":{}"#, r#"{"a":"#.repeat(depth / 6)),
        2 => format!(r#"{{"id":{},"type":"whoami"}}"#, "9".repeat(random.below(400))),
        3 => format!(r#"{{"id":1e{},"type":"list","path":"/"}}"#, random.below(400)),
        4 => format!(r#"{{"id":2,{}"type":"whoami"}}"#, r#""id":2,"#.repeat(depth / 8)),
        _ => format!(r#"{{"id":2,"type":"stat","path":"{}"}}"#, r"\ud800".repeat(depth / 6)),
    };
    frame(payload.as_bytes())
}
