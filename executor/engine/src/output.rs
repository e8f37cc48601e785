//! What an engine hands out while it works, and the clock a host may lend it.

use bundle::BundleCell;
use market::{Lamports, MarketEvent, Mint, Side, TokenAmount};
use risk::Refusal;
use shred_wire::Slot;
use strategy::Intent;

/// Takes what an engine produces, by plain calls from within it.
///
/// Any `FnMut(&BundleCell) -> bool` is one.
pub trait Output {
    /// A signed bundle. `false` when there is no room: the reservation is then undone and counted. The cell is
    /// valid during the call only.
    fn bundle(&mut self, cell: &BundleCell) -> bool;

    /// Something worth a journal line. Called after a bundle was handed over, never before.
    fn note(&mut self, _note: &Note<'_>) {}
}

impl<F: FnMut(&BundleCell) -> bool> Output for F {
    fn bundle(&mut self, cell: &BundleCell) -> bool {
        self(cell)
    }
}

/// What happened. References are valid during the call only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note<'a> {
    /// A market change was decoded, before it was acted on.
    Event(&'a MarketEvent),
    /// An intent became a bundle and was handed over.
    Handed(&'a Intent),
    /// The gate refused an intent.
    Refused(&'a Intent, Refusal),
    /// A transaction of ours is in a block. What that did is reckoned, not read from an account.
    Included {
        /// The intent it served.
        intent: &'a Intent,
        /// Slot of the block.
        slot: Slot,
        /// Tokens bought or sold: the number the transaction names.
        tokens: TokenAmount,
        /// Entry: quote paid, fees included. Exit: quote received. As modelled.
        quote: Lamports,
        /// The arithmetic foresaw it; otherwise the quote is the intent's limit.
        predicted: bool,
    },
    /// A transaction of ours can no longer land, or its lane rejected it; its reservation is released.
    Lost {
        /// The intent it served.
        intent_id: u64,
        /// The coin.
        mint: Mint,
        /// Entry or exit.
        side: Side,
    },
    /// An inclusion was undone: the part of the block that held it was given up.
    Retracted {
        /// The intent it served.
        intent_id: u64,
        /// The coin.
        mint: Mint,
        /// Entry or exit.
        side: Side,
    },
}

/// A clock lent by the host, to time stages. Never decides anything.
pub trait Ticks {
    /// Now, in whatever unit the host measures.
    fn now(&self) -> u64;
}

/// No clock: every stamp is 0, and the calls vanish.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NoTicks;

impl Ticks for NoTicks {
    #[inline(always)]
    fn now(&self) -> u64 {
        0
    }
}

impl<F: Fn() -> u64> Ticks for F {
    #[inline]
    fn now(&self) -> u64 {
        self()
    }
}

/// Stamps of the last intent that reached the gate, by the host's [`Ticks`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stages {
    /// The intent.
    pub intent_id: u64,
    /// The transaction came in.
    pub entered: u64,
    /// The intent stood; the gate begins.
    pub decided: u64,
    /// The gate answered: `gated - decided` is the risk check.
    pub gated: u64,
    /// The bytes are signed; 0 when there are none.
    pub built: u64,
    /// The ring took or refused them; 0 when there are none.
    pub handed: u64,
}
