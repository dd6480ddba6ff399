//! P7 in numbers: noise played to the code itself, without sockets and with time that does not pass, through the functions
//! of the fuzz targets.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::paths::hostile_path;
use super::scene::{Effort, Random};
use super::spoil::{frames, spoilt, spoilt_replies, spoilt_requests, stream};
use super::table::Row;

#[expect(unreachable_pub, reason = "there it is a library of its own")]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

/// Of so many streams, the frames of one are read as every kind of message, too: that takes longest.
const MESSAGES_OF: usize = 16;

/// Plays one piece of noise; gives how many it was.
type Play<'a> = dyn Fn(&mut Random) -> u64 + Sync + 'a;

pub(crate) fn rows(effort: &Effort, panics: &AtomicU64) -> Result<Vec<Row>> {
    let pool = frames(&mut effort.random("frames"));
    let time = effort.pick(Duration::from_secs(4), Duration::from_secs(600));
    let volume = Volume { effort, panics, time };
    Ok(vec![
        volume.row(
            "frames, in streams that are cut anywhere and spoilt here and there",
            effort.pick(1_000_000, 100_000_000),
            &|random| play_stream(&stream(&pool, random), random),
            &|random| careless(&stream(&pool, random)[1..]),
        )?,
        volume.row(
            "spoilt sessions, the server's end",
            effort.pick(20_000, 3_000_000),
            &|random| {
                // One in four begins as a stranger does.
                let is_in = random.below(4) > 0;
                let bytes = if is_in { spoilt_requests(random) } else { spoilt("0", random) };
                drop(targets::server(&[&[u8::from(is_in)], &bytes[..]].concat()));
                1
            },
            &|random| careless(&spoilt("0", random)),
        )?,
        volume.row(
            "spoilt sessions, the client's end",
            effort.pick(20_000, 3_000_000),
            &|random| {
                let first = random.below(6);
                let bytes = spoilt_replies(first, random);
                targets::client(&[&[1 + 2 * first as u8], &bytes[..]].concat());
                1
            },
            &|random| careless(&spoilt_replies(0, random)),
        )?,
        volume.row(
            "texts as paths, user names and endpoints",
            effort.pick(200_000, 10_000_000),
            &|random| {
                targets::paths(hostile_path(random).as_bytes());
                1
            },
            &|random| careless(hostile_path(random).as_bytes()),
        )?,
    ])
}

fn play_stream(stream: &[u8], random: &mut Random) -> u64 {
    if random.below(MESSAGES_OF) == 0 {
        let mut rest = stream.get(1..).unwrap_or_default();
        while let Some((header, behind)) = rest.split_first_chunk() {
            let Some((payload, behind)) = behind.split_at_checked(u32::from_be_bytes(*header) as usize) else { break };
            targets::messages(payload);
            rest = behind;
        }
    }
    targets::frames(stream) as u64
}

/// The broken variant: takes a peer's word for lengths and content.
fn careless(mut bytes: &[u8]) -> u64 {
    while !bytes.is_empty() {
        let header = bytes.first_chunk().expect("a header");
        let payload = &bytes[4..4 + u32::from_be_bytes(*header) as usize];
        if payload.first() == Some(&b'{') {
            serde_json::from_slice::<Value>(payload).expect("a message");
        }
        bytes = &bytes[4 + payload.len()..];
    }
    1
}

/// How long and how often it is played.
struct Volume<'a> {
    effort: &'a Effort,
    /// Counted by the hook of all panics, in whatever thread.
    panics: &'a AtomicU64,
    time: Duration,
}

impl Volume<'_> {
    fn row(&self, what: &str, enough: u64, play: &Play, control: &Play<'_>) -> Result<Row> {
        let began = Instant::now();
        let (tried, failed) = self.play(what, enough, play)?;
        let took = began.elapsed().as_secs_f64();
        let (_, control_failed) = self.play(what, 1_000, control)?;
        Ok(Row {
            promise: "P7",
            what: what.to_owned(),
            tried,
            failed,
            figure: format!("{failed} panics and broken laws, {:.0} a second", tried as f64 / took),
            control: "a reader that believes lengths and content",
            control_failed,
        })
    }

    /// Plays until it is enough or the time is over; gives how many, and how many panics there were.
    fn play(&self, purpose: &str, enough: u64, play: &Play<'_>) -> Result<(u64, u64)> {
        let began = Instant::now();
        let tried = AtomicU64::new(0);
        self.panics.store(0, Ordering::Relaxed);
        std::thread::scope(|scope| -> Result<()> {
            for number in 0..std::thread::available_parallelism()?.get() {
                let mut random = self.effort.random(&format!("{purpose} {number}"));
                let tried = &tried;
                scope.spawn(move || {
                    while tried.load(Ordering::Relaxed) < enough && began.elapsed() < self.time {
                        // The hook has counted it; the next one finds things as they are.
                        let played = catch_unwind(AssertUnwindSafe(|| play(&mut random)));
                        tried.fetch_add(played.unwrap_or(1), Ordering::Relaxed);
                    }
                });
            }
            Ok(())
        })?;
        Ok((tried.into_inner(), self.panics.swap(0, Ordering::Relaxed)))
    }
}
