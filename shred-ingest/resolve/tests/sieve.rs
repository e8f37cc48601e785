//! What a relay passes on: each authentic shred once.
#![allow(clippy::unwrap_used)]

mod common;

use common::Schedule;
use common::shredder::{Block, VERSION, key};
use common::{Dice, payload};
use shred_resolve::{Arrival, Leaders, NoLeaders, Policy, Reject, Sieve, SievePlan, SourceId};
use shred_wire::Nanos;

struct Gate<L> {
    sieve: Sieve,
    leaders: L,
    source: u8,
    at: u64,
}

impl<L: Leaders> Gate<L> {
    fn new(leaders: L, change: impl FnOnce(&mut SievePlan)) -> Self {
        let mut plan = SievePlan {
            shred_version: Some(VERSION),
            slots_behind: 4,
            slots_ahead: 4,
            versions_max: 64,
            ..SievePlan::default()
        };
        change(&mut plan);
        Self {
            sieve: Sieve::new(&plan),
            leaders,
            source: 0,
            at: 1_000_000_000,
        }
    }

    fn give(&mut self, datagram: &[u8]) -> Result<Vec<u8>, Reject> {
        self.at += 1_000;
        let arrival = Arrival {
            source: SourceId(self.source),
            policy: Policy::VerifyThenEmit,
            at: Nanos(self.at),
        };
        self.sieve
            .admit(datagram, arrival, &self.leaders)
            .map(<[u8]>::to_vec)
    }
}

fn block(slot: u64, sets: usize) -> Block {
    let mut block = Block::new(&key(1), slot);
    for set in 0..sets {
        block.batch(&payload::one_entry(&[payload::legacy(set as u64, 100)]));
    }
    block
}

fn leaders() -> Schedule {
    Schedule::of(&key(1), 0..200)
}

#[test]
fn all_64_shreds_of_a_set_pass_once_in_any_order() {
    let mut gate = Gate::new(leaders(), |_| ());
    let mut shreds: Vec<Vec<u8>> = block(100, 3).shreds().cloned().collect();
    shreds.extend(shreds.clone());
    Dice(3).shuffle(&mut shreds, 400);
    let mut passed: Vec<Vec<u8>> = shreds
        .iter()
        .filter_map(|shred| match gate.give(shred) {
            Ok(bytes) => Some(bytes),
            Err(reason) => {
                assert_eq!(reason, Reject::Duplicate);
                None
            }
        })
        .collect();
    shreds.sort();
    shreds.dedup();
    passed.sort();
    assert_eq!(passed, shreds);
    let counters = gate.sieve.counters();
    assert_eq!((counters.set_opened, counters.signature_checked), (3, 3));
}

/// What trails a shred (a repair nonce) is not passed on, and makes no other shred of it.
#[test]
fn trailing_bytes_are_cut() {
    let mut gate = Gate::new(leaders(), |_| ());
    let shred = block(100, 1).sets[0].shreds[7].clone();
    let longer = [&shred[..], &[1, 2, 3, 4]].concat();
    assert_eq!(gate.give(&longer).unwrap(), shred);
    assert_eq!(gate.give(&shred), Err(Reject::Duplicate));
}

#[test]
fn what_is_not_the_leaders_does_not_pass_and_bars_nothing() {
    let mut gate = Gate::new(leaders(), |_| ());
    let good = block(100, 1);
    let mut stranger = Block::new(&key(2), 100);
    stranger.batch(&payload::one_entry(&[payload::legacy(9, 100)]));
    // A stranger's set, the same under the leader's signature, and a true shred with a byte changed; before and
    // after the true set is known.
    for turn in 0..2 {
        let forged = stranger.sets[0]
            .clone()
            .with_signature(good.sets[0].shreds[0].first_chunk().unwrap());
        for shred in stranger.shreds().chain(&forged.shreds) {
            assert!(gate.give(shred).is_err(), "turn {turn}");
        }
        let mut changed = good.sets[0].shreds[5].clone();
        changed[200] ^= 1;
        gate.at += 1_000_000;
        assert!(gate.give(&changed).is_err());
        if turn == 0 {
            gate.source = 1;
            for shred in good.shreds() {
                gate.give(shred).unwrap();
            }
            gate.source = 0;
        }
    }
    assert_eq!(gate.give(&good.sets[0].shreds[5]), Err(Reject::Duplicate));
}

/// A source that floods with forgeries costs few checks, and the other sources nothing.
#[test]
fn a_flood_of_forgeries_is_paced() {
    let mut gate = Gate::new(leaders(), |_| ());
    let stranger = {
        let mut block = Block::new(&key(2), 100);
        for set in 0..40 {
            block.batch(&payload::one_entry(&[payload::legacy(set, 100)]));
        }
        block
    };
    let mut refused = Vec::new();
    for shred in stranger.shreds() {
        refused.push(gate.give(shred).unwrap_err());
    }
    assert!(refused.contains(&Reject::ChecksExhausted));
    let checked = gate.sieve.counters().signature_checked;
    assert!(checked < 40, "{checked} checks in 2.5 ms");
    gate.source = 1;
    for shred in block(100, 2).shreds() {
        gate.give(shred).unwrap();
    }
}

