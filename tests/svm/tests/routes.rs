//! PumpSwap's `multi_hop_swap`: our pools, hop by hop, against the program.
//!
//! Routes are quoted and decoded, not built by us: the bytes are the publisher's client's. The second pool of a route,
//! a coin priced in another coin, is written: its vaults are the program's own kind of account, its numbers random.
#![allow(clippy::unwrap_used)]

use market::event::Way;
use market::pump_amm::{Legs, Pool as OurPool, PoolAccount, Terms as OurTerms};
use market::quote::QuoteReject;
use market::token::TransferFee;
use pump_rust_client::token::create_associated_token_account_idempotent;
use pump_rust_client::{MultiHopHop, PumpSdk, constants, pda};
use solana_address::Address;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_signer::Signer;
use svm_tests::campaign::{self, Difference, Tally, Venue};
use svm_tests::dice::Dice;
use svm_tests::machine::{Meter, compute_limit};
use svm_tests::pump::{self, Coin, Generation};
use svm_tests::pump_amm::Pool;
use svm_tests::world::{SOL, Terms, Tier, World, wrapped_sol_account};

const DEFAULT_TRADES: u64 = 200;
const TRADES_PER_SESSION: u64 = 20;
/// Wrapped SOL of the trader before every trade.
const PURSE: u64 = 1 << 60;

/// Nothing to move (6001, 6002, 6039), a limit missed (6004, 6040), more than there is (6016, 6063), an overflow (6023).
const REFUSALS: [u32; 8] = [6001, 6002, 6004, 6016, 6023, 6039, 6040, 6063];

#[test]
fn every_route_moves_what_our_pools_say() {
    let mut routes = Routes {
        world: World::new(Terms::default()),
    };
    let tally = campaign::run("pump_amm routes", DEFAULT_TRADES, &mut routes);
    if campaign::is_standard() && tally.trades() >= DEFAULT_TRADES {
        for case in ["one hop", "two hops", "buys", "sells", "limit met exactly"] {
            assert!(tally.count(case) > 0, "the campaign never met: {case}");
        }
    }
}

struct Routes {
    world: World,
}

impl Venue for Routes {
    fn session(&mut self, seed: u64, tally: &mut Tally) -> Result<(), Difference> {
        Session::new(&mut self.world, seed).run(tally)
    }

    fn meter(&self) -> &Meter {
        self.world.machine.meter()
    }
}

/// A coin priced in SOL, and one priced in that coin.
struct Session<'a> {
    world: &'a mut World,
    dice: Dice,
    near: Coin,
    far: Coin,
    pools: [Pool; 2],
    terms: OurTerms,
    /// Our idea of the pools, which only our own predictions move.
    ours: [OurPool; 2],
    user: Keypair,
}

impl<'a> Session<'a> {
    fn new(world: &'a mut World, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        world.set_terms(terms(&mut dice));
        let creator = pump::trader(world, dice.seed());
        let user = pump::trader(world, dice.seed());
        let coin = |world: &mut World, dice: &mut Dice| {
            let generation = dice.pick(&[Generation::Legacy, Generation::V2]);
            let coin = Coin::launch(world, generation, dice.seed(), &creator);
            migrated(world, &coin, &user);
            coin
        };
        let near = coin(world, &mut dice);
        let far = coin(world, &mut dice);
        let first = Pool::of(&near);
        let second = priced_in(world, &far, &near, &user, &mut dice);
        for pool in [&first, &second] {
            let owner_rate = dice.below(500);
            pool.rewrite(world, |state| state.creator_fee_bps = owner_rate);
        }
        let ours = [
            our_pool(world, &first, &near),
            our_pool(world, &second, &far),
        ];
        Self {
            terms: world.pool_terms(),
            world,
            dice,
            near,
            far,
            pools: [first, second],
            ours,
            user,
        }
    }

