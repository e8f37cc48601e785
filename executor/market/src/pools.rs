//! Pools of the venues we build for, by address, on every fork, kept true by account data.
//!
//! | module | what |
//! |---|---|
//! | `state` | what a price depends on, by venue, and how a swap moves it |
//! | `truth` | what account data says |
//! | `pool` | one pool: whether it may be traded, what a trade of ours would move |
//! | `ways` | which way a swap goes, from its bytes or the trader's accounts |
//! | `item` | a pool on every fork, and the changes that move it |
//! | `choice` | which pool a coin is traded on |
//!
//! Here is the table: what comes in of shreds and of account data meets in it.

mod choice;
mod item;
mod pool;
mod state;
mod truth;
mod ways;

use shred_wire::Slot;

use self::choice::Traded;
use self::item::{Changed, Item};
use self::ways::Ways;
use crate::event::{PoolAction, PoolEvent, Way};
use crate::forked::{Corrected, Dropped, Lineage};
use crate::lru::{Inserted, LruTable};
use crate::math::are_near;
use crate::program::Program;
use crate::quote::Swapped;
use crate::replayed::Recent;
use crate::table::is_counted;
use crate::told::Version;
use crate::units::{Bps, Key};

pub use pool::{Pool, PoolUntradable};
pub use state::{Circumstances, PoolState};
pub use truth::{PoolTruth, Succession};

/// What the table counted, in all and of each venue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolCounters {
    /// Pools that account data brought in.
    pub pool_inserted: u64,
    /// Pools forgotten to make room.
    pub pool_evicted: u64,
    /// Pools refused because every one is held.
    pub pool_refused: u64,
    /// Swaps applied.
    pub swap_applied: u64,
    /// Swaps the program would refuse on the known state.
    pub swap_predicted_failed: u64,
    /// Changes in blocks that account data of a later one counts already.
    pub change_late: u64,
    /// Swaps that move a pool in a way the shreds do not tell, and liquidity put in or taken out.
    pub change_unread: u64,
    /// Changes made again on what account data of an earlier block said.
    pub change_replayed: u64,
    /// Pools marked doubtful.
    pub pool_doubted: u64,
    /// Pools that went on from another fork's state than the one they stood at.
    pub pool_switched: u64,
    /// Pools taken back to before a block that is void.
    pub pool_restored: u64,
    /// Pools behind that can be traded again because nobody was told of a change.
    pub pool_caught_up: u64,
    /// Swaps whose way was not looked for because their transaction had used up its derivations.
    pub way_refused: u64,
    /// Account data older than what was taken before.
    pub truth_stale: [u64; Program::COUNT],
    /// Account data that says what was reckoned, by venue.
    pub truth_agreed: [u64; Program::COUNT],
    /// Account data that says something else, by venue: it wins.
    pub truth_diverged: [u64; Program::COUNT],
    /// Account data of pools that were known to be behind or doubtful, by venue: nothing was claimed of them.
    pub truth_behind: [u64; Program::COUNT],
    /// Account data of which only the configurations were new.
    pub terms_taken: u64,
    /// Coins of ours whose pool can no longer pay for them and that another one pays more for.
    pub pool_left: u64,
    /// Migrations of launch pads' curves, by who may.
    pub migration_taken: u64,
}

/// Outcome of offering an event to the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolApplied {
    /// The pool is not in the table.
    Unknown,
    /// It moved by this much, this way.
    Moved(Way, Swapped),
    /// The program would refuse it on the known state, so nothing moved.
    PredictedFailure,
    /// What it did is not in the bytes; the pool is untradable until account data says.
    Unread,
    /// Account data of a later block counts it already.
    Counted,
}

/// A fixed number of pools, found by address; the least recently touched gives way, a held one never does.
#[derive(Debug)]
pub struct PoolTable {
    items: LruTable<Item>,
    by_mint: LruTable<Traded>,
    recent: Recent<Changed>,
    ways: Ways,
    /// The latest that account data told of any pool.
    heard: Version,
    counters: PoolCounters,
}

impl PoolTable {
    /// Room for `capacity` pools (at least 1), about 4 KiB each, all of it allocated and written now. `seed` as for
    /// [`CurveTable::new`](crate::CurveTable::new).
    ///
    /// # Panics
    /// When `capacity` is 0 or above 2^24: a configuration error, raised before anything runs.
    #[must_use]
    pub fn new(capacity: usize, seed: u64) -> Self {
        Self {
            items: LruTable::new(capacity, seed, Item::of(Pool::blank())),
            by_mint: LruTable::new(capacity, seed.rotate_left(32), Traded::on([0; 32])),
            recent: Recent::new(),
            ways: Ways::new(),
            heard: Version::NONE,
            counters: PoolCounters::default(),
        }
    }

