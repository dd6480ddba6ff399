//! Nagle's algorithm: a kernel holds small segments back while an earlier one is not acknowledged (RFC 896).
//!
//! It is not where sticking comes from, as is often said: part 1 sets TCP_NODELAY, and messages stick. It is one more way
//! to get there. Loopback hides it, because acknowledgements come at once; so the receiver here is told to delay its own,
//! as receivers do on a real network (RFC 9293, 3.8.6.3).

use std::io::{self, Read as _, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_tcp_quickack;

use crate::LabError;
use crate::wire::{loopback_pair, wait_for};

/// How many messages of how many bytes.
const COUNT: usize = 8;
const LEN: usize = 16;

/// What a run showed.
struct Seen {
    /// Bytes that could be read after each write.
    after_writes: Vec<usize>,
    /// What each read brought.
    reads: Vec<usize>,
    /// From the last write to the last byte.
    waited: Duration,
}

pub(super) fn show(out: &mut dyn Write) -> Result<(), LabError> {
    for (nodelay, name) in [(false, "with Nagle (the default)"), (true, "with TCP_NODELAY")] {
        let seen = play(nodelay)?;
        writeln!(out, "   {COUNT} writes of {LEN} bytes, {name}:")?;
        writeln!(out, "     arrived after each write  {}", join(&seen.after_writes))?;
        writeln!(out, "     read calls brought        {}", join(&seen.reads))?;
        writeln!(out, "     waited for the rest       {} ms", seen.waited.as_millis())?;
    }
    writeln!(out, "   TCP_NODELAY takes the delay away. It makes no message boundary: a slow reader")?;
    writeln!(out, "   still gets them stuck.")?;
    Ok(())
}

fn join(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}

/// Writes and looks, in lockstep; then reads what comes as it comes.
fn play(nodelay: bool) -> io::Result<Seen> {
    let (mut sender, mut receiver) = loopback_pair()?;
    sender.set_nodelay(nodelay)?;
    set_tcp_quickack(&receiver, false)?;
    let mut after_writes = Vec::new();
    let mut reads = Vec::new();
    for number in 0..COUNT {
        sender.write_all(&[b'a' + u8::try_from(number).unwrap_or_default(); LEN])?;
        if nodelay || number == 0 {
            wait_for(&receiver, LEN)?;
        }
        let there = arrived(&receiver)?;
        after_writes.push(there);
        if there > 0 {
            reads.push(receiver.read(&mut [0; 1024])?);
        }
    }
    let began = Instant::now();
    let mut left = COUNT * LEN - reads.iter().sum::<usize>();
    while left > 0 {
        let count = receiver.read(&mut [0; 1024])?;
        left -= count;
        reads.push(count);
    }
    Ok(Seen { after_writes, reads, waited: began.elapsed() })
}

/// How many bytes could be read without waiting.
fn arrived(receiver: &TcpStream) -> io::Result<usize> {
    receiver.set_nonblocking(true)?;
    let seen = match receiver.peek(&mut [0; 1024]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        seen => seen,
    };
    receiver.set_nonblocking(false)?;
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nagle_merges_what_nodelay_sends_at_once() {
        let merged = play(false).expect("played");
        // Everything behind the first write waits for one acknowledgement and then comes together.
        assert_eq!(merged.after_writes[..2], [LEN, 0]);
        assert!(merged.reads.len() < COUNT, "{:?}", merged.reads);
        let at_once = play(true).expect("played");
        assert_eq!(at_once.after_writes, [LEN; COUNT]);
        assert_eq!(at_once.reads, [LEN; COUNT]);
    }
}
