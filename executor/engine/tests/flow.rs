//! Goal: from a launch in the stream to signed bytes out, to our own signature back in, to the exit, with every
//! refusal on the way accounted for.
//! Method: real transactions (official package's instructions), the real builder with a throw-away key.
#![allow(clippy::unwrap_used)]

mod common;

use bundle::{BuilderConfig, LookupTable};
use common::{World, config, sale, signal};
use engine::EngineConfig;
use market::{Amounts, Key, Lamports, LookupTables, MarketEvent, Mint, Side, Trade, decode};
use risk::{Mode, Refusal};
use shred_resolve::{Equivocation, Retract, RetractReason, Verdict};
use shred_wire::txn::TxnView;
use shred_wire::{FecSetIndex, Nanos, Slot};
use strategy::{KeySet, Pass};

const MINT: Mint = Mint([0x11; 32]);

#[test]
fn a_launch_becomes_signed_bytes_that_say_what_was_decided() {
    let mut world = World::new(&config());
    world.launch(1_000_000_000);
    assert_eq!(world.ring.bundles.len(), 1);
    let trade = our_trade(&world);
    let params = config().params;
    let curve = world.engine.curves().get(&MINT).unwrap();
    let quote = curve.buy_exact_quote(params.budget).unwrap();
    assert_eq!(
        (trade.mint, trade.trader, trade.side),
        (MINT, world.trader, Side::Buy)
    );
    let tokens = quote.tokens.less_bps(params.entry_slippage);
    assert_eq!(
        trade.amounts,
        Amounts::TokensOut {
            tokens,
            quote_max: params.budget
        }
    );
    assert_ne!(trade.partial_fill, Some(true));
    assert_eq!(
        world.engine.gate().open_notional(),
        Lamports(params.budget.0 + params.entry_tip.0)
    );
    assert_eq!(world.engine.inflight_count(), 1);
}

#[test]
fn included_profit_and_exit_close_the_circle() {
    let mut world = World::new(&config());
    world.launch(1_000_000_000);
    world.blocks(1);
    world.land_last();
    let position = *world.engine.positions().next().unwrap();
    assert_eq!(
        (position.mint, position.opened_slot),
        (MINT, Slot(world.slot))
    );
    let Amounts::TokensOut { tokens, .. } = our_trade(&world).amounts else {
        panic!()
    };
    assert_eq!(position.tokens, tokens);
    assert!((44_000_000..50_000_000).contains(&position.cost.0));
    assert_eq!(
        world.engine.gate().open_notional(),
        Lamports(position.cost.0 + 100_000)
    );
    // A second sighting of the same signature changes nothing.
    world.land_last();
    assert_eq!(world.engine.positions().count(), 1);

    world.stranger_buys(8_000_000_000);
    assert_eq!(world.ring.bundles.len(), 2);
    let trade = our_trade(&world);
    let Amounts::Sell { tokens, quote_min } = trade.amounts else {
        panic!()
    };
    assert_eq!(tokens, position.tokens);
    assert!(quote_min.0 > position.cost.0, "profit is asked for");
    world.stranger_buys(1_000_000_000);
    assert_eq!(world.ring.bundles.len(), 2, "one exit at a time");

    world.land_last();
    assert_eq!(
        (
            world.engine.positions().count(),
            world.engine.gate().exposures().len()
        ),
        (0, 0)
    );
    let counters = world.engine.counters();
    assert!(counters.exit_received > counters.entry_cost + counters.tip_paid);
    assert_eq!(counters.bundle_handed_for, [1, 1, 0, 0, 0]);
    assert_eq!(counters.included_for, [1, 1, 0, 0, 0]);
    let notes = [
        "handed Buy Launch",
        "included Buy true",
        "handed Sell TakeProfit",
        "included Sell true",
    ];
    assert_eq!(world.passed_notes(), notes);
}

