//! What the core learns of the chain beside transactions: forks, votes, how long slots last.
//!
//! Called on the core's thread after the engine has decided. After construction nothing here allocates, locks or waits.

use std::sync::Arc;

use shred_resolve::{
    BlockEnd, Equivocation, ForkPlan, Forks, Quorum, ResolvedTxn, Retract, SetLink, SlotClock,
    Votes,
};

use crate::leaders::LeaderCell;

/// Forks, votes and the slot's clock.
pub struct Chain {
    forks: Forks,
    votes: Votes,
    clock: SlotClock,
    /// Who votes with how much; without it votes are not counted.
    cell: Option<Arc<LeaderCell>>,
}

impl Chain {
    /// Takes its memory, some 5 MB.
    #[must_use]
    pub fn new(cell: Option<Arc<LeaderCell>>) -> Self {
        Self {
            forks: Forks::new(&ForkPlan::default()),
            votes: Votes::new(),
            clock: SlotClock::new(),
            cell,
        }
    }

    /// Blocks and their parents.
    #[must_use]
    pub const fn forks(&self) -> &Forks {
        &self.forks
    }

    /// Votes seen.
    #[must_use]
    pub const fn votes(&self) -> &Votes {
        &self.votes
    }

    /// The slot's clock.
    #[must_use]
    pub const fn clock(&self) -> &SlotClock {
        &self.clock
    }

    /// A set is known.
    pub fn set(&mut self, link: &SetLink) {
        self.clock.note(link.slot, link.at);
        self.forks.set(link);
    }

    /// A transaction is known.
    #[inline]
    pub fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        let Self {
            forks, votes, cell, ..
        } = self;
        let Some(cell) = cell else {
            return;
        };
        votes.transaction(txn, &cell.stakes(), &mut |hint| {
            if hint.quorum == Quorum::TwoThirds {
                forks.note_hint(hint.slot, hint.block_id);
            }
        });
    }

    /// A block is whole.
    pub fn block(&mut self, block: &BlockEnd) {
        self.forks.block(block, &mut |_| {});
    }

    /// Earlier transactions are void.
    pub fn retract(&mut self, retract: &Retract) {
        self.forks.retract(retract, &mut |_| {});
    }

    /// A set has two roots.
    pub fn equivocation(&mut self, equivocation: &Equivocation) {
        self.forks.equivocation(equivocation);
    }
}
