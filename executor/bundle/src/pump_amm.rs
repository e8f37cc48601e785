//! What we send to PumpSwap: `buy_v2` and `sell_v2`, which share 17 accounts.
//!
//! A buy names the tokens and the most it may cost, fees included; the exact-in form would leave the tokens open
//! and is not cheaper. Fees stay in the pool until they are swept, but for the buyback slice, which goes to the
//! quote account of a listed recipient; that account exists. The program refuses pools of cashback coins here.
//!
//! Source: pump-rust-client 0.5.0 `idls/pump_amm.json`, `src/sdk/pump_amm_ix.rs`. The order of accounts is held to
//! the client's own output by golden vectors (`tests/tests/conformance_bundle.rs`).

use market::pump_amm::discriminator;
use market::{Key, Side};

use crate::address::{
    PUMP_AMM_EVENT_AUTHORITY, PUMP_AMM_FEE_CONFIG, PUMP_AMM_GLOBAL_CONFIG, PUMP_AMM_PROGRAM,
    SYSTEM_PROGRAM, TOKEN_PROGRAM, WRAPPED_SOL,
};
use crate::instruction::{payer, readonly, readonly_field, writable, writable_key};
use crate::template::{InstructionSpec, KeyField, ValueField};
use crate::trader::Trader;

/// `buy_v2(base_amount_out, max_quote_amount_in)` or `sell_v2(base_amount_in, min_quote_amount_out)`.
pub(crate) fn trade(side: Side, token_program: &Key, trader: &Trader) -> InstructionSpec {
    let discriminator = match side {
        Side::Buy => discriminator::BUY_V2,
        Side::Sell => discriminator::SELL_V2,
    };
    InstructionSpec {
        program: PUMP_AMM_PROGRAM,
        accounts: vec![
            writable(KeyField::Pool),
            payer(trader),
            readonly(&PUMP_AMM_GLOBAL_CONFIG),
            readonly_field(KeyField::BaseMint),
            readonly(&WRAPPED_SOL),
            writable(KeyField::UserBaseAccount),
            writable_key(&trader.wrapped_sol_account),
            writable(KeyField::BaseVault),
            writable(KeyField::QuoteVault),
            readonly(token_program),
            readonly(&TOKEN_PROGRAM),
            readonly(&SYSTEM_PROGRAM),
            writable_key(&trader.swap_volume_accumulator),
            readonly(&PUMP_AMM_FEE_CONFIG),
            writable(KeyField::BuybackRecipientQuoteAccount),
            readonly(&PUMP_AMM_EVENT_AUTHORITY),
            readonly(&PUMP_AMM_PROGRAM),
        ],
        data: [&discriminator.to_le_bytes()[..], &[0; 16]].concat(),
        values: vec![(ValueField::Tokens, 8), (ValueField::QuoteLimit, 16)],
    }
}
