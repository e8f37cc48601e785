//! Curves by mint: a fixed number of them, allocated once, the least recently touched giving way.

use shred_wire::Slot;

use crate::accounts::PumpAccounts;
use crate::event::{Launch, Trade};
use crate::forked::{Corrected, Doubt, Dropped, Entered, Lineage, Past, Reckoned};
use crate::lru::{Inserted, LruTable, mix};
use crate::math::are_near;
use crate::pump::account::BondingCurve;
use crate::pump::curve::{Applied, Curve, Quote, Reserves, Untradable};
use crate::pump::fees::{FeeRates, FeeSchedule};
use crate::replayed::Recent;
use crate::told::{FeedId, Version};
use crate::units::{Bps, Mint};

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
    /// Trades reckoned again on what account data of an earlier block said.
    pub trade_replayed: u64,
    /// Trades the program would refuse on the known reserves.
    pub trade_predicted_failed: u64,
    /// Trades of coins not in the table.
    pub trade_unknown_curve: u64,
    /// Trades of blocks that account data of a later one counts already.
    pub trade_late: u64,
    /// Curves marked doubtful.
    pub curve_doubted: u64,
    /// Curves that went on from another fork's state than the one they stood at.
    pub curve_switched: u64,
    /// Curves taken back to before a block that is void.
    pub curve_restored: u64,
    /// Account data older than what was taken before.
    pub truth_stale: u64,
    /// Account data that says what was reckoned.
    pub truth_agreed: u64,
    /// Account data that says something else: it wins.
    pub truth_diverged: u64,
    /// Account data of curves that were known to be doubtful.
    pub truth_behind: u64,
}

/// Outcome of offering a trade to the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableApply {
    /// The coin is not in the table.
    Unknown,
    /// What the trade did to its curve.
    Known(Applied),
    /// Account data of a later block counts it already.
    Counted,
}

/// What account data says of a curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CurveTruth {
    /// The coin and its accounts, as far as they are known.
    pub accounts: PumpAccounts,
    /// The curve's account.
    pub curve: BondingCurve,
    /// Supply as the coin's mint counts it, where it was read.
    pub supply: Option<u64>,
    /// Slot of the block that wrote it last.
    pub slot: Slot,
    /// Counts the node's writes: of two of one slot the higher is the later.
    pub write_version: u64,
    /// Whose writes.
    pub feed: FeedId,
}

impl CurveTruth {
    /// Which state of the account it is.
    #[must_use]
    pub const fn version(&self) -> Version {
        Version {
            feed: self.feed,
            slot: self.slot,
            write_version: self.write_version,
        }
    }
}

/// A fixed number of curves, found by mint; the least recently touched gives way. A held curve (one with a position
/// or an intent in flight) is never evicted. Every operation but the two that walk is O(1) expected and allocates
/// nothing.
#[derive(Debug)]
pub struct CurveTable {
    items: LruTable<Item>,
    schedule: FeeSchedule,
    recent: Recent<Trade>,
    counters: CurveCounters,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    /// As the block of `curve.touched_slot` left it.
    curve: Curve,
    past: Past<Moved, PAST_BLOCKS>,
    reckoned: Reckoned,
    /// Of the last account data taken.
    truth: Version,
    /// What it said; before any came, what the curve began with.
    told: Reserves,
}

/// Blocks before the last that a curve is remembered at.
const PAST_BLOCKS: usize = 4;

/// What trades move of a curve.
#[derive(Clone, Copy, Debug)]
struct Moved {
    reserves: Reserves,
    rates: FeeRates,
    tradable: Result<(), Untradable>,
    dev_buy: Option<(Quote, u64)>,
    trade_count: u64,
}

impl Moved {
    const NONE: Self = Self {
        reserves: Reserves {
            virtual_token: 0,
            virtual_quote: 0,
            real_token: 0,
            real_quote: 0,
        },
        rates: FeeRates {
            protocol_bps: 0,
            creator_bps: 0,
        },
        tradable: Err(Untradable::Doubtful),
        dev_buy: None,
        trade_count: 0,
    };

    const fn of(curve: &Curve) -> Self {
        Self {
            reserves: curve.reserves,
            rates: curve.rates,
            tradable: curve.tradable,
            dev_buy: curve.dev_buy,
            trade_count: curve.trade_count,
        }
    }

    const fn put_back(self, curve: &mut Curve) {
        curve.reserves = self.reserves;
        curve.rates = self.rates;
        curve.tradable = self.tradable;
        curve.dev_buy = self.dev_buy;
        curve.trade_count = self.trade_count;
    }
}

