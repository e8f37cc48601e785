//! Signatures that are checked elsewhere, and what strangers may try meanwhile.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::shredder::{Block, DATA_COMPLETE, Set, SetHead, VERSION, key, sign_again};
use common::{Bench, Dice, Schedule, payload, plan};
use shred_resolve::{Check, Checker, Leaders, Plan, Policy, Reject, SourceId};
use shred_wire::{Nanos, Slot};
use std::collections::{BTreeSet, VecDeque};

const SLOT: u64 = 100;
const POLICIES: [Policy; 2] = [Policy::VerifyThenEmit, Policy::EmitThenVerify];

/// A bench whose checks are answered when the test says so.
struct Late {
    bench: Bench<Schedule>,
    under_way: VecDeque<Check>,
    checker: Checker,
}

impl Late {
    fn new(plan: Plan, policy: Policy) -> Self {
        let mut bench = Bench::new(&plan, Schedule::of(&key(1), 0..1000));
        bench.policy = policy;
        Self {
            bench,
            under_way: VecDeque::new(),
            checker: Checker::new(),
        }
    }

    fn with(checks_max: usize, policy: Policy) -> Self {
        Self::new(
            Plan {
                checks_max,
                ..plan(64)
            },
            policy,
        )
    }

    fn give(&mut self, datagram: &[u8]) -> Result<(), Reject> {
        let outcome = self.bench.give(datagram);
        self.collect();
        outcome
    }

    fn give_from(&mut self, source: u8, datagram: &[u8]) -> Result<(), Reject> {
        self.bench.source = SourceId(source);
        self.give(datagram)
    }

    fn collect(&mut self) {
        let bench = &mut self.bench;
        self.under_way
            .extend(std::iter::from_fn(|| bench.resolver.next_check()));
    }

    fn answer(&mut self, count: usize) {
        for _ in 0..count {
            let Some(check) = self.under_way.pop_front() else {
                return;
            };
            let checked = self.checker.check(&check);
            self.bench.resolver.checked(checked, &mut self.bench.notes);
            self.collect();
        }
    }

    fn verified_ids(&self) -> Vec<u64> {
        let lines = self.bench.notes.lines.values();
        lines
            .filter(|line| line.verified)
            .map(|line| payload::id_of(&line.signature))
            .collect()
    }
}

/// A slot of one set, with these transactions.
fn block(slot: u64, ids: std::ops::Range<u64>) -> Block {
    let mut block = Block::new(&key(1), slot);
    let txns: Vec<_> = ids.map(|id| payload::legacy(id, 150)).collect();
    block.batch(&payload::one_entry(&txns));
    block
}

/// A set that nobody's leader signed, other than every other `id`'s.
fn junk(slot: u64, fec_set_index: u32, id: u64) -> Set {
    let head = SetHead {
        slot,
        parent_offset: 1,
        version: VERSION,
        fec_set_index,
        chained_root: [4; 32],
        resigned: false,
        flags: DATA_COMPLETE,
    };
    let mut pieces = vec![Vec::new(); 32];
    pieces[0] = payload::one_entry(&[payload::legacy(id, 10)]);
    Set::new(head, &pieces).seal(&key(2))
}

/// Goal: the first shred does not hold up the others, and nothing counts before the answer.
#[test]
fn a_set_waits_for_its_answer_and_is_told_at_once() {
    let mut late = Late::with(8, Policy::VerifyThenEmit);
    let block = block(SLOT, 1..3);
    // The window opens on proof, which nobody waits for elsewhere.
    late.give(&self::block(SLOT - 1, 0..1).sets[0].shreds[0])
        .unwrap();
    assert!(late.under_way.is_empty());
    for shred in &block.sets[0].shreds[..32] {
        late.give(shred).unwrap();
    }
    assert_eq!(late.under_way.len(), 1, "once per set");
    assert_eq!(late.bench.notes.ids(), [0]);
    assert_eq!(late.bench.resolver.highest_slot(), Some(Slot(SLOT - 1)));
    let last = late.bench.at;
    late.bench.at = Nanos(last.0 + 1_000_000);
    late.answer(1);
    assert_eq!(late.verified_ids(), [0, 1, 2]);
    assert_eq!(late.bench.resolver.highest_slot(), Some(Slot(SLOT)));
    assert_eq!(late.bench.resolver.counters().signature_checked, 2);
}

