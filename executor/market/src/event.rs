//! Decoded market changes: fixed size, `Copy`, and honest about what the bytes did not say.

use shred_wire::{Nanos, Slot};

use crate::program::Program;
use crate::units::{Key, Lamports, Mint, TokenAmount};

/// One decoded market change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "events are passed by reference and live on the stack"
)]
pub enum MarketEvent {
    /// A coin was created.
    Launch(Launch),
    /// A trade on a curve whose coin and trader are known.
    Trade(Trade),
    /// A trade whose coin sits behind an address lookup table: some curve moved, which one is unknown.
    Unresolved(Unresolved),
    /// Something asked of a pool (every venue but Pump's own curves).
    Pool(PoolEvent),
}

/// Where and when an event happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct At {
    /// Slot of the block.
    pub slot: Slot,
    /// Stamp of the datagram that completed the transaction.
    pub at: Nanos,
    /// First signature of the transaction.
    pub signature: [u8; 64],
}

/// Something asked of a pool by an outer instruction. What it got is arithmetic on the pool at its place of inclusion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolEvent {
    /// The pool's program.
    pub program: Program,
    /// The program that was called, when another one called the pool's: then everything here is inferred from that
    /// one's arguments and accounts.
    pub inferred_from: Option<Program>,
    /// What was asked.
    pub call: PoolCall,
    /// Slot of the block.
    pub slot: Slot,
    /// Stamp of the datagram that completed the transaction.
    pub at: Nanos,
    /// First signature of the transaction.
    pub signature: [u8; 64],
}

/// What an instruction asks of a pool. Accounts behind an unknown lookup table are `None`.
///
/// A pool has two sides, `a` and `b`, in the order of its own account: base and quote (PumpSwap, LaunchLab, DBC),
/// coin and pc (AMM v4), token 0 and 1 (CPMM, CLMM), a and b (Whirlpool, DAMM v2), x and y (DLMM).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolCall {
    /// The pool.
    pub pool: Option<Key>,
    /// Who signs for it.
    pub actor: Option<Key>,
    /// What is asked.
    pub action: PoolAction,
}

impl PoolCall {
    pub(crate) const fn event(self, program: Program, at: &At) -> PoolEvent {
        PoolEvent {
            program,
            inferred_from: None,
            call: self,
            slot: at.slot,
            at: at.at,
            signature: at.signature,
        }
    }
}

/// What can be asked of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolAction {
    /// A pool or a curve is opened.
    Create(Create),
    /// One token for the other.
    Swap(Swap),
    /// One token for the other, with a fee for whoever referred the trader on top of the venue's (LaunchLab).
    ReferredSwap(ReferredSwap),
    /// Tokens are put in for a share.
    Deposit(Liquidity),
    /// A share is given back for tokens.
    Withdraw(Liquidity),
    /// A curve that sold out becomes a pool elsewhere; the event's pool is the curve.
    Migrate(Migrate),
}

/// The opening of a pool or a curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Create {
    /// Mint of side a.
    pub mint_a: Option<Key>,
    /// Mint of side b.
    pub mint_b: Option<Key>,
    /// The pool's token account of side a.
    pub vault_a: Option<Key>,
    /// The pool's token account of side b.
    pub vault_b: Option<Key>,
    /// The venue's configuration that the pool follows.
    pub config: Option<Key>,
    /// What is put in of side a, raw units; 0 where the instruction does not say.
    pub amount_a: u64,
    /// What is put in of side b, raw units; 0 where the instruction does not say.
    pub amount_b: u64,
    /// First price of a concentrated pool, as its program counts it (square root in 64.64, or a bin).
    pub price: Option<Price>,
    /// Unix seconds from which it trades, where the instruction says so.
    pub opens_at: Option<u64>,
    /// The coin is made by the same instruction (launch pads).
    pub makes_mint: bool,
}

/// A price as a concentrated venue counts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Price {
    /// Square root of b per a, 64.64 fixed point.
    SqrtX64(u128),
    /// The active bin.
    Bin(i32),
}

/// One token for the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swap {
    /// What is asked for, with its limit.
    pub amounts: SwapAmounts,
    /// Which way, when the instruction or its accounts tell.
    pub way: Option<Way>,
    /// Mint of what goes in, when the accounts tell.
    pub mint_in: Option<Key>,
    /// Mint of what comes out, when the accounts tell.
    pub mint_out: Option<Key>,
    /// The actor's token account that gives: tells the way where nothing else does.
    pub account_in: Option<Key>,
    /// The actor's token account that gets.
    pub account_out: Option<Key>,
    /// Price at which the swap ends early, as the program counts it; `None` where there is no such limit.
    pub price_limit: Option<Price>,
}

