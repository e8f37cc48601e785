//! Presigned ladders of what may be triggered soon: the half that orders, holds and gives them up.
//!
//! ```text
//! core                                                     signing thread
//! Engine -- LadderDesk ==== orders (draft, grid) ========> LadderWorker::poll
//!               ^  '<====== answers (signed ladders) =========|  ^
//!               |                                                |
//!               '========== retired memory ======================'
//! ```
//!
//! Laddered is what the engine could have to do at the next event and whose coin it knows: the exit from every open
//! position, and the entry of every armed signal that names a coin with a listing. Each has an intent id of its own from
//! the start, reserved with [`Intents::hold`], and so one rung at most. When the event comes the intent is reckoned as
//! always; if a rung says the same or better at the price of the moment it leaves, and otherwise its right is given up
//! and the intent is signed the usual way. A ladder that is asked is used up, whatever comes of it.
//!
//! The engine looks after its ladders at the end of each block: it orders what is missing, renews what the blockhash or
//! the market has left behind, and gives up what is not wanted any more.

use core::mem::MaybeUninit;

use bundle::RecentBlockhash;
use bundle::builder::DraftNames;
use bundle::ladder::{
    BLOCKHASH_COUNT_MAX, Held, Intents, LadderSigner, NoRung, Retired, SIZE_COUNT_MAX,
};
use market::{BPS_WHOLE, Bps, Key, Lamports, Mint, Side};
use rtrb::{Consumer, Producer, RingBuffer};
use shred_wire::Slot;
use shred_wire::txn::LEGACY_AND_V0_LEN_MAX;
use strategy::{Intent, LaneClass, Origin, Params, Position};

use crate::counters::Counters;
use crate::ladder_worker::{LadderAnswer, LadderOrder, LadderWorker, Values};

/// How many ladders there are and how large and old they get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LadderPlan {
    /// Most intents held ready at once, at most [`LadderPlan::HELD_MAX`]; positions come before signals.
    pub held_max: usize,
    /// Sizes of a ladder, at most [`SIZE_COUNT_MAX`].
    pub sizes: usize,
    /// Blockhashes of a ladder, at most [`BLOCKHASH_COUNT_MAX`]; with two, one may be retracted.
    pub blockhashes: usize,
    /// A ladder is renewed once there is a blockhash so many slots newer than its own. Where transactions carry a slot
    /// guard, at the latest after a quarter of it.
    pub renew_slots: u64,
    /// Longest transaction, bytes; what is longer is signed the usual way.
    pub transaction_len: usize,
}

impl LadderPlan {
    /// Most intents a desk holds ready.
    pub const HELD_MAX: usize = 64;

    /// The plan with what it cannot have cut to what it can.
    fn bounded(self) -> Self {
        Self {
            held_max: self.held_max.clamp(1, Self::HELD_MAX),
            sizes: self.sizes.clamp(1, SIZE_COUNT_MAX),
            blockhashes: self.blockhashes.clamp(1, BLOCKHASH_COUNT_MAX),
            renew_slots: self.renew_slots.max(1),
            ..self
        }
    }

    /// One ladder held and one on its way for each.
    pub(crate) const fn blank_count(&self) -> usize {
        2 * self.held_max
    }
}

impl Default for LadderPlan {
    /// Eight intents, 16 sizes over two blockhashes, renewed every eight slots: 0.7 MB, and some 400 us of another
    /// thread's time for each ladder.
    fn default() -> Self {
        Self {
            held_max: 8,
            sizes: SIZE_COUNT_MAX,
            blockhashes: 2,
            renew_slots: 8,
            transaction_len: LEGACY_AND_V0_LEN_MAX,
        }
    }
}

