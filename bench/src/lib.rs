//! Latency per rung and throughput, beside the usual way and the host's floors.
//!
//! ```text
//! traffic (captures, generator) --> ours  (resolver, engine, builder)      --> figures --> row --> table, JSON
//!                               `-> rivals (usual way, registry's parts) -^                   `--> bench/out
//! ```
//!
//! Ours and its rivals take the same datagrams from memory, by turns, in one process and on one thread. Nothing
//! here asserts a time.

pub mod armoury;
pub mod figures;
pub mod floors;
pub mod host;
/// Of the tests of the transports: the same two hosts.
#[path = "../../tests/ingest/src/lab.rs"]
pub mod lab;
pub mod launch;
pub mod occasion;
pub mod ours;
pub mod output;
pub mod parts;
pub mod reassembly;
pub mod rivals;
pub mod row;
pub mod sign;
pub mod traffic;
pub mod usual;
