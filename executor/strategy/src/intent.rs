//! Our decision, before bytes exist.

use market::{Lamports, Mint, PumpAccounts, Side, TokenAmount};
use shred_wire::{Nanos, Slot};

/// What we want done, complete enough to build bytes from, and nothing that could redirect money: no
/// destination, program or tip account is part of it.
///
/// A buy takes exactly `tokens` for at most `spend` (fees included); a sell gives exactly `tokens` for at
/// least `receive_min`. So the tokens of a trade that landed are known without asking anybody, and its price
/// has a bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Intent {
    /// Unique within a run; the engine numbers intents from 1 (0 before that).
    pub id: u64,
    /// Why it exists.
    pub origin: Origin,
    /// Which instruction family carries it.
    pub venue: Venue,
    /// How it reaches a leader. Classes need different bytes.
    pub lane: LaneClass,
    /// Buy (entry) or sell (exit).
    pub side: Side,
    /// The coin.
    pub mint: Mint,
    /// Buy: most quote to spend, fees included. Sell: zero.
    pub spend: Lamports,
    /// Tokens to buy or sell, neither more nor fewer.
    pub tokens: TokenAmount,
    /// Sell: least quote to receive after fees. Buy: zero.
    pub receive_min: Lamports,
    /// Tip of the bundle.
    pub tip: Lamports,
    /// Slot of the event that led to it.
    pub slot: Slot,
    /// Stamp of the datagram that led to it.
    pub at: Nanos,
    /// The coin's accounts as far as known.
    pub accounts: PumpAccounts,
}

/// Why an intent exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A launch passed the filters.
    Launch,
    /// The position reached its profit target.
    TakeProfit,
    /// The position fell to its stop.
    Stop,
    /// The position outlived its holding time.
    Expiry,
    /// An armed signal met its event; the number is the signal's id.
    Signal(u64),
}

impl Origin {
    /// How many codes there are.
    pub const COUNT: usize = 5;

    /// Names for metrics, indexed by [`Origin::code`].
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        ["launch", "take_profit", "stop", "expiry", "signal"]
    }

    /// Stable code for hashing and journals; [`Origin::Signal`] loses its id.
    #[inline]
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Launch => 0,
            Self::TakeProfit => 1,
            Self::Stop => 2,
            Self::Expiry => 3,
            Self::Signal(_) => 4,
        }
    }
}

/// Instruction family that carries an intent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Venue {
    /// Pump `buy_v3` / `sell_v3`, 17 accounts. The program refuses cashback coins.
    PumpV3,
    /// Pump `buy_v2` / `sell_v2`, 27 / 26 accounts; needs the creator vault.
    PumpV2,
}

/// How a transaction reaches a leader; each class needs its own bytes.
///
/// Source: Jito documentation on tips and revert protection; `sendBundle` counts only the tip, the public
/// ports have no revert protection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum LaneClass {
    /// A bundle to a block engine: the tip buys the place, a failed transaction does not land.
    #[default]
    PrivateBundle,
    /// One transaction to a private relay.
    PrivateTransaction,
    /// A leader's public port: priority fee, and failures land too.
    Public,
}
