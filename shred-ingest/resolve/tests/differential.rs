//! The resolver against the reference, datagram by datagram, over a hostile network.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::reference::{Reference, Whole};
use common::shredder::{Block, key};
use common::traffic::{Numbers, blocks, stranger};
use common::{Bench, Dice, Line, Schedule, plan};
use proptest::prelude::*;
use shred_resolve::{Arrival, Arrived, Checker, Plan, Policy, Reject, SourceId};
use shred_wire::Nanos;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const SLOTS: [u64; 2] = [100, 101];

/// A leader of its own for each slot.
fn leaders() -> Schedule {
    Schedule(
        SLOTS
            .iter()
            .map(|slot| (*slot, key(*slot as u8).verifying_key().to_bytes()))
            .collect(),
    )
}

/// What the network does to datagrams, in percent.
#[derive(Clone, Copy, Debug)]
struct Network {
    loss: u32,
    repeat: u32,
    corrupt: u32,
    /// Sets of another version, of another leader, under a second signature, far in the future.
    foreign: u32,
    reach: usize,
}

fn network() -> impl Strategy<Value = Network> {
    let reach = prop_oneof![Just(0), Just(8), Just(70), Just(100_000)];
    (0..50u32, 0..30u32, 0..20u32, 0..10u32, reach).prop_map(
        |(loss, repeat, corrupt, foreign, reach)| Network {
            loss,
            repeat,
            corrupt,
            foreign,
            reach,
        },
    )
}

/// All datagrams in the order in which they arrive.
///
/// Damage begins at byte `damage_from`.
fn arrivals(network: Network, dice: &mut Dice, damage_from: usize) -> Vec<Vec<u8>> {
    let mut numbers = Numbers(0);
    let blocks: Vec<Block> = SLOTS
        .iter()
        .flat_map(|slot| blocks(*slot, &mut numbers, dice))
        .collect();
    let mut datagrams = Vec::new();
    for set in blocks.iter().flat_map(|block| &block.sets) {
        datagrams.extend(set.shreds.iter().cloned());
        if dice.percent(network.foreign) {
            let stranger = stranger(set, &mut numbers, dice);
            datagrams.extend(stranger.shreds.into_iter().filter(|_| dice.percent(30)));
        }
    }
    datagrams.retain(|_| !dice.percent(network.loss));
    let mut extra = Vec::new();
    for (at, datagram) in datagrams.iter().enumerate() {
        if dice.percent(network.repeat) {
            extra.push((at, datagram.clone()));
        }
        if dice.percent(network.corrupt) {
            let mut spoiled = datagram.clone();
            for _ in 0..=dice.below(2) {
                let place = damage_from + dice.below(spoiled.len() - damage_from);
                spoiled[place] ^= 1 << dice.below(8);
            }
            extra.push((at, spoiled));
        }
    }
    for (at, datagram) in extra.into_iter().rev() {
        datagrams.insert(at, datagram);
    }
    dice.shuffle(&mut datagrams, network.reach);
    datagrams
}

/// Which policy each datagram comes under.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Sources {
    Verified,
    Early,
    Mixed,
    /// What is authentic comes by a trusted source, or by one that is not; what is not comes by the others.
    Trusted,
}

impl Sources {
    fn policy(self, dice: &mut Dice, is_authentic: bool) -> Policy {
        match self {
            Self::Early => Policy::EmitThenVerify,
            Self::Trusted if is_authentic && dice.percent(60) => Policy::Trusted,
            Self::Mixed | Self::Trusted if dice.percent(50) => Policy::EmitThenVerify,
            _ => Policy::VerifyThenEmit,
        }
    }
}

