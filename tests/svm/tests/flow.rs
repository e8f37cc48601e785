//! The life of a coin with the publisher's own instructions: the world is set up as the programs want it.
#![allow(clippy::unwrap_used)]

use pump_rust_client::{constants, pda};
use solana_signer::Signer;
use svm_tests::amm_v4;
use svm_tests::machine::compute_limit;
use svm_tests::pump::{self, Call, Coin, Generation};
use svm_tests::pump_amm;
use svm_tests::world::{SOL, Terms, World, wrapped_sol_account};

#[test]
fn every_trade_instruction_of_pump_goes_through() {
    let mut world = World::new(Terms::default());
    let creator = pump::trader(&mut world, [1; 32]);
    let user = pump::trader(&mut world, [2; 32]);
    for (generation, seed) in [(Generation::Legacy, [3; 32]), (Generation::V2, [4; 32])] {
        let coin = Coin::launch(&mut world, generation, seed, &creator);
        let account = coin.account_of(&user.pubkey());
        for call in Call::ALL {
            let before = (
                world.machine.tokens(&account),
                world.machine.lamports(&user.pubkey()),
            );
            let amounts = match call {
                Call::BuyExactInV1 | Call::BuyExactInV2 | Call::BuyExactInV3 => (SOL, 1),
                Call::BuyV1 | Call::BuyV2 | Call::BuyV3 => (30_000_000_000_000, 3 * SOL),
                Call::SellV1 | Call::SellV2 | Call::SellV3 => (10_000_000_000_000, 1),
            };
            let trade = pump::instruction(&world, &coin, call, &user.pubkey(), amounts, false);
            let open = pump::open_account(&coin, &user.pubkey());
            let outcome = world.machine.run(call.name(), &[open, trade], &[&user]);
            let outcome = outcome.expect(call.name());
            let after = (
                world.machine.tokens(&account),
                world.machine.lamports(&user.pubkey()),
            );
            println!(
                "{generation:?} {call:?} {} units, {before:?} -> {after:?}",
                outcome.units
            );
            assert_eq!(after.0 > before.0, !call.sells(), "{call:?}: tokens");
            assert_eq!(after.1 > before.1, call.sells(), "{call:?}: lamports");
        }
    }
    println!("{}", world.machine.meter());
}

/// A coin bought out by us, migrated by anybody, traded on PumpSwap by every instruction.
#[test]
fn a_coin_completes_migrates_and_trades_on_pump_swap() {
    let mut world = World::new(Terms::default());
    let creator = pump::trader(&mut world, [1; 32]);
    let user = pump::trader(&mut world, [2; 32]);
    let address = user.pubkey();
    for (generation, seed) in [(Generation::Legacy, [3; 32]), (Generation::V2, [4; 32])] {
        let coin = Coin::launch(&mut world, generation, seed, &creator);
        let left = coin.state(&world).real_token_reserves;
        let buy = pump::instruction(
            &world,
            &coin,
            Call::BuyV3,
            &address,
            (left, 200 * SOL),
            false,
        );
        let open = pump::open_account(&coin, &address);
        world
            .machine
            .run("pump buy_v3, completing", &[open, buy], &[&user])
            .expect("completing buy");
        assert!(coin.state(&world).complete);
        let (kind, migrate) = match generation {
            Generation::Legacy => ("pump migrate", pump::migrate(&world, &coin, &address)),
            Generation::V2 => ("pump migrate_v2", pump::migrate_v2(&world, &coin, &address)),
        };
        let budget = compute_limit(1_000_000);
        world
            .machine
            .run(kind, &[budget, migrate], &[&user])
            .expect(kind);
        let pool = pump_amm::Pool::of(&coin);
        println!(
            "{generation:?} {:?} {:?}",
            pool.vaults(&world),
            pool.state(&world).lp_supply
        );
        assert_eq!(pool.vaults(&world).0, 206_900_000_000_000);

        world.wrap(&address, 1_000 * SOL);
        let (base, quote) = (coin.account_of(&address), wrapped_sol_account(&address));
        for call in pump_amm::Call::ALL {
            let held = |world: &World| (world.machine.tokens(&base), world.machine.tokens(&quote));
            let before = held(&world);
            let amounts = match call {
                pump_amm::Call::BuyExactIn | pump_amm::Call::BuyExactInV2 => (SOL, 1),
                pump_amm::Call::Buy | pump_amm::Call::BuyV2 => (1_000_000_000_000, 10 * SOL),
                pump_amm::Call::Sell | pump_amm::Call::SellV2 => (1_000_000_000_000, 1),
            };
            let trade = pump_amm::instruction(&world, &pool, call, &address, amounts, true);
            let outcome = world
                .machine
                .run(call.name(), &[trade], &[&user])
                .expect(call.name());
            let after = held(&world);
            println!(
                "{generation:?} {call:?} {} units, {before:?} -> {after:?}",
                outcome.units
            );
            assert_eq!(after.0 > before.0, !call.sells(), "{call:?}: coins");
            assert_eq!(after.1 > before.1, call.sells(), "{call:?}: lamports");
        }
    }
    println!("{}", world.machine.meter());
}

