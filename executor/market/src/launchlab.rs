//! Raydium LaunchLab as data: addresses, discriminators, account positions.
//!
//! Side a is the base (the coin), side b is the quote. The program's source is closed. Source unless a line says
//! otherwise: `launchlab.json` (solana-idl-lib 07d9b26) for instructions and accounts, and the venue's own npm package
//! `@raydium-io/raydium-sdk-v2` 0.2.73-alpha (September 2026, newer than its repository at 124c625), `src/raydium/
//! launchpad`, for account layouts, derived addresses and arithmetic. Derived addresses were computed with
//! `@solana/web3.js`.

pub mod account;
pub(crate) mod decode;
pub mod launch;
pub mod quote;

use crate::base58::key;
use crate::units::Key;

pub use account::{CurveType, GlobalConfig, Migrators, PlatformConfig, Pool, Reserves, Status};
pub use launch::Launch;
pub use quote::Terms;

/// Owner of every curve's vaults: PDA `["vault_auth_seed"]`, bump 250.
pub const AUTHORITY: Key = key("WLHv2UAZm6z4KyaaELi5pjdbJh6RESMva1Rnn8pJVVh");
/// Anchor's event account: PDA `["__event_authority"]`, bump 255.
pub const EVENT_AUTHORITY: Key = key("2DPAtwB8L12vrMRExbLuyGnC7n2J5LNoZQSejeQGpwkr");
/// Owner of the platforms' fee vaults, each PDA `[platform, quote mint]`: PDA `["platform_fee_vault_auth_seed"]`.
pub const PLATFORM_FEE_AUTHORITY: Key = key("56XVRVAsgWv6ADaxzoNnbL38LMoWKM5WiSAhrAWUbd2p");
/// Owner of the creators' fee vaults, each PDA `[creator, quote mint]`: PDA `["creator_fee_vault_auth_seed"]`.
pub const CREATOR_FEE_AUTHORITY: Key = key("9sHpTfmVpCfP2zexRNK6j38NBchMv1RWpdXPK5NEcZan");
/// What fees are rated in: hundredths of a basis point. Source: the package's `common/fee.ts`.
pub const RATE_WHOLE: u64 = 1_000_000;

/// First eight bytes of an instruction's or account's data.
pub mod discriminator {
    /// `buy_exact_in(amount_in, minimum_amount_out, share_fee_rate)`.
    pub const BUY_EXACT_IN: u64 = u64::from_le_bytes(*b"\xfa\xea\x0d\x7b\xd5\x9c\x13\xec");
    /// `buy_exact_out(amount_out, maximum_amount_in, share_fee_rate)`.
    pub const BUY_EXACT_OUT: u64 = u64::from_le_bytes(*b"\x18\xd3\x74\x28\x69\x03\x99\x38");
    /// `sell_exact_in(amount_in, minimum_amount_out, share_fee_rate)`.
    pub const SELL_EXACT_IN: u64 = u64::from_le_bytes(*b"\x95\x27\xde\x9b\xd3\x7c\x98\x1a");
    /// `sell_exact_out(amount_out, maximum_amount_in, share_fee_rate)`.
    pub const SELL_EXACT_OUT: u64 = u64::from_le_bytes(*b"\x5f\xc8\x47\x22\x08\x09\x0b\xa6");
    /// `initialize(mint, curve, vesting)`.
    pub const INITIALIZE: u64 = u64::from_le_bytes(*b"\xaf\xaf\x6d\x1f\x0d\x98\x9b\xed");
    /// `initialize_v2(mint, curve, vesting, fee_on)`.
    pub const INITIALIZE_V2: u64 = u64::from_le_bytes(*b"\x43\x99\xaf\x27\xda\x10\x26\x20");
    /// `initialize_with_token_2022(mint, curve, vesting, fee_on, transfer_fee?)`.
    pub const INITIALIZE_WITH_TOKEN_2022: u64 =
        u64::from_le_bytes(*b"\x25\xbe\x7e\xde\x2c\x9a\xab\x11");
    /// `migrate_to_amm(base_lot_size, quote_lot_size, market_vault_signer_nonce)`.
    pub const MIGRATE_TO_AMM: u64 = u64::from_le_bytes(*b"\xcf\x52\xc0\x91\xfe\xcf\x91\xdf");
    /// `migrate_to_cpswap()`.
    pub const MIGRATE_TO_CPSWAP: u64 = u64::from_le_bytes(*b"\x88\x5c\xc8\x67\x1c\xda\x90\x8c");
    /// `PoolState`. CPMM's pool has the same one: the owner tells them apart.
    pub const POOL: [u8; 8] = *b"\xf7\xed\xe3\xf5\xd7\xc3\xde\x46";
    /// `GlobalConfig`.
    pub const GLOBAL_CONFIG: [u8; 8] = *b"\x95\x08\x9c\xca\xa0\xfc\xb0\xd9";
    /// `PlatformConfig`.
    pub const PLATFORM_CONFIG: [u8; 8] = *b"\xa0\x4e\x80\x00\xf8\x53\xe6\xa0";
}

