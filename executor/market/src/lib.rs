//! Instruction decoders, curve state and integer quotes. Pure.
//!
//! ```text
//! TxnView -- decode --> MarketEvent -- apply --> Curve (in a CurveTable) -- quote --> Quote
//! ```
//!
//! Nothing here reads a clock, a socket or a file, and nothing allocates after construction. Amounts are
//! integers with a unit in their type. What the bytes do not say is absent (`Option`, or an
//! [`Untradable`] reason); it is never guessed.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod base58;
pub mod curve;
pub mod decode;
pub mod event;
pub mod fees;
pub mod pump;
pub mod table;
pub mod units;

pub use accounts::PumpAccounts;
pub use curve::{Applied, Curve, Quote, QuoteReject, Reserves, Untradable};
pub use decode::{DecodeReject, Decoded, decode};
pub use event::{Amounts, Form, Launch, MarketEvent, Side, Trade, Unresolved};
pub use fees::{FeeRates, FeeSchedule, FeeTier};
pub use table::{CurveCounters, CurveTable, TableApply};
pub use units::{BPS_WHOLE, Bps, Key, Lamports, Mint, TokenAmount};
