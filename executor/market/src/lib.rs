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

pub mod account;
pub mod accounts;
pub mod base58;
pub mod budget;
pub mod damm;
pub mod dbc;
pub mod decode;
pub mod dlmm;
pub mod event;
pub mod forked;
pub mod instruction;
pub mod launchlab;
pub mod listing;
pub mod lookup;
pub(crate) mod lru;
pub mod math;
pub mod pools;
pub mod program;
pub mod pump;
pub mod pump_amm;
pub mod quote;
pub mod raydium_amm;
pub mod raydium_clmm;
pub mod raydium_cp;
mod replayed;
pub mod router;
pub mod table;
pub mod terms;
pub mod tick;
pub mod token;
pub mod told;
pub mod units;
pub mod whirlpool;

pub use account::{AccountReject, Fields};
pub use accounts::{
    LaunchLabAccounts, PumpAccounts, PumpSwapAccounts, RaydiumAmmAccounts, RaydiumCpAccounts,
    VenueAccounts,
};
pub use budget::{Budget, BudgetReject};
pub use decode::{DecodeReject, Decoded, decode};
pub use event::{Amounts, Form, Launch, MarketEvent, Side, Trade, Unresolved};
pub use event::{At, PoolAction, PoolCall, PoolEvent};
pub use forked::{Corrected, Lineage};
pub use listing::{Deal, Listing};
pub use lookup::LookupTables;
pub use pools::{Circumstances, PoolApplied, PoolState, PoolTable, PoolTruth};
pub use program::Program;
pub use pump::curve::{Applied, Curve, Quote, Reserves, Untradable};
pub use pump::fees::{FeeRates, FeeSchedule, FeeTier, PoolRates, QuoteKind};
pub use quote::{Amount, QuoteReject, Swapped};
pub use table::{CurveCounters, CurveTable, CurveTruth, TableApply};
pub use terms::VenueTerms;
pub use token::{MintAccount, TokenAccount, TokenEvent, TokenProgram, TransferFee};
pub use told::{FeedId, HoldingTruth, Version};
pub use units::{BPS_WHOLE, Bps, Key, Lamports, Mint, TokenAmount};
