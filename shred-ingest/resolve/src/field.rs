//! Arithmetic in GF(2^8) with polynomial 0x11D, and the Lagrange rows that recover lost data shreds.
//!
//! The erasure code evaluates, byte by byte, the polynomial of degree 31 through the data shreds at points
//! 0..=31; code shred i is its value at point 32 + i. Any 32 shreds therefore give every other one by Lagrange
//! interpolation in closed form, without inverting a matrix.
//!
//! Source: agave `ledger/src/shred/merkle.rs` (`reed-solomon-erasure` `galois_8`, 32:32); checked in this
//! crate's tests against that package.

/// Shreds of a set.
const POINTS: usize = 64;
/// Shreds that determine a set.
const NEEDED: usize = 32;

const LOG: [u8; 256] = TABLES.0;
const EXP: [u8; 512] = TABLES.1;

/// Logarithms, and powers of the generator 2 over two periods so that sums of two need no reduction.
const TABLES: ([u8; 256], [u8; 512]) = {
    let mut log = [0u8; 256];
    let mut exp = [0u8; 512];
    let mut value = 1u16;
    let mut power = 0;
    while power < 255 {
        exp[power] = value as u8;
        exp[power + 255] = value as u8;
        log[value as usize] = power as u8;
        value <<= 1;
        if value & 0x100 != 0 {
            value ^= 0x11d;
        }
        power += 1;
    }
    (log, exp)
};

const fn multiply(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        0
    } else {
        EXP[LOG[a as usize] as usize + LOG[b as usize] as usize]
    }
}

/// The products of one coefficient with all low and all high nibbles: two look-ups and one addition multiply
/// any byte, and a 16-byte shuffle does so for a whole vector.
#[derive(Clone, Copy)]
struct NibbleTable {
    low: [u8; 16],
    high: [u8; 16],
}

static NIBBLES: [NibbleTable; 256] = {
    let mut tables = [NibbleTable {
        low: [0; 16],
        high: [0; 16],
    }; 256];
    let mut coefficient = 0;
    while coefficient < 256 {
        let mut nibble = 0;
        while nibble < 16 {
            tables[coefficient].low[nibble] = multiply(coefficient as u8, nibble as u8);
            tables[coefficient].high[nibble] = multiply(coefficient as u8, (nibble << 4) as u8);
            nibble += 1;
        }
        coefficient += 1;
    }
    tables
};

/// Interpolation from 32 known points. Built once per recovery; cost about a thousand table look-ups.
pub(crate) struct Lagrange {
    points: [u8; NEEDED],
    /// Logarithm of the product, over the other known points, of their differences from this one.
    weight_log: [u16; NEEDED],
}

impl Lagrange {
    /// Takes the lowest 32 points of `known` (bit i: point i): data shreds are preferred over code shreds.
    /// `None` when there are fewer.
    pub(crate) fn new(known: u64) -> Option<Self> {
        if known.count_ones() < NEEDED as u32 {
            return None;
        }
        let mut points = [0; NEEDED];
        let mut chosen = (0..POINTS as u8).filter(|point| known >> point & 1 == 1);
        for point in &mut points {
            *point = chosen.next()?;
        }
        let mut weight_log = [0; NEEDED];
        for (weight, point) in weight_log.iter_mut().zip(points) {
            *weight = difference_log(&points, point);
        }
        Some(Self { points, weight_log })
    }

    /// The known points, in the order of [`Lagrange::row`].
    pub(crate) const fn points(&self) -> &[u8; NEEDED] {
        &self.points
    }

    /// Coefficients that, over the shreds at [`Lagrange::points`], give the shred at `point`, which is none
    /// of them.
    pub(crate) fn row(&self, point: u8) -> [u8; NEEDED] {
        let all = difference_log(&self.points, point);
        let mut row = [0; NEEDED];
        for ((coefficient, known), weight) in row.iter_mut().zip(self.points).zip(self.weight_log) {
            let divisor = u16::from(LOG[usize::from(known ^ point)]) + weight;
            *coefficient = EXP[usize::from((all + 2 * 255 - divisor) % 255)];
        }
        row
    }
}

