//! What happened to the bundles, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::admission::Refusal;

/// Shared counters. Each is only ever added to.
#[derive(Debug, Default)]
pub struct Counters {
    received: AtomicU64,
    refused: [AtomicU64; Refusal::COUNT],
    outbid: AtomicU64,
    simulation_failed: AtomicU64,
    internal_error: AtomicU64,
    accepted: AtomicU64,
    lost: AtomicU64,
    landed: AtomicU64,
    failed_at_leader: AtomicU64,
    expired: AtomicU64,
    expired_silently: AtomicU64,
    finalized: AtomicU64,
    result_missed: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CounterSnapshot {
    /// `SendBundle` calls.
    pub received: u64,
    /// Calls refused, by reason: `refused[Refusal::X as usize]`.
    pub refused: [u64; Refusal::COUNT],
    /// Bundles that lost an auction.
    pub outbid: u64,
    /// Bundles that failed in simulation.
    pub simulation_failed: u64,
    /// Bundles refused with a made-up internal error.
    pub internal_error: u64,
    /// Bundles that won their auction.
    pub accepted: u64,
    /// Of those, vanished without a result.
    pub lost: u64,
    /// Of those, in a block.
    pub landed: u64,
    /// Of those, refused by the leader or too late for it.
    pub failed_at_leader: u64,
    /// Bundles given up waiting for a leader, and said so.
    pub expired: u64,
    /// Bundles given up waiting for a leader, without a word.
    pub expired_silently: u64,
    /// Landed bundles reported final.
    pub finalized: u64,
    /// Results a slow subscriber did not get.
    pub result_missed: u64,
}

impl CounterSnapshot {
    /// Calls refused for any reason.
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// Calls refused for `reason`.
    pub fn refused_for(&self, reason: Refusal) -> u64 {
        self.refused[reason as usize]
    }
}

impl Counters {
    /// Reads every counter; not one atomic picture, but each value was true.
    pub fn snapshot(&self) -> CounterSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CounterSnapshot {
            received: read(&self.received),
            refused: std::array::from_fn(|index| read(&self.refused[index])),
            outbid: read(&self.outbid),
            simulation_failed: read(&self.simulation_failed),
            internal_error: read(&self.internal_error),
            accepted: read(&self.accepted),
            lost: read(&self.lost),
            landed: read(&self.landed),
            failed_at_leader: read(&self.failed_at_leader),
            expired: read(&self.expired),
            expired_silently: read(&self.expired_silently),
            finalized: read(&self.finalized),
            result_missed: read(&self.result_missed),
        }
    }

    pub(super) fn count(&self, what: Happened) {
        let counter = match what {
            Happened::Received => &self.received,
            Happened::Refused(reason) => &self.refused[reason as usize],
            Happened::Outbid => &self.outbid,
            Happened::SimulationFailed => &self.simulation_failed,
            Happened::InternalError => &self.internal_error,
            Happened::Accepted => &self.accepted,
            Happened::Lost => &self.lost,
            Happened::Landed => &self.landed,
            Happened::FailedAtLeader => &self.failed_at_leader,
            Happened::Expired => &self.expired,
            Happened::ExpiredSilently => &self.expired_silently,
            Happened::Finalized => &self.finalized,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn results_missed(&self, count: u64) {
        self.result_missed.fetch_add(count, Ordering::Relaxed);
    }
}

/// One step of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    Received,
    Refused(Refusal),
    Outbid,
    SimulationFailed,
    InternalError,
    Accepted,
    Lost,
    Landed,
    FailedAtLeader,
    Expired,
    ExpiredSilently,
    Finalized,
}
