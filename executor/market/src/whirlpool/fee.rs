//! The fee rate along a swap: constant, or rising with every group of ticks the price crosses.
//!
//! Source: `manager/fee_rate_manager.rs`, `state/oracle.rs`.

use crate::event::Way;
use crate::math::mul_shift_64;
use crate::quote::QuoteReject;
use crate::tick::{TICK_MAX, TICK_MIN};
use crate::whirlpool::account::{AdaptiveFee, Pool, Volatility};
use crate::whirlpool::price::{sqrt_price_at, tick_at};

/// Highest rate in millionths with the adaptive part. Source: `FEE_RATE_HARD_LIMIT`.
const RATE_MAX: u32 = 100_000;
/// Volatility of one group of ticks. Source: `VOLATILITY_ACCUMULATOR_SCALE_FACTOR`.
const GROUP_VOLATILITY: u32 = 10_000;
/// Denominator of the reduction factor. Source: `REDUCTION_FACTOR_DENOMINATOR`.
const REDUCTION_WHOLE: u64 = 10_000;
/// Denominator of the control factor. Source: `ADAPTIVE_FEE_CONTROL_FACTOR_DENOMINATOR`.
const CONTROL_WHOLE: u128 = 100_000;
/// Seconds after which a reference is dropped whatever happened. Source: `MAX_REFERENCE_AGE`.
const REFERENCE_AGE_MAX: u64 = 3_600;

/// The fee rate of a swap that is under way.
pub(crate) enum FeeRate {
    Constant(u32),
    Adaptive(Adaptive),
}

/// An adaptive rate: constant within a group of ticks, and outside of the core groups, where volatility is at its
/// highest, constant throughout.
pub(crate) struct Adaptive {
    way: Way,
    base: u32,
    fee: AdaptiveFee,
    volatility: Volatility,
    group: i32,
    /// First core group and the price of its lower end; `None` when that is not above the lowest tick.
    core_low: Option<(i32, u128)>,
    /// Last core group and the price of its upper end; `None` when that is not below the highest tick.
    core_high: Option<(i32, u128)>,
}

impl FeeRate {
    /// The rate at the start of a swap at `now`.
    pub(crate) fn new(pool: &Pool, way: Way, now: u64) -> Result<Self, QuoteReject> {
        let base = u32::from(pool.fee_rate);
        let Some(oracle) = &pool.oracle else {
            return Ok(Self::Constant(base));
        };
        let fee = oracle.fee;
        if !fee.is_sound() {
            return Err(QuoteReject::Closed);
        }
        let mut volatility = oracle.volatility;
        let size = i32::from(fee.tick_group_size);
        let group = pool.tick.div_euclid(size);
        refer(&mut volatility, &fee, group, now)?;
        let reach = fee
            .volatility_max
            .checked_sub(volatility.reference)
            .ok_or(QuoteReject::Overflow)?
            .div_ceil(GROUP_VOLATILITY) as i32;
        let core = |end: Option<i32>, ticks_on: i32| {
            let end = end.ok_or(QuoteReject::Overflow)?;
            let tick = end
                .checked_mul(size)
                .and_then(|tick| tick.checked_add(ticks_on))
                .ok_or(QuoteReject::Overflow)?;
            Ok((end, tick))
        };
        // Below the lowest tick its price bounds as well, since no target lies beyond it; above the highest one the
        // program fails.
        let priced = |(end, tick): (i32, i32)| {
            sqrt_price_at(tick.max(TICK_MIN))
                .map(|price| Some((end, price)))
                .ok_or(QuoteReject::Overflow)
        };
        let low = core(volatility.tick_group_reference.checked_sub(reach), 0)?;
        let high = core(volatility.tick_group_reference.checked_add(reach), size)?;
        Ok(Self::Adaptive(Adaptive {
            way,
            base,
            fee,
            volatility,
            group,
            core_low: if low.1 > TICK_MIN { priced(low)? } else { None },
            core_high: if high.1 < TICK_MAX {
                priced(high)?
            } else {
                None
            },
        }))
    }

    /// The rate of the next step in millionths.
    pub(crate) fn step(&mut self) -> Result<u32, QuoteReject> {
        match self {
            Self::Constant(rate) => Ok(*rate),
            Self::Adaptive(adaptive) => {
                accumulate(&mut adaptive.volatility, &adaptive.fee, adaptive.group);
                adaptive.rate()
            }
        }
    }

    /// Where the step towards `target` ends because the rate changes there, and whether groups are skipped on the way.
    pub(crate) fn bound(&self, target: u128, liquidity: u128) -> Result<(u128, bool), QuoteReject> {
        match self {
            Self::Constant(_) => Ok((target, false)),
            Self::Adaptive(adaptive) => adaptive.bound(target, liquidity),
        }
    }