/// Goal: what we leave to a lookup table of ours is still ours when it lands, as predicted.
#[test]
fn our_trades_through_a_table_are_booked_as_they_were_built() {
    let made = BuilderConfig::default();
    let addresses = made.lookup_addresses().unwrap();
    let addresses: Vec<Key> = addresses.into_iter().map(|(key, _)| key).collect();
    let table = LookupTable {
        key: [0x7a; 32],
        addresses,
    };
    let tables = || LookupTables::new([(table.key, &table.addresses[..])]);
    let made = BuilderConfig {
        lookup_table: Some(table.clone()),
        ..made
    };
    let mut world = World::looking_up(&config(), &made, tables());
    world.launch(1_000_000_000);
    world.blocks(1);
    world.land_last();
    world.stranger_buys(8_000_000_000);
    world.land_last();
    let cell = world.ring.bundles.last().unwrap();
    let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
    assert_eq!(view.lookups().next().unwrap().table, &table.key);
    let notes = [
        "handed Buy Launch",
        "included Buy true",
        "handed Sell TakeProfit",
        "included Sell true",
    ];
    assert_eq!(world.passed_notes(), notes);
    assert_eq!(world.engine.positions().count(), 0);
    let plain = {
        let mut world = World::new(&config());
        world.launch(1_000_000_000);
        world.blocks(1);
        world.land_last();
        world.stranger_buys(8_000_000_000);
        world.land_last();
        let counters = world.engine.counters();
        (counters.entry_cost, counters.exit_received)
    };
    let counters = world.engine.counters();
    assert_eq!((counters.entry_cost, counters.exit_received), plain);
}

#[test]
fn a_dump_stops_out_and_silence_expires() {
    let mut dumped = holding_after(&config(), 4_900_000_000);
    let (dev_buy, _) = dumped.engine.curves().get(&MINT).unwrap().dev_buy.unwrap();
    dumped.send(&[sale(dev_buy.tokens.0)]);
    assert_eq!(dumped.passed_notes().last().unwrap(), "handed Sell Stop");

    let by_slots = config();
    let mut silent = holding(&by_slots);
    silent.blocks(by_slots.params.hold_slots_max);
    assert!(!silent.passed_notes().contains(&"handed Sell Expiry".into()));
    silent.blocks(1);
    assert_eq!(silent.passed_notes().last().unwrap(), "handed Sell Expiry");

    let mut by_time = config();
    by_time.params.hold_slots_max = 0;
    let mut silent = holding(&by_time);
    let opened = silent.now();
    silent.engine.tick(
        Nanos(opened.0 + by_time.params.hold_max.0 - 1),
        &mut silent.ring,
    );
    assert_eq!(silent.ring.bundles.len(), 1);
    silent.engine.tick(
        Nanos(opened.0 + by_time.params.hold_max.0 + 10_000_000),
        &mut silent.ring,
    );
    assert_eq!(silent.passed_notes().last().unwrap(), "handed Sell Expiry");
}

#[test]
fn an_exit_that_is_not_seen_is_tried_again_and_the_position_is_left_once() {
    let mut world = holding(&config());
    world.stranger_buys(8_000_000_000);
    world.blocks(config().exit_retry_slots);
    assert_eq!(world.engine.counters().exit_lapsed, 0);
    world.blocks(1);
    let notes = [
        "handed Sell TakeProfit",
        "lost Sell",
        "handed Sell TakeProfit",
    ];
    assert_eq!(world.passed_notes()[2..], notes);
    let first = world.ring.bundles[1].transaction(0).unwrap().to_vec();
    world.send_bytes(&first, |_| {});
    assert_eq!(
        (
            world.engine.positions().count(),
            world.engine.gate().exposures().len()
        ),
        (0, 0)
    );
    world.blocks(400);
    assert_eq!(
        (
            world.engine.inflight_count(),
            world.engine.gate().open_notional()
        ),
        (0, Lamports(0))
    );
}

/// Goal: an exit that keeps failing costs an intent per backed-off slot, not one per event; another reason to
/// leave is not held up by it.
#[test]
fn an_exit_that_fails_is_not_tried_again_at_every_event() {
    let mut world = holding(&config());
    world.ring.full = true;
    world.stranger_buys(8_000_000_000);
    let mut tries = vec![0];
    for slot in 0..32 {
        let before = world.engine.counters().bundle_refused;
        for _ in 0..5 {
            world.stranger_buys(1_000_000);
        }
        if world.engine.counters().bundle_refused > before {
            tries.push(slot);
        }
        assert!(world.engine.counters().bundle_refused <= before + 1);
        world.blocks(1);
    }
    let waits: Vec<u64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [1, 2, 4, 8, 8, 8], "{tries:?}");
    assert!(world.engine.counters().passed[Pass::ExitDeferred as usize] > 50);

    world.ring.full = false;
    world.stranger_buys(1_000_000);
    assert_eq!(world.ring.bundles.len(), 1, "profit still waits");
    world.engine.flatten(&mut world.ring);
    assert_eq!(
        our_trade(&world).side,
        Side::Sell,
        "another reason does not"
    );
}

