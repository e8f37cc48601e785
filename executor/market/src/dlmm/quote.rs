//! What a swap over a DLMM pair takes, gives and leaves.
//!
//! Source: `commons/src/quote.rs`, `extensions/{lb_pair,bin}.rs` of dlmm-sdk for what is taken and given; what is left
//! in the bins and the pair, and where the program differs from the library, was read off the program's own binary
//! (`tests/golden/dlmm.txt`).

use crate::damm::Terms;
use crate::damm::fee::{FEE_WHOLE, share_up};
use crate::dlmm::account::{BINS, Bin, BinArray, Pair};
use crate::event::Way;
use crate::math::{Wide, mul_shift_64};
use crate::quote::{Amount, QuoteReject, Swapped};
use crate::units::BPS_WHOLE;

const OVERFLOW: QuoteReject = QuoteReject::Overflow;

/// Highest rate of all fees together, billionths: a tenth. Source: `MAX_FEE_RATE`.
const FEE_MAX: u128 = 100_000_000;
/// A referrer's part of the protocol's fee, basis points. Source: `HOST_FEE_BPS`.
const REFERRAL_BPS: u64 = 2_000;
/// Of the fee on filled orders, the part of who placed them, basis points. Source: `LIMIT_ORDER_FEE_SHARE`.
const ORDER_SHARE_BPS: u64 = 5_000;
/// Bins beyond which there is no price. Source: `MIN_BIN_ID`, `MAX_BIN_ID`.
const BIN_BOUND: i32 = 443_636;
/// Arrays that a pair's own map covers, below zero and from zero on. Source: `BIN_ARRAY_BITMAP_SIZE`.
const MAPPED: i32 = 512;

/// What one bin gave.
#[derive(Clone, Copy, Default)]
struct Fill {
    /// Taken, fee included when it is taken from what goes in.
    amount_in: u64,
    /// Given, after a fee taken from what comes out.
    amount_out: u64,
    protocol_fee: u64,
    /// What of the protocol's fee a referrer gets.
    referral: u64,
    /// What goes to market makers of what goes in, and what they give.
    maker_in: u64,
    maker_out: u64,
    /// What orders being filled give.
    processing_out: u64,
    /// What open orders give, when they give anything.
    open_out: Option<u64>,
    /// All that is put in without fees.
    net_in: u64,
}

impl Pair {
    /// Swaps exactly `amount` (side a is x) over the pair's bins, and moves pair and bins to what the program would
    /// leave.
    ///
    /// `arrays` are bin arrays of this pair, in any order. Only arrays of the pair's own map (-512 to 511) are found.
    ///
    /// # Errors
    /// [`QuoteReject::Closed`] while switched off or before activation, [`QuoteReject::PastKnown`] when an array is
    /// needed that `arrays` or the map does not have, [`QuoteReject::PastRemaining`] past the last bin,
    /// [`QuoteReject::ZeroAmount`], [`QuoteReject::Overflow`]; nothing is then changed.
    pub fn swap(
        &mut self,
        arrays: &mut [BinArray],
        way: Way,
        amount: Amount,
        terms: &Terms,
    ) -> Result<Swapped, QuoteReject> {
        // First only looked at, so that a swap that fails midway has changed nothing.
        let (pair, swapped) = self.run(&mut Look(arrays), way, amount, terms)?;
        self.run(&mut Write(arrays), way, amount, terms)?;
        *self = pair;
        Ok(swapped)
    }

    /// What a swap would move, without moving anything.
    ///
    /// # Errors
    /// As [`Pair::swap`].
    pub fn quote(
        &self,
        arrays: &[BinArray],
        way: Way,
        amount: Amount,
        terms: &Terms,
    ) -> Result<Swapped, QuoteReject> {
        Ok(self.run(&mut Look(arrays), way, amount, terms)?.1)
    }

