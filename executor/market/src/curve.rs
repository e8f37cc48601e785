//! One bonding curve: reserves, rates, and what the program would answer.
//!
//! Reserves move speculatively: a trade seen in shreds is applied as if it succeeds when the program's own
//! limits say it would. Trades made by inner instructions are not in shreds, so reserves can lag the chain;
//! slippage limits, not this arithmetic, protect the money.

use shred_wire::Slot;

use crate::accounts::PumpAccounts;
use crate::event::{Amounts, Form, Launch, ShownAccounts, Side, Trade};
use crate::fees::{FeeRates, FeeSchedule};
use crate::pump::{WRAPPED_SOL, fresh};
use crate::units::{BPS_WHOLE, Key, Lamports, TokenAmount};

/// Why a curve must not be traded. One byte: counted and explained.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Untradable {
    /// The mayhem program trades against it, and its buys may skip their minimum.
    Mayhem,
    /// Priced in something other than SOL.
    QuoteNotSol,
    /// What it is priced in sits behind a lookup table.
    QuoteUnknown,
    /// The curve's own accounts sit behind a lookup table.
    AccountsUnresolved,
    /// Its creator fee goes to holders; the v2 account list for it is not modelled.
    HolderReward,
    /// Sold out: trading stops until the pool opens.
    Complete,
    /// Its last updates came from a block that was retracted, equivocated or failed authentication.
    Doubtful,
}

impl Untradable {
    /// How many reasons there are.
    pub const COUNT: usize = 7;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "mayhem",
            "quote_not_sol",
            "quote_unknown",
            "accounts_unresolved",
            "holder_reward",
            "complete",
            "doubtful",
        ]
    }
}

/// Why there is no quote. One byte, counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum QuoteReject {
    /// Nothing in, or nothing left after fees.
    ZeroAmount,
    /// The curve has no reserves to price with.
    EmptyReserves,
    /// More tokens asked than the curve can price or give.
    PastRemaining,
    /// The fees exceed what the sale brings.
    FeesExceedOutput,
    /// The curve does not hold the quote a sale would pay.
    QuoteShort,
    /// An intermediate does not fit; only reachable with impossible reserves.
    Overflow,
}

/// What one trade moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quote {
    /// Tokens bought or sold.
    pub tokens: TokenAmount,
    /// Buy: quote taken from the trader, fees included. Sell: quote the trader gets, fees taken off.
    pub quote: Lamports,
    /// Quote the curve's reserves move by, without fees.
    pub net: Lamports,
    /// Protocol fee within or beside `net`.
    pub protocol_fee: Lamports,
    /// Creator fee within or beside `net`.
    pub creator_fee: Lamports,
    /// The buy takes everything that is left: the curve completes.
    pub completes: bool,
}

/// The four numbers the program prices with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reserves {
    /// Tokens of the constant product.
    pub virtual_token: u64,
    /// Quote of the constant product, lamports.
    pub virtual_quote: u64,
    /// Tokens left to sell.
    pub real_token: u64,
    /// Quote held, lamports.
    pub real_quote: u64,
}

impl Reserves {
    /// A fresh SOL-priced curve.
    pub const FRESH: Self = Self {
        virtual_token: fresh::VIRTUAL_TOKEN,
        virtual_quote: fresh::VIRTUAL_QUOTE,
        real_token: fresh::REAL_TOKEN,
        real_quote: 0,
    };
}

/// What is kept of one coin. `Copy` and fixed size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Curve {
    /// The coin's accounts, filled in as trades show them.
    pub accounts: PumpAccounts,
    /// Reserves after the last applied trade.
    pub reserves: Reserves,
    /// Supply the market cap is reckoned with. Burns by holders are not seen; they only matter for tiers.
    pub supply: u64,
    /// The coin's own creator rate; 0 when it has none (every SOL-priced coin).
    pub creator_fee_bps: u64,
    /// Rates the next trade pays.
    pub rates: FeeRates,
    /// Cashback coin: v3 refuses it.
    pub cashback: bool,
    /// Whether it may be traded, and if not, why.
    pub tradable: Result<(), Untradable>,
    /// Who signed the launch; zero when the curve came from elsewhere.
    pub launcher: Key,
    /// The launcher's first buy and its ordinal among the trades applied, from 1.
    pub dev_buy: Option<(Quote, u64)>,
    /// Slot of the launch.
    pub launch_slot: Slot,
    /// Slot of the last event that touched it.
    pub touched_slot: Slot,
    /// Trades applied.
    pub trade_count: u64,
}

/// What applying a trade did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// Reserves moved by this much.
    Moved(Quote),
    /// The program would refuse the trade on these reserves, so nothing moved.
    PredictedFailure,
}

