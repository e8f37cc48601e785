//! Meteora's dynamic bonding curve as data: discriminators and account positions.
//!
//! Source unless a line says otherwise: `idl.json` of MeteoraAg/dynamic-bonding-curve-sdk at ce9afb7 (program
//! 0.1.10), and for what instructions do, the program's own source, MeteoraAg/dynamic-bonding-curve at b4f9547.

pub mod account;
pub(crate) mod decode;
pub mod quote;

use crate::base58::key;
use crate::units::Key;

/// The authority over every curve's token accounts.
pub const POOL_AUTHORITY: Key = key("FhVo3mqL8PW5pH5U2CN4XE33DokiyZnUwuGpH2hmHLuM");

/// First eight bytes of an instruction's data, read little-endian.
pub mod discriminator {
    const fn of(bytes: [u8; 8]) -> u64 {
        u64::from_le_bytes(bytes)
    }
    /// `initialize_virtual_pool_with_spl_token(name, symbol, uri)`.
    pub const INITIALIZE_WITH_SPL_TOKEN: u64 = of([0x8c, 0x55, 0xd7, 0xb0, 0x66, 0x36, 0x68, 0x4f]);
    /// `initialize_virtual_pool_with_token2022(name, symbol, uri)`.
    pub const INITIALIZE_WITH_TOKEN_2022: u64 =
        of([0xa9, 0x76, 0x33, 0x4e, 0x91, 0x6e, 0xdc, 0x9b]);
    /// `swap(amount_in, minimum_amount_out)`.
    pub const SWAP: u64 = of([0xf8, 0xc6, 0x9e, 0x91, 0xe1, 0x75, 0x87, 0xc8]);
    /// `swap2(amount_0, amount_1, swap_mode)`.
    pub const SWAP2: u64 = of([0x41, 0x4b, 0x3f, 0x4c, 0xeb, 0x5b, 0x5b, 0x88]);
    /// `migration_damm_v2()`: the curve becomes a DAMM v2 pool.
    pub const MIGRATION_DAMM_V2: u64 = of([0x9c, 0xa9, 0xe6, 0x67, 0x35, 0xe4, 0x50, 0x40]);
    /// `migrate_meteora_damm()`: the curve becomes a pool of the older dynamic AMM.
    pub const MIGRATE_METEORA_DAMM: u64 = of([0x1b, 0x01, 0x30, 0x16, 0xb4, 0x3f, 0x76, 0xd9]);
}

/// Account positions of `swap` and `swap2`.
pub(crate) mod swap {
    pub(crate) const POOL: usize = 2;
    pub(crate) const INPUT_ACCOUNT: usize = 3;
    pub(crate) const OUTPUT_ACCOUNT: usize = 4;
    pub(crate) const PAYER: usize = 9;
    pub(crate) const LEN: usize = 15;
}

/// Account positions of both initializations, which differ behind the quote vault.
pub(crate) mod initialize {
    pub(crate) const CONFIG: usize = 0;
    pub(crate) const CREATOR: usize = 2;
    pub(crate) const BASE_MINT: usize = 3;
    pub(crate) const QUOTE_MINT: usize = 4;
    pub(crate) const POOL: usize = 5;
    pub(crate) const BASE_VAULT: usize = 6;
    pub(crate) const QUOTE_VAULT: usize = 7;
    pub(crate) const SPL_TOKEN_LEN: usize = 16;
    pub(crate) const TOKEN_2022_LEN: usize = 14;
}

/// Account positions of `migration_damm_v2`.
pub(crate) mod migration_damm_v2 {
    pub(crate) const CURVE: usize = 0;
    pub(crate) const POOL: usize = 4;
    pub(crate) const BASE_MINT: usize = 13;
    pub(crate) const PAYER: usize = 19;
    pub(crate) const LEN: usize = 25;
}

/// Account positions of `migrate_meteora_damm`; token a is the coin.
pub(crate) mod migrate_meteora_damm {
    pub(crate) const CURVE: usize = 0;
    pub(crate) const POOL: usize = 4;
    pub(crate) const BASE_MINT: usize = 7;
    pub(crate) const PAYER: usize = 22;
    pub(crate) const LEN: usize = 31;
}
