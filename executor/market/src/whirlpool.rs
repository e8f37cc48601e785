//! Orca Whirlpool as data: discriminators, account positions, and the state behind its quotes.
//!
//! Source of every number unless a line says otherwise: orca-so/whirlpools at 630c0e0, `programs/whirlpool/src`
//! (instruction accounts in `instructions/`, account fields in `state/`). Discriminators are the first eight bytes of
//! SHA-256 over `global:<instruction>` and `account:<account>`.

mod account;
pub(crate) mod decode;
mod fee;
mod price;
mod quote;

pub use account::{
    AdaptiveFee, Oracle, Pool, TICK_ARRAY_LEN, TickArray, Volatility, discriminator as account_kind,
};
pub use price::{SQRT_PRICE_MAX, sqrt_price_at, tick_at};

/// First eight bytes of an instruction's data, read little-endian.
pub mod discriminator {
    const fn of(bytes: [u8; 8]) -> u64 {
        u64::from_le_bytes(bytes)
    }
    /// `initialize_pool(bumps, tick_spacing, initial_sqrt_price)`.
    pub const INITIALIZE_POOL: u64 = of([0x5f, 0xb4, 0x0a, 0xac, 0x54, 0xae, 0xe8, 0x28]);
    /// `initialize_pool_v2(tick_spacing, initial_sqrt_price)`.
    pub const INITIALIZE_POOL_V2: u64 = of([0xcf, 0x2d, 0x57, 0xf2, 0x1b, 0x3f, 0xcc, 0x43]);
    /// `initialize_pool_with_adaptive_fee(initial_sqrt_price, trade_enable_timestamp?)`.
    pub const INITIALIZE_POOL_WITH_ADAPTIVE_FEE: u64 =
        of([0x8f, 0x5e, 0x60, 0x4c, 0xac, 0x7c, 0x77, 0xc7]);
    /// `swap(amount, other_amount_threshold, sqrt_price_limit, amount_specified_is_input, a_to_b)`.
    pub const SWAP: u64 = of([0xf8, 0xc6, 0x9e, 0x91, 0xe1, 0x75, 0x87, 0xc8]);
    /// `swap_v2`, the same and `remaining_accounts_info?`.
    pub const SWAP_V2: u64 = of([0x2b, 0x04, 0xed, 0x0b, 0x1a, 0xc9, 0x1e, 0x62]);
    /// `two_hop_swap(amount, other_amount_threshold, amount_specified_is_input, a_to_b_one, a_to_b_two,
    /// sqrt_price_limit_one, sqrt_price_limit_two)`.
    pub const TWO_HOP_SWAP: u64 = of([0xc3, 0x60, 0xed, 0x6c, 0x44, 0xa2, 0xdb, 0xe6]);
    /// `two_hop_swap_v2`, the same and `remaining_accounts_info?`.
    pub const TWO_HOP_SWAP_V2: u64 = of([0xba, 0x8f, 0xd1, 0x1d, 0xfe, 0x02, 0xc2, 0x75]);
    /// `increase_liquidity(liquidity_amount, token_max_a, token_max_b)`.
    pub const INCREASE_LIQUIDITY: u64 = of([0x2e, 0x9c, 0xf3, 0x76, 0x0d, 0xcd, 0xfb, 0xb2]);
    /// `increase_liquidity_v2`, the same and `remaining_accounts_info?`.
    pub const INCREASE_LIQUIDITY_V2: u64 = of([0x85, 0x1d, 0x59, 0xdf, 0x45, 0xee, 0xb0, 0x0a]);
    /// `increase_liquidity_by_token_amounts_v2(method, remaining_accounts_info?)`.
    pub const INCREASE_LIQUIDITY_BY_TOKEN_AMOUNTS_V2: u64 =
        of([0xef, 0xfb, 0x09, 0x7c, 0xd2, 0xc6, 0x35, 0x2b]);
    /// `decrease_liquidity(liquidity_amount, token_min_a, token_min_b)`.
    pub const DECREASE_LIQUIDITY: u64 = of([0xa0, 0x26, 0xd0, 0x6f, 0x68, 0x5b, 0x2c, 0x01]);
    /// `decrease_liquidity_v2`, the same and `remaining_accounts_info?`.
    pub const DECREASE_LIQUIDITY_V2: u64 = of([0x3a, 0x7f, 0xbc, 0x3e, 0x4f, 0x52, 0xc4, 0x60]);
    /// `reposition_liquidity_v2(new_tick_lower_index, new_tick_upper_index, method, remaining_accounts_info?)`.
    pub const REPOSITION_LIQUIDITY_V2: u64 = of([0xbf, 0xa9, 0xe0, 0x0b, 0x83, 0x13, 0x9e, 0xfd]);
}

