//! Goal: what a transaction of ours did is never guessed where nobody can know it yet, no money is forgotten meanwhile, and
//! an exit asks for no less than its floor.
//! Method: entries and exits that the arithmetic says fail, or that stand in a slot with two versions; account data tells.
#![allow(clippy::unwrap_used)]

mod common;

use common::pools::{AMM_POOL, COIN, CP_POOL, SOL, amm, cp, curve_truth, stranger_swaps};
use common::{World, config, sale, signal};
use engine::EngineConfig;
use market::{
    Amounts, Corrected, FeedId, HoldingTruth, Lamports, MarketEvent, Mint, PoolTruth, TokenAmount,
    Version, decode,
};
use shred_resolve::{Equivocation, Retract, RetractReason};
use shred_wire::txn::TxnView;
use shred_wire::{FecSetIndex, Nanos, Slot};
use strategy::{LaneClass, Pass};

const MINT: Mint = Mint([0x11; 32]);

/// Entries by a lane on which failures land, without a tip.
fn public() -> EngineConfig {
    let mut config = config();
    config.params.lane = LaneClass::Public;
    (config.params.entry_tip, config.params.exit_tip) = (Lamports(0), Lamports(0));
    config
}

/// Whether our entry, which is in a block of now, filled nobody knows: the price ran away before it, as far as we know.
fn unsure() -> World {
    let mut world = World::new(&public());
    world.engine.pool_truth(&cp(CP_POOL, COIN, SOL, 9));
    world.launch(SOL);
    world.stranger_buys(20 * SOL);
    world.land_last();
    assert_eq!(world.passed_notes(), ["handed Buy Launch"]);
    world
}

fn exposed(world: &World) -> bool {
    let gate = world.engine.gate();
    assert_eq!(gate.open_notional().0 > 0, !gate.exposures().is_empty());
    gate.open_notional().0 > 0
}

/// Account data as the curve stands in our books, of the slot of now.
fn tell_curve(world: &mut World, change: impl FnOnce(&mut market::CurveTruth)) -> Corrected {
    let known = world.engine.curves().get(&MINT).unwrap();
    let mut truth = curve_truth(known, false, Slot(world.slot));
    change(&mut truth);
    world.engine.curve_truth(&truth)
}

fn tell_holding(world: &mut World, tokens: u64) {
    let version = Version {
        feed: FeedId(0),
        slot: Slot(world.slot),
        write_version: 1,
    };
    world.engine.holding_truth(&HoldingTruth {
        mint: MINT,
        tokens: TokenAmount(tokens),
        version,
    });
}

/// What our last bundle trades.
fn amounts(world: &World) -> Amounts {
    let cell = world.ring.bundles.last().unwrap();
    let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
    let mut amounts = None;
    let tables = market::LookupTables::none();
    decode(&view, &tables, Slot(0), Nanos(0), &mut |event| {
        if let MarketEvent::Trade(trade) = event {
            amounts = Some(trade.amounts);
        }
    });
    amounts.unwrap()
}

fn bought(world: &World) -> u64 {
    match amounts(world) {
        Amounts::TokensOut { tokens, .. } => tokens.0,
        other => panic!("{other:?}"),
    }
}

fn least(world: &World) -> Lamports {
    match amounts(world) {
        Amounts::Sell { quote_min, .. } => quote_min,
        other => panic!("{other:?}"),
    }
}

/// Regression: it was taken for failed. Where our state was wrong, what it bought was nobody's.
#[test]
fn an_entry_that_may_have_failed_keeps_its_money_until_account_data_says() {
    let mut landed = unsure();
    landed.blocks(3);
    assert!(exposed(&landed) && landed.engine.positions().count() == 0);
    assert_eq!(landed.engine.counters().own_unknown, 1);
    let tokens = bought(&landed);
    tell_holding(&mut landed, tokens);
    landed.blocks(1);
    assert_eq!(landed.passed_notes()[..1], ["included Buy false"]);
    let position = landed.engine.positions().next().unwrap();
    assert_eq!(
        (position.tokens, position.cost),
        (TokenAmount(tokens), public().params.budget)
    );
    assert_eq!(landed.engine.counters().own_unknown_landed, 1);

    let mut short = unsure();
    let tokens = bought(&short);
    // A balance of the same slot may be older than the trade.
    tell_holding(&mut short, 0);
    short.blocks(1);
    assert!(exposed(&short));
    tell_holding(&mut short, tokens - 1);
    short.blocks(1);
    assert_eq!(short.passed_notes(), ["lost Buy"]);
    assert!(!exposed(&short));
    assert_eq!(short.engine.counters().own_failed, 1);
}

