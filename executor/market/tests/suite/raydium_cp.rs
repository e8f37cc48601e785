//! Goal: CPMM's instructions read back field by field, its accounts are read whole or refused, and its swaps are the
//! program's own to the unit.
//! Method for the last: `golden/raydium_cp.txt`, made by running the program's published source.

use crate::raydium::{account, account_data, call, call_with, data, golden, number};
use market::account::AccountReject;
use market::event::{Create, Liquidity, PoolAction, Swap, SwapAmounts, Way};
use market::pump::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use market::raydium_cp::{Config, CreatorFeeOn, Pool};
use market::token::TransferFee;
use market::{Amount, DecodeReject, Program, QuoteReject};
use proptest::prelude::*;

const CP: Program = Program::RaydiumCp;
const SWAP_BASE_INPUT: [u8; 8] = [0x8f, 0xbe, 0x5a, 0xda, 0xc4, 0x1e, 0x33, 0xde];
const SWAP_BASE_OUTPUT: [u8; 8] = [0x37, 0xd9, 0x62, 0x56, 0xa3, 0x4a, 0xb4, 0xad];
const INITIALIZE: [u8; 8] = [0xaf, 0xaf, 0x6d, 0x1f, 0x0d, 0x98, 0x9b, 0xed];
const INITIALIZE_WITH_PERMISSION: [u8; 8] = [0x3f, 0x37, 0xfe, 0x41, 0x31, 0xb2, 0x59, 0x79];
const DEPOSIT: [u8; 8] = [0xf2, 0x23, 0xc6, 0x89, 0x52, 0xe1, 0xf2, 0xb6];
const WITHDRAW: [u8; 8] = [0xb7, 0x12, 0x46, 0x9c, 0x94, 0x6d, 0xa1, 0x22];

/// Account list: raydium-cp-swap 609780f `instructions/swap_base_input.rs` `Swap`.
#[test]
fn swaps_read_back_with_their_way() {
    for (head, amounts) in [
        (
            SWAP_BASE_INPUT,
            SwapAmounts::ExactIn {
                amount_in: 5,
                out_min: 6,
            },
        ),
        (
            SWAP_BASE_OUTPUT,
            SwapAmounts::ExactOut {
                in_max: 5,
                amount_out: 6,
            },
        ),
    ] {
        let bytes = data(&head, &[5, 6]);
        for (mints, way) in [([90, 91], Way::AToB), ([91, 90], Way::BToA)] {
            let mut keys: Vec<_> = (0..13).map(account).collect();
            (keys[10], keys[11]) = ([mints[0]; 32], [mints[1]; 32]);
            let read = call_with(CP, &bytes, &keys, &[0], |_| false).unwrap();
            let expect = Swap {
                amounts,
                way: Some(way),
                mint_in: Some(keys[10]),
                mint_out: Some(keys[11]),
                account_in: Some(account(4)),
                account_out: Some(account(5)),
                price_limit: None,
            };
            assert_eq!(read.action, PoolAction::Swap(expect));
            assert_eq!(
                (read.pool, read.actor),
                (Some(account(3)), Some(account(0)))
            );
            let hidden = call_with(CP, &bytes, &keys, &[0], |key| *key == keys[10]).unwrap();
            let PoolAction::Swap(hidden) = hidden.action else {
                panic!("{hidden:?}")
            };
            assert_eq!((hidden.way, hidden.mint_in), (None, None));
        }
        let short = call(CP, &bytes[..23], 13, &[0]);
        assert_eq!(short, Err(DecodeReject::ShortData));
        let few = call(CP, &bytes, 12, &[0]);
        assert_eq!(few, Err(DecodeReject::MissingAccounts));
    }
}

