//! Integer arithmetic that several venues' quotes share. Floors unless the name says otherwise.

use crate::units::{BPS_WHOLE, Bps};

/// `floor(a * b / divisor)`, or `None` when the divisor is zero or the result does not fit.
#[inline]
#[must_use]
pub fn mul_div(a: u128, b: u128, divisor: u128) -> Option<u128> {
    match a.checked_mul(b) {
        Some(product) => product.checked_div(divisor),
        None => Wide::product(a, b)
            .divide(divisor)
            .map(|(quotient, _)| quotient),
    }
}

/// `ceil(a * b / divisor)`, or `None` when the divisor is zero or the result does not fit.
#[inline]
#[must_use]
pub fn mul_div_ceil(a: u128, b: u128, divisor: u128) -> Option<u128> {
    if divisor == 0 {
        return None;
    }
    match a.checked_mul(b) {
        Some(product) => Some(product.div_ceil(divisor)),
        None => {
            let (quotient, rest) = Wide::product(a, b).divide(divisor)?;
            quotient.checked_add(u128::from(rest != 0))
        }
    }
}

/// Whether two ratios are no further apart than so many parts in 10,000 of the lower one. Cost: two products and a
/// division.
#[inline]
#[must_use]
pub(crate) fn are_near(one: [u64; 2], other: [u64; 2], within: Bps) -> bool {
    let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
    let (here, there) = (product(one[0], other[1]), product(other[0], one[1]));
    let bearable = here.min(there) / u128::from(BPS_WHOLE);
    here.abs_diff(there) <= bearable.saturating_mul(u128::from(within.0))
}

/// `floor(a * b / 2^64)`, or `None` when it does not fit.
#[inline]
#[must_use]
pub const fn mul_shift_64(a: u128, b: u128) -> Option<u128> {
    let Wide { high, low } = Wide::product(a, b);
    if high >> 64 != 0 {
        return None;
    }
    Some(high << 64 | low >> 64)
}

/// 256 bits: what the product of two `u128` takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Wide {
    /// The upper half.
    pub high: u128,
    /// The lower half.
    pub low: u128,
}

impl Wide {
    /// `a * b`, whole.
    #[inline]
    #[must_use]
    pub const fn product(a: u128, b: u128) -> Self {
        const LOW: u128 = u64::MAX as u128;
        let (a1, a0) = (a >> 64, a & LOW);
        let (b1, b0) = (b >> 64, b & LOW);
        let low = a0 * b0;
        let middle = a1 * b0 + (low >> 64);
        let (middle, carry) = (a0 * b1).overflowing_add(middle);
        Self {
            high: a1 * b1 + (middle >> 64) + ((carry as u128) << 64),
            low: middle << 64 | low & LOW,
        }
    }

    /// Quotient and rest of a division; `None` when the divisor is zero or the quotient needs more than 128 bits.
    ///
    /// Cost: one step a bit, for numbers that do not fit 128 bits; quotes rarely meet them.
    #[must_use]
    pub const fn divide(self, divisor: u128) -> Option<(u128, u128)> {
        if self.high >= divisor {
            return None;
        }
        let (mut rest, mut quotient, mut bit) = (self.high, 0u128, 128);
        while bit > 0 {
            bit -= 1;
            let carry = rest >> 127 != 0;
            rest = rest << 1 | (self.low >> bit & 1);
            quotient <<= 1;
            if carry || rest >= divisor {
                rest = rest.wrapping_sub(divisor);
                quotient |= 1;
            }
        }
        Some((quotient, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_divisions_undo_each_other() {
        let numbers = [
            0,
            1,
            2,
            3,
            u128::from(u64::MAX),
            1 << 64,
            (1 << 64) + 1,
            u128::MAX / 3,
            u128::MAX - 1,
            u128::MAX,
            0x1234_5678_9abc_def0_0fed_cba9_8765_4321,
        ];
        for a in numbers {
            for b in numbers {
                let wide = Wide::product(a, b);
                assert_eq!(wide.low, a.wrapping_mul(b));
                if b != 0 {
                    let same = wide.divide(b);
                    assert_eq!(same, (wide.high < b).then_some((a, 0)), "{a} * {b}");
                    assert_eq!(mul_div(a, b, b), Some(a));
                    assert_eq!(mul_div_ceil(a, b, b), Some(a));
                }
                for divisor in numbers.into_iter().filter(|divisor| *divisor != 0) {
                    let (Some(floor), Some(ceil)) =
                        (mul_div(a, b, divisor), mul_div_ceil(a, b, divisor))
                    else {
                        continue;
                    };
                    let back = Wide::product(floor, divisor);
                    assert!(back <= wide && Wide::product(ceil, divisor) >= wide);
                    assert!(ceil - floor <= 1);
                }
            }
        }
        assert_eq!(mul_div(1, 1, 0), None);
        assert_eq!(mul_div_ceil(1, 1, 0), None);
        assert_eq!(mul_div(u128::MAX, u128::MAX, 1), None);
        assert_eq!(mul_div_ceil(u128::MAX, u128::MAX - 1, u128::MAX - 2), None);
    }

    #[test]
    fn a_shift_is_a_division_by_a_power() {
        assert_eq!(mul_shift_64(1 << 64, 77), Some(77));
        assert_eq!(mul_shift_64(u128::MAX, 1 << 64), Some(u128::MAX));
        assert_eq!(mul_shift_64(u128::MAX, (1 << 64) + 1), None);
        assert_eq!(
            mul_shift_64(u128::MAX, 3),
            Some(Wide::product(u128::MAX, 3).high << 64 | Wide::product(u128::MAX, 3).low >> 64)
        );
    }
}
