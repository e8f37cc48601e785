//! Goal: whatever the stream says, the engine neither panics nor allocates, and its books stay whole.
#![allow(clippy::unwrap_used)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{World, config, sale, signal};
use engine::EngineConfig;
use proptest::prelude::*;
use shred_resolve::{Equivocation, Retract, RetractReason, Verdict};
use shred_wire::txn::TxnView;
use shred_wire::{FecSetIndex, Slot};

/// Counts allocations and frees of this thread while told to.
struct Counting;

thread_local! {
    static COUNTED: Cell<Option<u64>> = const { Cell::new(None) };
}

fn count() {
    // Gone while the thread ends; nothing is counted then.
    let _ = COUNTED.try_with(|counted| counted.set(counted.get().map(|count| count + 1)));
}

// SAFETY: every call goes to `System` unchanged; counting touches a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> u64 {
    COUNTED.set(Some(0));
    run();
    COUNTED.replace(None).unwrap()
}

/// Method: the whole way of a position, with a ring that keeps nothing, under a counting allocator.
#[test]
fn the_hot_path_neither_allocates_nor_frees() {
    use shred_resolve::{BlockEnd, ResolvedTxn, SourceId};

    let mut world = World::new(&config());
    world.engine.warm();
    let launch = common::launch_bytes(1_000_000_000);
    let mut pump_up = common::exact_buy(8_000_000_000);
    pump_up.accounts[8].0 = [0x99; 32];
    let pump_up = common::transaction(&[pump_up], |_| false);
    let armed = signal(&world, 1, [0x77; 32]);
    let (slot, now) = (Slot(world.slot), world.now());
    let mut ours = bundle::BundleCell::new();
    let mut handed = 0;
    let mut send = |world: &mut World, bytes: &[u8], ours: &mut bundle::BundleCell| {
        let txn = ResolvedTxn {
            view: TxnView::parse(bytes).unwrap(),
            slot,
            parent_slot: Slot(slot.0.saturating_sub(1)),
            fec_set_index: FecSetIndex(0),
            merkle_root: None,
            verified: true,
            retracted: false,
            sequence: 0,
            at: now,
            source: SourceId(0),
        };
        world
            .engine
            .transaction(&txn, &mut |cell: &bundle::BundleCell| {
                ours.clone_from(cell);
                handed += 1;
                true
            });
    };
    let counted = allocations(|| {
        world.engine.arm(&armed, now).unwrap();
        send(&mut world, &launch, &mut ours);
        let entry = ours.clone();
        send(&mut world, entry.transaction(0).unwrap(), &mut ours);
        send(&mut world, &pump_up, &mut ours);
        let exit = ours.clone();
        send(&mut world, exit.transaction(0).unwrap(), &mut ours);
        let block = BlockEnd {
            slot,
            parent_slot: Slot(slot.0 - 1),
            blockhash: [1; 32],
            last_root: [0; _],
            transactions: 4,
            ticks: 64,
            ticks_complete: true,
            at: now,
        };
        world
            .engine
            .block(&block, &mut |_: &bundle::BundleCell| true);
        world.engine.tick(now, &mut |_: &bundle::BundleCell| true);
    });
    assert_eq!(handed, 2, "an entry and an exit");
    assert_eq!(world.engine.counters().exit_included, 1);
    assert_eq!(counted, 0);
}

