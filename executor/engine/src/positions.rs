//! Open positions in a fixed array, found by coin.

use market::{Lamports, Mint, TokenAmount};
use strategy::Position;

/// At most as many positions as the gate allows.
#[derive(Debug)]
pub(crate) struct Positions {
    items: Box<[Option<Position>]>,
    count: usize,
}

impl Positions {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            items: vec![None; capacity].into_boxed_slice(),
            count: 0,
        }
    }

    /// Open positions, densely in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Position> {
        self.items[..self.count].iter().flatten()
    }

    /// The position at `index`; indexes run from 0 to the count.
    pub(crate) fn at(&self, index: usize) -> Option<&Position> {
        self.items[..self.count].get(index)?.as_ref()
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    #[inline]
    pub(crate) fn get(&self, mint: &Mint) -> Option<&Position> {
        self.iter().find(|position| position.mint == *mint)
    }

    pub(crate) fn get_mut(&mut self, mint: &Mint) -> Option<&mut Position> {
        self.items[..self.count]
            .iter_mut()
            .flatten()
            .find(|position| position.mint == *mint)
    }

    /// Opens a position; `false` without room, or when one in the coin is open.
    pub(crate) fn open(&mut self, position: Position) -> bool {
        if self.count == self.items.len() || self.get(&position.mint).is_some() {
            return false;
        }
        self.items[self.count] = Some(position);
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
        let cost = u128::from(before.cost.0) * u128::from(left) / u128::from(before.tokens.0);
        *position = Position {
            tokens: TokenAmount(left),
            cost: Lamports(cost as u64),
            exiting: false,
            ..before
        };
        Some(before)
    }

    pub(crate) fn close(&mut self, mint: &Mint) -> Option<Position> {
        let index = self.items[..self.count]
            .iter()
            .flatten()
            .position(|position| position.mint == *mint)?;
        self.count -= 1;
        self.items.swap(index, self.count);
        self.items[self.count].take()
    }
}
