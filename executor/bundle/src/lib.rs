//! Prebuilt transaction templates patched in place, tips and signing; the only place that sees a key.
//!
//! ```text
//! Approved + RecentBlockhash -> Builder -> BundleCell
//!              ^                  |-- CoinTable: addresses of the coin, derived or as carried
//!   BlockhashTracker (stream)     |-- Template: bytes with holes, compiled at start
//!   BlockhashCell (elsewhere)     `-- Signing: Ed25519, secret in locked memory; at the trigger, from a ladder
//!                                     of presigned transactions, or with nonces made ahead (a cargo feature)
//! ```
//!
//! Every key that can receive money is fixed at start, derived from the coin, or one that the venue's program holds
//! to the pool's own account: an intent cannot redirect any.
//! After construction nothing here allocates, waits, or reads a clock.

pub mod address;
#[cfg(feature = "armed-nonces")]
pub mod armed;
pub mod blockhash;
pub mod builder;
pub mod cell;
mod coin;
mod ed25519;
pub mod host;
mod instruction;
pub mod ladder;
mod launchlab;
mod locked;
pub mod lookup;
pub mod pda;
mod pump;
mod pump_amm;
mod raydium_amm;
mod raydium_cp;
pub mod signer;
pub mod signing;
pub mod template;
mod trader;
mod transaction;
pub mod units;

pub use blockhash::{
    BlockhashCell, BlockhashRule, BlockhashSource, BlockhashTracker, RecentBlockhash,
};
pub use builder::{
    BuildReject, Builder, BuilderConfig, BuilderError, Draft, Fault, Unsigned, WatchOnly,
};
pub use cell::BundleCell;
pub use lookup::LookupTable;
pub use signer::{KeyError, Live, Signer, ThrowAway};
pub use signing::{Fallback, HaltWatch, Halted, Signing, TemplateIndex, Way};
pub use template::{ComputeBudget, WireVersion};
pub use transaction::WrappedSol;
pub use units::{MEASURED_UNITS, UnitLimits};
