//! Meteora DLMM (`lb_clmm`) as data: discriminators and account positions.
//!
//! Source unless a line says otherwise: `idls/dlmm.json` of MeteoraAg/dlmm-sdk at fb02e51 (program 0.12.0), and for
//! what a swap does, `commons/src` beside it.

pub mod account;
pub(crate) mod decode;
pub mod quote;

/// First eight bytes of an instruction's data, read little-endian.
pub mod discriminator {
    const fn of(bytes: [u8; 8]) -> u64 {
        u64::from_le_bytes(bytes)
    }
    /// `initialize_lb_pair(active_id, bin_step)`.
    pub const INITIALIZE_LB_PAIR: u64 = of([0x2d, 0x9a, 0xed, 0xd2, 0xdd, 0x0f, 0xa6, 0x5c]);
    /// `initialize_lb_pair2(active_id, padding)`.
    pub const INITIALIZE_LB_PAIR2: u64 = of([0x49, 0x3b, 0x24, 0x78, 0xed, 0x53, 0x6c, 0xc6]);
    /// `initialize_customizable_permissionless_lb_pair(active_id, bin_step, base_factor, activation_type,
    /// has_alpha_vault, activation_point?, ..)`.
    pub const INITIALIZE_CUSTOMIZABLE: u64 = of([0x2e, 0x27, 0x29, 0x87, 0x6f, 0xb7, 0xc8, 0x40]);
    /// `initialize_customizable_permissionless_lb_pair2`, the same arguments.
    pub const INITIALIZE_CUSTOMIZABLE2: u64 = of([0xf3, 0x49, 0x81, 0x7e, 0x33, 0x13, 0xf1, 0x6b]);
    /// `initialize_permission_lb_pair(active_id, bin_step, ..)`.
    pub const INITIALIZE_PERMISSION: u64 = of([0x6c, 0x66, 0xd5, 0x55, 0xfb, 0x03, 0x35, 0x15]);
    /// `swap(amount_in, min_amount_out)`.
    pub const SWAP: u64 = of([0xf8, 0xc6, 0x9e, 0x91, 0xe1, 0x75, 0x87, 0xc8]);
    /// `swap2(amount_in, min_amount_out, remaining_accounts_info)`.
    pub const SWAP2: u64 = of([0x41, 0x4b, 0x3f, 0x4c, 0xeb, 0x5b, 0x5b, 0x88]);
    /// `swap_exact_out(max_in_amount, out_amount)`.
    pub const SWAP_EXACT_OUT: u64 = of([0xfa, 0x49, 0x65, 0x21, 0x26, 0xcf, 0x4b, 0xb8]);
    /// `swap_exact_out2(max_in_amount, out_amount, remaining_accounts_info)`.
    pub const SWAP_EXACT_OUT2: u64 = of([0x2b, 0xd7, 0xf7, 0x84, 0x89, 0x3c, 0xf3, 0x51]);
    /// `swap_with_price_impact(amount_in, active_id?, max_price_impact_bps)`.
    pub const SWAP_WITH_PRICE_IMPACT: u64 = of([0x38, 0xad, 0xe6, 0xd0, 0xad, 0xe4, 0x9c, 0xcd]);
    /// `swap_with_price_impact2`, the same and `remaining_accounts_info`.
    pub const SWAP_WITH_PRICE_IMPACT2: u64 = of([0x4a, 0x62, 0xc0, 0xd6, 0xb1, 0x33, 0x4b, 0x33]);
    /// `add_liquidity(amount_x, amount_y, ..)`.
    pub const ADD_LIQUIDITY: u64 = of([0xb5, 0x9d, 0x59, 0x43, 0x8f, 0xb6, 0x34, 0x48]);
    /// `add_liquidity2`, the same.
    pub const ADD_LIQUIDITY2: u64 = of([0xe4, 0xa2, 0x4e, 0x1c, 0x46, 0xdb, 0x74, 0x73]);
    /// `add_liquidity_by_strategy(amount_x, amount_y, ..)`.
    pub const ADD_LIQUIDITY_BY_STRATEGY: u64 = of([0x07, 0x03, 0x96, 0x7f, 0x94, 0x28, 0x3d, 0xc8]);
    /// `add_liquidity_by_strategy2`, the same.
    pub const ADD_LIQUIDITY_BY_STRATEGY2: u64 =
        of([0x03, 0xdd, 0x95, 0xda, 0x6f, 0x8d, 0x76, 0xd5]);
    /// `add_liquidity_by_strategy_one_side(amount, ..)`.
    pub const ADD_LIQUIDITY_BY_STRATEGY_ONE_SIDE: u64 =
        of([0x29, 0x05, 0xee, 0xaf, 0x64, 0xe1, 0x06, 0xcd]);
    /// `add_liquidity_by_weight(amount_x, amount_y, ..)`.
    pub const ADD_LIQUIDITY_BY_WEIGHT: u64 = of([0x1c, 0x8c, 0xee, 0x63, 0xe7, 0xa2, 0x15, 0x95]);
    /// `add_liquidity_by_weight2`, the same.
    pub const ADD_LIQUIDITY_BY_WEIGHT2: u64 = of([0xd1, 0x3b, 0x3f, 0x5b, 0x6f, 0xc8, 0x99, 0xe4]);
    /// `add_liquidity_one_side(amount, ..)`.
    pub const ADD_LIQUIDITY_ONE_SIDE: u64 = of([0x5e, 0x9b, 0x67, 0x97, 0x46, 0x5f, 0xdc, 0xa5]);
    /// `add_liquidity_one_side_precise(bins, decompress_multiplier)`.
    pub const ADD_LIQUIDITY_ONE_SIDE_PRECISE: u64 =
        of([0xa1, 0xc2, 0x67, 0x54, 0xab, 0x47, 0xfa, 0x9a]);
    /// `add_liquidity_one_side_precise2(bins, decompress_multiplier, max_amount)`.
    pub const ADD_LIQUIDITY_ONE_SIDE_PRECISE2: u64 =
        of([0x21, 0x33, 0xa3, 0xc9, 0x75, 0x62, 0x7d, 0xe7]);
    /// `remove_liquidity(bins)`.
    pub const REMOVE_LIQUIDITY: u64 = of([0x50, 0x55, 0xd1, 0x48, 0x18, 0xce, 0xb1, 0x6c]);
    /// `remove_liquidity2(bins, ..)`.
    pub const REMOVE_LIQUIDITY2: u64 = of([0xe6, 0xd7, 0x52, 0x7f, 0xf1, 0x65, 0xe3, 0x92]);
    /// `remove_liquidity_by_range(from_bin_id, to_bin_id, bps)`.
    pub const REMOVE_LIQUIDITY_BY_RANGE: u64 = of([0x1a, 0x52, 0x66, 0x98, 0xf0, 0x4a, 0x69, 0x1a]);
    /// `remove_liquidity_by_range2`, the same.
    pub const REMOVE_LIQUIDITY_BY_RANGE2: u64 =
        of([0xcc, 0x02, 0xc3, 0x91, 0x35, 0x91, 0x91, 0xcd]);
    /// `remove_all_liquidity()`.
    pub const REMOVE_ALL_LIQUIDITY: u64 = of([0x0a, 0x33, 0x3d, 0x23, 0x70, 0x69, 0x18, 0x55]);
    /// `rebalance_liquidity(params, ..)`.
    pub const REBALANCE_LIQUIDITY: u64 = of([0x5c, 0x04, 0xb0, 0xc1, 0x77, 0xb9, 0x53, 0x09]);
    /// `place_limit_order(is_ask_side, padding, relative_bin?, bins)`.
    pub const PLACE_LIMIT_ORDER: u64 = of([0x6c, 0xb0, 0x21, 0xba, 0x92, 0xe5, 0x01, 0xc5]);
    /// `cancel_limit_order(bins, ..)`.
    pub const CANCEL_LIMIT_ORDER: u64 = of([0x84, 0x9c, 0x84, 0x1f, 0x43, 0x28, 0xe8, 0x61]);
}