/// The same by ladders: arming, arrivals, renewal, a retraction, both rungs and the memory on its way back.
#[test]
fn the_way_of_ladders_neither_allocates_nor_frees() {
    use engine::LadderPlan;
    use shred_resolve::{BlockEnd, ResolvedTxn, SourceId};
    use shred_wire::Nanos;

    let mut config = config();
    config.params.launches_enabled = false;
    let (mut world, mut worker) = World::laddered(&config, LadderPlan::default());
    world.engine.warm();
    let launch = common::launch_bytes(1_000_000_000);
    let bought = |quote_in: u64| {
        let mut buy = common::exact_buy(quote_in);
        buy.accounts[8].0 = [0x99; 32];
        common::transaction(&[buy], |_| false)
    };
    let (nudge, pump_up) = (bought(1_000_000), bought(7_000_000_000));
    let mut armed = signal(&world, 1, [0x11; 32]);
    armed.expires_realtime_ns = u64::MAX;
    let (first, now) = (world.slot, world.now());
    let at = |slot: u64| Nanos(now.0 + slot - first);
    let mut ours = bundle::BundleCell::new();
    let mut handed = 0;
    let mut send = |world: &mut World, slot: u64, bytes: &[u8], ours: &mut bundle::BundleCell| {
        let txn = ResolvedTxn {
            view: TxnView::parse(bytes).unwrap(),
            slot: Slot(slot),
            parent_slot: Slot(slot - 1),
            fec_set_index: FecSetIndex(0),
            merkle_root: None,
            verified: true,
            retracted: false,
            sequence: 0,
            at: at(slot),
            source: SourceId(0),
        };
        world
            .engine
            .transaction(&txn, &mut |cell: &bundle::BundleCell| {
                ours.clone_from(cell);
                handed += 1;
                true
            });
    };
    let end = |world: &mut World, slot: u64| {
        let block = BlockEnd {
            slot: Slot(slot),
            parent_slot: Slot(slot - 1),
            blockhash: common::blockhash(slot),
            last_root: [0; _],
            transactions: 4,
            ticks: 64,
            ticks_complete: true,
            at: at(slot),
        };
        world
            .engine
            .block(&block, &mut |_: &bundle::BundleCell| true);
    };
    let counted = allocations(|| {
        send(&mut world, first, &launch, &mut ours);
        world.engine.arm(&armed, now).unwrap();
        for slot in first..first + 20 {
            worker.poll();
            end(&mut world, slot);
        }
        let abandoned = Retract {
            slot: Slot(first + 19),
            before: FecSetIndex(64),
            reason: RetractReason::Abandoned,
        };
        world
            .engine
            .retract(&abandoned, &mut |_: &bundle::BundleCell| true);
        send(&mut world, first + 20, &nudge, &mut ours);
        let entry = ours.clone();
        let bytes = entry.transaction(0).unwrap();
        send(&mut world, first + 20, bytes, &mut ours);
        worker.poll();
        send(&mut world, first + 20, &pump_up, &mut ours);
        let exit = ours.clone();
        let bytes = exit.transaction(0).unwrap();
        send(&mut world, first + 20, bytes, &mut ours);
        end(&mut world, first + 20);
        worker.poll();
    });
    assert_eq!(handed, 2, "an entry and an exit");
    let counters = world.engine.counters();
    assert_eq!((counters.ladder_released, counters.exit_included), (2, 1));
    assert_eq!(counters.ladder_renewed, 2);
    assert_eq!(counted, 0);
}

/// The same in a pool, with the account data that comes beside it.
#[test]
fn the_way_through_a_pool_neither_allocates_nor_frees() {
    use common::pools::{COIN, CP_POOL, SOL, amm, cp, swap_bytes};
    use shred_resolve::{ResolvedTxn, SourceId};

    let mut world = World::new(&config());
    world.engine.warm();
    let pool = cp(CP_POOL, COIN, 100 * SOL, 9);
    let buy = signal(&world, 1, COIN);
    let (small, large) = (swap_bytes(1_000), swap_bytes(60 * SOL));
    let (slot, now) = (Slot(world.slot), world.now());
    let (later, other) = (cp(CP_POOL, COIN, 170 * SOL, slot.0), amm(90 * SOL, slot.0));
    let mut ours = bundle::BundleCell::new();
    let mut handed = 0;
    let mut send = |world: &mut World, bytes: &[u8], ours: &mut bundle::BundleCell| {
        let txn = ResolvedTxn {
            view: TxnView::parse(bytes).unwrap(),
            slot,
            parent_slot: Slot(slot.0 - 1),
            fec_set_index: FecSetIndex(0),
            merkle_root: None,
            verified: true,
            retracted: false,
            sequence: 0,
            at: now,
            source: SourceId(0),
        };
        world
            .engine
            .transaction(&txn, &mut |cell: &bundle::BundleCell| {
                ours.clone_from(cell);
                handed += 1;
                true
            });
    };
    let counted = allocations(|| {
        world.engine.pool_truth(&pool);
        world.engine.arm(&buy, now).unwrap();
        send(&mut world, &small, &mut ours);
        let entry = ours.clone();
        send(&mut world, entry.transaction(0).unwrap(), &mut ours);
        world.engine.pool_truth(&other);
        send(&mut world, &large, &mut ours);
        let exit = ours.clone();
        send(&mut world, exit.transaction(0).unwrap(), &mut ours);
        world.engine.pool_truth(&later);
    });
    assert_eq!(handed, 2, "an entry and an exit");
    assert_eq!(world.engine.counters().exit_included, 1);
    assert_eq!(counted, 0);
}

