//! Whether 32 bytes name a point of the ed25519 curve, by a quadratic residue test.
//!
//! A point with ordinate `y` exists when `x^2 = (y^2 - 1) / (d y^2 + 1)` has a root modulo `p = 2^255 - 19`.
//! Finding the root is a power with a 255-bit exponent; knowing that there is one takes the Jacobi symbol of
//! `(y^2 - 1)(d y^2 + 1)` over `p`, since multiplying by the square of the denominator changes no residue. The
//! denominator is never zero: `-1/d` is no square. A symbol of zero is `x = 0`, a point.
//!
//! The symbol is found by a binary greatest common divisor. Rounds of [`ROUND_SHIFT`] halvings run on one
//! word per number, made of its low bits, which are exact, and its high bits, which decide what to subtract;
//! the combination that a round amounts to is then applied to the whole numbers. Every subtraction, swap and
//! halving has its rule for the symbol, which reads only exact bits; a wrong guess from the high bits turns one
//! number negative, which the rules allow for.
//!
//! Inputs are public addresses: the time taken depends on them.
//!
//! Source: the idea of packed approximations is Pornin, "Optimized Binary GCD for Modular Inversion"
//! (ePrint 2020/972); the accepted encodings are those of curve25519-dalek 4.1.3
//! `CompressedEdwardsY::decompress`, which reads `y` modulo `p` whatever its size and takes either sign bit
//! with `x = 0`.

use curve25519_dalek::edwards::CompressedEdwardsY;

/// Little-endian limbs of a number below 2^256.
type Wide = [u64; 4];

/// `p = 2^255 - 19`.
const PRIME: Wide = [
    0xffff_ffff_ffff_ffed,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
    0x7fff_ffff_ffff_ffff,
];
/// `d = -121665/121666 mod p`. Source: RFC 8032 section 5.1.
const CURVE_D: Wide = [
    0x75eb_4dca_1359_78a3,
    0x0070_0a4d_4141_d8ab,
    0x8cc7_4079_7779_e898,
    0x5203_6cee_2b6f_fe73,
];

/// Whether `bytes` decode to a point of the curve; the top bit, the sign of `x`, is not read.
pub(crate) fn is_ordinate(bytes: &[u8; 32]) -> bool {
    let mut y = from_le_bytes(bytes);
    y[3] &= u64::MAX >> 1;
    let square = multiply(&y, &y);
    let numerator = minus_one(square);
    let denominator = plus_one(multiply(&square, &CURVE_D));
    match jacobi(&canonical(multiply(&numerator, &denominator))) {
        Some(symbol) => symbol >= 0,
        None => CompressedEdwardsY(*bytes).decompress().is_some(),
    }
}

fn from_le_bytes(bytes: &[u8; 32]) -> Wide {
    let (words, _) = bytes.as_chunks::<8>();
    core::array::from_fn(|at| u64::from_le_bytes(words[at]))
}

/// `a * b` modulo `p`, below 2^256.
#[inline(always)]
fn multiply(a: &Wide, b: &Wide) -> Wide {
    let mut product = [0u64; 8];
    for i in 0..4 {
        let mut carry = 0;
        for j in 0..4 {
            (product[i + j], carry) = a[i].carrying_mul_add(b[j], product[i + j], carry);
        }
        product[i + 4] = carry;
    }
    // 2^256 = 38 modulo p.
    let mut low = [0u64; 4];
    let mut carry = 0;
    for i in 0..4 {
        (low[i], carry) = product[i + 4].carrying_mul_add(38, product[i], carry);
    }
    fold(low, carry)
}

/// `value + excess * 2^256` modulo `p`, for a small excess.
#[inline(always)]
fn fold(value: Wide, excess: u64) -> Wide {
    let (mut sum, carry) = add(&value, excess * 38);
    // A second carry leaves a sum below 38 * 39: this addition cannot carry again.
    sum[0] += u64::from(carry) * 38;
    sum
}

#[inline(always)]
fn add(value: &Wide, small: u64) -> (Wide, bool) {
    let mut sum = *value;
    let mut carry;
    (sum[0], carry) = sum[0].overflowing_add(small);
    for limb in &mut sum[1..] {
        (*limb, carry) = limb.overflowing_add(u64::from(carry));
    }
    (sum, carry)
}

#[inline(always)]
fn plus_one(value: Wide) -> Wide {
    let (sum, carry) = add(&value, 1);
    fold(sum, u64::from(carry))
}

