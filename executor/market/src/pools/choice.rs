//! Which pool a coin is traded on.

use super::{Circumstances, Pool, PoolTable, PoolUntradable};
use crate::event::Migrate;
use crate::program::Program;
use crate::units::{Key, Lamports, Mint, TokenAmount};

/// The pool that a coin is traded on.
///
/// Anybody may open a pool for any coin and set its first price. So the venue's own is preferred, then the one with the
/// most SOL in it, and a coin bought in one pool is sold there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traded {
    pool: Key,
    /// What we hold was bought there.
    bought: bool,
    /// The pool that the coin's launch pad has opened or will open for it: no other takes its place.
    successor: Option<Key>,
    /// Other pools of the coin, the last told first; zeroes where there are none.
    others: [Key; OTHERS],
}

/// Other pools of a coin that are remembered.
const OTHERS: usize = 4;

impl Traded {
    pub(super) const fn on(pool: Key) -> Self {
        Self {
            pool,
            bought: false,
            successor: None,
            others: [[0; 32]; OTHERS],
        }
    }

    fn remember(&mut self, pool: &Key) {
        if *pool == self.pool || self.others[0] == *pool {
            return;
        }
        let known = self.others.iter().position(|other| other == pool);
        let last = known.unwrap_or(OTHERS - 1);
        self.others[..=last].rotate_right(1);
        self.others[0] = *pool;
    }
}

impl PoolTable {
    /// The pool that a coin is traded on: its venue's own, else the deepest that is known; one that we bought it in as
    /// long as we hold it.
    #[inline]
    #[must_use]
    pub fn of_mint(&self, mint: &Mint) -> Option<&Pool> {
        let pool = self.get(&self.by_mint.get(&mint.0)?.pool)?;
        (pool.mint() == *mint).then_some(pool)
    }

    /// The pool that a coin goes on in whose Pump curve sold out: Pump's own, or one that we bought it in. Before the
    /// first is known anybody else's would give us its price.
    #[must_use]
    pub fn after_curve(&self, mint: &Mint) -> Option<&Pool> {
        let bought = self.by_mint.get(&mint.0)?.bought;
        let pool = self.of_mint(mint)?;
        (bought || pool.state.is_official()).then_some(pool)
    }

    /// Keeps the pool that a coin is traded on from being evicted, or lets it go again, and with it what
    /// [`PoolTable::set_bought`] said.
    pub fn set_held(&mut self, mint: &Mint, held: bool) {
        let Some(traded) = self.by_mint.get_mut(&mint.0) else {
            return;
        };
        traded.bought &= held;
        let pool = traded.pool;
        self.items.set_held(&pool, held);
        self.by_mint.set_held(&mint.0, held);
    }

    /// The coin is bought in that pool: it stays the one it is traded on, and is held, until it is let go.
    pub fn set_bought(&mut self, mint: &Mint, pool: &Key) {
        if self.get(pool).is_none_or(|pool| pool.mint() != *mint) {
            return;
        }
        self.trade_on(mint, pool);
        self.set_held(mint, true);
        if let Some(traded) = self.by_mint.get_mut(&mint.0) {
            traded.bought = true;
        }
    }

    fn trade_on(&mut self, mint: &Mint, pool: &Key) {
        let before = self.by_mint.get(&mint.0).map(|traded| traded.pool);
        if before == Some(*pool) {
            return;
        }
        // Who is held hands it on.
        let was_held = before.is_some_and(|before| self.items.set_held(&before, false));
        self.items.set_held(pool, was_held);
        match self.by_mint.touch(&mint.0) {
            None => {
                self.by_mint.insert(mint.0, Traded::on(*pool));
            }
            Some(traded) => {
                let left = traded.pool;
                (traded.pool, traded.bought) = (*pool, false);
                traded.remember(&left);
            }
        }
    }

