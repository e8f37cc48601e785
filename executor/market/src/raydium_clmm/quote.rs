//! Swaps of a CLMM pool, to the unit: across ticks and the limit orders that rest in them, with the fee on either
//! token, constant and dynamic fees, limits and transfer fees.
//!
//! Source: `instructions/{swap,swap_v2}.rs`, `libraries/swap_math.rs`, `states/tick_array.rs`
//! `match_limit_order_with_sqrt_price`.

use crate::event::Way;
use crate::math::{mul_div, mul_div_ceil, mul_shift_64};
use crate::quote::{Amount, QuoteReject, Swapped};
use crate::raydium_clmm::account::{
    Config, FeeOn, Pool, RATE_WHOLE, TICK_ARRAY_LEN, Tick, TickArray,
};
use crate::raydium_clmm::bitmap::{BitmapExtension, Bitmaps};
use crate::raydium_clmm::fee::FeeRate;
use crate::raydium_clmm::price::{SQRT_PRICE_MAX, sqrt_price_at, tick_at};
use crate::tick::{
    Delta, SQRT_PRICE_MIN, TICK_MAX, TICK_MIN, Terms, crossed, delta_a, delta_b, next_price_from_a,
    next_price_from_b,
};

/// Steps after which a swap is refused: far more than the program can take in a transaction's compute budget
/// (1.4 million units), and few enough to bound the time of a quote.
const STEP_COUNT_MAX: u32 = 2_048;

impl Pool {
    /// What `swap_v2` would move (`swap`, when neither mint keeps a fee).
    ///
    /// `arrays` may be in any order and more than needed; the swap visits those that the bitmaps name. The extension is
    /// needed only where a swap leaves the 512 arrays on either side of tick 0. That the configuration, the arrays and
    /// the extension are this pool's is the caller's to check.
    ///
    /// # Errors
    /// [`QuoteReject`]. `PastKnown`: the swap needs an array or an extension that is not given. `EmptyReserves`: no
    /// liquidity further on. `Closed`: switched off, not open yet, or a limit on the wrong side of the price.
    /// `PastRemaining`: without a limit a swap must be filled whole. `ZeroAmount`: one side of it would be nothing.
    ///
    /// Cost: for each initialized tick (and with dynamic fees each tick spacing) crossed, three or four divisions of
    /// 256 bits.
    pub fn quote(
        &self,
        config: Config,
        arrays: &[TickArray],
        extension: Option<&BitmapExtension>,
        terms: &Terms,
        way: Way,
        amount: Amount,
    ) -> Result<Swapped, QuoteReject> {
        let swap = Swap::new(config, extension, terms, way, amount)?;
        Ok(swap.done(self, &mut Seen(arrays))?.swapped)
    }

    /// Swaps as [`Pool::quote`] says, and leaves the pool and the limit orders in `arrays` as the program would.
    ///
    /// An array that loses its last tick is not taken out of an extension's bitmap: it is passed over for being empty.
    ///
    /// # Errors
    /// As [`Pool::quote`]; the pool and the arrays are as before.
    ///
    /// Cost: as [`Pool::quote`], twice when the swap meets limit orders.
    pub fn swap(
        &mut self,
        config: Config,
        arrays: &mut [TickArray],
        extension: Option<&BitmapExtension>,
        terms: &Terms,
        way: Way,
        amount: Amount,
    ) -> Result<Swapped, QuoteReject> {
        let swap = Swap::new(config, extension, terms, way, amount)?;
        // A first time for what it refuses, then, now that it does not, for what it moves.
        let mut done = swap.done(self, &mut Seen(arrays))?;
        if done.met_orders {
            done = swap.done(self, &mut Moved(arrays))?;
        }
        *self = done.pool;
        Ok(done.swapped)
    }

    const fn is_fee_on_input(&self, way: Way) -> bool {
        match (self.fee_on, way) {
            (FeeOn::Input, _) | (FeeOn::Token0, Way::AToB) | (FeeOn::Token1, Way::BToA) => true,
            (FeeOn::Token0, Way::BToA) | (FeeOn::Token1, Way::AToB) => false,
        }
    }

    const fn ticks_of_array(&self) -> i32 {
        TICK_ARRAY_LEN as i32 * self.tick_spacing as i32
    }
}

/// The tick arrays of a swap, which may or may not keep what becomes of their limit orders.
trait Arrays {
    fn all(&self) -> &[TickArray];
    fn keep(&mut self, at: At, tick: Tick);
}

