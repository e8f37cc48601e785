//! The way of account data, fed by the machine: transactions are shown to an engine before their accounts are told, so
//! what it reckoned is held against what the real programs wrote.
#![allow(clippy::unwrap_used)]

use market::{Corrected, PoolState};
use pump_rust_client::{constants, pda};
use solana_address::Address;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_signer::Signer;
use svm_tests::amm_v4;
use svm_tests::chain::{Chain, Snapshot};
use svm_tests::dice::Dice;
use svm_tests::machine::compute_limit;
use svm_tests::pump::{self, Call, Coin, Generation};
use svm_tests::pump_amm;
use svm_tests::world::{SOL, Terms, World, wrapped_sol_account};

/// Trades of one test: enough for every instruction to land several times and to fail several times.
const TRADES: usize = 120;
/// Accounts are told this many transactions late at most; a node's answer lags behind the shreds.
const LAG_MAX: usize = 4;

/// A machine whose every transaction is shown, and told late.
struct Theatre {
    world: World,
    chain: Chain,
    dice: Dice,
    late: Vec<Snapshot>,
    told: Vec<Corrected>,
    landed: usize,
    failed: usize,
}

impl Theatre {
    fn new(seed: u64) -> Self {
        let world = World::new(Terms::default());
        let chain = Chain::new(&world.machine);
        Self {
            world,
            chain,
            dice: Dice::new(seed),
            late: Vec::new(),
            told: Vec::new(),
            landed: 0,
            failed: 0,
        }
    }

    /// Runs a transaction, shows it unless it is `hidden`, and keeps what a node will tell of it.
    fn run(
        &mut self,
        what: &'static str,
        instructions: &[Instruction],
        by: &Keypair,
        hidden: bool,
    ) {
        let landed = self.world.machine.run(what, instructions, &[by]).landed();
        self.landed += usize::from(landed);
        self.failed += usize::from(!landed);
        self.note(hidden);
    }

    /// Shows the machine's last transaction, and tells what is late enough.
    fn note(&mut self, hidden: bool) {
        let (bytes, accounts) = self.world.machine.last();
        if !hidden {
            self.chain.show(&bytes);
        }
        let snapshot = self.chain.snapshot(&self.world.machine, &accounts);
        self.late.push(snapshot);
        let lag = self.dice.below(LAG_MAX as u64 + 1) as usize;
        self.tell_all_but(lag);
        if self.dice.one_in(3) {
            self.chain.next_block();
        }
    }

    fn tell_all_but(&mut self, lag: usize) {
        while self.late.len() > lag {
            let snapshot = self.late.remove(0);
            self.told.extend(self.chain.tell(&snapshot));
        }
    }

    fn count(&self, what: Corrected) -> usize {
        self.told.iter().filter(|told| **told == what).count()
    }

    /// A random trade of the coin on its curve, most of them such that they land.
    fn trade_curve(&mut self, coin: &Coin, by: &Keypair, hidden: bool) {
        let call = self.dice.pick(&Call::ALL);
        let tokens = 1_000_000_000 + self.dice.below(2_000_000_000_000);
        let lamports = 1_000_000 + self.dice.below(SOL);
        let fails = self.dice.one_in(6);
        let amounts = match call {
            Call::BuyExactInV1 | Call::BuyExactInV2 | Call::BuyExactInV3 => {
                (lamports, if fails { u64::MAX } else { 1 })
            }
            Call::BuyV1 | Call::BuyV2 | Call::BuyV3 => (tokens, if fails { 1 } else { 90 * SOL }),
            _ => (tokens, if fails { 90 * SOL } else { 1 }),
        };
        let user = by.pubkey();
        let trade = pump::instruction(&self.world, coin, call, &user, amounts, false);
        self.run(
            call.name(),
            &[pump::open_account(coin, &user), trade],
            by,
            hidden,
        );
    }

    fn trade_pool(&mut self, pool: &pump_amm::Pool, by: &Keypair) {
        let call = self.dice.pick(&pump_amm::Call::ALL);
        let tokens = 1_000_000_000 + self.dice.below(500_000_000_000);
        let lamports = 1_000_000 + self.dice.below(SOL);
        let amounts = match call {
            pump_amm::Call::BuyExactIn | pump_amm::Call::BuyExactInV2 => (lamports, 1),
            pump_amm::Call::Buy | pump_amm::Call::BuyV2 => (tokens, 90 * SOL),
            pump_amm::Call::Sell | pump_amm::Call::SellV2 => (tokens, 1),
        };
        let user = by.pubkey();
        let trade = pump_amm::instruction(&self.world, pool, call, &user, amounts, true);
        self.run(call.name(), &[trade], by, false);
    }

