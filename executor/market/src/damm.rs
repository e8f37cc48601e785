//! Meteora DAMM v2 (`cp_amm`) as data: discriminators and account positions.
//!
//! Source unless a line says otherwise: `idls/cp_amm.json` of MeteoraAg/damm-v2-sdk at 1872ee3 (program 0.2.0), and
//! for what instructions do, the program's own source, MeteoraAg/damm-v2 0.2.1 at a3d3827.

pub mod account;
pub(crate) mod decode;
pub mod fee;
pub(crate) mod price;
pub mod quote;
pub(crate) mod wide;

use crate::base58::key;
use crate::event::Way;
use crate::token::TransferFee;
use crate::units::Key;

/// What a swap over one of Meteora's pools depends on besides the pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// Slot of the block it lands in.
    pub slot: u64,
    /// That block's clock, unix seconds.
    pub unix_seconds: u64,
    /// What side a's mint keeps of a transfer.
    pub transfer_fee_a: TransferFee,
    /// What side b's mint keeps of a transfer.
    pub transfer_fee_b: TransferFee,
    /// The swap names a referrer, who gets part of the protocol's fee.
    pub has_referral: bool,
    /// The swap stands behind the instruction that opens the curve in one transaction, called by no other program.
    pub in_launch: bool,
}

impl Terms {
    /// The slot or the second, whichever the pool counts by.
    pub(crate) const fn point(&self, by_timestamp: bool) -> u64 {
        if by_timestamp {
            self.unix_seconds
        } else {
            self.slot
        }
    }

    /// What the mints keep of what goes in and of what comes out.
    pub(crate) const fn transfer_fees(&self, way: Way) -> (TransferFee, TransferFee) {
        match way {
            Way::AToB => (self.transfer_fee_a, self.transfer_fee_b),
            Way::BToA => (self.transfer_fee_b, self.transfer_fee_a),
        }
    }
}

/// The authority over every pool's token accounts.
pub const POOL_AUTHORITY: Key = key("HLnpSz9h2S4hiLQ43rnSD9XkcUThA7B8hQMKmDaiTLcC");

/// First eight bytes of an instruction's data, read little-endian.
pub mod discriminator {
    const fn of(bytes: [u8; 8]) -> u64 {
        u64::from_le_bytes(bytes)
    }
    /// `initialize_pool(liquidity, sqrt_price, activation_point?)`.
    pub const INITIALIZE_POOL: u64 = of([0x5f, 0xb4, 0x0a, 0xac, 0x54, 0xae, 0xe8, 0x28]);
    /// `initialize_pool_with_dynamic_config`, arguments of the customizable pool.
    pub const INITIALIZE_POOL_WITH_DYNAMIC_CONFIG: u64 =
        of([0x95, 0x52, 0x48, 0xc5, 0xfd, 0xfc, 0x44, 0x0f]);
    /// `initialize_customizable_pool(fees, sqrt_min_price, sqrt_max_price, has_alpha_vault, liquidity, sqrt_price,
    /// activation_type, collect_fee_mode, activation_point?)`.
    pub const INITIALIZE_CUSTOMIZABLE_POOL: u64 =
        of([0x14, 0xa1, 0xf1, 0x18, 0xbd, 0xdd, 0xb4, 0x02]);
    /// `swap(amount_in, minimum_amount_out)`.
    pub const SWAP: u64 = of([0xf8, 0xc6, 0x9e, 0x91, 0xe1, 0x75, 0x87, 0xc8]);
    /// `swap2(amount_0, amount_1, swap_mode)`.
    pub const SWAP2: u64 = of([0x41, 0x4b, 0x3f, 0x4c, 0xeb, 0x5b, 0x5b, 0x88]);
    /// `add_liquidity(liquidity_delta, token_a_max, token_b_max)`.
    pub const ADD_LIQUIDITY: u64 = of([0xb5, 0x9d, 0x59, 0x43, 0x8f, 0xb6, 0x34, 0x48]);
    /// `remove_liquidity(liquidity_delta, token_a_min, token_b_min)`.
    pub const REMOVE_LIQUIDITY: u64 = of([0x50, 0x55, 0xd1, 0x48, 0x18, 0xce, 0xb1, 0x6c]);
    /// `remove_all_liquidity(token_a_min, token_b_min)`.
    pub const REMOVE_ALL_LIQUIDITY: u64 = of([0x0a, 0x33, 0x3d, 0x23, 0x70, 0x69, 0x18, 0x55]);
}

/// How a `swap2` of DAMM v2 or of the bonding curve reads its two amounts.
///
/// Source: `SwapMode` of both programs.
pub mod swap_mode {
    /// In, least out.
    pub const EXACT_IN: u8 = 0;
    /// Most in, least out.
    pub const PARTIAL_FILL: u8 = 1;
    /// Out, most in.
    pub const EXACT_OUT: u8 = 2;
}

/// Account positions of `swap` and `swap2`.
pub(crate) mod swap {
    pub(crate) const POOL: usize = 1;
    pub(crate) const INPUT_ACCOUNT: usize = 2;
    pub(crate) const OUTPUT_ACCOUNT: usize = 3;
    pub(crate) const PAYER: usize = 8;
    pub(crate) const LEN: usize = 14;
}

/// Account positions of the three ways to open a pool.
pub(crate) struct CreateLayout {
    pub(crate) payer: usize,
    pub(crate) config: Option<usize>,
    pub(crate) pool: usize,
    pub(crate) mint_a: usize,
    pub(crate) mint_b: usize,
    pub(crate) vault_a: usize,
    pub(crate) vault_b: usize,
    pub(crate) len: usize,
}

pub(crate) const INITIALIZE_POOL: CreateLayout = CreateLayout {
    payer: 3,
    config: Some(4),
    pool: 6,
    mint_a: 8,
    mint_b: 9,
    vault_a: 10,
    vault_b: 11,
    len: 20,
};

pub(crate) const INITIALIZE_POOL_WITH_DYNAMIC_CONFIG: CreateLayout = CreateLayout {
    payer: 3,
    config: Some(5),
    pool: 7,
    mint_a: 9,
    mint_b: 10,
    vault_a: 11,
    vault_b: 12,
    len: 21,
};

pub(crate) const INITIALIZE_CUSTOMIZABLE_POOL: CreateLayout = CreateLayout {
    payer: 3,
    config: None,
    pool: 5,
    mint_a: 7,
    mint_b: 8,
    vault_a: 9,
    vault_b: 10,
    len: 19,
};

/// Account positions of `add_liquidity`.
pub(crate) mod add_liquidity {
    pub(crate) const POOL: usize = 0;
    pub(crate) const OWNER: usize = 9;
    pub(crate) const LEN: usize = 14;
}

/// Account positions of `remove_liquidity` and `remove_all_liquidity`.
pub(crate) mod remove_liquidity {
    pub(crate) const POOL: usize = 1;
    pub(crate) const OWNER: usize = 10;
    pub(crate) const LEN: usize = 15;
}
