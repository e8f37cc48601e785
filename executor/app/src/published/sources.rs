//! The race between sources, published.
//!
//! A histogram has hundreds of numbers, so each publication copies one source and one leader in turn, and what is
//! urgent (who is dead, which slots began) every time: some hundred nanoseconds fifty times a second, however many
//! sources there are.

use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use shred_resolve::{
    Arbiter, BEGINNINGS_KEPT, Beginning, LATENESS_BUCKETS, LEADERS_KEPT, Lateness, LeaderShare,
    Reject, SourceTally,
};
use shred_wire::{Nanos, Slot, SourceId};

use crate::sources::Seen;

/// What an [`Arbiter`] knows, for readers on other threads.
#[derive(Debug)]
pub struct PublishedSources {
    sources: Box<[SourceCells]>,
    leaders: Box<[LeaderCells]>,
    beginnings: [BeginningCells; BEGINNINGS_KEPT],
    begun: AtomicU64,
    slot_duration: AtomicU64,
    untracked: AtomicU64,
    unplanned: AtomicU64,
    /// Slots that the arbiter remembers, a power of two; 0 when nobody has said.
    slots: u64,
    /// Whose turn it is. Only the writer looks at it.
    turn: AtomicUsize,
}

/// The share of each source in the shreds of one leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderRead {
    /// The leader.
    pub identity: [u8; 32],
    /// Slots of it that were seen to begin.
    pub slots: u64,
    /// By source: shreds brought first, brought later, and the median of how much later.
    pub shares: Vec<(u64, u64, Option<Nanos>)>,
}

#[derive(Debug)]
struct SourceCells {
    dead: AtomicBool,
    numbers: Box<[AtomicU64]>,
    refused: [AtomicU64; Reject::COUNT],
    late: [AtomicU64; LATENESS_BUCKETS],
    late_sum: AtomicU64,
    late_max: AtomicU64,
}

#[derive(Debug)]
struct LeaderCells {
    /// Odd while a row is being written.
    version: AtomicU64,
    identity: [AtomicU64; 4],
    slots: AtomicU64,
    shares: Box<[[AtomicU64; 3]]>,
}

#[derive(Debug, Default)]
struct BeginningCells {
    slot: AtomicU64,
    at: AtomicU64,
    source: AtomicU64,
}

/// Stands for a median that there is none of.
const NO_MEDIAN: u64 = u64::MAX;

impl PublishedSources {
    /// All zero, for so many sources.
    #[must_use]
    pub fn new(sources: usize) -> Self {
        Self::remembering(sources, 0)
    }

    /// As [`PublishedSources::new`], of an arbiter that remembers so many slots.
    #[must_use]
    pub fn remembering(sources: usize, slots: usize) -> Self {
        Self {
            slots: slots as u64,
            sources: (0..sources).map(|_| SourceCells::new()).collect(),
            leaders: (0..LEADERS_KEPT)
                .map(|_| LeaderCells::new(sources))
                .collect(),
            beginnings: std::array::from_fn(|_| BeginningCells::default()),
            begun: AtomicU64::new(0),
            slot_duration: AtomicU64::new(0),
            untracked: AtomicU64::new(0),
            unplanned: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        }
    }

    /// Copies what is urgent, the next source and the next leader. One writer.
    pub fn publish(&self, arbiter: &Arbiter) {
        let turn = self.turn.load(Relaxed);
        self.turn.store(turn.wrapping_add(1), Relaxed);
        for (cells, tally) in self.sources.iter().zip(arbiter.sources()) {
            cells.dead.store(tally.dead, Relaxed);
        }
        self.publish_source(arbiter, turn % self.sources.len().max(1));
        self.publish_leader(arbiter, turn % LEADERS_KEPT);
        self.publish_beginnings(arbiter);
        for (cell, value) in [
            (&self.slot_duration, arbiter.slot_duration().0),
            (&self.untracked, arbiter.untracked()),
            (&self.unplanned, arbiter.unplanned()),
        ] {
            cell.store(value, Relaxed);
        }
    }