    fn run(
        &self,
        bins: &mut impl Bins,
        way: Way,
        amount: Amount,
        terms: &Terms,
    ) -> Result<(Self, Swapped), QuoteReject> {
        if !self.is_enabled || terms.point(self.by_timestamp) < self.activation_point {
            return Err(QuoteReject::Closed);
        }
        let (fee_in, fee_out) = terms.transfer_fees(way);
        let wanted = match amount {
            Amount::In(amount_in) => fee_in.after(amount_in),
            Amount::Out(amount_out) => fee_out.before(amount_out).ok_or(OVERFLOW)?,
        };
        if wanted == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        let mut after = *self;
        let now = i64::try_from(terms.unix_seconds).map_err(|_| OVERFLOW)?;
        after.begin(now).ok_or(OVERFLOW)?;
        let is_exact_in = matches!(amount, Amount::In(_));
        let total = after.cross(bins, way, wanted, is_exact_in, terms.has_referral)?;
        if after.active_bin != self.active_bin {
            after.updated_at = now;
        }
        let swapped = match amount {
            Amount::In(amount_in) => Swapped {
                amount_in,
                amount_out: fee_out.after(total.amount_out),
            },
            Amount::Out(amount_out) => Swapped {
                amount_in: fee_in.before(total.amount_in).ok_or(OVERFLOW)?,
                amount_out,
            },
        };
        // The program takes nothing for nothing.
        if swapped.amount_out == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        Ok((after, swapped))
    }

    /// Goes from bin to bin until `wanted` is used up.
    fn cross(
        &mut self,
        bins: &mut impl Bins,
        way: Way,
        wanted: u64,
        is_exact_in: bool,
        has_referral: bool,
    ) -> Result<Swapped, QuoteReject> {
        let mut total = Swapped::default();
        let mut left = wanted;
        while left > 0 {
            let index = self.next_array(way).ok_or(QuoteReject::PastKnown)?;
            let array = bins.find(index).ok_or(QuoteReject::PastKnown)?;
            if self.active_bin.div_euclid(BINS) != index {
                // Nothing in between: the price jumps to the near end of the next array that holds anything.
                self.active_bin = match way {
                    Way::AToB => index * BINS + BINS - 1,
                    Way::BToA => index * BINS,
                };
            }
            while left > 0 && self.active_bin.div_euclid(BINS) == index {
                let place = self.active_bin.rem_euclid(BINS) as usize;
                let bin = *bins.bin(array, place);
                if bin.offered(way, self.takes_orders) > 0 {
                    self.accumulate();
                    let fill = if is_exact_in {
                        self.fill_in(&bin, way, left).ok_or(OVERFLOW)?
                    } else {
                        self.fill_out(&bin, way, left)?
                    };
                    self.book(way, &fill, has_referral).ok_or(OVERFLOW)?;
                    bins.book(array, place, way, &fill).ok_or(OVERFLOW)?;
                    let used = if is_exact_in {
                        fill.amount_in
                    } else {
                        fill.amount_out
                    };
                    left = left.checked_sub(used).ok_or(OVERFLOW)?;
                    let (amount_in, amount_out) = (total.amount_in, total.amount_out);
                    total.amount_in = amount_in.checked_add(fill.amount_in).ok_or(OVERFLOW)?;
                    total.amount_out = amount_out.checked_add(fill.amount_out).ok_or(OVERFLOW)?;
                }
                if left > 0 {
                    self.active_bin += if way == Way::AToB { -1 } else { 1 };
                    if self.active_bin.abs() > BIN_BOUND {
                        return Err(QuoteReject::PastRemaining);
                    }
                }
            }
        }
        Ok(total)
    }

    /// The array at or behind the active bin that holds anything, by the pair's own map.
    fn next_array(&self, way: Way) -> Option<i32> {
        let mut bit = u32::try_from(self.active_bin.div_euclid(BINS).checked_add(MAPPED)?).ok()?;
        loop {
            let word = *self.arrays.get(bit as usize / 64)?;
            let rest = match way {
                Way::AToB => word << (63 - bit % 64),
                Way::BToA => word >> (bit % 64),
            };
            if rest != 0 {
                let found = match way {
                    Way::AToB => bit - rest.leading_zeros(),
                    Way::BToA => bit + rest.trailing_zeros(),
                };
                return Some(found as i32 - MAPPED);
            }
            bit = match way {
                Way::AToB => (bit / 64 * 64).checked_sub(1)?,
                Way::BToA => (bit / 64 + 1) * 64,
            };
        }
    }

