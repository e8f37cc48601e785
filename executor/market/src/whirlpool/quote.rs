//! Swaps of a Whirlpool, to the unit: across ticks, with constant and adaptive fees, limits and transfer fees.
//!
//! Source: `manager/swap_manager.rs`, `math/swap_math.rs`, `util/{sparse_swap,swap_tick_sequence}.rs`,
//! `instructions/v2/swap.rs` `swap_with_transfer_fee_extension`.

use crate::event::Way;
use crate::math::{mul_div, mul_div_ceil};
use crate::quote::{Amount, QuoteReject, Swapped};
use crate::tick::{
    Delta, SQRT_PRICE_MIN, TICK_MAX, TICK_MIN, Terms, crossed, delta_a, delta_b, next_price_from_a,
    next_price_from_b,
};
use crate::whirlpool::account::{Pool, TICK_ARRAY_LEN, TickArray};
use crate::whirlpool::fee::FeeRate;
use crate::whirlpool::price::{SQRT_PRICE_MAX, sqrt_price_at, tick_at};

/// The whole of a fee rate. Source: `FEE_RATE_MUL_VALUE`.
const RATE_WHOLE: u128 = 1_000_000;
/// Arrays one swap can use. Source: `SwapTickSequence`.
const ARRAY_COUNT_MAX: usize = 3;
/// Steps after which a swap is refused: far more than the program can take in a transaction's compute budget
/// (1.4 million units), and few enough to bound the time of a quote. Only adaptive fees come near it.
const STEP_COUNT_MAX: u32 = 2_048;

impl Pool {
    /// Swaps as `swap_v2` would with `arrays` as its tick arrays (`swap`, when neither mint keeps a fee), and leaves
    /// the pool as the program would.
    ///
    /// `arrays` may be in any order and more than needed: like the program this takes up to three, from the one that
    /// holds the price onwards, and stops at the first that is missing. A named account that does not exist yet is
    /// [`TickArray::empty`]. That the arrays and the oracle are this pool's is the caller's to check. Swaps move
    /// nothing in an array that a swap reads. The program also refuses a clock behind its last reward update, which is
    /// not looked at here.
    ///
    /// # Errors
    /// [`QuoteReject`]; the pool is as before. `PastKnown`: the swap leaves the arrays. `Closed`: not open yet, time
    /// runs backwards, an adaptive pool without its oracle, or a limit on the wrong side of the price. `PastRemaining`:
    /// less comes out than was asked for.
    ///
    /// Cost: for each initialized tick (and with adaptive fees each group of ticks) crossed, three or four divisions
    /// of 256 bits.
    pub fn swap(
        &mut self,
        arrays: &[TickArray],
        terms: &Terms,
        way: Way,
        amount: Amount,
    ) -> Result<Swapped, QuoteReject> {
        let of_pool = terms.of_pool(way, amount)?;
        let (next, moved) = self.swapped(arrays, terms, way, of_pool)?;
        let swapped = terms.of_trader(way, amount, of_pool, moved)?;
        *self = next;
        Ok(swapped)
    }

    /// What the pool takes and gives, transfer fees aside.
    fn swapped(
        &self,
        arrays: &[TickArray],
        terms: &Terms,
        way: Way,
        amount: Amount,
    ) -> Result<(Self, Swapped), QuoteReject> {
        let opens_at = self.oracle.map_or(0, |oracle| oracle.opens_at);
        if !self.is_sound() || self.is_adaptive() != self.oracle.is_some() || opens_at > terms.now {
            return Err(QuoteReject::Closed);
        }
        let limit = limit(terms, way);
        let is_ahead = match way {
            Way::AToB => (SQRT_PRICE_MIN..self.sqrt_price).contains(&limit),
            Way::BToA => limit > self.sqrt_price && limit <= SQRT_PRICE_MAX,
        };
        if !is_ahead {
            return Err(QuoteReject::Closed);
        }
        let mut walk = Walk::new(self, way, amount, terms.now)?;
        let ticks = Sequence::new(arrays, self, way);
        let mut array = 0;
        while walk.remaining > 0 && walk.price != limit {
            let next = ticks.next(walk.tick, array)?;
            let next_price = sqrt_price_at(next.tick).ok_or(QuoteReject::Overflow)?;
            let target = match way {
                Way::AToB => limit.max(next_price),
                Way::BToA => limit.min(next_price),
            };
            loop {
                walk.step(target, (next.tick, next_price))?;
                if walk.price == next_price {
                    walk.cross(&next)?;
                    array = next.array_after;
                }
                walk.advance((next.tick, next_price))?;
                if walk.remaining == 0 || walk.price == target {
                    break;
                }
            }
        }
        if walk.remaining > 0 && walk.is_out && terms.limit().is_none() {
            return Err(QuoteReject::PastRemaining);
        }
        walk.finish(self, terms.now)
    }
}

