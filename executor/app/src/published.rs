//! Counters that the hot threads publish for whoever asks: status, metrics, progress.
//!
//! The core keeps its counters to itself and copies them here a few times a second, in relaxed stores; a reader sees
//! each number whole, and the numbers of different moments side by side.

mod chain;
mod sources;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use shred_resolve::{Counters, Reject};

pub use self::chain::PublishedChain;
pub use self::sources::{LeaderRead, PublishedSources};

/// Numbers of resolver, engine and gate, and when they were published.
#[derive(Debug)]
pub struct Published {
    resolved: Box<[AtomicU64]>,
    rejected: [AtomicU64; Reject::COUNT],
    refused: [AtomicU64; risk::Refusal::COUNT],
    decided: [AtomicU64; DECIDED],
    /// Highest slot that something authentic was received of.
    pub slot: AtomicU64,
    /// Positions open at the last publication; [`Published::UNKNOWN`] before the first.
    pub positions_open: AtomicU64,
    /// Publications so far: it stands still when the core does.
    pub turns: AtomicU64,
    /// Stamp of the newest datagram, UNIX epoch, nanoseconds.
    pub datagram_at: AtomicU64,
    /// The race between sources.
    pub sources: PublishedSources,
    /// Forks, votes, leaders.
    pub chain: PublishedChain,
}

const DECIDED: usize = 12;

impl Default for Published {
    /// For one source.
    fn default() -> Self {
        Self::new(1)
    }
}

impl Published {
    /// Nothing published yet, for so many sources.
    #[must_use]
    pub fn new(sources: usize) -> Self {
        Self {
            resolved: Counters::default()
                .named()
                .map(|_| AtomicU64::new(0))
                .into(),
            rejected: [const { AtomicU64::new(0) }; Reject::COUNT],
            refused: [const { AtomicU64::new(0) }; risk::Refusal::COUNT],
            decided: [const { AtomicU64::new(0) }; DECIDED],
            slot: AtomicU64::new(0),
            positions_open: AtomicU64::new(Self::UNKNOWN),
            turns: AtomicU64::new(0),
            datagram_at: AtomicU64::new(0),
            sources: PublishedSources::new(sources),
            chain: PublishedChain::default(),
        }
    }
}

/// Counters of an engine that are published, with their names.
#[must_use]
pub fn decided(counters: &engine::Counters) -> [(&'static str, u64); DECIDED] {
    [
        ("launch_decoded", counters.launch_decoded),
        ("trade_decoded", counters.trade_decoded),
        ("intent_made", counters.intent_made),
        ("bundle_handed", counters.bundle_handed),
        ("bundle_refused", counters.bundle_refused),
        ("entry_included", counters.entry_included),
        ("exit_included", counters.exit_included),
        ("own_expired", counters.own_expired),
        ("own_rejected", counters.own_rejected),
        ("own_failed", counters.own_failed),
        ("signal_armed", counters.signal_armed),
        ("signal_fired", counters.signal_fired),
    ]
}

impl Published {
    /// Stands for a number that was not published yet.
    pub const UNKNOWN: u64 = u64::MAX;

    /// Positions open, once the core has said so.
    #[must_use]
    pub fn positions_open(&self) -> Option<u64> {
        let count = self.positions_open.load(Relaxed);
        (count != Self::UNKNOWN).then_some(count)
    }

    /// Copies the numbers in. One writer.
    pub fn publish(&self, resolved: &Counters, decided_by: &engine::Counters, refused: &[u64]) {
        for (cell, (_, value)) in self.resolved.iter().zip(resolved.named()) {
            cell.store(value, Relaxed);
        }
        for (cell, value) in self.rejected.iter().zip(resolved.rejected) {
            cell.store(value, Relaxed);
        }
        for (cell, value) in self.refused.iter().zip(refused) {
            cell.store(*value, Relaxed);
        }
        for (cell, (_, value)) in self.decided.iter().zip(decided(decided_by)) {
            cell.store(value, Relaxed);
        }
        self.turns
            .store(self.turns.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Resolver counters by name.
    #[must_use]
    pub fn resolved(&self) -> Vec<(&'static str, u64)> {
        let names = Counters::default().named();
        names
            .iter()
            .zip(&self.resolved)
            .map(|((name, _), cell)| (*name, cell.load(Relaxed)))
            .collect()
    }

    /// Refused datagrams by reason.
    #[must_use]
    pub fn rejected(&self) -> Vec<(&'static str, u64)> {
        self.rejected
            .iter()
            .enumerate()
            .map(|(index, cell)| (Reject::name_at(index), cell.load(Relaxed)))
            .collect()
    }

    /// Refused intents by reason.
    #[must_use]
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        risk::Refusal::names()
            .iter()
            .zip(&self.refused)
            .map(|(name, cell)| (*name, cell.load(Relaxed)))
            .collect()
    }

    /// Engine counters by name.
    #[must_use]
    pub fn decided(&self) -> Vec<(&'static str, u64)> {
        let names = decided(&engine::Counters::default());
        names
            .iter()
            .zip(&self.decided)
            .map(|((name, _), cell)| (*name, cell.load(Relaxed)))
            .collect()
    }

    /// One resolver or engine counter.
    ///
    /// # Panics
    /// When there is none of that name: a misspelling, found by the first test that runs it.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        let found = self
            .resolved()
            .into_iter()
            .chain(self.decided())
            .find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no counter {name}")).1
    }
}
