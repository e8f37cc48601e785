//! Sources that the operator vouches for, beside sources of strangers.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::shredder::{Block, key};
use common::{Bench, Schedule, payload, plan};
use shred_resolve::{Checker, Leaders, NoLeaders, Plan, Policy, Reject};

const SLOT: u64 = 100;

fn leaders() -> Schedule {
    Schedule::of(&key(1), 0..1000)
}

/// A slot of one set with these transactions.
fn block_at(slot: u64, ids: std::ops::Range<u64>) -> Block {
    let mut block = Block::new(&key(1), slot);
    let txns: Vec<_> = ids.map(|id| payload::legacy(id, 150)).collect();
    block.batch(&payload::one_entry(&txns));
    block
}

fn block(ids: std::ops::Range<u64>) -> Block {
    block_at(SLOT, ids)
}

fn trusting<L: Leaders>(plan: &Plan, leaders: L) -> Bench<L> {
    let mut bench = Bench::new(plan, leaders);
    bench.policy = Policy::Trusted;
    bench
}

/// Goal: no signature is checked, here or elsewhere, recovery included; and all counts as verified, with leaders and
/// without.
#[test]
fn nothing_is_checked_twice() {
    let ids: Vec<u64> = (0..20).collect();
    let shreds = &block(0..20).sets[0].shreds;
    let plan = Plan {
        checks_max: 8,
        ..plan(64)
    };
    for lost in [0, 1, 9, 32] {
        let mut with = trusting(&plan, leaders());
        let mut without = trusting(&plan, NoLeaders);
        with.give_all(&shreds[lost..32 + lost]);
        without.give_all(&shreds[lost..32 + lost]);
        assert!(with.resolver.next_check().is_none());
        assert!(without.resolver.next_check().is_none());
        for (notes, counters) in [
            (&with.notes, with.resolver.counters()),
            (&without.notes, without.resolver.counters()),
        ] {
            assert_eq!(notes.ids(), ids, "{lost} lost");
            assert!(notes.lines.values().all(|line| line.verified));
            assert_eq!(counters.signature_checked, 0);
            assert_eq!(counters.shred_recovered, lost as u64);
            assert_eq!(counters.transaction_unverified, 0);
            assert_eq!(counters.transaction_revoked, 0);
            assert!(notes.verdicts.is_empty());
        }
    }
}

/// Goal: what strangers send beside a trusted source is checked as ever, against a tree of which only what the
/// trusted source brought is known.
/// Method: every second shred by either; then forgeries under the true signature, of what is missing and of what is
/// there.
#[test]
fn strangers_are_checked_all_the_same() {
    let shreds = &block(0..20).sets[0].shreds;
    let mut bench = trusting(&plan(64), leaders());
    for (at, shred) in shreds[..30].iter().enumerate() {
        bench.policy = [Policy::Trusted, Policy::VerifyThenEmit][at % 2];
        bench.give(shred).unwrap();
    }
    bench.policy = Policy::VerifyThenEmit;
    let told = bench.notes.ids();
    for (at, shred) in shreds.iter().enumerate() {
        let mut forged = shred.clone();
        forged[200] ^= 1;
        // A set that is only vouched for may be a forgery itself: who else signed is looked at.
        let refused = Err(Reject::BadLeaderSignature);
        assert_eq!(bench.give(&forged), refused, "shred {at}");
    }
    let checked = bench.resolver.counters().signature_checked;
    // What is there already is only compared.
    for shred in &shreds[..30] {
        assert_eq!(bench.give(shred), Err(Reject::Duplicate));
    }
    assert_eq!(bench.notes.ids(), told);
    assert_eq!(bench.resolver.counters().signature_checked, checked);
    bench.give_all(&shreds[40..42]);
    assert_eq!(bench.notes.ids(), (0..20).collect::<Vec<_>>());
    assert_eq!(bench.resolver.counters().shred_recovered, 2);
}

