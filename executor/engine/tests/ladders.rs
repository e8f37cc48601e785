//! Goal: what was signed ahead leaves when it says what is wanted now, once, and everything else is signed as ever.
//! Method: the worker is polled by hand, so that ladders arrive exactly when a test says so.
#![allow(clippy::unwrap_used)]

mod common;

use brain_wire::ArmedSignal;
use bundle::ladder::NoRung;
use bundle::{BuilderConfig, BundleCell, RecentBlockhash, Way};
use common::{World, blockhash, builder, config, sale, signal};
use ed25519_dalek::{Signature, VerifyingKey};
use engine::{EngineConfig, LadderPlan, LadderWorker};
use market::{Amounts, Lamports, MarketEvent, Mint, Side, Trade, decode};
use proptest::prelude::*;
use risk::Mode;
use shred_resolve::{Retract, RetractReason};
use shred_wire::txn::TxnView;
use shred_wire::{FecSetIndex, Nanos, Slot};
use strategy::{Intent, Origin};

const MINT: Mint = Mint([0x11; 32]);

/// Launches are watched, not bought.
fn watching() -> EngineConfig {
    let mut config = config();
    config.params.launches_enabled = false;
    config
}

fn drain(worker: &mut LadderWorker) -> usize {
    std::iter::repeat_with(|| worker.poll())
        .take_while(|done| *done != 0)
        .count()
}

/// A coin that is known, and nothing of ours in it.
fn watched() -> (World, LadderWorker) {
    let (mut world, worker) = World::laddered(&watching(), LadderPlan::default());
    world.launch(1_000_000_000);
    world.blocks(1);
    (world, worker)
}

/// A buy signal that outlives any test.
fn lasting(world: &World, id: u64) -> ArmedSignal {
    let mut armed = signal(world, id, MINT.0);
    armed.signal.as_of_slot = 0;
    armed.expires_realtime_ns = u64::MAX;
    armed
}

fn arm(world: &mut World, id: u64) {
    let armed = lasting(world, id);
    world.engine.arm(&armed, world.now()).unwrap();
}

/// With a signal whose ladder has arrived.
fn armed() -> (World, LadderWorker) {
    let (mut world, mut worker) = watched();
    arm(&mut world, 1);
    drain(&mut worker);
    (world, worker)
}

/// With a position whose ladder has arrived.
fn holding() -> (World, LadderWorker) {
    holding_after(&config(), 1_000_000_000)
}

fn holding_after(config: &EngineConfig, dev_buy: u64) -> (World, LadderWorker) {
    let (mut world, mut worker) = World::laddered(config, LadderPlan::default());
    world.launch(dev_buy);
    world.blocks(1);
    world.land_last();
    drain(&mut worker);
    (world, worker)
}

fn released(world: &World) -> u64 {
    let counters = world.engine.counters();
    assert_eq!(
        world.engine.signature_counts()[Way::Presigned as usize],
        counters.ladder_released
    );
    counters.ladder_released
}

fn refused(world: &World, why: NoRung) -> u64 {
    world.engine.counters().ladder_refused[why as usize]
}

fn built(world: &World) -> u64 {
    world.engine.signature_counts()[Way::Deterministic as usize]
}

/// The last bundle is signed, and its message is what a build of its intent would have been.
#[track_caller]
fn check_last(world: &World) -> (Intent, Trade) {
    let cell = world.ring.bundles.last().unwrap();
    let intent = *world.ring.handed.last().unwrap();
    assert_eq!(
        (cell.intent_id, cell.slot, cell.trigger_at, cell.tip),
        (intent.id, intent.slot, intent.at, intent.tip)
    );
    let mut gate = risk::Gate::new(
        risk::Limits::default(),
        std::sync::Arc::new(risk::Control::new(Mode::Active)),
    )
    .unwrap();
    if intent.side == Side::Sell {
        let fill = risk::Fill {
            tokens: intent.tokens,
            quote: Lamports(1),
        };
        assert!(gate.adopt(intent.mint, 0, fill));
    }
    let approved = gate.check(intent, intent.at).unwrap();
    let hash = RecentBlockhash {
        hash: blockhash(cell.blockhash_slot.0),
        slot: cell.blockhash_slot,
    };
    let mut reference = BundleCell::new();
    builder(&BuilderConfig::default())
        .build(&approved, &hash, &mut reference)
        .unwrap();
    assert_eq!(cell.message(0), reference.message(0));
    assert_eq!(cell.signature, reference.signature, "RFC 8032 has but one");
    (intent, check_signed(world, cell))
}

#[track_caller]
fn check_signed(world: &World, cell: &BundleCell) -> Trade {
    let bytes = cell.transaction(0).unwrap();
    let view = TxnView::parse(bytes).unwrap();
    VerifyingKey::from_bytes(&world.trader)
        .unwrap()
        .verify_strict(view.message(), &Signature::from_bytes(view.signature()))
        .unwrap();
    let mut trades = Vec::new();
    decode(
        &view,
        &market::LookupTables::none(),
        Slot(0),
        Nanos(0),
        &mut |event| {
            if let MarketEvent::Trade(trade) = event {
                trades.push(trade);
            }
        },
    );
    trades[0]
}

