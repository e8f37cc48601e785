//! A Raydium AMM v4 pool's account.
//!
//! `AmmInfo` is 752 bytes, packed, without a discriminator. Source of the offsets: raydium-amm 27f461d
//! `program/src/state.rs`; 3b087ad has the same ones.

use crate::account::{AccountReject, Fields};
use crate::units::Key;

/// Bytes of a pool's account; the program refuses any other length.
pub const LEN: usize = 752;
/// Bytes of an OpenBook open orders account. Source: serum-dex `state::OpenOrders`, 12 bytes of frame.
const OPEN_ORDERS_LEN: usize = 3_228;

const STATUS: usize = 0;
const NONCE: usize = 8;
const SWAP_FEE_NUMERATOR: usize = 176;
const SWAP_FEE_DENOMINATOR: usize = 184;
const NEED_TAKE_PNL_COIN: usize = 192;
const NEED_TAKE_PNL_PC: usize = 200;
const POOL_OPEN_TIME: usize = 224;
const COIN_VAULT: usize = 336;
const PC_VAULT: usize = 368;
const COIN_MINT: usize = 400;
const PC_MINT: usize = 432;
const LP_MINT: usize = 464;
const OPEN_ORDERS: usize = 496;
const MARKET: usize = 528;
const MARKET_PROGRAM: usize = 560;
const TARGET_ORDERS: usize = 592;

/// What a pool may do. Source: `AmmStatus`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Status {
    /// Everything, in the older generation with orders in the book.
    Initialized = 1,
    /// Nothing.
    Disabled,
    /// Withdrawals.
    WithdrawOnly,
    /// Deposits and withdrawals.
    LiquidityOnly,
    /// The above and the order book; in the older generation a swap after a set time makes it [`Status::Initialized`].
    OrderBookOnly,
    /// Deposits, withdrawals and swaps, never with the book.
    SwapOnly,
    /// As [`Status::SwapOnly`], from the opening time on.
    WaitingTrade,
}

impl Status {
    fn of(value: u64) -> Result<Self, AccountReject> {
        Ok(match value {
            0 => return Err(AccountReject::BadField),
            1 => Self::Initialized,
            2 => Self::Disabled,
            3 => Self::WithdrawOnly,
            4 => Self::LiquidityOnly,
            5 => Self::OrderBookOnly,
            6 => Self::SwapOnly,
            7 => Self::WaitingTrade,
            _ => return Err(AccountReject::Unknown),
        })
    }
}

/// What is known of the pool's funds in the order book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderBook {
    /// The pool's status does without it, or its open orders account was read and is empty.
    Empty,
    /// Not known: the older generation counts what lies there among the reserves, the newer one does not.
    Unknown,
}

/// A pool: what its account says, and what its two token accounts hold.
///
/// The program also keeps running totals of swaps (bytes 256..336, older generation only) and the epoch of the last
/// one (736..744): no price reads them, so they are not state here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// What it may do.
    pub status: Status,
    /// Bump of [`AUTHORITY`](super::AUTHORITY).
    pub nonce: u8,
    /// What is known of its funds in the order book.
    pub order_book: OrderBook,
    /// Fee on the input: this many of [`Pool::swap_fee_denominator`]. 25 of 10,000 at creation.
    pub swap_fee_numerator: u64,
    /// More than the numerator.
    pub swap_fee_denominator: u64,
    /// Coin in the vault that belongs to the protocol.
    pub need_take_coin: u64,
    /// Pc in the vault that belongs to the protocol.
    pub need_take_pc: u64,
    /// Unix seconds from which [`Status::WaitingTrade`] swaps.
    pub opens_at: u64,
    /// What the coin vault holds, raw units; 0 after [`Pool::parse`].
    pub coin: u64,
    /// What the pc vault holds, raw units; 0 after [`Pool::parse`].
    pub pc: u64,
    /// Token account of the coin.
    pub coin_vault: Key,
    /// Token account of the pc.
    pub pc_vault: Key,
    /// The coin. Both mints belong to SPL Token, never Token-2022.
    pub coin_mint: Key,
    /// The pc.
    pub pc_mint: Key,
    /// The share's mint.
    pub lp_mint: Key,
    /// Its orders' account, for the accounts of a legacy swap.
    pub open_orders: Key,
    /// Its market, for the accounts of a legacy swap.
    pub market: Key,
    /// Its market's program, for the accounts of a legacy swap.
    pub market_program: Key,
    /// Its planned orders, for the accounts of a legacy swap.
    pub target_orders: Key,
}

