//! One bonding curve: reserves, rates, and what the program would answer.
//!
//! Reserves move speculatively: a trade seen in shreds is applied as if it succeeds when the program's own
//! limits say it would. Trades made by inner instructions are not in shreds, so reserves can lag the chain;
//! slippage limits, not this arithmetic, protect the money.

use shred_wire::Slot;

use crate::accounts::PumpAccounts;
use crate::event::{Amounts, Form, Launch, ShownAccounts, Side, Trade};
use crate::pump::account::{BondingCurve, Global};
use crate::pump::fees::{FeeRates, FeeSchedule};
use crate::pump::{WRAPPED_SOL, fresh};
use crate::quote::QuoteReject;
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

/// What a v3 buy moves: the curve's part, and past the remaining tokens the part in the pool to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BuyV3 {
    /// What the curve gives.
    pub curve: Quote,
    /// What the pool to be gives on top; `net` is what it takes. Never `completes`.
    pub past: Option<Quote>,
}

impl BuyV3 {
    /// Tokens bought on both.
    #[must_use]
    pub fn tokens(&self) -> TokenAmount {
        let past = self.past.map_or(0, |past| past.tokens.0);
        TokenAmount(self.curve.tokens.0.saturating_add(past))
    }

    /// Quote taken from the trader for both, fees included.
    #[must_use]
    pub fn quote(&self) -> Lamports {
        let past = self.past.map_or(0, |past| past.quote.0);
        Lamports(self.curve.quote.0.saturating_add(past))
    }
}

/// What the pool that a completed curve becomes is opened with, but for what the curve raises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolToBe {
    /// Tokens in the curve's token account beyond those it sells. Anybody may send more there.
    pub base: u64,
    /// Lamports that the migration keeps of what the curve raised.
    pub migration_fee: u64,
}

impl PoolToBe {
    /// Of a coin as `create` and `create_v2` make them, at the fee of pump-public-docs `docs/PUMP_PROGRAM_README.md`
    /// (1b82215).
    pub const USUAL: Self = Self {
        base: fresh::SUPPLY - fresh::REAL_TOKEN,
        migration_fee: 15_000_001,
    };

