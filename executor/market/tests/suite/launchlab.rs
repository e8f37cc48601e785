//! Goal: LaunchLab's instructions read back field by field, its accounts are read whole or refused, its trades are the
//! venue's own to the unit.
//! Method for the last: `golden/launchlab.txt`, made by running the venue's package, and trades that mainnet recorded.

use crate::raydium::{account, account_data, call, data, golden, number};
use market::account::AccountReject;
use market::event::{Create, Migrate, PoolAction, ReferredSwap, Swap, SwapAmounts, Way};
use market::launchlab::{
    CurveType, GlobalConfig, Launch, PlatformConfig, Pool, Reserves, Status, Terms,
};
use market::token::TransferFee;
use market::{Amount, DecodeReject, Program, QuoteReject};
use proptest::prelude::*;

const LAUNCHLAB: Program = Program::LaunchLab;
const BUY_EXACT_IN: [u8; 8] = [0xfa, 0xea, 0x0d, 0x7b, 0xd5, 0x9c, 0x13, 0xec];
const BUY_EXACT_OUT: [u8; 8] = [0x18, 0xd3, 0x74, 0x28, 0x69, 0x03, 0x99, 0x38];
const SELL_EXACT_IN: [u8; 8] = [0x95, 0x27, 0xde, 0x9b, 0xd3, 0x7c, 0x98, 0x1a];
const SELL_EXACT_OUT: [u8; 8] = [0x5f, 0xc8, 0x47, 0x22, 0x08, 0x09, 0x0b, 0xa6];
const INITIALIZE: [u8; 8] = [0xaf, 0xaf, 0x6d, 0x1f, 0x0d, 0x98, 0x9b, 0xed];
const INITIALIZE_V2: [u8; 8] = [0x43, 0x99, 0xaf, 0x27, 0xda, 0x10, 0x26, 0x20];
const INITIALIZE_WITH_TOKEN_2022: [u8; 8] = [0x25, 0xbe, 0x7e, 0xde, 0x2c, 0x9a, 0xab, 0x11];
const MIGRATE_TO_AMM: [u8; 8] = [0xcf, 0x52, 0xc0, 0x91, 0xfe, 0xcf, 0x91, 0xdf];
const MIGRATE_TO_CPSWAP: [u8; 8] = [0x88, 0x5c, 0xc8, 0x67, 0x1c, 0xda, 0x90, 0x8c];
const HEADS: [[u8; 8]; 9] = [
    BUY_EXACT_IN,
    BUY_EXACT_OUT,
    SELL_EXACT_IN,
    SELL_EXACT_OUT,
    INITIALIZE,
    INITIALIZE_V2,
    INITIALIZE_WITH_TOKEN_2022,
    MIGRATE_TO_AMM,
    MIGRATE_TO_CPSWAP,
];

/// Account list: `launchlab.json`; the three accounts the IDL omits are behind its 15.
#[test]
fn trades_read_back_with_and_without_a_share() {
    let exact_in = SwapAmounts::ExactIn {
        amount_in: 5,
        out_min: 6,
    };
    let exact_out = SwapAmounts::ExactOut {
        amount_out: 5,
        in_max: 6,
    };
    for (head, amounts, way) in [
        (BUY_EXACT_IN, exact_in, Way::BToA),
        (BUY_EXACT_OUT, exact_out, Way::BToA),
        (SELL_EXACT_IN, exact_in, Way::AToB),
        (SELL_EXACT_OUT, exact_out, Way::AToB),
    ] {
        let (input, output) = match way {
            Way::AToB => (0, 1),
            Way::BToA => (1, 0),
        };
        let swap = Swap {
            amounts,
            way: Some(way),
            mint_in: Some(account(9 + input)),
            mint_out: Some(account(9 + output)),
            account_in: Some(account(5 + input)),
            account_out: Some(account(5 + output)),
            price_limit: None,
        };
        for count in [15, 18, 19] {
            let read = call(LAUNCHLAB, &data(&head, &[5, 6, 0]), count, &[0]).unwrap();
            assert_eq!(read.action, PoolAction::Swap(swap));
            assert_eq!(
                (read.pool, read.actor),
                (Some(account(4)), Some(account(0)))
            );
            let read = call(LAUNCHLAB, &data(&head, &[5, 6, 77]), count, &[0]).unwrap();
            let referred = ReferredSwap { swap, fee_rate: 77 };
            assert_eq!(read.action, PoolAction::ReferredSwap(referred));
        }
        let few = call(LAUNCHLAB, &data(&head, &[5, 6, 0]), 14, &[0]);
        assert_eq!(few, Err(DecodeReject::MissingAccounts));
        let short = call(LAUNCHLAB, &data(&head, &[5, 6]), 18, &[0]);
        assert_eq!(short, Err(DecodeReject::ShortData));
    }
}