#[test]
fn a_rejected_exit_waits_a_slot_and_is_tried_again() {
    let mut world = holding(&config());
    world.stranger_buys(8_000_000_000);
    let intent_id = world.ring.bundles[1].intent_id;
    world.engine.rejected(intent_id, &mut world.ring);
    world.stranger_buys(1_000_000);
    assert_eq!(world.ring.bundles.len(), 2);
    world.blocks(1);
    world.stranger_buys(1_000_000);
    assert_eq!(world.ring.bundles.len(), 3);
}

#[test]
fn flattening_leaves_every_position_once() {
    let mut world = holding(&config());
    world.control.set(Mode::Reducing);
    world.engine.flatten(&mut world.ring);
    world.engine.flatten(&mut world.ring);
    assert_eq!(
        (world.ring.bundles.len(), our_trade(&world).side),
        (2, Side::Sell)
    );
}

#[test]
fn a_full_ring_undoes_the_reservation() {
    let mut world = World::new(&config());
    world.ring.full = true;
    world.launch(1_000_000_000);
    assert_eq!(world.engine.counters().bundle_refused, 1);
    assert_eq!(
        (
            world.engine.gate().open_notional(),
            world.engine.inflight_count()
        ),
        (Lamports(0), 0)
    );

    let mut holding = holding(&config());
    holding.ring.full = true;
    holding.stranger_buys(8_000_000_000);
    holding.ring.full = false;
    holding.stranger_buys(1_000_000);
    assert_eq!(holding.ring.bundles.len(), 1, "not at the next event");
    holding.blocks(1);
    holding.stranger_buys(1_000_000);
    assert_eq!(
        holding.passed_notes().last().unwrap(),
        "handed Sell TakeProfit",
        "the exit is tried again"
    );
}

#[test]
fn the_switch_leaves_exits_in_reducing_and_nothing_in_halted() {
    for mode in [Mode::Reducing, Mode::Halted] {
        let mut world = World::new(&config());
        world.control.set(mode);
        world.launch(1_000_000_000);
        assert!(world.ring.bundles.is_empty());
        let mut world = holding(&config());
        world.control.set(mode);
        world.stranger_buys(8_000_000_000);
        assert_eq!(world.ring.bundles.len() == 2, mode == Mode::Reducing);
    }
}

#[test]
fn what_may_not_be_acted_on_moves_nothing() {
    let bytes = common::launch_bytes(1_000_000_000);
    let mut world = World::new(&config());
    let before = world.engine.state_hash();
    world.send_bytes(&bytes, |txn| txn.verified = false);
    world.send_bytes(&bytes, |txn| txn.retracted = true);
    let slot = Slot(world.slot);
    world.engine.equivocation(&Equivocation {
        slot,
        fec_set_index: FecSetIndex(0),
        merkle_roots: [[0; _]; 2],
    });
    world.send_bytes(&bytes, |_| {});
    let counters = world.engine.counters();
    assert_eq!(counters.transaction_unverified_skipped, 1);
    assert_eq!(counters.transaction_retracted_skipped, 1);
    assert_eq!(counters.transaction_contested_skipped, 1);
    assert_eq!(
        (world.engine.curves().len(), world.ring.bundles.len()),
        (0, 0)
    );
    assert_ne!(
        world.engine.state_hash(),
        before,
        "the equivocation itself is on record"
    );

    let mut daring = World::new(&EngineConfig {
        act_on_unverified: true,
        ..config()
    });
    daring.send_bytes(&bytes, |txn| txn.verified = false);
    assert_eq!(daring.ring.bundles.len(), 1);
    let sequence = 0;
    daring.engine.verdict(&Verdict {
        from: sequence,
        to: sequence + 1,
        authentic: true,
    });
    assert_eq!(daring.engine.curves().get(&MINT).unwrap().tradable, Ok(()));
    daring.engine.verdict(&Verdict {
        from: sequence,
        to: sequence + 1,
        authentic: false,
    });
    assert!(daring.engine.curves().get(&MINT).unwrap().tradable.is_err());
}