struct Seen<'a>(&'a [TickArray]);

impl Arrays for Seen<'_> {
    fn all(&self) -> &[TickArray] {
        self.0
    }

    fn keep(&mut self, _at: At, _tick: Tick) {}
}

struct Moved<'a>(&'a mut [TickArray]);

impl Arrays for Moved<'_> {
    fn all(&self) -> &[TickArray] {
        self.0
    }

    fn keep(&mut self, at: At, tick: Tick) {
        if let Some(array) = self.0.get_mut(at.slot)
            && let Some(slot) = array.ticks.get_mut(at.place)
        {
            *slot = tick;
        }
    }
}

/// Where a tick is kept.
#[derive(Clone, Copy)]
struct At {
    /// Which of the given arrays.
    slot: usize,
    /// Which of its ticks.
    place: usize,
}

/// What is asked for.
struct Swap<'a> {
    config: Config,
    extension: Option<&'a BitmapExtension>,
    terms: &'a Terms,
    way: Way,
    amount: Amount,
    of_pool: Amount,
}

struct Done {
    pool: Pool,
    swapped: Swapped,
    met_orders: bool,
}

impl<'a> Swap<'a> {
    fn new(
        config: Config,
        extension: Option<&'a BitmapExtension>,
        terms: &'a Terms,
        way: Way,
        amount: Amount,
    ) -> Result<Self, QuoteReject> {
        let of_pool = terms.of_pool(way, amount)?;
        Ok(Self {
            config,
            extension,
            terms,
            way,
            amount,
            of_pool,
        })
    }

    fn done(&self, pool: &Pool, arrays: &mut impl Arrays) -> Result<Done, QuoteReject> {
        let limit = self.limit(pool)?;
        let mut walk = Walk::new(pool, self)?;
        let mut search = Search::new(pool, self.extension, self.way)?;
        while walk.remaining != 0 && walk.price != limit {
            let (at, tick_index) = search.next(arrays.all(), walk.tick)?;
            let mut tick = arrays
                .all()
                .get(at.slot)
                .and_then(|array| array.ticks.get(at.place))
                .copied()
                .ok_or(QuoteReject::PastKnown)?;
            let next = (
                tick_index,
                sqrt_price_at(tick_index).ok_or(QuoteReject::Overflow)?,
            );
            let target = match self.way {
                Way::AToB => limit.max(next.1),
                Way::BToA => limit.min(next.1),
            };
            if !walk.is_ahead(next, target) {
                return Err(QuoteReject::Overflow);
            }
            let mut liquidity = walk.liquidity;
            loop {
                let rate = walk.step(target, next)?;
                if walk.price == next.1 {
                    if walk.fill(&mut tick, next.1, rate)? {
                        arrays.keep(at, tick);
                        search.forget_if_empty(&mut walk.after, arrays.all(), at, &tick);
                    }
                    liquidity = walk.arrive(&tick, next.0)?;
                }
                walk.advance(next)?;
                if walk.remaining == 0 || walk.price == target {
                    break;
                }
            }
            walk.liquidity = liquidity;
        }
        self.finish(walk)
    }

    /// The price at which the swap ends, the last one but one when the terms name none.
    fn limit(&self, pool: &Pool) -> Result<u128, QuoteReject> {
        if pool.swaps_off
            || self.terms.now <= pool.opens_at
            || !pool.is_sound()
            || self.config.trade_fee_rate >= RATE_WHOLE
        {
            return Err(QuoteReject::Closed);
        }
        let limit = self.terms.limit().unwrap_or(match self.way {
            Way::AToB => SQRT_PRICE_MIN + 1,
            Way::BToA => SQRT_PRICE_MAX - 1,
        });
        let is_ahead = match self.way {
            Way::AToB => limit < pool.sqrt_price && limit > SQRT_PRICE_MIN,
            Way::BToA => limit > pool.sqrt_price && limit < SQRT_PRICE_MAX,
        };
        is_ahead.then_some(limit).ok_or(QuoteReject::Closed)
    }