/// Goal: an unverified policy tells at once, and its verdict comes with the answer, good or bad.
#[test]
fn what_is_told_early_is_confirmed_or_revoked_by_the_answer() {
    let mut late = Late::with(8, Policy::EmitThenVerify);
    late.give(&block(SLOT - 1, 0..1).sets[0].shreds[0]).unwrap();
    let (good, bad) = (block(SLOT, 1..3), junk(SLOT + 1, 0, 7));
    late.give(&good.sets[0].shreds[0]).unwrap();
    late.give(&bad.shreds[0]).unwrap();
    assert_eq!(late.bench.notes.ids(), [0, 1, 2, 7]);
    assert_eq!(late.verified_ids(), [0]);
    late.answer(2);
    assert_eq!(late.verified_ids(), [0, 1, 2]);
    assert_eq!(late.bench.notes.revoked.len(), 1);
    let counters = late.bench.resolver.counters();
    assert_eq!(
        (counters.transaction_revoked, counters.set_discarded),
        (1, 1)
    );
}

/// Goal: a forgery that has failed is not told again, nor checked again.
#[test]
fn a_forgery_is_remembered() {
    for policy in POLICIES {
        let mut late = Late::with(8, policy);
        late.give(&block(SLOT - 1, 0..1).sets[0].shreds[0]).unwrap();
        let forged = junk(SLOT, 0, 7);
        late.give(&forged.shreds[0]).unwrap();
        late.answer(1);
        let before = late.bench.resolver.counters().signature_checked;
        for shred in &forged.shreds {
            assert_eq!(late.give(shred), Err(Reject::BadLeaderSignature));
        }
        assert!(late.under_way.is_empty());
        assert_eq!(late.bench.resolver.counters().signature_checked, before);
        assert_eq!(late.bench.notes.ids(), [0], "{policy:?}");
    }
}

/// Goal: garbage that looks like the first shreds of sets, ten for each true one, costs no set, although only one
/// check in a hundred datagrams is answered.
#[test]
fn a_flood_of_first_shreds_costs_no_set() {
    for policy in POLICIES {
        let mut late = Late::with(16, policy);
        late.give(&block(SLOT - 1, 0..1).sets[0].shreds[0]).unwrap();
        let blocks: Vec<Block> = (0..4).map(|at| block(SLOT + at, 1 + at..2 + at)).collect();
        let mut dice = Dice(5);
        let mut number = 1_000;
        for shred in 0..64 {
            for block in &blocks {
                let _ = late.give_from(0, &block.sets[0].shreds[shred]);
                for _ in 0..10 {
                    number += 1;
                    let slot = SLOT + dice.below(4) as u64;
                    // Beside the true sets, and in their very places.
                    let set = junk(slot, 32 * dice.below(3) as u32, number);
                    let _ = late.give_from(0, &set.shreds[dice.below(64)]);
                }
                late.answer(usize::from(dice.percent(11)));
            }
        }
        late.answer(usize::MAX);
        let told: BTreeSet<u64> = late.verified_ids().into_iter().collect();
        assert_eq!(told, (0..5).collect(), "{policy:?}");
        assert_eq!(late.bench.resolver.counters().set_evicted, 0);
        assert!(
            late.bench
                .resolver
                .counters()
                .rejected_for(Reject::ChecksExhausted)
                > 0
        );
        assert!(late.bench.notes.lines.values().all(|line| line.verified));
    }
}

