//! The resolver as a state machine: one seed, one arbitrary sequence of datagrams, and the slow reference beside it.
//!
//! A case draws a few slots (also such as are far apart), blocks of them (also two versions), sources that each lose,
//! repeat, reorder and spoil what they pass on and that run ahead of each other, each with its policy, strangers' sets,
//! leaders that become known late, stamps that jump in both directions, and bursts of any length. Two modes: signatures
//! checked within the call, where each outcome, the window and all that is told are compared; and signatures answered
//! late and out of order, where it is compared whenever no answer is awaited.
//!
//! Memory is ample here: what becomes of a resolver without is not a reference's business.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shred_resolve::{Arrival, Arrived, Check, Checker, Plan, Policy, Reject, Resolver, SourceId};
use shred_wire::Nanos;
use shred_wire::shred::{ShredLimits, ShredView};

use crate::common::reference::{Reference, Whole};
use crate::common::shredder::{Set, VERSION, key};
use crate::common::traffic::{Numbers, blocks, stranger};
use crate::common::{Dice, Line, Notes, Schedule, payload, plan};
use crate::retractions::{self, Retractions};

/// What cases have covered: a fuzz run that never meets something proves nothing about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Datagrams handed in.
    pub datagrams: u64,
    /// Transactions told.
    pub transactions: u64,
    /// Of these, revoked later.
    pub revoked: u64,
    /// Blocks told.
    pub blocks: u64,
    /// Retractions told.
    pub retracts: u64,
    /// Sets recovered.
    pub recovered: u64,
    /// Sets with two authentic versions.
    pub equivocations: u64,
    /// Datagrams refused since their slot's leader was not known.
    pub unnamed: u64,
    /// Datagrams refused since their slot was outside the window.
    pub outside: u64,
    /// Times the window moved after silence.
    pub resyncs: u64,
    /// Signatures answered late.
    pub answered: u64,
    /// Datagrams refused since too many signatures were under way.
    pub checks_exhausted: u64,
}

impl Coverage {
    /// Sums.
    pub fn add(&mut self, mut other: Self) {
        for (sum, more) in self.fields().into_iter().zip(other.fields()) {
            *sum.1 += *more.1;
        }
    }