#[test]
fn creation_and_liquidity_read_back() {
    let mut permitted = data(&INITIALIZE_WITH_PERMISSION, &[10, 20, 77]);
    permitted.push(2);
    for (bytes, count, config) in [
        (data(&INITIALIZE, &[10, 20, 77]), 20, 1),
        (permitted.clone(), 21, 2),
    ] {
        let read = call(CP, &bytes, count, &[0]).unwrap();
        let expect = Create {
            mint_a: Some(account(config + 3)),
            mint_b: Some(account(config + 4)),
            vault_a: Some(account(config + 9)),
            vault_b: Some(account(config + 10)),
            config: Some(account(config)),
            amount_a: 10,
            amount_b: 20,
            opens_at: Some(77),
            ..Create::default()
        };
        assert_eq!(read.action, PoolAction::Create(expect), "{count}");
        assert_eq!(
            (read.pool, read.actor),
            (Some(account(config + 2)), Some(account(0)))
        );
        let few = call(CP, &bytes, count - 1, &[0]);
        assert_eq!(few, Err(DecodeReject::MissingAccounts));
        let short = call(CP, &bytes[..bytes.len() - 1], count, &[0]);
        assert_eq!(short, Err(DecodeReject::ShortData));
    }
    *permitted.last_mut().unwrap() = 3;
    assert_eq!(
        call(CP, &permitted, 21, &[0]),
        Err(DecodeReject::BadArgument)
    );

    let limits = Liquidity {
        share: 7,
        limit_a: 8,
        limit_b: 9,
    };
    for (head, count, action) in [
        (DEPOSIT, 13, PoolAction::Deposit(limits)),
        (WITHDRAW, 14, PoolAction::Withdraw(limits)),
    ] {
        let read = call(CP, &data(&head, &[7, 8, 9]), count, &[0]).unwrap();
        assert_eq!(read.action, action);
        assert_eq!(
            (read.pool, read.actor),
            (Some(account(2)), Some(account(0)))
        );
        let few = call(CP, &data(&head, &[7, 8, 9]), count - 1, &[0]);
        assert_eq!(few, Err(DecodeReject::MissingAccounts));
    }
}

/// What a test says of a pool; the rest of its account is made up.
#[derive(Clone, Copy)]
struct Sketch {
    status: u8,
    fee_on: u8,
    creator_fee: u8,
    programs: [market::Key; 2],
    owed: [[u64; 2]; 3],
}

const SKETCH: Sketch = Sketch {
    status: 0,
    fee_on: 0,
    creator_fee: 1,
    programs: [TOKEN_PROGRAM; 2],
    owed: [[0; 2]; 3],
};

/// Offsets as the program's struct has them: ten keys, five bytes, seven words, the creator's fee.
fn pool_data(sketch: Sketch) -> Vec<u8> {
    let pair = |pair: [u64; 2]| [pair[0].to_le_bytes(), pair[1].to_le_bytes()].concat();
    let bytes = 8 + 10 * 32;
    let words = bytes + 5;
    account_data(
        637,
        &[
            (0, &[0xf7, 0xed, 0xe3, 0xf5, 0xd7, 0xc3, 0xde, 0x46]),
            (8, &[1; 32]),
            (8 + 32, &[2; 32]),
            (8 + 2 * 32, &[3; 32]),
            (8 + 3 * 32, &[4; 32]),
            (8 + 4 * 32, &[5; 32]),
            (8 + 5 * 32, &[6; 32]),
            (8 + 6 * 32, &[7; 32]),
            (8 + 7 * 32, &sketch.programs[0]),
            (8 + 8 * 32, &sketch.programs[1]),
            (8 + 9 * 32, &[10; 32]),
            (bytes, &[253, sketch.status, 9, 6, 9]),
            (words, &99u64.to_le_bytes()),
            (words + 8, &pair(sketch.owed[0])),
            (words + 24, &pair(sketch.owed[1])),
            (words + 40, &1_000u64.to_le_bytes()),
            (words + 56, &[sketch.fee_on, sketch.creator_fee]),
            (words + 64, &pair(sketch.owed[2])),
        ],
    )
}

fn pool(sketch: Sketch) -> Pool {
    Pool::parse(&pool_data(sketch)).unwrap()
}

