//! Where the choices come from.

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough to choose mutations.
pub struct Dice(u64);

impl Dice {
    /// Each case has its own, so that any can be repeated alone.
    pub(super) const fn of_case(seed: u64, case: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ case.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True in `percent` of a hundred cases.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Changes `bytes` in up to eight ways that parsers dislike.
    pub(super) fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(9) {
            let at = self.below(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => {
                    let len = self.below(64);
                    bytes.extend((0..len).map(|_| 0));
                }
                2 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                3 if !bytes.is_empty() => bytes[at] = self.next() as u8,
                4 if !bytes.is_empty() => bytes[at] = *self.pick(&[0, 1, 0x7f, 0x80, 0x81, 0xff]),
                5 if !bytes.is_empty() => {
                    let end = (at + self.below(16)).min(bytes.len());
                    bytes[at..end].fill(0xff);
                }
                6 if !bytes.is_empty() => {
                    let end = (at + self.below(200)).min(bytes.len());
                    bytes.drain(at..end);
                }
                7 if !bytes.is_empty() => {
                    let end = (at + self.below(200)).min(bytes.len());
                    let copied = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, copied);
                }
                _ => {}
            }
        }
    }
}