    /// Of a coin whose curve's token account holds `base_held`, at the fee `global` names.
    #[must_use]
    pub const fn of(base_held: u64, curve: &Curve, global: &Global) -> Self {
        Self {
            base: base_held.saturating_sub(curve.reserves.real_token),
            migration_fee: global.migration_fee,
        }
    }
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
    /// The creator is the account's own word, not a launch's: its vault is derived, and none that a trade shows is taken.
    pub creator_proven: bool,
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
            creator_proven: false,
        };
        curve.refresh_rates(schedule);
        curve
    }

    /// A curve at what its account says; `accounts` as far as they are known, `supply` as its mint counts it.
    ///
    /// Account truth for a coin whose launch was not seen. Untradable, with the reason, like at launch.
    #[must_use]
    pub fn from_account(
        truth: &BondingCurve,
        accounts: PumpAccounts,
        supply: u64,
        schedule: &FeeSchedule,
        slot: Slot,
    ) -> Self {
        Self {
            accounts,
            reserves: Reserves::default(),
            supply,
            creator_fee_bps: 0,
            rates: FeeRates::default(),
            cashback: false,
            tradable: Err(Untradable::Doubtful),
            launcher: Key::default(),
            dev_buy: None,
            launch_slot: slot,
            touched_slot: slot,
            trade_count: 0,
            creator_proven: false,
        }
        .corrected(truth, Some(supply), schedule, slot)
    }

    /// The same curve with what its account says in place of what was reckoned, at the end of `slot`. What accounts
    /// do not hold (the launcher, its first buy, counts) stays; so does the supply unless the mint's is given.
    ///
    /// Doubt ends here. Whether the reckoning was right, [`Curve::agrees`] says before.
    #[must_use]
    pub fn corrected(
        mut self,
        truth: &BondingCurve,
        supply: Option<u64>,
        schedule: &FeeSchedule,
        slot: Slot,
    ) -> Self {
        self.reserves = truth.reserves;
        self.supply = supply.unwrap_or(self.supply);
        self.creator_fee_bps = truth.creator_fee_bps;
        self.cashback = truth.cashback;
        self.prove_creator(truth.creator);
        self.accounts.quote_mint = if truth.quote_mint == Key::default() {
            WRAPPED_SOL
        } else {
            truth.quote_mint
        };
        self.tradable = account_tradable(truth, &self.accounts);
        self.touched_slot = self.touched_slot.max(slot);
        self.refresh_rates(schedule);
        self
    }

    /// Takes the account's word for the creator. A vault that trades showed goes: anybody can show a false one in a
    /// trade that fails, and our exit would name it and fail as well.
    pub(crate) const fn prove_creator(&mut self, creator: Key) {
        self.accounts.creator = creator;
        self.accounts.creator_vault = None;
        self.accounts.associated_creator_vault = None;
        self.creator_proven = true;
    }

    /// Whether the reckoned state is the account's: reserves, completion, and what rates depend on.
    #[must_use]
    pub fn agrees(&self, truth: &BondingCurve) -> bool {
        let is_complete = match self.tradable {
            Ok(()) => false,
            Err(Untradable::Complete) => true,
            // Another reason stands before it.
            Err(_) => truth.complete,
        };
        let has_creator = |creator: Key| creator != Key::default();
        // What a complete curve held moves on into its pool, and prices nothing.
        let is_priced = !(is_complete && truth.complete);
        (!is_priced || self.reserves == truth.reserves)
            && is_complete == truth.complete
            && self.creator_fee_bps == truth.creator_fee_bps
            && has_creator(self.accounts.creator) == has_creator(truth.creator)
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
        self.rates = schedule.rates_at(|| self.market_cap(), self.creator_fee_bps);
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
        self.answered(self.exact_in(quote_in)?, quote_in)
    }

    /// What of `asked` for `quote_in` the curve gives: all of it, or the remainder.
    fn answered(&self, asked: ExactIn, quote_in: Lamports) -> Result<Quote, QuoteReject> {
        if asked.is_past(&self.reserves) {
            let rest = self.buy_tokens(TokenAmount(self.reserves.real_token))?;
            return if rest.quote > quote_in {
                Err(QuoteReject::PastRemaining)
            } else {
                Ok(rest)
            };
        }
        asked.quote(self.reserves.real_token)
    }

    /// Quote of a `buy_exact_quote_in_v3`: past the remaining tokens the curve completes and what is left of the
    /// budget buys from the pool to be.
    ///
    /// Source: pump-rust-client 0.5.0 `buy_v3_token_amount_from_sol_amount` (`math/bonding_curve.rs`).
    ///
    /// # Errors
    /// As [`Curve::buy_exact_quote`]; [`QuoteReject::Closed`] for a cashback coin, which v3 refuses.
    pub fn buy_exact_quote_v3(
        &self,
        quote_in: Lamports,
        pool: &PoolToBe,
    ) -> Result<BuyV3, QuoteReject> {
        if self.cashback {
            return Err(QuoteReject::Closed);
        }
        let asked = self.exact_in(quote_in)?;
        let is_past = asked.is_past(&self.reserves);
        let curve = self.answered(asked, quote_in)?;
        let budget = Lamports(quote_in.0 - curve.quote.0);
        let past = if is_past && budget.0 > 0 {
            self.past_for(budget, self.opened(pool, curve)?)?
        } else {
            None
        };
        Ok(BuyV3 { curve, past })
    }

    /// Quote of a `buy_v3` of exactly `tokens`.
    ///
    /// Source: pump-rust-client 0.5.0 `buy_v3_sol_amount_from_token_amount` (`math/bonding_curve.rs`).
    ///
    /// # Errors
    /// As [`Curve::buy_tokens`]; [`QuoteReject::Closed`] for a cashback coin; `PastRemaining` when the pool to be has
    /// too few as well.
    pub fn buy_tokens_v3(
        &self,
        tokens: TokenAmount,
        pool: &PoolToBe,
    ) -> Result<BuyV3, QuoteReject> {
        if self.cashback {
            return Err(QuoteReject::Closed);
        }
        let remaining = self.reserves.real_token;
        let curve = self.buy_tokens(TokenAmount(tokens.0.min(remaining)))?;
        if tokens.0 <= remaining {
            return Ok(BuyV3 { curve, past: None });
        }
        let (base, quote) = self.opened(pool, curve)?;
        let past = tokens.0 - remaining;
        let left = base
            .checked_sub(past)
            .filter(|left| *left > 0)
            .ok_or(QuoteReject::PastRemaining)?;
        let net = (u128::from(quote) * u128::from(past)).div_ceil(u128::from(left));
        let net = u64::try_from(net).map_err(|_| QuoteReject::Overflow)?;
        let past = self.charged(past, net)?;
        Ok(BuyV3 {
            curve,
            past: Some(past),
        })
    }

    /// What a budget asks for, the remaining tokens left out of account.
    fn exact_in(&self, quote_in: Lamports) -> Result<ExactIn, QuoteReject> {
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
        Ok(ExactIn {
            net,
            protocol_fee,
            creator_fee,
            tokens: tokens as u64,
        })
    }

    /// Base and quote of the pool to be once `curve` completes this one.
    fn opened(&self, pool: &PoolToBe, curve: Quote) -> Result<(u64, u64), QuoteReject> {
        let raised = self
            .reserves
            .real_quote
            .checked_add(curve.net.0)
            .ok_or(QuoteReject::Overflow)?;
        let quote = raised
            .checked_sub(pool.migration_fee)
            .ok_or(QuoteReject::Overflow)?;
        if pool.base == 0 || quote == 0 {
            return Err(QuoteReject::EmptyReserves);
        }
        Ok((pool.base, quote))
    }

    /// What `budget` buys from a pool; `None` when nothing.
    fn past_for(
        &self,
        budget: Lamports,
        (base, quote): (u64, u64),
    ) -> Result<Option<Quote>, QuoteReject> {
        let divisor = u128::from(BPS_WHOLE) + u128::from(self.rates.total_bps());
        if u128::from(budget.0) * u128::from(BPS_WHOLE) / divisor < 2 {
            return Ok(None);
        }
        let (net, protocol_fee, creator_fee) = exact_in_split(budget.0, self.rates)?;
        let priced = u128::from(net - 1);
        let tokens = priced * u128::from(base) / (u128::from(quote) + priced);
        if tokens == 0 {
            return Ok(None);
        }
        let asked = ExactIn {
            net,
            protocol_fee,
            creator_fee,
            tokens: tokens as u64,
        };
        asked.quote(u64::MAX).map(Some)
    }

    /// `tokens` for `net`, with each fee on it rounded up.
    fn charged(&self, tokens: u64, net: u64) -> Result<Quote, QuoteReject> {
        let protocol_fee = fee_on(net, self.rates.protocol_bps)?;
        let creator_fee = fee_on(net, self.rates.creator_bps)?;
        Ok(Quote {
            tokens: TokenAmount(tokens),
            quote: Lamports(sum3(net, protocol_fee, creator_fee)?),
            net: Lamports(net),
            protocol_fee: Lamports(protocol_fee),
            creator_fee: Lamports(creator_fee),
            completes: false,
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
        Ok(Quote {
            completes: tokens.0 == real_token,
            ..self.charged(tokens.0, net)?
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
    /// Past the remaining tokens a v3 buy completes the curve and goes on in the pool that the migration will open: the
    /// limits are held against both parts, the curve's is answered. What stands in that pool is taken to be as usual
    /// ([`PoolToBe::USUAL`]). A v1 or v2 buy completes so only with `partial_fill`, which gives up its minimum.
    /// (pump-public-docs `docs/instructions/TRADE_V3.md`; 0.5.0 `src/sdk/pump_v3.rs`.)
    #[must_use]
    pub fn predicted(&self, trade: &Trade) -> Option<Quote> {
        // v3 refuses cashback coins (`CashbackCoinNotSupported`, 6094).
        let is_refused = self.cashback && trade.form == Form::V3;
        if is_refused || self.tradable == Err(Untradable::Complete) {
            return None;
        }
        match (trade.amounts, trade.form) {
            (
                Amounts::ExactIn {
                    quote_in,
                    tokens_min,
                },
                Form::V3,
            ) => {
                let buy = self.buy_exact_quote_v3(quote_in, &PoolToBe::USUAL).ok()?;
                (buy.tokens() >= tokens_min).then_some(buy.curve)
            }
            (
                Amounts::ExactIn {
                    quote_in,
                    tokens_min,
                },
                Form::V1 | Form::V2,
            ) => {
                let quote = self.buy_exact_quote(quote_in).ok()?;
                let is_past =
                    quote.completes && self.exact_in(quote_in).ok()?.is_past(&self.reserves);
                let is_met = if is_past {
                    trade.partial_fill == Some(true)
                } else {
                    quote.tokens >= tokens_min
                };
                is_met.then_some(quote)
            }
            (Amounts::TokensOut { tokens, quote_max }, Form::V3) => {
                let buy = self.buy_tokens_v3(tokens, &PoolToBe::USUAL).ok()?;
                (buy.quote() <= quote_max).then_some(buy.curve)
            }
            (Amounts::TokensOut { tokens, quote_max }, Form::V1 | Form::V2) => {
                let is_past = tokens.0 > self.reserves.real_token;
                if is_past && trade.partial_fill != Some(true) {
                    return None;
                }
                let filled = tokens.0.min(self.reserves.real_token);
                let quote = self.buy_tokens(TokenAmount(filled)).ok()?;
                (quote.quote <= quote_max).then_some(quote)
            }
            (Amounts::Sell { tokens, quote_min }, _) => {
                let quote = self.sell(tokens).ok()?;
                (quote.quote >= quote_min && quote.net.0 <= self.reserves.real_quote)
                    .then_some(quote)
            }
        }
    }

    /// Fills in accounts that are still unknown.
    fn learn(&mut self, shown: &ShownAccounts) {
        let accounts = &mut self.accounts;
        // Mostly all is known, and nothing is written.
        let fill = |known: &mut Option<Key>, seen: &Option<Key>| {
            if known.is_none() && seen.is_some() {
                *known = *seen;
            }
        };
        fill(
            &mut accounts.associated_quote_bonding_curve,
            &shown.associated_quote_bonding_curve,
        );
        if !self.creator_proven {
            fill(&mut accounts.creator_vault, &shown.creator_vault);
            fill(
                &mut accounts.associated_creator_vault,
                &shown.associated_creator_vault,
            );
        }
        fill(&mut accounts.sharing_config, &shown.sharing_config);
        fill(&mut accounts.fee_recipient, &shown.fee_recipient);
        fill(
            &mut accounts.buyback_fee_recipient,
            &shown.buyback_fee_recipient,
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

/// The reasons an account gives.
fn account_tradable(truth: &BondingCurve, accounts: &PumpAccounts) -> Result<(), Untradable> {
    let unresolved = Key::default();
    if truth.mayhem {
        Err(Untradable::Mayhem)
    } else if accounts.quote_mint != WRAPPED_SOL {
        Err(Untradable::QuoteNotSol)
    } else if truth.holder_reward {
        Err(Untradable::HolderReward)
    } else if truth.complete || truth.reserves.virtual_token == 0 {
        Err(Untradable::Complete)
    } else if accounts.bonding_curve == unresolved
        || accounts.associated_bonding_curve == unresolved
    {
        Err(Untradable::AccountsUnresolved)
    } else {
        Ok(())
    }
}

/// What a budget asks for.
struct ExactIn {
    net: u64,
    protocol_fee: u64,
    creator_fee: u64,
    tokens: u64,
}

impl ExactIn {
    /// Whether it asks for more than there is.
    const fn is_past(&self, reserves: &Reserves) -> bool {
        self.tokens > reserves.real_token
    }

    fn quote(self, real_token: u64) -> Result<Quote, QuoteReject> {
        Ok(Quote {
            tokens: TokenAmount(self.tokens),
            quote: Lamports(sum3(self.net, self.protocol_fee, self.creator_fee)?),
            net: Lamports(self.net),
            protocol_fee: Lamports(self.protocol_fee),
            creator_fee: Lamports(self.creator_fee),
            completes: self.tokens == real_token,
        })
    }
}

/// Net quote and both fees of a budget: `net = floor(in * 10_000 / (10_000 + rates))`, fees on that net
/// rounded up, and what overshoots the budget shaved off the net. `net` is at least 1.
fn exact_in_split(quote_in: u64, rates: FeeRates) -> Result<(u64, u64, u64), QuoteReject> {
    let net = before_fees(quote_in, rates);
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

/// `floor(amount * 10_000 / (10_000 + rates))`. One word is enough for all that is ever spent, and divides faster.
#[inline]
fn before_fees(amount: u64, rates: FeeRates) -> u64 {
    let one_word = amount
        .checked_mul(BPS_WHOLE)
        .zip(BPS_WHOLE.checked_add(rates.total_bps()));
    if let Some((whole, divisor)) = one_word {
        return whole / divisor;
    }
    let divisor = u128::from(BPS_WHOLE) + u128::from(rates.total_bps());
    (u128::from(amount) * u128::from(BPS_WHOLE) / divisor) as u64
}

/// `ceil(amount * bps / 10_000)`. Of one word the division is a multiplication.
#[inline]
fn fee_on(amount: u64, bps: u64) -> Result<u64, QuoteReject> {
    if let Some(product) = amount.checked_mul(bps) {
        return Ok(product.div_ceil(BPS_WHOLE));
    }
    let fee = (u128::from(amount) * u128::from(bps)).div_ceil(u128::from(BPS_WHOLE));
    u64::try_from(fee).map_err(|_| QuoteReject::Overflow)
}

fn sum3(first: u64, second: u64, third: u64) -> Result<u64, QuoteReject> {
    first
        .checked_add(second)
        .and_then(|sum| sum.checked_add(third))
        .ok_or(QuoteReject::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: one word and two give the same answer, on both sides of what fits one.
    #[test]
    fn amounts_of_one_word_are_divided_as_those_of_two() {
        let rates = FeeRates {
            protocol_bps: 95,
            creator_bps: 30,
        };
        let edges = [u64::MAX / 10_000, u64::MAX / 95, 1_000_000_007, u64::MAX];
        for edge in edges {
            for amount in [edge - 2, edge - 1, edge, edge.saturating_add(1)] {
                let wide = u128::from(amount);
                assert_eq!(
                    u128::from(before_fees(amount, rates)),
                    wide * 10_000 / 10_125
                );
                let fee = fee_on(amount, 95).map(u128::from);
                assert_eq!(fee, Ok((wide * 95).div_ceil(10_000)));
            }
        }
        let absurd = FeeRates {
            protocol_bps: u64::MAX,
            creator_bps: 1,
        };
        assert_eq!(before_fees(u64::MAX, absurd), 9_999);
    }
}
