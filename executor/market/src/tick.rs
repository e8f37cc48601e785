//! What Whirlpool and Raydium's CLMM compute alike: amounts between two square-root prices, the price an amount
//! leads to, the tick a price lies in, and what Token-2022 keeps on the way in and out.
//!
//! Prices are square roots of b per a in 64.64 fixed point. The two programs differ in the price of a tick (other
//! tables, other rounding) and in what they refuse; that stays with each venue.
//!
//! Sources: orca-so/whirlpools at 630c0e0 `math/{token_math,tick_math}.rs`, raydium-io/raydium-clmm at 03b44b7
//! `libraries/{liquidity_math,sqrt_price_math,tick_math}.rs`.

use crate::event::Way;
use crate::math::Wide;
use crate::quote::{Amount, QuoteReject, Swapped};
use crate::token::TransferFee;

/// Lowest tick of both programs.
pub const TICK_MIN: i32 = -443_636;
/// Highest tick of both programs.
pub const TICK_MAX: i32 = 443_636;
/// Square-root price of [`TICK_MIN`] in both programs.
pub const SQRT_PRICE_MIN: u128 = 4_295_048_016;

/// What a swap depends on beside the pool and its ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// Unix seconds of the block.
    pub now: u64,
    /// What the mint of side a keeps of a transfer in this epoch.
    pub fee_a: TransferFee,
    /// What the mint of side b keeps of a transfer in this epoch.
    pub fee_b: TransferFee,
    /// Square-root price (64.64) at which the swap ends early; `None`, as 0 on the wire, sets no such limit.
    pub price_limit: Option<u128>,
}

impl Terms {
    /// The limit, with zero read as none.
    #[inline]
    pub(crate) fn limit(&self) -> Option<u128> {
        self.price_limit.filter(|limit| *limit != 0)
    }

    /// What the pool itself swaps when the trader asks for `amount`.
    #[inline]
    pub(crate) fn of_pool(&self, way: Way, amount: Amount) -> Result<Amount, QuoteReject> {
        let (fee_in, fee_out) = self.fees(way);
        match amount {
            Amount::In(given) => Ok(Amount::In(fee_in.after(given))),
            Amount::Out(wanted) => fee_out
                .before(wanted)
                .map(Amount::Out)
                .ok_or(QuoteReject::Overflow),
        }
    }

    /// What the trader's accounts see when the pool, asked for `of_pool`, takes and gives `moved`.
    ///
    /// An input taken whole costs what the trader named; one taken in part costs the least that leaves that part.
    #[inline]
    pub(crate) fn of_trader(
        &self,
        way: Way,
        amount: Amount,
        of_pool: Amount,
        moved: Swapped,
    ) -> Result<Swapped, QuoteReject> {
        let (fee_in, fee_out) = self.fees(way);
        let amount_in = match amount {
            Amount::In(given) if of_pool == Amount::In(moved.amount_in) => Some(given),
            _ => fee_in.before(moved.amount_in),
        };
        Ok(Swapped {
            amount_in: amount_in.ok_or(QuoteReject::Overflow)?,
            amount_out: fee_out.after(moved.amount_out),
        })
    }

    const fn fees(&self, way: Way) -> (TransferFee, TransferFee) {
        match way {
            Way::AToB => (self.fee_a, self.fee_b),
            Way::BToA => (self.fee_b, self.fee_a),
        }
    }
}

/// An amount between two prices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Delta {
    /// It is this.
    Fits(u64),
    /// More than a token account holds.
    Exceeds,
    /// More than that, and liquidity times the price difference needs more than 192 bits.
    Wide,
}

/// Side a between two prices: `liquidity * (upper - lower) * 2^64 / (upper * lower)`.
pub(crate) fn delta_a(price: u128, other: u128, liquidity: u128, round_up: bool) -> Delta {
    let (lower, upper) = (price.min(other), price.max(other));
    let product = Wide::product(liquidity, upper - lower);
    if product.high >> 64 != 0 {
        return Delta::Wide;
    }
    match divide(shifted(product), limbs(Wide::product(upper, lower))) {
        Some((quotient, rest)) => {
            u64::try_from(quotient.saturating_add(u128::from(round_up && rest)))
                .map_or(Delta::Exceeds, Delta::Fits)
        }
        None => Delta::Exceeds,
    }
}

