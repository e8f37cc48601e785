//! What a swap along a bonding curve takes, gives and leaves.
//!
//! Source: `state/virtual_pool.rs`, `instructions/swap/*.rs` of dynamic-bonding-curve.

use crate::damm::Terms;
use crate::damm::fee::{Amounted, At, add_fee, share, take_fee};
use crate::damm::price::{self, Round};
use crate::damm::wide;
use crate::dbc::account::{Config, Curve, FEE_MAX, POINTS};
use crate::event::Way;
use crate::math::Wide;
use crate::quote::{Amount, QuoteReject, Swapped};

const OVERFLOW: QuoteReject = QuoteReject::Overflow;
const PAST_REMAINING: QuoteReject = QuoteReject::PastRemaining;

/// Parts of a fee, percent. Source: `PROTOCOL_FEE_PERCENT`, `HOST_FEE_PERCENT`.
const PROTOCOL_PERCENT: u64 = 20;
const REFERRAL_PERCENT: u64 = 20;

/// Where an amount leads along the curve.
struct Walk {
    price: u128,
    /// Of the amount given, what found no more curve.
    left: u64,
    /// The other side's amount.
    total: u64,
}

/// A swap before it is booked.
struct Traded {
    amount_in: u64,
    amount_out: u64,
    net_in: u64,
    fee: u64,
    price: u128,
}

impl Curve {
    /// Swaps exactly `amount` (side a is the coin) and moves the curve to what the program would leave.
    ///
    /// `config` is the curve's own. The program takes no mint with transfer fees, so `terms` need none.
    /// `amount_out` may be zero where the program gives nothing for so little.
    ///
    /// # Errors
    /// [`QuoteReject::Closed`] once complete, [`QuoteReject::PastRemaining`] where the curve ends before the amount
    /// does or too few coins would be left for the pool, [`QuoteReject::ZeroAmount`], [`QuoteReject::Overflow`]; the
    /// curve is then unchanged.
    pub fn swap(
        &mut self,
        config: &Config,
        way: Way,
        amount: Amount,
        terms: &Terms,
    ) -> Result<Swapped, QuoteReject> {
        self.trade(config, way, terms, |curve, swap| match amount {
            Amount::In(0) | Amount::Out(0) => Err(QuoteReject::ZeroAmount),
            Amount::In(amount_in) => {
                let (traded, left) = curve.given_in(swap, amount_in)?;
                if left == 0 {
                    Ok(traded)
                } else {
                    Err(PAST_REMAINING)
                }
            }
            Amount::Out(amount_out) => curve.given_out(swap, amount_out),
        })
    }

    /// Swaps up to `amount_in`: less when the curve ends before (partial fill).
    ///
    /// # Errors
    /// As [`Curve::swap`].
    pub fn swap_up_to(
        &mut self,
        config: &Config,
        way: Way,
        amount_in: u64,
        terms: &Terms,
    ) -> Result<Swapped, QuoteReject> {
        self.trade(config, way, terms, |curve, swap| {
            if amount_in == 0 {
                return Err(QuoteReject::ZeroAmount);
            }
            let (mut traded, left) = curve.given_in(swap, amount_in)?;
            if left > 0 {
                traded.net_in = traded.net_in.checked_sub(left).ok_or(OVERFLOW)?;
                traded.amount_in = traded.net_in;
                if swap.fee_on_input {
                    let rate = curve.rate(swap, Amounted::Excluded(traded.net_in))?;
                    (traded.amount_in, traded.fee) =
                        add_fee(traded.net_in, rate).ok_or(OVERFLOW)?;
                }
            }
            Ok(traded)
        })
    }

