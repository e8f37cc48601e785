//! One pool: what it holds, and what the program would answer.
//!
//! Source of the formulas: pump-rust-client 0.5.0 `src/math/amm.rs`, `src/math/fees.rs`.

use crate::account::AccountReject;
use crate::event::{Form, Way};
use crate::math::{mul_div, mul_div_ceil};
use crate::pump::fees::{FeeSchedule, PoolRates, QuoteKind};
use crate::pump_amm::{GlobalConfig, PoolAccount};
use crate::quote::{Amount, QuoteReject, Swapped};
use crate::token::TransferFee;
use crate::units::BPS_WHOLE;

/// What every pool's trades depend on: the program's global account and its fee schedule. About 4 KiB, kept once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Rates of pools.
    pub schedule: FeeSchedule,
    /// Part of the protocol fee that goes to a buyback recipient, basis points.
    pub buyback_bps: u64,
    /// Whether the program lets anybody buy.
    pub buys: bool,
    /// Whether the program lets anybody sell.
    pub sales: bool,
    /// Whether the program lets anybody deposit.
    pub deposits: bool,
    /// Whether the program lets anybody withdraw.
    pub withdrawals: bool,
}

impl Terms {
    /// From the data of accounts [`GLOBAL_CONFIG`](crate::pump_amm::GLOBAL_CONFIG) and
    /// [`FEE_CONFIG`](crate::pump_amm::FEE_CONFIG).
    ///
    /// # Errors
    /// [`AccountReject`] of either.
    pub fn parse(global_config: &[u8], fee_config: &[u8]) -> Result<Self, AccountReject> {
        const DEPOSIT: u8 = 1 << 1;
        const WITHDRAW: u8 = 1 << 2;
        const BUY: u8 = 1 << 3;
        const SELL: u8 = 1 << 4;
        let global = GlobalConfig::parse(global_config)?;
        Ok(Self {
            schedule: FeeSchedule::parse(fee_config, global.creator_fee_configurable)?,
            buyback_bps: global.buyback_bps,
            buys: global.disabled & BUY == 0,
            sales: global.disabled & SELL == 0,
            deposits: global.disabled & DEPOSIT == 0,
            withdrawals: global.disabled & WITHDRAW == 0,
        })
    }
}

/// Why a pool may not be traded, or not this way. One byte: counted and explained.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PoolRefusal {
    /// The mayhem program trades against it.
    Mayhem,
    /// The program has switched buys off.
    BuysOff,
    /// The program has switched sales off.
    SalesOff,
    /// A cashback coin's pool takes v1 trades only.
    CashbackNeedsV1,
    /// Pools have v1 and v2 trades.
    NoSuchForm,
    /// The coin keeps a part of each transfer; what the program makes of that is not known.
    CoinTaxed,
    /// The schedule has no rates for such a pool.
    NoRates,
    /// Routes take Pump's own pools only.
    NotPumps,
    /// A route charges no creator fee on a cashback coin's pool.
    CashbackOnRoute,
    /// What a route leaves behind where the quote keeps a part of each transfer is not known.
    QuoteTaxedOnRoute,
}

impl PoolRefusal {
    /// How many reasons there are.
    pub const COUNT: usize = 10;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "mayhem",
            "buys_off",
            "sales_off",
            "cashback_needs_v1",
            "no_such_form",
            "coin_taxed",
            "no_rates",
            "not_pumps",
            "cashback_on_route",
            "quote_taxed_on_route",
        ]
    }
}

/// A pool with what its vaults and its coin's mint say. `Copy`, about 400 bytes.
///
/// A trade is priced against the quote vault with `virtual_quote` on top, and paid from the vault less the fees in it
/// that are not paid out ([`Pool::quote_effective`], [`Pool::quote_liquid`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Its account.
    pub account: PoolAccount,
    /// Whether `account.creator` is PDA `["pool-authority", base_mint]` of Pump: then the schedule's tiers apply.
    pub made_by_pump: bool,
    /// Balance of the base vault, raw units.
    pub base_reserve: u64,
    /// Balance of the quote vault, raw units.
    pub quote_reserve: u64,
    /// Supply that the coin's mint counts: the market cap picks the tier.
    pub base_supply: u64,
    /// What the coin's mint keeps of a transfer.
    pub base_fee: TransferFee,
    /// What the quote's mint keeps of a transfer.
    pub quote_fee: TransferFee,
}

