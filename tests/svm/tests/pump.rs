//! Pump: our curve against the program, trade by trade, from our own bytes and from everybody else's.
//!
//! `cargo test --test pump` compares some hundred trades; `SVM_TRADES=10000` is the long form.
#![allow(clippy::unwrap_used)]

use std::fmt;

use bundle::WireVersion;
use market::pump::account::BondingCurve;
use market::pump::curve::PoolToBe;
use market::{Amounts, Applied, Curve, Form, Lamports, Quote, Side, TokenAmount, Trade};
use pump_rust_client::pda;
use shred_wire::{Nanos, Slot};
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;
use strategy::{LaneClass, Venue as Family};
use svm_tests::campaign::{self, Difference, Tally, Venue};
use svm_tests::dice::Dice;
use svm_tests::machine::{Meter, Outcome};
use svm_tests::ours::{self, Order, Ours};
use svm_tests::pump::{self, Call, Coin, Generation};
use svm_tests::world::{Terms, Tier, World};

const DEFAULT_TRADES: u64 = 600;
const TRADES_PER_SESSION: u64 = 50;
/// Tries on a curve that is sold out.
const TRADES_AFTER_THE_END: u64 = 2;
/// What every trader has before every trade: more than any curve here can ask.
const PURSE: u64 = 5_000_000_000_000_000_000;

#[test]
fn every_trade_moves_what_our_curve_says() {
    let mut pump = Pump {
        world: World::new(Terms::default()),
    };
    let tally = campaign::run("pump", DEFAULT_TRADES, &mut pump);
    if campaign::is_standard() && tally.trades() >= DEFAULT_TRADES {
        for case in CASES {
            assert!(tally.count(case) > 0, "the campaign never met: {case}");
        }
    }
}

/// What our curve predicts a failure for: a limit missed (6002, 6003, 6042), a curve sold out (6005), nothing to move
/// (6020, 6022, 6041), more than there is (6021, 6023), an overflow (6024), cashback on v3 (6094). Source: pump-rust-client
/// 0.5.0 `idls/pump.json`.
const REFUSALS: [u32; 11] = [
    6002, 6003, 6005, 6020, 6021, 6022, 6023, 6024, 6041, 6042, 6094,
];

/// What a campaign of the default length has to come across.
const CASES: [&str; 14] = [
    "our bytes v0",
    "our bytes v1",
    "several tiers",
    "tier changed within a session",
    "no creator",
    "the coin's own creator rate",
    "cashback coin",
    "cashback coin refused by v3",
    "supply burnt",
    "first trade opens accounts",
    "limit met exactly",
    "limit missed by one",
    "buy that completes",
    "buy past the remaining tokens",
];

struct Pump {
    world: World,
}

impl Venue for Pump {
    fn session(&mut self, seed: u64, tally: &mut Tally) -> Result<(), Difference> {
        Session::new(&mut self.world, seed, tally).run()
    }

    fn meter(&self) -> &Meter {
        self.world.machine.meter()
    }
}

/// One coin, the traders around it, and our idea of its curve, which only our own predictions move.
struct Session<'a> {
    world: &'a mut World,
    tally: &'a mut Tally,
    dice: Dice,
    coin: Coin,
    curve: Curve,
    ours: Ours,
    stranger: Keypair,
}

/// A trade about to be made.
#[derive(Clone, Copy, Debug)]
struct Case {
    call: Call,
    /// Built by us; else by the publisher's client.
    built: bool,
    amounts: Amounts,
    partial_fill: bool,
    lane: LaneClass,
    tip: u64,
}

impl<'a> Session<'a> {
    fn new(world: &'a mut World, seed: u64, tally: &'a mut Tally) -> Self {
        let mut dice = Dice::new(seed);
        world.set_terms(terms(&mut dice, tally));
        let creator = pump::trader(world, dice.seed());
        let generation = dice.pick(&[Generation::Legacy, Generation::V2]);
        let coin = Coin::launch(world, generation, dice.seed(), &creator);
        shape(world, &coin, &mut dice, tally);
        let key = dice.seed();
        pump::trader(world, key);
        let stranger = pump::trader(world, dice.seed());
        let ours = Ours::new(key, &mut dice);
        Self {
            curve: coin.our_curve(world),
            world,
            tally,
            dice,
            coin,
            ours,
            stranger,
        }
    }

