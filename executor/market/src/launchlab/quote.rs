//! A LaunchLab trade, as the venue's own package reckons it.
//!
//! Source: `launchpad/curve/*.ts` of the package named in [the module](super). Mainnet's own trade events bear it out
//! for the constant product (`tests/suite/launchlab.rs`); the program itself is closed.

use super::RATE_WHOLE;
use super::account::{CurveType, GlobalConfig, PlatformConfig, Pool, Reserves, Status};
use crate::event::Way;
use crate::math::{mul_div, mul_div_ceil};
use crate::quote::{Amount, QuoteReject, Swapped};
use crate::token::TransferFee;

/// How a trade prices and what it pays, rates in millionths of the quote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// How the curve prices.
    pub curve: CurveType,
    /// The protocol's fee.
    pub protocol_fee_rate: u64,
    /// The platform's fee.
    pub platform_fee_rate: u64,
    /// The creator's fee.
    pub creator_fee_rate: u64,
    /// The fee for whom the trader's instruction names.
    pub share_fee_rate: u64,
}

impl Terms {
    /// The terms of a trade on a curve with these two configurations.
    ///
    /// # Errors
    /// [`QuoteReject::Closed`] when the share exceeds what the configuration allows; [`QuoteReject::Overflow`] when all
    /// rates together exceed the whole.
    pub fn new(
        global: &GlobalConfig,
        platform: &PlatformConfig,
        share_fee_rate: u64,
    ) -> Result<Self, QuoteReject> {
        if share_fee_rate > global.share_fee_rate_max {
            return Err(QuoteReject::Closed);
        }
        let terms = Self {
            curve: global.curve,
            protocol_fee_rate: global.trade_fee_rate,
            platform_fee_rate: platform.fee_rate,
            creator_fee_rate: platform.creator_fee_rate,
            share_fee_rate,
        };
        terms.fee_rate().map(|_| terms)
    }

    /// All rates together.
    fn fee_rate(&self) -> Result<u64, QuoteReject> {
        self.protocol_fee_rate
            .checked_add(self.platform_fee_rate)
            .and_then(|rate| rate.checked_add(self.creator_fee_rate))
            .and_then(|rate| rate.checked_add(self.share_fee_rate))
            .filter(|rate| *rate <= RATE_WHOLE)
            .ok_or(QuoteReject::Overflow)
    }
}

/// What a trade moves in the reserves, and what the trader gives and gets.
struct Moved {
    base: u64,
    quote: u64,
    swapped: Swapped,
}

impl Pool {
    /// Trades and leaves the curve as the program would; on an error it is unchanged. [`Way::BToA`] buys.
    ///
    /// All fees together are one rate of the quote, rounded up: taken off what a buyer pays, or off what a seller
    /// gets. A buy that asks for more than is left takes what is left and pays for that only, so
    /// [`Swapped::amount_in`] can be less than [`Amount::In`]; when nothing is left the curve is sold out. What
    /// Token-2022 mints keep of a transfer is reckoned in. Cost: at most four 128-bit divisions, and a square root for
    /// a linear curve.
    ///
    /// # Errors
    /// [`QuoteReject::Closed`] when it does not sell any more, and while what a Token-2022 mint keeps is not known.
    /// [`QuoteReject::Inexact`] where the package does not tell what the program does: a linear curve's square root
    /// that the package, which works with decimals, rounds to another integer than its floor; and an exact output
    /// bought from a mint with a transfer fee, which the package adds twice. [`QuoteReject`] otherwise.
    pub fn swap(
        &mut self,
        terms: &Terms,
        way: Way,
        amount: Amount,
    ) -> Result<Swapped, QuoteReject> {
        let fees = self.base_transfer_fee.zip(self.quote_transfer_fee);
        let (base_fee, quote_fee) = fees.ok_or(QuoteReject::Closed)?;
        if self.status != Status::Fund {
            return Err(QuoteReject::Closed);
        }
        let rate = terms.fee_rate()?;
        let mut reserves = self.reserves;
        let moved = match (way, amount) {
            (Way::BToA, Amount::In(quote)) => {
                buy_in(&reserves, terms, rate, base_fee, quote_fee, quote)
            }
            (Way::BToA, Amount::Out(base)) => {
                buy_out(&reserves, terms, rate, base_fee, quote_fee, base)
            }
            (Way::AToB, Amount::In(base)) => {
                sell_in(&reserves, terms, rate, base_fee, quote_fee, base)
            }
            (Way::AToB, Amount::Out(quote)) => {
                sell_out(&reserves, terms, rate, base_fee, quote_fee, quote)
            }
        }?;
        if moved.swapped.amount_in == 0 || moved.swapped.amount_out == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        match way {
            Way::BToA => {
                reserves.real_base = sum(reserves.real_base, moved.base)?;
                reserves.real_quote = sum(reserves.real_quote, moved.quote)?;
            }
            Way::AToB => {
                let left = reserves.real_base.checked_sub(moved.base);
                reserves.real_base = left.ok_or(QuoteReject::PastRemaining)?;
                let left = reserves.real_quote.checked_sub(moved.quote);
                reserves.real_quote = left.ok_or(QuoteReject::QuoteShort)?;
            }
        }
        if reserves.real_base == reserves.total_base_sell {
            self.status = Status::Migrate;
        }
        self.reserves = reserves;
        Ok(moved.swapped)
    }
}