impl Curve {
    /// A curve at the reserves `Global` gives a SOL-priced coin; untradable, with the reason, when the launch
    /// is anything else.
    ///
    /// The launch's `creator_fee_bps` is not taken over: the program ignores it on SOL-priced coins
    /// (pump-public-docs `docs/instructions/COIN_CREATION.md` at 2293f9a), and other coins are not tradable.
    #[must_use]
    pub fn at_launch(launch: &Launch, schedule: &FeeSchedule) -> Self {
        let accounts = PumpAccounts {
            mint: launch.mint,
            bonding_curve: launch.bonding_curve.unwrap_or_default(),
            associated_bonding_curve: launch.associated_bonding_curve.unwrap_or_default(),
            token_program: launch.token_program,
            quote_mint: launch.quote_mint.unwrap_or_default(),
            creator: launch.creator,
            ..PumpAccounts::default()
        };
        let mut curve = Self {
            accounts,
            reserves: Reserves::FRESH,
            supply: fresh::SUPPLY,
            creator_fee_bps: 0,
            rates: FeeRates::default(),
            cashback: launch.cashback,
            tradable: launch_tradable(launch),
            launcher: launch.user,
            dev_buy: None,
            launch_slot: launch.slot,
            touched_slot: launch.slot,
            trade_count: 0,
        };
        curve.refresh_rates(schedule);
        curve
    }

    /// Market cap in lamports, `floor(virtual quote * supply / virtual token)`; zero for an empty curve.
    #[must_use]
    pub fn market_cap(&self) -> u128 {
        let product = u128::from(self.reserves.virtual_quote) * u128::from(self.supply);
        product
            .checked_div(u128::from(self.reserves.virtual_token))
            .unwrap_or(0)
    }

    /// Looks the rates up again; call after setting reserves, supply or the creator rate by hand.
    pub fn refresh_rates(&mut self, schedule: &FeeSchedule) {
        self.rates = schedule.rates(self.market_cap(), self.creator_fee_bps);
        if self.accounts.creator == Key::default() {
            self.rates.creator_bps = 0;
        }
    }

    /// Quote of a buy that spends `quote_in`, fees included, as `buy_exact_quote_in` answers it.
    ///
    /// Past the remaining tokens it answers for the remainder, at its own price, with `completes` set: the
    /// v1/v2 partial fill, and the curve's part of a v3 buy.
    ///
    /// Cost: three 128-bit divisions. Source: pump-rust-client 0.5.0 `exact_in_fee_amounts` (`math/fees.rs`),
    /// `exact_in`, `buy_token_amount_from_sol_amount` (`math/bonding_curve.rs`).
    ///
    /// # Errors
    /// [`QuoteReject`]; `PastRemaining` when even the remainder costs more than `quote_in`.
    pub fn buy_exact_quote(&self, quote_in: Lamports) -> Result<Quote, QuoteReject> {
        let Reserves {
            virtual_token,
            virtual_quote,
            real_token,
            ..
        } = self.reserves;
        if virtual_token == 0 || virtual_quote == 0 || real_token == 0 {
            return Err(QuoteReject::EmptyReserves);
        }
        let (net, protocol_fee, creator_fee) = exact_in_split(quote_in.0, self.rates)?;
        let priced = u128::from(net - 1);
        let tokens = priced * u128::from(virtual_token) / (u128::from(virtual_quote) + priced);
        if tokens == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        if tokens > u128::from(real_token) {
            let rest = self.buy_tokens(TokenAmount(real_token))?;
            return if rest.quote > quote_in {
                Err(QuoteReject::PastRemaining)
            } else {
                Ok(rest)
            };
        }
        let quote = sum3(net, protocol_fee, creator_fee)?;
        Ok(Quote {
            tokens: TokenAmount(tokens as u64),
            quote: Lamports(quote),
            net: Lamports(net),
            protocol_fee: Lamports(protocol_fee),
            creator_fee: Lamports(creator_fee),
            completes: tokens == u128::from(real_token),
        })
    }

    /// Quote of a buy of exactly `tokens`: `cost = floor(n * vQ / (vT - n)) + 1`, then each fee rounded up.
    ///
    /// Source: pump-rust-client 0.5.0 `buy_quote`, `fees_on` (`math/bonding_curve.rs`).
    ///
    /// # Errors
    /// [`QuoteReject`]; `PastRemaining` when the curve has fewer left.
    pub fn buy_tokens(&self, tokens: TokenAmount) -> Result<Quote, QuoteReject> {
        let Reserves {
            virtual_token,
            virtual_quote,
            real_token,
            ..
        } = self.reserves;
        if tokens.0 == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        if tokens.0 > real_token {
            return Err(QuoteReject::PastRemaining);
        }
        let left = virtual_token
            .checked_sub(tokens.0)
            .filter(|left| *left > 0)
            .ok_or(QuoteReject::EmptyReserves)?;
        let cost = u128::from(tokens.0) * u128::from(virtual_quote) / u128::from(left) + 1;
        let net = u64::try_from(cost).map_err(|_| QuoteReject::Overflow)?;
        let protocol_fee = fee_on(net, self.rates.protocol_bps)?;
        let creator_fee = fee_on(net, self.rates.creator_bps)?;
        Ok(Quote {
            tokens,
            quote: Lamports(sum3(net, protocol_fee, creator_fee)?),
            net: Lamports(net),
            protocol_fee: Lamports(protocol_fee),
            creator_fee: Lamports(creator_fee),
            completes: tokens.0 == real_token,
        })
    }

