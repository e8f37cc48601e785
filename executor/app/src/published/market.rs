//! Curves and pools: how many are kept, what became of them, and how often account data said what was reckoned.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use engine::Engine;
use market::pools::PoolCounters;
use market::table::CurveCounters;
use market::{DecodeReject, Program};
use serde_json::{Map, Value, json};
use sidecar::Snapshot;

/// Venues whose state is kept, and held against account data.
pub const VENUES: [Program; 5] = [
    Program::Pump,
    Program::PumpAmm,
    Program::RaydiumAmm,
    Program::RaydiumCp,
    Program::LaunchLab,
];

const EVENTS: usize = 24;

/// What account data of one venue said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Truth {
    /// What was reckoned.
    pub agreed: u64,
    /// Something else, which was taken over.
    pub diverged: u64,
    /// What became of something that was known to be behind or doubtful.
    pub behind: u64,
    /// Nothing: it is older than what was taken before.
    pub stale: u64,
}

/// Numbers of the tables of curves and pools.
#[derive(Debug, Clone, Copy, Default)]
pub struct MarketCounts {
    /// Of curves.
    pub curves: CurveCounters,
    /// Of pools.
    pub pools: PoolCounters,
    /// Curves kept now.
    pub curves_kept: u64,
    /// Pools kept now.
    pub pools_kept: u64,
    /// Instructions without an event, by program and reason.
    pub decode_rejected: [[u64; DecodeReject::COUNT]; Program::COUNT],
}

impl MarketCounts {
    /// Those of `engine`.
    #[must_use]
    pub fn of<T: engine::Ticks>(engine: &Engine<T>) -> Self {
        Self {
            curves: *engine.curves().counters(),
            pools: *engine.pools().counters(),
            curves_kept: engine.curves().len() as u64,
            pools_kept: engine.pools().len() as u64,
            decode_rejected: engine.counters().decode_rejected_of,
        }
    }

    /// What became of curves and pools, by name.
    #[must_use]
    pub const fn events(&self) -> [(&'static str, u64); EVENTS] {
        let Self { curves, pools, .. } = self;
        [
            ("curve_inserted", curves.curve_inserted),
            ("curve_evicted", curves.curve_evicted),
            ("curve_refused", curves.curve_refused),
            ("curve_doubted", curves.curve_doubted),
            ("curve_switched", curves.curve_switched),
            ("curve_restored", curves.curve_restored),
            ("curve_trade_applied", curves.trade_applied),
            ("curve_trade_replayed", curves.trade_replayed),
            ("curve_trade_failed", curves.trade_predicted_failed),
            ("pool_inserted", pools.pool_inserted),
            ("pool_evicted", pools.pool_evicted),
            ("pool_refused", pools.pool_refused),
            ("pool_doubted", pools.pool_doubted),
            ("pool_switched", pools.pool_switched),
            ("pool_restored", pools.pool_restored),
            ("pool_swap_applied", pools.swap_applied),
            ("pool_swap_failed", pools.swap_predicted_failed),
            ("pool_change_unread", pools.change_unread),
            ("pool_caught_up", pools.pool_caught_up),
            ("pool_way_refused", pools.way_refused),
            ("pool_change_replayed", pools.change_replayed),
            ("pool_terms_taken", pools.terms_taken),
            ("pool_left", pools.pool_left),
            ("pool_migrated", pools.migration_taken),
        ]
    }

    /// What account data of `venue` said.
    #[must_use]
    pub const fn truth(&self, venue: Program) -> Truth {
        let Self { curves, pools, .. } = self;
        if matches!(venue, Program::Pump) {
            return Truth {
                agreed: curves.truth_agreed,
                diverged: curves.truth_diverged,
                behind: curves.truth_behind,
                stale: curves.truth_stale,
            };
        }
        Truth {
            agreed: pools.truth_agreed[venue as usize],
            diverged: pools.truth_diverged[venue as usize],
            behind: pools.truth_behind[venue as usize],
            stale: pools.truth_stale[venue as usize],
        }
    }

    /// The same of all venues together.
    #[must_use]
    pub fn truths(&self) -> Truth {
        let sum = |all: Truth, venue: Program| {
            let one = self.truth(venue);
            Truth {
                agreed: all.agreed + one.agreed,
                diverged: all.diverged + one.diverged,
                behind: all.behind + one.behind,
                stale: all.stale + one.stale,
            }
        };
        VENUES.into_iter().fold(Truth::default(), sum)
    }
}

/// [`MarketCounts`] as the core last published them.
#[derive(Debug, Default)]
pub struct PublishedMarket {
    events: [AtomicU64; EVENTS],
    truths: [[AtomicU64; 4]; VENUES.len()],
    decode_rejected: [[AtomicU64; DecodeReject::COUNT]; Program::COUNT],
    curves_kept: AtomicU64,
    pools_kept: AtomicU64,
}

impl PublishedMarket {
    /// Copies the numbers in. One writer.
    pub fn publish(&self, counts: &MarketCounts) {
        for (cell, (_, value)) in self.events.iter().zip(counts.events()) {
            cell.store(value, Relaxed);
        }
        for (cells, venue) in self.truths.iter().zip(VENUES) {
            let Truth {
                agreed,
                diverged,
                behind,
                stale,
            } = counts.truth(venue);
            for (cell, value) in cells.iter().zip([agreed, diverged, behind, stale]) {
                cell.store(value, Relaxed);
            }
        }
        let rejected = counts.decode_rejected.as_flattened().iter();
        for (cell, value) in self.decode_rejected.as_flattened().iter().zip(rejected) {
            cell.store(*value, Relaxed);
        }
        self.curves_kept.store(counts.curves_kept, Relaxed);
        self.pools_kept.store(counts.pools_kept, Relaxed);
    }

