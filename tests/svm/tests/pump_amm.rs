//! PumpSwap: our pool against the program, trade by trade, from our own bytes and from everybody else's.
//!
//! `cargo test --test pump_amm` compares some hundred trades; `SVM_TRADES=10000` is the long form.
#![allow(clippy::unwrap_used)]

use bundle::address::{JITO_TIP_ACCOUNTS, PUMP_BUYBACK_FEE_RECIPIENTS, PUMP_FEE_RECIPIENTS};
use market::event::{Form, Way};
use market::pump_amm::{Pool as OurPool, PoolAccount, Terms as OurTerms};
use market::quote::{Amount, QuoteReject, Swapped};
use market::token::TransferFee;
use market::{PumpSwapAccounts, Side};
use pump_rust_client::pda;
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;
use strategy::{LaneClass, Venue as Family};
use svm_tests::campaign::{self, Difference, Tally, Venue};
use svm_tests::dice::Dice;
use svm_tests::machine::{Meter, Outcome, compute_limit};
use svm_tests::ours::{self, Order, Ours};
use svm_tests::pump::{self, Coin, Generation};
use svm_tests::pump_amm::{self, Call, Pool};
use svm_tests::world::{SOL, Terms, Tier, World, wrapped_sol_account};

const DEFAULT_TRADES: u64 = 600;
const TRADES_PER_SESSION: u64 = 25;
/// What every trader has before every trade, in lamports and in wrapped SOL.
const PURSE: u64 = 1 << 61;
/// Coins that the traders of a session share.
const COINS: u64 = 1 << 52;

/// What our quote predicts a failure for: nothing to move (6001, 6002, 6039), a limit missed (6004, 6040), more than
/// there is (6016, 6025, 6063), an overflow (6023, 6024), cashback on v2 (6079). Source: pump-rust-client 0.5.0
/// `idls/pump_amm.json`.
const REFUSALS: [u32; 11] = [
    6001, 6002, 6004, 6016, 6023, 6024, 6025, 6039, 6040, 6063, 6079,
];

/// What a campaign of the default length has to come across.
const CASES: [&str; 15] = [
    "our bytes",
    "several tiers",
    "tier changed within a session",
    "migrated pool",
    "somebody's own pool",
    "no creator",
    "the coin's own creator rate",
    "cashback pool",
    "cashback pool refused by v2",
    "virtual quote added",
    "virtual quote taken off",
    "fees not paid out",
    "supply burnt",
    "limit met exactly",
    "limit missed by one",
];

#[test]
fn every_trade_moves_what_our_pool_says() {
    let mut venue = PumpSwap {
        world: World::new(Terms::default()),
    };
    let tally = campaign::run("pump_amm", DEFAULT_TRADES, &mut venue);
    if campaign::is_standard() && tally.trades() >= DEFAULT_TRADES {
        for case in CASES {
            assert!(tally.count(case) > 0, "the campaign never met: {case}");
        }
    }
}

struct PumpSwap {
    world: World,
}

impl Venue for PumpSwap {
    fn session(&mut self, seed: u64, tally: &mut Tally) -> Result<(), Difference> {
        Session::new(&mut self.world, seed, tally).run()
    }

    fn meter(&self) -> &Meter {
        self.world.machine.meter()
    }
}

