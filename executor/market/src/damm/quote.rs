//! What a swap over a DAMM v2 pool takes, gives and leaves.
//!
//! Source: `state/pool.rs`, `instructions/swap/*.rs`, `liquidity_handler/*.rs` of damm-v2.

use crate::damm::Terms;
use crate::damm::account::{CollectFees, Pool};
use crate::damm::fee::{Amounted, At, add_fee, share, take_fee};
use crate::damm::price::{self, Round};
use crate::damm::wide;
use crate::event::Way;
use crate::math::Wide;
use crate::quote::{Amount, QuoteReject, Swapped};
use crate::units::BPS_WHOLE;

const OVERFLOW: QuoteReject = QuoteReject::Overflow;

/// What the curve itself answers.
struct Step {
    /// In or out, whichever was not given.
    amount: u64,
    /// Of what was given, what was not used (a partial fill at the end of the range).
    left: u64,
    price: u128,
}

/// What the trader's side of the pool sees, transfer fees apart.
#[derive(Default)]
struct Traded {
    amount_in: u64,
    amount_out: u64,
    /// What reaches the curve of what goes in.
    net_in: u64,
    fee: u64,
    price: u128,
}

impl Pool {
    /// Swaps exactly `amount` and moves the pool to what the program would leave.
    ///
    /// `amount_out` may be zero where the program gives nothing for so little. Fees per share of liquidity, which no
    /// swap depends on, are not kept. A whitelisted vault's early buys are not modelled.
    ///
    /// # Errors
    /// [`QuoteReject::Closed`] while switched off or before activation, [`QuoteReject::PastRemaining`] past the end
    /// of the price range, [`QuoteReject::ZeroAmount`], [`QuoteReject::EmptyReserves`], [`QuoteReject::Overflow`];
    /// the pool is then unchanged.
    pub fn swap(
        &mut self,
        way: Way,
        amount: Amount,
        terms: &Terms,
    ) -> Result<Swapped, QuoteReject> {
        let mut after = self.begun(terms)?;
        let (fee_in, fee_out) = terms.transfer_fees(way);
        let swapped = match amount {
            Amount::In(amount_in) => {
                let given = nonzero(fee_in.after(amount_in))?;
                let result = after.exact_in(way, given, terms)?;
                after.apply(way, &result, terms)?;
                Swapped {
                    amount_in,
                    amount_out: fee_out.after(result.amount_out),
                }
            }
            Amount::Out(amount_out) => {
                let sent = nonzero(fee_out.before(amount_out).ok_or(OVERFLOW)?)?;
                let result = after.exact_out(way, sent, terms)?;
                after.apply(way, &result, terms)?;
                Swapped {
                    amount_in: fee_in.before(result.amount_in).ok_or(OVERFLOW)?,
                    amount_out,
                }
            }
        };
        *self = after;
        Ok(swapped)
    }

    /// Swaps up to `amount_in`: less when the price range ends before (partial fill).
    ///
    /// # Errors
    /// As [`Pool::swap`].
    pub fn swap_up_to(
        &mut self,
        way: Way,
        amount_in: u64,
        terms: &Terms,
    ) -> Result<Swapped, QuoteReject> {
        let mut after = self.begun(terms)?;
        let (fee_in, fee_out) = terms.transfer_fees(way);
        let given = nonzero(fee_in.after(amount_in))?;
        let result = after.partial_in(way, given, terms)?;
        nonzero(result.amount_in)?;
        after.apply(way, &result, terms)?;
        *self = after;
        Ok(Swapped {
            amount_in: fee_in.before(result.amount_in).ok_or(OVERFLOW)?,
            amount_out: fee_out.after(result.amount_out),
        })
    }