fn equals_the_reference(
    seed: u64,
    network: Network,
    sources: Sources,
) -> Result<(), TestCaseError> {
    let mut dice = Dice(seed);
    let leaders = leaders();
    let mut reference = Reference::new(leaders.clone());
    let mut bench = Bench::new(&plan(128), leaders);
    // Known so far, by slot.
    let mut known: BTreeMap<u64, BTreeSet<Line>> = BTreeMap::new();
    for (at, datagram) in arrivals(network, &mut dice, 0).iter().enumerate() {
        let is_authentic = reference.authenticate(datagram).is_some();
        bench.policy = sources.policy(&mut dice, is_authentic);
        let _ = bench.give(datagram);
        let mut runs = Vec::new();
        if let Some((slot, root)) = reference.accept(datagram) {
            // What was handed on before anything was hashed names no root.
            bench.notes.lines.values_mut().for_each(|line| {
                line.root.get_or_insert(root);
            });
            runs = reference.known(slot);
            known.insert(slot, runs.iter().flatten().cloned().collect());
            let told: BTreeSet<Whole> = blocks_told(&bench)
                .into_iter()
                .filter(|whole| whole.slot == slot)
                .collect();
            prop_assert_eq!(told, reference.blocks(slot), "blocks after datagram {}", at);
        }
        prop_assert_eq!(
            blocks_told(&bench).len(),
            bench.notes.blocks.len(),
            "a block twice"
        );
        check_lines(&bench, &known, &runs, at)?;
    }
    let revoked = bench.resolver.counters().transaction_revoked;
    prop_assert_eq!(revoked, bench.notes.revoked.len() as u64);
    prop_assert!(sources != Sources::Verified || revoked == 0);
    Ok(())
}

/// As [`equals_the_reference`], with signatures that are checked elsewhere and answered some time later. Whenever
/// nothing is under way, all is known that would have been.
fn late_answers_make_no_difference(
    seed: u64,
    network: Network,
    sources: Sources,
) -> Result<(), TestCaseError> {
    let mut dice = Dice(seed);
    let leaders = leaders();
    let mut reference = Reference::new(leaders.clone());
    let plan = Plan {
        checks_max: 32,
        ..plan(128)
    };
    let mut bench = Bench::new(&plan, leaders);
    let mut checker = Checker::new();
    let mut under_way = VecDeque::new();
    let mut known: BTreeMap<u64, BTreeSet<Line>> = BTreeMap::new();
    let mut touched = BTreeSet::new();
    // While a check is awaited, a shred with another signature over the same root is taken, be it good or not: the
    // root vouches for its bytes. The reference is stricter, so signatures are left alone here.
    let datagrams = arrivals(network, &mut dice, 64);
    for (at, datagram) in datagrams.iter().enumerate() {
        let is_authentic = reference.authenticate(datagram).is_some();
        bench.policy = sources.policy(&mut dice, is_authentic);
        let outcome = bench.give(datagram);
        under_way.extend(std::iter::from_fn(|| bench.resolver.next_check()));
        // A refusal for want of checks is as if the datagram had been lost.
        if outcome != Err(Reject::ChecksExhausted)
            && let Some((slot, root)) = reference.accept(datagram)
        {
            bench.notes.lines.values_mut().for_each(|line| {
                line.root.get_or_insert(root);
            });
            touched.insert(slot);
        }
        let answers = match dice.below(8) {
            0 => under_way.len(),
            1 => 1,
            _ if at + 1 == datagrams.len() => under_way.len(),
            _ => 0,
        };
        for check in under_way.drain(..answers.min(under_way.len())) {
            bench
                .resolver
                .checked(checker.check(&check), &mut bench.notes);
        }
        if !under_way.is_empty() {
            continue;
        }
        while let Some(slot) = touched.pop_first() {
            let runs = reference.known(slot);
            known.insert(slot, runs.iter().flatten().cloned().collect());
            let told = blocks_told(&bench);
            let told: BTreeSet<Whole> = told
                .into_iter()
                .filter(|whole| whole.slot == slot)
                .collect();
            prop_assert_eq!(told, reference.blocks(slot), "blocks after datagram {}", at);
            if touched.is_empty() {
                check_lines(&bench, &known, &runs, at)?;
            }
        }
    }
    let counters = bench.resolver.counters();
    prop_assert_eq!(
        counters.transaction_revoked,
        bench.notes.revoked.len() as u64
    );
    prop_assert!(sources != Sources::Verified || counters.transaction_revoked == 0);
    Ok(())
}

fn blocks_told(bench: &Bench<Schedule>) -> BTreeSet<Whole> {
    bench.notes.blocks.iter().map(Whole::from).collect()
}