    /// Quote of a sale of `tokens`: `floor(n * vQ / (vT + n))` less each fee rounded up.
    ///
    /// Does not ask whether the curve holds the payout (see [`Curve::apply`]).
    /// Source: pump-rust-client 0.5.0 `sell_sol_amount_from_token_amount` (`math/bonding_curve.rs`).
    ///
    /// # Errors
    /// [`QuoteReject`].
    pub fn sell(&self, tokens: TokenAmount) -> Result<Quote, QuoteReject> {
        let Reserves {
            virtual_token,
            virtual_quote,
            ..
        } = self.reserves;
        if tokens.0 == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        if virtual_token == 0 {
            return Err(QuoteReject::EmptyReserves);
        }
        let pool = u128::from(virtual_token) + u128::from(tokens.0);
        let net = (u128::from(tokens.0) * u128::from(virtual_quote) / pool) as u64;
        let protocol_fee = fee_on(net, self.rates.protocol_bps)?;
        let creator_fee = fee_on(net, self.rates.creator_bps)?;
        let fees = protocol_fee
            .checked_add(creator_fee)
            .ok_or(QuoteReject::Overflow)?;
        let quote = net.checked_sub(fees).ok_or(QuoteReject::FeesExceedOutput)?;
        Ok(Quote {
            tokens,
            quote: Lamports(quote),
            net: Lamports(net),
            protocol_fee: Lamports(protocol_fee),
            creator_fee: Lamports(creator_fee),
            completes: false,
        })
    }

    /// Moves the reserves as `trade` would, and takes over the accounts it shows.
    ///
    /// A trade that the program would refuse here (slippage, nothing left, payout not held) moves nothing.
    pub fn apply(&mut self, trade: &Trade, schedule: &FeeSchedule) -> Applied {
        self.touched_slot = self.touched_slot.max(trade.slot);
        let Some(quote) = self.predicted(trade) else {
            return Applied::PredictedFailure;
        };
        let moved = match trade.amounts {
            Amounts::Sell { .. } => self.reserves.sold(quote),
            Amounts::ExactIn { .. } | Amounts::TokensOut { .. } => self.reserves.bought(quote),
        };
        let Some(reserves) = moved else {
            return Applied::PredictedFailure;
        };
        self.reserves = reserves;
        self.trade_count += 1;
        if trade.side == Side::Buy && trade.trader == self.launcher && self.dev_buy.is_none() {
            self.dev_buy = Some((quote, self.trade_count));
        }
        self.learn(&trade.shown);
        if quote.completes && self.tradable.is_ok() {
            self.tradable = Err(Untradable::Complete);
        }
        self.refresh_rates(schedule);
        Applied::Moved(quote)
    }

    /// What the program would answer `trade`; `None` when it would refuse.
    ///
    /// Past the remaining tokens a v3 buy completes the curve and goes on in the pool that the migration will
    /// open; only the curve's part is answered, and its own limits are not checked. A v1 or v2 buy does so
    /// only with `partial_fill` (pump-public-docs `docs/instructions/TRADE_V3.md`; 0.5.0 `src/sdk/pump_v3.rs`).
    #[must_use]
    pub fn predicted(&self, trade: &Trade) -> Option<Quote> {
        if self.tradable == Err(Untradable::Complete) {
            return None;
        }
        let may_complete = trade.form == Form::V3 || trade.partial_fill == Some(true);
        match trade.amounts {
            Amounts::ExactIn {
                quote_in,
                tokens_min,
            } => {
                let quote = self.buy_exact_quote(quote_in).ok()?;
                let whole = !quote.completes || self.fits_whole(quote_in, quote);
                if whole {
                    (quote.tokens >= tokens_min).then_some(quote)
                } else {
                    may_complete.then_some(quote)
                }
            }
            Amounts::TokensOut { tokens, quote_max } => {
                if tokens.0 > self.reserves.real_token {
                    let rest = self
                        .buy_tokens(TokenAmount(self.reserves.real_token))
                        .ok()?;
                    return (may_complete && rest.quote <= quote_max).then_some(rest);
                }
                self.buy_tokens(tokens)
                    .ok()
                    .filter(|quote| quote.quote <= quote_max)
            }
            Amounts::Sell { tokens, quote_min } => {
                let quote = self.sell(tokens).ok()?;
                (quote.quote >= quote_min && quote.net.0 <= self.reserves.real_quote)
                    .then_some(quote)
            }
        }
    }