/// A pool opened by AMM v4's own instruction says what our reader reads, and takes swaps of both generations.
#[test]
fn an_amm_v4_pool_opens_and_swaps_both_ways() {
    let mut world = World::new(Terms::default());
    let user = pump::trader(&mut world, [2; 32]);
    let address = user.pubkey();
    let amounts = (4_000_000_000_000, 90 * SOL);
    let pool = amm_v4::Pool::open(&mut world, [7; 32], &user, amm_v4::Wrapped::Pc, amounts);
    let read = market::raydium_amm::account::Pool::parse(&pool.data(&world)).unwrap();
    println!("{read:?}");
    assert_eq!(read.coin_vault, pool.coin_vault.to_bytes());
    assert_eq!(read.pc_vault, pool.pc_vault.to_bytes());
    assert_eq!(read.coin_mint, pool.coin_mint.to_bytes());
    assert_eq!(read.pc_mint, pool.pc_mint.to_bytes());
    assert_eq!(read.lp_mint, pool.lp_mint.to_bytes());
    assert_eq!(read.open_orders, pool.book.open_orders.to_bytes());
    assert_eq!(read.target_orders, pool.book.target_orders.to_bytes());
    assert_eq!(read.market, pool.book.market.to_bytes());
    assert_eq!(read.market_program, pool.book.program.to_bytes());
    assert_eq!(
        (read.swap_fee_numerator, read.swap_fee_denominator),
        (25, 10_000)
    );
    assert_eq!(pool.vaults(&world), amounts);

    let coins =
        pda::associated_token(&address, &constants::SPL_TOKEN_PROGRAM_ID, &pool.coin_mint).0;
    let wrapped = world.wrap(&address, 10 * SOL);
    for call in amm_v4::Call::ALL {
        for buys in [true, false] {
            let (source, destination) = if buys {
                (wrapped, coins)
            } else {
                (coins, wrapped)
            };
            let amounts = match (call.fixes_out(), buys) {
                (false, true) => (SOL, 1),
                (false, false) => (1_000_000_000, 1),
                (true, true) => (SOL, 1_000_000_000),
                (true, false) => (30_000_000_000, SOL / 100),
            };
            let held = |world: &World| {
                (
                    world.machine.tokens(&source),
                    world.machine.tokens(&destination),
                )
            };
            let before = held(&world);
            let swap = amm_v4::instruction(&pool, call, &address, &source, &destination, amounts);
            let outcome = world
                .machine
                .run(call.name(), &[swap], &[&user])
                .expect(call.name());
            let after = held(&world);
            println!("{call:?} {} units, {before:?} -> {after:?}", outcome.units);
            assert!(
                after.0 < before.0 && after.1 > before.1,
                "{call:?} {before:?} {after:?}"
            );
        }
    }
    println!("{}", world.machine.meter());
}