    fn run(mut self) -> Result<(), Difference> {
        let mut after_the_end = 0;
        for number in 0..TRADES_PER_SESSION {
            if self.curve.tradable.is_err() {
                after_the_end += 1;
            }
            if after_the_end > TRADES_AFTER_THE_END {
                break;
            }
            let case = self.case();
            let before = self.curve;
            self.trade(&case).map_err(|difference| {
                difference.on(Told {
                    number,
                    case,
                    curve: &before,
                    coin: &self.coin,
                    terms: &self.world.terms,
                })
            })?;
        }
        Ok(())
    }

    fn trade(&mut self, case: &Case) -> Result<(), Difference> {
        let schedule = self.world.schedule();
        let user = if case.built {
            self.ours.address()
        } else {
            self.stranger.pubkey()
        };
        self.world.machine.fund(&user, PURSE);
        let mut predicted = self.curve;
        let applied = predicted.apply(&trade_event(&self.coin, &user, case), &schedule);
        let purse = self.purse(&user);
        let outcome = self.execute(case, &user);
        let name = Self::name(case);
        match applied {
            Applied::PredictedFailure => {
                if outcome.landed() {
                    return Err(Difference("predicted a failure, but it landed".into()));
                }
                if !outcome.code().is_some_and(|code| REFUSALS.contains(&code)) {
                    let logs = outcome.logs.join("\n");
                    return Err(Difference(format!(
                        "failed as predicted, but not by the program's rules of trading: {:?}\n{logs}",
                        outcome.result
                    )));
                }
                Difference::between(
                    "curve after a failure",
                    purse.curve,
                    self.purse(&user).curve,
                )?;
                self.tally.refused(name);
                Ok(())
            }
            Applied::Moved(quote) => {
                if !outcome.landed() {
                    let logs = outcome.logs.join("\n");
                    return Err(Difference(format!(
                        "predicted {quote:?}, but it failed: {:?}\n{logs}",
                        outcome.result
                    )));
                }
                let after = self.purse(&user);
                self.compare(case, &quote, &outcome, &purse, &after)?;
                if predicted.rates != self.curve.rates {
                    self.tally.met("tier changed within a session");
                }
                if quote.completes {
                    self.tally.met("buy that completes");
                }
                self.curve = predicted;
                self.compare_state()?;
                self.tally.landed(name);
                Ok(())
            }
        }
    }

    fn name(case: &Case) -> &'static str {
        if case.built {
            ours::name(family(case.call), side(case.call))
        } else {
            case.call.name()
        }
    }

    fn execute(&mut self, case: &Case, user: &Address) -> Outcome {
        let amounts = match case.amounts {
            Amounts::ExactIn {
                quote_in,
                tokens_min,
            } => (quote_in.0, tokens_min.0),
            Amounts::TokensOut { tokens, quote_max } => (tokens.0, quote_max.0),
            Amounts::Sell { tokens, quote_min } => (tokens.0, quote_min.0),
        };
        let name = Self::name(case);
        if case.built {
            self.tally.met(match self.ours.version() {
                WireVersion::V0 => "our bytes v0",
                WireVersion::V1 => "our bytes v1",
            });
            let order = Order {
                venue: family(case.call),
                side: side(case.call),
                tokens: amounts.0,
                limit: amounts.1,
                lane: case.lane,
                tip: case.tip,
            };
            let blockhash = self.world.machine.fresh_blockhash();
            let bytes = self
                .ours
                .build(&order, self.curve.accounts.into(), blockhash);
            return self.world.machine.run_bytes(name, &bytes);
        }
        let trade = pump::instruction(
            self.world,
            &self.coin,
            case.call,
            user,
            amounts,
            case.partial_fill,
        );
        if side(case.call) == Side::Sell {
            return self.world.machine.run(name, &[trade], &[&self.stranger]);
        }
        let open = pump::open_account(&self.coin, user);
        self.world
            .machine
            .run(name, &[open, trade], &[&self.stranger])
    }
}