    /// Before a swap: starts a new movement when the last one is over.
    fn begin(&mut self, now: i64) -> Option<()> {
        let elapsed = now.checked_sub(self.updated_at)?;
        if elapsed >= i64::from(self.filter_period) {
            self.reference_bin = self.active_bin;
            self.reference = if elapsed < i64::from(self.decay_period) {
                let kept = self
                    .accumulator
                    .checked_mul(u32::from(self.reduction_bps))?;
                kept / BPS_WHOLE as u32
            } else {
                0
            };
        }
        Some(())
    }

    /// At every bin that gives.
    fn accumulate(&mut self) {
        let moved = self.reference_bin.abs_diff(self.active_bin);
        let moved = u64::from(moved) * BPS_WHOLE + u64::from(self.reference);
        self.accumulator = u32::try_from(moved)
            .unwrap_or(u32::MAX)
            .min(self.accumulator_max);
    }

    /// The whole rate at the active bin, billionths.
    fn rate(&self) -> Option<u64> {
        let mut rate = self.base_rate;
        if self.variable_fee_control > 0 {
            let moved = u128::from(self.accumulator) * u128::from(self.bin_step);
            let scaled = moved
                .checked_pow(2)?
                .checked_mul(u128::from(self.variable_fee_control))?;
            rate = rate.checked_add(scaled.checked_add(99_999_999_999)? / 100_000_000_000)?;
        }
        Some(rate.min(FEE_MAX) as u64)
    }

    fn fee_on_input(&self, way: Way) -> bool {
        !self.collects_y || way == Way::BToA
    }

    /// What a bin gives for up to `given`.
    fn fill_in(&self, bin: &Bin, way: Way, given: u64) -> Option<Fill> {
        let rate = self.rate()?;
        let on_input = self.fee_on_input(way);
        let mut fee = if on_input {
            fee_within(given, rate)?
        } else {
            0
        };
        let net = given.checked_sub(fee)?;
        let mut fill = bin.give(way, net, self.takes_orders)?;
        fill.amount_in = given;
        if fill.net_in < net {
            if on_input {
                fee = fee_on_top(fill.net_in, rate)?;
            }
            fill.amount_in = fill.net_in.checked_add(fee)?;
        }
        if !on_input {
            fee = fee_within(fill.amount_out, rate)?;
            fill.amount_out = fill.amount_out.checked_sub(fee)?;
        }
        self.share_fee(fee, &mut fill)?;
        Some(fill)
    }

    /// What a bin takes for up to `wanted`.
    fn fill_out(&self, bin: &Bin, way: Way, wanted: u64) -> Result<Fill, QuoteReject> {
        let rate = self.rate().ok_or(OVERFLOW)?;
        let on_input = self.fee_on_input(way);
        let with_fee = if on_input {
            Some(wanted)
        } else {
            fee_on_top(wanted, rate).and_then(|fee| wanted.checked_add(fee))
        };
        let with_fee = with_fee.ok_or(OVERFLOW)?;
        if with_fee >= bin.offered(way, self.takes_orders) {
            return self.fill_in(bin, way, u64::MAX).ok_or(OVERFLOW);
        }
        let mut fill = self.fill_whole(bin, way, with_fee, rate).ok_or(OVERFLOW)?;
        // The price is rounded over all layers at once, the fill by layer: what is short the program refuses (its
        // error 6085), what is over goes to the protocol when the fee is taken from what comes out.
        let over = fill.amount_out.checked_sub(wanted);
        let over = over.ok_or(QuoteReject::Closed)?;
        if !on_input {
            fill.protocol_fee = fill.protocol_fee.checked_add(over).ok_or(OVERFLOW)?;
        }
        fill.amount_out = wanted;
        Ok(fill)
    }

