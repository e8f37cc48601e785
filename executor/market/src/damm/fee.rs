//! Fees of DAMM v2 and of the bonding curve: a base that falls with time or price or rises with size, and a
//! surcharge for volatility.
//!
//! Source: `base_fee/*.rs`, `state/fee.rs`, `math/fee_math.rs` of damm-v2; `base_fee/*.rs`, `state/fee.rs`,
//! `state/config.rs` of dynamic-bonding-curve.

use crate::damm::price::{ONE, power};
use crate::damm::wide;
use crate::event::Way;
use crate::math::Wide;
use crate::quote::QuoteReject;
use crate::units::BPS_WHOLE;

/// Fee rates are counted in billionths. Source: `FEE_DENOMINATOR`.
pub const FEE_WHOLE: u64 = 1_000_000_000;

/// The rate before volatility, billionths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BaseFee {
    /// Falls by a step each period after activation.
    Time {
        /// How it falls.
        fall: Fall,
        /// Length of a period, slots or seconds; 0 means it never falls.
        period: u64,
    },
    /// Falls by a step each time the square root of the price has risen so far.
    MarketCap {
        /// How it falls.
        fall: Fall,
        /// Rise of the root per step, basis points of the first price's root.
        rise_bps: u32,
        /// Slots or seconds after activation from which only the lowest rate is left.
        expires_after: u32,
    },
    /// Rises with the size of a buy, for a while.
    Limiter(Limiter),
}

/// A rate that falls by steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fall {
    /// The rate at the start, billionths.
    pub from: u64,
    /// Steps until it stays.
    pub steps: u16,
    /// Billionths per step, or basis points of what is left per step.
    pub by: u64,
    /// Which of both.
    pub exponential: bool,
}

/// A rate that rises with the size of a buy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limiter {
    /// The rate up to the reference amount, billionths.
    pub from: u64,
    /// What each further reference amount adds to the rate, basis points.
    pub increment_bps: u16,
    /// The highest rate, billionths.
    pub fee_max: u64,
    /// The amount, raw units.
    pub reference: u64,
    /// Slots or seconds after activation until it ends.
    pub lasts: u64,
    /// All its parameters are zero: there is none.
    pub is_off: bool,
}

/// On which side of the fee an amount stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Amounted {
    /// The fee is in it.
    Included(u64),
    /// The fee comes on top.
    Excluded(u64),
}

/// What a base rate can depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    /// Slots or seconds since activation: before it nothing is swapped.
    pub(crate) passed: u64,
    pub(crate) way: Way,
    pub(crate) first_price: u128,
    pub(crate) price: u128,
}

const OVERFLOW: QuoteReject = QuoteReject::Overflow;

impl BaseFee {
    /// The rate for a swap of that amount.
    pub(crate) fn rate(&self, at: &At, amount: Amounted) -> Result<u64, QuoteReject> {
        match self {
            Self::Time { fall, period } => match at.passed.checked_div(*period) {
                None => Ok(fall.from),
                Some(steps) => fall.after(steps),
            },
            Self::MarketCap {
                fall,
                rise_bps,
                expires_after,
            } => {
                if at.passed > u64::from(*expires_after) {
                    return fall.after(u64::from(fall.steps));
                }
                let risen = at.price.saturating_sub(at.first_price);
                if risen == 0 {
                    return fall.after(0);
                }
                let bps = wide::divide(
                    Wide::product(risen, u128::from(BPS_WHOLE)),
                    wide::from(at.first_price),
                );
                let steps = wide::divide(bps.ok_or(OVERFLOW)?.0, wide::from((*rise_bps).into()));
                let steps = wide::narrow(steps.ok_or(OVERFLOW)?.0).unwrap_or(u128::MAX);
                fall.after(u64::try_from(steps).unwrap_or(u64::MAX))
            }
            Self::Limiter(limiter) => {
                let applies = !limiter.is_off && at.way == Way::BToA && at.passed <= limiter.lasts;
                match (applies, amount) {
                    (false, _) => Some(limiter.from),
                    (true, Amounted::Included(amount)) => limiter.rate_included(amount),
                    (true, Amounted::Excluded(amount)) => limiter.rate_excluded(amount),
                }
                .ok_or(OVERFLOW)
            }
        }
    }

    /// The lowest rate it comes to.
    pub(crate) fn lowest(&self) -> Result<u64, QuoteReject> {
        match self {
            Self::Time { fall, .. } | Self::MarketCap { fall, .. } => {
                fall.after(u64::from(fall.steps))
            }
            Self::Limiter(limiter) => Ok(limiter.from),
        }
    }
}

