//! The same three messages over UDP: a datagram arrives whole, cut to the room that was offered, or not at all.

use std::io::{self, Write};
use std::net::{Ipv4Addr, UdpSocket};

use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::grouped;
use crate::bench::messages;
use crate::limits::LOOPBACK_TIMEOUT;
use crate::{LabError, Paint, paint};

/// How many datagrams of how many bytes are sent to somebody who does not read yet.
const FLOOD_COUNT: u16 = 200;
const FLOOD_LEN: usize = 1024;
/// The receive buffer of that somebody in bytes; Linux doubles it for its own book-keeping.
const SMALL_BUFFER_LEN: usize = 16 * 1024;

pub(super) fn show(paint: Paint, out: &mut dyn Write) -> Result<(), LabError> {
    for room in [4096, 1024] {
        writeln!(out, "   receiver offers {} bytes:", grouped(room))?;
        for (number, datagram) in (1..).zip(play(room)?) {
            let runs = paint::runs(&datagram);
            writeln!(
                out,
                "   recv {number} {:>6}  {} {}",
                grouped(datagram.len()),
                paint.band(&runs),
                paint::in_words(&runs)
            )?;
        }
    }
    writeln!(out, "   Three sends, three receives. With too little room the rest of a datagram is")?;
    writeln!(out, "   gone, without a word.")?;
    let got = flood()?;
    let lost = usize::from(FLOOD_COUNT) - got.len();
    writeln!(
        out,
        "   {FLOOD_COUNT} datagrams of {} bytes to a late receiver with a small buffer:\n     {} arrived, {lost} lost",
        grouped(FLOOD_LEN),
        got.len(),
    )?;
    writeln!(out, "   Every `send` succeeded. Nobody was told. TCP keeps every byte and no")?;
    writeln!(out, "   boundary; UDP keeps every boundary, and not every datagram.")?;
    Ok(())
}

fn pair() -> io::Result<(UdpSocket, UdpSocket)> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sender.connect(receiver.local_addr()?)?;
    // Datagrams of others are not taken.
    receiver.connect(sender.local_addr()?)?;
    receiver.set_read_timeout(Some(LOOPBACK_TIMEOUT))?;
    Ok((sender, receiver))
}

fn play(room: usize) -> io::Result<Vec<Vec<u8>>> {
    let (sender, receiver) = pair()?;
    let mut received = Vec::new();
    for message in messages() {
        sender.send(&message)?;
    }
    for _ in messages() {
        let mut room = vec![0; room];
        let count = receiver.recv(&mut room)?;
        room.truncate(count);
        received.push(room);
    }
    Ok(received)
}

/// Sends many while nobody reads; gives the numbers of those that arrived.
fn flood() -> io::Result<Vec<u16>> {
    let (sender, receiver) = pair()?;
    set_socket_recv_buffer_size(&receiver, SMALL_BUFFER_LEN)?;
    for number in 0..FLOOD_COUNT {
        let mut datagram = vec![0; FLOOD_LEN];
        datagram[..2].copy_from_slice(&number.to_be_bytes());
        sender.send(&datagram)?;
    }
    receiver.set_nonblocking(true)?;
    let mut numbers = Vec::new();
    loop {
        let mut room = [0; FLOOD_LEN];
        match receiver.recv(&mut room) {
            Ok(_) => numbers.push(u16::from_be_bytes([room[0], room[1]])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(numbers),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_keep_their_boundaries_and_lose_what_has_no_room() {
        assert_eq!(play(4096).expect("played"), messages());
        let lengths: Vec<usize> = play(1024).expect("played").iter().map(Vec::len).collect();
        assert_eq!(lengths, [256, 1024, 128]);
    }

    #[test]
    fn a_flood_loses_datagrams_and_keeps_the_order_of_the_rest() {
        let got = flood().expect("played");
        assert!(!got.is_empty() && got.len() < usize::from(FLOOD_COUNT), "{}", got.len());
        assert!(got.is_sorted());
    }
}