/// What a share is worth, raw units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Coins put in or taken out.
    pub base: u64,
    /// Quote put in or taken out.
    pub quote: u64,
}

/// Which fees a hop of a route pays.
///
/// The hop that trades what the user spends or gets pays the protocol fee, the hop at the far coin the other two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Legs {
    /// The protocol fee.
    pub protocol: bool,
    /// The creator's and the liquidity's.
    pub coin: bool,
}

impl Legs {
    /// Of the hop at `index` of `count`: the far coin is at the end of a route that buys, at the start of one that
    /// sells.
    #[must_use]
    pub const fn of(way: Way, index: usize, count: usize) -> Self {
        let (first, last) = (index == 0, index + 1 == count);
        match way {
            Way::BToA => Self {
                protocol: first,
                coin: last,
            },
            Way::AToB => Self {
                protocol: last,
                coin: first,
            },
        }
    }
}

impl Pool {
    /// What the price counts as quote; `None` when it is not a `u64`, which the program refuses.
    #[inline]
    #[must_use]
    pub fn quote_effective(&self) -> Option<u64> {
        let effective = i128::from(self.quote_reserve).checked_add(self.account.virtual_quote)?;
        u64::try_from(effective).ok()
    }

    /// What sales are paid from.
    #[inline]
    #[must_use]
    pub const fn quote_liquid(&self) -> Option<u64> {
        let PoolAccount {
            protocol_fees,
            creator_fees,
            ..
        } = self.account;
        match protocol_fees.checked_add(creator_fees) {
            Some(owed) => self.quote_reserve.checked_sub(owed),
            None => None,
        }
    }

    /// Market cap in raw units of the quote.
    ///
    /// # Errors
    /// [`QuoteReject::EmptyReserves`], [`QuoteReject::Overflow`].
    pub fn market_cap(&self) -> Result<u128, QuoteReject> {
        let (base, quote) = self.reserves()?;
        Ok(u128::from(quote) * u128::from(self.base_supply) / u128::from(base))
    }

    /// Rates of the next trade.
    ///
    /// # Errors
    /// As [`Pool::market_cap`]; [`QuoteReject::Closed`] when the schedule has none.
    pub fn rates(&self, terms: &Terms) -> Result<PoolRates, QuoteReject> {
        let mut rates = terms
            .schedule
            .pool_rates(
                self.made_by_pump,
                QuoteKind::of(&self.account.quote_mint),
                self.market_cap()?,
                self.account.creator_fee_bps,
            )
            .ok_or(QuoteReject::Closed)?;
        if self.account.coin_creator == [0; 32] {
            rates.creator_bps = 0;
        }
        Ok(rates)
    }

    /// Whether a trade of that form and way is refused whatever the amount, and why.
    #[must_use]
    pub fn refusal(&self, terms: &Terms, form: Form, way: Way) -> Option<PoolRefusal> {
        self.refused(terms, form, way)
            .or_else(|| self.without_rates(terms))
    }

    fn refused(&self, terms: &Terms, form: Form, way: Way) -> Option<PoolRefusal> {
        match form {
            Form::V3 => Some(PoolRefusal::NoSuchForm),
            Form::V2 if self.account.cashback => Some(PoolRefusal::CashbackNeedsV1),
            Form::V1 | Form::V2 => self.refused_to_all(terms, way),
        }
    }

    fn refused_to_all(&self, terms: &Terms, way: Way) -> Option<PoolRefusal> {
        if self.account.mayhem {
            return Some(PoolRefusal::Mayhem);
        }
        if self.base_fee != TransferFee::NONE {
            return Some(PoolRefusal::CoinTaxed);
        }
        match way {
            Way::BToA if !terms.buys => Some(PoolRefusal::BuysOff),
            Way::AToB if !terms.sales => Some(PoolRefusal::SalesOff),
            Way::AToB | Way::BToA => None,
        }
    }