    /// Whether a completing exact-in quote spends its whole budget on the curve, rather than asking for more
    /// tokens than there are.
    fn fits_whole(&self, quote_in: Lamports, quote: Quote) -> bool {
        exact_in_split(quote_in.0, self.rates).is_ok_and(|(net, ..)| net == quote.net.0)
    }

    /// Fills in accounts that are still unknown.
    fn learn(&mut self, shown: &ShownAccounts) {
        let accounts = &mut self.accounts;
        let fill = |known: &mut Option<Key>, seen: Option<Key>| *known = known.or(seen);
        fill(
            &mut accounts.associated_quote_bonding_curve,
            shown.associated_quote_bonding_curve,
        );
        fill(&mut accounts.creator_vault, shown.creator_vault);
        fill(
            &mut accounts.associated_creator_vault,
            shown.associated_creator_vault,
        );
        fill(&mut accounts.sharing_config, shown.sharing_config);
        fill(&mut accounts.fee_recipient, shown.fee_recipient);
        fill(
            &mut accounts.buyback_fee_recipient,
            shown.buyback_fee_recipient,
        );
    }
}

impl Reserves {
    /// After a buy; `None` when the reserves cannot have given it.
    fn bought(self, quote: Quote) -> Option<Self> {
        Some(Self {
            virtual_token: self.virtual_token.checked_sub(quote.tokens.0)?,
            virtual_quote: self.virtual_quote.checked_add(quote.net.0)?,
            real_token: self.real_token.checked_sub(quote.tokens.0)?,
            real_quote: self.real_quote.checked_add(quote.net.0)?,
        })
    }

    /// After a sale; `None` when the reserves cannot have paid it.
    fn sold(self, quote: Quote) -> Option<Self> {
        Some(Self {
            virtual_token: self.virtual_token.checked_add(quote.tokens.0)?,
            virtual_quote: self.virtual_quote.checked_sub(quote.net.0)?,
            real_token: self.real_token.checked_add(quote.tokens.0)?,
            real_quote: self.real_quote.checked_sub(quote.net.0)?,
        })
    }
}

/// The reasons a launch alone can give, the ones no later event mends first.
fn launch_tradable(launch: &Launch) -> Result<(), Untradable> {
    match launch.quote_mint {
        _ if launch.mayhem => Err(Untradable::Mayhem),
        None => Err(Untradable::QuoteUnknown),
        Some(quote) if quote != WRAPPED_SOL => Err(Untradable::QuoteNotSol),
        Some(_) if launch.holder_reward => Err(Untradable::HolderReward),
        Some(_) if launch.bonding_curve.is_none() || launch.associated_bonding_curve.is_none() => {
            Err(Untradable::AccountsUnresolved)
        }
        Some(_) => Ok(()),
    }
}

/// Net quote and both fees of a budget: `net = floor(in * 10_000 / (10_000 + rates))`, fees on that net
/// rounded up, and what overshoots the budget shaved off the net. `net` is at least 1.
fn exact_in_split(quote_in: u64, rates: FeeRates) -> Result<(u64, u64, u64), QuoteReject> {
    let divisor = u128::from(BPS_WHOLE) + u128::from(rates.total_bps());
    let net = (u128::from(quote_in) * u128::from(BPS_WHOLE) / divisor) as u64;
    if net == 0 {
        return Err(QuoteReject::ZeroAmount);
    }
    let protocol_fee = fee_on(net, rates.protocol_bps)?;
    let creator_fee = fee_on(net, rates.creator_bps)?;
    let cost = u128::from(net) + u128::from(protocol_fee) + u128::from(creator_fee);
    let overshoot = cost.saturating_sub(u128::from(quote_in));
    let net = u128::from(net)
        .checked_sub(overshoot)
        .filter(|net| *net > 0)
        .ok_or(QuoteReject::ZeroAmount)?;
    Ok((net as u64, protocol_fee, creator_fee))
}

/// `ceil(amount * bps / 10_000)`.
fn fee_on(amount: u64, bps: u64) -> Result<u64, QuoteReject> {
    let fee = (u128::from(amount) * u128::from(bps)).div_ceil(u128::from(BPS_WHOLE));
    u64::try_from(fee).map_err(|_| QuoteReject::Overflow)
}

fn sum3(first: u64, second: u64, third: u64) -> Result<u64, QuoteReject> {
    first
        .checked_add(second)
        .and_then(|sum| sum.checked_add(third))
        .ok_or(QuoteReject::Overflow)
}