/// The data of an `initialize` form: names of these lengths, then the curve and the rest.
fn launch_data(head: [u8; 8], names: [usize; 3], curve: u8, tail: &[u8]) -> Vec<u8> {
    let mut data = head.to_vec();
    data.push(6);
    for len in names {
        data.extend((len as u32).to_le_bytes());
        data.extend(vec![b'x'; len]);
    }
    data.push(curve);
    let numbers: &[u64] = if curve == 0 {
        &[1_000, 700, 85]
    } else {
        &[1_000, 85]
    };
    data.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    data.push(1);
    data.extend(
        [50u64, 60, 70]
            .iter()
            .flat_map(|number| number.to_le_bytes()),
    );
    data.extend(tail);
    data
}

#[test]
fn launches_read_back_in_all_forms() {
    let fee = [&[1, 1, 44, 1][..], &900u64.to_le_bytes()].concat();
    let transfer_fee = Some(TransferFee {
        bps: 300,
        fee_max: 900,
    });
    for (head, count, tail, transfer_fee) in [
        (INITIALIZE, 18, &[][..], None),
        (INITIALIZE_V2, 18, &[0], None),
        (INITIALIZE_V2, 20, &[1], None),
        (INITIALIZE_WITH_TOKEN_2022, 15, &[0, 0], None),
        (INITIALIZE_WITH_TOKEN_2022, 17, &fee, transfer_fee),
    ] {
        for (curve, kind) in [
            (0, CurveType::ConstantProduct),
            (1, CurveType::FixedPrice),
            (2, CurveType::LinearPrice),
        ] {
            let bytes = launch_data(head, [0, 3, 40], curve, tail);
            let expect = Launch {
                decimals: 6,
                curve: kind,
                supply: 1_000,
                total_base_sell: if curve == 0 { 700 } else { 0 },
                total_quote_fund_raising: 85,
                migrates_to_cp: true,
                total_locked_amount: 50,
                transfer_fee,
            };
            assert_eq!(Launch::read(&bytes), Ok(expect));
            let read = call(LAUNCHLAB, &bytes, count, &[0, 6]).unwrap();
            let expect = Create {
                mint_a: Some(account(6)),
                mint_b: Some(account(7)),
                vault_a: Some(account(8)),
                vault_b: Some(account(9)),
                config: Some(account(2)),
                makes_mint: true,
                ..Create::default()
            };
            assert_eq!(read.action, PoolAction::Create(expect));
            assert_eq!(
                (read.pool, read.actor),
                (Some(account(5)), Some(account(0)))
            );
            let few = call(LAUNCHLAB, &bytes, if count > 15 { 14 } else { 12 }, &[0, 6]);
            assert_eq!(few, Err(DecodeReject::MissingAccounts));
            for len in 8..bytes.len() {
                assert_eq!(Launch::read(&bytes[..len]), Err(DecodeReject::ShortData));
            }
        }
        let unknown = launch_data(head, [1, 1, 1], 3, tail);
        assert_eq!(
            call(LAUNCHLAB, &unknown, 18, &[0, 6]),
            Err(DecodeReject::BadArgument)
        );
    }
    for (head, tail) in [
        (INITIALIZE_V2, &[2][..]),
        (INITIALIZE_WITH_TOKEN_2022, &[0, 2]),
    ] {
        let unknown = launch_data(head, [1, 1, 1], 0, tail);
        assert_eq!(Launch::read(&unknown), Err(DecodeReject::BadArgument));
    }
}

