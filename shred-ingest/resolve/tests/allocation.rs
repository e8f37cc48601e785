//! A resolver neither allocates nor frees once it is built.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::shredder::{Block, Set, SetHead, key};
use common::{Dice, Schedule, payload, plan};
use shred_resolve::{Arrival, Checker, Plan, Policy, ResolvedTxn, Resolver, Sink, SourceId};
use shred_wire::Nanos;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::VecDeque;

thread_local! {
    /// Calls to the allocator by this thread: the test harness has threads of its own.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn transaction(&mut self, _txn: &ResolvedTxn<'_>) {
        self.0 += 1;
    }
}

/// Slots enough to wrap the ring twice, with loss, disorder, repeats, corruption, forks and a foreign leader.
fn stream(dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    for slot in 100..140u64 {
        let mut block = Block::new(&key(1), slot);
        for id in 0..4 {
            let txns: Vec<_> = (0..40)
                .map(|at| payload::legacy(slot * 1000 + id * 40 + at, 200))
                .collect();
            block.batch(&payload::one_entry(&txns));
        }
        let mut fork = block.clone();
        block.last(&payload::ticks(2, 9));
        fork.last(&[0; 8]);
        let head = SetHead {
            ..block.sets[0].head
        };
        let forged = Set::new(head, &vec![vec![slot as u8; 100]; 32]).seal(&key(2));
        datagrams.extend(
            block
                .shreds()
                .chain(fork.shreds())
                .chain(&forged.shreds)
                .cloned(),
        );
    }
    datagrams.retain(|_| !dice.percent(30));
    for at in 0..datagrams.len() {
        if dice.percent(10) {
            let mut again = datagrams[at].clone();
            if dice.percent(50) {
                let place = dice.below(again.len());
                again[place] ^= 1;
            }
            datagrams.push(again);
        }
    }
    dice.shuffle(&mut datagrams, 300);
    datagrams
}

fn allocates_nothing(plan: &Plan, policy: Policy) {
    let datagrams = stream(&mut Dice(7));
    let leaders = Schedule::of(&key(1), 0..1000);
    let mut resolver = Resolver::new(plan);
    let mut told = Count::default();
    let mut checker = Checker::new();
    let mut under_way = VecDeque::with_capacity(plan.checks_max);
    let before = CALLS.get();
    for (at, datagram) in datagrams.iter().enumerate() {
        let arrival = Arrival {
            source: SourceId(0),
            policy,
            at: Nanos(at as u64 * 1000),
        };
        let _ = resolver.handle(datagram, arrival, &leaders, &mut told);
        while let Some(check) = resolver.next_check() {
            under_way.push_back(check);
        }
        if at % 20 == 0 {
            while let Some(check) = under_way.pop_front() {
                resolver.checked(checker.check(&check), &mut told);
            }
        }
    }
    assert_eq!(CALLS.get() - before, 0, "{policy:?}");
    assert!(told.0 > 1000, "{} transactions", told.0);
}

/// Goal: not one call to the allocator, with memory enough and with far too little, under every policy.
#[test]
fn handle_neither_allocates_nor_frees() {
    assert_ne!(CALLS.get(), 0, "the allocator counts");
    for policy in [
        Policy::VerifyThenEmit,
        Policy::EmitThenVerify,
        Policy::Trusted,
    ] {
        allocates_nothing(&plan(256), policy);
        allocates_nothing(&plan(7), policy);
        let elsewhere = |plan| Plan {
            checks_max: 8,
            ..plan
        };
        allocates_nothing(&elsewhere(plan(256)), policy);
        allocates_nothing(&elsewhere(plan(7)), policy);
    }
}