#[test]
fn a_pool_is_read_whole_or_refused() {
    let sketch = Sketch {
        status: 3,
        fee_on: 2,
        owed: [[11, 12], [13, 14], [15, 16]],
        ..SKETCH
    };
    let bytes = pool_data(sketch);
    let read = Pool::parse(&bytes).unwrap();
    assert_eq!((read.config, read.creator), ([1; 32], [2; 32]));
    assert_eq!((read.vaults, read.lp_mint), ([[3; 32], [4; 32]], [5; 32]));
    assert_eq!(
        (read.mints, read.observation),
        ([[6; 32], [7; 32]], [10; 32])
    );
    assert_eq!(read.token_programs, [TOKEN_PROGRAM; 2]);
    assert_eq!((read.status, read.lp_supply, read.opens_at), (3, 99, 1_000));
    assert_eq!(
        (read.creator_fee, read.creator_fee_on),
        (true, CreatorFeeOn::Token1)
    );
    let owed = read
        .owed
        .map(|owed| [owed.protocol, owed.fund, owed.creator]);
    assert_eq!(owed, [[11, 13, 15], [12, 14, 16]]);
    assert_eq!(read.transfer_fees, [Some(TransferFee::NONE); 2]);

    let refused = |bytes: &[u8]| Pool::parse(bytes).unwrap_err();
    for len in 0..637 {
        assert_eq!(refused(&bytes[..len]), AccountReject::Short);
    }
    assert_eq!(refused(&[0; 637]), AccountReject::OtherKind);
    for (sketch, reason) in [
        (
            Sketch {
                status: 8,
                ..SKETCH
            },
            AccountReject::Unknown,
        ),
        (
            Sketch {
                fee_on: 3,
                ..SKETCH
            },
            AccountReject::Unknown,
        ),
        (
            Sketch {
                creator_fee: 2,
                ..SKETCH
            },
            AccountReject::BadField,
        ),
        (
            Sketch {
                programs: [[9; 32]; 2],
                ..SKETCH
            },
            AccountReject::Unknown,
        ),
    ] {
        assert_eq!(refused(&pool_data(sketch)), reason);
    }
    let mut swapped = bytes.clone();
    swapped[168..200].fill(8);
    assert_eq!(refused(&swapped), AccountReject::BadField);
}

fn config_data(rates: [u64; 4]) -> Vec<u8> {
    let [trade, protocol, fund, creator] = rates.map(u64::to_le_bytes);
    account_data(
        236,
        &[
            (0, &[0xda, 0xf4, 0x21, 0x68, 0xcb, 0xcb, 0x2b, 0x6f]),
            (8, &[255, 1, 3, 0]),
            (12, &[trade, protocol, fund, 150u64.to_le_bytes()].concat()),
            (44, &[7; 64]),
            (108, &creator),
        ],
    )
}

#[test]
fn a_configuration_is_read_whole_or_refused() {
    let bytes = config_data([2_500, 120_000, 40_000, 500]);
    let expect = Config {
        closed_to_new_pools: true,
        trade_fee_rate: 2_500,
        protocol_fee_rate: 120_000,
        fund_fee_rate: 40_000,
        creator_fee_rate: 500,
        create_pool_fee: 150,
    };
    assert_eq!(Config::parse(&bytes), Ok(expect));
    assert_eq!(Config::parse(&bytes[..235]), Err(AccountReject::Short));
    assert_eq!(Config::parse(&[0; 236]), Err(AccountReject::OtherKind));
    let too_much = config_data([999_999, 0, 0, 2]);
    assert_eq!(Config::parse(&too_much), Err(AccountReject::BadField));
}

/// Every vector twice: once each way through the pool.
#[test]
fn swaps_are_the_programs_own_to_the_unit() {
    let (mut answered, mut refused) = (0, 0);
    for line in golden(include_str!("../golden/raydium_cp.txt")) {
        let n = |at: usize| number::<u64>(line[at]);
        let config = Config {
            trade_fee_rate: n(3),
            protocol_fee_rate: n(4),
            fund_fee_rate: n(5),
            creator_fee_rate: n(6),
            ..Config::default()
        };
        for (way, input, output) in [(Way::AToB, 0, 1), (Way::BToA, 1, 0)] {
            let place = if line[7] == "input" { input } else { output };
            let mut held = [0; 2];
            (held[input], held[output]) = (n(1), n(2));
            let fee_on = place as u8 + 1;
            let before = pool(Sketch { fee_on, ..SKETCH }).with_vaults(held);
            let mut after = before;
            let amount = match line[0] {
                "in" => Amount::In(n(8)),
                _ => Amount::Out(n(8)),
            };
            let swapped = after.swap(&config, 1_000, way, amount);
            if line[9] == "error" || n(9) == 0 || n(10) == 0 {
                assert!(swapped.is_err(), "{line:?}");
                assert_eq!(after, before);
                refused += 1;
                continue;
            }
            let Ok(swapped) = swapped else {
                // A vault has 64 bits; the curve's source does not ask it.
                assert_eq!(swapped, Err(QuoteReject::Overflow), "{line:?}");
                assert_eq!(n(1).checked_add(n(9)), None, "{line:?}");
                continue;
            };
            assert_eq!(
                (swapped.amount_in, swapped.amount_out),
                (n(9), n(10)),
                "{line:?}"
            );
            let mut expect = before;
            expect.held[input] += n(9);
            expect.held[output] -= n(10);
            expect.owed[input].protocol += n(11);
            expect.owed[input].fund += n(12);
            expect.owed[place].creator += n(13);
            assert_eq!(after, expect, "{line:?}");
            answered += 1;
        }
    }
    assert!(answered > 3_400 && refused > 400, "{answered} {refused}");
}