    /// Copies everything: at the end, when no further turn comes.
    pub fn publish_all(&self, arbiter: &Arbiter) {
        let turns = LEADERS_KEPT.max(self.sources.len());
        (0..turns).for_each(|_| self.publish(arbiter));
    }

    fn publish_source(&self, arbiter: &Arbiter, source: usize) {
        if let (Some(cells), Some(tally)) =
            (self.sources.get(source), arbiter.sources().get(source))
        {
            cells.write(tally);
        }
    }

    fn publish_leader(&self, arbiter: &Arbiter, place: usize) {
        if let (Some(cells), Some(share)) = (self.leaders.get(place), arbiter.leader(place)) {
            cells.write(&share);
        }
    }

    fn publish_beginnings(&self, arbiter: &Arbiter) {
        let published = self.begun.load(Relaxed);
        let oldest = arbiter.begun().saturating_sub(BEGINNINGS_KEPT as u64);
        for number in published.max(oldest)..arbiter.begun() {
            // Who sees any of what follows sees the number before it, and knows that this place is being reused.
            self.begun.store(number, Relaxed);
            fence(Release);
            let Beginning { slot, at, source } = arbiter.beginning(number);
            let cells = &self.beginnings[number as usize % BEGINNINGS_KEPT];
            cells.slot.store(slot.0, Relaxed);
            cells.at.store(at.0, Relaxed);
            cells.source.store(u64::from(source.0), Relaxed);
            self.begun.store(number + 1, Release);
        }
    }

    /// How many sources there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// True without sources.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// What `source` has brought, each number as of at most one round of turns ago.
    #[must_use]
    pub fn source(&self, source: usize) -> Option<SourceTally> {
        self.sources.get(source).map(SourceCells::read)
    }

    /// How many slots after its own a shred is known to have been nobody else's: those that are remembered.
    #[must_use]
    pub const fn settled_after(&self) -> u64 {
        self.slots
    }

    /// Whether a first slot was forgotten, so that the numbers of `unique` say something.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        let unique = |cells: &SourceCells| cells.read_number("unique") > 0;
        self.begun.load(Relaxed) > self.slots || self.sources.iter().any(unique)
    }

    /// What tells how `source` is, without its histogram.
    #[must_use]
    pub fn seen(&self, source: usize) -> Option<Seen> {
        let cells = self.sources.get(source)?;
        let mut seen = Seen {
            datagram: cells.read_number("datagram"),
            taken: cells.read_number("shred"),
            dead: cells.dead.load(Relaxed),
            ..Seen::default()
        };
        for (count, cell) in seen.refused.iter_mut().zip(&cells.refused) {
            *count = cell.load(Relaxed);
        }
        Some(seen)
    }

    /// Whether `source` was dead at the last publication.
    #[must_use]
    pub fn is_dead(&self, source: usize) -> bool {
        let cells = self.sources.get(source);
        cells.is_some_and(|cells| cells.dead.load(Relaxed))
    }

    /// The leaders that are remembered, in no order.
    #[must_use]
    pub fn leaders(&self) -> Vec<LeaderRead> {
        self.leaders.iter().filter_map(LeaderCells::read).collect()
    }

    /// Slots that began since there were `since` of them, as far as they are still at hand, and how many there are
    /// now.
    #[must_use]
    pub fn beginnings(&self, since: u64) -> (Vec<Beginning>, u64) {
        let begun = self.begun.load(Acquire);
        let oldest = begun.saturating_sub(BEGINNINGS_KEPT as u64);
        let first = since.max(oldest);
        let read = |number: u64| {
            let cells = &self.beginnings[number as usize % BEGINNINGS_KEPT];
            Beginning {
                slot: Slot(cells.slot.load(Relaxed)),
                at: Nanos(cells.at.load(Relaxed)),
                source: SourceId(cells.source.load(Relaxed) as u8),
            }
        };
        let mut found: Vec<_> = (first..begun).map(read).collect();
        fence(Acquire);
        // Those whose place may have been reused meanwhile are not to be trusted, nor the one in the making.
        let reused = (self.begun.load(Relaxed) + 1).saturating_sub(BEGINNINGS_KEPT as u64);
        let gone = reused.saturating_sub(first).min(found.len() as u64);
        found.drain(..gone as usize);
        (found, begun)
    }

    /// How long a slot lasts; 0 before the first publication.
    #[must_use]
    pub fn slot_duration(&self) -> Nanos {
        Nanos(self.slot_duration.load(Relaxed))
    }

    /// Shreds that there was no room to tell apart, and datagrams of sources that were not planned for.
    #[must_use]
    pub fn ignored(&self) -> (u64, u64) {
        (self.untracked.load(Relaxed), self.unplanned.load(Relaxed))
    }
}