/// Both halves, joined by rings. The desk belongs to the engine ([`crate::Engine::with_ladders`]), the worker to a
/// thread off the core. `signer` is that of the engine's builder ([`bundle::Builder::ladder_signer`]). Allocates
/// everything that either will use.
#[must_use]
pub fn ladders(signer: LadderSigner, plan: LadderPlan) -> (LadderDesk, LadderWorker) {
    let plan = plan.bounded();
    let (orders, orders_out) = touched_ring(plan.held_max);
    // Both have room for all the memory there is, so that neither half ever waits for the other.
    let (answers_in, answers) = touched_ring(plan.blank_count());
    let (retired, retired_out) = touched_ring(plan.blank_count());
    let key = *signer.public_key();
    let worker = LadderWorker::new(signer, &plan, orders_out, answers_in, retired_out);
    let desk = LadderDesk {
        key,
        plan,
        intents: Intents::default(),
        purposes: vec![None; plan.held_max].into(),
        places: (0..plan.held_max).map(|_| Place::default()).collect(),
        spent: None,
        orders,
        answers,
        retired,
    };
    (desk, worker)
}

/// A ring whose memory was written once, so that a first use takes no page fault.
fn touched_ring<T>(cell_count: usize) -> (Producer<T>, Consumer<T>) {
    let (mut producer, consumer) = RingBuffer::new(cell_count);
    if let Ok(mut chunk) = producer.write_chunk_uninit(cell_count) {
        let (first, second) = chunk.as_mut_slices();
        first.fill_with(MaybeUninit::zeroed);
        second.fill_with(MaybeUninit::zeroed);
        // Dropped without a commit: nothing was sent.
    }
    (producer, consumer)
}

/// What a ladder is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// The exit from the position in a coin.
    Exit(Mint),
    /// The entry into a coin that the signal of this id waits for.
    Entry(Mint, u64),
}

impl Purpose {
    /// What `intent` is an instance of; nothing is laddered for a launch.
    pub(crate) const fn of(intent: &Intent) -> Option<Self> {
        match (intent.side, intent.origin) {
            (Side::Sell, _) => Some(Self::Exit(intent.mint)),
            (Side::Buy, Origin::Signal(signal_id)) => Some(Self::Entry(intent.mint, signal_id)),
            (Side::Buy, _) => None,
        }
    }
}

/// What is to be ordered for a purpose, as things stand.
pub(crate) struct Due {
    /// As if triggered now; without an id.
    pub(crate) intent: Intent,
    /// What the market gives for it.
    pub(crate) given: u64,
    /// What the grid is made around; a different one needs another grid.
    pub(crate) shape: Shape,
    /// Where the market is: what moves the grid when it leaves its middle.
    pub(crate) measure: u64,
}

/// What sizes are made from beside the market.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// The slippage allowed.
    Entry(Bps),
    Exit(Thresholds),
}

/// What is known of an exit before it is triggered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Thresholds {
    /// Value at which profit is taken.
    target: u64,
    /// Value at which the position is given up.
    stop: u64,
    /// Least that is asked for whatever the price, rounded up so that not every change of it is another grid.
    floor: u64,
    exit_slippage: Bps,
    stop_slippage: Bps,
}

impl Thresholds {
    pub(crate) fn of(position: &Position, params: &Params) -> Self {
        let part = |bps: u64| u128::from(position.cost.0) * u128::from(bps);
        let whole = u128::from(BPS_WHOLE);
        let target = part(BPS_WHOLE + u64::from(params.take_profit.0)).div_ceil(whole);
        let stop = part(BPS_WHOLE.saturating_sub(u64::from(params.stop_loss.0))) / whole;
        Self {
            target: u64::try_from(target).unwrap_or(u64::MAX),
            stop: u64::try_from(stop).unwrap_or(u64::MAX),
            floor: rounded_up(position.floor(params.exit_floor).0),
            exit_slippage: params.exit_slippage,
            stop_slippage: params.stop_slippage,
        }
    }
}

/// The sizes of a grid, and between which measures of the market it is still in the middle.
struct Sizes {
    values: Values<SIZE_COUNT_MAX>,
    low: u64,
    high: u64,
}

impl Sizes {
    fn around(due: &Due, count: usize) -> Self {
        match &due.shape {
            Shape::Entry(slippage) => Self::of_entry(due.measure, *slippage, count),
            Shape::Exit(thresholds) => Self::of_exit(due.measure, thresholds, count),
        }
    }