    /// Names and counts.
    pub fn fields(&mut self) -> [(&'static str, &mut u64); 12] {
        [
            ("datagrams", &mut self.datagrams),
            ("transactions", &mut self.transactions),
            ("revoked", &mut self.revoked),
            ("blocks", &mut self.blocks),
            ("retracts", &mut self.retracts),
            ("recovered", &mut self.recovered),
            ("equivocations", &mut self.equivocations),
            ("unnamed", &mut self.unnamed),
            ("outside", &mut self.outside),
            ("resyncs", &mut self.resyncs),
            ("answered", &mut self.answered),
            ("checks_exhausted", &mut self.checks_exhausted),
        ]
    }
}

/// Runs the case of `seed`.
///
/// # Errors
/// Where resolver and reference differ.
pub fn case(seed: u64) -> Result<Coverage, String> {
    let mut dice = Dice(seed);
    let late = dice.percent(50);
    let mut machine = Machine::new(&mut dice, late);
    machine.run(&mut dice)?;
    machine.finish()
}

const BEHIND: u64 = 4;
const AHEAD: u64 = 4;
/// Silence after which the window may move.
const RESYNC_AFTER: u64 = 2_000_000_000;
const FIRST_SLOT: u64 = 100;
/// Distances between slots where the window moves on; where answers are late all fit into it, whichever comes first.
const LEAPS: [u64; 6] = [1, 1, 2, 5, 9, 40];
/// Below what the resolver puts up with per root (`BAD_SIGNATURES_MAX` in `shred-resolve`), so that it never refuses
/// unseen what the reference would check.
const SPOILED_SIGNATURES_PER_SET: u32 = 3;

/// A source and what it still has to pass on.
struct Stream {
    source: SourceId,
    policy: Policy,
    /// What of it is authentic comes with the policy for sources that are vouched for.
    trusted: bool,
    datagrams: VecDeque<Vec<u8>>,
}

/// What several sources make of the same sets.
fn streams(sets: &[Set], numbers: &mut Numbers, dice: &mut Dice, late: bool) -> Vec<Stream> {
    let mut spoiled: BTreeMap<(u64, u32), u32> = BTreeMap::new();
    (0..1 + dice.below(3))
        .map(|number| {
            let (loss, repeat, corrupt, foreign) = (
                dice.below(60) as u32,
                dice.below(20) as u32,
                // Some pass on more that is spoiled than not.
                match dice.percent(15) {
                    true => 70,
                    false => dice.below(15) as u32,
                },
                dice.below(30) as u32,
            );
            let reach = [0, 8, 70, 200, 100_000][dice.below(5)];
            let mut datagrams = Vec::new();
            for set in sets {
                let strangers = match dice.percent(foreign) {
                    true => stranger(set, numbers, dice).shreds,
                    false => Vec::new(),
                };
                let strangers = strangers.into_iter().filter(|_| dice.percent(50));
                let strangers: Vec<_> = strangers.collect();
                let own = set.shreds.iter().cloned();
                match dice.percent(50) {
                    true => datagrams.extend(strangers.into_iter().chain(own)),
                    false => datagrams.extend(own.chain(strangers)),
                }
            }
            datagrams.retain(|_| !dice.percent(loss));
            let mut passed = Vec::new();
            for datagram in &datagrams {
                passed.push(datagram.clone());
                if dice.percent(repeat) {
                    passed.push(datagrams[dice.below(datagrams.len())].clone());
                }
                if dice.percent(corrupt) {
                    // Before the true one as often as after it.
                    let at = passed.len() - dice.below(2);
                    passed.insert(at, spoil(datagram, &mut spoiled, dice, late));
                }
                if dice.percent(2) {
                    passed.push(
                        (0..dice.below(1400))
                            .map(|_| dice.roll() as u8)
                            .collect::<Vec<u8>>(),
                    );
                }
            }
            if !passed.is_empty() {
                dice.shuffle(&mut passed, reach);
            }
            Stream {
                source: SourceId(number as u8 * 100),
                policy: match dice.percent(50) {
                    true => Policy::EmitThenVerify,
                    false => Policy::VerifyThenEmit,
                },
                trusted: dice.percent(30),
                datagrams: passed.into(),
            }
        })
        .collect()
}

/// `datagram` as a line, a relay or a liar may pass it on.
fn spoil(
    datagram: &[u8],
    spoiled: &mut BTreeMap<(u64, u32), u32>,
    dice: &mut Dice,
    late: bool,
) -> Vec<u8> {
    let mut bytes = datagram.to_vec();
    // A repair answer's nonce, and worse.
    let extra: Vec<u8> = (0..dice.below(8)).map(|_| dice.roll() as u8).collect();
    match dice.below(10) {
        0 => bytes.truncate(dice.below(bytes.len() + 1)),
        1 => bytes.extend(extra),
        2 => {
            // Slot, index, version, set, and what data and code shreds say of themselves.
            let at = 64 + dice.below(25);
            bytes[at] = [0, 1, 31, 32, 0x7f, 0x80, 0xff, dice.roll() as u8][dice.below(8)];
        }
        3 if !late => {
            let word = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
            let set = (u64::from(word(65)), word(79));
            let count = spoiled.entry(set).or_default();
            if *count < SPOILED_SIGNATURES_PER_SET {
                *count += 1;
                bytes[dice.below(64)] ^= 1 << dice.below(8);
            }
        }
        4 | 5 => {
            // A set of its own that nobody signed: what it costs to find out is the liar's to account for.
            bytes[dice.below(64)] ^= 1 << dice.below(8);
            bytes[89 + dice.below(800)] ^= 1 << dice.below(8);
        }
        _ => {
            // While a check is awaited the root vouches for a shred under whatever signature, and the reference is
            // stricter: so signatures are left alone here.
            for _ in 0..=dice.below(2) {
                let at = 64 + dice.below(bytes.len() - 64);
                bytes[at] ^= 1 << dice.below(8);
            }
        }
    }
    bytes
}

/// The slots that are worked on, said again in the plainest way.
#[derive(Default)]
struct Window {
    highest: Option<u64>,
    last_authentic_at: u64,
}

impl Window {
    fn is_inside(&self, slot: u64) -> bool {
        self.highest.is_some_and(|highest| {
            slot >= highest.saturating_sub(BEHIND) && slot <= highest.saturating_add(AHEAD)
        })
    }

    fn is_refused(&self, slot: u64, at: u64) -> bool {
        let is_silent = at.saturating_sub(self.last_authentic_at) > RESYNC_AFTER;
        self.highest.is_some() && !self.is_inside(slot) && !is_silent
    }