fn buy_in(
    reserves: &Reserves,
    terms: &Terms,
    rate: u64,
    base_fee: TransferFee,
    quote_fee: TransferFee,
    amount_in: u64,
) -> Result<Moved, QuoteReject> {
    let arrives = quote_fee.after(amount_in);
    let quote = arrives
        .checked_sub(fee_of(arrives, rate)?)
        .filter(|quote| *quote > 0)
        .ok_or(QuoteReject::ZeroAmount)?;
    let base = reserves.base_for_quote_in(terms.curve, quote)?;
    let left = reserves.left()?;
    if base.least > left {
        let quote = reserves.quote_for_base_out(terms.curve, left)?;
        let pays = sent(quote_fee, before_fee(quote, rate)?)?;
        if pays > amount_in {
            return Err(QuoteReject::PastRemaining);
        }
        return Ok(Moved {
            base: left,
            quote,
            swapped: Swapped {
                amount_in: pays,
                amount_out: base_fee.after(left),
            },
        });
    }
    let base = base.exactly()?;
    Ok(Moved {
        base,
        quote,
        swapped: Swapped {
            amount_in,
            amount_out: base_fee.after(base),
        },
    })
}

fn buy_out(
    reserves: &Reserves,
    terms: &Terms,
    rate: u64,
    base_fee: TransferFee,
    quote_fee: TransferFee,
    base: u64,
) -> Result<Moved, QuoteReject> {
    if base_fee.bps != 0 {
        return Err(QuoteReject::Inexact);
    }
    if base > reserves.left()? {
        return Err(QuoteReject::PastRemaining);
    }
    let quote = reserves.quote_for_base_out(terms.curve, base)?;
    Ok(Moved {
        base,
        quote,
        swapped: Swapped {
            amount_in: sent(quote_fee, before_fee(quote, rate)?)?,
            amount_out: base,
        },
    })
}

fn sell_in(
    reserves: &Reserves,
    terms: &Terms,
    rate: u64,
    base_fee: TransferFee,
    quote_fee: TransferFee,
    amount_in: u64,
) -> Result<Moved, QuoteReject> {
    let base = base_fee.after(amount_in);
    if base > reserves.real_base {
        return Err(QuoteReject::PastRemaining);
    }
    let quote = reserves.quote_for_base_in(terms.curve, base)?;
    let fee = fee_of(quote, rate)?;
    let leaves = quote
        .checked_sub(fee)
        .ok_or(QuoteReject::FeesExceedOutput)?;
    Ok(Moved {
        base,
        quote,
        swapped: Swapped {
            amount_in,
            amount_out: quote_fee.after(leaves),
        },
    })
}

