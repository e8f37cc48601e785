//! Pools of the venues we build for, by address, on every fork, kept true by account data.

use shred_wire::Slot;

use crate::accounts::{PumpSwapAccounts, VenueAccounts};
use crate::event::{Form, PoolAction, PoolEvent, Swap, SwapAmounts, Way};
use crate::forked::{Corrected, Doubt, Dropped, Entered, Lineage, Past, Reckoned};
use crate::listing::Deal;
use crate::lru::{Inserted, LruTable, mix};
use crate::program::Program;
use crate::pump::WRAPPED_SOL;
use crate::quote::{Amount, QuoteReject, Swapped};
use crate::table::is_counted;
use crate::token::TransferFee;
use crate::units::{Key, Lamports, Mint, TokenAmount};
use crate::{launchlab, pump_amm, raydium_amm, raydium_cp};

/// A pool with all that its price depends on, but for [`pump_amm::Terms`], which all of PumpSwap's share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolState {
    /// PumpSwap.
    PumpAmm(pump_amm::Pool),
    /// Raydium AMM v4.
    RaydiumAmm(raydium_amm::Pool),
    /// Raydium CPMM, with its configuration.
    RaydiumCp(raydium_cp::Pool, raydium_cp::Config),
    /// LaunchLab, with what its configurations say.
    LaunchLab(launchlab::Pool, launchlab::Terms),
}

/// What a swap depends on beside the pool.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// PumpSwap's global account and fee schedule; without them no pool of it has a price.
    pub pump_amm: Option<&'a pump_amm::Terms>,
    /// Unix seconds: some pools open at a set time.
    pub now_s: u64,
}

impl PoolState {
    /// Its venue.
    #[must_use]
    pub const fn program(&self) -> Program {
        match self {
            Self::PumpAmm(_) => Program::PumpAmm,
            Self::RaydiumAmm(_) => Program::RaydiumAmm,
            Self::RaydiumCp(..) => Program::RaydiumCp,
            Self::LaunchLab(..) => Program::LaunchLab,
        }
    }

    /// Mints of side a and b.
    #[must_use]
    pub const fn mints(&self) -> [&Key; 2] {
        match self {
            Self::PumpAmm(pool) => [&pool.account.base_mint, &pool.account.quote_mint],
            Self::RaydiumAmm(pool) => [&pool.coin_mint, &pool.pc_mint],
            Self::RaydiumCp(pool, _) => [&pool.mints[0], &pool.mints[1]],
            Self::LaunchLab(pool, _) => [&pool.base_mint, &pool.quote_mint],
        }
    }

    /// Whom the creator fee is for, where there is one.
    #[must_use]
    pub const fn creator(&self) -> Option<&Key> {
        match self {
            Self::PumpAmm(pool) => Some(&pool.account.coin_creator),
            Self::RaydiumAmm(_) => None,
            Self::RaydiumCp(pool, _) => Some(&pool.creator),
            Self::LaunchLab(pool, _) => Some(&pool.creator),
        }
    }

    /// A launch pad's curve with nothing left to sell.
    #[must_use]
    pub fn is_sold_out(&self) -> bool {
        match self {
            Self::LaunchLab(pool, _) => pool.reserves.real_base >= pool.reserves.total_base_sell,
            _ => false,
        }
    }

    /// Whether no other pool of the coin can be the venue's own: a curve that still sells, and what Pump's own migration
    /// opened. Anybody may open the others.
    #[must_use]
    pub fn is_official(&self) -> bool {
        match self {
            Self::PumpAmm(pool) => pool.made_by_pump,
            Self::LaunchLab(..) => !self.is_sold_out(),
            Self::RaydiumAmm(_) | Self::RaydiumCp(..) => false,
        }
    }

    /// What the pool has to pay with of wrapped SOL; 0 where neither side is that.
    #[must_use]
    pub fn depth(&self) -> Lamports {
        let [a, b] = match self {
            Self::PumpAmm(pool) => [0, pool.quote_liquid().unwrap_or(0)],
            Self::RaydiumAmm(pool) => [
                pool.coin.saturating_sub(pool.need_take_coin),
                pool.pc.saturating_sub(pool.need_take_pc),
            ],
            Self::RaydiumCp(pool, _) => pool.held,
            Self::LaunchLab(pool, _) => [0, pool.reserves.virtual_quote],
        };
        let mints = self.mints();
        match (*mints[0] == WRAPPED_SOL, *mints[1] == WRAPPED_SOL) {
            (_, true) => Lamports(b),
            (true, false) => Lamports(a),
            (false, false) => Lamports(0),
        }
    }