    fn trade(
        &mut self,
        config: &Config,
        way: Way,
        terms: &Terms,
        compute: impl FnOnce(&Self, &Asked<'_>) -> Result<Traded, QuoteReject>,
    ) -> Result<Swapped, QuoteReject> {
        let point = terms.point(config.by_timestamp);
        if self.quote_reserve >= config.quote_threshold || point < self.activation_point {
            return Err(QuoteReject::Closed);
        }
        let swap = Asked {
            config,
            way,
            fee_on_input: config.collects_quote && way == Way::BToA,
            pays_lowest: config.first_swap_is_cheap
                && !self.has_swap
                && terms.in_launch
                && !terms.has_referral,
            passed: point - self.activation_point,
        };
        let mut after = *self;
        if let Some(surcharge) = &config.surcharge {
            surcharge
                .begin(&mut after.volatility, self.price, terms.unix_seconds)
                .ok_or(OVERFLOW)?;
        }
        let traded = compute(&after, &swap)?;
        after.book(&swap, &traded, terms).ok_or(OVERFLOW)?;
        let is_complete = after.quote_reserve >= config.quote_threshold;
        if is_complete && after.base_reserve < config.base_needed {
            return Err(PAST_REMAINING);
        }
        *self = after;
        Ok(Swapped {
            amount_in: traded.amount_in,
            amount_out: traded.amount_out,
        })
    }

    /// The whole rate for that amount, billionths.
    fn rate(&self, swap: &Asked<'_>, amount: Amounted) -> Result<u64, QuoteReject> {
        let config = swap.config;
        if swap.pays_lowest {
            return config.base_fee.lowest();
        }
        let at = At {
            passed: swap.passed,
            way: swap.way,
            first_price: config.start_price,
            price: self.price,
        };
        let base = config.base_fee.rate(&at, amount)?;
        let surcharge = match &config.surcharge {
            Some(surcharge) => surcharge.rate(&self.volatility).ok_or(OVERFLOW)?,
            None => 0,
        };
        let rate = surcharge.checked_add(u128::from(base)).ok_or(OVERFLOW)?;
        Ok(u64::try_from(rate).unwrap_or(FEE_MAX).min(FEE_MAX))
    }

    /// The trade, and what of the amount found no more curve: still counted in the trade.
    fn given_in(&self, swap: &Asked<'_>, amount_in: u64) -> Result<(Traded, u64), QuoteReject> {
        let rate = self.rate(swap, Amounted::Included(amount_in))?;
        let (net_in, fee_in) = if swap.fee_on_input {
            take_fee(amount_in, rate).ok_or(OVERFLOW)?
        } else {
            (amount_in, 0)
        };
        let walk = match swap.way {
            Way::AToB => self.sell(swap.config, net_in),
            Way::BToA => self.buy(swap.config, net_in),
        };
        let walk = walk.ok_or(OVERFLOW)?;
        let (amount_out, fee) = if swap.fee_on_input {
            (walk.total, fee_in)
        } else {
            take_fee(walk.total, rate).ok_or(OVERFLOW)?
        };
        let traded = Traded {
            amount_in,
            amount_out,
            net_in,
            fee,
            price: walk.price,
        };
        Ok((traded, walk.left))
    }

    fn given_out(&self, swap: &Asked<'_>, amount_out: u64) -> Result<Traded, QuoteReject> {
        let (with_fee, fee_out) = if swap.fee_on_input {
            (amount_out, 0)
        } else {
            let rate = self.rate(swap, Amounted::Excluded(amount_out))?;
            add_fee(amount_out, rate).ok_or(OVERFLOW)?
        };
        let walk = match swap.way {
            Way::AToB => self.sell_for(swap.config, with_fee),
            Way::BToA => self.buy_exactly(swap.config, with_fee),
        };
        let walk = walk.ok_or(OVERFLOW)?;
        if walk.left != 0 || walk.price > swap.config.migration_price {
            return Err(PAST_REMAINING);
        }
        let (amount_in, fee) = if swap.fee_on_input {
            let rate = self.rate(swap, Amounted::Excluded(walk.total))?;
            add_fee(walk.total, rate).ok_or(OVERFLOW)?
        } else {
            (walk.total, fee_out)
        };
        Ok(Traded {
            amount_in,
            amount_out,
            net_in: walk.total,
            fee,
            price: walk.price,
        })
    }

    /// Coins in, quote out: down the curve, at the end to its first price and no further.
    fn sell(&self, config: &Config, amount: u64) -> Option<Walk> {
        let mut walk = self.walk(amount);
        for (end, liquidity) in below(config) {
            if end >= walk.price {
                continue;
            }
            let most = price::amount_a(end, walk.price, liquidity, Round::Up)?;
            let next = if fits(walk.left, most) {
                price::after_a_in(walk.price, liquidity, walk.left)?
            } else {
                end
            };
            let out = price::amount_b(next, walk.price, liquidity, Round::Down)?;
            if walk.step(next, most, out)? {
                return Some(walk);
            }
        }
        if walk.left != 0 {
            let liquidity = config.points[0].liquidity;
            let aim = price::after_a_in(nonzero(walk.price)?, nonzero(liquidity)?, walk.left)?;
            let next = aim.max(config.start_price);
            let left = if aim < config.start_price {
                let most = price::amount_a(next, walk.price, liquidity, Round::Up)?;
                walk.left.checked_sub(price::tokens(most)?)?
            } else {
                0
            };
            let out = price::amount_b(next, walk.price, liquidity, Round::Down)?;
            walk.total = walk.total.checked_add(price::tokens(out)?)?;
            (walk.price, walk.left) = (next, left);
        }
        Some(walk)
    }

    /// Quote in, coins out: up the curve, to the migration price and no further.
    fn buy(&self, config: &Config, amount: u64) -> Option<Walk> {
        let mut walk = self.walk(amount);
        for (end, liquidity) in above(config) {
            let end = end.min(config.migration_price);
            if end <= walk.price {
                continue;
            }
            let most = price::amount_b(walk.price, end, liquidity, Round::Up)?;
            let next = if fits(walk.left, most) {
                price::after_b_in(nonzero(walk.price)?, liquidity, walk.left)?
            } else {
                end
            };
            let out = price::amount_a(walk.price, next, liquidity, Round::Down)?;
            if walk.step(next, most, out)? || next == config.migration_price {
                break;
            }
        }
        Some(walk)
    }

    /// Quote out, coins in.
    fn sell_for(&self, config: &Config, amount: u64) -> Option<Walk> {
        let mut walk = self.walk(amount);
        for (end, liquidity) in below(config) {
            if end >= walk.price {
                continue;
            }
            let most = price::amount_b(end, walk.price, liquidity, Round::Down)?;
            let next = if fits(walk.left, most) {
                price::after_b_out(walk.price, liquidity, walk.left)?
            } else {
                end
            };
            let given = price::amount_a(next, walk.price, liquidity, Round::Up)?;
            if walk.step(next, most, given)? {
                return Some(walk);
            }
        }
        if walk.left != 0 {
            let liquidity = config.points[0].liquidity;
            let most = price::amount_b(config.start_price, walk.price, liquidity, Round::Down)?;
            if wide::from(u128::from(walk.left)) > most {
                return Some(walk);
            }
            let next = price::after_b_out(nonzero(walk.price)?, nonzero(liquidity)?, walk.left)?;
            if next < config.start_price {
                return Some(walk);
            }
            let given = price::amount_a(next, walk.price, liquidity, Round::Up)?;
            walk.total = walk.total.checked_add(price::tokens(given)?)?;
            (walk.price, walk.left) = (next, 0);
        }
        Some(walk)
    }

    /// Coins out, quote in.
    fn buy_exactly(&self, config: &Config, amount: u64) -> Option<Walk> {
        let mut walk = self.walk(amount);
        for (end, liquidity) in above(config) {
            if end <= walk.price {
                continue;
            }
            let most = price::amount_a(walk.price, end, liquidity, Round::Down)?;
            let next = if fits(walk.left, most) {
                price::after_a_out(walk.price, liquidity, walk.left)?
            } else {
                end
            };
            let given = price::amount_b(walk.price, next, liquidity, Round::Up)?;
            if walk.step(next, most, given)? {
                break;
            }
        }
        Some(walk)
    }

    const fn walk(&self, amount: u64) -> Walk {
        Walk {
            price: self.price,
            left: amount,
            total: 0,
        }
    }

    fn book(&mut self, swap: &Asked<'_>, traded: &Traded, terms: &Terms) -> Option<()> {
        let config = swap.config;
        let before = self.price;
        self.price = traded.price;
        let protocol = share(traded.fee, PROTOCOL_PERCENT, 100)?;
        let trading = traded.fee.checked_sub(protocol)?;
        let referral = if terms.has_referral {
            share(protocol, REFERRAL_PERCENT, 100)?
        } else {
            0
        };
        let creator = share(trading, u64::from(config.creator_percent), 100)?;
        let fees = if !config.collects_quote && swap.way == Way::BToA {
            &mut self.base_fees
        } else {
            &mut self.quote_fees
        };
        fees.protocol = fees.protocol.checked_add(protocol - referral)?;
        fees.partner = fees.partner.checked_add(trading.checked_sub(creator)?)?;
        fees.creator = fees.creator.checked_add(creator)?;

        let out = if swap.fee_on_input {
            traded.amount_out
        } else {
            traded.amount_out.checked_add(traded.fee)?
        };
        let (into, from) = match swap.way {
            Way::AToB => (&mut self.base_reserve, &mut self.quote_reserve),
            Way::BToA => (&mut self.quote_reserve, &mut self.base_reserve),
        };
        *into = into.checked_add(traded.net_in)?;
        *from = from.checked_sub(out)?;
        if let Some(surcharge) = &config.surcharge {
            let volatility = &mut self.volatility;
            surcharge.end(volatility, before, self.price, terms.unix_seconds)?;
        }
        self.has_swap = true;
        Some(())
    }
}

/// What was asked, as the program has it when it begins to compute.
struct Asked<'a> {
    config: &'a Config,
    way: Way,
    fee_on_input: bool,
    pays_lowest: bool,
    /// Slots or seconds since the curve opened.
    passed: u64,
}