#[test]
fn migrations_read_back() {
    for (bytes, count, to, pool, curve) in [
        (
            [data(&MIGRATE_TO_AMM, &[1, 2]), vec![3]].concat(),
            32,
            Program::RaydiumAmm,
            13,
            23,
        ),
        (MIGRATE_TO_CPSWAP.to_vec(), 28, Program::RaydiumCp, 5, 17),
    ] {
        let read = call(LAUNCHLAB, &bytes, count, &[0]).unwrap();
        let expect = Migrate {
            mint: Some(account(1)),
            pool: Some(account(pool)),
            to: Some(to),
        };
        assert_eq!(read.action, PoolAction::Migrate(expect));
        assert_eq!(
            (read.pool, read.actor),
            (Some(account(curve)), Some(account(0)))
        );
        let few = call(LAUNCHLAB, &bytes, count - 1, &[0]);
        assert_eq!(few, Err(DecodeReject::MissingAccounts));
    }
    let short = call(LAUNCHLAB, &data(&MIGRATE_TO_AMM, &[1, 2]), 32, &[0]);
    assert_eq!(short, Err(DecodeReject::ShortData));
}

/// Offsets as the IDL's struct has them: a word, five bytes, ten words, five of vesting, seven keys, two bytes.
fn pool_data(status: u8, migrate: u8, token_flag: u8, reserves: Reserves) -> Vec<u8> {
    let words = 8 + 8 + 5;
    let keys = words + 15 * 8;
    let numbers = [
        reserves.total_base_sell,
        reserves.virtual_base,
        reserves.virtual_quote,
        reserves.real_base,
        reserves.real_quote,
        85,
    ];
    let numbers: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    let every_key: Vec<u8> = (1..=7).flat_map(|key| [key; 32]).collect();
    account_data(
        429,
        &[
            (0, &[0xf7, 0xed, 0xe3, 0xf5, 0xd7, 0xc3, 0xde, 0x46]),
            (8 + 8, &[250, status, 6, 9, migrate]),
            (words + 8, &numbers),
            (keys, &every_key),
            (keys + 7 * 32, &[token_flag, 1]),
        ],
    )
}

const MIDWAY: Reserves = Reserves {
    total_base_sell: 793_100_000_000_000,
    virtual_base: 1_073_025_605_596_382,
    virtual_quote: 30_000_852_951,
    real_base: 602_241_254_286_758,
    real_quote: 38_377_977_720,
};

#[test]
fn a_curve_is_read_whole_or_refused() {
    let bytes = pool_data(0, 1, 2, MIDWAY);
    let pool = Pool::parse(&bytes).unwrap();
    assert_eq!((pool.status, pool.migrates_to_cp), (Status::Fund, true));
    assert_eq!((pool.reserves, pool.total_quote_fund_raising), (MIDWAY, 85));
    assert_eq!(
        [
            pool.global_config,
            pool.platform_config,
            pool.base_mint,
            pool.quote_mint,
            pool.base_vault,
            pool.quote_vault,
            pool.creator,
        ],
        std::array::from_fn(|at| [at as u8 + 1; 32])
    );
    assert_eq!((pool.base_token_2022, pool.quote_token_2022), (false, true));
    let none = Some(TransferFee::NONE);
    assert_eq!(
        (pool.base_transfer_fee, pool.quote_transfer_fee),
        (none, None)
    );

    let refused = |bytes: &[u8]| Pool::parse(bytes).unwrap_err();
    for len in 0..429 {
        assert_eq!(refused(&bytes[..len]), AccountReject::Short);
    }
    assert_eq!(refused(&[0; 429]), AccountReject::OtherKind);
    for (status, migrate, flag) in [(3, 0, 0), (0, 2, 0), (0, 0, 4)] {
        let unknown = pool_data(status, migrate, flag, MIDWAY);
        assert_eq!(refused(&unknown), AccountReject::Unknown);
    }
    let oversold = Reserves {
        real_base: MIDWAY.total_base_sell + 1,
        ..MIDWAY
    };
    assert_eq!(
        refused(&pool_data(0, 0, 0, oversold)),
        AccountReject::BadField
    );
}

