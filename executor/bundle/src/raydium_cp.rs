//! What we send to Raydium CPMM: `swap_base_output` to buy and `swap_base_input` to sell, 13 accounts each, in
//! the order of the swap's direction.
//!
//! A buy takes an exact amount out for a bounded amount in, a sell gives an exact amount in.
//!
//! Source: raydium-idl `raydium_cp_swap.json`. The order of accounts is held to what sol-trade-sdk 11.0.1 builds
//! by golden vectors (`tests/tests/conformance_bundle.rs`).

use market::raydium_cp::discriminator;
use market::{Key, Side};

use crate::address::{RAYDIUM_CP_AUTHORITY, RAYDIUM_CP_PROGRAM, TOKEN_PROGRAM, WRAPPED_SOL};
use crate::instruction::{payer, readonly, readonly_field, writable, writable_key};
use crate::template::{AccountSpec, InstructionSpec, KeyField, ValueField};
use crate::trader::Trader;

/// One side of the swap: our account, the pool's, and the token.
struct Leg {
    account: AccountSpec,
    vault: AccountSpec,
    program: AccountSpec,
    mint: AccountSpec,
}

/// `swap_base_output(max_amount_in, amount_out)` or `swap_base_input(amount_in, minimum_amount_out)`.
pub(crate) fn trade(side: Side, token_program: &Key, trader: &Trader) -> InstructionSpec {
    let coin = Leg {
        account: writable(KeyField::UserBaseAccount),
        vault: writable(KeyField::BaseVault),
        program: readonly(token_program),
        mint: readonly_field(KeyField::BaseMint),
    };
    let quote = Leg {
        account: writable_key(&trader.wrapped_sol_account),
        vault: writable(KeyField::QuoteVault),
        program: readonly(&TOKEN_PROGRAM),
        mint: readonly(&WRAPPED_SOL),
    };
    let (discriminator, input, output, values) = match side {
        Side::Buy => (
            discriminator::SWAP_BASE_OUTPUT,
            quote,
            coin,
            vec![(ValueField::QuoteLimit, 8), (ValueField::Tokens, 16)],
        ),
        Side::Sell => (
            discriminator::SWAP_BASE_INPUT,
            coin,
            quote,
            vec![(ValueField::Tokens, 8), (ValueField::QuoteLimit, 16)],
        ),
    };
    InstructionSpec {
        program: RAYDIUM_CP_PROGRAM,
        accounts: vec![
            payer(trader),
            readonly(&RAYDIUM_CP_AUTHORITY),
            readonly_field(KeyField::PoolConfig),
            writable(KeyField::Pool),
            input.account,
            output.account,
            input.vault,
            output.vault,
            input.program,
            output.program,
            input.mint,
            output.mint,
            writable(KeyField::Observation),
        ],
        data: [&discriminator.to_le_bytes()[..], &[0; 16]].concat(),
        values,
    }
}
