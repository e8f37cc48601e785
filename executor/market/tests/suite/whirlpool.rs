//! Goal: a Whirlpool swap is what Orca's own code answers, to the unit, and leaves the state the program leaves.
//! Method: golden answers of Orca's package and program (`golden/whirlpool.txt`), accounts made byte by byte from the
//! program's layouts, and properties over random pools and whatever bytes.

use market::event::Way;
use market::tick::{SQRT_PRICE_MIN, TICK_MAX, TICK_MIN, Terms};
use market::token::TransferFee;
use market::whirlpool::{
    AdaptiveFee, Oracle, Pool, SQRT_PRICE_MAX, TICK_ARRAY_LEN, TickArray, Volatility, account_kind,
    sqrt_price_at, tick_at,
};
use market::{AccountReject, Amount, QuoteReject, Swapped};
use proptest::prelude::*;

const GOLDEN: &str = include_str!("../golden/whirlpool.txt");

fn number<T: core::str::FromStr<Err: core::fmt::Debug>>(cell: &str) -> T {
    cell.parse().unwrap()
}

fn pool(cells: &[&str]) -> Pool {
    Pool {
        mint_a: [1; 32],
        mint_b: [2; 32],
        vault_a: [3; 32],
        vault_b: [4; 32],
        tick_spacing: number(cells[0]),
        fee_tier: number(cells[1]),
        fee_rate: number(cells[2]),
        liquidity: number(cells[3]),
        sqrt_price: number(cells[4]),
        tick: number(cells[5]),
        oracle: None,
    }
}

fn oracle(cells: &[&str]) -> Oracle {
    Oracle {
        opens_at: number(cells[0]),
        fee: AdaptiveFee {
            filter_period: number(cells[1]),
            decay_period: number(cells[2]),
            reduction_factor: number(cells[3]),
            control_factor: number(cells[4]),
            volatility_max: number(cells[5]),
            tick_group_size: number(cells[6]),
            major_swap_ticks: number(cells[7]),
        },
        volatility: volatility(&cells[8..]),
    }
}

fn volatility(cells: &[&str]) -> Volatility {
    Volatility {
        referenced_at: number(cells[0]),
        major_swap_at: number(cells[1]),
        reference: number(cells[2]),
        tick_group_reference: number(cells[3]),
        accumulator: number(cells[4]),
    }
}

fn array(cells: &[&str]) -> TickArray {
    let mut array = TickArray::empty([9; 32], number(cells[0]));
    for cell in &cells[1..] {
        let (place, net) = cell.split_once(':').unwrap();
        array.set(number(place), number(net));
    }
    array
}

fn transfer_fee(cell: &str) -> TransferFee {
    let (bps, fee_max) = cell.split_once(',').unwrap();
    TransferFee {
        bps: number(bps),
        fee_max: number(fee_max),
    }
}

/// One golden swap.
struct Case<'a> {
    terms: Terms,
    way: Way,
    amount: Amount,
    package: &'a str,
    program: &'a str,
}

impl<'a> Case<'a> {
    fn read(cells: &[&'a str]) -> Self {
        let amount = number(cells[3]);
        Self {
            terms: Terms {
                now: number(cells[0]),
                fee_a: transfer_fee(cells[5]),
                fee_b: transfer_fee(cells[6]),
                price_limit: Some(number(cells[4])),
            },
            way: if cells[1] == "a" {
                Way::AToB
            } else {
                Way::BToA
            },
            amount: if cells[2] == "in" {
                Amount::In(amount)
            } else {
                Amount::Out(amount)
            },
            package: cells[7],
            program: cells[8],
        }
    }
}

impl Case<'_> {
    /// The program was asked for what is left after transfer fees: its amounts are the pool's, not the trader's.
    fn has_fees(&self) -> bool {
        self.program.starts_with('?')
    }
}

/// Hands every golden swap with the pool before it to `check`, which returns the pool after it.
fn each_golden(mut check: impl FnMut(&str, Pool, &[TickArray], &Case<'_>) -> Pool) {
    let (mut current, mut arrays) = (None, Vec::new());
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split(' ').collect();
        match cells[0] {
            "pool" => {
                current = Some(pool(&cells[1..]));
                arrays.clear();
            }
            "oracle" => current.as_mut().unwrap().oracle = Some(oracle(&cells[1..])),
            "array" => arrays.push(array(&cells[1..])),
            "swap" => {
                let case = Case::read(&cells[1..]);
                current = Some(check(line, current.unwrap(), &arrays, &case));
            }
            "folds" => {}
            other => panic!("{other}"),
        }
    }
}

