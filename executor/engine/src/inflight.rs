//! Our transactions between the ring and the end of their blockhash's life, found by signature.

use bundle::RecentBlockhash;
use market::Lamports;
use risk::Reservation;
use shred_wire::{FecSetIndex, Slot};
use strategy::{Intent, Position};

/// One transaction of ours.
#[derive(Debug)]
pub(crate) struct Inflight {
    pub(crate) signature: [u8; 64],
    pub(crate) intent: Intent,
    pub(crate) blockhash: RecentBlockhash,
    pub(crate) state: State,
}

/// Where it stands. It stays in the table in every state until it can no longer land, because blocks die and
/// what was given up may come after all.
#[derive(Debug)]
pub(crate) enum State {
    /// Handed over, not seen; its money is reserved.
    Pending(Reservation),
    /// Seen in a block and booked.
    Included(Inclusion),
    /// Given up; nothing is reserved.
    Released,
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

/// A fixed number of them; a scan over one word each finds a signature.
#[derive(Debug)]
pub(crate) struct InflightTable {
    prefixes: Box<[u64]>,
    items: Box<[Option<Inflight>]>,
    count: usize,
}

impl InflightTable {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            prefixes: vec![0; capacity].into_boxed_slice(),
            items: (0..capacity).map(|_| None).collect(),
            count: 0,
        }
    }

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
        self.prefixes[self.count] = prefix(&inflight.signature);
        self.items[self.count] = Some(inflight);
        self.count += 1;
        None
    }

    #[inline]
    pub(crate) fn find(&self, signature: &[u8; 64]) -> Option<usize> {
        let wanted = prefix(signature);
        let same = |index: &usize| {
            self.items[*index]
                .as_ref()
                .is_some_and(|item| item.signature == *signature)
        };
        let candidates = self.prefixes[..self.count].iter().enumerate();
        candidates
            .filter(|(_, known)| **known == wanted)
            .map(|(index, _)| index)
            .find(same)
    }

    pub(crate) fn find_intent(&self, intent_id: u64) -> Option<usize> {
        self.items[..self.count]
            .iter()
            .flatten()
            .position(|item| item.intent.id == intent_id)
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Inflight> {
        self.items[..self.count].get(index)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Inflight> {
        self.items[..self.count].get_mut(index)?.as_mut()
    }

    /// Takes one out; the last moves into its place.
    pub(crate) fn remove(&mut self, index: usize) -> Option<Inflight> {
        if index >= self.count {
            return None;
        }
        self.count -= 1;
        self.items.swap(index, self.count);
        self.prefixes.swap(index, self.count);
        self.items[self.count].take()
    }
}

fn prefix(signature: &[u8; 64]) -> u64 {
    let (words, _) = signature.as_chunks::<8>();
    u64::from_le_bytes(words[0])
}
