//! From datagrams to transactions, each at the datagram that makes it knowable.
//!
//! No socket, file, thread, clock or log: datagrams and their stamps come in as arguments, and what they made
//! known goes out by plain calls on a [`Sink`]. All memory is allocated and touched when a [`Resolver`] is built.
//!
//! The way of a shred: [`shred_wire::shred::ShredView`] checks its bytes, the slot window and the exact bitmap of
//! its set say whether it is wanted, the Merkle path and once per set the leader's signature say whether it is
//! real; its payload is copied to its place in the set's slab, the 32nd shred of a lossy set brings back the
//! missing ones, and the set's scan reads on wherever bytes have become contiguous.

mod field;
mod leader;
mod merkle;
mod plan;
mod pool;
mod reject;
mod resolver;
mod scan;
mod sink;
mod slab;
mod version;
mod window;

pub use leader::{Leader, Leaders, NoLeaders};
pub use merkle::Root;
pub use plan::{Plan, Policy};
pub use reject::{Counters, Reject};
pub use resolver::{Arrival, Resolver};
pub use shred_wire::SourceId;
pub use sink::{BlockEnd, Equivocation, ResolvedTxn, Retract, RetractReason, Sink, Verdict};
