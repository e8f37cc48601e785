//! Open positions in a fixed array, found by coin.

use market::{Lamports, Mint, TokenAmount};
use shred_wire::Slot;
use strategy::{Origin, Position};

/// At most as many positions as the gate allows.
#[derive(Debug)]
pub(crate) struct Positions {
    items: Box<[Option<Held>]>,
    count: usize,
}

/// A position and how its exits fared.
#[derive(Clone, Copy, Debug)]
struct Held {
    position: Position,
    deferral: Option<Deferral>,
    missed: Missed,
    /// The latest balance of it that account data told, and of which slot.
    told: Option<(Slot, TokenAmount)>,
}

/// Exits that left and were not taken since the position's reference was set.
#[derive(Clone, Copy, Debug, Default)]
struct Missed {
    count: u32,
    first: Option<Slot>,
}

/// Exits that are not taken until the floor gives way a step, and then the next.
const FLOOR_TRIES: u32 = 2;
/// The same in slots since the first that was not taken.
const FLOOR_SLOTS: u64 = 8;

/// Exits for one reason failed one after the other; the next waits.
#[derive(Clone, Copy, Debug)]
struct Deferral {
    origin: u8,
    failed_count: u32,
    until: Slot,
}

/// Longest wait between two tries to leave for the same reason.
const DEFERRAL_SLOTS_MAX: u64 = 8;

impl Positions {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            items: vec![None; capacity].into_boxed_slice(),
            count: 0,
        }
    }

    /// Open positions, densely in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Position> {
        self.held().map(|held| &held.position)
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        self.items[..self.count].iter().flatten()
    }

    fn held_mut(&mut self, mint: &Mint) -> Option<&mut Held> {
        self.items[..self.count]
            .iter_mut()
            .flatten()
            .find(|held| held.position.mint == *mint)
    }

    /// The position at `index`; indexes run from 0 to the count.
    pub(crate) fn at(&self, index: usize) -> Option<&Position> {
        let held = self.items[..self.count].get(index)?.as_ref();
        held.map(|held| &held.position)
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    #[inline]
    pub(crate) fn get(&self, mint: &Mint) -> Option<&Position> {
        self.iter().find(|position| position.mint == *mint)
    }

    pub(crate) fn get_mut(&mut self, mint: &Mint) -> Option<&mut Position> {
        self.held_mut(mint).map(|held| &mut held.position)
    }

    /// An exit for `origin` failed in `slot`: the next one waits one slot, then two, then four, at most
    /// [`DEFERRAL_SLOTS_MAX`]. An exit for another reason does not: a stop is not held up by a missed profit.
    pub(crate) fn exit_failed(&mut self, mint: &Mint, origin: Origin, slot: Slot) {
        let Some(held) = self.held_mut(mint) else {
            return;
        };
        let origin = origin.code();
        let same = held.deferral.filter(|deferral| deferral.origin == origin);
        let failed_count = same.map_or(0, |deferral| deferral.failed_count);
        let wait = 1u64.checked_shl(failed_count).unwrap_or(u64::MAX);
        held.deferral = Some(Deferral {
            origin,
            failed_count: failed_count.saturating_add(1),
            until: Slot(slot.0.saturating_add(wait.min(DEFERRAL_SLOTS_MAX))),
        });
    }

    /// An exit that left was not taken, in `slot`: after two such, or eight slots of them, the floor gives way a step
    /// ([`Position::floor`]). What did not leave (the gate, the ring) is no sign of a price.
    pub(crate) fn exit_missed(&mut self, mint: &Mint, slot: Slot) {
        let Some(held) = self.held_mut(mint) else {
            return;
        };
        let missed = &mut held.missed;
        missed.count = missed.count.saturating_add(1);
        let first = *missed.first.get_or_insert(slot);
        let by_count = u64::from(missed.count / FLOOR_TRIES);
        let by_slots = slot.0.saturating_sub(first.0) / FLOOR_SLOTS;
        let steps = by_count.max(by_slots).min(u64::from(u8::MAX)) as u8;
        held.position.floor_steps = held.position.floor_steps.max(steps);
    }

    /// Account data says that all of the position is worth `value`: its floor follows, and gives way from there anew.
    pub(crate) fn set_reference(&mut self, mint: &Mint, value: Lamports) {
        let Some(held) = self.held_mut(mint) else {
            return;
        };
        (held.position.reference, held.position.floor_steps) = (value, 0);
        held.missed = Missed::default();
    }

    /// Account data tells a balance of the coin; `false` when one of a later slot was told before, or nothing is held.
    pub(crate) fn tell(&mut self, mint: &Mint, slot: Slot, tokens: TokenAmount) -> bool {
        let Some(held) = self.held_mut(mint) else {
            return false;
        };
        let is_news = held.told.is_none_or(|(before, _)| slot >= before);
        if is_news {
            held.told = Some((slot, tokens));
        }
        is_news
    }

    pub(crate) fn told(&self, mint: &Mint) -> Option<(Slot, TokenAmount)> {
        let mut held = self.held();
        held.find(|held| held.position.mint == *mint)?.told
    }

    /// Whether an exit for `origin` must still wait in `slot`.
    pub(crate) fn is_deferred(&self, mint: &Mint, origin: Origin, slot: Slot) -> bool {
        let held = self.held().find(|held| held.position.mint == *mint);
        held.and_then(|held| held.deferral)
            .is_some_and(|deferral| deferral.origin == origin.code() && slot < deferral.until)
    }

    /// Opens a position; `false` without room, or when one in the coin is open.
    pub(crate) fn open(&mut self, position: Position) -> bool {
        if self.count == self.items.len() || self.get(&position.mint).is_some() {
            return false;
        }
        self.items[self.count] = Some(Held {
            position,
            deferral: None,
            missed: Missed::default(),
            told: None,
        });
        self.count += 1;
        true
    }

    /// Takes `sold` tokens off the position, with their share of its cost, and returns it as it was. It closes
    /// when none are left.
    pub(crate) fn reduce(&mut self, mint: &Mint, sold: TokenAmount) -> Option<Position> {
        let position = self.get_mut(mint)?;
        let before = *position;
        let left = before.tokens.0.saturating_sub(sold.0);
        if left == 0 {
            return self.close(mint);
        }
        let share = |of: Lamports| {
            Lamports((u128::from(of.0) * u128::from(left) / u128::from(before.tokens.0)) as u64)
        };
        *position = Position {
            tokens: TokenAmount(left),
            cost: share(before.cost),
            reference: share(before.reference),
            exiting: false,
            ..before
        };
        Some(before)
    }

    pub(crate) fn close(&mut self, mint: &Mint) -> Option<Position> {
        let index = self.iter().position(|position| position.mint == *mint)?;
        self.count -= 1;
        self.items.swap(index, self.count);
        self.items[self.count].take().map(|held| held.position)
    }
}
