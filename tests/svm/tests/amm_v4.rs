//! Raydium AMM v4: our quote against the program, swap by swap.
//!
//! `cargo test --test amm_v4` compares some hundred swaps; `SVM_TRADES=10000` is the long form.
#![allow(clippy::unwrap_used)]

use bundle::address::JITO_TIP_ACCOUNTS;
use market::event::Way;
use market::quote::{Amount, QuoteReject, Swapped};
use market::raydium_amm::account::Pool as OurPool;
use market::{RaydiumAmmAccounts, Side};
use pump_rust_client::{constants, pda};
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;
use strategy::{LaneClass, Venue as Family};
use svm_tests::amm_v4::{self, Call, Pool, Shape, Wrapped};
use svm_tests::campaign::{self, Difference, Tally, Venue};
use svm_tests::dice::Dice;
use svm_tests::machine::{Meter, NOW, Outcome};
use svm_tests::ours::{self, Order, Ours};
use svm_tests::pump;
use svm_tests::world::{Terms, World};

const DEFAULT_TRADES: u64 = 600;
const TRADES_PER_SESSION: u64 = 15;
/// What every trader has of either token before every swap.
const PURSE: u64 = 1 << 60;

/// What our quote predicts a failure for, by `AmmError`: a status that does not swap (22), nothing to move (29), a
/// limit missed (30), a subtraction (32), more than there is (40). What overflows in the program aborts it.
const REFUSALS: [u32; 5] = [22, 29, 30, 32, 40];

/// What a campaign of the default length has to come across.
const CASES: [&str; 11] = [
    "opened by its own instruction",
    "our bytes",
    "our first trade opens the account",
    "coin to pc",
    "pc to coin",
    "protocol's share in the vaults",
    "a fee of its own",
    "opens with this swap",
    "not open yet",
    "limit met exactly",
    "limit missed by one",
];

#[test]
fn every_swap_moves_what_our_quote_says() {
    let mut venue = AmmV4 {
        world: World::new(Terms::default()),
    };
    let tally = campaign::run("raydium amm v4", DEFAULT_TRADES, &mut venue);
    if campaign::is_standard() && tally.trades() >= DEFAULT_TRADES {
        for case in CASES {
            assert!(tally.count(case) > 0, "the campaign never met: {case}");
        }
    }
}

struct AmmV4 {
    world: World,
}

impl Venue for AmmV4 {
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
    shape: Shape,
    pool: Pool,
    /// Our idea of the pool, which only our own predictions move.
    ours: OurPool,
    user: Keypair,
    coins: Address,
    pcs: Address,
    wrapped: Wrapped,
    trader: Ours,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    call: Call,
    way: Way,
    amount: u64,
    limit: u64,
    /// Built by us; else by the instruction's own layout.
    built: bool,
    lane: LaneClass,
    tip: u64,
}

impl<'a> Session<'a> {
    fn new(world: &'a mut World, seed: u64, tally: &'a mut Tally) -> Self {
        let mut dice = Dice::new(seed);
        let shape = shape(&mut dice, tally);
        let wrapped = dice.pick(&[Wrapped::Neither, Wrapped::Coin, Wrapped::Pc]);
        let user = pump::trader(world, dice.seed());
        let pool = if dice.one_in(4) {
            tally.met("opened by its own instruction");
            let amounts = (
                dice.magnitude(1 << 31, 1 << 56),
                dice.magnitude(1 << 31, 1 << 56),
            );
            Pool::open(world, dice.seed(), &user, wrapped, amounts)
        } else {
            Pool::write(world, dice.seed(), &shape, wrapped)
        };
        let (coin, pc) = pool.vaults(world);
        let ours = OurPool::parse(&pool.data(world))
            .expect("a pool the program takes")
            .with_vaults(coin, pc);
        Self {
            world,
            tally,
            shape,
            pool,
            ours,
            user,
            coins: Address::new_from_array(dice.seed()),
            pcs: Address::new_from_array(dice.seed()),
            wrapped,
            trader: Ours::new(dice.seed(), &mut dice),
            dice,
        }
    }

    fn run(mut self) -> Result<(), Difference> {
        for number in 0..TRADES_PER_SESSION {
            let case = self.case();
            let before = self.ours;
            self.swap(&case).map_err(|difference| {
                difference.on(format!(
                    "swap {number} of the session: {case:?}\n{before:?}\n{:?}",
                    self.shape
                ))
            })?;
        }
        Ok(())
    }

