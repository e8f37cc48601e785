//! Goal: a pool's state is that of its own fork, moves with the swaps the shreds show, and gives way to account data.
//! Method: a CPMM pool between a coin and wrapped SOL, whose arithmetic other tests hold against the venue's.

use market::event::{Liquidity, Swap, SwapAmounts, Way};
use market::pools::{Pool, PoolUntradable};
use market::pump::{TOKEN_PROGRAM, WRAPPED_SOL};
use market::raydium_cp::account::{Config, CreatorFeeOn, Owed};
use market::token::ASSOCIATED_TOKEN_PROGRAM;
use market::{
    Amount, Bps, Circumstances, Corrected, FeedId, Lamports, Lineage, Mint, PoolAction,
    PoolApplied, PoolCall, PoolEvent, PoolState, PoolTable, PoolTruth, Program, RaydiumCpAccounts,
    Swapped, TokenAmount, TransferFee, Version, raydium_cp,
};
use program_address::find_program_address;
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
        token_program: TOKEN_PROGRAM,
        quote_mint: WRAPPED_SOL,
        ..RaydiumCpAccounts::default()
    };
    PoolTruth {
        pool: POOL,
        accounts: accounts.into(),
        state,
        slot: Slot(slot),
        write_version,
        feed: FeedId(0),
        terms: Version::NONE,
        succession: None,
        is_dangerous: false,
    }
}

/// The same of another pool of the coin.
fn of_pool(pool: u8, state: PoolState, slot: u64) -> PoolTruth {
    let accounts = RaydiumCpAccounts {
        mint: Mint(COIN),
        pool: [pool; 32],
        quote_mint: WRAPPED_SOL,
        ..RaydiumCpAccounts::default()
    };
    PoolTruth {
        pool: [pool; 32],
        accounts: accounts.into(),
        ..truth(state, slot, 1)
    }
}

fn straight(slots: std::ops::RangeInclusive<u64>) -> Lineage {
    let mut lineage = Lineage::new();
    for slot in slots {
        lineage.note(Slot(slot), Slot(slot - 1));
    }
    lineage
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
        table.correct(&truth(start, 10, 1), &Lineage::new(), &NOW),
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
    assert_eq!(table.correct(&late, &lineage, &NOW), Corrected::Agreed);
    assert_eq!(known(&table).state, reckoned[3]);
    assert_eq!(table.correct(&late, &lineage, &NOW), Corrected::Stale);
    // A state that nothing here led to: a swap that the shreds did not show.
    let other = state(123_000_000_000, 4_100_000_000_000);
    assert_eq!(
        table.correct(&truth(other, 11, 6), &lineage, &NOW),
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
        table.correct(&truth(start, 11, 2), &lineage, &NOW),
        Corrected::Behind,
        "nothing was claimed of it"
    );
    assert_eq!(known(&table).tradable, Ok(()));
    let mut routed = buy(12, 5);
    routed.inferred_from = Some(Program::Jupiter);
    assert_eq!(table.apply(&routed, &lineage, &NOW), PoolApplied::Unread);
    let mut foreign = buy(12, 5);
    foreign.program = Program::RaydiumClmm;
    assert_eq!(table.apply(&foreign, &lineage, &NOW), PoolApplied::Unknown);
}