/// What the curve is later, when it is as reckoned without our trade, says that this did nothing.
#[test]
fn a_curve_that_is_as_reckoned_without_it_says_that_an_entry_failed() {
    let mut world = unsure();
    assert_eq!(tell_curve(&mut world, |_| ()), Corrected::Agreed);
    world.blocks(1);
    assert!(exposed(&world), "the same slot: it may come after");
    let told = tell_curve(&mut world, |truth| truth.write_version = 2);
    assert_eq!(told, Corrected::Agreed);
    world.blocks(1);
    assert_eq!(world.passed_notes(), ["lost Buy"]);
    assert!(!exposed(&world));

    // Once it was another than reckoned it says nothing of our trade any more: that may be part of it.
    let mut world = unsure();
    world.blocks(1);
    let told = tell_curve(&mut world, |truth| {
        truth.curve.reserves.virtual_token -= 1;
    });
    assert_eq!(told, Corrected::Diverged);
    world.blocks(1);
    tell_curve(&mut world, |_| ());
    world.blocks(1);
    assert!(exposed(&world) && world.passed_notes().is_empty());
}

/// Nothing is told: the money stays reserved as long as something might be, and then it is taken for spent, unless what we
/// hold is told and was not.
#[test]
fn an_entry_that_nobody_tells_of_is_taken_for_landed() {
    let mut silent = unsure();
    silent.blocks(140);
    assert!(exposed(&silent) && silent.engine.positions().count() == 0);
    silent.blocks(20);
    assert!(exposed(&silent));
    assert_eq!(silent.engine.positions().count(), 1);
    assert_eq!(silent.engine.counters().own_unknown_assumed, 1);

    let mut told = unsure();
    // Of another coin.
    let version = Version {
        feed: FeedId(0),
        slot: Slot(told.slot),
        write_version: 1,
    };
    told.engine.holding_truth(&HoldingTruth {
        mint: Mint([0x77; 32]),
        tokens: TokenAmount(5),
        version,
    });
    assert_eq!(told.engine.counters().holding_unexplained, 1);
    told.blocks(160);
    assert_eq!(told.passed_notes(), ["lost Buy"]);
    assert!(!exposed(&told) && told.engine.inflight_count() == 0);
}

#[test]
fn without_account_data_nothing_is_entered_where_failures_land() {
    let mut world = World::new(&public());
    world.launch(SOL);
    assert!(world.ring.bundles.is_empty());
    let passed = |world: &World| world.engine.counters().passed[Pass::NoAccountData as usize];
    assert_eq!(passed(&world), 1);
    // It fell silent.
    let mut world = World::new(&public());
    world.engine.pool_truth(&cp(CP_POOL, COIN, SOL, 9));
    world.blocks(40);
    world.launch(SOL);
    assert_eq!((world.ring.bundles.len(), passed(&world)), (0, 1));
    // Where what fails does not land it is not needed.
    let mut world = World::new(&config());
    world.launch(SOL);
    assert_eq!(world.ring.bundles.len(), 1);
}

fn contest(world: &mut World) {
    world.engine.equivocation(&Equivocation {
        slot: Slot(world.slot),
        fec_set_index: FecSetIndex(0),
        merkle_roots: [[0; _]; 2],
    });
}

/// Regression: what we sent was passed over in such a slot with everything else, and given up when its blockhash died.
#[test]
fn our_own_in_a_slot_with_two_versions_is_not_forgotten() {
    let seen = || {
        let mut world = World::new(&config());
        world.launch(SOL);
        world.blocks(1);
        contest(&mut world);
        world.land_last();
        assert_eq!(world.engine.counters().own_unknown, 1);
        assert_eq!(world.passed_notes(), ["handed Buy Launch"]);
        world
    };
    let mut stood = seen();
    let tokens = bought(&stood);
    tell_holding(&mut stood, tokens);
    stood.blocks(1);
    assert_eq!(stood.passed_notes(), ["included Buy false"]);

    let mut silent = seen();
    silent.blocks(170);
    assert_eq!(silent.engine.positions().count(), 1, "never lost");

    // The slot is void: it may land again, or never.
    let mut void = seen();
    let retract = Retract {
        slot: Slot(void.slot),
        before: FecSetIndex(u32::MAX),
        reason: RetractReason::Abandoned,
    };
    void.engine.retract(&retract, &mut void.ring);
    assert!(exposed(&void));
    void.slot += 1;
    void.land_last();
    assert_eq!(void.engine.positions().count(), 1);
    assert_eq!(void.engine.counters().own_included_late, 0);
}

