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
use strategy::Venue;

use crate::address::{
    ASSOCIATED_TOKEN_PROGRAM, PUMP_EVENT_AUTHORITY, PUMP_FEE_CONFIG, PUMP_FEE_PROGRAM, PUMP_GLOBAL,
    PUMP_GLOBAL_VOLUME_ACCUMULATOR, PUMP_PROGRAM, SYSTEM_PROGRAM, TOKEN_PROGRAM, WRAPPED_SOL,
};
use crate::pda;
use crate::template::{AccountSpec, InstructionSpec, KeyField, KeySource, ValueField};

/// The accounts that depend on the trader alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trader {
    pub(crate) user: Key,
    pub(crate) wrapped_sol_account: Key,
    pub(crate) volume_accumulator: Key,
    pub(crate) volume_accumulator_wrapped_sol_account: Key,
}

impl Trader {
    /// `None` when an address cannot be derived, which no real key provokes.
    pub(crate) fn derive(user: &Key) -> Option<Self> {
        let volume_accumulator = pda::user_volume_accumulator(user)?;
        Some(Self {
            user: *user,
            wrapped_sol_account: pda::wrapped_sol_account(user)?,
            volume_accumulator,
            volume_accumulator_wrapped_sol_account: pda::wrapped_sol_account(&volume_accumulator)?,
        })
    }
}

/// The instructions of one trade: on a buy our token account is created first when it does not exist.
///
/// `token_program` owns the coin's mint. It is fixed per template, because on an old coin it equals the
/// quote's token program and a key stands in the table only once.
pub(crate) fn trade(
    venue: Venue,
    side: Side,
    token_program: &Key,
    trader: &Trader,
) -> Vec<InstructionSpec> {
    let accounts = match venue {
        Venue::PumpV3 => accounts_v3(token_program, trader),
        Venue::PumpV2 => accounts_v2(side, token_program, trader),
    };
    let trade = InstructionSpec {
        program: PUMP_PROGRAM,
        accounts,
        data: data(venue, side),
        values: vec![(ValueField::Tokens, 8), (ValueField::QuoteLimit, 16)],
    };
    match side {
        Side::Buy => vec![create_user_base_account(token_program, &trader.user), trade],
        Side::Sell => vec![trade],
    }
}

/// The tip: a transfer of lamports inside the trading transaction.
///
/// Source: solana-system-interface 3 (`Transfer` is variant 2, a u32, before the lamports); a transfer
/// beside the strategy, not in a transaction of its own, is Jito's advice against unbundling.
pub(crate) fn tip(user: &Key) -> InstructionSpec {
    InstructionSpec {
        program: SYSTEM_PROGRAM,
        accounts: vec![
            AccountSpec::payer(fixed(user)),
            writable(KeyField::TipAccount),
        ],
        data: [&2u32.to_le_bytes()[..], &[0; 8]].concat(),
        values: vec![(ValueField::TipLamports, 4)],
    }
}

/// `CreateIdempotent` of the associated token program (data byte 1): our account for the coin.
fn create_user_base_account(token_program: &Key, user: &Key) -> InstructionSpec {
    InstructionSpec {
        program: ASSOCIATED_TOKEN_PROGRAM,
        accounts: vec![
            AccountSpec::payer(fixed(user)),
            writable(KeyField::UserBaseAccount),
            readonly(user),
            AccountSpec::readonly(KeySource::Patched(KeyField::BaseMint)),
            readonly(&SYSTEM_PROGRAM),
            readonly(token_program),
        ],
        data: vec![1],
        values: Vec::new(),
    }
}

/// `buy(amount, max_sol_cost, partial_fill)` or `sell(amount, min_sol_output)`: amounts are u64, the option a byte.
fn data(venue: Venue, side: Side) -> Vec<u8> {
    let discriminator = match (venue, side) {
        (Venue::PumpV3, Side::Buy) => discriminator::BUY_V3,
        (Venue::PumpV3, Side::Sell) => discriminator::SELL_V3,
        (Venue::PumpV2, Side::Buy) => discriminator::BUY_V2,
        (Venue::PumpV2, Side::Sell) => discriminator::SELL_V2,
    };
    let mut data = discriminator.to_le_bytes().to_vec();
    data.extend([0; 16]);
    if side == Side::Buy {
        data.push(0);
    }
    data
}

/// The 17 accounts all three v3 trades share.
fn accounts_v3(token_program: &Key, trader: &Trader) -> Vec<AccountSpec> {
    vec![
        readonly(&PUMP_GLOBAL),
        AccountSpec::readonly(KeySource::Patched(KeyField::BaseMint)),
        readonly(&WRAPPED_SOL),
        readonly(token_program),
        readonly(&TOKEN_PROGRAM),
        writable(KeyField::BondingCurve),
        writable(KeyField::CurveBaseAccount),
        writable(KeyField::CurveQuoteAccount),
        AccountSpec::payer(fixed(&trader.user)),
        writable(KeyField::UserBaseAccount),
        AccountSpec::writable(fixed(&trader.wrapped_sol_account)),
        AccountSpec::writable(fixed(&trader.volume_accumulator)),
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
        AccountSpec::readonly(KeySource::Patched(KeyField::BaseMint)),
        readonly(&WRAPPED_SOL),
        readonly(token_program),
        readonly(&TOKEN_PROGRAM),
        readonly(&ASSOCIATED_TOKEN_PROGRAM),
        writable(KeyField::FeeRecipient),
        writable(KeyField::FeeRecipientQuoteAccount),
        writable(KeyField::BuybackRecipient),
        writable(KeyField::BuybackRecipientQuoteAccount),
        writable(KeyField::BondingCurve),
        writable(KeyField::CurveBaseAccount),
        writable(KeyField::CurveQuoteAccount),
        AccountSpec::payer(fixed(&trader.user)),
        writable(KeyField::UserBaseAccount),
        AccountSpec::writable(fixed(&trader.wrapped_sol_account)),
        writable(KeyField::CreatorVault),
        writable(KeyField::CreatorVaultQuoteAccount),
        AccountSpec::readonly(KeySource::Patched(KeyField::SharingConfig)),
    ];
    if side == Side::Buy {
        accounts.push(readonly(&PUMP_GLOBAL_VOLUME_ACCUMULATOR));
    }
    accounts.extend([
        AccountSpec::writable(fixed(&trader.volume_accumulator)),
        AccountSpec::writable(fixed(&trader.volume_accumulator_wrapped_sol_account)),
        readonly(&PUMP_FEE_CONFIG),
        readonly(&PUMP_FEE_PROGRAM),
        readonly(&SYSTEM_PROGRAM),
        readonly(&PUMP_EVENT_AUTHORITY),
        readonly(&PUMP_PROGRAM),
    ]);
    accounts
}

const fn fixed(key: &Key) -> KeySource {
    KeySource::Fixed(*key)
}

const fn readonly(key: &Key) -> AccountSpec {
    AccountSpec::readonly(KeySource::Fixed(*key))
}

const fn writable(field: KeyField) -> AccountSpec {
    AccountSpec::writable(KeySource::Patched(field))
}
