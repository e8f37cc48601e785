//! The rules of time, order, authority and rate. Pure: what time it is comes in as an argument.

use crate::codes::{FamilySet, SignalFlags};
use crate::reason::NackReason;
use crate::signal::{ArmedSignal, Signal};

/// One reading of both clocks of the executor's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// CLOCK_MONOTONIC, nanoseconds.
    pub monotonic_ns: u64,
    /// CLOCK_REALTIME, nanoseconds since 1970.
    pub realtime_ns: u64,
}

/// Limits that hold for every producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Longest time to live a signal may ask for.
    pub ttl_max_us: u32,
    /// How far ahead of our clocks a stamp may be.
    pub future_max_ns: u64,
    /// How many slots behind the chain the evidence may be.
    pub slot_lag_max: u64,
    /// How many slots ahead of our view of the chain the evidence may be.
    pub slot_lead_max: u64,
    /// Least confidence that is acted on. Vetoes need none.
    pub confidence_min_ppm: u32,
    /// How far evidence time may go back within a session.
    pub event_back_max_ns: u64,
    /// How far evidence slots may go back within a session.
    pub slot_back_max: u64,
    /// Age at which a heartbeat no longer shows that the brain lives.
    pub heartbeat_timeout_ns: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            ttl_max_us: 5_000_000,
            future_max_ns: 5_000_000,
            slot_lag_max: 32,
            slot_lead_max: 8,
            confidence_min_ppm: 700_000,
            event_back_max_ns: 2_000_000_000,
            slot_back_max: 8,
            heartbeat_timeout_ns: 1_000_000_000,
        }
    }
}

/// What one producer may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Families it may speak for.
    pub families: FamilySet,
    /// Cap on any one signal; a higher figure is lowered to it, not refused.
    pub max_notional_lamports: u64,
}

impl Rules {
    /// Judges one authentic signal. `current_slot` is `None` while the chain's slot is not known;
    /// then only the clocks limit its age.
    ///
    /// # Errors
    /// The first rule broken: family, confidence, time to live, expiry, future stamps, slots.
    pub fn judge(
        &self,
        signal: &Signal,
        grant: &Grant,
        now: Now,
        current_slot: Option<u64>,
    ) -> Result<ArmedSignal, NackReason> {
        if !grant.families.contains(signal.family) {
            return Err(NackReason::FamilyNotAllowed);
        }
        if signal.confidence_ppm < self.confidence_min_ppm && !signal.is_veto() {
            return Err(NackReason::ConfidenceTooLow);
        }
        let left_ns = self.check_clocks(signal, now)?;
        if let Some(slot) = current_slot {
            self.check_slot(signal.as_of_slot, slot)?;
        }
        Ok(ArmedSignal {
            signal: *signal,
            max_notional_lamports: signal
                .max_notional_lamports
                .min(grant.max_notional_lamports),
            accepted_monotonic_ns: now.monotonic_ns,
            expires_monotonic_ns: now.monotonic_ns.saturating_add(left_ns),
            expires_realtime_ns: now.realtime_ns.saturating_add(left_ns),
        })
    }

    /// Judges one authentic heartbeat: a backlog of old ones must not look like a living brain.
    ///
    /// # Errors
    /// `SentInFuture` or `Expired`, by the clock that `flags` name.
    pub fn judge_heartbeat(
        &self,
        flags: SignalFlags,
        t_send_ns: u64,
        now: Now,
    ) -> Result<(), NackReason> {
        let age_ns = self.age_ns(flags, t_send_ns, now)?;
        if age_ns >= self.heartbeat_timeout_ns {
            return Err(NackReason::Expired);
        }
        Ok(())
    }

    /// Age by the clock that `flags` name; a stamp ahead of it within tolerance is of age 0.
    fn age_ns(&self, flags: SignalFlags, t_send_ns: u64, now: Now) -> Result<u64, NackReason> {
        let same_host = flags.contains(SignalFlags::SAME_HOST_CLOCK);
        let clock_ns = if same_host {
            now.monotonic_ns
        } else {
            now.realtime_ns
        };
        if t_send_ns > clock_ns.saturating_add(self.future_max_ns) {
            return Err(NackReason::SentInFuture);
        }
        Ok(clock_ns.saturating_sub(t_send_ns))
    }

