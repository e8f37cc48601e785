//! PumpSwap as data: addresses, discriminators, account positions.
//!
//! Source of every number unless a line says otherwise: pump-rust-client 0.5.0, `idls/pump_amm.json` (accounts and
//! discriminators), `src/pda.rs` (addresses), `src/sdk/pump_amm_ix.rs` (accounts that the IDL omits).

mod account;
pub(crate) mod decode;
mod pool;

pub use account::{GlobalConfig, PoolAccount};
pub use pool::{Legs, Pool, PoolRefusal, Share, Terms};

use crate::base58::key;
use crate::units::Key;

/// The PumpSwap program.
pub const PROGRAM: Key = key("pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA");
/// PDA `["global_config"]`.
pub const GLOBAL_CONFIG: Key = key("ADyA8hdefvWN2dbGGWFotbzWxrAvLW83WG6QCVXvJKqw");
/// PDA `["__event_authority"]`.
pub const EVENT_AUTHORITY: Key = key("GS4CU59F31iL7aR2Q8zVS8DRrcRnXX1yjQ66TqNVQnaR");
/// PDA `["fee_config", PumpSwap]` of the fee program: the schedule of pools (curves have their own).
pub const FEE_CONFIG: Key = key("5PHirr8joyTMp9JMm6nW7hNDVyEYdkzDqazxPD7RaTjx");
/// PDA `["global_volume_accumulator"]`.
pub const GLOBAL_VOLUME_ACCUMULATOR: Key = key("C2aFPdENg4A2HQsmrd5rTw5TaYBX5Ku887cWjbFKtZpw");

/// First eight bytes of an instruction's data, read little-endian. Five of them are Pump's own as well.
pub mod discriminator {
    const fn of(bytes: [u8; 8]) -> u64 {
        u64::from_le_bytes(bytes)
    }
    /// `create_pool(index, base_in, quote_in, coin_creator, is_mayhem_mode, ...)`.
    pub const CREATE_POOL: u64 = of([0xe9, 0x92, 0xd1, 0x8e, 0xcf, 0x68, 0x40, 0xbc]);
    /// `deposit(lp_out, base_in_max, quote_in_max)`.
    pub const DEPOSIT: u64 = of([0xf2, 0x23, 0xc6, 0x89, 0x52, 0xe1, 0xf2, 0xb6]);
    /// `withdraw(lp_in, base_out_min, quote_out_min)`.
    pub const WITHDRAW: u64 = of([0xb7, 0x12, 0x46, 0x9c, 0x94, 0x6d, 0xa1, 0x22]);
    /// `buy(base_out, quote_in_max, track_volume?)`.
    pub const BUY: u64 = of([0x66, 0x06, 0x3d, 0x12, 0x01, 0xda, 0xeb, 0xea]);
    /// `buy_exact_quote_in(quote_in, base_out_min, track_volume?)`.
    pub const BUY_EXACT_QUOTE_IN: u64 = of([0xc6, 0x2e, 0x15, 0x52, 0xb4, 0xd9, 0xe8, 0x70]);
    /// `sell(base_in, quote_out_min)`.
    pub const SELL: u64 = of([0x33, 0xe6, 0x85, 0xa4, 0x01, 0x7f, 0x83, 0xad]);
    /// `buy_v2(base_out, quote_in_max)`.
    pub const BUY_V2: u64 = of([0xb8, 0x17, 0xee, 0x61, 0x67, 0xc5, 0xd3, 0x3d]);
    /// `buy_exact_quote_in_v2(quote_in, base_out_min)`.
    pub const BUY_EXACT_QUOTE_IN_V2: u64 = of([0xc2, 0xab, 0x1c, 0x46, 0x68, 0x4d, 0x5b, 0x2f]);
    /// `sell_v2(base_in, quote_out_min)`.
    pub const SELL_V2: u64 = of([0x5d, 0xf6, 0x82, 0x3c, 0xe7, 0xe9, 0x40, 0xb2]);
    /// `multi_hop_swap(amount_in, out_min)`.
    pub const MULTI_HOP_SWAP: u64 = of([0x2b, 0x64, 0x49, 0x13, 0xe9, 0xf6, 0x6f, 0x94]);
}

/// Accounts of a trade: the first nine are the same in all six.
///
/// After the IDL's accounts a v1 trade carries, in this order: on cashback coins the quote account of the user's
/// volume accumulator (on sales then the accumulator itself), where the pool has a coin creator PDA
/// `["pool-v2", base_mint]`, then a buyback fee recipient and its quote account. v2 trades carry nothing more.
pub(crate) mod trade {
    pub(crate) const POOL: usize = 0;
    pub(crate) const USER: usize = 1;
    pub(crate) const BASE_MINT: usize = 3;
    pub(crate) const QUOTE_MINT: usize = 4;
    pub(crate) const USER_BASE: usize = 5;
    pub(crate) const USER_QUOTE: usize = 6;
    pub(crate) const V1_BUY_LEN: usize = 23;
    pub(crate) const V1_SELL_LEN: usize = 21;
    pub(crate) const V2_LEN: usize = 17;
}

/// Accounts of `create_pool`.
pub(crate) mod create {
    pub(crate) const POOL: usize = 0;
    pub(crate) const GLOBAL_CONFIG: usize = 1;
    pub(crate) const CREATOR: usize = 2;
    pub(crate) const BASE_MINT: usize = 3;
    pub(crate) const QUOTE_MINT: usize = 4;
    pub(crate) const BASE_VAULT: usize = 9;
    pub(crate) const QUOTE_VAULT: usize = 10;
    pub(crate) const LEN: usize = 18;
}

/// Accounts of `deposit` and `withdraw`.
pub(crate) mod liquidity {
    pub(crate) const POOL: usize = 0;
    pub(crate) const USER: usize = 2;
    pub(crate) const LEN: usize = 15;
}

/// Accounts of `multi_hop_swap`: 16, then five for each hop in the order of the route.
pub(crate) mod route {
    pub(crate) const USER: usize = 0;
    pub(crate) const USER_IN: usize = 1;
    pub(crate) const USER_OUT: usize = 2;
    pub(crate) const HOPS: usize = 16;
    /// Of a hop: base mint, quote mint, the pool or the Pump curve, its base account, its quote account.
    pub(crate) const HOP_LEN: usize = 5;
    pub(crate) const BASE_MINT: usize = 0;
    pub(crate) const QUOTE_MINT: usize = 1;
    pub(crate) const VENUE: usize = 2;
}