#[test]
fn a_signal_for_a_known_coin_leaves_as_a_rung() {
    let (mut world, _worker) = armed();
    assert_eq!(world.engine.counters().ladder_ordered, 1);
    world.stranger_buys(1_000_000);
    assert_eq!((released(&world), built(&world)), (1, 0));
    let (intent, trade) = check_last(&world);
    assert_eq!(intent.origin, Origin::Signal(1));
    assert_eq!(intent.spend, Lamports(20_000_000));
    let given = world.engine.curves().get(&MINT).unwrap();
    let given = given.buy_exact_quote(intent.spend).unwrap().tokens;
    assert!((given.less_bps(market::Bps(300))..=given).contains(&intent.tokens));
    assert_eq!(
        (trade.mint, trade.side, trade.amounts),
        (
            MINT,
            Side::Buy,
            Amounts::TokensOut {
                tokens: intent.tokens,
                quote_max: intent.spend
            }
        )
    );
    assert_eq!(
        world.engine.gate().open_notional(),
        Lamports(intent.spend.0 + intent.tip.0)
    );
    // It is booked like any other.
    world.land_last();
    let position = world.engine.positions().next().unwrap();
    assert_eq!(position.tokens, intent.tokens);
}

/// Goal: a price that moved a little takes another rung; one that left the grid is signed the usual way, once.
#[test]
fn a_moved_price_takes_another_rung_and_one_out_of_the_grid_none() {
    let mut tokens = Vec::new();
    for moved in [1_000_000, 600_000_000, 1_500_000_000] {
        let (mut world, _worker) = armed();
        world.stranger_buys(moved);
        assert_eq!((released(&world), built(&world)), (1, 0), "{moved}");
        tokens.push(check_last(&world).0.tokens);
    }
    assert!(tokens.is_sorted_by(|a, b| a > b), "{tokens:?}");
    let (mut world, mut worker) = armed();
    world.stranger_buys(9_000_000_000);
    assert_eq!((released(&world), built(&world)), (0, 1));
    assert_eq!(refused(&world, NoRung::Size), 1);
    check_last(&world);
    // What was signed ahead came back.
    drain(&mut worker);
    assert_eq!(worker.blank_count(), 16);
}

#[test]
fn a_blockhash_too_old_is_signed_over_no_more() {
    let (mut world, _worker) = armed();
    // Nothing is heard of blocks meanwhile.
    world.slot += 121;
    world.stranger_buys(1_000_000);
    assert_eq!((released(&world), built(&world)), (0, 1));
    assert_eq!(refused(&world, NoRung::Blockhash), 1);
}

#[test]
fn rungs_over_a_retracted_block_stay() {
    let abandon = |world: &mut World, slot: Slot| {
        let retract = Retract {
            slot,
            before: FecSetIndex(64),
            reason: RetractReason::Abandoned,
        };
        world.engine.retract(&retract, &mut world.ring);
    };
    let (mut world, mut worker) = armed();
    let newest = world.engine.blockhash().unwrap().slot;
    abandon(&mut world, newest);
    world.stranger_buys(1_000_000);
    assert_eq!(released(&world), 1);
    let used = world.ring.bundles[0].blockhash_slot;
    assert!(used < newest, "the second blockhash");
    check_last(&world);

    // Both gone: nothing serves, though another blockhash does.
    let (mut world, _worker) = armed();
    let newest = world.engine.blockhash().unwrap().slot;
    abandon(&mut world, newest);
    abandon(&mut world, Slot(newest.0 - 1));
    world.stranger_buys(1_000_000);
    assert_eq!(
        (released(&world), refused(&world, NoRung::Blockhash)),
        (0, 1)
    );
    assert!(
        world.ring.offered.is_empty(),
        "a chain with a gap gives no blockhash"
    );

    // Before the ladder arrives: it is held to it all the same.
    let (mut late, mut late_worker) = watched();
    arm(&mut late, 1);
    let newest = late.engine.blockhash().unwrap().slot;
    abandon(&mut late, newest);
    drain(&mut late_worker);
    late.stranger_buys(1_000_000);
    assert_eq!(released(&late), 1);
    assert!(late.ring.bundles[0].blockhash_slot < newest);
    drain(&mut worker);
}