/// Regression: one swap of a stranger that fails, or says nothing, kept a pool shut for as long as nobody traded in it.
#[test]
fn a_change_that_nobody_is_told_of_does_not_keep_a_pool_shut() {
    let lineage = straight(11..=40);
    let deposit = |slot| event(slot, PoolAction::Deposit(Liquidity::default()));
    let elsewhere = |slot| of_pool(8, state(1, 1), slot);
    let (mut table, start) = table();
    table.apply(&deposit(11), &lineage, &NOW);
    // Account data comes in, and is not far enough yet.
    table.correct(&elsewhere(14), &lineage, &NOW);
    table.apply(&buy(15, 1), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Behind));
    table.correct(&elsewhere(15), &lineage, &NOW);
    table.apply(&buy(16, 1), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Ok(()));
    assert_eq!(table.counters().pool_caught_up, 1);

    // Another one counts from its own slot.
    table.apply(&deposit(17), &lineage, &NOW);
    table.correct(&elsewhere(20), &lineage, &NOW);
    table.apply(&buy(20, 1), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Behind));

    // Who tells now has never told of this pool: his silence says nothing.
    let mut of_another = elsewhere(30);
    of_another.feed = FeedId(1);
    table.correct(&of_another, &lineage, &NOW);
    table.apply(&buy(30, 1), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Behind));
    let mut of_this = truth(start, 31, 1);
    of_this.feed = FeedId(1);
    assert_eq!(table.correct(&of_this, &lineage, &NOW), Corrected::Behind);
    // Doubt is no matter of silence.
    table.doubt(&POOL);
    table.correct(&of_another, &lineage, &NOW);
    table.apply(&buy(40, 1), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Doubtful));
}

/// Regression: what was behind could not become doubtful, so silence opened it at a price that nobody vouched for.
#[test]
fn silence_opens_no_pool_whose_price_is_void() {
    let lineage = straight(11..=40);
    let deposit = event(11, PoolAction::Deposit(Liquidity::default()));
    let doubts: [fn(&mut PoolTable); 3] = [
        |table| table.doubt(&POOL),
        |table| table.doubt_from(Slot(11)),
        |table| table.drop_block(Slot(11), &Lineage::new()),
    ];
    for doubt in doubts {
        let (mut table, _) = table();
        // Account data of the very block that becomes void: nothing from before it is known.
        let told = truth(state(123_000_000_000, 4_100_000_000_000), 11, 9);
        assert_eq!(table.correct(&told, &lineage, &NOW), Corrected::Diverged);
        table.apply(&buy(11, 1_000_000), &lineage, &NOW);
        table.apply(&deposit, &lineage, &NOW);
        assert_eq!(known(&table).tradable, Err(PoolUntradable::Behind));
        doubt(&mut table);
        table.correct(&of_pool(8, state(1, 1), 30), &lineage, &NOW);
        table.apply(&buy(30, 1), &lineage, &NOW);
        assert_ne!(known(&table).tradable, Ok(()));
        assert_eq!(table.counters().pool_caught_up, 0);
    }
}

/// A feed that is ahead of the shreds, by mistake too, does not make silence last longer.
#[test]
fn silence_is_waited_for_on_the_clock_of_the_shreds_too() {
    let lineage = straight(11..=20);
    let (mut table, _) = table();
    table.apply(
        &event(11, PoolAction::Deposit(Liquidity::default())),
        &lineage,
        &NOW,
    );
    table.correct(&of_pool(8, state(1, 1), 500), &lineage, &NOW);
    table.apply(&buy(14, 1), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Behind));
    table.apply(&buy(15, 1), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Ok(()));
}

/// A swap that fails for a reason that no shred tells moves a pool like any other, but not what it is held against.
#[test]
fn a_price_is_near_what_was_told_until_it_is_moved_too_far_either_way() {
    let near = |table: &PoolTable| table.is_near_told(&POOL, Bps(10_000));
    let lineage = straight(11..=20);
    let (mut table, start) = table();
    assert!(near(&table) && table.is_near_told(&[0x77; 32], Bps(0)));
    // The price goes with the square of what is in it: 1.96 and 2.25 times what was told.
    table.apply(&buy(11, 40_000_000_000), &lineage, &NOW);
    assert!(near(&table) && !table.is_near_told(&POOL, Bps(5_000)));
    table.apply(&buy(11, 10_000_000_000), &lineage, &NOW);
    assert!(!near(&table));
    // What was told moves with what is told, whether or not that is what was reckoned.
    let moved = known(&table).state;
    let agreed = table.correct(&truth(moved, 11, 2), &lineage, &NOW);
    assert_eq!(agreed, Corrected::Agreed);
    assert!(near(&table));
    table.correct(&truth(start, 12, 3), &lineage, &NOW);
    assert!(near(&table));
    let mut sale = buy(13, 5_000_000_000_000);
    if let PoolAction::Swap(swap) = &mut sale.call.action {
        (swap.mint_in, swap.mint_out) = (Some(COIN), Some(WRAPPED_SOL));
    }
    table.apply(&sale, &lineage, &NOW);
    assert!(!near(&table), "a crash that was made up looks cheap");
}

