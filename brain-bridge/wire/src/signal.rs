//! A signal as the rest of the executor sees it: codes resolved, ranges checked.

use crate::codes::{Family, Side, SignalFlags};
use crate::frame::SignalFrame;
use crate::reason::NackReason;

/// Parts per million that make one.
pub const PPM: u32 = 1_000_000;
/// Basis points that make one.
pub const BPS: u32 = 10_000;
/// The mint that stands for "the next launch".
pub const NEXT_LAUNCH: [u8; 32] = [0; 32];

/// What a producer asked for. Every code is one this version knows and every ratio is in range;
/// nothing is said about time, authority or limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Who asks; authenticated by the session.
    pub producer_id: u16,
    /// Session it came in.
    pub session_epoch: u64,
    /// Position in that session.
    pub seq: u64,
    /// Which flag bits are set.
    pub flags: SignalFlags,
    /// Realtime of the evidence, nanoseconds since 1970.
    pub t_event_ns: u64,
    /// When it was sent: CLOCK_MONOTONIC with `SAME_HOST_CLOCK`, else realtime.
    pub t_send_ns: u64,
    /// How long it is good for, from `t_send_ns`.
    pub ttl_us: u32,
    /// Which source within the producer; for the independence test.
    pub source_id: u16,
    /// Which way of knowing.
    pub family: Family,
    /// What is asked for; `None` exactly when `VETO` is set.
    pub side: Side,
    /// Chain time of the evidence; 0 is "not known to the producer".
    pub as_of_slot: u64,
    /// Mint, or [`NEXT_LAUNCH`] (buy and veto only).
    pub mint: [u8; 32],
    /// Direction and strength, -1,000,000..=1,000,000.
    pub conviction_ppm: i32,
    /// Probability of being right, 0..=1,000,000.
    pub confidence_ppm: u32,
    /// Spend no more than this; above 0 for buys.
    pub max_notional_lamports: u64,
    /// Accept no worse than this, 0..=10,000.
    pub max_slippage_bps: u32,
    /// Edge the producer claims; it is scored against what happens.
    pub expected_edge_bps: i32,
    /// Hash of the root evidence; for the independence test.
    pub evidence_id: [u8; 16],
    /// The producer's name for this decision, not 0; joins reports to it.
    pub signal_id: u64,
}

impl Signal {
    /// Resolves codes and checks ranges. Pure; the MAC is the caller's matter.
    ///
    /// # Errors
    /// The first rule broken: flags, family, side, their agreement, mint, ratios, amounts, ids.
    pub fn decode(frame: &SignalFrame) -> Result<Self, NackReason> {
        let flags = SignalFlags(frame.head.flags);
        if flags.0 & !SignalFlags::KNOWN.0 != 0 {
            return Err(NackReason::UnknownFlags);
        }
        let family = Family::from_code(frame.family).ok_or(NackReason::FamilyUnknown)?;
        let side = Side::from_code(frame.side).ok_or(NackReason::SideUnknown)?;
        let signal = Self {
            producer_id: frame.head.producer_id,
            session_epoch: frame.head.session_epoch,
            seq: frame.head.seq,
            flags,
            t_event_ns: frame.t_event_ns,
            t_send_ns: frame.t_send_ns,
            ttl_us: frame.ttl_us,
            source_id: frame.source_id,
            family,
            side,
            as_of_slot: frame.as_of_slot,
            mint: frame.mint,
            conviction_ppm: frame.conviction_ppm,
            confidence_ppm: frame.confidence_ppm,
            max_notional_lamports: frame.max_notional_lamports,
            max_slippage_bps: frame.max_slippage_bps,
            expected_edge_bps: frame.expected_edge_bps,
            evidence_id: frame.evidence_id,
            signal_id: frame.signal_id,
        };
        signal.check_ranges()?;
        Ok(signal)
    }

    /// Whether it forbids instead of asking.
    #[inline]
    pub fn is_veto(&self) -> bool {
        self.flags.contains(SignalFlags::VETO)
    }

    /// Whether it is about the next launch instead of one mint.
    #[inline]
    pub fn is_next_launch(&self) -> bool {
        self.mint == NEXT_LAUNCH
    }

    /// The wire form, unsealed. `Signal::decode(&signal.frame()) == Ok(signal)`.
    pub fn frame(&self) -> SignalFrame {
        let mut head = crate::Head::new(
            crate::Template::Signal,
            self.producer_id,
            self.session_epoch,
            self.seq,
        );
        head.flags = self.flags.0;
        SignalFrame {
            head,
            t_event_ns: self.t_event_ns,
            t_send_ns: self.t_send_ns,
            ttl_us: self.ttl_us,
            source_id: self.source_id,
            family: self.family as u8,
            side: self.side as u8,
            as_of_slot: self.as_of_slot,
            mint: self.mint,
            conviction_ppm: self.conviction_ppm,
            confidence_ppm: self.confidence_ppm,
            max_notional_lamports: self.max_notional_lamports,
            max_slippage_bps: self.max_slippage_bps,
            expected_edge_bps: self.expected_edge_bps,
            evidence_id: self.evidence_id,
            signal_id: self.signal_id,
            mac: [0; crate::MAC_LEN],
        }
    }