    /// Moves on to the next group after a step to `price`; `next` is the tick the swap is heading for, with its price.
    pub(crate) fn advance(
        &mut self,
        skipped: bool,
        price: u128,
        next: (i32, u128),
    ) -> Result<(), QuoteReject> {
        let Self::Adaptive(adaptive) = self else {
            return Ok(());
        };
        if skipped {
            adaptive.catch_up(price, next)?;
        }
        adaptive.group += match adaptive.way {
            Way::AToB => -1,
            Way::BToA => 1,
        };
        Ok(())
    }

    /// What the swap from price `from` to `to` leaves for the next one.
    pub(crate) fn finish(
        self,
        from: u128,
        to: u128,
        now: u64,
    ) -> Result<Option<Volatility>, QuoteReject> {
        let Self::Adaptive(adaptive) = self else {
            return Ok(None);
        };
        let mut volatility = adaptive.volatility;
        let target = sqrt_price_at(i32::from(adaptive.fee.major_swap_ticks))
            .and_then(|factor| mul_shift_64(from.min(to), factor))
            .ok_or(QuoteReject::Overflow)?;
        if from.max(to) >= target {
            volatility.major_swap_at = now;
        }
        Ok(Some(volatility))
    }
}

impl Adaptive {
    fn rate(&self) -> Result<u32, QuoteReject> {
        const WHOLE: u128 = CONTROL_WHOLE * (GROUP_VOLATILITY as u128) * (GROUP_VOLATILITY as u128);
        let crossed = self
            .volatility
            .accumulator
            .checked_mul(u32::from(self.fee.tick_group_size))
            .ok_or(QuoteReject::Overflow)?;
        let squared = u128::from(crossed) * u128::from(crossed);
        // A product of at most 81 bits.
        let adaptive = (u128::from(self.fee.control_factor) * squared).div_ceil(WHOLE);
        let total = u128::from(self.base) + adaptive;
        Ok(u32::try_from(total).map_or(RATE_MAX, |total| total.min(RATE_MAX)))
    }

    fn bound(&self, target: u128, liquidity: u128) -> Result<(u128, bool), QuoteReject> {
        let is_down = self.way == Way::AToB;
        if self.fee.control_factor == 0 || liquidity == 0 {
            return Ok((target, true));
        }
        if let Some((first, price)) = self.core_low
            && self.group < first
        {
            return Ok((if is_down { target } else { target.min(price) }, true));
        }
        if let Some((last, price)) = self.core_high
            && self.group > last
        {
            return Ok((if is_down { target.max(price) } else { target }, true));
        }
        let size = i32::from(self.fee.tick_group_size);
        let end = if is_down {
            self.group.checked_mul(size)
        } else {
            self.group
                .checked_mul(size)
                .and_then(|tick| tick.checked_add(size))
        };
        let end = end.ok_or(QuoteReject::Overflow)?.clamp(TICK_MIN, TICK_MAX);
        let price = sqrt_price_at(end).ok_or(QuoteReject::Overflow)?;
        Ok((
            if is_down {
                target.max(price)
            } else {
                target.min(price)
            },
            false,
        ))
    }

    /// After groups were skipped: the group of the price becomes the current one.
    fn catch_up(&mut self, price: u128, next: (i32, u128)) -> Result<(), QuoteReject> {
        let size = i32::from(self.fee.tick_group_size);
        let (tick, on_edge) = if price == next.1 {
            (next.0, next.0 % size == 0)
        } else {
            let tick = tick_at(price).ok_or(QuoteReject::Overflow)?;
            (tick, tick % size == 0 && sqrt_price_at(tick) == Some(price))
        };
        let is_down = self.way == Way::AToB;
        let last = tick.div_euclid(size) - i32::from(on_edge && !is_down);
        // Not backwards: a price on an edge that did not move counts as the group before.
        if (is_down && last < self.group) || (!is_down && last > self.group) {
            self.group = last;
            accumulate(&mut self.volatility, &self.fee, last);
        }
        Ok(())
    }
}

/// Volatility when the price is in `group`.
fn accumulate(volatility: &mut Volatility, fee: &AdaptiveFee, group: i32) {
    let groups = volatility.tick_group_reference.abs_diff(group);
    let total = u64::from(volatility.reference) + u64::from(groups) * u64::from(GROUP_VOLATILITY);
    volatility.accumulator =
        u32::try_from(total).map_or(fee.volatility_max, |total| total.min(fee.volatility_max));
}