    /// What became of curves and pools, by name.
    #[must_use]
    pub fn events(&self) -> Vec<(&'static str, u64)> {
        let names = MarketCounts::default().events();
        names
            .iter()
            .zip(&self.events)
            .map(|((name, _), cell)| (*name, cell.load(Relaxed)))
            .collect()
    }

    /// What account data said, by venue.
    #[must_use]
    pub fn truths(&self) -> [(Program, Truth); VENUES.len()] {
        std::array::from_fn(|index| {
            let [agreed, diverged, behind, stale] =
                [0, 1, 2, 3].map(|at| self.truths[index][at].load(Relaxed));
            let truth = Truth {
                agreed,
                diverged,
                behind,
                stale,
            };
            (VENUES[index], truth)
        })
    }

    /// The members `market` and `truth` of `status`.
    #[must_use]
    pub fn status(&self) -> (Value, Value) {
        let mut market: Map<String, Value> = Map::new();
        market.insert("curves_kept".into(), self.curves_kept.load(Relaxed).into());
        market.insert("pools_kept".into(), self.pools_kept.load(Relaxed).into());
        for (name, value) in self.events() {
            market.insert(name.to_owned(), value.into());
        }
        let truth = self.truths().map(|(venue, truth)| {
            let Truth {
                agreed,
                diverged,
                behind,
                stale,
            } = truth;
            let said = json!({"truth_agreed": agreed, "truth_diverged": diverged, "truth_behind": behind,
                              "truth_stale": stale});
            (venue.name().to_owned(), said)
        });
        (market.into(), Map::from_iter(truth).into())
    }

    /// The families of `/metrics`.
    pub fn measure(&self, snapshot: &mut Snapshot) {
        for (name, help, kept) in [
            ("curves_kept", "Curves kept now.", &self.curves_kept),
            ("pools_kept", "Pools kept now.", &self.pools_kept),
        ] {
            let _ = snapshot
                .gauge(name, help)
                .with(&[], kept.load(Relaxed) as i64);
        }
        let mut events =
            snapshot.counter("market_events", "What became of curves and pools, by kind.");
        for (name, value) in self.events() {
            events = events.with(&[("kind", name)], value);
        }
        let mut truths = snapshot.counter(
            "account_truth",
            "Account data held against what was reckoned from shreds, by venue and outcome.",
        );
        for (venue, truth) in self.truths() {
            for (outcome, value) in [
                ("truth_agreed", truth.agreed),
                ("truth_diverged", truth.diverged),
                ("truth_behind", truth.behind),
                ("truth_stale", truth.stale),
            ] {
                let labels = [("venue", venue.name()), ("outcome", outcome)];
                truths = truths.with(&labels, value);
            }
        }
        let mut rejected = snapshot.counter(
            "decode_rejected",
            "Instructions of programs that are read without an event, by program and reason.",
        );
        for (program, cells) in Program::ALL.into_iter().zip(&self.decode_rejected) {
            for (reason, cell) in DecodeReject::names().into_iter().zip(cells) {
                let labels = [("program", program.name()), ("reason", reason)];
                rejected = rejected.with(&labels, cell.load(Relaxed));
            }
        }
    }
}
