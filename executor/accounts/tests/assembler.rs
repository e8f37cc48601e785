//! Goal: a pool is handed on when all of its accounts are there as one moment had them, and not before.
//! Method: an AMM v4 pool's accounts, byte by byte; other tests hold each layout against its venue.
#![allow(clippy::unwrap_used)]

use accounts::{AccountData, Assembler, Ignored, Update};
use market::pools::PoolState;
use market::pump::{TOKEN_PROGRAM, WRAPPED_SOL};
use market::{AccountReject, FeedId, Key, Program, VenueAccounts};
use proptest::prelude::*;
use shred_wire::Slot;

const POOL: Key = [1; 32];
const COIN_VAULT: Key = [2; 32];
const PC_VAULT: Key = [3; 32];
const COIN: Key = [4; 32];

/// `AmmInfo` of a pool that swaps, fee 25 of 10,000.
fn amm() -> Vec<u8> {
    let mut data = vec![0; 752];
    let mut put = |at: usize, bytes: &[u8]| data[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &6u64.to_le_bytes());
    put(176, &25u64.to_le_bytes());
    put(184, &10_000u64.to_le_bytes());
    put(336, &COIN_VAULT);
    put(368, &PC_VAULT);
    put(400, &COIN);
    put(432, &WRAPPED_SOL);
    data
}

fn token_account(mint: Key, amount: u64) -> Vec<u8> {
    let mut data = vec![0; 165];
    data[..32].copy_from_slice(&mint);
    data[64..72].copy_from_slice(&amount.to_le_bytes());
    data[108] = 1;
    data
}

fn mint() -> Vec<u8> {
    let mut data = vec![0; 82];
    data[36..44].copy_from_slice(&1_000_000u64.to_le_bytes());
    data[44] = 6;
    data[45] = 1;
    data
}

struct Feed {
    assembler: Assembler,
    updates: Vec<Update>,
    feed: FeedId,
}

impl Feed {
    fn new() -> Self {
        Self {
            assembler: Assembler::new(900),
            updates: Vec::new(),
            feed: FeedId(0),
        }
    }

    /// Takes an account that the transaction numbered `batch` of `slot` wrote.
    fn take(&mut self, key: Key, data: &[u8], slot: u64, batch: u64) -> Result<(), Ignored> {
        let owner = if key == POOL {
            *Program::RaydiumAmm.id()
        } else {
            TOKEN_PROGRAM
        };
        self.assembler.take(
            &AccountData {
                feed: self.feed,
                key,
                owner,
                slot: Slot(slot),
                write_version: batch,
                batch,
                data,
            },
            &mut |update| self.updates.push(*update),
        )
    }

    fn whole(&mut self, slot: u64, batch: u64, coin: u64, pc: u64) {
        self.take(POOL, &amm(), slot, batch).unwrap();
        self.take(COIN_VAULT, &token_account(COIN, coin), slot, batch)
            .unwrap();
        self.take(PC_VAULT, &token_account(WRAPPED_SOL, pc), slot, batch)
            .unwrap();
    }

    fn vaults(&self) -> Option<(u64, u64)> {
        match self.updates.last()? {
            Update::Pool(truth) => match truth.state {
                PoolState::RaydiumAmm(pool) => Some((pool.coin, pool.pc)),
                _ => None,
            },
            Update::Curve(_) | Update::Holding(_) => None,
        }
    }
}

#[test]
fn a_pool_is_told_once_all_of_it_is_there() {
    let mut feed = Feed::new();
    assert_eq!(feed.assembler.wanted(&POOL), [POOL]);
    feed.whole(10, 1, 500, 700);
    assert!(feed.updates.is_empty(), "its mint is not known");
    assert_eq!(feed.assembler.wanted(&POOL), [COIN]);
    feed.take(COIN, &mint(), 9, 5).unwrap();
    assert_eq!(feed.vaults(), Some((500, 700)));
    let Update::Pool(truth) = feed.updates[0] else {
        panic!("not a pool")
    };
    assert_eq!(
        (truth.pool, truth.slot, truth.write_version),
        (POOL, Slot(10), 1)
    );
    let VenueAccounts::RaydiumAmm(accounts) = truth.accounts else {
        panic!("another venue's")
    };
    assert_eq!((accounts.mint.0, accounts.quote_mint), (COIN, WRAPPED_SOL));
    assert!(feed.assembler.wanted(&POOL).is_empty());
}

