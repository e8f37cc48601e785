//! Proof that the gate let an intent through, and what it set aside for it.

use core::ops::Deref;

use market::{Lamports, Mint, Side};
use strategy::Intent;

/// An intent the gate has passed and reserved money for. Only [`Gate::check`](crate::Gate::check) makes one;
/// it can be read, but neither altered, copied nor built.
#[derive(Debug)]
#[must_use = "an approved intent holds a reservation: build it, or release it"]
pub struct Approved {
    intent: Intent,
}

impl Approved {
    pub(crate) const fn new(intent: Intent) -> Self {
        Self { intent }
    }

    /// Gives up the right to build and keeps the reservation, to be settled or released later.
    #[inline]
    pub fn into_reservation(self) -> Reservation {
        let Intent { id, mint, side, .. } = self.intent;
        Reservation {
            intent_id: id,
            mint,
            side,
            notional: notional(&self.intent),
        }
    }
}

impl Deref for Approved {
    type Target = Intent;

    #[inline]
    fn deref(&self) -> &Intent {
        &self.intent
    }
}

/// What the gate set aside for one approved intent. Given back exactly once: it cannot be copied.
#[derive(Debug)]
#[must_use = "a reservation that is dropped keeps its money set aside for ever"]
pub struct Reservation {
    pub(crate) intent_id: u64,
    pub(crate) mint: Mint,
    pub(crate) side: Side,
    pub(crate) notional: Lamports,
}

impl Reservation {
    /// The intent it was made for.
    #[must_use]
    pub const fn intent_id(&self) -> u64 {
        self.intent_id
    }

    /// The coin.
    #[must_use]
    pub const fn mint(&self) -> Mint {
        self.mint
    }

    /// Entry or exit.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Money set aside: spend and tip of an entry, nothing for an exit.
    #[must_use]
    pub const fn notional(&self) -> Lamports {
        self.notional
    }
}

/// Money an intent puts at risk: what it spends and what it tips, for an entry.
pub(crate) const fn notional(intent: &Intent) -> Lamports {
    match intent.side {
        Side::Buy => intent.spend.saturating_add(intent.tip),
        Side::Sell => Lamports(0),
    }
}