/// Accounts of the four trades, one list.
///
/// The IDL ends at 15. The package appends the writable account of whoever shares the fee, only when someone does, then
/// the system program, the platform's fee vault and the creator's fee vault: 18 accounts, or 19.
pub mod trade {
    /// Accounts of the IDL.
    pub const COUNT_MIN: usize = 15;
    /// The trader, who signs.
    pub const PAYER: usize = 0;
    /// [`AUTHORITY`](super::AUTHORITY).
    pub const AUTHORITY: usize = 1;
    /// The curve's [`GlobalConfig`](super::GlobalConfig).
    pub const GLOBAL_CONFIG: usize = 2;
    /// The curve's [`PlatformConfig`](super::PlatformConfig).
    pub const PLATFORM_CONFIG: usize = 3;
    /// The curve.
    pub const POOL: usize = 4;
    /// The trader's token account for the base.
    pub const USER_BASE: usize = 5;
    /// The trader's token account for the quote.
    pub const USER_QUOTE: usize = 6;
    /// The curve's token account for the base.
    pub const BASE_VAULT: usize = 7;
    /// The curve's token account for the quote.
    pub const QUOTE_VAULT: usize = 8;
    /// The base.
    pub const BASE_MINT: usize = 9;
    /// The quote.
    pub const QUOTE_MINT: usize = 10;
    /// Token program of the base.
    pub const BASE_TOKEN_PROGRAM: usize = 11;
    /// Token program of the quote.
    pub const QUOTE_TOKEN_PROGRAM: usize = 12;
    /// [`EVENT_AUTHORITY`](super::EVENT_AUTHORITY).
    pub const EVENT_AUTHORITY: usize = 13;
    /// The program itself.
    pub const PROGRAM: usize = 14;
    /// The system program, when nobody shares the fee.
    pub const SYSTEM_PROGRAM: usize = 15;
    /// The platform's fee vault, when nobody shares the fee.
    pub const PLATFORM_FEE_VAULT: usize = 16;
    /// The creator's fee vault, when nobody shares the fee.
    pub const CREATOR_FEE_VAULT: usize = 17;
}

/// Accounts of the three `initialize` forms; up to two platform accounts may follow.
pub mod initialize {
    /// Accounts of `initialize` and `initialize_v2`.
    pub const COUNT: usize = 18;
    /// Accounts of `initialize_with_token_2022`, which has no metadata and rent.
    pub const TOKEN_2022_COUNT: usize = 15;
    /// Who pays and signs.
    pub const PAYER: usize = 0;
    /// For whom the creator fee is.
    pub const CREATOR: usize = 1;
    /// The curve's [`GlobalConfig`](super::GlobalConfig).
    pub const GLOBAL_CONFIG: usize = 2;
    /// The curve's [`PlatformConfig`](super::PlatformConfig).
    pub const PLATFORM_CONFIG: usize = 3;
    /// The curve.
    pub const POOL: usize = 5;
    /// The base, which signs.
    pub const BASE_MINT: usize = 6;
    /// The quote.
    pub const QUOTE_MINT: usize = 7;
    /// The curve's token account for the base.
    pub const BASE_VAULT: usize = 8;
    /// The curve's token account for the quote.
    pub const QUOTE_VAULT: usize = 9;
}

/// Accounts of `migrate_to_amm`.
pub mod migrate_to_amm {
    /// Accounts in all.
    pub const COUNT: usize = 32;
    /// Who pays and signs.
    pub const PAYER: usize = 0;
    /// The base.
    pub const BASE_MINT: usize = 1;
    /// The pool that opens.
    pub const AMM_POOL: usize = 13;
    /// The curve.
    pub const POOL: usize = 23;
}

/// Accounts of `migrate_to_cpswap`.
pub mod migrate_to_cpswap {
    /// Accounts in all.
    pub const COUNT: usize = 28;
    /// Who pays and signs.
    pub const PAYER: usize = 0;
    /// The base.
    pub const BASE_MINT: usize = 1;
    /// The pool that opens.
    pub const CP_POOL: usize = 5;
    /// The curve.
    pub const POOL: usize = 17;
}
