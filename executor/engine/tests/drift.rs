//! Goal: a venue that is disabled is not entered and can be left, errors of our own disable it, and none of that
//! allocates or changes anything for a run in which nothing is disabled.
#![allow(clippy::unwrap_used)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::pools::{COIN, CP_POOL, cp, swap_bytes};
use common::{World, config, signal};
use risk::{Disabled, FailureLimit, Refusal};
use shred_wire::Nanos;
use strategy::Venue;

/// Counts what this thread asks of the heap.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is being torn down has no counter any more, and nothing to measure.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is passed on unchanged to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's contract, passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn heap_calls_of(work: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

/// A dev buy that the strategy follows.
const DEV_BUY: u64 = 1_000_000_000;

fn refused(world: &World) -> u64 {
    world.engine.gate().counters().refused[Refusal::VenueDisabled as usize]
}

#[test]
fn a_disabled_venue_is_not_entered_and_others_do_not_care() {
    let mut world = World::new(&config());
    world
        .control
        .venues()
        .disable(Venue::PumpV3, Disabled::ProgramChanged);
    world.launch(DEV_BUY);
    assert_eq!(world.passed_notes(), ["refused VenueDisabled"]);
    assert_eq!((world.ring.bundles.len(), refused(&world)), (0, 1));

    let mut other = World::new(&config());
    other
        .control
        .venues()
        .disable(Venue::RaydiumCp, Disabled::ProgramChanged);
    other.launch(DEV_BUY);
    assert_eq!(other.passed_notes(), ["handed Buy Launch"]);
    let mut untouched = World::new(&config());
    untouched.launch(DEV_BUY);
    assert_eq!(
        other.engine.state_hash(),
        untouched.engine.state_hash(),
        "what is disabled elsewhere changes nothing here"
    );
}

#[test]
fn what_is_held_on_a_disabled_venue_is_left() {
    let mut world = World::new(&config());
    world.launch(DEV_BUY);
    world.land_last();
    assert_eq!(world.engine.positions().count(), 1);
    world
        .control
        .venues()
        .disable(Venue::PumpV3, Disabled::ErrorsRepeated);
    world.passed_notes();
    world.engine.flatten(&mut world.ring);
    assert_eq!(world.passed_notes(), ["handed Sell Stop"]);
    assert_eq!(refused(&world), 0);
}

/// Two coins of one venue are entered; the intents' ids.
fn in_two_coins(window: Nanos) -> (World, [u64; 2]) {
    let mut config = config();
    config.failure_limit = FailureLimit { count: 2, window };
    let mut world = World::new(&config);
    let (coins, pools) = ([COIN, [0x58; 32]], [CP_POOL, [0x73; 32]]);
    let entered = [0, 1].map(|at| {
        let truth = cp(pools[at], coins[at], 100 * DEV_BUY, 9);
        world.engine.pool_truth(&truth);
        let buy = signal(&world, 1 + at as u64, coins[at]);
        world.engine.arm(&buy, world.now()).unwrap();
        let mut bytes = swap_bytes(1_000);
        for (from, to) in [(COIN, coins[at]), (CP_POOL, pools[at])] {
            let places = 0..bytes.len() - 31;
            let found = places.filter(|place| bytes[*place..][..32] == from);
            for place in found.collect::<Vec<_>>() {
                bytes[place..][..32].copy_from_slice(&to);
            }
        }
        world.send_bytes(&bytes, |_| {});
        assert_eq!(world.ring.bundles.len(), at + 1);
        world.ring.bundles[at].intent_id
    });
    (world, entered)
}

/// Regression: what several lanes told of one transaction, or several transactions in one coin, disabled a venue: whoever
/// had made the coin could have that.
#[test]
fn errors_in_two_coins_disable_their_venue_and_nothing_allocates() {
    let (mut world, [one, other]) = in_two_coins(Nanos(60_000_000_000));
    let calls = heap_calls_of(|| {
        for code in [6_002, 2_006, 6_000, 6_062, 2_006] {
            world.engine.failed(one, code);
        }
        // Nobody's.
        for _ in 0..9 {
            world.engine.failed(77, 2_006);
        }
    });
    assert_eq!(calls, 0);
    assert_eq!(world.control.venues().disabled(Venue::RaydiumCp), None);
    assert_eq!(world.engine.counters().own_error_told, 1);
    let calls = heap_calls_of(|| world.engine.failed(other, 6_062));
    assert_eq!(calls, 0);
    let reason = world.control.venues().disabled(Venue::RaydiumCp);
    assert_eq!(reason, Some(Disabled::ErrorsRepeated));
    assert_eq!(world.control.venues().disabled(Venue::PumpV3), None);
    let counters = world.engine.counters();
    assert_eq!((counters.own_error_told, counters.venue_disabled), (2, 1));
}

/// The same codes, too far apart.
#[test]
fn errors_that_come_slowly_disable_nothing() {
    let (mut world, [one, other]) = in_two_coins(Nanos(1_000_000_000));
    world.engine.failed(one, 2_006);
    world.blocks(10);
    world.stranger_buys(1_000_000);
    world.engine.failed(other, 2_006);
    let counters = world.engine.counters();
    assert_eq!((counters.own_error_told, counters.venue_disabled), (2, 0));
}
