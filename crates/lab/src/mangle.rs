//! What a bad network, or a bad peer, does to a byte stream: split, merge, drip, stall, reset, lie, flip.
//!
//! No socket is in here: bytes go in, [`Act`]s come out, and the same seed gives the same acts.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

use crate::Random;
use crate::limits::MERGE_LEN_MAX;

/// One thing that is done to a stream. In text: `split=7`, `merge=4096`, `drip`, `drip=5ms`, `stall=1000,2s`,
/// `reset=1000`, `lie=3,4294967295`, `flip=100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// Passes bytes on in random pieces of at most `len_max`. As any network may.
    Split {
        /// Longest piece in bytes.
        len_max: usize,
    },
    /// Holds bytes back until `len_min`, at most 1 MiB, are there or the sender pauses. As any network may.
    Merge {
        /// How many bytes are waited for.
        len_min: usize,
    },
    /// Passes on one byte at a time, with a pause before each. As any network may.
    Drip {
        /// The pause.
        pause: Duration,
    },
    /// Behind `after` bytes, pauses once. As any network may.
    Stall {
        /// How many bytes go first.
        after: u64,
        /// How long.
        pause: Duration,
    },
    /// Behind `after` bytes, resets both connections. As any network may.
    Reset {
        /// How many bytes go first.
        after: u64,
    },
    /// Makes the header of one frame announce another length. Only a broken or hostile peer does so.
    Lie {
        /// Which frame, counted from 1.
        frame: u64,
        /// What it announces.
        len: u32,
    },
    /// Flips the lowest bit of one byte. TCP's checksum lets one in some ten thousand damaged segments through.
    Flip {
        /// Which byte, counted from 0.
        at: u64,
    },
}

/// Why a text is no [`Mischief`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is none of split=BYTES, merge=BYTES, drip[=TIME], stall=BYTES,TIME, reset=BYTES, lie=FRAME,LENGTH, flip=BYTE"
)]
pub struct MischiefError(String);

impl FromStr for Mischief {
    type Err = MischiefError;

    fn from_str(text: &str) -> Result<Self, MischiefError> {
        let (name, values) = text.split_once('=').unwrap_or((text, ""));
        let (first, second) = values.split_once(',').unwrap_or((values, ""));
        let at_least_one = |text: &str| text.parse().ok().filter(|number: &usize| *number > 0);
        let parsed = match (name, first.is_empty(), second.is_empty()) {
            ("split", _, true) => at_least_one(first).map(|len_max| Self::Split { len_max }),
            ("merge", _, true) => {
                at_least_one(first).filter(|len| *len <= MERGE_LEN_MAX).map(|len_min| Self::Merge { len_min })
            }
            ("drip", true, true) => Some(Self::Drip { pause: Duration::ZERO }),
            ("drip", _, true) => time(first).map(|pause| Self::Drip { pause }),
            ("stall", _, _) => first.parse().ok().zip(time(second)).map(|(after, pause)| Self::Stall { after, pause }),
            ("reset", _, true) => first.parse().ok().map(|after| Self::Reset { after }),
            ("lie", _, _) => match (first.parse(), second.parse()) {
                (Ok(frame), Ok(len)) if frame > 0 => Some(Self::Lie { frame, len }),
                _ => None,
            },
            ("flip", _, true) => first.parse().ok().map(|at| Self::Flip { at }),
            _ => None,
        };
        parsed.ok_or_else(|| MischiefError(text.to_owned()))
    }
}

/// `5ms` or `2s`.
fn time(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}

/// What is to be done next with a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Pass these bytes on, in a call of their own.
    Send(Vec<u8>),
    /// Wait.
    Pause(Duration),
    /// Reset both connections; nothing comes behind it.
    Reset,
}

/// Does mischief to one direction of one connection.
#[derive(Debug)]
pub struct Mangler {
    mischief: Vec<Mischief>,
    random: Random,
    /// Bytes that went through so far.
    offset: u64,
    frames: FrameCounter,
}

impl Mangler {
    /// Does all of `mischief` to one stream.
    pub fn new(mischief: &[Mischief], seed: u64) -> Self {
        let frames = FrameCounter::default();
        Self { mischief: mischief.to_vec(), random: Random::new(seed), offset: 0, frames }
    }

    /// How many bytes to wait for before the next call of [`Mangler::mangle`], if there are so many.
    pub fn wanted_len(&self) -> usize {
        let merges = self.mischief.iter().filter_map(|mischief| match mischief {
            Mischief::Merge { len_min } => Some(*len_min),
            _ => None,
        });
        merges.max().unwrap_or(1)
    }

    /// Says what to do with the next bytes of the stream.
    pub fn mangle(&mut self, mut bytes: Vec<u8>) -> Vec<Act> {
        self.damage(&mut bytes);
        let mut acts = Vec::new();
        let mut left = VecDeque::from(bytes);
        while !left.is_empty() {
            acts.extend(self.event_here());
            if acts.last() == Some(&Act::Reset) {
                break;
            }
            let len = self.piece_len(left.len());
            if let Some(pause) = self.drip() {
                acts.push(Act::Pause(pause));
            }
            acts.push(Act::Send(left.drain(..len).collect()));
            self.offset += len as u64;
        }
        acts
    }

    /// Changes bytes: lies and flips.
    fn damage(&mut self, bytes: &mut [u8]) {
        for (offset, byte) in (self.offset..).zip(bytes) {
            let place = self.frames.step(*byte);
            for mischief in &self.mischief {
                match (*mischief, place) {
                    (Mischief::Lie { frame, len }, Some((number, at))) if number == frame => {
                        *byte = len.to_be_bytes()[at];
                    }
                    (Mischief::Flip { at }, _) if at == offset => *byte ^= 1,
                    _ => {}
                }
            }
        }
    }