/// Logarithm, below 255, of the product of the differences between `point` and all other `points`.
fn difference_log(points: &[u8; NEEDED], point: u8) -> u16 {
    let sum: u32 = points
        .iter()
        .filter(|other| **other != point)
        .map(|other| u32::from(LOG[usize::from(other ^ point)]))
        .sum();
    (sum % 255) as u16
}

/// Adds `coefficient * source` to `sum`, byte by byte; both are of one length.
#[inline]
pub(crate) fn add_scaled(sum: &mut [u8], source: &[u8], coefficient: u8) {
    assert_eq!(sum.len(), source.len());
    let table = &NIBBLES[usize::from(coefficient)];
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 is there, as just checked.
        unsafe { x86::add_scaled(sum, source, table) };
        return;
    }
    add_scaled_portable(sum, source, table);
}

fn add_scaled_portable(sum: &mut [u8], source: &[u8], table: &NibbleTable) {
    for (sum, byte) in sum.iter_mut().zip(source) {
        *sum ^= table.low[usize::from(byte & 0xf)] ^ table.high[usize::from(byte >> 4)];
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::NibbleTable;
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_broadcastsi128_si256,
        _mm256_loadu_si256, _mm256_set1_epi8, _mm256_shuffle_epi8, _mm256_srli_epi64,
        _mm256_storeu_si256, _mm256_xor_si256,
    };

    const LANE: usize = 32;

    /// As the portable form, 32 bytes at a time.
    #[target_feature(enable = "avx2")]
    pub(super) fn add_scaled(sum: &mut [u8], source: &[u8], table: &NibbleTable) {
        // SAFETY: both tables are 16 bytes, and unaligned loads are asked for.
        let (low, high) = unsafe {
            (
                _mm_loadu_si128(table.low.as_ptr().cast::<__m128i>()),
                _mm_loadu_si128(table.high.as_ptr().cast::<__m128i>()),
            )
        };
        let low = _mm256_broadcastsi128_si256(low);
        let high = _mm256_broadcastsi128_si256(high);
        let nibble = _mm256_set1_epi8(0xf);
        let mut sums = sum.chunks_exact_mut(LANE);
        let mut sources = source.chunks_exact(LANE);
        for (sum, source) in sums.by_ref().zip(sources.by_ref()) {
            // SAFETY: both chunks are exactly 32 bytes, and unaligned accesses are asked for.
            unsafe {
                let bytes = _mm256_loadu_si256(source.as_ptr().cast::<__m256i>());
                let from_low = _mm256_shuffle_epi8(low, _mm256_and_si256(bytes, nibble));
                let from_high = _mm256_shuffle_epi8(
                    high,
                    _mm256_and_si256(_mm256_srli_epi64::<4>(bytes), nibble),
                );
                let product = _mm256_xor_si256(from_low, from_high);
                let old = _mm256_loadu_si256(sum.as_ptr().cast::<__m256i>());
                _mm256_storeu_si256(
                    sum.as_mut_ptr().cast::<__m256i>(),
                    _mm256_xor_si256(old, product),
                );
            }
        }
        super::add_scaled_portable(sums.into_remainder(), sources.remainder(), table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_on_both_paths() {
        let source: Vec<u8> = (0..=255).chain(0..77).collect();
        for coefficient in 0..=255 {
            let mut vector = vec![0x5a; source.len()];
            let mut portable = vector.clone();
            add_scaled(&mut vector, &source, coefficient);
            add_scaled_portable(&mut portable, &source, &NIBBLES[usize::from(coefficient)]);
            let expected: Vec<u8> = source
                .iter()
                .map(|byte| 0x5a ^ multiply(*byte, coefficient))
                .collect();
            assert_eq!(vector, expected, "coefficient {coefficient}");
            assert_eq!(portable, expected, "coefficient {coefficient}");
        }
    }

    #[test]
    fn thirty_one_points_are_not_enough() {
        assert!(Lagrange::new(u64::from(u32::MAX >> 1)).is_none());
        assert!(Lagrange::new(u64::from(u32::MAX)).is_some());
    }
}
