//! The last trades on curves, so that those of later blocks are reckoned again on what account data says.
//!
//! Account data comes a slot or so late. Where it differs from what was reckoned, everything since was reckoned on a wrong
//! base: without this a curve would stand a slot back until nobody trades on it.

use shred_wire::{Nanos, Slot};

use crate::event::{Amounts, Form, ShownAccounts, Side, Trade};
use crate::forked::Lineage;
use crate::units::{Lamports, Mint, TokenAmount};

/// Trades remembered, of all curves together: some ten times what a busy slot holds.
const TRADES: usize = 1_024;

/// A ring of trades. Memory: about 700 kB, allocated once.
#[derive(Debug)]
pub(crate) struct RecentTrades {
    trades: Box<[Trade]>,
    /// What is looked through: the first bytes of each trade's coin, 0 of one that is void.
    words: Box<[u64]>,
    at: usize,
}

impl RecentTrades {
    pub(crate) fn new() -> Self {
        Self {
            trades: vec![NO_TRADE; TRADES].into_boxed_slice(),
            words: vec![0; TRADES].into_boxed_slice(),
            at: 0,
        }
    }

    #[inline]
    pub(crate) fn note(&mut self, trade: &Trade) {
        let index = self.at % TRADES;
        self.trades[index] = *trade;
        self.words[index] = word(&trade.mint);
        self.at = self.at.wrapping_add(1);
    }

    /// Trades of `mint` in blocks that build on that of `slot`, as they came.
    pub(crate) fn after<'a>(
        &'a self,
        mint: &Mint,
        slot: Slot,
        lineage: &'a Lineage,
    ) -> impl Iterator<Item = &'a Trade> {
        let (mint, wanted) = (*mint, word(mint));
        let oldest = self.at % TRADES;
        (oldest..TRADES)
            .chain(0..oldest)
            .filter(move |index| self.words[*index] == wanted)
            .map(|index| &self.trades[index])
            .filter(move |trade| {
                trade.mint == mint && trade.slot > slot && lineage.builds_on(trade.slot, slot)
            })
    }

    /// Forgets the trades of a coin.
    pub(crate) fn forget_coin(&mut self, mint: &Mint) {
        let wanted = word(mint);
        for (word, trade) in self.words.iter_mut().zip(&self.trades) {
            if *word == wanted && trade.mint == *mint {
                *word = 0;
            }
        }
    }

    /// Forgets the trades that are void.
    pub(crate) fn forget(&mut self, is_void: impl Fn(&Trade) -> bool) {
        for (word, trade) in self.words.iter_mut().zip(&self.trades) {
            if is_void(trade) {
                *word = 0;
            }
        }
    }
}

/// Never 0.
fn word(mint: &Mint) -> u64 {
    let first = mint
        .0
        .first_chunk()
        .map_or(0, |word| u64::from_le_bytes(*word));
    first | 1
}

const NO_TRADE: Trade = Trade {
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