impl SourceCells {
    fn new() -> Self {
        Self {
            dead: AtomicBool::new(false),
            numbers: SourceTally::default()
                .named()
                .map(|_| AtomicU64::new(0))
                .into(),
            refused: [const { AtomicU64::new(0) }; Reject::COUNT],
            late: [const { AtomicU64::new(0) }; LATENESS_BUCKETS],
            late_sum: AtomicU64::new(0),
            late_max: AtomicU64::new(0),
        }
    }

    /// One of the plain numbers; 0 when there is none of that name.
    fn read_number(&self, wanted: &str) -> u64 {
        let names = SourceTally::default().named();
        let mut named = names.iter().zip(&self.numbers);
        let found = named.find(|((name, _), _)| *name == wanted);
        found.map_or(0, |(_, cell)| cell.load(Relaxed))
    }

    fn write(&self, tally: &SourceTally) {
        for (cell, (_, value)) in self.numbers.iter().zip(tally.named()) {
            cell.store(value, Relaxed);
        }
        for (cell, value) in self.refused.iter().zip(tally.refused) {
            cell.store(value, Relaxed);
        }
        for (cell, value) in self.late.iter().zip(tally.late.counts) {
            cell.store(value, Relaxed);
        }
        self.late_sum.store(tally.late.sum, Relaxed);
        self.late_max.store(tally.late.max, Relaxed);
    }

    fn read(&self) -> SourceTally {
        let mut tally = SourceTally {
            dead: self.dead.load(Relaxed),
            refused: std::array::from_fn(|reason| self.refused[reason].load(Relaxed)),
            late: Lateness {
                counts: std::array::from_fn(|bucket| self.late[bucket].load(Relaxed)),
                sum: self.late_sum.load(Relaxed),
                max: self.late_max.load(Relaxed),
            },
            ..SourceTally::default()
        };
        for (value, cell) in tally.numbers_mut().into_iter().zip(&self.numbers) {
            *value = cell.load(Relaxed);
        }
        tally
    }
}

impl LeaderCells {
    fn new(sources: usize) -> Self {
        let share = || [const { AtomicU64::new(0) }; 3];
        Self {
            version: AtomicU64::new(0),
            identity: [const { AtomicU64::new(0) }; 4],
            slots: AtomicU64::new(0),
            shares: (0..sources).map(|_| share()).collect(),
        }
    }