    fn without_rates(&self, terms: &Terms) -> Option<PoolRefusal> {
        (self.rates(terms) == Err(QuoteReject::Closed)).then_some(PoolRefusal::NoRates)
    }

    /// A trade: `buy_exact_quote_in` ([`Way::BToA`], [`Amount::In`]), `buy` ([`Amount::Out`]) or `sell`
    /// ([`Way::AToB`], [`Amount::In`]), as v1 or v2. There is no sale for an exact output: `Closed`.
    ///
    /// An exact-in buy may take a little less than its budget: what rounding leaves over stays with the trader.
    /// v1 pays the protocol's and the creator's fees out at once; v2 leaves them in the vault, but for the buyback
    /// part, and counts them. To the price of the next trade that is the same.
    /// On `Err` nothing has moved. Cost: about eight 128-bit divisions.
    ///
    /// # Errors
    /// [`QuoteReject`]; [`QuoteReject::Closed`] where [`Pool::refusal`] says why.
    pub fn swap(
        &mut self,
        terms: &Terms,
        form: Form,
        way: Way,
        amount: Amount,
    ) -> Result<Swapped, QuoteReject> {
        if self.refused(terms, form, way).is_some() {
            return Err(QuoteReject::Closed);
        }
        match (way, amount) {
            (Way::BToA, Amount::In(quote_in)) => {
                let buy = self.buy_for(terms, form, quote_in)?;
                self.bought(terms, form, buy)
            }
            (Way::BToA, Amount::Out(base_out)) => {
                let buy = self.buy_of(terms, base_out)?;
                self.bought(terms, form, buy)
            }
            (Way::AToB, Amount::In(base_in)) => {
                let rates = self.rates(terms)?;
                self.sold(terms, form, rates, base_in)
            }
            (Way::AToB, Amount::Out(_)) => Err(QuoteReject::Closed),
        }
    }

    /// One hop of `multi_hop_swap`: exactly `amount_in` goes in, all of it, and only the fees of `legs` are paid. Fees
    /// stay as in v2.
    ///
    /// # Errors
    /// As [`Pool::swap`]; [`QuoteReject::Closed`] where [`Pool::refusal_on_route`] says why.
    pub fn hop(
        &mut self,
        terms: &Terms,
        legs: Legs,
        way: Way,
        amount_in: u64,
    ) -> Result<Swapped, QuoteReject> {
        if self.refused_on_route(terms, legs, way).is_some() {
            return Err(QuoteReject::Closed);
        }
        let all = self.rates(terms)?;
        let rates = PoolRates {
            lp_bps: if legs.coin { all.lp_bps } else { 0 },
            protocol_bps: if legs.protocol { all.protocol_bps } else { 0 },
            creator_bps: if legs.coin { all.creator_bps } else { 0 },
        };
        if way == Way::AToB {
            let mut after = *self;
            let swapped = after.sold(terms, Form::V2, rates, amount_in)?;
            if swapped.amount_out == 0 {
                return Err(QuoteReject::ZeroAmount);
            }
            *self = after;
            return Ok(swapped);
        }
        let (_, fees) = Fees::within(amount_in, rates)?;
        let net = amount_in
            .checked_sub(fees.total()?)
            .filter(|net| *net > 0)
            .ok_or(QuoteReject::ZeroAmount)?;
        let base_out = self.base_for(net)?;
        self.bought(
            terms,
            Form::V2,
            Buy {
                base_out,
                net,
                fees,
            },
        )
    }

    /// Whether a hop is refused whatever the amount, and why.
    #[must_use]
    pub fn refusal_on_route(&self, terms: &Terms, legs: Legs, way: Way) -> Option<PoolRefusal> {
        self.refused_on_route(terms, legs, way)
            .or_else(|| self.without_rates(terms))
    }