    /// The pool at that address.
    #[inline]
    #[must_use]
    pub fn get(&self, pool: &Key) -> Option<&Pool> {
        self.items.get(pool).map(|item| &item.pool)
    }

    /// Whether the price in the pool at that address is no further than `within` from what account data said last; of the
    /// two the lower is the whole. What is between came of transactions alone, and those that fail look like any other. True of
    /// a pool that is not known.
    #[must_use]
    pub fn is_near_told(&self, pool: &Key, within: Bps) -> bool {
        self.items
            .get(pool)
            .is_none_or(|item| are_near(item.pool.state.sides(), item.told, within))
    }

    /// Pools kept now.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it keeps none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.len() == 0
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> &PoolCounters {
        &self.counters
    }

    /// Takes account data: it ends doubt, and where it differs from what was reckoned it wins.
    pub fn correct(
        &mut self,
        truth: &PoolTruth,
        lineage: &Lineage,
        circumstances: &Circumstances<'_>,
    ) -> Corrected {
        let corrected = self.take(truth, lineage, circumstances);
        if !matches!(corrected, Corrected::Stale | Corrected::Refused) {
            self.choose(&truth.pool);
        }
        corrected
    }

    fn take(
        &mut self,
        truth: &PoolTruth,
        lineage: &Lineage,
        circumstances: &Circumstances<'_>,
    ) -> Corrected {
        let venue = truth.state.program() as usize;
        if truth.version().is_after(&self.heard) {
            self.heard = truth.version();
        }
        let Some(item) = self.items.touch(&truth.pool) else {
            return self.insert(truth);
        };
        let known = &mut item.pool;
        let told = Pool::of(truth);
        let has_new_terms = truth.terms.is_after(&known.terms);
        if !truth.version().is_after(&known.truth) {
            // A mint changes without its pools, and so does a configuration.
            if told.tradable == Err(PoolUntradable::Dangerous) {
                known.tradable = told.tradable;
                item.past.clear();
            }
            if !has_new_terms {
                self.counters.truth_stale[venue] += 1;
                return Corrected::Stale;
            }
            (known.terms, known.succession) = (told.terms, told.succession);
            known.state.take_terms(&truth.state);
            item.past
                .states_mut()
                .for_each(|moved| moved.state.take_terms(&truth.state));
            self.counters.terms_taken += 1;
            return Corrected::Terms;
        }
        item.told = truth.state.sides();
        known.truth = told.truth;
        known.accounts = truth.accounts;
        known.succession = told.succession;
        if has_new_terms {
            known.terms = told.terms;
            known.state.take_terms(&truth.state);
        }
        let fingerprint = truth.state.fingerprint();
        let was_sure = !matches!(
            known.tradable,
            Err(PoolUntradable::Behind | PoolUntradable::Doubtful)
        );
        let is_sure = was_sure && known.tradable == told.tradable;
        let stands = is_sure && lineage.builds_on(known.slot, truth.slot);
        // An account can be written, or read, later than the last swap without another price.
        let is_later = is_sure && truth.slot > known.slot;
        if (stands || is_later) && known.state.fingerprint() == fingerprint {
            known.state = truth.state;
            self.counters.truth_agreed[venue] += 1;
            return Corrected::Agreed;
        }
        if stands && item.reckoned.holds(truth.slot, fingerprint, lineage) {
            self.counters.truth_agreed[venue] += 1;
            return Corrected::Agreed;
        }
        // That a coin turned dangerous says nothing of its price.
        let differs = known.state.fingerprint() != fingerprint;
        *item = Item::of(told);
        // What was seen of later blocks stands, on another base. What of the same block comes after the account data is
        // not known: the account will be told again.
        for change in self.recent.after(&truth.pool, truth.slot, lineage) {
            item.apply(change, lineage, circumstances, &mut self.counters);
            self.counters.change_replayed += 1;
        }
        if !self.recent.is_whole_from(truth.slot) {
            self.counters.pool_doubted += u64::from(item.doubt());
        }
        if !was_sure {
            self.counters.truth_behind[venue] += 1;
            return Corrected::Behind;
        }
        if !differs {
            self.counters.truth_agreed[venue] += 1;
            return Corrected::Agreed;
        }
        self.counters.truth_diverged[venue] += 1;
        Corrected::Diverged
    }