#[inline(always)]
fn minus_one(value: Wide) -> Wide {
    // `p - 1` added: a number below 2^256 plus one below 2^255 carries at most once.
    let mut sum = value;
    let mut carry = false;
    for (limb, prime) in sum
        .iter_mut()
        .zip([PRIME[0] - 1, PRIME[1], PRIME[2], PRIME[3]])
    {
        (*limb, carry) = limb.carrying_add(prime, carry);
    }
    fold(sum, u64::from(carry))
}

/// The representative below `p` of a number below 2^256, which is below `2p + 38`.
#[inline(always)]
fn canonical(mut value: Wide) -> Wide {
    for _ in 0..2 {
        let mut reduced = value;
        let mut borrow = false;
        for (limb, prime) in reduced.iter_mut().zip(PRIME) {
            (*limb, borrow) = limb.borrowing_sub(prime, borrow);
        }
        if !borrow {
            value = reduced;
        }
    }
    value
}

/// Halvings per round. The low [`LOW_BITS`] of a word are exact at its start, three more than are shifted
/// out, so that residues modulo eight are exact to the end; 33 high bits are two more than the guesses need.
const ROUND_SHIFT: u32 = 28;
const LOW_BITS: u32 = ROUND_SHIFT + 3;
const LOW_MASK: u64 = (1 << LOW_BITS) - 1;
/// Rounds after which any pair of 255-bit numbers is used up: 509 halvings are enough (ePrint 2020/972,
/// section 3), a round is [`ROUND_SHIFT`] of them.
const ROUND_COUNT_MAX: usize = 509usize.div_ceil(ROUND_SHIFT as usize);

/// The Jacobi symbol of `value` over `p`: 1 for a square, -1 for none, 0 for zero. `value` is below `p`.
///
/// `None` when [`ROUND_COUNT_MAX`] rounds were not enough, which no value needs; the bound keeps the time
/// bounded without resting on that proof.
fn jacobi(value: &Wide) -> Option<i32> {
    if *value == [0; 4] {
        return Some(0);
    }
    let mut pair = Pair {
        a: *value,
        b: PRIME,
        flips: 0,
    };
    let mut rounds = ROUND_COUNT_MAX;
    pair.shorten_to_below::<4>(&mut rounds)?;
    pair.shorten_to_below::<3>(&mut rounds)?;
    pair.shorten_to_below::<2>(&mut rounds)?;
    Some(pair.finish())
}

/// The symbol sought is that of `a` over `b`, negated once per flip. `b` is odd; neither is negative.
struct Pair {
    a: Wide,
    b: Wide,
    /// Only the lowest bit counts.
    flips: u64,
}

impl Pair {
    /// Rounds until both numbers fit in `LIMBS - 1` limbs; they fit in `LIMBS` before.
    #[inline(always)]
    fn shorten_to_below<const LIMBS: usize>(&mut self, rounds: &mut usize) -> Option<()> {
        while self.a[LIMBS - 1] | self.b[LIMBS - 1] != 0 {
            *rounds = rounds.checked_sub(1)?;
            self.round::<LIMBS>();
        }
        Some(())
    }

    #[inline(always)]
    fn round<const LIMBS: usize>(&mut self) {
        let Self { a, b, flips } = self;
        let shift = (a[LIMBS - 1] | b[LIMBS - 1]).leading_zeros();
        let step = Step::run(word::<LIMBS>(a, shift), word::<LIMBS>(b, shift), flips);
        let (next_a, a_below_zero) = difference::<LIMBS>(a, step.a.of_a, b, step.a.of_b);
        let (next_b, _) = difference::<LIMBS>(b, step.b.of_b, a, step.b.of_a);
        *a = next_a;
        *b = next_b;
        // `-1` over `b`. A negative `b` needs nothing: the symbol is that over its magnitude.
        let a_is_negative = a_below_zero ^ (step.crossed & 1 != 0);
        *flips ^= u64::from(a_is_negative) & (b[0] >> 1);
    }

    /// The symbol of two numbers of one limb: the same steps on exact numbers.
    #[inline(always)]
    fn finish(&self) -> i32 {
        let Self {
            a: [mut a, ..],
            b: [mut b, ..],
            mut flips,
        } = *self;
        while a != 0 {
            let shift = a.trailing_zeros();
            a >>= shift;
            flips ^= two_over(b, shift);
            let (difference, swap) = a.overflowing_sub(b);
            let mask = u64::from(swap).wrapping_neg();
            flips ^= (a & b & mask) >> 1;
            b = b.wrapping_add(difference & mask);
            a = (difference ^ mask).wrapping_sub(mask);
        }
        match (b, flips & 1) {
            (1, 0) => 1,
            (1, _) => -1,
            _ => 0,
        }
    }
}