/// The price at which the swap ends, the last one when the terms name none.
fn limit(terms: &Terms, way: Way) -> u128 {
    terms.limit().unwrap_or(match way {
        Way::AToB => SQRT_PRICE_MIN,
        Way::BToA => SQRT_PRICE_MAX,
    })
}

/// A swap under way.
struct Walk {
    way: Way,
    is_out: bool,
    asked: u64,
    remaining: u64,
    calculated: u64,
    liquidity: u128,
    price: u128,
    /// Tick of the price, unless `is_tick_stale`.
    tick: i32,
    is_tick_stale: bool,
    fee: FeeRate,
    skipped: bool,
    step_count: u32,
}

impl Walk {
    fn new(pool: &Pool, way: Way, amount: Amount, now: u64) -> Result<Self, QuoteReject> {
        let (asked, is_out) = match amount {
            Amount::In(asked) => (asked, false),
            Amount::Out(asked) => (asked, true),
        };
        if asked == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        Ok(Self {
            way,
            is_out,
            asked,
            remaining: asked,
            calculated: 0,
            liquidity: pool.liquidity,
            price: pool.sqrt_price,
            tick: pool.tick,
            is_tick_stale: false,
            fee: FeeRate::new(pool, way, now)?,
            skipped: false,
            step_count: 0,
        })
    }

    /// One stretch of constant liquidity and fee towards `target`.
    fn step(&mut self, target: u128, next: (i32, u128)) -> Result<(), QuoteReject> {
        self.step_count += 1;
        if self.step_count > STEP_COUNT_MAX {
            return Err(QuoteReject::PastRemaining);
        }
        let rate = self.fee.step()?;
        let (bound, skipped) = self.fee.bound(target, self.liquidity)?;
        let step = self.stretch(bound, u128::from(rate))?;
        let spent = step
            .amount_in
            .checked_add(step.fee)
            .ok_or(QuoteReject::Overflow)?;
        let (fixed, other) = if self.is_out {
            (step.amount_out, spent)
        } else {
            (spent, step.amount_out)
        };
        self.remaining = self
            .remaining
            .checked_sub(fixed)
            .ok_or(QuoteReject::Overflow)?;
        self.calculated = self
            .calculated
            .checked_add(other)
            .ok_or(QuoteReject::Overflow)?;
        if step.price != next.1 && step.price != self.price {
            self.is_tick_stale = true;
        }
        self.price = step.price;
        self.skipped = skipped;
        Ok(())
    }

    /// The arithmetic of one stretch. Source: `math/swap_math.rs` `compute_swap`.
    fn stretch(&self, target: u128, rate: u128) -> Result<Stretch, QuoteReject> {
        let (is_out, liquidity) = (self.is_out, self.liquidity);
        // The side the amount is fixed in, and the other; what goes in is rounded up, what comes out down.
        let fixes_a = (self.way == Way::AToB) != is_out;
        let fixed = |to| amount_between(fixes_a, self.price, to, liquidity, !is_out);
        let whole = match fixed(target) {
            Delta::Fits(amount) => Some(amount),
            Delta::Exceeds => None,
            Delta::Wide => return Err(QuoteReject::Overflow),
        };
        let usable = if is_out {
            self.remaining
        } else {
            let usable = mul_div(u128::from(self.remaining), RATE_WHOLE - rate, RATE_WHOLE);
            // At most what it is a part of.
            usable.ok_or(QuoteReject::Overflow)? as u64
        };
        let price = if whole.is_some_and(|whole| whole <= usable) {
            target
        } else {
            self.price_after(fixes_a, usable)?
        };
        let is_whole = price == target;
        let other = fits(amount_between(
            !fixes_a, self.price, price, liquidity, is_out,
        ))?;
        let fixed = match whole {
            Some(whole) if is_whole => whole,
            _ => fits(fixed(price))?,
        };
        let (amount_in, amount_out) = if is_out {
            (other, fixed.min(self.remaining))
        } else {
            (fixed, other)
        };
        let fee = if !is_out && !is_whole {
            self.remaining.checked_sub(amount_in)
        } else {
            mul_div_ceil(u128::from(amount_in), rate, RATE_WHOLE - rate)
                .and_then(|fee| u64::try_from(fee).ok())
        };
        Ok(Stretch {
            amount_in,
            amount_out,
            price,
            fee: fee.ok_or(QuoteReject::Overflow)?,
        })
    }