/// What a trade can move.
#[derive(Clone, Copy, Debug)]
struct Purse {
    lamports: u64,
    tokens: u64,
    /// Lamports of accounts that a first trade opens, zero while they do not exist.
    token_account: u64,
    volume_account: u64,
    curve: u64,
    curve_tokens: u64,
    creator_vault: u64,
    fee_recipients: u64,
    buyback_recipients: u64,
    tip_accounts: u64,
    creator_bucket: u64,
    protocol_bucket: u64,
    past_tokens: u64,
    past_quote: u64,
}

impl Session<'_> {
    fn purse(&self, user: &Address) -> Purse {
        let machine = &self.world.machine;
        let state = self.coin.state(self.world);
        let account = self.coin.account_of(user);
        let creator = Address::from(self.curve.accounts.creator);
        let sum = |wallets: &[[u8; 32]]| -> u64 {
            let wallets = wallets.iter().copied().map(Address::from);
            wallets.map(|wallet| machine.lamports(&wallet)).sum()
        };
        Purse {
            lamports: machine.lamports(user),
            tokens: machine.tokens(&account),
            token_account: machine.lamports(&account),
            volume_account: machine.lamports(&pda::pump::user_volume_accumulator(user).0),
            curve: machine.lamports(&self.coin.curve),
            curve_tokens: machine.tokens(&self.coin.curve_tokens),
            creator_vault: machine.lamports(&pda::pump::creator_vault(&creator).0),
            fee_recipients: sum(&bundle::address::PUMP_FEE_RECIPIENTS),
            buyback_recipients: sum(&bundle::address::PUMP_BUYBACK_FEE_RECIPIENTS),
            tip_accounts: sum(&bundle::address::JITO_TIP_ACCOUNTS),
            creator_bucket: state.creator_fee,
            protocol_bucket: state.protocol_fees,
            past_tokens: state.post_complete_base_out,
            past_quote: state.post_complete_quote_in,
        }
    }

    fn compare(
        &mut self,
        case: &Case,
        quote: &Quote,
        outcome: &Outcome,
        before: &Purse,
        after: &Purse,
    ) -> Result<(), Difference> {
        let sells = side(case.call) == Side::Sell;
        let v3 = matches!(case.call, Call::BuyV3 | Call::BuyExactInV3 | Call::SellV3);
        let (tokens, paid) = (i128::from(quote.tokens.0), i128::from(quote.quote.0));
        let sign = if sells { -1 } else { 1 };
        let slice = quote.protocol_fee.0 * self.world.terms.buyback_bps / 10_000;
        let kept = quote.protocol_fee.0 - slice;
        let creator = quote.creator_fee.0;
        let budget = match case.amounts {
            Amounts::ExactIn { quote_in, .. } => quote_in.0.checked_sub(quote.quote.0),
            Amounts::TokensOut { .. } | Amounts::Sell { .. } => None,
        };
        let past = Past::of(
            before,
            after,
            budget,
            self.curve.rates,
            self.world.terms.buyback_bps,
        );
        if past.tokens > 0 {
            self.tally.met("buy past the remaining tokens");
            self.compare_past(case, before, after)?;
        }

        // The trader: tokens and lamports, what the network takes, and what a first trade leaves in accounts.
        let opened = opened(before.token_account, after.token_account)
            + opened(before.volume_account, after.volume_account);
        let top_up = if v3 || self.curve.cashback || creator == 0 {
            0
        } else {
            self.vault_top_up(before)
        };
        if top_up > 0 {
            self.tally.met("creator vault without its rent");
        }
        if opened > 0 {
            self.tally.met("first trade opens accounts");
        }
        let tipped = after.tip_accounts - before.tip_accounts;
        if case.built {
            let tip = match case.lane {
                LaneClass::PrivateBundle => case.tip,
                LaneClass::PrivateTransaction => tipped.min(case.tip),
                LaneClass::Public | LaneClass::PriorityBundle => 0,
            };
            Difference::between("tip", tip, tipped)?;
        }
        let cashback = if self.curve.cashback { creator } else { 0 };
        let first_cashback = if before.volume_account == 0 {
            cashback
        } else {
            0
        };
        let network = outcome.fee + tipped + opened - first_cashback + top_up;
        let delta = |after: u64, before: u64| i128::from(after) - i128::from(before);
        Difference::between(
            "tokens of the trader",
            sign * tokens + past.tokens,
            delta(after.tokens, before.tokens),
        )?;
        Difference::between(
            "lamports of the trader",
            -sign * paid - past.paid - i128::from(network),
            delta(after.lamports, before.lamports),
        )?;

        // Everybody else who gets something.
        Difference::between(
            "tokens of the curve",
            -sign * tokens - past.tokens,
            delta(after.curve_tokens, before.curve_tokens),
        )?;
        let net = sign * i128::from(quote.net.0);
        let (curve, recipients, vault, buckets) = if v3 {
            (net + i128::from(kept + creator), 0, 0, (creator, kept))
        } else if self.curve.cashback {
            (net, kept, 0, (0, 0))
        } else {
            (net, kept, creator + top_up, (0, 0))
        };
        Difference::between(
            "lamports of the curve",
            curve + past.curve,
            delta(after.curve, before.curve),
        )?;
        Difference::between(
            "fee recipients",
            i128::from(recipients),
            delta(after.fee_recipients, before.fee_recipients),
        )?;
        Difference::between(
            "buyback recipients",
            i128::from(slice) + past.buyback,
            delta(after.buyback_recipients, before.buyback_recipients),
        )?;
        Difference::between(
            "creator vault",
            i128::from(vault),
            delta(after.creator_vault, before.creator_vault),
        )?;
        Difference::between(
            "creator bucket",
            i128::from(buckets.0) + past.creator,
            delta(after.creator_bucket, before.creator_bucket),
        )?;
        Difference::between(
            "protocol bucket",
            i128::from(buckets.1) + past.protocol,
            delta(after.protocol_bucket, before.protocol_bucket),
        )
    }

    /// What a v3 buy took past the remaining tokens, against our quote of it.
    fn compare_past(&self, case: &Case, before: &Purse, after: &Purse) -> Result<(), Difference> {
        let pool = PoolToBe {
            base: before.curve_tokens - self.curve.reserves.real_token,
            migration_fee: self.world.global.pool_migration_fee,
        };
        let quoted = match case.amounts {
            Amounts::ExactIn { quote_in, .. } => self.curve.buy_exact_quote_v3(quote_in, &pool),
            Amounts::TokensOut { tokens, .. } => self.curve.buy_tokens_v3(tokens, &pool),
            Amounts::Sell { .. } => return Err(Difference("a sale went past the end".into())),
        };
        let quoted = quoted.ok().and_then(|buy| buy.past);
        let took = (
            after.past_tokens - before.past_tokens,
            after.past_quote - before.past_quote,
        );
        Difference::between(
            "past the end",
            quoted.map(|past| (past.tokens.0, past.net.0)),
            Some(took),
        )
    }

    /// What the trader pays on top when the creator's vault lies below its rent.
    fn vault_top_up(&self, before: &Purse) -> u64 {
        self.world
            .machine
            .rent(0)
            .saturating_sub(before.creator_vault)
    }

    /// Our curve against the account's bytes.
    fn compare_state(&self) -> Result<(), Difference> {
        let state = self.coin.state(self.world);
        Difference::between("reserves", self.curve.reserves, pump::reserves(&state))?;
        let complete = self.curve.tradable == Err(market::Untradable::Complete);
        Difference::between("complete", complete, state.complete)?;
        let read = self.coin.our_curve(self.world);
        Difference::between("rates", self.curve.rates, read.rates)?;
        let account = self.world.machine.account(&self.coin.curve).unwrap();
        let parsed = BondingCurve::parse(&account.data)
            .map_err(|reject| Difference(format!("our reader refuses the account: {reject:?}")))?;
        Difference::between("reserves read", self.curve.reserves, parsed.reserves)?;
        Difference::between(
            "flags read",
            (state.complete, state.is_cashback_coin),
            (parsed.complete, parsed.cashback),
        )?;
        Difference::between(
            "buckets read",
            (
                state.creator_fee,
                state.protocol_fees,
                state.post_complete_base_out,
                state.post_complete_quote_in,
            ),
            (
                parsed.creator_fees,
                parsed.protocol_fees,
                parsed.past_tokens,
                parsed.past_quote,
            ),
        )
    }
}