#[derive(Clone, Debug)]
enum Step {
    Swap(u64),
    Pool {
        kind: u8,
        lamports: u64,
        back: u64,
        ahead: u64,
        dangerous: bool,
    },
    Curve {
        complete: bool,
        back: u64,
    },
    Launch(u64),
    Buy(u64),
    Sell(u64),
    Land(prop::sample::Index),
    Blocks(u64),
    Retract {
        back: u64,
        before: u32,
        abandoned: bool,
    },
    Equivocate {
        back: u64,
    },
    Forged {
        from: u64,
        count: u64,
    },
    Reject {
        intent_id: u64,
    },
    Full(bool),
    Arm {
        id: u64,
        next: bool,
        veto: bool,
        sell: bool,
    },
    Damage {
        seed: Vec<(prop::sample::Index, u8)>,
    },
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_story_keeps_the_books_whole(steps in prop::collection::vec(step(), 1..60), unverified in any::<bool>()) {
        let config = EngineConfig { act_on_unverified: unverified, ..config() };
        let first = play(&config, &steps);
        prop_assert_eq!(first, play(&config, &steps), "told twice, decided twice the same");
    }
}

/// Plays a story, checking the books after every step; returns the digest.
fn play(config: &EngineConfig, steps: &[Step]) -> u64 {
    let mut world = World::new(config);
    for step in steps {
        act(&mut world, step);
        let gate = world.engine.gate();
        let total: u64 = gate
            .exposures()
            .iter()
            .map(|exposure| exposure.notional.0)
            .sum();
        assert_eq!(gate.open_notional().0, total, "{step:?}");
        let held = gate
            .exposures()
            .iter()
            .filter(|exposure| exposure.held)
            .count();
        if world.engine.counters().adoption_failed == 0 {
            assert_eq!(held, world.engine.positions().count(), "{step:?}");
            assert!(total <= gate.limits().open_notional_max.0 * 2, "{step:?}");
        } else {
            assert_eq!(gate.mode(), risk::Mode::Halted);
        }
    }
    world.engine.state_hash()
}

