//! Our builder behind the gate, since only the gate makes what it takes.

use std::sync::Arc;

use bench::launch::{Launch, Order};
use bundle::{BuildReject, Builder, BundleCell, Draft, RecentBlockhash, Signer, ThrowAway};
use risk::{Approved, Control, Gate, Mode};
use shred_resolve::Policy;

use crate::coin::{self, BLOCKHASH, BLOCKHASH_SLOT, Naming};

/// The hash and its slot.
pub(crate) const RECENT: RecentBlockhash = RecentBlockhash {
    hash: BLOCKHASH,
    slot: BLOCKHASH_SLOT,
};

/// The throw-away wallet of everybody.
pub(crate) fn signer() -> Signer<ThrowAway> {
    Signer::from_seed(&bench::ours::seed()).expect("32 bytes are a seed")
}

/// Builds, and keeps the count of intents.
pub(crate) struct Ours {
    pub(crate) builder: Builder,
    pub(crate) cell: Box<BundleCell>,
    gate: Gate,
    order: Order,
    next: u64,
}

impl Ours {
    /// Signs as RFC 8032 has it.
    pub(crate) fn new(naming: Naming) -> Self {
        let builder = Builder::new(&naming.config(), signer());
        Self::with(builder.expect("the default lists are good"))
    }

    pub(crate) fn with(builder: Builder) -> Self {
        let limits = bench::ours::config(Policy::VerifyThenEmit).limits;
        let control = Arc::new(Control::new(Mode::Active));
        Self {
            builder,
            cell: Box::new(BundleCell::new()),
            gate: Gate::new(limits, control).expect("limits that can be held"),
            order: coin::order(),
            next: 1,
        }
    }

    /// Has an intent approved, outside every clock.
    pub(crate) fn approve(&mut self, coin: &Launch) -> Approved {
        let intent = coin::intent(self.next, coin, &self.order);
        self.next += 1;
        let checked = self.gate.check(intent, intent.at);
        checked.expect("the limits are far away")
    }

    /// Gives back what was set aside.
    pub(crate) fn release(&mut self, approved: Approved) {
        self.gate.release(approved.into_reservation());
    }

    /// Derives what the coin's launch did not show, ahead of need: the coin is one that was seen before.
    pub(crate) fn prepare(&mut self, approved: &Approved) -> Result<(), BuildReject> {
        self.builder
            .prepare_exit(approved.venue, &approved.accounts)
    }

    /// Builds and signs into the cell.
    #[inline]
    pub(crate) fn build(&mut self, approved: &Approved) -> Result<(), BuildReject> {
        self.builder.build(approved, &RECENT, &mut self.cell)
    }

    /// Fills the addresses of an intent's coin in.
    #[inline]
    pub(crate) fn draft(&mut self, approved: &Approved) -> Result<Draft, BuildReject> {
        self.builder.draft(approved)
    }

    /// The unsigned transaction of a draft.
    #[inline]
    pub(crate) fn render(
        draft: &Draft,
        approved: &Approved,
        out: &mut [u8],
    ) -> Result<(), BuildReject> {
        draft.render(approved.tokens, approved.spend, approved.tip, &RECENT, out)
    }
}