/// A swap that pays someone of the caller's choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReferredSwap {
    /// The swap.
    pub swap: Swap,
    /// The additional fee, in millionths of the amount that the venue's own fees are taken of.
    pub fee_rate: u64,
}

/// Which way a swap goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Way {
    /// Side a goes in, side b comes out (a sale, where a is the coin).
    AToB,
    /// Side b goes in, side a comes out.
    BToA,
}

/// What a swap asks for, raw units as they stand on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SwapAmounts {
    /// Exactly this goes in, for at least so much.
    ExactIn {
        /// What goes in, fees included.
        amount_in: u64,
        /// Least that comes out.
        out_min: u64,
    },
    /// Exactly this comes out, for at most so much.
    ExactOut {
        /// What comes out.
        amount_out: u64,
        /// Most that goes in, fees included.
        in_max: u64,
    },
    /// Up to this goes in: a swap may end early with less (partial fill).
    UpToIn {
        /// Most that goes in, fees included.
        amount_in: u64,
        /// Least that comes out.
        out_min: u64,
    },
    /// The first of a route's legs: what must come out of it is not on the wire.
    FirstLeg {
        /// What the route begins with; a router may keep a fee of it first.
        amount_in: u64,
    },
    /// The last of a route's legs: what goes in is what the leg before it gave.
    LastLeg {
        /// Least that the trader gets of it; a router may keep a fee of it first.
        out_min: u64,
    },
    /// A leg of a route: only the route's ends are on the wire.
    Unknown,
}

/// Tokens put in or taken out for a share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Liquidity {
    /// The share, as the program counts it; 0 where the instruction does not say.
    pub share: u128,
    /// Limit of side a: the most to put in, or the least to get; 0 where the instruction does not say.
    pub limit_a: u64,
    /// Limit of side b.
    pub limit_b: u64,
}

/// A curve becoming a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Migrate {
    /// The coin.
    pub mint: Option<Key>,
    /// The pool it becomes.
    pub pool: Option<Key>,
    /// The program of that pool.
    pub to: Option<Program>,
}

/// Which way a trade goes, seen from the trader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Side {
    /// Quote in, coin out.
    Buy,
    /// Coin in, quote out.
    Sell,
}

/// Generation of the instruction that carried a trade.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Form {
    /// `buy`, `sell`, `buy_exact_sol_in`.
    V1,
    /// `buy_v2`, `sell_v2`, `buy_exact_quote_in_v2`.
    V2,
    /// `buy_v3`, `sell_v3`, `buy_exact_quote_in_v3`.
    V3,
}

/// A coin's creation, from a `create` or `create_v2` instruction.
///
/// `mint` and `user` sign the instruction, and signers cannot sit behind a lookup table, so those two are
/// always known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Launch {
    /// The new coin.
    pub mint: Mint,
    /// Who signed and paid for the creation.
    pub user: Key,
    /// The `creator` argument: whom the creator fee is meant for.
    pub creator: Key,
    /// The curve, when not behind a lookup table.
    pub bonding_curve: Option<Key>,
    /// The curve's token account, when not behind a lookup table.
    pub associated_bonding_curve: Option<Key>,
    /// Token program that owns the mint; fixed by the instruction (`create`: SPL Token, `create_v2`: Token-2022).
    pub token_program: Key,
    /// What the coin is priced in. `None`: named behind a lookup table.
    pub quote_mint: Option<Key>,
    /// Whether the instruction came as `create_v2`.
    pub is_v2: bool,
    /// The mayhem program trades against this coin.
    pub mayhem: bool,
    /// Cashback coin: v3 instructions refuse it.
    pub cashback: bool,
    /// Holder-reward coin.
    pub holder_reward: bool,
    /// The coin's own creator fee in basis points, when the argument was on the wire.
    pub creator_fee_bps: Option<u64>,
    /// An outer buy of the same coin follows in the same transaction.
    pub dev_buy_follows: bool,
    /// Slot of the block.
    pub slot: Slot,
    /// Stamp of the datagram that completed the transaction.
    pub at: Nanos,
    /// First signature of the transaction.
    pub signature: [u8; 64],
}

