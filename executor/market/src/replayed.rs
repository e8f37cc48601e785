//! The last changes of curves or pools, so that those of later blocks are reckoned again on what account data says.
//!
//! Account data comes a slot or so late. Where it differs from what was reckoned, everything since was reckoned on a wrong
//! base: without this a curve or pool would stand a slot back until nobody trades on it.

use shred_wire::{Nanos, Slot};

use crate::event::{Amounts, Form, ShownAccounts, Side, Trade};
use crate::forked::Lineage;
use crate::units::{Key, Lamports, Mint, TokenAmount};

/// Changes remembered, of all curves or all pools together: some ten times what a busy slot holds.
const CHANGES: usize = 1_024;

/// A change that can be made again.
pub(crate) trait Change: Copy {
    /// What fills an unused place.
    const NONE: Self;

    /// What it changes.
    fn key(&self) -> &Key;

    /// Slot of the block it stands in.
    fn slot(&self) -> Slot;
}

/// A ring of changes, allocated once: about 700 kB of trades, about 130 kB of pools' changes.
#[derive(Debug)]
pub(crate) struct Recent<C> {
    changes: Box<[C]>,
    /// What is looked through: the first bytes of each change's key, 0 of one that is void.
    words: Box<[u64]>,
    at: usize,
    /// Latest slot of a change that gave way to a newer one.
    lost: Option<Slot>,
}

impl<C: Change> Recent<C> {
    pub(crate) fn new() -> Self {
        Self {
            changes: vec![C::NONE; CHANGES].into_boxed_slice(),
            words: vec![0; CHANGES].into_boxed_slice(),
            at: 0,
            lost: None,
        }
    }

    #[inline]
    pub(crate) fn note(&mut self, change: &C) {
        let index = self.at % CHANGES;
        if self.words[index] != 0 {
            self.lost = self.lost.max(Some(self.changes[index].slot()));
        }
        self.changes[index] = *change;
        self.words[index] = word(change.key());
        self.at = self.at.wrapping_add(1);
    }

    /// Whether every change in the block of `slot` and those after it is still remembered. Anybody can push them out with changes that
    /// fail: what is reckoned anew from there may then lack some.
    pub(crate) fn is_whole_from(&self, slot: Slot) -> bool {
        self.lost.is_none_or(|lost| lost < slot)
    }

    /// Changes of `key` in blocks that build on that of `slot`, as they came.
    pub(crate) fn after<'a>(
        &'a self,
        key: &Key,
        slot: Slot,
        lineage: &'a Lineage,
    ) -> impl Iterator<Item = &'a C> {
        self.of(key)
            .filter(move |change| change.slot() > slot && lineage.builds_on(change.slot(), slot))
    }

    /// Changes of `key` in the block of `slot`, as they came.
    pub(crate) fn within<'a>(&'a self, key: &Key, slot: Slot) -> impl Iterator<Item = &'a C> {
        self.of(key).filter(move |change| change.slot() == slot)
    }

    fn of<'a>(&'a self, key: &Key) -> impl Iterator<Item = &'a C> {
        let (key, wanted) = (*key, word(key));
        let oldest = self.at % CHANGES;
        (oldest..CHANGES)
            .chain(0..oldest)
            .filter(move |index| self.words[*index] == wanted)
            .map(|index| &self.changes[index])
            .filter(move |change| *change.key() == key)
    }

    /// Forgets the changes of `key`.
    pub(crate) fn forget_of(&mut self, key: &Key) {
        let wanted = word(key);
        for (word, change) in self.words.iter_mut().zip(&self.changes) {
            if *word == wanted && change.key() == key {
                *word = 0;
            }
        }
    }

    /// Forgets the changes of slots that are void.
    pub(crate) fn forget(&mut self, is_void: impl Fn(Slot) -> bool) {
        for (word, change) in self.words.iter_mut().zip(&self.changes) {
            if is_void(change.slot()) {
                *word = 0;
            }
        }
    }
}

/// Never 0.
fn word(key: &Key) -> u64 {
    let first = key
        .first_chunk()
        .map_or(0, |word| u64::from_le_bytes(*word));
    first | 1
}

impl Change for Trade {
    const NONE: Self = Self {
        mint: Mint([0; 32]),
        trader: [0; 32],
        side: Side::Sell,
        amounts: Amounts::Sell {
            tokens: TokenAmount(0),
            quote_min: Lamports(0),
        },
        form: Form::V1,
        partial_fill: None,
        shown: ShownAccounts {
            bonding_curve: None,
            associated_bonding_curve: None,
            token_program: None,
            quote_mint: None,
            associated_quote_bonding_curve: None,
            creator_vault: None,
            associated_creator_vault: None,
            sharing_config: None,
            fee_recipient: None,
            buyback_fee_recipient: None,
        },
        slot: Slot(0),
        at: Nanos(0),
        signature: [0; 64],
    };

    fn key(&self) -> &Key {
        &self.mint.0
    }

    fn slot(&self) -> Slot {
        self.slot
    }
}
