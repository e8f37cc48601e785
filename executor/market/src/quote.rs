//! What every venue's arithmetic speaks: how much, what came of it, why not.

/// How much of a swap is fixed, raw units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amount {
    /// Exactly this is taken from the trader, every fee included.
    In(u64),
    /// Exactly this reaches the trader.
    Out(u64),
}

/// What a swap moves, seen from the trader's token accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swapped {
    /// Taken from the trader, every fee included, raw units.
    pub amount_in: u64,
    /// Given to the trader after every fee, raw units.
    pub amount_out: u64,
}

/// Why there is no quote. One byte, counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum QuoteReject {
    /// Nothing in, or nothing left after fees.
    ZeroAmount,
    /// There are no reserves to price with.
    EmptyReserves,
    /// More asked than can be priced or given.
    PastRemaining,
    /// The fees exceed what the sale brings.
    FeesExceedOutput,
    /// What a sale would pay is not held.
    QuoteShort,
    /// An intermediate does not fit the program's own integers.
    Overflow,
    /// The pool may not be traded now, or not this way.
    Closed,
    /// The swap would leave the ticks or bins that are known.
    PastKnown,
    /// The venue's own rounding is not known to the unit here, so there is no exact answer.
    Inexact,
}

impl QuoteReject {
    /// How many reasons there are.
    pub const COUNT: usize = 9;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "zero_amount",
            "empty_reserves",
            "past_remaining",
            "fees_exceed_output",
            "quote_short",
            "overflow",
            "closed",
            "past_known",
            "inexact",
        ]
    }
}