    fn insert(&mut self, truth: &PoolTruth) -> Corrected {
        match self.items.insert(truth.pool, Item::of(Pool::of(truth))) {
            Inserted::Refused => {
                self.counters.pool_refused += 1;
                return Corrected::Refused;
            }
            Inserted::Evicted => self.counters.pool_evicted += 1,
            Inserted::Replaced | Inserted::Added => {}
        }
        self.counters.pool_inserted += 1;
        Corrected::New
    }

    /// Moves the pool of `event` as it is on the fork of the event's block.
    pub fn apply(
        &mut self,
        event: &PoolEvent,
        lineage: &Lineage,
        circumstances: &Circumstances<'_>,
    ) -> PoolApplied {
        if let PoolAction::Migrate(migrate) = &event.call.action
            && let (Some(curve), None) = (&event.call.pool, event.inferred_from)
        {
            self.take_migration(curve, event.call.actor, migrate);
        }
        let item = event.call.pool.and_then(|key| self.items.touch(&key));
        let Some(item) = item.filter(|item| item.pool.state.program() == event.program) else {
            return PoolApplied::Unknown;
        };
        if is_counted(item.pool.truth, event.slot, lineage) {
            self.counters.change_late += 1;
            return PoolApplied::Counted;
        }
        self.counters.pool_caught_up += u64::from(item.catch_up(self.heard, event.slot));
        let swap = match event.call.action {
            PoolAction::Swap(swap) if event.inferred_from.is_none() => self
                .ways
                .read(&item.pool, &swap, event, &mut self.counters)
                .map(|(way, amount)| (way, amount, swap.amounts)),
            _ => None,
        };
        let change = Changed {
            pool: item.pool.key,
            slot: event.slot,
            at_s: circumstances.now_s,
            swap,
        };
        self.recent.note(&change);
        let applied = item.apply(&change, lineage, circumstances, &mut self.counters);
        match applied {
            PoolApplied::Moved(..) => self.counters.swap_applied += 1,
            PoolApplied::PredictedFailure => self.counters.swap_predicted_failed += 1,
            PoolApplied::Unread => self.counters.change_unread += 1,
            PoolApplied::Unknown | PoolApplied::Counted => {}
        }
        applied
    }

    /// Marks the pool at that address as doubtful, unless a firmer reason already forbids it.
    pub fn doubt(&mut self, pool: &Key) {
        self.recent.forget_of(pool);
        if let Some(item) = self.items.get_mut(pool) {
            self.counters.pool_doubted += u64::from(item.doubt());
        }
    }

    /// The block of `slot` is void: pools that stand at it go back to before it, and those of which nothing from
    /// before is known become doubtful. Walks the whole table.
    pub fn drop_block(&mut self, slot: Slot, lineage: &Lineage) {
        self.recent.forget(|void| void == slot);
        for item in self.items.iter_mut() {
            match item.past.drop_block(item.pool.slot, slot, lineage) {
                Dropped::Elsewhere => {}
                Dropped::Back(before, moved) => {
                    (item.pool.state, item.pool.tradable) = (moved.state, moved.tradable);
                    item.pool.slot = before;
                    self.counters.pool_restored += 1;
                }
                Dropped::Nothing => {
                    self.counters.pool_doubted += u64::from(item.doubt());
                }
            }
        }
    }

    /// As [`CurveTable::disbelieve_after`](crate::CurveTable::disbelieve_after).
    pub fn disbelieve_after(&mut self, last: Slot) {
        if self.heard.slot > last {
            self.heard = Version::NONE;
        }
        for item in self.items.iter_mut() {
            if item.pool.terms.slot > last {
                item.pool.terms = Version::NONE;
            }
            if item.pool.truth.slot > last {
                item.pool.truth = Version::NONE;
                self.counters.pool_doubted += u64::from(item.doubt());
            }
        }
    }

    /// Marks every pool that stands at `slot` or later as doubtful, and what is remembered of blocks from there on of the
    /// others. Walks the whole table.
    pub fn doubt_from(&mut self, slot: Slot) {
        self.recent.forget(|void| void >= slot);
        for item in self.items.iter_mut() {
            item.past.doubt_from(slot);
            if item.pool.slot >= slot {
                self.counters.pool_doubted += u64::from(item.doubt());
            }
        }
    }
}
