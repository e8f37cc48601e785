//! Goal: a coin is sold where its launch pad put it and where it is paid for, nobody's pool takes that place, and account
//! data is taken in the order in which it was written.
//! Method: a LaunchLab curve and CPMM pools of one coin, as truths.

use market::event::{Migrate, ReferredSwap, Swap, SwapAmounts, Way};
use market::launchlab::{self, CurveType, Migrators, Status};
use market::pools::{PoolUntradable, Succession};
use market::pump::{TOKEN_PROGRAM, WRAPPED_SOL};
use market::raydium_cp::account::{Config, CreatorFeeOn, Owed};
use market::{
    Circumstances, Corrected, FeedId, Key, Lamports, LaunchLabAccounts, Lineage, Mint, PoolAction,
    PoolApplied, PoolCall, PoolEvent, PoolState, PoolTable, PoolTruth, Program, RaydiumCpAccounts,
    TokenAmount, TransferFee, Version, raydium_cp,
};
use shred_wire::{Nanos, Slot};

const CURVE: Key = [7; 32];
/// After wrapped SOL's (6), so the coin is side b of CPMM's pools.
const COIN: Key = [9; 32];
const DERIVED: Key = [0x51; 32];
const STRANGER: Key = [0x61; 32];
const MIGRATOR: Key = [0x33; 32];
const SOL: u64 = 1_000_000_000;
const NOW: Circumstances<'static> = Circumstances {
    pump_amm: None,
    now_s: 1_000,
};

fn config(trade_fee_rate: u64) -> Config {
    Config {
        closed_to_new_pools: false,
        trade_fee_rate,
        protocol_fee_rate: 120_000,
        fund_fee_rate: 40_000,
        creator_fee_rate: 0,
        create_pool_fee: 0,
    }
}

/// A CPMM pool of the coin.
fn cp(pool: Key, sol: u64, slot: u64) -> PoolTruth {
    let state = raydium_cp::Pool {
        config: [1; 32],
        creator: [2; 32],
        vaults: [[3; 32], [4; 32]],
        mints: [WRAPPED_SOL, COIN],
        token_programs: [TOKEN_PROGRAM; 2],
        lp_mint: [5; 32],
        observation: [6; 32],
        status: 0,
        lp_supply: 1_000,
        opens_at: 0,
        creator_fee: false,
        creator_fee_on: CreatorFeeOn::Input,
        owed: [Owed::default(); 2],
        held: [sol, 5_000_000_000_000],
        transfer_fees: [Some(TransferFee::NONE); 2],
    };
    let accounts = RaydiumCpAccounts {
        mint: Mint(COIN),
        pool,
        quote_mint: WRAPPED_SOL,
        ..RaydiumCpAccounts::default()
    };
    PoolTruth {
        pool,
        accounts: accounts.into(),
        state: PoolState::RaydiumCp(state, config(2_500)),
        slot: Slot(slot),
        write_version: 1,
        feed: FeedId(0),
        terms: Version::NONE,
        succession: None,
        is_dangerous: false,
    }
}

/// The coin's curve, sold out or not; `to`: where it goes on, as far as its address follows from anything.
fn curve(sold_out: bool, to: Option<Key>, slot: u64) -> PoolTruth {
    let total_base_sell = 793_100_000_000_000;
    let state = launchlab::Pool {
        status: Status::Fund,
        migrates_to_cp: to.is_some(),
        reserves: launchlab::Reserves {
            total_base_sell,
            virtual_base: 1_073_025_605_596_382,
            virtual_quote: 30_000_852_951,
            real_base: if sold_out { total_base_sell } else { 1_000 },
            real_quote: 85 * SOL,
        },
        total_quote_fund_raising: 85 * SOL,
        global_config: [0x21; 32],
        platform_config: [0x22; 32],
        base_mint: COIN,
        quote_mint: WRAPPED_SOL,
        base_vault: [0x23; 32],
        quote_vault: [0x24; 32],
        creator: [0x25; 32],
        base_token_2022: false,
        quote_token_2022: false,
        base_transfer_fee: Some(TransferFee::NONE),
        quote_transfer_fee: Some(TransferFee::NONE),
    };
    let terms = launchlab::Terms {
        curve: CurveType::ConstantProduct,
        protocol_fee_rate: 2_500,
        platform_fee_rate: 10_000,
        creator_fee_rate: 0,
        share_fee_rate: 0,
    };
    let accounts = LaunchLabAccounts {
        mint: Mint(COIN),
        pool: CURVE,
        quote_mint: WRAPPED_SOL,
        ..LaunchLabAccounts::default()
    };
    PoolTruth {
        pool: CURVE,
        accounts: accounts.into(),
        state: PoolState::LaunchLab(state, terms),
        succession: Some(Succession {
            pool: to,
            migrators: Migrators {
                amm: [0x34; 32],
                cp: MIGRATOR,
            },
        }),
        ..cp(CURVE, 0, slot)
    }
}

