//! Single accounts into records.

use std::collections::{BTreeSet, HashMap, VecDeque};

use market::pools::{PoolState, PoolTruth, Succession};
use market::pump::account::{BondingCurve, Global};
use market::token::{ASSOCIATED_TOKEN_PROGRAM, MintAccount, TokenAccount, TokenProgram};
use market::told::SLOTS_AHEAD_MAX;
use market::{
    AccountReject, CurveTruth, FeeSchedule, FeedId, HoldingTruth, Key, LaunchLabAccounts,
    LookupTables, Mint, Program, PumpAccounts, PumpSwapAccounts, RaydiumAmmAccounts,
    RaydiumCpAccounts, TokenAmount, TransferFee, VenueAccounts, VenueTerms, Version, launchlab,
    lookup, pump, pump_amm, raydium_amm, raydium_cp,
};
use shred_wire::Slot;

/// An account as a node told it.
#[derive(Clone, Copy, Debug)]
pub struct AccountData<'a> {
    /// Who told it. A feed that takes over from another has a higher number.
    pub feed: FeedId,
    /// Its address.
    pub key: Key,
    /// The program that owns it.
    pub owner: Key,
    /// Slot of the block that wrote it, or at which it was read.
    pub slot: Slot,
    /// Counts the node's writes: of two of one slot the higher is the later.
    pub write_version: u64,
    /// Accounts written by one transaction, or read in one answer, have the same number; no other of that slot has it.
    pub batch: u64,
    /// What it holds.
    pub data: &'a [u8],
}

/// What the core is told. Fixed size; travels through the accounts ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a ring's cell has the size of the largest"
)]
pub enum Update {
    /// Of a Pump curve.
    Curve(CurveTruth),
    /// Of a pool.
    Pool(PoolTruth),
    /// Of what we hold of a coin.
    Holding(HoldingTruth),
}

/// Why an account gave nothing. Every one is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ignored {
    /// Its owner is no program we read.
    OtherOwner,
    /// Older than what was taken of it before.
    Stale,
    /// Told by a feed that another one has taken over from.
    OldFeed,
    /// Its bytes are not understood.
    Rejected(AccountReject),
    /// No lookup table, or one that is being closed.
    NoTable(lookup::TableReject),
    /// A curve of a coin that was not tracked: its account does not name its mint.
    UntrackedCurve,
}

/// What an assembler counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Accounts taken.
    pub account_taken: u64,
    /// Accounts of programs that are not read.
    pub account_other_owner: u64,
    /// Accounts older than what was taken before.
    pub account_stale: u64,
    /// Accounts told by a feed that another one has taken over from.
    pub account_old_feed: u64,
    /// Accounts whose bytes are not understood.
    pub account_rejected: u64,
    /// Curves of coins that were not tracked.
    pub curve_untracked: u64,
    /// Records handed on.
    pub update_emitted: u64,
    /// Pools that wait for one of their accounts, or for all of them as one transaction left them.
    pub pool_incomplete: u64,
    /// Pools handed on as dangerous: of a coin that threatens its holders, or with a frozen vault. So that what was
    /// handed on as good before is known to be no longer. Also those whose terms are not understood, which are not handed on.
    pub pool_dangerous: u64,
    /// Accounts taken that venue terms are read from.
    pub terms_taken: u64,
    /// Lookup tables taken.
    pub table_taken: u64,
    /// Balances of ours handed on.
    pub holding_taken: u64,
    /// Pools that are told again later because very many depend on an account that changed.
    pub pool_deferred: u64,
}

/// A value with where it comes from.
#[derive(Clone, Copy, Debug)]
struct Told<T> {
    value: T,
    version: Version,
    batch: u64,
}

/// A pool's own account.
#[derive(Clone, Copy, Debug)]
enum PoolAccount {
    PumpAmm(pump_amm::PoolAccount, bool),
    RaydiumAmm(raydium_amm::Pool),
    RaydiumCp(raydium_cp::Pool),
    LaunchLab(launchlab::Pool),
}

