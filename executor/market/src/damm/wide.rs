//! Arithmetic on 256 bits, as far as square-root prices need it: every result is whole or absent.

use crate::math::Wide;

/// `a + b`.
pub(crate) fn add(a: Wide, b: Wide) -> Option<Wide> {
    let (low, carry) = a.low.overflowing_add(b.low);
    let high = a.high.checked_add(b.high)?.checked_add(u128::from(carry))?;
    Some(Wide { high, low })
}

/// `a - b`.
pub(crate) fn sub(a: Wide, b: Wide) -> Option<Wide> {
    let (low, borrow) = a.low.overflowing_sub(b.low);
    let high = a
        .high
        .checked_sub(b.high)?
        .checked_sub(u128::from(borrow))?;
    Some(Wide { high, low })
}

/// `a * b`.
pub(crate) fn times(a: Wide, b: u128) -> Option<Wide> {
    let low = Wide::product(a.low, b);
    let high = a.high.checked_mul(b)?.checked_add(low.high)?;
    Some(Wide { high, low: low.low })
}

/// `value` in 256 bits.
pub(crate) const fn from(value: u128) -> Wide {
    Wide {
        high: 0,
        low: value,
    }
}

/// `value` when it fits 128 bits.
pub(crate) const fn narrow(value: Wide) -> Option<u128> {
    if value.high == 0 {
        Some(value.low)
    } else {
        None
    }
}

/// `floor(a / b)` and whether something is left; absent when `b` is zero.
///
/// Long division in 64-bit digits (Knuth, TAOCP volume 2, algorithm D).
pub(crate) fn divide(a: Wide, b: Wide) -> Option<(Wide, bool)> {
    let divisor = digits(b);
    let len = 4 - divisor
        .iter()
        .rev()
        .take_while(|digit| **digit == 0)
        .count();
    match len {
        0 => None,
        1 => Some(divide_by_digit(digits(a), divisor[0])),
        _ => Some(divide_by_digits(digits(a), divisor, len)),
    }
}

/// `ceil(a / b)`.
pub(crate) fn divide_ceil(a: Wide, b: Wide) -> Option<Wide> {
    match divide(a, b)? {
        (quotient, false) => Some(quotient),
        (quotient, true) => add(quotient, from(1)),
    }
}

/// `floor(sqrt(value))`.
pub(crate) fn root(value: Wide) -> u128 {
    if value == Wide::default() {
        return 0;
    }
    let bits = if value.high == 0 {
        128 - value.low.leading_zeros()
    } else {
        256 - value.high.leading_zeros()
    };
    // From a bound above the root, Newton's steps fall until they meet it.
    let mut root = 1u128.checked_shl(bits.div_ceil(2)).unwrap_or(u128::MAX);
    while let Some((quotient, _)) = divide(value, from(root)) {
        let Some(quotient) = narrow(quotient).filter(|quotient| *quotient < root) else {
            break;
        };
        root = quotient + (root - quotient) / 2;
    }
    root
}

const LOW: u128 = u64::MAX as u128;

const fn digits(value: Wide) -> [u64; 4] {
    [
        (value.low & LOW) as u64,
        (value.low >> 64) as u64,
        (value.high & LOW) as u64,
        (value.high >> 64) as u64,
    ]
}

const fn joined(digits: [u64; 4]) -> Wide {
    Wide {
        high: (digits[3] as u128) << 64 | digits[2] as u128,
        low: (digits[1] as u128) << 64 | digits[0] as u128,
    }
}

fn divide_by_digit(mut a: [u64; 4], b: u64) -> (Wide, bool) {
    let mut rest = 0u128;
    for digit in a.iter_mut().rev() {
        let part = rest << 64 | u128::from(*digit);
        *digit = (part / u128::from(b)) as u64;
        rest = part % u128::from(b);
    }
    (joined(a), rest != 0)
}