/// Before the first shred nobody knows which slots there can be. Regression: what was told of one far ahead made everything
/// that came later look old.
#[test]
fn what_was_told_of_slots_that_cannot_be_is_void() {
    let lineage = Lineage::new();
    let (mut table, start) = table();
    let far = truth(state(1, 1), u64::MAX, 1);
    assert_eq!(table.correct(&far, &lineage, &NOW), Corrected::Diverged);
    table.disbelieve_after(Slot(600));
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Doubtful));
    let told = table.correct(&truth(start, 100, 1), &lineage, &NOW);
    assert_eq!(told, Corrected::Behind);
    assert_eq!(
        (known(&table).tradable, known(&table).state),
        (Ok(()), start)
    );
    table.disbelieve_after(Slot(600));
    assert_eq!(known(&table).tradable, Ok(()), "it can be");
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
    assert_eq!(table.correct(&truth, &Lineage::new(), &NOW), Corrected::New);
    assert_eq!(
        table.get(&POOL).unwrap().tradable,
        Err(PoolUntradable::QuoteNotSol)
    );
    assert!(table.of_mint(&Mint(COIN)).is_none());
}

/// Anybody can open a pool for a coin, put a little SOL into it and set a price.
#[test]
fn a_shallow_pool_of_a_stranger_does_not_become_the_one_that_is_traded() {
    let (mut table, _) = table();
    let lineage = Lineage::new();
    let trap = of_pool(66, state(1_000_000, 5_000_000_000_000), 11);
    assert_eq!(table.correct(&trap, &lineage, &NOW), Corrected::New);
    assert_eq!(known(&table).key, POOL);
    // Nor one that is priced in something else.
    let PoolState::RaydiumCp(mut other, config) = state(u64::MAX / 2, 1_000) else {
        unreachable!()
    };
    other.mints[0] = [8; 32];
    table.correct(
        &of_pool(67, PoolState::RaydiumCp(other, config), 11),
        &lineage,
        &NOW,
    );
    assert_eq!(known(&table).key, POOL);
    // A deeper one does, and when its depth is withdrawn it is the other's turn with the next word of it.
    let deep = of_pool(68, state(200_000_000_000, 9_000_000_000_000), 12);
    table.correct(&deep, &lineage, &NOW);
    assert_eq!(known(&table).key, [68; 32]);
    table.correct(&of_pool(68, state(1, 1), 13), &lineage, &NOW);
    table.correct(
        &truth(state(100_000_000_000, 5_000_000_000_000), 14, 2),
        &lineage,
        &NOW,
    );
    assert_eq!(known(&table).key, POOL);
}

#[test]
fn what_was_bought_in_a_pool_is_sold_there_and_both_are_let_go_together() {
    let mut table = PoolTable::new(2, 7);
    let lineage = Lineage::new();
    table.correct(&of_pool(1, state(100, 100), 10), &lineage, &NOW);
    table.set_bought(&Mint(COIN), &[1; 32]);
    table.correct(&of_pool(2, state(900, 100), 11), &lineage, &NOW);
    assert_eq!(known(&table).key, [1; 32]);
    assert!(table.after_curve(&Mint(COIN)).is_some(), "we put it there");
    table.set_held(&Mint(COIN), false);
    assert!(
        table.after_curve(&Mint(COIN)).is_none(),
        "anybody's pool may be a trap"
    );
    // With nothing held there is room for others: no hold was left behind.
    for (pool, slot) in [(3, 12), (4, 13), (5, 14)] {
        let told = table.correct(&of_pool(pool, state(50, 50), slot), &lineage, &NOW);
        assert_eq!(told, Corrected::New);
    }
    assert!(table.get(&[1; 32]).is_none() && table.get(&[2; 32]).is_none());
}