    /// A coin, and somebody who holds so much of it that no sale of his fails for want of it: what a wallet holds no
    /// shred tells, so such a failure could not be foreseen.
    fn launched(&mut self, generation: Generation) -> (Coin, Keypair) {
        let creator = pump::trader(&mut self.world, self.dice.seed());
        let coin = Coin::launch(&mut self.world, generation, self.dice.seed(), &creator);
        self.note(false);
        let user = pump::trader(&mut self.world, self.dice.seed());
        let (call, amounts) = (Call::BuyV2, (200_000_000_000_000, 90 * SOL));
        let address = user.pubkey();
        let buy = pump::instruction(&self.world, &coin, call, &address, amounts, false);
        let open = pump::open_account(&coin, &address);
        self.run(call.name(), &[open, buy], &user, false);
        assert_eq!(self.failed, 0);
        (coin, user)
    }

    fn curve_is_the_accounts(&self, coin: &Coin) {
        let mint = market::Mint(coin.mint.to_bytes());
        let ours = self
            .chain
            .engine
            .curves()
            .get(&mint)
            .expect("a known curve");
        let theirs = pump::reserves(&coin.state(&self.world));
        assert_eq!(ours.reserves, theirs);
    }

    /// What our pool says its vaults hold: coins, lamports.
    fn vaults_of(&self, pool: &Address) -> (u64, u64) {
        let pools = self.chain.engine.pools();
        let pool = pools.get(&pool.to_bytes()).expect("a known pool");
        assert_eq!(pool.tradable, Ok(()));
        match &pool.state {
            PoolState::PumpAmm(pool) => (pool.base_reserve, pool.quote_reserve),
            PoolState::RaydiumAmm(pool) => (pool.coin, pool.pc),
            other => panic!("no pool of the machine: {other:?}"),
        }
    }

    /// Nothing that was told was anything but what the shreds had led to.
    fn all_agreed(&self, at_least: usize) {
        println!(
            "{} landed, {} failed, {} agreed",
            self.landed,
            self.failed,
            self.count(Corrected::Agreed)
        );
        assert_eq!(self.count(Corrected::Diverged), 0, "{:?}", self.told);
        assert_eq!(self.count(Corrected::Refused), 0);
        assert!(self.count(Corrected::Agreed) >= at_least, "{:?}", self.told);
    }
}

#[test]
fn a_curve_is_reckoned_as_the_program_moves_it() {
    for (generation, seed) in [(Generation::Legacy, 1), (Generation::V2, 2)] {
        let mut theatre = Theatre::new(seed);
        let (coin, user) = theatre.launched(generation);
        for _ in 0..TRADES {
            theatre.trade_curve(&coin, &user, false);
        }
        theatre.tell_all_but(0);
        theatre.curve_is_the_accounts(&coin);
        theatre.all_agreed(TRADES / 2);
        assert!(theatre.landed > TRADES / 2 && theatre.failed > 0);
    }
}

/// Trades that no outer instruction shows move the account all the same.
#[test]
fn what_was_not_shown_is_learnt_from_the_account() {
    let mut theatre = Theatre::new(3);
    let (coin, user) = theatre.launched(Generation::V2);
    for _ in 0..TRADES {
        let hidden = theatre.dice.one_in(5);
        theatre.trade_curve(&coin, &user, hidden);
    }
    theatre.tell_all_but(0);
    theatre.curve_is_the_accounts(&coin);
    let (diverged, agreed) = (
        theatre.count(Corrected::Diverged),
        theatre.count(Corrected::Agreed),
    );
    println!("{diverged} diverged, {agreed} agreed");
    assert!(diverged > 0, "hidden trades go unnoticed");
    assert!(agreed > diverged, "{:?}", theatre.told);
}

/// From the curve's last coin to trades in the pool that its migration opened.
#[test]
fn a_migrated_coin_is_reckoned_in_its_pool() {
    for (generation, seed) in [(Generation::Legacy, 4), (Generation::V2, 5)] {
        let mut theatre = Theatre::new(seed);
        let (coin, user) = theatre.launched(generation);
        let address = user.pubkey();
        let left = coin.state(&theatre.world).real_token_reserves;
        let amounts = (left, 200 * SOL);
        let buy = pump::instruction(&theatre.world, &coin, Call::BuyV3, &address, amounts, false);
        let open = pump::open_account(&coin, &address);
        theatre.run("pump buy_v3, completing", &[open, buy], &user, false);
        let (kind, migrate) = match generation {
            Generation::Legacy => (
                "pump migrate",
                pump::migrate(&theatre.world, &coin, &address),
            ),
            Generation::V2 => (
                "pump migrate_v2",
                pump::migrate_v2(&theatre.world, &coin, &address),
            ),
        };
        theatre.run(kind, &[compute_limit(1_000_000), migrate], &user, false);
        assert_eq!(theatre.failed, 0);
        theatre.tell_all_but(0);
        let pool = pump_amm::Pool::of(&coin);
        assert_eq!(
            theatre.vaults_of(&pool.address),
            pool.vaults(&theatre.world)
        );
        theatre.world.wrap(&address, 1_000 * SOL);
        for _ in 0..TRADES {
            theatre.trade_pool(&pool, &user);
        }
        theatre.tell_all_but(0);
        assert_eq!(
            theatre.vaults_of(&pool.address),
            pool.vaults(&theatre.world)
        );
        theatre.all_agreed(TRADES / 2);
    }
}

