//! Encapsulation: what one netdisk message looks like as frame, TLS record, TCP segment, IP packet, on a real capture.

mod pcap;
mod tcp;

use std::io::Write;

pub use pcap::{Packet, read_pcap};
pub use tcp::{Segment, parse_segment};

use crate::view::{Direction, Event, Kind, Recording};
use crate::{LabError, Paint};

/// A capture of the client's own: `netdisk login`, `mkdir` over TLS, made as `docs/lab/captures/README.md` says.
pub const RECORDED_CAPTURE: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lab/captures/tls.pcap"));
/// What the client traced meanwhile.
pub const RECORDED_TRACE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lab/captures/tls.trace"));

/// What TLS 1.3 adds to a record: a header in front (RFC 8446, 5.1), and inside the encrypted part the real content
/// type and the tag of the cipher (5.2).
const RECORD_HEADER_LEN: usize = 5;
const RECORD_KIND_LEN: usize = 1;
const RECORD_TAG_LEN: usize = 16;
/// The content type of everything that is encrypted.
const APPLICATION_DATA: u8 = 23;

/// Length of a frame's header.
const HEADER_LEN: usize = 4;

/// A TLS record, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    kind: u8,
    len: usize,
    /// The segment in which its header begins.
    segment: usize,
}

/// Shows a capture of one connection over TLS beside the client's trace of it.
///
/// # Errors
/// When `out` fails, the capture has no such connection, or capture and trace do not belong together.
pub fn show(capture: &[u8], trace: &Recording, paint: Paint, out: &mut dyn Write) -> Result<(), LabError> {
    let packets = read_pcap(capture)?;
    let segments: Vec<Segment> = packets.iter().filter_map(|packet| parse_segment(packet)).collect();
    let segments = first_connection(&segments)?;
    writeln!(out, "{}", paint.heading("the packets"))?;
    for (number, segment) in segments.iter().enumerate() {
        let records: Vec<String> = records(&segments, segment.from_client)
            .iter()
            .filter(|record| record.segment == number)
            .map(in_words)
            .collect();
        let line = format!("{:>3}  {}  {:<30} {}", number + 1, arrow(segment), segment.in_words(), records.join(", "));
        writeln!(out, "{}", line.trim_end())?;
    }
    let (text, payload_len, place) = find_message(&segments, trace)?;
    let segment = &segments[place];
    writeln!(out, "\n{}", paint.heading(&format!("one message in packet {}", place + 1)))?;
    let framed = HEADER_LEN + payload_len;
    let record = RECORD_HEADER_LEN + framed + RECORD_KIND_LEN + RECORD_TAG_LEN;
    let len = u32::try_from(payload_len).unwrap_or_default().to_be_bytes();
    let layers = [
        ("message", payload_len, text),
        (
            "frame",
            framed,
            format!("{HEADER_LEN} of length ({:02x} {:02x} {:02x} {:02x})", len[0], len[1], len[2], len[3]),
        ),
        (
            "TLS record",
            record,
            format!(
                "{RECORD_HEADER_LEN} of header, {RECORD_KIND_LEN} of kind, {RECORD_TAG_LEN} of tag; the frame is encrypted"
            ),
        ),
        (
            "TCP segment",
            record + segment.tcp_header_len,
            format!("{} of header: {}", segment.tcp_header_len, segment.in_words()),
        ),
        (
            "IP packet",
            record + segment.tcp_header_len + segment.ip_header_len,
            format!("{} of header", segment.ip_header_len),
        ),
        (
            "Ethernet",
            segment.frame_len,
            format!("{} of header; on loopback all its addresses are zero", segment.link_header_len),
        ),
    ];
    let mut inner = 0;
    for (name, len, what) in layers {
        writeln!(out, "  {name:<12} {len:>5} bytes  +{:<4} {what}", len - inner)?;
        inner = len;
    }
    Ok(())
}

fn arrow(segment: &Segment) -> &'static str {
    if segment.from_client { "->" } else { "<-" }
}

fn in_words(record: &Record) -> String {
    let kind = match record.kind {
        20 => "change cipher spec",
        21 => "alert",
        22 => "handshake, in the clear",
        APPLICATION_DATA => "encrypted",
        _ => "no TLS",
    };
    format!("TLS {kind} ({})", record.len)
}