#[test]
fn configurations_are_read_whole_or_refused() {
    let numbers: Vec<u8> = [5u64, 2_500, 10_000]
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    let global = |curve: u8| {
        account_data(
            371,
            &[
                (0, &[0x95, 0x08, 0x9c, 0xca, 0xa0, 0xfc, 0xb0, 0xd9]),
                (16, &[curve, 7, 0]),
                (19, &numbers),
                (83, &[8; 32]),
            ],
        )
    };
    let expect = GlobalConfig {
        curve: CurveType::LinearPrice,
        migrate_fee: 5,
        trade_fee_rate: 2_500,
        share_fee_rate_max: 10_000,
        quote_mint: [8; 32],
    };
    assert_eq!(GlobalConfig::parse(&global(2)), Ok(expect));
    assert_eq!(GlobalConfig::parse(&global(3)), Err(AccountReject::Unknown));
    assert_eq!(
        GlobalConfig::parse(&global(2)[..370]),
        Err(AccountReject::Short)
    );
    assert_eq!(
        GlobalConfig::parse(&[0; 371]),
        Err(AccountReject::OtherKind)
    );

    let platform = account_data(
        944,
        &[
            (0, &[0xa0, 0x4e, 0x80, 0x00, 0xf8, 0x53, 0xe6, 0xa0]),
            (104, &10_000u64.to_le_bytes()),
            (112 + 64 + 256 + 256, &[9; 32]),
            (112 + 64 + 256 + 256 + 32, &500u64.to_le_bytes()),
        ],
    );
    let platform_expect = PlatformConfig {
        fee_rate: 10_000,
        creator_fee_rate: 500,
        cp_config: [9; 32],
    };
    assert_eq!(PlatformConfig::parse(&platform), Ok(platform_expect));
    assert_eq!(
        PlatformConfig::parse(&platform[..759]),
        Err(AccountReject::Short)
    );
    assert_eq!(
        PlatformConfig::parse(&[0; 944]),
        Err(AccountReject::OtherKind)
    );

    let terms = Terms::new(&expect, &platform_expect, 10_000).unwrap();
    assert_eq!(terms.curve, CurveType::LinearPrice);
    let rates = [
        terms.protocol_fee_rate,
        terms.platform_fee_rate,
        terms.creator_fee_rate,
        terms.share_fee_rate,
    ];
    assert_eq!(rates, [2_500, 10_000, 500, 10_000]);
    let too_much = Terms::new(&expect, &platform_expect, 10_001);
    assert_eq!(too_much, Err(QuoteReject::Closed));
    let greedy = PlatformConfig {
        fee_rate: 997_001,
        ..platform_expect
    };
    assert_eq!(Terms::new(&expect, &greedy, 0), Err(QuoteReject::Overflow));
}

fn curve_type(word: &str) -> CurveType {
    CurveType::of(number(word)).unwrap()
}

fn terms(curve: CurveType, rates: [u64; 4]) -> Terms {
    Terms {
        curve,
        protocol_fee_rate: rates[0],
        platform_fee_rate: rates[1],
        creator_fee_rate: rates[2],
        share_fee_rate: rates[3],
    }
}

#[test]
fn launches_start_as_the_venue_says() {
    let (mut started, mut refused) = ([0; 3], 0);
    let lines = golden(include_str!("../golden/launchlab.txt")).filter(|line| line[0] == "launch");
    for line in lines {
        let n = |at: usize| number::<u64>(line[at]);
        let curve = curve_type(line[1]);
        let config = GlobalConfig {
            curve,
            migrate_fee: n(5),
            trade_fee_rate: 0,
            share_fee_rate_max: 0,
            quote_mint: [0; 32],
        };
        let launch = Launch {
            decimals: 6,
            curve,
            supply: n(2),
            total_base_sell: n(3),
            total_quote_fund_raising: n(4),
            migrates_to_cp: true,
            total_locked_amount: n(6),
            transfer_fee: None,
        };
        let reserves = launch.reserves(&config);
        if line[7] == "refused" {
            assert_eq!(reserves, None, "{line:?}");
            refused += 1;
            continue;
        }
        let expect = Reserves {
            virtual_base: n(7),
            virtual_quote: n(8),
            total_base_sell: n(9),
            ..Reserves::default()
        };
        assert_eq!(reserves, Some(expect), "{line:?}");
        started[curve as usize] += 1;
    }
    assert!(
        started.iter().all(|count| *count > 20) && refused > 10,
        "{started:?} {refused}"
    );
}

