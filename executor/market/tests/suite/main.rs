//! Every test of the crate in one binary, so that it is linked once. What they are held against lies beside this folder:
//! `golden/` and `data/`, whose files say at their heads where they are from.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod meteora;
mod raydium;

mod curve;
mod damm_decode;
mod damm_quote;
mod dbc_quote;
mod decode;
mod dlmm_quote;
mod golden;
mod launchlab;
mod pool_choice;
mod pools;
mod pump_amm_accounts;
mod pump_amm_decode;
mod pump_amm_golden;
mod pump_amm_properties;
mod raydium_amm;
mod raydium_clmm;
mod raydium_clmm_decode;
mod raydium_cp;
mod raydium_package;
mod router;
mod table;
mod token;
mod whirlpool;
mod whirlpool_decode;