/// Goal: a copy of a shred with something else in it, sent before the true one, keeps nothing out.
#[test]
fn a_forgery_that_comes_first_is_passed_by() {
    let shreds = &block(0..20).sets[0].shreds;
    let mut forged = shreds[0].clone();
    forged[200] ^= 1;
    for checks_max in [0, 8] {
        let plan = Plan {
            checks_max,
            ..plan(64)
        };
        for policy in [Policy::VerifyThenEmit, Policy::EmitThenVerify] {
            let mut bench = trusting(&plan, leaders());
            bench.policy = policy;
            let _ = bench.give(&forged);
            bench.policy = Policy::Trusted;
            let early = bench.notes.lines.len();
            bench.give_all(&shreds[..32]);
            assert_eq!(bench.notes.lines.len() - early, 20, "{policy:?}");
            let mut checker = Checker::new();
            while let Some(check) = bench.resolver.next_check() {
                let checked = checker.check(&check);
                bench.resolver.checked(checked, &mut bench.notes);
            }
            assert_eq!(bench.notes.lines.len(), 20, "{policy:?}");
            assert!(bench.notes.lines.values().all(|line| line.verified));
        }
    }
}

/// Goal: a set that a stranger opened, and whose signature is being checked elsewhere, waits no longer once a trusted
/// source has sent a shred of it. The answer that comes late changes nothing.
#[test]
fn a_trusted_shred_ends_the_wait() {
    let shreds = &block(0..20).sets[0].shreds;
    let plan = Plan {
        checks_max: 8,
        ..plan(64)
    };
    let mut bench = Bench::new(&plan, leaders());
    // The very first shred says where the window is, and is checked at once.
    bench
        .give(&block_at(SLOT - 1, 20..21).sets[0].shreds[9])
        .unwrap();
    bench.give_all(&shreds[..31]);
    assert!(bench.notes.lines.is_empty());
    let check = bench.resolver.next_check().unwrap();
    bench.policy = Policy::Trusted;
    bench.give(&shreds[31]).unwrap();
    assert_eq!(bench.notes.ids(), (0..20).collect::<Vec<_>>());
    assert!(bench.notes.lines.values().all(|line| line.verified));
    let told = bench.notes.lines.clone();
    let checked = Checker::new().check(&check);
    bench.resolver.checked(checked, &mut bench.notes);
    assert_eq!(bench.notes.lines, told);
    assert!(bench.notes.verdicts.is_empty());
}

/// Goal: a stranger who opens the set under a signature of his own revokes nothing that a trusted source stands for.
#[test]
fn a_forged_signature_over_the_true_root_revokes_nothing() {
    let shreds = &block(0..20).sets[0].shreds;
    let plan = Plan {
        checks_max: 8,
        ..plan(64)
    };
    let mut bench = Bench::new(&plan, leaders());
    bench
        .give(&block_at(SLOT - 1, 20..21).sets[0].shreds[9])
        .unwrap();
    let mut forged = shreds[0].clone();
    forged[3] ^= 1;
    bench.policy = Policy::EmitThenVerify;
    bench.give(&forged).unwrap();
    let early = bench.notes.lines.len();
    assert!(early > 0);
    let check = bench.resolver.next_check().unwrap();
    bench.policy = Policy::Trusted;
    bench.give_all(&shreds[1..32]);
    let checked = Checker::new().check(&check);
    assert!(!checked.authentic);
    bench.resolver.checked(checked, &mut bench.notes);
    assert_eq!(bench.notes.ids(), (0..20).collect::<Vec<_>>());
    assert!(bench.notes.lines.values().all(|line| line.verified));
    assert_eq!(bench.resolver.counters().transaction_revoked, 0);
    assert_eq!(bench.resolver.counters().shred_accepted, 33);
}

/// Goal: junk that a trusted source was believed keeps no signed set out.
#[test]
fn junk_that_was_believed_keeps_nothing_signed_out() {
    for checks_max in [0, 8] {
        let plan = Plan {
            checks_max,
            ..plan(64)
        };
        let mut bench = trusting(&plan, leaders());
        bench
            .give(&block_at(SLOT - 1, 20..21).sets[0].shreds[9])
            .unwrap();
        let block = block(0..20);
        let shreds = &block.sets[0].shreds;
        for version in 0..4u8 {
            let mut junk = shreds[0].clone();
            junk[3] ^= version;
            junk[200] ^= 1 + version;
            let _ = bench.give(&junk);
        }
        bench.policy = Policy::VerifyThenEmit;
        bench.give_all(&shreds[..32]);
        let mut checker = Checker::new();
        while let Some(check) = bench.resolver.next_check() {
            let checked = checker.check(&check);
            bench.resolver.checked(checked, &mut bench.notes);
        }
        let ids = bench.notes.ids();
        assert!((0..20).all(|id| ids.contains(&id)), "{ids:?}");
    }
}