    /// Swaps as the venue's program would with the instruction we build (PumpSwap: v2, or v1 on a cashback coin); on
    /// an error nothing has moved. See each venue's `swap` for rounding and cost.
    ///
    /// # Errors
    /// [`QuoteReject`].
    pub fn swap(
        &mut self,
        circumstances: &Circumstances<'_>,
        way: Way,
        amount: Amount,
    ) -> Result<Swapped, QuoteReject> {
        let now_s = circumstances.now_s;
        match self {
            Self::PumpAmm(pool) => {
                let terms = circumstances.pump_amm.ok_or(QuoteReject::Closed)?;
                let form = if pool.account.cashback {
                    Form::V1
                } else {
                    Form::V2
                };
                pool.swap(terms, form, way, amount)
            }
            Self::RaydiumAmm(pool) => pool.swap(now_s, way, amount),
            Self::RaydiumCp(pool, config) => pool.swap(config, now_s, way, amount),
            Self::LaunchLab(pool, terms) => pool.swap(terms, way, amount),
        }
    }

    /// What the next price is reckoned from, less the fees that lie in the vaults: two states that agree in it price
    /// alike, whichever form of an instruction led there.
    fn priced(&self) -> [u64; 4] {
        match self {
            Self::PumpAmm(pool) => [
                pool.base_reserve,
                pool.quote_effective().unwrap_or(u64::MAX),
                0,
                0,
            ],
            Self::RaydiumAmm(pool) => [
                pool.coin.wrapping_sub(pool.need_take_coin),
                pool.pc.wrapping_sub(pool.need_take_pc),
                0,
                0,
            ],
            Self::RaydiumCp(pool, _) => {
                let [a, b] = [0, 1].map(|side| {
                    let raydium_cp::account::Owed {
                        protocol,
                        fund,
                        creator,
                    } = pool.owed[side];
                    [protocol, fund, creator]
                        .into_iter()
                        .fold(pool.held[side], u64::wrapping_sub)
                });
                [a, b, 0, 0]
            }
            Self::LaunchLab(pool, _) => [
                pool.reserves.virtual_base,
                pool.reserves.virtual_quote,
                pool.reserves.real_base,
                pool.reserves.real_quote,
            ],
        }
    }

    /// [`PoolState::priced`] in one number: two that differ in it are told apart but for a chance of 2^-64.
    fn fingerprint(&self) -> u64 {
        self.priced().into_iter().fold(0, mix)
    }
}

/// What account data says of a pool, put together by who reads accounts: the pool's own, its vaults', its mints', its
/// configurations'.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolTruth {
    /// The pool.
    pub pool: Key,
    /// What our instructions name.
    pub accounts: VenueAccounts,
    /// What its price depends on.
    pub state: PoolState,
    /// Slot of the block that wrote it last.
    pub slot: Slot,
    /// Counts the node's writes: of two of one slot the higher is the later.
    pub write_version: u64,
    /// Somebody can take the coin from whoever holds it, or keep it from being sold
    /// ([`Dangers::threatens_holders`](crate::token::Dangers::threatens_holders)).
    pub is_dangerous: bool,
}

/// Why a pool must not be traded. One byte: counted and explained.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PoolUntradable {
    /// Neither side is wrapped SOL, or both are not the coin.
    QuoteNotSol,
    /// A cashback coin's PumpSwap pool: none of the instructions we build trades it.
    CashbackNeedsV1,
    /// Liquidity moved, or a swap whose way or amount the shreds do not tell: until account data says what came of it.
    Behind,
    /// Its last updates came from a block that was retracted, equivocated or failed authentication.
    Doubtful,
    /// Somebody can take the coin from whoever holds it, or keep it from being sold.
    Dangerous,
}

impl PoolUntradable {
    /// How many reasons there are.
    pub const COUNT: usize = 5;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "quote_not_sol",
            "cashback_needs_v1",
            "behind",
            "doubtful",
            "dangerous",
        ]
    }
}