#[test]
fn vaults_of_two_transactions_make_no_price() {
    let mut feed = Feed::new();
    feed.take(COIN, &mint(), 9, 5).unwrap();
    feed.whole(10, 1, 500, 700);
    assert_eq!(feed.updates.len(), 1);
    feed.take(POOL, &amm(), 11, 2).unwrap();
    feed.take(COIN_VAULT, &token_account(COIN, 400), 11, 2)
        .unwrap();
    assert_eq!(feed.updates.len(), 1, "half of a swap");
    feed.take(PC_VAULT, &token_account(WRAPPED_SOL, 880), 11, 2)
        .unwrap();
    assert_eq!(feed.vaults(), Some((400, 880)));
    let stale = feed.take(PC_VAULT, &token_account(WRAPPED_SOL, 1), 11, 2);
    assert_eq!(stale, Err(Ignored::Stale));
    assert_eq!(feed.assembler.counters().account_stale, 1);
}

/// Regression: what was told of a slot far ahead made everything that came later look old.
#[test]
fn a_slot_that_was_none_does_not_outlive_the_next_telling() {
    let mut feed = Feed::new();
    let mut tell = |amount: u64, slot: u64| {
        let _ = feed.take(POOL, &amm(), slot, slot);
        let _ = feed.take(COIN_VAULT, &token_account(COIN, amount), slot, slot);
        let _ = feed.take(PC_VAULT, &token_account(WRAPPED_SOL, amount), slot, slot);
        let _ = feed.take(COIN, &mint(), slot, slot);
        let last = feed.updates.pop();
        feed.updates.clear();
        match last {
            Some(Update::Pool(truth)) => Some(truth.slot),
            _ => None,
        }
    };
    assert_eq!(tell(1, u64::MAX), Some(Slot(u64::MAX)));
    assert_eq!(tell(2, 1_000), Some(Slot(1_000)));
    // As old as a fork may make it.
    assert_eq!(tell(3, 1_000 - 512), None);
    assert_eq!(tell(3, 1_001), Some(Slot(1_001)));
}

fn is_dangerous(update: &Update) -> bool {
    matches!(update, Update::Pool(truth) if truth.is_dangerous)
}

#[test]
fn a_frozen_vault_is_told_as_a_danger() {
    let mut feed = Feed::new();
    feed.take(COIN, &mint(), 9, 5).unwrap();
    let mut frozen = token_account(COIN, 500);
    frozen[108] = 2;
    feed.take(POOL, &amm(), 10, 1).unwrap();
    feed.take(COIN_VAULT, &frozen, 10, 1).unwrap();
    feed.take(PC_VAULT, &token_account(WRAPPED_SOL, 700), 10, 1)
        .unwrap();
    assert!(feed.updates.len() == 1 && is_dangerous(&feed.updates[0]));
    assert_eq!(feed.assembler.counters().pool_dangerous, 1);
}

/// A coin whose holders can be frozen out is the plainest trap there is: it is bought, and cannot be sold.
#[test]
fn a_coin_with_somebody_in_power_over_its_holders_is_told_as_a_danger() {
    for (tag, what) in [(0, "who mints"), (46, "who freezes")] {
        let mut feed = Feed::new();
        let mut armed = mint();
        armed[tag] = 1;
        feed.take(COIN, &armed, 9, 5).unwrap();
        feed.whole(10, 1, 500, 700);
        assert!(is_dangerous(&feed.updates[0]), "{what}");
    }
    let mut feed = Feed::new();
    feed.take(COIN, &mint(), 9, 5).unwrap();
    feed.whole(10, 1, 500, 700);
    assert!(!is_dangerous(&feed.updates[0]));
    // It changes for the worse without the pool being touched.
    let mut armed = mint();
    armed[46] = 1;
    feed.take(COIN, &armed, 11, 9).unwrap();
    assert!(is_dangerous(feed.updates.last().unwrap()));
}

