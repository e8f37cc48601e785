#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use shred_wire::Nanos;
use std::collections::BTreeMap;

fn small() -> Forks {
    Forks::new(&ForkPlan {
        slots: 16,
        sets_per_slot: 32,
        sets_max: 128,
    })
}

/// A root that names slot, set and version.
fn root(slot: u64, number: usize, version: u8) -> Root {
    let mut root = [version; 32];
    root[..8].copy_from_slice(&slot.to_le_bytes());
    root[8] = number as u8;
    root
}

fn link(slot: u64, number: usize, own: Root, chained: Root) -> SetLink {
    SetLink {
        slot: Slot(slot),
        fec_set_index: FecSetIndex((number * SET_SHREDS) as u32),
        root: own,
        chained_root: chained,
        at: Nanos(0),
    }
}

fn end(slot: u64, parent: u64, last_root: Root) -> BlockEnd {
    BlockEnd {
        slot: Slot(slot),
        parent_slot: Slot(parent),
        blockhash: [0; 32],
        last_root,
        transactions: 0,
        ticks: 64,
        ticks_complete: true,
        at: Nanos(0),
    }
}

fn key(slot: u64, id: Root) -> BlockKey {
    BlockKey {
        slot: Slot(slot),
        id,
    }
}

/// Tells a block of `sets` sets of version 0 on the block of `parent`.
fn tell(forks: &mut Forks, slot: u64, parent: (u64, Root), sets: usize) -> (Root, Vec<ForkEvent>) {
    let mut chained = parent.1;
    for number in 0..sets {
        let own = root(slot, number, 0);
        forks.set(&link(slot, number, own, chained));
        chained = own;
    }
    let mut events = Vec::new();
    forks.block(&end(slot, parent.0, chained), &mut |event| {
        events.push(*event)
    });
    (chained, events)
}

#[test]
fn a_fork_has_two_tips_and_a_slot_in_between_is_skipped() {
    let mut forks = small();
    let (a, _) = tell(&mut forks, 100, (99, root(99, 0, 0)), 3);
    let (b, _) = tell(&mut forks, 101, (100, a), 2);
    // 104 builds on 100: 101 is on another fork, of 102 some shreds came, of 103 nothing.
    forks.set(&link(102, 0, root(102, 0, 0), b));
    assert_eq!(forks.parent_root(Slot(102)), Some(b));
    let (c, events) = tell(&mut forks, 104, (100, a), 2);
    let by = key(104, c);
    assert_eq!(
        events,
        [
            ForkEvent::Block {
                block: by,
                parent_slot: Slot(100),
                parent_id: Some(a)
            },
            ForkEvent::Fork {
                first: key(101, b),
                second: by
            },
            ForkEvent::Skipped {
                slot: Slot(101),
                had: Had::Block,
                by
            },
            ForkEvent::Skipped {
                slot: Slot(102),
                had: Had::Shreds,
                by
            },
            ForkEvent::Skipped {
                slot: Slot(103),
                had: Had::Nothing,
                by
            },
        ]
    );
    assert_eq!(forks.is_ancestor(key(100, a), by), Ancestry::Yes);
    assert_eq!(forks.is_ancestor(key(101, b), by), Ancestry::No);
    assert_eq!(forks.is_ancestor(by, key(100, a)), Ancestry::No);
    assert_eq!(forks.is_ancestor(by, by), Ancestry::Yes);
    // The parent of 100 was never received, and is known all the same; what is before that is not.
    assert_eq!(
        forks.is_ancestor(key(99, root(99, 0, 0)), by),
        Ancestry::Yes
    );
    assert_eq!(forks.is_ancestor(key(98, a), by), Ancestry::Unknown);
    assert_eq!(forks.block_of(Slot(104), &root(104, 0, 0)), Belongs::To(by));
    assert_eq!(forks.block_of(Slot(102), &root(102, 0, 0)), Belongs::Open);
    assert_eq!(
        forks.block_of(Slot(102), &root(102, 1, 0)),
        Belongs::Unknown
    );
    assert_eq!(forks.block_of(Slot(90), &a), Belongs::Unknown);
    assert_eq!(forks.status(Slot(100)), SlotStatus::Whole);
    assert_eq!(forks.status(Slot(101)), SlotStatus::Skipped(Had::Block));
    assert_eq!(forks.status(Slot(103)), SlotStatus::Skipped(Had::Nothing));
    assert_eq!(forks.newest(), Some(by));
    let counted = *forks.counters();
    assert_eq!(
        (counted.slot_skipped, counted.slot_abandoned),
        (1, 1),
        "{counted:?}"
    );
    assert_eq!((counted.slot_orphaned, counted.fork_seen), (1, 1));
}