/// Puts accounts together. Runs beside the core, never in it; allocates as the number of accounts grows, which whoever
/// asks a node for them bounds.
#[derive(Debug)]
pub struct Assembler {
    /// Which epoch's transfer fees count.
    epoch: u64,
    /// Coins by their curve's address.
    coins: HashMap<Key, PumpAccounts>,
    /// Coins that were found by their mints: (curve, mint), the oldest first.
    found: VecDeque<(Key, Key)>,
    found_max: usize,
    /// Whose balances are handed on.
    owner: Option<Key>,
    /// The feed that is listened to: the latest that told anything.
    feed: FeedId,
    curves: HashMap<Key, Version>,
    pools: HashMap<Key, Told<PoolAccount>>,
    balances: HashMap<Key, Told<TokenAccount>>,
    mints: HashMap<Key, Told<(MintAccount, TokenProgram)>>,
    cp_configs: HashMap<Key, Told<raydium_cp::Config>>,
    launch_globals: HashMap<Key, Told<(launchlab::GlobalConfig, launchlab::Migrators)>>,
    launch_platforms: HashMap<Key, Told<launchlab::PlatformConfig>>,
    /// Raw, because their parts are read together.
    terms: HashMap<Key, Told<Vec<u8>>>,
    tables: HashMap<Key, Told<Vec<Key>>>,
    /// Pools that depend on an account, in an order that every run has.
    dependants: HashMap<Key, BTreeSet<Key>>,
    /// Pools to be told again, in order.
    deferred: BTreeSet<Key>,
    counters: Counters,
}

