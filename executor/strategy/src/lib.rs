//! Decides on one market event. Pure: same inputs, same intent, on any machine.
//!
//! [`decide()`] sees one curve, already moved by the event, and at most the position we hold in it. It returns at
//! most one [`Intent`]; whether that may become bytes is the risk gate's business.
#![forbid(unsafe_code)]

pub mod decide;
pub mod intent;
pub mod params;
pub mod position;

pub use decide::{Entry, Exit, Pass, Proposal};
pub use decide::{consider, consider_time, creator_denied, decide, enter, exit};
pub use intent::{Intent, LaneClass, Origin, Venue};
pub use market::{PumpAccounts, Side, VenueAccounts};
pub use params::{KeySet, ParamError, Params};
pub use position::Position;