    /// The pool as the program has it when it begins to compute.
    fn begun(&self, terms: &Terms) -> Result<Self, QuoteReject> {
        let mut begun = *self;
        if !self.is_enabled || terms.point(self.by_timestamp) < self.activation_point {
            return Err(QuoteReject::Closed);
        }
        if self.liquidity == 0 {
            return Err(QuoteReject::EmptyReserves);
        }
        if !self.keeps_amounts {
            (begun.amount_a, begun.amount_b) = self.reserves()?;
            begun.keeps_amounts = true;
        }
        if let Some(surcharge) = &self.surcharge {
            let volatility = &mut begun.volatility;
            surcharge
                .begin(volatility, self.price, terms.unix_seconds)
                .ok_or(OVERFLOW)?;
        }
        Ok(begun)
    }

    /// Tokens that back the liquidity at the price it stands at.
    fn reserves(&self) -> Result<(u64, u64), QuoteReject> {
        if self.collect == CollectFees::Compounding {
            return Ok((self.amount_a, self.amount_b));
        }
        let a = price::amount_a(self.price, self.price_max, self.liquidity, Round::Up);
        let b = price::amount_b(self.price_min, self.price, self.liquidity, Round::Up);
        let tokens = |amount: Option<Wide>| amount.and_then(price::tokens).ok_or(OVERFLOW);
        Ok((tokens(a)?, tokens(b)?))
    }

    /// Whether the fee is taken from what goes in.
    fn fee_on_input(&self, way: Way) -> bool {
        self.collect != CollectFees::Output && way == Way::BToA
    }

    /// The whole rate for a swap of that amount, billionths.
    fn rate(&self, way: Way, amount: Amounted, terms: &Terms) -> Result<u64, QuoteReject> {
        let base = self.base_fee.rate(
            &At {
                passed: terms
                    .point(self.by_timestamp)
                    .saturating_sub(self.activation_point),
                way,
                first_price: self.first_price,
                price: self.price,
            },
            amount,
        )?;
        let surcharge = match &self.surcharge {
            Some(surcharge) => surcharge.rate(&self.volatility).ok_or(OVERFLOW)?,
            None => 0,
        };
        let rate = surcharge.checked_add(u128::from(base)).ok_or(OVERFLOW)?;
        let rate = u64::try_from(rate).map_err(|_| OVERFLOW)?;
        Ok(rate.min(self.fee_max))
    }

    fn exact_in(&self, way: Way, given: u64, terms: &Terms) -> Result<Traded, QuoteReject> {
        let rate = self.rate(way, Amounted::Included(given), terms)?;
        if self.fee_on_input(way) {
            let (net_in, fee) = take_fee(given, rate).ok_or(OVERFLOW)?;
            let step = self.step_in(way, net_in)?;
            return Ok(Traded {
                amount_in: given,
                amount_out: step.amount,
                net_in,
                fee,
                price: step.price,
            });
        }
        let step = self.step_in(way, given)?;
        let (amount_out, fee) = take_fee(step.amount, rate).ok_or(OVERFLOW)?;
        Ok(Traded {
            amount_in: given,
            amount_out,
            net_in: given,
            fee,
            price: step.price,
        })
    }

    fn partial_in(&self, way: Way, given: u64, terms: &Terms) -> Result<Traded, QuoteReject> {
        let rate = self.rate(way, Amounted::Included(given), terms)?;
        if self.fee_on_input(way) {
            let (net_in, fee) = take_fee(given, rate).ok_or(OVERFLOW)?;
            let step = self.step_up_to(way, net_in)?;
            let mut result = Traded {
                amount_in: given,
                amount_out: step.amount,
                net_in,
                fee,
                price: step.price,
            };
            if step.left > 0 {
                result.net_in = net_in.checked_sub(step.left).ok_or(OVERFLOW)?;
                let rate = self.rate(way, Amounted::Excluded(result.net_in), terms)?;
                (result.amount_in, result.fee) = add_fee(result.net_in, rate).ok_or(OVERFLOW)?;
            }
            return Ok(result);
        }
        let step = self.step_up_to(way, given)?;
        let used = given.checked_sub(step.left).ok_or(OVERFLOW)?;
        let (amount_out, fee) = take_fee(step.amount, rate).ok_or(OVERFLOW)?;
        Ok(Traded {
            amount_in: used,
            amount_out,
            net_in: used,
            fee,
            price: step.price,
        })
    }

