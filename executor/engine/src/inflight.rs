//! Our transactions between the ring and the end of their blockhash's life, found by signature.

use bundle::RecentBlockhash;
use market::Lamports;
use risk::Reservation;
use shred_wire::{FecSetIndex, Nanos, Slot};
use strategy::{Intent, Position};

/// One transaction of ours.
#[derive(Debug)]
pub(crate) struct Inflight {
    pub(crate) signature: [u8; 64],
    pub(crate) intent: Intent,
    pub(crate) blockhash: RecentBlockhash,
    pub(crate) state: State,
    pub(crate) told: Told,
}

/// Which error of its program was told of one so far; what comes later outranks what comes before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Told {
    Nothing,
    Other,
    /// One that a moved layout makes.
    Drift,
}

/// Where it stands. It stays in the table in every state until it can no longer land, because blocks die and
/// what was given up may come after all.
#[derive(Debug)]
pub(crate) enum State {
    /// Handed over, not seen; its money is reserved.
    Pending(Reservation),
    /// Seen in a block and booked.
    Included(Inclusion),
    /// Seen in a block, and whether it did anything there is not known: account data will tell, or time.
    Unknown(Unknown),
    /// Given up; nothing is reserved.
    Released,
}

/// What is known of a transaction of which only its place is.
#[derive(Debug)]
pub(crate) struct Unknown {
    /// Its money; `None` when it was given up before.
    pub(crate) reservation: Option<Reservation>,
    pub(crate) slot: Slot,
    pub(crate) fec_set_index: FecSetIndex,
    pub(crate) at: Nanos,
    /// Account data has said something else than was reckoned of what it is priced by: that it agrees later says nothing
    /// of this transaction any more.
    pub(crate) is_blurred: bool,
    /// What account data says: it did what it names, or nothing.
    pub(crate) landed: Option<bool>,
}

impl State {
    const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

/// Enough to undo a booking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inclusion {
    pub(crate) slot: Slot,
    pub(crate) fec_set_index: FecSetIndex,
    pub(crate) quote: Lamports,
    /// The position before an exit took from it.
    pub(crate) before: Option<Position>,
}

/// A fixed number of them, densely, with an index by signature.
///
/// Every transaction of the stream is looked up, and hardly any is ours: that costs one or two loads from the
/// index, two bytes a place, which stays in the first cache. Nothing allocates after `new`.
#[derive(Debug)]
pub(crate) struct InflightTable {
    index: Index,
    prefixes: Box<[u64]>,
    intent_ids: Box<[u64]>,
    items: Box<[Option<Inflight>]>,
    count: usize,
    unknown_count: usize,
}

impl InflightTable {
    /// Room for `capacity` transactions, at most [`InflightTable::CAPACITY_MAX`].
    pub(crate) fn new(capacity: usize) -> Self {
        assert!(
            capacity <= Self::CAPACITY_MAX,
            "a place holds a 16-bit number"
        );
        Self {
            index: Index::new(capacity),
            prefixes: vec![0; capacity].into_boxed_slice(),
            intent_ids: vec![0; capacity].into_boxed_slice(),
            items: (0..capacity).map(|_| None).collect(),
            count: 0,
            unknown_count: 0,
        }
    }

    /// Most transactions a table can hold: one less than a place can number, zero being an empty place.
    pub(crate) const CAPACITY_MAX: usize = u16::MAX as usize - 1;