#[test]
fn without_a_blockhash_nothing_is_signed() {
    let mut config = config();
    config.blockhash_rule.depth_min = 100;
    let mut world = World::new(&config);
    world.launch(1_000_000_000);
    assert_eq!(
        (
            world.engine.counters().blockhash_missing,
            world.ring.bundles.len()
        ),
        (1, 0)
    );
    assert_eq!(world.engine.gate().open_notional(), Lamports(0));
}

#[test]
fn a_transaction_that_can_no_longer_land_is_given_up_once_that_is_proven() {
    let mut world = World::new(&config());
    world.launch(1_000_000_000);
    world.blocks(140);
    assert!(
        world.engine.gate().open_notional().0 > 0,
        "its blockhash is still alive"
    );
    world.blocks(20);
    assert_eq!(world.passed_notes().last().unwrap(), "lost Buy");
    assert_eq!(
        (
            world.engine.gate().open_notional(),
            world.engine.inflight_count()
        ),
        (Lamports(0), 0)
    );
    assert_eq!(world.engine.counters().own_expired, 1);
}

#[test]
fn a_rejected_bundle_frees_its_money_and_is_adopted_if_it_lands_after_all() {
    let mut world = World::new(&config());
    world.launch(1_000_000_000);
    let intent_id = world.ring.bundles[0].intent_id;
    world.engine.rejected(intent_id, &mut world.ring);
    world.engine.rejected(intent_id, &mut world.ring);
    assert_eq!(
        (
            world.engine.gate().open_notional(),
            world.engine.counters().own_rejected
        ),
        (Lamports(0), 1)
    );
    world.land_last();
    assert_eq!(
        (
            world.engine.positions().count(),
            world.engine.gate().exposures().len()
        ),
        (1, 1)
    );
    assert_eq!(world.engine.counters().own_included_late, 1);
    world.stranger_buys(8_000_000_000);
    assert_eq!(
        world.passed_notes().last().unwrap(),
        "handed Sell TakeProfit"
    );
}

#[test]
fn an_inclusion_in_a_void_part_of_a_block_is_undone_and_may_come_again() {
    let mut world = holding(&config());
    let slot = Slot(world.slot);
    let reason = RetractReason::UpdateParent {
        parent_slot: Slot(1),
    };
    world.engine.retract(
        &Retract {
            slot,
            before: FecSetIndex(0),
            reason,
        },
        &mut world.ring,
    );
    assert_eq!(
        world.engine.positions().count(),
        1,
        "sets before 0 are none"
    );
    world.engine.retract(
        &Retract {
            slot,
            before: FecSetIndex(32),
            reason,
        },
        &mut world.ring,
    );
    assert_eq!(
        (
            world.engine.positions().count(),
            world.engine.gate().exposures().len()
        ),
        (0, 0)
    );
    assert!(
        world.engine.curves().get(&MINT).unwrap().tradable.is_err(),
        "its reserves are not to be trusted"
    );
    assert_eq!(world.passed_notes().last().unwrap(), "retracted Buy");
    world.blocks(1);
    let ours = world.ring.bundles[0].transaction(0).unwrap().to_vec();
    world.send_bytes(&ours, |_| {});
    assert_eq!(
        (
            world.engine.positions().count(),
            world.engine.gate().exposures().len()
        ),
        (1, 1)
    );
}

#[test]
fn an_exit_in_a_void_part_of_a_block_brings_the_position_back() {
    let mut world = holding(&config());
    let before = *world.engine.positions().next().unwrap();
    world.stranger_buys(8_000_000_000);
    world.blocks(1);
    world.land_last();
    assert_eq!(world.engine.positions().count(), 0);
    let retract = Retract {
        slot: Slot(world.slot),
        before: FecSetIndex(64),
        reason: RetractReason::Abandoned,
    };
    world.engine.retract(&retract, &mut world.ring);
    assert_eq!(world.engine.positions().next(), Some(&before));
    assert_eq!(world.engine.gate().exposures().len(), 1);
}