/// Side b between two prices: `liquidity * (upper - lower) / 2^64`.
pub(crate) fn delta_b(price: u128, other: u128, liquidity: u128, round_up: bool) -> Delta {
    let Some(product) = liquidity.checked_mul(price.abs_diff(other)) else {
        return Delta::Exceeds;
    };
    let rest = product << 64 != 0;
    u64::try_from((product >> 64) + u128::from(round_up && rest))
        .map_or(Delta::Exceeds, Delta::Fits)
}

/// The price after `amount` of side a goes in (`add`) or out, rounded up:
/// `liquidity * price / (liquidity ± amount * price)`. `None` when it goes past the last one or does not fit.
pub(crate) fn next_price_from_a(
    price: u128,
    liquidity: u128,
    amount: u64,
    add: bool,
) -> Option<u128> {
    if amount == 0 {
        return Some(price);
    }
    let whole = Wide {
        high: liquidity >> 64,
        low: liquidity << 64,
    };
    let moved = Wide::product(price, u128::from(amount));
    let divisor = if add {
        let (low, carry) = whole.low.overflowing_add(moved.low);
        Wide {
            high: whole.high + moved.high + u128::from(carry),
            low,
        }
    } else {
        if whole <= moved {
            return None;
        }
        let (low, borrow) = whole.low.overflowing_sub(moved.low);
        Wide {
            high: whole.high - moved.high - u128::from(borrow),
            low,
        }
    };
    let (quotient, rest) = divide(shifted(Wide::product(liquidity, price)), limbs(divisor))?;
    quotient.checked_add(u128::from(rest))
}

/// The price after `amount` of side b goes in (`add`) or out, rounded down: `price ± amount / liquidity`.
pub(crate) fn next_price_from_b(
    price: u128,
    liquidity: u128,
    amount: u64,
    add: bool,
) -> Option<u128> {
    if amount == 0 {
        return Some(price);
    }
    if liquidity == 0 {
        return None;
    }
    let amount = u128::from(amount) << 64;
    if add {
        price.checked_add(amount / liquidity)
    } else {
        price.checked_sub(amount.div_ceil(liquidity))
    }
}

/// The highest tick whose price is at most `sqrt_price`, from a logarithm of `bits` fractional bits and, where that
/// leaves two candidates, the price of the upper one. `price_at` is `None` past the last tick.
pub(crate) fn tick_at(
    sqrt_price: u128,
    bits: u32,
    price_at: impl Fn(i32) -> Option<u128>,
) -> Option<i32> {
    /// `2^32 / log2(sqrt(1.0001))`.
    const LOG_BASE: i128 = 59_543_866_431_248;
    /// 0.01, and `2^-14 / log2(sqrt(1.0001)) + 0.01`: how far the estimate may be off downwards and upwards.
    const OFF_LOW: i128 = 184_467_440_737_095_516;
    const OFF_HIGH: i128 = 15_793_534_762_490_258_745;
    let top = 127u32.checked_sub(sqrt_price.leading_zeros())?;
    let mut fraction = if top >= 64 {
        sqrt_price >> (top - 63)
    } else {
        sqrt_price << (63 - top)
    };
    let mut logarithm = 0i128;
    for place in 0..bits {
        // Below 2^64, so the square fits.
        fraction *= fraction;
        let carry = fraction >> 127;
        fraction >>= 63 + carry;
        logarithm |= (carry as i128) << (31 - place);
    }
    logarithm += (i128::from(top) - 64) << 32;
    let estimate = logarithm * LOG_BASE;
    let low = i32::try_from((estimate - OFF_LOW) >> 64).ok()?;
    let high = i32::try_from((estimate + OFF_HIGH) >> 64).ok()?;
    if low != high && price_at(high).is_some_and(|price| price <= sqrt_price) {
        return Some(high);
    }
    Some(low)
}

/// `liquidity` after crossing a tick of net liquidity `net`; `None` when it does not fit.
pub(crate) const fn crossed(liquidity: u128, net: i128, way: Way) -> Option<u128> {
    if (net < 0) == matches!(way, Way::AToB) {
        liquidity.checked_add(net.unsigned_abs())
    } else {
        liquidity.checked_sub(net.unsigned_abs())
    }
}

/// `number * 2^64`, least limb first.
const fn shifted(number: Wide) -> [u64; 6] {
    let [first, second, third, fourth] = limbs(number);
    [0, first, second, third, fourth, 0]
}