#[test]
fn every_swap_is_what_the_program_does() {
    let (mut done, mut refused, mut adaptive) = (0, 0, 0);
    each_golden(|line, before, arrays, case| {
        let mut after = before;
        let answer = after.swap(arrays, &case.terms, case.way, case.amount);
        match case.program {
            "!" => return before,
            "-" | "?-" => {
                assert!(answer.is_err(), "{line}: {answer:?}");
                assert_eq!(after, before, "{line}");
                refused += 1;
                return before;
            }
            _ => {}
        }
        let cells: Vec<&str> = case.program.trim_start_matches('?').split(',').collect();
        let swapped = Swapped {
            amount_in: number(cells[0]),
            amount_out: number(cells[1]),
        };
        if case.has_fees() {
            assert!(answer.is_ok(), "{line}: {answer:?}");
        } else {
            assert_eq!(answer, Ok(swapped), "{line}");
        }
        let mut expected = before;
        expected.liquidity = number(cells[2]);
        expected.sqrt_price = number(cells[3]);
        expected.tick = number(cells[4]);
        if let Some(oracle) = &mut expected.oracle {
            oracle.volatility = volatility(&cells[5..]);
            adaptive += 1;
        }
        assert_eq!(after, expected, "{line}");
        done += 1;
        after
    });
    assert!(
        done > 1_500 && refused > 300 && adaptive > 500,
        "{done} {refused} {adaptive}"
    );
}

#[test]
fn every_quote_is_what_the_package_says() {
    let (mut done, mut with_fees) = (0, 0);
    each_golden(|line, before, arrays, case| {
        if case.program == "!" {
            return before;
        }
        let mut after = before;
        let answer = after.swap(arrays, &case.terms, case.way, case.amount);
        let Some((amount_in, amount_out)) = case.package.split_once(',') else {
            assert!(answer.is_err(), "{line}: {answer:?}");
            return after;
        };
        let (amount_in, amount_out): (u64, u64) = (number(amount_in), number(amount_out));
        match (answer, case.amount) {
            // The program refuses what the package still reckons: part of an output, numbers past its own integers.
            (Err(_), _) if case.program.ends_with('-') => return after,
            // An input taken whole is what the trader named; the package reckons back from what arrives.
            (Ok(swapped), Amount::In(asked)) if case.has_fees() => {
                assert_eq!(swapped.amount_out, amount_out, "{line}");
                assert!(
                    swapped.amount_in == amount_in || swapped.amount_in == asked,
                    "{line}"
                );
                with_fees += 1;
            }
            (answer, _) => {
                let swapped = Swapped {
                    amount_in,
                    amount_out,
                };
                assert_eq!(answer, Ok(swapped), "{line}");
                with_fees += u32::from(case.has_fees());
            }
        }
        done += 1;
        after
    });
    assert!(done > 1_500 && with_fees > 200, "{done} {with_fees}");
}

#[test]
fn every_tick_has_the_packages_price_and_every_price_its_tick() {
    let mix = |fold: u64, value: u128| {
        let fold = (fold ^ value as u64).wrapping_mul(0x100_0000_01b3);
        (fold ^ (value >> 64) as u64).wrapping_mul(0x100_0000_01b3)
    };
    let (mut prices, mut ticks) = (0xcbf2_9ce4_8422_2325, 0xcbf2_9ce4_8422_2325);
    for tick in TICK_MIN..=TICK_MAX {
        let price = sqrt_price_at(tick).unwrap();
        prices = mix(prices, price);
        for beside in [price - 1, price, price + 1] {
            if let Some(tick) = tick_at(beside) {
                ticks = mix(ticks, tick as u128);
            }
        }
    }
    let golden = GOLDEN
        .lines()
        .find(|line| line.starts_with("folds"))
        .unwrap();
    assert_eq!(golden, format!("folds {prices} {ticks}"));
    assert_eq!(sqrt_price_at(TICK_MIN - 1), None);
    assert_eq!(sqrt_price_at(TICK_MAX + 1), None);
    assert_eq!(sqrt_price_at(i32::MIN), None);
    assert_eq!(tick_at(SQRT_PRICE_MIN - 1), None);
    assert_eq!(tick_at(SQRT_PRICE_MAX + 1), None);
    assert_eq!(tick_at(0), None);
    assert_eq!(tick_at(u128::MAX), None);
}

const ACCOUNTS: &str = include_str!("../golden/concentrated_accounts.txt");