/// Swap events that the program itself emitted on mainnet, as public tests record them (two of a substreams package's
/// `tests/cpmm.rs`, one in the logs of an aggregator's transaction): reserves before, what arrived, what left, the
/// trade fee where the event has it, all at the common rate. The last input mint kept 4 % of the transfer.
#[test]
fn mainnets_own_swaps_come_out_the_same() {
    let config = Config {
        trade_fee_rate: 2_500,
        protocol_fee_rate: 1_000_000,
        ..Config::default()
    };
    for (reserves, arrives, leaves, trade_fee, sent, bps) in [
        (
            [24_948_480_441_944, 1_868_212_340_231],
            784_025_641,
            58_561_432,
            Some(1_960_065),
            784_025_641,
            0,
        ),
        (
            [59_486_633_393, 324_181_831_497_470],
            1_287_000_000,
            6_848_381_008_732,
            None,
            1_287_000_000,
            0,
        ),
        (
            [41_432_877_129, 253_021_900],
            70_778_880,
            430_417,
            None,
            73_728_000,
            400,
        ),
    ] {
        let fee = TransferFee {
            bps,
            fee_max: u64::MAX,
        };
        let mut pool = pool(SKETCH)
            .with_vaults(reserves)
            .with_transfer_fees([fee, TransferFee::NONE]);
        let swapped = pool
            .swap(&config, 1_000, Way::AToB, Amount::In(sent))
            .unwrap();
        assert_eq!((swapped.amount_in, swapped.amount_out), (sent, leaves));
        assert_eq!(pool.held, [reserves[0] + arrives, reserves[1] - leaves]);
        assert_eq!(
            trade_fee.unwrap_or(pool.owed[0].protocol),
            pool.owed[0].protocol
        );
    }
}

#[test]
fn a_pool_swaps_when_it_is_open_and_understood() {
    let config = Config::parse(&config_data([2_500, 120_000, 40_000, 500])).unwrap();
    let held = [1_000_000, 2_000_000];
    let swap = |sketch: Sketch, now| {
        let mut pool = pool(sketch).with_vaults(held);
        pool.swap(&config, now, Way::AToB, Amount::In(1_000))
    };
    assert!(swap(SKETCH, 1_000).is_ok());
    assert!(
        swap(
            Sketch {
                status: 3,
                ..SKETCH
            },
            1_000
        )
        .is_ok()
    );
    assert_eq!(swap(SKETCH, 999), Err(QuoteReject::Closed));
    for status in [4, 5, 6, 7] {
        assert_eq!(
            swap(Sketch { status, ..SKETCH }, 1_000),
            Err(QuoteReject::Closed)
        );
    }
    let token_2022 = Sketch {
        programs: [TOKEN_PROGRAM, TOKEN_2022_PROGRAM],
        ..SKETCH
    };
    assert_eq!(swap(token_2022, 1_000), Err(QuoteReject::Closed));
    let owing = Sketch {
        owed: [[500_000, 0], [500_000, 0], [1, 0]],
        ..SKETCH
    };
    assert_eq!(swap(owing, 1_000), Err(QuoteReject::EmptyReserves));
}

/// By hand: a mint that keeps 1 % (at most 5) of what comes in and 10 % of what goes out.
#[test]
fn transfer_fees_are_taken_on_both_sides() {
    let config = Config {
        trade_fee_rate: 10_000,
        ..Config::default()
    };
    let fee = |bps, fee_max| TransferFee { bps, fee_max };
    let fees = [fee(100, 5), fee(1_000, u64::MAX)];
    let before = pool(SKETCH)
        .with_vaults([10_000, 10_000])
        .with_transfer_fees(fees);
    let mut after = before;
    let swapped = after
        .swap(&config, 1_000, Way::AToB, Amount::In(1_005))
        .unwrap();
    // 1000 arrive, 990 trade, floor(990 * 10000 / 10990) = 900 leave, 810 arrive.
    assert_eq!((swapped.amount_in, swapped.amount_out), (1_005, 810));
    assert_eq!(after.held, [11_000, 9_100]);
    let mut after = before;
    let swapped = after
        .swap(&config, 1_000, Way::AToB, Amount::Out(810))
        .unwrap();
    // 900 leave, ceil(900 * 10000 / 9100) = 990 trade, 1000 arrive, 1005 are sent.
    assert_eq!((swapped.amount_in, swapped.amount_out), (1_005, 810));
    assert_eq!(after.held, [11_000, 9_100]);
}

