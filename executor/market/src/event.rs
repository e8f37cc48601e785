//! Decoded market changes: fixed size, `Copy`, and honest about what the bytes did not say.

use shred_wire::{Nanos, Slot};

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
        }
    }

    /// The coin, when known.
    #[inline]
    #[must_use]
    pub const fn mint(&self) -> Option<Mint> {
        match self {
            Self::Launch(launch) => Some(launch.mint),
            Self::Trade(trade) => Some(trade.mint),
            Self::Unresolved(_) => None,
        }
    }
}