/// Goal: what was signed over a fork that the chain left behind stays, and is signed again over the one it follows.
#[test]
fn rungs_over_a_fork_left_behind_stay() {
    let fork = |is_signed_again: bool| {
        let (mut world, mut worker) = watched();
        world.blocks(6);
        arm(&mut world, 1);
        drain(&mut worker);
        let left = world.engine.blockhash().unwrap().slot;
        let block = shred_resolve::BlockEnd {
            slot: Slot(world.slot),
            parent_slot: Slot(left.0 - 1),
            blockhash: blockhash(world.slot),
            last_root: [0; _],
            transactions: 1,
            ticks: 64,
            ticks_complete: true,
            at: world.now(),
        };
        world.engine.block(&block, &mut world.ring);
        world.slot += 1;
        if is_signed_again {
            drain(&mut worker);
        }
        world.stranger_buys(1_000_000);
        let (intent, _) = check_last(&world);
        assert_eq!(intent.origin, Origin::Signal(1));
        let used = world.ring.bundles[0].blockhash_slot;
        assert!(used < left && Some(used) == world.engine.blockhash().map(|hash| hash.slot));
        (released(&world), refused(&world, NoRung::NoLadder))
    };
    assert_eq!(fork(false), (0, 1));
    assert_eq!(fork(true), (1, 0));
}

/// Goal: a rung's slot guard counts from its blockhash; with little of it left, what is built now lasts longer.
#[test]
fn guarded_rungs_are_renewed_often_and_leave_young() {
    let made = BuilderConfig {
        slot_guard_slots: Some(20),
        ..BuilderConfig::default()
    };
    let plan = LadderPlan {
        renew_slots: 100,
        ..LadderPlan::default()
    };
    for (skipped, rungs) in [(0, 1), (2, 1), (3, 0)] {
        let (mut world, mut worker) = World::laddered_by(&watching(), &made, plan);
        world.launch(1_000_000_000);
        arm(&mut world, 1);
        for _ in 0..11 {
            drain(&mut worker);
            world.blocks(1);
        }
        drain(&mut worker);
        assert_eq!(world.engine.counters().ladder_renewed, 2);
        world.blocks(4);
        let newest = world.engine.blockhash().unwrap().slot.0;
        // The ladder's is five slots older, and the slot now three newer.
        assert_eq!(newest, world.slot - 3);
        world.slot += skipped;
        world.stranger_buys(1_000_000);
        assert_eq!(
            (released(&world), built(&world)),
            (rungs, 1 - rungs),
            "{skipped}"
        );
        check_signed(&world, &world.ring.bundles[0]);
    }
}

#[test]
fn two_signals_for_one_coin_enter_it_once() {
    let (mut world, mut worker) = watched();
    arm(&mut world, 1);
    arm(&mut world, 2);
    drain(&mut worker);
    world.stranger_buys(1_000_000);
    world.stranger_buys(1_000_000);
    world.blocks(1);
    world.stranger_buys(1_000_000);
    assert_eq!((world.ring.offered.len(), released(&world)), (1, 1));
    assert_eq!(check_last(&world).0.origin, Origin::Signal(1));
    // The second one's right was given up at the end of the block: while we are in the coin it cannot be used.
    assert_eq!(world.engine.ladders().unwrap().held_count(), 0);
    drain(&mut worker);
    assert_eq!(worker.blank_count(), 16);
    // Once the first is lost, the second is held ready again, and has its turn.
    let first = world.ring.bundles[0].intent_id;
    world.engine.rejected(first, &mut world.ring);
    world.blocks(1);
    drain(&mut worker);
    world.stranger_buys(1_000_000);
    assert_eq!(released(&world), 2);
    assert_eq!(check_last(&world).0.origin, Origin::Signal(2));
    assert_ne!(world.ring.offered[0].0, world.ring.offered[1].0);
}

#[test]
fn a_signal_fires_once() {
    let (mut world, mut worker) = armed();
    for _ in 0..5 {
        world.stranger_buys(1_000_000);
        world.blocks(1);
        drain(&mut worker);
    }
    let intent_id = world.ring.bundles[0].intent_id;
    world.engine.rejected(intent_id, &mut world.ring);
    for _ in 0..5 {
        world.stranger_buys(1_000_000);
        world.blocks(1);
        drain(&mut worker);
    }
    assert_eq!((world.ring.offered.len(), released(&world)), (1, 1));
}

#[test]
fn an_expired_or_vetoed_signal_is_held_ready_no_more() {
    let (mut world, mut worker) = watched();
    let short = signal(&world, 1, MINT.0);
    world.engine.arm(&short, world.now()).unwrap();
    arm(&mut world, 2);
    drain(&mut worker);
    world.blocks(1);
    assert_eq!(world.engine.ladders().unwrap().ready_count(), 2);
    world.blocks(20);
    drain(&mut worker);
    assert_eq!(world.engine.ladders().unwrap().held_count(), 1);
    let mut veto = lasting(&world, 3);
    veto.signal.flags = brain_wire::SignalFlags::VETO;
    veto.signal.side = brain_wire::Side::None;
    world.engine.arm(&veto, world.now()).unwrap();
    assert_eq!(world.engine.ladders().unwrap().held_count(), 0);
    drain(&mut worker);
    assert_eq!(worker.blank_count(), 16);
    world.stranger_buys(1_000_000);
    assert!(world.ring.offered.is_empty());
}