    /// Tokens to ask for, around the `tokens` that would be asked for now: half the slippage apart, so that at any price
    /// within there is one between what is asked for and what the market gives. More lie below: what triggers an entry is
    /// mostly somebody's buy.
    fn of_entry(tokens: u64, slippage: Bps, count: usize) -> Self {
        let step = part(slippage, 1, 2);
        let below = count / 2 + usize::from(count > 2);
        let mut values = Values::new(count);
        values.push(tokens);
        let mut size = tokens;
        for _ in 0..below.min(count - 1) {
            size = down(size, step);
            values.push(size);
        }
        size = tokens;
        for _ in below + 1..count {
            size = up(size, step);
            values.push(size);
        }
        values.sort();
        let sizes = values.as_slice();
        let at = |index: usize| sizes.get(index).or(sizes.last()).copied().unwrap_or(0);
        let (low, high) = (at(sizes.len() / 4), at(sizes.len() * 3 / 4));
        Self { values, low, high }
    }

    /// Least lamports to ask for: beyond each threshold as far as the price may have run past it when it is noticed, and
    /// around the price now, for exits that no price triggers. Three quarters of the slippage apart.
    fn of_exit(now: u64, thresholds: &Thresholds, count: usize) -> Self {
        let Thresholds {
            target,
            stop,
            floor,
            exit_slippage,
            stop_slippage,
        } = *thresholds;
        let less = |value: u64, slippage: Bps| Lamports(value).less_bps(slippage).0.max(1);
        let profit_step = part(exit_slippage, 3, 4);
        let stop_step = part(stop_slippage, 3, 4);
        let mut profit = less(target.max(now), exit_slippage);
        let mut loss = less(stop.min(now), stop_slippage);
        let mut lower = less(now, stop_slippage);
        let mut values = Values::new(count);
        for value in [profit, loss, lower, floor.max(1)] {
            values.push(value);
        }
        for round in 0..3 {
            profit = up(profit, profit_step);
            values.push(profit);
            loss = down(loss, stop_step);
            values.push(loss);
            if round < 2 {
                lower = down(lower, stop_step);
                values.push(lower);
            }
        }
        // For a signal that asks for a better price than a stop does.
        let near = less(now, exit_slippage);
        for value in [
            near,
            up(less(now, stop_slippage), stop_step),
            up(near, profit_step),
        ] {
            values.push(value);
        }
        values.push(up(profit, profit_step));
        values.sort();
        Self {
            values,
            low: down(now, stop_step),
            high: up(now, stop_step),
        }
    }
}

/// Of which part a rung may ask for more than a floor does.
pub(crate) const FLOOR_SHARE: u64 = 16;

/// `floor` or less than a [`FLOOR_SHARE`] of it more: six significant bits.
fn rounded_up(floor: u64) -> u64 {
    let step = 1 << floor.checked_ilog2().unwrap_or(0).saturating_sub(5);
    floor.checked_next_multiple_of(step).unwrap_or(floor)
}

fn part(slippage: Bps, numerator: u64, denominator: u64) -> u64 {
    (u64::from(slippage.0) * numerator / denominator).max(1)
}

/// The next larger size, a `step` in basis points away and one at least.
fn up(size: u64, step: u64) -> u64 {
    let added = u128::from(size) * u128::from(step) / u128::from(BPS_WHOLE);
    size.saturating_add(u64::try_from(added).unwrap_or(u64::MAX).max(1))
}

/// The next smaller size; from 1 there is none, and it stays.
fn down(size: u64, step: u64) -> u64 {
    let whole = u128::from(BPS_WHOLE);
    let left = u128::from(size) * whole / (whole + u128::from(step));
    // Less than `size`.
    (left as u64).min(size.saturating_sub(1)).max(1)
}

/// The blockhashes of a grid, newest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GridHashes {
    pub(crate) hashes: [RecentBlockhash; BLOCKHASH_COUNT_MAX],
    pub(crate) count: usize,
    /// From which index on they are the stream's own, which knows when one leaves the chain.
    pub(crate) streams_from: usize,
}

impl GridHashes {
    fn newest(&self) -> Slot {
        self.hashes[0].slot
    }

    fn streams(&self) -> &[RecentBlockhash] {
        self.hashes
            .get(self.streams_from..self.count)
            .unwrap_or_default()
    }
}