/// An exit whose fate is not known holds up neither the next nor the books.
#[test]
fn an_exit_that_may_have_failed_is_tried_again_and_booked_when_it_is_told() {
    let mut world = World::new(&config());
    world.launch(SOL);
    world.blocks(1);
    world.land_last();
    let tokens = bought(&world);
    world.blocks(1);
    world.stranger_buys(8 * SOL);
    assert_eq!(world.ring.bundles.len(), 2);
    contest(&mut world);
    world.land_last();
    assert_eq!(world.engine.positions().count(), 1);
    world.blocks(config().exit_retry_slots + 2);
    assert_eq!(world.ring.bundles.len(), 3, "another try");
    tell_holding(&mut world, 0);
    world.blocks(1);
    assert_eq!(world.engine.positions().count(), 0);
    assert!(!exposed(&world), "{tokens}");
    world.blocks(400);
    assert_eq!(world.engine.inflight_count(), 0);
}

/// Goal: sales that fail on the chain but show in the shreds make an exit no cheaper than its floor; the floor gives way
/// when exits are not taken, and follows what account data says.
#[test]
fn a_price_that_was_made_up_does_not_empty_a_position() {
    let mut config = config();
    config.params.launches_enabled = false;
    let spend = 20_000_000;
    let crashed = |mode| {
        let mut world = World::new(&config);
        world.launch(SOL);
        world.stranger_buys(60 * SOL);
        let buy = signal(&world, 1, MINT.0);
        world.engine.arm(&buy, world.now()).unwrap();
        world.stranger_buys(1_000);
        world.blocks(1);
        world.land_last();
        let position = *world.engine.positions().next().unwrap();
        assert_eq!(position.reference, Lamports(spend));
        world.control.set(mode);
        let out = 1_073_000_000_000_000
            - world
                .engine
                .curves()
                .get(&MINT)
                .unwrap()
                .reserves
                .virtual_token;
        world.send(&[sale(out - position.tokens.0)]);
        let price = world.engine.curves().get(&MINT).unwrap();
        let made_up = price.sell(position.tokens).unwrap().quote.0;
        assert!(made_up < spend / 5, "{made_up}: the crash is deep");
        world
    };
    let mut world = crashed(risk::Mode::Active);
    assert_eq!(least(&world).0, spend / 2);
    // Nobody takes it: after two tries it may cost more.
    let retry = config.exit_retry_slots + 1;
    world.blocks(retry);
    assert_eq!(least(&world).0, spend / 2);
    world.blocks(retry);
    assert_eq!(least(&world).0, spend / 8);
    for _ in 0..6 {
        world.blocks(retry);
    }
    assert!(least(&world).0 < spend / 10, "a crash can be left");
    // What the gate refuses is no sign of a price.
    let mut halted = crashed(risk::Mode::Halted);
    halted.blocks(60);
    halted.control.set(risk::Mode::Active);
    halted.blocks(10);
    assert_eq!(least(&halted).0, spend / 2);
}

#[test]
fn the_floor_follows_account_data() {
    let mut world = World::new(&config());
    world.launch(SOL);
    world.blocks(1);
    world.land_last();
    world.blocks(1);
    let position = *world.engine.positions().next().unwrap();
    assert_eq!(position.reference, config().params.budget);
    assert_eq!(tell_curve(&mut world, |_| ()), Corrected::Agreed);
    let curve = world.engine.curves().get(&MINT).unwrap();
    let worth = curve.sell(position.tokens).unwrap().quote;
    let reference = world.engine.positions().next().unwrap().reference;
    assert_eq!(reference, worth);
    // Shreds alone do not move it.
    world.stranger_buys(SOL / 10);
    let after = world.engine.positions().next().unwrap().reference;
    assert_eq!(after, worth);
}

