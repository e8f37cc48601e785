//! The hot façade: market, strategy, risk gate, armed signals, inflight and positions.
//!
//! ```text
//! ResolvedTxn -- decode --> events --> CurveTable --> decide / armed signal --> Gate --> Builder --> Output
//!      |                                                                                      |
//!      +---- own signature? <-------------- InflightTable <-----------------------------------+
//!                 |
//!                 +--> Positions --> exits
//! ```
//!
//! No I/O and no clock: time is the stamp of what comes in. After [`Engine::new`] nothing allocates, locks or
//! waits. Everything that decides is deterministic, and [`Engine::state_hash`] sums up what was decided: the
//! same transactions, blocks and signals give the same hash on any machine.
//!
//! Our signature in a block means *included*. Our trades name their tokens exactly, so those are booked as
//! named; what they cost or brought is reckoned with the curve's own arithmetic at that place. The account's
//! balance, which alone is a fill, is not known here.
#![forbid(unsafe_code)]

pub mod armed;
pub mod config;
pub mod counters;
mod engine;
mod hash;
mod inflight;
mod ladder_worker;
pub mod ladders;
pub mod output;
mod positions;
mod recent;
pub mod tables;
pub mod terms;

pub use armed::{ArmReject, SignalPolicy};
pub use config::{EngineConfig, EngineError};
pub use counters::Counters;
pub use engine::{Engine, EngineSink};
pub use ladder_worker::LadderWorker;
pub use ladders::{LadderDesk, LadderPlan, ladders};
pub use output::{NoTicks, Note, Output, Stages, Ticks};
pub use tables::{TableCell, TableWriter};
pub use terms::{TermsCell, TermsReader, TermsWriter};