impl Assembler {
    /// Nothing known; transfer fees are those of `epoch`. The newest [`COINS_FOUND_MAX`] coins whose mints are told are
    /// tracked without being asked for.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Self {
            epoch,
            coins: HashMap::new(),
            found: VecDeque::new(),
            found_max: COINS_FOUND_MAX,
            owner: None,
            feed: FeedId::default(),
            curves: HashMap::new(),
            pools: HashMap::new(),
            balances: HashMap::new(),
            mints: HashMap::new(),
            cp_configs: HashMap::new(),
            launch_globals: HashMap::new(),
            launch_platforms: HashMap::new(),
            terms: HashMap::new(),
            tables: HashMap::new(),
            dependants: HashMap::new(),
            deferred: BTreeSet::new(),
            counters: Counters::default(),
        }
    }

    /// Hands on what `owner` holds as well: the balances of its associated token accounts.
    #[must_use]
    pub const fn owned_by(mut self, owner: Key) -> Self {
        self.owner = Some(owner);
        self
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Another epoch has begun. Pools follow with their next account.
    pub const fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// As [`Assembler::new`], tracking so many coins by their mints; with 0 only those of [`Assembler::track`].
    #[must_use]
    pub fn finding(epoch: u64, coins_max: usize) -> Self {
        Self {
            found_max: coins_max,
            ..Self::new(epoch)
        }
    }

    /// Expects the curve of a coin.
    pub fn track(&mut self, accounts: PumpAccounts) {
        self.coins.insert(accounts.bonding_curve, accounts);
    }

    /// Forgets a coin's curve.
    pub fn untrack(&mut self, bonding_curve: &Key) {
        self.coins.remove(bonding_curve);
        self.curves.remove(bonding_curve);
    }

    /// Forgets a pool. What others share with it stays.
    pub fn forget_pool(&mut self, pool: &Key) {
        self.pools.remove(pool);
        self.deferred.remove(pool);
        for dependants in self.dependants.values_mut() {
            dependants.remove(pool);
        }
        self.dependants
            .retain(|_, dependants| !dependants.is_empty());
    }

    /// Accounts that a pool still needs, with no regard to when each was told.
    #[must_use]
    pub fn wanted(&self, pool: &Key) -> Vec<Key> {
        let Some(told) = self.pools.get(pool) else {
            return vec![*pool];
        };
        let is_missing = |key: &Key| {
            !self.balances.contains_key(key)
                && !self.mints.contains_key(key)
                && !self.cp_configs.contains_key(key)
                && !self.launch_globals.contains_key(key)
                && !self.launch_platforms.contains_key(key)
        };
        parts(&told.value).into_iter().filter(is_missing).collect()
    }

    /// Takes an account and hands on what it completes.
    ///
    /// A pool is handed on when its own account and both vaults are as one transaction or one answer left them: until
    /// then the price would be of no moment there ever was.
    ///
    /// # Errors
    /// [`Ignored`]; counted.
    pub fn take(
        &mut self,
        account: &AccountData<'_>,
        emit: &mut impl FnMut(&Update),
    ) -> Result<(), Ignored> {
        let taken = self.take_uncounted(account, emit);
        match taken {
            Ok(()) => self.counters.account_taken += 1,
            Err(Ignored::OtherOwner) => self.counters.account_other_owner += 1,
            Err(Ignored::Stale) => self.counters.account_stale += 1,
            Err(Ignored::OldFeed) => self.counters.account_old_feed += 1,
            Err(Ignored::Rejected(_) | Ignored::NoTable(_)) => self.counters.account_rejected += 1,
            Err(Ignored::UntrackedCurve) => self.counters.curve_untracked += 1,
        }
        taken
    }

    fn take_uncounted(
        &mut self,
        account: &AccountData<'_>,
        emit: &mut impl FnMut(&Update),
    ) -> Result<(), Ignored> {
        if account.feed < self.feed {
            return Err(Ignored::OldFeed);
        }
        self.feed = account.feed;
        if let Some(program) = TokenProgram::of(&account.owner) {
            return self.take_token(account, program, emit);
        }
        match account.owner {
            LOOKUP_TABLE_PROGRAM => return self.take_table(account),
            pump::FEE_PROGRAM => return self.take_terms(account),
            _ => {}
        }
        let data = account.data;
        match Program::of(&account.owner).ok_or(Ignored::OtherOwner)? {
            Program::Pump if account.key == pump::GLOBAL => {
                Global::parse(data)?;
                self.take_terms(account)
            }
            Program::Pump => self.take_curve(account, emit),
            Program::PumpAmm if account.key == pump_amm::GLOBAL_CONFIG => {
                pump_amm::GlobalConfig::parse(data)?;
                self.take_terms(account)
            }
            Program::PumpAmm => {
                let pool = pump_amm::PoolAccount::parse(data)?;
                let by_pump = pump_authority(&pool.base_mint) == Some(pool.creator);
                self.take_pool(account, PoolAccount::PumpAmm(pool, by_pump), emit)
            }
            Program::RaydiumAmm => {
                let pool = raydium_amm::Pool::parse(data)?;
                self.take_pool(account, PoolAccount::RaydiumAmm(pool), emit)
            }
            Program::RaydiumCp => match raydium_cp::Pool::parse(data) {
                Ok(pool) => self.take_pool(account, PoolAccount::RaydiumCp(pool), emit),
                Err(AccountReject::OtherKind) => {
                    put(
                        &mut self.cp_configs,
                        account,
                        raydium_cp::Config::parse(data)?,
                    )?;
                    self.complete_dependants(&account.key, emit);
                    Ok(())
                }
                Err(reject) => Err(reject.into()),
            },
            Program::LaunchLab => match launchlab::Pool::parse(data) {
                Ok(pool) => self.take_pool(account, PoolAccount::LaunchLab(pool), emit),
                Err(AccountReject::OtherKind) => {
                    self.take_launch_config(account)?;
                    self.complete_dependants(&account.key, emit);
                    Ok(())
                }
                Err(reject) => Err(reject.into()),
            },
            _ => Err(Ignored::OtherOwner),
        }
    }

    fn take_launch_config(&mut self, account: &AccountData<'_>) -> Result<(), Ignored> {
        match launchlab::GlobalConfig::parse(account.data) {
            Ok(config) => {
                let migrators = launchlab::Migrators::parse(account.data)?;
                put(&mut self.launch_globals, account, (config, migrators))
            }
            Err(AccountReject::OtherKind) => {
                let config = launchlab::PlatformConfig::parse(account.data)?;
                put(&mut self.launch_platforms, account, config)
            }
            Err(reject) => Err(reject.into()),
        }
    }

    fn take_table(&mut self, account: &AccountData<'_>) -> Result<(), Ignored> {
        let mut addresses = Vec::new();
        lookup::read_table(account.data, |address| addresses.push(*address))
            .map_err(Ignored::NoTable)?;
        put(&mut self.tables, account, addresses)?;
        self.counters.table_taken += 1;
        Ok(())
    }

    fn take_terms(&mut self, account: &AccountData<'_>) -> Result<(), Ignored> {
        // The fee program has an account for every coin that shares its fees, too.
        if !TERMS.contains(&account.key) {
            return Err(Ignored::OtherOwner);
        }
        put(&mut self.terms, account, account.data.to_vec())?;
        self.counters.terms_taken += 1;
        Ok(())
    }

    /// The curve that a coin of Pump's has is derived from its mint, which its account does not name. Two derivations
    /// for a mint told for the first time, some 10 us; a mint that no curve belongs to costs them, too.
    fn find_coin(&mut self, mint: &Key, program: TokenProgram) {
        let find = |seeds: &[&[u8]], program: &Key| {
            program_address::find_program_address(seeds, program).map(|(address, _)| address)
        };
        let Some(bonding_curve) = find(&[b"bonding-curve", mint], &pump::PROGRAM) else {
            return;
        };
        if self.found_max == 0 || self.coins.contains_key(&bonding_curve) {
            return;
        }
        let seeds: [&[u8]; 3] = [&bonding_curve, program.id(), mint];
        let Some(associated_bonding_curve) = find(&seeds, &ASSOCIATED_TOKEN_PROGRAM) else {
            return;
        };
        while self.found.len() >= self.found_max {
            let Some((curve, mint)) = self.found.pop_front() else {
                break;
            };
            self.untrack(&curve);
            if !self.dependants.contains_key(&mint) {
                self.mints.remove(&mint);
            }
        }
        self.found.push_back((bonding_curve, *mint));
        self.track(PumpAccounts {
            mint: Mint(*mint),
            bonding_curve,
            associated_bonding_curve,
            token_program: *program.id(),
            quote_mint: pump::WRAPPED_SOL,
            ..PumpAccounts::default()
        });
    }

    fn take_curve(
        &mut self,
        account: &AccountData<'_>,
        emit: &mut impl FnMut(&Update),
    ) -> Result<(), Ignored> {
        let curve = BondingCurve::parse(account.data)?;
        let accounts = *self
            .coins
            .get(&account.key)
            .ok_or(Ignored::UntrackedCurve)?;
        let at = account.version();
        let known = self.curves.entry(account.key).or_insert(Version::NONE);
        if !is_news(&at, known) {
            return Err(Ignored::Stale);
        }
        *known = at;
        let supply = self.mints.get(&accounts.mint.0);
        self.counters.update_emitted += 1;
        emit(&Update::Curve(CurveTruth {
            accounts,
            curve,
            supply: supply.map(|told| told.value.0.supply),
            slot: account.slot,
            write_version: account.write_version,
            feed: account.feed,
        }));
        Ok(())
    }

    fn take_token(
        &mut self,
        account: &AccountData<'_>,
        program: TokenProgram,
        emit: &mut impl FnMut(&Update),
    ) -> Result<(), Ignored> {
        match TokenAccount::parse(account.data, program) {
            Ok(balance) => {
                put(&mut self.balances, account, balance)?;
                self.tell_holding(account, program, &balance, emit);
            }
            Err(AccountReject::OtherKind | AccountReject::Short) => {
                let mint = MintAccount::parse(account.data, program)?;
                let is_new = !self.mints.contains_key(&account.key);
                put(&mut self.mints, account, (mint, program))?;
                if is_new {
                    self.find_coin(&account.key, program);
                }
            }
            Err(reject) => return Err(reject.into()),
        }
        self.complete_dependants(&account.key, emit);
        Ok(())
    }

    /// Hands on what the owner that was asked for holds. Anybody may open a token account in its name: only the one that our
    /// instructions name says what we can sell.
    fn tell_holding(
        &mut self,
        account: &AccountData<'_>,
        program: TokenProgram,
        balance: &TokenAccount,
        emit: &mut impl FnMut(&Update),
    ) {
        let Some(owner) = self.owner.filter(|owner| *owner == balance.owner) else {
            return;
        };
        let seeds: [&[u8]; 3] = [&owner, program.id(), &balance.mint];
        let associated = program_address::find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM);
        if associated.is_none_or(|(address, _)| address != account.key) {
            return;
        }
        self.counters.holding_taken += 1;
        self.counters.update_emitted += 1;
        emit(&Update::Holding(HoldingTruth {
            mint: Mint(balance.mint),
            tokens: TokenAmount(balance.amount),
            version: account.version(),
        }));
    }

    fn take_pool(
        &mut self,
        account: &AccountData<'_>,
        pool: PoolAccount,
        emit: &mut impl FnMut(&Update),
    ) -> Result<(), Ignored> {
        put(&mut self.pools, account, pool)?;
        for part in parts(&pool) {
            self.dependants.entry(part).or_default().insert(account.key);
        }
        self.complete(&account.key, emit);
        Ok(())
    }

    fn complete_dependants(&mut self, part: &Key, emit: &mut impl FnMut(&Update)) {
        let Some(pools) = self.dependants.get(part) else {
            return;
        };
        // A configuration is shared by thousands of pools: what does not go now goes bit by bit.
        let at_once: Vec<Key> = pools.iter().copied().take(DEPENDANTS_AT_ONCE).collect();
        let before = self.deferred.len();
        self.deferred.extend(pools.iter().skip(DEPENDANTS_AT_ONCE));
        self.counters.pool_deferred += (self.deferred.len() - before) as u64;
        for pool in at_once {
            self.complete(&pool, emit);
        }
    }

    /// Tells at most `count` of the pools again that depend on an account that changed and were too many to be told at once;
    /// how many. To be called regularly.
    pub fn tell_deferred(&mut self, count: usize, emit: &mut impl FnMut(&Update)) -> usize {
        let mut told = 0;
        while told < count
            && let Some(pool) = self.deferred.pop_first()
        {
            self.complete(&pool, emit);
            told += 1;
        }
        told
    }

    fn complete(&mut self, pool: &Key, emit: &mut impl FnMut(&Update)) {
        match self.truth(pool) {
            Ok(truth) => {
                self.counters.update_emitted += 1;
                self.counters.pool_dangerous += u64::from(truth.is_dangerous);
                emit(&Update::Pool(truth));
            }
            Err(Unfinished::Incomplete) => self.counters.pool_incomplete += 1,
            Err(Unfinished::NotUnderstood) => self.counters.pool_dangerous += 1,
        }
    }

    /// The pool as all of its accounts have it.
    fn truth(&self, key: &Key) -> Result<PoolTruth, Unfinished> {
        let told = self.pools.get(key).ok_or(Unfinished::Incomplete)?;
        let mut is_dangerous = false;
        let mut terms = Version::NONE;
        let mut succession = None;
        let (accounts, state, version) = match &told.value {
            PoolAccount::PumpAmm(account, made_by_pump) => {
                let [base, quote] = self.vaults(told, &account.base_vault, &account.quote_vault)?;
                is_dangerous |= base.value.is_frozen || quote.value.is_frozen;
                let (base_mint, base_program) = self.mint(&account.base_mint)?;
                let (quote_mint, _) = self.mint(&account.quote_mint)?;
                terms = self.mint_version(&account.quote_mint);
                let state = pump_amm::Pool {
                    account: *account,
                    made_by_pump: *made_by_pump,
                    base_reserve: base.value.amount,
                    quote_reserve: quote.value.amount,
                    base_supply: base_mint.supply,
                    base_fee: base_mint.transfer_fee(self.epoch),
                    quote_fee: quote_mint.transfer_fee(self.epoch),
                };
                let accounts = PumpSwapAccounts {
                    mint: Mint(account.base_mint),
                    pool: *key,
                    base_vault: account.base_vault,
                    quote_vault: account.quote_vault,
                    token_program: *base_program.id(),
                    quote_mint: account.quote_mint,
                };
                let version = latest([told.version, base.version, quote.version]);
                (accounts.into(), PoolState::PumpAmm(state), version)
            }
            PoolAccount::RaydiumAmm(pool) => {
                let [coin, pc] = self.vaults(told, &pool.coin_vault, &pool.pc_vault)?;
                is_dangerous |= coin.value.is_frozen || pc.value.is_frozen;
                let state = pool.with_vaults(coin.value.amount, pc.value.amount);
                let (mint, quote_mint) = coin_of(pool.coin_mint, pool.pc_mint);
                self.mint(&mint.0)?;
                let accounts = RaydiumAmmAccounts {
                    mint,
                    pool: *key,
                    coin_vault: pool.coin_vault,
                    pc_vault: pool.pc_vault,
                    quote_mint,
                };
                let version = latest([told.version, coin.version, pc.version]);
                (accounts.into(), PoolState::RaydiumAmm(state), version)
            }
            PoolAccount::RaydiumCp(pool) => {
                let config = self.cp_configs.get(&pool.config);
                let config = config.ok_or(Unfinished::Incomplete)?;
                let mints = pool.mints.map(|mint| self.mint_version(&mint));
                terms = latest([config.version, mints[0], mints[1]]);
                let config = config.value;
                let [a, b] = self.vaults(told, &pool.vaults[0], &pool.vaults[1])?;
                is_dangerous |= a.value.is_frozen || b.value.is_frozen;
                let fees = [self.fee(&pool.mints[0])?, self.fee(&pool.mints[1])?];
                let state = pool
                    .with_vaults([a.value.amount, b.value.amount])
                    .with_transfer_fees(fees);
                let (mint, quote_mint) = coin_of(pool.mints[0], pool.mints[1]);
                let coin = usize::from(pool.mints[0] != mint.0);
                let accounts = RaydiumCpAccounts {
                    mint,
                    pool: *key,
                    amm_config: pool.config,
                    base_vault: pool.vaults[coin],
                    quote_vault: pool.vaults[1 - coin],
                    token_program: pool.token_programs[coin],
                    quote_mint,
                    observation: pool.observation,
                };
                let version = latest([told.version, a.version, b.version]);
                let state = PoolState::RaydiumCp(state, config);
                (accounts.into(), state, version)
            }
            // Its reserves stand in its own account.
            PoolAccount::LaunchLab(pool) => {
                let (accounts, state) = self.launchlab(key, pool)?;
                terms = self.launchlab_version(pool);
                succession = self.succession(pool);
                (accounts, state, told.version)
            }
        };
        let coin_key = accounts.mint().0;
        let (coin, _) = self.mint(&coin_key)?;
        is_dangerous |= coin.dangers().threatens_holders();
        let Version {
            feed,
            slot,
            write_version,
        } = version;
        Ok(PoolTruth {
            pool: *key,
            accounts,
            state,
            slot,
            write_version,
            feed,
            terms: latest([terms, self.mint_version(&coin_key)]),
            succession,
            is_dangerous,
        })
    }

    /// Where a curve goes on: migration to CPMM opens the pool whose address follows from the platform's configuration and
    /// the mints, in the order that CPMM has them. That of AMM v4 follows from a market nobody knows before.
    ///
    /// Source: `launchlab.json`, `migrate_to_cpswap`, `cpswap_pool`.
    fn succession(&self, pool: &launchlab::Pool) -> Option<Succession> {
        let (_, migrators) = self.launch_globals.get(&pool.global_config)?.value;
        let platform = self.launch_platforms.get(&pool.platform_config)?.value;
        let [low, high] = if pool.base_mint < pool.quote_mint {
            [&pool.base_mint, &pool.quote_mint]
        } else {
            [&pool.quote_mint, &pool.base_mint]
        };
        let seeds: [&[u8]; 4] = [b"pool", &platform.cp_config, low, high];
        let address = || program_address::find_program_address(&seeds, Program::RaydiumCp.id());
        let address = pool.migrates_to_cp.then(address).flatten();
        Some(Succession {
            pool: address.map(|(address, _)| address),
            migrators,
        })
    }

    fn launchlab_version(&self, pool: &launchlab::Pool) -> Version {
        let global = self.launch_globals.get(&pool.global_config);
        let platform = self.launch_platforms.get(&pool.platform_config);
        latest([
            global.map_or(Version::NONE, |told| told.version),
            platform.map_or(Version::NONE, |told| told.version),
            self.mint_version(&pool.quote_mint),
        ])
    }

    fn mint_version(&self, mint: &Key) -> Version {
        let told = self.mints.get(mint);
        told.map_or(Version::NONE, |told| told.version)
    }

    fn launchlab(
        &self,
        key: &Key,
        pool: &launchlab::Pool,
    ) -> Result<(VenueAccounts, PoolState), Unfinished> {
        let global = self.launch_globals.get(&pool.global_config);
        let platform = self.launch_platforms.get(&pool.platform_config);
        let (global, platform) = global.zip(platform).ok_or(Unfinished::Incomplete)?;
        let terms = launchlab::Terms::new(&global.value.0, &platform.value, 0)
            .map_err(|_| Unfinished::NotUnderstood)?;
        let (_, token_program) = self.mint(&pool.base_mint)?;
        let fees = [self.fee(&pool.base_mint)?, self.fee(&pool.quote_mint)?];
        let vault = |owner: &Key| {
            program_address::find_program_address(
                &[owner, &pool.quote_mint],
                Program::LaunchLab.id(),
            )
            .map(|(address, _)| address)
            .ok_or(Unfinished::NotUnderstood)
        };
        let accounts = LaunchLabAccounts {
            mint: Mint(pool.base_mint),
            pool: *key,
            global_config: pool.global_config,
            platform_config: pool.platform_config,
            base_vault: pool.base_vault,
            quote_vault: pool.quote_vault,
            token_program: *token_program.id(),
            quote_mint: pool.quote_mint,
            platform_fee_vault: vault(&pool.platform_config)?,
            creator_fee_vault: vault(&pool.creator)?,
        };
        let state = pool.with_transfer_fees(fees[0], fees[1]);
        Ok((accounts.into(), PoolState::LaunchLab(state, terms)))
    }

    /// Both vaults, as the transaction or answer left them that the pool's account is of.
    fn vaults(
        &self,
        pool: &Told<PoolAccount>,
        a: &Key,
        b: &Key,
    ) -> Result<[&Told<TokenAccount>; 2], Unfinished> {
        let (Some(a), Some(b)) = (self.balances.get(a), self.balances.get(b)) else {
            return Err(Unfinished::Incomplete);
        };
        let moment = |version: Version, batch: u64| (version.feed, version.slot, batch);
        let same = |told: &Told<TokenAccount>| {
            moment(told.version, told.batch) == moment(pool.version, pool.batch)
        };
        if same(a) && same(b) {
            Ok([a, b])
        } else {
            Err(Unfinished::Incomplete)
        }
    }

    /// A mint and its program.
    fn mint(&self, key: &Key) -> Result<(&MintAccount, TokenProgram), Unfinished> {
        let told = self.mints.get(key).ok_or(Unfinished::Incomplete)?;
        let (mint, program) = &told.value;
        Ok((mint, *program))
    }

    fn fee(&self, mint: &Key) -> Result<TransferFee, Unfinished> {
        Ok(self.mint(mint)?.0.transfer_fee(self.epoch))
    }

    /// Terms of the venues as their accounts have them; `None` while Pump's are not known.
    ///
    /// # Errors
    /// [`AccountReject`] of an account that was taken and does not fit its place.
    pub fn terms(&self) -> Result<Option<VenueTerms>, AccountReject> {
        let data = |key: &Key| self.terms.get(key).map(|told| told.value.as_slice());
        let (Some(global), Some(rates)) = (data(&pump::GLOBAL), data(&pump::FEE_CONFIG)) else {
            return Ok(None);
        };
        let configurable = Global::parse(global)?.creator_fee_configurable;
        let pump_amm = data(&pump_amm::GLOBAL_CONFIG)
            .zip(data(&pump_amm::FEE_CONFIG))
            .map(|(global, rates)| pump_amm::Terms::parse(global, rates))
            .transpose()?;
        Ok(Some(VenueTerms {
            pump: FeeSchedule::parse(rates, configurable)?,
            pump_amm,
        }))
    }

    /// Every lookup table that was taken.
    #[must_use]
    pub fn tables(&self) -> LookupTables {
        let tables = self.tables.iter();
        LookupTables::new(tables.map(|(key, told)| (*key, told.value.as_slice())))
    }
}

