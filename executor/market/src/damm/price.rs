//! Square-root prices, 64.64 fixed point: what a step along them takes and gives, and how far an amount leads.
//!
//! Liquidity is scaled by 2^64 once more than the price, so that `b = liquidity * price / 2^128`.
//! Every function is absent where the programs' own 256-bit arithmetic, or the cast after it, gives up.
//!
//! Source: `liquidity_handler/concentrated_liquidity.rs` of damm-v2, `curve.rs` of dynamic-bonding-curve: one
//! arithmetic in two programs.

use crate::damm::wide;
use crate::math::Wide;

/// One, 64.64.
pub(crate) const ONE: u128 = 1 << 64;

/// Which way a division is rounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Round {
    Up,
    Down,
}

/// Token a between two prices: `liquidity * (upper - lower) / (lower * upper)`.
pub(crate) fn amount_a(lower: u128, upper: u128, liquidity: u128, round: Round) -> Option<Wide> {
    let above = Wide::product(liquidity, upper.checked_sub(lower)?);
    let below = Wide::product(lower, upper);
    match round {
        Round::Up => wide::divide_ceil(above, below),
        Round::Down => Some(wide::divide(above, below)?.0),
    }
}

/// Token b between two prices: `liquidity * (upper - lower) / 2^128`.
pub(crate) fn amount_b(lower: u128, upper: u128, liquidity: u128, round: Round) -> Option<Wide> {
    let product = Wide::product(liquidity, upper.checked_sub(lower)?);
    let up = round == Round::Up && product.low != 0;
    wide::add(wide::from(product.high), wide::from(u128::from(up)))
}

/// The price after `amount` of a came in.
pub(crate) fn after_a_in(price: u128, liquidity: u128, amount: u64) -> Option<u128> {
    let below = wide::add(
        wide::from(liquidity),
        Wide::product(u128::from(amount), price),
    )?;
    wide::narrow(wide::divide_ceil(Wide::product(liquidity, price), below)?)
}

/// The price after `amount` of a went out.
pub(crate) fn after_a_out(price: u128, liquidity: u128, amount: u64) -> Option<u128> {
    let below = wide::sub(
        wide::from(liquidity),
        Wide::product(u128::from(amount), price),
    )?;
    wide::narrow(wide::divide_ceil(Wide::product(liquidity, price), below)?)
}

/// The price after `amount` of b came in.
pub(crate) fn after_b_in(price: u128, liquidity: u128, amount: u64) -> Option<u128> {
    let (step, _) = wide::divide(whole(amount), wide::from(liquidity))?;
    price.checked_add(wide::narrow(step)?)
}

/// The price after `amount` of b went out.
pub(crate) fn after_b_out(price: u128, liquidity: u128, amount: u64) -> Option<u128> {
    let step = wide::divide_ceil(whole(amount), wide::from(liquidity))?;
    price.checked_sub(wide::narrow(step)?)
}

/// A wide amount as the tokens it is; absent when it is more than a token account can hold.
pub(crate) fn tokens(amount: Wide) -> Option<u64> {
    u64::try_from(wide::narrow(amount)?).ok()
}

/// `base` to the power of `exponent`, 64.64, rounded as the programs round.
///
/// A base of one or more is turned over first, so that squares stay below one and never overflow; the result is
/// turned back at the end.
///
/// Source: `math/fee_math.rs` of damm-v2, `commons/src/math/u64x64_math.rs` of dlmm-sdk.
pub(crate) fn power(base: u128, exponent: i32) -> Option<u128> {
    /// Nineteen bits of exponent reach every price. Source: `MAX_EXPONENTIAL`.
    const EXPONENT_END: u32 = 0x8_0000;
    let mut bits = exponent.unsigned_abs();
    if bits == 0 {
        return Some(ONE);
    }
    if bits >= EXPONENT_END {
        return None;
    }
    let is_turned = base >= ONE;
    let mut square = if is_turned { u128::MAX / base } else { base };
    let mut result = ONE;
    while bits > 0 {
        if bits & 1 == 1 {
            result = result.checked_mul(square)? >> 64;
        }
        square = square.checked_mul(square)? >> 64;
        bits >>= 1;
    }
    if is_turned == (exponent < 0) {
        (result != 0).then_some(result)
    } else {
        u128::MAX.checked_div(result)
    }
}

/// `amount * 2^128`.
fn whole(amount: u64) -> Wide {
    Wide {
        high: u128::from(amount),
        low: 0,
    }
}
