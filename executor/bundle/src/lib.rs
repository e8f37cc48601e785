//! Prebuilt transaction templates patched in place, tips and signing; the only place that sees a key.
//!
//! ```text
//! Approved + RecentBlockhash -> Builder -> BundleCell
//!              ^                  |-- CoinTable: addresses of the coin, derived or as carried
//!   BlockhashTracker (stream)     |-- Template: bytes with holes, compiled at start
//!   BlockhashCell (elsewhere)     `-- Signer: Ed25519, secret in locked memory
//! ```
//!
//! Every key that can receive money is fixed at start or derived from the coin: an intent names none.
//! After construction nothing here allocates, waits, or reads a clock.

pub mod address;
pub mod blockhash;
pub mod builder;
pub mod cell;
mod coin;
mod locked;
pub mod pda;
mod pump;
pub mod signer;
pub mod template;

pub use blockhash::{
    BlockhashCell, BlockhashRule, BlockhashSource, BlockhashTracker, RecentBlockhash,
};
pub use builder::{BuildReject, Builder, BuilderConfig, BuilderError, Fault};
pub use cell::BundleCell;
pub use signer::{KeyError, Live, Signer, ThrowAway};
pub use template::{ComputeBudget, WireVersion};
