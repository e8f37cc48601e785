//! What leaders, relays and strangers may try, one thing at a time.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::shredder::{
    Block, DATA_COMPLETE, LAST_IN_SLOT, Set, SetHead, Shape, VERSION, capacity, chained_root_at,
    key, sign_again,
};
use common::{Bench, Dice, Schedule, payload, plan};
use shred_resolve::{Counters, NoLeaders, Plan, Policy, Reject, RetractReason};
use shred_wire::shred::{ShredLimits, ShredReject};
use shred_wire::{FecSetIndex, Nanos, Slot};

const SLOT: u64 = 100;

fn leaders() -> Schedule {
    Schedule::of(&key(1), 0..1000)
}

fn bench() -> Bench<Schedule> {
    Bench::new(&plan(64), leaders())
}

fn block(slot: u64) -> Block {
    Block::new(&key(1), slot)
}

fn txns(ids: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    ids.map(|id| payload::legacy(id, 150)).collect()
}

/// A slot of one batch in one set, with one transaction.
fn small(slot: u64, id: u64) -> Block {
    let mut block = block(slot);
    block.batch(&payload::one_entry(&[payload::legacy(id, 50)]));
    block
}

/// A set with `id` in its first data shred, other than every other `id`'s.
fn forged(slot: u64, fec_set_index: u32, id: u64, seed: u8) -> Set {
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
    Set::new(head, &pieces).seal(&key(seed))
}

fn rejected(counters: &Counters, reason: Reject) -> u64 {
    counters.rejected_for(reason)
}

#[test]
fn a_set_that_chains_to_another_root_does_not_go_on_with_the_batch() {
    let mut good = block(SLOT);
    good.batch(&payload::one_entry(&txns(0..150)));
    assert_eq!(good.sets.len(), 2);
    let mut stray = good.clone();
    stray.sets.truncate(1);
    stray.sets[0].root[0] ^= 1;
    stray.push(&[0xff; 900], Shape::Full, DATA_COMPLETE);
    let mut bench = bench();
    bench.give_all(&good.sets[0].shreds);
    let told = bench.notes.lines.len();
    bench.give_all(&stray.sets[1].shreds);
    assert_eq!(bench.notes.lines.len(), told);
    bench.give_all(&good.sets[1].shreds);
    assert_eq!(bench.notes.ids(), (0..150).collect::<Vec<_>>());
    assert_eq!(bench.notes.equivocations.len(), 1);
}

#[test]
fn a_shred_that_chains_elsewhere_than_its_set_is_refused() {
    let honest = small(SLOT, 1).sets.remove(0);
    let mut mixed = Set::new(honest.head, &pieces_of(&honest));
    let at = chained_root_at(0, false);
    mixed.shreds[3][at] ^= 1;
    let mixed = mixed.seal(&key(1));
    let mut bench = bench();
    bench.give(&mixed.shreds[0]).unwrap();
    assert_eq!(bench.give(&mixed.shreds[3]), Err(Reject::SetMismatch));
    bench.give_all(&mixed.shreds[4..40]);
    assert_eq!(bench.notes.ids(), [1]);
}

fn pieces_of(set: &Set) -> Vec<Vec<u8>> {
    let len = |shred: &Vec<u8>| usize::from(u16::from_le_bytes([shred[86], shred[87]]));
    set.shreds[..32]
        .iter()
        .map(|shred| shred[88..len(shred)].to_vec())
        .collect()
}

#[test]
fn two_roots_of_a_set_are_told_apart_and_a_third_is_not_taken() {
    let [a, b, c] = [1, 2, 3].map(|id| forged(SLOT, 0, id, 1));
    let mut bench = bench();
    for (a, b) in a.shreds.iter().zip(&b.shreds) {
        bench.give_all([a, b]);
    }
    assert_eq!(bench.give(&c.shreds[0]), Err(Reject::VersionsExhausted));
    assert_eq!(bench.notes.ids(), [1, 2]);
    let roots: Vec<_> = bench
        .notes
        .lines
        .values()
        .map(|line| line.root.unwrap())
        .collect();
    assert_eq!(roots, [a.root, b.root]);
    assert_eq!(bench.notes.equivocations.len(), 1);
    assert_eq!(bench.notes.equivocations[0].merkle_roots, [a.root, b.root]);
}