struct Session<'a> {
    world: &'a mut World,
    tally: &'a mut Tally,
    dice: Dice,
    coin: Coin,
    pool: Pool,
    terms: OurTerms,
    /// Our idea of the pool, which only our own predictions move.
    curve: OurPool,
    ours: Ours,
    stranger: Keypair,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    call: Call,
    /// Built by us; else by the publisher's client.
    built: bool,
    amount: u64,
    limit: u64,
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
        let key = dice.seed();
        let stranger = pump::trader(world, dice.seed());
        let pool = open(world, &coin, &stranger, &mut dice, tally);
        shape(world, &pool, &mut dice, tally);
        let ours = Ours::new(key, &mut dice);
        let curve = our_pool(world, &pool);
        Self {
            terms: world.pool_terms(),
            world,
            tally,
            dice,
            coin,
            pool,
            curve,
            ours,
            stranger,
        }
    }

    fn run(mut self) -> Result<(), Difference> {
        for number in 0..TRADES_PER_SESSION {
            let case = self.case();
            let before = self.curve;
            self.trade(&case).map_err(|difference| {
                difference.on(format!(
                    "trade {number} of the session: {case:?}\n{before:?}\n{:?} {:?}",
                    self.coin.generation, self.world.terms
                ))
            })?;
        }
        Ok(())
    }

    fn trade(&mut self, case: &Case) -> Result<(), Difference> {
        let user = self.user(case);
        self.world.machine.fund(&user, PURSE);
        if !case.built {
            self.world.set_wrapped(&user, PURSE);
        }
        let mut predicted = self.curve;
        let expected = self.expected(&mut predicted, case);
        let before = self.purse(&user);
        let outcome = self.execute(case, &user);
        let name = name(case);
        match expected {
            Err(reject) => {
                if outcome.landed() {
                    return Err(Difference(format!("predicted {reject:?}, but it landed")));
                }
                if !outcome.code().is_some_and(|code| REFUSALS.contains(&code)) {
                    let logs = outcome.logs.join("\n");
                    return Err(Difference(format!(
                        "failed as predicted ({reject:?}), but not by the program's rules of trading: {:?}\n{logs}",
                        outcome.result
                    )));
                }
                if self.curve.account.cashback && case.call.is_v2() {
                    self.tally.met("cashback pool refused by v2");
                }
                self.tally.refused(name);
                Ok(())
            }
            Ok(swapped) => {
                if !outcome.landed() {
                    let logs = outcome.logs.join("\n");
                    return Err(Difference(format!(
                        "predicted {swapped:?}, but it failed: {:?}\n{logs}",
                        outcome.result
                    )));
                }
                let after = self.purse(&user);
                compare(case, &swapped, &outcome, &before, &after)?;
                if predicted.rates(&self.terms) != self.curve.rates(&self.terms) {
                    self.tally.met("tier changed within a session");
                }
                self.curve = predicted;
                Difference::between("the pool", self.curve, our_pool(self.world, &self.pool))?;
                self.tally.landed(name);
                Ok(())
            }
        }
    }

    fn user(&self, case: &Case) -> Address {
        if case.built {
            self.ours.address()
        } else {
            self.stranger.pubkey()
        }
    }

    /// What our quote says of it, its limit included. `Err(None)`: the limit is missed.
    fn expected(&self, pool: &mut OurPool, case: &Case) -> Result<Swapped, Option<QuoteReject>> {
        let form = if case.call.is_v2() {
            Form::V2
        } else {
            Form::V1
        };
        let (way, amount) = asked(case.call, case.amount);
        let swapped = pool.swap(&self.terms, form, way, amount).map_err(Some)?;
        let within = match case.call {
            Call::Buy | Call::BuyV2 => swapped.amount_in <= case.limit,
            _ => swapped.amount_out >= case.limit,
        };
        if within { Ok(swapped) } else { Err(None) }
    }

    fn execute(&mut self, case: &Case, user: &Address) -> Outcome {
        let name = name(case);
        if case.built {
            self.tally.met("our bytes");
            let state = self.curve.account;
            let accounts = PumpSwapAccounts {
                mint: market::Mint(state.base_mint),
                pool: self.pool.address.to_bytes(),
                base_vault: state.base_vault,
                quote_vault: state.quote_vault,
                token_program: self.coin.token_program.to_bytes(),
                quote_mint: state.quote_mint,
            };
            let order = Order {
                venue: Family::PumpSwap,
                side: side(case.call),
                tokens: case.amount,
                limit: case.limit,
                lane: case.lane,
                tip: case.tip,
            };
            let blockhash = self.world.machine.fresh_blockhash();
            let bytes = self.ours.build(&order, accounts.into(), blockhash);
            return self.world.machine.run_bytes(name, &bytes);
        }
        let amounts = (case.amount, case.limit);
        let pays_back = self
            .curve
            .rates(&self.terms)
            .is_ok_and(|rates| rates.creator_bps > 0);
        let trade =
            pump_amm::instruction(self.world, &self.pool, case.call, user, amounts, pays_back);
        self.world.machine.run(name, &[trade], &[&self.stranger])
    }

    fn case(&mut self) -> Case {
        let mut built = self.dice.one_in(2);
        let held = |session: &Self, user: &Address| {
            session.world.machine.tokens(&session.coin.account_of(user))
        };
        let ours = held(self, &self.ours.address());
        let theirs = held(self, &self.stranger.pubkey());
        let sells = self.dice.one_in(2);
        if sells && ours == 0 {
            built = false;
        }
        let call = self.dice.pick(match (built, sells) {
            (true, false) => &[Call::BuyV2][..],
            (true, true) => &[Call::SellV2],
            (false, false) => &[Call::Buy, Call::BuyExactIn, Call::BuyV2, Call::BuyExactInV2],
            (false, true) => &[Call::Sell, Call::SellV2],
        });
        let amount = self.amount(call, if built { ours } else { theirs });
        let (way, fixed) = asked(call, amount);
        let form = if call.is_v2() { Form::V2 } else { Form::V1 };
        let quoted = self.curve.clone().swap(&self.terms, form, way, fixed);
        let (lane, tip) = ours::lane(&mut self.dice);
        let limit = match call {
            Call::Buy | Call::BuyV2 => {
                self.limit(quoted.map_or(PURSE / 2, |swapped| swapped.amount_in), true)
            }
            _ => self.limit(quoted.map_or(0, |swapped| swapped.amount_out), false),
        };
        Case {
            call,
            built,
            amount,
            limit: limit.max(1),
            lane,
            tip,
        }
    }

    fn amount(&mut self, call: Call, held: u64) -> u64 {
        let quote = self.curve.quote_effective().unwrap_or(1).max(1);
        let base = self.curve.base_reserve;
        match call {
            Call::Sell | Call::SellV2 => match self.dice.below(6) {
                0 => held.max(1),
                1..=3 => self.dice.magnitude(1, held.max(1)),
                _ => self.dice.within(1, held.clamp(1, base / 4 + 1)),
            },
            Call::Buy | Call::BuyV2 => match self.dice.below(16) {
                0 => base,
                1 => base.saturating_add(1),
                2..=8 => self.dice.magnitude(1, (base / 2).max(1)),
                _ => self.dice.within(1, base / 16 + 1),
            },
            Call::BuyExactIn | Call::BuyExactInV2 => match self.dice.below(8) {
                0..=3 => self.dice.magnitude(1, quote),
                _ => self.dice.within(1, quote / 16 + 1),
            },
        }
    }

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