    /// Something authentic of `slot` was used.
    fn note(&mut self, slot: u64, at: u64) {
        self.highest = match self.highest {
            Some(highest) if self.is_inside(slot) => Some(highest.max(slot)),
            _ => Some(slot),
        };
        self.last_authentic_at = at;
    }
}

/// What is known of a slot as long as it is worked on.
struct Known {
    reference: Reference,
    voids: Retractions,
}

struct Machine {
    late: bool,
    resolver: Resolver,
    notes: Notes,
    leaders: Schedule,
    /// Leaders that are not known yet.
    unnamed: Schedule,
    /// Knows all of them.
    judge: Reference,
    streams: Vec<Stream>,
    window: Window,
    known: BTreeMap<u64, Known>,
    /// Slots to compare.
    touched: BTreeSet<u64>,
    checker: Checker,
    under_way: Vec<Check>,
    at: u64,
    coverage: Coverage,
}

impl Machine {
    fn new(dice: &mut Dice, late: bool) -> Self {
        let mut numbers = Numbers(0);
        let mut slot = FIRST_SLOT;
        let mut sets = Vec::new();
        let (mut leaders, mut unnamed) = (Schedule::default(), Schedule::default());
        for _ in 0..1 + dice.below(4) {
            if !dice.percent(5) {
                let known = match dice.percent(25) {
                    true => &mut unnamed,
                    false => &mut leaders,
                };
                known
                    .0
                    .insert(slot, key(slot as u8).verifying_key().to_bytes());
            }
            let blocks = blocks(slot, &mut numbers, dice);
            sets.extend(blocks.into_iter().flat_map(|block| block.sets));
            slot += match late {
                true => 1,
                false => LEAPS[dice.below(LEAPS.len())],
            };
        }
        let all = leaders.0.iter().chain(&unnamed.0);
        let all = Schedule(all.map(|(slot, leader)| (*slot, *leader)).collect());
        let plan = Plan {
            slots_behind: BEHIND,
            slots_ahead: AHEAD,
            resync_after: Nanos(RESYNC_AFTER),
            checks_max: match late {
                true => [1, 4, 32][dice.below(3)],
                false => 0,
            },
            ..plan(128)
        };
        Self {
            late,
            resolver: Resolver::new(&plan),
            notes: Notes::default(),
            leaders,
            unnamed,
            judge: Reference::new(all),
            streams: streams(&sets, &mut numbers, dice, late),
            window: Window::default(),
            known: BTreeMap::new(),
            touched: BTreeSet::new(),
            checker: Checker::new(),
            under_way: Vec::new(),
            at: 10_000_000_000,
            coverage: Coverage::default(),
        }
    }

    fn run(&mut self, dice: &mut Dice) -> Result<(), String> {
        while let Some(burst) = self.next_burst(dice) {
            let burst: Vec<Arrived<'_>> = burst
                .iter()
                .map(|(datagram, arrival)| Arrived::new(datagram, *arrival))
                .collect();
            for index in 0..burst.len() {
                self.take(&burst, index)?;
                if dice.percent(20) {
                    self.answer(dice);
                }
            }
            self.compare()?;
            if dice.percent(5)
                && let Some((slot, leader)) = self.unnamed.0.pop_first()
            {
                self.leaders.0.insert(slot, leader);
            }
        }
        while !self.under_way.is_empty() {
            self.answer(dice);
        }
        self.compare()
    }

    /// What arrives together next: of one source, as the core drains them.
    fn next_burst(&mut self, dice: &mut Dice) -> Option<Vec<(Vec<u8>, Arrival)>> {
        self.streams.retain(|stream| !stream.datagrams.is_empty());
        if self.streams.is_empty() {
            return None;
        }
        let stream = dice.below(self.streams.len());
        let Stream {
            source,
            policy,
            trusted,
            datagrams,
        } = &mut self.streams[stream];
        let count = match dice.percent(30) {
            true => 1,
            false => 1 + dice.below(40),
        };
        let count = count.min(datagrams.len());
        self.at = match dice.below(100) {
            0 => self.at + RESYNC_AFTER + 1 + dice.below(2) as u64,
            1 => self.at.saturating_sub(dice.roll() % 4_000_000_000),
            2 => self.at + dice.roll() % 1_900_000_000,
            _ => self.at + dice.roll() % 300_000,
        };
        let at = self.at;
        let judge = &mut self.judge;
        let arrivals = datagrams.drain(..count).enumerate().map(|(index, bytes)| {
            let vouched = *trusted && judge.authenticate(&bytes).is_some();
            let arrival = Arrival {
                source: *source,
                policy: match vouched {
                    true => Policy::Trusted,
                    false => *policy,
                },
                at: Nanos(at + 500 * index as u64),
            };
            (bytes, arrival)
        });
        Some(arrivals.collect())
    }