    fn run(mut self, tally: &mut Tally) -> Result<(), Difference> {
        for number in 0..TRADES_PER_SESSION {
            let hops = self.dice.pick(&[1, 2]);
            let way = self.dice.pick(&[Way::BToA, Way::AToB]);
            if self.held(hops, way).0 == 0 {
                continue;
            }
            let amount = self.amount(hops, way);
            let mut predicted = self.ours;
            let expected = self.expected(&mut predicted, hops, way, amount);
            let quoted = expected.unwrap_or(0);
            let least = match self.dice.below(4) {
                0 => quoted + 1,
                1 => quoted - quoted / 10,
                _ => {
                    tally.met("limit met exactly");
                    quoted
                }
            };
            let case = format!(
                "trade {number}: {hops} hops {way:?} {amount} for {least}\n{:?}",
                self.ours
            );
            let trade = self.instruction(hops, way, amount, least.max(1));
            self.world.set_wrapped(&self.user.pubkey(), PURSE);
            let before = self.held(hops, way);
            let outcome = self.world.machine.run(
                if hops == 1 {
                    "pump_amm multi_hop_swap, 1 hop"
                } else {
                    "pump_amm multi_hop_swap, 2 hops"
                },
                &[compute_limit(600_000), trade],
                &[&self.user],
            );
            let lands = expected.is_ok_and(|out| out >= least.max(1));
            if lands != outcome.landed() {
                let told = format!(
                    "predicted {expected:?}, executed {:?}\n{}",
                    outcome.result,
                    outcome.logs.join("\n")
                );
                return Err(Difference(told).on(case));
            }
            if !lands {
                if !outcome.code().is_some_and(|code| REFUSALS.contains(&code)) {
                    let told = format!("refused for another reason: {:?}", outcome.result);
                    return Err(Difference(told).on(case));
                }
                tally.refused("multi_hop_swap");
                continue;
            }
            let after = self.held(hops, way);
            self.compare(amount, quoted, before, after, &predicted)
                .map_err(|found| found.on(case))?;
            self.ours = predicted;
            tally.met(if hops == 1 { "one hop" } else { "two hops" });
            tally.met(if way == Way::BToA { "buys" } else { "sells" });
            tally.landed("multi_hop_swap");
        }
        Ok(())
    }

    fn compare(
        &self,
        amount: u64,
        quoted: u64,
        before: (u64, u64),
        after: (u64, u64),
        predicted: &[OurPool; 2],
    ) -> Result<(), Difference> {
        Difference::between("what goes in", amount, before.0 - after.0)?;
        Difference::between("what comes out", quoted, after.1 - before.1)?;
        let coins = [&self.near, &self.far];
        for ((pool, coin), predicted) in self.pools.iter().zip(coins).zip(predicted) {
            Difference::between("a pool", *predicted, our_pool(self.world, pool, coin))?;
        }
        Ok(())
    }

    /// What comes out at the end, and both pools as they are left.
    fn expected(
        &self,
        pools: &mut [OurPool; 2],
        hops: usize,
        way: Way,
        amount: u64,
    ) -> Result<u64, QuoteReject> {
        let mut carried = amount;
        for index in 0..hops {
            // A route that buys starts at SOL, one that sells starts at the far coin.
            let place = match way {
                Way::BToA => index,
                Way::AToB => hops - 1 - index,
            };
            let legs = Legs::of(way, index, hops);
            carried = pools[place]
                .hop(&self.terms, legs, way, carried)?
                .amount_out;
        }
        Ok(carried)
    }

    fn amount(&mut self, hops: usize, way: Way) -> u64 {
        let most = match way {
            Way::BToA => self.ours[0].quote_effective().unwrap_or(1) / 8,
            Way::AToB => self.held(hops, way).0,
        };
        self.dice.magnitude(1, most.max(1))
    }

    /// What the trader has of what goes in and of what comes out.
    fn held(&self, hops: usize, way: Way) -> (u64, u64) {
        let user = self.user.pubkey();
        let coin = if hops == 1 { &self.near } else { &self.far };
        let machine = &self.world.machine;
        let coins = machine.tokens(&coin.account_of(&user));
        let wrapped = machine.tokens(&wrapped_sol_account(&user));
        match way {
            Way::BToA => (wrapped, coins),
            Way::AToB => (coins, wrapped),
        }
    }

