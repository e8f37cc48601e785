//! The fee rate along a swap: constant, or rising with every tick spacing the price crosses.
//!
//! Source: `states/pool_fee.rs`, `instructions/swap.rs` (`get_total_fee_rate`, `get_spacing_bounded_price`,
//! `update_dynamic_fee_index`).

use crate::event::Way;
use crate::quote::QuoteReject;
use crate::raydium_clmm::account::{DynamicFee, Pool};
use crate::raydium_clmm::price::{sqrt_price_at, tick_at};
use crate::tick::{TICK_MAX, TICK_MIN};

/// Highest rate in millionths with the dynamic part. Source: `MAX_FEE_RATE_NUMERATOR`.
const RATE_MAX: u32 = 100_000;
/// Volatility of one tick spacing. Source: `VOLATILITY_ACCUMULATOR_SCALE`.
const SPACING_VOLATILITY: u32 = 10_000;
/// Denominator of the reduction factor. Source: `REDUCTION_FACTOR_DENOMINATOR`.
const REDUCTION_WHOLE: u64 = 10_000;
/// Denominator of the control factor. Source: `DYNAMIC_FEE_CONTROL_DENOMINATOR`.
const CONTROL_WHOLE: u128 = 100_000;

/// The fee rate of a swap that is under way.
pub(crate) struct FeeRate {
    way: Way,
    base: u32,
    spacing: i32,
    /// The price counted in tick spacings; only the dynamic part reads it.
    index: i32,
    pub(crate) dynamic: Option<DynamicFee>,
}

impl FeeRate {
    /// The rate at the start of a swap at `now`.
    pub(crate) fn new(pool: &Pool, base: u32, way: Way, now: u64) -> Self {
        let spacing = i32::from(pool.tick_spacing);
        let index = pool.tick.div_euclid(spacing);
        let mut dynamic = pool.dynamic_fee;
        if let Some(fee) = &mut dynamic {
            refer(fee, index, now);
        }
        Self {
            way,
            base,
            spacing,
            index,
            dynamic,
        }
    }

    /// The rate of the next step in millionths.
    pub(crate) fn step(&mut self) -> Result<u32, QuoteReject> {
        const WHOLE: u128 =
            CONTROL_WHOLE * (SPACING_VOLATILITY as u128) * (SPACING_VOLATILITY as u128);
        let Some(fee) = &mut self.dynamic else {
            return Ok(self.base);
        };
        accumulate(fee, self.index);
        let crossed = fee
            .volatility
            .checked_mul(self.spacing.unsigned_abs())
            .ok_or(QuoteReject::Overflow)?;
        let squared = u128::from(crossed) * u128::from(crossed);
        // A product of at most 81 bits.
        let dynamic = (u128::from(fee.control) * squared).div_ceil(WHOLE);
        let total = u128::from(self.base) + dynamic;
        Ok(u32::try_from(total).map_or(RATE_MAX, |total| total.min(RATE_MAX)))
    }

    /// Where the step towards `target` ends because the rate changes there, and whether spacings are skipped on the
    /// way.
    pub(crate) fn bound(&self, target: u128, liquidity: u128) -> Result<(u128, bool), QuoteReject> {
        let Some(fee) = &self.dynamic else {
            return Ok((target, true));
        };
        if liquidity == 0 || fee.volatility == fee.volatility_max {
            return Ok((target, true));
        }
        let index = match self.way {
            Way::AToB => self.index,
            Way::BToA => self.index.saturating_add(1),
        };
        let tick = index.saturating_mul(self.spacing).clamp(TICK_MIN, TICK_MAX);
        let price = sqrt_price_at(tick).ok_or(QuoteReject::Overflow)?;
        Ok(match self.way {
            Way::AToB => (target.max(price), false),
            Way::BToA => (target.min(price), false),
        })
    }

    /// Moves on to the next spacing after a step to `price`; `next` is the tick the swap is heading for, with its
    /// price, and `tick` the swap's own when the step moved nothing.
    pub(crate) fn advance(
        &mut self,
        skipped: bool,
        price: u128,
        next: (i32, u128),
        tick: Option<i32>,
    ) -> Result<(), QuoteReject> {
        let Some(fee) = &mut self.dynamic else {
            return Ok(());
        };
        let is_down = self.way == Way::AToB;
        if skipped {
            let tick = if price == next.1 {
                next.0
            } else {
                tick.or_else(|| tick_at(price))
                    .ok_or(QuoteReject::Overflow)?
            };
            let on_edge = tick % self.spacing == 0;
            self.index = tick.div_euclid(self.spacing) - i32::from(on_edge && !is_down);
            if fee.volatility != fee.volatility_max {
                accumulate(fee, self.index);
            }
        }
        self.index = self.index.saturating_add(if is_down { -1 } else { 1 });
        Ok(())
    }
}

/// Volatility when the price is in spacing `index`.
fn accumulate(fee: &mut DynamicFee, index: i32) {
    let crossed = fee.spacing_reference.abs_diff(index);
    let total =
        u64::from(fee.volatility_reference) + u64::from(crossed) * u64::from(SPACING_VOLATILITY);
    fee.volatility =
        u32::try_from(total).map_or(fee.volatility_max, |total| total.min(fee.volatility_max));
}

/// Sets the reference anew unless swaps follow each other closely.
fn refer(fee: &mut DynamicFee, index: i32, now: u64) {
    let elapsed = now.saturating_sub(fee.referenced_at);
    if elapsed < u64::from(fee.filter_period) {
        return;
    }
    fee.volatility_reference = if elapsed < u64::from(fee.decay_period) {
        // A factor below one, so it still fits.
        (u64::from(fee.volatility) * u64::from(fee.reduction_factor) / REDUCTION_WHOLE) as u32
    } else {
        0
    };
    fee.spacing_reference = index;
    fee.referenced_at = now;
}
