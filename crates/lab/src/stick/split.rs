//! One write, many reads: a read gives what is there, up to the room it was offered, and never waits for more.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};
use std::net::Shutdown;

use super::grouped;
use crate::LabError;
use crate::wire::loopback_pair;

/// One call of `write_all`, in bytes: many times what the socket's buffers hold.
const WRITE_LEN: usize = 8 * 1024 * 1024;
/// The room that the reader offers in bytes.
const ROOM_LEN: usize = 100_000;

pub(super) fn show(out: &mut dyn Write) -> Result<(), LabError> {
    let reads = play()?;
    let mut kinds: BTreeMap<usize, usize> = BTreeMap::new();
    reads.iter().for_each(|len| *kinds.entry(*len).or_default() += 1);
    let short = reads.iter().filter(|len| **len < ROOM_LEN).count();
    writeln!(out, "   one write of {} bytes, reads with room for {}:", grouped(WRITE_LEN), grouped(ROOM_LEN))?;
    writeln!(
        out,
        "     {} reads, {short} of them short; {} different lengths, from {} to {}",
        reads.len(),
        kinds.len(),
        grouped(kinds.keys().next().copied().unwrap_or_default()),
        grouped(kinds.keys().next_back().copied().unwrap_or_default()),
    )?;
    writeln!(out, "   `recv(n)` means at most n. Whoever needs n bytes must loop.")?;
    Ok(())
}

fn play() -> io::Result<Vec<usize>> {
    let (mut sender, mut receiver) = loopback_pair()?;
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || {
            sender.write_all(&vec![7; WRITE_LEN])?;
            sender.shutdown(Shutdown::Write)
        });
        let mut reads = Vec::new();
        let mut room = vec![0; ROOM_LEN];
        loop {
            match receiver.read(&mut room)? {
                0 => break,
                count => reads.push(count),
            }
        }
        sending.join().map_err(|_| io::Error::other("the sender panicked"))??;
        Ok(reads)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_write_takes_many_reads_and_loses_nothing() {
        let reads = play().expect("played");
        assert_eq!(reads.iter().sum::<usize>(), WRITE_LEN);
        assert!(reads.len() > WRITE_LEN / ROOM_LEN, "{}", reads.len());
    }
}