    fn finish(&self, walk: Walk) -> Result<Done, QuoteReject> {
        if walk.remaining > 0 && self.terms.limit().is_none() {
            return Err(QuoteReject::PastRemaining);
        }
        let taken = walk.asked - walk.remaining;
        let (amount_in, amount_out) = if walk.is_out {
            (walk.calculated, taken)
        } else {
            (taken, walk.calculated)
        };
        if amount_in == 0 || amount_out == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        let moved = Swapped {
            amount_in,
            amount_out,
        };
        let swapped = self
            .terms
            .of_trader(self.way, self.amount, self.of_pool, moved)?;
        let tick = walk.tick_now()?;
        let mut pool = walk.after;
        pool.tick = tick;
        pool.liquidity = walk.liquidity;
        pool.sqrt_price = walk.price;
        pool.dynamic_fee = walk.fee.dynamic;
        Ok(Done {
            pool,
            swapped,
            met_orders: walk.met_orders,
        })
    }
}

/// A swap under way.
struct Walk {
    way: Way,
    is_out: bool,
    is_fee_on_input: bool,
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
    met_orders: bool,
    step_count: u32,
    /// The pool as it becomes.
    after: Pool,
}

impl Walk {
    fn new(pool: &Pool, swap: &Swap<'_>) -> Result<Self, QuoteReject> {
        let (asked, is_out) = match swap.of_pool {
            Amount::In(asked) => (asked, false),
            Amount::Out(asked) => (asked, true),
        };
        if asked == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        Ok(Self {
            way: swap.way,
            is_out,
            is_fee_on_input: pool.is_fee_on_input(swap.way),
            asked,
            remaining: asked,
            calculated: 0,
            liquidity: pool.liquidity,
            price: pool.sqrt_price,
            tick: pool.tick,
            is_tick_stale: false,
            fee: FeeRate::new(pool, swap.config.trade_fee_rate, swap.way, swap.terms.now),
            skipped: false,
            met_orders: false,
            step_count: 0,
            after: *pool,
        })
    }

    /// The program's own check that the next tick and the target lie the way the swap goes.
    const fn is_ahead(&self, next: (i32, u128), target: u128) -> bool {
        match self.way {
            Way::AToB => self.tick >= next.0 && self.price >= next.1 && self.price >= target,
            Way::BToA => next.0 > self.tick && next.1 >= self.price && target >= self.price,
        }
    }

    /// One stretch of constant liquidity and fee towards `target`; the rate it was taken at.
    fn step(&mut self, target: u128, next: (i32, u128)) -> Result<u32, QuoteReject> {
        self.step_count += 1;
        if self.step_count > STEP_COUNT_MAX {
            return Err(QuoteReject::PastRemaining);
        }
        let rate = self.fee.step()?;
        let (bound, skipped) = self.fee.bound(target, self.liquidity)?;
        self.skipped = skipped;
        if self.price != bound {
            let (price, moved) = self.stretch(bound, u64::from(rate))?;
            self.take(moved)?;
            if price != next.1 && price != self.price {
                self.is_tick_stale = true;
            }
            self.price = price;
        }
        Ok(rate)
    }

    /// Source: `apply_swap_amounts`.
    fn take(&mut self, moved: Moves) -> Result<(), QuoteReject> {
        let fee = if self.is_fee_on_input { moved.fee } else { 0 };
        let spent = moved
            .amount_in
            .checked_add(fee)
            .ok_or(QuoteReject::Overflow)?;
        let (fixed, other) = if self.is_out {
            (moved.amount_out, spent)
        } else {
            (spent, moved.amount_out)
        };
        self.remaining = self
            .remaining
            .checked_sub(fixed)
            .ok_or(QuoteReject::Overflow)?;
        self.calculated = self
            .calculated
            .checked_add(other)
            .ok_or(QuoteReject::Overflow)?;
        Ok(())
    }

    /// The arithmetic of one stretch. Source: `libraries/swap_math.rs` `compute_swap`.
    fn stretch(&self, target: u128, rate: u64) -> Result<(u128, Moves), QuoteReject> {
        let usable = self.usable(rate)?;
        let reached = self.amounts(target).filter(|(amount_in, amount_out)| {
            usable >= if self.is_out { *amount_out } else { *amount_in }
        });
        let (price, (amount_in, amount_out)) = match reached {
            Some(amounts) => (target, amounts),
            None => {
                let price = self.price_after(usable).ok_or(QuoteReject::Overflow)?;
                (price, self.amounts(price).ok_or(QuoteReject::Overflow)?)
            }
        };
        let is_short = match self.way {
            Way::AToB => price < target,
            Way::BToA => price > target,
        };
        if is_short {
            return Err(QuoteReject::Overflow);
        }
        let moved = self.with_fee(amount_in, amount_out, price == target, rate)?;
        Ok((price, moved))
    }