/// Goal: profit is taken and losses are stopped by rungs, also when the price has run past the threshold.
#[test]
fn exits_at_take_profit_and_at_stop_are_rungs() {
    for bought in [2_600_000_000, 4_500_000_000] {
        let (mut world, _worker) = holding();
        world.stranger_buys(1_000_000);
        assert_eq!(world.ring.bundles.len(), 1, "held");
        world.stranger_buys(bought);
        while world.ring.bundles.len() == 1 {
            world.stranger_buys(400_000_000);
        }
        assert_eq!(released(&world), 1);
        let (intent, trade) = check_last(&world);
        assert_eq!(
            (intent.side, intent.origin),
            (Side::Sell, Origin::TakeProfit)
        );
        check_exit(&world, &intent, &trade, market::Bps(500));
    }
    for parts in [12, 3, 1] {
        let (mut world, _worker) = holding_after(&config(), 4_900_000_000);
        let (dev_buy, _) = world.engine.curves().get(&MINT).unwrap().dev_buy.unwrap();
        for _ in 0..parts {
            if world.ring.bundles.len() == 1 {
                world.send(&[sale(dev_buy.tokens.0 / parts)]);
            }
        }
        assert_eq!(released(&world), 1, "in {parts} parts");
        let (intent, trade) = check_last(&world);
        assert_eq!((intent.side, intent.origin), (Side::Sell, Origin::Stop));
        check_exit(&world, &intent, &trade, market::Bps(2_500));
    }
}

/// Goal: what an exit asks for at the least, whatever the price, has a rung too.
#[test]
fn an_exit_below_its_floor_asks_for_the_floor_by_a_rung() {
    let mut config = config();
    config.params.exit_floor = market::Bps(9_400);
    let (mut world, _worker) = holding_after(&config, 4_900_000_000);
    let floor = world
        .engine
        .positions()
        .next()
        .unwrap()
        .floor(market::Bps(9_400));
    let (dev_buy, _) = world.engine.curves().get(&MINT).unwrap().dev_buy.unwrap();
    world.send(&[sale(dev_buy.tokens.0)]);
    assert_eq!((released(&world), refused(&world, NoRung::Size)), (1, 0));
    let (intent, _) = check_last(&world);
    let curve = world.engine.curves().get(&MINT).unwrap();
    assert!(curve.sell(intent.tokens).unwrap().quote < floor);
    assert!((floor.0..=floor.0 * 17 / 16).contains(&intent.receive_min.0));
}

/// The rung asks for no less than the exit would, and no more than the market gives.
#[track_caller]
fn check_exit(world: &World, intent: &Intent, trade: &Trade, slippage: market::Bps) {
    let curve = world.engine.curves().get(&MINT).unwrap();
    let value = curve.sell(intent.tokens).unwrap().quote;
    assert!((value.less_bps(slippage)..=value).contains(&intent.receive_min));
    let asked = Amounts::Sell {
        tokens: intent.tokens,
        quote_min: intent.receive_min,
    };
    assert_eq!((trade.mint, trade.amounts), (MINT, asked));
}

#[test]
fn silence_and_flattening_leave_by_rungs_too() {
    let (mut world, mut worker) = holding();
    for _ in 0..=config().params.hold_slots_max {
        world.blocks(1);
        drain(&mut worker);
    }
    assert_eq!(check_last(&world).0.origin, Origin::Expiry);
    assert_eq!(released(&world), 1);

    let (mut world, _worker) = holding();
    world.control.set(Mode::Reducing);
    world.engine.flatten(&mut world.ring);
    world.engine.flatten(&mut world.ring);
    assert_eq!((world.ring.offered.len(), released(&world)), (2, 1));
    check_last(&world);
}

#[test]
fn a_ladder_that_comes_after_its_trigger_goes_back() {
    let (mut world, mut worker) = watched();
    arm(&mut world, 1);
    world.stranger_buys(1_000_000);
    assert_eq!((released(&world), built(&world)), (0, 1));
    assert_eq!(refused(&world, NoRung::NoLadder), 1);
    check_last(&world);
    assert_eq!(drain(&mut worker), 1);
    assert_eq!(worker.blank_count(), 15);
    world.stranger_buys(1_000_000);
    world.blocks(1);
    assert_eq!(world.engine.counters().ladder_late, 1);
    drain(&mut worker);
    assert_eq!(worker.blank_count(), 16);
    assert_eq!(world.ring.offered.len(), 1);
}

#[test]
fn a_refused_intent_takes_its_ladder_with_it() {
    let (mut world, mut worker) = holding();
    world.control.set(Mode::Halted);
    while world
        .passed_notes()
        .iter()
        .all(|note| !note.starts_with("refused"))
    {
        world.stranger_buys(1_000_000_000);
    }
    assert_eq!((released(&world), world.ring.offered.len()), (0, 1));
    assert_eq!(world.engine.ladders().unwrap().held_count(), 0);
    drain(&mut worker);
    assert_eq!(worker.blank_count(), 16);
    world.control.set(Mode::Active);
    world.blocks(1);
    drain(&mut worker);
    world.stranger_buys(1_000_000);
    assert_eq!(released(&world), 1);
    check_last(&world);
}