/// Account positions of all six swaps, which differ behind the user.
pub(crate) mod swap {
    pub(crate) const PAIR: usize = 0;
    pub(crate) const ACCOUNT_IN: usize = 4;
    pub(crate) const ACCOUNT_OUT: usize = 5;
    pub(crate) const USER: usize = 10;
    pub(crate) const LEN: usize = 15;
    /// The second generation adds the memo program.
    pub(crate) const LEN2: usize = 16;
}

/// Account positions of a pair's creation.
pub(crate) struct CreateLayout {
    pub(crate) pair: usize,
    pub(crate) mint_x: usize,
    pub(crate) mint_y: usize,
    pub(crate) reserve_x: usize,
    pub(crate) reserve_y: usize,
    pub(crate) preset: Option<usize>,
    pub(crate) funder: usize,
    pub(crate) len: usize,
}

pub(crate) const INITIALIZE_LB_PAIR: CreateLayout = CreateLayout {
    pair: 0,
    mint_x: 2,
    mint_y: 3,
    reserve_x: 4,
    reserve_y: 5,
    preset: Some(7),
    funder: 8,
    len: 14,
};

pub(crate) const INITIALIZE_LB_PAIR2: CreateLayout = CreateLayout {
    len: 16,
    ..INITIALIZE_LB_PAIR
};