impl Walk {
    /// Takes one stretch, or the part of it that is left to go; whether that was all.
    fn step(&mut self, next: u128, most: Wide, other: Wide) -> Option<bool> {
        self.total = self.total.checked_add(price::tokens(other)?)?;
        self.price = next;
        if fits(self.left, most) {
            self.left = 0;
            return Some(true);
        }
        self.left = self.left.checked_sub(price::tokens(most)?)?;
        Some(false)
    }
}

/// Whether an amount ends within a stretch.
fn fits(amount: u64, most: Wide) -> bool {
    wide::from(u128::from(amount)) < most
}

/// The stretches downwards: where each ends and its liquidity. The lowest has the first price as its end and is not
/// among them.
fn below(config: &Config) -> impl Iterator<Item = (u128, u128)> {
    let points = &config.points;
    (0..POINTS - 1)
        .rev()
        .filter(|index| points[*index].price != 0 && points[*index].liquidity != 0)
        .map(|index| (points[index].price, points[index + 1].liquidity))
}

/// The stretches upwards.
fn above(config: &Config) -> impl Iterator<Item = (u128, u128)> {
    let points = config.points.iter();
    points
        .take_while(|point| point.price != 0 && point.liquidity != 0)
        .map(|point| (point.price, point.liquidity))
}

/// Where the program stops on a zero.
const fn nonzero(value: u128) -> Option<u128> {
    if value == 0 { None } else { Some(value) }
}