/// `len` is the number of digits of `b`, at least two.
fn divide_by_digits(a: [u64; 4], b: [u64; 4], len: usize) -> (Wide, bool) {
    let shift = b[len - 1].leading_zeros();
    let shifted = |digits: [u64; 4], at: usize| {
        let below = if at == 0 || shift == 0 {
            0
        } else {
            digits[at - 1] >> (64 - shift)
        };
        let own = if at == 4 { 0 } else { digits[at] << shift };
        own | below
    };
    let mut rest: [u64; 5] = std::array::from_fn(|at| shifted(a, at));
    let divisor: [u64; 4] = std::array::from_fn(|at| shifted(b, at));
    let (top, next) = (u128::from(divisor[len - 1]), u128::from(divisor[len - 2]));
    let mut quotient = [0u64; 4];
    for at in (0..=4 - len).rev() {
        let leading = u128::from(rest[at + len]) << 64 | u128::from(rest[at + len - 1]);
        let (mut guess, mut left) = (leading / top, leading % top);
        while guess > LOW || guess * next > (left << 64 | u128::from(rest[at + len - 2])) {
            guess -= 1;
            left += top;
            if left > LOW {
                break;
            }
        }
        if take(&mut rest, &divisor, at, len, guess) {
            guess -= 1;
            give_back(&mut rest, &divisor, at, len);
        }
        quotient[at] = guess as u64;
    }
    (joined(quotient), rest != [0; 5])
}

/// Takes `guess` times the divisor from the rest; whether that was one time too many.
fn take(rest: &mut [u64; 5], divisor: &[u64; 4], at: usize, len: usize, guess: u128) -> bool {
    let (mut carry, mut borrow) = (0u128, false);
    for index in 0..len {
        let product = guess * u128::from(divisor[index]) + carry;
        carry = product >> 64;
        let (digit, under) = rest[at + index].overflowing_sub((product & LOW) as u64);
        let (digit, under_too) = digit.overflowing_sub(u64::from(borrow));
        rest[at + index] = digit;
        borrow = under || under_too;
    }
    let (digit, under) = rest[at + len].overflowing_sub(carry as u64);
    let (digit, under_too) = digit.overflowing_sub(u64::from(borrow));
    rest[at + len] = digit;
    under || under_too
}

fn give_back(rest: &mut [u64; 5], divisor: &[u64; 4], at: usize, len: usize) {
    let mut carry = false;
    for index in 0..len {
        let (digit, over) = rest[at + index].overflowing_add(divisor[index]);
        let (digit, over_too) = digit.overflowing_add(u64::from(carry));
        rest[at + index] = digit;
        carry = over || over_too;
    }
    rest[at + len] = rest[at + len].wrapping_add(u64::from(carry));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    /// Numbers of every length, with runs of ones and zeros: where a division's guesses go wrong.
    fn number() -> impl Strategy<Value = Wide> {
        let digit = prop_oneof![
            Just(0u64),
            Just(1),
            Just(u64::MAX),
            Just(1 << 63),
            Just((1 << 63) - 1),
            any::<u64>(),
        ];
        prop::array::uniform4(digit).prop_map(joined)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_quotient_is_the_largest_that_fits(a in number(), b in number()) {
            let Some((quotient, left)) = divide(a, b) else {
                prop_assert_eq!(b, Wide::default());
                return Ok(());
            };
            // quotient * b by schoolbook halves: one of the two is short whenever the product fits.
            let product = |q: Wide| match (narrow(q), narrow(b)) {
                (Some(q), _) => times(b, q),
                (None, Some(b)) => times(q, b),
                (None, None) => None,
            };
            let back = product(quotient).unwrap();
            prop_assert!(back <= a);
            let rest = sub(a, back).unwrap();
            prop_assert!(rest < b);
            prop_assert_eq!(left, rest != Wide::default());
        }

        #[test]
        fn a_root_squared_is_the_largest_that_fits(value in number()) {
            let found = root(value);
            prop_assert!(Wide::product(found, found) <= value);
            if let Some(next) = found.checked_add(1) {
                prop_assert!(Wide::product(next, next) > value);
            }
        }

        #[test]
        fn sums_and_differences_undo_each_other(a in number(), b in number()) {
            if let Some(sum) = add(a, b) {
                prop_assert_eq!(sub(sum, b), Some(a));
            }
            prop_assert_eq!(sub(a, b).is_some(), a >= b);
        }
    }
}
