//! Goal: AMM v4's instructions read back field by field, its account is read whole or refused, its swaps are the
//! program's own to the unit.
//! Method for the last: `golden/raydium_amm.txt`, made by executing the program's binary.

use crate::raydium::{account, account_data, call, call_with, data, golden, number};
use market::account::AccountReject;
use market::event::{Create, Liquidity, PoolAction, Swap, SwapAmounts, Way};
use market::raydium_amm::{OrderBook, Pool, Status};
use market::{Amount, DecodeReject, PoolCall, Program, QuoteReject};
use proptest::prelude::*;

const AMM: Program = Program::RaydiumAmm;

fn swap(amounts: SwapAmounts, source: usize) -> PoolCall {
    PoolCall {
        pool: Some(account(1)),
        actor: Some(account(source + 2)),
        action: PoolAction::Swap(Swap {
            amounts,
            way: None,
            mint_in: None,
            mint_out: None,
            account_in: Some(account(source)),
            account_out: Some(account(source + 1)),
            price_limit: None,
        }),
    }
}

/// Account lists: raydium-amm 27f461d `program/src/instruction.rs`.
#[test]
fn swaps_of_both_generations_read_back() {
    let exact_in = SwapAmounts::ExactIn {
        amount_in: 5,
        out_min: 6,
    };
    let exact_out = SwapAmounts::ExactOut {
        in_max: 5,
        amount_out: 6,
    };
    for (tag, count, source, amounts) in [
        (9, 17, 14, exact_in),
        (9, 18, 15, exact_in),
        (11, 17, 14, exact_out),
        (11, 18, 15, exact_out),
        (16, 8, 5, exact_in),
        (16, 9, 5, exact_in),
        (17, 8, 5, exact_out),
    ] {
        let bytes = data(&[tag], &[5, 6]);
        let read = call(AMM, &bytes, count, &[source + 2]);
        assert_eq!(read, Ok(swap(amounts, source)), "{tag} {count}");
        let short = call(AMM, &bytes[..16], count, &[source + 2]);
        assert_eq!(short, Err(DecodeReject::ShortData));
        for wrong in [0, 7, 16, 19] {
            if wrong != count && (tag < 16 || wrong < 8) {
                let read = call(AMM, &bytes, wrong, &[]);
                assert_eq!(read, Err(DecodeReject::MissingAccounts), "{tag} {wrong}");
            }
        }
    }
}

#[test]
fn what_a_lookup_table_hides_is_absent_and_a_hidden_signer_is_refused() {
    let keys: Vec<_> = (0..8).map(account).collect();
    let bytes = data(&[16], &[5, 6]);
    let read = call_with(AMM, &bytes, &keys, &[7], |key| *key == account(1)).unwrap();
    assert_eq!((read.pool, read.actor), (None, Some(account(7))));
    let read = call_with(AMM, &bytes, &keys, &[], |key| *key == account(7));
    assert_eq!(read, Err(DecodeReject::SignerUnresolved));
}