impl Fall {
    fn after(&self, steps: u64) -> Result<u64, QuoteReject> {
        let steps = steps.min(u64::from(self.steps));
        if self.exponential {
            self.after_exponential(steps)
        } else {
            let fallen = self.by.checked_mul(steps);
            fallen.and_then(|fallen| self.from.checked_sub(fallen))
        }
        .ok_or(OVERFLOW)
    }

    /// `from * (1 - by / 10_000) ^ steps`; `steps` has at most 16 bits.
    fn after_exponential(&self, steps: u64) -> Option<u64> {
        if self.by == 0 {
            return Some(self.from);
        }
        let kept = ONE.checked_sub((u128::from(self.by) << 64) / u128::from(BPS_WHOLE))?;
        let share = power(kept, i32::try_from(steps).ok()?)?;
        u64::try_from(share.checked_mul(u128::from(self.from))? >> 64).ok()
    }
}

impl Limiter {
    /// The increment as billionths.
    fn increment(&self) -> u64 {
        u64::from(self.increment_bps) * (FEE_WHOLE / BPS_WHOLE)
    }

    /// After how many reference amounts the rate stops rising.
    fn steps_max(&self) -> Option<u64> {
        self.fee_max
            .checked_sub(self.from)?
            .checked_div(self.increment())
    }

    /// The first reference amount pays the base rate, each further one the increment more, and what comes after the
    /// last step the highest rate. The sum is one rate over all of it, rounded up twice.
    fn rate_included(&self, amount: u64) -> Option<u64> {
        let Some(past) = amount.checked_sub(self.reference).filter(|past| *past > 0) else {
            return Some(self.from);
        };
        let reference = u128::from(self.reference);
        let (whole, part) = (
            past.checked_div(self.reference)?,
            past.checked_rem(self.reference)?,
        );
        let (from, increment) = (u128::from(self.from), u128::from(self.increment()));
        let steps_max = self.steps_max()?;
        // `steps + 1` reference amounts at the rates from, from + increment, ...
        let climbed = |steps: u128| {
            from.checked_mul(steps + 1)?
                .checked_add(increment.checked_mul(steps.checked_mul(steps + 1)? / 2)?)
        };
        let (climbed, rest, rate) = if whole < steps_max {
            let steps = u128::from(whole);
            (
                climbed(steps)?,
                u128::from(part),
                from + increment * (steps + 1),
            )
        } else {
            let past_top = u128::from(whole - steps_max) * reference + u128::from(part);
            let rate = u128::from(self.fee_max);
            (climbed(u128::from(steps_max))?, past_top, rate)
        };
        let total = wide::add(Wide::product(reference, climbed), Wide::product(rest, rate))?;
        let fee = wide::divide_ceil(total, wide::from(u128::from(FEE_WHOLE)))?;
        let fee = u64::try_from(wide::narrow(fee)?).ok()?;
        share_up(fee, FEE_WHOLE, amount)
    }

    fn without_fee(&self, included: u64) -> Option<u64> {
        Some(take_fee(included, self.rate_included(included)?)?.0)
    }

    /// The rate whose fee on top of `amount` makes the whole that pays just that rate.
    fn rate_excluded(&self, amount: u64) -> Option<u64> {
        if amount <= self.without_fee(self.reference)? {
            return Some(self.from);
        }
        let top = Wide::product(
            u128::from(self.steps_max()?) + 1,
            u128::from(self.reference),
        );
        let top = wide::narrow(top).and_then(|top| u64::try_from(top).ok());
        let top_included = top.unwrap_or(u64::MAX);
        let top_excluded = self.without_fee(top_included)?;
        if amount == top_excluded {
            return self.rate_included(top_included);
        }
        let included = if amount < top_excluded {
            self.included_below_top(amount)?
        } else {
            // Nothing above the largest amount.
            top?;
            let (rest, _) = add_fee(amount - top_excluded, self.fee_max)?;
            rest.checked_add(top_included)?
        };
        let rate = share_up(included.checked_sub(amount)?, FEE_WHOLE, included)?;
        (rate >= self.from).then_some(rate)
    }

    /// Solves `increment x^2 - y x + z = 0` for the whole steps, then adds what the last step takes.
    fn included_below_top(&self, amount: u64) -> Option<u64> {
        let (reference, whole) = (u128::from(self.reference), u128::from(FEE_WHOLE));
        let (from, increment) = (u128::from(self.from), u128::from(self.increment()));
        let y = reference.checked_mul((2 * whole + increment).checked_sub(2 * from)?)?;
        let z = wide::times(Wide::product(2 * u128::from(amount), whole), reference)?;
        let under_root = wide::sub(Wide::product(y, y), wide::times(z, 4 * increment)?)?;
        let stepped = y
            .checked_sub(wide::root(under_root))?
            .checked_div(2 * increment)?;
        let steps = stepped.checked_div(reference)?;
        let stepped = u64::try_from(stepped).ok()?;
        let rest = amount.checked_sub(self.without_fee(stepped)?)?;
        let rate = u64::try_from(from.checked_add(increment.checked_mul(steps)?)?).ok()?;
        let (rest, _) = add_fee(rest, rate)?;
        stepped.checked_add(rest)
    }
}

