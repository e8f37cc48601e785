//! Pools of the venues we build for, by address, on every fork, kept true by account data.

use program_address::find_program_address;
use shred_wire::Slot;

use crate::accounts::{PumpSwapAccounts, VenueAccounts};
use crate::event::{Form, Migrate, PoolAction, PoolEvent, Swap, SwapAmounts, Way};
use crate::forked::{Corrected, Doubt, Dropped, Entered, Lineage, Past, Reckoned};
use crate::listing::Deal;
use crate::lru::{Inserted, LruTable, mix};
use crate::program::Program;
use crate::pump::WRAPPED_SOL;
use crate::quote::{Amount, QuoteReject, Swapped};
use crate::replayed::{Change, Recent};
use crate::table::is_counted;
use crate::token::{ASSOCIATED_TOKEN_PROGRAM, TransferFee};
use crate::told::{FeedId, Version};
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

    /// Takes over what `told` says of the configurations and mints that the pool depends on, and nothing of what swaps move.
    const fn take_terms(&mut self, told: &Self) {
        match (self, told) {
            (Self::RaydiumCp(pool, config), Self::RaydiumCp(told, told_config)) => {
                *config = *told_config;
                pool.transfer_fees = told.transfer_fees;
            }
            (Self::LaunchLab(pool, terms), Self::LaunchLab(told, told_terms)) => {
                *terms = *told_terms;
                pool.base_transfer_fee = told.base_transfer_fee;
                pool.quote_transfer_fee = told.quote_transfer_fee;
            }
            (Self::PumpAmm(pool), Self::PumpAmm(told)) => {
                pool.base_supply = told.base_supply;
                pool.base_fee = told.base_fee;
                pool.quote_fee = told.quote_fee;
            }
            _ => {}
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
    /// Whose writes.
    pub feed: FeedId,
    /// Of the latest configuration or mint that the price depends on: they change without the pool.
    pub terms: Version,
    /// Of a launch pad's curve: where it goes on.
    pub succession: Option<Succession>,
    /// Somebody can take the coin from whoever holds it, or keep it from being sold
    /// ([`Dangers::threatens_holders`](crate::token::Dangers::threatens_holders)).
    pub is_dangerous: bool,
}

impl PoolTruth {
    /// Which state of the pool it is.
    #[must_use]
    pub const fn version(&self) -> Version {
        Version {
            feed: self.feed,
            slot: self.slot,
            write_version: self.write_version,
        }
    }

    /// What selling `tokens` of the coin would have brought in the state that was told.
    ///
    /// # Errors
    /// [`QuoteReject`].
    pub fn sell(
        &self,
        tokens: TokenAmount,
        circumstances: &Circumstances<'_>,
    ) -> Result<Deal, QuoteReject> {
        Pool::of(self).sell(tokens, circumstances)
    }
}

/// Where a launch pad's curve goes on once it has sold out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Succession {
    /// The pool it becomes, where its address follows from the configurations. Anybody may have opened one there before:
    /// then the migration opens another, and says so.
    pub pool: Option<Key>,
    /// Who alone may migrate it.
    pub migrators: launchlab::Migrators,
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
    /// Of the last account data taken.
    pub truth: Version,
    /// Of the latest configuration or mint that its price depends on.
    pub terms: Version,
    /// Of a launch pad's curve: where it goes on.
    pub succession: Option<Succession>,
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
            truth: truth.version(),
            terms: truth.terms,
            succession: truth.succession,
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
    /// Changes made again on what account data of an earlier block said.
    pub change_replayed: u64,
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
    /// Account data of pools that were known to be behind or doubtful, by venue: nothing was claimed of them.
    pub truth_behind: [u64; Program::COUNT],
    /// Account data of which only the configurations were new.
    pub terms_taken: u64,
    /// Coins of ours whose pool can no longer pay for them and that another one pays more for.
    pub pool_left: u64,
    /// Migrations of launch pads' curves, by who may.
    pub migration_taken: u64,
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

/// What an event does to a pool, so far as it tells.
#[derive(Clone, Copy, Debug)]
struct Changed {
    pool: Key,
    slot: Slot,
    /// Seconds, as [`Circumstances::now_s`].
    at_s: u64,
    /// Way, fixed side and limits of a swap; `None` of what its bytes do not tell.
    swap: Option<(Way, Amount, SwapAmounts)>,
}

impl Change for Changed {
    const NONE: Self = Self {
        pool: [0; 32],
        slot: Slot(0),
        at_s: 0,
        swap: None,
    };

    fn key(&self) -> &Key {
        &self.pool
    }

    fn slot(&self) -> Slot {
        self.slot
    }
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
    /// The pool that the coin's launch pad has opened or will open for it: no other takes its place.
    successor: Option<Key>,
    /// Other pools of the coin, the last told first; zeroes where there are none.
    others: [Key; OTHERS],
}

/// Other pools of a coin that are remembered.
const OTHERS: usize = 4;

impl Traded {
    const fn on(pool: Key) -> Self {
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

/// A fixed number of pools, found by address; the least recently touched gives way, a held one never does.
#[derive(Debug)]
pub struct PoolTable {
    items: LruTable<Item>,
    by_mint: LruTable<Traded>,
    recent: Recent<Changed>,
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
            by_mint: LruTable::new(capacity, seed.rotate_left(32), Traded::on([0; 32])),
            recent: Recent::new(),
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
    fn choose(&mut self, key: &Key) {
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
    fn take_migration(&mut self, curve: &Key, actor: Option<Key>, migrate: &Migrate) {
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

    /// Takes account data: it ends doubt, and where it differs from what was reckoned it wins.
    pub fn correct(
        &mut self,
        truth: &PoolTruth,
        lineage: &Lineage,
        circumstances: &Circumstances<'_>,
    ) -> Corrected {
        let corrected = self.take(truth, lineage, circumstances);
        if !matches!(corrected, Corrected::Stale | Corrected::Refused) {
            self.choose(&truth.pool);
        }
        corrected
    }

    fn take(
        &mut self,
        truth: &PoolTruth,
        lineage: &Lineage,
        circumstances: &Circumstances<'_>,
    ) -> Corrected {
        let venue = truth.state.program() as usize;
        let Some(item) = self.items.touch(&truth.pool) else {
            return self.insert(truth);
        };
        let known = &mut item.pool;
        let told = Pool::of(truth);
        let has_new_terms = truth.terms.is_after(&known.terms);
        if !truth.version().is_after(&known.truth) {
            // A mint changes without its pools, and so does a configuration.
            if told.tradable == Err(PoolUntradable::Dangerous) {
                known.tradable = told.tradable;
                item.past.clear();
            }
            if !has_new_terms {
                self.counters.truth_stale[venue] += 1;
                return Corrected::Stale;
            }
            (known.terms, known.succession) = (told.terms, told.succession);
            known.state.take_terms(&truth.state);
            item.past
                .states_mut()
                .for_each(|moved| moved.state.take_terms(&truth.state));
            self.counters.terms_taken += 1;
            return Corrected::Terms;
        }
        known.truth = told.truth;
        known.accounts = truth.accounts;
        known.succession = told.succession;
        if has_new_terms {
            known.terms = told.terms;
            known.state.take_terms(&truth.state);
        }
        let fingerprint = truth.state.fingerprint();
        let was_sure = !matches!(
            known.tradable,
            Err(PoolUntradable::Behind | PoolUntradable::Doubtful)
        );
        let is_sure = was_sure && known.tradable == told.tradable;
        let stands = is_sure && lineage.builds_on(known.slot, truth.slot);
        // An account can be written, or read, later than the last swap without another price.
        let is_later = is_sure && truth.slot > known.slot;
        if (stands || is_later) && known.state.fingerprint() == fingerprint {
            known.state = truth.state;
            self.counters.truth_agreed[venue] += 1;
            return Corrected::Agreed;
        }
        if stands && item.reckoned.holds(truth.slot, fingerprint, lineage) {
            self.counters.truth_agreed[venue] += 1;
            return Corrected::Agreed;
        }
        // That a coin turned dangerous says nothing of its price.
        let differs = known.state.fingerprint() != fingerprint;
        *item = Item::of(told);
        // What was seen of later blocks stands, on another base. What of the same block comes after the account data is
        // not known: the account will be told again.
        for change in self.recent.after(&truth.pool, truth.slot, lineage) {
            item.apply(change, lineage, circumstances, &mut self.counters);
            self.counters.change_replayed += 1;
        }
        if !self.recent.is_whole_from(truth.slot) {
            self.counters.pool_doubted += u64::from(item.doubt());
        }
        if !was_sure {
            self.counters.truth_behind[venue] += 1;
            return Corrected::Behind;
        }
        if !differs {
            self.counters.truth_agreed[venue] += 1;
            return Corrected::Agreed;
        }
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
        if let PoolAction::Migrate(migrate) = &event.call.action
            && let (Some(curve), None) = (&event.call.pool, event.inferred_from)
        {
            self.take_migration(curve, event.call.actor, migrate);
        }
        let item = event.call.pool.and_then(|key| self.items.touch(&key));
        let Some(item) = item.filter(|item| item.pool.state.program() == event.program) else {
            return PoolApplied::Unknown;
        };
        if is_counted(item.pool.truth, event.slot, lineage) {
            self.counters.change_late += 1;
            return PoolApplied::Counted;
        }
        let swap = match event.call.action {
            PoolAction::Swap(swap) if event.inferred_from.is_none() => item
                .pool
                .read(&swap, event.call.actor.as_ref())
                .map(|(way, amount)| (way, amount, swap.amounts)),
            _ => None,
        };
        let change = Changed {
            pool: item.pool.key,
            slot: event.slot,
            at_s: circumstances.now_s,
            swap,
        };
        self.recent.note(&change);
        let applied = item.apply(&change, lineage, circumstances, &mut self.counters);
        match applied {
            PoolApplied::Moved(..) => self.counters.swap_applied += 1,
            PoolApplied::PredictedFailure => self.counters.swap_predicted_failed += 1,
            PoolApplied::Unread => self.counters.change_unread += 1,
            PoolApplied::Unknown | PoolApplied::Counted => {}
        }
        applied
    }

    /// Marks the pool at that address as doubtful, unless a firmer reason already forbids it.
    pub fn doubt(&mut self, pool: &Key) {
        self.recent.forget_of(pool);
        if let Some(item) = self.items.get_mut(pool) {
            self.counters.pool_doubted += u64::from(item.doubt());
        }
    }

    /// The block of `slot` is void: pools that stand at it go back to before it, and those of which nothing from
    /// before is known become doubtful. Walks the whole table.
    pub fn drop_block(&mut self, slot: Slot, lineage: &Lineage) {
        self.recent.forget(|void| void == slot);
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
        self.recent.forget(|void| void >= slot);
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

    /// Makes a change on the fork of its block.
    fn apply(
        &mut self,
        change: &Changed,
        lineage: &Lineage,
        circumstances: &Circumstances<'_>,
        counters: &mut PoolCounters,
    ) -> PoolApplied {
        match self.enter(change.slot, lineage) {
            Entered::Onward | Entered::Late => {}
            Entered::Switched(()) => counters.pool_switched += 1,
            Entered::Lost => counters.pool_doubted += u64::from(self.pool.doubt()),
        }
        let Some((way, amount, limits)) = change.swap else {
            // Marked only when it was good: a firmer reason stays.
            if self.pool.tradable.is_ok() {
                self.pool.tradable = Err(PoolUntradable::Behind);
            }
            return PoolApplied::Unread;
        };
        let circumstances = Circumstances {
            now_s: change.at_s,
            ..*circumstances
        };
        let mut after = self.pool.state;
        let swapped = after
            .swap(&circumstances, way, amount)
            .ok()
            .filter(|swapped| within(limits, *swapped));
        let Some(swapped) = swapped else {
            return PoolApplied::PredictedFailure;
        };
        self.pool.state = after;
        self.reckon();
        PoolApplied::Moved(way, swapped)
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
    fn read(&self, swap: &Swap, actor: Option<&Key>) -> Option<(Way, Amount)> {
        let [a, b] = self.state.mints();
        let by_mint = match (swap.mint_in, swap.mint_out) {
            (Some(mint), _) if mint == *a => Some(Way::AToB),
            (Some(mint), _) if mint == *b => Some(Way::BToA),
            (_, Some(mint)) if mint == *b => Some(Way::AToB),
            (_, Some(mint)) if mint == *a => Some(Way::BToA),
            _ => None,
        };
        let way = swap.way.or(by_mint);
        let way = way.or_else(|| self.way_of_accounts(swap, actor?))?;
        let amount = match swap.amounts {
            SwapAmounts::ExactIn { amount_in, .. } => Amount::In(amount_in),
            SwapAmounts::ExactOut { amount_out, .. } => Amount::Out(amount_out),
            _ => return None,
        };
        Some((way, amount))
    }

    /// Which way a swap goes that names no mint: the coin is in the actor's associated account for it, which either
    /// gives or gets; `None` where he keeps it elsewhere. Cost: one derivation, some 2 us.
    fn way_of_accounts(&self, swap: &Swap, actor: &Key) -> Option<Way> {
        let (given, got) = (swap.account_in?, swap.account_out?);
        let seeds: [&[u8]; 3] = [actor, self.accounts.token_program(), &self.mint().0];
        let (coins, _) = find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM)?;
        match (given == coins, got == coins) {
            (true, false) => Some(self.sells()),
            (false, true) => Some(self.buys),
            _ => None,
        }
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
        truth: Version::NONE,
        terms: Version::NONE,
        succession: None,
    }
}
