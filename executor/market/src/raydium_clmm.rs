//! Raydium's concentrated pools (CLMM) as data: discriminators, account positions, and the state behind their quotes.
//!
//! Source of every number unless a line says otherwise: raydium-io/raydium-clmm at 03b44b7, `programs/amm/src`
//! (instruction accounts in `instructions/`, account fields in `states/`), which has the fee token, the dynamic fee
//! and the limit orders that older interface descriptions lack. Discriminators are the first eight bytes of SHA-256
//! over `global:<instruction>` and `account:<account>`.

mod account;
mod bitmap;
pub(crate) mod decode;
mod fee;
mod price;
mod quote;

pub use account::{
    Config, DynamicFee, FeeOn, Pool, TICK_ARRAY_LEN, Tick, TickArray, discriminator as account_kind,
};
pub use bitmap::BitmapExtension;
pub use price::{SQRT_PRICE_MAX, sqrt_price_at, tick_at};

/// First eight bytes of an instruction's data, read little-endian.
pub mod discriminator {
    const fn of(bytes: [u8; 8]) -> u64 {
        u64::from_le_bytes(bytes)
    }
    /// `create_pool(sqrt_price_x64, open_time)`.
    pub const CREATE_POOL: u64 = of([0xe9, 0x92, 0xd1, 0x8e, 0xcf, 0x68, 0x40, 0xbc]);
    /// `create_customizable_pool(sqrt_price_x64, collect_fee_on, enable_dynamic_fee)`.
    pub const CREATE_CUSTOMIZABLE_POOL: u64 = of([0x2b, 0x44, 0xd4, 0xa7, 0x59, 0x2f, 0xa4, 0x01]);
    /// `swap(amount, other_amount_threshold, sqrt_price_limit_x64, is_base_input)`.
    pub const SWAP: u64 = of([0xf8, 0xc6, 0x9e, 0x91, 0xe1, 0x75, 0x87, 0xc8]);
    /// `swap_v2`, the same arguments.
    pub const SWAP_V2: u64 = of([0x2b, 0x04, 0xed, 0x0b, 0x1a, 0xc9, 0x1e, 0x62]);
    /// `swap_router_base_in(amount_in, amount_out_minimum)`.
    pub const SWAP_ROUTER_BASE_IN: u64 = of([0x45, 0x7d, 0x73, 0xda, 0xf5, 0xba, 0xf2, 0xc4]);
    /// `open_position(tick_lower_index, tick_upper_index, tick_array_lower_start_index, tick_array_upper_start_index,
    /// liquidity, amount_0_max, amount_1_max)`.
    pub const OPEN_POSITION: u64 = of([0x87, 0x80, 0x2f, 0x4d, 0x0f, 0x98, 0xf0, 0x31]);
    /// `open_position_v2`, the same and `with_metadata, base_flag?`.
    pub const OPEN_POSITION_V2: u64 = of([0x4d, 0xb8, 0x4a, 0xd6, 0x70, 0x56, 0xf1, 0xc7]);
    /// `open_position_with_token22_nft`, as `open_position_v2`.
    pub const OPEN_POSITION_WITH_TOKEN22_NFT: u64 =
        of([0x4d, 0xff, 0xae, 0x52, 0x7d, 0x1d, 0xc9, 0x2e]);
    /// `increase_liquidity(liquidity, amount_0_max, amount_1_max)`.
    pub const INCREASE_LIQUIDITY: u64 = of([0x2e, 0x9c, 0xf3, 0x76, 0x0d, 0xcd, 0xfb, 0xb2]);
    /// `increase_liquidity_v2`, the same and `base_flag?`.
    pub const INCREASE_LIQUIDITY_V2: u64 = of([0x85, 0x1d, 0x59, 0xdf, 0x45, 0xee, 0xb0, 0x0a]);
    /// `decrease_liquidity(liquidity, amount_0_min, amount_1_min)`.
    pub const DECREASE_LIQUIDITY: u64 = of([0xa0, 0x26, 0xd0, 0x6f, 0x68, 0x5b, 0x2c, 0x01]);
    /// `decrease_liquidity_v2`, the same arguments.
    pub const DECREASE_LIQUIDITY_V2: u64 = of([0x3a, 0x7f, 0xbc, 0x3e, 0x4f, 0x52, 0xc4, 0x60]);
    /// `open_limit_order(nonce_index, zero_for_one, tick_index, amount)`.
    pub const OPEN_LIMIT_ORDER: u64 = of([0x9d, 0x20, 0xda, 0xb7, 0x47, 0x1d, 0x12, 0x93]);
    /// `increase_limit_order(amount)`.
    pub const INCREASE_LIMIT_ORDER: u64 = of([0xb1, 0x90, 0x59, 0xec, 0xfa, 0xba, 0x7d, 0x63]);
    /// `decrease_limit_order(amount, amount_min)`.
    pub const DECREASE_LIMIT_ORDER: u64 = of([0x75, 0x9d, 0x3c, 0x67, 0x42, 0x31, 0xa3, 0x00]);
    /// `settle_limit_order()`.
    pub const SETTLE_LIMIT_ORDER: u64 = of([0xcd, 0x4e, 0x74, 0x21, 0x5c, 0x69, 0x1a, 0x60]);
}

