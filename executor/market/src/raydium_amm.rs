//! Raydium AMM v4 as data: addresses, instruction tags, account positions.
//!
//! Side a is the coin, side b is the pc. Source unless a line says otherwise: github raydium-io/raydium-amm at
//! 27f461d (July 2026, "Remove openbook dependency"), `program/src/instruction.rs` and `processor.rs`; "the older
//! generation" is the same repository from 3b087ad (September 2025) to c613c87, whose binary ships as
//! `artifacts/raydium_amm_v4.so` in pump-rust-client 0.5.0 (it holds both the order-book strings that 27f461d removes
//! and the `swap_base_in_v2` strings that 3b087ad adds).

pub mod account;
pub(crate) mod decode;
pub mod quote;

use crate::base58::key;
use crate::units::Key;

pub use account::{OrderBook, Pool, Status};

/// Owner of every pool's vaults: PDA `["amm authority"]`, bump 254.
pub const AUTHORITY: Key = key("5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1");
/// The program's configuration: PDA `["amm_config_account_seed"]`, bump 255.
pub const CONFIG: Key = key("9DCxsMizn3H1hprZ7xWe6LDzeUeZBksYFpBWBtSf1PQX");

/// First byte of an instruction's data.
pub mod tag {
    /// Opens a pool.
    pub const INITIALIZE2: u8 = 1;
    /// Puts both tokens in.
    pub const DEPOSIT: u8 = 3;
    /// Takes both tokens out.
    pub const WITHDRAW: u8 = 4;
    /// Exact input, accounts of the order book among the others.
    pub const SWAP_BASE_IN: u8 = 9;
    /// Exact output, accounts of the order book among the others.
    pub const SWAP_BASE_OUT: u8 = 11;
    /// Exact input, eight accounts; refused for pools that use the order book (older generation).
    pub const SWAP_BASE_IN_V2: u8 = 16;
    /// Exact output, eight accounts; as above.
    pub const SWAP_BASE_OUT_V2: u8 = 17;
}

/// Where a swap's accounts stand. The token program is at 0, the pool at 1, the authority at 2, always.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwapPositions {
    /// Accounts in all.
    pub count: usize,
    /// The pool's token account for the coin; the pc's follows it.
    pub coin_vault: usize,
    /// The trader's token account that gives; the one that gets follows it, then the trader, who signs.
    pub source: usize,
}

/// Position of the token program in a swap, a deposit and a withdrawal.
pub const TOKEN_PROGRAM: usize = 0;
/// Position of the pool in a swap, a deposit and a withdrawal.
pub const POOL: usize = 1;
/// Position of [`AUTHORITY`] in a swap, a deposit and a withdrawal.
pub const POOL_AUTHORITY: usize = 2;

impl SwapPositions {
    /// Tags 16 and 17. Further accounts are ignored.
    pub const V2: Self = Self {
        count: 8,
        coin_vault: 3,
        source: 5,
    };
    /// Tags 9 and 11 without the target orders. 3 is the open orders account, 6 to 13 are the market's; 27f461d looks
    /// at none of these.
    pub const LEGACY: Self = Self {
        count: 17,
        coin_vault: 4,
        source: 14,
    };
    /// Tags 9 and 11 with the target orders at 4.
    pub const LEGACY_TARGET: Self = Self {
        count: 18,
        coin_vault: 5,
        source: 15,
    };

    /// The pool's token account for the pc.
    #[inline]
    #[must_use]
    pub const fn pc_vault(self) -> usize {
        self.coin_vault + 1
    }

    /// The trader's token account that gets.
    #[inline]
    #[must_use]
    pub const fn destination(self) -> usize {
        self.source + 1
    }

    /// The trader, who signs.
    #[inline]
    #[must_use]
    pub const fn owner(self) -> usize {
        self.source + 2
    }
}

/// Where the accounts of [`tag::INITIALIZE2`] stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InitializePositions {
    /// Accounts in all.
    pub count: usize,
    /// The LP mint; coin mint, pc mint, coin vault, pc vault, target orders and configuration follow in this order.
    pub lp_mint: usize,
    /// Who opens the pool and signs.
    pub user: usize,
}

impl InitializePositions {
    /// Position of the new pool, in both forms.
    pub const POOL: usize = 4;
    /// Both generations: open orders at 6, market program at 15.
    pub const LEGACY: Self = Self {
        count: 21,
        lp_mint: 7,
        user: 17,
    };
    /// 27f461d only: neither of them.
    pub const SHORT: Self = Self {
        count: 19,
        lp_mint: 6,
        user: 15,
    };
}

/// Where the accounts of [`tag::DEPOSIT`] and [`tag::WITHDRAW`] stand: who signs, by how many accounts there are.
pub mod liquidity {
    /// 27f461d only, deposit and withdrawal alike.
    pub const SHORT_COUNT: usize = 11;
    /// Who signs, short form.
    pub const SHORT_OWNER: usize = 10;
    /// Deposit: 14 or 15 accounts.
    pub const DEPOSIT_COUNT: usize = 14;
    /// Who signs a deposit.
    pub const DEPOSIT_OWNER: usize = 12;
    /// Withdrawal: 20 or 21 accounts, or 22 or 23 with two unused ones at 8 and 9.
    pub const WITHDRAW_COUNT: usize = 20;
    /// Who signs a withdrawal of 20 or 21 accounts.
    pub const WITHDRAW_OWNER: usize = 16;
    /// Unused accounts before the market's, when there are 22 or 23.
    pub const WITHDRAW_PADDING: usize = 2;
}
