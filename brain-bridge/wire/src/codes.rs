//! The codes of the wire: templates, families, sides, flags. One table each.

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Template {
    /// A request to act, or a veto. Brain to executor.
    Signal = 1,
    /// The brain lives. Brain to executor.
    Heartbeat = 2,
    /// Opens a session. Brain to executor.
    Hello = 3,
    /// Challenge, session epoch and the producer's limits. Executor to brain.
    HelloAck = 4,
    /// The signal was handed to the core. Executor to brain.
    Ack = 5,
    /// The frame was refused, and why. Executor to brain.
    Nack = 6,
    /// Answer to a heartbeat, with the stamps for a clock estimate. Executor to brain.
    Pong = 13,
}

impl Template {
    /// The template with this id, if this version knows it.
    pub const fn from_id(id: u16) -> Option<Self> {
        Some(match id {
            1 => Self::Signal,
            2 => Self::Heartbeat,
            3 => Self::Hello,
            4 => Self::HelloAck,
            5 => Self::Ack,
            6 => Self::Nack,
            13 => Self::Pong,
            _ => return None,
        })
    }
}

/// Which way of knowing a signal comes from. Two signals of one family are not independent
/// evidence; the collision rule asks for two families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// Account and program state: curves, pools, holders, authorities.
    Onchain = 1,
    /// Indicators over prices and volume.
    Technical = 2,
    /// Patterns the learning swarm found.
    Mycelial = 3,
    /// Posts, channels, sentiment.
    Social = 4,
    /// Large wallets and order flow.
    Whale = 5,
    /// Price differences between venues.
    Arbitrage = 6,
    /// New tokens and their creators.
    Launch = 7,
    /// Macro sources: government, logistics, corporations, code.
    Macro = 8,
    /// Limits, contagion, drawdown: the guardian's voice, mostly vetoes.
    Risk = 9,
    /// The agents' consensus.
    Consensus = 10,
    /// The operator's own hand (`signal-inject`).
    Operator = 11,
}

/// Code, stable name. The only place where the two meet.
const FAMILIES: [(Family, &str); Family::COUNT] = [
    (Family::Onchain, "onchain"),
    (Family::Technical, "technical"),
    (Family::Mycelial, "mycelial"),
    (Family::Social, "social"),
    (Family::Whale, "whale"),
    (Family::Arbitrage, "arbitrage"),
    (Family::Launch, "launch"),
    (Family::Macro, "macro"),
    (Family::Risk, "risk"),
    (Family::Consensus, "consensus"),
    (Family::Operator, "operator"),
];

impl Family {
    /// Number of families. Codes run from 1 to `COUNT` without gaps.
    pub const COUNT: usize = 11;

    /// The family with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        FAMILIES
            .get(usize::from(code).checked_sub(1)?)
            .map(|line| line.0)
    }

    /// The family with this name, as configuration and tools write it.
    pub fn from_name(name: &str) -> Option<Self> {
        FAMILIES
            .iter()
            .find(|line| line.1 == name)
            .map(|line| line.0)
    }

    /// Stable lower-case name.
    pub fn name(self) -> &'static str {
        FAMILIES[self as usize - 1].1
    }

    /// Every family, in order of its code.
    pub fn all() -> impl Iterator<Item = Self> {
        FAMILIES.iter().map(|line| line.0)
    }
}

/// A set of families; bit `code` stands for the family with that code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FamilySet(pub u32);

impl FamilySet {
    /// Every family of this version.
    pub const ALL: Self = Self(((1 << Family::COUNT) - 1) << 1);

    /// This set with `family` in it.
    #[must_use]
    pub const fn with(self, family: Family) -> Self {
        Self(self.0 | 1 << family as u8)
    }

    /// Whether `family` is in the set.
    #[inline]
    pub const fn contains(self, family: Family) -> bool {
        self.0 & 1 << family as u8 != 0
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    /// Nothing to trade: a veto.
    None = 0,
    /// Open or add.
    Buy = 1,
    /// Reduce or close.
    Sell = 2,
}

impl Side {
    /// The side with this code.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::None,
            1 => Self::Buy,
            2 => Self::Sell,
            _ => return None,
        })
    }

    /// Stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

/// Flag bits of a signal. A bit outside [`KNOWN`](Self::KNOWN) is refused, not ignored: it might
/// have been meant to restrict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalFlags(pub u16);

impl SignalFlags {
    /// Run every check and answer, but arm nothing.
    pub const TEST: Self = Self(1);
    /// Act on it only to reduce a position.
    pub const REDUCE_ONLY: Self = Self(2);
    /// Not a trade: forbid entries into this mint while the signal lives.
    pub const VETO: Self = Self(4);
    /// `t_send_ns` is CLOCK_MONOTONIC of the executor's own host; otherwise it is realtime.
    pub const SAME_HOST_CLOCK: Self = Self(8);
    /// All bits this version defines.
    pub const KNOWN: Self = Self(15);

    /// Both sets of bits together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every bit of `other` is set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_codes_and_names_round_trip() {
        for (index, family) in Family::all().enumerate() {
            assert_eq!(family as usize, index + 1);
            assert_eq!(Family::from_code(family as u8), Some(family));
            assert_eq!(Family::from_name(family.name()), Some(family));
            assert!(FamilySet::ALL.contains(family));
            assert!(FamilySet::default().with(family).contains(family));
            assert!(!FamilySet(FamilySet::ALL.0 & !(1 << family as u8)).contains(family));
        }
        assert_eq!(Family::from_code(0), None);
        assert_eq!(Family::from_code(Family::COUNT as u8 + 1), None);
    }

    #[test]
    fn template_and_side_codes_round_trip() {
        for id in 0..=u16::MAX {
            assert!(Template::from_id(id).is_none_or(|template| template as u16 == id));
        }
        for code in 0..=u8::MAX {
            assert!(Side::from_code(code).is_none_or(|side| side as u8 == code));
        }
    }
}