fn table(truths: &[PoolTruth]) -> PoolTable {
    let mut table = PoolTable::new(16, 7);
    for truth in truths {
        tell(&mut table, truth);
    }
    table
}

fn tell(table: &mut PoolTable, truth: &PoolTruth) -> Corrected {
    table.correct(truth, &Lineage::new(), &NOW)
}

fn traded(table: &PoolTable) -> Key {
    table.of_mint(&Mint(COIN)).unwrap().key
}

fn asked(table: &mut PoolTable, pool: Key, program: Program, actor: Key, action: PoolAction) {
    let event = PoolEvent {
        program,
        inferred_from: None,
        call: PoolCall {
            pool: Some(pool),
            actor: Some(actor),
            action,
        },
        slot: Slot(20),
        at: Nanos(0),
        signature: [0; 64],
    };
    assert_eq!(
        table.apply(&event, &Lineage::new(), &NOW),
        PoolApplied::Unread
    );
}

fn migrate(table: &mut PoolTable, actor: Key, pool: Key, to: Program) {
    let migrate = Migrate {
        mint: Some(COIN),
        pool: Some(pool),
        to: Some(to),
    };
    asked(
        table,
        CURVE,
        Program::LaunchLab,
        actor,
        PoolAction::Migrate(migrate),
    );
}

/// Regression: the deepest pool was taken for the one a curve became. Anybody can open a deeper one.
#[test]
fn a_sold_out_curve_goes_on_where_its_launch_pad_put_it() {
    let deep = cp(STRANGER, 900 * SOL, 11);
    let own = cp(DERIVED, 80 * SOL, 12);
    let out = curve(true, Some(DERIVED), 11);
    // Whatever is told first.
    let orders = [
        [deep, own, out],
        [deep, out, own],
        [own, deep, out],
        [own, out, deep],
        [out, deep, own],
        [out, own, deep],
    ];
    for order in orders {
        let table = table(&order);
        assert_eq!(traded(&table), DERIVED);
    }
    let table = table(&[curve(true, Some(DERIVED), 11), deep]);
    assert_eq!(traded(&table), CURVE, "nobody's price is taken");
}

#[test]
fn a_curve_that_still_sells_is_left_for_no_pool() {
    let selling = curve(false, Some(DERIVED), 11);
    // Opened by somebody who could not wait.
    let early = cp(DERIVED, 900 * SOL, 11);
    for order in [[selling, early], [early, selling]] {
        assert_eq!(traded(&table(&order)), CURVE);
    }
    let mut both = table(&[selling, early]);
    tell(&mut both, &curve(true, Some(DERIVED), 12));
    assert_eq!(traded(&both), DERIVED, "as soon as it is sold out");
}

/// Somebody may have opened the derived pool first: the migration opens another then, and says so.
#[test]
fn who_may_migrate_says_where_and_nobody_else_does() {
    const OTHER: Key = [0x71; 32];
    let start = || table(&[curve(true, Some(DERIVED), 11), cp(DERIVED, 80 * SOL, 11)]);
    let mut told = start();
    assert_eq!(traded(&told), DERIVED);
    for (actor, to) in [
        (STRANGER, Program::RaydiumCp),
        (MIGRATOR, Program::RaydiumAmm),
    ] {
        migrate(&mut told, actor, STRANGER, to);
        tell(&mut told, &cp(STRANGER, 900 * SOL, 12));
        assert_eq!(traded(&told), DERIVED);
    }
    assert_eq!(told.counters().migration_taken, 0);
    let mut fresh = table(&[curve(false, Some(DERIVED), 11)]);
    migrate(&mut fresh, MIGRATOR, OTHER, Program::RaydiumCp);
    assert_eq!(fresh.counters().migration_taken, 1);
    tell(&mut fresh, &curve(true, Some(DERIVED), 21));
    tell(&mut fresh, &cp(DERIVED, 900 * SOL, 21));
    assert_eq!(traded(&fresh), CURVE);
    tell(&mut fresh, &cp(OTHER, 80 * SOL, 22));
    assert_eq!(traded(&fresh), OTHER);
}