impl Doubt for Moved {
    fn doubt(&mut self) {
        if self.tradable.is_ok() {
            self.tradable = Err(Untradable::Doubtful);
        }
    }
}

impl CurveTable {
    /// Room for `capacity` curves (at least 1), about 1,900 bytes each, all of it allocated and written now.
    ///
    /// `seed` keeps an adversary who grinds mints from choosing their places; it changes no answer.
    ///
    /// # Panics
    /// When `capacity` is 0 or above 2^24: a configuration error, raised before anything runs.
    #[must_use]
    pub fn new(capacity: usize, seed: u64, schedule: FeeSchedule) -> Self {
        Self {
            items: LruTable::new(capacity, seed, Item::of(blank_curve())),
            schedule,
            recent: Recent::new(),
            counters: CurveCounters::default(),
        }
    }

    /// The curve of `mint`.
    #[inline]
    #[must_use]
    pub fn get(&self, mint: &Mint) -> Option<&Curve> {
        self.items.get(&mint.0).map(|item| &item.curve)
    }

    /// Whether the price of `mint` is no further than `within` from what account data said last, or before any came, from
    /// what the curve began with; of the two the lower is the whole. What is between came of transactions alone, and those
    /// that fail look like any other. True of a coin that is not known.
    #[must_use]
    pub fn is_near_told(&self, mint: &Mint, within: Bps) -> bool {
        let sides = |reserves: &Reserves| [reserves.virtual_quote, reserves.virtual_token];
        self.items
            .get(&mint.0)
            .is_none_or(|item| are_near(sides(&item.curve.reserves), sides(&item.told), within))
    }

    /// As [`CurveTable::is_near_told`] of a launch: its launcher's own buy, without which we do not enter either, makes no
    /// price up.
    #[must_use]
    pub fn is_near_launch(&self, mint: &Mint, within: Bps) -> bool {
        self.items.get(&mint.0).is_none_or(|item| {
            let (now, begun) = (&item.curve.reserves, &item.told);
            let own = item.curve.dev_buy.map_or(0, |(buy, _)| buy.quote.0);
            let quote = begun.virtual_quote.saturating_add(own);
            // Along the curve: what the launcher has added on one side left on the other.
            let product = u128::from(begun.virtual_quote) * u128::from(begun.virtual_token);
            let token = u64::try_from(product / u128::from(quote.max(1))).unwrap_or(u64::MAX);
            are_near(
                [now.virtual_quote, now.virtual_token],
                [quote, token],
                within,
            )
        })
    }

    /// Curves kept now.
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
    /// A coin launched again on another fork replaces its curve: the earlier block died. So does one whose curve is
    /// doubtful. On the same fork it is there already, and the program refuses a second launch: who has the coin's key
    /// can send one all the same, to make a curve look fresh.
    pub fn launch(&mut self, launch: &Launch, lineage: &Lineage) -> bool {
        let is_there = |known: &Curve| {
            known.tradable != Err(Untradable::Doubtful)
                && (known.launch_slot >= launch.slot
                    || lineage.builds_on(launch.slot, known.launch_slot))
        };
        if self.get(&launch.mint).is_some_and(is_there) {
            self.counters.launch_repeated += 1;
            return false;
        }
        self.insert(Curve::at_launch(launch, &self.schedule))
    }

    /// Puts `curve` in, replacing the one of the same mint. `false` when every place is held.
    ///
    /// This is also how a snapshot of account truth enters.
    pub fn insert(&mut self, curve: Curve) -> bool {
        let mut item = Item::of(curve);
        // Account data of the launch itself comes after trades that were seen already.
        item.reckoned
            .note(curve.touched_slot, fingerprint(&curve.reserves));
        let inserted = self.items.insert(curve.accounts.mint.0, item);
        match inserted {
            Inserted::Refused => {
                self.counters.curve_refused += 1;
                return false;
            }
            Inserted::Evicted => self.counters.curve_evicted += 1,
            Inserted::Replaced | Inserted::Added => {}
        }
        self.counters.curve_inserted += 1;
        true
    }

    /// Applies `trade` to its curve as it is on the fork of the trade's block.
    pub fn apply(&mut self, trade: &Trade, lineage: &Lineage) -> TableApply {
        let Some(item) = self.items.touch(&trade.mint.0) else {
            self.counters.trade_unknown_curve += 1;
            return TableApply::Unknown;
        };
        if is_counted(item.truth, trade.slot, lineage) {
            self.counters.trade_late += 1;
            return TableApply::Counted;
        }
        let applied = item.apply(trade, &self.schedule, lineage, &mut self.counters);
        match applied {
            Applied::Moved(_) => self.counters.trade_applied += 1,
            Applied::PredictedFailure => self.counters.trade_predicted_failed += 1,
        }
        self.recent.note(trade);
        TableApply::Known(applied)
    }