prop_compose! {
    /// Amounts of every magnitude.
    fn size()(bits in 0u32..=64, value: u64) -> u64 {
        value.checked_shr(bits).unwrap_or(0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// No input panics; an error leaves the pool; an answer keeps the product of the reserves, and nobody gets more
    /// than the vaults lose.
    #[test]
    fn a_swap_is_total_and_creates_no_value(
        held in (size(), size()),
        owed in (size(), size(), size(), size()),
        rates in (0u64..1_100_000, 0u64..1_100_000, size(), size()),
        fees in ((0u16..=10_000, size()), (0u16..=10_000, size())),
        fee_on in 0u8..3,
        creator_fee in 0u8..2,
        plain: bool,
        sell: bool,
        exact_in: bool,
        amount in size(),
    ) {
        let sketch = Sketch {
            fee_on,
            creator_fee,
            owed: [[owed.0 / 64, owed.1 / 64], [owed.2 / 64, owed.3 / 64], [0, 1]],
            ..SKETCH
        };
        let fee = |(bps, fee_max)| TransferFee { bps, fee_max };
        let mut pool = pool(sketch).with_vaults([held.0, held.1]);
        if !plain {
            pool = pool.with_transfer_fees([fee(fees.0), fee(fees.1)]);
        }
        let config = Config {
            trade_fee_rate: rates.0,
            creator_fee_rate: rates.1,
            protocol_fee_rate: rates.2 % 500_001,
            fund_fee_rate: rates.3 % 500_001,
            ..Config::default()
        };
        let before = pool;
        let (way, input, output) = if sell { (Way::AToB, 0, 1) } else { (Way::BToA, 1, 0) };
        let amount = if exact_in { Amount::In(amount) } else { Amount::Out(amount) };
        match pool.swap(&config, 1_000, way, amount) {
            Err(_) => prop_assert_eq!(pool, before),
            Ok(swapped) => {
                let product = |pool: &Pool| {
                    u128::from(pool.reserve(0).unwrap()) * u128::from(pool.reserve(1).unwrap())
                };
                prop_assert!(product(&pool) >= product(&before));
                prop_assert!(pool.held[input] - before.held[input] <= swapped.amount_in);
                prop_assert!(before.held[output] - pool.held[output] >= swapped.amount_out);
                prop_assert!(swapped.amount_in > 0 && swapped.amount_out > 0);
                match amount {
                    Amount::In(amount) => prop_assert_eq!(swapped.amount_in, amount),
                    Amount::Out(amount) => prop_assert_eq!(swapped.amount_out, amount),
                }
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(
        which in 0usize..7,
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        count in 0usize..26,
        account in prop::collection::vec(any::<u8>(), 0..700),
    ) {
        let heads = [SWAP_BASE_INPUT, SWAP_BASE_OUTPUT, INITIALIZE, INITIALIZE_WITH_PERMISSION, DEPOSIT, WITHDRAW];
        let head = heads.get(which).map_or(&[][..], |head| &head[..]);
        let _ = call(CP, &[head, &bytes].concat(), count, &[]);
        let mut account = account;
        for discriminator in [&pool_data(SKETCH)[..8], &config_data([0; 4])[..8]] {
            if account.len() >= 8 {
                account[..8].copy_from_slice(discriminator);
            }
            let _ = (Pool::parse(&account), Config::parse(&account));
        }
    }

    #[test]
    fn every_other_discriminator_is_ignored(head: [u8; 8]) {
        let known = [SWAP_BASE_INPUT, SWAP_BASE_OUTPUT, INITIALIZE, INITIALIZE_WITH_PERMISSION, DEPOSIT, WITHDRAW];
        prop_assume!(!known.contains(&head));
        let read = call(CP, &data(&head, &[1, 2, 3, 4]), 22, &[]);
        prop_assert_eq!(read, Err(DecodeReject::OtherInstruction));
    }
}
