//! The accounts that the instructions of a venue name for one coin.

use crate::pump::TOKEN_PROGRAM;
use crate::units::{Key, Mint};

/// What a Pump v2 or v3 instruction needs to know about a coin, as carried by the transactions seen.
///
/// A field is `None` when no transaction has shown it in its static keys; it is never derived here. The
/// four keys without `Option` are always known: a curve whose launch hid one of them is not tradable.
///
/// The default is all zero and belongs to no coin.
///
/// Source: account lists of `buy_v3` (17) and `buy_v2` (27), pump-rust-client 0.5.0 `idls/pump.json`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PumpAccounts {
    /// The coin.
    pub mint: Mint,
    /// PDA `["bonding-curve", mint]` of the Pump program.
    pub bonding_curve: Key,
    /// The curve's token account for `mint`.
    pub associated_bonding_curve: Key,
    /// Owner of the mint: Token-2022 after `create_v2`, SPL Token after `create`.
    pub token_program: Key,
    /// What the coin is priced in; wrapped SOL for every tradable curve of this slice.
    pub quote_mint: Key,
    /// The `creator` argument of the launch. Fee sharing may delegate it: not proof of the canonical creator.
    pub creator: Key,
    /// The curve's token account for `quote_mint` (v2 index 12, v3 index 7).
    pub associated_quote_bonding_curve: Option<Key>,
    /// PDA `["creator-vault", canonical creator]` (v1 buy index 9, v1 sell index 8, v2 index 16).
    pub creator_vault: Option<Key>,
    /// The vault's token account for `quote_mint` (v2 index 17).
    pub associated_creator_vault: Option<Key>,
    /// PDA `["sharing-config", mint]` of the fee program (v2 index 18).
    pub sharing_config: Option<Key>,
    /// A protocol fee recipient another trader used (v1 index 1, v2 index 6).
    pub fee_recipient: Option<Key>,
    /// A buyback fee recipient another trader used (v1 last account, v2 index 8, v3 index 13).
    pub buyback_fee_recipient: Option<Key>,
}

/// What a PumpSwap v2 instruction needs to know about a pool with the coin as its base.
///
/// All of it stands in the pool's own account, and is to be taken from there: an exit must not depend on
/// what a stranger's transaction named. The program holds vaults and mints to the pool's, so a wrong key
/// fails the trade. Pools of cashback coins are refused by the v2 set.
///
/// Source: account list of `buy_v2` (17), pump-rust-client 0.5.0 `idls/pump_amm.json`; `Pool` there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PumpSwapAccounts {
    /// The coin: the pool's base mint.
    pub mint: Mint,
    /// The pool.
    pub pool: Key,
    /// The pool's token account for `mint` (`pool_base_token_account`).
    pub base_vault: Key,
    /// The pool's token account for `quote_mint` (`pool_quote_token_account`).
    pub quote_vault: Key,
    /// Owner of the mint.
    pub token_program: Key,
    /// The pool's quote mint.
    pub quote_mint: Key,
}

/// What a Raydium AMM v4 `SwapBaseInV2` or `SwapBaseOutV2` needs to know about a pool.
///
/// The program names its vaults by the pool's own order (coin, then pc), whichever of the two is ours. It
/// knows SPL Token only, and refuses these two instructions on pools of the older generation that still use an order
/// book. All of it stands in the pool's account, and is to be taken from there.
///
/// Source: raydium-amm `program/src/instruction.rs` (8 accounts of `SwapBaseInV2`), `AmmInfo`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RaydiumAmmAccounts {
    /// The coin we trade: the pool's coin mint or its pc mint.
    pub mint: Mint,
    /// The pool.
    pub pool: Key,
    /// The pool's vault of its coin side.
    pub coin_vault: Key,
    /// The pool's vault of its pc side.
    pub pc_vault: Key,
    /// The other mint of the pool.
    pub quote_mint: Key,
}

/// What a Raydium CPMM `swap_base_input` or `swap_base_output` needs to know about a pool.
///
/// The program names its vaults by the direction of the swap, so they are kept by what they hold. All of it
/// stands in the pool's account, and is to be taken from there.
///
/// Source: raydium-idl `raydium_cp_swap.json` (13 accounts), `PoolState`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RaydiumCpAccounts {
    /// The coin we trade: either mint of the pool.
    pub mint: Mint,
    /// The pool.
    pub pool: Key,
    /// The pool's fee tier.
    pub amm_config: Key,
    /// The pool's vault for `mint`.
    pub base_vault: Key,
    /// The pool's vault for `quote_mint`.
    pub quote_vault: Key,
    /// Owner of `mint`.
    pub token_program: Key,
    /// The other mint of the pool.
    pub quote_mint: Key,
    /// The pool's price history.
    pub observation: Key,
}