#[test]
fn a_hold_goes_over_to_the_pool_that_is_preferred() {
    let mut table = PoolTable::new(2, 7);
    let lineage = Lineage::new();
    table.correct(&of_pool(1, state(100, 100), 10), &lineage, &NOW);
    table.set_held(&Mint(COIN), true);
    table.correct(&of_pool(2, state(900, 100), 11), &lineage, &NOW);
    for (pool, slot) in [(3, 12), (4, 13)] {
        table.correct(&of_pool(pool, state(50, 50), slot), &lineage, &NOW);
    }
    assert_eq!(known(&table).key, [2; 32]);
}

#[test]
fn a_coin_that_turned_dangerous_is_no_longer_bought() {
    let (mut table, start) = table();
    let turned = PoolTruth {
        is_dangerous: true,
        ..truth(start, 10, 1)
    };
    // The mint changed, not the pool: the record is as old as the last.
    assert_eq!(
        table.correct(&turned, &Lineage::new(), &NOW),
        Corrected::Stale
    );
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Dangerous));
}

/// A swap that a block's last shreds bring, when the next one's first have come already.
#[test]
fn a_late_swap_of_the_block_before_is_not_lost() {
    let (mut table, mut expected) = table();
    let lineage = straight(10..=13);
    for (slot, amount) in [
        (11, 5_000),
        (12, 6_000),
        (11, 7_000),
        (12, 8_000),
        (13, 9_000),
    ] {
        table.apply(&buy(slot, amount), &lineage, &NOW);
        expected.swap(&NOW, Way::AToB, Amount::In(amount)).unwrap();
    }
    assert_eq!(known(&table).state, expected);
    // What 11 left alone nobody knows any more.
    table.drop_block(Slot(13), &lineage);
    assert_eq!(known(&table).tradable, Ok(()));
    table.drop_block(Slot(12), &lineage);
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Doubtful));
}

#[test]
fn a_swap_that_account_data_counts_already_is_not_counted_again() {
    let (mut table, _) = table();
    let lineage = straight(10..=13);
    let later = state(101_000_000_000, 4_950_000_000_000);
    table.correct(&truth(later, 13, 2), &lineage, &NOW);
    let applied = table.apply(&buy(12, 1_000_000), &lineage, &NOW);
    assert_eq!(
        (applied, known(&table).state),
        (PoolApplied::Counted, later)
    );
}

/// Account data ends what was remembered of other forks; theirs is not its state.
#[test]
fn a_fork_of_which_nothing_is_known_is_not_traded_on_anothers_state() {
    let (mut table, _) = table();
    let mut lineage = Lineage::new();
    for (slot, parent) in [(11, 10), (12, 10), (13, 11)] {
        lineage.note(Slot(slot), Slot(parent));
    }
    let of_12 = state(150_000_000_000, 3_000_000_000_000);
    table.correct(&truth(of_12, 12, 2), &lineage, &NOW);
    table.apply(&buy(13, 1_000_000), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Doubtful));
    // Back on 12 all is well.
    table.apply(&buy(12, 0), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Ok(()));
}

