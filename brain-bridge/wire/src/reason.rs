//! Why a frame was refused: one list for the parser, the rules, the bridge and the sender.

/// Why a frame was refused. One byte, `Copy`; it travels in the Nack, indexes the bridge's
/// counters and names the metric label. Ordered roughly by the check that raises it, cheapest
/// first. Append, never reorder: the numbers are part of the wire contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NackReason {
    /// Shorter than one frame.
    Truncated = 1,
    /// The first byte is `{`: the JSON form is not part of this version.
    JsonNotSupported = 2,
    /// The first four bytes are not `SGB1`.
    BadMagic = 3,
    /// `block_length` disagrees with the message's length, or is below one frame.
    BadLength = 4,
    /// Longer than any frame this version could be asked to skip over.
    Oversized = 5,
    /// No template has this id.
    UnknownTemplate = 6,
    /// The template is one that only the executor sends.
    WrongDirection = 7,
    /// Another `schema_id`: an incompatible layout.
    WrongSchema = 8,
    /// No schema version that both sides speak.
    WrongVersion = 9,
    /// A flag bit this version does not define; it might restrict, so it is not ignored.
    UnknownFlags = 10,
    /// More than one message part after the routing id.
    ExtraFrame = 11,
    /// No such producer in the executor's configuration.
    UnknownProducer = 12,
    /// This connection has not said Hello since the executor started.
    NoSession = 13,
    /// The frame's session epoch or producer is not this connection's.
    WrongSession = 14,
    /// The MAC does not verify.
    BadMac = 15,
    /// The sequence number was used before in this session.
    Replay = 16,
    /// The producer's token bucket is empty.
    RateLimited = 17,
    /// The connection or producer is in quarantine.
    Quarantined = 18,
    /// No family has this code.
    FamilyUnknown = 19,
    /// The producer may not speak for this family.
    FamilyNotAllowed = 20,
    /// No side has this code.
    SideUnknown = 21,
    /// Flags and side contradict each other.
    FlagsContradict = 22,
    /// An all-zero mint where one mint must be named.
    MintMissing = 23,
    /// `conviction_ppm` outside -1,000,000..=1,000,000.
    ConvictionOutOfRange = 24,
    /// `confidence_ppm` above 1,000,000.
    ConfidenceOutOfRange = 25,
    /// `confidence_ppm` below the executor's threshold.
    ConfidenceTooLow = 26,
    /// A buy with `max_notional_lamports` 0.
    NotionalZero = 27,
    /// `max_slippage_bps` above 10,000.
    SlippageOutOfRange = 28,
    /// `signal_id` 0.
    SignalIdZero = 29,
    /// A signal with this `signal_id` was accepted before.
    DuplicateSignal = 30,
    /// `ttl_us` 0.
    TtlZero = 31,
    /// `ttl_us` above the executor's cap.
    TtlTooLong = 32,
    /// Its time to live had passed when it arrived.
    Expired = 33,
    /// `t_send_ns` lies in the future: clocks disagree or the flag names the wrong clock.
    SentInFuture = 34,
    /// `t_event_ns` lies in the future.
    EventInFuture = 35,
    /// `as_of_slot` is too far behind the chain.
    SlotTooOld = 36,
    /// `as_of_slot` is ahead of the chain.
    SlotInFuture = 37,
    /// Evidence time or slot went backwards within the session.
    TimeTravel = 38,
    /// The ring to the core is full; nothing was armed.
    QueueFull = 39,
    /// The core is gone; nothing was armed.
    ExecutorStopped = 40,
    /// The session epoch could not be made durable, or the system gave no randomness, so no
    /// session was opened.
    EpochNotDurable = 41,
}

/// Another name for [`NackReason`]: what the parser refuses is what the sender is told.
pub type SignalReject = NackReason;

/// One line of the reference: number, stable name, what to do about it.
struct Line(NackReason, &'static str, &'static str);

use NackReason as R;