#[test]
fn an_amm_v4_pool_is_reckoned_as_the_program_moves_it() {
    let mut theatre = Theatre::new(6);
    let user = pump::trader(&mut theatre.world, [2; 32]);
    let address = user.pubkey();
    let amounts = (4_000_000_000_000, 90 * SOL);
    let wrapped = amm_v4::Wrapped::Pc;
    let pool = amm_v4::Pool::open(&mut theatre.world, [7; 32], &user, wrapped, amounts);
    // A pool is told with the mints it is of, which no swap names.
    let (_, mut accounts) = theatre.world.machine.last();
    accounts.extend([pool.coin_mint, pool.pc_mint]);
    let snapshot = theatre.chain.snapshot(&theatre.world.machine, &accounts);
    let told = theatre.chain.tell(&snapshot);
    assert_eq!(told.first(), Some(&Corrected::New));
    // Nobody can foresee that a sale fails for want of coins.
    let token = constants::SPL_TOKEN_PROGRAM_ID;
    let coins = pda::associated_token(&address, &token, &pool.coin_mint).0;
    let rich = 1 << 60;
    amm_v4::hold(&mut theatre.world, coins, &pool.coin_mint, &address, rich);
    let wrapped = theatre.world.wrap(&address, 1_000 * SOL);
    assert_eq!(wrapped, wrapped_sol_account(&address));
    for _ in 0..TRADES {
        let call = theatre.dice.pick(&amm_v4::Call::ALL);
        let buys = theatre.dice.one_in(2);
        let (source, destination) = if buys {
            (wrapped, coins)
        } else {
            (coins, wrapped)
        };
        let lamports = 1_000_000 + theatre.dice.below(SOL / 2);
        let raw = 1_000_000 + theatre.dice.below(10_000_000_000);
        let amounts = match (call.fixes_out(), buys) {
            (false, true) => (lamports, 1),
            (false, false) => (raw, 1),
            (true, true) => (10 * SOL, raw),
            (true, false) => (u64::MAX >> 8, lamports / 4),
        };
        let swap = amm_v4::instruction(&pool, call, &address, &source, &destination, amounts);
        theatre.run(call.name(), &[swap], &user, false);
    }
    theatre.tell_all_but(0);
    assert_eq!(
        theatre.vaults_of(&pool.address),
        pool.vaults(&theatre.world)
    );
    theatre.all_agreed(TRADES / 2);
}

/// The same transactions in a block that is given up and in the one that is kept: what the first moved is undone, and
/// the account says what the second led to.
#[test]
fn an_abandoned_block_leaves_no_trace() {
    let mut theatre = Theatre::new(7);
    let (coin, user) = theatre.launched(Generation::V2);
    theatre.trade_curve(&coin, &user, false);
    theatre.tell_all_but(0);
    theatre.chain.next_block();
    let mint = market::Mint(coin.mint.to_bytes());
    let mut abandoned = 0;
    for _ in 0..TRADES / 4 {
        let before = *theatre.chain.engine.curves().get(&mint).unwrap();
        let amounts = (1_000_000 + theatre.dice.below(SOL), 1);
        let call = Call::BuyExactInV3;
        let trade = pump::instruction(&theatre.world, &coin, call, &user.pubkey(), amounts, false);
        let outcome = theatre.world.machine.run(call.name(), &[trade], &[&user]);
        outcome.expect("a buy");
        let (bytes, accounts) = theatre.world.machine.last();
        if theatre.dice.one_in(2) {
            theatre.chain.show(&bytes);
            let moved = theatre.chain.engine.curves().get(&mint).unwrap();
            assert_ne!(moved.reserves, before.reserves);
            theatre.chain.abandon_block();
            let undone = theatre.chain.engine.curves().get(&mint).unwrap();
            assert_eq!(undone.reserves, before.reserves);
            abandoned += 1;
        }
        theatre.chain.show(&bytes);
        theatre.curve_is_the_accounts(&coin);
        let snapshot = theatre.chain.snapshot(&theatre.world.machine, &accounts);
        let told = theatre.chain.tell(&snapshot);
        theatre.told.extend(told);
        theatre.chain.next_block();
    }
    assert!(abandoned > 0);
    theatre.all_agreed(TRADES / 4);
}