    fn refused_on_route(&self, terms: &Terms, legs: Legs, way: Way) -> Option<PoolRefusal> {
        if !self.made_by_pump {
            Some(PoolRefusal::NotPumps)
        } else if legs.coin && self.account.cashback {
            Some(PoolRefusal::CashbackOnRoute)
        } else if self.quote_fee != TransferFee::NONE {
            Some(PoolRefusal::QuoteTaxedOnRoute)
        } else {
            self.refused_to_all(terms, way)
        }
    }

    /// A `deposit` that mints `share`: what it takes, rounded up. The boost grows with the shares, rounded down.
    ///
    /// Known from the program's own answers (its binary in an SVM), as the publisher's package has no formula for it.
    ///
    /// # Errors
    /// [`QuoteReject`]; `Closed` while switched off, or where a mint keeps a part of transfers.
    pub fn deposit(&mut self, terms: &Terms, share: u64) -> Result<Share, QuoteReject> {
        if !terms.deposits {
            return Err(QuoteReject::Closed);
        }
        let lp_supply = checked(self.account.lp_supply.checked_add(share))?;
        let taken = self.worth(share, mul_div_ceil)?;
        let mut after = *self;
        after.base_reserve = checked(self.base_reserve.checked_add(taken.base))?;
        after.quote_reserve = checked(self.quote_reserve.checked_add(taken.quote))?;
        after.resize(lp_supply)?;
        *self = after;
        Ok(taken)
    }

    /// A `withdraw` that burns `share`: what it gives, rounded down.
    ///
    /// # Errors
    /// As [`Pool::deposit`]; `PastRemaining` for more than there are.
    pub fn withdraw(&mut self, terms: &Terms, share: u64) -> Result<Share, QuoteReject> {
        if !terms.withdrawals {
            return Err(QuoteReject::Closed);
        }
        let lp_supply = self.account.lp_supply.checked_sub(share);
        let lp_supply = lp_supply.ok_or(QuoteReject::PastRemaining)?;
        let given = self.worth(share, mul_div)?;
        let mut after = *self;
        after.base_reserve = checked(self.base_reserve.checked_sub(given.base))?;
        after.quote_reserve = checked(self.quote_reserve.checked_sub(given.quote))?;
        after.resize(lp_supply)?;
        *self = after;
        Ok(given)
    }

    /// The part of `share` in the coins and in the quote that is the pool's own.
    fn worth(
        &self,
        share: u64,
        rounded: fn(u128, u128, u128) -> Option<u128>,
    ) -> Result<Share, QuoteReject> {
        if self.base_fee != TransferFee::NONE || self.quote_fee != TransferFee::NONE {
            return Err(QuoteReject::Closed);
        }
        if share == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        if self.account.lp_supply == 0 {
            return Err(QuoteReject::EmptyReserves);
        }
        let part = |of: u64| {
            let part = rounded(of.into(), share.into(), self.account.lp_supply.into());
            checked(part.and_then(|part| u64::try_from(part).ok()))
        };
        Ok(Share {
            base: part(self.base_reserve)?,
            quote: part(checked(self.quote_liquid())?)?,
        })
    }

    /// Goes to another number of shares, the boost with it. A boost below zero the program cannot resize.
    fn resize(&mut self, lp_supply: u64) -> Result<(), QuoteReject> {
        let account = &mut self.account;
        let owed = i128::from(account.protocol_fees) + i128::from(account.creator_fees);
        let boost = checked(account.virtual_quote.checked_add(owed))?;
        let boost = checked(u128::try_from(boost).ok())?;
        let resized = mul_div(boost, lp_supply.into(), account.lp_supply.into());
        let resized = checked(resized.and_then(|resized| i128::try_from(resized).ok()))?;
        account.virtual_quote = checked(resized.checked_sub(owed))?;
        account.lp_supply = lp_supply;
        Ok(())
    }

