//! The stages of a relay's threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use shred_relay::{Assembler, Relay};

use crate::clock::{Ticker, realtime};
use crate::leaders::LeaderSource;
use crate::stage::Stage;

/// Nanoseconds between two publications.
const PUBLISH_EVERY: u64 = 20_000_000;

/// What the relay's thread says of itself a few times a second; its counters are its own.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Publications so far: it stands still when the thread does.
    pub turns: AtomicU64,
    /// Highest slot that something authentic was received of; 0 before.
    pub slot: AtomicU64,
    /// When the newest datagrams were taken, to 20 ms, UNIX epoch, nanoseconds; 0 before.
    pub datagram_at: AtomicU64,
}

/// The relay of its crate, on the thread `relay`.
pub struct RelayStage {
    relay: Relay,
    leaders: Arc<LeaderSource>,
    ticker: Ticker,
    pulse: Arc<Pulse>,
    published_at: u64,
    has_taken: bool,
}

impl RelayStage {
    /// Nothing is polled yet.
    #[must_use]
    pub fn new(relay: Relay, leaders: Arc<LeaderSource>, pulse: Arc<Pulse>) -> Self {
        Self {
            relay,
            leaders,
            ticker: Ticker::calibrate(),
            pulse,
            published_at: 0,
            has_taken: false,
        }
    }

    /// What it passes on.
    #[must_use]
    pub const fn relay(&self) -> &Relay {
        &self.relay
    }

    fn housekeeping(&mut self) {
        let now = self.ticker.nanos();
        if now.wrapping_sub(self.published_at) < PUBLISH_EVERY {
            return;
        }
        self.published_at = now;
        if std::mem::take(&mut self.has_taken) {
            self.pulse.datagram_at.store(realtime().0, Relaxed);
        }
        let slot = self.relay.highest_slot().unwrap_or_default();
        self.pulse.slot.store(slot.0, Relaxed);
        let turns = self.pulse.turns.load(Relaxed);
        self.pulse.turns.store(turns.wrapping_add(1), Relaxed);
    }
}

impl Stage for RelayStage {
    #[inline]
    fn poll(&mut self) -> usize {
        let taken = self.relay.poll(self.leaders.as_ref());
        self.has_taken |= taken > 0;
        self.housekeeping();
        taken
    }
}

/// The assembler of its crate, on the thread `entries`.
pub struct EntriesStage {
    /// What makes batches.
    pub assembler: Assembler,
    /// Who signs which slot.
    pub leaders: Arc<LeaderSource>,
}

impl Stage for EntriesStage {
    fn poll(&mut self) -> usize {
        self.assembler.poll(self.leaders.as_ref())
    }
}
