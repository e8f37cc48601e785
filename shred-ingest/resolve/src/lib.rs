//! From datagrams to transactions, each at the datagram that makes it knowable.
//!
//! No socket, file, thread, clock or log: datagrams and their stamps come in as arguments, and what they made
//! known goes out by plain calls on a [`Sink`]. All memory is allocated and touched when a [`Resolver`] is built.
//!
//! The way of a shred: [`shred_wire::shred::ShredView`] checks its bytes, the slot window and the exact bitmap of
//! its set say whether it is wanted, the Merkle path and once per set the leader's signature say whether it is
//! real; its payload is copied to its place in the set's slab, the 32nd shred of a lossy set brings back the
//! missing ones, and the set's scan reads on wherever bytes have become contiguous.

mod arbiter;
mod burst;
mod field;
mod forks;
mod leader;
mod merkle;
mod plan;
mod pool;
mod reject;
mod resolver;
mod scan;
mod schedule;
mod sha256;
mod sieve;
mod sink;
mod slab;
mod slot_clock;
mod version;
mod votes;
mod window;

pub use arbiter::{
    Arbiter, ArbiterPlan, BEGINNINGS_KEPT, Beginning, LATENESS_BUCKETS, LATENESS_OCTAVES,
    LEADERS_KEPT, Lateness, LeaderShare, SOURCES_MAX, SourceTally,
};
pub use burst::Arrived;
pub use field::recovery_kernel;
pub use forks::{
    Ancestry, BLOCKS_PER_SLOT, Belongs, BlockKey, ForkCounters, ForkEvent, ForkPlan, Forks, Had,
    SlotStatus,
};
pub use leader::{Leader, Leaders, NoLeaders};
pub use merkle::Root;
pub use plan::{Plan, Policy};
pub use reject::{Counters, Reject};
pub use resolver::{Arrival, Check, Checked, Checker, Resolver, Ticket};
pub use schedule::{
    EPOCHS_MAX, EpochLeaders, Epochs, PLAUSIBLE_AHEAD, Plausible, SLOTS_PER_EPOCH_MIN, SPAN_MAX,
    Schedule, ScheduleReject, SlotLeaders,
};
pub use sha256::{hash_kernel, hash_leaves};
pub use shred_wire::SourceId;
pub use sieve::{Sieve, SieveCounters, SievePlan};
pub use sink::{
    BlockEnd, Equivocation, ResolvedTxn, Retract, RetractReason, SetLink, SetPayload, Sink, Verdict,
};
pub use slot_clock::{SLOT_LEN_MAX, SLOT_LEN_MIN, SlotClock};
pub use votes::{
    Hint, Quorum, SeenVote, Stake, StakeReject, StakeTable, VOTE_PROGRAM, VOTERS_MAX, VoteCounters,
    Votes,
};
