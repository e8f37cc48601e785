//! The embedded market: its own shredder, leaders, traders and block engine.
//!
//! It is an outside party to the executor: it shares no code with it, writes every byte itself and
//! is reached only by UDP datagrams and the block engine's gRPC service.
//!
//! ```text
//! traders -> transactions -> market (executes) -> entries -> shredder -> wire -> UDP
//! block engine -> exchange -^         \-> accounts, as a node tells them, a slot late
//! ```
//!
//! [`DemoMarket`] runs it on the clock; [`Generator`] is the same without socket or clock.

pub mod accounts;
mod background;
pub mod block_engine;
pub mod curve;
pub mod entry;
pub mod exchange;
pub mod generator;
pub mod keys;
pub mod leader;
pub mod market;
mod pace;
pub mod poh;
pub mod prng;
pub mod pump;
pub mod reed_solomon;
pub mod shredder;
mod traders;
pub mod txn;
pub mod wire;

pub use exchange::Exchange;
pub use generator::{Generator, GeneratorConfig};
pub use pace::{DemoConfig, DemoMarket, DemoStats, PreparedMarket, Tee, ToldAccounts};
pub use shredder::Datagrams;
pub use traders::TraderConfig;