/// Why a pool was not handed on.
enum Unfinished {
    Incomplete,
    NotUnderstood,
}

impl From<AccountReject> for Ignored {
    fn from(reject: AccountReject) -> Self {
        Self::Rejected(reject)
    }
}

impl AccountData<'_> {
    const fn version(&self) -> Version {
        Version {
            feed: self.feed,
            slot: self.slot,
            write_version: self.write_version,
        }
    }
}

/// Every account that terms are read from.
const TERMS: [Key; 4] = [
    pump::GLOBAL,
    pump::FEE_CONFIG,
    pump_amm::GLOBAL_CONFIG,
    pump_amm::FEE_CONFIG,
];
/// Pools told again at once when an account that they share has changed.
const DEPENDANTS_AT_ONCE: usize = 64;
/// Coins that are tracked by their mints at most, about 1 kB each.
pub const COINS_FOUND_MAX: usize = 65_536;
/// The address lookup table program. Source: solana-sdk-ids.
const LOOKUP_TABLE_PROGRAM: Key =
    market::base58::key("AddressLookupTab1e1111111111111111111111111");

/// Whether to take what is told after `known` was.
///
/// Nobody here knows the chain's slot. But no node tells an account as it was hundreds of slots before what it told of it
/// last: then that was of no slot there is, and must not make all that comes look old.
fn is_news(told: &Version, known: &Version) -> bool {
    told.is_after(known)
        || told.feed.0 >= known.feed.0 && known.slot.0 > told.slot.0.saturating_add(SLOTS_AHEAD_MAX)
}