/// What an account held that did not exist before.
fn opened(before: u64, after: u64) -> u64 {
    if before == 0 { after } else { 0 }
}

/// The leg of a v3 buy past the remaining tokens, from what the account says of it.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    tokens: i128,
    paid: i128,
    curve: i128,
    buyback: i128,
    creator: i128,
    protocol: i128,
}

impl Past {
    /// `budget` is what an exact-in buy has left for it: fees are taken on its net before rounding is shaved off.
    fn of(
        before: &Purse,
        after: &Purse,
        budget: Option<u64>,
        rates: market::FeeRates,
        buyback_bps: u64,
    ) -> Self {
        let quote = after.past_quote - before.past_quote;
        if quote == 0 {
            return Self::default();
        }
        let net = budget.map_or(u128::from(quote), |budget| {
            u128::from(budget) * 10_000 / (10_000 + u128::from(rates.total_bps()))
        });
        let fee = |bps: u64| (net * u128::from(bps)).div_ceil(10_000) as u64;
        let (protocol, creator) = (fee(rates.protocol_bps), fee(rates.creator_bps));
        let slice = protocol * buyback_bps / 10_000;
        Self {
            tokens: i128::from(after.past_tokens - before.past_tokens),
            paid: i128::from(quote + protocol + creator),
            curve: i128::from(quote + protocol + creator - slice),
            buyback: i128::from(slice),
            creator: i128::from(creator),
            protocol: i128::from(protocol - slice),
        }
    }
}