    /// A coin of ours is sold elsewhere than it was bought, once account data says that the pool has less left than `need`
    /// and another one of the coin that may be traded pays more for `tokens`. Whether it is.
    ///
    /// Whoever opened a pool may take out what is in it. Cost: a quote for each of a few pools; for a change of account
    /// data, not for every event.
    pub fn leave_drained(
        &mut self,
        mint: &Mint,
        tokens: TokenAmount,
        need: Lamports,
        circumstances: &Circumstances<'_>,
    ) -> bool {
        let Some(traded) = self.by_mint.get(&mint.0).filter(|traded| traded.bought) else {
            return false;
        };
        let pays = |pool: &Pool| {
            let deal = pool.sell(tokens, circumstances);
            deal.map_or(Lamports(0), |deal| deal.quote)
        };
        let known = self.get(&traded.pool);
        if known.is_some_and(|known| known.state.depth() >= need) {
            return false;
        }
        let here = known.map_or(Lamports(0), pays);
        let of_the_coin = |pool: &&Pool| pool.mint() == *mint && pool.tradable.is_ok();
        let others = traded.others.iter().filter_map(|other| self.get(other));
        let best = others
            .filter(of_the_coin)
            .map(|pool| (pays(pool), pool.key))
            .max();
        match best {
            Some((there, pool)) if there > here => {
                self.counters.pool_left += 1;
                self.set_bought(mint, &pool);
                true
            }
            _ => false,
        }
    }

    /// Account data told of a pool: its coin may be traded there from now on.
    pub(super) fn choose(&mut self, key: &Key) {
        let Some(pool) = self.get(key) else { return };
        if pool.tradable == Err(PoolUntradable::QuoteNotSol) {
            return;
        }
        let (mint, rank) = (pool.mint(), pool.rank());
        let told = pool.succession.and_then(|succession| succession.pool);
        let is_selling_curve = pool.succession.is_some() && !pool.state.is_sold_out();
        let traded = self.by_mint.touch(&mint.0).copied();
        let bought = traded.is_some_and(|traded| traded.bought);
        let successor = traded.and_then(|traded| traded.successor).or(told);
        let is_chosen = match self.of_mint(&mint) {
            None => true,
            Some(known) if is_selling_curve => !bought || known.state.is_sold_out(),
            // What a launch pad opened is not given up for what anybody may have opened, and no more its curve.
            Some(known) if successor == Some(known.key) => false,
            Some(known) if known.succession.is_some() => {
                let is_next = successor.map_or(rank > known.rank(), |next| next == *key);
                known.state.is_sold_out() && is_next
            }
            Some(known) if bought && !known.state.is_sold_out() => false,
            // The curve is told after a stranger's pool: that is not where it goes on.
            Some(_) if successor.is_some() && told.is_some() => true,
            Some(_) if successor == Some(*key) => true,
            Some(known) => rank > known.rank(),
        };
        if is_chosen {
            self.trade_on(&mint, key);
        }
        if let Some(traded) = self.by_mint.get_mut(&mint.0) {
            traded.remember(key);
            traded.successor = successor;
        }
        self.follow_successor(&mint);
    }

    /// A curve that sold out goes on in the pool its launch pad opened, as soon as that is known.
    fn follow_successor(&mut self, mint: &Mint) {
        let Some(traded) = self.by_mint.get(&mint.0) else {
            return;
        };
        let Some(successor) = traded.successor.filter(|pool| *pool != traded.pool) else {
            return;
        };
        let is_over = self
            .get(&traded.pool)
            .is_none_or(|pool| pool.succession.is_some() && pool.state.is_sold_out());
        let opened = self.get(&successor);
        if is_over && opened.is_some_and(|opened| opened.mint() == *mint) {
            self.trade_on(mint, &successor);
        }
    }

    /// Who alone may has said which pool a curve becomes. It may have failed, but nobody else can have sent it.
    pub(super) fn take_migration(&mut self, curve: &Key, actor: Option<Key>, migrate: &Migrate) {
        let Some(pool) = self.get(curve) else { return };
        let (mint, succession) = (pool.mint(), pool.succession);
        let Some(succession) = succession else { return };
        let migrator = match migrate.to {
            Some(Program::RaydiumAmm) => succession.migrators.amm,
            Some(Program::RaydiumCp) => succession.migrators.cp,
            _ => return,
        };
        if actor != Some(migrator) || migrator == [0; 32] || migrate.pool.is_none() {
            return;
        }
        if let Some(traded) = self.by_mint.get_mut(&mint.0) {
            traded.successor = migrate.pool;
            self.counters.migration_taken += 1;
        }
    }
}
