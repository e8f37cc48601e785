//! The one source of randomness in the embedded market: a small generator with a seed.

/// xoshiro256** 1.0 (Blackman and Vigna), its state filled by splitmix64.
///
/// The same seed gives the same sequence on every machine. Not for keys that hold value.
#[derive(Debug, Clone)]
pub struct Prng {
    state: [u64; 4],
}

impl Prng {
    /// A generator whose sequence is fixed by `seed`.
    pub fn new(seed: u64) -> Self {
        let mut counter = seed;
        Self {
            state: std::array::from_fn(|_| splitmix64(&mut counter)),
        }
    }

    /// An independent generator for the part of the market called `purpose`, so that drawing more
    /// in one part does not shift the sequence of another.
    pub fn fork(&self, purpose: &str) -> Self {
        let label = purpose
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        Self::new(self.state[0] ^ self.state[2].rotate_left(17) ^ label)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in `0..bound`; 0 when `bound` is 0. The bias is below `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in `low..=high`; `low` when the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True with probability `bps` / 10,000.
    pub fn chance_bps(&mut self, bps: u16) -> bool {
        bps > 0 && self.below(10_000) < u64::from(bps)
    }

    /// An element of `items`.
    ///
    /// # Panics
    /// When `items` is empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }
}

fn splitmix64(counter: &mut u64) -> u64 {
    *counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *counter;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_matches_its_published_first_values() {
        // Vigna, splitmix64.c, seed 1234567.
        let mut counter = 1_234_567;
        assert_eq!(splitmix64(&mut counter), 6_457_827_717_110_365_317);
        assert_eq!(splitmix64(&mut counter), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_seed_fixes_the_sequence_and_forks_differ() {
        let (mut a, mut b) = (Prng::new(7), Prng::new(7));
        assert_eq!([a.next_u64(), a.next_u64()], [b.next_u64(), b.next_u64()]);
        assert_ne!(a.fork("wire").next_u64(), a.fork("votes").next_u64());
        assert_ne!(Prng::new(8).next_u64(), Prng::new(7).next_u64());
    }

    #[test]
    fn chances_come_out_near_their_probability() {
        let mut prng = Prng::new(1);
        let hits = (0..100_000).filter(|_| prng.chance_bps(400)).count();
        assert!((3_700..4_300).contains(&hits), "{hits}");
        assert!((0..1_000).all(|_| (5..=9).contains(&prng.between(5, 9))));
    }
}