impl Session<'_> {
    fn case(&mut self) -> Case {
        let holds = |session: &Self, user: Address| {
            session
                .world
                .machine
                .tokens(&session.coin.account_of(&user))
        };
        let built = self.dice.one_in(2);
        let held = if built {
            holds(self, self.ours.address())
        } else {
            holds(self, self.stranger.pubkey())
        };
        let call = self.call(built, held);
        if self.curve.cashback && matches!(call, Call::BuyV3 | Call::BuyExactInV3 | Call::SellV3) {
            self.tally.met("cashback coin refused by v3");
        }
        let partial_fill = !built && self.dice.one_in(2);
        let amounts = match call {
            Call::SellV1 | Call::SellV2 | Call::SellV3 => self.sale(held),
            Call::BuyExactInV1 | Call::BuyExactInV2 | Call::BuyExactInV3 => self.exact_in(),
            Call::BuyV1 | Call::BuyV2 | Call::BuyV3 => self.tokens_out(),
        };
        let amounts = match call {
            Call::BuyV3 | Call::BuyExactInV3 => self.past_the_end(amounts),
            _ => amounts,
        };
        let (lane, tip) = ours::lane(&mut self.dice);
        Case {
            call,
            built,
            amounts,
            partial_fill,
            lane,
            tip,
        }
    }

    fn call(&mut self, built: bool, held: u64) -> Call {
        let sell = held > 0 && self.dice.below(5) < 2;
        let calls: &[Call] = match (built, sell) {
            (true, false) => &[Call::BuyV2, Call::BuyV3],
            (true, true) => &[Call::SellV2, Call::SellV3],
            (false, false) => &[
                Call::BuyV1,
                Call::BuyExactInV1,
                Call::BuyV2,
                Call::BuyExactInV2,
                Call::BuyV3,
                Call::BuyExactInV3,
            ],
            (false, true) => &[Call::SellV1, Call::SellV2, Call::SellV3],
        };
        self.dice.pick(calls)
    }

    fn sale(&mut self, held: u64) -> Amounts {
        let tokens = match self.dice.below(4) {
            0 => held,
            1 => self.dice.magnitude(1, held),
            _ => self.dice.within(1, held),
        };
        let quoted = self
            .curve
            .sell(TokenAmount(tokens))
            .map_or(1, |quote| quote.quote.0);
        let least = self.limit(quoted, false).max(1);
        Amounts::Sell {
            tokens: TokenAmount(tokens),
            quote_min: Lamports(least),
        }
    }

    fn tokens_out(&mut self) -> Amounts {
        let left = self.curve.reserves.real_token.max(1);
        let tokens = match self.dice.below(16) {
            0 => left,
            1 => left.saturating_add(self.dice.magnitude(1, left)),
            2..=8 => self.dice.magnitude(1, left),
            _ => self.dice.within(1, (left / 8).max(1)),
        };
        let quoted = self
            .curve
            .buy_tokens(TokenAmount(tokens))
            .map_or(1 << 50, |quote| quote.quote.0);
        Amounts::TokensOut {
            tokens: TokenAmount(tokens),
            quote_max: Lamports(self.limit(quoted, true).max(1)),
        }
    }

    fn exact_in(&mut self) -> Amounts {
        let all = self
            .curve
            .buy_tokens(TokenAmount(self.curve.reserves.real_token))
            .map_or(1_000_000_000, |quote| quote.quote.0);
        let quote_in = match self.dice.below(16) {
            0 => all,
            1 => all.saturating_add(self.dice.magnitude(1, all)),
            2..=8 => self.dice.magnitude(1, all),
            _ => self.dice.within(1, (all / 8).max(1)),
        };
        let quoted = self
            .curve
            .buy_exact_quote(Lamports(quote_in))
            .map_or(1, |quote| quote.tokens.0);
        Amounts::ExactIn {
            quote_in: Lamports(quote_in),
            tokens_min: TokenAmount(self.limit(quoted, false).max(1)),
        }
    }

    /// A v3 buy past the remaining tokens goes on in the pool to be, which our curve takes to be the usual one. Where
    /// this curve's is another, the buy comes without a limit that the difference could decide, and asks for less than
    /// either pool holds.
    fn past_the_end(&mut self, amounts: Amounts) -> Amounts {
        let left = TokenAmount(self.curve.reserves.real_token);
        let Ok(rest) = self.curve.buy_tokens(left) else {
            return amounts;
        };
        let pool = self.pool_to_be();
        let is_usual = pool == PoolToBe::USUAL;
        match amounts {
            Amounts::TokensOut { tokens, .. } if tokens > left => {
                let most = left.0 + pool.base.min(PoolToBe::USUAL.base) / 2;
                let tokens = TokenAmount(tokens.0.min(most));
                let quoted = self
                    .curve
                    .buy_tokens_v3(tokens, &pool)
                    .map(|buy| buy.quote().0);
                let quote_max = match quoted {
                    Ok(quoted) if is_usual => self.limit(quoted, true),
                    _ => PURSE,
                };
                Amounts::TokensOut {
                    tokens,
                    quote_max: Lamports(quote_max),
                }
            }
            Amounts::ExactIn { quote_in, .. } if quote_in > rest.quote => {
                let quoted = self
                    .curve
                    .buy_exact_quote_v3(quote_in, &pool)
                    .map(|buy| buy.tokens().0);
                let tokens_min = match quoted {
                    Ok(quoted) if is_usual => self.limit(quoted, false),
                    _ => 1,
                };
                Amounts::ExactIn {
                    quote_in,
                    tokens_min: TokenAmount(tokens_min.max(1)),
                }
            }
            _ => amounts,
        }
    }

    fn pool_to_be(&self) -> PoolToBe {
        let held = self.world.machine.tokens(&self.coin.curve_tokens);
        PoolToBe {
            base: held - self.curve.reserves.real_token,
            migration_fee: self.world.global.pool_migration_fee,
        }
    }

    /// A limit around the quoted amount: met with room, met exactly, or missed by one.
    fn limit(&mut self, quoted: u64, most: bool) -> u64 {
        match self.dice.below(8) {
            0 => {
                self.tally.met("limit missed by one");
                if most {
                    quoted.saturating_sub(1)
                } else {
                    quoted.saturating_add(1)
                }
            }
            1..=4 => {
                self.tally.met("limit met exactly");
                quoted
            }
            _ if most => quoted.saturating_add(quoted / 10),
            _ => quoted - quoted / 10,
        }
    }
}