/// A trade on a curve, from an outer instruction. What it asks for is known; what it got is arithmetic on
/// the curve at its place of inclusion, and a failed transaction moved nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trade {
    /// The coin.
    pub mint: Mint,
    /// Who signed the trade.
    pub trader: Key,
    /// Buy or sell.
    pub side: Side,
    /// What was asked for, with its limit.
    pub amounts: Amounts,
    /// Which generation of the instruction.
    pub form: Form,
    /// The `partial_fill` argument when it was on the wire (buys).
    pub partial_fill: Option<bool>,
    /// Accounts of the coin that this instruction showed.
    pub shown: ShownAccounts,
    /// Slot of the block.
    pub slot: Slot,
    /// Stamp of the datagram that completed the transaction.
    pub at: Nanos,
    /// First signature of the transaction.
    pub signature: [u8; 64],
}

/// Amounts as they stand on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amounts {
    /// Spend exactly this, fees included, for at least so many tokens.
    ExactIn {
        /// Quote to spend.
        quote_in: Lamports,
        /// Least tokens to receive.
        tokens_min: TokenAmount,
    },
    /// Get exactly these tokens for at most so much, fees included.
    TokensOut {
        /// Tokens wanted.
        tokens: TokenAmount,
        /// Most quote to pay.
        quote_max: Lamports,
    },
    /// Sell exactly these tokens for at least so much, after fees.
    Sell {
        /// Tokens given.
        tokens: TokenAmount,
        /// Least quote to receive.
        quote_min: Lamports,
    },
}

/// Accounts of a coin that one trade carried in its static keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShownAccounts {
    /// See [`PumpAccounts`](crate::PumpAccounts) for each field.
    pub bonding_curve: Option<Key>,
    /// The curve's token account for the coin.
    pub associated_bonding_curve: Option<Key>,
    /// Token program of the coin.
    pub token_program: Option<Key>,
    /// What the coin is priced in (v2, v3).
    pub quote_mint: Option<Key>,
    /// The curve's token account for the quote (v2, v3).
    pub associated_quote_bonding_curve: Option<Key>,
    /// Creator's fee vault (v1, v2).
    pub creator_vault: Option<Key>,
    /// The vault's token account for the quote (v2).
    pub associated_creator_vault: Option<Key>,
    /// Fee-sharing configuration (v2).
    pub sharing_config: Option<Key>,
    /// Protocol fee recipient (v1, v2).
    pub fee_recipient: Option<Key>,
    /// Buyback fee recipient (v1's trailing account, v2, v3).
    pub buyback_fee_recipient: Option<Key>,
}

/// A trade whose coin is not in the transaction's static keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unresolved {
    /// Who signed the trade.
    pub trader: Key,
    /// The curve, if that at least is a static key.
    pub bonding_curve: Option<Key>,
    /// Buy or sell.
    pub side: Side,
    /// Which generation of the instruction.
    pub form: Form,
    /// What was asked for.
    pub amounts: Amounts,
    /// Slot of the block.
    pub slot: Slot,
    /// Stamp of the datagram that completed the transaction.
    pub at: Nanos,
    /// First signature of the transaction.
    pub signature: [u8; 64],
}

impl MarketEvent {
    /// Slot of the block that carries the event.
    #[inline]
    #[must_use]
    pub const fn slot(&self) -> Slot {
        match self {
            Self::Launch(launch) => launch.slot,
            Self::Trade(trade) => trade.slot,
            Self::Unresolved(unresolved) => unresolved.slot,
            Self::Pool(pool) => pool.slot,
        }
    }

    /// Stamp of the datagram that completed the transaction.
    #[inline]
    #[must_use]
    pub const fn at(&self) -> Nanos {
        match self {
            Self::Launch(launch) => launch.at,
            Self::Trade(trade) => trade.at,
            Self::Unresolved(unresolved) => unresolved.at,
            Self::Pool(pool) => pool.at,
        }
    }

    /// The coin of a curve's event, when known. A pool's is for who knows the pool.
    #[inline]
    #[must_use]
    pub const fn mint(&self) -> Option<Mint> {
        match self {
            Self::Launch(launch) => Some(launch.mint),
            Self::Trade(trade) => Some(trade.mint),
            Self::Unresolved(_) | Self::Pool(_) => None,
        }
    }
}