    /// Takes account data: it ends doubt, and where it differs from what was reckoned it wins.
    pub fn correct(&mut self, truth: &CurveTruth, lineage: &Lineage) -> Corrected {
        let Some(item) = self.items.touch(&truth.accounts.mint.0) else {
            return self.insert_truth(truth);
        };
        if !truth.version().is_after(&item.truth) {
            self.counters.truth_stale += 1;
            return Corrected::Stale;
        }
        item.truth = truth.version();
        let before = core::mem::replace(&mut item.told, truth.curve.reserves);
        let Item { curve, .. } = *item;
        let is_sure = curve.tradable != Err(Untradable::Doubtful);
        let stands = is_sure && lineage.builds_on(curve.touched_slot, truth.slot);
        // An account can be written, or read, later than the last trade without another price.
        let is_later = is_sure && truth.slot > curve.touched_slot;
        let was_reckoned = || {
            item.reckoned
                .holds(truth.slot, fingerprint(&truth.curve.reserves), lineage)
        };
        if ((stands || is_later) && curve.agrees(&truth.curve)) || (stands && was_reckoned()) {
            item.curve.prove_creator(truth.curve.creator);
            self.counters.truth_agreed += 1;
            return Corrected::Agreed;
        }
        item.past.clear();
        // What was reckoned led elsewhere.
        item.reckoned = Reckoned::new();
        // Not `corrected` alone: it never goes back to an earlier block.
        item.curve.touched_slot = truth.slot;
        item.curve = item
            .curve
            .corrected(&truth.curve, truth.supply, &self.schedule, truth.slot);
        item.reckoned
            .note(truth.slot, fingerprint(&truth.curve.reserves));
        // What was seen of later blocks stands, on another base. What of the same block comes after the account data is
        // known where one of its trades leads there from what was told before: then those seen between the two failed, for
        // a reason that no shred tells (their senders had not what they sold), and those after it stand. Else, when it was a
        // trade inside another program's call, the account will be told again.
        let (count, dev_buy) = (item.curve.trade_count, item.curve.dev_buy);
        let mint = &truth.accounts.mint;
        let told_before = BondingCurve {
            reserves: before,
            complete: false,
            ..truth.curve
        };
        let schedule = &self.schedule;
        let base = item
            .curve
            .corrected(&told_before, truth.supply, schedule, truth.slot);
        let leads_there = |trade: &Trade| {
            let mut curve = base;
            matches!(curve.apply(trade, schedule), Applied::Moved(_))
                && curve.reserves == truth.curve.reserves
        };
        let mut rest = self.recent.within(&mint.0, truth.slot);
        // Up to and with the one that leads there; to the end when none does.
        let _ = rest.by_ref().find(|trade| leads_there(trade));
        for trade in rest {
            item.apply(trade, schedule, lineage, &mut self.counters);
            self.counters.trade_replayed += 1;
        }
        for trade in self.recent.after(&mint.0, truth.slot, lineage) {
            item.apply(trade, &self.schedule, lineage, &mut self.counters);
            self.counters.trade_replayed += 1;
        }
        (item.curve.trade_count, item.curve.dev_buy) = (count, dev_buy);
        if !self.recent.is_whole_from(truth.slot) {
            self.counters.curve_doubted += u64::from(item.doubt());
        }
        if !is_sure {
            self.counters.truth_behind += 1;
            return Corrected::Behind;
        }
        self.counters.truth_diverged += 1;
        Corrected::Diverged
    }

    fn insert_truth(&mut self, truth: &CurveTruth) -> Corrected {
        let supply = truth.supply.unwrap_or(truth.curve.supply);
        let curve = Curve::from_account(
            &truth.curve,
            truth.accounts,
            supply,
            &self.schedule,
            truth.slot,
        );
        if !self.insert(curve) {
            return Corrected::Refused;
        }
        if let Some(item) = self.items.get_mut(&truth.accounts.mint.0) {
            item.truth = truth.version();
        }
        Corrected::New
    }

    /// Keeps the curve of `mint` from being evicted, or lets it go again. No effect on an unknown mint.
    pub fn set_held(&mut self, mint: &Mint, held: bool) {
        self.items.set_held(&mint.0, held);
    }