/// Goal: one source's flood takes no other source's turn.
#[test]
fn a_flood_on_one_source_leaves_the_others_theirs() {
    let mut late = Late::with(16, Policy::VerifyThenEmit);
    late.give(&block(SLOT - 1, 0..1).sets[0].shreds[0]).unwrap();
    for number in 0..100 {
        let _ = late.give_from(
            1,
            &junk(SLOT + 1, 32 * (number % 30) as u32, 50 + number).shreds[0],
        );
    }
    assert_eq!(late.under_way.len(), 4, "its share");
    let counters = late.bench.resolver.counters();
    assert!(
        counters.signature_checked < 25,
        "{}",
        counters.signature_checked
    );
    assert!(counters.rejected_for(Reject::ChecksExhausted) > 50);
    late.give_from(0, &block(SLOT, 1..3).sets[0].shreds[0])
        .unwrap();
    late.answer(usize::MAX);
    assert_eq!(late.verified_ids(), [0, 1, 2]);
}

/// Goal: a copy of a true shred with a signature of one's own, sent ahead of the others, does not cost the set.
#[test]
fn a_copied_shred_under_another_signature_does_not_decide() {
    for policy in POLICIES {
        for second in [sign_again(&key(2), &[1; 32]), [3; 64]] {
            let mut late = Late::with(8, policy);
            late.give(&block(SLOT - 1, 0..1).sets[0].shreds[0]).unwrap();
            let set = block(SLOT, 1..3).sets[0].clone();
            let copied = set.clone().with_signature(&second);
            late.give(&copied.shreds[0]).unwrap();
            // The true one is the same shred again, and says who signed.
            let _ = late.give(&set.shreds[0]);
            late.give(&set.shreds[1]).unwrap();
            assert_eq!(late.under_way.len(), 1);
            late.answer(1);
            assert_eq!(late.under_way.len(), 1, "now the other one");
            late.answer(1);
            assert_eq!(late.verified_ids(), [0, 1, 2], "{policy:?}");
            assert_eq!(late.bench.resolver.counters().set_discarded, 0);
        }
    }
}

/// Goal: a thread that checks too slowly costs time, not sets: the core does what it cannot hand over.
#[test]
fn without_answers_nothing_true_is_refused() {
    for policy in POLICIES {
        let mut late = Late::with(8, policy);
        late.give(&block(SLOT - 1, 0..1).sets[0].shreds[0]).unwrap();
        for at in 0..30 {
            late.give(&block(SLOT + at % 4, 1 + at..2 + at).sets[0].shreds[0])
                .or_else(|reason| match reason {
                    Reject::VersionsExhausted => Ok(()),
                    reason => Err(reason),
                })
                .unwrap();
        }
        late.answer(usize::MAX);
        let counters = late.bench.resolver.counters();
        assert_eq!(counters.rejected_for(Reject::ChecksExhausted), 0);
        assert!(late.verified_ids().len() >= 8, "{:?}", late.verified_ids());
    }
}

/// Goal: when every slab has been used, checks are handed over and unchecked shreds are told as at the start.
#[test]
fn memory_in_full_use_changes_nothing() {
    for policy in POLICIES {
        let plan = Plan {
            checks_max: 4,
            ..plan(32)
        };
        let mut late = Late::new(plan, policy);
        late.give(&block(SLOT - 1, 0..1).sets[0].shreds[0]).unwrap();
        for slot in 0..100 {
            let block = block(SLOT + slot, slot + 1..slot + 2);
            late.give(&block.sets[0].shreds[0]).unwrap();
            assert_eq!(late.under_way.len(), 1, "slot {slot}");
            let told = late.bench.notes.ids().contains(&(slot + 1));
            assert_eq!(told, policy == Policy::EmitThenVerify, "slot {slot}");
            late.answer(1);
            for shred in &block.sets[0].shreds[1..32] {
                late.give(shred).unwrap();
            }
        }
        assert_eq!(late.verified_ids().len(), 101);
    }
}

