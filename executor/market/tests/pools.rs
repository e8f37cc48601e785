//! Goal: a pool's state is that of its own fork, moves with the swaps the shreds show, and gives way to account data.
//! Method: a CPMM pool between a coin and wrapped SOL, whose arithmetic other tests hold against the venue's.
#![allow(clippy::unwrap_used)]

use market::event::{Liquidity, Swap, SwapAmounts, Way};
use market::pools::{Pool, PoolUntradable};
use market::pump::{TOKEN_PROGRAM, WRAPPED_SOL};
use market::raydium_cp::account::{Config, CreatorFeeOn, Owed};
use market::{
    Amount, Circumstances, Corrected, Lamports, Lineage, Mint, PoolAction, PoolApplied, PoolCall,
    PoolEvent, PoolState, PoolTable, PoolTruth, Program, RaydiumCpAccounts, Swapped, TokenAmount,
    TransferFee, raydium_cp,
};
use proptest::prelude::*;
use shred_wire::{Nanos, Slot};

const POOL: [u8; 32] = [7; 32];
/// After wrapped SOL's (6), so the coin is side b.
const COIN: [u8; 32] = [9; 32];
const NOW: Circumstances<'static> = Circumstances {
    pump_amm: None,
    now_s: 1_000,
};

fn state(sol: u64, coin: u64) -> PoolState {
    let pool = raydium_cp::Pool {
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
        held: [sol, coin],
        transfer_fees: [Some(TransferFee::NONE); 2],
    };
    let config = Config {
        closed_to_new_pools: false,
        trade_fee_rate: 2_500,
        protocol_fee_rate: 120_000,
        fund_fee_rate: 40_000,
        creator_fee_rate: 0,
        create_pool_fee: 0,
    };
    PoolState::RaydiumCp(pool, config)
}

fn truth(state: PoolState, slot: u64, write_version: u64) -> PoolTruth {
    let accounts = RaydiumCpAccounts {
        mint: Mint(COIN),
        pool: POOL,
        quote_mint: WRAPPED_SOL,
        ..RaydiumCpAccounts::default()
    };
    PoolTruth {
        pool: POOL,
        accounts: accounts.into(),
        state,
        slot: Slot(slot),
        write_version,
    }
}

fn event(slot: u64, action: PoolAction) -> PoolEvent {
    PoolEvent {
        program: Program::RaydiumCp,
        inferred_from: None,
        call: PoolCall {
            pool: Some(POOL),
            actor: None,
            action,
        },
        slot: Slot(slot),
        at: Nanos(0),
        signature: [0; 64],
    }
}

fn buy(slot: u64, amount_in: u64) -> PoolEvent {
    let amounts = SwapAmounts::ExactIn {
        amount_in,
        out_min: 0,
    };
    let swap = Swap {
        amounts,
        way: None,
        mint_in: Some(WRAPPED_SOL),
        mint_out: Some(COIN),
        account_in: None,
        account_out: None,
        price_limit: None,
    };
    event(slot, PoolAction::Swap(swap))
}

/// A table that knows the pool as of slot 10, with the state it starts from.
fn table() -> (PoolTable, PoolState) {
    let mut table = PoolTable::new(4, 7);
    let start = state(100_000_000_000, 5_000_000_000_000);
    assert_eq!(
        table.correct(&truth(start, 10, 1), &Lineage::new()),
        Corrected::New
    );
    (table, start)
}

fn known(table: &PoolTable) -> &Pool {
    table.of_mint(&Mint(COIN)).unwrap()
}

#[test]
fn a_coin_is_bought_and_sold_whichever_side_it_is() {
    let (table, start) = table();
    let pool = known(&table);
    assert_eq!((pool.buys, pool.sells()), (Way::AToB, Way::BToA));
    let bought = pool.buy(Lamports(1_000_000_000), &NOW).unwrap();
    let mut after = start;
    let swapped = after
        .swap(&NOW, Way::AToB, Amount::In(1_000_000_000))
        .unwrap();
    assert_eq!(bought.tokens, TokenAmount(swapped.amount_out));
    assert_eq!(bought.quote, Lamports(1_000_000_000));
    let sold = pool.sell(bought.tokens, &NOW).unwrap();
    assert!(sold.quote < bought.quote && sold.quote.0 > 0);
    assert_eq!(pool.state, start, "a quote moves nothing");
}