    /// Time left to live, by the clock the signal names.
    fn check_clocks(&self, signal: &Signal, now: Now) -> Result<u64, NackReason> {
        if signal.ttl_us == 0 {
            return Err(NackReason::TtlZero);
        }
        if signal.ttl_us > self.ttl_max_us {
            return Err(NackReason::TtlTooLong);
        }
        // A stamp slightly ahead of our clock must not buy a longer life than it asked for.
        let age_ns = self.age_ns(signal.flags, signal.t_send_ns, now)?;
        if signal.t_event_ns > now.realtime_ns.saturating_add(self.future_max_ns) {
            return Err(NackReason::EventInFuture);
        }
        let ttl_ns = u64::from(signal.ttl_us) * 1_000;
        match ttl_ns.checked_sub(age_ns) {
            None | Some(0) => Err(NackReason::Expired),
            Some(left_ns) => Ok(left_ns),
        }
    }

    fn check_slot(&self, as_of_slot: u64, current_slot: u64) -> Result<(), NackReason> {
        if as_of_slot.saturating_add(self.slot_lag_max) < current_slot {
            return Err(NackReason::SlotTooOld);
        }
        if as_of_slot > current_slot.saturating_add(self.slot_lead_max) {
            return Err(NackReason::SlotInFuture);
        }
        Ok(())
    }
}

/// Order within one session: sequence numbers, and evidence that must not run backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sequence {
    last: u64,
    newest_event_ns: u64,
    newest_slot: u64,
}

impl Sequence {
    /// Takes the sequence number of an authentic frame; returns how many were skipped before it.
    /// The number is used up even if the frame is refused for another reason later.
    ///
    /// # Errors
    /// [`NackReason::Replay`] unless it is above every earlier one.
    pub fn advance(&mut self, seq: u64) -> Result<u64, NackReason> {
        if seq <= self.last {
            return Err(NackReason::Replay);
        }
        let gap = seq - self.last - 1;
        self.last = seq;
        Ok(gap)
    }

    /// Checks that the evidence does not run backwards.
    ///
    /// # Errors
    /// [`NackReason::TimeTravel`].
    pub fn check_evidence(&self, signal: &Signal, rules: &Rules) -> Result<(), NackReason> {
        let event_back = self.newest_event_ns.saturating_sub(signal.t_event_ns);
        let slot_back = self.newest_slot.saturating_sub(signal.as_of_slot);
        let slot_known = signal.as_of_slot != 0;
        if event_back > rules.event_back_max_ns || slot_known && slot_back > rules.slot_back_max {
            return Err(NackReason::TimeTravel);
        }
        Ok(())
    }

    /// Remembers the evidence of a signal that was accepted.
    pub fn note_evidence(&mut self, signal: &Signal) {
        self.newest_event_ns = self.newest_event_ns.max(signal.t_event_ns);
        self.newest_slot = self.newest_slot.max(signal.as_of_slot);
    }
}

/// A token bucket in integers: `rate_per_second` on average, `burst` at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBucket {
    rate_per_second: u32,
    burst: u32,
    /// Tokens times 1e9, so that refilling loses nothing to rounding.
    level_nano: u64,
    filled_at_ns: u64,
}

const NANO: u64 = 1_000_000_000;

impl TokenBucket {
    /// A full bucket. `now_ns` is any monotonic clock, the same for every call.
    pub fn new(rate_per_second: u32, burst: u32, now_ns: u64) -> Self {
        Self {
            rate_per_second,
            burst,
            level_nano: u64::from(burst) * NANO,
            filled_at_ns: now_ns,
        }
    }