#[test]
fn creation_and_liquidity_of_both_generations_read_back() {
    for (count, lp_mint, user) in [(19, 6, 15), (21, 7, 17)] {
        let read = call(AMM, &data(&[1, 254], &[77, 1_000, 2_000]), count, &[user]).unwrap();
        let expect = Create {
            mint_a: Some(account(lp_mint + 1)),
            mint_b: Some(account(lp_mint + 2)),
            vault_a: Some(account(lp_mint + 3)),
            vault_b: Some(account(lp_mint + 4)),
            config: Some(account(lp_mint + 6)),
            amount_a: 2_000,
            amount_b: 1_000,
            opens_at: Some(77),
            ..Create::default()
        };
        assert_eq!(read.action, PoolAction::Create(expect), "{count}");
        assert_eq!(
            (read.pool, read.actor),
            (Some(account(4)), Some(account(user)))
        );
    }
    let limits = |share, limit_a, limit_b| Liquidity {
        share,
        limit_a,
        limit_b,
    };
    for (count, owner) in [(11, 10), (14, 12), (15, 12)] {
        for numbers in [&[8, 9, 1][..], &[8, 9, 1, 4]] {
            let read = call(AMM, &data(&[3], numbers), count, &[owner]).unwrap();
            assert_eq!(read.action, PoolAction::Deposit(limits(0, 8, 9)), "{count}");
            assert_eq!(
                (read.pool, read.actor),
                (Some(account(1)), Some(account(owner)))
            );
        }
    }
    for (count, owner) in [(11, 10), (20, 16), (21, 16), (22, 18), (23, 18)] {
        for (numbers, expect) in [
            (&[8][..], limits(8, 0, 0)),
            (&[8, 2], limits(8, 0, 0)),
            (&[8, 2, 3], limits(8, 2, 3)),
        ] {
            let read = call(AMM, &data(&[4], numbers), count, &[owner]).unwrap();
            assert_eq!(read.action, PoolAction::Withdraw(expect), "{count}");
            assert_eq!(read.actor, Some(account(owner)));
        }
    }
    for (tag, count) in [(3, 12), (3, 16), (4, 19), (4, 24), (1, 18), (1, 20)] {
        let read = call(AMM, &data(&[tag, 0], &[1, 2, 3, 4]), count, &[]);
        assert_eq!(read, Err(DecodeReject::MissingAccounts), "{tag} {count}");
    }
}

#[test]
fn every_other_tag_is_ignored() {
    for tag in (0..=255).filter(|tag| ![1, 3, 4, 9, 11, 16, 17].contains(tag)) {
        let read = call(AMM, &data(&[tag], &[1, 2, 3, 4, 5]), 23, &[]);
        assert_eq!(read, Err(DecodeReject::OtherInstruction), "{tag}");
    }
}

/// Offsets as the program's struct has them, written out: 16 words, 8 of fees, then the state data and the keys.
fn pool_data(status: u64, need_take: [u64; 2]) -> Vec<u8> {
    let word = |word: u64| word.to_le_bytes();
    account_data(
        752,
        &[
            (0, &word(status)),
            (8, &word(254)),
            (16 * 8 + 6 * 8, &word(25)),
            (16 * 8 + 7 * 8, &word(10_000)),
            (24 * 8, &word(need_take[0])),
            (25 * 8, &word(need_take[1])),
            (28 * 8, &word(1_000)),
            (336, &[1; 32]),
            (368, &[2; 32]),
            (400, &[3; 32]),
            (432, &[4; 32]),
            (464, &[5; 32]),
            (496, &[6; 32]),
            (528, &[7; 32]),
            (560, &[8; 32]),
            (592, &[9; 32]),
        ],
    )
}

fn pool(status: u64) -> Pool {
    Pool::parse(&pool_data(status, [0, 0])).unwrap()
}