/// One pool as the table keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Its address.
    pub key: Key,
    /// What our instructions name; its mint is the coin.
    pub accounts: VenueAccounts,
    /// As the block of `slot` left it.
    pub state: PoolState,
    /// Which way buys the coin.
    pub buys: Way,
    /// Whether it may be traded, and if not, why.
    pub tradable: Result<(), PoolUntradable>,
    /// Slot of the block it stands at.
    pub slot: Slot,
    /// Slot and write version of the last account data taken.
    pub truth: (Slot, u64),
}

impl Pool {
    fn of(truth: &PoolTruth) -> Self {
        let mints = truth.state.mints();
        let coin = &truth.accounts.mint().0;
        let (buys, is_sol) = if mints[0] == coin {
            (Way::BToA, *mints[1] == WRAPPED_SOL)
        } else {
            (Way::AToB, *mints[0] == WRAPPED_SOL && mints[1] == coin)
        };
        Self {
            key: truth.pool,
            accounts: truth.accounts,
            state: truth.state,
            buys,
            tradable: match truth.state {
                _ if !is_sol => Err(PoolUntradable::QuoteNotSol),
                _ if truth.is_dangerous => Err(PoolUntradable::Dangerous),
                PoolState::PumpAmm(pool) if pool.account.cashback => {
                    Err(PoolUntradable::CashbackNeedsV1)
                }
                _ => Ok(()),
            },
            slot: truth.slot,
            truth: (truth.slot, truth.write_version),
        }
    }

    /// The coin.
    #[must_use]
    pub const fn mint(&self) -> Mint {
        *self.accounts.mint()
    }

    /// Which way sells the coin.
    #[must_use]
    pub const fn sells(&self) -> Way {
        match self.buys {
            Way::AToB => Way::BToA,
            Way::BToA => Way::AToB,
        }
    }

    /// What spending `quote_in`, fees included, would buy.
    ///
    /// # Errors
    /// [`QuoteReject`].
    pub fn buy(
        &self,
        quote_in: Lamports,
        circumstances: &Circumstances<'_>,
    ) -> Result<Deal, QuoteReject> {
        let mut after = self.state;
        let swapped = after.swap(circumstances, self.buys, Amount::In(quote_in.0))?;
        Ok(Deal {
            tokens: TokenAmount(swapped.amount_out),
            quote: Lamports(swapped.amount_in),
            completes: after.is_sold_out(),
        })
    }

    /// What selling `tokens` would bring.
    ///
    /// # Errors
    /// [`QuoteReject`].
    pub fn sell(
        &self,
        tokens: TokenAmount,
        circumstances: &Circumstances<'_>,
    ) -> Result<Deal, QuoteReject> {
        let mut after = self.state;
        let swapped = after.swap(circumstances, self.sells(), Amount::In(tokens.0))?;
        Ok(Deal {
            tokens: TokenAmount(swapped.amount_in),
            quote: Lamports(swapped.amount_out),
            completes: false,
        })
    }

    /// By what it is preferred to others of its coin.
    fn rank(&self) -> (bool, bool, Lamports) {
        (
            self.state.is_official(),
            !self.state.is_sold_out(),
            self.state.depth(),
        )
    }
}

/// What the table counted, in all and of each venue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolCounters {
    /// Pools that account data brought in.
    pub pool_inserted: u64,
    /// Pools forgotten to make room.
    pub pool_evicted: u64,
    /// Pools refused because every one is held.
    pub pool_refused: u64,
    /// Swaps applied.
    pub swap_applied: u64,
    /// Swaps the program would refuse on the known state.
    pub swap_predicted_failed: u64,
    /// Changes in blocks that account data of a later one counts already.
    pub change_late: u64,
    /// Swaps that move a pool in a way the shreds do not tell, and liquidity put in or taken out.
    pub change_unread: u64,
    /// Pools marked doubtful.
    pub pool_doubted: u64,
    /// Pools that went on from another fork's state than the one they stood at.
    pub pool_switched: u64,
    /// Pools taken back to before a block that is void.
    pub pool_restored: u64,
    /// Account data older than what was taken before.
    pub truth_stale: [u64; Program::COUNT],
    /// Account data that says what was reckoned, by venue.
    pub truth_agreed: [u64; Program::COUNT],
    /// Account data that says something else, by venue: it wins.
    pub truth_diverged: [u64; Program::COUNT],
}