/// The fee program keeps an account for every coin that shares its fees.
#[test]
fn of_the_fee_program_only_the_schedules_are_kept() {
    let mut feed = Feed::new();
    let stray = AccountData {
        feed: FeedId(0),
        key: [5; 32],
        owner: market::pump::FEE_PROGRAM,
        slot: Slot(1),
        write_version: 1,
        batch: 1,
        data: &[0; 500],
    };
    let refused = feed.assembler.take(&stray, &mut |_| ());
    assert_eq!(refused, Err(Ignored::OtherOwner));
    assert_eq!(feed.assembler.counters().terms_taken, 0);
}

/// Regression: pools that share an account were told in the order of a hash map, another one in every process, and the
/// core's digest with them.
#[test]
fn pools_that_share_an_account_are_told_in_one_order() {
    let mut feed = Feed::new();
    let put = |data: &mut Vec<u8>, at: usize, key: Key| data[at..at + 32].copy_from_slice(&key);
    for pool in 1..=40u8 {
        let [key, coin_vault, pc_vault] = [0x40, 0x80, 0xc0].map(|kind| [kind | pool; 32]);
        let mut data = amm();
        put(&mut data, 336, coin_vault);
        put(&mut data, 368, pc_vault);
        let mut told = |key: Key, owner: Key, data: &[u8]| {
            let account = AccountData {
                feed: FeedId(0),
                key,
                owner,
                slot: Slot(10),
                write_version: u64::from(pool),
                batch: u64::from(pool),
                data,
            };
            feed.assembler.take(&account, &mut |_| ()).unwrap();
        };
        told(key, *Program::RaydiumAmm.id(), &data);
        told(coin_vault, TOKEN_PROGRAM, &token_account(COIN, 500));
        told(pc_vault, TOKEN_PROGRAM, &token_account(WRAPPED_SOL, 700));
    }
    feed.take(COIN, &mint(), 11, 99).unwrap();
    let pools: Vec<Key> = feed
        .updates
        .iter()
        .map(|update| match update {
            Update::Pool(truth) => truth.pool,
            other => panic!("{other:?} was told"),
        })
        .collect();
    assert!(pools.len() == 40 && pools.is_sorted());
}

#[test]
fn what_is_not_understood_is_refused_and_counted() {
    let mut feed = Feed::new();
    assert_eq!(
        feed.take(POOL, &amm()[..751], 1, 1),
        Err(Ignored::Rejected(AccountReject::Short))
    );
    let other = AccountData {
        feed: FeedId(0),
        key: POOL,
        owner: [77; 32],
        slot: Slot(1),
        write_version: 1,
        batch: 1,
        data: &[],
    };
    let refused = feed.assembler.take(&other, &mut |_| ());
    assert_eq!(refused, Err(Ignored::OtherOwner));
    let curve = AccountData {
        owner: *Program::Pump.id(),
        data: &[0x17, 0xb7, 0xf8, 0x37, 0x60, 0xd8, 0xac, 0x60],
        ..other
    };
    assert!(matches!(
        feed.assembler.take(&curve, &mut |_| ()),
        Err(Ignored::Rejected(AccountReject::Short))
    ));
    let counters = feed.assembler.counters();
    assert_eq!(
        (counters.account_rejected, counters.account_other_owner),
        (2, 1)
    );
    assert_eq!(feed.assembler.terms(), Ok(None));
    assert!(feed.assembler.tables().is_empty());
}

proptest! {
    /// Goal: no account of any program makes it panic, whatever its bytes are.
    #[test]
    fn any_bytes_are_taken_or_refused(
        program in prop::sample::select(Program::ALL.to_vec()),
        kind in prop::sample::select(vec![0usize, 1, 2, 3]),
        data in prop::collection::vec(any::<u8>(), 0..1_300),
    ) {
        let owner = match kind {
            0 => *program.id(),
            1 => TOKEN_PROGRAM,
            2 => market::pump::TOKEN_2022_PROGRAM,
            _ => market::pump::FEE_PROGRAM,
        };
        let mut assembler = Assembler::new(0);
        let account = AccountData { feed: FeedId(0), key: [5; 32], owner, slot: Slot(1), write_version: 1, batch: 1, data: &data };
        let _ = assembler.take(&account, &mut |_| ());
        let _ = assembler.terms();
    }
}

