//! Random numbers from a seed: the same seed gives the same cuts on every machine.

/// SplitMix64 (Steele, Lea and Flood, 2014): small enough to be read, good enough to cut a stream. No secret depends on it.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Begins the sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        let span = (high.max(low) - low) as u64;
        // The bias of the remainder is below 2^-32 for every span that is used here.
        low + usize::try_from(self.next_u64() % (span + 1)).unwrap_or(0)
    }

    /// Cuts `len` bytes into pieces of at most `piece_len_max`.
    pub fn cuts(&mut self, len: usize, piece_len_max: usize) -> Vec<usize> {
        let mut left = len;
        let mut pieces = Vec::new();
        while left > 0 {
            let piece = self.between(1, piece_len_max).min(left);
            pieces.push(piece);
            left -= piece;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_published_sequence() {
        // The reference implementation's first outputs for the seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!([random.next_u64(), random.next_u64()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn cuts_lose_nothing() {
        for seed in 0..100 {
            let cuts = Random::new(seed).cuts(2_440, 700);
            assert_eq!(cuts.iter().sum::<usize>(), 2_440);
            assert!(cuts.iter().all(|cut| (1..=700).contains(cut)));
        }
        assert_eq!(Random::new(1).cuts(0, 7), Vec::<usize>::new());
    }
}