/// Goal: the tip follows the stake, not the slot numbers.
#[test]
fn the_heaviest_tip_builds_on_what_was_voted_for() {
    let mut forks = small();
    let (a, _) = tell(&mut forks, 100, (99, root(99, 0, 0)), 1);
    let (b, _) = tell(&mut forks, 101, (100, a), 1);
    let (c, _) = tell(&mut forks, 102, (101, b), 1);
    let (d, _) = tell(&mut forks, 105, (100, a), 1);
    assert_eq!(forks.heaviest(), Some(key(105, d)));
    forks.note_hint(Slot(101), Some(d));
    assert_eq!(forks.hinted(), None, "no such block");
    forks.note_hint(Slot(101), None);
    assert!(forks.is_hinted(key(101, b)) && !forks.is_hinted(key(105, d)));
    assert_eq!(forks.heaviest(), Some(key(102, c)));
    forks.note_hint(Slot(105), Some(d));
    assert_eq!(forks.heaviest(), Some(key(105, d)));
}

/// Goal: two versions of a slot share the sets before they part, and never the others.
#[test]
fn versions_of_a_block_part_where_their_roots_part() {
    let mut forks = small();
    let parent = root(99, 0, 0);
    let (first, _) = tell(&mut forks, 100, (99, parent), 3);
    let other = root(100, 2, 1);
    forks.set(&link(100, 2, other, root(100, 1, 0)));
    assert_eq!(forks.block_of(Slot(100), &other), Belongs::Open);
    let mut events = Vec::new();
    forks.block(&end(100, 99, other), &mut |event| events.push(*event));
    assert!(events.contains(&ForkEvent::Fork {
        first: key(100, first),
        second: key(100, other)
    }));
    assert_eq!(
        forks.block_of(Slot(100), &root(100, 1, 0)),
        Belongs::Shared(key(100, first))
    );
    assert_eq!(
        forks.block_of(Slot(100), &first),
        Belongs::To(key(100, first))
    );
    assert_eq!(
        forks.block_of(Slot(100), &other),
        Belongs::To(key(100, other))
    );
    // Votes that tell no id say nothing where there are two.
    forks.note_hint(Slot(100), None);
    assert_eq!(forks.hinted(), None);
    forks.note_hint(Slot(100), Some(other));
    assert_eq!(forks.hinted(), Some(key(100, other)));
    // Told twice, it is counted once; the fifth version finds no place.
    forks.block(&end(100, 99, other), &mut |_| panic!("told twice"));
    for version in 2..5 {
        forks.block(&end(100, 99, root(100, 2, version)), &mut |_| {});
    }
    assert_eq!(forks.counters().block_linked, 4);
    assert_eq!(forks.counters().block_unplaced, 1);
}