#[test]
fn doubt_reaches_what_is_remembered_of_other_blocks() {
    let lineage = straight(10..=12);
    let mut forged = table().0;
    forged.apply(&buy(11, 40_000_000_000), &lineage, &NOW);
    forged.apply(&buy(12, 1_000), &lineage, &NOW);
    // The swap in 11 was a forgery; 13 is another fork on it.
    forged.doubt(&POOL);
    let mut forked = lineage.clone();
    forked.note(Slot(13), Slot(11));
    forged.apply(&buy(13, 1_000), &forked, &NOW);
    assert_eq!(known(&forged).tradable, Err(PoolUntradable::Doubtful));

    let mut contested = table().0;
    let mut forks = Lineage::new();
    forks.note(Slot(12), Slot(10));
    forks.note(Slot(11), Slot(10));
    contested.apply(&buy(12, 1_000), &forks, &NOW);
    contested.apply(&buy(11, 1_000), &forks, &NOW);
    contested.doubt_from(Slot(12));
    contested.apply(&buy(12, 1_000), &forks, &NOW);
    assert_eq!(known(&contested).tradable, Err(PoolUntradable::Doubtful));
}

#[test]
fn what_was_reckoned_before_a_divergence_agrees_with_nothing() {
    let (mut table, _) = table();
    let lineage = Lineage::new();
    table.apply(&buy(11, 1_000_000), &lineage, &NOW);
    let reckoned = known(&table).state;
    let other = state(123_000_000_000, 4_100_000_000_000);
    table.correct(&truth(other, 11, 2), &lineage, &NOW);
    table.correct(&truth(reckoned, 11, 3), &lineage, &NOW);
    assert_eq!(known(&table).state, reckoned);
}

/// A pool read at the tip, long after its last swap.
#[test]
fn account_data_of_a_later_slot_that_says_the_same_agrees() {
    let (mut table, start) = table();
    let told = table.correct(&truth(start, 50, 9), &straight(10..=50), &NOW);
    assert_eq!(told, Corrected::Agreed);
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

/// Goal: on a busy pool, account data that comes late does not set it back.
/// Method: a swap that nobody shows in block 11, two shown in 12 and 13; then the account as 11 left it.
#[test]
fn what_came_after_late_account_data_is_reckoned_again_on_it() {
    let (mut table, mut truly) = table();
    let lineage = straight(11..=14);
    let swap = |state: &mut PoolState, amount| {
        state.swap(&NOW, Way::AToB, Amount::In(amount)).unwrap();
    };
    swap(&mut truly, 7_000_000_000);
    let left_by_11 = truly;
    for (slot, amount) in [(12, 2_000_000_000), (13, 3_000_000_000)] {
        table.apply(&buy(slot, amount), &lineage, &NOW);
        swap(&mut truly, amount);
    }
    assert_ne!(known(&table).state, truly);
    let told = table.correct(&truth(left_by_11, 11, 2), &lineage, &NOW);
    assert_eq!(told, Corrected::Diverged);
    assert_eq!(known(&table).state, truly);
    assert_eq!(known(&table).slot, Slot(13));
    assert_eq!(table.counters().change_replayed, 2);
    let told = table.correct(&truth(truly, 13, 3), &lineage, &NOW);
    assert_eq!(told, Corrected::Agreed);
    // What cannot be read stays unread on the new base, and what is void is not made again.
    let deposit = event(14, PoolAction::Deposit(Liquidity::default()));
    table.apply(&deposit, &lineage, &NOW);
    table.correct(&truth(left_by_11, 13, 4), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Behind));
    table.drop_block(Slot(14), &lineage);
    table.correct(&truth(left_by_11, 13, 5), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Ok(()));
}

