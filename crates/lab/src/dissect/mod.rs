//! Encapsulation: what one netdisk message looks like as frame, TLS record, TCP segment, IP packet, on a real capture.

mod pcap;
mod records;
mod tcp;

use std::io::Write;

pub use pcap::{Packet, read_pcap};
pub use tcp::{Segment, parse_segment};

use records::{APPLICATION_DATA, HEADER_LEN as RECORD_HEADER_LEN, Record, records};

use crate::paint::harmless;
use crate::view::{Direction, Event, Kind, Recording};
use crate::{LabError, Paint};

/// A capture of the client's own: `netdisk mkdir docs` over TLS, made as `docs/lab/captures/README.md` says.
pub const RECORDED_CAPTURE: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lab/captures/tls.pcap"));
/// What the client traced meanwhile.
pub const RECORDED_TRACE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lab/captures/tls.trace"));

/// What TLS 1.3 adds inside the encrypted part (RFC 8446, 5.2): the real content type, and the tag of the cipher.
const RECORD_KIND_LEN: usize = 1;
const RECORD_TAG_LEN: usize = 16;
/// Length of a frame's header.
const HEADER_LEN: usize = 4;

/// Shows a capture of one connection over TLS beside the client's trace of it.
///
/// # Errors
/// When `out` fails, the capture has no such connection, or capture and trace do not belong together.
pub fn show(capture: &[u8], trace: &Recording, paint: Paint, out: &mut dyn Write) -> Result<(), LabError> {
    let packets = read_pcap(capture)?;
    let segments: Vec<Segment> = packets.iter().filter_map(|packet| parse_segment(packet)).collect();
    let segments = first_connection(&segments)?;
    writeln!(out, "{}", paint.heading("the packets"))?;
    let (sent, received) = (records(&segments, true), records(&segments, false));
    let mut carried = vec![Vec::new(); segments.len()];
    for record in sent.iter().chain(&received) {
        carried[record.segment].push(record.in_words());
    }
    for (number, (segment, records)) in (1..).zip(segments.iter().zip(&carried)) {
        // Several records in a segment stand below each other.
        let records = records.join(&format!("\n{:38}", ""));
        let line = format!("{number:>3}  {}  {:<30} {records}", arrow(segment), segment.in_words());
        writeln!(out, "{}", line.trim_end())?;
    }
    let (text, payload_len, place) = find_message(&segments, &sent, trace)?;
    writeln!(out, "\n{}", paint.heading(&format!("one message in packet {}", place + 1)))?;
    show_layers(&harmless(text), payload_len, &segments[place], out)
}

/// What each layer puts around a message that travels alone in its segment.
fn show_layers(text: &str, payload_len: usize, segment: &Segment, out: &mut dyn Write) -> Result<(), LabError> {
    let framed = HEADER_LEN + payload_len;
    let record = RECORD_HEADER_LEN + framed + RECORD_KIND_LEN + RECORD_TAG_LEN;
    let len = u32::try_from(payload_len).unwrap_or_default().to_be_bytes();
    let layers = [
        ("message", payload_len, text.to_owned()),
        (
            "frame",
            framed,
            format!("{HEADER_LEN} of length ({:02x} {:02x} {:02x} {:02x})", len[0], len[1], len[2], len[3]),
        ),
        (
            "TLS record",
            record,
            format!("{RECORD_HEADER_LEN} of header, {RECORD_KIND_LEN} of kind, {RECORD_TAG_LEN} of tag; encrypted"),
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
            format!("{} of header; addresses all zero on loopback", segment.link_header_len),
        ),
    ];
    let mut inner = 0;
    for (name, len, what) in layers {
        writeln!(out, "  {name:<12} {len:>5} bytes  +{:<4} {what}", len.saturating_sub(inner))?;
        inner = len;
    }
    Ok(())
}

fn arrow(segment: &Segment) -> &'static str {
    if segment.from_client { "->" } else { "<-" }
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

/// Whether all was said: both ends have told so, or one has broken off.
pub fn is_over(segments: &[Segment]) -> bool {
    segments.iter().any(Segment::is_reset) || segments.iter().filter(|segment| segment.is_end()).count() >= 2
}