/// What a LaunchLab trade needs to know about a curve.
///
/// Everything but the fee vaults stands in the pool's account, and is to be taken from there. The vaults are
/// program addresses under LaunchLab of the platform configuration and the quote mint, and of the creator and
/// the quote mint.
///
/// Source: LaunchLab IDL (15 accounts) and, for the three trailing ones that it leaves out (system program
/// and the two vaults), sol-trade-sdk 11.0.1 `instruction/bonk.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LaunchLabAccounts {
    /// The coin: the pool's base mint.
    pub mint: Mint,
    /// The pool.
    pub pool: Key,
    /// LaunchLab's terms for the quote mint and the kind of curve.
    pub global_config: Key,
    /// The launching platform's terms.
    pub platform_config: Key,
    /// The pool's vault for `mint`.
    pub base_vault: Key,
    /// The pool's vault for `quote_mint`.
    pub quote_vault: Key,
    /// Owner of `mint`.
    pub token_program: Key,
    /// The pool's quote mint.
    pub quote_mint: Key,
    /// Where the platform's fee gathers.
    pub platform_fee_vault: Key,
    /// Where the creator's fee gathers.
    pub creator_fee_vault: Key,
}

/// The accounts of one coin on the venue that trades it: plain data of a fixed size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VenueAccounts {
    /// A Pump curve.
    Pump(PumpAccounts),
    /// A PumpSwap pool.
    PumpSwap(PumpSwapAccounts),
    /// A Raydium AMM v4 pool.
    RaydiumAmm(RaydiumAmmAccounts),
    /// A Raydium CPMM pool.
    RaydiumCp(RaydiumCpAccounts),
    /// A LaunchLab curve.
    LaunchLab(LaunchLabAccounts),
}

impl VenueAccounts {
    /// The coin they belong to.
    #[inline]
    #[must_use]
    pub const fn mint(&self) -> &Mint {
        match self {
            Self::Pump(accounts) => &accounts.mint,
            Self::PumpSwap(accounts) => &accounts.mint,
            Self::RaydiumAmm(accounts) => &accounts.mint,
            Self::RaydiumCp(accounts) => &accounts.mint,
            Self::LaunchLab(accounts) => &accounts.mint,
        }
    }

    /// The pool, where there is one: Pump's curves are known by their coin.
    #[inline]
    #[must_use]
    pub const fn pool(&self) -> Option<&Key> {
        match self {
            Self::Pump(_) => None,
            Self::PumpSwap(accounts) => Some(&accounts.pool),
            Self::RaydiumAmm(accounts) => Some(&accounts.pool),
            Self::RaydiumCp(accounts) => Some(&accounts.pool),
            Self::LaunchLab(accounts) => Some(&accounts.pool),
        }
    }

    /// What the coin is priced in.
    #[inline]
    #[must_use]
    pub const fn quote_mint(&self) -> &Key {
        match self {
            Self::Pump(accounts) => &accounts.quote_mint,
            Self::PumpSwap(accounts) => &accounts.quote_mint,
            Self::RaydiumAmm(accounts) => &accounts.quote_mint,
            Self::RaydiumCp(accounts) => &accounts.quote_mint,
            Self::LaunchLab(accounts) => &accounts.quote_mint,
        }
    }

    /// Owner of the coin's mint.
    #[inline]
    #[must_use]
    pub const fn token_program(&self) -> &Key {
        match self {
            Self::Pump(accounts) => &accounts.token_program,
            Self::PumpSwap(accounts) => &accounts.token_program,
            Self::RaydiumAmm(_) => &TOKEN_PROGRAM,
            Self::RaydiumCp(accounts) => &accounts.token_program,
            Self::LaunchLab(accounts) => &accounts.token_program,
        }
    }
}

impl From<PumpAccounts> for VenueAccounts {
    fn from(accounts: PumpAccounts) -> Self {
        Self::Pump(accounts)
    }
}

impl From<PumpSwapAccounts> for VenueAccounts {
    fn from(accounts: PumpSwapAccounts) -> Self {
        Self::PumpSwap(accounts)
    }
}

impl From<RaydiumAmmAccounts> for VenueAccounts {
    fn from(accounts: RaydiumAmmAccounts) -> Self {
        Self::RaydiumAmm(accounts)
    }
}

impl From<RaydiumCpAccounts> for VenueAccounts {
    fn from(accounts: RaydiumCpAccounts) -> Self {
        Self::RaydiumCp(accounts)
    }
}

impl From<LaunchLabAccounts> for VenueAccounts {
    fn from(accounts: LaunchLabAccounts) -> Self {
        Self::LaunchLab(accounts)
    }
}
