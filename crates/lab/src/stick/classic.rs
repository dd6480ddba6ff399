//! The classic: a sender writes 256, 2,056 and 128 bytes, a receiver asks for at most 1,024 at a time.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};
use std::net::{Shutdown, TcpStream};

use super::{Options, grouped};
use crate::bench::{MESSAGES, messages};
use crate::wire::{loopback_pair, wait_for};
use crate::{LabError, Paint, Random, paint};

/// What the receiver asks for.
const ROOM_LEN: usize = 1024;

/// Who moves next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The sender writes its next message, in one call.
    Write,
    /// The receiver reads once, at most so much; what has been written has arrived.
    Read(usize),
}

use Step::Write as W;
/// A read of as much as the receiver ever asks for.
const R: Step = Step::Read(ROOM_LEN);

/// The order of every course: the receiver is a little slower than the sender, but not much.
const CLASSIC: &[Step] = &[W, R, W, R, R, W, R];
/// The receiver comes late: everything waits for it already.
const LATE: &[Step] = &[W, W, W, R, R, R];
/// The receiver is always faster.
const PROMPT: &[Step] = &[W, R, W, R, R, R, W, R];

pub(super) fn show(options: &Options, out: &mut dyn Write) -> Result<(), LabError> {
    let wrote: Vec<String> =
        MESSAGES.iter().map(|(letter, len)| format!("{} {}", char::from(*letter), grouped(*len))).collect();
    writeln!(out, "   written: {}; each letter of a band is 64 bytes", wrote.join(", "))?;
    let orders: [(&str, &[Step]); 3] = [
        ("the receiver reads between the writes", CLASSIC),
        ("the receiver comes late", LATE),
        ("the receiver is always faster", PROMPT),
    ];
    for (what, order) in orders {
        writeln!(out, "\n   {what}:")?;
        show_reads(&play(order)?, options.paint, out)?;
    }
    let order = random_order(options.seed);
    writeln!(out, "\n   an order from seed {}: {}", options.seed, in_words(&order))?;
    show_reads(&play(&order)?, options.paint, out)?;
    writeln!(out, "   Why so many ways? A read takes what has arrived by then, up to its room. How")?;
    writeln!(out, "   much that is, schedulers, cables and buffers decide.")?;
    show_free(options.rounds, out)
}

/// An order in a line: each message by its letter, each read by its room.
fn in_words(order: &[Step]) -> String {
    let mut letters = MESSAGES.iter().map(|(letter, _)| char::from(*letter).to_string());
    let step = |step: &Step| match step {
        W => letters.next().unwrap_or_default(),
        Step::Read(room) => room.to_string(),
    };
    order.iter().map(step).collect::<Vec<_>>().join(" ")
}

fn show_reads(reads: &[Vec<u8>], paint: Paint, out: &mut dyn Write) -> Result<(), LabError> {
    for (number, read) in (1..).zip(reads) {
        let runs = paint::runs(read);
        let cells: usize = runs.iter().map(|(_, len)| len.div_ceil(64)).sum();
        // A painted band is longer than it looks.
        let gap = " ".repeat(17_usize.saturating_sub(cells));
        writeln!(
            out,
            "   read {number} {:>6}  {}{gap} {}",
            grouped(read.len()),
            paint.band(&runs),
            paint::in_words(&runs)
        )?;
    }
    Ok(())
}

/// Plays an order on a real connection; gives what each read brought.
fn play(order: &[Step]) -> io::Result<Vec<Vec<u8>>> {
    let (mut sender, mut receiver) = loopback_pair()?;
    sender.set_nodelay(true)?;
    let mut unsent = messages().into_iter();
    let mut underway = 0;
    let mut reads = Vec::new();
    for step in order {
        match step {
            Step::Write => {
                let message = unsent.next().unwrap_or_default();
                sender.write_all(&message)?;
                underway += message.len();
            }
            Step::Read(room_len) => {
                wait_for(&receiver, underway)?;
                let mut room = vec![0; *room_len];
                let count = receiver.read(&mut room)?;
                underway -= count;
                reads.push(room[..count].to_vec());
            }
        }
    }
    Ok(reads)
}

/// Any order, and any room up to the usual, in which every read finds something and nothing is left in the end.
fn random_order(seed: u64) -> Vec<Step> {
    let mut random = Random::new(seed);
    let (mut order, mut unsent, mut underway) = (Vec::new(), MESSAGES.iter(), 0_usize);
    loop {
        let writes_left = unsent.len() > 0;
        if writes_left && (underway == 0 || random.between(0, 1) == 0) {
            underway += unsent.next().map_or(0, |(_, len)| *len);
            order.push(Step::Write);
        } else if underway > 0 {
            let room_len = random.between(ROOM_LEN / 2, ROOM_LEN);
            underway = underway.saturating_sub(room_len);
            order.push(Step::Read(room_len));
        } else {
            return order;
        }
    }
}

/// Lets both run free, each in its own thread, and counts which cuts came out.
fn show_free(rounds: usize, out: &mut dyn Write) -> Result<(), LabError> {
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..rounds {
        let lengths: Vec<String> = race()?.into_iter().map(grouped).collect();
        *tally.entry(lengths.join(" + ")).or_default() += 1;
    }
    let mut tally: Vec<_> = tally.into_iter().collect();
    tally.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    writeln!(out, "\n   both run free, {rounds} times, and nobody decides (no seed helps here):")?;
    for (cuts, count) in tally {
        writeln!(out, "   {count:>4} x  {cuts}")?;
    }
    writeln!(out, "   A program that relies on one of these is wrong on the days of the others.")?;
    Ok(())
}

fn race() -> io::Result<Vec<usize>> {
    let (sender, mut receiver) = loopback_pair()?;
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || send_all(sender));
        let mut lengths = Vec::new();
        let mut room = [0; ROOM_LEN];
        loop {
            match receiver.read(&mut room)? {
                0 => break,
                count => lengths.push(count),
            }
        }
        sending.join().map_err(|_| io::Error::other("the sender panicked"))??;
        Ok(lengths)
    })
}

fn send_all(mut sender: TcpStream) -> io::Result<()> {
    for message in messages() {
        sender.write_all(&message)?;
    }
    sender.shutdown(Shutdown::Write)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(order: &[Step]) -> Vec<usize> {
        play(order).expect("played").iter().map(Vec::len).collect()
    }

    #[test]
    fn the_classic_comes_out_every_time() {
        for _ in 0..50 {
            assert_eq!(lengths(CLASSIC), [256, 1024, 1024, 136]);
        }
        let last = play(CLASSIC).expect("played").pop().expect("four reads");
        assert_eq!(paint::in_words(&paint::runs(&last)), "8 B + 128 C");
        assert_eq!(lengths(LATE), [1024, 1024, 392]);
        assert_eq!(lengths(PROMPT), [256, 1024, 1024, 8, 128]);
    }

    #[test]
    fn a_seed_gives_one_order_and_loses_nothing() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..40 {
            assert_eq!(random_order(seed), random_order(seed));
            let reads = play(&random_order(seed)).expect("played");
            assert_eq!(reads.concat(), messages().concat());
            seen.insert(reads.iter().map(Vec::len).collect::<Vec<_>>());
        }
        assert!(seen.len() >= 30, "{seen:?}");
        // What everybody sees who gives no seed is none of the three that stand above it.
        let usual = [CLASSIC, LATE, PROMPT].map(lengths);
        assert!(!usual.contains(&lengths(&random_order(1))));
        assert_eq!(in_words(CLASSIC), "A 1024 B 1024 1024 C 1024");
    }
}