#[test]
fn swaps_move_it_and_account_data_that_says_the_same_agrees() {
    let (mut table, start) = table();
    let lineage = Lineage::new();
    let mut reckoned = vec![start];
    for amount in [1_000_000, 2_000_000, 3_000_000] {
        let applied = table.apply(&buy(11, amount), &lineage, &NOW);
        assert!(matches!(
            applied,
            PoolApplied::Moved(Way::AToB, Swapped { amount_in, .. }) if amount_in == amount
        ));
        reckoned.push(known(&table).state);
    }
    // Account data comes late: it says what the first of the three swaps left.
    let late = truth(reckoned[1], 11, 5);
    assert_eq!(table.correct(&late, &lineage), Corrected::Agreed);
    assert_eq!(known(&table).state, reckoned[3]);
    assert_eq!(table.correct(&late, &lineage), Corrected::Stale);
    // A state that nothing here led to: a swap that the shreds did not show.
    let other = state(123_000_000_000, 4_100_000_000_000);
    assert_eq!(
        table.correct(&truth(other, 11, 6), &lineage),
        Corrected::Diverged
    );
    assert_eq!(known(&table).state, other);
    let counters = table.counters();
    let venue = Program::RaydiumCp as usize;
    assert_eq!(counters.truth_agreed[venue], 1);
    assert_eq!(counters.truth_diverged[venue], 1);
    assert_eq!(counters.truth_stale[venue], 1);
    assert_eq!(counters.swap_applied, 3);
}

#[test]
fn what_the_shreds_do_not_tell_stops_trading_until_account_data_comes() {
    let (mut table, start) = table();
    let lineage = Lineage::new();
    let deposit = event(11, PoolAction::Deposit(Liquidity::default()));
    assert_eq!(table.apply(&deposit, &lineage, &NOW), PoolApplied::Unread);
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Behind));
    assert_eq!(
        table.correct(&truth(start, 11, 2), &lineage),
        Corrected::Diverged,
        "it was not known to be right"
    );
    assert_eq!(known(&table).tradable, Ok(()));
    let mut routed = buy(12, 5);
    routed.inferred_from = Some(Program::Jupiter);
    assert_eq!(table.apply(&routed, &lineage, &NOW), PoolApplied::Unread);
    let mut foreign = buy(12, 5);
    foreign.program = Program::RaydiumClmm;
    assert_eq!(table.apply(&foreign, &lineage, &NOW), PoolApplied::Unknown);
}

#[test]
fn a_swap_past_its_limit_moves_nothing() {
    let (mut table, start) = table();
    let mut greedy = buy(11, 1_000);
    if let PoolAction::Swap(swap) = &mut greedy.call.action {
        swap.amounts = SwapAmounts::ExactIn {
            amount_in: 1_000,
            out_min: u64::MAX,
        };
    }
    let applied = table.apply(&greedy, &Lineage::new(), &NOW);
    assert_eq!(applied, PoolApplied::PredictedFailure);
    assert_eq!(known(&table).state, start);
}

#[test]
fn a_pool_without_sol_is_kept_and_not_traded() {
    let mut table = PoolTable::new(4, 7);
    let PoolState::RaydiumCp(mut pool, config) = state(1_000, 1_000) else {
        unreachable!()
    };
    pool.mints[0] = [8; 32];
    let truth = truth(PoolState::RaydiumCp(pool, config), 1, 1);
    assert_eq!(table.correct(&truth, &Lineage::new()), Corrected::New);
    assert_eq!(known(&table).tradable, Err(PoolUntradable::QuoteNotSol));
}

proptest! {
    /// Goal: forks do not mix, and a void block leaves nothing behind.
    #[test]
    fn each_fork_has_its_own_state(amounts in prop::collection::vec((0..3usize, 1_000..5_000_000_000u64), 1..30)) {
        let (mut table, start) = table();
        let mut lineage = Lineage::new();
        // 11 and 12 both build on 10, 13 on 12.
        for (slot, parent) in [(11, 10), (12, 10), (13, 12)] {
            lineage.note(Slot(slot), Slot(parent));
        }
        let mut order: Vec<(u64, u64)> = amounts.iter().map(|(block, amount)| (11 + *block as u64, *amount)).collect();
        // A block's swaps come after those of the block it builds on.
        order.sort_by_key(|(slot, _)| *slot == 13);
        let mut states = [start; 14];
        for (slot, amount) in &order {
            if *slot == 13 && states[13] == start {
                states[13] = states[12];
            }
            let at = *slot as usize;
            states[at].swap(&NOW, Way::AToB, Amount::In(*amount)).unwrap();
            table.apply(&buy(*slot, *amount), &lineage, &NOW);
            prop_assert_eq!(known(&table).state, states[at]);
        }
        let (last, _) = order[order.len() - 1];
        table.drop_block(Slot(last), &lineage);
        let parent = if last == 13 { 12 } else { 10 };
        prop_assert_eq!(known(&table).state, states[parent]);
    }
}