impl Pool {
    /// Reads an account of the program. Call [`Pool::with_vaults`] before quoting.
    ///
    /// # Errors
    /// [`AccountReject::Short`] or [`AccountReject::OtherKind`] for another length, [`AccountReject::BadField`] for
    /// fees the program's own check refuses, for two equal mints and for an uninitialised account,
    /// [`AccountReject::Unknown`] for an unknown status.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        if data.len() != LEN {
            return Err(if data.len() < LEN {
                AccountReject::Short
            } else {
                AccountReject::OtherKind
            });
        }
        let fields = Fields::new(data);
        let status = Status::of(fields.u64(STATUS)?)?;
        let pool = Self {
            status,
            nonce: u8::try_from(fields.u64(NONCE)?).map_err(|_| AccountReject::BadField)?,
            order_book: match status {
                Status::Initialized | Status::OrderBookOnly => OrderBook::Unknown,
                _ => OrderBook::Empty,
            },
            swap_fee_numerator: fields.u64(SWAP_FEE_NUMERATOR)?,
            swap_fee_denominator: fields.u64(SWAP_FEE_DENOMINATOR)?,
            need_take_coin: fields.u64(NEED_TAKE_PNL_COIN)?,
            need_take_pc: fields.u64(NEED_TAKE_PNL_PC)?,
            opens_at: fields.u64(POOL_OPEN_TIME)?,
            coin: 0,
            pc: 0,
            coin_vault: fields.key(COIN_VAULT)?,
            pc_vault: fields.key(PC_VAULT)?,
            coin_mint: fields.key(COIN_MINT)?,
            pc_mint: fields.key(PC_MINT)?,
            lp_mint: fields.key(LP_MINT)?,
            open_orders: fields.key(OPEN_ORDERS)?,
            market: fields.key(MARKET)?,
            market_program: fields.key(MARKET_PROGRAM)?,
            target_orders: fields.key(TARGET_ORDERS)?,
        };
        if pool.swap_fee_numerator >= pool.swap_fee_denominator || pool.coin_mint == pool.pc_mint {
            return Err(AccountReject::BadField);
        }
        Ok(pool)
    }

    /// The pool with what its two token accounts hold, raw units.
    #[must_use]
    pub const fn with_vaults(self, coin: u64, pc: u64) -> Self {
        Self { coin, pc, ..self }
    }

    /// Looks into the data of the account at [`Pool::open_orders`]: a pool with no order and no fund there trades on
    /// its vaults in both generations.
    ///
    /// With both totals zero and all slots free no fill can wait in the event queue either: a waiting fill's funds are
    /// counted in the totals until it is consumed. Source: serum-dex `state::OpenOrders`, raydium-amm 3b087ad
    /// `Calculator::calc_exact_vault_in_serum`.
    ///
    /// # Errors
    /// [`AccountReject`] when it is no open orders account; the pool is unchanged.
    pub fn read_open_orders(&mut self, data: &[u8]) -> Result<(), AccountReject> {
        let fields = Fields::new(data);
        if data.len() != OPEN_ORDERS_LEN || fields.bytes(0)? != b"serum" {
            return Err(AccountReject::OtherKind);
        }
        let (coin_total, pc_total) = (fields.u64(85)?, fields.u64(101)?);
        let free_slots = fields.u128(109)?;
        self.order_book = if coin_total == 0 && pc_total == 0 && free_slots == u128::MAX {
            OrderBook::Empty
        } else {
            OrderBook::Unknown
        };
        Ok(())
    }
}