/// Goal: a rung that found the ring full is spent, and so is its intent; the next try is another intent's.
#[test]
fn a_rung_that_found_the_ring_full_is_spent() {
    let (mut world, mut worker) = holding();
    world.ring.full = true;
    while world.ring.offered.len() == 1 {
        world.stranger_buys(500_000_000);
    }
    assert_eq!((released(&world), world.ring.bundles.len()), (1, 1));
    assert_eq!(world.engine.ladders().unwrap().held_count(), 0);
    world.ring.full = false;
    world.blocks(1);
    drain(&mut worker);
    assert_eq!(worker.blank_count(), 15, "the spent one was wiped");
    world.stranger_buys(1_000_000);
    assert_eq!((released(&world), world.ring.bundles.len()), (2, 2));
    check_last(&world);
    assert_ne!(world.ring.offered[1].0, world.ring.offered[2].0);
    assert_ne!(world.ring.offered[1].1, world.ring.offered[2].1);
}

#[test]
fn ladders_follow_the_blockhash_and_the_market() {
    let (mut world, mut worker) = armed();
    let plan = LadderPlan::default();
    for _ in 0..plan.renew_slots - 1 {
        world.blocks(1);
        assert_eq!(drain(&mut worker), 0);
    }
    world.blocks(1);
    assert_eq!(drain(&mut worker), 1);
    assert_eq!(world.engine.counters().ladder_renewed, 1);
    // Orders wait for the answer to the last one.
    world.stranger_buys(1_000_000);
    assert_eq!(world.ring.bundles.len(), 1);
    let hash = world.engine.blockhash().unwrap();
    assert_eq!(world.ring.bundles[0].blockhash_slot, hash.slot);
    check_last(&world);

    // A price that left the middle of the grid.
    let (mut world, mut worker) = holding();
    world.blocks(1);
    assert_eq!(drain(&mut worker), 0);
    world.stranger_buys(3_400_000_000);
    world.blocks(1);
    assert_eq!(world.ring.bundles.len(), 1, "held");
    assert_eq!(drain(&mut worker), 1);
    assert_eq!(world.engine.counters().ladder_renewed, 1);
    // One order at a time.
    for _ in 0..3 * plan.renew_slots {
        world.blocks(1);
    }
    assert_eq!(drain(&mut worker), 1);
}

#[test]
fn parameters_that_changed_are_not_answered_with_old_rungs() {
    let (mut world, mut worker) = armed();
    let mut params = watching().params;
    params.entry_tip = Lamports(200_000);
    world.engine.set_params(&params).unwrap();
    world.stranger_buys(1_000_000);
    assert_eq!((released(&world), refused(&world, NoRung::Tip)), (0, 1));
    assert_eq!(check_last(&world).0.tip, Lamports(200_000));

    let (mut world, _worker) = armed();
    params.budget = Lamports(10_000_000);
    params.entry_tip = watching().params.entry_tip;
    world.engine.set_params(&params).unwrap();
    world.stranger_buys(1_000_000);
    assert_eq!((released(&world), refused(&world, NoRung::Terms)), (0, 1));
    assert_eq!(check_last(&world).0.spend, Lamports(10_000_000));

    let (mut world, mut other) = armed();
    world.engine.set_params(&params).unwrap();
    world.blocks(1);
    assert_eq!(drain(&mut other), 1, "ordered anew");
    world.stranger_buys(1_000_000);
    assert_eq!(released(&world), 1);
    assert_eq!(check_last(&world).0.spend, Lamports(10_000_000));
    drain(&mut worker);
}

/// Goal: a coin that trades somewhere else by now is not traded where it was.
#[test]
fn a_coin_that_moved_is_not_answered_with_rungs_for_where_it_was() {
    use common::pools::{COIN, CP_POOL, SOL, amm, cp, stranger_swaps};

    for is_signed_again in [false, true] {
        let (mut world, mut worker) = World::laddered(&watching(), LadderPlan::default());
        world.engine.pool_truth(&cp(CP_POOL, COIN, 100 * SOL, 9));
        let mut armed = lasting(&world, 1);
        armed.signal.mint = COIN;
        world.engine.arm(&armed, world.now()).unwrap();
        drain(&mut worker);
        assert_eq!(world.engine.counters().ladder_ordered, 1);
        let slot = world.slot;
        // At nearly the same price.
        world.engine.pool_truth(&amm(101 * SOL, slot));
        if is_signed_again {
            world.blocks(1);
            drain(&mut worker);
        }
        stranger_swaps(&mut world, 1_000);
        assert_eq!(world.ring.bundles.len(), 1);
        let found = (released(&world), refused(&world, NoRung::Terms));
        assert_eq!(found, if is_signed_again { (1, 0) } else { (0, 1) });
        let intent = *world.ring.handed.last().unwrap();
        assert_eq!(intent.venue, strategy::Venue::RaydiumAmm);
    }
}