/// What a ladder was made for.
#[derive(Clone, Copy)]
struct Terms {
    names: DraftNames,
    lane: LaneClass,
    tip: Lamports,
    /// What all rungs have in common: the most a buy spends, the tokens a sale gives.
    fixed: u64,
    wallet_floor: Lamports,
    shape: Shape,
    /// Measures of the market between which it is in the middle of the grid.
    low: u64,
    high: u64,
    hashes: GridHashes,
}

impl Terms {
    /// Whether rungs of these terms are transactions of `intent`, but for what they differ in.
    fn serve(&self, intent: &Intent) -> bool {
        self.fixed == fixed(intent) && self.lane == intent.lane && self.names.serve(intent)
    }
}

const fn fixed(intent: &Intent) -> u64 {
    match intent.side {
        Side::Buy => intent.spend.0,
        Side::Sell => intent.tokens.0,
    }
}

/// One intent that is held ready.
#[derive(Default)]
struct Place {
    held: Option<Held>,
    /// Of the ladder that has arrived.
    terms: Option<Terms>,
    /// Of the last order.
    ordered: Option<Terms>,
    /// The last order has no answer yet.
    is_awaited: bool,
    /// Of an entry: where its signal stands among the armed ones, which it never leaves for another place.
    armed_index: usize,
}

/// Orders ladders for what an engine may have to do soon, and holds them until it does.
pub struct LadderDesk {
    /// Whose signatures come.
    key: Key,
    plan: LadderPlan,
    intents: Intents,
    /// What each place is for; together, because a trigger scans them.
    purposes: Box<[Option<Purpose>]>,
    places: Box<[Place]>,
    /// Memory of a rung that is just leaving.
    spent: Option<Retired>,
    orders: Producer<LadderOrder>,
    answers: Consumer<LadderAnswer>,
    retired: Producer<Retired>,
}

/// What a trigger finds: the right to one rung, and whether a rung could serve.
pub(crate) struct Found {
    pub(crate) held: Held,
    pub(crate) is_served: Result<(), NoRung>,
}

