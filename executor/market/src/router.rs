//! Routers, which call the venues on a trader's behalf.
//!
//! A shred carries what a router is asked for, not the calls it makes. What of these can be told from its arguments
//! and accounts is told, with [`PoolEvent::inferred_from`](crate::PoolEvent::inferred_from) set; amounts are known at
//! the two ends of a route at most.
//!
//! | router | arguments | accounts |
//! |---|---|---|
//! | Jupiter v6 | its interface as published on the chain | venue's id, then the venue's accounts |
//! | Pump app (`pump_stables_router`) | `pump_swap_jupiter` as mainnet shows it | the venue's accounts, Jupiter's after them |
//! | Terminal (`terminal_proxy`) | not published: amounts stay unknown | venue's id, then accounts in its own order |
//! | Axiom | not published: amounts stay unknown | venue's id, then the venue's accounts |
//!
//! Ids of the Pump app and Terminal: pump-rust-client 0.5.0 `src/bin/local_validator/pump_config.rs`. Axiom's id and
//! the order of accounts of the last three: mainnet transactions in the test data of sol-shred-sdk 7.0.0 and
//! sol-trade-sdk 11.0.1 (October 2026), held by `tests/suite/router.rs`.

pub(crate) mod decode;
mod jupiter;
mod layout;
mod plan;