    /// Marks the curve of `mint` as doubtful, unless a firmer reason already forbids it.
    pub fn doubt(&mut self, mint: &Mint) {
        self.recent.forget_of(&mint.0);
        if let Some(item) = self.items.get_mut(&mint.0) {
            self.counters.curve_doubted += u64::from(item.doubt());
        }
    }

    /// The block of `slot` is void: curves that stand at it go back to before it, and those of which nothing from
    /// before is known become doubtful. Walks the whole table: for retractions, not for every event.
    pub fn drop_block(&mut self, slot: Slot, lineage: &Lineage) {
        self.recent.forget(|void| void == slot);
        for item in self.items.iter_mut() {
            match item.past.drop_block(item.curve.touched_slot, slot, lineage) {
                Dropped::Elsewhere => {}
                Dropped::Back(before, moved) => {
                    moved.put_back(&mut item.curve);
                    item.curve.touched_slot = before;
                    self.counters.curve_restored += 1;
                }
                Dropped::Nothing => self.counters.curve_doubted += u64::from(item.doubt()),
            }
        }
    }

    /// What account data said of slots after `last`, before anybody could know that there are none such, is void: it must not
    /// make all that comes look old. Walks the whole table.
    pub fn disbelieve_after(&mut self, last: Slot) {
        for item in self.items.iter_mut() {
            if item.truth.slot > last {
                item.truth = Version::NONE;
                self.counters.curve_doubted += u64::from(item.doubt());
            }
        }
    }

    /// Marks every curve touched in or after `slot` as doubtful and returns how many. Walks the whole table:
    /// for retractions, not for every event.
    pub fn doubt_from(&mut self, slot: Slot) -> u64 {
        self.recent.forget(|void| void >= slot);
        let mut doubted = 0;
        for item in self.items.iter_mut() {
            item.past.doubt_from(slot);
            if item.curve.touched_slot >= slot {
                doubted += u64::from(item.doubt());
            }
        }
        self.counters.curve_doubted += doubted;
        doubted
    }
}

impl Item {
    const fn of(curve: Curve) -> Self {
        Self {
            curve,
            past: Past::new(Moved::NONE),
            reckoned: Reckoned::new(),
            truth: Version::NONE,
            told: curve.reserves,
        }
    }

    /// Moves the curve by `trade` as it is on the fork of the trade's block.
    fn apply(
        &mut self,
        trade: &Trade,
        schedule: &FeeSchedule,
        lineage: &Lineage,
        counters: &mut CurveCounters,
    ) -> Applied {
        let Self {
            curve,
            past,
            reckoned,
            ..
        } = self;
        let moved = Moved::of(curve);
        match past.enter(curve.touched_slot, moved, trade.slot, lineage) {
            Entered::Late => {}
            Entered::Onward => curve.touched_slot = trade.slot,
            Entered::Switched(other) => {
                other.put_back(curve);
                curve.touched_slot = trade.slot;
                counters.curve_switched += 1;
            }
            Entered::Lost => {
                if curve.tradable.is_ok() {
                    curve.tradable = Err(Untradable::Doubtful);
                    counters.curve_doubted += 1;
                }
                curve.touched_slot = trade.slot;
            }
        }
        let applied = curve.apply(trade, schedule);
        if let Applied::Moved(_) = applied {
            reckoned.note(curve.touched_slot, fingerprint(&curve.reserves));
        }
        applied
    }

    /// Marks the curve as doubtful, whatever its fork, unless a firmer reason forbids it; tells whether it did.
    ///
    /// That it is complete is firm once account data was seen, which heals it if it is not. Before that only trades can
    /// have said so.
    fn doubt(&mut self) -> bool {
        self.past.clear();
        self.reckoned = Reckoned::new();
        let was_told = self.truth != Version::NONE;
        match self.curve.tradable {
            Ok(()) => {}
            Err(Untradable::Complete) if !was_told => {}
            Err(_) => return false,
        }
        self.curve.tradable = Err(Untradable::Doubtful);
        true
    }
}

/// Whether account data of that slot counts what the block of `slot` did: that is an earlier one of the same fork.
pub(crate) fn is_counted(truth: Version, slot: Slot, lineage: &Lineage) -> bool {
    slot < truth.slot && lineage.builds_on(truth.slot, slot)
}

fn fingerprint(reserves: &Reserves) -> u64 {
    let Reserves {
        virtual_token,
        virtual_quote,
        real_token,
        real_quote,
    } = *reserves;
    [virtual_token, virtual_quote, real_token, real_quote]
        .into_iter()
        .fold(0, mix)
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
        creator_proven: false,
    }
}