/// The launch of almost every coin: its virtual reserves are those of every mainnet trade below.
#[test]
fn the_common_launch_starts_with_mainnets_reserves() {
    let launch = Launch {
        decimals: 6,
        curve: CurveType::ConstantProduct,
        supply: 1_000_000_000_000_000,
        total_base_sell: 793_100_000_000_000,
        total_quote_fund_raising: 85_000_000_000,
        migrates_to_cp: true,
        total_locked_amount: 0,
        transfer_fee: None,
    };
    let config = GlobalConfig {
        curve: CurveType::ConstantProduct,
        migrate_fee: 0,
        trade_fee_rate: 2_500,
        share_fee_rate_max: 10_000,
        quote_mint: [0; 32],
    };
    let expect = Reserves {
        real_base: 0,
        real_quote: 0,
        ..MIDWAY
    };
    assert_eq!(launch.reserves(&config), Some(expect));
    let other = GlobalConfig {
        curve: CurveType::FixedPrice,
        ..config
    };
    assert_eq!(launch.reserves(&other), None);
}

/// Trade events that the program itself emitted on mainnet, as two public decoders' tests record them (a Borsh
/// library's `test/idl.js`, and a substreams package's launchpad test): real base and quote before and after, what went
/// in and out, and the sum of the fees, with the rates these fees give.
#[test]
fn mainnets_own_trades_come_out_the_same() {
    for (before, after, amounts, rates) in [
        (
            [602_241_254_286_758, 38_377_977_720],
            [615_322_366_144_816, 40_332_237_720],
            [1_980_000_000, 13_081_111_858_058],
            [2_500, 10_000, 500, 0],
        ),
        (
            [739_636_820_289_371, 66_558_134_124],
            [739_641_825_262_423, 66_559_583_730],
            [1_468_700, 5_004_973_052],
            [2_500, 10_000, 500, 0],
        ),
        (
            [770_302_990_883_261, 76_339_677_590],
            [770_302_993_692_981, 76_339_678_577],
            [1_000, 2_809_720],
            [2_500, 10_000, 0, 0],
        ),
    ] {
        let reserves = |[real_base, real_quote]: [u64; 2]| Reserves {
            real_base,
            real_quote,
            ..MIDWAY
        };
        let mut pool = Pool::parse(&pool_data(0, 1, 0, reserves(before))).unwrap();
        let terms = terms(CurveType::ConstantProduct, rates);
        let swapped = pool
            .swap(&terms, Way::BToA, Amount::In(amounts[0]))
            .unwrap();
        assert_eq!([swapped.amount_in, swapped.amount_out], amounts);
        assert_eq!(pool.reserves, reserves(after));
        assert_eq!(pool.status, Status::Fund);
    }
}

/// One line of the golden trades.
struct Vector {
    pool: Pool,
    terms: Terms,
    way: Way,
    amount: Amount,
    /// What the package says is given, got and taken as fee.
    expect: Option<[u64; 3]>,
}

fn vector(line: &[&str]) -> Vector {
    let n = |at: usize| number::<u64>(line[at]);
    let reserves = Reserves {
        total_base_sell: n(2),
        virtual_base: n(3),
        virtual_quote: n(4),
        real_base: n(5),
        real_quote: n(6),
    };
    let fee = |at: usize| TransferFee {
        bps: number(line[at]),
        fee_max: n(at + 1),
    };
    let pool = Pool::parse(&pool_data(0, 1, 0, reserves)).unwrap();
    let (way, amount) = match line[15] {
        "buyExactIn" => (Way::BToA, Amount::In(n(16))),
        "buyExactOut" => (Way::BToA, Amount::Out(n(16))),
        "sellExactIn" => (Way::AToB, Amount::In(n(16))),
        "sellExactOut" => (Way::AToB, Amount::Out(n(16))),
        other => panic!("{other}"),
    };
    Vector {
        pool: pool.with_transfer_fees(fee(11), fee(13)),
        terms: terms(curve_type(line[1]), [n(7), n(8), n(9), n(10)]),
        way,
        amount,
        expect: (line[17] != "error").then(|| [n(17), n(18), n(19)]),
    }
}