    fn instruction(&self, hops: usize, way: Way, amount: u64, least: u64) -> Instruction {
        let end = if hops == 1 { &self.near } else { &self.far };
        let native = (constants::NATIVE_MINT, constants::SPL_TOKEN_PROGRAM_ID);
        let coin = (end.mint, end.token_program);
        let (given, got) = match way {
            Way::BToA => (native, coin),
            Way::AToB => (coin, native),
        };
        let mut path: Vec<MultiHopHop> = self.pools[..hops]
            .iter()
            .map(|pool| MultiHopHop::pool(&pool.state(self.world)))
            .collect();
        if way == Way::AToB {
            path.reverse();
        }
        let buyback =
            PumpSdk::buyback_fee_recipient_from_amm_global(&self.world.pool_config).unwrap();
        PumpSdk::new()
            .multi_hop_swap_instruction(
                self.user.pubkey(),
                given.0,
                given.1,
                got.1,
                &path,
                buyback,
                amount,
                least,
            )
            .unwrap()
    }
}

/// Buys a coin out and migrates it.
fn migrated(world: &mut World, coin: &Coin, user: &Keypair) {
    let address = user.pubkey();
    let left = coin.state(world).real_token_reserves;
    let buy = pump::instruction(
        world,
        coin,
        pump::Call::BuyV3,
        &address,
        (left, 1_000 * SOL),
        false,
    );
    let open = pump::open_account(coin, &address);
    world
        .machine
        .run("pump buy_v3, completing", &[open, buy], &[user])
        .expect("buys out");
    let migrate = pump::migrate_v2(world, coin, &address);
    let kind = "pump migrate_v2";
    world
        .machine
        .run(kind, &[compute_limit(1_000_000), migrate], &[user])
        .expect(kind);
}

/// Pump's own pool of `coin` as it would be had the coin been priced in `quote`: the migrated pool's bytes with another
/// quote and other vaults, at the address that belongs to the pair.
fn priced_in(
    world: &mut World,
    coin: &Coin,
    quote: &Coin,
    user: &Keypair,
    dice: &mut Dice,
) -> Pool {
    let migrated = Pool::of(coin);
    let (address, bump) = pda::pump_amm::canonical_pool(&coin.mint, &quote.mint);
    let vault = |of: &Coin| pda::associated_token(&address, &of.token_program, &of.mint).0;
    let pool = Pool {
        address,
        base_mint: coin.mint,
        base_program: coin.token_program,
        base_vault: vault(coin),
        quote_vault: vault(quote),
    };
    let account = world.machine.account(&migrated.address).unwrap();
    world.machine.put(address, account);
    pool.rewrite(world, |state| {
        state.pool_bump = bump;
        state.quote_mint = quote.mint;
        state.pool_base_token_account = pool.base_vault;
        state.pool_quote_token_account = pool.quote_vault;
    });
    let payer = user.pubkey();
    let open = [coin, quote].map(|of| {
        create_associated_token_account_idempotent(&payer, &address, &of.mint, &of.token_program)
    });
    world
        .machine
        .run("open vaults", &open, &[user])
        .expect("vaults");
    for vault in [pool.base_vault, pool.quote_vault] {
        let mut account = world.machine.account(&vault).unwrap();
        let amount = dice.magnitude(1 << 30, 1 << 46);
        account.data[64..72].copy_from_slice(&amount.to_le_bytes());
        world.machine.put(vault, account);
    }
    pool
}

/// The pool as our readers take it from the accounts.
fn our_pool(world: &World, pool: &Pool, coin: &Coin) -> OurPool {
    let account = PoolAccount::parse(&pool.data(world)).expect("a pool of the program");
    let (base_reserve, quote_reserve) = pool.vaults(world);
    OurPool {
        made_by_pump: account.creator
            == Address::to_bytes(&pda::pump::pool_authority(&coin.mint).0),
        account,
        base_reserve,
        quote_reserve,
        base_supply: pool.supply(world),
        base_fee: TransferFee::NONE,
        quote_fee: TransferFee::NONE,
    }
}

fn terms(dice: &mut Dice) -> Terms {
    let mut tier = |from| Tier {
        from,
        lp: dice.below(100),
        protocol: dice.below(300),
        creator: dice.below(300),
    };
    let tiers = vec![tier(0), tier(300_000_000_000), tier(900_000_000_000)];
    Terms {
        flat: tier(0),
        tiers,
        creator_fee_configurable: dice.one_in(2),
        buyback_bps: dice.pick(&[0, 5_000, 10_000, 3_333]),
    }
}