/// What a trade can move. `quote` is lamports and wrapped SOL together, its account's rent included: our trades open
/// and close that account.
#[derive(Clone, Copy, Debug)]
struct Purse {
    quote: u64,
    base: u64,
    vaults: (u64, u64),
    recipients: u64,
    tip_accounts: u64,
    /// Wrapped SOL of the creator's vault and of the trader's cashback.
    creator: u64,
    /// Rent of the accounts that a first trade opens.
    rents: u64,
}

impl Session<'_> {
    fn purse(&self, user: &Address) -> Purse {
        let machine = &self.world.machine;
        let wrapped = wrapped_sol_account(user);
        let volume = pda::pump_amm::user_volume_accumulator(user).0;
        let sum = |wallets: &[[u8; 32]], of: &dyn Fn(&Address) -> u64| -> u64 {
            wallets
                .iter()
                .map(|wallet| of(&Address::from(*wallet)))
                .sum()
        };
        let in_account = |wallet: &Address| machine.tokens(&wrapped_sol_account(wallet));
        let paid_back = wrapped_sol_account(&volume);
        let vault = pump_amm::creator_vault(&self.pool.state(self.world));
        let shell = |address: &Address| machine.lamports(address) - machine.tokens(address);
        Purse {
            quote: machine.lamports(user) + machine.lamports(&wrapped),
            base: machine.tokens(&self.coin.account_of(user)),
            vaults: self.pool.vaults(self.world),
            recipients: sum(&PUMP_FEE_RECIPIENTS, &in_account)
                + sum(&PUMP_BUYBACK_FEE_RECIPIENTS, &in_account),
            tip_accounts: sum(&JITO_TIP_ACCOUNTS, &|wallet| machine.lamports(wallet)),
            creator: machine.tokens(&vault) + machine.tokens(&paid_back),
            rents: machine.lamports(&self.coin.account_of(user))
                + machine.lamports(&volume)
                + shell(&vault)
                + shell(&paid_back),
        }
    }
}