/// The last message that the client sent alone: its text, its length, and the segment that carries it and nothing else.
///
/// TLS hides what is in a record and not how long it is: each of the client's writes must be found as a record of just
/// that length, in order.
fn find_message<'a>(
    segments: &[Segment],
    sent: &[Record],
    trace: &'a Recording,
) -> Result<(&'a str, usize, usize), LabError> {
    let strange = |why: &str| LabError::Failed(format!("trace and capture do not belong together: {why}"));
    // The first encrypted record of a client is the end of the TLS handshake; and `close_notify` comes behind the last.
    let mut places = sent.iter().filter(|record| record.kind == APPLICATION_DATA).skip(1);
    let (mut message, mut found) = (None, None);
    for event in &trace.events {
        match event {
            Event::Frame { way: Direction::Sent, kind: Kind::Message, len, text, .. } => message = Some((text, *len)),
            Event::Written { way: Direction::Sent, len, .. } => {
                let record = places.next().ok_or_else(|| strange("the capture ends before the trace"))?;
                if record.len.checked_sub(RECORD_KIND_LEN + RECORD_TAG_LEN) != Some(*len) {
                    return Err(strange(&format!("a write of {len} bytes in a record of {}", record.len)));
                }
                let is_alone = segments[record.segment].payload.len() == RECORD_HEADER_LEN + record.len;
                let fits = |payload: usize| payload.checked_add(HEADER_LEN) == Some(*len);
                if let Some((text, payload_len)) = message.take().filter(|(_, payload)| is_alone && fits(*payload)) {
                    found = Some((text.as_str(), payload_len, record.segment));
                }
            }
            _ => {}
        }
    }
    found.ok_or_else(|| strange("no message was sent alone"))
}

#[cfg(test)]
mod tests {
    use super::tcp::tests::segment;
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

    #[test]
    fn a_capture_that_lies_never_panics() {
        // Every byte in turn, of the headers that say how long something is and of what they are around.
        for at in 0..RECORDED_CAPTURE.len() {
            let mut capture = RECORDED_CAPTURE.to_vec();
            capture[at] ^= 0xff;
            // Whether enough is left to be shown depends on the byte.
            drop(show(&capture, &trace(), Paint::Plain, &mut Vec::new()));
        }
        for len in [0, 1, usize::MAX - 3, usize::MAX] {
            let mut lying = trace();
            for event in &mut lying.events {
                match event {
                    Event::Written { len: said, .. } | Event::Read { len: said, .. } => *said = len,
                    Event::Frame { len: said, .. } => *said = len.saturating_sub(HEADER_LEN),
                }
            }
            assert!(show(RECORDED_CAPTURE, &lying, Paint::Plain, &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn a_message_that_shares_its_segment_is_not_taken_for_one_that_travels_alone() {
        let record = |len: u8| [&[APPLICATION_DATA, 3, 3, 0, len][..], &vec![9; usize::from(len)]].concat();
        // The end of the handshake; then two writes of 10 and 12 bytes.
        let (shake, one, two) = (record(40), record(27), record(29));
        let together = [segment(true, 0, &shake), segment(true, 45, &[one.clone(), two.clone()].concat())];
        let apart = [segment(true, 0, &shake), segment(true, 45, &one), segment(true, 77, &two)];
        let way = Direction::Sent;
        let frame = |len, text: &str| Event::Frame { us: 0, way, kind: Kind::Message, len, text: text.to_owned() };
        let written = |len| Event::Written { us: 0, way, len };
        let trace = Recording { events: vec![frame(6, "one"), written(10), frame(8, "two"), written(12)] };
        assert!(find_message(&together, &records(&together, true), &trace).is_err());
        assert_eq!(find_message(&apart, &records(&apart, true), &trace).expect("alone"), ("two", 8, 2));
    }

    #[test]
    fn a_session_is_over_when_both_have_said_so_or_one_has_broken_off() {
        let flagged = |flags| Segment { flags, ..segment(true, 0, b"") };
        let (ack, fin, rst) = (flagged(16), flagged(17), flagged(4));
        assert!(!is_over(&[ack.clone(), fin.clone()]));
        assert!(is_over(&[fin.clone(), fin.clone()]) && is_over(&[ack, fin, rst]));
    }
}