fn sell_out(
    reserves: &Reserves,
    terms: &Terms,
    rate: u64,
    base_fee: TransferFee,
    quote_fee: TransferFee,
    amount_out: u64,
) -> Result<Moved, QuoteReject> {
    let quote = before_fee(sent(quote_fee, amount_out)?, rate)?;
    if quote > reserves.real_quote {
        return Err(QuoteReject::QuoteShort);
    }
    let base = reserves.base_for_quote_out(terms.curve, quote)?;
    if base.least > reserves.real_base {
        return Err(QuoteReject::PastRemaining);
    }
    let base = base.exactly()?;
    Ok(Moved {
        base,
        quote,
        swapped: Swapped {
            amount_in: sent(base_fee, base)?,
            amount_out,
        },
    })
}

/// An amount that is known up to rounding.
#[derive(Clone, Copy)]
struct Bounds {
    least: u64,
    most: u64,
}

impl Bounds {
    fn exact(amount: Option<u128>) -> Result<Self, QuoteReject> {
        let amount = fits(amount)?;
        Ok(Self {
            least: amount,
            most: amount,
        })
    }

    fn exactly(self) -> Result<u64, QuoteReject> {
        if self.least == self.most {
            Ok(self.least)
        } else {
            Err(QuoteReject::Inexact)
        }
    }
}

impl Reserves {
    /// Base not sold yet.
    fn left(&self) -> Result<u64, QuoteReject> {
        let left = self.total_base_sell.checked_sub(self.real_base);
        left.ok_or(QuoteReject::EmptyReserves)
    }

    /// Both sides of a constant product.
    fn product_sides(&self) -> Result<(u128, u128), QuoteReject> {
        let base = self.virtual_base.checked_sub(self.real_base);
        let base = base.ok_or(QuoteReject::EmptyReserves)?;
        let quote = u128::from(self.virtual_quote) + u128::from(self.real_quote);
        Ok((u128::from(base), quote))
    }

    fn fixed_sides(&self) -> (u128, u128) {
        (
            u128::from(self.virtual_base),
            u128::from(self.virtual_quote),
        )
    }

    /// Base and quote whose ratio is the price, fees aside.
    pub(crate) const fn sides(&self, curve: CurveType) -> [u64; 2] {
        match curve {
            CurveType::ConstantProduct => [
                self.virtual_base.saturating_sub(self.real_base),
                self.virtual_quote.saturating_add(self.real_quote),
            ],
            CurveType::FixedPrice => [self.virtual_base, self.virtual_quote],
            // It grows with what was sold.
            CurveType::LinearPrice => [1, self.real_base],
        }
    }

    fn base_for_quote_in(&self, curve: CurveType, quote: u64) -> Result<Bounds, QuoteReject> {
        let amount = u128::from(quote);
        match curve {
            CurveType::ConstantProduct => {
                let (base, quote) = self.product_sides()?;
                Bounds::exact(mul_div(amount, base, quote + amount))
            }
            CurveType::FixedPrice => {
                let (base, quote) = self.fixed_sides();
                Bounds::exact(mul_div(amount, base, quote))
            }
            CurveType::LinearPrice => {
                let sold = self.linear_sold(u128::from(self.real_quote) + amount)?;
                Ok(Bounds {
                    least: less(sold.least, self.real_base)?,
                    most: less(sold.most, self.real_base)?,
                })
            }
        }
    }

    fn quote_for_base_out(&self, curve: CurveType, base: u64) -> Result<u64, QuoteReject> {
        let amount = u128::from(base);
        match curve {
            CurveType::ConstantProduct => {
                let (base, quote) = self.product_sides()?;
                let left = base.checked_sub(amount).ok_or(QuoteReject::PastRemaining)?;
                fits(mul_div_ceil(quote, amount, left))
            }
            CurveType::FixedPrice => {
                let (base, quote) = self.fixed_sides();
                fits(mul_div_ceil(quote, amount, base))
            }
            CurveType::LinearPrice => less(
                self.linear_raised(sum(self.real_base, base)?)?,
                self.real_quote,
            ),
        }
    }