/// The account called `name`: hex, with runs of zero as `z<n>.`.
fn account(name: &str) -> Vec<u8> {
    let mut lines = ACCOUNTS.lines();
    let line = lines.find(|line| line.split(' ').next() == Some(name));
    let mut text = line.unwrap().split_once(' ').unwrap().1;
    let mut data = Vec::new();
    while !text.is_empty() {
        if let Some(run) = text.strip_prefix('z') {
            let (count, rest) = run.split_once('.').unwrap();
            data.resize(data.len() + number::<usize>(count), 0);
            text = rest;
        } else {
            data.push(u8::from_str_radix(&text[..2], 16).unwrap());
            text = &text[2..];
        }
    }
    data
}

#[test]
fn the_programs_accounts_read_back() {
    let pool = Pool::parse(&account("whirlpool")).unwrap();
    let expected = Pool {
        mint_a: [1; 32],
        mint_b: [2; 32],
        vault_a: [3; 32],
        vault_b: [4; 32],
        tick_spacing: 64,
        fee_tier: 1025,
        fee_rate: 3000,
        liquidity: 0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00,
        sqrt_price: 4_703_166_435_184_023_771,
        tick: -27_335,
        oracle: None,
    };
    assert_eq!(pool, expected);
    assert!(pool.is_adaptive());

    let mut array = TickArray::empty([9; 32], -28_160);
    array.set(0, 5);
    array.set(13, -7_000_000_000_000_000_000_000);
    array.set(87, i128::MAX);
    assert_eq!(array.initialized, 1 | 1 << 13 | 1 << 87);
    for name in ["tick_array", "dynamic_tick_array"] {
        assert_eq!(TickArray::parse(&account(name)), Ok(array), "{name}");
    }

    let (whose, oracle) = Oracle::parse(&account("oracle")).unwrap();
    assert_eq!(whose, [9; 32]);
    let expected = Oracle {
        opens_at: 1_790_000_000,
        fee: AdaptiveFee {
            filter_period: 30,
            decay_period: 600,
            reduction_factor: 5000,
            control_factor: 1500,
            volatility_max: 350_000,
            tick_group_size: 64,
            major_swap_ticks: 65,
        },
        volatility: Volatility {
            referenced_at: 1_790_000_001,
            major_swap_at: 1_790_000_002,
            reference: 12_345,
            tick_group_reference: -428,
            accumulator: 23_456,
        },
    };
    assert_eq!(oracle, expected);
}

#[test]
fn what_is_not_understood_is_refused() {
    let changed = |name: &str, at: usize, byte: u8| {
        let mut data = account(name);
        data[at] = byte;
        data
    };
    let (bad, unknown) = (AccountReject::BadField, AccountReject::Unknown);
    // A tick spacing of zero, a fee rate above the highest, a price below the lowest.
    assert_eq!(Pool::parse(&changed("whirlpool", 41, 0)), Err(bad));
    assert_eq!(Pool::parse(&changed("whirlpool", 46, 0xff)), Err(bad));
    let mut cheap = account("whirlpool");
    cheap[65..81].fill(0);
    assert_eq!(Pool::parse(&cheap), Err(bad));
    // A flag that is neither, a bitmap that says otherwise, reserved bytes in use, constants the program refuses.
    assert_eq!(TickArray::parse(&changed("tick_array", 12, 2)), Err(bad));
    assert_eq!(
        TickArray::parse(&changed("dynamic_tick_array", 60, 2)),
        Err(bad)
    );
    assert_eq!(
        TickArray::parse(&changed("dynamic_tick_array", 45, 0)),
        Err(bad)
    );
    for reserved in [66, 81, 110, 125, 126, 253] {
        assert_eq!(Oracle::parse(&changed("oracle", reserved, 1)), Err(unknown));
    }
    assert_eq!(Oracle::parse(&changed("oracle", 62, 0)), Err(bad));
    for name in ["whirlpool", "tick_array", "dynamic_tick_array", "oracle"] {
        let data = account(name);
        // Up to the last field that is read.
        let needed = match name {
            "whirlpool" => 245,
            "dynamic_tick_array" => data.len() - 112 + 16,
            _ => data.len(),
        };
        for len in [0, 7, 8, needed / 2, needed - 1] {
            let cut = &data[..len];
            let answer = match name {
                "whirlpool" => Pool::parse(cut).err(),
                "oracle" => Oracle::parse(cut).err(),
                _ => TickArray::parse(cut).err(),
            };
            assert_eq!(answer, Some(AccountReject::Short), "{name} {len}");
        }
        let other = changed(name, 0, 0);
        assert_eq!(TickArray::parse(&other), Err(AccountReject::OtherKind));
    }
}

