//! What we send to Pump: the instructions of one trade, as templates need them.
//!
//! Only SOL curves are built (quote mint wrapped SOL, which the program takes for the curve's default quote
//! mint). On them v3 moves lamports: the wrapped-SOL accounts of the curve and of the user must be named but
//! need not exist, and the buyback fee recipient is the wallet itself.
//!
//! Both sides name an exact number of tokens and a limit in lamports, so a trade that landed tells how many
//! tokens changed hands whatever the curve did before it; only the price is left open, up to its limit. An
//! exact-in buy would leave the tokens open, and an exit of more than was bought fails.
//!
//! Buys carry `partial_fill = false`: `true` would take what the curve has left and land with fewer tokens.
//!
//! Source: pump-rust-client 0.5.0 `idls/pump.json`, `src/sdk/pump_v3.rs`, `src/sdk/pump_v2.rs`;
//! pump-public-docs `docs/instructions/TRADE_V3.md` at 2293f9a. The order of accounts is held to the
//! client's own output by golden vectors (`tests/tests/conformance_bundle.rs`).

use market::pump::discriminator;
use market::{Key, Side};

use crate::address::{
    ASSOCIATED_TOKEN_PROGRAM, PUMP_EVENT_AUTHORITY, PUMP_FEE_CONFIG, PUMP_FEE_PROGRAM, PUMP_GLOBAL,
    PUMP_GLOBAL_VOLUME_ACCUMULATOR, PUMP_PROGRAM, SYSTEM_PROGRAM, TOKEN_PROGRAM, WRAPPED_SOL,
};
use crate::instruction::{payer, readonly, readonly_field, writable, writable_key};
use crate::template::{AccountSpec, InstructionSpec, KeyField, ValueField};
use crate::trader::Trader;

/// `buy_v3` or `sell_v3`.
pub(crate) fn trade_v3(side: Side, token_program: &Key, trader: &Trader) -> InstructionSpec {
    let discriminator = match side {
        Side::Buy => discriminator::BUY_V3,
        Side::Sell => discriminator::SELL_V3,
    };
    trade(discriminator, side, accounts_v3(token_program, trader))
}

/// `buy_v2` or `sell_v2`.
pub(crate) fn trade_v2(side: Side, token_program: &Key, trader: &Trader) -> InstructionSpec {
    let discriminator = match side {
        Side::Buy => discriminator::BUY_V2,
        Side::Sell => discriminator::SELL_V2,
    };
    trade(
        discriminator,
        side,
        accounts_v2(side, token_program, trader),
    )
}

/// `buy(amount, max_sol_cost, partial_fill)` or `sell(amount, min_sol_output)`: amounts are u64, the option a byte.
fn trade(discriminator: u64, side: Side, accounts: Vec<AccountSpec>) -> InstructionSpec {
    let mut data = discriminator.to_le_bytes().to_vec();
    data.extend([0; 16]);
    if side == Side::Buy {
        data.push(0);
    }
    InstructionSpec {
        program: PUMP_PROGRAM,
        accounts,
        data,
        values: vec![(ValueField::Tokens, 8), (ValueField::QuoteLimit, 16)],
    }
}

/// The 17 accounts all three v3 trades share.
fn accounts_v3(token_program: &Key, trader: &Trader) -> Vec<AccountSpec> {
    vec![
        readonly(&PUMP_GLOBAL),
        readonly_field(KeyField::BaseMint),
        readonly(&WRAPPED_SOL),
        readonly(token_program),
        readonly(&TOKEN_PROGRAM),
        writable(KeyField::Pool),
        writable(KeyField::BaseVault),
        writable(KeyField::QuoteVault),
        payer(trader),
        writable(KeyField::UserBaseAccount),
        writable_key(&trader.wrapped_sol_account),
        writable_key(&trader.volume_accumulator),
        readonly(&PUMP_FEE_CONFIG),
        writable(KeyField::BuybackRecipient),
        readonly(&SYSTEM_PROGRAM),
        readonly(&PUMP_EVENT_AUTHORITY),
        readonly(&PUMP_PROGRAM),
    ]
}

/// 27 accounts to buy, 26 to sell: selling leaves out the global volume accumulator.
fn accounts_v2(side: Side, token_program: &Key, trader: &Trader) -> Vec<AccountSpec> {
    let mut accounts = vec![
        readonly(&PUMP_GLOBAL),
        readonly_field(KeyField::BaseMint),
        readonly(&WRAPPED_SOL),
        readonly(token_program),
        readonly(&TOKEN_PROGRAM),
        readonly(&ASSOCIATED_TOKEN_PROGRAM),
        writable(KeyField::FeeRecipient),
        writable(KeyField::FeeRecipientQuoteAccount),
        writable(KeyField::BuybackRecipient),
        writable(KeyField::BuybackRecipientQuoteAccount),
        writable(KeyField::Pool),
        writable(KeyField::BaseVault),
        writable(KeyField::QuoteVault),
        payer(trader),
        writable(KeyField::UserBaseAccount),
        writable_key(&trader.wrapped_sol_account),
        writable(KeyField::CreatorVault),
        writable(KeyField::CreatorVaultQuoteAccount),
        readonly_field(KeyField::SharingConfig),
    ];
    if side == Side::Buy {
        accounts.push(readonly(&PUMP_GLOBAL_VOLUME_ACCUMULATOR));
    }
    accounts.extend([
        writable_key(&trader.volume_accumulator),
        writable_key(&trader.volume_accumulator_wrapped_sol_account),
        readonly(&PUMP_FEE_CONFIG),
        readonly(&PUMP_FEE_PROGRAM),
        readonly(&SYSTEM_PROGRAM),
        readonly(&PUMP_EVENT_AUTHORITY),
        readonly(&PUMP_PROGRAM),
    ]);
    accounts
}
