//! The ingest from socket to transaction, against a slow reference and under load.
//!
//! Apart from `overmind-tests`, so that it stands on the ingest and the embedded market alone.

/// Shredder, dice, notes and the slow reference of `shred-resolve`'s own tests.
#[path = "../../../shred-ingest/resolve/tests/common/mod.rs"]
pub mod common;
#[path = "../../src/heap.rs"]
pub mod heap;
pub mod lab;
pub mod live;
pub mod machine;
pub mod retractions;
pub mod soak;
pub mod traffic;