const CP_POOL: Key = [0x31; 32];
const CP_CONFIG: Key = [0x32; 32];
const CP_VAULTS: [Key; 2] = [[0x33; 32], [0x34; 32]];
/// After wrapped SOL's (6).
const CP_COIN: Key = [0x39; 32];

/// CPMM's `PoolState`, and its `AmmConfig` with a trade fee.
fn cp() -> Vec<u8> {
    let mut data = vec![0; 637];
    let mut put = |at: usize, bytes: &[u8]| data[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &market::raydium_cp::discriminator::POOL);
    put(8, &CP_CONFIG);
    put(72, &CP_VAULTS[0]);
    put(104, &CP_VAULTS[1]);
    put(168, &WRAPPED_SOL);
    put(200, &CP_COIN);
    put(232, &TOKEN_PROGRAM);
    put(264, &TOKEN_PROGRAM);
    data
}

fn cp_config(trade_fee_rate: u64) -> Vec<u8> {
    let mut data = vec![0; 236];
    data[..8].copy_from_slice(&market::raydium_cp::discriminator::CONFIG);
    data[12..20].copy_from_slice(&trade_fee_rate.to_le_bytes());
    data
}

/// Regression: a configuration came with the version of the pool, so that the core took the record for one it had.
#[test]
fn a_configuration_that_changed_is_told_of_each_pool_with_its_own_version() {
    let mut feed = Feed::new();
    let cpmm = *Program::RaydiumCp.id();
    let told = |feed: &mut Feed, key, owner, data: &[u8], slot, batch| {
        let account = AccountData {
            feed: FeedId(0),
            key,
            owner,
            slot: Slot(slot),
            write_version: batch,
            batch,
            data,
        };
        let updates = &mut feed.updates;
        feed.assembler
            .take(&account, &mut |update| updates.push(*update))
            .unwrap();
    };
    told(&mut feed, CP_COIN, TOKEN_PROGRAM, &mint(), 9, 1);
    told(&mut feed, WRAPPED_SOL, TOKEN_PROGRAM, &mint(), 9, 1);
    told(&mut feed, CP_CONFIG, cpmm, &cp_config(2_500), 9, 1);
    told(&mut feed, CP_POOL, cpmm, &cp(), 10, 2);
    for vault in CP_VAULTS {
        let mint = if vault == CP_VAULTS[0] {
            WRAPPED_SOL
        } else {
            CP_COIN
        };
        told(
            &mut feed,
            vault,
            TOKEN_PROGRAM,
            &token_account(mint, 500),
            10,
            2,
        );
    }
    let last = |feed: &Feed| match feed.updates.last().unwrap() {
        Update::Pool(truth) => *truth,
        other => panic!("{other:?}"),
    };
    let before = last(&feed);
    told(&mut feed, CP_CONFIG, cpmm, &cp_config(9_000), 12, 7);
    let after = last(&feed);
    assert_eq!(
        before.version(),
        after.version(),
        "the pool was not written"
    );
    assert!(after.terms.is_after(&before.terms));
    let PoolState::RaydiumCp(_, config) = after.state else {
        panic!("another venue's")
    };
    assert_eq!(config.trade_fee_rate, 9_000);
}