/// Every reason, in order of its number; index 0 is number 1.
#[rustfmt::skip]
const TABLE: [Line; NackReason::COUNT] = [
    Line(R::Truncated, "truncated", "send whole 160-byte frames; is something else talking to this socket?"),
    Line(R::JsonNotSupported, "json_not_supported", "send the binary frame; use the Python client or signal-inject"),
    Line(R::BadMagic, "bad_magic", "start the frame with SGB1; is something else talking to this socket?"),
    Line(R::BadLength, "bad_length", "set block_length to the message's length, at least 160"),
    Line(R::Oversized, "oversized", "send one frame per message, 160 bytes in this schema version"),
    Line(R::UnknownTemplate, "unknown_template", "use Signal 1, Heartbeat 2 or Hello 3"),
    Line(R::WrongDirection, "wrong_direction", "only the executor sends this template; is another executor connected here?"),
    Line(R::WrongSchema, "wrong_schema", "client and executor speak different layouts; upgrade the older one"),
    Line(R::WrongVersion, "wrong_version", "no common schema version; upgrade the older one"),
    Line(R::UnknownFlags, "unknown_flags", "clear the flag bits this version does not define"),
    Line(R::ExtraFrame, "extra_frame", "send one message part; attachments are not part of this version"),
    Line(R::UnknownProducer, "unknown_producer", "add the producer id to the executor's [[bridge.producers]] or correct --producer"),
    Line(R::NoSession, "no_session", "say Hello (again): the executor restarted, or a newer session of this producer took over"),
    Line(R::WrongSession, "wrong_session", "another Hello replaced this session, or the frame is from an older one; say Hello again"),
    Line(R::BadMac, "bad_mac", "check that both sides read the same key file and that nothing alters the frame"),
    Line(R::Replay, "replay", "count seq up by one for every frame of the session; never resend old bytes"),
    Line(R::RateLimited, "rate_limited", "send less often, or raise rate_per_second for this producer"),
    Line(R::Quarantined, "quarantined", "stop the sender, find why its frames were garbage, wait for retry_after_ms"),
    Line(R::FamilyUnknown, "family_unknown", "use a family code of the table"),
    Line(R::FamilyNotAllowed, "family_not_allowed", "add the family to this producer's families, or send it from another producer"),
    Line(R::SideUnknown, "side_unknown", "use side 0 (veto), 1 (buy) or 2 (sell)"),
    Line(R::FlagsContradict, "flags_contradict", "veto goes with side 0 and only with it; reduce_only does not go with buy"),
    Line(R::MintMissing, "mint_missing", "name the mint; all zero means the next launch and can only be bought or vetoed"),
    Line(R::ConvictionOutOfRange, "conviction_out_of_range", "keep conviction_ppm within -1000000..=1000000"),
    Line(R::ConfidenceOutOfRange, "confidence_out_of_range", "keep confidence_ppm within 0..=1000000"),
    Line(R::ConfidenceTooLow, "confidence_too_low", "the executor asks for more confidence (bridge.confidence_min_ppm)"),
    Line(R::NotionalZero, "notional_zero", "state how many lamports the buy may spend at most"),
    Line(R::SlippageOutOfRange, "slippage_out_of_range", "keep max_slippage_bps within 0..=10000"),
    Line(R::SignalIdZero, "signal_id_zero", "give every signal its own id, not 0"),
    Line(R::DuplicateSignal, "duplicate_signal", "this signal was armed before; a new decision needs a new signal_id"),
    Line(R::TtlZero, "ttl_zero", "state how long the signal is good for"),
    Line(R::TtlTooLong, "ttl_too_long", "shorten ttl_us to the cap the HelloAck states"),
    Line(R::Expired, "expired", "send sooner or allow a longer ttl; the executor never acts on old signals"),
    Line(R::SentInFuture, "sent_in_future", "use CLOCK_MONOTONIC with same_host_clock, else a synchronised realtime clock"),
    Line(R::EventInFuture, "event_in_future", "t_event_ns is realtime nanoseconds of the evidence; check the clock"),
    Line(R::SlotTooOld, "slot_too_old", "decide on newer chain state; current_slot is in this answer"),
    Line(R::SlotInFuture, "slot_in_future", "as_of_slot is ahead of the executor's chain; current_slot is in this answer"),
    Line(R::TimeTravel, "time_travel", "evidence may go back by 2 s or 8 slots at most within a session"),
    Line(R::QueueFull, "queue_full", "the core has not taken earlier signals yet; try again while the signal is still good"),
    Line(R::ExecutorStopped, "executor_stopped", "the executor is stopping; connect again when it is back"),
    Line(R::EpochNotDurable, "epoch_not_durable", "the executor could not write its epoch file; check the disk and its rights"),
];

impl NackReason {
    /// Number of reasons. Numbers run from 1 to `COUNT` without gaps.
    pub const COUNT: usize = 41;

    /// The reason a Nack's byte names; `None` for 0 and for numbers of a later version.
    pub fn from_byte(byte: u8) -> Option<Self> {
        TABLE
            .get(usize::from(byte).checked_sub(1)?)
            .map(|line| line.0)
    }

    /// Index into an array of [`COUNT`](Self::COUNT) counters.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    /// Every reason, in order of its number.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|line| line.0)
    }

    /// Stable lower-case name: the metric label and what the tools print.
    pub fn name(self) -> &'static str {
        TABLE[self.index()].1
    }

    /// What the sender can do about it, one sentence.
    pub fn hint(self) -> &'static str {
        TABLE[self.index()].2
    }

    /// Whether the frame is garbage: no honest client sends it, and enough of them put the
    /// connection into quarantine. A stale or repeated frame is refused but is not garbage.
    pub const fn is_garbage(self) -> bool {
        matches!(
            self,
            Self::Truncated
                | Self::JsonNotSupported
                | Self::BadMagic
                | Self::BadLength
                | Self::Oversized
                | Self::UnknownTemplate
                | Self::WrongDirection
                | Self::WrongSchema
                | Self::UnknownFlags
                | Self::ExtraFrame
                | Self::BadMac
        )
    }
}

impl core::fmt::Display for NackReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Goal: number, table line and counter index can never drift apart.
    #[test]
    fn numbers_table_and_index_agree() {
        for (index, line) in TABLE.iter().enumerate() {
            assert_eq!(line.0 as usize, index + 1);
            assert_eq!(line.0.index(), index);
            assert_eq!(NackReason::from_byte(line.0 as u8), Some(line.0));
            assert!(
                TABLE[..index].iter().all(|other| other.1 != line.1),
                "{} twice",
                line.1
            );
        }
        assert_eq!(NackReason::from_byte(0), None);
        assert_eq!(NackReason::from_byte(NackReason::COUNT as u8 + 1), None);
        assert_eq!(NackReason::EpochNotDurable as usize, NackReason::COUNT);
    }
}