/// Outcome of offering an event to the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolApplied {
    /// The pool is not in the table.
    Unknown,
    /// It moved by this much, this way.
    Moved(Way, Swapped),
    /// The program would refuse it on the known state, so nothing moved.
    PredictedFailure,
    /// What it did is not in the bytes; the pool is untradable until account data says.
    Unread,
    /// Account data of a later block counts it already.
    Counted,
}

/// Blocks before the last that a pool is remembered at.
const PAST_BLOCKS: usize = 3;

#[derive(Clone, Copy, Debug)]
struct Item {
    pool: Pool,
    past: Past<Moved, PAST_BLOCKS>,
    reckoned: Reckoned,
}

#[derive(Clone, Copy, Debug)]
struct Moved {
    state: PoolState,
    tradable: Result<(), PoolUntradable>,
}

impl Doubt for Moved {
    fn doubt(&mut self) {
        if self.tradable.is_ok() {
            self.tradable = Err(PoolUntradable::Doubtful);
        }
    }
}

/// The pool that a coin is traded on.
///
/// Anybody may open a pool for any coin and set its first price. So the venue's own is preferred, then the one with the
/// most SOL in it, and a coin bought in one pool is sold there.
#[derive(Clone, Copy, Debug)]
struct Traded {
    pool: Key,
    /// What we hold was bought there.
    bought: bool,
}

/// A fixed number of pools, found by address; the least recently touched gives way, a held one never does.
#[derive(Debug)]
pub struct PoolTable {
    items: LruTable<Item>,
    by_mint: LruTable<Traded>,
    counters: PoolCounters,
}

impl PoolTable {
    /// Room for `capacity` pools (at least 1), about 4 KiB each, all of it allocated and written now. `seed` as for
    /// [`CurveTable::new`](crate::CurveTable::new).
    ///
    /// # Panics
    /// When `capacity` is 0 or above 2^24: a configuration error, raised before anything runs.
    #[must_use]
    pub fn new(capacity: usize, seed: u64) -> Self {
        Self {
            items: LruTable::new(capacity, seed, Item::of(blank_pool())),
            by_mint: LruTable::new(
                capacity,
                seed.rotate_left(32),
                Traded {
                    pool: [0; 32],
                    bought: false,
                },
            ),
            counters: PoolCounters::default(),
        }
    }

    /// The pool at that address.
    #[inline]
    #[must_use]
    pub fn get(&self, pool: &Key) -> Option<&Pool> {
        self.items.get(pool).map(|item| &item.pool)
    }

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

    /// Pools kept now.
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
    pub const fn counters(&self) -> &PoolCounters {
        &self.counters
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
        let traded = Traded {
            pool: *pool,
            bought: false,
        };
        self.by_mint.insert(mint.0, traded);
    }

    /// Account data told of a pool: its coin may be traded there from now on.
    fn choose(&mut self, key: &Key) {
        let Some(pool) = self.get(key) else { return };
        if pool.tradable == Err(PoolUntradable::QuoteNotSol) {
            return;
        }
        let (mint, rank) = (pool.mint(), pool.rank());
        let bought = self
            .by_mint
            .touch(&mint.0)
            .is_some_and(|traded| traded.bought);
        let is_chosen = match self.of_mint(&mint) {
            None => true,
            Some(known) if bought && !known.state.is_sold_out() => false,
            Some(known) => rank > known.rank(),
        };
        if is_chosen {
            self.trade_on(&mint, key);
        }
    }

    /// Takes account data: it ends doubt, and where it differs from what was reckoned it wins.
    pub fn correct(&mut self, truth: &PoolTruth, lineage: &Lineage) -> Corrected {
        let corrected = self.take(truth, lineage);
        if !matches!(corrected, Corrected::Stale | Corrected::Refused) {
            self.choose(&truth.pool);
        }
        corrected
    }