    /// The price that `amount` of the fixed side leads to.
    fn price_after(&self, fixes_a: bool, amount: u64) -> Result<u128, QuoteReject> {
        let (price, liquidity, add) = (self.price, self.liquidity, !self.is_out);
        if !fixes_a {
            return next_price_from_b(price, liquidity, amount, add).ok_or(QuoteReject::Overflow);
        }
        if amount == 0 {
            return Ok(price);
        }
        // The program's own numerator: liquidity times price, shifted by 64, within 256 bits.
        if crate::math::Wide::product(liquidity, price).high >> 64 != 0 {
            return Err(QuoteReject::Overflow);
        }
        next_price_from_a(price, liquidity, amount, add)
            .filter(|price| (SQRT_PRICE_MIN..=SQRT_PRICE_MAX).contains(price))
            .ok_or(QuoteReject::Overflow)
    }

    /// Takes the liquidity of the tick the price arrived at.
    fn cross(&mut self, next: &Next) -> Result<(), QuoteReject> {
        if let Some(net) = next.net {
            self.liquidity = crossed(self.liquidity, net, self.way).ok_or(QuoteReject::Overflow)?;
        }
        self.tick = match self.way {
            Way::AToB => next.tick - 1,
            Way::BToA => next.tick,
        };
        self.is_tick_stale = false;
        Ok(())
    }

    fn advance(&mut self, next: (i32, u128)) -> Result<(), QuoteReject> {
        self.fee.advance(self.skipped, self.price, next)
    }

    fn finish(self, pool: &Pool, now: u64) -> Result<(Pool, Swapped), QuoteReject> {
        let mut after = *pool;
        after.liquidity = self.liquidity;
        after.sqrt_price = self.price;
        after.tick = if self.is_tick_stale {
            tick_at(self.price).ok_or(QuoteReject::Overflow)?
        } else {
            self.tick
        };
        let volatility = self.fee.finish(pool.sqrt_price, self.price, now)?;
        if let (Some(oracle), Some(volatility)) = (&mut after.oracle, volatility) {
            oracle.volatility = volatility;
        }
        let moved = self.asked - self.remaining;
        let (amount_in, amount_out) = if self.is_out {
            (self.calculated, moved)
        } else {
            (moved, self.calculated)
        };
        Ok((
            after,
            Swapped {
                amount_in,
                amount_out,
            },
        ))
    }
}

/// What one stretch moved.
struct Stretch {
    amount_in: u64,
    amount_out: u64,
    price: u128,
    fee: u64,
}

fn amount_between(of_a: bool, from: u128, to: u128, liquidity: u128, round_up: bool) -> Delta {
    if of_a {
        delta_a(from, to, liquidity, round_up)
    } else {
        delta_b(from, to, liquidity, round_up)
    }
}

const fn fits(delta: Delta) -> Result<u64, QuoteReject> {
    match delta {
        Delta::Fits(amount) => Ok(amount),
        Delta::Exceeds | Delta::Wide => Err(QuoteReject::Overflow),
    }
}

/// The tick a swap is heading for.
struct Next {
    tick: i32,
    /// Its net liquidity; `None` for the end of what is known, which holds none.
    net: Option<i128>,
    /// The array to search from once it is crossed.
    array_after: usize,
}

/// The arrays a swap goes through, in its order.
struct Sequence<'a> {
    arrays: [Option<&'a TickArray>; ARRAY_COUNT_MAX],
    spacing: i32,
    way: Way,
}