/// Without leaders a stranger's copy of a signature must not bar the shreds that it was copied from.
#[test]
fn without_leaders_a_copied_signature_bars_nothing() {
    let mut gate = Gate::new(NoLeaders, |_| ());
    let good = block(100, 1);
    let mut stranger = Block::new(&key(2), 100);
    stranger.batch(&payload::one_entry(&[payload::legacy(9, 100)]));
    let signature = good.sets[0].shreds[0].first_chunk().unwrap();
    for shred in &stranger.sets[0].clone().with_signature(signature).shreds {
        gate.give(shred).unwrap();
    }
    for shred in good.shreds() {
        gate.give(shred).unwrap();
        assert_eq!(gate.give(shred), Err(Reject::Duplicate));
    }
}

#[test]
fn unchecked_shreds_pass_by_number_and_signature() {
    let mut gate = Gate::new(NoLeaders, |plan| plan.authenticate = false);
    for shred in block(100, 2).shreds() {
        let mut changed = shred.clone();
        changed[200] ^= 1;
        gate.give(&changed).unwrap();
        assert_eq!(gate.give(shred), Err(Reject::Duplicate));
    }
    assert_eq!(gate.sieve.counters().signature_checked, 0);
}

#[test]
fn version_window_shape_and_leader_are_asked_for() {
    let mut gate = Gate::new(Schedule::of(&key(1), 90..=110), |_| ());
    for shred in block(100, 1).shreds() {
        gate.give(shred).unwrap();
    }
    let mut foreign = block(101, 1);
    foreign.version = VERSION + 1;
    foreign.batch(&payload::ticks(1, 1));
    let first = |block: &Block| block.sets[0].shreds[0].clone();
    assert_eq!(
        gate.give(&foreign.sets[1].shreds[0]),
        Err(Reject::ForeignVersion)
    );
    for (slot, reason) in [
        (95, Reject::SlotOutOfWindow),
        (105, Reject::SlotOutOfWindow),
    ] {
        assert_eq!(gate.give(&first(&block(slot, 1))), Err(reason));
    }
    for slot in [96, 104] {
        assert!(gate.give(&first(&block(slot, 1))).is_ok());
    }
    assert!(matches!(gate.give(&[0; 40]), Err(Reject::Malformed(_))));
    gate.leaders = Schedule::default();
    assert_eq!(gate.give(&first(&block(103, 1))), Err(Reject::NoLeader));
}

/// What leaves the window is forgotten, and does not pass again for that.
#[test]
fn the_window_moves_and_forgets() {
    let mut gate = Gate::new(leaders(), |_| ());
    for slot in 100..180 {
        for shred in block(slot, 2).shreds() {
            gate.give(shred).unwrap();
        }
    }
    assert_eq!(gate.sieve.highest_slot().unwrap().0, 179);
    for slot in 100..180 {
        for shred in block(slot, 2).shreds() {
            assert!(gate.give(shred).is_err());
        }
    }
    // After silence whatever is authentic leads on.
    gate.at += 3_000_000_000;
    assert!(gate.give(&block(120, 1).sets[0].shreds[0]).is_ok());
    assert_eq!(gate.sieve.counters().window_resynced, 1);
}

/// A leader that signs more sets than there is memory for does not push out other slots.
#[test]
fn memory_is_bounded_and_a_slot_has_a_share() {
    let mut gate = Gate::new(leaders(), |plan| plan.versions_max = 16);
    for slot in [101, 102] {
        gate.give(&block(slot, 1).sets[0].shreds[0]).unwrap();
    }
    let greedy = block(103, 20);
    let outcomes: Vec<_> = greedy
        .sets
        .iter()
        .map(|set| gate.give(&set.shreds[0]))
        .collect();
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        14
    );
    assert!(
        outcomes[14..]
            .iter()
            .all(|outcome| *outcome == Err(Reject::VersionsExhausted))
    );
    assert_eq!(
        gate.give(&block(101, 1).sets[0].shreds[0]),
        Err(Reject::Duplicate)
    );
    // A higher slot that holds little makes the lowest give way, which stays given up.
    gate.give(&block(104, 1).sets[0].shreds[0]).unwrap();
    assert_eq!(
        gate.give(&block(101, 1).sets[0].shreds[0]),
        Err(Reject::SlotOutOfWindow)
    );
}

/// Goal: relays without leaders that send each other what they pass do not send a few far shreds round for ever.
/// Method: one shred of each of four far slots comes back every 10 us, as from a neighbour, for two seconds; then a feed
/// at yet another slot is let in, and settles the window.
#[test]
fn what_nobody_signed_moves_the_window_once_in_a_while() {
    for authenticate in [true, false] {
        let mut gate = Gate::new(NoLeaders, |plan| plan.authenticate = authenticate);
        let far: Vec<Vec<u8>> = (1..=4)
            .map(|at| block(1_000 * at, 1).sets[0].shreds[0].clone())
            .collect();
        let mut passed = 0;
        for turn in 0..200_000 {
            passed += usize::from(gate.give(&far[turn % far.len()]).is_ok());
            gate.at += 9_000;
        }
        assert!(passed <= 2, "{passed} passed");
        gate.at += 2_000_000_000;
        let feed = block(9_000, 1);
        let through = feed.shreds().filter(|shred| gate.give(shred).is_ok());
        assert_eq!(through.count(), 64);
    }
}