    fn write(&self, share: &LeaderShare<'_>) {
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Relaxed);
        fence(Release);
        for (cell, part) in self.identity.iter().zip(share.identity().as_chunks().0) {
            cell.store(u64::from_le_bytes(*part), Relaxed);
        }
        self.slots.store(share.slots(), Relaxed);
        for (source, [won, late, median]) in self.shares.iter().enumerate() {
            won.store(share.won(source), Relaxed);
            late.store(share.late(source), Relaxed);
            let nanos = share.median(source).map_or(NO_MEDIAN, |nanos| nanos.0);
            median.store(nanos, Relaxed);
        }
        self.version.store(version.wrapping_add(2), Release);
    }

    /// `None` when nothing was ever written here, or is being written right now.
    fn read(&self) -> Option<LeaderRead> {
        let version = self.version.load(Acquire);
        if version == 0 || version % 2 == 1 {
            return None;
        }
        let mut identity = [0; 32];
        for (part, cell) in identity.as_chunks_mut().0.iter_mut().zip(&self.identity) {
            *part = cell.load(Relaxed).to_le_bytes();
        }
        let share = |[won, late, median]: &[AtomicU64; 3]| {
            let median = Some(median.load(Relaxed)).filter(|nanos| *nanos != NO_MEDIAN);
            (won.load(Relaxed), late.load(Relaxed), median.map(Nanos))
        };
        let read = LeaderRead {
            identity,
            slots: self.slots.load(Relaxed),
            shares: self.shares.iter().map(share).collect(),
        };
        fence(Acquire);
        (self.version.load(Relaxed) == version).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use shred_resolve::{ArbiterPlan, NoLeaders, Plan};

    use super::*;

    fn arbiter() -> Arbiter {
        Arbiter::new(&ArbiterPlan::beside(&Plan::default(), 3))
    }

    /// A data shred.
    fn shred(slot: u64) -> Vec<u8> {
        let mut bytes = vec![0; 1_203];
        bytes[64] = 0x96;
        bytes[65..73].copy_from_slice(&slot.to_le_bytes());
        bytes[83] = 1;
        bytes[86] = 100;
        bytes
    }

    #[test]
    fn a_round_of_turns_publishes_every_source() {
        let (mut arbiter, published) = (arbiter(), PublishedSources::new(3));
        for (source, at) in [(2, 10), (0, 30), (0, 40)] {
            let outcome = if source == 2 {
                Ok(())
            } else {
                Err(Reject::Duplicate)
            };
            arbiter.note(&shred(7), SourceId(source), Nanos(at), outcome, &NoLeaders);
        }
        arbiter.note(
            &[],
            SourceId(1),
            Nanos(1),
            Err(Reject::NoLeader),
            &NoLeaders,
        );
        arbiter.note(
            &[],
            SourceId(9),
            Nanos(1),
            Err(Reject::NoLeader),
            &NoLeaders,
        );
        (0..3).for_each(|_| published.publish(&arbiter));
        for source in 0..3 {
            assert_eq!(published.source(source).unwrap(), arbiter.sources()[source]);
        }
        assert!(published.source(3).is_none() && published.leaders().is_empty());
        assert_eq!(published.ignored(), (0, 1));
        assert_eq!(published.slot_duration(), Nanos(400_000_000));
    }

    #[test]
    fn beginnings_are_told_once_and_the_newest_are_kept() {
        let (mut arbiter, published) = (arbiter(), PublishedSources::new(3));
        let mut begin = |slot: u64| {
            arbiter.note(&shred(slot), SourceId(1), Nanos(slot), Ok(()), &NoLeaders);
            published.publish(&arbiter);
        };
        (1..=3).for_each(&mut begin);
        let (found, begun) = published.beginnings(0);
        let slots = |found: &[Beginning]| found.iter().map(|b| b.slot.0).collect::<Vec<_>>();
        assert_eq!((slots(&found), begun), (vec![1, 2, 3], 3));
        begin(4);
        let (found, begun) = published.beginnings(begun);
        assert_eq!((slots(&found), begun), (vec![4], 4));
        (5..=100).for_each(&mut begin);
        let (found, begun) = published.beginnings(begun);
        let kept = 100 - BEGINNINGS_KEPT as u64 + 2;
        assert_eq!((slots(&found), begun), ((kept..=100).collect(), 100));
    }
}
