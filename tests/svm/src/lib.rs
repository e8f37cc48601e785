//! A world for the venues' real programs: the binaries that ship with Pump's own client, run in an SVM.
//!
//! ```text
//! artifacts (found through cargo) -> Machine (LiteSVM) -> World (what an operator of the venues sets up)
//!                                                            |-- Coin, PumpSwap, AMM v4: the venues' state
//!                                                            `-- Ours: gate, builder, signed bytes
//! ```
//!
//! What is compared with what: our quote says what a trade moves, our builder (or, for instructions it does not
//! build, the publisher's client) makes the bytes, the program moves the money. Balances and account bytes must
//! then be as predicted, to the lamport and the raw unit.

pub mod amm_v4;
pub mod artifacts;
pub mod campaign;
pub mod chain;
pub mod dice;
pub mod machine;
pub mod ours;
pub mod pump;
pub mod pump_amm;
pub mod simulated;
pub mod world;