    fn swap(&mut self, case: &Case) -> Result<(), Difference> {
        let mut predicted = self.ours;
        let expected = expected(&mut predicted, case);
        let before = self.fill_purse(case);
        let outcome = if case.built {
            self.execute_ours(case)
        } else {
            self.execute(case)
        };
        let name = self.name(case);
        match expected {
            Err(reject) => {
                if outcome.landed() {
                    return Err(Difference(format!("predicted {reject:?}, but it landed")));
                }
                let known = outcome.code().is_none_or(|code| REFUSALS.contains(&code));
                if !known {
                    return Err(Difference(format!(
                        "refused for another reason: {:?}",
                        outcome.result
                    )));
                }
                self.tally.refused(name);
                if matches!(reject, Some(QuoteReject::Closed)) {
                    self.tally.met("not open yet");
                }
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
                let after = self.purse(case);
                self.compare(case, &swapped, &outcome, &before, &after)?;
                if predicted.status != self.ours.status {
                    self.tally.met("opens with this swap");
                }
                self.tally.met(match case.way {
                    Way::AToB => "coin to pc",
                    Way::BToA => "pc to coin",
                });
                self.ours = predicted;
                let (coin, pc) = self.pool.vaults(self.world);
                let read = OurPool::parse(&self.pool.data(self.world));
                let read = read.map(|pool| pool.with_vaults(coin, pc));
                Difference::between("the pool", Ok(self.ours), read)?;
                self.tally.landed(name);
                Ok(())
            }
        }
    }

    fn execute(&mut self, case: &Case) -> Outcome {
        let amounts = if case.call.fixes_out() {
            (case.limit, case.amount)
        } else {
            (case.amount, case.limit)
        };
        let (source, destination) = match case.way {
            Way::AToB => (self.coins, self.pcs),
            Way::BToA => (self.pcs, self.coins),
        };
        let user = self.user.pubkey();
        let swap =
            amm_v4::instruction(&self.pool, case.call, &user, &source, &destination, amounts);
        self.world
            .machine
            .run(case.call.name(), &[swap], &[&self.user])
    }

    fn execute_ours(&mut self, case: &Case) -> Outcome {
        self.tally.met("our bytes");
        let (mint, quote_mint) = self.traded();
        let accounts = RaydiumAmmAccounts {
            mint: market::Mint(mint.to_bytes()),
            pool: self.pool.address.to_bytes(),
            coin_vault: self.ours.coin_vault,
            pc_vault: self.ours.pc_vault,
            quote_mint: quote_mint.to_bytes(),
        };
        let order = Order {
            venue: Family::RaydiumAmm,
            side: self.side(case),
            tokens: case.amount,
            limit: case.limit,
            lane: case.lane,
            tip: case.tip,
        };
        let blockhash = self.world.machine.fresh_blockhash();
        let bytes = self.trader.build(&order, accounts.into(), blockhash);
        self.world.machine.run_bytes(self.name(case), &bytes)
    }

    /// What we trade, and what it is priced in.
    fn traded(&self) -> (Address, Address) {
        match self.wrapped {
            Wrapped::Coin => (self.pool.pc_mint, self.pool.coin_mint),
            Wrapped::Pc | Wrapped::Neither => (self.pool.coin_mint, self.pool.pc_mint),
        }
    }

    fn side(&self, case: &Case) -> Side {
        match (self.wrapped, case.way) {
            (Wrapped::Coin, Way::AToB) | (Wrapped::Pc | Wrapped::Neither, Way::BToA) => Side::Buy,
            _ => Side::Sell,
        }
    }