/// A pool of tick spacing 8 around its price, its arrays, and with adaptive fees in half of the cases.
fn market() -> impl Strategy<Value = (Pool, Vec<TickArray>)> {
    let positions = prop::collection::vec((-180i32..150, 1i32..250, 10u32..75), 1..6);
    let fee = (0u16..60_001, any::<bool>(), 0u32..100_000, 0u32..350_001);
    (-20_000i32..20_000, positions, fee).prop_map(|(tick, positions, fee)| {
        const SPACING: i32 = 8;
        let (fee_rate, is_adaptive, control_factor, reference) = fee;
        let ticks = TICK_ARRAY_LEN as i32 * SPACING;
        let base = tick.div_euclid(ticks) * ticks;
        let mut nets = std::collections::BTreeMap::<i32, i128>::new();
        let mut liquidity = 0;
        for (from, len, bits) in positions {
            let low = (tick.div_euclid(SPACING) + from) * SPACING;
            let high = low + len * SPACING;
            let amount = 1i128 << bits;
            *nets.entry(low).or_default() += amount;
            *nets.entry(high).or_default() -= amount;
            if (low..high).contains(&tick) {
                liquidity += amount.unsigned_abs();
            }
        }
        let arrays = (-3..=3)
            .map(|at| {
                let mut array = TickArray::empty([9; 32], base + at * ticks);
                for (tick, net) in nets.range(array.start..array.start + ticks) {
                    array.set(((tick - array.start) / SPACING) as usize, *net);
                }
                array
            })
            .collect();
        let oracle = Oracle {
            opens_at: 0,
            fee: AdaptiveFee {
                filter_period: 30,
                decay_period: 600,
                reduction_factor: 5000,
                control_factor,
                volatility_max: 350_000,
                tick_group_size: SPACING as u16,
                major_swap_ticks: 64,
            },
            volatility: Volatility {
                reference,
                tick_group_reference: tick.div_euclid(SPACING),
                ..Volatility::default()
            },
        };
        let pool = Pool {
            mint_a: [1; 32],
            mint_b: [2; 32],
            vault_a: [3; 32],
            vault_b: [4; 32],
            tick_spacing: SPACING as u16,
            fee_tier: if is_adaptive { 1024 } else { SPACING as u16 },
            fee_rate,
            liquidity,
            sqrt_price: sqrt_price_at(tick).unwrap(),
            tick,
            oracle: is_adaptive.then_some(oracle),
        };
        (pool, arrays)
    })
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::AToB), Just(Way::BToA)]
}

fn amount() -> impl Strategy<Value = u64> {
    (0u32..64, any::<u64>()).prop_map(|(bits, number)| number >> bits)
}

