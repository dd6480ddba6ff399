//! TLS records in a stream of segments: framing, once more.

use super::tcp::Segment;

/// Length of a record's header (RFC 8446, 5.1).
pub(super) const HEADER_LEN: usize = 5;
/// The content type of everything that is encrypted.
pub(super) const APPLICATION_DATA: u8 = 23;

/// A TLS record, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: u8,
    pub(super) len: usize,
    /// The segment in which its header begins.
    pub(super) segment: usize,
}

impl Record {
    /// What it holds, as far as that is in the clear, and how much.
    pub(super) fn in_words(&self) -> String {
        let kind = match self.kind {
            20 => "change cipher spec",
            21 => "alert",
            22 => "handshake, in the clear",
            APPLICATION_DATA => "encrypted",
            _ => "no TLS",
        };
        format!("TLS {kind} ({})", self.len)
    }
}

/// The TLS records of one direction: cut by their lengths, like any frames.
pub(super) fn records(segments: &[Segment], from_client: bool) -> Vec<Record> {
    let mut records = Vec::new();
    let (mut header, mut begun, mut body_left) = (Vec::with_capacity(HEADER_LEN), 0, 0);
    let mut next_seq = None;
    for (number, segment) in segments.iter().enumerate() {
        // Whatever was sent twice is looked at once.
        let is_new = next_seq.is_none_or(|next| next == segment.seq);
        if segment.from_client != from_client || segment.payload.is_empty() || !is_new {
            continue;
        }
        next_seq = Some(segment.seq.wrapping_add(u32::try_from(segment.payload.len()).unwrap_or_default()));
        let mut rest = &segment.payload[..];
        while !rest.is_empty() {
            if header.is_empty() {
                begun = number;
            }
            if header.len() < HEADER_LEN {
                let (part, behind) = rest.split_at((HEADER_LEN - header.len()).min(rest.len()));
                header.extend_from_slice(part);
                rest = behind;
                if header.len() < HEADER_LEN {
                    break;
                }
                body_left = usize::from(u16::from_be_bytes([header[3], header[4]]));
                records.push(Record { kind: header[0], len: body_left, segment: begun });
            }
            let (part, behind) = rest.split_at(body_left.min(rest.len()));
            body_left -= part.len();
            rest = behind;
            if body_left == 0 {
                header.clear();
            }
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect::tcp::tests::segment;

    #[test]
    fn records_are_cut_wherever_the_segments_are() {
        let stream = [&[22, 3, 3, 0, 2, 9, 9][..], &[23, 3, 3, 0, 0], &[23, 3, 3, 0, 1, 9], &[21, 3]].concat();
        for cut in 0..=stream.len() {
            let (first, second) = stream.split_at(cut);
            let seq = u32::try_from(cut).expect("short");
            // The first one is sent twice, and the other direction says something in between.
            let sent = [
                segment(true, 0, first),
                segment(false, 7, b"xyz"),
                segment(true, 0, first),
                segment(true, seq, second),
            ];
            let found: Vec<_> = records(&sent, true).iter().map(|record| (record.kind, record.len)).collect();
            assert_eq!(found, [(22, 2), (23, 0), (23, 1)], "cut at {cut}");
        }
    }
}
