//! A file in parts that travel apart, each with a digest of its own, and how these make the digest of the whole.
//!
//! BLAKE3 is a tree over chunks of 1,024 bytes. A part of a power of two of them, at a multiple of its length, is a whole
//! subtree; so the digests of the parts, in whatever order they come, can be merged to that of the file, and nothing is
//! read twice (the BLAKE3 paper, 2.1; `blake3::hazmat`).
//!
//! ```text
//!   file      | part 0 | part 1 | part 2 | part 3 | rest |
//!                  \      /          \      /         |
//!                     .                 .             |      merged from the left, as they become contiguous
//!                        \           /                |
//!                              .                      |
//!                                  \                 /
//!                                     digest of all
//! ```

use std::collections::BTreeMap;

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::digest::Digest;

/// Length of a part in bytes; the last one is what is left. Large enough that a request for each costs nothing beside it,
/// small enough that little goes again after a cut.
pub const PART_LEN: u64 = 1024 * 1024;

/// Hashes one part. Its digest is the chaining value of its subtree, not the BLAKE3 hash of its bytes.
#[derive(Debug, Clone)]
pub struct PartHasher(blake3::Hasher);

impl PartHasher {
    /// For part `number`.
    pub fn new(number: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        // What no file has wraps around, and is a beginning of a chunk still.
        hasher.set_input_offset(number.wrapping_mul(PART_LEN));
        Self(hasher)
    }

    /// Takes the next bytes, at most [`PART_LEN`] in all.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// Digest of the part; `None` for one without a byte, which no file has.
    pub fn digest(&self) -> Option<Digest> {
        (self.0.count() > 0).then(|| self.0.finalize_non_root().into())
    }
}

/// Which parts of a file are there, and what they make together. Its size is bounded by how far they are out of order.
#[derive(Debug, Clone)]
pub struct Parts {
    size: u64,
    /// Parts that are there without a gap before them.
    contiguous: u64,
    /// Their subtrees, the largest first, as few as there are ones in the binary number of them.
    subtrees: Vec<ChainingValue>,
    /// Parts behind a gap.
    ahead: BTreeMap<u64, ChainingValue>,
}

impl Parts {
    /// None yet, of a file of `size` bytes; `None` where that is no more than one part: it would be the root of its tree.
    pub fn of(size: u64) -> Option<Self> {
        (size > PART_LEN).then(|| Self { size, contiguous: 0, subtrees: Vec::new(), ahead: BTreeMap::new() })
    }

    /// How many parts the file has.
    pub fn count(&self) -> u64 {
        self.size.div_ceil(PART_LEN)
    }

    /// Where part `number` begins and how long it is; `None` where the file has no such part.
    pub fn place(&self, number: u64) -> Option<(u64, u64)> {
        let offset = number.checked_mul(PART_LEN).filter(|offset| *offset < self.size)?;
        Some((offset, PART_LEN.min(self.size - offset)))
    }

    /// Whether part `number` is there.
    pub fn has(&self, number: u64) -> bool {
        number < self.contiguous || self.ahead.contains_key(&number)
    }

    /// How many parts are there without a gap before them.
    pub fn contiguous(&self) -> u64 {
        self.contiguous
    }

    /// The same in bytes.
    pub fn contiguous_len(&self) -> u64 {
        (self.contiguous * PART_LEN).min(self.size)
    }

    /// Part `number` is there now, with this digest. One that was there already, or that the file does not have, changes
    /// nothing.
    pub fn add(&mut self, number: u64, digest: Digest) {
        if self.has(number) || number >= self.count() {
            return;
        }
        self.ahead.insert(number, *digest.as_bytes());
        while let Some(next) = self.ahead.remove(&self.contiguous) {
            self.push(next);
        }
    }

    /// Puts the next part to the subtrees before it. They are merged only now: the last of them might have been the root.
    fn push(&mut self, part: ChainingValue) {
        while self.subtrees.len() > self.contiguous.count_ones() as usize
            && let (Some(right), Some(left)) = (self.subtrees.pop(), self.subtrees.pop())
        {
            self.subtrees.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
        self.subtrees.push(part);
        self.contiguous += 1;
    }

    /// Digest of the whole file, once all parts are there.
    pub fn digest(&self) -> Option<Digest> {
        if self.contiguous < self.count() {
            return None;
        }
        let (right, left) = self.subtrees.split_last()?;
        let (first, between) = left.split_first()?;
        let right = between.iter().rfold(*right, |right, left| merge_subtrees_non_root(left, &right, Mode::Hash));
        Some(merge_subtrees_root(first, &right, Mode::Hash).into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|at| u8::try_from((at * 7 + at / 251) % 251).expect("below 251")).collect()
    }

    fn digest_of(content: &[u8], number: u64) -> Digest {
        let begin = usize::try_from(number * PART_LEN).expect("short");
        let end = content.len().min(begin + PART_LEN as usize);
        let mut hasher = PartHasher::new(number);
        content[begin..end].chunks(100_000).for_each(|data| hasher.update(data));
        hasher.digest().expect("it has bytes")
    }

    const LEN: usize = PART_LEN as usize;

    /// Two parts and one byte more, a power of two, one less, one more.
    const LENS: [usize; 7] = [LEN + 1, 2 * LEN, 2 * LEN + 1, 4 * LEN - 1, 4 * LEN, 5 * LEN + 1023, 11 * LEN + 1025];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn parts_in_any_order_make_the_digest_of_the_whole(
            len in prop::sample::select(&LENS[..]),
            order in prop::collection::vec(any::<u32>(), 12),
        ) {
            let content = content(len);
            let mut parts = Parts::of(len as u64).expect("more than a part");
            let mut numbers: Vec<u64> = (0..parts.count()).collect();
            numbers.sort_by_key(|number| order[usize::try_from(*number).expect("few")]);
            for number in numbers {
                prop_assert_eq!(parts.digest(), None);
                prop_assert!(!parts.has(number));
                parts.add(number, digest_of(&content, number));
                // Again, with something else: it stays what it was.
                parts.add(number, Digest::of(b"other"));
                prop_assert!(parts.has(number));
            }
            prop_assert_eq!(parts.contiguous_len(), len as u64);
            prop_assert_eq!(parts.digest(), Some(Digest::of(&content)));
        }
    }

    #[test]
    fn another_part_makes_another_digest() {
        let content = content(3 * LEN);
        let mut parts = Parts::of(content.len() as u64).expect("more than a part");
        for number in [0, 2] {
            parts.add(number, digest_of(&content, number));
        }
        // The right bytes in the wrong place.
        parts.add(1, digest_of(&content, 0));
        assert_ne!(parts.digest().expect("all there"), Digest::of(&content));
    }

    #[test]
    fn a_file_of_one_part_is_none_in_parts() {
        for size in [0, 1, PART_LEN] {
            assert!(Parts::of(size).is_none());
        }
        let mut parts = Parts::of(PART_LEN + 1).expect("two parts");
        assert_eq!((parts.place(0), parts.place(1)), (Some((0, PART_LEN)), Some((PART_LEN, 1))));
        for number in [2, 1 << 44, u64::MAX] {
            assert_eq!(parts.place(number), None);
            parts.add(number, Digest::of(b""));
        }
        assert_eq!(parts.contiguous_len(), 0);
        assert_eq!(PartHasher::new(u64::MAX).digest(), None);
    }
}