fn compare(
    case: &Case,
    swapped: &Swapped,
    outcome: &Outcome,
    before: &Purse,
    after: &Purse,
) -> Result<(), Difference> {
    let delta = |after: u64, before: u64| i128::from(after) - i128::from(before);
    let (paid, got) = (
        i128::from(swapped.amount_in),
        i128::from(swapped.amount_out),
    );
    let (base, quote) = if case.call.sells() {
        (-paid, got)
    } else {
        (got, -paid)
    };
    let tipped = delta(after.tip_accounts, before.tip_accounts);
    if case.built {
        let tip = i128::from(case.tip);
        let expected = match case.lane {
            LaneClass::PrivateBundle => tip,
            LaneClass::PrivateTransaction => tipped.min(tip),
            LaneClass::Public | LaneClass::PriorityBundle => 0,
        };
        Difference::between("tip", expected, tipped)?;
    }
    let network = i128::from(outcome.fee) + tipped + delta(after.rents, before.rents);
    Difference::between("coins of the trader", base, delta(after.base, before.base))?;
    Difference::between(
        "lamports of the trader",
        quote - network,
        delta(after.quote, before.quote),
    )?;
    // What the trader paid is in the vault, with the recipients, with the creator: nowhere else.
    let elsewhere = delta(after.vaults.1, before.vaults.1)
        + delta(after.recipients, before.recipients)
        + delta(after.creator, before.creator);
    Difference::between("what everybody else got", -quote, elsewhere)
}

/// The pool as our readers take it from the accounts.
fn our_pool(world: &World, pool: &Pool) -> OurPool {
    let account = PoolAccount::parse(&pool.data(world)).expect("a pool of the program");
    let (base_reserve, quote_reserve) = pool.vaults(world);
    let (authority, _) = pda::pump::pool_authority(&pool.base_mint);
    OurPool {
        made_by_pump: account.creator == authority.to_bytes(),
        account,
        base_reserve,
        quote_reserve,
        base_supply: pool.supply(world),
        base_fee: TransferFee::NONE,
        quote_fee: TransferFee::NONE,
    }
}

/// A pool of a bought-out coin, or the stranger's own.
fn open(
    world: &mut World,
    coin: &Coin,
    stranger: &Keypair,
    dice: &mut Dice,
    tally: &mut Tally,
) -> Pool {
    let user = stranger.pubkey();
    let left = coin.state(world).real_token_reserves;
    let amounts = (left, 1_000 * SOL);
    let buy = pump::instruction(world, coin, pump::Call::BuyV3, &user, amounts, false);
    let first = pump::open_account(coin, &user);
    world
        .machine
        .run("pump buy_v3, completing", &[first, buy], &[stranger])
        .expect("buys out");
    if dice.one_in(4) {
        tally.met("somebody's own pool");
        let base = dice.magnitude(1_000_000, left / 2);
        return Pool::open(
            world,
            coin,
            stranger,
            base,
            dice.magnitude(1_000_000, 1_000 * SOL),
        );
    }
    tally.met("migrated pool");
    let (kind, migrate) = match coin.generation {
        Generation::Legacy => ("pump migrate", pump::migrate(world, coin, &user)),
        Generation::V2 => ("pump migrate_v2", pump::migrate_v2(world, coin, &user)),
    };
    world
        .machine
        .run(kind, &[compute_limit(1_000_000), migrate], &[stranger])
        .expect(kind);
    Pool::of(coin)
}