    fn name(&self, case: &Case) -> &'static str {
        if case.built {
            ours::name(Family::RaydiumAmm, self.side(case))
        } else {
            case.call.name()
        }
    }

    /// Gives the trader enough of everything, but leaves the opening of our account to our first buy.
    fn fill_purse(&mut self, case: &Case) -> Purse {
        if case.built {
            let user = self.trader.address();
            let account = self.our_account();
            self.world.machine.fund(&user, PURSE);
            if self.side(case) == Side::Sell || self.world.machine.lamports(&account) > 0 {
                amm_v4::hold(self.world, account, &self.traded().0, &user, PURSE);
            }
        } else {
            let user = self.user.pubkey();
            self.world.machine.fund(&user, PURSE);
            amm_v4::hold(self.world, self.coins, &self.pool.coin_mint, &user, PURSE);
            amm_v4::hold(self.world, self.pcs, &self.pool.pc_mint, &user, PURSE);
        }
        self.purse(case)
    }

    fn our_account(&self) -> Address {
        let mint = self.traded().0;
        pda::associated_token(
            &self.trader.address(),
            &constants::SPL_TOKEN_PROGRAM_ID,
            &mint,
        )
        .0
    }

    fn purse(&self, case: &Case) -> Purse {
        let machine = &self.world.machine;
        let tips = JITO_TIP_ACCOUNTS
            .iter()
            .map(|key| machine.lamports(&Address::from(*key)))
            .sum();
        let held = if case.built {
            let account = self.our_account();
            let tokens = machine.tokens(&account);
            let lamports = machine.lamports(&self.trader.address());
            match self.side(case) {
                Side::Buy => (lamports, tokens),
                Side::Sell => (tokens, lamports),
            }
        } else {
            let held = (machine.tokens(&self.coins), machine.tokens(&self.pcs));
            match case.way {
                Way::AToB => held,
                Way::BToA => (held.1, held.0),
            }
        };
        Purse {
            gives: held.0,
            gets: held.1,
            tips,
            rent: if case.built {
                machine.lamports(&self.our_account())
            } else {
                0
            },
        }
    }

    fn compare(
        &mut self,
        case: &Case,
        swapped: &Swapped,
        outcome: &Outcome,
        before: &Purse,
        after: &Purse,
    ) -> Result<(), Difference> {
        let (mut give, mut get) = (
            i128::from(swapped.amount_in),
            i128::from(swapped.amount_out),
        );
        if case.built {
            // Our trades cost and bring lamports.
            let tipped = after.tips - before.tips;
            let opened = after.rent - before.rent;
            if opened > 0 {
                self.tally.met("our first trade opens the account");
            }
            let network = i128::from(outcome.fee + tipped + opened);
            match self.side(case) {
                Side::Buy => give += network,
                Side::Sell => get -= network,
            }
        }
        let delta = |after: u64, before: u64| i128::from(after) - i128::from(before);
        Difference::between(
            "what the trader gives",
            -give,
            delta(after.gives, before.gives),
        )?;
        Difference::between("what the trader gets", get, delta(after.gets, before.gets))
    }

    fn case(&mut self) -> Case {
        let built = self.wrapped != Wrapped::Neither && self.dice.one_in(2);
        let way = self.dice.pick(&[Way::AToB, Way::BToA]);
        let call = match (built, self.wrapped, way) {
            (true, Wrapped::Coin, Way::AToB) | (true, Wrapped::Pc, Way::BToA) => Call::OutV2,
            (true, ..) => Call::InV2,
            (false, ..) => self.dice.pick(&Call::ALL),
        };
        let (lane, tip) = ours::lane(&mut self.dice);
        let (reserve_in, reserve_out) = match way {
            Way::AToB => (self.ours.coin, self.ours.pc),
            Way::BToA => (self.ours.pc, self.ours.coin),
        };
        let amount = if call.fixes_out() {
            match self.dice.below(16) {
                0 => reserve_out.max(1),
                1 => reserve_out.saturating_add(1),
                2..=9 => self.dice.magnitude(1, reserve_out.max(1)),
                _ => self.dice.within(1, (reserve_out / 4).max(1)),
            }
        } else {
            match self.dice.below(8) {
                0..=3 => self.dice.magnitude(1, reserve_in.clamp(1, PURSE)),
                _ => self.dice.within(1, (reserve_in / 4).clamp(1, PURSE)),
            }
        };
        let fixed = if call.fixes_out() {
            Amount::Out(amount)
        } else {
            Amount::In(amount)
        };
        let quoted = self.ours.clone().swap(NOW as u64, way, fixed);
        let quoted = quoted.map_or(if call.fixes_out() { PURSE } else { 0 }, |swapped| {
            if call.fixes_out() {
                swapped.amount_in
            } else {
                swapped.amount_out
            }
        });
        let limit = self.limit(quoted, call.fixes_out());
        Case {
            call,
            way,
            amount,
            // Our buys put the whole limit into the wrapped account, so it has to be there.
            limit: if built {
                limit.clamp(1, PURSE / 2)
            } else {
                limit
            },
            built,
            lane,
            tip,
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

/// What a swap can move.
#[derive(Clone, Copy, Debug)]
struct Purse {
    gives: u64,
    gets: u64,
    tips: u64,
    /// Lamports of our account for what we trade.
    rent: u64,
}

/// What our quote says of it, its limit included. `Err(None)`: the limit is missed, or the trader has not enough.
fn expected(pool: &mut OurPool, case: &Case) -> Result<Swapped, Option<QuoteReject>> {
    let fixed = if case.call.fixes_out() {
        Amount::Out(case.amount)
    } else {
        Amount::In(case.amount)
    };
    let swapped = pool.swap(NOW as u64, case.way, fixed).map_err(Some)?;
    let held = swapped.amount_in <= PURSE;
    let within = if case.call.fixes_out() {
        swapped.amount_in <= case.limit
    } else {
        swapped.amount_out >= case.limit
    };
    if held && within {
        Ok(swapped)
    } else {
        Err(None)
    }
}

fn shape(dice: &mut Dice, tally: &mut Tally) -> Shape {
    let vaults = (
        dice.magnitude(1_000, 1 << 56),
        dice.magnitude(1_000, 1 << 56),
    );
    let mut shape = Shape {
        status: 6,
        fee: (25, 10_000),
        need_take: (0, 0),
        opens_at: 0,
        vaults,
    };
    if dice.one_in(3) {
        tally.met("protocol's share in the vaults");
        shape.need_take = (dice.below(vaults.0), dice.below(vaults.1));
    }
    if dice.one_in(3) {
        tally.met("a fee of its own");
        shape.fee = (dice.below(5_000), 10_000);
    }
    if dice.one_in(4) {
        shape.status = 7;
        shape.opens_at = (NOW as u64).saturating_add_signed(dice.pick(&[-1_000, 0, 1, 1_000]));
    }
    shape
}