/// Goal: the same story with the same arrivals is decided the same, whatever thread signs.
#[test]
fn the_same_arrivals_give_the_same_digest() {
    let story = |polls: &[usize]| {
        let (mut world, mut worker) = World::laddered(&watching(), LadderPlan::default());
        for turn in 0..40usize {
            match turn % 10 {
                0 => world.launch(1_000_000_000),
                1 | 6 => arm(&mut world, turn as u64 + 1),
                4 => {
                    world.stranger_buys(1_000_000);
                    if !world.ring.bundles.is_empty() {
                        world.land_last();
                    }
                }
                8 => world.stranger_buys(3_000_000_000),
                _ => world.blocks(2),
            }
            if polls.contains(&(turn % 10)) {
                drain(&mut worker);
            }
        }
        (world.engine.state_hash(), released(&world))
    };
    assert_eq!(story(&[2, 7]), story(&[2, 7]));
    assert!(story(&[2, 7]).1 > 0);
    assert_ne!(story(&[2, 7]).0, story(&[]).0, "a rung is another message");
}

#[test]
fn more_than_fits_waits_for_its_turn_and_positions_come_first() {
    let plan = LadderPlan {
        held_max: 1,
        ..LadderPlan::default()
    };
    let (mut world, mut worker) = World::laddered(&watching(), plan);
    world.launch(1_000_000_000);
    arm(&mut world, 1);
    arm(&mut world, 2);
    assert_eq!(world.engine.ladders().unwrap().held_count(), 1);
    world.stranger_buys(1_000_000);
    assert_eq!(refused(&world, NoRung::NoLadder), 1);
    // The next order finds the ring still full.
    world.land_last();
    assert_eq!(world.engine.counters().ladder_order_full, 1);
    drain(&mut worker);
    world.blocks(1);
    drain(&mut worker);
    let counters = world.engine.counters();
    assert_eq!((counters.ladder_late, counters.ladder_ordered), (1, 2));
    while world.ring.bundles.len() == 1 {
        world.stranger_buys(500_000_000);
    }
    assert_eq!(check_last(&world).0.side, Side::Sell);
    assert_eq!(released(&world), 1);
}

/// Goal: without the thread that signs, everything is signed at its trigger, and nothing piles up.
#[test]
fn without_its_worker_an_engine_goes_on() {
    let (mut world, worker) = watched();
    drop(worker);
    for id in 1..=10 {
        arm(&mut world, id);
        world.stranger_buys(1_000_000);
        let intent_id = world.ring.bundles.last().unwrap().intent_id;
        world.engine.rejected(intent_id, &mut world.ring);
        world.blocks(1);
    }
    assert_eq!((released(&world), built(&world)), (0, 10));
    assert!(world.engine.counters().ladder_order_full > 0);
    check_last(&world);
}

/// The way of production: another thread signs, whenever it gets to it.
#[test]
fn a_worker_on_another_thread_signs_what_is_ordered() {
    let (mut world, mut worker) = watched();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let made = std::sync::atomic::AtomicUsize::new(0);
    let made_so_far = || made.load(std::sync::atomic::Ordering::Acquire);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                let done = worker.poll();
                made.fetch_add(done, std::sync::atomic::Ordering::Release);
                if done == 0 {
                    std::thread::yield_now();
                }
            }
        });
        for id in 1..=5 {
            let mut seen = made_so_far();
            arm(&mut world, id);
            while world.engine.ladders().unwrap().ready_count() == 0 {
                // The chain waits for the worker: here a block takes no time, and ladders would age while they are signed.
                for _ in 0..1_000 {
                    if made_so_far() != seen {
                        break;
                    }
                    std::thread::sleep(std::time::Duration::from_micros(100));
                }
                seen = made_so_far();
                world.blocks(1);
            }
            world.stranger_buys(1_000_000);
            check_last(&world);
            let intent_id = world.ring.bundles.last().unwrap().intent_id;
            world.engine.rejected(intent_id, &mut world.ring);
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!((released(&world), built(&world)), (5, 0));
}

#[test]
#[should_panic(expected = "signed with the engine's key")]
fn ladders_of_another_key_are_not_taken() {
    let (world, _worker) = watched();
    let signer = bundle::Signer::<bundle::ThrowAway>::from_seed(&[8; 32]).unwrap();
    let other = bundle::Builder::new(&BuilderConfig::default(), signer).unwrap();
    let (desk, _worker) = engine::ladders(other.ladder_signer(), LadderPlan::default());
    let _ = world.engine.with_ladders(desk);
}