/// Goal: whichever way the block ends, its end is told; nothing that a leader adds after the end is.
#[test]
fn two_ends_of_one_slot() {
    let mut stem = block(SLOT);
    stem.batch(&payload::one_entry(&txns(0..3)));
    let (mut short, mut long) = (stem.clone(), stem);
    short.last(&payload::ticks(2, 5));
    long.batch(&payload::one_entry(&txns(3..5)))
        .last(&payload::ticks(2, 6));
    let after_end = {
        let mut block = short.clone();
        block.batch(&payload::one_entry(&txns(9..10)));
        block
    };
    for order in [[&long, &short], [&short, &long]] {
        let mut bench = bench();
        order
            .iter()
            .for_each(|block| bench.give_all(block.shreds()));
        bench.give_all(&after_end.sets[2].shreds);
        let mut ends: Vec<_> = bench
            .notes
            .blocks
            .iter()
            .map(|block| (block.blockhash[0], block.transactions))
            .collect();
        ends.sort_unstable();
        assert_eq!(ends, [(5, 3), (6, 5)]);
        let mut ids = bench.notes.ids();
        ids.sort_unstable();
        assert_eq!(ids, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn two_signatures_over_one_root_are_one_set() {
    let set = small(SLOT, 1).sets.remove(0);
    let again = set.clone().with_signature(&sign_again(&key(1), &set.root));
    assert_ne!(set.shreds[0][..64], again.shreds[0][..64]);
    let mut bench = bench();
    for at in 0..32 {
        bench
            .give(if at % 2 == 0 {
                &again.shreds[at]
            } else {
                &set.shreds[at]
            })
            .unwrap();
        assert_eq!(bench.give(&set.shreds[at]), Err(Reject::Duplicate));
        assert_eq!(bench.give(&again.shreds[at]), Err(Reject::Duplicate));
    }
    assert_eq!(bench.notes.ids(), [1]);
    assert_eq!(bench.resolver.counters().signature_checked, 2);
    assert!(bench.notes.equivocations.is_empty());
}

/// Goal: relays that sign again, each with its own key, are duplicates of each other.
#[test]
fn two_retransmitters_of_one_shred_are_duplicates() {
    let mut block = block(SLOT);
    block.last(&payload::one_entry(&txns(0..1)));
    let mut bench = bench();
    for shred in &block.sets[0].shreds[..20] {
        bench.give(shred).unwrap();
        let mut other = shred.clone();
        other
            .iter_mut()
            .rev()
            .take(64)
            .for_each(|byte| *byte ^= 0xff);
        assert_eq!(bench.give(&other), Err(Reject::Duplicate));
    }
}

#[test]
fn a_damaged_proof_is_refused_at_every_level() {
    let set = small(SLOT, 1).sets.remove(0);
    for early in [false, true] {
        let mut bench = if early { bench().early() } else { bench() };
        bench.give(&set.shreds[0]).unwrap();
        for at in [1, 2, 7, 31, 32, 63] {
            for level in 0..6 {
                let mut damaged = set.shreds[at].clone();
                damaged[chained_root_at(at / 32, false) + 32 + 20 * level] ^= 1;
                assert_eq!(
                    bench.give(&damaged),
                    Err(Reject::BadMerkleProof),
                    "shred {at} level {level}"
                );
            }
            bench.give(&set.shreds[at]).unwrap();
        }
    }
}

/// Goal: neither a stranger nor a leader far from its slot moves the window.
#[test]
fn a_far_future_slot_leaves_the_window_where_it_is() {
    for early in [false, true] {
        let mut bench = if early { bench().early() } else { bench() };
        bench.give_all(&small(SLOT, 1).sets[0].shreds);
        for slot in [SLOT + 5, 999, u64::MAX] {
            let reject = bench.give(&forged(slot, 0, 9, 2).shreds[0]);
            assert_eq!(reject, Err(Reject::SlotOutOfWindow));
        }
        // Within reach, but of a stranger.
        let stranger = bench.give(&forged(SLOT + 4, 0, 9, 2).shreds[0]);
        assert_eq!(stranger, Err(Reject::BadLeaderSignature));
        // Signed by the one who will lead it, much too early.
        assert_eq!(
            bench.give(&small(900, 9).sets[0].shreds[0]),
            Err(Reject::SlotOutOfWindow)
        );
        assert_eq!(bench.resolver.highest_slot(), Some(Slot(SLOT)));
        bench.give_all(&small(SLOT + 1, 2).sets[0].shreds);
        assert_eq!(bench.resolver.highest_slot(), Some(Slot(SLOT + 1)));
        assert_eq!(bench.notes.ids(), [1, 2]);
    }
}

#[test]
fn only_what_is_authentic_moves_the_window_after_silence() {
    let mut bench = bench();
    bench.give_all(&small(SLOT, 1).sets[0].shreds);
    bench.at.0 += plan(1).resync_after.0 + 1;
    assert_eq!(
        bench.give(&forged(500, 0, 9, 2).shreds[0]),
        Err(Reject::BadLeaderSignature)
    );
    assert_eq!(bench.resolver.highest_slot(), Some(Slot(SLOT)));
    bench.give_all(&small(500, 2).sets[0].shreds);
    assert_eq!(bench.resolver.highest_slot(), Some(Slot(500)));
    assert_eq!(bench.resolver.counters().window_resynced, 1);
    assert_eq!(bench.notes.ids(), [1, 2]);
}

/// Goal: one stamp from a clock gone wrong does not keep the window where it is for good.
#[test]
fn a_stamp_from_the_future_does_not_put_off_the_resync() {
    let mut bench = bench();
    let now = bench.at;
    bench.at = Nanos(u64::MAX / 2);
    bench.give(&small(SLOT, 1).sets[0].shreds[0]).unwrap();
    bench.at = now;
    bench.give(&small(SLOT, 1).sets[0].shreds[1]).unwrap();
    bench.at.0 += plan(1).resync_after.0 + 2_000;
    bench.give(&small(500, 2).sets[0].shreds[0]).unwrap();
    assert_eq!(bench.resolver.highest_slot(), Some(Slot(500)));
}

#[test]
fn the_slot_ring_wraps() {
    let mut bench = bench();
    for slot in SLOT..SLOT + 100 {
        let block = small(slot, slot);
        bench.give_all(&block.sets[0].shreds);
        assert_eq!(bench.give(&block.sets[0].shreds[0]), Err(Reject::Duplicate));
        if let Some(old) = slot.checked_sub(5).filter(|old| *old >= SLOT) {
            assert_eq!(
                bench.give(&small(old, old).sets[0].shreds[0]),
                Err(Reject::SlotOutOfWindow)
            );
        }
    }
    assert_eq!(bench.notes.ids(), (SLOT..SLOT + 100).collect::<Vec<_>>());
}

#[test]
fn the_first_and_the_last_slots_there_are() {
    for slots in [0..6, u64::MAX - 5..u64::MAX] {
        let ids: Vec<u64> = slots.clone().collect();
        let mut bench = Bench::new(&plan(4), Schedule::of(&key(1), slots.clone()));
        for slot in slots {
            let mut block = small(slot, slot);
            block.last(&payload::ticks(2, 1));
            bench.give_all(block.shreds());
        }
        assert_eq!(bench.notes.ids(), ids);
        assert_eq!(bench.notes.blocks.len(), ids.len());
    }
}

/// Goal: a transaction is told wherever it is cut, by the end of a full shred or of a short one.
#[test]
fn a_transaction_split_at_every_byte_over_two_shreds() {
    let (first, second) = (payload::legacy(1, 20), payload::v0(2, 40));
    let batch = payload::one_entry(&[first, second]);
    for cut in 0..=batch.len() {
        let mut block = block(SLOT);
        block.push(
            &batch,
            Shape::Pieces(vec![cut, batch.len() - cut]),
            DATA_COMPLETE,
        );
        let mut bench = bench();
        bench.give(&block.sets[0].shreds[0]).unwrap();
        bench.give(&block.sets[0].shreds[1]).unwrap();
        assert_eq!(bench.notes.ids(), [1, 2], "cut at {cut}");
    }
    // By the end of full shreds: what comes before pushes the transaction along.
    for lead in 0..=400 {
        let filler = payload::legacy(1, capacity(false) - 700 + lead);
        let mut block = block(SLOT);
        block.batch(&payload::one_entry(&[
            filler,
            payload::v0(2, 40),
            payload::legacy(3, 0),
        ]));
        let mut bench = bench();
        block
            .data()
            .take(2)
            .for_each(|shred| bench.give(shred).unwrap());
        assert_eq!(bench.notes.ids(), [1, 2, 3], "lead {lead}");
    }
}

#[test]
fn a_transaction_split_at_every_byte_over_two_sets() {
    let batch = payload::one_entry(&[payload::legacy(1, 20), payload::v1(2, 40)]);
    for cut in 0..batch.len() {
        let mut block = block(SLOT);
        let mut lens = vec![0; 33];
        (lens[31], lens[32]) = (cut, batch.len() - cut);
        block.push(&batch, Shape::Pieces(lens), DATA_COMPLETE);
        assert_eq!(block.sets.len(), 2);
        // The second set first, too.
        for order in [[0, 1], [1, 0]] {
            let mut bench = bench();
            order
                .iter()
                .for_each(|set| bench.give_all(&block.sets[*set].shreds[..32]));
            assert_eq!(bench.notes.ids(), [1, 2], "cut at {cut}");
            let holder = if cut <= 56 + payload::legacy(1, 20).len() {
                32
            } else {
                0
            };
            assert_eq!(bench.notes.lines[&1].fec_set_index, holder, "cut at {cut}");
        }
    }
}

#[test]
fn a_v1_transaction_of_4096_bytes_over_five_shreds_and_over_sets() {
    let batch = payload::one_entry(&[payload::v1_of_len(1, 4096), payload::legacy(2, 0)]);
    for lead in [0, 1, 100, 467] {
        let mut lens = vec![lead, 963, 963, 963, 963];
        lens.push(batch.len() - lens.iter().sum::<usize>());
        for before in [0, 27, 28, 29, 30, 31] {
            let lens = [vec![0; before], lens.clone()].concat();
            let mut block = block(SLOT);
            block.push(&batch, Shape::Pieces(lens), DATA_COMPLETE);
            let mut bench = bench();
            bench.give_all(block.data());
            assert_eq!(
                bench.notes.ids(),
                [1, 2],
                "lead {lead}, {before} empty before"
            );
        }
    }
}

/// Goal: counts bound nothing but what their bytes bear out, and the next batch is read all the same.
#[test]
fn counts_of_u64_max_are_only_counts() {
    let mut endless_entries = payload::one_entry(&txns(0..3));
    endless_entries[..8].fill(0xff);
    let mut endless_txns = payload::one_entry(&txns(3..6));
    endless_txns[48..56].fill(0xff);
    let mut block = block(SLOT);
    block
        .batch(&endless_entries)
        .batch(&endless_txns)
        .batch(&payload::one_entry(&txns(6..7)));
    let mut bench = bench();
    bench.give_all(block.data());
    assert_eq!(bench.notes.ids(), (0..7).collect::<Vec<_>>());
    assert_eq!(bench.resolver.counters().batch_malformed, 2);
    assert_eq!(bench.resolver.counters().batch_completed, 1);
}

/// Goal: code shreds that the leader signed, but that are no parity of its data shreds, bring nothing back and
/// spoil nothing.
#[test]
fn code_shreds_that_do_not_match_are_flagged_and_not_mixed() {
    let mut set = Set::new(
        small(SLOT, 1).sets[0].head,
        &pieces_of(&small(SLOT, 1).sets[0]),
    );
    for code in &mut set.shreds[32..] {
        code[500] ^= 1;
    }
    let set = set.seal(&key(1));
    for policy in [
        Policy::VerifyThenEmit,
        Policy::EmitThenVerify,
        Policy::Trusted,
    ] {
        let mut bench = bench();
        bench.policy = policy;
        bench.give_all(&set.shreds[1..20]);
        bench.give_all(&set.shreds[32..50]);
        assert_eq!(bench.notes.mismatches, [(Slot(SLOT), FecSetIndex(0))]);
        assert!(bench.notes.lines.is_empty());
        bench.give_all(&set.shreds[50..]);
        bench.give_all(&set.shreds[20..32]);
        assert!(bench.notes.lines.is_empty());
        bench.give(&set.shreds[0]).unwrap();
        assert_eq!(bench.notes.ids(), [1]);
        assert_eq!(bench.notes.mismatches.len(), 1);
        assert_eq!(bench.resolver.counters().shred_recovered, 0);
    }
}

/// Goal: what nobody vouches for costs no authentic set its bytes, its place or its turn, however much of it comes
/// and however little memory there is.
#[test]
fn a_flood_of_junk_evicts_nothing() {
    for early in [false, true] {
        let plan = Plan {
            versions_max: 4,
            ..plan(4)
        };
        let mut bench = Bench::new(&plan, leaders());
        if early {
            bench = bench.early();
        }
        let blocks: Vec<Block> = (0..4).map(|at| small(SLOT + at, at)).collect();
        for block in &blocks {
            block.sets[0].shreds[1..16]
                .iter()
                .for_each(|shred| bench.give(shred).unwrap());
        }
        let mut dice = Dice(3);
        for round in 0..40u64 {
            for slot in SLOT - 2..SLOT + 10 {
                let set = forged(slot, 32 * (round as u32 % 4), 1000 + round, 2);
                assert!(bench.give(&set.shreds[dice.below(64)]).is_err());
            }
            let mut noise = blocks[0].sets[0].shreds[dice.below(64)].clone();
            let at = dice.below(noise.len() - 25);
            noise[at] ^= 1;
            assert!(bench.give(&noise).is_err());
        }
        assert_eq!(bench.resolver.counters().set_evicted, 0);
        assert_eq!(bench.resolver.highest_slot(), Some(Slot(SLOT + 3)));
        for block in &blocks {
            bench.give(&block.sets[0].shreds[0]).unwrap();
        }
        assert_eq!(bench.notes.ids(), [0, 1, 2, 3]);
    }
}

/// Goal: a leader that signs shreds of all the sets its slots may have takes no more than its share.
#[test]
fn a_leader_cannot_sign_its_way_through_everybodys_memory() {
    let plan = Plan {
        versions_max: 1024,
        ..plan(64)
    };
    let mut bench = Bench::new(&plan, leaders());
    let honest: Vec<Block> = (0..4).map(|at| small(SLOT + at, at)).collect();
    for block in &honest {
        bench.give(&block.sets[0].shreds[1]).unwrap();
    }
    let greedy = SLOT + 4;
    for set in 0..64 {
        let _ = bench.give(&forged(greedy, 32 * set, 500, 1).shreds[0]);
    }
    assert!(
        rejected(bench.resolver.counters(), Reject::SlabsExhausted) > 0
            || bench.notes.lines.len() == 1
    );
    assert_eq!(bench.resolver.counters().set_evicted, 0);
    for block in &honest {
        bench.give(&block.sets[0].shreds[0]).unwrap();
    }
    assert!(bench.notes.ids().ends_with(&[0, 1, 2, 3]));
}

/// Goal: sets of lower slots give way to authentic ones, unread ones last, and their transactions are not told
/// twice.
#[test]
fn authentic_sets_make_lower_slots_give_way() {
    for sets_max in [1, 2, 3] {
        let mut bench = Bench::new(
            &Plan {
                versions_max: 64,
                ..plan(sets_max)
            },
            leaders(),
        );
        for slot in SLOT..SLOT + 4 {
            let block = small(slot, slot);
            bench.give(&block.sets[0].shreds[1]).unwrap();
        }
        assert_eq!(bench.resolver.counters().set_evicted, 4 - sets_max as u64);
        for slot in SLOT..SLOT + 4 {
            let evicted = slot < SLOT + 4 - sets_max as u64;
            let expected = if evicted {
                Err(Reject::SlabsExhausted)
            } else {
                Ok(())
            };
            assert_eq!(bench.give(&small(slot, slot).sets[0].shreds[0]), expected);
        }
        assert_eq!(bench.notes.lines.len(), sets_max);
    }
}

#[test]
fn versions_run_out_and_the_lowest_slots_are_given_up() {
    for versions_max in [1, 2, 3] {
        let mut bench = Bench::new(
            &Plan {
                versions_max,
                ..plan(8)
            },
            leaders(),
        );
        for slot in SLOT..SLOT + 4 {
            bench.give_all(&small(slot, slot).sets[0].shreds);
        }
        assert_eq!(bench.notes.ids(), (SLOT..SLOT + 4).collect::<Vec<_>>());
        let given_up = bench.give(&small(SLOT, SLOT).sets[0].shreds[0]);
        assert_eq!(given_up, Err(Reject::SlotOutOfWindow), "told once");
        // A set of the same slot has nobody to take from.
        if versions_max == 1 {
            let more = bench.give(&forged(SLOT + 3, 32, 7, 1).shreds[0]);
            assert_eq!(more, Err(Reject::VersionsExhausted));
        }
    }
}

/// Goal: slabs of read sets come back in the order of reading, whatever has been forgotten in between.
#[test]
fn memory_for_few_sets_serves_many_slots() {
    let mut bench = Bench::new(
        &Plan {
            versions_max: 256,
            ..plan(3)
        },
        leaders(),
    );
    let mut expected = Vec::new();
    for slot in SLOT..SLOT + 60 {
        let mut block = block(slot);
        for part in 0..3 {
            let first = slot * 1000 + 200 * part;
            block.batch(&payload::one_entry(&txns(first..first + 130)));
            expected.extend(first..first + 130);
        }
        // Two sets a batch, the second going on where the first left off.
        assert_eq!(block.sets.len(), 6);
        block
            .sets
            .iter()
            .for_each(|set| bench.give_all(&set.shreds[8..48]));
    }
    assert_eq!(bench.notes.ids(), expected);
    assert_eq!(bench.resolver.counters().set_evicted, 0);
}

/// Goal: a set that the next one goes on from keeps its bytes while others can do without theirs, whatever was read
/// in slots that are gone.
#[test]
fn forgotten_slots_do_not_decide_whose_bytes_are_reused() {
    let mut bench = Bench::new(&plan(16), leaders());
    let mut expected = Vec::new();
    let mut slot = SLOT;
    for round in 0..16u64 {
        for _ in 0..3 {
            slot += 1;
            let mut block = block(slot);
            for part in 0..=round % 5 {
                let id = slot * 10_000 + part;
                block.batch(&payload::one_entry(&txns(id..id + 1)));
                expected.push(id);
            }
            bench.give_all(block.data());
        }
        slot += 4;
        let (first, end) = (slot * 10_000, slot * 10_000 + 2000);
        let mut long = block(slot);
        long.batch(&payload::one_entry(&txns(first..end)));
        assert!(long.sets.len() > 16);
        bench.give_all(long.data());
        expected.extend(first..end);
    }
    assert_eq!(bench.notes.ids(), expected);
}

/// Goal: what was carried into a set is there again after a forged shred has used it up and been revoked.
#[test]
fn a_revoked_reading_leaves_the_carried_bytes_as_they_were() {
    let mut txns = vec![
        payload::legacy(1, 30),
        payload::v1_of_len(2, 4000),
        payload::legacy(3, 700),
    ];
    txns.extend((4..12).map(|id| payload::legacy(id, 10)));
    let batch = payload::one_entry(&txns);
    let mut block = block(SLOT);
    let mut lens = vec![0; 31];
    lens.extend([800, 963, 963, 963, 963, 963]);
    lens.push(batch.len() - lens.iter().sum::<usize>());
    block.push(&batch, Shape::Pieces(lens), DATA_COMPLETE);
    assert_eq!(block.sets.len(), 2);
    let mut bench = bench().early();
    bench.give_all(&block.sets[0].shreds[..32]);
    let second = &block.sets[1].shreds;
    bench.give(&second[40]).unwrap();
    for at in 0..5 {
        for shred in second.iter().take(5).skip(at) {
            // Goes on with what is carried and ends inside another transaction, which would be carried instead.
            let mut forged = shred.clone();
            forged[86..88].copy_from_slice(&1000u16.to_le_bytes());
            forged[88..1000].fill(1);
            assert_eq!(bench.give(&forged), Err(Reject::BadMerkleProof));
            let mut damaged = shred.clone();
            damaged[1000] ^= 1;
            assert_eq!(bench.give(&damaged), Err(Reject::BadMerkleProof));
        }
        bench.give(&second[at]).unwrap();
    }
    bench.give_all(&second[5..]);
    let told = bench.notes.lines.values().map(|line| &line.bytes);
    assert!(told.eq(&txns));
    assert!(bench.notes.lines.values().all(|line| line.verified));
    assert!(!bench.notes.revoked.is_empty());
}

/// Goal: a forged first shred is told, revoked and forgotten; the set begins as if it had never come.
#[test]
fn a_forged_first_shred_is_revoked() {
    let mut bench = bench().early();
    bench.give_all(&small(SLOT, 1).sets[0].shreds);
    let counters = bench.resolver.counters().clone();
    assert_eq!(
        bench.give(&forged(SLOT + 1, 0, 66, 2).shreds[0]),
        Err(Reject::BadLeaderSignature)
    );
    assert_eq!(
        bench
            .notes
            .revoked
            .iter()
            .map(|line| payload::id_of(&line.signature))
            .collect::<Vec<_>>(),
        [66]
    );
    let after = bench.resolver.counters();
    assert_eq!(after.transaction_revoked, 1);
    assert_eq!(
        (after.batch_completed, after.set_opened),
        (counters.batch_completed, counters.set_opened)
    );
    bench.give_all(&small(SLOT + 1, 2).sets[0].shreds);
    assert_eq!(bench.notes.ids(), [1, 2]);
}

/// Goal: an abort or a new parent that nobody signed retracts nothing.
#[test]
fn a_forged_marker_retracts_nothing() {
    for batch in [vec![0; 8], payload::update_parent(90)] {
        let mut bench = bench().early();
        let mut honest = small(SLOT, 1);
        bench.give_all(honest.shreds());
        let mut stranger = Block::new(&key(2), SLOT);
        stranger.sets = honest.sets.clone();
        stranger.batch(&batch);
        for shred in &stranger.sets[1].shreds {
            assert!(bench.give(shred).is_err());
        }
        assert!(bench.notes.retracts.is_empty());
        honest.batch(&batch);
        bench.give_all(&honest.sets[1].shreds);
        assert_eq!(bench.notes.retracts.len(), 1);
    }
}

#[test]
fn a_new_parent_voids_what_came_before_it() {
    let mut block = block(SLOT);
    block
        .batch(&payload::header(99))
        .batch(&payload::one_entry(&txns(1..3)));
    block
        .batch(&payload::update_parent(95))
        .batch(&payload::one_entry(&txns(3..4)))
        .last(&payload::footer());
    let mut bench = bench();
    // The set before the marker comes after it, but for the shred that says where the marker begins.
    bench.give_all(&block.sets[1].shreds[31..32]);
    for set in [0, 2, 1, 3, 4] {
        bench.give_all(&block.sets[set].shreds);
    }
    let reason = RetractReason::UpdateParent {
        parent_slot: Slot(95),
    };
    assert_eq!(bench.notes.retracts.len(), 1);
    assert_eq!(
        (
            bench.notes.retracts[0].before,
            bench.notes.retracts[0].reason
        ),
        (FecSetIndex(64), reason)
    );
    let retracted: Vec<_> = bench
        .notes
        .lines
        .values()
        .map(|line| line.retracted)
        .collect();
    assert_eq!(retracted, [true, true, false]);
    assert_eq!(bench.notes.blocks.len(), 1);
    assert_eq!(
        (
            bench.notes.blocks[0].parent_slot,
            bench.notes.blocks[0].transactions
        ),
        (Slot(95), 1)
    );
}

#[test]
fn an_abandoned_block_is_retracted_and_never_whole() {
    for end in [vec![0; 8], vec![1]] {
        let mut block = small(SLOT, 1);
        block.push(&end, Shape::Full, LAST_IN_SLOT);
        let mut bench = bench();
        bench.give_all(block.shreds());
        assert_eq!(bench.notes.retracts.len(), 1);
        assert_eq!(bench.notes.retracts[0].reason, RetractReason::Abandoned);
        assert!(bench.notes.blocks.is_empty());
    }
}

#[test]
fn a_limit_that_is_no_multiple_of_a_set() {
    let limits = ShredLimits {
        shreds_per_slot_max: 40,
    };
    let mut bench = Bench::new(&Plan { limits, ..plan(8) }, leaders());
    let mut block = small(SLOT, 1);
    block.batch(&payload::one_entry(&txns(2..3)));
    let above = Err(Reject::Malformed(ShredReject::IndexAboveLimit));
    for (at, shred) in block.shreds().enumerate() {
        let outcome = bench.give(shred);
        assert_eq!(outcome == above, at >= 64 && at % 32 >= 8, "shred {at}");
    }
    assert_eq!(bench.notes.ids(), [1, 2]);
}

/// Goal: without leaders a corrupted shred, or a stranger's set under a copied signature, keeps no set out and
/// holds no window.
#[test]
fn without_leaders_junk_keeps_nothing_out() {
    for early in [false, true] {
        let mut bench = Bench::new(&plan(64), NoLeaders);
        if early {
            bench = bench.early();
        }
        // The first shred ever, with a flipped bit in its slot.
        let set = small(SLOT, 1).sets.remove(0);
        let mut spoiled = set.shreds[5].clone();
        spoiled[70] ^= 1;
        let _ = bench.give(&spoiled);
        // A whole set under the signature of another.
        let signature = *set.shreds[0].first_chunk().unwrap();
        let copied = forged(SLOT, 0, 66, 2).with_signature(&signature);
        bench.give_all(&copied.shreds);
        let mut spoiled = set.shreds[9].clone();
        spoiled[200] ^= 1;
        let _ = bench.give(&spoiled);
        bench.give_all(&set.shreds);
        assert!(bench.notes.ids().contains(&1), "{:?}", bench.notes.ids());
        assert!(
            bench
                .notes
                .lines
                .values()
                .all(|line| line.root != Some(set.root) || line.signature == payload::signature(1))
        );
        assert_eq!(bench.resolver.highest_slot(), Some(Slot(SLOT)));
    }
}