#[test]
fn trades_are_the_venues_own_to_the_unit() {
    let mut answered = [[0; 4]; 3];
    let (mut inexact, mut zero, mut refused, mut sold_out) = (0, 0, 0, 0);
    for line in golden(include_str!("../golden/launchlab.txt")).filter(|line| line[0] == "trade") {
        let Vector {
            pool: before,
            terms,
            way,
            amount,
            expect,
        } = vector(&line);
        let mut after = before;
        let swapped = after.swap(&terms, way, amount);
        if swapped.is_err() {
            assert_eq!(after, before, "{line:?}");
        }
        let Some([given, got, fee]) = expect else {
            assert!(swapped.is_err(), "{line:?}");
            refused += 1;
            continue;
        };
        let square_root = terms.curve == CurveType::LinearPrice
            && matches!(
                (way, amount),
                (Way::BToA, Amount::In(_)) | (Way::AToB, Amount::Out(_))
            );
        let fee_added_twice = before.base_transfer_fee.is_some_and(|fee| fee.bps != 0)
            && matches!((way, amount), (Way::BToA, Amount::Out(_)));
        let arrives = |amount| before.quote_transfer_fee.unwrap().after(amount);
        match swapped {
            Err(QuoteReject::Inexact) if square_root || fee_added_twice => inexact += 1,
            Err(QuoteReject::ZeroAmount) if given == 0 || got == 0 => zero += 1,
            // All of it is fee, and the package still finds coins in what a linear curve rounds off.
            Err(QuoteReject::ZeroAmount) if way == Way::BToA && arrives(given) == fee => zero += 1,
            swapped => {
                let swapped = swapped.unwrap_or_else(|reason| panic!("{line:?} {reason:?}"));
                assert_eq!(
                    [swapped.amount_in, swapped.amount_out],
                    [given, got],
                    "{line:?}"
                );
                // What the quote side moves beside the curve is the fee and what the mint keeps.
                let (from, to) = (before.reserves.real_quote, after.reserves.real_quote);
                match way {
                    Way::BToA => assert_eq!(to - from, arrives(given) - fee, "{line:?}"),
                    Way::AToB => assert_eq!(arrives(from - to - fee), got, "{line:?}"),
                }
                sold_out += usize::from(after.status == Status::Migrate);
                answered[terms.curve as usize][usize::from(way == Way::AToB) * 2
                    + usize::from(matches!(amount, Amount::Out(_)))] += 1;
            }
        }
    }
    eprintln!("{answered:?} {inexact} {zero} {refused} {sold_out}");
    assert!(
        answered.iter().flatten().all(|count| *count > 50),
        "{answered:?}"
    );
    assert!(
        inexact > 50 && refused > 10 && sold_out > 10,
        "{inexact} {zero} {refused} {sold_out}"
    );
}

#[test]
fn a_curve_trades_while_it_sells_and_is_understood() {
    let terms = terms(CurveType::ConstantProduct, [2_500, 10_000, 500, 0]);
    let trade = |status, flag| {
        let mut pool = Pool::parse(&pool_data(status, 1, flag, MIDWAY)).unwrap();
        pool.swap(&terms, Way::BToA, Amount::In(1_000_000))
            .map(|_| ())
    };
    assert_eq!(trade(0, 0), Ok(()));
    for (status, flag) in [(1, 0), (2, 0), (0, 1), (0, 2), (0, 3)] {
        assert_eq!(
            trade(status, flag),
            Err(QuoteReject::Closed),
            "{status} {flag}"
        );
    }
    // Everything that is left, and then nothing.
    let mut pool = Pool::parse(&pool_data(0, 1, 0, MIDWAY)).unwrap();
    let left = MIDWAY.total_base_sell - MIDWAY.real_base;
    let swapped = pool
        .swap(&terms, Way::BToA, Amount::In(u64::MAX / 2))
        .unwrap();
    assert_eq!(swapped.amount_out, left);
    assert!(swapped.amount_in < 100_000_000_000);
    assert_eq!(pool.status, Status::Migrate);
    let closed = pool.swap(&terms, Way::AToB, Amount::In(1_000));
    assert_eq!(closed, Err(QuoteReject::Closed));
    let mut pool = Pool::parse(&pool_data(0, 1, 0, MIDWAY)).unwrap();
    let past = pool.swap(&terms, Way::BToA, Amount::Out(left + 1));
    assert_eq!(past, Err(QuoteReject::PastRemaining));
    let past = pool.swap(&terms, Way::AToB, Amount::In(MIDWAY.real_base + 1));
    assert_eq!(past, Err(QuoteReject::PastRemaining));
    let past = pool.swap(&terms, Way::AToB, Amount::Out(MIDWAY.real_quote));
    assert_eq!(past, Err(QuoteReject::QuoteShort));
}