/// Account positions of both creations; accounts that only some mints and fees need follow.
pub(crate) mod create {
    pub(crate) const LEN: usize = 13;
    pub(crate) const CREATOR: usize = 0;
    pub(crate) const CONFIG: usize = 1;
    pub(crate) const POOL: usize = 2;
    pub(crate) const MINT_0: usize = 3;
    pub(crate) const MINT_1: usize = 4;
    pub(crate) const VAULT_0: usize = 5;
    pub(crate) const VAULT_1: usize = 6;
}

/// Account positions of `swap` and `swap_v2`; tick arrays and a bitmap extension follow.
pub(crate) mod swap {
    pub(crate) const LEN: usize = 10;
    pub(crate) const V2_LEN: usize = 13;
    pub(crate) const PAYER: usize = 0;
    pub(crate) const POOL: usize = 2;
    pub(crate) const ACCOUNT_IN: usize = 3;
    pub(crate) const ACCOUNT_OUT: usize = 4;
    /// Only `swap_v2` names mints.
    pub(crate) const MINT_IN: usize = 11;
    pub(crate) const MINT_OUT: usize = 12;
}

/// Account positions of `swap_router_base_in`: six, then for each pool seven and as many tick arrays as the caller
/// gives, which only their lengths tell from the next pool's.
pub(crate) mod router {
    pub(crate) const PAYER: usize = 0;
    pub(crate) const ACCOUNT_IN: usize = 1;
    pub(crate) const MINT_IN: usize = 2;
    pub(crate) const POOL: usize = 7;
    pub(crate) const ACCOUNT_OUT: usize = 8;
    pub(crate) const MINT_OUT: usize = 11;
    /// One pool, without its tick arrays.
    pub(crate) const LEN: usize = 13;
    /// Two pools with a tick array each: fewer accounts are one pool for certain.
    pub(crate) const TWO_POOLS_LEN: usize = 22;
}

/// Where an instruction that puts in or takes out keeps the pool and who asks, and how many accounts it needs.
#[derive(Clone, Copy)]
pub(crate) struct LiquidityLayout {
    pub(crate) len: usize,
    pub(crate) pool: usize,
    pub(crate) owner: usize,
}

const fn layout(len: usize, pool: usize) -> LiquidityLayout {
    LiquidityLayout {
        len,
        pool,
        owner: 0,
    }
}

/// `open_position`.
pub(crate) const OPEN: LiquidityLayout = layout(19, 5);
/// `open_position_v2`.
pub(crate) const OPEN_V2: LiquidityLayout = layout(22, 5);
/// `open_position_with_token22_nft`: no metadata account.
pub(crate) const OPEN_TOKEN22: LiquidityLayout = layout(20, 4);
/// `increase_liquidity`.
pub(crate) const INCREASE: LiquidityLayout = layout(12, 2);
/// `increase_liquidity_v2`.
pub(crate) const INCREASE_V2: LiquidityLayout = layout(15, 2);
/// `decrease_liquidity`.
pub(crate) const DECREASE: LiquidityLayout = layout(12, 3);
/// `decrease_liquidity_v2`.
pub(crate) const DECREASE_V2: LiquidityLayout = layout(16, 3);
/// `open_limit_order`.
pub(crate) const OPEN_ORDER: LiquidityLayout = layout(10, 1);
/// `increase_limit_order`.
pub(crate) const INCREASE_ORDER: LiquidityLayout = layout(8, 1);
/// `decrease_limit_order`.
pub(crate) const DECREASE_ORDER: LiquidityLayout = layout(12, 1);
/// `settle_limit_order`.
pub(crate) const SETTLE_ORDER: LiquidityLayout = layout(8, 1);
