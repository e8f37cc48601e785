//! A Raydium CPMM swap, as the program reckons it.

use super::RATE_WHOLE;
use super::account::{Config, CreatorFeeOn, Pool};
use crate::event::Way;
use crate::quote::{Amount, QuoteReject, Swapped};
use crate::token::TransferFee;

/// Status bit of [`Pool::status`]: no swap.
const NO_SWAP: u8 = 4;

/// What the curve does to the pool, before transfer fees.
#[derive(Clone, Copy)]
struct Reckoned {
    /// Reaches the pool, fees included.
    amount_in: u64,
    /// Leaves the pool.
    amount_out: u64,
    protocol_fee: u64,
    fund_fee: u64,
    creator_fee: u64,
}

/// Rates of one trade.
#[derive(Clone, Copy)]
struct Rates {
    trade: u64,
    creator: u64,
    creator_on_input: bool,
}

impl Pool {
    /// Swaps at `now` (unix seconds) and leaves the pool as the program would; on an error it is unchanged.
    ///
    /// The trade fee, with the creator's where that is taken on the input, is rounded up on what arrives; then
    /// `floor(out * in / (reserve + in))`; a creator's fee on the output is rounded up on that. For an exact output
    /// each step is undone, rounded up. Reserves are the vaults less the fees owed; of the trade fee the protocol's
    /// and the fund's part become owed and the rest stays. What Token-2022 mints keep of either transfer is reckoned
    /// in. Cost: at most nine 128-bit divisions.
    ///
    /// Source: raydium-cp-swap 609780f `instructions/swap_base_input.rs`, `swap_base_output.rs`, `curve/*.rs`,
    /// `utils/token.rs`. The venue's npm package 0.2.73-alpha differs by its rounding for an exact input with the
    /// creator's fee on the input: it rounds two fees up, as the source did before ec3b20d (November 2025).
    ///
    /// # Errors
    /// [`QuoteReject::Closed`] before the opening time, when its status forbids swaps, and while what a Token-2022 mint
    /// keeps is not known; [`QuoteReject`] otherwise.
    pub fn swap(
        &mut self,
        config: &Config,
        now: u64,
        way: Way,
        amount: Amount,
    ) -> Result<Swapped, QuoteReject> {
        let (input, output) = match way {
            Way::AToB => (0, 1),
            Way::BToA => (1, 0),
        };
        let fees = self.transfer_fees[input].zip(self.transfer_fees[output]);
        let (fee_in, fee_out) = fees.ok_or(QuoteReject::Closed)?;
        if self.status & NO_SWAP != 0 || now < self.opens_at {
            return Err(QuoteReject::Closed);
        }
        let reserve_in = self.reserve(input)?;
        let reserve_out = self.reserve(output)?;
        // The program prices both tokens in each other first, and fails on an empty side.
        if reserve_in == 0 || reserve_out == 0 {
            return Err(QuoteReject::EmptyReserves);
        }
        let rates = Rates {
            trade: config.trade_fee_rate,
            creator: if self.creator_fee {
                config.creator_fee_rate
            } else {
                0
            },
            creator_on_input: match self.creator_fee_on {
                CreatorFeeOn::Input => true,
                CreatorFeeOn::Token0 => input == 0,
                CreatorFeeOn::Token1 => input == 1,
            },
        };
        let (swapped, reckoned) = match amount {
            Amount::In(amount_in) => {
                let arrives = fee_in.after(amount_in);
                let reckoned = exact_in(config, rates, arrives, reserve_in, reserve_out)?;
                let amount_out = fee_out.after(reckoned.amount_out);
                if amount_out == 0 {
                    return Err(QuoteReject::ZeroAmount);
                }
                let swapped = Swapped {
                    amount_in,
                    amount_out,
                };
                (swapped, reckoned)
            }
            Amount::Out(amount_out) => {
                let leaves = sent(fee_out, amount_out)?;
                let reckoned = exact_out(config, rates, leaves, reserve_in, reserve_out)?;
                let swapped = Swapped {
                    amount_in: sent(fee_in, reckoned.amount_in)?,
                    amount_out,
                };
                (swapped, reckoned)
            }
        };
        let mut after = *self;
        after.held[input] = sum(after.held[input], reckoned.amount_in)?;
        after.held[output] = after.held[output]
            .checked_sub(reckoned.amount_out)
            .ok_or(QuoteReject::PastRemaining)?;
        let owed = &mut after.owed;
        owed[input].protocol = sum(owed[input].protocol, reckoned.protocol_fee)?;
        owed[input].fund = sum(owed[input].fund, reckoned.fund_fee)?;
        let creator = if rates.creator_on_input {
            input
        } else {
            output
        };
        owed[creator].creator = sum(owed[creator].creator, reckoned.creator_fee)?;
        *self = after;
        Ok(swapped)
    }

    /// The vault of that token less the fees owed.
    ///
    /// # Errors
    /// [`QuoteReject::EmptyReserves`] when more is owed than held, [`QuoteReject::Overflow`].
    pub fn reserve(&self, token: usize) -> Result<u64, QuoteReject> {
        let (owed, held) = (self.owed.get(token), self.held.get(token));
        let (owed, held) = owed.zip(held).ok_or(QuoteReject::EmptyReserves)?;
        let fees = sum(sum(owed.protocol, owed.fund)?, owed.creator)?;
        held.checked_sub(fees).ok_or(QuoteReject::EmptyReserves)
    }
}