fn plain(
    curve: CurveType,
    reserves: Reserves,
    amount_in: u64,
) -> Result<(u64, u64, Status), QuoteReject> {
    let mut pool = Pool::parse(&pool_data(0, 1, 0, reserves)).unwrap();
    let swapped = pool.swap(&terms(curve, [0; 4]), Way::BToA, Amount::In(amount_in))?;
    Ok((swapped.amount_in, swapped.amount_out, pool.status))
}

/// The package compares with "greater": who asks for exactly what is left pays what was offered, who asks for more pays
/// only what it costs. floor(1120 * 1000 / 11120) = 100 and ceil(10000 * 100 / 900) = 1112.
#[test]
fn what_is_left_is_bought_whole_or_at_its_price() {
    let reserves = Reserves {
        total_base_sell: 100,
        virtual_base: 1_000,
        virtual_quote: 10_000,
        ..Reserves::default()
    };
    let buy = |amount_in| plain(CurveType::ConstantProduct, reserves, amount_in);
    assert_eq!(buy(1_111), Ok((1_111, 99, Status::Fund)));
    assert_eq!(buy(1_112), Ok((1_112, 100, Status::Migrate)));
    assert_eq!(buy(1_120), Ok((1_120, 100, Status::Migrate)));
    assert_eq!(buy(1_130), Ok((1_112, 100, Status::Migrate)));
}

/// With this slope `raised` buys `sqrt(4 * raised)`: 4 for 4 and for 5 (4.47), while 6 (4.899) is 4 or 5.
#[test]
fn a_square_root_counts_where_every_rounding_agrees() {
    let reserves = Reserves {
        total_base_sell: 1_000,
        virtual_base: 1 << 63,
        ..Reserves::default()
    };
    let buy = |amount_in| plain(CurveType::LinearPrice, reserves, amount_in);
    assert_eq!(buy(4), Ok((4, 4, Status::Fund)));
    assert_eq!(buy(5), Ok((5, 4, Status::Fund)));
    assert_eq!(buy(6), Err(QuoteReject::Inexact));
    // Past the end it does not matter.
    let short = Reserves {
        total_base_sell: 3,
        ..reserves
    };
    let sold_out = plain(CurveType::LinearPrice, short, 6);
    assert_eq!(sold_out, Ok((3, 3, Status::Migrate)));
    let on_the_edge = Reserves {
        total_base_sell: 4,
        ..reserves
    };
    let edge = plain(CurveType::LinearPrice, on_the_edge, 6);
    assert_eq!(edge, Err(QuoteReject::Inexact));
}

prop_compose! {
    /// Amounts of every magnitude.
    fn size()(bits in 0u32..=64, value: u64) -> u64 {
        value.checked_shr(bits).unwrap_or(0)
    }
}

