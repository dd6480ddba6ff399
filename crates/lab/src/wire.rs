//! A loopback connection whose cuts are decided: real sockets, real reads, and no luck.
//!
//! TCP may deliver a byte stream in any pieces. Which ones a program meets depends on timing, and loopback's timing hides
//! most of them. Here the sender writes one piece when the receiver is about to read, and the receiver reads when all of
//! that piece has arrived; so every read returns what the seed says, every time.

use std::io::{self, Read, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::limits::LOOPBACK_TIMEOUT;

/// Two ends of one TCP connection over 127.0.0.1. The listener is gone when this returns.
///
/// # Errors
/// When the system gives no sockets.
pub fn loopback_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    // Somebody else on this machine may have been faster; such a guest is shown the door.
    loop {
        let (receiver, from) = listener.accept()?;
        if from == sender.local_addr()? {
            for stream in [&sender, &receiver] {
                stream.set_read_timeout(Some(LOOPBACK_TIMEOUT))?;
                stream.set_write_timeout(Some(LOOPBACK_TIMEOUT))?;
            }
            return Ok((sender, receiver));
        }
    }
}

/// Waits until `len` bytes can be read without waiting.
///
/// # Errors
/// When the stream fails or the bytes do not arrive in time.
pub fn wait_for(stream: &TcpStream, len: usize) -> io::Result<()> {
    let mut seen = vec![0; len];
    let began = Instant::now();
    // `peek` gives what is there without taking it. On loopback all of it is there at the first look, or the second.
    while stream.peek(&mut seen)? < len {
        if began.elapsed() > LOOPBACK_TIMEOUT {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{len} bytes did not arrive")));
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// What one call of `read` was asked for, and what it gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadCall {
    /// The room that the caller offered.
    pub asked: usize,
    /// What came.
    pub bytes: Vec<u8>,
}

/// The receiver's end of a connection whose pieces are decided.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    demand: Option<SyncSender<()>>,
    pieces: Receiver<usize>,
    /// Bytes of the last piece that have not been read yet.
    left: usize,
    sender: Option<JoinHandle<io::Result<()>>>,
    /// Every read so far.
    pub reads: Vec<ReadCall>,
}

impl Wire {
    /// A wire over which `bytes` travel in pieces of these lengths, and then an end.
    ///
    /// # Errors
    /// When the system gives no sockets.
    pub fn new(bytes: Vec<u8>, lengths: Vec<usize>) -> io::Result<Self> {
        let (sender, stream) = loopback_pair()?;
        // Small pieces must not be merged by Nagle's algorithm: the seed decides here, and nobody else.
        sender.set_nodelay(true)?;
        let (demand, demanded) = sync_channel(1);
        let (announce, pieces) = sync_channel(1);
        let sender = std::thread::spawn(move || send(sender, &bytes, &lengths, &demanded, &announce));
        Ok(Self { stream, demand: Some(demand), pieces, left: 0, sender: Some(sender), reads: Vec::new() })
    }

    /// Ends the sender and says how it fared.
    ///
    /// # Errors
    /// When the sender failed.
    pub fn finish(mut self) -> io::Result<Vec<ReadCall>> {
        self.demand = None;
        match self.sender.take().map(JoinHandle::join) {
            Some(Ok(sent)) => sent.map(|()| std::mem::take(&mut self.reads)),
            _ => Err(io::Error::other("the sender panicked")),
        }
    }
}

fn send(
    mut stream: TcpStream,
    mut bytes: &[u8],
    lengths: &[usize],
    demanded: &Receiver<()>,
    announce: &SyncSender<usize>,
) -> io::Result<()> {
    for &len in lengths {
        // A receiver that has left wants no more.
        if demanded.recv().is_err() {
            return Ok(());
        }
        let (piece, rest) = bytes.split_at(len.min(bytes.len()));
        stream.write_all(piece)?;
        bytes = rest;
        if announce.send(piece.len()).is_err() {
            return Ok(());
        }
    }
    stream.shutdown(Shutdown::Write)
}

impl Read for Wire {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.left == 0
            && let Some(demand) = &self.demand
        {
            // A sender that has sent its last piece has left; then nothing is to come but the end.
            self.left = demand.send(()).ok().and_then(|()| self.pieces.recv().ok()).unwrap_or(0);
            wait_for(&self.stream, self.left)?;
        }
        let count = self.stream.read(room)?;
        self.left -= count;
        self.reads.push(ReadCall { asked: room.len(), bytes: room[..count].to_vec() });
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_follow_the_pieces_and_not_the_clock() {
        for _ in 0..20 {
            let mut wire = Wire::new(b"abcdefghij".to_vec(), vec![1, 5, 4]).expect("sockets");
            let mut room = [0; 3];
            let mut lengths = Vec::new();
            loop {
                match wire.read(&mut room).expect("readable") {
                    0 => break,
                    count => lengths.push(count),
                }
            }
            assert_eq!(lengths, [1, 3, 2, 3, 1]);
            assert_eq!(wire.finish().expect("sent").len(), 6);
        }
    }

    #[test]
    fn a_receiver_may_leave_early() {
        let mut wire = Wire::new(vec![7; 100], vec![50, 50]).expect("sockets");
        assert_eq!(wire.read(&mut [0; 10]).expect("readable"), 10);
        assert_eq!(wire.finish().expect("no harm").len(), 1);
    }
}