/// Goal: new signatures on copies of shreds of a set that is known cost a few checks, not one each.
#[test]
fn copies_under_ever_new_signatures_cost_little() {
    let mut late = Late::with(8, Policy::VerifyThenEmit);
    late.give(&block(SLOT - 1, 0..1).sets[0].shreds[0]).unwrap();
    let set = block(SLOT, 1..3).sets[0].clone();
    late.give(&set.shreds[0]).unwrap();
    late.answer(1);
    let before = late.bench.resolver.counters().signature_checked;
    for number in 0..60u8 {
        let copied = set.clone().with_signature(&[number; 64]);
        assert!(late.give(&copied.shreds[1 + usize::from(number)]).is_err());
    }
    late.answer(usize::MAX);
    let checked = late.bench.resolver.counters().signature_checked - before;
    assert!(checked <= 4, "{checked} checks");
    late.give(&set.shreds[1]).unwrap();
}

/// Goal: an answer for a set whose slot is gone, or whose place another has, does nothing.
#[test]
fn an_answer_that_comes_too_late_does_nothing() {
    for policy in POLICIES {
        let mut late = Late::with(8, policy);
        late.give(&block(SLOT - 1, 0..1).sets[0].shreds[0]).unwrap();
        late.give(&block(SLOT, 1..3).sets[0].shreds[0]).unwrap();
        let old = late.under_way.pop_front().unwrap();
        for slot in 1..12 {
            late.give(&block(SLOT + slot, 10 * slot..10 * slot + 1).sets[0].shreds[0])
                .unwrap();
            late.answer(usize::MAX);
        }
        let known = late.bench.resolver.counters().clone();
        let checked = late.checker.check(&old);
        late.bench.resolver.checked(checked, &mut late.bench.notes);
        late.bench.resolver.checked(checked, &mut late.bench.notes);
        let now = late.bench.resolver.counters();
        assert_eq!(now.transaction, known.transaction);
        assert_eq!(now.set_opened, known.set_opened);
        // What was told early is confirmed all the same.
        assert!(late.bench.notes.lines.values().all(|line| line.verified));
    }
}

/// Goal: slots that leave while their checks are under way leave nothing behind: memory for as many comes again.
#[test]
fn awaited_sets_give_their_memory_back() {
    let plan = Plan {
        checks_max: 4,
        ..plan(8)
    };
    let mut late = Late::new(plan, Policy::VerifyThenEmit);
    late.give(&block(SLOT - 1, 0..1).sets[0].shreds[0]).unwrap();
    for slot in 0..200 {
        for number in 0..3 {
            let set = junk(SLOT + slot, 32 * (1 + number), 1_000 + u64::from(number));
            let _ = late.give(&set.shreds[0]);
        }
        late.answer(usize::from(slot % 3 != 0) * 8);
        let _ = late.give(&block(SLOT + slot, slot..slot + 1).sets[0].shreds[0]);
        late.answer(8);
    }
    late.answer(usize::MAX);
    assert_eq!(late.bench.resolver.highest_slot(), Some(Slot(SLOT + 199)));
    assert!(late.verified_ids().len() > 120);
}

/// A leader source that knows nobody: checks elsewhere change nothing for it.
#[test]
fn without_leaders_nothing_is_checked_elsewhere() {
    let plan = Plan {
        checks_max: 8,
        ..plan(64)
    };
    let mut bench = Bench::new(&plan, shred_resolve::NoLeaders);
    assert_eq!(
        bench.leaders.leader(Slot(1)),
        shred_resolve::Leader::NoSource
    );
    let block = block(SLOT, 1..3);
    bench.give(&block.sets[0].shreds[0]).unwrap();
    bench.give(&block.sets[0].shreds[1]).unwrap();
    assert!(bench.resolver.next_check().is_none());
    assert_eq!(bench.notes.ids(), [1, 2]);
}