#[test]
fn an_emptied_pool_is_left_for_one_that_pays_more() {
    let coins = TokenAmount(50_000_000_000);
    let need = Lamports(SOL);
    let bought = |others: &[PoolTruth], sol: u64| {
        let mut table = table(&[cp(DERIVED, 100 * SOL, 10)]);
        table.set_bought(&Mint(COIN), &DERIVED);
        for other in others {
            tell(&mut table, other);
        }
        tell(&mut table, &cp(DERIVED, sol, 12));
        let left = table.leave_drained(&Mint(COIN), coins, need, &NOW);
        assert_eq!(left, traded(&table) != DERIVED);
        traded(&table)
    };
    let deep = cp(STRANGER, 100 * SOL, 11);
    assert_eq!(bought(&[deep], 2 * SOL), DERIVED, "it can still pay");
    assert_eq!(bought(&[deep], SOL / 100), STRANGER);
    assert_eq!(bought(&[], SOL / 100), DERIVED, "there is no other");
    let shallower = cp(STRANGER, SOL / 1_000, 11);
    assert_eq!(bought(&[shallower], SOL / 100), DERIVED);
    let dangerous = PoolTruth {
        is_dangerous: true,
        ..deep
    };
    assert_eq!(bought(&[dangerous], SOL / 100), DERIVED);
    let best = cp([0x62; 32], 120 * SOL, 11);
    assert_eq!(bought(&[best, deep], SOL / 100), [0x62; 32]);
}

/// Regression: a configuration changes without its pools, whose accounts are as old as before.
#[test]
fn a_configuration_that_changed_is_taken_without_the_pool() {
    let at = |slot| Version {
        feed: FeedId(0),
        slot: Slot(slot),
        write_version: 1,
    };
    let mut first = cp(DERIVED, 100 * SOL, 10);
    first.terms = at(5);
    let mut table = table(&[first]);
    let PoolState::RaydiumCp(pool, _) = first.state else {
        unreachable!()
    };
    let mut dearer = PoolTruth {
        state: PoolState::RaydiumCp(pool, config(40_000)),
        terms: at(11),
        ..first
    };
    let sells = |table: &PoolTable| {
        let pool = table.get(&DERIVED).unwrap();
        pool.sell(TokenAmount(1_000_000_000), &NOW).unwrap().quote
    };
    let before = sells(&table);
    assert_eq!(tell(&mut table, &dearer), Corrected::Terms);
    assert!(sells(&table) < before);
    assert_eq!(table.counters().terms_taken, 1);
    assert_eq!(tell(&mut table, &dearer), Corrected::Stale);
    // What the pool holds is not taken from a record that is as old as what is known.
    let moved = cp(DERIVED, 50 * SOL, 10);
    dearer = PoolTruth {
        terms: at(12),
        ..moved
    };
    assert_eq!(tell(&mut table, &dearer), Corrected::Terms);
    assert_eq!(sells(&table), before);
}

/// Regression: two nodes count their writes each for itself.
#[test]
fn another_feed_is_ordered_by_slot() {
    let told = |feed, slot, write_version, sol| PoolTruth {
        feed: FeedId(feed),
        write_version,
        ..cp(DERIVED, sol, slot)
    };
    let mut table = table(&[told(1, 10, 9_000, 100 * SOL)]);
    let earlier = told(2, 9, 3, SOL);
    assert_eq!(tell(&mut table, &earlier), Corrected::Stale);
    let same = told(2, 10, 3, 90 * SOL);
    assert_eq!(tell(&mut table, &same), Corrected::Diverged);
    let left = told(1, 11, 9_001, SOL);
    assert_eq!(
        tell(&mut table, &left),
        Corrected::Stale,
        "nobody listens to it"
    );
    let next = told(2, 10, 4, 91 * SOL);
    assert_eq!(tell(&mut table, &next), Corrected::Diverged);
}

/// What could not be read was not claimed to be known: account data that differs is no divergence.
#[test]
fn what_was_only_behind_does_not_diverge() {
    let venue = Program::LaunchLab as usize;
    let mut table = table(&[curve(false, None, 10)]);
    let swap = Swap {
        amounts: SwapAmounts::ExactIn {
            amount_in: SOL,
            out_min: 0,
        },
        way: Some(Way::BToA),
        mint_in: None,
        mint_out: None,
        account_in: None,
        account_out: None,
        price_limit: None,
    };
    let referred = PoolAction::ReferredSwap(ReferredSwap {
        swap,
        fee_rate: 10_000,
    });
    asked(&mut table, CURVE, Program::LaunchLab, STRANGER, referred);
    let tradable = |table: &PoolTable| table.get(&CURVE).unwrap().tradable;
    assert_eq!(tradable(&table), Err(PoolUntradable::Behind));
    let mut after = curve(false, None, 20);
    if let PoolState::LaunchLab(pool, _) = &mut after.state {
        pool.reserves.real_base += 5;
    }
    assert_eq!(tell(&mut table, &after), Corrected::Behind);
    assert_eq!(tradable(&table), Ok(()));
    let counters = table.counters();
    assert_eq!(
        (counters.truth_behind[venue], counters.truth_diverged[venue]),
        (1, 0)
    );
    // That a coin turned dangerous says nothing of its price either.
    let turned = PoolTruth {
        is_dangerous: true,
        slot: Slot(21),
        ..after
    };
    assert_eq!(tell(&mut table, &turned), Corrected::Agreed);
    assert_eq!(tradable(&table), Err(PoolUntradable::Dangerous));
}
