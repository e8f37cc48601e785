//! Lanes that carry signed bundles out, and what became of them.
//!
//! ```text
//! core --BundleCell--> SubmitStage --send--> Lane: BlockEngineLane (its own runtime thread, gRPC)
//!                          ^                       PaperLane (a file, nothing leaves)
//! core <---Report----------'------poll------------'
//! ```
//!
//! [`SubmitStage`] runs on the submit thread and is driven by `poll()`. Nothing here waits for a network, and
//! nothing here decides whether a bundle may go: cells come from the builder, which takes only what the risk
//! gate approved, and a lane sends exactly the bytes in the cell, once. Sending again, with the same bytes, is
//! the core's decision.
//!
//! Four words that differ: *handed over* (the socket took the bytes), *acknowledged* (the engine took the
//! bundle), *accepted* (it won an auction and was forwarded), *processed* (it is in a block the engine has
//! seen). None of them is a fill.

pub mod block_engine;
pub mod lane;
pub mod paper;
pub mod report;
pub mod stage;

pub use block_engine::{BlockEngineConfig, BlockEngineLane, Idle, LaneStatus};
pub use lane::{Lane, LaneReject};
pub use paper::{PaperError, PaperLane, PaperLog, PaperRecord};
pub use report::{LaneId, Outcome, Reason, Report};
pub use stage::{SubmitCounters, SubmitStage};

use std::sync::Arc;

use shred_wire::Nanos;

/// The clock reports are stamped with: the same one that stamped the datagrams.
pub type Clock = Arc<dyn Fn() -> Nanos + Send + Sync>;