/// Whoever opened a pool may take out what is in it.
#[test]
fn what_was_bought_in_a_pool_that_was_emptied_is_sold_in_another() {
    let mut world = World::new(&config());
    world.engine.pool_truth(&cp(CP_POOL, COIN, 100 * SOL, 9));
    let buy = signal(&world, 1, COIN);
    world.engine.arm(&buy, world.now()).unwrap();
    stranger_swaps(&mut world, 1_000);
    world.land_last();
    world.engine.pool_truth(&amm(100 * SOL, 9));
    let names = |world: &World, pool: market::Key| {
        let cell = world.ring.bundles.last().unwrap();
        let bytes = cell.transaction(0).unwrap();
        bytes.windows(32).any(|key| *key == pool)
    };
    assert!(names(&world, CP_POOL));
    world.blocks(1);
    let emptied = PoolTruth {
        write_version: 2,
        ..cp(CP_POOL, COIN, SOL / 1_000, world.slot)
    };
    world.engine.pool_truth(&emptied);
    world.engine.flatten(&mut world.ring);
    assert_eq!(world.ring.bundles.len(), 2);
    assert!(names(&world, AMM_POOL) && !names(&world, CP_POOL));
    assert_eq!(world.engine.pools().counters().pool_left, 1);
}

/// Regression: a signal was used up by what the gate, the builder or the ring refused.
#[test]
fn a_signal_whose_bundle_did_not_leave_is_tried_again_and_not_for_ever() {
    let mut config = config();
    config.params.launches_enabled = false;
    let armed = || {
        let mut world = World::new(&config);
        world.launch(SOL);
        let buy = signal(&world, 1, MINT.0);
        world.engine.arm(&buy, world.now()).unwrap();
        world.ring.full = true;
        world
    };
    let refused = |world: &World| world.engine.counters().bundle_refused;
    let mut world = armed();
    for _ in 0..5 {
        world.stranger_buys(1_000);
    }
    assert_eq!(refused(&world), 1, "not at every event");
    assert_eq!(world.engine.counters().signal_fired, 0);
    world.blocks(1);
    world.ring.full = false;
    world.stranger_buys(1_000);
    let counters = world.engine.counters();
    assert_eq!((world.ring.bundles.len(), counters.signal_fired), (1, 1));
    assert_eq!(world.engine.armed_count(), 0);

    let mut world = armed();
    for _ in 0..6 {
        world.stranger_buys(1_000);
        world.blocks(1);
    }
    let counters = world.engine.counters();
    assert_eq!((refused(&world), counters.signal_refused), (3, 1));
    assert_eq!(world.engine.armed_count(), 0);
}

/// Regression: one raw unit that somebody sent us made a sale that landed look as if it had not, for ever.
#[test]
fn a_gift_hides_no_sale() {
    let mut world = World::new(&config());
    world.launch(SOL);
    world.blocks(1);
    world.land_last();
    let tokens = bought(&world);
    world.blocks(1);
    tell_holding(&mut world, tokens + 1);
    assert_eq!(world.engine.counters().holding_surplus, 1);
    let position = world.engine.positions().next().unwrap();
    assert_eq!(position.tokens, TokenAmount(tokens), "never grows");
    world.stranger_buys(8 * SOL);
    contest(&mut world);
    world.land_last();
    // Of the same slot it may be from before the sale, or from before the purchase.
    tell_holding(&mut world, 1);
    world.blocks(1);
    assert_eq!(world.engine.positions().count(), 1);
    tell_holding(&mut world, 1);
    world.blocks(1);
    assert_eq!(world.engine.positions().count(), 0);
    assert!(!exposed(&world));
    let counters = world.engine.counters();
    assert_eq!((counters.own_unknown_landed, counters.own_failed), (1, 0));
}

/// Regression: what account data said was gone stayed in the books.
#[test]
fn a_position_follows_its_balance_down() {
    let mut world = World::new(&config());
    world.launch(SOL);
    world.blocks(1);
    world.land_last();
    let tokens = bought(&world);
    // Of the slot it was bought in: may be from before.
    tell_holding(&mut world, 0);
    world.blocks(1);
    assert_eq!(world.engine.counters().holding_reconciled, 0);
    let cost = world.engine.positions().next().unwrap().cost;
    tell_holding(&mut world, tokens / 2);
    let position = world.engine.positions().next().unwrap();
    assert_eq!(position.tokens, TokenAmount(tokens / 2));
    assert!(position.cost < cost && exposed(&world));
    // An exit is out: what is told meanwhile waits for what becomes of it.
    world.engine.flatten(&mut world.ring);
    world.blocks(1);
    tell_holding(&mut world, 0);
    assert_eq!(world.engine.positions().count(), 1);
    let intent_id = world.ring.bundles.last().unwrap().intent_id;
    world.engine.rejected(intent_id, &mut world.ring);
    let before = world.engine.state_hash();
    world.blocks(1);
    assert_eq!(world.engine.positions().count(), 0);
    assert!(!exposed(&world) && world.engine.state_hash() != before);
    assert_eq!(world.engine.counters().holding_reconciled, 2);
}
