//! Who told account data, and what of two tellings is the later.

use shred_wire::Slot;

use crate::units::{Mint, TokenAmount};

/// Who tells account data: one connection to one node. A later one has a higher number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FeedId(pub u32);

/// How far account data may be ahead of the shreds, or of what is told later: what is further is of no slot of this chain,
/// and believing it would make all that comes later look old.
pub const SLOTS_AHEAD_MAX: u64 = 512;

/// Which state of an account a telling is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Version {
    /// Who told it.
    pub feed: FeedId,
    /// Slot of the block that wrote it, or at which it was read.
    pub slot: Slot,
    /// Counts the node's writes: of two of one slot and one feed the higher is the later.
    pub write_version: u64,
}

impl Version {
    /// Before anything was told.
    pub const NONE: Self = Self {
        feed: FeedId(0),
        slot: Slot(0),
        write_version: 0,
    };

    /// Whether this comes after what is known.
    ///
    /// Write versions are a node's own count, so those of two feeds say nothing about each other: the first word of a new
    /// feed is taken unless its slot is earlier, and an old feed is not heard again.
    #[inline]
    #[must_use]
    pub fn is_after(&self, known: &Self) -> bool {
        if self.feed == known.feed {
            (self.slot, self.write_version) > (known.slot, known.write_version)
        } else {
            self.feed > known.feed && self.slot >= known.slot
        }
    }
}

/// What account data says we hold of a coin: the balance of our associated token account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HoldingTruth {
    /// The coin.
    pub mint: Mint,
    /// What we have of it.
    pub tokens: TokenAmount,
    /// Which state of the account.
    pub version: Version,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_versions_of_two_feeds_are_not_compared() {
        let version = |feed, slot, write_version| Version {
            feed: FeedId(feed),
            slot: Slot(slot),
            write_version,
        };
        let known = version(1, 10, 500);
        for (told, expected) in [
            (version(1, 10, 501), true),
            (version(1, 10, 500), false),
            (version(1, 9, 900), false),
            (version(1, 11, 1), true),
            // Another node counts from elsewhere.
            (version(2, 10, 3), true),
            (version(2, 11, 3), true),
            (version(2, 9, 900), false),
            (version(0, 11, 900), false),
        ] {
            assert_eq!(told.is_after(&known), expected, "{told:?}");
        }
        assert!(version(0, 0, 1).is_after(&Version::NONE));
    }
}