/// Flip for taking `2^shift` out of the upper number: only an odd power over `b = 3, 5 mod 8` negates.
#[inline(always)]
const fn two_over(b: u64, shift: u32) -> u64 {
    (b >> 1 ^ b >> 2) & shift as u64
}

/// The exact low bits of a number with its 33 high bits, counted from the longer number's highest.
#[inline(always)]
fn word<const LIMBS: usize>(value: &Wide, shift: u32) -> u64 {
    // Shifting in two steps keeps a shift of 64 out.
    let high = value[LIMBS - 1] << shift | value[LIMBS - 2] >> 1 >> (63 - shift);
    high & !LOW_MASK | value[0] & LOW_MASK
}

/// Magnitudes of the combination of the old numbers that makes a new one, times `2^ROUND_SHIFT`. One of the
/// two is subtracted: in `a`'s combination `of_b`, in `b`'s `of_a`, and the other way when the step crossed.
#[derive(Clone, Copy)]
struct Combination {
    of_a: u64,
    of_b: u64,
}

/// What [`ROUND_SHIFT`] halvings amount to.
struct Step {
    a: Combination,
    b: Combination,
    /// Odd when the numbers changed places an odd number of times.
    crossed: u64,
}

impl Step {
    /// Runs on one word per number. Magnitudes only ever add up, to `2^ROUND_SHIFT` at most, so the two of a
    /// combination share a register.
    #[inline(always)]
    fn run(mut a: u64, mut b: u64, flips: &mut u64) -> Self {
        let (mut of_a, mut of_b) = (1u64, 1u64 << 32);
        let (mut left, mut crossed) = (ROUND_SHIFT, 0u64);
        loop {
            // The added bit ends a run of zeros where the round ends, and a zero number with it.
            let shift = (a | 1 << left).trailing_zeros();
            a >>= shift;
            of_b <<= shift;
            left -= shift;
            *flips ^= two_over(b, shift);
            if left == 0 {
                break;
            }
            let (difference, swap) = a.overflowing_sub(b);
            let mask = u64::from(swap).wrapping_neg();
            // Both odd: the symbol flips with the places when both are 3 modulo 4.
            *flips ^= (a & b & mask) >> 1;
            crossed ^= mask;
            b = b.wrapping_add(difference & mask);
            a = (difference ^ mask).wrapping_sub(mask);
            let sum = of_a + of_b;
            of_b ^= (of_b ^ of_a) & mask;
            of_a = sum;
        }
        let unpack = |packed: u64| Combination {
            of_a: packed & u64::from(u32::MAX),
            of_b: packed >> 32,
        };
        Self {
            a: unpack(of_a),
            b: unpack(of_b),
            crossed,
        }
    }
}

