//! Sizes and rules a resolver is built from.

use shred_wire::Nanos;
use shred_wire::shred::ShredLimits;

/// When a source's transactions are handed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Policy {
    /// Merkle path and leader signature first. Nothing unauthenticated is ever seen.
    #[default]
    VerifyThenEmit,
    /// The transaction first, marked unverified; then a verdict on it. Junk costs a revocation.
    EmitThenVerify,
    /// Nothing is checked but the form: whoever sends there has checked root and signature, and nobody else can send.
    /// For an own relay's shreds, over a connection with a pinned identity or a private wire. One hash a set is left,
    /// to know its root by. What is recovered is told as verified too, and held against the proofs that came along before
    /// the call returns; it is revoked if a leader's code shreds were no parity of its data. Junk from such a source is
    /// believed.
    Trusted,
}

/// What a [`Resolver`](crate::Resolver) is built from. Everything is allocated and touched at construction.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Only shreds of this version are taken; `None` takes any, each set keeping to its own.
    pub shred_version: Option<u16>,
    /// The cluster's limits.
    pub limits: ShredLimits,
    /// Slots below the highest authenticated one that are still worked on.
    pub slots_behind: u64,
    /// Slots above the highest authenticated one that are taken. Bounds what a leader that signs shreds for
    /// its far future can do.
    pub slots_ahead: u64,
    /// With nothing authenticated for this long, an authenticated shred outside the window moves the window.
    pub resync_after: Nanos,
    /// FEC sets whose bytes are held at once; about 67 KB each. Sets whose transactions are out are reused
    /// first, then those of the lowest slot. When all are in use, a slot that holds an eighth of them unread
    /// gets no more.
    pub sets_max: usize,
    /// Versions of sets that are remembered, with or without bytes; about 530 B each. To be at least the window's
    /// slots times the sets of a block: when all are in use the lowest slot is given up, and a slot that has an
    /// eighth of them gets no more.
    pub versions_max: usize,
    /// Leader signatures that may be under way at once to be checked elsewhere, see
    /// [`Resolver::next_check`](crate::Resolver::next_check); 0: each is checked within the call that needs it.
    pub checks_max: usize,
    /// PoH ticks a slot lasts, before Alpenglow (agave `DEFAULT_TICKS_PER_SLOT`).
    pub ticks_per_slot: u64,
}

impl Default for Plan {
    /// Mainnet with room: about 140 MB.
    fn default() -> Self {
        Self {
            shred_version: None,
            limits: ShredLimits::default(),
            slots_behind: 47,
            slots_ahead: 16,
            resync_after: Nanos(2_000_000_000),
            sets_max: 2048,
            versions_max: 16_384,
            checks_max: 0,
            ticks_per_slot: 64,
        }
    }
}