    /// Takes one token if there is one. A clock that goes back refills nothing.
    pub fn take(&mut self, now_ns: u64) -> bool {
        let elapsed_ns = now_ns.saturating_sub(self.filled_at_ns);
        self.filled_at_ns = self.filled_at_ns.max(now_ns);
        let refill = elapsed_ns.saturating_mul(u64::from(self.rate_per_second));
        let full = u64::from(self.burst) * NANO;
        self.level_nano = self.level_nano.saturating_add(refill).min(full);
        match self.level_nano.checked_sub(NANO) {
            Some(rest) => {
                self.level_nano = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::codes::{Family, Side};

    const NOW: Now = Now {
        monotonic_ns: 50_000_000_000,
        realtime_ns: 1_800_000_000_000_000_000,
    };
    const GRANT: Grant = Grant {
        families: FamilySet(1 << Family::Onchain as u8),
        max_notional_lamports: 1_000,
    };

    fn signal() -> Signal {
        Signal {
            producer_id: 1,
            session_epoch: 1,
            seq: 1,
            flags: SignalFlags::SAME_HOST_CLOCK,
            t_event_ns: NOW.realtime_ns - 1,
            t_send_ns: NOW.monotonic_ns,
            ttl_us: 800_000,
            source_id: 0,
            family: Family::Onchain,
            side: Side::Buy,
            as_of_slot: 1_000,
            mint: [1; 32],
            conviction_ppm: 0,
            confidence_ppm: 700_000,
            max_notional_lamports: 5_000,
            max_slippage_bps: 100,
            expected_edge_bps: 0,
            evidence_id: [0; 16],
            signal_id: 1,
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Signal), slot: u64, expect: Result<(), NackReason>) {
        let mut signal = signal();
        change(&mut signal);
        let slot = (slot != 0).then_some(slot);
        assert_eq!(
            Rules::default().judge(&signal, &GRANT, NOW, slot).map(drop),
            expect
        );
    }

    #[test]
    fn an_accepted_signal_is_clamped_and_dated() {
        let armed = Rules::default()
            .judge(&signal(), &GRANT, NOW, Some(1_000))
            .unwrap();
        assert_eq!(armed.max_notional_lamports, 1_000);
        assert_eq!(armed.expires_monotonic_ns, NOW.monotonic_ns + 800_000_000);
        assert_eq!(armed.expires_realtime_ns, NOW.realtime_ns + 800_000_000);
        assert!(armed.is_live(armed.expires_monotonic_ns - 1));
        assert!(!armed.is_live(armed.expires_monotonic_ns));
        assert!(!armed.is_live_realtime(armed.expires_realtime_ns));
    }

    #[test]
    fn expiry_is_exact_to_the_nanosecond_on_both_clocks() {
        let age = |ns: u64| move |s: &mut Signal| s.t_send_ns = NOW.monotonic_ns - ns;
        check(age(799_999_999), 0, Ok(()));
        check(age(800_000_000), 0, Err(NackReason::Expired));
        let real = |ns: u64| {
            move |s: &mut Signal| {
                s.flags = SignalFlags::default();
                s.t_send_ns = NOW.realtime_ns - ns;
            }
        };
        check(real(799_999_999), 0, Ok(()));
        check(real(800_000_000), 0, Err(NackReason::Expired));
    }

    #[test]
    fn each_clock_and_authority_rule_has_its_reason() {
        check(|s| s.ttl_us = 0, 0, Err(NackReason::TtlZero));
        check(|s| s.ttl_us = 5_000_000, 0, Ok(()));
        check(|s| s.ttl_us = 5_000_001, 0, Err(NackReason::TtlTooLong));
        check(|s| s.t_send_ns += 5_000_000, 0, Ok(()));
        check(
            |s| s.t_send_ns += 5_000_001,
            0,
            Err(NackReason::SentInFuture),
        );
        check(|s| s.t_send_ns = u64::MAX, 0, Err(NackReason::SentInFuture));
        check(|s| s.t_event_ns = NOW.realtime_ns + 5_000_000, 0, Ok(()));
        check(
            |s| s.t_event_ns = NOW.realtime_ns + 5_000_001,
            0,
            Err(NackReason::EventInFuture),
        );
        check(
            |s| s.family = Family::Social,
            0,
            Err(NackReason::FamilyNotAllowed),
        );
        check(
            |s| s.confidence_ppm = 699_999,
            0,
            Err(NackReason::ConfidenceTooLow),
        );
        // Realtime stamps under the monotonic flag look like the far future.
        check(
            |s| s.t_send_ns = NOW.realtime_ns,
            0,
            Err(NackReason::SentInFuture),
        );
    }

    /// A stamp ahead of our clock within tolerance lives its ttl from arrival, not longer.
    #[test]
    fn a_stamp_ahead_of_the_clock_buys_no_time() {
        let mut early = signal();
        early.t_send_ns += 4_000_000;
        let armed = Rules::default().judge(&early, &GRANT, NOW, None).unwrap();
        assert_eq!(armed.expires_monotonic_ns, NOW.monotonic_ns + 800_000_000);
    }

    #[test]
    fn an_old_heartbeat_is_no_sign_of_life() {
        let judge = |age_ns| {
            let flags = SignalFlags::SAME_HOST_CLOCK;
            Rules::default().judge_heartbeat(flags, NOW.monotonic_ns - age_ns, NOW)
        };
        assert_eq!(judge(999_999_999), Ok(()));
        assert_eq!(judge(1_000_000_000), Err(NackReason::Expired));
        let flags = SignalFlags::default();
        let ahead = Rules::default().judge_heartbeat(flags, NOW.realtime_ns + 5_000_001, NOW);
        assert_eq!(ahead, Err(NackReason::SentInFuture));
    }

    #[test]
    fn slots_bound_the_age_whatever_the_clocks_say() {
        check(|_| (), 1_032, Ok(()));
        check(|_| (), 1_033, Err(NackReason::SlotTooOld));
        check(|_| (), 992, Ok(()));
        check(|_| (), 991, Err(NackReason::SlotInFuture));
        check(|s| s.as_of_slot = 0, 1_000, Err(NackReason::SlotTooOld));
        check(
            |s| s.as_of_slot = u64::MAX,
            1_000,
            Err(NackReason::SlotInFuture),
        );
        check(|s| s.as_of_slot = 0, 0, Ok(()));
    }

    #[test]
    fn sequence_takes_each_number_once_and_counts_gaps() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.advance(0), Err(NackReason::Replay));
        assert_eq!(sequence.advance(1), Ok(0));
        assert_eq!(sequence.advance(1), Err(NackReason::Replay));
        assert_eq!(sequence.advance(5), Ok(3));
        assert_eq!(sequence.advance(4), Err(NackReason::Replay));
        assert_eq!(sequence.advance(u64::MAX), Ok(u64::MAX - 6));
        assert_eq!(sequence.advance(u64::MAX), Err(NackReason::Replay));
    }

    #[test]
    fn evidence_may_not_run_backwards() {
        let rules = Rules::default();
        let mut sequence = Sequence::default();
        sequence.note_evidence(&signal());
        let back = |event_ns: u64, slots: u64| {
            let mut older = signal();
            older.t_event_ns -= event_ns;
            older.as_of_slot -= slots;
            sequence.check_evidence(&older, &rules)
        };
        assert_eq!(back(2_000_000_000, 8), Ok(()));
        assert_eq!(back(2_000_000_001, 0), Err(NackReason::TimeTravel));
        assert_eq!(back(0, 9), Err(NackReason::TimeTravel));
        assert_eq!(
            back(0, 1_000),
            Ok(()),
            "an unknown slot says nothing about time"
        );
    }

    /// Goal: over any stretch, no more than burst + rate x time.
    #[test]
    fn the_bucket_gives_its_burst_then_its_rate() {
        let mut bucket = TokenBucket::new(500, 100, 0);
        assert_eq!((0..1_000).filter(|_| bucket.take(0)).count(), 100);
        assert!(!bucket.take(1_999_999));
        assert!(bucket.take(2_000_000));
        assert!(!bucket.take(2_000_000));
        assert!(!bucket.take(0), "a clock that goes back refills nothing");
        let granted = (0..3_000_u64)
            .filter(|i| bucket.take(2_000_000 + i * 1_000_000))
            .count();
        assert_eq!(granted, 1_499);
        assert_eq!((0..1_000).filter(|_| bucket.take(u64::MAX)).count(), 100);
    }
}