    /// What a bin gives for the price of `out`.
    fn fill_whole(&self, bin: &Bin, way: Way, out: u64, rate: u64) -> Option<Fill> {
        let net = bin.price_of(way, out)?;
        let given = if self.fee_on_input(way) {
            net.checked_add(fee_on_top(net, rate)?)?
        } else {
            net
        };
        self.fill_in(bin, way, given)
    }

    /// The protocol's part of a bin's fee: of market makers' its share, of orders' what who placed them does not get,
    /// and a fee without a fill whole. A referrer gets a part of its share of both.
    fn share_fee(&self, fee: u64, fill: &mut Fill) -> Option<()> {
        if fill.net_in == 0 {
            fill.protocol_fee = fee;
            return Some(());
        }
        let makers = share_up(fee, fill.maker_in, fill.net_in)?;
        let orders = fee.checked_sub(makers)?;
        let protocol_share = u64::from(self.protocol_share_bps);
        let of_makers = bps_of(makers, protocol_share)?;
        let of_orders = orders - bps_of(orders, ORDER_SHARE_BPS)?;
        fill.protocol_fee = of_makers.checked_add(of_orders)?;
        let shared_of_orders = bps_of(orders, protocol_share)?;
        fill.referral = bps_of(of_makers, REFERRAL_BPS)?
            .checked_add(bps_of(shared_of_orders, REFERRAL_BPS)?)?;
        Some(())
    }

    fn book(&mut self, way: Way, fill: &Fill, has_referral: bool) -> Option<()> {
        let referral = if has_referral { fill.referral } else { 0 };
        let kept = fill.protocol_fee.checked_sub(referral)?;
        let fees = if self.collects_y || way == Way::BToA {
            &mut self.protocol_fee_y
        } else {
            &mut self.protocol_fee_x
        };
        *fees = fees.checked_add(kept)?;
        Some(())
    }
}

/// The bins of a swap: looked at, or also written.
trait Bins {
    fn find(&self, index: i32) -> Option<usize>;
    fn bin(&self, array: usize, place: usize) -> &Bin;
    fn book(&mut self, array: usize, place: usize, way: Way, fill: &Fill) -> Option<()>;
}

struct Look<'a>(&'a [BinArray]);
struct Write<'a>(&'a mut [BinArray]);

impl Bins for Look<'_> {
    fn find(&self, index: i32) -> Option<usize> {
        self.0.iter().position(|array| array.index == index)
    }

    fn bin(&self, array: usize, place: usize) -> &Bin {
        &self.0[array].bins[place]
    }

    fn book(&mut self, array: usize, place: usize, way: Way, fill: &Fill) -> Option<()> {
        self.bin(array, place).filled(way, fill).map(|_| ())
    }
}

impl Bins for Write<'_> {
    fn find(&self, index: i32) -> Option<usize> {
        Look(self.0).find(index)
    }

    fn bin(&self, array: usize, place: usize) -> &Bin {
        &self.0[array].bins[place]
    }

    fn book(&mut self, array: usize, place: usize, way: Way, fill: &Fill) -> Option<()> {
        let bin = &mut self.0[array].bins[place];
        *bin = bin.filled(way, fill)?;
        Some(())
    }
}

impl Bin {
    /// Market makers' side that a swap takes from.
    const fn makers(&self, way: Way) -> u64 {
        match way {
            Way::AToB => self.amount_y,
            Way::BToA => self.amount_x,
        }
    }

    /// Orders being filled and open ones, when they sell what a swap takes.
    fn orders(&self, way: Way, takes_orders: bool) -> (u64, u64) {
        if takes_orders && self.is_ask == (way == Way::BToA) {
            (self.processing_left, self.open)
        } else {
            (0, 0)
        }
    }

    /// All there is to take.
    fn offered(&self, way: Way, takes_orders: bool) -> u64 {
        let (processing, open) = self.orders(way, takes_orders);
        self.makers(way)
            .saturating_add(open)
            .saturating_add(processing)
    }