const fn limbs(number: Wide) -> [u64; 4] {
    [
        number.low as u64,
        (number.low >> 64) as u64,
        number.high as u64,
        (number.high >> 64) as u64,
    ]
}

/// The quotient and whether there is a rest; `None` when the divisor is zero or the quotient needs more than 128 bits.
///
/// Long division in limbs of 64 bits (Knuth, The Art of Computer Programming, volume 2, 4.3.1, algorithm D).
fn divide(numerator: [u64; 6], divisor: [u64; 4]) -> Option<(u128, bool)> {
    let count = 4 - divisor.iter().rev().take_while(|limb| **limb == 0).count();
    let shift = divisor.get(count.checked_sub(1)?)?.leading_zeros();
    let mut scaled = [0; 4];
    shift_left(&divisor, shift, &mut scaled);
    let mut rest = [0; 7];
    shift_left(&numerator, shift, &mut rest);
    let mut quotient = 0u128;
    for at in (0..=6 - count).rev() {
        let digit = digit(&mut rest[at..=at + count], &scaled[..count]);
        match at {
            0 | 1 => quotient |= u128::from(digit) << (64 * at),
            _ if digit != 0 => return None,
            _ => {}
        }
    }
    Some((quotient, rest != [0; 7]))
}

/// `from` moved left by fewer than 64 bits; what moves out of the last limb of `to` is lost.
fn shift_left(from: &[u64], shift: u32, to: &mut [u64]) {
    let mut carry = 0;
    let padded = from.iter().chain(core::iter::repeat(&0));
    for (limb, to) in padded.zip(to) {
        *to = limb << shift | carry;
        carry = limb.checked_shr(64 - shift).unwrap_or(0);
    }
}