/// Thousands of pools share a configuration, and a ring has so many cells.
#[test]
fn what_very_many_depend_on_is_told_bit_by_bit_and_of_all() {
    let mut feed = Feed::new();
    let put = |data: &mut Vec<u8>, at: usize, key: Key| data[at..at + 32].copy_from_slice(&key);
    for pool in 0..200u8 {
        let [key, coin_vault, pc_vault] = [1, 2, 3].map(|kind| {
            let mut key = [kind; 32];
            key[0] = pool;
            key
        });
        let mut data = amm();
        put(&mut data, 336, coin_vault);
        put(&mut data, 368, pc_vault);
        for (key, owner, data) in [
            (key, *Program::RaydiumAmm.id(), data),
            (coin_vault, TOKEN_PROGRAM, token_account(COIN, 500)),
            (pc_vault, TOKEN_PROGRAM, token_account(WRAPPED_SOL, 700)),
        ] {
            let account = AccountData {
                feed: FeedId(0),
                key,
                owner,
                slot: Slot(10),
                write_version: u64::from(pool),
                batch: u64::from(pool),
                data: &data,
            };
            let _ = feed.assembler.take(&account, &mut |_| ());
        }
    }
    feed.take(COIN, &mint(), 11, 999).unwrap();
    let at_once = feed.updates.len();
    assert!((1..100).contains(&at_once), "{at_once}");
    let mut rounds = 0;
    loop {
        let mut told = Vec::new();
        let count = feed
            .assembler
            .tell_deferred(16, &mut |update| told.push(*update));
        assert!(count <= 16 && told.len() == count);
        if count == 0 {
            break;
        }
        rounds += 1;
        feed.updates.extend(told);
    }
    assert!(rounds > 5);
    let mut pools: Vec<Key> = feed
        .updates
        .iter()
        .map(|update| match update {
            Update::Pool(truth) => truth.pool,
            other => panic!("{other:?}"),
        })
        .collect();
    pools.sort_unstable();
    pools.dedup();
    assert_eq!(pools.len(), 200);
}

/// Regression: two nodes count their writes each for itself; halves of a pool from both make no price.
#[test]
fn accounts_of_two_feeds_are_not_mixed() {
    let mut feed = Feed::new();
    feed.feed = FeedId(1);
    feed.take(COIN, &mint(), 9, 5_000).unwrap();
    feed.whole(10, 9_000, 500, 700);
    assert_eq!(feed.updates.len(), 1);
    feed.feed = FeedId(2);
    feed.take(POOL, &amm(), 10, 9_000).unwrap();
    assert_eq!(feed.updates.len(), 1, "the vaults are another node's word");
    let earlier = feed.take(COIN_VAULT, &token_account(COIN, 1), 9, 99_999);
    assert_eq!(earlier, Err(Ignored::Stale));
    // Its count is lower, and it is as new.
    feed.whole(11, 3, 400, 880);
    assert_eq!(feed.vaults(), Some((400, 880)));
    let Update::Pool(truth) = feed.updates.last().unwrap() else {
        panic!("not a pool")
    };
    assert_eq!(truth.feed, FeedId(2));
    feed.feed = FeedId(1);
    let old = feed.take(POOL, &amm(), 12, 9_999);
    assert_eq!(old, Err(Ignored::OldFeed));
    assert_eq!(feed.assembler.counters().account_old_feed, 1);
}

/// Anybody may open a token account in our name and put something in.
#[test]
fn of_our_balances_the_one_that_we_trade_from_is_told() {
    const OWNER: Key = [0x77; 32];
    let seeds: [&[u8]; 3] = [&OWNER, &TOKEN_PROGRAM, &COIN];
    let associated = market::token::ASSOCIATED_TOKEN_PROGRAM;
    let (ours, _) = program_address::find_program_address(&seeds, &associated).unwrap();
    let mut data = token_account(COIN, 321);
    data[32..64].copy_from_slice(&OWNER);
    for (key, owner, told) in [
        (ours, OWNER, true),
        ([0x55; 32], OWNER, false),
        (ours, [0x78; 32], false),
    ] {
        let mut feed = Feed::new();
        feed.assembler = Assembler::new(0).owned_by(owner);
        feed.take(key, &data, 10, 4).unwrap();
        assert_eq!(feed.updates.len(), usize::from(told));
        if let Some(Update::Holding(holding)) = feed.updates.first() {
            assert_eq!(
                (holding.mint.0, holding.tokens.0, holding.version.slot),
                (COIN, 321, Slot(10))
            );
        }
    }
}