#[test]
fn a_moved_and_an_aborted_block_are_told() {
    let mut forks = small();
    let (a, _) = tell(&mut forks, 100, (99, root(99, 0, 0)), 1);
    let (b, _) = tell(&mut forks, 101, (100, a), 1);
    let mut events = Vec::new();
    // 102 began on 101 and was moved onto 100.
    forks.set(&link(102, 0, root(102, 0, 0), b));
    forks.retract(
        &Retract {
            slot: Slot(102),
            before: FecSetIndex(32),
            reason: RetractReason::UpdateParent {
                parent_slot: Slot(100),
            },
        },
        &mut |event| events.push(*event),
    );
    let last = root(102, 1, 0);
    forks.set(&link(102, 1, last, root(102, 0, 0)));
    forks.block(&end(102, 100, last), &mut |event| events.push(*event));
    let moved = key(102, last);
    assert_eq!(
        events[0],
        ForkEvent::ParentUpdated {
            slot: Slot(102),
            parent_slot: Slot(100),
            before: FecSetIndex(32)
        }
    );
    assert_eq!(forks.parent_of(moved), Some((Slot(100), Some(a))));
    assert_eq!(forks.is_ancestor(key(100, a), moved), Ancestry::Yes);
    assert_eq!(forks.is_ancestor(key(101, b), moved), Ancestry::No);
    let abort = Retract {
        slot: Slot(103),
        before: FecSetIndex(32),
        reason: RetractReason::Abandoned,
    };
    forks.retract(&abort, &mut |event| events.push(*event));
    forks.retract(&abort, &mut |event| events.push(*event));
    assert_eq!(forks.status(Slot(103)), SlotStatus::Aborted);
    let told = events
        .iter()
        .filter(|event| **event == ForkEvent::Aborted { slot: Slot(103) });
    assert_eq!(told.count(), 1);
    assert_eq!(forks.counters().slot_aborted, 1);
}

/// Goal: a slot that signs sets without end takes an eighth, old slots give way, and late news of them is refused.
#[test]
fn memory_is_bounded() {
    let mut forks = small();
    for number in 0..32 {
        forks.set(&link(100, number, root(100, number, 0), [0; 32]));
    }
    assert_eq!(forks.counters().set_linked, 16);
    assert_eq!(forks.counters().set_unplaced, 16);
    forks.set(&link(100, 32, root(100, 32, 0), [0; 32]));
    assert_eq!(forks.counters().set_unplaced, 17, "past the slot's end");
    for slot in 101..1_000 {
        tell(&mut forks, slot, (slot - 1, root(slot - 1, 9, 0)), 10);
    }
    assert_eq!(forks.counters().block_linked, 899);
    assert_eq!(forks.counters().set_unplaced, 17);
    assert_eq!(forks.status(Slot(100)), SlotStatus::Unknown);
    // 128 sets are 12 slots of 10, so the oldest in the ring lost theirs and kept their blocks.
    assert_eq!(
        forks.block_of(Slot(999), &root(999, 0, 0)),
        Belongs::To(key(999, root(999, 9, 0)))
    );
    let (oldest, newest) = (key(984, root(984, 9, 0)), key(999, root(999, 9, 0)));
    assert_eq!(forks.is_ancestor(oldest, newest), Ancestry::Yes);
    forks.set(&link(500, 0, root(500, 0, 0), [0; 32]));
    assert_eq!(forks.counters().set_unplaced, 18);
    forks.block(&end(500, 499, root(500, 0, 0)), &mut |_| panic!("too old"));
    let far = end(u64::MAX, 0, [7; 32]);
    forks.block(&far, &mut |_| {});
    assert_eq!(forks.newest(), Some(key(u64::MAX, [7; 32])));
}

/// A tree of blocks: for each slot from 1 the distance to its parent, and how many sets it has; 0: no block.
fn tree() -> impl Strategy<Value = Vec<(u64, usize)>> {
    prop::collection::vec((1..4u64, 0..5usize), 1..40)
}

