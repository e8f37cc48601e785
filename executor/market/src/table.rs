//! Curves by mint: a fixed number of them, allocated once, the least recently touched giving way.

use shred_wire::Slot;

use crate::accounts::PumpAccounts;
use crate::curve::{Applied, Curve, Reserves, Untradable};
use crate::event::{Launch, Trade};
use crate::fees::{FeeRates, FeeSchedule};
use crate::units::Mint;

/// What the table counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CurveCounters {
    /// Launches that made or replaced a curve.
    pub curve_inserted: u64,
    /// Launches of a coin already known from the same or an earlier slot.
    pub launch_repeated: u64,
    /// Curves forgotten to make room.
    pub curve_evicted: u64,
    /// Launches refused because every curve is held.
    pub curve_refused: u64,
    /// Trades applied.
    pub trade_applied: u64,
    /// Trades the program would refuse on the known reserves.
    pub trade_predicted_failed: u64,
    /// Trades of coins not in the table.
    pub trade_unknown_curve: u64,
    /// Curves marked doubtful.
    pub curve_doubted: u64,
}

/// Outcome of offering a trade to the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableApply {
    /// The coin is not in the table.
    Unknown,
    /// What the trade did to its curve.
    Known(Applied),
}

/// A fixed number of curves, found by mint.
///
/// Open addressing over at most half-full slots of indexes into a slab, with a list from most to least
/// recently touched. A held curve (one with a position or an intent in flight) is off that list, so it is
/// never evicted. Every operation is O(1) expected and allocates nothing.
#[derive(Debug)]
pub struct CurveTable {
    slots: Box<[u32]>,
    items: Box<[Item]>,
    item_count: u32,
    newest: u32,
    oldest: u32,
    seed: u64,
    schedule: FeeSchedule,
    counters: CurveCounters,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    curve: Curve,
    newer: u32,
    older: u32,
    held: bool,
}

/// No item.
const NONE: u32 = u32::MAX;

impl CurveTable {
    /// Room for `capacity` curves (at least 1), about 700 bytes each, all of it allocated and written now.
    ///
    /// `seed` keeps an adversary who grinds mints from choosing their places; it changes no answer.
    ///
    /// # Panics
    /// When `capacity` is 0 or above 2^24: a configuration error, raised before anything runs.
    #[must_use]
    pub fn new(capacity: usize, seed: u64, schedule: FeeSchedule) -> Self {
        assert!(
            (1..=1 << 24).contains(&capacity),
            "curve table capacity must be 1 to 2^24"
        );
        let slot_count = (capacity * 2).next_power_of_two();
        let blank = Item {
            curve: blank_curve(),
            newer: NONE,
            older: NONE,
            held: false,
        };
        Self {
            slots: vec![NONE; slot_count].into_boxed_slice(),
            items: vec![blank; capacity].into_boxed_slice(),
            item_count: 0,
            newest: NONE,
            oldest: NONE,
            seed,
            schedule,
            counters: CurveCounters::default(),
        }
    }

    /// The curve of `mint`.
    #[inline]
    #[must_use]
    pub fn get(&self, mint: &Mint) -> Option<&Curve> {
        let index = self.find(mint)?;
        Some(&self.items[index as usize].curve)
    }

