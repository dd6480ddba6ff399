//! The classic capture file of tcpdump: a header, and packets behind lengths. Framing, once more.

use crate::LabError;
use crate::limits::CAPTURE_PACKET_LEN_MAX;

/// Length of the file's header and of a packet's header.
const FILE_HEADER_LEN: usize = 24;
const PACKET_HEADER_LEN: usize = 16;

/// How a link's frames look: Ethernet, which is what Linux gives for loopback.
const LINK_ETHERNET: u32 = 1;

/// A captured packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its bytes, from the Ethernet header on.
    pub bytes: &'a [u8],
}

/// Reads the packets of a capture; a packet that the end of the file cuts is left out.
///
/// # Errors
/// When it is no such file, of another link, or announces an absurd packet.
pub fn read_pcap(file: &[u8]) -> Result<Vec<Packet<'_>>, LabError> {
    let strange = |why: &str| LabError::Failed(format!("not a capture that can be read here: {why}"));
    let word = |bytes: &[u8], at: usize| bytes.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
    // The first number says in which order the machine that captured writes its bytes; the second kind counts
    // nanoseconds, which makes no difference here.
    let read: fn([u8; 4]) -> u32 = match word(file, 0) {
        Some([0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1]) => u32::from_le_bytes,
        Some([0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d]) => u32::from_be_bytes,
        _ => return Err(strange("it does not begin like one (pcapng is another format)")),
    };
    if word(file, 20).map(read) != Some(LINK_ETHERNET) {
        return Err(strange("its link is not Ethernet"));
    }
    let mut rest = file.get(FILE_HEADER_LEN..).unwrap_or_default();
    let mut packets = Vec::new();
    while let Some(len) = word(rest, 8).map(read) {
        let len = len as usize;
        if len > CAPTURE_PACKET_LEN_MAX {
            return Err(strange("a packet is longer than any can be"));
        }
        let Some(bytes) = rest.get(PACKET_HEADER_LEN..PACKET_HEADER_LEN + len) else { break };
        packets.push(Packet { bytes });
        rest = &rest[PACKET_HEADER_LEN + len..];
    }
    Ok(packets)
}
