//! Goal: a coin is bought and sold in a pool as on a curve, and nobody's pool, account or shred leads it astray.
//! Method: a coin with a CPMM and an AMM v4 pool beside the fixture coin on its curve; truths as account data brings them.
#![allow(clippy::unwrap_used)]

mod common;

use common::pools::{AMM_POOL, COIN, CP_POOL, SOL, amm, cp, curve_truth, stranger_swaps};
use common::{World, config, instruction, signal};
use engine::EngineConfig;
use market::{
    Bps, Corrected, Curve, CurveTruth, FeeSchedule, Key, Lamports, Mint, PoolTruth, PumpAccounts,
};
use risk::Mode;
use shred_resolve::Equivocation;
use shred_wire::{FecSetIndex, Slot};
use strategy::{LaneClass, Pass};

/// The fixture coin's mint.
const FIXTURE: Key = [0x11; 32];

/// A world that was told these pools, with a signal to buy the coin.
fn armed(config: &EngineConfig, truths: &[PoolTruth]) -> World {
    let mut world = World::new(config);
    for truth in truths {
        assert_eq!(world.engine.pool_truth(truth), Corrected::New);
    }
    let buy = signal(&world, 1, COIN);
    world.engine.arm(&buy, world.now()).unwrap();
    world
}

/// Regression: AMM v4 names no mint, so what our own swap did was not read. On a public lane it then counted as failed
/// and the coins were nobody's.
#[test]
fn our_own_swap_on_a_venue_that_names_no_mint_is_booked_as_predicted() {
    for lane in [LaneClass::PrivateBundle, LaneClass::Public] {
        let mut config = config();
        config.params.lane = lane;
        if lane == LaneClass::Public {
            config.params.entry_tip = Lamports(0);
        }
        let mut world = armed(&config, &[amm(100 * SOL, 9), cp(CP_POOL, COIN, SOL, 9)]);
        stranger_swaps(&mut world, 1_000);
        assert_eq!(world.passed_notes(), ["handed Buy Signal(1)"]);
        world.land_last();
        assert_eq!(world.passed_notes(), ["included Buy true"], "{lane:?}");
        assert_eq!(world.engine.positions().count(), 1);
        let pool = world.engine.pools().get(&AMM_POOL).unwrap();
        assert_eq!(pool.tradable, Ok(()));
    }
}

#[test]
fn a_coin_is_sold_in_the_pool_it_was_bought_in() {
    let mut world = armed(&config(), &[cp(CP_POOL, COIN, 100 * SOL, 9)]);
    stranger_swaps(&mut world, 1_000);
    world.land_last();
    world.passed_notes();
    // Somebody opens a pool with more in it, at a tenth of the price.
    let trap = PoolTruth {
        pool: [0x77; 32],
        ..cp([0x77; 32], COIN, 10 * SOL, 10)
    };
    world.engine.pool_truth(&trap);
    world.engine.pool_truth(&amm(10_000 * SOL, 10));
    stranger_swaps(&mut world, 60 * SOL);
    assert_eq!(world.passed_notes(), ["handed Sell TakeProfit"]);
    let sale = world.ring.bundles.last().unwrap();
    let bytes = sale.transaction(0).unwrap();
    assert!(
        bytes.windows(32).any(|key| *key == CP_POOL)
            && !bytes.windows(32).any(|key| *key == AMM_POOL)
    );
}

/// A pool with less in it than our spend would move further than we bear is no place to enter.
#[test]
fn a_shallow_pool_is_not_entered() {
    let mut world = armed(&config(), &[cp(CP_POOL, COIN, SOL / 10, 9)]);
    stranger_swaps(&mut world, 1_000);
    assert!(world.ring.bundles.is_empty());
    let deep_enough = |config: &EngineConfig| {
        let mut world = armed(config, &[cp(CP_POOL, COIN, 10 * SOL, 9)]);
        stranger_swaps(&mut world, 1_000);
        world.ring.bundles.len()
    };
    assert_eq!(deep_enough(&config()), 1);
    let mut strict = config();
    strict.params.entry_slippage = Bps(1);
    assert_eq!(deep_enough(&strict), 0);
}

#[test]
fn a_coin_that_threatens_its_holders_is_not_entered_and_still_left() {
    let dangerous = PoolTruth {
        is_dangerous: true,
        ..cp(CP_POOL, COIN, 100 * SOL, 9)
    };
    let mut world = armed(&config(), &[dangerous]);
    stranger_swaps(&mut world, 1_000);
    assert!(world.ring.bundles.is_empty());
    let mut world = armed(&config(), &[cp(CP_POOL, COIN, 100 * SOL, 9)]);
    stranger_swaps(&mut world, 1_000);
    world.land_last();
    world.engine.pool_truth(&dangerous);
    world.engine.flatten(&mut world.ring);
    assert_eq!(world.passed_notes().last().unwrap(), "handed Sell Stop");
}

