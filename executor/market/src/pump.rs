//! The Pump program as data: addresses, discriminators, account positions, starting reserves.
//!
//! Source of every number unless a line says otherwise: pump-rust-client 0.5.0, `idls/pump.json` (accounts
//! and discriminators) and `src/constants.rs` (addresses).

pub mod account;
pub mod curve;
pub(crate) mod decode;
pub mod fees;

use crate::base58::key;
use crate::units::Key;

/// The Pump bonding-curve program.
pub const PROGRAM: Key = key("6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P");
/// PDA `["global"]`: what holds for every curve.
pub const GLOBAL: Key = key("4wTV1YmiEkRvAtNtsSGPtUrqRYQMe5SKy2uB4Jjaxnjf");
/// The fee program, which owns the fee schedules of curves and pools.
pub const FEE_PROGRAM: Key = key("pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ");
/// The curves' fee schedule: PDA `["fee_config", pump program]` of the fee program.
pub const FEE_CONFIG: Key = key("8Wf5TiAheLUqBrKXeYg2JtAFFMWtKdG2BSFgqUcPVwTt");
/// Mint of wrapped SOL, the quote of a SOL-priced curve.
pub const WRAPPED_SOL: Key = key("So11111111111111111111111111111111111111112");
/// SPL Token, owner of mints made by `create`.
pub const TOKEN_PROGRAM: Key = key("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
/// Token-2022, owner of mints made by `create_v2`.
pub const TOKEN_2022_PROGRAM: Key = key("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

/// Reserves and supply of a fresh SOL-priced curve. Source: `BondingCurve` fixtures of pump-rust-client 0.5.0
/// (`src/math/bonding_curve.rs`, tests) and `Global` on mainnet; a mayhem or token-priced curve starts elsewhere.
pub mod fresh {
    /// Virtual token reserves.
    pub const VIRTUAL_TOKEN: u64 = 1_073_000_000_000_000;
    /// Virtual quote reserves: 30 SOL.
    pub const VIRTUAL_QUOTE: u64 = 30_000_000_000;
    /// Tokens the curve can sell.
    pub const REAL_TOKEN: u64 = 793_100_000_000_000;
    /// Total supply: a billion tokens of six decimals.
    pub const SUPPLY: u64 = 1_000_000_000_000_000;
}

/// First eight bytes of an instruction's data, read little-endian.
pub mod discriminator {
    const fn of(bytes: [u8; 8]) -> u64 {
        u64::from_le_bytes(bytes)
    }
    /// `create(name, symbol, uri, creator)`.
    pub const CREATE: u64 = of([0x18, 0x1e, 0xc8, 0x28, 0x05, 0x1c, 0x07, 0x77]);
    /// `create_v2(name, symbol, uri, creator, is_mayhem_mode, is_cashback?, creator_fee_bps?, is_holder_reward?)`.
    pub const CREATE_V2: u64 = of([0xd6, 0x90, 0x4c, 0xec, 0x5f, 0x8b, 0x31, 0xb4]);
    /// `buy(amount, max_sol_cost, track_volume?, partial_fill?)`.
    pub const BUY: u64 = of([0x66, 0x06, 0x3d, 0x12, 0x01, 0xda, 0xeb, 0xea]);
    /// `buy_exact_sol_in(spendable_sol_in, min_tokens_out, track_volume?, partial_fill?)`.
    pub const BUY_EXACT_SOL_IN: u64 = of([0x38, 0xfc, 0x74, 0x08, 0x9e, 0xdf, 0xcd, 0x5f]);
    /// `sell(amount, min_sol_output)`.
    pub const SELL: u64 = of([0x33, 0xe6, 0x85, 0xa4, 0x01, 0x7f, 0x83, 0xad]);
    /// `buy_v2(amount, max_sol_cost, partial_fill?)`.
    pub const BUY_V2: u64 = of([0xb8, 0x17, 0xee, 0x61, 0x67, 0xc5, 0xd3, 0x3d]);
    /// `buy_exact_quote_in_v2(spendable_quote_in, min_tokens_out, partial_fill?)`.
    pub const BUY_EXACT_QUOTE_IN_V2: u64 = of([0xc2, 0xab, 0x1c, 0x46, 0x68, 0x4d, 0x5b, 0x2f]);
    /// `sell_v2(amount, min_sol_output)`.
    pub const SELL_V2: u64 = of([0x5d, 0xf6, 0x82, 0x3c, 0xe7, 0xe9, 0x40, 0xb2]);
    /// `buy_v3(amount, max_sol_cost, partial_fill?)`.
    pub const BUY_V3: u64 = of([0x07, 0x05, 0x1d, 0xc4, 0xf5, 0x17, 0x65, 0x50]);
    /// `buy_exact_quote_in_v3(spendable_quote_in, min_tokens_out, partial_fill?)`.
    pub const BUY_EXACT_QUOTE_IN_V3: u64 = of([0xe1, 0xf7, 0x50, 0x1e, 0xd5, 0xb3, 0x84, 0x88]);
    /// `sell_v3(amount, min_sol_output)`.
    pub const SELL_V3: u64 = of([0x1c, 0x92, 0xde, 0x77, 0x26, 0xc4, 0x69, 0xd5]);
    /// `migrate()`: a completed curve priced in SOL becomes a PumpSwap pool.
    pub const MIGRATE: u64 = of([0x9b, 0xea, 0xe7, 0x92, 0xec, 0x9e, 0xa2, 0x1e]);
    /// `migrate_v2()`: the same for any quote.
    pub const MIGRATE_V2: u64 = of([0xbb, 0xcb, 0x12, 0x1f, 0xce, 0xed, 0xfe, 0x29]);
}

/// Account positions of `create` (14 accounts) and `create_v2` (16, then optional quote accounts).
pub(crate) mod create {
    pub(crate) const MINT: usize = 0;
    pub(crate) const BONDING_CURVE: usize = 2;
    pub(crate) const ASSOCIATED_BONDING_CURVE: usize = 3;
    pub(crate) const V1_USER: usize = 7;
    pub(crate) const V1_LEN: usize = 14;
    pub(crate) const V2_USER: usize = 5;
    pub(crate) const V2_LEN: usize = 16;
    /// First remaining account of `create_v2`; absent or wrapped SOL means a SOL-priced coin.
    /// Source: pump-public-docs `docs/instructions/COIN_CREATION.md` at 2293f9a.
    pub(crate) const V2_QUOTE_MINT: usize = 16;
}

/// Where a migration keeps what it turns into a pool.
#[derive(Clone, Copy)]
pub(crate) struct MigrateLayout {
    pub(crate) len_min: usize,
    pub(crate) mint: usize,
    pub(crate) bonding_curve: usize,
    pub(crate) user: usize,
    pub(crate) pool: usize,
}

/// `migrate`: 25 accounts; before the rent account was added, 24.
pub(crate) const MIGRATE: MigrateLayout = MigrateLayout {
    len_min: 24,
    mint: 2,
    bonding_curve: 3,
    user: 5,
    pool: 9,
};

/// `migrate_v2`: 27 accounts.
pub(crate) const MIGRATE_V2: MigrateLayout = MigrateLayout {
    len_min: 27,
    mint: 2,
    bonding_curve: 4,
    user: 7,
    pool: 10,
};

/// Where a trade instruction keeps each account; [`ABSENT`] when it has no such account.
#[derive(Clone, Copy)]
pub(crate) struct TradeLayout {
    pub(crate) len_min: usize,
    pub(crate) mint: usize,
    pub(crate) user: usize,
    pub(crate) bonding_curve: usize,
    pub(crate) associated_bonding_curve: usize,
    pub(crate) token_program: usize,
    pub(crate) quote_mint: usize,
    pub(crate) associated_quote_bonding_curve: usize,
    pub(crate) creator_vault: usize,
    pub(crate) associated_creator_vault: usize,
    pub(crate) sharing_config: usize,
    pub(crate) fee_recipient: usize,
    pub(crate) buyback_fee_recipient: usize,
}

/// No such account; past the end of any instruction's account list.
pub(crate) const ABSENT: usize = usize::MAX;

/// `buy` and `buy_exact_sol_in`: 16 accounts in the IDL, then `bonding_curve_v2` and `buyback_fee_recipient`,
/// which the IDL omits (`src/sdk/pump_legacy.rs`); older callers send 16 or 17.
pub(crate) const BUY_V1: TradeLayout = TradeLayout {
    len_min: 16,
    mint: 2,
    user: 6,
    bonding_curve: 3,
    associated_bonding_curve: 4,
    token_program: 8,
    quote_mint: ABSENT,
    associated_quote_bonding_curve: ABSENT,
    creator_vault: 9,
    associated_creator_vault: ABSENT,
    sharing_config: ABSENT,
    fee_recipient: 1,
    buyback_fee_recipient: 17,
};

/// `sell`: 14 accounts in the IDL, then on cashback coins a volume accumulator, then `bonding_curve_v2` and
/// `buyback_fee_recipient`: 16, or 17 with cashback, so the last two are found from the end (see `decode`).
pub(crate) const SELL_V1: TradeLayout = TradeLayout {
    len_min: 14,
    creator_vault: 8,
    token_program: 9,
    buyback_fee_recipient: ABSENT,
    ..BUY_V1
};

/// `buy_v2`, `buy_exact_quote_in_v2`: 27 accounts.
pub(crate) const BUY_V2: TradeLayout = TradeLayout {
    len_min: 27,
    mint: 1,
    user: 13,
    bonding_curve: 10,
    associated_bonding_curve: 11,
    token_program: 3,
    quote_mint: 2,
    associated_quote_bonding_curve: 12,
    creator_vault: 16,
    associated_creator_vault: 17,
    sharing_config: 18,
    fee_recipient: 6,
    buyback_fee_recipient: 8,
};

/// `sell_v2`: 26 accounts, the same up to the sharing configuration.
pub(crate) const SELL_V2: TradeLayout = TradeLayout {
    len_min: 26,
    ..BUY_V2
};

/// `buy_v3`, `buy_exact_quote_in_v3`, `sell_v3`: one list of 17.
pub(crate) const TRADE_V3: TradeLayout = TradeLayout {
    len_min: 17,
    mint: 1,
    user: 8,
    bonding_curve: 5,
    associated_bonding_curve: 6,
    token_program: 3,
    quote_mint: 2,
    associated_quote_bonding_curve: 7,
    creator_vault: ABSENT,
    associated_creator_vault: ABSENT,
    sharing_config: ABSENT,
    fee_recipient: ABSENT,
    buyback_fee_recipient: 13,
};