    /// What the price is made of; neither is zero.
    fn reserves(&self) -> Result<(u64, u64), QuoteReject> {
        let quote = self.quote_effective().ok_or(QuoteReject::Overflow)?;
        if self.base_reserve == 0 || quote == 0 {
            return Err(QuoteReject::EmptyReserves);
        }
        Ok((self.base_reserve, quote))
    }

    fn buy_for(&self, terms: &Terms, form: Form, quote_in: u64) -> Result<Buy, QuoteReject> {
        let landing = self.quote_fee.after(quote_in);
        let (net, fees) = Fees::within(landing, self.rates(terms)?)?;
        let mut buy = Buy {
            base_out: 0,
            net,
            fees,
        };
        // Grossed up for the quote's own transfer fee the sum may exceed the budget; the fees stay as they are.
        let over = self
            .payment(terms, form, &buy)?
            .total()?
            .saturating_sub(quote_in);
        buy.net = net
            .checked_sub(over)
            .filter(|net| *net > 0)
            .ok_or(QuoteReject::ZeroAmount)?;
        buy.base_out = self.base_for(buy.net)?;
        Ok(buy)
    }

    fn buy_of(&self, terms: &Terms, base_out: u64) -> Result<Buy, QuoteReject> {
        let (base, quote) = self.reserves()?;
        if base_out == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        let left = base
            .checked_sub(base_out)
            .filter(|left| *left > 0)
            .ok_or(QuoteReject::PastRemaining)?;
        let net = mul_div_ceil(quote.into(), base_out.into(), left.into());
        let net = net
            .and_then(|net| u64::try_from(net).ok())
            .ok_or(QuoteReject::Overflow)?;
        Ok(Buy {
            base_out,
            net,
            fees: Fees::on(net, self.rates(terms)?)?,
        })
    }

    /// What `net` buys: the program prices one unit less than it takes.
    fn base_for(&self, net: u64) -> Result<u64, QuoteReject> {
        let (base, quote) = self.reserves()?;
        let priced = u128::from(net) - 1;
        let base_out = priced * u128::from(base) / (u128::from(quote) + priced);
        if base_out == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        u64::try_from(base_out).map_err(|_| QuoteReject::Overflow)
    }

    fn bought(&mut self, terms: &Terms, form: Form, buy: Buy) -> Result<Swapped, QuoteReject> {
        let payment = self.payment(terms, form, &buy)?;
        let mut after = *self;
        after.base_reserve = checked(self.base_reserve.checked_sub(buy.base_out))?;
        let landed = self.quote_fee.after(payment.to_vault);
        after.quote_reserve = checked(self.quote_reserve.checked_add(landed))?;
        if form == Form::V2 {
            after.owe(terms, buy.fees)?;
        }
        after.reserves()?;
        *self = after;
        Ok(Swapped {
            amount_in: payment.total()?,
            amount_out: buy.base_out,
        })
    }

    /// What a buyer sends. What must land in the vault is grossed up for the quote's transfer fee; what goes to
    /// others is sent as it is.
    fn payment(&self, terms: &Terms, form: Form, buy: &Buy) -> Result<Payment, QuoteReject> {
        let Fees {
            protocol, creator, ..
        } = buy.fees;
        let total = checked(buy.net.checked_add(buy.fees.total()?))?;
        let beside = match form {
            Form::V2 => terms.buyback(protocol),
            Form::V1 | Form::V3 => protocol + creator,
        };
        Ok(Payment {
            to_vault: checked(self.quote_fee.before(total - beside))?,
            beside,
        })
    }

