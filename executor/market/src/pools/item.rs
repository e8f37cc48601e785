//! A pool on every fork: how changes move it, and what it was before the blocks they stand in.

use shred_wire::Slot;

use super::{Circumstances, Pool, PoolApplied, PoolCounters, PoolState, PoolUntradable};
use crate::event::{SwapAmounts, Way};
use crate::forked::{Doubt, Entered, Lineage, Past, Reckoned};
use crate::quote::{Amount, Swapped};
use crate::replayed::Change;
use crate::told::Version;
use crate::units::Key;

/// Blocks before the last that a pool is remembered at.
const PAST_BLOCKS: usize = 3;
/// Slots that account data of other pools must be ahead of a change for its own silence to say that nothing came of it. A
/// feed tells writes in the order of blocks; forks make it a few.
const SILENCE_SLOTS: u64 = 4;

#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) pool: Pool,
    pub(super) past: Past<Moved, PAST_BLOCKS>,
    pub(super) reckoned: Reckoned,
    /// The price that account data said last.
    pub(super) told: [u64; 2],
    /// Slot of the last change whose outcome no shred tells.
    unread: Slot,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) state: PoolState,
    pub(super) tradable: Result<(), PoolUntradable>,
}

/// What an event does to a pool, so far as it tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed {
    pub(super) pool: Key,
    pub(super) slot: Slot,
    /// Seconds, as [`Circumstances::now_s`].
    pub(super) at_s: u64,
    /// Way, fixed side and limits of a swap; `None` of what its bytes do not tell.
    pub(super) swap: Option<(Way, Amount, SwapAmounts)>,
}

impl Change for Changed {
    const NONE: Self = Self {
        pool: [0; 32],
        slot: Slot(0),
        at_s: 0,
        swap: None,
    };

    fn key(&self) -> &Key {
        &self.pool
    }

    fn slot(&self) -> Slot {
        self.slot
    }
}

impl Doubt for Moved {
    fn doubt(&mut self) {
        PoolUntradable::doubt(&mut self.tradable);
    }
}

impl Item {
    pub(super) fn of(pool: Pool) -> Self {
        let mut item = Self {
            pool,
            past: Past::new(Moved {
                state: pool.state,
                tradable: pool.tradable,
            }),
            reckoned: Reckoned::new(),
            told: pool.state.sides(),
            unread: Slot(0),
        };
        item.reckon();
        item
    }

    /// Whether the pool was behind and is not any more: had the change whose outcome no shred tells done anything, who tells of
    /// this pool would have told it by now. Else one transaction of a stranger, which may fail, would keep it shut. The shreds
    /// have to be as far, at `slot`: a feed may be ahead of them, by mistake too.
    pub(super) fn catch_up(&mut self, heard: Version, slot: Slot) -> bool {
        let Self { pool, unread, .. } = self;
        let is_caught_up = pool.tradable == Err(PoolUntradable::Behind)
            && heard.feed == pool.truth.feed
            && heard.slot.min(slot).0 >= unread.0.saturating_add(SILENCE_SLOTS);
        if is_caught_up {
            pool.tradable = Ok(());
        }
        is_caught_up
    }

    /// Makes a change on the fork of its block.
    pub(super) fn apply(
        &mut self,
        change: &Changed,
        lineage: &Lineage,
        circumstances: &Circumstances<'_>,
        counters: &mut PoolCounters,
    ) -> PoolApplied {
        match self.enter(change.slot, lineage) {
            Entered::Onward | Entered::Late => {}
            Entered::Switched(()) => counters.pool_switched += 1,
            Entered::Lost => counters.pool_doubted += u64::from(self.pool.doubt()),
        }
        let Some((way, amount, limits)) = change.swap else {
            self.unread = self.unread.max(change.slot);
            // Marked only when it was good: a firmer reason stays.
            if self.pool.tradable.is_ok() {
                self.pool.tradable = Err(PoolUntradable::Behind);
            }
            return PoolApplied::Unread;
        };
        let circumstances = Circumstances {
            now_s: change.at_s,
            ..*circumstances
        };
        let mut after = self.pool.state;
        let swapped = after
            .swap(&circumstances, way, amount)
            .ok()
            .filter(|swapped| within(limits, *swapped));
        let Some(swapped) = swapped else {
            return PoolApplied::PredictedFailure;
        };
        self.pool.state = after;
        self.reckon();
        PoolApplied::Moved(way, swapped)
    }

    fn reckon(&mut self) {
        self.reckoned
            .note(self.pool.slot, self.pool.state.fingerprint());
    }

    /// [`Pool::doubt`] on every fork.
    pub(super) fn doubt(&mut self) -> bool {
        self.past.clear();
        self.reckoned = Reckoned::new();
        self.pool.doubt()
    }

    /// Goes on in the block of `slot`, from the state of its fork.
    fn enter(&mut self, slot: Slot, lineage: &Lineage) -> Entered<()> {
        let moved = Moved {
            state: self.pool.state,
            tradable: self.pool.tradable,
        };
        match self.past.enter(self.pool.slot, moved, slot, lineage) {
            Entered::Late => Entered::Late,
            Entered::Onward => {
                self.pool.slot = slot;
                Entered::Onward
            }
            Entered::Lost => {
                self.pool.slot = slot;
                Entered::Lost
            }
            Entered::Switched(other) => {
                (self.pool.state, self.pool.tradable) = (other.state, other.tradable);
                self.pool.slot = slot;
                Entered::Switched(())
            }
        }
    }
}

/// Whether a swap keeps the limit that came with it.
const fn within(limits: SwapAmounts, swapped: Swapped) -> bool {
    match limits {
        SwapAmounts::ExactIn { out_min, .. } => swapped.amount_out >= out_min,
        SwapAmounts::ExactOut { in_max, .. } => swapped.amount_in <= in_max,
        _ => false,
    }
}