#[derive(Clone, Debug)]
enum Step {
    Launch(u64),
    Buy(u64),
    Sell(u64),
    Arm { id: u64, lasting: bool, veto: bool },
    Poll(usize),
    Blocks(u64),
    Skip(u64),
    Retract { back: u64 },
    Full(bool),
    Mode(u8),
    Land(prop::sample::Index),
    Reject(prop::sample::Index),
    Tip(u64),
    Flatten,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (500_000_000u64..2_000_000_000).prop_map(Step::Launch),
        5 => prop_oneof![3 => 1_000u64..100_000_000, 1 => 0u64..5_000_000_000].prop_map(Step::Buy),
        2 => (0u64..20_000_000_000_000).prop_map(Step::Sell),
        5 => (1u64..60, any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(id, lasting, veto)| Step::Arm { id, lasting, veto }),
        6 => (1usize..6).prop_map(Step::Poll),
        5 => (1u64..4).prop_map(Step::Blocks),
        1 => (1u64..200).prop_map(Step::Skip),
        2 => (0u64..5).prop_map(|back| Step::Retract { back }),
        1 => any::<bool>().prop_map(Step::Full),
        1 => (0u8..6).prop_map(Step::Mode),
        3 => any::<prop::sample::Index>().prop_map(Step::Land),
        2 => any::<prop::sample::Index>().prop_map(Step::Reject),
        1 => (50_000u64..52_000).prop_map(Step::Tip),
        1 => Just(Step::Flatten),
    ]
}

fn act(world: &mut World, worker: &mut LadderWorker, step: &Step) {
    match step {
        Step::Launch(quote_in) => world.launch(*quote_in),
        Step::Buy(quote_in) => world.stranger_buys(*quote_in),
        Step::Sell(tokens) => world.send(&[sale(*tokens)]),
        Step::Arm {
            id,
            lasting: lasts,
            veto,
        } => {
            let mut armed = if *lasts {
                lasting(world, *id)
            } else {
                signal(world, *id, MINT.0)
            };
            if *veto {
                armed.signal.flags = brain_wire::SignalFlags::VETO;
                armed.signal.side = brain_wire::Side::None;
                armed.expires_realtime_ns = world.now().0 + 1;
            }
            let _ = world.engine.arm(&armed, world.now());
        }
        Step::Poll(count) => {
            for _ in 0..*count {
                worker.poll();
            }
        }
        Step::Blocks(count) => world.blocks(*count),
        Step::Skip(count) => world.slot += count,
        Step::Retract { back } => {
            let retract = Retract {
                slot: Slot(world.slot.saturating_sub(*back)),
                before: FecSetIndex(64),
                reason: RetractReason::Abandoned,
            };
            world.engine.retract(&retract, &mut world.ring);
        }
        Step::Full(full) => world.ring.full = *full,
        Step::Mode(mode) => world.control.set(match mode {
            0 => Mode::Halted,
            1 => Mode::Reducing,
            _ => Mode::Active,
        }),
        Step::Land(which) => {
            if !world.ring.bundles.is_empty() {
                let bytes = which.get(&world.ring.bundles).transaction(0).unwrap();
                let bytes = bytes.to_vec();
                world.send_bytes(&bytes, |_| {});
            }
        }
        Step::Reject(which) => {
            if !world.ring.bundles.is_empty() {
                let intent_id = which.get(&world.ring.bundles).intent_id;
                world.engine.rejected(intent_id, &mut world.ring);
            }
        }
        Step::Tip(tip) => {
            let mut params = watching().params;
            params.entry_tip = Lamports(*tip);
            params.exit_tip = Lamports(*tip);
            world.engine.set_params(&params).unwrap();
        }
        Step::Flatten => world.engine.flatten(&mut world.ring),
    }
}

thread_local! {
    static LEFT: std::cell::Cell<(u64, u64)> = const { std::cell::Cell::new((0, 0)) };
}

/// Goal: through arming, triggers, renewals, retractions, expiry, refusals and a full ring, one intent leaves once, as a
/// rung or as built; what leaves is signed and says what was approved; and no memory is lost.
#[test]
fn no_story_lets_an_intent_leave_twice() {
    let stories = prop::collection::vec(step(), 1..120);
    let config = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let run = runner.run(&stories, |steps| {
        let mut engine = watching();
        engine.limits.entries_per_window_max = 1_000;
        engine.limits.exits_per_window_max = 1_000;
        let plan = LadderPlan {
            held_max: 3,
            sizes: 8,
            renew_slots: 4,
            ..LadderPlan::default()
        };
        let (mut world, mut worker) = World::laddered(&engine, plan);
        world.launch(1_000_000_000);
        for step in &steps {
            act(&mut world, &mut worker, step);
        }
        check_story(&world)?;
        let (left, built) = LEFT.get();
        LEFT.set((left + released(&world), built + self::built(&world)));
        // With nothing left to do, all memory comes back.
        world.ring.full = true;
        world.engine.write_off(&MINT);
        let mut veto = lasting(&world, 1_000);
        veto.signal.flags = brain_wire::SignalFlags::VETO;
        veto.signal.side = brain_wire::Side::None;
        world.engine.arm(&veto, world.now()).unwrap();
        for _ in 0..2 {
            drain(&mut worker);
            world.blocks(1);
        }
        drain(&mut worker);
        prop_assert_eq!(worker.blank_count(), 6);
        Ok(())
    });
    run.unwrap();
    let (rungs, built) = LEFT.get();
    assert!(rungs > 80 && built > 80, "{rungs} rungs, {built} built");
}

