//! A TCP segment in an IP packet in an Ethernet frame (RFC 791, RFC 9293).

use super::pcap::Packet;

const ETHERNET_HEADER_LEN: usize = 14;
const ETHERTYPE_IPV4: [u8; 2] = [8, 0];
const PROTOCOL_TCP: u8 = 6;
/// The shortest header of IPv4, and of TCP.
const HEADER_LEN_MIN: usize = 20;

/// What is known of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Address and port that it comes from.
    pub source: ([u8; 4], u16),
    /// Address and port that it goes to.
    pub target: ([u8; 4], u16),
    /// Number of its first byte.
    pub seq: u32,
    /// Its flags.
    pub flags: u8,
    /// The bytes that it carries.
    pub payload: Vec<u8>,
    /// Length of its own header.
    pub tcp_header_len: usize,
    /// Length of the IP header around it.
    pub ip_header_len: usize,
    /// Length of the header of the link.
    pub link_header_len: usize,
    /// Length of it all.
    pub frame_len: usize,
    /// Whether it goes from the side that opened the connection.
    pub from_client: bool,
}

/// Finds the segment in a packet; `None` where there is none over IPv4.
pub fn parse_segment(packet: &Packet<'_>) -> Option<Segment> {
    let bytes = packet.bytes;
    if bytes.get(12..14)? != ETHERTYPE_IPV4 {
        return None;
    }
    let ip = bytes.get(ETHERNET_HEADER_LEN..)?;
    let ip_header_len = usize::from(ip.first()? & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
    if *ip.get(9)? != PROTOCOL_TCP || ip_header_len < HEADER_LEN_MIN {
        return None;
    }
    let address = |at: usize| -> Option<[u8; 4]> { ip.get(at..at + 4)?.try_into().ok() };
    // A short packet may be padded by the link: the IP length says where it ends.
    let tcp = ip.get(ip_header_len..total_len)?;
    let port = |at: usize| -> Option<u16> { Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?])) };
    let tcp_header_len = usize::from(tcp.get(12)? >> 4) * 4;
    if tcp_header_len < HEADER_LEN_MIN {
        return None;
    }
    Some(Segment {
        source: (address(12)?, port(0)?),
        target: (address(16)?, port(2)?),
        seq: u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?),
        flags: *tcp.get(13)?,
        payload: tcp.get(tcp_header_len..)?.to_vec(),
        tcp_header_len,
        ip_header_len,
        link_header_len: ETHERNET_HEADER_LEN,
        frame_len: ETHERNET_HEADER_LEN + total_len,
        from_client: false,
    })
}

impl Segment {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const PSH: u8 = 8;
    const ACK: u8 = 16;

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether it is the first of a connection.
    pub fn is_opening(&self) -> bool {
        self.has(Self::SYN) && !self.has(Self::ACK)
    }

    /// Whether it is the last of its direction.
    pub fn is_end(&self) -> bool {
        self.has(Self::FIN)
    }

    /// Whether its side has broken off.
    pub fn is_reset(&self) -> bool {
        self.has(Self::RST)
    }

    /// Its flags, how much it carries, and what it is for.
    pub fn in_words(&self) -> String {
        let names =
            [(Self::SYN, "SYN"), (Self::FIN, "FIN"), (Self::RST, "RST"), (Self::PSH, "PSH"), (Self::ACK, "ACK")];
        let flags: Vec<&str> = names.iter().filter(|(flag, _)| self.has(*flag)).map(|(_, name)| *name).collect();
        let what = match self.payload.len() {
            _ if self.is_opening() => "opens".to_owned(),
            _ if self.has(Self::SYN) => "opens, too".to_owned(),
            _ if self.is_reset() => "breaks off".to_owned(),
            0 if self.has(Self::FIN) => "has said all".to_owned(),
            0 => "acknowledges".to_owned(),
            len if self.has(Self::FIN) => format!("{len} bytes, and has said all"),
            len => format!("{len} bytes"),
        };
        format!("{} {what}", flags.join(" "))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A segment that was not captured.
    pub(in crate::dissect) fn segment(from_client: bool, seq: u32, payload: &[u8]) -> Segment {
        Segment {
            source: ([127, 0, 0, 1], 1),
            target: ([127, 0, 0, 1], 2),
            seq,
            flags: 0,
            payload: payload.to_vec(),
            tcp_header_len: 20,
            ip_header_len: 20,
            link_header_len: 14,
            frame_len: 54 + payload.len(),
            from_client,
        }
    }
}