/// Regression: the exit was reserved on a holding that a retraction wrote off; the entry came again at another
/// price, and then the exit came too.
#[test]
fn an_exit_of_a_holding_that_was_undone_and_came_again_still_closes_it() {
    let mut world = holding(&config());
    world.stranger_buys(8_000_000_000);
    let reason = RetractReason::UpdateParent {
        parent_slot: Slot(1),
    };
    let retract = Retract {
        slot: Slot(world.slot),
        before: FecSetIndex(32),
        reason,
    };
    world.engine.retract(&retract, &mut world.ring);
    for bundle in [0, 1] {
        let bytes = world.ring.bundles[bundle].transaction(0).unwrap().to_vec();
        world.send_bytes(&bytes, |_| {});
    }
    assert_eq!(
        (
            world.engine.positions().count(),
            world.engine.gate().exposures().len()
        ),
        (0, 0)
    );
    assert_eq!(world.engine.gate().open_notional(), Lamports(0));
}

#[test]
fn landing_where_the_arithmetic_says_failure_is_booked_at_the_limits() {
    let mut world = World::new(&config());
    world.launch(1_000_000_000);
    // The price runs away before we land; a bundle that landed all the same paid no more than it allowed.
    world.stranger_buys(20_000_000_000);
    let Amounts::TokensOut { tokens, quote_max } = our_trade(&world).amounts else {
        panic!()
    };
    world.land_last();
    let position = world.engine.positions().next().unwrap();
    assert_eq!((position.tokens, position.cost), (tokens, quote_max));
    assert_eq!(world.engine.counters().fill_unpredicted, 1);
}

#[test]
fn one_entry_per_coin_and_no_more_positions_than_allowed() {
    let mut world = World::new(&config());
    world.launch(1_000_000_000);
    world
        .engine
        .arm(&signal(&world, 1, MINT.0), world.now())
        .unwrap();
    world.stranger_buys(1_000_000);
    assert_eq!(world.ring.bundles.len(), 1, "an entry is on its way");
    assert_eq!(world.engine.counters().passed[Pass::Entering as usize], 1);

    let mut config = config();
    config.limits.per_trade_max = Lamports(1_000_000);
    let mut poor = World::new(&config);
    poor.launch(1_000_000_000);
    assert_eq!(poor.passed_notes(), ["refused PerTradeNotional"]);
    assert_eq!(
        poor.engine.gate().counters().refused[Refusal::PerTradeNotional as usize],
        1
    );
}

#[test]
fn a_signal_for_the_next_launch_fires_once_within_the_strictest_bounds() {
    let mut config = config();
    config.params.launches_enabled = false;
    let mut world = World::new(&config);
    world.launch(1_000_000_000);
    assert!(world.ring.bundles.is_empty(), "launches are off");
    let mut world = World::new(&config);
    world
        .engine
        .arm(&signal(&world, 1, [0; 32]), world.now())
        .unwrap();
    world.launch(50);
    assert!(world.ring.bundles.is_empty(), "the filters still hold");
    let mut world = World::new(&config);
    world
        .engine
        .arm(&signal(&world, 1, [0; 32]), world.now())
        .unwrap();
    world.launch(1_000_000_000);
    assert_eq!(world.passed_notes(), ["handed Buy Signal(1)"]);
    let Amounts::TokensOut { tokens, quote_max } = our_trade(&world).amounts else {
        panic!()
    };
    let quote = world
        .engine
        .curves()
        .get(&MINT)
        .unwrap()
        .buy_exact_quote(Lamports(20_000_000))
        .unwrap();
    assert_eq!(
        quote_max,
        Lamports(20_000_000),
        "the signal's own notional is the smallest"
    );
    assert_eq!(tokens, quote.tokens.less_bps(market::Bps(300)));
    assert_eq!(
        (
            world.engine.armed_count(),
            world.engine.counters().signal_fired
        ),
        (0, 1)
    );
}

#[test]
fn a_signal_for_a_coin_fires_at_its_next_event_and_expires_by_time_and_slot() {
    let mut config = config();
    config.params.launches_enabled = false;
    let after_launch = || {
        let mut world = World::new(&config);
        world.launch(1_000_000_000);
        world
            .engine
            .arm(&signal(&world, 1, MINT.0), world.now())
            .unwrap();
        world
    };
    let mut world = after_launch();
    world.stranger_buys(1_000_000);
    assert_eq!(world.passed_notes(), ["handed Buy Signal(1)"]);
    assert!(
        world
            .engine
            .arm(&signal(&world, 1, MINT.0), world.now())
            .is_err(),
        "an id is good once"
    );

    let mut late = after_launch();
    late.slot += 5_000_000_000 / common::SLOT_NANOS + 1;
    late.stranger_buys(1_000_000);
    assert!(late.ring.bundles.is_empty(), "its time is over");

    let mut other = after_launch();
    other
        .engine
        .arm(&signal(&other, 2, [0x44; 32]), other.now())
        .unwrap();
    other.stranger_buys(1_000_000);
    assert_eq!(
        (other.ring.bundles.len(), other.engine.armed_count()),
        (1, 1),
        "another coin's signal waits on"
    );

    let mut denied_config = config.clone();
    denied_config.params.creators_denied = KeySet::new(&[[0x33; 32]]).unwrap();
    let mut denied = World::new(&denied_config);
    denied.launch(1_000_000_000);
    denied
        .engine
        .arm(&signal(&denied, 1, MINT.0), denied.now())
        .unwrap();
    denied.stranger_buys(1_000_000);
    assert!(
        denied.ring.bundles.is_empty(),
        "the deny list binds signals too"
    );
}