/// Swaps of a slot with two versions are not followed, so what they moved is not what is known.
#[test]
fn what_a_contested_slot_moves_is_doubtful() {
    let mut world = armed(&config(), &[cp(CP_POOL, COIN, 100 * SOL, 9)]);
    world.engine.equivocation(&Equivocation {
        slot: Slot(world.slot),
        fec_set_index: FecSetIndex(0),
        merkle_roots: [[0; _]; 2],
    });
    let tradable = |world: &World| world.engine.pools().get(&CP_POOL).unwrap().tradable;
    assert_eq!(tradable(&world), Ok(()), "nothing of the slot touched it");
    stranger_swaps(&mut world, 60 * SOL);
    assert!(tradable(&world).is_err());
}

/// Regression: a price that failing transactions made up was the one an entry was sized by, and whoever made it up could have
/// us pay it.
#[test]
fn an_entry_waits_where_only_transactions_say_what_the_price_is() {
    let told = |world: &World, sol: u64| cp(CP_POOL, COIN, sol, world.slot);
    let unproven = |world: &World| {
        let passed = world.engine.counters().passed[Pass::PriceUnproven as usize];
        (world.ring.bundles.len(), passed)
    };
    let mut world = armed(&config(), &[cp(CP_POOL, COIN, 100 * SOL, 9)]);
    stranger_swaps(&mut world, 60 * SOL);
    assert_eq!(unproven(&world), (0, 1), "2.56 times what was told");
    // It was so: the signal still waits.
    let known = world.engine.pools().get(&CP_POOL).unwrap();
    let as_reckoned = PoolTruth {
        state: known.state,
        ..told(&world, 1)
    };
    assert_eq!(world.engine.pool_truth(&as_reckoned), Corrected::Agreed);
    stranger_swaps(&mut world, 1_000);
    assert_eq!(unproven(&world), (1, 1));

    let mut made_up = armed(&config(), &[cp(CP_POOL, COIN, 100 * SOL, 9)]);
    stranger_swaps(&mut made_up, 60 * SOL);
    made_up.blocks(1);
    let truth = told(&made_up, 100 * SOL);
    assert_eq!(made_up.engine.pool_truth(&truth), Corrected::Diverged);
    stranger_swaps(&mut made_up, 1_000);
    assert_eq!(unproven(&made_up), (1, 1));

    let mut near = armed(&config(), &[cp(CP_POOL, COIN, 100 * SOL, 9)]);
    stranger_swaps(&mut near, 40 * SOL);
    assert_eq!(unproven(&near), (1, 0));

    let mut unbound = config();
    unbound.params.entry_move_max = Bps(0);
    let mut world = armed(&unbound, &[cp(CP_POOL, COIN, 100 * SOL, 9)]);
    stranger_swaps(&mut world, 60 * SOL);
    assert_eq!(unproven(&world), (1, 0));

    // Without account data there is nothing to hold it against.
    let mut silent = armed(&config(), &[cp(CP_POOL, COIN, 100 * SOL, 9)]);
    silent.blocks(40);
    let again = signal(&silent, 2, COIN);
    silent.engine.arm(&again, silent.now()).unwrap();
    stranger_swaps(&mut silent, 60 * SOL);
    assert_eq!(unproven(&silent), (1, 0));
}

/// A launch is held against what its launcher made it, whether or not account data comes in.
#[test]
fn a_launch_that_was_pumped_before_its_launchers_own_buy_is_not_entered() {
    let entered_by = |config: &EngineConfig, pumped: u64, own: u64| {
        let mut world = World::new(config);
        let next = signal(&world, 1, brain_wire::signal::NEXT_LAUNCH);
        world.engine.arm(&next, world.now()).unwrap();
        world.send(&[instruction("create_v2")]);
        if pumped > 0 {
            world.stranger_buys(pumped);
        }
        world.send(&[common::exact_buy(own)]);
        let passed = world.engine.counters().passed[Pass::PriceUnproven as usize];
        (world.ring.bundles.len(), passed)
    };
    let mut by_signal = config();
    by_signal.params.launches_enabled = false;
    for config in [config(), by_signal] {
        assert_eq!(entered_by(&config, 8 * SOL, SOL), (1, 0));
        assert_eq!(entered_by(&config, 40 * SOL, SOL), (0, 1));
        // His own buy is as true as the launch.
        let mut config = config;
        config.params.dev_buy_max = Lamports(30 * SOL);
        assert_eq!(entered_by(&config, 0, 30 * SOL), (1, 0));
    }
}

