//! Counters that the hot threads publish for whoever asks: status, metrics, progress.
//!
//! The core keeps its counters to itself and copies them here a few times a second, in relaxed stores; a reader sees
//! each number whole, and the numbers of different moments side by side.

mod chain;
mod market;
mod signing;
mod sources;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use shred_resolve::{Counters, Reject};
use shred_wire::shred::{ShredLimits, ShredView};

pub use self::chain::{LeadersFrom, PublishedChain};
pub use self::market::{MarketCounts, PublishedMarket, Truth, VENUES};
pub use self::signing::{ARMING as SIGNING_EVENTS, PublishedSigning};
pub use self::sources::{LeaderRead, PublishedSources};
use crate::sources::{Seen, States, Stray, Watch};

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
    /// Entries on their way, which take a place as open positions do; published with those.
    pub positions_pending: AtomicU64,
    /// As many of both are allowed.
    pub positions_max: AtomicU64,
    /// Publications so far: it stands still when the core does.
    pub turns: AtomicU64,
    /// Stamp of the newest datagram, UNIX epoch, nanoseconds.
    pub datagram_at: AtomicU64,
    /// The race between sources.
    pub sources: PublishedSources,
    /// Forks, votes, leaders.
    pub chain: PublishedChain,
    /// Curves and pools.
    pub market: PublishedMarket,
    /// Signatures.
    pub signing: PublishedSigning,
    /// Slot of the newest shred that was refused for what it is of; [`Published::UNKNOWN`] before the first.
    stray_slot: AtomicU64,
    /// Its version.
    stray_version: AtomicU64,
    /// What readers remember of the last seconds. The core never takes it.
    watch: Mutex<Watch>,
}

const DECIDED: usize = 20;

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
            positions_pending: AtomicU64::new(Self::UNKNOWN),
            positions_max: AtomicU64::new(Self::UNKNOWN),
            turns: AtomicU64::new(0),
            datagram_at: AtomicU64::new(0),
            sources: PublishedSources::new(sources),
            chain: PublishedChain::default(),
            market: PublishedMarket::default(),
            signing: PublishedSigning::default(),
            stray_slot: AtomicU64::new(Self::UNKNOWN),
            stray_version: AtomicU64::new(Self::UNKNOWN),
            watch: Mutex::default(),
        }
    }

    /// As [`Published::new`], beside an arbiter that remembers so many slots.
    #[must_use]
    pub fn remembering(sources: usize, slots: usize) -> Self {
        Self {
            sources: PublishedSources::remembering(sources, slots),
            ..Self::new(sources)
        }
    }
}

/// Counters of an engine that are published, with their names.
#[must_use]
pub fn decided(counters: &engine::Counters) -> [(&'static str, u64); DECIDED] {
    [
        ("launch_decoded", counters.launch_decoded),
        ("trade_decoded", counters.trade_decoded),
        ("pool_event_decoded", counters.pool_event_decoded),
        ("truth_handled", counters.truth_handled),
        ("intent_made", counters.intent_made),
        ("bundle_handed", counters.bundle_handed),
        ("bundle_refused", counters.bundle_refused),
        ("entry_included", counters.entry_included),
        ("exit_included", counters.exit_included),
        ("own_expired", counters.own_expired),
        ("own_rejected", counters.own_rejected),
        ("own_failed", counters.own_failed),
        ("own_unknown", counters.own_unknown),
        ("own_unknown_landed", counters.own_unknown_landed),
        ("own_unknown_assumed", counters.own_unknown_assumed),
        ("holding_unexplained", counters.holding_unexplained),
        ("holding_reconciled", counters.holding_reconciled),
        ("holding_surplus", counters.holding_surplus),
        ("signal_armed", counters.signal_armed),
        ("signal_fired", counters.signal_fired),
    ]
}

impl Published {
    /// Stands for a number that was not published yet.
    pub const UNKNOWN: u64 = u64::MAX;

    /// Positions open, entries on their way, and how many of both are allowed, once the core has said so.
    #[must_use]
    pub fn positions(&self) -> [(&'static str, Option<u64>); 3] {
        let told = |cell: &AtomicU64| Some(cell.load(Relaxed)).filter(|n| *n != Self::UNKNOWN);
        [
            ("positions_open", told(&self.positions_open)),
            ("positions_pending", told(&self.positions_pending)),
            ("positions_max", told(&self.positions_max)),
        ]
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

    /// Notes a datagram that was refused: where it is well formed, its slot and version tell what the stream is of.
    /// One writer. Cost: a header is read and two numbers are stored.
    #[cold]
    pub fn note_stray(&self, datagram: &[u8], reason: Reject) {
        let of_another = matches!(
            reason,
            Reject::ForeignVersion
                | Reject::SlotOutOfWindow
                | Reject::NoLeader
                | Reject::BadLeaderSignature
        );
        if of_another && let Ok(shred) = ShredView::parse(datagram, &ShredLimits::default()) {
            self.stray_slot.store(shred.slot().0, Relaxed);
            self.stray_version.store(shred.version().into(), Relaxed);
        }
    }

    /// How each source is. To be asked at least once a second by somebody: it is the changes that tell.
    #[must_use]
    pub fn states(&self) -> States {
        let sources: Vec<Seen> = (0..self.sources.len())
            .filter_map(|source| self.sources.seen(source))
            .collect();
        let sum = |of: fn(&Seen) -> u64| sources.iter().map(of).sum::<u64>();
        // Shreds of a set are taken before the answer of whoever checks its signature elsewhere: once there were sets
        // that turned out forged, only what moves the newest authentic slot counts.
        let discarded = self.get("set_discarded");
        let taken = if discarded == 0 {
            sum(|seen| seen.taken)
        } else {
            self.slot.load(Relaxed)
        };
        let mut all = Seen {
            datagram: sum(|seen| seen.datagram),
            taken,
            ..Seen::default()
        };
        let refused = sources.iter().map(|seen| seen.refused);
        for (index, count) in all.refused.iter_mut().enumerate() {
            *count = refused.clone().map(|refused| refused[index]).sum();
        }
        if let Some(count) = all.refused.last_mut() {
            *count = discarded;
        }
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.look(&sources, &all, Instant::now())
    }

    /// What is to be said when not one shred is used: why, what the leaders are of, and what the stream is of.
    #[must_use]
    pub fn refusal(&self, states: &States) -> Option<String> {
        let stray = |cell: &AtomicU64| {
            let value = cell.load(Relaxed);
            (value != Self::UNKNOWN).then_some(value)
        };
        let stray_of = Stray {
            slot: stray(&self.stray_slot),
            version: stray(&self.stray_version),
        };
        let refused = states.all_refused.as_ref()?;
        Some(crate::sources::refusal(
            refused,
            self.chain.leaders_named(),
            stray_of,
        ))
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