    fn exact_out(&self, way: Way, sent: u64, terms: &Terms) -> Result<Traded, QuoteReject> {
        if self.fee_on_input(way) {
            let step = self.step_out(way, sent)?;
            let rate = self.rate(way, Amounted::Excluded(step.amount), terms)?;
            let (amount_in, fee) = add_fee(step.amount, rate).ok_or(OVERFLOW)?;
            return Ok(Traded {
                amount_in,
                amount_out: sent,
                net_in: step.amount,
                fee,
                price: step.price,
            });
        }
        let rate = self.rate(way, Amounted::Excluded(sent), terms)?;
        let (with_fee, fee) = add_fee(sent, rate).ok_or(OVERFLOW)?;
        let step = self.step_out(way, with_fee)?;
        Ok(Traded {
            amount_in: step.amount,
            amount_out: sent,
            net_in: step.amount,
            fee,
            price: step.price,
        })
    }

    fn step_in(&self, way: Way, amount: u64) -> Result<Step, QuoteReject> {
        if self.collect == CollectFees::Compounding {
            return self.product_in(way, amount);
        }
        let next = self.price_after_in(way, amount)?;
        if next < self.price_min || next > self.price_max {
            return Err(QuoteReject::PastRemaining);
        }
        Ok(Step {
            amount: self.out_until(way, next)?,
            left: 0,
            price: next,
        })
    }

    fn step_up_to(&self, way: Way, amount: u64) -> Result<Step, QuoteReject> {
        if self.collect == CollectFees::Compounding {
            return self.product_in(way, amount);
        }
        let (liquidity, end) = (self.liquidity, self.end(way));
        let most = match way {
            Way::AToB => price::amount_a(end, self.price, liquidity, Round::Up),
            Way::BToA => price::amount_b(self.price, end, liquidity, Round::Up),
        };
        let most = most.ok_or(OVERFLOW)?;
        let (used, next) = if wide::from(u128::from(amount)) >= most {
            (price::tokens(most).ok_or(OVERFLOW)?, end)
        } else {
            (amount, self.price_after_in(way, amount)?)
        };
        Ok(Step {
            amount: self.out_until(way, next)?,
            left: amount - used,
            price: next,
        })
    }

    fn step_out(&self, way: Way, amount: u64) -> Result<Step, QuoteReject> {
        if self.collect == CollectFees::Compounding {
            let (into, from) = self.sides(way);
            let rest = from.checked_sub(amount).filter(|rest| *rest > 0);
            let rest = rest.ok_or(QuoteReject::PastRemaining)?;
            let product = u128::from(into) * u128::from(amount);
            let given = product.div_ceil(u128::from(rest));
            return Ok(Step {
                amount: u64::try_from(given).map_err(|_| OVERFLOW)?,
                left: 0,
                price: 0,
            });
        }
        let (now, liquidity) = (self.price, self.liquidity);
        let next = match way {
            _ if amount == 0 => Some(now),
            Way::AToB => price::after_b_out(now, liquidity, amount),
            Way::BToA => price::after_a_out(now, liquidity, amount),
        };
        let next = next.ok_or(QuoteReject::PastRemaining)?;
        if next < self.price_min || next > self.price_max {
            return Err(QuoteReject::PastRemaining);
        }
        let given = match way {
            Way::AToB => price::amount_a(next, now, liquidity, Round::Up),
            Way::BToA => price::amount_b(now, next, liquidity, Round::Up),
        };
        Ok(Step {
            amount: given.and_then(price::tokens).ok_or(OVERFLOW)?,
            left: 0,
            price: next,
        })
    }