impl<'a> Sequence<'a> {
    /// The arrays from the one that holds the price onwards, up to the first that is not there.
    fn new(arrays: &'a [TickArray], pool: &Pool, way: Way) -> Self {
        let spacing = i32::from(pool.tick_spacing);
        let ticks = TICK_ARRAY_LEN as i32 * spacing;
        let base = pool.tick.div_euclid(ticks) * ticks;
        let (first, by) = match way {
            Way::AToB => (base, -ticks),
            // The last tick of an array looks at the next one already.
            Way::BToA if pool.tick + spacing >= base + ticks => (base + ticks, ticks),
            Way::BToA => (base, ticks),
        };
        let mut found = [None; ARRAY_COUNT_MAX];
        let starts = (0..ARRAY_COUNT_MAX as i32).map(|place| first + place * by);
        let valid = starts.filter(|start| *start <= TICK_MAX && start + ticks > TICK_MIN);
        for (slot, start) in found.iter_mut().zip(valid) {
            *slot = arrays.iter().find(|array| array.start == start);
            if slot.is_none() {
                break;
            }
        }
        Self {
            arrays: found,
            spacing,
            way,
        }
    }

    /// The next initialized tick from `tick` on, searched from the array at `at`.
    fn next(&self, tick: i32, mut at: usize) -> Result<Next, QuoteReject> {
        let ticks = TICK_ARRAY_LEN as i32 * self.spacing;
        let mut search = tick;
        loop {
            let array = self.arrays.get(at).copied().flatten();
            let array = array.ok_or(QuoteReject::PastKnown)?;
            let is_last = self.arrays.get(at + 1).copied().flatten().is_none();
            if let Some(place) = self.place(array, search)? {
                return Ok(self.found(array, at, place));
            }
            let (end, last_tick) = match self.way {
                Way::AToB => (array.start <= TICK_MIN, array.start),
                Way::BToA => (array.start + ticks > TICK_MAX, array.start + ticks - 1),
            };
            let tick = match self.way {
                Way::AToB if end => Some(TICK_MIN),
                Way::BToA if end => Some(TICK_MAX),
                _ if is_last => Some(last_tick),
                _ => None,
            };
            if let Some(tick) = tick {
                let place = (tick - array.start).div_euclid(self.spacing);
                return Ok(Next {
                    tick,
                    net: None,
                    array_after: at + usize::from(self.is_at_end(place)),
                });
            }
            search = match self.way {
                Way::AToB => array.start - 1,
                Way::BToA => last_tick,
            };
            at += 1;
        }
    }

    /// The place of the next initialized tick of `array`: at or below `tick` going down, above it going up.
    fn place(&self, array: &TickArray, tick: i32) -> Result<Option<u32>, QuoteReject> {
        let offset = (tick - array.start).div_euclid(self.spacing);
        let last = TICK_ARRAY_LEN as i32 - 1;
        match self.way {
            Way::AToB if (0..=last).contains(&offset) => {
                let below = array.initialized << (127 - offset) >> (127 - offset);
                Ok((below != 0).then(|| 127 - below.leading_zeros()))
            }
            Way::BToA if (-1..last).contains(&offset) => {
                let above = array.initialized >> (offset + 1) << (offset + 1);
                let place = above.trailing_zeros();
                Ok((place < TICK_ARRAY_LEN as u32).then_some(place))
            }
            // The arrays do not lie where the price is.
            _ => Err(QuoteReject::PastKnown),
        }
    }

    fn found(&self, array: &TickArray, at: usize, place: u32) -> Next {
        let tick = array.start + place as i32 * self.spacing;
        let net = array.net.get(place as usize).copied();
        Next {
            tick,
            // Outside of the ticks nothing can be initialized.
            net: net.filter(|_| (TICK_MIN..=TICK_MAX).contains(&tick)),
            array_after: at + usize::from(self.is_at_end(place as i32)),
        }
    }

    const fn is_at_end(&self, place: i32) -> bool {
        match self.way {
            Way::AToB => place == 0,
            Way::BToA => place == TICK_ARRAY_LEN as i32 - 1,
        }
    }
}
