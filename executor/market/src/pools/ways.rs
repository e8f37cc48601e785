//! Which way a swap goes.

use program_address::find_program_address;

use super::{Pool, PoolCounters};
use crate::event::{PoolEvent, Swap, SwapAmounts, Way};
use crate::quote::Amount;
use crate::token::ASSOCIATED_TOKEN_PROGRAM;
use crate::units::Key;

/// Derivations of one transaction's swaps: a route leads through a few pools, and more of them would cost the core as much
/// as whoever fills a transaction with swaps likes.
const DERIVATIONS_MAX: u8 = 4;
/// Derived addresses that are kept: those of the traders who are at it now.
const KEPT: usize = 64;

/// Reads which way swaps go. Derives addresses where that takes it, some 2 us each, at most [`DERIVATIONS_MAX`] for one
/// transaction.
#[derive(Debug)]
pub(super) struct Ways {
    /// First bytes of the signature of the transaction that derived last, and how many it may still derive.
    transaction: u64,
    left: u8,
    /// The last (owner, mint) at each place, with the owner's associated account.
    kept: Box<[(Key, Key, Key); KEPT]>,
}

impl Ways {
    pub(super) fn new() -> Self {
        Self {
            transaction: 0,
            left: DERIVATIONS_MAX,
            kept: Box::new([([0; 32], [0; 32], [0; 32]); KEPT]),
        }
    }

    /// Which way a swap goes and how much of it is fixed, when its own bytes or accounts tell.
    pub(super) fn read(
        &mut self,
        pool: &Pool,
        swap: &Swap,
        event: &PoolEvent,
        counters: &mut PoolCounters,
    ) -> Option<(Way, Amount)> {
        let amount = match swap.amounts {
            SwapAmounts::ExactIn { amount_in, .. } => Amount::In(amount_in),
            SwapAmounts::ExactOut { amount_out, .. } => Amount::Out(amount_out),
            _ => return None,
        };
        let [a, b] = pool.state.mints();
        let by_mint = match (swap.mint_in, swap.mint_out) {
            (Some(mint), _) if mint == *a => Some(Way::AToB),
            (Some(mint), _) if mint == *b => Some(Way::BToA),
            (_, Some(mint)) if mint == *b => Some(Way::AToB),
            (_, Some(mint)) if mint == *a => Some(Way::BToA),
            _ => None,
        };
        let way = swap.way.or(by_mint);
        let way = way.or_else(|| self.way_of_accounts(pool, swap, event, counters))?;
        Some((way, amount))
    }

    /// Which way a swap goes that names no mint: the coin is in the actor's associated account for it, which either
    /// gives or gets; `None` where he keeps it elsewhere.
    fn way_of_accounts(
        &mut self,
        pool: &Pool,
        swap: &Swap,
        event: &PoolEvent,
        counters: &mut PoolCounters,
    ) -> Option<Way> {
        let (given, got) = (swap.account_in?, swap.account_out?);
        let (owner, mint) = (event.call.actor?, pool.mint().0);
        let place = (first_word(&owner) ^ first_word(&mint)) as usize % KEPT;
        let coins = match self.kept[place] {
            (known, of, account) if known == owner && of == mint => account,
            _ => {
                if !self.may_derive(event) {
                    counters.way_refused += 1;
                    return None;
                }
                let seeds: [&[u8]; 3] = [&owner, pool.accounts.token_program(), &mint];
                let (account, _) = find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM)?;
                self.kept[place] = (owner, mint, account);
                account
            }
        };
        match (given == coins, got == coins) {
            (true, false) => Some(pool.sells()),
            (false, true) => Some(pool.buys),
            _ => None,
        }
    }

    /// Whether the transaction of `event` has a derivation left, which it then has not.
    fn may_derive(&mut self, event: &PoolEvent) -> bool {
        let transaction = first_word(&event.signature);
        if transaction != self.transaction {
            (self.transaction, self.left) = (transaction, DERIVATIONS_MAX);
        }
        let has_one = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has_one
    }
}

fn first_word<const N: usize>(bytes: &[u8; N]) -> u64 {
    let first = bytes.first_chunk();
    first.map_or(0, |word| u64::from_le_bytes(*word))
}