fn act(world: &mut World, step: &Step) {
    let back = |world: &World, back: u64| Slot(world.slot.saturating_sub(back));
    match step {
        Step::Launch(quote_in) => world.launch(*quote_in),
        Step::Buy(quote_in) => world.stranger_buys(*quote_in),
        Step::Swap(amount_in) => common::pools::stranger_swaps(world, *amount_in),
        Step::Pool {
            kind,
            lamports,
            back: slots,
            ahead,
            dangerous,
        } => {
            use common::pools::{COIN, CP_POOL, amm, cp};
            let Slot(slot) = back(world, *slots);
            let slot = slot.saturating_add(*ahead);
            let truth = match kind {
                0 => cp(CP_POOL, COIN, *lamports, slot),
                1 => cp([0x66; 32], [0x11; 32], *lamports, slot),
                _ => amm(*lamports, slot),
            };
            world.engine.pool_truth(&market::PoolTruth {
                is_dangerous: *dangerous,
                write_version: world.ring.notes.len() as u64,
                ..truth
            });
        }
        Step::Curve {
            complete,
            back: slots,
        } => {
            if let Some(curve) = world.engine.curves().get(&market::Mint([0x11; 32])) {
                let truth = common::pools::curve_truth(curve, *complete, back(world, *slots));
                world.engine.curve_truth(&truth);
            }
        }
        Step::Sell(tokens) => world.send(&[sale(*tokens)]),
        Step::Land(which) => {
            if !world.ring.bundles.is_empty() {
                let cell = which.get(&world.ring.bundles);
                let bytes = cell.transaction(0).unwrap().to_vec();
                world.send_bytes(&bytes, |_| {});
            }
        }
        Step::Blocks(count) => world.blocks(*count),
        Step::Retract {
            back: slots,
            before,
            abandoned,
        } => {
            let reason = match abandoned {
                true => RetractReason::Abandoned,
                false => RetractReason::UpdateParent {
                    parent_slot: Slot(1),
                },
            };
            let retract = Retract {
                slot: back(world, *slots),
                before: FecSetIndex(*before),
                reason,
            };
            world.engine.retract(&retract, &mut world.ring);
        }
        Step::Equivocate { back: slots } => {
            let slot = back(world, *slots);
            world.engine.equivocation(&Equivocation {
                slot,
                fec_set_index: FecSetIndex(0),
                merkle_roots: [[1; _]; 2],
            });
        }
        Step::Forged { from, count } => {
            world.engine.verdict(&Verdict {
                from: *from,
                to: from.saturating_add(*count),
                authentic: false,
            });
        }
        Step::Reject { intent_id } => world.engine.rejected(*intent_id, &mut world.ring),
        Step::Full(full) => world.ring.full = *full,
        Step::Arm {
            id,
            next,
            veto,
            sell,
        } => {
            let coin = if id % 2 == 0 {
                [0x11; 32]
            } else {
                common::pools::COIN
            };
            let mut armed = signal(world, *id, if *next { [0; 32] } else { coin });
            if *veto {
                armed.signal.flags = brain_wire::SignalFlags::VETO;
                armed.signal.side = brain_wire::Side::None;
            } else if *sell {
                armed.signal.side = brain_wire::Side::Sell;
            }
            let _ = world.engine.arm(&armed, world.now());
        }
        Step::Damage { seed } => {
            let mut bytes = common::launch_bytes(1_000_000_000);
            for (at, with) in seed {
                let at = at.index(bytes.len());
                bytes[at] ^= with;
            }
            if TxnView::parse(&bytes).is_ok() {
                world.send_bytes(&bytes, |txn| txn.verified = false);
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u64..6_000_000_000).prop_map(Step::Launch),
        3 => (0u64..30_000_000_000).prop_map(Step::Buy),
        2 => (0u64..100_000_000_000_000).prop_map(Step::Sell),
        3 => (0u64..30_000_000_000).prop_map(Step::Swap),
        3 => (0u8..3, prop_oneof![0u64..5_000_000_000, Just(u64::MAX)], 0u64..4, prop_oneof![9 => 0u64..3, 1 => Just(u64::MAX)], prop::bool::weighted(0.1))
            .prop_map(|(kind, lamports, back, ahead, dangerous)| Step::Pool { kind, lamports, back, ahead, dangerous }),
        1 => (any::<bool>(), 0u64..4).prop_map(|(complete, back)| Step::Curve { complete, back }),
        4 => any::<prop::sample::Index>().prop_map(Step::Land),
        2 => prop_oneof![4 => 0u64..5, 1 => 100u64..400].prop_map(Step::Blocks),
        1 => (0u64..4, 0u32..64, any::<bool>())
            .prop_map(|(back, before, abandoned)| Step::Retract { back, before, abandoned }),
        1 => (0u64..4).prop_map(|back| Step::Equivocate { back }),
        1 => (0u64..40, 0u64..10).prop_map(|(from, count)| Step::Forged { from, count }),
        1 => (0u64..8).prop_map(|intent_id| Step::Reject { intent_id }),
        1 => any::<bool>().prop_map(Step::Full),
        2 => (1u64..9, any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(id, next, veto, sell)| Step::Arm { id, next, veto, sell }),
        1 => prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
            .prop_map(|seed| Step::Damage { seed }),
    ]
}

/// Goal: whoever tells the confirmed blockhash may fall silent; what is signed over is never old for it.
#[test]
fn a_confirmed_blockhash_that_has_fallen_behind_gives_way_to_the_streams() {
    use bundle::{BlockhashCell, RecentBlockhash};

    let mut world = World::new(&config());
    world.blocks(200);
    let streams = world.engine.blockhash().unwrap();
    let cell = std::sync::Arc::new(BlockhashCell::new());
    let told = |slot| RecentBlockhash {
        hash: [9; 32],
        slot: Slot(slot),
    };
    cell.publish(&told(world.slot));
    world.engine = world.engine.with_confirmed_blockhash(cell.clone());
    assert_eq!(world.engine.blockhash(), Some(told(world.slot)));
    cell.publish(&told(world.slot - 151));
    assert_eq!(world.engine.blockhash(), Some(streams));
}