#[test]
fn a_veto_forbids_and_a_sell_signal_leaves() {
    for mint in [[0; 32], MINT.0] {
        let mut world = World::new(&config());
        let mut veto = signal(&world, 1, mint);
        veto.signal.flags = brain_wire::SignalFlags::VETO;
        veto.signal.side = brain_wire::Side::None;
        world.engine.arm(&veto, world.now()).unwrap();
        world.launch(1_000_000_000);
        assert_eq!(
            (
                world.ring.bundles.len(),
                world.engine.counters().entry_vetoed
            ),
            (0, 1)
        );
    }
    let mut world = holding(&config());
    let mut leave = signal(&world, 9, MINT.0);
    leave.signal.side = brain_wire::Side::Sell;
    world.engine.arm(&leave, world.now()).unwrap();
    world.stranger_buys(1_000_000);
    assert_eq!(
        world.passed_notes().last().unwrap(),
        "handed Sell Signal(9)"
    );
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_digest() {
    let run = |quote_in: u64| {
        let mut world = holding(&config());
        world.stranger_buys(quote_in);
        world.blocks(3);
        let messages: Vec<Vec<u8>> = world
            .ring
            .bundles
            .iter()
            .map(|cell| cell.message(0).unwrap().to_vec())
            .collect();
        (world.engine.state_hash(), messages)
    };
    assert_eq!(run(8_000_000_000), run(8_000_000_000));
    assert_ne!(
        run(8_000_000_000).0,
        run(8_000_000_001).0,
        "a lamport shows"
    );
    let seeded = |hash_seed| {
        let mut world = World::new(&EngineConfig {
            hash_seed,
            ..config()
        });
        world.launch(1_000_000_000);
        world.engine.state_hash()
    };
    assert_eq!(
        seeded(0),
        seeded(u64::MAX),
        "where curves stand in the table decides nothing"
    );
}

#[test]
fn a_completed_curve_strands_the_position_until_it_is_written_off() {
    let mut world = holding(&config());
    world.control.set(Mode::Halted);
    world.stranger_buys(200_000_000_000);
    world.control.set(Mode::Active);
    world.blocks(200);
    assert_eq!(world.ring.bundles.len(), 1, "nothing can be sold on it");
    assert!(world.engine.write_off(&MINT).is_some());
    assert_eq!(
        (
            world.engine.positions().count(),
            world.engine.gate().exposures().len()
        ),
        (0, 0)
    );
}

/// A world that holds the fixture coin.
fn holding(config: &EngineConfig) -> World {
    holding_after(config, 1_000_000_000)
}

/// The same after a launcher who put in `dev_buy` lamports.
fn holding_after(config: &EngineConfig, dev_buy: u64) -> World {
    let mut world = World::new(config);
    world.launch(dev_buy);
    world.blocks(1);
    world.land_last();
    assert_eq!(world.engine.positions().count(), 1);
    world
}

/// The one trade in our last bundle.
#[track_caller]
fn our_trade(world: &World) -> Trade {
    let cell = world.ring.bundles.last().unwrap();
    assert_eq!(cell.count(), 1);
    let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
    assert_eq!(view.signature(), &cell.signature);
    let mut trades = Vec::new();
    decode(
        &view,
        &market::LookupTables::none(),
        Slot(0),
        Nanos(0),
        &mut |event| match event {
            MarketEvent::Trade(trade) => trades.push(trade),
            other => panic!("{other:?}"),
        },
    );
    assert_eq!(trades.len(), 1);
    trades[0]
}