impl LadderDesk {
    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) const fn plan(&self) -> &LadderPlan {
        &self.plan
    }

    /// Puts ladders that have come in where they belong.
    #[inline]
    pub(crate) fn take_arrivals(&mut self, counters: &mut Counters) {
        while let Ok(answer) = self.answers.pop() {
            self.arrive(answer, counters);
        }
    }

    fn arrive(&mut self, answer: LadderAnswer, counters: &mut Counters) {
        let intent_id = match &answer {
            LadderAnswer::Made(ladder) => ladder.intent_id(),
            LadderAnswer::Refused { intent_id } => *intent_id,
        };
        let is_its = |place: &&mut Place| {
            let held = place.held.as_ref();
            held.is_some_and(|held| held.intent_id() == intent_id)
        };
        let place = self.places.iter_mut().find(is_its);
        match (answer, place) {
            (LadderAnswer::Refused { .. }, place) => {
                counters.ladder_failed += 1;
                if let Some(place) = place {
                    place.is_awaited = false;
                }
            }
            (LadderAnswer::Made(ladder), None) => {
                // Nobody waits for it any more: the intent had its turn, or is not wanted.
                counters.ladder_late += 1;
                retire(&mut self.retired, ladder.retire());
            }
            (LadderAnswer::Made(ladder), Some(place)) => {
                place.is_awaited = false;
                let Some(held) = &mut place.held else {
                    return retire(&mut self.retired, ladder.retire());
                };
                match held.renew(ladder) {
                    Ok(replaced) => {
                        place.terms = place.ordered;
                        if let Some(replaced) = replaced {
                            retire(&mut self.retired, replaced.retire());
                        }
                    }
                    Err(older) => retire(&mut self.retired, older.retire()),
                }
            }
        }
    }

    /// The block of `slot` left the chain: nothing over its blockhash leaves any more.
    pub(crate) fn retract(&mut self, slot: Slot) {
        for held in self
            .places
            .iter_mut()
            .filter_map(|place| place.held.as_mut())
        {
            held.retract(slot);
        }
    }

    pub(crate) fn purpose(&self, index: usize) -> Option<Purpose> {
        self.purposes.get(index).copied().flatten()
    }

    pub(crate) fn find(&self, purpose: Purpose) -> Option<usize> {
        self.purposes
            .iter()
            .position(|known| *known == Some(purpose))
    }

    /// Whether there is a place for `purpose`, or one that would be made.
    pub(crate) fn has_place(&self, purpose: Purpose) -> bool {
        let is_exit = matches!(purpose, Purpose::Exit(_));
        self.purposes.iter().any(|known| match known {
            None => true,
            Some(Purpose::Entry(..)) => is_exit,
            Some(Purpose::Exit(_)) => false,
        })
    }

    /// A place to order for: a free one, or for an exit that of an entry, which is given up.
    pub(crate) fn vacancy(&mut self, purpose: Purpose, counters: &mut Counters) -> Option<usize> {
        let free = self.purposes.iter().position(Option::is_none);
        if free.is_some() || !matches!(purpose, Purpose::Exit(_)) {
            return free;
        }
        let is_entry = |known: &Option<Purpose>| matches!(known, Some(Purpose::Entry(..)));
        let entry = self.purposes.iter().position(is_entry)?;
        self.cancel(entry, counters);
        Some(entry)
    }

    /// Gives up what is held at `index`: it is not wanted, or cannot be used.
    pub(crate) fn cancel(&mut self, index: usize, counters: &mut Counters) {
        if let Some(held) = self.vacate(index) {
            counters.ladder_cancelled += 1;
            self.give_up(held);
        }
    }

    /// Empties a place.
    fn vacate(&mut self, index: usize) -> Option<Held> {
        *self.purposes.get_mut(index)? = None;
        self.places.get_mut(index)?.held.take()
    }

    /// Gives the right to a rung up; what was signed goes back to be wiped.
    pub(crate) fn give_up(&mut self, held: Held) {
        if let Some(retired) = held.forgo() {
            retire(&mut self.retired, retired);
        }
    }

    /// Keeps the memory of a rung that has left until there is time to give it back.
    #[inline]
    pub(crate) fn keep_spent(&mut self, retired: Retired) {
        self.spent = Some(retired);
    }

    /// Gives back what [`LadderDesk::keep_spent`] kept.
    #[inline]
    pub(crate) fn return_spent(&mut self) {
        if let Some(retired) = self.spent.take() {
            retire(&mut self.retired, retired);
        }
    }

    /// Takes out what is held for `intent`, which is being triggered.
    #[inline]
    pub(crate) fn take(&mut self, intent: &Intent) -> Option<Found> {
        let index = self.find(Purpose::of(intent)?)?;
        let held = self.vacate(index)?;
        let is_served = match &self.places[index].terms {
            None => Err(NoRung::NoLadder),
            Some(terms) if terms.serve(intent) => Ok(()),
            Some(_) => Err(NoRung::Terms),
        };
        Some(Found { held, is_served })
    }

    /// The right that [`LadderDesk::take`] would find for `intent`, left where it is.
    pub(crate) fn look(&self, intent: &Intent) -> Option<&Held> {
        let index = self.find(Purpose::of(intent)?)?;
        self.places.get(index)?.held.as_ref()
    }

    /// Whether the chain has left behind what is held or ordered at `index`: a blockhash of it that the stream told is
    /// not on the chain any more, or the newest usable is an older one.
    pub(crate) fn is_off_chain(
        &self,
        index: usize,
        newest: Option<Slot>,
        is_on_chain: impl Fn(&[u8; 32]) -> bool,
    ) -> bool {
        let Some(Place { terms, ordered, .. }) = self.places.get(index) else {
            return false;
        };
        let mut all = [terms, ordered].into_iter().flatten();
        all.any(|terms| {
            newest.is_some_and(|newest| newest < terms.hashes.newest())
                || !terms
                    .hashes
                    .streams()
                    .iter()
                    .all(|told| is_on_chain(&told.hash))
        })
    }

    /// Whether another ladder is to be ordered for the place at `index`.
    pub(crate) fn needs(
        &self,
        index: usize,
        due: &Due,
        newest: Slot,
        wallet_floor: Lamports,
        renew_slots: u64,
    ) -> bool {
        let Some(place) = self.places.get(index).filter(|place| !place.is_awaited) else {
            return false;
        };
        let Some(terms) = &place.ordered else {
            return true;
        };
        newest.0 >= terms.hashes.newest().0.saturating_add(renew_slots)
            || !terms.serve(&due.intent)
            || terms.tip != due.intent.tip
            || terms.wallet_floor < wallet_floor
            || terms.shape != due.shape
            || !(terms.low..=terms.high).contains(&due.measure)
    }

    /// Whether an order would be taken now.
    pub(crate) fn has_room(&self) -> bool {
        !self.orders.is_full()
    }

    /// Reserves the intent of `id` for `purpose` at a free place.
    pub(crate) fn open(
        &mut self,
        index: usize,
        purpose: Purpose,
        armed_index: usize,
        id: u64,
    ) -> bool {
        let Some(held) = self.intents.hold(id) else {
            return false;
        };
        self.purposes[index] = Some(purpose);
        self.places[index] = Place {
            held: Some(held),
            armed_index,
            ..Place::default()
        };
        true
    }

    /// Where the signal stands whose entry the place at `index` is for.
    pub(crate) fn armed_index(&self, index: usize) -> Option<usize> {
        Some(self.places.get(index)?.armed_index)
    }

    /// Which intent the place at `index` holds.
    pub(crate) fn intent_id(&self, index: usize) -> Option<u64> {
        Some(self.places.get(index)?.held.as_ref()?.intent_id())
    }

    /// Orders a ladder for the intent held at `index`, rendered from `draft`; `None` is one that cannot be drafted and is
    /// not tried again before its time. Call with room.
    pub(crate) fn order(
        &mut self,
        index: usize,
        due: &Due,
        draft: Option<bundle::Draft>,
        hashes: &GridHashes,
        wallet_floor: Lamports,
        counters: &mut Counters,
    ) {
        let Some(intent_id) = self.intent_id(index) else {
            return;
        };
        let place = &mut self.places[index];
        let sizes = Sizes::around(due, self.plan.sizes);
        let is_renewal = place.ordered.is_some();
        let intent = &due.intent;
        place.ordered = Some(Terms {
            names: DraftNames::of(intent, draft.as_ref()),
            lane: intent.lane,
            tip: intent.tip,
            fixed: fixed(intent),
            wallet_floor,
            shape: due.shape,
            low: sizes.low,
            high: sizes.high,
            hashes: *hashes,
        });
        let Some(draft) = draft else {
            counters.ladder_failed += 1;
            return;
        };
        let order = LadderOrder {
            intent_id,
            draft,
            side: intent.side,
            fixed: fixed(intent),
            sizes: sizes.values,
            tip: intent.tip,
            blockhashes: hashes.hashes,
            blockhash_count: hashes.count,
        };
        if self.orders.push(order).is_err() {
            // As if it had not been tried, but for the intent's number.
            counters.ladder_order_full += 1;
            place.ordered = None;
            return;
        }
        place.is_awaited = true;
        counters.ladder_ordered += 1;
        counters.ladder_renewed += u64::from(is_renewal);
    }

    /// Intents held ready.
    #[must_use]
    pub fn held_count(&self) -> usize {
        self.purposes.iter().flatten().count()
    }

    /// Intents whose ladder has arrived.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        let places = self.purposes.iter().zip(&self.places);
        places
            .filter(|(purpose, place)| purpose.is_some() && place.terms.is_some())
            .count()
    }
}