    /// Curves kept now.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.item_count as usize
    }

    /// Whether it keeps none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.item_count == 0
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> &CurveCounters {
        &self.counters
    }

    /// The fee schedule in use.
    #[must_use]
    pub const fn schedule(&self) -> &FeeSchedule {
        &self.schedule
    }

    /// Takes a new schedule; each curve's rates follow with its next trade or launch.
    pub fn set_schedule(&mut self, schedule: FeeSchedule) {
        self.schedule = schedule;
    }

    /// A launch: a fresh curve, unless the coin is already known from it. Returns whether the curve is new.
    ///
    /// A coin launched again in a later slot replaces its curve: the earlier block died. So does one whose
    /// curve is doubtful.
    pub fn launch(&mut self, launch: &Launch) -> bool {
        if let Some(index) = self.find(&launch.mint) {
            let known = &self.items[index as usize].curve;
            let same_block =
                known.launch_slot >= launch.slot && known.tradable != Err(Untradable::Doubtful);
            if same_block {
                self.counters.launch_repeated += 1;
                return false;
            }
        }
        self.insert(Curve::at_launch(launch, &self.schedule))
    }

    /// Puts `curve` in, replacing the one of the same mint. `false` when every place is held.
    ///
    /// This is also how a snapshot of account truth enters.
    pub fn insert(&mut self, curve: Curve) -> bool {
        if let Some(index) = self.find(&curve.accounts.mint) {
            self.items[index as usize].curve = curve;
            self.touch(index);
            self.counters.curve_inserted += 1;
            return true;
        }
        let Some(index) = self.vacant() else {
            self.counters.curve_refused += 1;
            return false;
        };
        self.items[index as usize] = Item {
            curve,
            newer: NONE,
            older: NONE,
            held: false,
        };
        self.place(index);
        self.link_newest(index);
        self.counters.curve_inserted += 1;
        true
    }

    /// Applies `trade` to its curve.
    pub fn apply(&mut self, trade: &Trade) -> TableApply {
        let Some(index) = self.find(&trade.mint) else {
            self.counters.trade_unknown_curve += 1;
            return TableApply::Unknown;
        };
        let applied = self.items[index as usize]
            .curve
            .apply(trade, &self.schedule);
        match applied {
            Applied::Moved(_) => self.counters.trade_applied += 1,
            Applied::PredictedFailure => self.counters.trade_predicted_failed += 1,
        }
        self.touch(index);
        TableApply::Known(applied)
    }

    /// Keeps the curve of `mint` from being evicted, or lets it go again. No effect on an unknown mint.
    pub fn set_held(&mut self, mint: &Mint, held: bool) {
        let Some(index) = self.find(mint) else { return };
        if self.items[index as usize].held == held {
            return;
        }
        if held {
            self.unlink(index);
        }
        self.items[index as usize].held = held;
        if !held {
            self.link_newest(index);
        }
    }

    /// Marks the curve of `mint` as doubtful, unless a firmer reason already forbids it.
    pub fn doubt(&mut self, mint: &Mint) {
        let Some(index) = self.find(mint) else { return };
        if self.items[index as usize].curve.tradable.is_ok() {
            self.items[index as usize].curve.tradable = Err(Untradable::Doubtful);
            self.counters.curve_doubted += 1;
        }
    }

    /// Marks every curve touched in or after `slot` as doubtful and returns how many. Walks the whole table:
    /// for retractions, not for every event.
    pub fn doubt_from(&mut self, slot: Slot) -> u64 {
        let mut doubted = 0;
        for item in &mut self.items[..self.item_count as usize] {
            if item.curve.touched_slot >= slot && item.curve.tradable.is_ok() {
                item.curve.tradable = Err(Untradable::Doubtful);
                doubted += 1;
            }
        }
        self.counters.curve_doubted += doubted;
        doubted
    }

    /// A place for a new item: an unused one, else the least recently touched that is not held.
    fn vacant(&mut self) -> Option<u32> {
        if (self.item_count as usize) < self.items.len() {
            self.item_count += 1;
            return Some(self.item_count - 1);
        }
        let index = self.oldest;
        if index == NONE {
            return None;
        }
        self.unlink(index);
        self.displace(index);
        self.counters.curve_evicted += 1;
        Some(index)
    }

    #[inline]
    fn find(&self, mint: &Mint) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(mint);
        // At most half the slots are taken, so an empty one ends the walk.
        loop {
            let index = self.slots[slot];
            if index == NONE {
                return None;
            }
            if self.items[index as usize].curve.accounts.mint == *mint {
                return Some(index);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn place(&mut self, index: u32) {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(&self.items[index as usize].curve.accounts.mint);
        while self.slots[slot] != NONE {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = index;
    }

    /// Takes an item's slot out and shifts later ones back, so that no walk ends too early.
    fn displace(&mut self, index: u32) {
        let mask = self.slots.len() - 1;
        let mut hole = self.home(&self.items[index as usize].curve.accounts.mint);
        while self.slots[hole] != index {
            hole = (hole + 1) & mask;
        }
        let mut next = (hole + 1) & mask;
        while self.slots[next] != NONE {
            let home = self.home(&self.items[self.slots[next] as usize].curve.accounts.mint);
            // An item may move back only to a place between its home and where it stands.
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.slots[hole] = self.slots[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[hole] = NONE;
    }

    #[inline]
    fn home(&self, mint: &Mint) -> usize {
        (hash(mint, self.seed) as usize) & (self.slots.len() - 1)
    }

    fn touch(&mut self, index: u32) {
        if self.newest != index && !self.items[index as usize].held {
            self.unlink(index);
            self.link_newest(index);
        }
    }

    fn link_newest(&mut self, index: u32) {
        let previous = self.newest;
        self.items[index as usize].newer = NONE;
        self.items[index as usize].older = previous;
        match previous {
            NONE => self.oldest = index,
            previous => self.items[previous as usize].newer = index,
        }
        self.newest = index;
    }

    fn unlink(&mut self, index: u32) {
        let Item { newer, older, .. } = self.items[index as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.items[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.items[older as usize].newer = newer,
        }
    }
}

/// Four multiplications fold the 32 bytes; mints are public keys somebody may have ground, hence the seed.
#[inline]
fn hash(mint: &Mint, seed: u64) -> u64 {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    for word in mint.0.as_chunks::<8>().0 {
        let product = u128::from(state ^ u64::from_le_bytes(*word)) * 0xd6e8_feb8_6659_fd93;
        state = (product as u64) ^ (product >> 64) as u64;
    }
    state
}

/// What an unused place holds.
fn blank_curve() -> Curve {
    Curve {
        accounts: PumpAccounts::default(),
        reserves: Reserves::default(),
        supply: 0,
        creator_fee_bps: 0,
        rates: FeeRates::default(),
        cashback: false,
        tradable: Err(Untradable::Doubtful),
        launcher: [0; 32],
        dev_buy: None,
        launch_slot: Slot(0),
        touched_slot: Slot(0),
        trade_count: 0,
    }
}
