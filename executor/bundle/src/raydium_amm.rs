//! What we send to Raydium AMM v4: `SwapBaseOutV2` and `SwapBaseInV2`, which share 8 accounts and need no order
//! book.
//!
//! The vaults stand in the pool's own order; which way the swap goes follows from the mints of our two accounts.
//! The program refuses both on pools of the older generation that still use an order book.
//!
//! A buy takes an exact amount out for a bounded amount in, a sell gives an exact amount in.
//!
//! Source: raydium-io/raydium-amm `program/src/instruction.rs`. The order of accounts is held to what
//! sol-trade-sdk 11.0.1 builds by golden vectors (`tests/tests/conformance_bundle.rs`).

use market::Side;
use market::raydium_amm::tag;

use crate::address::{RAYDIUM_AMM_AUTHORITY, RAYDIUM_AMM_PROGRAM, TOKEN_PROGRAM};
use crate::instruction::{payer, readonly, writable, writable_key};
use crate::template::{InstructionSpec, KeyField, ValueField};
use crate::trader::Trader;

/// `SwapBaseOutV2(max_amount_in, amount_out)` or `SwapBaseInV2(amount_in, minimum_amount_out)`.
pub(crate) fn trade(side: Side, trader: &Trader) -> InstructionSpec {
    let ours = (
        writable_key(&trader.wrapped_sol_account),
        writable(KeyField::UserBaseAccount),
    );
    let (number, source, destination, values) = match side {
        Side::Buy => (
            tag::SWAP_BASE_OUT_V2,
            ours.0,
            ours.1,
            vec![(ValueField::QuoteLimit, 1), (ValueField::Tokens, 9)],
        ),
        Side::Sell => (
            tag::SWAP_BASE_IN_V2,
            ours.1,
            ours.0,
            vec![(ValueField::Tokens, 1), (ValueField::QuoteLimit, 9)],
        ),
    };
    InstructionSpec {
        program: RAYDIUM_AMM_PROGRAM,
        accounts: vec![
            readonly(&TOKEN_PROGRAM),
            writable(KeyField::Pool),
            readonly(&RAYDIUM_AMM_AUTHORITY),
            writable(KeyField::BaseVault),
            writable(KeyField::QuoteVault),
            source,
            destination,
            payer(trader),
        ],
        data: [&[number][..], &[0; 16]].concat(),
        values,
    }
}
