//! The gate that every intent passes, by type.
//!
//! ```text
//! Intent -- Gate::check --> Approved -- (built, handed over) --> Reservation -- settle / release --> Gate
//! ```
//!
//! What builds and sends transactions takes [`Approved`], and only [`Gate::check`] makes one: skipping the
//! gate does not compile. Reading one does:
//!
//! ```
//! fn read(approved: &risk::Approved) -> (u64, market::Lamports) {
//!     (approved.id, approved.spend)
//! }
//! ```
//! ```compile_fail
//! # fn forge(intent: strategy::Intent) {
//! let approved = risk::Approved { intent }; // the field is private
//! # }
//! ```
//! ```compile_fail
//! fn twice(approved: risk::Approved) -> (risk::Approved, risk::Approved) {
//!     (approved.clone(), approved) // neither Clone nor Copy
//! }
//! ```
//! ```compile_fail
//! fn alter(approved: &mut risk::Approved) {
//!     approved.spend = market::Lamports(u64::MAX); // readable, not writable
//! }
//! ```
#![forbid(unsafe_code)]

pub mod approved;
pub mod control;
pub mod gate;
pub mod limits;
pub mod venues;
mod window;

pub use approved::{Approved, Reservation};
pub use control::{Control, Mode};
pub use gate::{Exposure, Fill, Gate, GateCounters, Refusal};
pub use limits::{LimitError, Limits};
pub use venues::{DRIFT_CODES, Disabled, FailureLimit, Failures, Venues, custom_error};