    fn sold(
        &mut self,
        terms: &Terms,
        form: Form,
        rates: PoolRates,
        base_in: u64,
    ) -> Result<Swapped, QuoteReject> {
        let (base, quote) = self.reserves()?;
        if base_in == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        let gross = mul_div(
            quote.into(),
            base_in.into(),
            u128::from(base) + u128::from(base_in),
        );
        // Below `quote`, so it fits.
        let gross = checked(gross.and_then(|gross| u64::try_from(gross).ok()))?;
        let fees = Fees::on(gross, rates)?;
        let paid = gross
            .checked_sub(fees.total()?)
            .ok_or(QuoteReject::FeesExceedOutput)?;
        let without_lp = gross - fees.lp;
        if checked(self.quote_liquid())? < without_lp {
            return Err(QuoteReject::QuoteShort);
        }
        let mut after = *self;
        after.base_reserve = checked(base.checked_add(base_in))?;
        let leaves = match form {
            Form::V2 => paid + terms.buyback(fees.protocol),
            Form::V1 | Form::V3 => without_lp,
        };
        after.quote_reserve = checked(self.quote_reserve.checked_sub(leaves))?;
        if form == Form::V2 {
            after.owe(terms, fees)?;
        }
        *self = after;
        Ok(Swapped {
            amount_in: base_in,
            amount_out: self.quote_fee.after(paid),
        })
    }

    /// Counts the fees of a v2 trade that stay in the vault.
    fn owe(&mut self, terms: &Terms, fees: Fees) -> Result<(), QuoteReject> {
        let protocol = fees.protocol - terms.buyback(fees.protocol);
        let account = &mut self.account;
        account.protocol_fees = checked(account.protocol_fees.checked_add(protocol))?;
        account.creator_fees = checked(account.creator_fees.checked_add(fees.creator))?;
        let owed = i128::from(protocol) + i128::from(fees.creator);
        account.virtual_quote = checked(account.virtual_quote.checked_sub(owed))?;
        Ok(())
    }
}

impl Terms {
    /// The part of a protocol fee that goes to a buyback recipient.
    #[inline]
    fn buyback(&self, protocol_fee: u64) -> u64 {
        let bps = self.buyback_bps.min(BPS_WHOLE);
        (u128::from(protocol_fee) * u128::from(bps) / u128::from(BPS_WHOLE)) as u64
    }
}

/// A buy before it is paid for.
#[derive(Clone, Copy)]
struct Buy {
    base_out: u64,
    /// What enters the reserves, the liquidity's fee not counted.
    net: u64,
    fees: Fees,
}

/// What a buyer sends.
struct Payment {
    to_vault: u64,
    beside: u64,
}

impl Payment {
    fn total(&self) -> Result<u64, QuoteReject> {
        checked(self.to_vault.checked_add(self.beside))
    }
}

/// Fees of one trade, quote.
#[derive(Clone, Copy)]
struct Fees {
    lp: u64,
    protocol: u64,
    creator: u64,
}

impl Fees {
    /// Each rounded up.
    fn on(amount: u64, rates: PoolRates) -> Result<Self, QuoteReject> {
        let fee = |bps: u64| {
            let fee = (u128::from(amount) * u128::from(bps)).div_ceil(u128::from(BPS_WHOLE));
            checked(u64::try_from(fee).ok())
        };
        Ok(Self {
            lp: fee(rates.lp_bps)?,
            protocol: fee(rates.protocol_bps)?,
            creator: fee(rates.creator_bps)?,
        })
    }

    /// Net and fees of a budget: `net = floor(in * 10_000 / (10_000 + rates))`, fees on that net, and what overshoots
    /// the budget shaved off the net, which is at least 1.
    fn within(budget: u64, rates: PoolRates) -> Result<(u64, Self), QuoteReject> {
        let whole = u128::from(BPS_WHOLE);
        let net = u128::from(budget) * whole / (whole + u128::from(rates.total_bps()));
        let fees = Self::on(net as u64, rates)?;
        let cost = net + u128::from(fees.total()?);
        let net = net
            .checked_sub(cost.saturating_sub(u128::from(budget)))
            .filter(|net| *net > 0)
            .ok_or(QuoteReject::ZeroAmount)?;
        Ok((net as u64, fees))
    }

    fn total(self) -> Result<u64, QuoteReject> {
        checked(
            self.lp
                .checked_add(self.protocol)
                .and_then(|sum| sum.checked_add(self.creator)),
        )
    }
}

#[inline]
fn checked<T>(value: Option<T>) -> Result<T, QuoteReject> {
    value.ok_or(QuoteReject::Overflow)
}