pub(crate) const INITIALIZE_CUSTOMIZABLE: CreateLayout = CreateLayout {
    preset: None,
    ..INITIALIZE_LB_PAIR
};

pub(crate) const INITIALIZE_CUSTOMIZABLE2: CreateLayout = CreateLayout {
    len: 17,
    ..INITIALIZE_CUSTOMIZABLE
};

pub(crate) const INITIALIZE_PERMISSION: CreateLayout = CreateLayout {
    pair: 1,
    mint_x: 3,
    mint_y: 4,
    reserve_x: 5,
    reserve_y: 6,
    preset: None,
    funder: 8,
    len: 18,
};

/// Account positions of an instruction over a position or an order: the pair, who signs, how many.
#[derive(Clone, Copy)]
pub(crate) struct LiquidityLayout {
    pub(crate) pair: usize,
    pub(crate) sender: usize,
    pub(crate) len: usize,
}

/// Both sides, with the bin arrays among the named accounts.
pub(crate) const BOTH_SIDES: LiquidityLayout = LiquidityLayout {
    pair: 1,
    sender: 11,
    len: 16,
};
/// Both sides, with the bin arrays behind the named accounts.
pub(crate) const BOTH_SIDES_ADD2: LiquidityLayout = LiquidityLayout {
    pair: 1,
    sender: 9,
    len: 14,
};
/// The same with the memo program.
pub(crate) const BOTH_SIDES_REMOVE2: LiquidityLayout = LiquidityLayout {
    len: 15,
    ..BOTH_SIDES_ADD2
};
/// One side, with the bin arrays among the named accounts.
pub(crate) const ONE_SIDE: LiquidityLayout = LiquidityLayout {
    pair: 1,
    sender: 8,
    len: 12,
};
/// One side, with the bin arrays behind the named accounts.
pub(crate) const ONE_SIDE2: LiquidityLayout = LiquidityLayout {
    pair: 1,
    sender: 6,
    len: 10,
};
/// `rebalance_liquidity`.
pub(crate) const REBALANCE: LiquidityLayout = LiquidityLayout {
    pair: 1,
    sender: 9,
    len: 17,
};
/// `place_limit_order`.
pub(crate) const PLACE_LIMIT_ORDER: LiquidityLayout = LiquidityLayout {
    pair: 0,
    sender: 8,
    len: 13,
};
/// `cancel_limit_order`.
pub(crate) const CANCEL_LIMIT_ORDER: LiquidityLayout = LiquidityLayout {
    pair: 0,
    sender: 9,
    len: 15,
};