    fn quote_for_base_in(&self, curve: CurveType, base: u64) -> Result<u64, QuoteReject> {
        let amount = u128::from(base);
        match curve {
            CurveType::ConstantProduct => {
                let (base, quote) = self.product_sides()?;
                fits(mul_div(amount, quote, base + amount))
            }
            CurveType::FixedPrice => {
                let (base, quote) = self.fixed_sides();
                fits(mul_div(amount, quote, base))
            }
            CurveType::LinearPrice => less(
                self.real_quote,
                self.linear_raised(less(self.real_base, base)?)?,
            ),
        }
    }

    fn base_for_quote_out(&self, curve: CurveType, quote: u64) -> Result<Bounds, QuoteReject> {
        let amount = u128::from(quote);
        match curve {
            CurveType::ConstantProduct => {
                let (base, quote) = self.product_sides()?;
                let left = quote.checked_sub(amount).ok_or(QuoteReject::QuoteShort)?;
                Bounds::exact(mul_div_ceil(base, amount, left))
            }
            CurveType::FixedPrice => {
                let (base, quote) = self.fixed_sides();
                Bounds::exact(mul_div_ceil(base, amount, quote))
            }
            CurveType::LinearPrice => {
                let sold = self.linear_sold(u128::from(less(self.real_quote, quote)?))?;
                Ok(Bounds {
                    least: less(self.real_base, sold.most)?,
                    most: less(self.real_base, sold.least)?,
                })
            }
        }
    }

    /// Base sold on a linear curve when `raised` has been paid: `sqrt(2 * raised / slope)`, down and to the nearest.
    fn linear_sold(&self, raised: u128) -> Result<Bounds, QuoteReject> {
        let square = raised
            .checked_mul(2 << 64)
            .and_then(|doubled| doubled.checked_div(u128::from(self.virtual_base)))
            .ok_or(QuoteReject::Overflow)?;
        let root = square.isqrt();
        let nearest = root + u128::from(square - root * root > root);
        Ok(Bounds {
            least: fits(Some(root))?,
            most: fits(Some(nearest))?,
        })
    }

    /// Quote raised on a linear curve when `sold` has been bought: `slope * sold^2 / 2`, rounded up.
    fn linear_raised(&self, sold: u64) -> Result<u64, QuoteReject> {
        let square = u128::from(sold) * u128::from(sold);
        fits(mul_div_ceil(square, u128::from(self.virtual_base), 2 << 64))
    }
}

fn fits(amount: Option<u128>) -> Result<u64, QuoteReject> {
    amount
        .and_then(|amount| u64::try_from(amount).ok())
        .ok_or(QuoteReject::Overflow)
}

/// `a - b`; a curve whose numbers do not belong together is refused.
fn less(a: u64, b: u64) -> Result<u64, QuoteReject> {
    a.checked_sub(b).ok_or(QuoteReject::Overflow)
}

fn sum(a: u64, b: u64) -> Result<u64, QuoteReject> {
    a.checked_add(b).ok_or(QuoteReject::Overflow)
}

/// What has to be sent so that `amount` arrives.
fn sent(fee: TransferFee, amount: u64) -> Result<u64, QuoteReject> {
    fee.before(amount).ok_or(QuoteReject::Overflow)
}

/// Millionths of `amount`, rounded up; `rate` is at most the whole.
fn fee_of(amount: u64, rate: u64) -> Result<u64, QuoteReject> {
    fits(mul_div_ceil(
        u128::from(amount),
        u128::from(rate),
        u128::from(RATE_WHOLE),
    ))
}

/// The least amount that leaves `amount` after a fee of `rate` millionths.
fn before_fee(amount: u64, rate: u64) -> Result<u64, QuoteReject> {
    let kept = RATE_WHOLE.checked_sub(rate).filter(|kept| *kept > 0);
    let kept = kept.ok_or(QuoteReject::Overflow)?;
    fits(mul_div_ceil(
        u128::from(amount),
        u128::from(RATE_WHOLE),
        u128::from(kept),
    ))
}