/// Sends memory back to be wiped. The ring has room for all there is; were it not so, dropping it wipes it too.
fn retire(ring: &mut Producer<Retired>, retired: Retired) {
    let _ = ring.push(retired);
}

impl core::fmt::Debug for LadderDesk {
    /// Shows no bytes.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LadderDesk")
            .field("plan", &self.plan)
            .field("held", &self.held_count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest value between two others, as a ladder chooses.
    fn chosen(sizes: &Sizes, min: u64, max: u64) -> Option<u64> {
        let values = sizes.values.as_slice();
        assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
        assert!(!values.is_empty() && values.len() <= SIZE_COUNT_MAX && values[0] > 0);
        let found = values.iter().find(|size| **size >= min);
        found.copied().filter(|size| *size <= max)
    }

    /// Goal: wherever the price has moved within the grid, a size lies between what is asked for and what there is.
    #[test]
    fn an_entry_is_served_at_every_price_around() {
        for slippage in [100, 300, 1_000, 5_000] {
            let whole = 1_000_000_000u64;
            let now = Lamports(whole).less_bps(Bps(slippage)).0;
            let sizes = Sizes::of_entry(now, Bps(slippage), SIZE_COUNT_MAX);
            assert_eq!(chosen(&sizes, now, whole), Some(now), "as a build would");
            let values = sizes.values.as_slice();
            assert!(sizes.low < now && now < sizes.high, "{slippage}");
            let (first, last) = (values[0], values[SIZE_COUNT_MAX - 1]);
            for moved in (first..last).step_by(997_000) {
                let given = (u128::from(moved) * u128::from(whole) / u128::from(now)) as u64;
                let asked = Lamports(given).less_bps(Bps(slippage)).0;
                if asked <= last {
                    assert!(chosen(&sizes, asked, given).is_some(), "{slippage} {moved}");
                }
            }
            assert_eq!(chosen(&sizes, last + 1, u64::MAX), None);
        }
    }

    /// Goal: at each threshold, and somewhat past it, an exit is served; at the price now as well.
    #[test]
    fn an_exit_is_served_at_its_thresholds() {
        let params = Params::default();
        let thresholds = Thresholds {
            target: 140_000_000,
            stop: 80_000_000,
            floor: 50_000_000,
            exit_slippage: params.exit_slippage,
            stop_slippage: params.stop_slippage,
        };
        for now in [81_000_000, 100_000_000, 139_000_000] {
            let sizes = Sizes::of_exit(now, &thresholds, SIZE_COUNT_MAX);
            let serves = |value: u64, slippage: Bps| {
                let least = Lamports(value).less_bps(slippage).0;
                chosen(&sizes, least, value).is_some()
            };
            for past in 0..=14 {
                let profit = 140_000_000 + 1_400_000 * past;
                assert!(serves(profit, params.exit_slippage), "{now}: +{past} %");
            }
            for past in 0..=45 {
                let stop = 80_000_000 - 800_000 * past;
                assert!(serves(stop, params.stop_slippage), "{now}: -{past} %");
            }
            assert!(serves(now, params.stop_slippage) && serves(now, params.exit_slippage));
            assert_eq!(chosen(&sizes, 50_000_000, 50_000_000), Some(50_000_000));
            let exact = Lamports(now).less_bps(params.stop_slippage).0;
            assert_eq!(chosen(&sizes, exact, now), Some(exact), "as a build would");
        }
    }

    #[test]
    fn a_floor_is_rounded_up_by_a_share_at_most() {
        assert_eq!(
            [0, 1, 63, 64, 65, 1_000].map(rounded_up),
            [0, 1, 63, 64, 66, 1_008]
        );
        for floor in (1..u64::MAX / 4).step_by(usize::MAX / 977).chain(1..5_000) {
            let rounded = rounded_up(floor);
            assert!(
                (floor..=floor + floor / FLOOR_SHARE).contains(&rounded),
                "{floor}"
            );
        }
        assert!(rounded_up(u64::MAX) == u64::MAX);
    }

    #[test]
    fn sizes_are_ascending_and_above_nothing_whatever_comes() {
        for count in 1..=SIZE_COUNT_MAX {
            for value in [0, 1, 2, 3, 1_000, u64::MAX] {
                for slippage in [0, 1, 9_999] {
                    let entry = Sizes::of_entry(value, Bps(slippage), count);
                    let thresholds = Thresholds {
                        target: value,
                        stop: value / 2,
                        floor: 0,
                        exit_slippage: Bps(slippage),
                        stop_slippage: Bps(slippage),
                    };
                    let exit = Sizes::of_exit(value, &thresholds, count);
                    for sizes in [entry, exit] {
                        let values = sizes.values.as_slice();
                        assert!(values.len() <= count && sizes.low <= sizes.high);
                        assert!(values.is_sorted_by(|a, b| a < b) && values[0] > 0 || value == 0);
                    }
                }
            }
        }
    }
}