/// A fee schedule: mainnet's, or up to six tiers over the market caps a curve goes through.
fn terms(dice: &mut Dice, tally: &mut Tally) -> Terms {
    let mut terms = Terms::default();
    if dice.below(4) > 0 {
        let count = dice.within(1, 6);
        let mut from = 0;
        terms.tiers = (0..count)
            .map(|_| {
                let tier = Tier {
                    from,
                    lp: dice.below(50),
                    protocol: dice.below(400),
                    creator: dice.below(400),
                };
                from += u128::from(dice.within(1_000_000_000, 150_000_000_000));
                tier
            })
            .collect();
        if dice.one_in(3) {
            terms.tiers[0].from = u128::from(dice.within(1, 60_000_000_000));
        }
        if count > 1 {
            tally.met("several tiers");
        }
    }
    terms.creator_fee_configurable = dice.one_in(2);
    terms.buyback_bps = dice.pick(&[0, 5_000, 10_000, 3_333, 1]);
    terms
}

/// Makes the fresh coin a random one: who creates it, its own rate, cashback, its supply and its reserves.
fn shape(world: &mut World, coin: &Coin, dice: &mut Dice, tally: &mut Tally) {
    let tokens = world.machine.tokens(&coin.curve_tokens);
    if dice.one_in(4) {
        tally.met("supply burnt");
        let mut mint = world.machine.account(&coin.mint).unwrap();
        let supply = dice.within(tokens / 2, tokens);
        mint.data[36..44].copy_from_slice(&supply.to_le_bytes());
        world.machine.put(coin.mint, mint);
    }
    coin.rewrite(world, |state| {
        if dice.one_in(5) {
            tally.met("no creator");
            state.creator = Address::default();
        }
        if dice.one_in(3) {
            tally.met("the coin's own creator rate");
            state.creator_fee_bps = dice.within(1, 1_000);
        }
        // The fee that comes back is the creator's: no such coin is without one.
        let has_creator = state.creator != Address::default();
        if has_creator && coin.generation == Generation::V2 && dice.one_in(3) {
            tally.met("cashback coin");
            state.is_cashback_coin = true;
        }
        if dice.one_in(2) {
            state.real_token_reserves = dice.magnitude(1_000, tokens);
            state.virtual_token_reserves =
                state.real_token_reserves + dice.magnitude(1_000_000_000, 400_000_000_000_000);
            state.virtual_quote_reserves = dice.magnitude(1_000_000, 400_000_000_000);
            state.real_quote_reserves = dice.below(100_000_000_000);
        }
    });
}