/// The magnitude of `(x * by_x - y * by_y) / 2^ROUND_SHIFT`, an exact division, and whether it was negative.
#[inline(always)]
fn difference<const LIMBS: usize>(x: &Wide, by_x: u64, y: &Wide, by_y: u64) -> (Wide, bool) {
    let mut limbs = [0u64; LIMBS];
    let (mut carry_x, mut carry_y, mut borrow) = (0u64, 0u64, false);
    for at in 0..LIMBS {
        let (low_x, low_y);
        (low_x, carry_x) = x[at].carrying_mul(by_x, carry_x);
        (low_y, carry_y) = y[at].carrying_mul(by_y, carry_y);
        (limbs[at], borrow) = low_x.borrowing_sub(low_y, borrow);
    }
    let (top, negative) = carry_x.borrowing_sub(carry_y, borrow);
    let mask = u64::from(negative).wrapping_neg();
    let mut carry = negative;
    for limb in &mut limbs {
        (*limb, carry) = (*limb ^ mask).overflowing_add(u64::from(carry));
    }
    let top = (top ^ mask).wrapping_add(u64::from(carry));
    let mut shifted = [0u64; 4];
    for at in 0..LIMBS {
        let above = if at + 1 < LIMBS { limbs[at + 1] } else { top };
        shifted[at] = limbs[at] >> ROUND_SHIFT | above << (64 - ROUND_SHIFT);
    }
    (shifted, negative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Euler's criterion, `value^((p-1)/2)`, bit by bit.
    fn euler(value: &Wide) -> i32 {
        // (p - 1) / 2 = 2^254 - 10.
        let exponent: Wide = [u64::MAX - 9, u64::MAX, u64::MAX, u64::MAX >> 2];
        let mut power = [1, 0, 0, 0];
        for bit in (0..256).rev() {
            power = multiply(&power, &power);
            if exponent[bit / 64] >> (bit % 64) & 1 != 0 {
                power = multiply(&power, value);
            }
        }
        let power = canonical(power);
        if power == [0; 4] {
            0
        } else if power == [1, 0, 0, 0] {
            1
        } else {
            assert_eq!(
                canonical(plus_one(power)),
                [0; 4],
                "a power of one half is 1 or -1"
            );
            -1
        }
    }

    fn decompresses(bytes: &[u8; 32]) -> bool {
        CompressedEdwardsY(*bytes).decompress().is_some()
    }

    fn to_le_bytes(value: Wide) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(value) {
            *chunk = limb.to_le_bytes();
        }
        bytes
    }

    #[test]
    fn the_symbol_of_small_numbers_and_their_negatives_is_eulers() {
        for small in 0..4_000u64 {
            let value = [small, 0, 0, 0];
            assert_eq!(jacobi(&value), Some(euler(&value)), "{small}");
            let negative = canonical(difference_from_prime(small));
            assert_eq!(jacobi(&negative), Some(euler(&negative)), "-{small}");
        }
    }

    fn difference_from_prime(small: u64) -> Wide {
        let mut value = PRIME;
        let mut borrow;
        (value[0], borrow) = value[0].overflowing_sub(small);
        for limb in &mut value[1..] {
            (*limb, borrow) = limb.overflowing_sub(u64::from(borrow));
        }
        value
    }

    /// Goal: numbers whose high bits say little about which is larger, or that are mostly zeros or ones.
    #[test]
    fn the_symbol_of_sparse_numbers_is_eulers() {
        for high in 0..255 {
            for low in 0..=high {
                let mut value = [0u64; 4];
                value[high / 64] |= 1 << (high % 64);
                value[low / 64] |= 1 << (low % 64);
                let negative = {
                    let mut value = value.map(|limb| !limb);
                    value[3] &= u64::MAX >> 1;
                    value
                };
                for value in [value, negative] {
                    let value = canonical(value);
                    assert_eq!(jacobi(&value), Some(euler(&value)), "{value:x?}");
                }
            }
        }
    }

    /// Goal: every way of writing an ordinate that means something special.
    #[test]
    fn edges_are_decided_as_decompression_decides_them() {
        let around = |value: Wide| {
            (0..64u64).flat_map(move |distance| {
                let up = add(&value, distance).0;
                let mut down = value;
                let mut borrow;
                (down[0], borrow) = down[0].overflowing_sub(distance);
                for limb in &mut down[1..] {
                    (*limb, borrow) = limb.overflowing_sub(u64::from(borrow));
                }
                [up, down]
            })
        };
        let mut points = 0;
        let centres = [[0; 4], PRIME, [0, 0, 0, 1 << 63], [u64::MAX; 4]];
        for value in centres.into_iter().flat_map(around) {
            for sign in [0, 0x80] {
                let mut bytes = to_le_bytes(value);
                bytes[31] = bytes[31] & 0x7f | sign;
                assert_eq!(is_ordinate(&bytes), decompresses(&bytes), "{bytes:02x?}");
                points += usize::from(is_ordinate(&bytes));
            }
        }
        assert!(points > 100, "both answers occur");
        // y = 1 and y = -1 are points with x = 0, whatever the sign bit says; y >= p is read modulo p.
        let one = to_le_bytes([1, 0, 0, 0]);
        let minus_one = to_le_bytes(difference_from_prime(1));
        let prime_plus_one = to_le_bytes(add(&PRIME, 1).0);
        for mut bytes in [one, minus_one, prime_plus_one] {
            assert!(is_ordinate(&bytes));
            bytes[31] |= 0x80;
            assert!(is_ordinate(&bytes));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_symbol_of_any_number_is_eulers(value in any::<Wide>()) {
            let value = canonical(value);
            prop_assert_eq!(jacobi(&value), Some(euler(&value)));
        }

        #[test]
        fn any_bytes_are_decided_as_decompression_decides_them(bytes in any::<[u8; 32]>()) {
            prop_assert_eq!(is_ordinate(&bytes), decompresses(&bytes));
        }
    }
}