/// What is left of `included` after the fee, and the fee, rounded up.
pub(crate) fn take_fee(included: u64, rate: u64) -> Option<(u64, u64)> {
    let fee = share_up(included, rate, FEE_WHOLE)?;
    Some((included.checked_sub(fee)?, fee))
}

/// What `excluded` becomes with the fee on top, rounded up, and the fee.
pub(crate) fn add_fee(excluded: u64, rate: u64) -> Option<(u64, u64)> {
    let included = share_up(excluded, FEE_WHOLE, FEE_WHOLE.checked_sub(rate)?)?;
    Some((included, included - excluded))
}

/// `ceil(value * part / whole)`.
pub(crate) fn share_up(value: u64, part: u64, whole: u64) -> Option<u64> {
    let product = u128::from(value) * u128::from(part);
    if whole == 0 {
        return None;
    }
    u64::try_from(product.div_ceil(u128::from(whole))).ok()
}

/// `floor(value * part / whole)`; fits because no caller's part exceeds its whole.
pub(crate) fn share(value: u64, part: u64, whole: u64) -> Option<u64> {
    let product = u128::from(value) * u128::from(part);
    u64::try_from(product.checked_div(u128::from(whole))?).ok()
}

/// The surcharge for volatility: what it is made from. `None` in a pool is one without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Surcharge {
    /// Most the accumulator holds.
    pub accumulator_max: u32,
    /// Scale of the surcharge.
    pub control: u32,
    /// Step of price that counts as one, basis points.
    pub bin_step: u16,
    /// The same, 64.64.
    pub bin_step_x64: u128,
    /// Seconds within which swaps count as one movement.
    pub filter_period: u16,
    /// Seconds after which a movement is forgotten.
    pub decay_period: u16,
    /// What is kept of a movement between both, basis points.
    pub reduction_bps: u16,
}

/// What a surcharge remembers of past swaps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Volatility {
    /// Unix seconds of the last swap that crossed a step.
    pub updated_at: u64,
    /// Root of the price that movements are measured from, 64.64.
    pub reference_price: u128,
    /// Movement so far, steps times 10,000.
    pub accumulator: u128,
    /// What was kept of movements before.
    pub reference: u128,
}

impl Surcharge {
    /// The surcharge, billionths, not yet capped.
    pub(crate) fn rate(&self, volatility: &Volatility) -> Option<u128> {
        let moved = volatility
            .accumulator
            .checked_mul(u128::from(self.bin_step))?;
        let scaled = moved
            .checked_pow(2)?
            .checked_mul(u128::from(self.control))?;
        Some(scaled.checked_add(99_999_999_999)? / 100_000_000_000)
    }

    /// Before a swap: starts a new movement when the last one is over.
    pub(crate) fn begin(
        &self,
        volatility: &mut Volatility,
        price: u128,
        unix_seconds: u64,
    ) -> Option<()> {
        let elapsed = unix_seconds.saturating_sub(volatility.updated_at);
        if elapsed >= u64::from(self.filter_period) {
            volatility.reference_price = price;
            volatility.reference = if elapsed < u64::from(self.decay_period) {
                let kept = volatility
                    .accumulator
                    .checked_mul(u128::from(self.reduction_bps))?;
                kept / u128::from(BPS_WHOLE)
            } else {
                0
            };
        }
        Some(())
    }

    /// After a swap from `before` to `price`.
    pub(crate) fn end(
        &self,
        volatility: &mut Volatility,
        before: u128,
        price: u128,
        unix_seconds: u64,
    ) -> Option<()> {
        let moved = self.steps(price, volatility.reference_price)?;
        let moved = moved.checked_mul(u128::from(BPS_WHOLE))?;
        let accumulator = volatility.reference.checked_add(moved)?;
        volatility.accumulator = accumulator.min(u128::from(self.accumulator_max));
        if self.steps(before, price)? > 0 {
            volatility.updated_at = unix_seconds;
        }
        Some(())
    }

    /// Steps between two roots, twice counted because they are roots.
    fn steps(&self, one: u128, other: u128) -> Option<u128> {
        let (upper, lower) = (one.max(other), one.min(other));
        let ratio = wide::divide(Wide::product(upper, ONE), wide::from(lower))?.0;
        let risen = wide::narrow(ratio)?.checked_sub(ONE)?;
        risen.checked_div(self.bin_step_x64)?.checked_mul(2)
    }
}