/// One digit of a long division, taken out of `rest` (one limb longer than `divisor`, whose top bit is set).
fn digit(rest: &mut [u64], divisor: &[u64]) -> u64 {
    let count = divisor.len();
    let top = u128::from(rest[count]) << 64 | u128::from(rest[count - 1]);
    let estimate = top / u128::from(divisor[count - 1]);
    if estimate == 0 {
        return 0;
    }
    // At most two too high, because the divisor's top bit is set.
    let mut digit = estimate.min(u128::from(u64::MAX));
    let mut borrow = 0u128;
    for (limb, by) in rest.iter_mut().zip(divisor) {
        let product = digit * u128::from(*by) + borrow;
        let (value, under) = limb.overflowing_sub(product as u64);
        *limb = value;
        borrow = (product >> 64) + u128::from(under);
    }
    let (value, mut under) = rest[count].overflowing_sub(borrow as u64);
    rest[count] = value;
    while under {
        digit -= 1;
        let mut carry = 0u128;
        for (limb, by) in rest.iter_mut().zip(divisor) {
            let sum = u128::from(*limb) + u128::from(*by) + carry;
            *limb = sum as u64;
            carry = sum >> 64;
        }
        let (value, over) = rest[count].overflowing_add(carry as u64);
        rest[count] = value;
        under = !over;
    }
    digit as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `quotient * divisor + rest` in limbs, the plain way.
    fn multiplied(quotient: u128, divisor: [u64; 4]) -> [u64; 6] {
        let mut product = [0u64; 6];
        for (at, by) in [quotient as u64, (quotient >> 64) as u64]
            .into_iter()
            .enumerate()
        {
            let mut carry = 0u128;
            for (place, limb) in divisor.iter().chain([&0]).enumerate() {
                let Some(slot) = product.get_mut(at + place) else {
                    break;
                };
                let sum = u128::from(by) * u128::from(*limb) + u128::from(*slot) + carry;
                *slot = sum as u64;
                carry = sum >> 64;
            }
        }
        product
    }

    fn compare(one: &[u64; 6], other: &[u64; 6]) -> core::cmp::Ordering {
        one.iter().rev().cmp(other.iter().rev())
    }

    /// Limbs where all-ones and zeros are common: they meet the corrections of a digit.
    fn limb() -> impl Strategy<Value = u64> {
        prop_oneof![
            Just(0),
            Just(u64::MAX),
            Just(1 << 63),
            Just(1),
            any::<u64>()
        ]
    }

    proptest! {
        #[test]
        fn a_quotient_times_its_divisor_stays_below_and_one_more_passes(
            quotient in prop_oneof![any::<u128>(), Just(u128::MAX), any::<u64>().prop_map(u128::from)],
            divisor in [limb(), limb(), limb(), limb()],
            rest in [limb(), limb(), limb(), limb()],
        ) {
            prop_assume!(divisor != [0; 4]);
            // A rest below the divisor, so that the quotient is known beforehand.
            let wide = |limbs: [u64; 4]| [limbs[0], limbs[1], limbs[2], limbs[3], 0, 0];
            let rest = if compare(&wide(rest), &wide(divisor)).is_lt() { rest } else { [0; 4] };
            let mut numerator = multiplied(quotient, divisor);
            let mut carry = 0u128;
            for (limb, by) in numerator.iter_mut().zip(wide(rest)) {
                let sum = u128::from(*limb) + u128::from(by) + carry;
                *limb = sum as u64;
                carry = sum >> 64;
            }
            prop_assert_eq!(divide(numerator, divisor), Some((quotient, rest != [0; 4])));
        }
    }

    #[test]
    fn quotients_that_do_not_fit_are_refused() {
        assert_eq!(divide([1, 0, 0, 0, 0, 0], [0; 4]), None);
        assert_eq!(divide([0, 0, 1, 0, 0, 0], [1, 0, 0, 0]), None);
        assert_eq!(
            divide([u64::MAX, u64::MAX, 0, 0, 0, 0], [1, 0, 0, 0]),
            Some((u128::MAX, false))
        );
        assert_eq!(divide([0, 0, 0, 0, 0, 1], [0, 0, 0, 1]), None);
    }

    #[test]
    fn amounts_and_prices_round_against_the_trader() {
        let one = 1u128 << 64;
        // From price 1 to 4 (square roots 1 and 2): L/2 of a, L of b.
        assert_eq!(delta_a(one, 2 * one, 1001, false), Delta::Fits(500));
        assert_eq!(delta_a(2 * one, one, 1001, true), Delta::Fits(501));
        assert_eq!(delta_b(one, 2 * one, 1001, true), Delta::Fits(1001));
        assert_eq!(delta_b(one, 2 * one - 1, 1001, false), Delta::Fits(1000));
        assert_eq!(
            delta_b(one, 2 * one, u128::from(u64::MAX) + 1, false),
            Delta::Exceeds
        );
        assert_eq!(
            delta_b(one, 2 * one + 1, u128::from(u64::MAX), true),
            Delta::Exceeds
        );
        assert_eq!(
            delta_a(SQRT_PRICE_MIN, 1 << 96, 1 << 80, false),
            Delta::Exceeds
        );
        assert_eq!(
            delta_a(SQRT_PRICE_MIN, 1 << 96, 1 << 97, false),
            Delta::Wide
        );

        assert_eq!(next_price_from_a(one, 1000, 1000, true), Some(one / 2));
        assert_eq!(next_price_from_a(one, 1000, 500, false), Some(2 * one));
        assert_eq!(next_price_from_a(one, 1000, 1000, false), None);
        assert_eq!(next_price_from_b(one, 1000, 1000, true), Some(2 * one));
        assert_eq!(next_price_from_b(one, 1000, 1001, false), None);
        assert_eq!(next_price_from_b(one, 0, 1, true), None);
    }

    #[test]
    fn transfer_fees_frame_what_the_pool_swaps() {
        let fee = TransferFee {
            bps: 100,
            fee_max: u64::MAX,
        };
        let terms = Terms {
            fee_a: fee,
            ..Terms::default()
        };
        let asked = terms.of_pool(Way::AToB, Amount::In(10_000));
        assert_eq!(asked, Ok(Amount::In(9_900)));
        let moved = |amount_in, amount_out| Swapped {
            amount_in,
            amount_out,
        };
        let whole = terms.of_trader(
            Way::AToB,
            Amount::In(10_000),
            Amount::In(9_900),
            moved(9_900, 7),
        );
        assert_eq!(whole, Ok(moved(10_000, 7)));
        let part = terms.of_trader(
            Way::AToB,
            Amount::In(10_000),
            Amount::In(9_900),
            moved(99, 7),
        );
        assert_eq!(part, Ok(moved(100, 7)));
        let asked = terms.of_pool(Way::BToA, Amount::Out(99));
        assert_eq!(asked, Ok(Amount::Out(100)));
        let got = terms.of_trader(Way::BToA, Amount::Out(99), Amount::Out(100), moved(5, 100));
        assert_eq!(got, Ok(moved(5, 99)));
    }
}
