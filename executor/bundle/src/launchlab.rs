//! What we send to LaunchLab: `buy_exact_out` and `sell_exact_in`, which share 18 accounts: the 15 of the IDL, then
//! the system program and the fee vaults of the platform and of the creator.
//!
//! A buy takes an exact amount out for a bounded amount in, a sell gives an exact amount in. The program is closed:
//! what it does with a buy beyond the curve's last token is not public, and such buys are not made. The share fee
//! is zero: we refer nobody.
//!
//! Source: LaunchLab IDL; the trailing accounts from sol-trade-sdk 11.0.1, to whose output the order of accounts is
//! held by golden vectors (`tests/tests/conformance_bundle.rs`).

use market::launchlab::discriminator;
use market::{Key, Side};

use crate::address::{
    LAUNCHLAB_AUTHORITY, LAUNCHLAB_EVENT_AUTHORITY, LAUNCHLAB_PROGRAM, SYSTEM_PROGRAM,
    TOKEN_PROGRAM, WRAPPED_SOL,
};
use crate::instruction::{payer, readonly, readonly_field, writable, writable_key};
use crate::template::{InstructionSpec, KeyField, ValueField};
use crate::trader::Trader;

/// `buy_exact_out(amount_out, maximum_amount_in, share_fee_rate)` or
/// `sell_exact_in(amount_in, minimum_amount_out, share_fee_rate)`.
pub(crate) fn trade(side: Side, token_program: &Key, trader: &Trader) -> InstructionSpec {
    let discriminator = match side {
        Side::Buy => discriminator::BUY_EXACT_OUT,
        Side::Sell => discriminator::SELL_EXACT_IN,
    };
    InstructionSpec {
        program: LAUNCHLAB_PROGRAM,
        accounts: vec![
            payer(trader),
            readonly(&LAUNCHLAB_AUTHORITY),
            readonly_field(KeyField::PoolConfig),
            readonly_field(KeyField::PlatformConfig),
            writable(KeyField::Pool),
            writable(KeyField::UserBaseAccount),
            writable_key(&trader.wrapped_sol_account),
            writable(KeyField::BaseVault),
            writable(KeyField::QuoteVault),
            readonly_field(KeyField::BaseMint),
            readonly(&WRAPPED_SOL),
            readonly(token_program),
            readonly(&TOKEN_PROGRAM),
            readonly(&LAUNCHLAB_EVENT_AUTHORITY),
            readonly(&LAUNCHLAB_PROGRAM),
            readonly(&SYSTEM_PROGRAM),
            writable(KeyField::PlatformVault),
            writable(KeyField::CreatorVault),
        ],
        data: [&discriminator.to_le_bytes()[..], &[0; 24]].concat(),
        values: vec![(ValueField::Tokens, 8), (ValueField::QuoteLimit, 16)],
    }
}