    /// What of the amount asked for moves the price: without the fee on an input, with the fee on an output.
    fn usable(&self, rate: u64) -> Result<u64, QuoteReject> {
        let whole = u64::from(RATE_WHOLE);
        match (self.is_out, self.is_fee_on_input) {
            (false, true) => floor(self.remaining, whole - rate, whole),
            (true, false) => ceil(self.remaining, whole, whole - rate),
            (false, false) | (true, true) => Ok(self.remaining),
        }
    }

    /// What goes in, rounded up, and comes out, rounded down, between the price and `to`; `None` when one of them does
    /// not fit.
    fn amounts(&self, to: u128) -> Option<(u64, u64)> {
        let (price, liquidity) = (self.price, self.liquidity);
        let (amount_in, amount_out) = match self.way {
            Way::AToB => (
                delta_a(price, to, liquidity, true),
                delta_b(price, to, liquidity, false),
            ),
            Way::BToA => (
                delta_b(price, to, liquidity, true),
                delta_a(price, to, liquidity, false),
            ),
        };
        match (amount_in, amount_out) {
            (Delta::Fits(amount_in), Delta::Fits(amount_out)) => Some((amount_in, amount_out)),
            _ => None,
        }
    }

    /// The price that `amount` leads to.
    fn price_after(&self, amount: u64) -> Option<u128> {
        let (price, liquidity) = (self.price, self.liquidity);
        if liquidity == 0 || !(SQRT_PRICE_MIN..SQRT_PRICE_MAX).contains(&price) {
            return None;
        }
        match (self.way, self.is_out) {
            (Way::AToB, false) => next_price_from_a(price, liquidity, amount, true),
            (Way::BToA, false) => next_price_from_b(price, liquidity, amount, true),
            (Way::AToB, true) => next_price_from_b(price, liquidity, amount, false),
            (Way::BToA, true) => next_price_from_a(price, liquidity, amount, false),
        }
    }

    fn with_fee(
        &self,
        amount_in: u64,
        amount_out: u64,
        is_whole: bool,
        rate: u64,
    ) -> Result<Moves, QuoteReject> {
        let whole = u64::from(RATE_WHOLE);
        if self.is_fee_on_input {
            let fee = if self.is_out || is_whole {
                ceil(amount_in, rate, whole - rate)?
            } else {
                // What is left of an input that does not reach the target is fee.
                self.remaining
                    .checked_sub(amount_in)
                    .ok_or(QuoteReject::Overflow)?
            };
            let amount_out = if self.is_out {
                amount_out.min(self.remaining)
            } else {
                amount_out
            };
            return Ok(Moves {
                amount_in,
                amount_out,
                fee,
            });
        }
        let fee = ceil(amount_out, rate, whole)?;
        let net = amount_out.checked_sub(fee).ok_or(QuoteReject::Overflow)?;
        Ok(if self.is_out {
            Moves {
                amount_in,
                amount_out: net.min(self.remaining),
                fee: amount_out - net.min(self.remaining),
            }
        } else {
            Moves {
                // What is left of an input that does not reach the target stays with the pool.
                amount_in: if is_whole { amount_in } else { self.remaining },
                amount_out: net,
                fee,
            }
        })
    }

    /// Serves the limit orders of the tick the price arrived at; whether there were any to serve.
    ///
    /// Source: `match_limit_order_with_sqrt_price`. Orders met before come first.
    fn fill(&mut self, tick: &mut Tick, sqrt_price: u128, rate: u32) -> Result<bool, QuoteReject> {
        let resting = tick
            .orders
            .checked_add(tick.orders_left)
            .ok_or(QuoteReject::Overflow)?;
        if self.remaining == 0 || resting == 0 {
            return Ok(false);
        }
        let filled = self.filled(resting, sqrt_price, u64::from(rate))?;
        let from_left = tick.orders_left.min(filled.given);
        tick.orders_left -= from_left;
        let from_new = filled.given - from_left;
        if from_new > 0 {
            tick.orders_left = tick
                .orders
                .checked_sub(from_new)
                .ok_or(QuoteReject::Overflow)?;
            tick.orders = 0;
        }
        self.take(filled.moves)?;
        self.met_orders = true;
        Ok(true)
    }

