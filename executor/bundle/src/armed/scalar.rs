//! `S = r + k * s` modulo the group order, for a secret `s` that never changes.
//!
//! `k` is a 512-bit hash. With `T_i = s * 2^(64 i)` at hand, `S` is `r` plus eight products of one word of `k`
//! with one `T_i`, a number of 320 bits, and a single reduction: `k` itself is never reduced. Straight-line
//! code on words: no branch, no index and no division depends on a secret. The instructions a compiler makes
//! of it are inspected per compiler version (`ARCHITECTURE.md`, armed nonces).

use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroize;

/// A scalar, little-endian limbs.
pub(super) type Limbs = [u64; 4];

/// The group order is `L = 2^252 + ORDER_LOW`. Source: RFC 8032 section 5.1.
const ORDER_LOW: [u64; 2] = [0x5812_631a_5cf5_d3ed, 0x14de_f9de_a2f7_9cd6];
const ORDER: Limbs = [ORDER_LOW[0], ORDER_LOW[1], 0, 1 << 60];

/// The secret's multiples by powers of 2^64, each below the order.
pub(super) struct FixedSecret {
    multiples: [Limbs; 8],
}

impl Zeroize for FixedSecret {
    fn zeroize(&mut self) {
        self.multiples.zeroize();
    }
}

impl FixedSecret {
    /// No secret: filled where it is to stay.
    pub(super) const EMPTY: Self = Self {
        multiples: [[0; 4]; 8],
    };

    /// Slow, at start.
    pub(super) fn fill(&mut self, secret: &Scalar) {
        let word = Scalar::from(1u128 << 64);
        let mut multiple = *secret;
        for limbs in &mut self.multiples {
            *limbs = limbs_of(&multiple);
            multiple *= word;
        }
        multiple.zeroize();
    }

    /// `r + k * s` modulo the order, reduced; `r` is below the order.
    #[inline(never)]
    pub(super) fn respond(&self, r: &Limbs, k: &[u64; 8]) -> Limbs {
        let mut sum = [r[0], r[1], r[2], r[3], 0];
        for (word, multiple) in k.iter().zip(&self.multiples) {
            let mut carry = 0;
            for at in 0..4 {
                (sum[at], carry) = multiple[at].carrying_mul_add(*word, sum[at], carry);
            }
            // The sum stays below L + 8 * 2^64 * L, less than 2^320.
            sum[4] = sum[4].wrapping_add(carry);
        }
        reduce(&sum)
    }
}

/// A number below 2^320 modulo the order: what stands above bit 252 is worth `-ORDER_LOW` per unit.
#[inline(always)]
fn reduce(value: &[u64; 5]) -> Limbs {
    let above = [value[3] >> 60 | value[4] << 4, value[4] >> 60];
    let [c0, c1] = ORDER_LOW;
    let (p0, carry) = above[0].carrying_mul(c0, 0);
    let (p1, p2) = above[0].carrying_mul(c1, carry);
    let (p1, carry) = above[1].carrying_mul_add(c0, p1, 0);
    let (p2, p3) = above[1].carrying_mul_add(c1, p2, carry);
    let (d0, borrow) = value[0].overflowing_sub(p0);
    let (d1, borrow) = value[1].borrowing_sub(p1, borrow);
    let (d2, borrow) = value[2].borrowing_sub(p2, borrow);
    let (d3, borrow) = (value[3] & (u64::MAX >> 4)).borrowing_sub(p3, borrow);
    // The product is below 2^193: a negative difference becomes a number below the order by adding it once.
    let mask = u64::from(borrow).wrapping_neg();
    let (r0, carry) = d0.overflowing_add(ORDER[0] & mask);
    let (r1, carry) = d1.carrying_add(ORDER[1] & mask, carry);
    let (r2, carry) = d2.carrying_add(ORDER[2] & mask, carry);
    let (r3, _) = d3.carrying_add(ORDER[3] & mask, carry);
    [r0, r1, r2, r3]
}

pub(super) fn limbs_of(scalar: &Scalar) -> Limbs {
    let (words, _) = scalar.as_bytes().as_chunks::<8>();
    core::array::from_fn(|at| u64::from_le_bytes(words[at]))
}

pub(super) fn to_bytes(limbs: Limbs) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(limbs) {
        *chunk = limb.to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expected(secret: &Scalar, r: &Scalar, k: &[u64; 8]) -> [u8; 32] {
        let mut wide = [0; 64];
        for (chunk, word) in wide.as_chunks_mut::<8>().0.iter_mut().zip(k) {
            *chunk = word.to_le_bytes();
        }
        (r + Scalar::from_bytes_mod_order_wide(&wide) * secret).to_bytes()
    }

    fn check(secret: &Scalar, r: &Scalar, k: &[u64; 8]) {
        let mut fixed = FixedSecret::EMPTY;
        fixed.fill(secret);
        let got = fixed.respond(&limbs_of(r), k);
        assert_eq!(to_bytes(got), expected(secret, r, k), "{k:x?}");
    }

    /// Goal: the largest sums, and those that end just below and just above a multiple of the order.
    #[test]
    fn extremes_are_reduced() {
        let minus_one = -Scalar::ONE;
        let scalars = [
            Scalar::ZERO,
            Scalar::ONE,
            minus_one,
            minus_one - Scalar::ONE,
        ];
        let order = [ORDER[0], ORDER[1], ORDER[2], ORDER[3], 0, 0, 0, 0];
        let mut below = order;
        below[0] -= 1;
        let words = [
            [0; 8],
            [u64::MAX; 8],
            order,
            below,
            [1, 0, 0, 0, 0, 0, 0, u64::MAX],
        ];
        for secret in &scalars {
            for r in &scalars {
                for k in &words {
                    check(secret, r, k);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_response_is_the_reference_scalars(
            secret in any::<[u8; 32]>(),
            r in any::<[u8; 32]>(),
            k in any::<[u64; 8]>(),
        ) {
            let secret = Scalar::from_bytes_mod_order(secret);
            check(&secret, &Scalar::from_bytes_mod_order(r), &k);
        }
    }
}