/// The segments of the connection whose SYN comes first.
fn first_connection(segments: &[Segment]) -> Result<Vec<Segment>, LabError> {
    let opening = segments.iter().find(|segment| segment.is_opening());
    let opening = opening.ok_or_else(|| LabError::Failed("the capture has no beginning of a connection".to_owned()))?;
    let (client, server) = (opening.source, opening.target);
    let ours = segments.iter().filter(|segment| {
        (segment.source, segment.target) == (client, server) || (segment.source, segment.target) == (server, client)
    });
    Ok(ours.map(|segment| Segment { from_client: segment.source == client, ..segment.clone() }).collect())
}

/// The TLS records of one direction: cut by their lengths, like any frames.
fn records(segments: &[Segment], from_client: bool) -> Vec<Record> {
    let mut stream: Vec<(u8, usize)> = Vec::new();
    let mut next_seq = None;
    for (number, segment) in segments.iter().enumerate() {
        // Whatever was sent twice is looked at once.
        let is_new = next_seq.is_none_or(|next| next == segment.seq);
        if segment.from_client == from_client && !segment.payload.is_empty() && is_new {
            stream.extend(segment.payload.iter().map(|byte| (*byte, number)));
            next_seq = Some(segment.seq.wrapping_add(u32::try_from(segment.payload.len()).unwrap_or_default()));
        }
    }
    let mut records = Vec::new();
    let mut rest = &stream[..];
    while rest.len() >= RECORD_HEADER_LEN {
        let len = usize::from(u16::from_be_bytes([rest[3].0, rest[4].0]));
        records.push(Record { kind: rest[0].0, len, segment: rest[0].1 });
        rest = rest.get(RECORD_HEADER_LEN + len..).unwrap_or_default();
    }
    records
}

/// The last message that the client sent: its text, its length, and the segment that carries it.
///
/// TLS hides what is in a record and not how long it is: each of the client's writes must be found as a record of just
/// that length, in order.
fn find_message(segments: &[Segment], trace: &Recording) -> Result<(String, usize, usize), LabError> {
    let strange = |why: &str| LabError::Failed(format!("trace and capture do not belong together: {why}"));
    let encrypted: Vec<Record> =
        records(segments, true).into_iter().filter(|record| record.kind == APPLICATION_DATA).collect();
    // The first encrypted record of a client is the end of the TLS handshake; and `close_notify` comes behind the last.
    let mut places = encrypted.iter().skip(1);
    let (mut message, mut found) = (None, None);
    for event in &trace.events {
        match event {
            Event::Frame { way: Direction::Sent, kind: Kind::Message, len, text, .. } => message = Some((text, *len)),
            Event::Written { way: Direction::Sent, len, .. } => {
                let record = places.next().ok_or_else(|| strange("the capture ends before the trace"))?;
                if record.len != len + RECORD_KIND_LEN + RECORD_TAG_LEN {
                    return Err(strange(&format!("a write of {len} bytes in a record of {}", record.len)));
                }
                if let Some((text, payload_len)) = message.take().filter(|(_, payload)| HEADER_LEN + payload == *len) {
                    found = Some((text.clone(), payload_len, record.segment));
                }
            }
            _ => {}
        }
    }
    found.ok_or_else(|| strange("no message was sent alone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Recording {
        Recording::load(RECORDED_TRACE.as_bytes()).expect("the recorded trace")
    }

    #[test]
    fn the_recorded_capture_shows_every_layer() {
        let mut out = Vec::new();
        show(RECORDED_CAPTURE, &trace(), Paint::Plain, &mut out).expect("shown");
        let text = String::from_utf8(out).expect("UTF-8");
        for part in ["SYN", "SYN ACK", "FIN", "handshake, in the clear", "message", "TLS record", "IP packet", "+14"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_trace_of_another_session_is_found_out() {
        let mut other = trace();
        for event in &mut other.events {
            if let Event::Written { len, .. } = event {
                *len += 1;
            }
        }
        let shown = show(RECORDED_CAPTURE, &other, Paint::Plain, &mut Vec::new());
        assert!(shown.is_err_and(|error| error.to_string().contains("do not belong together")));
    }

    #[test]
    fn a_capture_cut_anywhere_never_panics() {
        for len in 0..RECORDED_CAPTURE.len() {
            // Whether it is enough to be shown depends on where it was cut.
            drop(show(&RECORDED_CAPTURE[..len], &trace(), Paint::Plain, &mut Vec::new()));
        }
    }
}
