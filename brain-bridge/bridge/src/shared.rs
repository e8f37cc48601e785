//! What the bridge shares with the rest of the process: atomics, nothing else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use brain_wire::NackReason;

/// Whether the brain can be relied on, from its heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum BrainState {
    /// No brain has ever sent a heartbeat to this process.
    Absent = 0,
    /// The last heartbeat is too old: no new brain-dependent entries.
    Stale = 1,
    /// Heartbeats come again, but not yet enough of them in a row.
    Recovering = 2,
    /// Enough heartbeats in a row, the last one recent.
    Live = 3,
}

impl BrainState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Absent, Self::Stale, Self::Recovering, Self::Live];

    /// The word used in status and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Stale => "stale",
            Self::Recovering => "recovering",
            Self::Live => "live",
        }
    }
}

/// Shared between bridge, core and sidecar. Each side only loads or stores; nobody waits.
///
/// Values are independent facts, so every access is relaxed; the ring alone orders signals.
#[derive(Debug, Default)]
pub struct BridgeShared {
    /// Newest slot of the chain the core has seen; 0 = unknown. Written by the core's side.
    pub current_slot: AtomicU64,
    /// Set to end the bridge thread; it notices within 50 ms.
    pub stop: AtomicBool,
    /// Whether the bridge thread runs; written by whoever starts it and by the thread when it ends.
    pub(crate) running: AtomicBool,
    /// Age at which a heartbeat no longer counts; written once by the bridge when it starts.
    pub(crate) heartbeat_timeout_ns: AtomicU64,
    /// CLOCK_MONOTONIC of the last good heartbeat of any producer; 0 = never.
    pub(crate) heartbeat_at_ns: AtomicU64,
    /// The same, counting only producers that have sent enough of them in a row.
    pub(crate) live_heartbeat_at_ns: AtomicU64,
    /// Counters.
    pub stats: BridgeStats,
}

impl BridgeShared {
    /// Whether the bridge thread runs. False before it starts and after it has ended, by a panic as well.
    pub fn is_running(&self) -> bool {
        self.running.load(Relaxed)
    }

    /// The brain's state at `now_monotonic_ns`. Two loads, so the hot path may ask; it needs no
    /// help from the bridge thread, so a wedged bridge reads as a stale brain.
    #[inline]
    pub fn brain_state(&self, now_monotonic_ns: u64) -> BrainState {
        let timeout_ns = self.heartbeat_timeout_ns.load(Relaxed);
        let recent = |at_ns: u64| at_ns != 0 && now_monotonic_ns.saturating_sub(at_ns) < timeout_ns;
        let last_ns = self.heartbeat_at_ns.load(Relaxed);
        if recent(self.live_heartbeat_at_ns.load(Relaxed)) {
            BrainState::Live
        } else if recent(last_ns) {
            BrainState::Recovering
        } else if last_ns != 0 {
            BrainState::Stale
        } else {
            BrainState::Absent
        }
    }
}

/// What the bridge has done, since it started. Names are the metric names.
#[derive(Debug, Default)]
pub struct BridgeStats {
    /// Signals put into the ring.
    pub signal_accepted: AtomicU64,
    /// Signals with the test flag that passed every check and were not armed.
    pub signal_tested: AtomicU64,
    /// Signals whose notional was lowered to the producer's cap.
    pub signal_clamped: AtomicU64,
    /// Sequence numbers that never came.
    pub signal_skipped: AtomicU64,
    /// Heartbeats answered.
    pub heartbeat_accepted: AtomicU64,
    /// Hellos answered with a challenge.
    pub hello_answered: AtomicU64,
    /// Sessions whose brain proved its key.
    pub session_opened: AtomicU64,
    /// Sessions that a newer one of the same producer ended.
    pub session_replaced: AtomicU64,
    /// Connections put into quarantine.
    pub peer_quarantined: AtomicU64,
    /// Producers put into quarantine.
    pub producer_quarantined: AtomicU64,
    /// Connections forgotten to make room for new ones.
    pub peer_evicted: AtomicU64,
    /// Answers the peer did not take in time, or that found it gone.
    pub reply_dropped: AtomicU64,
    refused: Refused,
}

/// One counter per reason; wrapped because arrays this long have no `Default`.
#[derive(Debug)]
struct Refused([AtomicU64; NackReason::COUNT]);

impl Default for Refused {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; NackReason::COUNT])
    }
}

impl BridgeStats {
    /// How many messages were refused for `reason`.
    pub fn refused(&self, reason: NackReason) -> u64 {
        self.refused.0[reason.index()].load(Relaxed)
    }

    /// Every counter but the refusals, with its name.
    pub fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("signal_accepted", &self.signal_accepted),
            ("signal_tested", &self.signal_tested),
            ("signal_clamped", &self.signal_clamped),
            ("signal_skipped", &self.signal_skipped),
            ("heartbeat_accepted", &self.heartbeat_accepted),
            ("hello_answered", &self.hello_answered),
            ("session_opened", &self.session_opened),
            ("session_replaced", &self.session_replaced),
            ("peer_quarantined", &self.peer_quarantined),
            ("producer_quarantined", &self.producer_quarantined),
            ("peer_evicted", &self.peer_evicted),
            ("reply_dropped", &self.reply_dropped),
        ]
        .map(|(name, counter)| (name, counter.load(Relaxed)))
    }

    /// Every reason with its count, for the metrics page.
    pub fn refusals(&self) -> impl Iterator<Item = (NackReason, u64)> {
        NackReason::all().map(|reason| (reason, self.refused(reason)))
    }

    pub(crate) fn count_refusal(&self, reason: NackReason) {
        self.refused.0[reason.index()].fetch_add(1, Relaxed);
    }
}

/// Adds one. The bridge thread is the only writer; the add is atomic for the readers' sake.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_the_heartbeats_without_the_bridge() {
        let shared = BridgeShared::default();
        shared.heartbeat_timeout_ns.store(1_000, Relaxed);
        assert_eq!(shared.brain_state(5_000), BrainState::Absent);
        shared.heartbeat_at_ns.store(5_000, Relaxed);
        assert_eq!(shared.brain_state(5_999), BrainState::Recovering);
        shared.live_heartbeat_at_ns.store(5_500, Relaxed);
        shared.heartbeat_at_ns.store(5_500, Relaxed);
        assert_eq!(shared.brain_state(6_499), BrainState::Live);
        assert_eq!(shared.brain_state(6_500), BrainState::Stale);
        assert_eq!(
            shared.brain_state(5_000),
            BrainState::Live,
            "a reader's clock may lag"
        );
    }

    #[test]
    fn every_counter_is_named_once_and_by_its_field() {
        let stats = BridgeStats::default();
        stats.session_replaced.store(5, Relaxed);
        let named = stats.named();
        assert!(named.contains(&("session_replaced", 5)));
        assert_eq!(named.iter().map(|(_, value)| value).sum::<u64>(), 5);
        // Debug shows every field, so a counter that is added must be named as well.
        let fields = format!("{stats:?}").matches(": ").count() - 1;
        assert_eq!(named.len(), fields);
    }

    #[test]
    fn every_state_has_a_word_of_its_own() {
        for (index, state) in BrainState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, index);
            assert_eq!(format!("{state:?}").to_lowercase(), state.as_str());
        }
    }
}