fn exact_in(
    config: &Config,
    rates: Rates,
    arrives: u64,
    reserve_in: u64,
    reserve_out: u64,
) -> Result<Reckoned, QuoteReject> {
    if arrives == 0 {
        return Err(QuoteReject::ZeroAmount);
    }
    let (trade_fee, mut creator_fee) = if rates.creator_on_input {
        split(part_ceil(arrives, sum(rates.trade, rates.creator)?)?, rates)?
    } else {
        (part_ceil(arrives, rates.trade)?, 0)
    };
    let after_fees = arrives
        .checked_sub(trade_fee)
        .and_then(|rest| rest.checked_sub(creator_fee))
        .ok_or(QuoteReject::Overflow)?;
    let product = u128::from(after_fees) * u128::from(reserve_out);
    // Below the reserve, as the divisor exceeds the factor beside it.
    let swapped = (product / (u128::from(reserve_in) + u128::from(after_fees))) as u64;
    let mut amount_out = swapped;
    if !rates.creator_on_input {
        creator_fee = part_ceil(swapped, rates.creator)?;
        amount_out = swapped
            .checked_sub(creator_fee)
            .ok_or(QuoteReject::Overflow)?;
    }
    Ok(Reckoned {
        amount_in: arrives,
        amount_out,
        protocol_fee: part(trade_fee, config.protocol_fee_rate)?,
        fund_fee: part(trade_fee, config.fund_fee_rate)?,
        creator_fee,
    })
}

fn exact_out(
    config: &Config,
    rates: Rates,
    leaves: u64,
    reserve_in: u64,
    reserve_out: u64,
) -> Result<Reckoned, QuoteReject> {
    if leaves == 0 {
        return Err(QuoteReject::ZeroAmount);
    }
    let mut swapped_out = leaves;
    if !rates.creator_on_input {
        swapped_out = before_fee(u128::from(leaves), rates.creator)?;
    }
    let left = reserve_out
        .checked_sub(swapped_out)
        .filter(|left| *left > 0);
    let left = u128::from(left.ok_or(QuoteReject::PastRemaining)?);
    let swapped_in = (u128::from(reserve_in) * u128::from(swapped_out)).div_ceil(left);
    let rate = if rates.creator_on_input {
        sum(rates.trade, rates.creator)?
    } else {
        rates.trade
    };
    let amount_in = before_fee(swapped_in, rate)?;
    // Not more than the amount it was made from.
    let fee = amount_in - swapped_in as u64;
    let (trade_fee, creator_fee) = if rates.creator_on_input {
        split(fee, rates)?
    } else {
        (fee, swapped_out - leaves)
    };
    if amount_in == 0 {
        return Err(QuoteReject::ZeroAmount);
    }
    Ok(Reckoned {
        amount_in,
        amount_out: leaves,
        protocol_fee: part(trade_fee, config.protocol_fee_rate)?,
        fund_fee: part(trade_fee, config.fund_fee_rate)?,
        creator_fee,
    })
}

/// A fee on the input in two: the trade's and the creator's, whose part is rounded down.
///
/// The program fails when both rates are zero.
fn split(fee: u64, rates: Rates) -> Result<(u64, u64), QuoteReject> {
    let whole = u128::from(sum(rates.trade, rates.creator)?);
    let creator = (u128::from(fee) * u128::from(rates.creator))
        .checked_div(whole)
        .ok_or(QuoteReject::Overflow)? as u64;
    Ok((fee - creator, creator))
}

/// What has to be sent so that `amount` arrives.
fn sent(fee: TransferFee, amount: u64) -> Result<u64, QuoteReject> {
    fee.before(amount).ok_or(QuoteReject::Overflow)
}

/// Millionths of `amount`, rounded down.
fn part(amount: u64, rate: u64) -> Result<u64, QuoteReject> {
    let part = u128::from(amount) * u128::from(rate) / u128::from(RATE_WHOLE);
    u64::try_from(part).map_err(|_| QuoteReject::Overflow)
}

/// Millionths of `amount`, rounded up.
fn part_ceil(amount: u64, rate: u64) -> Result<u64, QuoteReject> {
    let part = (u128::from(amount) * u128::from(rate)).div_ceil(u128::from(RATE_WHOLE));
    u64::try_from(part).map_err(|_| QuoteReject::Overflow)
}

/// The least amount that leaves `amount` after a fee of `rate` millionths.
fn before_fee(amount: u128, rate: u64) -> Result<u64, QuoteReject> {
    let before = match rate {
        0 => Some(amount),
        rate => RATE_WHOLE
            .checked_sub(rate)
            .filter(|kept| *kept > 0)
            .and_then(|kept| {
                Some(
                    amount
                        .checked_mul(u128::from(RATE_WHOLE))?
                        .div_ceil(u128::from(kept)),
                )
            }),
    };
    before
        .and_then(|before| u64::try_from(before).ok())
        .ok_or(QuoteReject::Overflow)
}

fn sum(a: u64, b: u64) -> Result<u64, QuoteReject> {
    a.checked_add(b).ok_or(QuoteReject::Overflow)
}