    fn take(&mut self, truth: &PoolTruth, lineage: &Lineage) -> Corrected {
        let venue = truth.state.program() as usize;
        let Some(item) = self.items.touch(&truth.pool) else {
            return self.insert(truth);
        };
        let known = &mut item.pool;
        let told = Pool::of(truth);
        if (truth.slot, truth.write_version) <= known.truth {
            // A mint changes without its pools.
            if told.tradable == Err(PoolUntradable::Dangerous) {
                known.tradable = told.tradable;
                item.past.clear();
            }
            self.counters.truth_stale[venue] += 1;
            return Corrected::Stale;
        }
        known.truth = told.truth;
        known.accounts = truth.accounts;
        let fingerprint = truth.state.fingerprint();
        let is_sure = known.tradable.is_ok() && told.tradable.is_ok();
        let stands = is_sure && lineage.builds_on(known.slot, truth.slot);
        // An account can be written, or read, later than the last swap without another price.
        let is_later = is_sure && truth.slot > known.slot;
        if (stands || is_later) && known.state.fingerprint() == fingerprint {
            known.state = truth.state;
            self.counters.truth_agreed[venue] += 1;
            return Corrected::Agreed;
        }
        if stands && item.reckoned.holds(truth.slot, fingerprint) {
            self.counters.truth_agreed[venue] += 1;
            return Corrected::Agreed;
        }
        *item = Item::of(told);
        self.counters.truth_diverged[venue] += 1;
        Corrected::Diverged
    }

    fn insert(&mut self, truth: &PoolTruth) -> Corrected {
        match self.items.insert(truth.pool, Item::of(Pool::of(truth))) {
            Inserted::Refused => {
                self.counters.pool_refused += 1;
                return Corrected::Refused;
            }
            Inserted::Evicted => self.counters.pool_evicted += 1,
            Inserted::Replaced | Inserted::Added => {}
        }
        self.counters.pool_inserted += 1;
        Corrected::New
    }

    /// Moves the pool of `event` as it is on the fork of the event's block.
    pub fn apply(
        &mut self,
        event: &PoolEvent,
        lineage: &Lineage,
        circumstances: &Circumstances<'_>,
    ) -> PoolApplied {
        let item = event.call.pool.and_then(|key| self.items.touch(&key));
        let Some(item) = item.filter(|item| item.pool.state.program() == event.program) else {
            return PoolApplied::Unknown;
        };
        if is_counted(item.pool.truth, event.slot, lineage) {
            self.counters.change_late += 1;
            return PoolApplied::Counted;
        }
        match item.enter(event.slot, lineage) {
            Entered::Onward | Entered::Late => {}
            Entered::Switched(()) => self.counters.pool_switched += 1,
            Entered::Lost => self.counters.pool_doubted += u64::from(item.pool.doubt()),
        }
        let read = match event.call.action {
            PoolAction::Swap(swap) if event.inferred_from.is_none() => item
                .pool
                .read(&swap)
                .map(|(way, amount)| (way, amount, swap.amounts)),
            _ => None,
        };
        let Some((way, amount, limits)) = read else {
            // Marked only when it was good: a firmer reason stays.
            if item.pool.tradable.is_ok() {
                item.pool.tradable = Err(PoolUntradable::Behind);
            }
            self.counters.change_unread += 1;
            return PoolApplied::Unread;
        };
        let mut after = item.pool.state;
        let swapped = after
            .swap(circumstances, way, amount)
            .ok()
            .filter(|swapped| within(limits, *swapped));
        let Some(swapped) = swapped else {
            self.counters.swap_predicted_failed += 1;
            return PoolApplied::PredictedFailure;
        };
        item.pool.state = after;
        item.reckon();
        self.counters.swap_applied += 1;
        PoolApplied::Moved(way, swapped)
    }

    /// Marks the pool at that address as doubtful, unless a firmer reason already forbids it.
    pub fn doubt(&mut self, pool: &Key) {
        if let Some(item) = self.items.get_mut(pool) {
            self.counters.pool_doubted += u64::from(item.doubt());
        }
    }

    /// The block of `slot` is void: pools that stand at it go back to before it, and those of which nothing from
    /// before is known become doubtful. Walks the whole table.
    pub fn drop_block(&mut self, slot: Slot, lineage: &Lineage) {
        for item in self.items.iter_mut() {
            match item.past.drop_block(item.pool.slot, slot, lineage) {
                Dropped::Elsewhere => {}
                Dropped::Back(before, moved) => {
                    (item.pool.state, item.pool.tradable) = (moved.state, moved.tradable);
                    item.pool.slot = before;
                    self.counters.pool_restored += 1;
                }
                Dropped::Nothing => {
                    self.counters.pool_doubted += u64::from(item.doubt());
                }
            }
        }
    }