    fn check_ranges(&self) -> Result<(), NackReason> {
        let reduce_only = self.flags.contains(SignalFlags::REDUCE_ONLY);
        if self.is_veto() != (self.side == Side::None) || reduce_only && self.side == Side::Buy {
            return Err(NackReason::FlagsContradict);
        }
        if self.is_next_launch() && self.side == Side::Sell {
            return Err(NackReason::MintMissing);
        }
        if self.conviction_ppm.unsigned_abs() > PPM {
            return Err(NackReason::ConvictionOutOfRange);
        }
        if self.confidence_ppm > PPM {
            return Err(NackReason::ConfidenceOutOfRange);
        }
        if self.max_notional_lamports == 0 && self.side == Side::Buy {
            return Err(NackReason::NotionalZero);
        }
        if self.max_slippage_bps > BPS {
            return Err(NackReason::SlippageOutOfRange);
        }
        if self.signal_id == 0 {
            return Err(NackReason::SignalIdZero);
        }
        Ok(())
    }
}

/// A signal that passed every rule of the bridge: the cell of the ring to the core.
///
/// `Copy`, no heap. Expiry is checked once by the bridge and **again by the core at the moment of
/// use**, because time in the ring counts: [`is_live`](Self::is_live).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArmedSignal {
    /// What was asked. `max_notional_lamports` in here is the producer's own figure.
    pub signal: Signal,
    /// The smaller of the producer's figure and its configured cap.
    pub max_notional_lamports: u64,
    /// When the bridge took it, CLOCK_MONOTONIC.
    pub accepted_monotonic_ns: u64,
    /// First instant at which it is dead, CLOCK_MONOTONIC.
    pub expires_monotonic_ns: u64,
    /// The same instant by the realtime clock as it stood at acceptance; for stages whose only
    /// time is a realtime receive stamp.
    pub expires_realtime_ns: u64,
}

impl ArmedSignal {
    /// Whether it may still be acted on, by CLOCK_MONOTONIC.
    #[inline]
    pub fn is_live(&self, now_monotonic_ns: u64) -> bool {
        now_monotonic_ns < self.expires_monotonic_ns
    }

    /// Whether it may still be acted on, by the realtime clock.
    #[inline]
    pub fn is_live_realtime(&self, now_realtime_ns: u64) -> bool {
        now_realtime_ns < self.expires_realtime_ns
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(crate) fn buy() -> Signal {
        Signal {
            producer_id: 1,
            session_epoch: 2,
            seq: 3,
            flags: SignalFlags::SAME_HOST_CLOCK,
            t_event_ns: 4,
            t_send_ns: 5,
            ttl_us: 6,
            source_id: 7,
            family: Family::Onchain,
            side: Side::Buy,
            as_of_slot: 8,
            mint: [9; 32],
            conviction_ppm: -1_000_000,
            confidence_ppm: 1_000_000,
            max_notional_lamports: 10,
            max_slippage_bps: 10_000,
            expected_edge_bps: i32::MIN,
            evidence_id: [11; 16],
            signal_id: u64::MAX,
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut SignalFrame), expect: Result<(), NackReason>) {
        let mut frame = buy().frame();
        change(&mut frame);
        assert_eq!(Signal::decode(&frame).map(drop), expect);
    }

    #[test]
    fn extremes_in_range_round_trip() {
        assert_eq!(Signal::decode(&buy().frame()), Ok(buy()));
        check(|f| f.mint = NEXT_LAUNCH, Ok(()));
        check(|f| (f.side, f.head.flags) = (2, 2), Ok(()));
        check(
            |f| (f.side, f.head.flags, f.max_notional_lamports) = (0, 4, 0),
            Ok(()),
        );
    }

    #[test]
    fn each_broken_range_has_its_reason() {
        check(|f| f.head.flags |= 16, Err(NackReason::UnknownFlags));
        check(|f| f.head.flags |= 0x8000, Err(NackReason::UnknownFlags));
        check(|f| f.family = 0, Err(NackReason::FamilyUnknown));
        check(|f| f.family = 255, Err(NackReason::FamilyUnknown));
        check(|f| f.side = 3, Err(NackReason::SideUnknown));
        check(|f| f.side = 0, Err(NackReason::FlagsContradict));
        check(|f| f.head.flags |= 4, Err(NackReason::FlagsContradict));
        check(|f| f.head.flags |= 2, Err(NackReason::FlagsContradict));
        check(
            |f| (f.side, f.mint) = (2, NEXT_LAUNCH),
            Err(NackReason::MintMissing),
        );
        check(
            |f| f.conviction_ppm = 1_000_001,
            Err(NackReason::ConvictionOutOfRange),
        );
        check(
            |f| f.conviction_ppm = -1_000_001,
            Err(NackReason::ConvictionOutOfRange),
        );
        check(
            |f| f.conviction_ppm = i32::MIN,
            Err(NackReason::ConvictionOutOfRange),
        );
        check(
            |f| f.confidence_ppm = 1_000_001,
            Err(NackReason::ConfidenceOutOfRange),
        );
        check(
            |f| f.max_notional_lamports = 0,
            Err(NackReason::NotionalZero),
        );
        check(
            |f| f.max_slippage_bps = 10_001,
            Err(NackReason::SlippageOutOfRange),
        );
        check(|f| f.signal_id = 0, Err(NackReason::SignalIdZero));
    }
}