/// Before the first shred any slot may be the chain's; the first one says which are not.
#[test]
fn account_data_from_before_the_first_shred_is_held_against_it() {
    let mut config = config();
    config.params.lane = LaneClass::Public;
    config.params.entry_tip = Lamports(0);
    let builder = common::builder(&bundle::BuilderConfig::default());
    let control = std::sync::Arc::new(risk::Control::new(Mode::Active));
    let mut engine = engine::Engine::new(&config, builder, control).unwrap();
    let far = cp(CP_POOL, COIN, 1, u64::MAX);
    assert_eq!(engine.pool_truth(&far), Corrected::New);
    engine.tick(
        shred_wire::Nanos(common::EPOCH_NANOS),
        &mut common::Ring::default(),
    );
    assert_eq!(engine.pools().get(&CP_POOL).unwrap().tradable, Ok(()));
    let block = shred_resolve::BlockEnd {
        slot: Slot(1_000),
        parent_slot: Slot(999),
        blockhash: [1; 32],
        last_root: [0; _],
        transactions: 1,
        ticks: 64,
        ticks_complete: true,
        at: shred_wire::Nanos(common::EPOCH_NANOS),
    };
    engine.block(&block, &mut common::Ring::default());
    assert!(engine.pools().get(&CP_POOL).unwrap().tradable.is_err());
    let real = cp(CP_POOL, COIN, 100 * SOL, 1_000);
    assert_eq!(engine.pool_truth(&real), Corrected::Behind);
    assert_eq!(engine.pools().get(&CP_POOL).unwrap().tradable, Ok(()));
}

/// Only so much of the future is believed: a record of the last slot there can be would make every other look old.
#[test]
fn account_data_from_far_ahead_is_refused() {
    let mut world = World::new(&config());
    let far = cp(CP_POOL, COIN, 1, u64::MAX);
    assert_eq!(world.engine.pool_truth(&far), Corrected::Refused);
    let near = cp(CP_POOL, COIN, 100 * SOL, world.slot + 5);
    assert_eq!(world.engine.pool_truth(&near), Corrected::New);
}

/// The fixture coin's curve, sold out, as its account says.
fn sold_out(world: &World) -> CurveTruth {
    let known = world.engine.curves().get(&Mint(FIXTURE)).unwrap();
    curve_truth(known, true, Slot(world.slot))
}

/// Anybody can open a pool for a coin before Pump's own opens, and set its price.
#[test]
fn what_a_completed_curve_leaves_is_not_sold_to_a_stranger() {
    let mut world = World::new(&config());
    world.launch(SOL);
    world.blocks(1);
    world.land_last();
    let complete = sold_out(&world);
    assert_eq!(world.engine.curve_truth(&complete), Corrected::Diverged);
    world
        .engine
        .pool_truth(&cp([0x66; 32], FIXTURE, SOL, world.slot));
    let before = world.ring.bundles.len();
    world.blocks(200);
    world.engine.flatten(&mut world.ring);
    assert_eq!(world.ring.bundles.len(), before, "nobody's price is taken");
    assert!(world.engine.counters().passed[Pass::CurveComplete as usize] > 0);
    assert_eq!(world.engine.positions().count(), 1);
}

/// Who has the coin's key can launch it again: that fails, but no shred says so.
#[test]
fn a_second_launch_does_not_make_a_held_coin_look_fresh() {
    let mut world = World::new(&config());
    world.launch(SOL);
    world.blocks(1);
    world.land_last();
    world.control.set(Mode::Halted);
    world.stranger_buys(20 * SOL);
    let before = world.engine.curves().get(&Mint(FIXTURE)).unwrap().reserves;
    world.control.set(Mode::Active);
    world.blocks(1);
    world.send(&[instruction("create_v2")]);
    let after = world.engine.curves().get(&Mint(FIXTURE)).unwrap().reserves;
    assert_eq!(before, after);
}

/// Account data that brings in what prices a coin we hold already: it must not give way to the next one.
#[test]
fn a_pool_of_a_coin_that_is_held_is_held() {
    let mut config = config();
    config.pool_capacity = usize::from(config.limits.positions_max) + 1;
    config.curve_capacity = config.pool_capacity;
    let capacity = config.pool_capacity as u8;
    let mut world = World::new(&config);
    world.launch(SOL);
    world.blocks(1);
    world.land_last();
    world.engine.pool_truth(&cp([0x66; 32], FIXTURE, SOL, 10));
    for coin in 0..=capacity {
        world
            .engine
            .pool_truth(&cp([0x80 | coin; 32], [0x60 | coin; 32], SOL, 10));
    }
    assert!(world.engine.pools().get(&[0x66; 32]).is_some());
    assert_eq!(world.engine.pools().len(), usize::from(capacity));
}

/// Curves that account data brings are priced like those that shreds do.
#[test]
fn a_curve_from_account_data_is_traded_like_any_other() {
    let mut world = World::new(&config());
    let mut other = World::new(&config());
    other.launch(SOL);
    let known = *other.engine.curves().get(&Mint(FIXTURE)).unwrap();
    let truth = curve_truth(&known, false, Slot(world.slot));
    assert_eq!(world.engine.curve_truth(&truth), Corrected::New);
    let buy = signal(&world, 1, FIXTURE);
    world.engine.arm(&buy, world.now()).unwrap();
    world.stranger_buys(1_000_000);
    assert_eq!(world.passed_notes(), ["handed Buy Signal(1)"]);
    let empty = Curve::from_account(
        &truth.curve,
        PumpAccounts::default(),
        0,
        &FeeSchedule::mainnet(),
        Slot(1),
    );
    assert!(empty.buy_exact_quote(Lamports(SOL)).is_ok());
}