const fn back(way: Way) -> Way {
    match way {
        Way::AToB => Way::BToA,
        Way::BToA => Way::AToB,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_an_input_buys_costs_the_same_as_an_output_but_for_rounding(
        (pool, arrays) in market(), way in way(), given in amount(),
    ) {
        let terms = Terms { now: 10, ..Terms::default() };
        let mut bought = pool;
        let Ok(swapped) = bought.swap(&arrays, &terms, way, Amount::In(given)) else {
            prop_assert_eq!(bought, pool);
            return Ok(());
        };
        prop_assert!(swapped.amount_in <= given);
        if swapped.amount_out == 0 {
            return Ok(());
        }
        let mut again = pool;
        let asked = match again.swap(&arrays, &terms, way, Amount::Out(swapped.amount_out)) {
            // Numbers past the program's own integers, which an output meets before an input does.
            Err(QuoteReject::Overflow) => return Ok(()),
            asked => asked.unwrap(),
        };
        prop_assert_eq!(asked.amount_out, swapped.amount_out);
        // Each stretch of the way rounds what goes in and its fee up anew.
        let stretches = u64::from(pool.tick.abs_diff(bought.tick)) / u64::from(pool.tick_spacing) + 2;
        prop_assert!(asked.amount_in <= swapped.amount_in + 3 * stretches, "{asked:?} {swapped:?}");
    }

    #[test]
    fn there_and_back_gains_nothing(
        (pool, arrays) in market(), way in way(), given in amount(),
    ) {
        let terms = Terms { now: 10, ..Terms::default() };
        let mut moved = pool;
        let Ok(there) = moved.swap(&arrays, &terms, way, Amount::In(given)) else {
            return Ok(());
        };
        let before = moved;
        match moved.swap(&arrays, &terms, back(way), Amount::In(there.amount_out)) {
            Ok(home) => prop_assert!(home.amount_out <= there.amount_in, "{there:?} {home:?}"),
            Err(_) => prop_assert_eq!(moved, before),
        }
    }

    #[test]
    fn transfer_fees_only_take(
        (pool, arrays) in market(), way in way(), given in amount(), bps in 0u16..10_001, fee_max in any::<u64>(),
    ) {
        let terms = Terms { now: 10, ..Terms::default() };
        let fee = TransferFee { bps, fee_max };
        let kept = Terms { fee_a: fee, fee_b: fee, ..terms };
        for asked in [Amount::In(given), Amount::Out(given)] {
            let (mut plain, mut taxed) = (pool, pool);
            let (plain, taxed) = (
                plain.swap(&arrays, &terms, way, asked),
                taxed.swap(&arrays, &kept, way, asked),
            );
            if let (Ok(plain), Ok(taxed)) = (plain, taxed) {
                match asked {
                    Amount::In(_) => prop_assert!(taxed.amount_out <= plain.amount_out),
                    Amount::Out(_) => prop_assert!(taxed.amount_in >= plain.amount_in),
                }
            }
        }
    }

    #[test]
    fn any_numbers_are_answered(
        numbers in any::<[u128; 3]>(), small in any::<[u16; 6]>(), tick in any::<i32>(), near in any::<bool>(),
        nets in prop::collection::vec((0usize..88, any::<i128>()), 0..6), starts in any::<[i32; 3]>(),
        oracle in any::<Option<([u16; 5], [u32; 4], i32, [u64; 3])>>(), now in any::<u64>(),
        way in way(), given in any::<u64>(), is_in in any::<bool>(),
    ) {
        let pool = Pool {
            mint_a: [1; 32],
            mint_b: [2; 32],
            vault_a: [3; 32],
            vault_b: [4; 32],
            tick_spacing: if near { small[0] % 300 } else { small[0] },
            fee_tier: if oracle.is_some() { small[0] ^ 1024 } else { small[0] },
            fee_rate: small[1],
            liquidity: numbers[0] >> (small[2] % 128),
            sqrt_price: if near { SQRT_PRICE_MIN + (numbers[1] >> (32 + small[3] % 96)) } else { numbers[1] },
            tick: if near { tick % 443_637 } else { tick },
            oracle: oracle.map(|(shorts, longs, group, times)| Oracle {
                opens_at: times[0] >> 32,
                fee: AdaptiveFee {
                    filter_period: shorts[0],
                    decay_period: shorts[1],
                    reduction_factor: shorts[2] % 10_000,
                    control_factor: longs[0] % 100_000,
                    volatility_max: longs[1] >> 12,
                    tick_group_size: shorts[3] % 64,
                    major_swap_ticks: shorts[4],
                },
                volatility: Volatility {
                    referenced_at: times[1],
                    major_swap_at: times[2],
                    reference: longs[2],
                    tick_group_reference: group,
                    accumulator: longs[3],
                },
            }),
        };
        let ticks = i64::from(pool.tick_spacing) * 88;
        let base = i64::from(pool.tick).checked_div_euclid(ticks).unwrap_or(0);
        let arrays: Vec<TickArray> = starts.into_iter().enumerate().map(|(at, start)| {
            let start = if near { ((base + at as i64 - 1) * ticks) as i32 } else { start };
            let mut array = TickArray::empty([9; 32], start);
            for (place, net) in &nets {
                array.set(*place, *net);
            }
            array
        }).collect();
        let terms = Terms {
            now,
            price_limit: (small[4] % 2 == 0).then_some(numbers[2]),
            fee_a: TransferFee { bps: small[5], fee_max: given },
            ..Terms::default()
        };
        let mut after = pool;
        let asked = if is_in { Amount::In(given) } else { Amount::Out(given) };
        if after.swap(&arrays, &terms, way, asked).is_err() {
            prop_assert_eq!(after, pool);
        }
    }

    #[test]
    fn any_bytes_are_answered(mut data in prop::collection::vec(any::<u8>(), 0..11_000), kind in 0usize..4) {
        let kinds = [
            account_kind::POOL,
            account_kind::TICK_ARRAY,
            account_kind::DYNAMIC_TICK_ARRAY,
            account_kind::ORACLE,
        ];
        for (byte, of_kind) in data.iter_mut().zip(kinds[kind]) {
            *byte = of_kind;
        }
        let _ = (Pool::parse(&data), TickArray::parse(&data), Oracle::parse(&data));
    }
}
