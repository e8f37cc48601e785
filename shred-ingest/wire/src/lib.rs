//! What the bytes mean: shreds, entry batches, block markers and transactions.
//!
//! Every type here is a checked view over bytes that somebody else owns: parse once, and every accessor
//! after that is a load. Nothing allocates, nothing panics, whatever the bytes are.
#![no_std]
#![forbid(unsafe_code)]

pub mod batch;
pub mod short_u16;
pub mod shred;
pub mod txn;
pub mod units;

pub use units::{FecSetIndex, Nanos, Slot, SourceId};