    pub(crate) const fn has_room(&self) -> bool {
        self.count < self.items.len()
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Remembers a transaction; call with room. Gives it back when there is none.
    pub(crate) fn insert(&mut self, inflight: Inflight) -> Option<Inflight> {
        if !self.has_room() {
            return Some(inflight);
        }
        let item = self.count;
        self.prefixes[item] = prefix(&inflight.signature);
        self.intent_ids[item] = inflight.intent.id;
        self.unknown_count += usize::from(inflight.state.is_unknown());
        self.items[item] = Some(inflight);
        self.index.insert(&self.prefixes, item);
        self.count += 1;
        None
    }

    #[inline]
    pub(crate) fn find(&self, signature: &[u8; 64]) -> Option<usize> {
        self.index.find(prefix(signature), |item, wanted| {
            self.prefixes[item] == wanted
                && self.items[item]
                    .as_ref()
                    .is_some_and(|known| known.signature == *signature)
        })
    }

    pub(crate) fn find_intent(&self, intent_id: u64) -> Option<usize> {
        self.intent_ids[..self.count]
            .iter()
            .position(|known| *known == intent_id)
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Inflight> {
        self.items[..self.count].get(index)?.as_ref()
    }

    /// How many are in [`State::Unknown`].
    pub(crate) const fn unknown_count(&self) -> usize {
        self.unknown_count
    }

    /// Puts one into another state and returns the one it was in.
    pub(crate) fn replace(&mut self, index: usize, state: State) -> Option<State> {
        let item = self.items[..self.count].get_mut(index)?.as_mut()?;
        self.unknown_count += usize::from(state.is_unknown());
        let before = core::mem::replace(&mut item.state, state);
        self.unknown_count -= usize::from(before.is_unknown());
        Some(before)
    }

    /// Notes that an error was told, and returns what was before.
    pub(crate) fn tell(&mut self, index: usize, told: Told) -> Option<Told> {
        let item = self.items[..self.count].get_mut(index)?.as_mut()?;
        let before = item.told;
        item.told = before.max(told);
        Some(before)
    }

    /// Takes the reservation of one in [`State::Unknown`], which stays there.
    pub(crate) fn take_reservation(&mut self, index: usize) -> Option<Reservation> {
        match &mut self.items[..self.count].get_mut(index)?.as_mut()?.state {
            State::Unknown(unknown) => unknown.reservation.take(),
            _ => None,
        }
    }

    /// Every one of which only its place is known.
    pub(crate) fn unknown_mut(&mut self) -> impl Iterator<Item = (&Intent, &mut Unknown)> {
        let items = self.items[..self.count].iter_mut().flatten();
        items.filter_map(|item| match &mut item.state {
            State::Unknown(unknown) => Some((&item.intent, unknown)),
            _ => None,
        })
    }

    /// Takes one out; the last moves into its place.
    pub(crate) fn remove(&mut self, index: usize) -> Option<Inflight> {
        if index >= self.count {
            return None;
        }
        let last = self.count - 1;
        self.index.remove(&self.prefixes, index);
        if index != last {
            self.index.renumber(&self.prefixes, last, index);
        }
        self.count = last;
        self.items.swap(index, last);
        self.prefixes.swap(index, last);
        self.intent_ids.swap(index, last);
        let removed = self.items[last].take();
        let was_unknown = removed.as_ref().is_some_and(|item| item.state.is_unknown());
        self.unknown_count -= usize::from(was_unknown);
        removed
    }
}

/// Open addressing over the items' prefixes: an item's number plus one, or zero.
///
/// At least half of the places are empty. What is searched for may be anybody's choice, but what is stored is
/// our own signatures, so nobody can make the runs of taken places long.
#[derive(Debug)]
struct Index {
    places: Box<[u16]>,
}

impl Index {
    fn new(capacity: usize) -> Self {
        let len = (capacity * 2).next_power_of_two();
        Self {
            places: vec![0; len].into_boxed_slice(),
        }
    }

    fn mask(&self) -> usize {
        self.places.len() - 1
    }

    /// The first item along the run of `prefix` that `is_it` confirms.
    #[inline]
    fn find(&self, prefix: u64, is_it: impl Fn(usize, u64) -> bool) -> Option<usize> {
        let mask = self.mask();
        let mut place = home(prefix) & mask;
        // Ends: half of the places are empty.
        while self.places[place] != 0 {
            let item = usize::from(self.places[place]) - 1;
            if is_it(item, prefix) {
                return Some(item);
            }
            place = (place + 1) & mask;
        }
        None
    }

    fn insert(&mut self, prefixes: &[u64], item: usize) {
        let mask = self.mask();
        let mut place = home(prefixes[item]) & mask;
        while self.places[place] != 0 {
            place = (place + 1) & mask;
        }
        self.places[place] = number(item);
    }

    /// Empties the item's place and closes the gap, so that no search ends before what it looks for.
    fn remove(&mut self, prefixes: &[u64], item: usize) {
        let mask = self.mask();
        let mut gap = self.place_of(prefixes, item);
        let mut place = (gap + 1) & mask;
        while self.places[place] != 0 {
            let home = home(prefixes[usize::from(self.places[place]) - 1]) & mask;
            let from_home = place.wrapping_sub(home) & mask;
            if from_home >= (place.wrapping_sub(gap) & mask) {
                self.places[gap] = self.places[place];
                gap = place;
            }
            place = (place + 1) & mask;
        }
        self.places[gap] = 0;
    }

    /// The item called `from` is called `to` now.
    fn renumber(&mut self, prefixes: &[u64], from: usize, to: usize) {
        let place = self.place_of(prefixes, from);
        self.places[place] = number(to);
    }

    /// Where an item that is in the index stands.
    fn place_of(&self, prefixes: &[u64], item: usize) -> usize {
        let mask = self.mask();
        let mut place = home(prefixes[item]) & mask;
        while self.places[place] != number(item) {
            assert!(self.places[place] != 0, "every item is in the index");
            place = (place + 1) & mask;
        }
        place
    }
}

/// Where the search for a prefix begins; signatures are uniform, so their own bits spread them.
const fn home(prefix: u64) -> usize {
    prefix as usize
}

/// What a place says about `item`; items are fewer than [`InflightTable::CAPACITY_MAX`].
const fn number(item: usize) -> u16 {
    item as u16 + 1
}

fn prefix(signature: &[u8; 64]) -> u64 {
    let (words, _) = signature.as_chunks::<8>();
    u64::from_le_bytes(words[0])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use market::{Mint, PumpAccounts, Side, TokenAmount};
    use proptest::prelude::*;
    use shred_wire::Nanos;
    use strategy::{LaneClass, Origin, Venue};

    use super::*;

    fn inflight(signature: [u8; 64], id: u64) -> Inflight {
        let intent = Intent {
            id,
            origin: Origin::Launch,
            venue: Venue::PumpV3,
            lane: LaneClass::PrivateBundle,
            side: Side::Buy,
            mint: Mint([1; 32]),
            spend: Lamports(1),
            tokens: TokenAmount(1),
            receive_min: Lamports(0),
            tip: Lamports(0),
            slot: Slot(1),
            at: Nanos(1),
            accounts: PumpAccounts::default().into(),
        };
        Inflight {
            signature,
            intent,
            blockhash: RecentBlockhash {
                hash: [1; 32],
                slot: Slot(1),
            },
            state: State::Released,
            told: Told::Nothing,
        }
    }

    /// Few distinct prefixes, so that runs grow, wrap around and break; the rest tells signatures apart.
    fn signature(prefix: u8, rest: u8) -> [u8; 64] {
        let mut signature = [0; 64];
        signature[0] = prefix.wrapping_add(250);
        signature[63] = rest;
        signature
    }

    proptest! {
        /// Goal: exactly what was put in and not taken out is found, whatever the order.
        /// Method: against a map, with a table that is full most of the time.
        #[test]
        fn it_finds_what_is_in_it_and_nothing_else(
            steps in prop::collection::vec((any::<bool>(), 0u8..10, 0u8..4, any::<prop::sample::Index>()), 0..400),
        ) {
            let mut table = InflightTable::new(24);
            let mut known = BTreeMap::new();
            for (id, (insert, prefix, rest, which)) in steps.into_iter().enumerate() {
                let signature = signature(prefix, rest);
                if insert && !known.contains_key(&signature) {
                    let room = known.len() < 24;
                    prop_assert_eq!(table.has_room(), room);
                    prop_assert_eq!(table.insert(inflight(signature, id as u64)).is_none(), room);
                    if room {
                        known.insert(signature, id as u64);
                    }
                } else if table.count() > 0 {
                    let gone = table.remove(which.index(table.count())).unwrap();
                    prop_assert_eq!(known.remove(&gone.signature), Some(gone.intent.id));
                }
                prop_assert_eq!(table.count(), known.len());
                for (prefix, rest) in (0..10).flat_map(|prefix| (0..4).map(move |rest| (prefix, rest))) {
                    let signature = super::tests::signature(prefix, rest);
                    let found = table.find(&signature).map(|at| table.get(at).unwrap().intent.id);
                    prop_assert_eq!(found, known.get(&signature).copied());
                    if let Some(id) = found {
                        prop_assert_eq!(table.find_intent(id), table.find(&signature));
                    }
                }
            }
        }
    }

    #[test]
    fn removing_from_nowhere_is_nothing() {
        let mut table = InflightTable::new(1);
        assert!(table.remove(0).is_none() && table.find(&[0; 64]).is_none());
    }
}
