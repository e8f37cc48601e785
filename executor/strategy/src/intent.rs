//! Our decision, before bytes exist.

use market::{Lamports, Mint, Side, TokenAmount, VenueAccounts};
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
    /// What the place costs, beyond the fees every transaction pays; the lane decides in which form it is paid.
    pub tip: Lamports,
    /// Slot of the event that led to it.
    pub slot: Slot,
    /// Stamp of the datagram that led to it.
    pub at: Nanos,
    /// The coin's accounts on its venue, as far as known.
    pub accounts: VenueAccounts,
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
///
/// On every one a buy names the tokens that come out and a sell the tokens that go in, exactly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Venue {
    /// Pump `buy_v3` / `sell_v3`, 17 accounts. The program refuses cashback coins.
    PumpV3,
    /// Pump `buy_v2` / `sell_v2`, 27 / 26 accounts; needs the creator vault.
    PumpV2,
    /// PumpSwap `buy_v2` / `sell_v2`, 17 accounts. The program refuses pools of cashback coins.
    PumpSwap,
    /// Raydium AMM v4 `SwapBaseOutV2` / `SwapBaseInV2`, 8 accounts.
    RaydiumAmm,
    /// Raydium CPMM `swap_base_output` / `swap_base_input`, 13 accounts.
    RaydiumCp,
    /// LaunchLab `buy_exact_out` / `sell_exact_in`, 18 accounts.
    LaunchLab,
}

impl Venue {
    /// Every one, in the order of the discriminants.
    pub const ALL: [Self; Self::COUNT] = [
        Self::PumpV3,
        Self::PumpV2,
        Self::PumpSwap,
        Self::RaydiumAmm,
        Self::RaydiumCp,
        Self::LaunchLab,
    ];
    /// How many there are.
    pub const COUNT: usize = 6;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "pump_v3",
            "pump_v2",
            "pump_swap",
            "raydium_amm",
            "raydium_cp",
            "launchlab",
        ]
    }
}

/// How a transaction reaches a leader; each class needs its own bytes, and pays [`Intent::tip`] in its own way.
///
/// Source: Jito documentation on tips and revert protection: `sendBundle` counts only the tip, `sendTransaction`
/// is advised to split it, the public ports have no revert protection; Harmonic's searcher conventions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum LaneClass {
    /// A bundle to a block engine that counts tips (Jito): the tip is transferred inside the trading transaction
    /// and buys the place; a failed transaction does not land.
    #[default]
    PrivateBundle,
    /// One transaction to a private relay: part of the tip is transferred, the rest is priority fee.
    PrivateTransaction,
    /// A leader's public port: no tip, the configured priority fee, and failures land too.
    Public,
    /// A bundle to a block engine that counts priority fees (Harmonic): the whole tip is priority fee and nothing
    /// is transferred; a failed transaction does not land.
    PriorityBundle,
}

impl LaneClass {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// Whether several transactions may travel in order, all or none.
    #[inline]
    #[must_use]
    pub const fn is_bundle(self) -> bool {
        matches!(self, Self::PrivateBundle | Self::PriorityBundle)
    }
}
