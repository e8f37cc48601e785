//! Goal: a rehearsal decides nothing: with any number of them everything goes as without.
#![allow(clippy::unwrap_used)]

mod common;

use bundle::BundleCell;
use common::{World, config, signal};
use engine::{Counters, LadderPlan};

/// An entry by a signal, signed ahead, and the market's way from there, rehearsed so often before each step.
fn story(rehearsals: usize) -> (u64, Counters, Vec<Vec<u8>>) {
    let mut config = config();
    config.params.launches_enabled = false;
    let (mut world, mut worker) = World::laddered(&config, LadderPlan::default());
    let mut step = |world: &mut World, happens: &dyn Fn(&mut World)| {
        (0..rehearsals).for_each(|_| world.engine.rehearse());
        happens(world);
        while worker.poll() > 0 {}
    };
    step(&mut world, &|world| world.launch(1_000_000_000));
    step(&mut world, &|world| {
        let (buy, now) = (signal(world, 1, [0x11; 32]), world.now());
        world.engine.arm(&buy, now).unwrap();
    });
    step(&mut world, &|world| world.blocks(1));
    step(&mut world, &|world| world.stranger_buys(1_000_000));
    step(&mut world, &|world| world.land_last());
    step(&mut world, &|world| world.blocks(1));
    step(&mut world, &|world| world.stranger_buys(5_000_000_000));
    let bundles = &world.ring.bundles;
    let bytes = |cell: &BundleCell| cell.transaction(0).unwrap().to_vec();
    (
        world.engine.state_hash(),
        *world.engine.counters(),
        bundles.iter().map(bytes).collect(),
    )
}

#[test]
fn what_was_rehearsed_goes_as_what_was_not() {
    let (hash, counters, bundles) = story(0);
    assert!(
        counters.ladder_released > 0,
        "of a ladder that was rehearsed"
    );
    assert_eq!(
        counters.entry_included, 1,
        "there is a position to rehearse"
    );
    for rehearsals in [1, 7] {
        let (rehearsed_hash, rehearsed_counters, rehearsed_bundles) = story(rehearsals);
        assert_eq!(rehearsed_hash, hash);
        assert_eq!(rehearsed_counters, counters);
        assert_eq!(rehearsed_bundles, bundles);
    }
}