    /// Marks every pool that stands at `slot` or later as doubtful, and what is remembered of blocks from there on of the
    /// others. Walks the whole table.
    pub fn doubt_from(&mut self, slot: Slot) {
        for item in self.items.iter_mut() {
            item.past.doubt_from(slot);
            if item.pool.slot >= slot {
                self.counters.pool_doubted += u64::from(item.doubt());
            }
        }
    }
}

impl Item {
    fn of(pool: Pool) -> Self {
        let mut item = Self {
            pool,
            past: Past::new(Moved {
                state: pool.state,
                tradable: pool.tradable,
            }),
            reckoned: Reckoned::new(),
        };
        item.reckon();
        item
    }

    fn reckon(&mut self) {
        self.reckoned
            .note(self.pool.slot, self.pool.state.fingerprint());
    }

    /// Marks the pool as doubtful on every fork, unless a firmer reason forbids it; tells whether it did.
    fn doubt(&mut self) -> bool {
        self.past.clear();
        self.reckoned = Reckoned::new();
        self.pool.doubt()
    }

    /// Goes on in the block of `slot`, from the state of its fork.
    fn enter(&mut self, slot: Slot, lineage: &Lineage) -> Entered<()> {
        let moved = Moved {
            state: self.pool.state,
            tradable: self.pool.tradable,
        };
        match self.past.enter(self.pool.slot, moved, slot, lineage) {
            Entered::Late => Entered::Late,
            Entered::Onward => {
                self.pool.slot = slot;
                Entered::Onward
            }
            Entered::Lost => {
                self.pool.slot = slot;
                Entered::Lost
            }
            Entered::Switched(other) => {
                (self.pool.state, self.pool.tradable) = (other.state, other.tradable);
                self.pool.slot = slot;
                Entered::Switched(())
            }
        }
    }
}

impl Pool {
    fn doubt(&mut self) -> bool {
        let was_good = self.tradable.is_ok();
        if was_good {
            self.tradable = Err(PoolUntradable::Doubtful);
        }
        was_good
    }
}

impl Pool {
    /// Which way a swap goes and how much of it is fixed, when its own bytes or accounts tell.
    fn read(&self, swap: &Swap) -> Option<(Way, Amount)> {
        let [a, b] = self.state.mints();
        let by_mint = match (swap.mint_in, swap.mint_out) {
            (Some(mint), _) if mint == *a => Some(Way::AToB),
            (Some(mint), _) if mint == *b => Some(Way::BToA),
            (_, Some(mint)) if mint == *b => Some(Way::AToB),
            (_, Some(mint)) if mint == *a => Some(Way::BToA),
            _ => None,
        };
        let way = swap.way.or(by_mint)?;
        let amount = match swap.amounts {
            SwapAmounts::ExactIn { amount_in, .. } => Amount::In(amount_in),
            SwapAmounts::ExactOut { amount_out, .. } => Amount::Out(amount_out),
            _ => return None,
        };
        Some((way, amount))
    }
}

/// Whether a swap keeps the limit that came with it.
const fn within(limits: SwapAmounts, swapped: Swapped) -> bool {
    match limits {
        SwapAmounts::ExactIn { out_min, .. } => swapped.amount_out >= out_min,
        SwapAmounts::ExactOut { in_max, .. } => swapped.amount_in <= in_max,
        _ => false,
    }
}

/// What an unused place holds.
fn blank_pool() -> Pool {
    Pool {
        key: [0; 32],
        accounts: VenueAccounts::PumpSwap(PumpSwapAccounts::default()),
        state: PoolState::PumpAmm(pump_amm::Pool {
            account: pump_amm::PoolAccount::default(),
            made_by_pump: false,
            base_reserve: 0,
            quote_reserve: 0,
            base_supply: 0,
            base_fee: TransferFee::NONE,
            quote_fee: TransferFee::NONE,
        }),
        buys: Way::BToA,
        tradable: Err(PoolUntradable::Doubtful),
        slot: Slot(0),
        truth: (Slot(0), 0),
    }
}
