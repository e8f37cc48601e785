//! Account truth: what nodes say of accounts, put together into what a price depends on.
//!
//! ```text
//! AccountData (from any feed) -- Assembler --> Update (accounts ring) --> CurveTable, PoolTable
//!                                        \--> VenueTerms, LookupTables (snapshot cells)
//! ```
//!
//! A pool's price depends on several accounts, which a node tells one by one. Putting them together is slow-path work,
//! so that the core takes one fixed-size record and compares it with what it reckoned from the shreds.
#![forbid(unsafe_code)]

mod assembler;

pub use assembler::{AccountData, Assembler, COINS_FOUND_MAX, Counters, Ignored, Update};
