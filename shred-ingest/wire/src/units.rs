//! Units that cross crate boundaries. A bare integer never does.

/// A leader's time window. Whether a block exists in it is another question.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Slot(pub u64);

/// Nanoseconds on the clock of whoever stamped them (UNIX epoch for kernel receive stamps and captures).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// `self - earlier`, or zero when `earlier` is later: stamps of two sources may cross.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Index, within its slot, of the first data shred of an FEC set; a multiple of 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct FecSetIndex(pub u32);

/// Which source a datagram came from: the index of its counters, ring, policy and name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct SourceId(pub u8);