/// Keeps `value`, unless what is kept is as new.
fn put<T>(
    kept: &mut HashMap<Key, Told<T>>,
    account: &AccountData<'_>,
    value: T,
) -> Result<(), Ignored> {
    let version = account.version();
    let known = kept.get(&account.key);
    if known.is_some_and(|known| !is_news(&version, &known.version)) {
        return Err(Ignored::Stale);
    }
    let told = Told {
        value,
        version,
        batch: account.batch,
    };
    kept.insert(account.key, told);
    Ok(())
}

fn latest<const N: usize>(parts: [Version; N]) -> Version {
    parts.into_iter().max().unwrap_or_default()
}

/// Every account beside its own that a pool's price or instructions depend on.
fn parts(pool: &PoolAccount) -> Vec<Key> {
    match pool {
        PoolAccount::PumpAmm(pool, _) => vec![
            pool.base_vault,
            pool.quote_vault,
            pool.base_mint,
            pool.quote_mint,
        ],
        PoolAccount::RaydiumAmm(pool) => {
            let (coin, _) = coin_of(pool.coin_mint, pool.pc_mint);
            vec![pool.coin_vault, pool.pc_vault, coin.0]
        }
        PoolAccount::RaydiumCp(pool) => vec![
            pool.vaults[0],
            pool.vaults[1],
            pool.mints[0],
            pool.mints[1],
            pool.config,
        ],
        PoolAccount::LaunchLab(pool) => vec![
            pool.base_mint,
            pool.quote_mint,
            pool.global_config,
            pool.platform_config,
        ],
    }
}

/// Which of a pool's mints is the coin, and which the quote: wrapped SOL is the quote, else the second.
fn coin_of(a: Key, b: Key) -> (Mint, Key) {
    if a == pump::WRAPPED_SOL {
        (Mint(b), a)
    } else {
        (Mint(a), b)
    }
}

/// Who makes Pump's own pool of a coin.
fn pump_authority(mint: &Key) -> Option<Key> {
    program_address::find_program_address(&[b"pool-authority", mint], &pump::PROGRAM)
        .map(|(address, _)| address)
}