    /// Constant product; the price is made anew from the amounts after the swap.
    fn product_in(&self, way: Way, amount: u64) -> Result<Step, QuoteReject> {
        let (into, from) = self.sides(way);
        let whole = into.checked_add(amount).ok_or(OVERFLOW)?;
        Ok(Step {
            amount: share(from, amount, whole).ok_or(QuoteReject::EmptyReserves)?,
            left: 0,
            price: 0,
        })
    }

    /// What backs the side that takes, and the one that gives.
    const fn sides(&self, way: Way) -> (u64, u64) {
        match way {
            Way::AToB => (self.amount_a, self.amount_b),
            Way::BToA => (self.amount_b, self.amount_a),
        }
    }

    /// Where the price range ends that way.
    const fn end(&self, way: Way) -> u128 {
        match way {
            Way::AToB => self.price_min,
            Way::BToA => self.price_max,
        }
    }

    fn price_after_in(&self, way: Way, amount: u64) -> Result<u128, QuoteReject> {
        match way {
            _ if amount == 0 => Some(self.price),
            Way::AToB => price::after_a_in(self.price, self.liquidity, amount),
            Way::BToA => price::after_b_in(self.price, self.liquidity, amount),
        }
        .ok_or(OVERFLOW)
    }

    fn out_until(&self, way: Way, next: u128) -> Result<u64, QuoteReject> {
        match way {
            Way::AToB => price::amount_b(next, self.price, self.liquidity, Round::Down),
            Way::BToA => price::amount_a(self.price, next, self.liquidity, Round::Down),
        }
        .and_then(price::tokens)
        .ok_or(OVERFLOW)
    }

    /// Books a swap.
    fn apply(&mut self, way: Way, result: &Traded, terms: &Terms) -> Result<(), QuoteReject> {
        self.book(way, result, terms).ok_or(OVERFLOW)
    }

    fn book(&mut self, way: Way, result: &Traded, terms: &Terms) -> Option<()> {
        let before = self.price;
        let protocol = share(result.fee, u64::from(self.protocol_percent), 100)?;
        let rest = result.fee.checked_sub(protocol)?;
        let compounding = share(rest, u64::from(self.compounding_bps), BPS_WHOLE)?;
        rest.checked_sub(compounding)?;
        let referral = if terms.has_referral {
            share(protocol, u64::from(self.referral_percent), 100)?
        } else {
            0
        };
        let kept = protocol.checked_sub(referral)?;
        let fee_is_a = self.collect == CollectFees::Output && way == Way::BToA;
        let protocol_fee = if fee_is_a {
            &mut self.protocol_fee_a
        } else {
            &mut self.protocol_fee_b
        };
        *protocol_fee = protocol_fee.checked_add(kept)?;

        let out = if self.fee_on_input(way) {
            result.amount_out
        } else {
            result.amount_out.checked_add(result.fee)?
        };
        let (into, from) = match way {
            Way::AToB => (&mut self.amount_a, &mut self.amount_b),
            Way::BToA => (&mut self.amount_b, &mut self.amount_a),
        };
        *into = into.checked_add(result.net_in)?;
        *from = from.checked_sub(out)?;
        self.amount_b = self.amount_b.checked_add(compounding)?;

        self.price = if self.collect == CollectFees::Compounding {
            self.product_price()?
        } else {
            result.price
        };
        if let Some(surcharge) = &self.surcharge {
            let volatility = &mut self.volatility;
            surcharge.end(volatility, before, self.price, terms.unix_seconds)?;
        }
        Some(())
    }

    /// `sqrt(b / a)`, 64.64.
    fn product_price(&self) -> Option<u128> {
        let whole = Wide {
            high: u128::from(self.amount_b),
            low: 0,
        };
        let (ratio, _) = wide::divide(whole, wide::from(u128::from(self.amount_a)))?;
        Some(wide::root(ratio))
    }
}

const fn nonzero(amount: u64) -> Result<u64, QuoteReject> {
    if amount == 0 {
        Err(QuoteReject::ZeroAmount)
    } else {
        Ok(amount)
    }
}