    /// What the orders give and the trader pays and gets.
    fn filled(&self, resting: u64, sqrt_price: u128, rate: u64) -> Result<Filled, QuoteReject> {
        let price = price_of(sqrt_price, self.way == Way::BToA).ok_or(QuoteReject::Overflow)?;
        let whole = u64::from(RATE_WHOLE);
        let (given, amount_in, fee) = if self.is_out {
            let wanted = self.remaining.min(resting);
            let given = if self.is_fee_on_input {
                wanted
            } else {
                ceil(wanted, whole, whole - rate)?.min(resting)
            };
            let amount_in = self.paid(given, price)?;
            (given, amount_in, self.fee_on_top(amount_in, rate)?)
        } else {
            let fee = if self.is_fee_on_input {
                ceil(self.remaining, rate, whole)?
            } else {
                0
            };
            let amount_in = self
                .remaining
                .checked_sub(fee)
                .ok_or(QuoteReject::Overflow)?;
            let got = self.got(amount_in, price)?;
            match u64::try_from(got) {
                Ok(given) if given <= resting => (given, amount_in, fee),
                _ => {
                    let amount_in = self.paid(resting, price)?;
                    (resting, amount_in, self.fee_on_top(amount_in, rate)?)
                }
            }
        };
        let (amount_out, fee) = if self.is_fee_on_input {
            (given, fee)
        } else {
            let fee = ceil(given, rate, whole)?;
            (given.checked_sub(fee).ok_or(QuoteReject::Overflow)?, fee)
        };
        Ok(Filled {
            given,
            moves: Moves {
                amount_in,
                amount_out,
                fee,
            },
        })
    }

    /// The fee of an input that is known without it; nothing when the fee is on the output.
    fn fee_on_top(&self, amount_in: u64, rate: u64) -> Result<u64, QuoteReject> {
        if self.is_fee_on_input {
            ceil(amount_in, rate, u64::from(RATE_WHOLE) - rate)
        } else {
            Ok(0)
        }
    }

    /// What limit orders give for `amount_in` at `price`, rounded down. Source: `get_limit_order_output_with_price`.
    fn got(&self, amount_in: u64, price: u128) -> Result<u128, QuoteReject> {
        let amount_in = u128::from(amount_in);
        match self.way {
            Way::AToB => mul_shift_64(amount_in, price),
            Way::BToA => mul_div(amount_in, 1 << 64, price),
        }
        .ok_or(QuoteReject::Overflow)
    }

    /// What limit orders want for `given` at `price`, rounded up. Source: `get_limit_order_input_with_price`.
    fn paid(&self, given: u64, price: u128) -> Result<u64, QuoteReject> {
        let given = u128::from(given);
        match self.way {
            Way::AToB => mul_div_ceil(given, 1 << 64, price),
            Way::BToA => mul_div_ceil(given, price, 1 << 64),
        }
        .and_then(|paid| u64::try_from(paid).ok())
        .ok_or(QuoteReject::Overflow)
    }

    /// Crosses the tick the price arrived at, unless orders still rest in it; the liquidity beyond.
    fn arrive(&mut self, tick: &Tick, index: i32) -> Result<u128, QuoteReject> {
        let stops = tick.has_orders();
        self.is_tick_stale = false;
        // Going down a tick is left when it is crossed, going up it is reached only then.
        self.tick = match (self.way, stops) {
            (Way::AToB, true) | (Way::BToA, false) => index,
            (Way::AToB, false) | (Way::BToA, true) => index - 1,
        };
        if tick.has_liquidity && !stops {
            crossed(self.liquidity, tick.net, self.way).ok_or(QuoteReject::Overflow)
        } else {
            Ok(self.liquidity)
        }
    }

    fn advance(&mut self, next: (i32, u128)) -> Result<(), QuoteReject> {
        let tick = (!self.is_tick_stale).then_some(self.tick);
        self.fee.advance(self.skipped, self.price, next, tick)
    }

    fn tick_now(&self) -> Result<i32, QuoteReject> {
        if self.is_tick_stale {
            tick_at(self.price).ok_or(QuoteReject::Overflow)
        } else {
            Ok(self.tick)
        }
    }
}

/// What one stretch or one tick's orders moved.
struct Moves {
    amount_in: u64,
    amount_out: u64,
    fee: u64,
}