fn check_story(world: &World) -> Result<(), TestCaseError> {
    let offered = &world.ring.offered;
    let ids: std::collections::BTreeSet<u64> = offered.iter().map(|(id, _)| *id).collect();
    prop_assert_eq!(ids.len(), offered.len(), "one intent left twice");
    // Nothing was signed or released that was not offered.
    let ways = world.engine.signature_counts();
    prop_assert_eq!(ways.iter().sum::<u64>(), offered.len() as u64);
    let mut entries = Vec::new();
    for (cell, intent) in world.ring.bundles.iter().zip(&world.ring.handed) {
        prop_assert_eq!(cell.intent_id, intent.id);
        let trade = check_signed(world, cell);
        let amounts = match intent.side {
            Side::Buy => Amounts::TokensOut {
                tokens: intent.tokens,
                quote_max: intent.spend,
            },
            Side::Sell => Amounts::Sell {
                tokens: intent.tokens,
                quote_min: intent.receive_min,
            },
        };
        prop_assert_eq!((trade.mint, trade.amounts), (MINT, amounts));
        if let (Side::Buy, Origin::Signal(id)) = (intent.side, intent.origin) {
            entries.push(id);
        }
    }
    let fired: std::collections::BTreeSet<u64> = entries.iter().copied().collect();
    prop_assert_eq!(fired.len(), entries.len(), "a signal fired twice");
    Ok(())
}

/// Goal: leaving is more urgent than entering: an exit takes the place of an entry, never the other way.
#[test]
fn an_exit_takes_the_place_of_an_entry() {
    use common::pools::{COIN, CP_POOL, SOL, cp};

    let plan = LadderPlan {
        held_max: 1,
        ..LadderPlan::default()
    };
    let (mut world, mut worker) = World::laddered(&config(), plan);
    world.engine.pool_truth(&cp(CP_POOL, COIN, 100 * SOL, 9));
    let mut elsewhere = lasting(&world, 1);
    elsewhere.signal.mint = COIN;
    world.engine.arm(&elsewhere, world.now()).unwrap();
    drain(&mut worker);
    world.launch(1_000_000_000);
    world.blocks(1);
    assert_eq!(world.engine.ladders().unwrap().ready_count(), 1);
    world.land_last();
    assert_eq!(world.engine.counters().ladder_cancelled, 1);
    drain(&mut worker);
    world.engine.flatten(&mut world.ring);
    assert_eq!(released(&world), 1);
    assert_eq!(check_last(&world).0.side, Side::Sell);
    // The place goes to the next exit, in case this one is not taken, not to the entry.
    world.blocks(1);
    drain(&mut worker);
    assert_eq!(world.engine.counters().ladder_ordered, 3);
    let bytes = common::pools::swap_bytes(1_000);
    world.send_bytes(&bytes, |_| {});
    assert_eq!((released(&world), built(&world)), (1, 2));
}

/// Goal: however many signals wait, what is reckoned at the end of a block and for a new one is bounded by the places.
/// Regression: each was quoted, and looked up among all others, every time.
#[test]
fn a_flood_of_signals_costs_no_more_than_the_places_there_are() {
    let places = LadderPlan::default().held_max as u64;
    for count in [64, 4_096] {
        let mut config = watching();
        config.armed_capacity = count as usize;
        let (mut world, _worker) = World::laddered(&config, LadderPlan::default());
        world.launch(1_000_000_000);
        world.blocks(1);
        for id in 1..=count {
            arm(&mut world, id);
        }
        let armed = world.engine.counters().ladder_reckoned;
        world.blocks(1);
        let block = world.engine.counters().ladder_reckoned - armed;
        // What is held ready, at each arming and at each block's end, and no look at those that have no place.
        assert!(armed <= count * (places + 1), "{armed} for {count}");
        assert_eq!(block, places, "{count}");
        assert_eq!(world.engine.ladders().unwrap().held_count() as u64, places);
    }
    // Places are free, and none of those that wait may have one.
    let mut config = watching();
    config.armed_capacity = 600;
    let (mut world, _worker) = World::laddered(&config, LadderPlan::default());
    world.launch(1_000_000_000);
    let mut veto = lasting(&world, 900);
    veto.signal.flags = brain_wire::SignalFlags::VETO;
    veto.signal.side = brain_wire::Side::None;
    world.engine.arm(&veto, world.now()).unwrap();
    for id in 1..=500 {
        arm(&mut world, id);
    }
    let armed = world.engine.counters().ladder_reckoned;
    world.blocks(1);
    let block = world.engine.counters().ladder_reckoned - armed;
    assert_eq!(
        (block, world.engine.ladders().unwrap().held_count()),
        (4 * places, 0)
    );
}
