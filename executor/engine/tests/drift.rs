//! Goal: a venue that is disabled is not entered and can be left, errors of our own disable it, and none of that
//! allocates or changes anything for a run in which nothing is disabled.
#![allow(clippy::unwrap_used)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{World, config};
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

/// Three transactions of ours end with errors of a moved layout: the fourth is not sent.
#[test]
fn errors_of_our_own_disable_their_venue_and_nothing_allocates() {
    let mut config = config();
    config.failure_limit = FailureLimit {
        count: 3,
        window: Nanos(60_000_000_000),
    };
    let mut world = World::new(&config);
    world.launch(DEV_BUY);
    let intent_id = world.ring.bundles[0].intent_id;
    let calls = heap_calls_of(|| {
        for code in [2_006, 6_002, 6_000] {
            world.engine.failed(intent_id, code);
        }
        // Nobody's.
        for _ in 0..9 {
            world.engine.failed(77, 2_006);
        }
    });
    assert_eq!(calls, 0);
    assert_eq!(world.control.venues().disabled(Venue::PumpV3), None);
    let calls = heap_calls_of(|| world.engine.failed(intent_id, 6_062));
    assert_eq!(calls, 0);
    let reason = world.control.venues().disabled(Venue::PumpV3);
    assert_eq!(reason, Some(Disabled::ErrorsRepeated));
    assert_eq!(world.control.venues().disabled(Venue::PumpV2), None);
    let counters = world.engine.counters();
    assert_eq!((counters.own_error_told, counters.venue_disabled), (4, 1));
}

/// The same codes, too far apart.
#[test]
fn errors_that_come_slowly_disable_nothing() {
    let mut config = config();
    config.failure_limit = FailureLimit {
        count: 3,
        window: Nanos(1_000_000_000),
    };
    let mut world = World::new(&config);
    world.launch(DEV_BUY);
    let intent_id = world.ring.bundles[0].intent_id;
    for _ in 0..8 {
        world.engine.failed(intent_id, 2_006);
        world.blocks(2);
        world.stranger_buys(1_000_000);
    }
    let counters = world.engine.counters();
    assert_eq!((counters.own_error_told, counters.venue_disabled), (8, 0));
}