#[test]
fn an_account_is_read_whole_or_refused() {
    let data = pool_data(6, [11, 12]);
    let pool = Pool::parse(&data).unwrap();
    assert_eq!((pool.status, pool.nonce), (Status::SwapOnly, 254));
    assert_eq!((pool.need_take_coin, pool.need_take_pc), (11, 12));
    assert_eq!(
        (pool.swap_fee_numerator, pool.swap_fee_denominator),
        (25, 10_000)
    );
    assert_eq!((pool.opens_at, pool.order_book), (1_000, OrderBook::Empty));
    assert_eq!(
        [
            pool.coin_vault,
            pool.pc_vault,
            pool.coin_mint,
            pool.pc_mint,
            pool.lp_mint,
            pool.open_orders,
            pool.market,
            pool.market_program,
            pool.target_orders,
        ],
        std::array::from_fn(|at| [at as u8 + 1; 32])
    );
    let refused = |data: &[u8]| Pool::parse(data).unwrap_err();
    for len in 0..752 {
        assert_eq!(refused(&data[..len]), AccountReject::Short);
    }
    assert_eq!(refused(&[0; 753]), AccountReject::OtherKind);
    assert_eq!(refused(&pool_data(0, [0, 0])), AccountReject::BadField);
    assert_eq!(refused(&pool_data(8, [0, 0])), AccountReject::Unknown);
    for (at, value) in [(176, 10_000), (184, 25), (8, 256)] {
        let mut bad = data.clone();
        bad[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
        assert_eq!(refused(&bad), AccountReject::BadField, "{at}");
    }
    let mut bad = data.clone();
    bad[432..464].fill(3);
    assert_eq!(refused(&bad), AccountReject::BadField);
}

#[test]
fn a_pool_that_uses_the_book_waits_until_its_orders_are_known_to_be_none() {
    let open_orders = |coin_total: u64, free_slots: u128| {
        let parts: [(usize, &[u8]); 3] = [
            (0, b"serum"),
            (85, &coin_total.to_le_bytes()),
            (109, &free_slots.to_le_bytes()),
        ];
        account_data(3_228, &parts)
    };
    let mut booked = pool(1).with_vaults(1_000_000, 1_000_000);
    let swap = |booked: &mut Pool| booked.swap(0, Way::AToB, Amount::In(1_000));
    assert_eq!(swap(&mut booked), Err(QuoteReject::Closed));
    for (coin_total, free_slots) in [(1, u128::MAX), (0, u128::MAX - 1)] {
        assert_eq!(
            booked.read_open_orders(&open_orders(coin_total, free_slots)),
            Ok(())
        );
        assert_eq!(swap(&mut booked), Err(QuoteReject::Closed));
    }
    assert_eq!(
        booked.read_open_orders(&[0; 3_228]),
        Err(AccountReject::OtherKind)
    );
    assert_eq!(booked.read_open_orders(&open_orders(0, u128::MAX)), Ok(()));
    assert!(swap(&mut booked).is_ok());
    assert_eq!(booked.status, Status::Initialized);
}

#[test]
fn only_open_pools_swap() {
    for status in [2, 3, 4, 5] {
        let mut closed = pool(status).with_vaults(1_000_000, 1_000_000);
        let swapped = closed.swap(u64::MAX, Way::AToB, Amount::In(1_000));
        assert_eq!(swapped, Err(QuoteReject::Closed), "{status}");
    }
    let mut waiting = pool(7).with_vaults(1_000_000, 1_000_000);
    assert_eq!(
        waiting.swap(999, Way::AToB, Amount::In(1_000)),
        Err(QuoteReject::Closed)
    );
    assert_eq!(waiting.status, Status::WaitingTrade);
    assert!(waiting.swap(1_000, Way::AToB, Amount::In(1_000)).is_ok());
    assert_eq!(waiting.status, Status::SwapOnly);
}

/// Every swap that the program executed comes out the same, and every one it refused is refused.
#[test]
fn swaps_are_the_binarys_own_to_the_unit() {
    const OPENS_AT: u64 = 1_000;
    let (mut executed, mut refused) = ([0; 4], 0);
    for line in golden(include_str!("../golden/raydium_amm.txt")) {
        let n = |at: usize| number::<u64>(line[at]);
        let now = OPENS_AT
            .checked_add_signed(-number::<i64>(line[1]))
            .unwrap();
        let before = Pool {
            swap_fee_numerator: n(6),
            ..Pool::parse(&pool_data(n(0), [n(4), n(5)])).unwrap()
        };
        let before = before.with_vaults(n(2), n(3));
        let mut after = before;
        let way = if line[7] == "sell" {
            Way::AToB
        } else {
            Way::BToA
        };
        let (kind, amount) = match line[8] {
            "9" => (0, Amount::In(n(9))),
            "11" => (1, Amount::Out(n(9))),
            "16" => (2, Amount::In(n(9))),
            "17" => (3, Amount::Out(n(9))),
            other => panic!("{other}"),
        };
        let swapped = after.swap(now, way, amount);
        if line[10] == "refused" {
            assert!(swapped.is_err(), "{line:?} {swapped:?}");
            assert_eq!(after, before);
            refused += 1;
            continue;
        }
        let swapped = swapped.unwrap_or_else(|reason| panic!("{line:?} {reason:?}"));
        assert_eq!(
            (swapped.amount_in, swapped.amount_out),
            (n(10), n(11)),
            "{line:?}"
        );
        assert_eq!(after.status, Status::SwapOnly);
        executed[kind] += 1;
    }
    assert!(
        executed.iter().all(|count| *count > 100) && refused > 500,
        "{executed:?} {refused}"
    );
}

/// By hand: a fee of ceil(1000 * 25 / 10000) = 3, then floor(997 * 2000000 / (1000000 + 997)) = 1992.
#[test]
fn a_swap_by_hand() {
    let mut pool = Pool::parse(&pool_data(6, [500, 700])).unwrap();
    pool = pool.with_vaults(1_000_500, 2_000_700);
    let mut other = pool;
    let swapped = pool.swap(0, Way::AToB, Amount::In(1_000)).unwrap();
    assert_eq!((swapped.amount_in, swapped.amount_out), (1_000, 1_992));
    assert_eq!((pool.coin, pool.pc), (1_001_500, 1_998_708));
    // ceil(2000000 * 1000 / 999000) = 2003, ceil(2003 * 10000 / 9975) = 2009.
    let swapped = other.swap(0, Way::BToA, Amount::Out(1_000)).unwrap();
    assert_eq!((swapped.amount_in, swapped.amount_out), (2_009, 1_000));
    assert_eq!((other.coin, other.pc), (999_500, 2_002_709));
}

prop_compose! {
    /// Amounts of every magnitude.
    fn size()(bits in 0u32..=64, value: u64) -> u64 {
        value.checked_shr(bits).unwrap_or(0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// No input panics; an error leaves the pool; an answer keeps the product of the reserves and moves the vaults by
    /// what it says.
    #[test]
    fn a_swap_is_total_and_creates_no_value(
        vaults in (size(), size()),
        need_take in (size(), size()),
        fee in (size(), size()),
        sell: bool,
        exact_in: bool,
        amount in size(),
    ) {
        let mut pool = pool(6).with_vaults(vaults.0, vaults.1);
        (pool.need_take_coin, pool.need_take_pc) = (need_take.0 / 16, need_take.1 / 16);
        if fee.0 % 2 == 0 {
            (pool.swap_fee_numerator, pool.swap_fee_denominator) = fee;
        }
        let before = pool;
        let way = if sell { Way::AToB } else { Way::BToA };
        let amount = if exact_in { Amount::In(amount) } else { Amount::Out(amount) };
        match pool.swap(0, way, amount) {
            Err(_) => prop_assert_eq!(pool, before),
            Ok(swapped) => {
                let (x, y) = (pool.coin - pool.need_take_coin, pool.pc - pool.need_take_pc);
                let (x0, y0) = (before.coin - before.need_take_coin, before.pc - before.need_take_pc);
                prop_assert!(u128::from(x) * u128::from(y) >= u128::from(x0) * u128::from(y0));
                prop_assert!(swapped.amount_in > 0 && swapped.amount_out > 0);
                let moved = if sell {
                    (pool.coin - before.coin, before.pc - pool.pc)
                } else {
                    (pool.pc - before.pc, before.coin - pool.coin)
                };
                prop_assert_eq!(moved, (swapped.amount_in, swapped.amount_out));
                match amount {
                    Amount::In(amount) => prop_assert_eq!(swapped.amount_in, amount),
                    Amount::Out(amount) => {
                        prop_assert_eq!(swapped.amount_out, amount);
                        // What buys it exactly buys at least it.
                        let mut again = before;
                        let again = again.swap(0, way, Amount::In(swapped.amount_in));
                        prop_assert!(again.is_ok_and(|again| again.amount_out >= amount));
                    }
                }
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        tag in 0u8..20,
        count in 0usize..26,
        account in prop::collection::vec(any::<u8>(), 752),
    ) {
        let mut bytes = bytes;
        let _ = call(AMM, &bytes, count, &[]);
        if let Some(first) = bytes.first_mut() {
            *first = tag;
        }
        let _ = call(AMM, &bytes, count, &[]);
        if let Ok(mut pool) = Pool::parse(&account) {
            let _ = pool.read_open_orders(&account);
        }
    }
}