/// Where a creation keeps each account.
#[derive(Clone, Copy)]
pub(crate) struct CreateLayout {
    pub(crate) len: usize,
    pub(crate) config: usize,
    pub(crate) mint_a: usize,
    pub(crate) mint_b: usize,
    pub(crate) funder: usize,
    pub(crate) pool: usize,
    pub(crate) vault_a: usize,
    pub(crate) vault_b: usize,
}

/// `initialize_pool`.
pub(crate) const CREATE: CreateLayout = CreateLayout {
    len: 11,
    config: 0,
    mint_a: 1,
    mint_b: 2,
    funder: 3,
    pool: 4,
    vault_a: 5,
    vault_b: 6,
};

/// `initialize_pool_v2`: two token badges before the funder.
pub(crate) const CREATE_V2: CreateLayout = CreateLayout {
    len: 14,
    funder: 5,
    pool: 6,
    vault_a: 7,
    vault_b: 8,
    ..CREATE
};

/// `initialize_pool_with_adaptive_fee`: an authority before the pool and an oracle behind it.
pub(crate) const CREATE_ADAPTIVE: CreateLayout = CreateLayout {
    len: 16,
    funder: 5,
    pool: 7,
    vault_a: 9,
    vault_b: 10,
    ..CREATE
};

/// Where a swap keeps each account.
#[derive(Clone, Copy)]
pub(crate) struct SwapLayout {
    pub(crate) len: usize,
    pub(crate) authority: usize,
    pub(crate) pool: usize,
    /// Mints of side a and b, which only `swap_v2` names.
    pub(crate) mints: Option<(usize, usize)>,
    pub(crate) owner_a: usize,
    pub(crate) owner_b: usize,
}

/// `swap`.
pub(crate) const SWAP: SwapLayout = SwapLayout {
    len: 11,
    authority: 1,
    pool: 2,
    mints: None,
    owner_a: 3,
    owner_b: 5,
};

/// `swap_v2`.
pub(crate) const SWAP_V2: SwapLayout = SwapLayout {
    len: 15,
    authority: 3,
    pool: 4,
    mints: Some((5, 6)),
    owner_a: 7,
    owner_b: 9,
};

/// Account positions of `two_hop_swap`: both sides of both pools.
pub(crate) mod two_hop {
    pub(crate) const LEN: usize = 20;
    pub(crate) const AUTHORITY: usize = 1;
    pub(crate) const POOL_ONE: usize = 2;
    pub(crate) const POOL_TWO: usize = 3;
    pub(crate) const OWNER_ONE_A: usize = 4;
    pub(crate) const OWNER_ONE_B: usize = 6;
    pub(crate) const OWNER_TWO_A: usize = 8;
    pub(crate) const OWNER_TWO_B: usize = 10;
}

/// Account positions of `two_hop_swap_v2`: in the order the tokens flow, the middle one from vault to vault.
pub(crate) mod two_hop_v2 {
    pub(crate) const LEN: usize = 24;
    pub(crate) const POOL_ONE: usize = 0;
    pub(crate) const POOL_TWO: usize = 1;
    pub(crate) const MINT_IN: usize = 2;
    pub(crate) const MINT_MIDDLE: usize = 3;
    pub(crate) const MINT_OUT: usize = 4;
    pub(crate) const OWNER_IN: usize = 8;
    pub(crate) const OWNER_OUT: usize = 13;
    pub(crate) const AUTHORITY: usize = 14;
}

/// Where an increase or decrease of liquidity keeps the pool, who may do it, and how many accounts it needs.
#[derive(Clone, Copy)]
pub(crate) struct LiquidityLayout {
    pub(crate) len: usize,
    pub(crate) pool: usize,
    pub(crate) authority: usize,
}

/// `increase_liquidity`, `decrease_liquidity`.
pub(crate) const LIQUIDITY: LiquidityLayout = LiquidityLayout {
    len: 11,
    pool: 0,
    authority: 2,
};

/// `increase_liquidity_v2`, `increase_liquidity_by_token_amounts_v2`, `decrease_liquidity_v2`.
pub(crate) const LIQUIDITY_V2: LiquidityLayout = LiquidityLayout {
    len: 15,
    authority: 4,
    ..LIQUIDITY
};

/// `reposition_liquidity_v2`.
pub(crate) const REPOSITION: LiquidityLayout = LiquidityLayout {
    len: 19,
    authority: 4,
    ..LIQUIDITY
};