fn trade_event(coin: &Coin, user: &Address, case: &Case) -> Trade {
    Trade {
        mint: market::Mint(coin.mint.to_bytes()),
        trader: user.to_bytes(),
        side: side(case.call),
        amounts: case.amounts,
        form: match case.call {
            Call::BuyV1 | Call::BuyExactInV1 | Call::SellV1 => Form::V1,
            Call::BuyV2 | Call::BuyExactInV2 | Call::SellV2 => Form::V2,
            Call::BuyV3 | Call::BuyExactInV3 | Call::SellV3 => Form::V3,
        },
        partial_fill: (side(case.call) == Side::Buy).then_some(case.partial_fill),
        shown: market::event::ShownAccounts::default(),
        slot: Slot(1),
        at: Nanos(1),
        signature: [0; 64],
    }
}

const fn family(call: Call) -> Family {
    match call {
        Call::BuyV3 | Call::SellV3 => Family::PumpV3,
        _ => Family::PumpV2,
    }
}

const fn side(call: Call) -> Side {
    if call.sells() { Side::Sell } else { Side::Buy }
}

/// Everything that tells a failing trade.
struct Told<'a> {
    number: u64,
    case: Case,
    curve: &'a Curve,
    coin: &'a Coin,
    terms: &'a Terms,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Curve {
            reserves,
            supply,
            creator_fee_bps,
            rates,
            cashback,
            tradable,
            ..
        } = self.curve;
        writeln!(f, "trade {} of the session: {:?}", self.number, self.case)?;
        writeln!(f, "{:?} coin {}", self.coin.generation, self.coin.mint)?;
        writeln!(
            f,
            "{reserves:?} supply {supply} own rate {creator_fee_bps} {rates:?}"
        )?;
        writeln!(f, "cashback {cashback} tradable {tradable:?}")?;
        write!(f, "{:?}", self.terms)
    }
}
