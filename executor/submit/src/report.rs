//! What a lane tells the core about a bundle.

use shred_wire::{Nanos, Slot};

/// Which lane speaks: its place in the stage's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LaneId(pub u8);

impl LaneId {
    /// No lane: the stage itself speaks.
    pub const NONE: Self = Self(u8::MAX);
}

/// One step in the life of one bundle on one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Who tells it.
    pub lane: LaneId,
    /// Intent the bundle serves.
    pub intent_id: u64,
    /// First signature of the bundle's first transaction.
    pub signature: [u8; 64],
    /// What happened.
    pub outcome: Outcome,
    /// Custom error of the program that ended it, when whoever ran it says which.
    pub program_error: Option<u32>,
    /// When; for [`Outcome::HandedOver`] when the socket took the last byte.
    pub at: Nanos,
}

/// What happened. A lane tells each kind at most once per bundle.
///
/// None of these proves that signed bytes are dead: that takes the expiry of their blockhash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The socket took the bytes.
    HandedOver,
    /// The engine took the bundle for its auctions.
    Acknowledged,
    /// The bundle won and was forwarded for this slot.
    Accepted {
        /// The leader's slot.
        slot: Slot,
    },
    /// The bundle is in a block, says the engine.
    Processed {
        /// The block's slot.
        slot: Slot,
    },
    /// The block is final, says the engine. The last word.
    Finalized,
    /// It did not get in, for certain or in the engine's words. The last word.
    Rejected(Reason),
    /// It was accepted and did not land, says the engine. The last word.
    Dropped(Reason),
    /// Nobody can say whether it got in. Other outcomes may follow, unless the reason is
    /// [`Reason::NoResult`], which is the last word.
    Unknown(Reason),
}

impl Outcome {
    /// Whether this lane says nothing more about the bundle.
    pub const fn is_last(&self) -> bool {
        matches!(
            self,
            Self::Finalized
                | Self::Rejected(_)
                | Self::Dropped(_)
                | Self::Unknown(Reason::NoResult)
        )
    }
}

/// Why a bundle did not get in, or why nobody knows. The discriminant indexes a counter and names a metric:
/// append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// No lane takes bundles of this class.
    NoLane,
    /// The cell holds no transaction, or one no lane can carry.
    BadCell,
    /// As many bundles are in flight on the lane as it keeps track of.
    LaneFull,
    /// The same first signature is in flight on the lane.
    InFlight,
    /// The lane's thread is gone.
    LaneStopped,
    /// The paper lane could not write its file.
    Storage,
    /// No connection, or it broke.
    Unreachable,
    /// The engine did not answer the call in time.
    NoAnswer,
    /// Over the engine's request limit.
    RateLimited,
    /// The engine wants a token, or another one.
    NotAuthenticated,
    /// The engine refused the bundle as malformed, untipped, stale or otherwise unfit.
    Refused,
    /// An answer outside the protocol.
    Protocol,
    /// Outbid for the same state.
    StateBidRejected,
    /// Outbid as part of a batch.
    BatchBidRejected,
    /// Failed in the engine's simulation.
    SimulationFailed,
    /// The engine failed.
    InternalError,
    /// The engine dropped the bundle.
    DroppedByEngine,
    /// A blockhash expired before the bundle landed.
    BlockhashExpired,
    /// A part of it landed by another way.
    PartiallyProcessed,
    /// Its block did not become final.
    NotFinalized,
    /// A reason this build does not know.
    Unspecified,
    /// Nothing was heard in the time a result may take.
    NoResult,
}

impl Reason {
    /// Number of reasons.
    pub const COUNT: usize = Self::NoResult as usize + 1;

    /// The reason's metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoLane => "no_lane",
            Self::BadCell => "bad_cell",
            Self::LaneFull => "lane_full",
            Self::InFlight => "in_flight",
            Self::LaneStopped => "lane_stopped",
            Self::Storage => "storage",
            Self::Unreachable => "unreachable",
            Self::NoAnswer => "no_answer",
            Self::RateLimited => "rate_limited",
            Self::NotAuthenticated => "not_authenticated",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
            Self::StateBidRejected => "state_bid_rejected",
            Self::BatchBidRejected => "batch_bid_rejected",
            Self::SimulationFailed => "simulation_failed",
            Self::InternalError => "internal_error",
            Self::DroppedByEngine => "dropped_by_engine",
            Self::BlockhashExpired => "blockhash_expired",
            Self::PartiallyProcessed => "partially_processed",
            Self::NotFinalized => "not_finalized",
            Self::Unspecified => "unspecified",
            Self::NoResult => "no_result",
        }
    }
}