fn check_lines(
    bench: &Bench<Schedule>,
    known: &BTreeMap<u64, BTreeSet<Line>>,
    runs: &[Vec<Line>],
    at: usize,
) -> Result<(), TestCaseError> {
    let count: usize = known.values().map(BTreeSet::len).sum();
    // Each once: as many as there are, and below the same ones.
    prop_assert_eq!(bench.notes.lines.len(), count, "after datagram {}", at);
    if runs.is_empty() {
        return Ok(());
    }
    let plain = |line: &Line| Line {
        retracted: false,
        ..line.clone()
    };
    let lines = bench.notes.lines.iter();
    let told: BTreeMap<Line, u64> = lines
        .map(|(sequence, line)| (plain(line), *sequence))
        .collect();
    prop_assert!(
        told.keys().eq(known.values().flatten()),
        "after datagram {}",
        at
    );
    for run in runs {
        let order: Vec<u64> = run.iter().map(|line| told[line]).collect();
        prop_assert!(
            order.is_sorted(),
            "out of order after datagram {}: {:?}",
            at,
            order
        );
    }
    Ok(())
}

/// Datagrams one by one, and the same in bursts: what is told does not differ.
fn bursts_make_no_difference(
    seed: u64,
    network: Network,
    sources: Sources,
) -> Result<(), TestCaseError> {
    let mut dice = Dice(seed);
    let leaders = leaders();
    let datagrams = arrivals(network, &mut dice, 0);
    let arrival = |at: usize| Arrival {
        source: SourceId(0),
        policy: match sources {
            Sources::Early => Policy::EmitThenVerify,
            Sources::Mixed if at.is_multiple_of(3) => Policy::EmitThenVerify,
            _ => Policy::VerifyThenEmit,
        },
        at: Nanos(1_000_000_000 + 1_000 * at as u64),
    };
    let [mut single, mut bursts] = [(); 2].map(|()| Bench::new(&plan(128), leaders.clone()));
    let mut at = 0;
    while at < datagrams.len() {
        let end = datagrams.len().min(at + 1 + dice.below(40));
        let burst: Vec<Arrived<'_>> = (at..end)
            .map(|at| Arrived::new(&datagrams[at], arrival(at)))
            .collect();
        for (index, datagram) in datagrams[at..end].iter().enumerate() {
            let one = single.resolver.handle(
                datagram,
                arrival(at + index),
                &single.leaders,
                &mut single.notes,
            );
            let many = bursts
                .resolver
                .handle_in(&burst, index, &bursts.leaders, &mut bursts.notes);
            prop_assert_eq!(one, many, "datagram {}", at + index);
        }
        at = end;
    }
    prop_assert_eq!(&single.notes.lines, &bursts.notes.lines);
    prop_assert_eq!(&single.notes.verdicts, &bursts.notes.verdicts);
    prop_assert_eq!(&single.notes.blocks, &bursts.notes.blocks);
    prop_assert_eq!(single.resolver.counters(), bursts.resolver.counters());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verified_equals_the_reference(seed: u64, network in network()) {
        equals_the_reference(seed, network, Sources::Verified)?;
    }

    #[test]
    fn early_less_revoked_equals_the_reference(seed: u64, network in network()) {
        equals_the_reference(seed, network, Sources::Early)?;
    }

    #[test]
    fn bursts(seed: u64, network in network()) {
        for sources in [Sources::Verified, Sources::Early, Sources::Mixed] {
            bursts_make_no_difference(seed, network, sources)?;
        }
    }

    #[test]
    fn late_answers_verified(seed: u64, network in network()) {
        late_answers_make_no_difference(seed, network, Sources::Verified)?;
    }

    #[test]
    fn late_answers_early(seed: u64, network in network()) {
        late_answers_make_no_difference(seed, network, Sources::Early)?;
    }

    #[test]
    fn late_answers_mixed(seed: u64, network in network()) {
        late_answers_make_no_difference(seed, network, Sources::Mixed)?;
    }

    #[test]
    fn late_answers_trusted(seed: u64, network in network()) {
        late_answers_make_no_difference(seed, network, Sources::Trusted)?;
    }

    #[test]
    fn what_a_trusted_source_brings_equals_the_reference(seed: u64, network in network()) {
        equals_the_reference(seed, network, Sources::Trusted)?;
    }

    #[test]
    fn sources_of_both_kinds_equal_the_reference(seed: u64, network in network()) {
        equals_the_reference(seed, network, Sources::Mixed)?;
    }
}