/// A fee schedule: one tier, or up to six over the market caps a pool goes through.
fn terms(dice: &mut Dice, tally: &mut Tally) -> Terms {
    let mut terms = Terms::default();
    if dice.below(4) > 0 {
        let mut from = 0;
        let count = dice.within(1, 6);
        terms.tiers = (0..count)
            .map(|_| {
                let tier = Tier {
                    from,
                    lp: dice.below(100),
                    protocol: dice.below(400),
                    creator: dice.below(400),
                };
                from += u128::from(dice.magnitude(1_000_000_000, 1_000_000_000_000));
                tier
            })
            .collect();
        if count > 1 {
            tally.met("several tiers");
        }
    }
    terms.flat = Tier {
        from: 0,
        lp: dice.below(100),
        protocol: dice.below(100),
        creator: dice.below(100),
    };
    terms.creator_fee_configurable = dice.one_in(2);
    terms.buyback_bps = dice.pick(&[0, 5_000, 10_000, 3_333, 1]);
    terms
}

/// Makes the fresh pool a random one.
fn shape(world: &mut World, pool: &Pool, dice: &mut Dice, tally: &mut Tally) {
    if dice.one_in(2) {
        let (base, quote) = (
            dice.magnitude(1_000_000, COINS),
            dice.magnitude(1_000_000, 1 << 48),
        );
        pool.set_vaults(world, base, quote);
    }
    if dice.one_in(4) {
        tally.met("supply burnt");
        let mut mint = world.machine.account(&pool.base_mint).unwrap();
        let supply = dice.within(1 << 48, 1 << 49);
        mint.data[36..44].copy_from_slice(&supply.to_le_bytes());
        world.machine.put(pool.base_mint, mint);
    }
    let (_, quote) = pool.vaults(world);
    let (authority, _) = pda::pump::pool_authority(&pool.base_mint);
    pool.rewrite(world, |state| {
        let made_by_pump = state.creator == authority;
        if made_by_pump && dice.one_in(5) {
            tally.met("no creator");
            state.coin_creator = Address::default();
        }
        if dice.one_in(3) {
            tally.met("the coin's own creator rate");
            state.creator_fee_bps = dice.within(1, 1_000);
        }
        if state.coin_creator != Address::default() && dice.one_in(4) {
            tally.met("cashback pool");
            state.is_cashback_coin = true;
        }
        let mut owed = 0;
        if dice.one_in(3) {
            tally.met("fees not paid out");
            state.protocol_fees = dice.below(quote / 4 + 1);
            state.creator_fees = dice.below(quote / 4 + 1);
            owed = state.protocol_fees + state.creator_fees;
        }
        let boost = match dice.below(4) {
            0 => {
                tally.met("virtual quote added");
                i128::from(dice.magnitude(1, 1 << 46))
            }
            1 => {
                tally.met("virtual quote taken off");
                -i128::from(dice.below(quote / 4 + 1))
            }
            _ => 0,
        };
        state.virtual_quote_reserves = boost - i128::from(owed);
    });
}

fn asked(call: Call, amount: u64) -> (Way, Amount) {
    match call {
        Call::Buy | Call::BuyV2 => (Way::BToA, Amount::Out(amount)),
        Call::BuyExactIn | Call::BuyExactInV2 => (Way::BToA, Amount::In(amount)),
        Call::Sell | Call::SellV2 => (Way::AToB, Amount::In(amount)),
    }
}

const fn side(call: Call) -> Side {
    if call.sells() { Side::Sell } else { Side::Buy }
}

const fn name(case: &Case) -> &'static str {
    if case.built {
        ours::name(Family::PumpSwap, side(case.call))
    } else {
        case.call.name()
    }
}