/// What one tick's orders gave, before a fee on it, and what that moved.
struct Filled {
    given: u64,
    moves: Moves,
}

/// Price of token 0 in 64.64 fixed point. Source: `get_price_from_sqrt_price`.
fn price_of(sqrt_price: u128, round_up: bool) -> Option<u128> {
    if round_up {
        mul_div_ceil(sqrt_price, sqrt_price, 1 << 64)
    } else {
        mul_shift_64(sqrt_price, sqrt_price)
    }
}

fn floor(amount: u64, by: u64, over: u64) -> Result<u64, QuoteReject> {
    mul_div(u128::from(amount), u128::from(by), u128::from(over))
        .and_then(|amount| u64::try_from(amount).ok())
        .ok_or(QuoteReject::Overflow)
}

fn ceil(amount: u64, by: u64, over: u64) -> Result<u64, QuoteReject> {
    mul_div_ceil(u128::from(amount), u128::from(by), u128::from(over))
        .and_then(|amount| u64::try_from(amount).ok())
        .ok_or(QuoteReject::Overflow)
}

/// The search for the next initialized tick, array by array as the bitmaps name them.
struct Search<'a> {
    bitmaps: Bitmaps<'a>,
    way: Way,
    /// The array searched, counted from the one that begins at tick 0.
    index: i32,
    /// The first array does not hold the pool's tick and has not been searched yet.
    is_ahead: bool,
}

impl<'a> Search<'a> {
    fn new(
        pool: &'a Pool,
        extension: Option<&'a BitmapExtension>,
        way: Way,
    ) -> Result<Self, QuoteReject> {
        let mut search = Self {
            bitmaps: Bitmaps { pool, extension },
            way,
            index: pool.tick.div_euclid(pool.ticks_of_array()),
            is_ahead: false,
        };
        if !search.bitmaps.holds(search.index)? {
            search.move_on()?;
            search.is_ahead = true;
        }
        Ok(search)
    }

    fn move_on(&mut self) -> Result<(), QuoteReject> {
        let ticks = self.bitmaps.pool.ticks_of_array();
        let range = (TICK_MIN.div_euclid(ticks), TICK_MAX.div_euclid(ticks));
        self.index = self
            .bitmaps
            .after(self.index, self.way, range)?
            .ok_or(QuoteReject::EmptyReserves)?;
        Ok(())
    }

    /// Where the next initialized tick from `tick` on is kept, and its index.
    fn next(&mut self, arrays: &[TickArray], tick: i32) -> Result<(At, i32), QuoteReject> {
        let spacing = i32::from(self.bitmaps.pool.tick_spacing);
        let ticks = self.bitmaps.pool.ticks_of_array();
        let is_down = self.way == Way::AToB;
        let mut is_first = true;
        loop {
            let start = self.index * ticks;
            let slot = arrays
                .iter()
                .position(|array| array.start == start)
                .ok_or(QuoteReject::PastKnown)?;
            let place = if !is_first || self.is_ahead {
                // The whole array lies ahead.
                Some(if is_down {
                    TICK_ARRAY_LEN as i32 - 1
                } else {
                    0
                })
            } else if tick.div_euclid(ticks) == self.index {
                let place = (tick - start).div_euclid(spacing);
                Some(if is_down { place } else { place + 1 })
            } else {
                None
            };
            self.is_ahead = false;
            let array = arrays.get(slot).ok_or(QuoteReject::PastKnown)?;
            if let Some(place) = place.and_then(|place| array.initialized(place, is_down)) {
                return Ok((At { slot, place }, start + place as i32 * spacing));
            }
            self.move_on()?;
            is_first = false;
        }
    }

    /// Takes the array of a tick that became empty out of the pool's own bitmap when no other tick is left in it.
    fn forget_if_empty(&self, after: &mut Pool, arrays: &[TickArray], at: At, tick: &Tick) {
        let Some(array) = arrays.get(at.slot) else {
            return;
        };
        let others = array.ticks.iter().enumerate();
        let mut others = others.filter(|(place, _)| *place != at.place);
        if tick.is_initialized() || others.any(|(_, tick)| tick.is_initialized()) {
            return;
        }
        let bit = array.start.div_euclid(after.ticks_of_array()) + 512;
        if let Ok(bit) = usize::try_from(bit)
            && let Some(word) = after.bitmap.get_mut(bit / 64)
        {
            *word &= !(1 << (bit % 64));
        }
    }
}