    /// Hands one datagram in, and compares what became of it.
    fn take(&mut self, burst: &[Arrived<'_>], index: usize) -> Result<(), String> {
        let arrived = &burst[index];
        let outcome = self
            .resolver
            .handle_in(burst, index, &self.leaders, &mut self.notes);
        self.coverage.datagrams += 1;
        self.under_way
            .extend(std::iter::from_fn(|| self.resolver.next_check()));
        let at = self.coverage.datagrams - 1;
        let says = |what: &str| Err(format!("datagram {at}: {outcome:?}, but {what}"));
        let bytes = arrived.bytes();
        let view = ShredView::parse(bytes, &ShredLimits::default()).ok();
        let Some(view) = view.filter(|view| view.version() == VERSION) else {
            return match outcome {
                Err(Reject::Malformed(_) | Reject::ForeignVersion) => Ok(()),
                _ => says("it is no shred of this cluster"),
            };
        };
        let (slot, stamp) = (view.slot().0, arrived.arrival().at.0);
        // When a window last moved is not known here while answers are awaited; all slots that have leaders lie in it.
        if !self.late && self.window.is_refused(slot, stamp) {
            self.coverage.outside += 1;
            return match outcome {
                Err(Reject::SlotOutOfWindow) => Ok(()),
                _ => says("its slot is outside the window"),
            };
        }
        let Some(leader) = self.leaders.0.get(&slot) else {
            self.coverage.unnamed += 1;
            return match outcome {
                Err(Reject::NoLeader) => Ok(()),
                Err(Reject::SlotOutOfWindow) if self.late => Ok(()),
                _ => says("its leader is not known"),
            };
        };
        if outcome == Err(Reject::ChecksExhausted) && self.late {
            // As if it had been lost on the way.
            self.coverage.checks_exhausted += 1;
            return Ok(());
        }
        let known = self.known.entry(slot).or_insert_with(|| Known {
            reference: Reference::new(Schedule([(slot, *leader)].into())),
            voids: Retractions::default(),
        });
        let accepted = known.reference.accept(bytes);
        if let Some((_, root)) = accepted {
            known.voids.accept(bytes, root);
            self.touched.insert(slot);
            // What was handed on before anything was hashed names no root.
            for line in self.notes.lines.values_mut() {
                line.root.get_or_insert(root);
            }
        }
        match outcome {
            // Whether the first of a set was authentic turns out with the answer.
            Ok(()) if accepted.is_none() && !self.late => says("it is not authentic and new"),
            Ok(()) if accepted.is_some() => {
                self.move_window(slot, stamp);
                Ok(())
            }
            Ok(()) | Err(Reject::Duplicate | Reject::Surplus) => Ok(()),
            Err(_) if accepted.is_some() => says("it is authentic and new"),
            Err(_) => Ok(()),
        }
    }

    /// Slots that leave the window are forgotten, here as there.
    fn move_window(&mut self, slot: u64, at: u64) {
        self.window.note(slot, at);
        let Self {
            window,
            known,
            notes,
            touched,
            coverage,
            ..
        } = self;
        let is_gone = |slot: u64| !window.is_inside(slot);
        if known.keys().all(|slot| !is_gone(*slot)) {
            return;
        }
        known.retain(|slot, _| !is_gone(*slot));
        touched.retain(|slot| !is_gone(*slot));
        coverage.transactions += notes.lines.len() as u64;
        coverage.blocks += notes.blocks.len() as u64;
        coverage.retracts += notes.retracts.len() as u64;
        notes.lines.retain(|_, line| !is_gone(line.slot));
        notes.blocks.retain(|block| !is_gone(block.slot.0));
        notes.retracts.retain(|retract| !is_gone(retract.slot.0));
        coverage.transactions -= notes.lines.len() as u64;
        coverage.blocks -= notes.blocks.len() as u64;
        coverage.retracts -= notes.retracts.len() as u64;
    }

    /// Answers some of the checks under way, not always the oldest first.
    fn answer(&mut self, dice: &mut Dice) {
        for _ in 0..1 + dice.below(4) {
            if self.under_way.is_empty() {
                return;
            }
            let at = match dice.percent(70) {
                true => 0,
                false => dice.below(self.under_way.len()),
            };
            let check = self.under_way.remove(at);
            self.coverage.answered += 1;
            self.resolver
                .checked(self.checker.check(&check), &mut self.notes);
            self.under_way
                .extend(std::iter::from_fn(|| self.resolver.next_check()));
        }
    }

    /// Compares all of the slots that something new has come of, once nothing is awaited.
    fn compare(&mut self) -> Result<(), String> {
        if !self.under_way.is_empty() {
            return Ok(());
        }
        while let Some(slot) = self.touched.pop_first() {
            let known = &self.known[&slot];
            let differs =
                |what: &str| Err(format!("slot {slot}, {}: {what}", self.coverage.datagrams));
            let mut told: BTreeMap<Line, u64> = BTreeMap::new();
            for (sequence, line) in &self.notes.lines {
                let line = Line {
                    retracted: false,
                    ..line.clone()
                };
                if line.slot == slot && told.insert(line, *sequence).is_some() {
                    return differs("a transaction twice");
                }
            }
            let runs = known.reference.known(slot);
            let expected: BTreeSet<&Line> = runs.iter().flatten().collect();
            if !told.keys().eq(expected.iter().copied()) {
                let missing = expected.iter().find(|line| !told.contains_key(**line));
                let surplus = told.keys().find(|line| !expected.contains(line));
                return differs(&format!(
                    "{} transactions told, {} known; missing {}; too many {}",
                    told.len(),
                    expected.len(),
                    missing.map_or_else(String::new, |line| name(line)),
                    surplus.map_or_else(String::new, name),
                ));
            }
            for run in &runs {
                if !run.iter().map(|line| told[line]).is_sorted() {
                    return differs("transactions out of order");
                }
            }
            let blocks = self.notes.blocks.iter();
            let blocks: Vec<_> = blocks.filter(|block| block.slot.0 == slot).collect();
            let whole: BTreeSet<Whole> = blocks.iter().map(|block| Whole::from(*block)).collect();
            if whole.len() != blocks.len() || whole != known.reference.blocks(slot) {
                return differs("other blocks");
            }
            if retractions::told(&self.notes.retracts, slot) != known.voids.of(slot) {
                return differs("other retractions");
            }
        }
        // Nothing of a slot that the reference knows nothing of.
        let strange = self.notes.lines.values();
        match strange
            .map(|line| line.slot)
            .find(|slot| !self.known.contains_key(slot))
        {
            Some(slot) => Err(format!("slot {slot}: told, and not known at all")),
            None => Ok(()),
        }
    }

    /// The counters add up.
    fn finish(mut self) -> Result<Coverage, String> {
        let counters = self.resolver.counters();
        let refused: u64 = counters.rejected.iter().sum();
        if counters.datagram != counters.shred_accepted + refused {
            return Err("a datagram that is neither used nor refused".to_owned());
        }
        if counters.transaction_revoked != self.notes.revoked.len() as u64 {
            return Err("revoked and not counted, or counted and not revoked".to_owned());
        }
        self.coverage.revoked = counters.transaction_revoked;
        self.coverage.transactions += self.notes.lines.len() as u64 + self.coverage.revoked;
        self.coverage.blocks += self.notes.blocks.len() as u64;
        self.coverage.retracts += self.notes.retracts.len() as u64;
        if counters.transaction != self.coverage.transactions {
            return Err("transactions told and counted differ".to_owned());
        }
        self.coverage.recovered = counters.set_recovered;
        self.coverage.equivocations = counters.equivocation;
        self.coverage.resyncs = counters.window_resynced;
        Ok(self.coverage)
    }
}

/// Enough of a transaction to find it again.
fn name(line: &Line) -> String {
    format!(
        "number {} of set {} (root {:02x?})",
        payload::id_of(&line.signature),
        line.fec_set_index,
        line.root.map(|root| [root[0], root[1]])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: resolver and reference agree, and what the cases are there for does happen in them.
    #[test]
    fn cases_agree_and_cover() {
        let mut sum = Coverage::default();
        for seed in 0..100 {
            match case(seed) {
                Ok(coverage) => sum.add(coverage),
                Err(difference) => panic!("case {seed}: {difference}"),
            }
        }
        for (name, count) in sum.fields() {
            assert!(*count > 0, "never met: {name}");
        }
    }
}
