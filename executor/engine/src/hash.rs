//! A running 64-bit digest of what the engine saw and decided.

/// Order-dependent, allocation-free. Tells runs apart; proves nothing against an adversary, for which the
/// journal's hash chain is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateHash {
    state: u64,
    word_count: u64,
}

/// Odd, with bits well spread; any such constant serves.
const FACTOR: u128 = 0xa076_1d64_78bd_642f_e703_7ed1_a0b4_28db;

impl StateHash {
    pub(crate) const fn new() -> Self {
        Self {
            state: 0x243f_6a88_85a3_08d3,
            word_count: 0,
        }
    }

    /// One word: fold of a 64 by 64 bit product, so that every bit reaches every other.
    #[inline]
    pub(crate) fn word(&mut self, word: u64) {
        self.word_count = self.word_count.wrapping_add(1);
        let product =
            u128::from(self.state ^ word).wrapping_mul(FACTOR) ^ u128::from(self.word_count);
        self.state = (product as u64) ^ ((product >> 64) as u64);
    }

    #[inline]
    pub(crate) fn words<const N: usize>(&mut self, words: [u64; N]) {
        for word in words {
            self.word(word);
        }
    }

    /// Bytes with their number, so that neighbours cannot be shifted into each other.
    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    pub(crate) const fn value(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&[u8]]) -> u64 {
        let mut hash = StateHash::new();
        parts.iter().for_each(|part| hash.bytes(part));
        hash.value()
    }

    #[test]
    fn order_boundaries_and_every_byte_count() {
        let base = of(&[b"abcdefgh12", b"xyz"]);
        assert_eq!(base, of(&[b"abcdefgh12", b"xyz"]));
        assert_ne!(base, of(&[b"xyz", b"abcdefgh12"]));
        assert_ne!(base, of(&[b"abcdefgh1", b"2xyz"]));
        for at in 0..10 {
            let mut changed = *b"abcdefgh12";
            changed[at] ^= 1;
            assert_ne!(base, of(&[&changed, b"xyz"]), "byte {at}");
        }
    }
}