/// Sets the reference anew unless swaps follow each other closely. Time that runs backwards is refused, as the
/// program does.
fn refer(
    volatility: &mut Volatility,
    fee: &AdaptiveFee,
    group: i32,
    now: u64,
) -> Result<(), QuoteReject> {
    let last = volatility.referenced_at.max(volatility.major_swap_at);
    let elapsed = now.checked_sub(last).ok_or(QuoteReject::Closed)?;
    let is_stale = now - volatility.referenced_at > REFERENCE_AGE_MAX;
    if !is_stale && elapsed < u64::from(fee.filter_period) {
        return Ok(());
    }
    volatility.reference = if is_stale || elapsed >= u64::from(fee.decay_period) {
        0
    } else {
        // A factor below one, so it still fits.
        (u64::from(volatility.accumulator) * u64::from(fee.reduction_factor) / REDUCTION_WHOLE)
            as u32
    };
    volatility.tick_group_reference = group;
    volatility.referenced_at = now;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whirlpool::account::Oracle;

    /// A pool at tick 0, the lower edge of a group of 64, with an adaptive fee of which nothing is charged.
    fn pool() -> Pool {
        Pool {
            mint_a: [1; 32],
            mint_b: [2; 32],
            vault_a: [3; 32],
            vault_b: [4; 32],
            tick_spacing: 64,
            fee_tier: 1025,
            fee_rate: 100,
            liquidity: 1,
            sqrt_price: 1 << 64,
            tick: 0,
            oracle: Some(Oracle {
                opens_at: 0,
                fee: AdaptiveFee {
                    filter_period: 30,
                    decay_period: 600,
                    reduction_factor: 5000,
                    control_factor: 0,
                    volatility_max: 350_000,
                    tick_group_size: 64,
                    major_swap_ticks: 64,
                },
                volatility: Volatility::default(),
            }),
        }
    }

    fn rate(way: Way) -> FeeRate {
        FeeRate::new(&pool(), way, 100_000).unwrap_or(FeeRate::Constant(0))
    }

    #[test]
    fn a_price_that_stays_on_an_edge_does_not_fall_back_a_group() {
        let price = 1 << 64;
        for way in [Way::AToB, Way::BToA] {
            let mut rate = rate(way);
            assert_eq!(rate.step(), Ok(100));
            assert_eq!(rate.bound(price, 1), Ok((price, true)));
            assert_eq!(rate.advance(true, price, (640, price << 1)), Ok(()));
            let volatility = rate.finish(price, price, 100_000).ok().flatten();
            let expected = Volatility {
                referenced_at: 100_000,
                ..Volatility::default()
            };
            assert_eq!(volatility, Some(expected), "{way:?}");
        }
    }

    #[test]
    fn a_swap_is_major_from_its_ticks_on() {
        let (from, to) = (1 << 64, sqrt_price_at(64).unwrap_or(0));
        for (to, major_swap_at) in [(to - 1, 0), (to, 100_000)] {
            for (from, to) in [(from, to), (to, from)] {
                let volatility = rate(Way::BToA).finish(from, to, 100_000).ok().flatten();
                let found = volatility.map(|volatility| volatility.major_swap_at);
                assert_eq!(found, Some(major_swap_at));
            }
        }
    }

    #[test]
    fn references_stay_decay_and_are_dropped() {
        let fee = pool().oracle.map(|oracle| oracle.fee).unwrap_or_default();
        let before = Volatility {
            referenced_at: 10_000,
            major_swap_at: 10_100,
            reference: 7,
            tick_group_reference: 3,
            accumulator: 50_001,
        };
        let at = |now| {
            let mut volatility = before;
            refer(&mut volatility, &fee, 5, now).map(|()| volatility)
        };
        let anew = |now, reference| Volatility {
            referenced_at: now,
            reference,
            tick_group_reference: 5,
            ..before
        };
        // Counted from the later of the two, but a reference never grows older than an hour.
        assert_eq!(at(10_099), Err(QuoteReject::Closed));
        assert_eq!(at(10_129), Ok(before));
        assert_eq!(at(10_130), Ok(anew(10_130, 25_000)));
        assert_eq!(at(10_699), Ok(anew(10_699, 25_000)));
        assert_eq!(at(10_700), Ok(anew(10_700, 0)));
        let mut recent = before;
        recent.major_swap_at = 13_600;
        assert_eq!(refer(&mut recent, &fee, 5, 13_600), Ok(()));
        assert_eq!(recent.referenced_at, 10_000);
        assert_eq!(refer(&mut recent, &fee, 5, 13_601), Ok(()));
        assert_eq!((recent.referenced_at, recent.reference), (13_601, 0));
    }
}