proptest! {
    /// Goal: whatever order sets come in, ancestry and membership are the tree's. Blocks end in order of slots, as
    /// they do where a leader must know its parent.
    #[test]
    fn equals_the_tree(tree in tree(), seed in any::<u64>()) {
        let mut forks = Forks::new(&ForkPlan { slots: 64, sets_per_slot: 8, sets_max: 2_048 });
        let mut blocks: BTreeMap<u64, (u64, Root)> = BTreeMap::new();
        blocks.insert(100, (99, root(100, 0, 0)));
        forks.set(&link(100, 0, root(100, 0, 0), root(99, 0, 0)));
        forks.block(&end(100, 99, root(100, 0, 0)), &mut |_| {});
        let mut dice = seed;
        for (slot, (back, sets)) in (101u64..).zip(tree) {
            if sets == 0 {
                continue;
            }
            // The block `back` blocks before it.
            let (parent, (_, parent_id)) = blocks.iter().rev().nth(back as usize - 1)
                .or_else(|| blocks.iter().next()).map(|(slot, block)| (*slot, *block)).unwrap();
            let mut links: Vec<_> = (0..sets).map(|number| {
                let chained = if number == 0 { parent_id } else { root(slot, number - 1, 0) };
                link(slot, number, root(slot, number, 0), chained)
            }).collect();
            while !links.is_empty() {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let next = links.swap_remove((dice >> 33) as usize % links.len());
                forks.set(&next);
                prop_assert_eq!(forks.block_of(Slot(slot), &next.root), Belongs::Open);
            }
            let id = root(slot, sets - 1, 0);
            forks.block(&end(slot, parent, id), &mut |_| {});
            blocks.insert(slot, (parent, id));
            for number in 0..sets {
                prop_assert_eq!(forks.block_of(Slot(slot), &root(slot, number, 0)), Belongs::To(key(slot, id)));
            }
        }
        let mut jumped = std::collections::BTreeSet::new();
        for (&slot, &(parent, id)) in &blocks {
            jumped.extend((parent + 1..slot).filter(|slot| *slot >= 100));
            let mut ancestors = std::collections::BTreeSet::from([slot]);
            let mut at = slot;
            while let Some((parent, _)) = blocks.get(&at) {
                ancestors.insert(*parent);
                at = *parent;
            }
            for (&other, &(_, other_id)) in &blocks {
                let truth = if ancestors.contains(&other) { Ancestry::Yes } else { Ancestry::No };
                prop_assert_eq!(forks.is_ancestor(key(other, other_id), key(slot, id)), truth);
            }
        }
        let counted = forks.counters();
        let told = counted.slot_skipped + counted.slot_abandoned + counted.slot_orphaned;
        prop_assert_eq!(told, jumped.len() as u64);
        for slot in 100..150 {
            prop_assert_eq!(matches!(forks.status(Slot(slot)), SlotStatus::Skipped(_)), jumped.contains(&slot));
        }
    }

    #[test]
    fn total_on_anything(calls in prop::collection::vec((0..4u8, 0..40u64, 0..40u64, 0..40u32, 0..3u8, 0..3u8), 0..200)) {
        let mut forks = small();
        for (kind, slot, parent, set, version, other) in calls {
            // Now and then from the ends of the numbers.
            let slot = if slot == 39 { u64::MAX } else { slot };
            let (own, chained) = (root(slot, set as usize, version), root(parent, set as usize, other));
            match kind {
                0 => forks.set(&link(slot, set as usize, own, chained)),
                1 => forks.block(&end(slot, parent, own), &mut |_| {}),
                2 => forks.retract(&Retract { slot: Slot(slot), before: FecSetIndex(set), reason:
                    RetractReason::UpdateParent { parent_slot: Slot(parent) } }, &mut |_| {}),
                _ => forks.note_hint(Slot(slot), (version > 0).then_some(own)),
            }
            let _ = forks.block_of(Slot(slot), &chained);
            let _ = forks.is_ancestor(key(parent, chained), key(slot, own));
            let _ = forks.heaviest();
        }
    }
}