    /// Fills market makers first, then orders being filled, then open ones; each layer is rounded by itself.
    fn give(&self, way: Way, net: u64, takes_orders: bool) -> Option<Fill> {
        let (processing, open) = self.orders(way, takes_orders);
        let (maker_in, maker_out) = self.layer(way, net, self.makers(way))?;
        let mut fill = Fill {
            net_in: maker_in,
            amount_out: maker_out,
            maker_in,
            maker_out,
            ..Fill::default()
        };
        let mut left = net.checked_sub(maker_in)?;
        if left > 0 {
            let (used, out) = self.layer(way, left, processing)?;
            fill.processing_out = out;
            fill.net_in = fill.net_in.checked_add(used)?;
            fill.amount_out = fill.amount_out.checked_add(out)?;
            left = left.checked_sub(used)?;
        }
        if left > 0 && open > 0 {
            let (used, out) = self.layer(way, left, open)?;
            fill.open_out = (out > 0).then_some(out);
            fill.net_in = fill.net_in.checked_add(used)?;
            fill.amount_out = fill.amount_out.checked_add(out)?;
        }
        Some(fill)
    }

    /// What one layer takes and gives.
    fn layer(&self, way: Way, net: u64, most_out: u64) -> Option<(u64, u64)> {
        if most_out == 0 {
            return Some((0, 0));
        }
        let most_in = self.price_of(way, most_out)?;
        if net >= most_in {
            Some((most_in, most_out))
        } else {
            Some((net, self.worth(way, net)?))
        }
    }

    /// What buys `out` at this price, rounded up.
    fn price_of(&self, way: Way, out: u64) -> Option<u64> {
        let amount = match way {
            Way::AToB => {
                let whole = u128::from(out) << 64;
                let cost = whole.checked_div(self.price)?;
                cost + u128::from(whole % self.price != 0)
            }
            Way::BToA => {
                let product = Wide::product(u128::from(out), self.price);
                let past = product.low & u128::from(u64::MAX) != 0;
                mul_shift_64(u128::from(out), self.price)?.checked_add(u128::from(past))?
            }
        };
        u64::try_from(amount).ok()
    }

    /// What `given` buys at this price, rounded down.
    fn worth(&self, way: Way, given: u64) -> Option<u64> {
        let amount = match way {
            Way::AToB => mul_shift_64(u128::from(given), self.price)?,
            Way::BToA => (u128::from(given) << 64).checked_div(self.price)?,
        };
        u64::try_from(amount).ok()
    }

    /// The bin after `fill`. The first of open orders that is given makes all of them orders being filled.
    fn filled(&self, way: Way, fill: &Fill) -> Option<Self> {
        let mut after = *self;
        let (into, from) = match way {
            Way::AToB => (&mut after.amount_x, &mut after.amount_y),
            Way::BToA => (&mut after.amount_y, &mut after.amount_x),
        };
        *into = into.checked_add(fill.maker_in)?;
        *from = from.checked_sub(fill.maker_out)?;
        after.processing_left = after.processing_left.checked_sub(fill.processing_out)?;
        if let Some(out) = fill.open_out {
            after.processing = self.open;
            after.processing_left = self.open.checked_sub(out)?;
            after.open = 0;
            after.order_age = self.order_age.checked_add(1)?;
        }
        Some(after)
    }
}

/// The fee within an amount that holds it, rounded up.
fn fee_within(amount: u64, rate: u64) -> Option<u64> {
    share_up(amount, rate, FEE_WHOLE)
}

/// The fee on top of an amount without it, rounded up.
fn fee_on_top(amount: u64, rate: u64) -> Option<u64> {
    share_up(amount, rate, FEE_WHOLE - rate)
}

/// `floor(amount * bps / 10_000)`.
fn bps_of(amount: u64, bps: u64) -> Option<u64> {
    let part = u128::from(amount) * u128::from(bps) / u128::from(BPS_WHOLE);
    u64::try_from(part).ok()
}