    /// A stall or a reset that is due at this offset.
    fn event_here(&mut self) -> Option<Act> {
        let offset = self.offset;
        let due = self.mischief.iter().position(|mischief| match mischief {
            Mischief::Stall { after, .. } | Mischief::Reset { after } => *after <= offset,
            _ => false,
        })?;
        match self.mischief.remove(due) {
            Mischief::Stall { pause, .. } => Some(Act::Pause(pause)),
            _ => Some(Act::Reset),
        }
    }

    /// The length of the next piece, up to the next stall or reset.
    fn piece_len(&mut self, left: usize) -> usize {
        let mut len = left;
        for mischief in &self.mischief {
            len = match mischief {
                Mischief::Split { len_max } => len.min(self.random.between(1, *len_max)),
                Mischief::Drip { .. } => 1,
                Mischief::Stall { after, .. } | Mischief::Reset { after } => {
                    len.min(usize::try_from(*after - self.offset).unwrap_or(usize::MAX))
                }
                _ => len,
            };
        }
        len
    }

    fn drip(&self) -> Option<Duration> {
        self.mischief.iter().find_map(|mischief| match mischief {
            Mischief::Drip { pause } if !pause.is_zero() => Some(*pause),
            _ => None,
        })
    }
}

/// Knows which bytes of a stream are headers of frames.
#[derive(Debug, Default)]
struct FrameCounter {
    number: u64,
    header: Vec<u8>,
    payload_left: u32,
}

impl FrameCounter {
    /// Takes the next byte; gives the number of its frame, from 1, and its place, if it is part of a header.
    fn step(&mut self, byte: u8) -> Option<(u64, usize)> {
        if self.payload_left > 0 {
            self.payload_left -= 1;
            return None;
        }
        let place = (self.number + 1, self.header.len());
        self.header.push(byte);
        if let Ok(header) = <[u8; 4]>::try_from(self.header.as_slice()) {
            self.payload_left = u32::from_be_bytes(header);
            self.header.clear();
            self.number += 1;
        }
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mangle(texts: &[&str], seed: u64, chunks: &[&[u8]]) -> Vec<Act> {
        let mischief: Vec<Mischief> = texts.iter().map(|text| text.parse().expect(text)).collect();
        let mut mangler = Mangler::new(&mischief, seed);
        chunks.iter().flat_map(|chunk| mangler.mangle(chunk.to_vec())).collect()
    }

    fn sent(acts: &[Act]) -> Vec<&[u8]> {
        acts.iter().filter_map(|act| if let Act::Send(bytes) = act { Some(&bytes[..]) } else { None }).collect()
    }

    #[test]
    fn what_a_network_may_do_changes_no_byte() {
        let bytes: Vec<u8> = (0..=255).cycle().take(5_000).collect();
        for seed in 0..50 {
            let acts = mangle(&["split=100", "stall=777,1s"], seed, &[&bytes[..1234], &bytes[1234..]]);
            assert_eq!(sent(&acts).concat(), bytes);
            assert!(sent(&acts).iter().all(|piece| piece.len() <= 100));
            let stall = acts.iter().position(|act| *act == Act::Pause(Duration::from_secs(1))).expect("a stall");
            assert_eq!(sent(&acts[..stall]).concat().len(), 777);
            assert_eq!(acts, mangle(&["split=100", "stall=777,1s"], seed, &[&bytes[..1234], &bytes[1234..]]));
        }
        assert_ne!(mangle(&["split=9"], 1, &[&bytes]), mangle(&["split=9"], 2, &[&bytes]));
        assert_eq!(sent(&mangle(&["drip"], 0, &[b"abc"])), [b"a", b"b", b"c"]);
        assert_eq!(mangle(&["drip=5ms"], 0, &[b"a"])[0], Act::Pause(Duration::from_millis(5)));
        assert!("merge=1048576".parse::<Mischief>().is_ok(), "the limit itself");
        assert_eq!(Mangler::new(&["merge=9".parse().expect("a merge")], 0).wanted_len(), 9);
    }

    #[test]
    fn a_reset_comes_where_it_was_asked_for() {
        assert_eq!(mangle(&["reset=4"], 0, &[b"abcdef"]), [Act::Send(b"abcd".to_vec()), Act::Reset]);
        assert_eq!(mangle(&["reset=0"], 0, &[b"abcdef"]), [Act::Reset]);
        // The bytes before it go first; it waits for the next one.
        assert_eq!(mangle(&["reset=6"], 0, &[b"abcdef"]), [Act::Send(b"abcdef".to_vec())]);
    }

    #[test]
    fn a_lie_hits_one_header_wherever_it_is_cut() {
        let stream = [&[0, 0, 0, 2][..], b"ab", &[0, 0, 0, 0], &[0, 0, 0, 1], b"c"].concat();
        for cut in 0..stream.len() {
            let acts = mangle(&["lie=3,4294967295"], 0, &[&stream[..cut], &stream[cut..]]);
            let lied = [&[0, 0, 0, 2][..], b"ab", &[0, 0, 0, 0], &[255; 4], b"c"].concat();
            assert_eq!(sent(&acts).concat(), lied, "{cut}");
            let acts = mangle(&["flip=4"], 0, &[&stream[..cut], &stream[cut..]]);
            assert_eq!(sent(&acts).concat()[4], b'`');
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "split",
            "split=0",
            "split=x",
            "stall=5",
            "stall=5,2",
            "lie=0,1",
            "lie=1,4294967296",
            "flip=-1",
            "x=1",
            "reset=1,2",
            "merge=1048577",
            "merge=18446744073709551615",
        ] {
            assert_eq!(text.parse::<Mischief>(), Err(MischiefError(text.to_owned())));
        }
    }
}