/// Goal: who pushes out what is to be made again does not get a wrong price shown as good.
/// Method: a swap in 13, then as many failing ones as the memory holds, then the account as 12 left it.
#[test]
fn what_was_pushed_out_of_memory_makes_a_corrected_pool_doubtful() {
    let (mut table, start) = table();
    let lineage = straight(11..=14);
    table.apply(&buy(13, 3_000_000_000), &lineage, &NOW);
    let mut failing = buy(13, 1_000);
    if let PoolAction::Swap(swap) = &mut failing.call.action {
        swap.amounts = SwapAmounts::ExactIn {
            amount_in: 1_000,
            out_min: u64::MAX,
        };
    }
    for _ in 0..1_100 {
        table.apply(&failing, &lineage, &NOW);
    }
    let mut moved = start;
    moved.swap(&NOW, Way::AToB, Amount::In(7_000_000)).unwrap();
    table.correct(&truth(moved, 12, 2), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Err(PoolUntradable::Doubtful));
    // The account as a later block has it says all.
    table.correct(&truth(moved, 14, 3), &lineage, &NOW);
    assert_eq!(known(&table).tradable, Ok(()));
}

const TRADER: [u8; 32] = [0x51; 32];

/// The trader's account for the coin.
fn associated(coin: &[u8; 32]) -> [u8; 32] {
    let seeds: [&[u8]; 3] = [&TRADER, &TOKEN_PROGRAM, coin];
    let (address, _) = find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM).unwrap();
    address
}

/// A swap by the trader that names no mint.
fn unnamed(account_in: [u8; 32], account_out: [u8; 32]) -> PoolEvent {
    let mut event = buy(11, 1_000_000_000);
    event.call.actor = Some(TRADER);
    if let PoolAction::Swap(swap) = &mut event.call.action {
        (swap.mint_in, swap.mint_out) = (None, None);
        (swap.account_in, swap.account_out) = (Some(account_in), Some(account_out));
    }
    event
}

/// AMM v4 names no mint: which way a swap goes, the trader's own account for the coin tells.
#[test]
fn the_way_of_a_swap_is_told_by_the_traders_account() {
    let coins = associated(&COIN);
    for (event, way) in [
        (unnamed([1; 32], coins), Some(Way::AToB)),
        (unnamed(coins, [1; 32]), Some(Way::BToA)),
        (unnamed([1; 32], [2; 32]), None),
        (unnamed(coins, coins), None),
    ] {
        let (mut table, _) = table();
        let applied = table.apply(&event, &Lineage::new(), &NOW);
        let went = match applied {
            PoolApplied::Moved(way, _) => Some(way),
            _ => None,
        };
        assert_eq!(went, way, "{applied:?}");
    }
}

/// Regression: each swap of a transaction that is full of them cost the core a derivation.
#[test]
fn one_transaction_derives_a_few_addresses_at_most() {
    let mut table = PoolTable::new(16, 7);
    let lineage = Lineage::new();
    let pools: [u8; 6] = core::array::from_fn(|index| 0x80 + index as u8);
    for byte in pools {
        let mut told = of_pool(byte, state(100_000_000_000, 5_000_000_000_000), 10);
        let PoolState::RaydiumCp(pool, _) = &mut told.state else {
            panic!()
        };
        pool.mints[1] = [byte; 32];
        if let market::VenueAccounts::RaydiumCp(accounts) = &mut told.accounts {
            (accounts.mint, accounts.token_program) = (Mint([byte; 32]), TOKEN_PROGRAM);
        }
        table.correct(&told, &lineage, &NOW);
    }
    let mut swap = |byte: u8, signature: u8| {
        let mut event = unnamed([1; 32], associated(&[byte; 32]));
        event.call.pool = Some([byte; 32]);
        event.signature = [signature; 64];
        let is_read = matches!(table.apply(&event, &lineage, &NOW), PoolApplied::Moved(..));
        (is_read, table.counters().way_refused)
    };
    for byte in &pools[..4] {
        assert_eq!(swap(*byte, 1), (true, 0));
    }
    assert_eq!(swap(pools[4], 1), (false, 1));
    // What was derived once costs nothing.
    assert_eq!(swap(pools[0], 1), (true, 1));
    assert_eq!(swap(pools[5], 2), (true, 1), "of another transaction");
}
