//! Raydium CPMM as data: addresses, discriminators, account positions.
//!
//! Side a is token 0, side b is token 1; the program orders the two mints by their bytes. Source unless a line says
//! otherwise: github raydium-io/raydium-cp-swap at 609780f (December 2025), `programs/cp-swap/src`. Discriminators are
//! the first eight bytes of SHA-256 of `global:<name>` and `account:<name>`; they equal those of the venue's
//! `raydium_cp_swap.json` (raydium-idl 6123104), which lacks the creator fee and `initialize_with_permission`.

pub mod account;
pub(crate) mod decode;
pub mod quote;

use crate::base58::key;
use crate::units::Key;

pub use account::{Config, CreatorFeeOn, Pool};

/// Owner of every pool's vaults: PDA `["vault_and_lp_mint_auth_seed"]`, bump 253.
pub const AUTHORITY: Key = key("GpMZbSM2GgvTKHJirzeGfMFoaZ8UR2X7F4v8vHTvxFbL");
/// What fees are rated in: hundredths of a basis point. Source: `curve/fees.rs` `FEE_RATE_DENOMINATOR_VALUE`.
pub const RATE_WHOLE: u64 = 1_000_000;

/// First eight bytes of an instruction's or account's data.
pub mod discriminator {
    /// `initialize`.
    pub const INITIALIZE: u64 = u64::from_le_bytes(*b"\xaf\xaf\x6d\x1f\x0d\x98\x9b\xed");
    /// `initialize_with_permission`.
    pub const INITIALIZE_WITH_PERMISSION: u64 =
        u64::from_le_bytes(*b"\x3f\x37\xfe\x41\x31\xb2\x59\x79");
    /// `deposit`.
    pub const DEPOSIT: u64 = u64::from_le_bytes(*b"\xf2\x23\xc6\x89\x52\xe1\xf2\xb6");
    /// `withdraw`.
    pub const WITHDRAW: u64 = u64::from_le_bytes(*b"\xb7\x12\x46\x9c\x94\x6d\xa1\x22");
    /// `swap_base_input`.
    pub const SWAP_BASE_INPUT: u64 = u64::from_le_bytes(*b"\x8f\xbe\x5a\xda\xc4\x1e\x33\xde");
    /// `swap_base_output`.
    pub const SWAP_BASE_OUTPUT: u64 = u64::from_le_bytes(*b"\x37\xd9\x62\x56\xa3\x4a\xb4\xad");
    /// `PoolState`. LaunchLab's pool has the same one: the owner tells them apart.
    pub const POOL: [u8; 8] = *b"\xf7\xed\xe3\xf5\xd7\xc3\xde\x46";
    /// `AmmConfig`.
    pub const CONFIG: [u8; 8] = *b"\xda\xf4\x21\x68\xcb\xcb\x2b\x6f";
}

/// Accounts of `swap_base_input` and `swap_base_output`, one list. Source: `instructions/swap_base_input.rs` `Swap`.
pub mod swap {
    /// Accounts in all.
    pub const COUNT: usize = 13;
    /// The trader, who signs.
    pub const PAYER: usize = 0;
    /// [`AUTHORITY`](super::AUTHORITY).
    pub const AUTHORITY: usize = 1;
    /// The pool's configuration.
    pub const CONFIG: usize = 2;
    /// The pool.
    pub const POOL: usize = 3;
    /// The trader's token account that gives.
    pub const INPUT_ACCOUNT: usize = 4;
    /// The trader's token account that gets.
    pub const OUTPUT_ACCOUNT: usize = 5;
    /// The pool's token account that gets.
    pub const INPUT_VAULT: usize = 6;
    /// The pool's token account that gives.
    pub const OUTPUT_VAULT: usize = 7;
    /// Token program of what goes in.
    pub const INPUT_TOKEN_PROGRAM: usize = 8;
    /// Token program of what comes out.
    pub const OUTPUT_TOKEN_PROGRAM: usize = 9;
    /// Mint of what goes in.
    pub const INPUT_MINT: usize = 10;
    /// Mint of what comes out.
    pub const OUTPUT_MINT: usize = 11;
    /// The pool's price observations.
    pub const OBSERVATION: usize = 12;
}

/// Where the accounts of a pool's creation stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InitializePositions {
    /// Accounts in all.
    pub count: usize,
    /// Configuration; authority, pool, both mints, the share's mint, three of the creator's token accounts and the two
    /// vaults follow.
    pub config: usize,
}

impl InitializePositions {
    /// `initialize`: the creator signs at 0. Source: `instructions/initialize.rs`.
    pub const OPEN: Self = Self {
        count: 20,
        config: 1,
    };
    /// `initialize_with_permission`: a payer signs at 0, the creator is at 1. Source:
    /// `instructions/initialize_with_permission.rs`.
    pub const PERMITTED: Self = Self {
        count: 21,
        config: 2,
    };
    /// Who signs.
    pub const SIGNER: usize = 0;

    /// The new pool.
    #[must_use]
    pub const fn pool(self) -> usize {
        self.config + 2
    }

    /// Mint of token 0; token 1's follows.
    #[must_use]
    pub const fn mint_0(self) -> usize {
        self.config + 3
    }

    /// The pool's token account of token 0; token 1's follows.
    #[must_use]
    pub const fn vault_0(self) -> usize {
        self.config + 9
    }
}

/// Accounts of `deposit` and `withdraw`, alike but for the memo program at the end of the latter.
pub mod liquidity {
    /// Accounts of a deposit.
    pub const DEPOSIT_COUNT: usize = 13;
    /// Accounts of a withdrawal.
    pub const WITHDRAW_COUNT: usize = 14;
    /// Who signs.
    pub const OWNER: usize = 0;
    /// The pool.
    pub const POOL: usize = 2;
}