/// A curve as a launch makes it, some of it sold.
fn launched(curve: u8, raised: u64, sold: u64) -> Option<(Pool, CurveType)> {
    let curve = CurveType::of(curve)?;
    let config = GlobalConfig {
        curve,
        migrate_fee: 0,
        trade_fee_rate: 0,
        share_fee_rate_max: 0,
        quote_mint: [0; 32],
    };
    let launch = Launch {
        decimals: 6,
        curve,
        supply: 1_000_000_000_000_000,
        total_base_sell: 793_100_000_000_000,
        total_quote_fund_raising: raised,
        migrates_to_cp: true,
        total_locked_amount: 0,
        transfer_fee: None,
    };
    let reserves = launch.reserves(&config)?;
    let mut pool = Pool::parse(&pool_data(0, 1, 0, reserves)).ok()?;
    let sold = Amount::Out(sold % reserves.total_base_sell);
    let _ = pool.swap(&terms(curve, [0; 4]), Way::BToA, sold);
    Some((pool, curve))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// No input panics; an error leaves the curve.
    #[test]
    fn a_trade_is_total(
        curve in 0u8..3,
        numbers in (size(), size(), size(), size(), size()),
        rates in (0u64..400_000, 0u64..400_000, 0u64..400_000, 0u64..400_000),
        fees in ((0u16..=10_000, size()), (0u16..=10_000, size())),
        sell: bool,
        exact_in: bool,
        amount in size(),
    ) {
        let reserves = Reserves {
            total_base_sell: numbers.0.max(numbers.3),
            virtual_base: numbers.1,
            virtual_quote: numbers.2,
            real_base: numbers.3,
            real_quote: numbers.4,
        };
        let fee = |(bps, fee_max)| TransferFee { bps, fee_max };
        let before = Pool::parse(&pool_data(0, 0, 0, reserves)).unwrap();
        let before = before.with_transfer_fees(fee(fees.0), fee(fees.1));
        let mut after = before;
        let terms = terms(CurveType::of(curve).unwrap(), [rates.0, rates.1, rates.2, rates.3]);
        let way = if sell { Way::AToB } else { Way::BToA };
        let amount = if exact_in { Amount::In(amount) } else { Amount::Out(amount) };
        match after.swap(&terms, way, amount) {
            Err(_) => prop_assert_eq!(after, before),
            Ok(swapped) => {
                prop_assert!(swapped.amount_in > 0 && swapped.amount_out > 0);
                prop_assert!(after.reserves.real_base <= after.reserves.total_base_sell);
                match amount {
                    Amount::In(amount) => prop_assert!(swapped.amount_in <= amount),
                    Amount::Out(amount) => prop_assert_eq!(swapped.amount_out, amount),
                }
            }
        }
    }

    /// Bought and sold back on a curve of the program's making: never more comes back than went in, and the curve holds
    /// what it owes.
    #[test]
    fn a_round_trip_gains_nothing(
        curve in 0u8..3,
        raised in 1_000_000u64..10_000_000_000_000,
        sold: u64,
        rate in 0u64..50_000,
        amount in size(),
        exact_in: bool,
    ) {
        let Some((before, curve)) = launched(curve, raised, sold) else { return Ok(()) };
        let terms = terms(curve, [rate, 0, 0, 0]);
        let mut pool = before;
        let amount = if exact_in { Amount::In(amount) } else { Amount::Out(amount) };
        if let Ok(bought) = pool.swap(&terms, Way::BToA, amount) {
            pool.status = Status::Fund;
            if let Ok(back) = pool.swap(&terms, Way::AToB, Amount::In(bought.amount_out)) {
                prop_assert!(back.amount_out <= bought.amount_in);
                prop_assert_eq!(pool.reserves.real_base, before.reserves.real_base);
                prop_assert!(pool.reserves.real_quote >= before.reserves.real_quote);
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(
        which in 0usize..10,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        count in 0usize..34,
        account in prop::collection::vec(any::<u8>(), 0..1_000),
    ) {
        let head = HEADS.get(which).map_or(&[][..], |head| &head[..]);
        let bytes = [head, &bytes].concat();
        let _ = (Launch::read(&bytes), call(LAUNCHLAB, &bytes, count, &[]));
        let mut account = account;
        for discriminator in [
            [0xf7, 0xed, 0xe3, 0xf5, 0xd7, 0xc3, 0xde, 0x46],
            [0x95, 0x08, 0x9c, 0xca, 0xa0, 0xfc, 0xb0, 0xd9],
            [0xa0, 0x4e, 0x80, 0x00, 0xf8, 0x53, 0xe6, 0xa0],
        ] {
            if account.len() >= 8 {
                account[..8].copy_from_slice(&discriminator);
            }
            let _ = (Pool::parse(&account), GlobalConfig::parse(&account), PlatformConfig::parse(&account));
        }
    }

    #[test]
    fn every_other_discriminator_is_ignored(head: [u8; 8]) {
        prop_assume!(!HEADS.contains(&head));
        let read = call(LAUNCHLAB, &data(&head, &[1, 2, 3, 4]), 33, &[]);
        prop_assert_eq!(read, Err(DecodeReject::OtherInstruction));
    }
}
